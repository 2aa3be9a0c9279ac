"""The table of column types: all that the package knows of one kind of model field is one row of it.

How this works: a field is known by its class, or by the internal type that Django gives it. Its row says which Python
type the database gives, how that becomes what a Struct's annotation asks for, what is done to a client's value before
the model sees it, what a written value will be in the row, what the document says of it, and what it may be compared
with. To support one more kind of field, add its row; what a row does not say is as with any other.

What a project's own field gives nobody knows before it does, unless there is a row for its class: its values are looked
at one by one.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import typing
import uuid
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from hybrid_gateway.orm.columns import value_limits
from hybrid_gateway.orm.columns.annotation_types import ANYTHING
from hybrid_gateway.orm.columns.composite_keys import read_composite_key
from hybrid_gateway.orm.columns.decimal_bounds import decimal_constraints
from hybrid_gateway.orm.columns.model_fields import ModelField, PathStep, base_field, describe_field, value_field
from hybrid_gateway.orm.columns.ranges import Range, read_range, write_range
from hybrid_gateway.orm.columns.value_predictors import (
    UNKNOWN,
    Predictor,
    is_changed_by_project,
    predict_array,
    predict_datetime,
    predict_decimal,
    predict_exactly,
    predict_float,
    predict_ip_address,
    predict_json,
    predict_nothing,
    predict_texts,
    predict_time,
    to_python,
)
from hybrid_gateway.orm.columns.value_readers import (
    Converter,
    ReadTarget,
    read_array,
    read_choices,
    read_file_url,
    read_json,
    read_mapping,
    read_scalar,
    read_unknown,
)
from hybrid_gateway.orm.columns.value_writers import (
    Writer,
    write_array,
    write_choice,
    write_datetime,
    write_decimal,
    write_duration,
    write_float,
    write_json,
    write_not_empty,
    write_path,
    write_text,
    write_texts,
    write_time,
    write_unknown,
)

__all__ = [
    "COLUMN_TYPES",
    "ColumnType",
    "annotation_for",
    "column_type_of",
    "is_unknown",
    "normalizer",
    "predictor",
    "read_converter",
    "stored_type",
    "write_converter",
]


class ColumnType(msgspec.Struct, frozen=True):
    """All that the package knows of one kind of model field."""

    python_type: type | None = None
    """What Django makes of a value of the database; ``None`` where that may be anything (JSON)."""
    read: Callable[[ReadTarget], Converter | None] = read_json
    """Checks the annotation of a Struct's field, and gives what makes its values of the column's."""
    is_read_as_choice: bool = True
    """Whether an annotation may also be an enum, a ``Literal`` or ``Any``, which ``read`` does not see then."""
    write: Callable[[ModelField], Writer] | None = None
    """Gives what is done to a client's value before the model sees it; ``None``: no more than for any other."""
    predict: Callable[[ModelField], Predictor] | None = None
    """Gives what says how a written value comes back; ``None``: as it is, or else nobody knows."""
    annotation: Callable[[ModelField], object] | None = None
    """The type of a Struct's field that is made for the column; ``None``: ``python_type``."""
    constraints: Callable[[ModelField, type], msgspec.Meta | None] | None = None
    """What is demanded and documented of a value of a type; ``None``: the lengths and bounds of the field."""
    check_lookup: Callable[[ModelField], Callable[[object], str | None]] | None = None
    """Gives what says why a value cannot be compared with, where databases do not agree on it."""
    is_known: bool = True
    """Whether Django makes its values; those of others are looked at one by one."""
    is_file: bool = False
    """Whether it holds the name of a file, which is sent as a URL, and which clients do not write."""
    is_array: bool = False
    """Whether its values are lists of values of ``base_field``."""
    has_order: bool = True
    """Whether rows can be ordered by it on every database."""
    has_syntax: bool = False
    """Whether its values are texts in a language of the database, which alone can check them."""


def column_type_of(field: PathStep) -> ColumnType:
    """Return the row of a field: that of its class, or else of its internal type."""
    return COLUMN_TYPES.get(type(field)) or COLUMN_TYPES.get(field.get_internal_type()) or _UNKNOWN_TYPE


def is_unknown(field: PathStep) -> bool:
    """Return whether code that is not Django's makes the values of a field, or it is of a kind without a row."""
    if type(field) in COLUMN_TYPES:
        return False
    for name in ("from_db_value", "get_db_converters"):
        method = getattr(type(field), name, None)
        if method is not None and not method.__module__.startswith("django."):
            return True
    return not column_type_of(field).is_known


def stored_type(field: PathStep) -> type | None:
    """Return what a value of this field is in Python; ``None`` where nobody knows (JSON, fields of others)."""
    return None if is_unknown(field) else column_type_of(field).python_type


def annotation_for(field: ModelField) -> Any:
    """Return the type that a Struct made of a model has for ``field``."""
    kind = _value_annotation(value_field(field))
    return kind | None if field.null and kind is not Any else kind


def _value_annotation(field: ModelField) -> Any:
    row, stored = column_type_of(field), stored_type(field)
    if row.annotation is not None and not (row.is_read_as_choice and stored is None):
        return row.annotation(field)
    return Any if stored is None else stored


def read_converter(annotation: object, field: PathStep, where: str, column: str = "") -> Converter | None:
    """Return what makes a value of ``annotation`` of one of ``field``; ``None`` where that is the value itself.

    The converter never sees ``None``. Raises :class:`ConfigurationError` for a type that cannot hold the column, which
    the message describes as ``column``.
    """
    outer, field = field, value_field(field)
    # What a generated field puts out belongs to no model.
    column = column or describe_field(field if hasattr(field, "model") else outer)
    row = column_type_of(field)
    target = ReadTarget(annotation, field, stored_type(field), where, column, read_converter)
    if row.is_read_as_choice:
        kind = target.kind
        if kind in ANYTHING:
            return None
        if typing.get_origin(kind) is Literal or (isinstance(kind, type) and issubclass(kind, enum.Enum)):
            return read_choices(target)
        if is_unknown(field):
            return read_unknown(target)
    return row.read(target)


def write_converter(field: PathStep) -> Writer:
    """Return what is done to a client's value for ``field`` before the model sees it. It never sees ``None``."""
    field = value_field(field)
    row = column_type_of(field)
    if is_unknown(field):
        is_of_items = row.is_array or row.python_type is Range
        return write_unknown(row.write(field) if row.write and not is_of_items else write_text)
    if row.write is not None:
        return row.write(field)
    return write_not_empty if row.python_type in _NOT_TEXT else write_choice


_NOT_TEXT = (int, bool, datetime.date, datetime.timedelta, uuid.UUID)


def predictor(field: PathStep) -> Predictor | None:
    """Return what says how a value of ``field`` comes back; ``None`` for the name of a file, which is no value."""
    field = value_field(field)
    row, stored = column_type_of(field), stored_type(field)
    if row.is_file:
        return None
    is_told = row.predict is not None and type(field) in COLUMN_TYPES
    if not is_told and (is_unknown(field) or is_changed_by_project(field)):
        return predict_nothing
    if row.predict is not None:
        return row.predict(field)
    return predict_exactly(stored, field) if stored in EXACT_TYPES else predict_nothing


EXACT_TYPES = (int, bool, str, uuid.UUID, datetime.date, datetime.timedelta, bytes)
"""Types whose values come back as they were written."""


def normalizer(field: PathStep) -> Predictor | None:
    """Return what makes of the value of any instance, saved or not, what its row gives, as far as that can be told."""
    predict, is_readable = predictor(field), not is_unknown(field)
    if predict is None:
        return None
    field = value_field(field)

    def normalize(value: object, connection: Any) -> object:
        known = predict(value, connection)
        if known is UNKNOWN and is_readable:
            known = to_python(field, value)
        return value if known is UNKNOWN else known

    return normalize


# --- the table -----------------------------------------------------------------------------------------------------


def _always(write: Writer) -> Callable[[ModelField], Writer]:
    return lambda field: write


def _predict_items(field: ModelField) -> Predictor:
    return predict_array(predictor(base_field(field)) or predict_nothing)


_TEXT = ColumnType(str, read_scalar(str), write=_always(write_text))
_INTEGER = ColumnType(int, read_scalar(int, float, str))
_RANGE = ColumnType(
    Range,
    read_range,
    is_read_as_choice=False,
    write=lambda field: write_range(field, write_converter(base_field(field))),
    predict=lambda field: predict_nothing,
    annotation=lambda field: Range[_value_annotation(base_field(field))],  # type: ignore[misc]
)
_UNKNOWN_TYPE = ColumnType(is_known=False, write=_always(write_text), predict=lambda field: predict_nothing)

COLUMN_TYPES: dict[str | type, ColumnType] = {
    **dict.fromkeys(("AutoField", "BigAutoField", "SmallAutoField"), _INTEGER),
    **dict.fromkeys(("IntegerField", "BigIntegerField", "SmallIntegerField"), _INTEGER),
    **dict.fromkeys(("PositiveIntegerField", "PositiveBigIntegerField", "PositiveSmallIntegerField"), _INTEGER),
    **dict.fromkeys(("CharField", "TextField", "SlugField"), _TEXT),
    "IPAddressField": ColumnType(str, read_scalar(str)),
    "GenericIPAddressField": ColumnType(
        str,
        read_scalar(str),
        write=_always(write_text),
        predict=predict_ip_address,
        check_lookup=value_limits.address_violation,
    ),
    "FilePathField": ColumnType(str, read_scalar(str), write=write_path),
    "FileField": ColumnType(
        str,
        read_file_url,
        is_read_as_choice=False,
        write=_always(write_text),
        annotation=lambda field: str,
        is_file=True,
    ),
    "BooleanField": ColumnType(bool, read_scalar(bool, int)),
    "FloatField": ColumnType(float, read_scalar(float), write=_always(write_float), predict=predict_float),
    "DecimalField": ColumnType(
        decimal.Decimal,
        read_scalar(decimal.Decimal, float, str),
        write=_always(write_decimal),
        predict=predict_decimal,
        constraints=decimal_constraints,
    ),
    "DateField": ColumnType(datetime.date, read_scalar(datetime.date)),
    "DateTimeField": ColumnType(
        datetime.datetime,
        read_scalar(datetime.datetime),
        write=_always(write_datetime),
        predict=predict_datetime,
    ),
    "TimeField": ColumnType(
        datetime.time,
        read_scalar(datetime.time),
        write=_always(write_time),
        predict=predict_time,
        check_lookup=value_limits.time_violation,
    ),
    "DurationField": ColumnType(datetime.timedelta, read_scalar(datetime.timedelta), write=_always(write_duration)),
    "UUIDField": ColumnType(uuid.UUID, read_scalar(uuid.UUID, str)),
    "BinaryField": ColumnType(bytes, read_scalar(bytes)),
    "JSONField": ColumnType(write=_always(write_json), predict=predict_json, has_order=False),
    "CompositePrimaryKey": ColumnType(read=read_composite_key, is_read_as_choice=False, is_known=False),
    # django.contrib.postgres
    "ArrayField": ColumnType(
        list,
        read_array,
        is_read_as_choice=False,
        write=lambda field: write_array(base_field(field), write_converter(base_field(field))),
        predict=_predict_items,
        annotation=lambda field: list[_value_annotation(base_field(field))],  # type: ignore[misc]
        is_array=True,
    ),
    "HStoreField": ColumnType(
        dict,
        read_mapping,
        write=_always(write_texts),
        predict=predict_texts,
        annotation=lambda field: dict[str, str | None],
    ),
    "IntegerRangeField": _RANGE,
    "BigIntegerRangeField": _RANGE,
    "DecimalRangeField": _RANGE,
    "DateTimeRangeField": _RANGE,
    "DateRangeField": _RANGE,
    "SearchVectorField": msgspec.structs.replace(_UNKNOWN_TYPE, has_syntax=True),
}
"""By the class of a field, or by its internal type; the class goes first."""
