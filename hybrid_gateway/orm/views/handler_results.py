"""Handlers that answer with rows: what return annotations, ``pagination=`` and ``filters=`` make of a QuerySet.

How this works: when a gateway is built, a handler whose annotation is a :class:`ModelStruct`, or a list of one, is
wrapped in a function that fetches what it returns, on the thread the database is used on. The parameters of pages and
filters are added to its signature, and so are bound, checked and documented like any others.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from asgiref.sync import sync_to_async
from django.db.models import Manager, Model, QuerySet
from django.db.models.query import RawQuerySet
from starlette.responses import Response

from hybrid_gateway import http
from hybrid_gateway.binding.markers import Query
from hybrid_gateway.binding.signature import NO_DEFAULT, Parameter, Signature, is_async, split_markers
from hybrid_gateway.binding.validation import unknown
from hybrid_gateway.exceptions import ConfigurationError, RequestValidationError
from hybrid_gateway.layer_options import Layers
from hybrid_gateway.orm.columns.annotation_types import bare
from hybrid_gateway.orm.introspection import is_model_struct
from hybrid_gateway.orm.lists.filters import FilterSet, client_orders
from hybrid_gateway.orm.lists.pagination import REQUESTED, Page, PageRequest, Pagination, is_pageable, pageable_rows
from hybrid_gateway.orm.model_struct import check_all
from hybrid_gateway.orm.querysets.queryset_source import as_queryset, is_queryable
from hybrid_gateway.orm.read.plan_builder import read_plan_of
from hybrid_gateway.orm.read.row_streams import stream
from hybrid_gateway.orm.write.transactions import in_transaction
from hybrid_gateway.responses.enc_hook import enc_hook, enc_hook_with
from hybrid_gateway.type_info import type_info

__all__ = ["AdaptedHandler", "adapt_handler"]

_LAZY = (QuerySet, RawQuerySet, Manager, Model)


class AdaptedHandler(msgspec.Struct):
    """A handler as the gateway calls it."""

    handler: Any
    signature: Signature
    returns: Any
    reads_rows: bool = False
    query_names: set[str] = set()  # of the query parameters, where others are refused; known once the route is planned


def adapt_handler(
    handler: Any, signature: Signature, returns: Any, layers: Layers, options: Mapping[str, Any]
) -> AdaptedHandler:
    """``handler`` with what its route says about rows and transactions; itself, where that is nothing."""
    where = signature.where
    adapted = AdaptedHandler(handler, signature, returns)
    rows = _Rows.of(returns)
    wants_page = any(entry.info.origin is Page for entry in signature.parameters)
    if layers.atomic:
        adapted.handler = in_transaction(handler, layers.atomic, where)
    if rows is None:
        for name in ("filters", "chunked"):
            if options.get(name):
                raise ConfigurationError(f"{where}: {name}= is for routes that answer with a list of a ModelStruct.")
        return adapted
    check_all(final=True)
    read_plan_of(rows.struct)
    adapted.reads_rows = True
    pagination, filters = layers.pagination, options.get("filters")
    if pagination is not None and not isinstance(pagination, Pagination):
        raise ConfigurationError(f"{where}: pagination={pagination!r} must be PageNumber(), LimitOffset() or Cursor().")
    if wants_page and pagination is None:
        raise ConfigurationError(f"{where} asks for a Page, but there is no pagination= on it or around it.")
    if not rows.is_list:
        return _wrap(adapted, rows.one, {})
    if options.get("chunked"):
        return _chunked(adapted, rows, filters, layers.type_encoders)
    more: dict[str, Parameter] = {}
    filtered = _filtered(filters, rows, more, adapted)
    if pagination is None:
        return _wrap(adapted, lambda value, values: filtered(value, values, rows.many), more)
    pagination.check(rows.struct, where)
    if (source := getattr(handler, "__rows__", None)) is not None:
        pagination.check_rows(as_queryset(source), where)
    if filters is not None:
        pagination.check_order(rows.struct.__model__, client_orders(filters), where)
    adapted.returns = pagination.envelope[rows.struct]
    return _paginated(adapted, rows, pagination, filtered, more)


class _Rows(msgspec.Struct, frozen=True):
    """What a return annotation says about rows."""

    struct: Any
    is_list: bool

    @staticmethod
    def of(returns: Any) -> _Rows | None:
        kind = bare(returns) if returns is not NO_DEFAULT else None
        if is_model_struct(kind):
            return _Rows(kind, False)
        arguments = typing.get_args(kind)
        if (typing.get_origin(kind) in (list, Page)) and is_model_struct(arguments[0]):
            return _Rows(bare(arguments[0]), True)
        return None

    def one(self, value: Any, values: Mapping[str, Any]) -> Any:
        """One row of whatever a handler returned."""
        if isinstance(value, Model):
            return self.struct.from_model(value)
        return self.struct.get(value) if is_queryable(value) else value

    def many(self, value: Any) -> Any:
        """All rows of whatever a handler returned."""
        if isinstance(value, RawQuerySet) or is_queryable(value):
            return self.struct.fetch(value)
        if isinstance(value, list) and any(isinstance(entry, Model) for entry in value):
            return [self.struct.from_model(entry) if isinstance(entry, Model) else entry for entry in value]
        return value


Convert = Callable[[Any, Mapping[str, Any]], Any]
"""What a handler returned, and the values of the parameters that were added to it → what is sent."""


def _wrap(
    adapted: AdaptedHandler,
    convert: Convert,
    more: Mapping[str, Parameter],
    give: Callable[[dict[str, Any]], Any] | None = None,
) -> AdaptedHandler:
    """The handler, followed by ``convert`` on the thread of the database; ``more`` are parameters of the latter.

    ``give`` takes those out of what is passed, and adds what the handler itself asks for.
    """
    handler, names = adapted.handler, tuple(more)
    take = give or (lambda values: {name: values.pop(name) for name in names})
    if is_async(handler):

        async def respond_async(**values: Any) -> Any:
            taken = take(values)
            value = await handler(**values)
            if isinstance(value, _LAZY) or taken or _has_models(value) or is_queryable(value):
                return await sync_to_async(convert)(value, taken)
            return value

        adapted.handler = respond_async
    else:

        def respond(**values: Any) -> Any:
            taken = take(values)
            return convert(handler(**values), taken)

        adapted.handler = respond
    parameters = (*adapted.signature.parameters, *more.values())
    adapted.signature = msgspec.structs.replace(adapted.signature, parameters=parameters)
    return adapted


def _has_models(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(entry, Model) for entry in value)


# --- filters -------------------------------------------------------------------------------------------------------


Filtered = Callable[[Any, Mapping[str, Any], Callable[[Any], Any]], Any]
"""What a handler returned, the values of the added parameters, and what is done with the rows that these leave."""


def _filtered(filters: Any, rows: _Rows, more: dict[str, Parameter], adapted: AdaptedHandler) -> Filtered:
    if filters is None:
        return lambda value, values, use: use(value)
    chosen = FilterSet(filters, rows.struct.__model__)
    more["_filters"] = _parameter("_filters", filters, Query())
    if chosen.forbids_unknown:
        more["_query"] = _parameter("_query", http.QueryParams)

    def apply(value: Any, values: Mapping[str, Any], use: Callable[[Any], Any]) -> Any:
        if chosen.forbids_unknown:
            _refuse_unknown(values["_query"], adapted.query_names)
        return chosen.use(value, values["_filters"], use) if is_pageable(value) else use(value)

    return apply


def _refuse_unknown(query: Any, known: set[str]) -> None:
    errors = unknown("query", dict.fromkeys(query), known)
    if errors:
        raise RequestValidationError(errors)


def _parameter(name: str, annotation: Any, marker: Any = None, default: Any = NO_DEFAULT) -> Parameter:
    if marker is None:
        annotation, marker = split_markers(annotation, name, name)
    raw = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY)
    return Parameter(name=name, info=type_info(annotation), marker=marker, default=default, raw=raw)


# --- pages ---------------------------------------------------------------------------------------------------------


def _paginated(
    adapted: AdaptedHandler,
    rows: _Rows,
    pagination: Pagination,
    filtered: Filtered,
    more: dict[str, Parameter],
) -> AdaptedHandler:
    own = {f"_page_{name}": name for name in pagination.parameters()}
    for (name, wire), (annotation, default) in zip(own.items(), pagination.parameters().values(), strict=True):
        kind, marker = split_markers(annotation, wire, wire)
        assert isinstance(marker, Query)
        marker.alias = wire
        more[name] = _parameter(name, kind, marker, default)
    more |= {
        "_path": _parameter("_path", http.Path),
        "_query_string": _parameter("_query_string", http.QueryString),
        "_response": _parameter("_response", Response),
    }
    added, where = tuple(more), adapted.signature.where
    asked = [entry for entry in adapted.signature.parameters if entry.info.origin is Page]
    kept = tuple(entry for entry in adapted.signature.parameters if entry not in asked)
    adapted.signature = msgspec.structs.replace(adapted.signature, parameters=kept)

    def give(values: dict[str, Any]) -> dict[str, Any]:
        taken = {name: values.pop(name) for name in added}
        chosen = {wire: taken[name] for name, wire in own.items()}
        turn = PageRequest(
            pagination, rows.struct, chosen, taken["_path"], taken["_query_string"], taken["_response"], where
        )
        for entry in asked:
            page: Page[Any] = Page(items=[])
            setattr(page, REQUESTED, _FilteredTurn(turn, filtered, taken))
            values[entry.name] = page
        return {**taken, "turn": turn}

    def convert(value: Any, taken: Mapping[str, Any]) -> Any:
        if not is_pageable(value):
            return value
        return _FilteredTurn(taken["turn"], filtered, taken).page(value)

    return _wrap(adapted, convert, more, give)


class _FilteredTurn:
    """A turn of the rows that the client asks for."""

    def __init__(self, turn: PageRequest, filtered: Filtered, taken: Mapping[str, Any]) -> None:
        self._turn = turn
        self._filtered = filtered
        self._taken = taken

    def page(self, source: Any) -> Any:
        source = pageable_rows(source)
        if not isinstance(source, list):
            source = self._turn.style.arranged(source)
        return self._filtered(source, self._taken, self._turn.page)


# --- long lists ----------------------------------------------------------------------------------------------------


def _chunked(
    adapted: AdaptedHandler, rows: _Rows, filters: Any, encoders: Mapping[Any, Callable[[Any], Any]]
) -> AdaptedHandler:
    hook = enc_hook_with(encoders) if encoders else enc_hook
    more: dict[str, Parameter] = {"_accept": _parameter("_accept", http.Headers)}
    filtered = _filtered(filters, rows, more, adapted)

    def convert(value: Any, taken: Mapping[str, Any]) -> Any:
        if not is_queryable(value):
            return filtered(value, taken, rows.many)

        def send(found: Any) -> Any:
            if found is not value:  # filters are tried while there still can be a 422
                found.order_by().exists()
            return stream(rows.struct, found, taken["_accept"].get("accept", ""), hook=hook)

        return filtered(value, taken, send)

    return _wrap(adapted, convert, more)
