"""Columns of a Django model and the types of a Struct: which fit, what is made of values, what clients may send.

How this works: a field of a model says by its internal type what Python value the database gives. An annotation either
is that type, or one that a value of it becomes (``str`` of a UUID, a member of an enum, the URL of a file); anything
else is a mistake that is told when the class is made.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import types
import typing
import uuid
from collections.abc import Callable
from typing import Annotated, Any, Literal, Union

import msgspec
from django.core import validators
from django.db import models
from msgspec import UnsetType

from hybrid_gateway.exceptions import ConfigurationError

__all__ = [
    "Range",
    "annotation_for",
    "bare",
    "constrained",
    "converter",
    "is_optional",
    "is_server_managed",
    "real_field",
]

Convert = Callable[[Any], Any]


class Range(msgspec.Struct, frozen=True):
    """A range of PostgreSQL: ``bounds`` is ``"[)"`` for one that holds its lower end and not its upper one."""

    lower: Any = None
    upper: Any = None
    bounds: Literal["[)", "(]", "[]", "()"] = "[)"
    empty: bool = False


def bare(annotation: Any) -> Any:
    """An annotation without ``Annotated``, ``None``, ``UnsetType`` and ``NewType``."""
    while True:
        if typing.get_origin(annotation) is Annotated:
            annotation = typing.get_args(annotation)[0]
        elif typing.get_origin(annotation) in (Union, types.UnionType):
            members = [kind for kind in typing.get_args(annotation) if kind not in (types.NoneType, UnsetType)]
            if len(members) == len(typing.get_args(annotation)):
                return annotation
            annotation = Union[tuple(members)]  # noqa: UP007 (built at run time)
        elif hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__
        else:
            return annotation


def is_optional(annotation: Any) -> bool:
    """Whether ``None`` is one of its values."""
    if typing.get_origin(annotation) is Annotated:
        return is_optional(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (Union, types.UnionType):
        return any(kind is types.NoneType or is_optional(kind) for kind in typing.get_args(annotation))
    return annotation in (None, types.NoneType, Any, object)


def real_field(field: Any) -> Any:
    """What holds a value: the field a foreign key points to, the result of a generated field."""
    while True:
        if field.is_relation:
            field = field.target_field
        elif isinstance(field, models.GeneratedField):
            field = field.output_field
        else:
            return field


def is_server_managed(field: Any) -> bool:
    """Whether clients never set it: automatic keys, generated columns, ``auto_now``, ``editable=False``."""
    return (
        isinstance(field, models.AutoField)
        or getattr(field, "generated", False)
        or getattr(field, "auto_now", False)
        or getattr(field, "auto_now_add", False)
        or not field.editable
    )


# --- what the database gives ---------------------------------------------------------------------------------------

_STORED: dict[str, type] = {
    "AutoField": int,
    "BigAutoField": int,
    "SmallAutoField": int,
    "IntegerField": int,
    "BigIntegerField": int,
    "SmallIntegerField": int,
    "PositiveIntegerField": int,
    "PositiveBigIntegerField": int,
    "PositiveSmallIntegerField": int,
    "BooleanField": bool,
    "CharField": str,
    "TextField": str,
    "SlugField": str,
    "FilePathField": str,
    "GenericIPAddressField": str,
    "IPAddressField": str,
    "FileField": str,
    "DecimalField": decimal.Decimal,
    "FloatField": float,
    "DateField": datetime.date,
    "DateTimeField": datetime.datetime,
    "TimeField": datetime.time,
    "DurationField": datetime.timedelta,
    "UUIDField": uuid.UUID,
    "BinaryField": bytes,
}
"""What a value of a field is, by its internal type. What is not listed (JSON, arrays, fields of others) may be any."""

_MADE_OF: dict[type, tuple[type, ...]] = {
    int: (int, float, str),
    bool: (bool, int),
    str: (str,),
    decimal.Decimal: (decimal.Decimal, float, str),
    float: (float,),
    datetime.date: (datetime.date,),
    datetime.datetime: (datetime.datetime,),
    datetime.time: (datetime.time,),
    datetime.timedelta: (datetime.timedelta,),
    uuid.UUID: (uuid.UUID, str),
    bytes: (bytes,),
}
"""What a stored value may be sent as."""

_RANGES = ("IntegerRangeField", "BigIntegerRangeField", "DecimalRangeField", "DateTimeRangeField", "DateRangeField")


def converter(annotation: Any, field: Any, where: str) -> Convert | None:
    """What makes a value of ``annotation`` of one of ``field``; ``None`` where that is the value itself.

    The function never sees ``None``. Raises :class:`ConfigurationError` for a type that cannot hold the column.
    """
    kind, field = bare(annotation), real_field(field)
    if isinstance(field, models.FileField):
        return _file_url(field, annotation, where)
    if kind in (Any, object):
        return None
    internal = field.get_internal_type()
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _enum(kind, field, where)
    if typing.get_origin(kind) is Literal:
        _check_choices(field, set(typing.get_args(kind)), kind, where)
        return None
    if internal in _RANGES:
        return _range(kind, where)
    stored = _STORED.get(internal)
    if stored is None:
        return _structured(kind)
    if internal == "BinaryField":
        _check(kind, (bytes,), field, where)
        return bytes
    _check(kind, _MADE_OF[stored], field, where)
    return None if kind is stored or (kind is float and stored is int) else kind


def _check(kind: Any, accepted: tuple[type, ...], field: Any, where: str) -> None:
    fits = isinstance(kind, type) and any(kind is known or issubclass(kind, known) for known in accepted)
    # A bool is an int and a datetime is a date to Python, but not to a client.
    confused = (kind is bool and bool not in accepted) or (kind is datetime.datetime and kind not in accepted)
    if not fits or confused:
        names = " or ".join(known.__name__ for known in accepted)
        raise ConfigurationError(f"{where}: {_show(kind)} cannot hold {_describe(field)}, which is {names}.")


def _file_url(field: Any, annotation: Any, where: str) -> Convert:
    _check(bare(annotation), (str,), field, where)
    empty, storage = None if is_optional(annotation) else "", field.storage

    def url(name: str) -> str | None:
        return storage.url(name) if name else empty

    return url


def _enum(kind: type[enum.Enum], field: Any, where: str) -> Convert:
    _check_choices(field, {member.value for member in kind}, kind, where)
    members = {member.value: member for member in kind}

    def member(value: Any) -> Any:
        return members[value] if value in members else kind(value)  # kind() has the words for what is none

    return member


def _check_choices(field: Any, known: set[Any], kind: Any, where: str) -> None:
    missing = [value for value in choices(field) if value not in known and value is not None and value != ""]
    if missing:
        raise ConfigurationError(
            f"{where}: {_show(kind)} lacks {', '.join(map(repr, missing))}, a choice of {_describe(field)}."
        )


def choices(field: Any) -> list[Any]:
    """The values that a field's ``choices`` name, groups opened."""
    return [value for value, _ in field.flatchoices] if getattr(field, "choices", None) else []


def _range(kind: Any, where: str) -> Convert:
    if kind is not Range:
        raise ConfigurationError(f"{where}: a range of PostgreSQL is read as hybrid_gateway.orm.Range.")

    def read(value: Any) -> Range:
        if value.isempty:
            return Range(empty=True)
        return Range(value.lower, value.upper, value.bounds)

    return read


def _structured(kind: Any) -> Convert | None:
    """JSON, arrays and what others invented: taken as it is, unless the annotation has fields of its own."""
    if kind in (dict, list, str, int, float, bool) or typing.get_origin(kind) in (dict, list):
        return None

    def convert(value: Any) -> Any:
        return value if isinstance(kind, type) and isinstance(value, kind) else msgspec.convert(value, kind)

    return convert


def _describe(field: Any) -> str:
    return f"{field.model.__name__}.{field.name} ({type(field).__name__})"


def _show(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind).replace("typing.", "")


# --- what clients may send -----------------------------------------------------------------------------------------


def constrained(annotation: Any, field: Any) -> Any:
    """``annotation`` with what the field demands: its choices, its length, its bounds. What it says itself stays."""
    field, kind = real_field(field), bare(annotation)
    if isinstance(field, models.FileField) or not isinstance(kind, type) or kind not in (str, int, float):
        return annotation
    found = choices(field)
    if found and all(isinstance(value, kind) for value in found):
        values = tuple(dict.fromkeys([*found, *([""] if field.blank and kind is str else [])]))
        return _replaced(annotation, Literal[values])
    given = _constraints(field, kind)
    for extra in getattr(annotation, "__metadata__", ()):
        if isinstance(extra, msgspec.Meta):
            given = {name: value for name, value in given.items() if getattr(extra, name) is None}
    return _replaced(annotation, Annotated[kind, msgspec.Meta(**given)]) if given else annotation


def _constraints(field: Any, kind: type) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if kind is str:
        if field.max_length is not None:
            given["max_length"] = field.max_length
        if not field.blank and not field.has_default() and field.get_internal_type() != "BinaryField":
            given["min_length"] = 1
    for validator in field._validators:  # those of the database's own range are left to full_clean
        name = _BOUNDS.get(type(validator))
        limit = getattr(validator, "limit_value", None)
        if name is not None and limit is not None and not callable(limit) and (name in _LENGTHS) == (kind is str):
            given[name] = limit
    return given


_LENGTHS = ("min_length", "max_length")
_BOUNDS: dict[type, str] = {
    validators.MinValueValidator: "ge",
    validators.MaxValueValidator: "le",
    validators.MinLengthValidator: "min_length",
    validators.MaxLengthValidator: "max_length",
}


def _replaced(annotation: Any, inner: Any) -> Any:
    """``annotation`` with ``inner`` for its bare type."""
    if typing.get_origin(annotation) is Annotated:
        base, *extras = typing.get_args(annotation)
        return Annotated[(_replaced(base, inner), *extras)]
    if typing.get_origin(annotation) in (Union, types.UnionType):
        members = [_replaced(kind, inner) if _holds_bare(kind) else kind for kind in typing.get_args(annotation)]
        return Union[tuple(members)]  # noqa: UP007 (built at run time)
    return inner


def _holds_bare(kind: Any) -> bool:
    return kind not in (types.NoneType, UnsetType)


def annotation_for(field: Any) -> Any:
    """The type that a Struct made of a model has for ``field``."""
    inner = real_field(field)
    kind: Any = str if isinstance(inner, models.FileField) else _STORED.get(inner.get_internal_type(), Any)
    return kind | None if field.null and kind is not Any else kind
