"""Query parameters that narrow and order a list: a Struct whose fields say which lookups they are.

How this works: every lookup, search and order is written down in the class, and tried on the model when the gateway is
built. A client chooses among them and sends values; no word of its own becomes a lookup or an order.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec
from django.core.exceptions import FieldError
from django.db.models import Q
from django.db.models.constants import LOOKUP_SEP
from msgspec import UNSET

from hybrid_gateway.exceptions import ConfigurationError, RequestValidationError
from hybrid_gateway.orm.columns import bare
from hybrid_gateway.orm.parameters import Parameter
from hybrid_gateway.orm.shape import leads_to_many

__all__ = ["FilterSet", "Lookup", "Ordering", "Search"]


class Lookup:
    """The lookup of a filter field, where its name is not one: ``Annotated[str | None, Lookup("name__icontains")]``.

    ``exclude=True`` leaves out what it finds.
    """

    def __init__(self, path: str, *, exclude: bool = False) -> None:
        self.path = path
        self.exclude = exclude


class Search:
    """A text that is looked for in several columns: each of its words in any of them, whatever the case."""

    def __init__(self, *paths: str) -> None:
        if not paths:
            raise ConfigurationError("Search() names the columns in which to look.")
        self.paths = paths


class Ordering:
    """An order that the client chooses: ``Annotated[Literal["name", "-price"], Ordering()] = "name"``.

    The words of the ``Literal`` (or of a list of it) are what ``order_by`` takes, or are translated by ``names``:
    ``Ordering(newest="-created_at")``.
    """

    def __init__(self, **names: str) -> None:
        self.names = names


_MOST = 2**63 - 1  # what a database takes for a number: SQLite raises for more, where Django has no check of its own
_LONGEST = 4000  # characters: SQLite raises for a pattern of 50,000 bytes, in which each may become eight

Apply = Callable[[Any, Any], Any]
"""A queryset and the value of a field → the queryset."""


class FilterSet:
    """The filters of one route: a Struct, checked against a model."""

    def __init__(self, struct: Any, model: Any) -> None:
        if not (isinstance(struct, type) and issubclass(struct, msgspec.Struct)):
            raise ConfigurationError(f"filters={struct!r} must be a Struct.")
        self.struct = struct
        self.forbids_unknown = bool(struct.__struct_config__.forbid_unknown_fields)
        self._fields: list[tuple[str, str, Apply]] = []
        ordered: list[tuple[str, str, Apply]] = []
        for field in msgspec.structs.fields(struct):
            where = f"{struct.__qualname__}.{field.name}"
            if field.required:
                raise ConfigurationError(f"{where} has no default: a filter may be left out, so write `= None`.")
            marker = next((m for m in _extras(field.type) if isinstance(m, (Lookup, Search, Ordering))), None)
            apply = _apply(field, marker, model, where)
            (ordered if isinstance(marker, Ordering) else self._fields).append((field.name, field.encode_name, apply))
        self._fields += ordered

    def apply(self, queryset: Any, values: Any) -> Any:
        """The rows of ``queryset`` that a client asks for, in the order it asks for."""
        faults = []
        for name, wire, apply in self._fields:
            value = getattr(values, name)
            if value is None or value is UNSET:
                continue
            if (message := _unfit(value)) is not None:
                faults.append({"loc": ["query", wire], "msg": message, "type": "value_error"})
                continue
            queryset = apply(queryset, value)
        if faults:
            raise RequestValidationError(faults)
        return queryset


def _unfit(value: Any) -> str | None:
    """What is wrong with a value that no database could compare with, or only at a price."""
    for entry in value if type(value) is list else [value]:
        if type(entry) is int and abs(entry) > _MOST:
            return "The number is out of range"
        if isinstance(entry, str) and len(entry) > _LONGEST:
            return f"Expected `str` of length <= {_LONGEST}"
        if isinstance(entry, str) and "\x00" in entry:  # PostgreSQL raises; to SQLite the text ends there
            return "Null characters are not allowed"
    return None


def _extras(annotation: Any) -> list[Any]:
    found = list(getattr(annotation, "__metadata__", ()))
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        for member in typing.get_args(annotation):
            found += _extras(member)
    return found


def _apply(field: Any, marker: Any, model: Any, where: str) -> Apply:
    if isinstance(marker, Search):
        return _search(marker, model, where)
    if isinstance(marker, Ordering):
        return _order(marker, bare(field.type), model, where)
    marker = marker or Lookup(field.name)
    path = marker.path
    if typing.get_origin(bare(field.type)) is list and not path.endswith(
        ("__in", "__range", "__contains", "__overlap")
    ):
        path = f"{path}__in"
    _try(model, Q(**{path: Parameter(field.name, {})}), where)
    if marker.exclude:
        return lambda queryset, value: queryset.exclude(**{path: value})
    narrow = _narrowing(model, [path])
    return lambda queryset, value: narrow(queryset, Q(**{path: value}))


def _narrowing(model: Any, paths: Sequence[str]) -> Callable[[Any, Q], Any]:
    """How a queryset is narrowed to a condition on ``paths`` without showing a row twice that meets it twice."""
    if not any(_passes_many(model, path) for path in paths):
        return lambda queryset, condition: queryset.filter(condition)

    def narrow(queryset: Any, condition: Q) -> Any:
        meeting = model._base_manager.using(queryset.db).filter(condition)
        return queryset.filter(pk__in=meeting.order_by().values("pk"))

    return narrow


def _passes_many(model: Any, path: str) -> bool:
    steps = path.split(LOOKUP_SEP)
    return any(leads_to_many(model, LOOKUP_SEP.join(steps[:end])) for end in range(1, len(steps) + 1))


def _search(marker: Search, model: Any, where: str) -> Apply:
    paths = [path if "__icontains" in path else f"{path}__icontains" for path in marker.paths]
    for path in paths:
        _try(model, Q(**{path: "text"}), where)

    narrow = _narrowing(model, paths)

    def search(queryset: Any, value: str) -> Any:
        # SECURITY: however much is sent, a row is not compared with more than this.
        for word in value[:_LONGEST_SEARCH].split()[:_MOST_WORDS]:
            anywhere = Q()
            for path in paths:
                anywhere |= Q(**{path: word})
            queryset = narrow(queryset, anywhere)
        return queryset

    return search


_LONGEST_SEARCH = 500
_MOST_WORDS = 20  # each is a condition per column


def _order(marker: Ordering, kind: Any, model: Any, where: str) -> Apply:
    many = typing.get_origin(kind) is list
    words = typing.get_args(bare(typing.get_args(kind)[0]) if many else kind)
    if typing.get_origin(bare(typing.get_args(kind)[0]) if many else kind) is not Literal:
        raise ConfigurationError(f'{where} must list what clients may order by: Literal["name", "-price"].')
    names: Mapping[str, Any] = {word: marker.names.get(word, word) for word in words}
    for name in names.values():
        try:
            model._default_manager.order_by(name)
        except FieldError as error:
            raise ConfigurationError(f"{where} cannot be ordered by: {error}") from error

    def order(queryset: Any, value: Any) -> Any:
        return queryset.order_by(*(names[word] for word in (value if many else [value])))

    return order


def _try(model: Any, condition: Q, where: str) -> None:
    try:
        model._default_manager.filter(condition)
    except (FieldError, TypeError, ValueError) as error:
        raise ConfigurationError(f"{where} is no lookup of {model.__name__}: {error}") from error
