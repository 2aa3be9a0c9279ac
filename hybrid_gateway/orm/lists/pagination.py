"""Lists in pages: by number, by limit and offset, by cursor.

How this works: a style says which query parameters a route gets, and what becomes of a queryset and their values: the
rows of one page, and the parameters of its neighbours. Whatever the order of the queryset is, the primary key ends it,
so that no row is on two pages, and none on no page, because it ties with another.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, TypeVar, Unpack, cast
from urllib.parse import parse_qsl, urlencode

import msgspec
from django.db import connections
from django.db.models import Model
from django.db.models.query import RawQuerySet
from msgspec import UNSET, UnsetType
from starlette.responses import Response

from hybrid_gateway.binding.markers import Query
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.introspection import is_model_struct
from hybrid_gateway.orm.lists.cursors import Keyset, check_order, cursor_order
from hybrid_gateway.orm.lists.envelopes import PRESENTATION, PageOptions, PageWriter, Presentation, Relation
from hybrid_gateway.orm.lists.page import CursorPage, NumberedPage, Page, SlicedPage
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

S = TypeVar("S", bound=msgspec.Struct)
M = TypeVar("M", int, int | None)

_MAX_NUMBER = 2**31 - 1  # more rows than anybody pages through; what databases take as an offset is far above it

Counting = bool | Literal["estimate"]
PageSource: TypeAlias = "Rows | list[object]"
"""Rows to be paged: a queryset, or a list where they are there already."""
QueryValues: TypeAlias = Mapping[str, Any]
"""The values of the parameters of a style by what they are for, which are of their annotations."""


class PageParameter(msgspec.Struct, frozen=True):
    """A query parameter of a style: what clients call it, and the option that says so."""

    name: str
    option: str
    annotation: object
    default: object


Parameters: TypeAlias = dict[str, PageParameter]
"""The query parameters of a style by what they are for: ``page``, ``size`` …"""
Changes = Mapping[str, object] | None
"""The parameters of a neighbour, of which ``None`` is left out; ``None``: there is no such page."""
Neighbours: TypeAlias = "Mapping[Relation, Changes]"


class PageRequest(msgspec.Struct, frozen=True):
    """The page that one request asks for."""

    style: Pagination
    writer: PageWriter
    struct: type[msgspec.Struct]
    values: QueryValues
    path: str
    query: str
    response: Response
    where: str = ""

    def page(self, source: object) -> Page[msgspec.Struct]:
        """Return the page, and set its headers."""
        try:
            page, neighbours = self.style.page(self.struct, pageable_rows(source), self.values)
        except ConfigurationError as error:
            raise error.within(self.where) from error
        urls: dict[Relation, str | None] = {
            relation: self._url(neighbours.get(relation)) for relation in self.writer.relations
        }
        page.next, page.previous = urls["next"], urls["prev"]
        vars(page).update(first=urls.get("first"), last=urls.get("last"))
        self.writer.add_headers(page, urls, self.response)
        return page

    def _url(self, changes: Changes) -> str | None:
        if changes is None:
            return None
        names = self.style.names
        changed = {names[role]: value for role, value in changes.items()}
        pairs = [pair for pair in parse_qsl(self.query, keep_blank_values=True) if pair[0] not in changed]
        pairs += [(name, str(value)) for name, value in changed.items() if value is not None]
        return f"{quote_path(self.path)}?{urlencode(pairs)}" if pairs else quote_path(self.path)


def is_pageable(value: object) -> bool:
    """Return whether what a handler returned is rows, and not an answer of its own."""
    return isinstance(value, (list, tuple, RawQuerySet)) or is_queryable(value)


def pageable_rows(source: object) -> PageSource:
    """Return rows to be paged of what a handler has returned."""
    return list(source) if isinstance(source, (list, tuple, RawQuerySet)) else as_queryset(cast("Source", source))


class Pagination:
    """A style of pages, as a route uses it."""

    page_class: ClassVar[type[Page[Any]]]
    pages_values: ClassVar[bool] = True  # lists of anything, not of rows alone

    def __init__(self, parameters: Parameters, options: PageOptions) -> None:
        self.parameters = _checked(parameters, type(self).__name__)
        self.names: Mapping[str, str] = {role: entry.name for role, entry in parameters.items()}
        self._options = options

    def writer(self, struct: type[msgspec.Struct], where: str) -> PageWriter:
        """Return how pages of ``struct`` are sent; raises :class:`ConfigurationError` for an unfit envelope."""
        with _errors_at(where):
            return self._options.plan(self.page_class, struct)

    def check(self, struct: type[msgspec.Struct], where: str) -> None:
        """Raise :class:`ConfigurationError` for what cannot be a list of ``struct``."""

    def check_order(
        self, model: type[Model], orders: Sequence[OrderTerm], annotations: Sequence[str], where: str
    ) -> None:
        """Raise :class:`ConfigurationError` for what clients may order a list of ``model`` by, if this style cannot.

        ``annotations`` are left to the queryset.
        """

    def check_rows(self, queryset: Rows, where: str) -> None:
        """Raise :class:`ConfigurationError` for the order of a queryset, if this style cannot page it."""

    def arranged(self, queryset: Rows) -> Rows:
        """Return the queryset as this style orders it, before a client does."""
        return queryset

    def page(self, struct: type[S], source: PageSource, values: QueryValues) -> tuple[Page[S], Neighbours]:
        """Return the page, and the parameters of its neighbours."""
        raise NotImplementedError


@reject_unknown_keywords(*PRESENTATION)
class PageNumber(Pagination):
    """``?page=3&size=50``, by the names ``page_param`` and ``size_param``.

    Without ``max_size`` clients cannot choose the size. ``count=False`` spares the query for ``total`` and ``pages``;
    ``"estimate"`` takes PostgreSQL's planner at its word. :class:`~.envelopes.Presentation` says how a page is sent.
    """

    page_class = NumberedPage

    def __init__(
        self,
        *,
        size: int = 20,
        max_size: int | None = 100,
        count: Counting = True,
        page_param: str = "page",
        size_param: str = "size",
        **presentation: Unpack[Presentation],
    ) -> None:
        self.size, self.max_size = _sizes(size, max_size, "size")
        self.count: Counting = count
        page = Annotated[int, Query(ge=1, le=_MAX_NUMBER, description="Which page, from 1.")]
        parameters = {"page": PageParameter(page_param, "page_param", page, 1)}
        options = PageOptions.of(presentation, "PageNumber", last=count is True, counts=bool(count))
        super().__init__({**parameters, **_size_parameter(size_param, self.size, self.max_size)}, options)

    def page(self, struct: type[S], source: PageSource, values: QueryValues) -> tuple[Page[S], Neighbours]:
        number, size = values["page"], values.get("size", self.size)
        items, total, more = _slice(struct, source, (number - 1) * size, size, self.count)
        pages = UNSET if isinstance(total, UnsetType) else max(1, -(-total // size))
        page = NumberedPage(items=items, page=number, size=size, total=total, pages=pages)
        last = number if isinstance(pages, UnsetType) else pages
        return page, {
            "first": {"page": 1},
            "prev": None if number == 1 else {"page": min(number - 1, last)},
            "next": {"page": number + 1} if more else None,
            "last": {"page": last},
        }


@reject_unknown_keywords(*PRESENTATION)
class LimitOffset(Pagination):
    """``?limit=50&offset=100``, by the names ``limit_param`` and ``offset_param``; the rest is as in
    :class:`PageNumber`.
    """

    page_class = SlicedPage

    def __init__(
        self,
        *,
        limit: int = 20,
        max_limit: int = 100,
        count: Counting = True,
        limit_param: str = "limit",
        offset_param: str = "offset",
        **presentation: Unpack[Presentation],
    ) -> None:
        self.limit, self.max_limit = _sizes(min(limit, max_limit), max_limit, "limit")
        self.count: Counting = count
        most = Annotated[int, Query(ge=1, le=max_limit, description="How many items there are at most.")]
        start = Annotated[int, Query(ge=0, le=_MAX_NUMBER, description="How many items are left out before them.")]
        parameters = {
            "limit": PageParameter(limit_param, "limit_param", most, self.limit),
            "offset": PageParameter(offset_param, "offset_param", start, 0),
        }
        super().__init__(
            parameters, PageOptions.of(presentation, "LimitOffset", last=count is True, counts=bool(count))
        )

    def page(self, struct: type[S], source: PageSource, values: QueryValues) -> tuple[Page[S], Neighbours]:
        limit, offset = values["limit"], values["offset"]
        items, total, more = _slice(struct, source, offset, limit, self.count)
        page = SlicedPage(items=items, limit=limit, offset=offset, total=total)

        def at(start: int) -> Changes:
            return {"limit": limit, "offset": start}

        return page, {
            "first": at(0),
            "prev": at(max(0, offset - limit)) if offset else None,
            "next": at(offset + limit) if more else None,
            "last": None if isinstance(total, UnsetType) else at(_last_offset(offset, limit, total)),
        }


def _last_offset(offset: int, limit: int, total: int) -> int:
    """Return where the last page begins, of those that the ones before and after ``offset`` are."""
    start = offset % limit
    return start + (total - 1 - start) // limit * limit if total > start else 0


@reject_unknown_keywords(*PRESENTATION)
class Cursor(Pagination):
    """``?cursor=...``: pages that stay where they are while rows come and go, in both directions, at any depth.

    ``ordering`` are columns as in ``order_by`` (the queryset's own order if it is not given); the primary key ends it.
    Cursors are signed, and good for this order of this model alone; any other is 422. ``cursor_param`` and
    ``size_param`` name the parameters.
    """

    page_class = CursorPage
    pages_values = False

    def __init__(
        self,
        *,
        ordering: Sequence[str] | str = (),
        size: int = 20,
        max_size: int | None = 100,
        cursor_param: str = "cursor",
        size_param: str = "size",
        **presentation: Unpack[Presentation],
    ) -> None:
        self.ordering = (ordering,) if isinstance(ordering, str) else tuple(ordering)
        self.size, self.max_size = _sizes(size, max_size, "size")
        cursor = Query(max_length=2048, description="Where the page begins, from the links of another one.")
        parameters = {"cursor": PageParameter(cursor_param, "cursor_param", Annotated[str | None, cursor], None)}
        options = PageOptions.of(presentation, "Cursor", last=False, counts=False)
        super().__init__({**parameters, **_size_parameter(size_param, self.size, self.max_size)}, options)

    def check(self, struct: Any, where: str) -> None:
        plan = read_plan_of(struct)
        with _errors_at(where):
            check_order(plan.model, self.ordering, plan.named)

    def check_order(
        self, model: type[Model], orders: Sequence[OrderTerm], annotations: Sequence[str], where: str
    ) -> None:
        with _errors_at(where):
            check_order(model, orders, annotations)

    def check_rows(self, queryset: Rows, where: str) -> None:
        if not self.ordering:
            with _errors_at(where):
                cursor_order(queryset)

    def arranged(self, queryset: Rows) -> Rows:
        return rearrangeable(queryset).order_by(*self.ordering) if self.ordering else queryset

    def page(self, struct: type[S], source: PageSource, values: QueryValues) -> tuple[Page[S], Neighbours]:
        if isinstance(source, list):
            if not source:
                return CursorPage(items=[]), {"first": {"cursor": None}}
            raise ConfigurationError("A cursor needs a queryset, not a list.", id="L003")
        size, text, keyset = values.get("size", self.size), values["cursor"], Keyset(source)
        start = None if text is None else keyset.read(text, self.names["cursor"])
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
        return page, {
            "first": {"cursor": None},
            "prev": {"cursor": keyset.cursor(first, backwards=True)} if has_previous and first is not None else None,
            "next": {"cursor": keyset.cursor(last, backwards=False)} if has_next and last is not None else None,
        }


# --- names and numbers ---------------------------------------------------------------------------------------------


def _checked(parameters: Parameters, style: str) -> Parameters:
    """Return parameters whose names can be those of a query; raises :class:`ConfigurationError` for others."""
    taken: dict[str, str] = {}
    for entry in parameters.values():
        name: object = entry.name
        if not isinstance(name, str) or _QUERY_NAME.fullmatch(name) is None:
            raise ConfigurationError(
                f"{style}({entry.option}={name!r}) must be the name of a query parameter, without blanks and &=#+%;.",
                id="L001",
            )
        if name in taken:
            message = f"{style}({entry.option}={name!r}) is the name of {taken[name]} already."
            raise ConfigurationError(message, id="L001")
        taken[name] = entry.option
    return parameters


_QUERY_NAME = re.compile(r"[^\s&=#+%;\x00-\x1f\x7f]+")


@contextmanager
def _errors_at(where: str) -> Iterator[None]:
    """Say where it is that a :class:`ConfigurationError` is of."""
    try:
        yield
    except ConfigurationError as error:
        raise error.within(where) from error


def _sizes(size: int, most: M, name: str) -> tuple[int, M]:
    if size < 1 or (most is not None and most < size):
        raise ConfigurationError(f"{name}={size!r} must be 1 or more, and not above max_{name}={most!r}.", id="L001")
    return size, most


def _size_parameter(name: str, size: int, most: int | None) -> Parameters:
    if most is not None:
        annotation = Annotated[int, Query(ge=1, le=most, description="How many items a page has.")]
        return {"size": PageParameter(name, "size_param", annotation, size)}
    if name != "size":
        raise ConfigurationError(
            f"size_param={name!r} names what clients cannot choose: give a max_size as well.", id="L001"
        )
    return {}


def _slice(
    struct: type[S], source: PageSource, offset: int, limit: int, count: Counting
) -> tuple[list[S], int | UnsetType, bool]:
    """Return the rows, how many there are in all, and whether there are more behind these."""
    if isinstance(source, list):
        rows = source[offset : offset + limit]
        shown = [from_model(struct, row) if isinstance(row, Model) else cast("S", row) for row in rows]
        return shown, len(source) if count else UNSET, len(source) > offset + limit
    found = with_total_order(source)[offset : offset + limit + (not count)]
    items = fetch(struct, found) if is_model_struct(struct) else cast("list[S]", list(found))
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
