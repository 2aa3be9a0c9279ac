"""Query parameters that narrow and order a list: a Struct whose fields say which lookups they are.

How this works: every lookup, search and order is written down in the class, and tried on the model when the gateway is
built. A client chooses among them and sends values; no word of its own becomes a lookup or an order.
"""

from __future__ import annotations

import enum
import functools
import operator
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence, Sized
from typing import Any, Literal, TypeAlias, TypeVar

import msgspec
from django.apps import apps
from django.core.exceptions import FieldError
from django.db import DataError, connections
from django.db.models import Model, Q
from django.db.models.sql import Query
from msgspec import UNSET

from hybrid_gateway._compat.django_orm_internals import is_too_many_parameters
from hybrid_gateway.exceptions import ConfigurationError, ErrorEntry, RequestValidationError, error_entry, located
from hybrid_gateway.orm.columns.value_limits import limit_violation
from hybrid_gateway.orm.lists.filter_values import (
    VALUE_ERRORS,
    ValueCheck,
    can_retry_in_parts,
    client_message,
    compared_type,
    lookup_check,
)
from hybrid_gateway.orm.query_cache.query_parameters import Parameter
from hybrid_gateway.orm.querysets.lookup_paths import condition_filter, crosses_to_many
from hybrid_gateway.orm.querysets.querysets import OrderTerm, Rows, as_queryset, is_queryable, rearrangeable, term_name
from hybrid_gateway.type_info import bare, resolve_class_aliases

R = TypeVar("R")

_TAKE_LISTS = ("__in", "__range", "__contains", "__contained_by", "__overlap", "__has_keys", "__has_any_keys")
_MAX_SEARCH_CHARACTERS = 500
_MAX_SEARCH_WORDS = 20  # each is a condition per column
_SEARCH_WORD = re.compile(r'"([^"]*)"|([^\s,]+)')
_SEARCH_PREFIXES = {"^": "istartswith", "=": "iexact", "@": "search", "$": "iregex"}


class Lookup:
    """The lookup of a filter field, where its name is not one: ``Annotated[str | None, Lookup("name__icontains")]``.

    ``exclude=True`` leaves out what it finds.
    """

    def __init__(self, path: str, *, exclude: bool = False) -> None:
        self.path = path
        self.exclude = exclude


class Search:
    """A text that is looked for in several columns: each of its words in any of them, whatever the case.

    Words stand between blanks or commas; several in double quotes are one. A column may begin with how it is compared,
    as in Django REST framework: ``^`` starts with, ``=`` is, ``$`` matches the regular expression, ``@`` is found by
    PostgreSQL's full-text search.
    """

    def __init__(self, *paths: str) -> None:
        if not paths:
            raise ConfigurationError("Search() names the columns in which to look.", id="L005")
        self.paths = paths


class Ordering:
    """An order that the client chooses: ``Annotated[Literal["name", "-price"], Ordering()] = "name"``.

    The words of the ``Literal`` (or of a list of it) are what ``order_by`` takes, or are translated by ``names``:
    ``Ordering(newest="-created_at")``, ``Ordering(best=F("rating").desc(nulls_last=True))``.
    """

    def __init__(self, **names: OrderTerm) -> None:
        self.names: Mapping[str, OrderTerm] = names


FilterType: TypeAlias = type[msgspec.Struct]
Marker = Lookup | Search | Ordering
Apply = Callable[[Rows, Any], Rows]
"""A queryset and the value of a field → the queryset."""


class _Filter(msgspec.Struct, frozen=True):
    name: str
    wire: str
    apply: Apply
    check: ValueCheck | None = None
    has_enums: bool = False

    def error(self, message: str) -> ErrorEntry:
        return error_entry(("query", self.wire), message)


class FilterSet:
    """The filters of one route: a Struct, checked against a model."""

    def __init__(self, struct: FilterType, model: type[Model], rows: Rows | None = None) -> None:
        """Raise :class:`ConfigurationError` for what ``rows`` do not have, which are all rows by default."""
        _check_struct(struct)
        rows = model._default_manager.all() if rows is None else rows
        self.forbids_unknown = bool(struct.__struct_config__.forbid_unknown_fields)
        self._model = model
        self._fields: list[_Filter] = []
        ordered: list[_Filter] = []
        for field in msgspec.structs.fields(struct):
            where = f"{struct.__qualname__}.{field.name}"
            if field.required:
                raise ConfigurationError(
                    f"{where} has no default: a filter may be left out, so write `= None`.", id="L004"
                )
            marker = _marker(field.type)
            with located(struct):
                apply, check = _apply(field, marker, rows, where)
            entry = _Filter(field.name, field.encode_name, apply, check, _has_enums(field.type))
            (ordered if isinstance(marker, Ordering) else self._fields).append(entry)
        self._fields += ordered

    @property
    def names(self) -> list[str]:
        """The query parameters."""
        return [entry.wire for entry in self._fields]

    def use(self, source: object, values: msgspec.Struct, use: Callable[[object], R]) -> R:
        """Call ``use`` with the rows of ``source`` that a client asks for, in the order it asks for.

        Values that the columns, or the database, cannot be compared with are 422, each at its place.
        """
        given = self._given(values)
        if not given:
            return use(source)
        if not is_queryable(source):
            raise TypeError(f"filters= narrow a QuerySet, not {type(source).__name__}: nothing of it was sent.")
        queryset = self._narrowed(rearrangeable(as_queryset(source)), given)
        try:
            return use(queryset)
        except VALUE_ERRORS as error:
            faults = self._errors(given, error, queryset.db)
            if not faults:
                raise
            raise RequestValidationError(faults) from error

    def _given(self, values: msgspec.Struct) -> list[tuple[_Filter, object]]:
        given = []
        for entry in self._fields:
            value = getattr(values, entry.name)
            if value is not None and value is not UNSET:
                given.append((entry, _without_enums(value) if entry.has_enums else value))
        return given

    def _narrowed(self, queryset: Rows, given: Sequence[tuple[_Filter, object]]) -> Rows:
        faults = []
        for entry, value in given:
            message = limit_violation(value) or (entry.check and entry.check(value, queryset.db))
            if message is None:
                try:
                    queryset = entry.apply(queryset, value)
                except VALUE_ERRORS as error:
                    message = client_message(error)
            if message is not None:
                faults.append(entry.error(message))
        if faults:
            raise RequestValidationError(faults)
        return queryset

    def _errors(self, given: Sequence[tuple[_Filter, object]], error: Exception, using: str) -> list[ErrorEntry]:
        """Return the errors of the filters whose values the query has failed for; none, where it was something else."""
        if is_too_many_parameters(error):
            longest, _ = max(given, key=lambda entry: len(entry[1]) if isinstance(entry[1], Sized) else 0)
            return [longest.error("More values than the database takes")]
        rows = self._model._base_manager.using(using).order_by()
        if not can_retry_in_parts(error, rows):
            is_sole = len(given) == 1 and isinstance(error, DataError)
            return [given[0][0].error(client_message(error))] if is_sole else []
        faults = []
        for entry, value in given:
            try:
                entry.apply(rows, value).count()
            except VALUE_ERRORS as found:
                faults.append(entry.error(client_message(found)))
        if not faults and isinstance(error, DataError):  # none of them is to blame alone
            faults = [error_entry(("query",), client_message(error))]
        return faults


def client_orders(struct: FilterType) -> list[OrderTerm]:
    """Return what clients may order by, as ``order_by`` takes it."""
    _check_struct(struct)
    found: list[OrderTerm] = []
    for field in msgspec.structs.fields(struct):
        marker = _marker(field.type)
        if isinstance(marker, Ordering):
            found += [marker.names.get(word, word) for word in _literal_words(bare(field.type))]
    return found


def _check_struct(struct: FilterType) -> None:
    if not (isinstance(struct, type) and issubclass(struct, msgspec.Struct)):
        raise ConfigurationError(f"filters={struct!r} must be a Struct.", id="L004")
    resolve_class_aliases(struct)


def _marker(annotation: object) -> Marker | None:
    for extra in getattr(annotation, "__metadata__", ()):
        if isinstance(extra, (Lookup, Search, Ordering)):
            return extra
    members = typing.get_args(annotation) if typing.get_origin(annotation) in (typing.Union, types.UnionType) else ()
    return next((found for found in map(_marker, members) if found is not None), None)


def _has_enums(annotation: object) -> bool:
    inner = typing.get_args(annotation)
    return any(map(_has_enums, inner)) if inner else isinstance(annotation, type) and issubclass(annotation, enum.Enum)


def _without_enums(value: object) -> object:
    if isinstance(value, (list, tuple, set, frozenset)):
        return type(value)(map(_without_enums, value))
    return value.value if isinstance(value, enum.Enum) else value


def _apply(
    field: msgspec.structs.FieldInfo, marker: Marker | None, rows: Rows, where: str
) -> tuple[Apply, ValueCheck | None]:
    if isinstance(marker, Search):
        return _search(marker, rows, where)
    if isinstance(marker, Ordering):
        return _order(marker, bare(field.type), rows, where), None
    marker = marker or Lookup(field.name)
    path = marker.path
    if typing.get_origin(bare(field.type)) is list and not path.endswith(_TAKE_LISTS):
        path = f"{path}__in"
    check = lookup_check(_try(rows, Q(**{path: Parameter(field.name, {})}), where), bare(field.type), where)
    if marker.exclude:
        return lambda queryset, value: queryset.exclude(**{path: value}), check
    narrow = condition_filter(rows.model, [path])
    return lambda queryset, value: narrow(queryset, Q(**{path: value})), check


def parameter_type(path: str, rows: Rows, where: str) -> object:
    """Return the type of what clients send for a lookup; raises :class:`ConfigurationError` for one that is none."""
    return compared_type(_try(rows, Q(**{path: Parameter("value", {})}), where), where)


def _search(marker: Search, rows: Rows, where: str) -> tuple[Apply, ValueCheck | None]:
    paths, patterns = [], []
    for entry in marker.paths:
        lookup = _SEARCH_PREFIXES.get(entry[:1])
        path = entry if lookup is None else f"{entry[1:]}__{lookup}"
        if lookup == "search" and connections[rows.db].vendor != "postgresql":
            raise ConfigurationError(
                f"{where}: {entry!r} is a full-text search of PostgreSQL, which the database {rows.db!r} is not. "
                f"Search {entry[1:]!r} without a prefix.",
                id="L005",
            )
        if lookup == "search" and not apps.is_installed("django.contrib.postgres"):
            raise ConfigurationError(
                f"{where}: {entry!r} needs 'django.contrib.postgres' in INSTALLED_APPS.", id="S010"
            )
        if lookup is None and "__icontains" not in path:
            path = f"{path}__icontains"
        query = _try(rows, Q(**{path: Parameter("text", {})}), where)
        if lookup == "iregex" and (check := lookup_check(query, str, where)) is not None:
            patterns.append(check)
        paths.append(path)
    narrow = condition_filter(rows.model, paths)

    def search(queryset: Rows, value: str) -> Rows:
        for word in _search_words(value):
            queryset = narrow(queryset, functools.reduce(operator.or_, [Q(**{path: word}) for path in paths]))
        return queryset

    def check_patterns(value: str, using: str) -> str | None:
        found = (check(word, using) for word in _search_words(value) for check in patterns[:1])
        return next((message for message in found if message is not None), None)

    return search, check_patterns if patterns else None


def _search_words(text: str) -> list[str]:
    # SECURITY: however much is sent, a row is not compared with more than this.
    words = (quoted or plain for quoted, plain in _SEARCH_WORD.findall(text[:_MAX_SEARCH_CHARACTERS]))
    return [word for word in words if word][:_MAX_SEARCH_WORDS]


def _order(marker: Ordering, kind: object, rows: Rows, where: str) -> Apply:
    many, words = typing.get_origin(kind) is list, _literal_words(kind)
    if not words:
        raise ConfigurationError(f'{where} must list what clients may order by: Literal["name", "-price"].', id="L006")
    names: Mapping[str, OrderTerm] = {word: marker.names.get(word, word) for word in words}
    for name in names.values():
        try:
            rearrangeable(rows).order_by(name)
        except FieldError as error:
            raise ConfigurationError(f"{where} cannot be ordered by: {error}", id="L006") from error
        column = term_name(name)
        if column is not None and crosses_to_many(rows.model, column):
            raise ConfigurationError(
                f"{where} cannot be ordered by: {name!r} leads to many rows, so that rows would come more than once. "
                "Order by an annotation of the queryset, such as Min(...).",
                id="L006",
            )

    def order(queryset: Rows, value: Any) -> Rows:
        return queryset.order_by(*(names[word] for word in (dict.fromkeys(value) if many else [value])))

    return order


def _literal_words(kind: object) -> tuple[str, ...]:
    inner = bare(typing.get_args(kind)[0]) if typing.get_origin(kind) is list else kind
    return typing.get_args(inner) if typing.get_origin(inner) is Literal else ()


def _try(rows: Rows, condition: Q, where: str) -> Query:
    """Return the query of ``condition``; raises :class:`ConfigurationError` where the rows have no such lookup."""
    try:
        return rearrangeable(rows).filter(condition).query
    except (FieldError, TypeError, ValueError) as error:
        raise ConfigurationError(f"{where} is no lookup of {rows.model.__name__}: {error}", id="L004") from error
