"""Where a page begins, as values of a row: rows behind it are found by comparing, not by counting.

How this works: an order is a list of columns that ends with a unique one, so every row has its place. ``NULL`` is the
smallest value, whatever the database thinks. The rows behind a place are those that are greater in the first column, or
equal in it and greater in the second, and so on. A cursor is such a place, signed with the order it is good for.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import msgspec
from django.core import signing
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db.models import F, OrderBy, Q

from hybrid_gateway.exceptions import ConfigurationError, RequestValidationError
from hybrid_gateway.orm.columns import real_field

__all__ = ["Keyset", "Place", "read_cursor"]


class Place(msgspec.Struct, frozen=True, array_like=True):
    """The values of a row in the columns of an order, and the direction in which to go on."""

    backwards: bool
    values: list[Any]


class _Term(msgspec.Struct, frozen=True):
    """One column of an order."""

    path: str
    descending: bool
    nullable: bool
    field: Any

    def ordering(self, *, backwards: bool) -> Any:
        descending = self.descending != backwards
        if not self.nullable:
            return f"-{self.path}" if descending else self.path
        return F(self.path).desc(nulls_last=True) if descending else F(self.path).asc(nulls_first=True)

    def equal(self, value: Any) -> Q:
        return Q(**{f"{self.path}__isnull": True}) if value is None else Q(**{self.path: value})

    def behind(self, value: Any, *, backwards: bool) -> Q | None:
        """Rows with a value behind ``value``; ``None`` where there cannot be any."""
        descending = self.descending != backwards
        if value is None:
            return None if descending else Q(**{f"{self.path}__isnull": False})
        if not descending:
            return Q(**{f"{self.path}__gt": value})
        less = Q(**{f"{self.path}__lt": value})
        return less | Q(**{f"{self.path}__isnull": True}) if self.nullable else less


class Keyset:
    """A queryset in an order that gives every row its place."""

    def __init__(self, queryset: Any, ordering: Sequence[Any] = ()) -> None:
        query = queryset.query
        if query.is_sliced or query.combinator or query.extra_order_by:
            raise ConfigurationError("A cursor needs a queryset without slices, unions and extra(order_by=...).")
        given = ordering or query.order_by or (query.get_meta().ordering if query.default_ordering else ())
        model = queryset.model
        self._queryset = queryset
        self._terms = []
        for entry in given:
            term = _term(model, entry)
            self._terms.append(term)
            if term.field.unique and not term.nullable and "__" not in term.path:
                break
        else:
            self._terms.append(_Term("pk", False, False, model._meta.pk))
        self.paths = [term.path for term in self._terms]

    def after(self, place: Place | None) -> Any:
        """The rows behind ``place`` in its direction, all of them without one."""
        if place is None:
            return self._queryset.order_by(*(term.ordering(backwards=False) for term in self._terms))
        behind, equal = Q(), Q()
        found = False
        for term, value in zip(self._terms, place.values, strict=True):
            here = term.behind(value, backwards=place.backwards)
            if here is not None:
                behind, found = behind | (equal & here), True
            equal &= term.equal(value)
        ordered = self._queryset.order_by(*(term.ordering(backwards=place.backwards) for term in self._terms))
        return ordered.filter(behind) if found else ordered.none()

    def cursor(self, values: Sequence[Any], *, backwards: bool) -> str:
        """The place of a row as text."""
        packed = msgspec.json.encode(Place(backwards, list(values)))
        return self._signer().sign(base64.urlsafe_b64encode(packed).decode().rstrip("="))

    def read(self, text: str) -> Place:
        """The other way round; raises ``ValueError`` for what is no cursor of this order."""
        try:
            packed = self._signer().unsign(text)
            place = msgspec.json.decode(base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)), type=Place)
            values = [
                None if value is None else real_field(term.field).to_python(value)
                for term, value in zip(self._terms, place.values, strict=True)
            ]
        except (signing.BadSignature, binascii.Error, msgspec.MsgspecError, ValidationError) as error:
            raise ValueError(str(error)) from None
        return Place(place.backwards, values)

    def _signer(self) -> signing.Signer:
        order = ",".join(f"{'-' if term.descending else ''}{term.path}" for term in self._terms)
        return signing.Signer(salt=f"hybrid_gateway.orm.cursor:{self._queryset.model._meta.label}:{order}")


def read_cursor(text: str, keyset: Keyset) -> Place:
    """The place a client sent; raises a 422 for anything that this list has not given it."""
    try:
        return keyset.read(text)
    except ValueError:
        fault = {"loc": ["query", "cursor"], "msg": "Not a cursor of this list", "type": "value_error"}
        raise RequestValidationError([fault]) from None


def _term(model: Any, entry: Any) -> _Term:
    descending = False
    if isinstance(entry, OrderBy):
        descending, entry = entry.descending, entry.expression
    if isinstance(entry, F):
        entry = getattr(entry, "name")  # noqa: B009 (unknown to the stubs)
    if not isinstance(entry, str) or entry == "?":
        raise ConfigurationError(f"A cursor orders by columns, not by {entry!r}; name them: Cursor(ordering=...).")
    if entry.startswith("-"):
        descending, entry = not descending, entry[1:]
    path = entry.removeprefix("+")
    at, nullable = model, False
    field: Any = None
    for name in path.split("__"):
        try:
            field = at._meta.pk if name == "pk" else at._meta.get_field(name)
        except (FieldDoesNotExist, AttributeError):
            raise ConfigurationError(f"A cursor cannot order by {path!r}: {name!r} is no column there.") from None
        if field.is_relation and not field.concrete:
            raise ConfigurationError(f"A cursor cannot order by {path!r}: {name!r} leads to other rows.")
        nullable, at = nullable or field.null, field.related_model
    if field.is_relation:  # by its key: Django would take the order of the related model
        path = f"{path}_id" if "__" not in path else f"{path}__pk"
    return _Term(path, descending, nullable, field)
