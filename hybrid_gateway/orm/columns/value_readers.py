"""Values of columns → values of a Struct's annotation: each function checks that the two fit, and returns a converter.

A converter never sees ``None``; a reader that returns ``None`` says that values are sent as they are. All of them raise
:class:`ConfigurationError` for an annotation that cannot hold the column.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import types
import typing
from collections.abc import Callable
from typing import Any, Union

import msgspec
from django.db import models

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.columns.field_facts import ModelField, base_field, choices_of, key_columns
from hybrid_gateway.type_info import ANYTHING, bare, format_type, is_nullable

Converter = Callable[[Any], object]
"""A value of a column that is not ``None`` → the value of a Struct's field."""

_MEMBER_TYPES: dict[type, type] = {str: str, int: int, float: int, decimal.Decimal: int}
"""What the members of an enum may be, by what the column holds."""


class ReadTarget(msgspec.Struct, frozen=True):
    """A field of a Struct and the column that it is read from."""

    annotation: object
    field: ModelField
    python_type: type | None  # of the column's values, where it is known
    where: str  # the Struct's field
    column: str  # as messages describe it
    converter_of: Callable[[object, ModelField, str, str], Converter | None]  # for values inside of the column's

    @property
    def kind(self) -> Any:
        """The annotation without its wrapping."""
        return bare(self.annotation)

    @property
    def may_be_blank(self) -> bool:
        return self.field.blank and self.python_type is str

    def inner_converter(self, annotation: object, field: ModelField) -> Converter | None:
        """Return the converter for values of ``field`` that the column's values are made of."""
        return self.converter_of(annotation, field, self.where, self.column)

    def check(self, *accepted: type) -> None:
        """Raise :class:`ConfigurationError` unless the annotation is one of these classes, or below one."""
        kind = self.kind
        fits = isinstance(kind, type) and any(kind is known or issubclass(kind, known) for known in accepted)
        # A bool is an int and a datetime is a date to Python, but not to a client.
        confused = (kind is bool and bool not in accepted) or (kind is datetime.datetime and kind not in accepted)
        if not fits or confused:
            raise self.misfit(" or ".join(known.__name__ for known in accepted))

    def misfit(self, expected: str) -> ConfigurationError:
        """Return the error of an annotation that cannot hold the column."""
        return ConfigurationError(
            f"{self.where}: {format_type(self.kind)} cannot hold {self.column}, which is {expected}.", id="M001"
        )


def read_scalar(*accepted: type) -> Callable[[ReadTarget], Converter | None]:
    """Return the reader of a column whose values may be sent as one of ``accepted``; the first is what they are."""

    def read(target: ReadTarget) -> Converter | None:
        target.check(*accepted)
        kind, stored = target.kind, accepted[0]
        is_as_it_is = kind is stored or (kind is float and stored is int)
        converter: Converter | None = None if is_as_it_is and stored is not bytes else kind
        return converter

    return read


def read_file_url(target: ReadTarget) -> Converter:
    target.check(str)
    assert isinstance(target.field, models.FileField)
    empty, storage = None if is_nullable(target.annotation) else "", target.field.storage

    def url(name: str) -> str | None:
        return storage.url(name) if name else empty

    return url


def read_array(target: ReadTarget) -> Converter | None:
    kind = target.kind
    if kind not in (*ANYTHING, list) and typing.get_origin(kind) not in (list, set, frozenset):
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):  # array_like
            return read_json(target)
        raise target.misfit("a list")
    item = (typing.get_args(kind) or (Any,))[0]
    make: Any = typing.get_origin(kind) or list
    convert = target.inner_converter(item, base_field(target.field))
    if convert is None:
        return None if make is list else typing.cast("Converter", make)

    def read(values: list[object]) -> object:
        return make([None if value is None else convert(value) for value in values])

    return read


def read_composite_key(target: ReadTarget) -> Converter | None:
    """Read a composite key as a tuple or a list with a type for each column."""
    kind, columns = target.kind, key_columns(target.field.model)
    if kind in ANYTHING:
        return None
    made, inner = typing.get_origin(kind) or kind, typing.get_args(kind) or (Any, ...)
    items = inner[:1] * len(columns) if made is list or inner[1:] == (...,) else inner
    if made not in (list, tuple) or len(items) != len(columns):
        names = ", ".join(column.name for column in columns)
        raise ConfigurationError(
            f"{target.where}: {target.column} is {names}: a tuple with a type for each of them, or a list.", id="M001"
        )
    converters = [target.inner_converter(item, column) for item, column in zip(items, columns, strict=True)]

    def convert(values: tuple[object, ...]) -> object:
        pairs = zip(converters, values, strict=True)
        return made([value if change is None else change(value) for change, value in pairs])

    return convert


def read_mapping(target: ReadTarget) -> Converter | None:
    kind = target.kind
    is_structure = isinstance(kind, type) and (issubclass(kind, msgspec.Struct) or typing.is_typeddict(kind))
    if kind is not dict and typing.get_origin(kind) is not dict and not is_structure:
        raise target.misfit("a dict of texts")
    return read_json(target)


def read_unknown(target: ReadTarget) -> Converter | None:
    """Read values of a project's own field, which are whatever that makes of them."""
    kind: type[Any] = target.kind
    if kind not in (str, int, float, decimal.Decimal):
        return read_json(target)

    def make(value: Any) -> object:
        return value if type(value) is kind else kind(value)

    return make


def read_json(target: ReadTarget) -> Converter | None:
    """Read JSON, and what others invented: as it is, unless the annotation has fields or types of its own."""
    kind = target.kind
    if _is_plain(kind):
        return None

    def convert(value: object) -> object:
        return value if isinstance(kind, type) and isinstance(value, kind) else msgspec.convert(value, kind)

    return convert


def _is_plain(kind: object) -> bool:
    """Return whether nothing but JSON's own types is in it."""
    kind = bare(kind)
    if typing.get_origin(kind) in (dict, list, Union, types.UnionType):
        return all(_is_plain(entry) for entry in typing.get_args(kind))
    return kind in (*ANYTHING, dict, list, str, int, float, bool, None, types.NoneType)


# --- choices -------------------------------------------------------------------------------------------------------


def read_enum(target: ReadTarget, kind: type[enum.Enum]) -> Converter:
    """Read members of an enum, which must have all choices of the column."""
    values = [member.value for member in kind]
    if not (all(isinstance(value, str) for value in values) or all(type(value) is int for value in values)):
        raise ConfigurationError(
            f"{target.where}: the members of {kind.__name__} must be all texts or all whole numbers.", id="M002"
        )
    stored = target.python_type
    if stored is not None and not all(isinstance(value, _MEMBER_TYPES.get(stored, ())) for value in values):
        raise target.misfit(stored.__name__)
    _check_choices(target, set(values))
    members: dict[object, object] = {member.value: member for member in kind}
    if target.may_be_blank and "" not in members:
        members[""] = _blank_member(target, kind)

    def member(value: object) -> object:
        return members[value] if value in members else kind(value)  # kind() has the words for what is none

    return member


def _blank_member(target: ReadTarget, kind: type[enum.Enum]) -> object:
    """Return what an empty text is to an enum that has no member for it."""
    if is_nullable(target.annotation):
        return None
    try:
        return kind("")  # by _missing_
    except ValueError:
        raise _no_blank(target) from None


def read_literal(target: ReadTarget) -> Converter | None:
    """Read values of a ``Literal``, which must name all choices of the column."""
    values = set(typing.get_args(target.kind))
    _check_choices(target, values)
    if "" in values or not target.may_be_blank or not all(isinstance(value, str) for value in values - {None}):
        return None
    if not is_nullable(target.annotation) and None not in values:
        raise _no_blank(target)
    return lambda value: None if value == "" else value


def _no_blank(target: ReadTarget) -> ConfigurationError:
    return ConfigurationError(
        f'{target.where}: {target.column} may be blank, and {format_type(target.kind)} has no "" for that. Add it, or '
        "write `| None` after the type: a blank is shown as null then, and null is written as a blank.",
        id="M003",
    )


def _check_choices(target: ReadTarget, known: set[object]) -> None:
    missing = [value for value in choices_of(target.field) if value not in known and value != ""]
    if missing:
        raise ConfigurationError(
            f"{target.where}: {format_type(target.kind)} lacks {', '.join(map(repr, missing))}, a choice of "
            f"{target.column}.",
            id="M002",
        )
