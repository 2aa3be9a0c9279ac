"""Columns of a Django model and the types of a Struct: which fit, and what is made of values that are read.

How this works: a field of a model says by its internal type what Python value the database gives. An annotation either
is that type, or one that a value of it becomes (``str`` of a UUID, a member of an enum, the URL of a file); anything
else is a mistake that is told when the class is made. What a project's own field gives nobody knows before it does: its
values are looked at one by one.
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
from django.db import models
from msgspec import UnsetType

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.columns import composite_keys, ranges
from hybrid_gateway.type_hints import resolve_new_types

__all__ = [
    "annotation_for",
    "bare",
    "check_is_one",
    "choices",
    "converter",
    "is_optional",
    "is_own",
    "is_server_managed",
    "is_several",
    "real_field",
    "stored_type",
]

Convert = Callable[[Any], Any]


def bare(annotation: Any) -> Any:
    """An annotation without ``Annotated``, ``None``, ``UnsetType`` and ``NewType``."""
    while True:
        annotation = resolve_new_types(annotation)
        if typing.get_origin(annotation) is Annotated:
            annotation = typing.get_args(annotation)[0]
        elif typing.get_origin(annotation) in (Union, types.UnionType):
            members = [kind for kind in typing.get_args(annotation) if kind not in (types.NoneType, UnsetType)]
            if len(members) == len(typing.get_args(annotation)):
                return annotation
            annotation = Union[tuple(members)]  # noqa: UP007 (built at run time)
        else:
            return annotation


def is_optional(annotation: Any) -> bool:
    """Whether ``None`` is one of its values."""
    annotation = resolve_new_types(annotation)
    if typing.get_origin(annotation) is Annotated:
        return is_optional(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (Union, types.UnionType):
        return any(kind is types.NoneType or is_optional(kind) for kind in typing.get_args(annotation))
    return annotation in (None, types.NoneType, Any, object)


def real_field(field: Any) -> Any:
    """What holds a value: the field a foreign key points to, the result of a generated field."""
    while True:
        if field.is_relation:
            check_is_one(field)
            field = field.target_field
        elif isinstance(field, models.GeneratedField):
            field = field.output_field
        else:
            return field


def is_several(field: Any) -> bool:
    """Whether it is a relation over several columns of the model, such as those of a composite key."""
    return isinstance(field, models.ForeignObject) and len(field.foreign_related_fields) > 1


def check_is_one(field: Any) -> None:
    """Raise :class:`ConfigurationError` for a relation that has no column of its own."""
    if is_several(field):
        raise ConfigurationError(
            f"{field.model.__name__}.{field.name} is a relation of several columns, which has no value of its own: "
            "name those columns, or nest a class on the side that has them."
        )


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
    "ArrayField": list,
    "HStoreField": dict,
}
"""What a value of a field is, by its internal type."""

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


def stored_type(field: Any) -> type | None:
    """What a value of this field is in Python; ``None`` where nobody knows (JSON, fields of others)."""
    return None if is_own(field) else _STORED.get(field.get_internal_type())


def is_own(field: Any) -> bool:
    """Whether code that is not Django's makes the values of this field, or it is of a kind that nobody knows."""
    for name in ("from_db_value", "get_db_converters"):
        method = getattr(type(field), name, None)
        if method is not None and not method.__module__.startswith("django."):
            return True
    internal = field.get_internal_type()
    return internal not in _STORED and internal != "JSONField" and not ranges.is_range_field(field)


def converter(annotation: Any, field: Any, where: str, told: str = "") -> Convert | None:
    """What makes a value of ``annotation`` of one of ``field``; ``None`` where that is the value itself.

    The function never sees ``None``. Raises :class:`ConfigurationError` for a type that cannot hold the column, which
    the message describes as ``told``.
    """
    outer, field, kind = field, real_field(field), bare(annotation)
    told = told or _describe(field if hasattr(field, "model") else outer)
    if isinstance(field, models.CompositePrimaryKey):
        return composite_keys.reader(kind, field, converter, where, told)
    if isinstance(field, models.FileField):
        return _file_url(field, annotation, where, told)
    if ranges.is_range_field(field):
        return _range(kind, field, where, told)
    internal = field.get_internal_type()
    if internal == "ArrayField":
        return _array(kind, field, where, told)
    if kind in (Any, object):
        return None
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _enum(kind, annotation, field, where, told)
    if typing.get_origin(kind) is Literal:
        return _literal(kind, annotation, field, where, told)
    if is_own(field):
        return _made(kind)
    stored = stored_type(field)
    if stored is None:
        return _structured(kind)
    if stored is dict:
        return _mapping(kind, where, told)
    if stored is bytes:
        _check(kind, (bytes,), where, told)
        return bytes
    _check(kind, _MADE_OF[stored], where, told)
    return None if kind is stored or (kind is float and stored is int) else kind


def _check(kind: Any, accepted: tuple[type, ...], where: str, told: str) -> None:
    fits = isinstance(kind, type) and any(kind is known or issubclass(kind, known) for known in accepted)
    # A bool is an int and a datetime is a date to Python, but not to a client.
    confused = (kind is bool and bool not in accepted) or (kind is datetime.datetime and kind not in accepted)
    if not fits or confused:
        raise _misfit(kind, " or ".join(known.__name__ for known in accepted), where, told)


def _misfit(kind: Any, names: str, where: str, told: str) -> ConfigurationError:
    return ConfigurationError(f"{where}: {_show(kind)} cannot hold {told}, which is {names}.")


def _file_url(field: Any, annotation: Any, where: str, told: str) -> Convert:
    _check(bare(annotation), (str,), where, told)
    empty, storage = None if is_optional(annotation) else "", field.storage

    def url(name: str) -> str | None:
        return storage.url(name) if name else empty

    return url


def _range(kind: Any, field: Any, where: str, told: str) -> Convert:
    if kind not in (Any, object) and not ranges.is_range(kind):
        raise ConfigurationError(f"{where}: {told}, a range of PostgreSQL, is read as hybrid_gateway.orm.Range.")
    return ranges.reader(converter(ranges.end_of(kind), field.base_field, where, told))


def _array(kind: Any, field: Any, where: str, told: str) -> Convert | None:
    if kind not in (Any, object, list) and typing.get_origin(kind) not in (list, set, frozenset):
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):  # array_like
            return _structured(kind)
        raise _misfit(kind, "a list", where, told)
    item = (typing.get_args(kind) or (Any,))[0]
    make, convert = typing.get_origin(kind) or list, converter(item, field.base_field, where, told)
    if convert is None:
        return None if make is list else make

    def read(values: Any) -> Any:
        return make([None if value is None else convert(value) for value in values])

    return read


def _mapping(kind: Any, where: str, told: str) -> Convert | None:
    is_structure = isinstance(kind, type) and (issubclass(kind, msgspec.Struct) or typing.is_typeddict(kind))
    if kind is not dict and typing.get_origin(kind) is not dict and not is_structure:
        raise _misfit(kind, "a dict of texts", where, told)
    return _structured(kind)


def _made(kind: Any) -> Convert | None:
    """Of a value that is whatever a project's own field makes of it."""
    if kind not in (str, int, float, decimal.Decimal):
        return _structured(kind)

    def make(value: Any) -> Any:
        return value if type(value) is kind else kind(value)

    return make


def _structured(kind: Any) -> Convert | None:
    """Of JSON and what others invented: the value as it is, unless the annotation has fields or types of its own."""
    if _is_plain(kind):
        return None

    def convert(value: Any) -> Any:
        return value if isinstance(kind, type) and isinstance(value, kind) else msgspec.convert(value, kind)

    return convert


def _is_plain(kind: Any) -> bool:
    """Whether nothing but JSON's own types is in it."""
    kind = bare(kind)
    if typing.get_origin(kind) in (dict, list, Union, types.UnionType):
        return all(_is_plain(entry) for entry in typing.get_args(kind))
    return kind in (Any, object, dict, list, str, int, float, bool, None, types.NoneType)


def _describe(field: Any) -> str:
    return f"{field.model.__name__}.{field.name} ({type(field).__name__})"


def _show(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind).replace("typing.", "")


# --- choices -------------------------------------------------------------------------------------------------------


def choices(field: Any) -> list[Any]:
    """The values that a field's ``choices`` name, groups opened, without the one for none of them.

    Those that a function gives are not asked for: they may be others tomorrow.
    """
    if not getattr(field, "choices", None) or callable(getattr(field.choices, "func", None)):
        return []
    values = [value.value if isinstance(value, enum.Enum) else value for value, _ in field.flatchoices]
    return [value for value in values if value is not None]


def _enum(kind: type[enum.Enum], annotation: Any, field: Any, where: str, told: str) -> Convert:
    values = [member.value for member in kind]
    if not (all(isinstance(value, str) for value in values) or all(type(value) is int for value in values)):
        raise ConfigurationError(f"{where}: the members of {kind.__name__} must be all texts or all whole numbers.")
    stored = stored_type(field)
    if stored is not None and not all(isinstance(value, _MEMBERS.get(stored, ())) for value in values):
        raise _misfit(kind, stored.__name__, where, told)
    _check_choices(field, set(values), kind, where, told)
    members: dict[Any, Any] = {member.value: member for member in kind}
    if _may_be_blank(field) and "" not in members:
        members[""] = _blank_member(kind, annotation, where, told)

    def member(value: Any) -> Any:
        return members[value] if value in members else kind(value)  # kind() has the words for what is none

    return member


_MEMBERS: dict[type, Any] = {str: str, int: int, float: int, decimal.Decimal: int}
"""What the members of an enum may be, by what the column holds."""


def _blank_member(kind: Any, annotation: Any, where: str, told: str) -> Any:
    """What an empty text is to an enum that has no member for it."""
    if is_optional(annotation):
        return None
    try:
        return kind("")  # by _missing_
    except ValueError:
        raise _no_blank(kind, where, told) from None


def _literal(kind: Any, annotation: Any, field: Any, where: str, told: str) -> Convert | None:
    values = set(typing.get_args(kind))
    _check_choices(field, values, kind, where, told)
    if "" in values or not _may_be_blank(field) or not all(isinstance(value, str) for value in values - {None}):
        return None
    if not is_optional(annotation) and None not in values:
        raise _no_blank(kind, where, told)
    return lambda value: None if value == "" else value


def _may_be_blank(field: Any) -> bool:
    return field.blank and stored_type(field) is str


def _no_blank(kind: Any, where: str, told: str) -> ConfigurationError:
    return ConfigurationError(
        f'{where}: {told} may be blank, and {_show(kind)} has no "" for that. Add it, or write `| None` after the '
        "type: a blank is shown as null then, and null is written as a blank."
    )


def _check_choices(field: Any, known: set[Any], kind: Any, where: str, told: str) -> None:
    missing = [value for value in choices(field) if value not in known and value != ""]
    if missing:
        raise ConfigurationError(f"{where}: {_show(kind)} lacks {', '.join(map(repr, missing))}, a choice of {told}.")


# --- Structs of models ---------------------------------------------------------------------------------------------


def annotation_for(field: Any) -> Any:
    """The type that a Struct made of a model has for ``field``."""
    kind = _kind_of(real_field(field))
    return kind | None if field.null and kind is not Any else kind


def _kind_of(field: Any) -> Any:
    if isinstance(field, models.FileField):
        return str
    if ranges.is_range_field(field):
        return ranges.Range[_kind_of(field.base_field)]  # type: ignore[misc]
    stored = stored_type(field)
    if stored is list:
        return list[_kind_of(field.base_field)]  # type: ignore[misc]
    if stored is dict:
        return dict[str, str | None]
    return Any if stored is None else stored
