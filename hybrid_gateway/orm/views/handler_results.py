"""Handlers that answer with rows: what return annotations, ``pagination=`` and ``filters=`` make of a QuerySet.

How this works: when a gateway is built, a handler whose annotation is a :class:`ModelStruct`, or a list of one, is
wrapped in a function that fetches what it returns, on the thread the database is used on. The parameters of pages and
filters are added to its signature, and so are bound, checked and documented like any others.
"""

from __future__ import annotations

import inspect
import typing
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias, cast

import msgspec
from django.db.models import Model
from django.db.models.query import RawQuerySet
from starlette.responses import Response

from hybrid_gateway import http
from hybrid_gateway.binding.marked_types import split_markers
from hybrid_gateway.binding.markers import Depends, Marker, Query
from hybrid_gateway.binding.plan import Input
from hybrid_gateway.binding.signature import NO_DEFAULT, Parameter, Signature, is_async
from hybrid_gateway.binding.validation import unknown
from hybrid_gateway.concurrency.asgiref_bridge import on_request_thread
from hybrid_gateway.exceptions import ConfigurationError, RequestValidationError
from hybrid_gateway.layer_options import Layers
from hybrid_gateway.orm.introspection import is_model_struct, model_of
from hybrid_gateway.orm.lists.filters import FilterSet, client_orders
from hybrid_gateway.orm.lists.page import REQUESTED, Page
from hybrid_gateway.orm.lists.pagination import PageRequest, Pagination, is_pageable, pageable_rows
from hybrid_gateway.orm.model_struct import ModelStruct, check_all
from hybrid_gateway.orm.querysets.querysets import Rows, Source, as_queryset, is_queryable
from hybrid_gateway.orm.read.fetch import stream
from hybrid_gateway.orm.read.read_plan import read_plan_of
from hybrid_gateway.orm.write.transactions import in_transaction
from hybrid_gateway.responses.enc_hook import TypeEncoders, enc_hook, enc_hook_with
from hybrid_gateway.type_info import bare, type_info
from hybrid_gateway.types import Handler

SOURCE_ATTRIBUTE = "__rows__"
"""The attribute of a handler that names what it returns rows of, where that is known before anybody asks."""

# Names of the parameters that are added to a handler's.
_FILTERS, _QUERY, _PATH, _QUERY_STRING = "_filters", "_query", "_path", "_query_string"
_RESPONSE, _ACCEPT, _PAGE_REQUEST = "_response", "_accept", "_page_request"

AnyMarker: TypeAlias = Marker | Depends
Arguments: TypeAlias = Mapping[str, Any]
"""The values of parameters by name, which are of their annotations."""
Convert = Callable[[object, Arguments], object]
"""What a handler returned, and the values of the parameters that were added to it → what is sent."""
UseRows = Callable[[object], object]
Filtered = Callable[[object, Arguments, UseRows], object]
"""What a handler returned, the values of the added parameters, and what is done with the rows that these leave."""
Split = Callable[[dict[str, Any]], Arguments]
"""Takes the values of added parameters out of all of them."""


class AdaptedHandler(msgspec.Struct):
    """A handler as the gateway calls it."""

    handler: Handler
    signature: Signature
    returns: object
    source: Rows | None = None  # what it returns rows of, where that is known before anybody asks
    reads_rows: bool = False
    query_names: set[str] = set()  # of the query parameters, where others are rejected; known once the route is planned
    added_names: list[tuple[str, str]] = []  # query parameters of pages and filters, and what names them
    headers: Mapping[str, object] = {}  # of successful responses, with their schemas

    def end(self, query_names: Iterable[str], inputs: Iterable[Input]) -> None:
        """Take note of the query parameters of a route: everything is planned.

        Raises :class:`ConfigurationError` where one of pages or filters means something else, too.
        """
        self.query_names |= {*query_names}
        named_by: dict[str, list[str]] = defaultdict(list)
        for name, by in self.added_names:
            named_by[name].append(by)
        for entry in inputs:
            if entry.source == "query" and entry.name in named_by:
                named_by[entry.name].append("")
        for name, found in named_by.items():
            owners = [owner for owner in found if owner]
            if found.count("") > len(owners):
                owners.append("a parameter of the handler or of something that it needs")
            if len(owners) > 1:
                raise ConfigurationError(
                    f"{self.signature.where}: the query parameter {name!r} is {' and '.join(owners)}. Give one of them "
                    "another name.",
                    id="L008",
                )


def adapt_handler(
    handler: Handler, signature: Signature, returns: object, layers: Layers, options: Mapping[str, Any]
) -> AdaptedHandler:
    """Return ``handler`` with what its route says about rows and transactions; itself, where that is nothing."""
    where = signature.where
    adapted = AdaptedHandler(handler, signature, returns, source=getattr(handler, SOURCE_ATTRIBUTE, None))
    rows = _Rows.of(returns)
    if layers.atomic:
        adapted.handler = in_transaction(handler, layers.atomic, where)
    if rows is None:
        for name in ("filters", "chunked"):
            if options.get(name):
                raise ConfigurationError(
                    f"{where}: {name}= is for routes that answer with a list of a ModelStruct.", id="L009"
                )
        # `pagination=` around a handler is for lists of rows: it has to ask for pages itself.
        asks = options.get("pagination") is not None or any(entry.info.origin is Page for entry in signature.parameters)
        return _with_pages_of_values(adapted, layers) if asks else adapted
    check_all(final=True)
    read_plan_of(rows.struct)
    adapted.reads_rows = True
    pagination, filters = _pagination_of(layers, signature), options.get("filters")
    if not rows.is_list:
        return _wrap(adapted, rows.one, {})
    if options.get("chunked"):
        return _chunked(adapted, rows, filters, layers.type_encoders)
    more: dict[str, Parameter] = {}
    filtered = _filtered(filters, rows, more, adapted)
    if pagination is None:
        return _wrap(adapted, lambda value, values: filtered(value, values, rows.many), more)
    pagination.check(rows.struct, where)
    source = adapted.source
    if source is not None:
        pagination.check_rows(source, where)
    if filters is not None:
        annotations = () if source is None else tuple(source.query.annotations)
        pagination.check_order(model_of(rows.struct), client_orders(filters), annotations, where)
    return _paginated(adapted, rows, pagination, filtered, more)


def _pagination_of(layers: Layers, signature: Signature) -> Pagination | None:
    """Return the style of a route; raises :class:`ConfigurationError` for what is none, and a Page without one."""
    pagination, where = layers.pagination, signature.where
    if pagination is None:
        if any(entry.info.origin is Page for entry in signature.parameters):
            raise ConfigurationError(
                f"{where} asks for a Page, but there is no pagination= on it or around it.", id="L009"
            )
        return None
    if not isinstance(pagination, Pagination):
        raise ConfigurationError(
            f"{where}: pagination={pagination!r} must be PageNumber(), LimitOffset() or Cursor().", id="L001"
        )
    return pagination


def _with_pages_of_values(adapted: AdaptedHandler, layers: Layers) -> AdaptedHandler:
    """Send a list of anything but a ModelStruct page by page."""
    pagination, where = _pagination_of(layers, adapted.signature), adapted.signature.where
    kind = bare(adapted.returns) if adapted.returns is not NO_DEFAULT else None
    if pagination is None or typing.get_origin(kind) not in (list, Page):
        raise ConfigurationError(
            f"{where}: pagination= is for a handler whose annotation is a list, such as list[Item].", id="L009"
        )
    if not pagination.pages_values:
        raise ConfigurationError(
            f"{where}: a {type(pagination).__name__} pages rows of a ModelStruct. Take PageNumber() or LimitOffset().",
            id="L009",
        )
    rows = _Rows(typing.get_args(kind)[0], is_list=True)
    return _paginated(adapted, rows, pagination, lambda value, values, use: use(value), {})


class _Rows(msgspec.Struct, frozen=True):
    """The rows that a return annotation names."""

    struct: type[ModelStruct]
    is_list: bool

    @staticmethod
    def of(returns: object) -> _Rows | None:
        kind = bare(returns) if returns is not NO_DEFAULT else None
        is_list = typing.get_origin(kind) in (list, Page)
        item = typing.get_args(kind)[0] if is_list else kind
        return _Rows(cast("type[ModelStruct]", bare(item)), is_list) if is_model_struct(item) else None

    def one(self, value: object, values: Arguments) -> object:
        """Return one row of whatever a handler returned."""
        if isinstance(value, Model):
            return self.struct.from_model(value)
        return self.struct.get(value) if is_queryable(value) else value

    def many(self, value: object) -> object:
        """Return all rows of whatever a handler returned."""
        if isinstance(value, RawQuerySet) or is_queryable(value):
            return self.struct.fetch(value)
        if isinstance(value, list) and _has_instances(value):
            return [self.struct.from_model(entry) if isinstance(entry, Model) else entry for entry in value]
        return value


def _wrap(
    adapted: AdaptedHandler, convert: Convert, more: Mapping[str, Parameter], split: Split | None = None
) -> AdaptedHandler:
    """Put ``convert`` behind the handler, on the thread of the database; ``more`` are parameters of the former.

    ``split`` takes those out of what is passed, and adds what the handler itself asks for.
    """
    handler, names = adapted.handler, tuple(more)
    take: Split = split or (lambda values: {name: values.pop(name) for name in names})
    if is_async(handler):

        async def respond_async(**values: object) -> object:
            taken = take(values)
            value = await handler(**values)
            if taken or _reads_database(value):
                return await on_request_thread(convert, value, taken)
            return value

        adapted.handler = respond_async
    else:

        def respond(**values: object) -> object:
            taken = take(values)
            return convert(handler(**values), taken)

        adapted.handler = respond
    parameters = (*adapted.signature.parameters, *more.values())
    adapted.signature = msgspec.structs.replace(adapted.signature, parameters=parameters)
    return adapted


def _reads_database(value: object) -> bool:
    """Return whether a Struct of what a handler has returned may cost a query."""
    if isinstance(value, list):
        return _has_instances(value)
    return isinstance(value, (RawQuerySet, Model)) or is_queryable(value)


def _has_instances(rows: list[object]) -> bool:
    known = None  # PERF: a class of Structs, since a hundred rows are of one class as a rule
    for row in rows:
        if type(row) is not known:
            if isinstance(row, Model):
                return True
            known = type(row) if isinstance(row, msgspec.Struct) else None
    return False


# --- filters -------------------------------------------------------------------------------------------------------


def _filtered(
    filters: type[msgspec.Struct] | None, rows: _Rows, more: dict[str, Parameter], adapted: AdaptedHandler
) -> Filtered:
    if filters is None:
        return lambda value, values, use: use(value)
    chosen = FilterSet(filters, model_of(rows.struct), adapted.source)
    more[_FILTERS] = _parameter(_FILTERS, filters, Query())
    adapted.added_names += [(name, f"a field of filters={filters.__qualname__}") for name in chosen.names]
    if chosen.forbids_unknown:
        more[_QUERY] = _parameter(_QUERY, http.QueryParams)

    def apply(value: object, values: Arguments, use: UseRows) -> object:
        if chosen.forbids_unknown:
            errors = unknown("query", dict.fromkeys(values[_QUERY]), adapted.query_names)
            if errors:
                raise RequestValidationError(errors)
        return chosen.use(value, values[_FILTERS], use) if is_pageable(value) else use(value)

    return apply


def _parameter(
    name: str, annotation: object, marker: AnyMarker | None = None, default: object = NO_DEFAULT
) -> Parameter:
    if marker is None:
        annotation, marker = split_markers(annotation, name, name)
    raw = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY)
    return Parameter(name=name, info=type_info(annotation), marker=marker, default=default, raw=raw)


# --- pages ---------------------------------------------------------------------------------------------------------


def _paginated(
    adapted: AdaptedHandler, rows: _Rows, pagination: Pagination, filtered: Filtered, more: dict[str, Parameter]
) -> AdaptedHandler:
    own = {f"_page_{role}": role for role in pagination.parameters}
    for name, role in own.items():
        entry = pagination.parameters[role]
        kind, marker = split_markers(entry.annotation, entry.name, entry.name)
        assert isinstance(marker, Query)
        marker.alias = entry.name
        more[name] = _parameter(name, kind, marker, entry.default)
        adapted.added_names.append((entry.name, f"{entry.option} of pagination={type(pagination).__name__}()"))
    for name, annotation in ((_PATH, http.Path), (_QUERY_STRING, http.QueryString), (_RESPONSE, Response)):
        more[name] = _parameter(name, annotation)
    added, where = tuple(more), adapted.signature.where
    writer = pagination.writer(rows.struct, where)
    adapted.returns, adapted.headers = writer.returns, writer.headers
    parameters = adapted.signature.parameters
    asked = tuple(entry.name for entry in parameters if entry.info.origin is Page)
    kept = tuple(entry for entry in parameters if entry.name not in asked)
    adapted.signature = msgspec.structs.replace(adapted.signature, parameters=kept)

    def split(values: dict[str, Any]) -> Arguments:
        taken = {name: values.pop(name) for name in added}
        request = PageRequest(
            pagination,
            writer,
            rows.struct,
            {role: taken[name] for name, role in own.items()},
            taken[_PATH],
            taken[_QUERY_STRING],
            taken[_RESPONSE],
            where,
        )
        for name in asked:
            page: Page[object] = Page(items=[])
            setattr(page, REQUESTED, _FilteredPageRequest(request, filtered, taken))
            values[name] = page
        return {**taken, _PAGE_REQUEST: request}

    def convert(value: object, taken: Arguments) -> object:
        if is_pageable(value):
            value = _FilteredPageRequest(taken[_PAGE_REQUEST], filtered, taken).page(value)
        return writer.fill(value) if isinstance(value, Page) else value

    return _wrap(adapted, convert, more, split)


class _FilteredPageRequest(msgspec.Struct):
    """A page of the rows that the client asks for."""

    request: PageRequest
    filtered: Filtered
    taken: Arguments

    def page(self, source: object) -> object:
        rows = pageable_rows(source)
        if not isinstance(rows, list):
            rows = self.request.style.arranged(rows)
        return self.filtered(rows, self.taken, self.request.page)


# --- long lists ----------------------------------------------------------------------------------------------------


def _chunked(
    adapted: AdaptedHandler, rows: _Rows, filters: type[msgspec.Struct] | None, encoders: TypeEncoders
) -> AdaptedHandler:
    hook = enc_hook_with(encoders) if encoders else enc_hook
    more = {_ACCEPT: _parameter(_ACCEPT, http.Headers)}
    filtered = _filtered(filters, rows, more, adapted)

    def convert(value: object, taken: Arguments) -> object:
        if not is_queryable(value):
            return filtered(value, taken, rows.many)

        def send(found: object) -> Response:
            source = cast("Source", found)
            if found is not value:  # filters are tried while there still can be a 422
                as_queryset(source).order_by().exists()
            return stream(rows.struct, source, taken[_ACCEPT].get("accept", ""), hook=hook)

        return filtered(value, taken, send)

    return _wrap(adapted, convert, more)
