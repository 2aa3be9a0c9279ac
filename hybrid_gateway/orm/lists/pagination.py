"""Lists in pages: by number, by limit and offset, by cursor.

How this works: a style says which query parameters a route gets, and what becomes of a queryset and their values: the
rows of one page, and the parameters of its neighbours. Whatever the order of the queryset is, the primary key ends it,
so that no row is on two pages, and none on no page, because it ties with another.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Generic, Literal, TypeAlias, TypeVar, cast
from urllib.parse import parse_qsl, urlencode

import msgspec
from django.db import connections
from django.db.models import Model
from django.db.models.query import RawQuerySet
from msgspec import UNSET, UnsetType
from starlette.responses import Response

from hybrid_gateway.binding.markers import Query
from hybrid_gateway.concurrency.asgiref_bridge import on_request_thread
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.lists.cursors import Keyset, check_order, cursor_order
from hybrid_gateway.orm.querysets.querysets import (
    OrderTerm,
    Rows,
    Source,
    as_queryset,
    count_rows,
    is_queryable,
    rearrangeable,
    with_total_order,
)
from hybrid_gateway.orm.read.fetch import fetch, fetch_with
from hybrid_gateway.orm.read.instances import from_model
from hybrid_gateway.orm.read.read_plan import read_plan_of
from hybrid_gateway.spelling import reject_unknown_keywords
from hybrid_gateway.url_quoting import quote_path

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)
M = TypeVar("M", int, int | None)

_MAX_NUMBER = 2**31 - 1  # more rows than anybody pages through; what databases take as an offset is far above it

REQUESTED = "page_request"
"""The attribute of a :class:`Page` that a handler asks for."""

Counting = bool | Literal["estimate"]
PageSource: TypeAlias = "Rows | list[object]"
"""Rows to be paged: a queryset, or a list where they are there already."""
QueryValues: TypeAlias = Mapping[str, Any]
"""The values of the parameters of a style, which are of their annotations."""
Parameters: TypeAlias = dict[str, tuple[object, object]]
"""Query parameters: name → annotation and default."""
Changes = Mapping[str, object] | None
"""The parameters of a neighbour."""


class Page(msgspec.Struct, Generic[T], kw_only=True, dict=True):
    """One page of a list, and where its neighbours are (references to the same host; ``None``: there is none).

    A handler below ``pagination=`` may ask for one: ``page: Page[ProductOut]`` is what the client wants to see, and
    ``return page.fetch(queryset)`` shows it.
    """

    items: list[T]
    next: str | None = None
    previous: str | None = None

    def fetch(self, queryset: object) -> Page[T]:
        """Return this page of ``queryset``."""
        page: Page[T] = self.__dict__[REQUESTED].page(queryset)
        return page

    async def afetch(self, queryset: object) -> Page[T]:
        """:meth:`fetch`, on the thread of the request."""
        return await on_request_thread(self.fetch, queryset)


class NumberedPage(Page[T], Generic[T], kw_only=True):
    """A page of ``PageNumber``."""

    page: int
    size: int
    total: int | UnsetType = UNSET
    pages: int | UnsetType = UNSET


class SlicedPage(Page[T], Generic[T], kw_only=True):
    """A page of ``LimitOffset``."""

    limit: int
    offset: int
    total: int | UnsetType = UNSET


class CursorPage(Page[T], Generic[T], kw_only=True):
    """A page of ``Cursor``."""


class PageRequest(msgspec.Struct, frozen=True):
    """The page that one request asks for."""

    style: Pagination
    struct: type[msgspec.Struct]
    values: QueryValues
    path: str
    query: str
    response: Response
    where: str = ""

    def page(self, source: object) -> Page[msgspec.Struct]:
        """Return the page, and set its ``Link`` header (RFC 8288)."""
        try:
            page, following, previous = self.style.page(self.struct, pageable_rows(source), self.values)
        except ConfigurationError as error:
            raise ConfigurationError(f"{self.where}: {error}") from error
        page.next, page.previous = self._url(following), self._url(previous)
        links = [f'<{url}>; rel="{name}"' for name, url in (("next", page.next), ("prev", page.previous)) if url]
        if links:
            self.response.headers["Link"] = ", ".join(links)
        return page

    def _url(self, changes: Changes) -> str | None:
        if changes is None:
            return None
        pairs = [pair for pair in parse_qsl(self.query, keep_blank_values=True) if pair[0] not in changes]
        pairs += [(name, str(value)) for name, value in changes.items() if value is not None]
        return f"{quote_path(self.path)}?{urlencode(pairs)}"


def is_pageable(value: object) -> bool:
    """Return whether what a handler returned is rows, and not an answer of its own."""
    return isinstance(value, (list, tuple, RawQuerySet)) or is_queryable(value)


def pageable_rows(source: object) -> PageSource:
    """Return rows to be paged of what a handler has returned."""
    return list(source) if isinstance(source, (list, tuple, RawQuerySet)) else as_queryset(cast("Source", source))


class Pagination:
    """A style of pages, as a route uses it."""

    envelope: Any = Page  # to be subscripted

    def check(self, struct: type[msgspec.Struct], where: str) -> None:
        """Raise :class:`ConfigurationError` for what cannot be a list of ``struct``."""

    def check_order(self, model: type[Model], orders: Sequence[OrderTerm], where: str) -> None:
        """Raise :class:`ConfigurationError` for what clients may order a list of ``model`` by, if this style cannot."""

    def check_rows(self, queryset: Rows, where: str) -> None:
        """Raise :class:`ConfigurationError` for the order of a queryset, if this style cannot page it."""

    def arranged(self, queryset: Rows) -> Rows:
        """Return the queryset as this style orders it, before a client does."""
        return queryset

    def parameters(self) -> Parameters:
        """Return the query parameters."""
        raise NotImplementedError

    def page(self, struct: type[S], source: PageSource, values: QueryValues) -> tuple[Page[S], Changes, Changes]:
        """Return the page, and the parameters of the next and of the previous one."""
        raise NotImplementedError


@reject_unknown_keywords()
class PageNumber(Pagination):
    """``?page=3&size=50``. Without ``max_size`` clients cannot choose the size.

    ``count=False`` spares the query for ``total`` and ``pages``; ``"estimate"`` takes PostgreSQL's planner at its word.
    """

    envelope = NumberedPage

    def __init__(self, *, size: int = 20, max_size: int | None = 100, count: Counting = True) -> None:
        self.size, self.max_size = _sizes(size, max_size, "size")
        self.count: Counting = count

    def parameters(self) -> Parameters:
        page = Annotated[int, Query(ge=1, le=_MAX_NUMBER, description="Which page, from 1.")]
        return {"page": (page, 1), **_size_parameter(self.size, self.max_size)}

    def page(self, struct: type[S], source: PageSource, values: QueryValues) -> tuple[Page[S], Changes, Changes]:
        number, size = values["page"], values.get("size", self.size)
        items, total, more = _slice(struct, source, (number - 1) * size, size, self.count)
        pages = UNSET if isinstance(total, UnsetType) else max(1, -(-total // size))
        page = NumberedPage(items=items, page=number, size=size, total=total, pages=pages)
        last = number if isinstance(pages, UnsetType) else pages
        previous = None if number == 1 else {"page": min(number - 1, last)}
        return page, {"page": number + 1} if more else None, previous


@reject_unknown_keywords()
class LimitOffset(Pagination):
    """``?limit=50&offset=100``; ``count`` as in :class:`PageNumber`."""

    envelope = SlicedPage

    def __init__(self, *, limit: int = 20, max_limit: int = 100, count: Counting = True) -> None:
        self.limit, self.max_limit = _sizes(min(limit, max_limit), max_limit, "limit")
        self.count: Counting = count

    def parameters(self) -> Parameters:
        limit = Annotated[int, Query(ge=1, le=self.max_limit, description="How many items there are at most.")]
        offset = Annotated[int, Query(ge=0, le=_MAX_NUMBER, description="How many items are left out before them.")]
        return {"limit": (limit, self.limit), "offset": (offset, 0)}

    def page(self, struct: type[S], source: PageSource, values: QueryValues) -> tuple[Page[S], Changes, Changes]:
        limit, offset = values["limit"], values["offset"]
        items, total, more = _slice(struct, source, offset, limit, self.count)
        page = SlicedPage(items=items, limit=limit, offset=offset, total=total)
        following = {"limit": limit, "offset": offset + limit} if more else None
        return page, following, {"limit": limit, "offset": max(0, offset - limit)} if offset else None


@reject_unknown_keywords()
class Cursor(Pagination):
    """``?cursor=...``: pages that stay where they are while rows come and go, in both directions, at any depth.

    ``ordering`` are columns as in ``order_by`` (the queryset's own order if it is not given); the primary key ends it.
    Cursors are signed, and good for this order of this model alone; any other is 422.
    """

    envelope = CursorPage

    def __init__(self, *, ordering: Sequence[str] | str = (), size: int = 20, max_size: int | None = 100) -> None:
        self.ordering = (ordering,) if isinstance(ordering, str) else tuple(ordering)
        self.size, self.max_size = _sizes(size, max_size, "size")

    def check(self, struct: Any, where: str) -> None:
        plan = read_plan_of(struct)
        with _errors_at(where):
            check_order(plan.model, self.ordering, plan.named)

    def check_order(self, model: type[Model], orders: Sequence[OrderTerm], where: str) -> None:
        with _errors_at(where):
            check_order(model, orders, ())

    def check_rows(self, queryset: Rows, where: str) -> None:
        if not self.ordering:
            with _errors_at(where):
                cursor_order(queryset)

    def arranged(self, queryset: Rows) -> Rows:
        return rearrangeable(queryset).order_by(*self.ordering) if self.ordering else queryset

    def parameters(self) -> Parameters:
        cursor = Query(max_length=2048, description="Where the page begins, from the links of another one.")
        return {"cursor": (Annotated[str | None, cursor], None), **_size_parameter(self.size, self.max_size)}

    def page(self, struct: type[S], source: PageSource, values: QueryValues) -> tuple[Page[S], Changes, Changes]:
        if isinstance(source, list):
            if not source:
                return CursorPage(items=[]), None, None
            raise ConfigurationError("A cursor needs a queryset, not a list.")
        size, text, keyset = values.get("size", self.size), values["cursor"], Keyset(source)
        start = None if text is None else keyset.read(text)
        backwards = start is not None and start.backwards
        found = fetch_with(struct, keyset.after(start)[: size + 1], keyset.paths)
        more, found = len(found) > size, found[:size]
        if backwards:
            found.reverse()
        page = CursorPage(items=[item for item, _ in found])
        # Where everything is gone: back to where the client came from.
        gone = None if start is None else start.values
        first, last = (found[0][1], found[-1][1]) if found else (gone, gone)
        has_next, has_previous = (True, more) if backwards else (more, start is not None)
        following = {"cursor": keyset.cursor(last, backwards=False)} if has_next and last is not None else None
        previous = {"cursor": keyset.cursor(first, backwards=True)} if has_previous and first is not None else None
        return page, following, previous


@contextmanager
def _errors_at(where: str) -> Iterator[None]:
    """Say where it is that a :class:`ConfigurationError` is of."""
    try:
        yield
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error}") from error


def _sizes(size: int, most: M, name: str) -> tuple[int, M]:
    if size < 1 or (most is not None and most < size):
        raise ConfigurationError(f"{name}={size!r} must be 1 or more, and not above max_{name}={most!r}.")
    return size, most


def _size_parameter(size: int, most: int | None) -> Parameters:
    if most is None:
        return {}
    return {"size": (Annotated[int, Query(ge=1, le=most, description="How many items a page has.")], size)}


def _slice(
    struct: type[S], source: PageSource, offset: int, limit: int, count: Counting
) -> tuple[list[S], int | UnsetType, bool]:
    """Return the rows, how many there are in all, and whether there are more behind these."""
    if isinstance(source, list):
        rows = source[offset : offset + limit]
        shown = [from_model(struct, row) if isinstance(row, Model) else cast("S", row) for row in rows]
        return shown, len(source) if count else UNSET, len(source) > offset + limit
    items = fetch(struct, with_total_order(source)[offset : offset + limit + (not count)])
    if not count:
        return items[:limit], UNSET, len(items) > limit
    if len(items) < limit and (items or not offset):
        return items, offset + len(items), False  # the end is in sight, so nobody needs to count
    if count != "estimate":
        total = count_rows(source)
        return items, total, total > offset + limit
    if not items:
        return items, min(_estimate(source), offset), False
    return items, max(_estimate(source), offset + limit), True


def _estimate(queryset: Rows) -> int:
    """Return the number of rows that the planner of PostgreSQL expects; other databases count."""
    if connections[queryset.db].vendor != "postgresql":
        return count_rows(queryset)
    queryset = queryset if queryset.query.is_sliced else queryset.order_by()
    return int(json.loads(queryset.explain(format="json"))[0]["Plan"]["Plan Rows"])
