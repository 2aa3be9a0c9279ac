"""Cursors: the place where a page begins, as values of a row; rows behind it are compared, not counted.

How this works: an order is a list of columns that ends with a unique one, so every row has its place. ``NULL`` is where
the order says, or else where the database puts it. The rows behind a place are those that are greater in the first
column, or equal in it and greater in the second, and so on. A cursor is such a place, signed with the order it is good
for.
"""

from __future__ import annotations

import base64
import datetime
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import TypeAlias, cast

import msgspec
from django.core import signing
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db import connections
from django.db.models import F, Model, OrderBy, Q
from django.db.models.constants import LOOKUP_SEP
from django.db.models.expressions import BaseExpression
from django.db.models.fields.related import ForeignObjectRel
from django.db.models.functions import Random
from django.db.models.sql import Query

from hybrid_gateway._compat.django_orm_internals import is_reversed, unreversed
from hybrid_gateway.exceptions import ConfigurationError, RequestValidationError, error_entry
from hybrid_gateway.orm.columns.column_types import column_type_of, write_converter
from hybrid_gateway.orm.columns.field_facts import ModelField, PathStep, value_field
from hybrid_gateway.orm.columns.postgresql import DriverRange, range_converter
from hybrid_gateway.orm.querysets.querysets import (
    OrderTerm,
    Rows,
    is_total_order,
    key_names,
    order_terms,
    rearrangeable,
    term_name,
)

Annotations: TypeAlias = Mapping[str, BaseExpression]

_MAX_DEPTH = 10  # of models that are ordered by one another


class CursorPosition(msgspec.Struct, frozen=True, array_like=True):
    """The values of a row in the columns of an order, and the direction in which to go on."""

    backwards: bool
    values: list[object]


class _Term(msgspec.Struct, frozen=True, eq=False):
    path: str
    field: ModelField
    nullable: bool = False
    descending: bool = False
    nulls_first: bool | None = None  # None: as the database has it
    expression: BaseExpression | F | None = None  # that the path is the name of
    sql: str = ""  # of the expression, the same in every process

    def reversed(self) -> _Term:
        nulls_first = None if self.nulls_first is None else not self.nulls_first
        return msgspec.structs.replace(self, descending=not self.descending, nulls_first=nulls_first)

    def ordering(self, *, backwards: bool) -> OrderTerm:
        term = self.reversed() if backwards else self
        if term.nulls_first is None or not term.nullable:
            return f"-{term.path}" if term.descending else term.path
        first, last = term.nulls_first or None, not term.nulls_first or None
        return OrderBy(F(term.path), descending=term.descending, nulls_first=first, nulls_last=last)

    def equal(self, value: object) -> Q:
        return Q(**{f"{self.path}__isnull": True}) if value is None else Q(**{self.path: value})

    def behind(self, value: object, *, backwards: bool, small_nulls: bool) -> Q | None:
        """Return the condition of rows with a value behind ``value``; ``None`` where there cannot be any.

        ``small_nulls`` says that ``NULL`` is less than anything to the database.
        """
        descending = self.descending != backwards
        first = small_nulls != self.descending if self.nulls_first is None else self.nulls_first
        nulls_first = first != backwards
        if value is None:
            return Q(**{f"{self.path}__isnull": False}) if nulls_first else None
        behind = Q(**{f"{self.path}__{'lt' if descending else 'gt'}": value})
        return behind | Q(**{f"{self.path}__isnull": True}) if self.nullable and not nulls_first else behind

    def __str__(self) -> str:
        nulls = "" if self.nulls_first is None else f" nulls {'first' if self.nulls_first else 'last'}"
        column = self.path if self.expression is None else self.sql
        return f"{'-' if self.descending else ''}{column}{nulls}"


class _Order:
    """The terms of an order, and what is made of them once."""

    def __init__(self, model: type[Model], terms: tuple[_Term, ...]) -> None:
        self._model = model
        self.terms = terms
        self.paths = [term.path for term in terms]
        self.expressions = {term.path: term.expression for term in terms if term.expression is not None}

    def reversed(self) -> _Order:
        return _Order(self._model, tuple(term.reversed() for term in self.terms))

    @property
    def signer(self) -> signing.Signer:
        """The signer of its cursors; with the key of the day, which tests and rotations change."""
        return signing.Signer(salt=self._salt)

    @cached_property
    def _salt(self) -> str:
        return f"hybrid_gateway.orm.cursor:{self._model._meta.label}:{','.join(map(str, self.terms))}"


class Keyset:
    """A queryset in an order that gives every row its place."""

    def __init__(self, queryset: Rows) -> None:
        self._order = order = cursor_order(queryset)
        queryset = rearrangeable(queryset)
        self._queryset = queryset.annotate(**order.expressions) if order.expressions else queryset
        self.paths = order.paths

    def after(self, place: CursorPosition | None) -> Rows:
        """Return the rows behind ``place`` in its direction, all of them without one."""
        if place is None:
            return self._ordered(backwards=False)
        small_nulls = connections[self._queryset.db].features.order_by_nulls_first
        behind, equal = Q(), Q()
        for term, value in zip(self._order.terms, place.values, strict=True):
            here = term.behind(value, backwards=place.backwards, small_nulls=small_nulls)
            if here is not None:
                behind |= equal & here
            equal &= term.equal(value)
        ordered = self._ordered(backwards=place.backwards)
        return ordered.filter(behind) if behind else ordered.none()

    def _ordered(self, *, backwards: bool) -> Rows:
        terms = [term.ordering(backwards=backwards) for term in self._order.terms]
        return unreversed(self._queryset.order_by(*terms))  # the terms have been turned already

    def cursor(self, values: Sequence[object], *, backwards: bool) -> str:
        """Return the place of a row as text."""
        packed = msgspec.json.encode(CursorPosition(backwards, [_plain(value) for value in values]), enc_hook=str)
        return self._order.signer.sign(base64.urlsafe_b64encode(packed).decode().rstrip("="))

    def read(self, text: str, name: str) -> CursorPosition:
        """Return the place that a client sent in the parameter ``name``; raise a 422 for no cursor of this order."""
        connection = connections[self._queryset.db]
        try:
            packed = self._order.signer.unsign(text)
            packed += "=" * (-len(packed) % 4)
            place = msgspec.json.decode(base64.urlsafe_b64decode(packed), type=CursorPosition)
            values: list[object] = [
                None if value is None else term.field.to_python(write_converter(term.field)(value, connection))
                for term, value in zip(self._order.terms, place.values, strict=True)
            ]
        except (signing.BadSignature, ValueError, msgspec.MsgspecError, ValidationError):
            raise RequestValidationError([error_entry(("query", name), "Not a cursor of this list")]) from None
        return CursorPosition(place.backwards, values)


def _plain(value: object) -> object:
    if hasattr(value, "isempty"):
        return _plain_range(cast("DriverRange", value))
    if isinstance(value, float) and not math.isfinite(value):  # JSON has no NaN
        return str(value)
    return value.isoformat() if isinstance(value, datetime.datetime) else value  # RFC 3339 has no offsets of seconds


_plain_range = range_converter(_plain)


# --- the terms of an order -----------------------------------------------------------------------------------------


def check_order(model: type[Model], given: Sequence[OrderTerm], annotations: Sequence[str]) -> None:
    """Raise :class:`ConfigurationError` for what no cursor can order by; ``annotations`` are left to the queryset."""
    for entry in given:
        if term_name(entry) not in annotations:
            list(_term(model, entry, {}))


def cursor_order(queryset: Rows) -> _Order:
    """Return the order of a queryset; raises :class:`ConfigurationError` for one that no cursor has."""
    order = _order(queryset.model, order_terms(queryset), queryset.query)
    return order.reversed() if is_reversed(queryset) else order


def _order(model: type[Model], given: tuple[OrderTerm, ...], query: Query) -> _Order:
    annotations = query.annotations
    names = tuple(entry for entry in given if type(entry) is str and entry.lstrip("-+") not in annotations)
    if len(names) == len(given):
        return _order_of_names(model, names)
    shown = query.annotation_select
    # What alias() names cannot be selected; a second name of it can.
    return _Order(
        model,
        tuple(
            msgspec.structs.replace(term, path=f"_place{number}", expression=F(term.path), sql=term.path)
            if term.path in annotations and term.path not in shown
            else term
            for number, term in enumerate(_whole(model, given, annotations), 1)
        ),
    )


@lru_cache(maxsize=1024)
def _order_of_names(model: type[Model], given: tuple[str, ...]) -> _Order:
    return _Order(model, tuple(_whole(model, given, {})))


def _whole(model: type[Model], given: Sequence[OrderTerm], annotations: Annotations) -> Iterator[_Term]:
    """Yield the terms of ``given``, and those of the key where rows could tie without it."""
    names: tuple[str, ...] = ()
    for entry in (*given, *key_names(model)):
        for term in _term(model, entry, annotations):
            if term.path in names:  # once is enough, and twice would be selected twice
                continue
            names = (*names, term.path)
            yield term if term.expression is None else msgspec.structs.replace(term, path=f"_place{len(names)}")
        if is_total_order(model, names):
            return


def _term(model: type[Model], entry: object, annotations: Annotations, depth: int = 0) -> Iterator[_Term]:
    """Yield the terms that an entry of ``order_by`` comes to: more than one, where a related model has an order."""
    descending, nulls_first = False, None
    if isinstance(entry, OrderBy):
        descending, nulls_first = entry.descending, True if entry.nulls_first else False if entry.nulls_last else None
        entry = entry.expression
    name = term_name(entry)
    if name == "pk" and key_names(model) != ("pk",):
        for column in key_names(model):
            yield from _term(model, OrderBy(F(column), descending=descending != _is_minus(entry)), annotations)
        return
    if name is None or entry == "?":
        yield _expression(model, entry, descending, nulls_first)
        return
    descending = descending != _is_minus(entry)
    if name in annotations:
        field = getattr(annotations[name], "output_field", None)
        _reject_window(annotations[name])
        yield _Term(name, _orderable(field, name), True, descending, nulls_first)
        return
    fields, rest = _follow(model, name)
    field, nullable = fields[-1], any(step.null for step in fields)
    related = field.related_model if isinstance(entry, str) and not _names_key(field, name) else None
    if rest:
        yield _expression(model, F(name), descending, nulls_first)
    elif related is not None and related._meta.ordering:
        if depth > _MAX_DEPTH:
            raise ConfigurationError(
                f"A cursor cannot order by {name!r}: its model is ordered by itself without end.", id="L003"
            )
        for inner in related._meta.ordering:
            yield from _below(name, inner, related, descending, depth, nullable)
    else:
        yield _Term(_key_path(field, name), _orderable(value_field(field), name), nullable, descending, nulls_first)


def _is_minus(entry: object) -> bool:
    return isinstance(entry, str) and entry.startswith("-")


def _below(
    name: str, entry: OrderTerm, related: type[Model], descending: bool, depth: int, nullable: bool
) -> Iterator[_Term]:
    """Yield the terms of a related model's order, seen from here. DJANGO: SQLCompiler.find_ordering_name."""
    for term in _term(related, entry, {}, depth + 1):
        if term.expression is not None:
            raise ConfigurationError(
                f"A cursor cannot order by {name!r}: the order of {related.__name__} has an expression. "
                f"Order by columns of it: {name}__...",
                id="L003",
            )
        below = msgspec.structs.replace(term, path=f"{name}{LOOKUP_SEP}{term.path}", nullable=nullable or term.nullable)
        yield below.reversed() if descending else below


def _follow(model: type[Model], path: str) -> tuple[list[PathStep], list[str]]:
    """Return the fields of a path, and what follows them (transforms)."""
    at: type[Model] | None = model
    fields: list[PathStep] = []
    names = path.split(LOOKUP_SEP)
    for position, name in enumerate(names):
        try:
            if at is None:
                raise FieldDoesNotExist
            field = at._meta.pk if name == "pk" else at._meta.get_field(name)
        except FieldDoesNotExist:
            if fields and not fields[-1].is_relation and fields[-1].get_transform(name) is not None:
                return fields, names[position:]
            raise ConfigurationError(
                f"A cursor cannot order by {path!r}: {name!r} is no column there. An annotation of the queryset is one "
                f'where the Struct names it: Annotated[int, Column("{name}")].',
                id="L003",
            ) from None
        if field.is_relation and (field.one_to_many or field.many_to_many or field.related_model is None):
            raise ConfigurationError(f"A cursor cannot order by {path!r}: {name!r} leads to other rows.", id="L003")
        fields.append(field)
        at = field.related_model
    return fields, []


def _names_key(field: PathStep, name: str) -> bool:
    return name.rpartition(LOOKUP_SEP)[2] in ("pk", getattr(field, "attname", None))


def _key_path(field: PathStep, path: str) -> str:
    if isinstance(field, ForeignObjectRel):
        return f"{path}{LOOKUP_SEP}pk"
    if not field.is_relation or _names_key(field, path):
        return path
    before, _, _ = path.rpartition(LOOKUP_SEP)
    return f"{before}{LOOKUP_SEP}{field.attname}" if before else str(field.attname)


def _expression(model: type[Model], expression: object, descending: bool, nulls_first: bool | None) -> _Term:
    if not isinstance(expression, (BaseExpression, F)) or isinstance(expression, Random):
        raise ConfigurationError(
            f"A cursor orders by columns, not by {expression!r}; name them: Cursor(ordering=...).", id="L003"
        )
    _reject_window(expression)
    query = model._base_manager.annotate(_place=expression).order_by().values("_place").query
    field = _orderable(getattr(query.annotations["_place"], "output_field", None), str(expression))
    return _Term(str(query), field, True, descending, nulls_first, expression, str(query))


def _reject_window(expression: object) -> None:
    if getattr(expression, "contains_over_clause", False):
        raise ConfigurationError(
            f"A cursor cannot order by {expression!r}: a window changes with the rows behind it.", id="L003"
        )


def _orderable(field: ModelField | None, name: str) -> ModelField:
    if field is None or not column_type_of(field).has_order:
        raise ConfigurationError(
            f"A cursor cannot order by {name!r}: values of any type have no order; cast it.", id="L003"
        )
    return field
