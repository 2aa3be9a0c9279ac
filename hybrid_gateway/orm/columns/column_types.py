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
from types import GenericAlias
from typing import Any, Literal

import msgspec

from hybrid_gateway.orm.columns import value_limits as limits
from hybrid_gateway.orm.columns import value_predictors as predictors
from hybrid_gateway.orm.columns import value_readers as readers
from hybrid_gateway.orm.columns import value_writers as writers
from hybrid_gateway.orm.columns.field_facts import (
    ModelField,
    PathStep,
    base_field,
    describe_field,
    is_overridden,
    value_field,
)
from hybrid_gateway.orm.columns.postgresql import Range, read_range, write_range
from hybrid_gateway.orm.columns.value_predictors import UNKNOWN, Predictor
from hybrid_gateway.orm.columns.value_readers import Converter, ReadTarget, read_scalar
from hybrid_gateway.orm.columns.value_writers import Writer
from hybrid_gateway.type_info import ANYTHING

EXACT_TYPES = (int, bool, str, uuid.UUID, datetime.date, datetime.timedelta, bytes)
"""Types whose values come back as they were written."""

_NOT_TEXT = (int, bool, datetime.date, datetime.timedelta, uuid.UUID)
_PREPARING_METHODS = ("get_prep_value", "get_db_prep_value", "get_db_prep_save")
_WRITING_METHODS = (*_PREPARING_METHODS, "pre_save", "db_type", "get_placeholder", "to_python")


class ColumnType(msgspec.Struct, frozen=True):
    """All that the package knows of one kind of model field."""

    python_type: type | None = None
    """What Django makes of a value of the database; ``None`` where that may be anything (JSON)."""
    read: Callable[[ReadTarget], Converter | None] = readers.read_json
    """Checks the annotation of a Struct's field, and gives what makes its values of the column's."""
    is_read_as_choice: bool = True
    """Whether an annotation may also be an enum, a ``Literal`` or ``Any``, which ``read`` does not see then."""
    write: Writer | None = None
    """Does to a client's value what must be done before the model sees it; ``None``: no more than for any other."""
    write_of: Callable[[ModelField], Writer] | None = None
    """Gives ``write`` for one field."""
    predict: Callable[[ModelField], Predictor] | None = None
    """Gives what says how a written value comes back; ``None``: as it is, or else nobody knows."""
    annotation: Callable[[ModelField], object] | None = None
    """The type of a Struct's field that is made for the column; ``None``: ``python_type``."""
    constraints: Callable[[ModelField, type], msgspec.Meta | None] | None = None
    """What is demanded and documented of a value of a type; ``None``: the lengths and bounds of the field."""
    check_lookup: Callable[[ModelField, object], str | None] | None = None
    """Says why a value cannot be compared with, where databases do not agree on it."""
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
    return is_overridden(field, "from_db_value", "get_db_converters") or not column_type_of(field).is_known


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
        if typing.get_origin(kind) is Literal:
            return readers.read_literal(target)
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return readers.read_enum(target, kind)
        if is_unknown(field):
            return readers.read_unknown(target)
    return row.read(target)


def write_converter(field: PathStep) -> Writer:
    """Return what is done to a client's value for ``field`` before the model sees it. It never sees ``None``."""
    field = value_field(field)
    row, is_of_others = column_type_of(field), is_unknown(field)
    holds_values = row.is_array or row.python_type is Range
    write = row.write_of(field) if row.write_of and not (is_of_others and holds_values) else row.write
    if is_of_others:
        return writers.write_unknown(write or writers.write_text)
    return write or (writers.write_not_empty if row.python_type in _NOT_TEXT else writers.write_choice)


def predictor(field: PathStep) -> Predictor | None:
    """Return what says how a value of ``field`` comes back; ``None`` for the name of a file, which is no value."""
    field = value_field(field)
    row, stored = column_type_of(field), stored_type(field)
    if row.is_file:
        return None
    is_told = row.predict is not None and type(field) in COLUMN_TYPES
    if not is_told and (is_unknown(field) or is_overridden(field, *_WRITING_METHODS)):
        return predictors.predict_nothing
    if row.predict is not None:
        return row.predict(field)
    return predictors.predict_exactly(stored, field) if stored in EXACT_TYPES else predictors.predict_nothing


def normalizer(field: PathStep) -> Predictor | None:
    """Return what makes of a value of any instance, saved or not, the one that its row gives, as far as possible."""
    predict, is_readable = predictor(field), not is_unknown(field)
    if predict is None:
        return None
    field = value_field(field)

    def normalize(value: object, connection: Any) -> object:
        known = predict(value, connection)
        if known is UNKNOWN and is_readable:
            known = predictors.to_python(field, value)
        return value if known is UNKNOWN else known

    return normalize


# --- the table -----------------------------------------------------------------------------------------------------


_TEXT = ColumnType(str, read_scalar(str), write=writers.write_text)
_INTEGER = ColumnType(int, read_scalar(int, float, str))
_RANGE = ColumnType(
    Range,
    read_range,
    is_read_as_choice=False,
    write_of=lambda field: write_range(field, write_converter(base_field(field))),
    predict=lambda field: predictors.predict_nothing,
    annotation=lambda field: Range[_value_annotation(base_field(field))],  # type: ignore[misc]
)
_UNKNOWN_TYPE = ColumnType(is_known=False, write=writers.write_text, predict=lambda field: predictors.predict_nothing)

COLUMN_TYPES: dict[str | type, ColumnType] = {
    **dict.fromkeys(("AutoField", "BigAutoField", "SmallAutoField"), _INTEGER),
    **dict.fromkeys(("IntegerField", "BigIntegerField", "SmallIntegerField"), _INTEGER),
    **dict.fromkeys(("PositiveIntegerField", "PositiveBigIntegerField", "PositiveSmallIntegerField"), _INTEGER),
    **dict.fromkeys(("CharField", "TextField", "SlugField"), _TEXT),
    "IPAddressField": ColumnType(str, read_scalar(str)),
    "GenericIPAddressField": ColumnType(
        str,
        read_scalar(str),
        write=writers.write_text,
        predict=predictors.predict_ip_address,
        check_lookup=limits.address_violation,
    ),
    "FilePathField": ColumnType(str, read_scalar(str), write_of=writers.write_path),
    "FileField": ColumnType(
        str,
        readers.read_file_url,
        is_read_as_choice=False,
        write=writers.write_text,
        annotation=lambda field: str,
        is_file=True,
    ),
    "BooleanField": ColumnType(bool, read_scalar(bool, int)),
    "FloatField": ColumnType(float, read_scalar(float), write=writers.write_float, predict=predictors.predict_float),
    "DecimalField": ColumnType(
        decimal.Decimal,
        read_scalar(decimal.Decimal, float, str),
        write=writers.write_decimal,
        predict=predictors.predict_decimal,
        constraints=limits.decimal_constraints,
    ),
    "DateField": ColumnType(datetime.date, read_scalar(datetime.date)),
    "DateTimeField": ColumnType(
        datetime.datetime,
        read_scalar(datetime.datetime),
        write=writers.write_datetime,
        predict=predictors.predict_datetime,
    ),
    "TimeField": ColumnType(
        datetime.time,
        read_scalar(datetime.time),
        write=writers.write_time,
        predict=predictors.predict_time,
        check_lookup=limits.time_violation,
    ),
    "DurationField": ColumnType(datetime.timedelta, read_scalar(datetime.timedelta), write=writers.write_duration),
    "UUIDField": ColumnType(uuid.UUID, read_scalar(uuid.UUID, str)),
    "BinaryField": ColumnType(bytes, read_scalar(bytes)),
    "JSONField": ColumnType(write=writers.write_json, predict=predictors.predict_json, has_order=False),
    "CompositePrimaryKey": ColumnType(read=readers.read_composite_key, is_read_as_choice=False, is_known=False),
    # django.contrib.postgres
    "ArrayField": ColumnType(
        list,
        readers.read_array,
        is_read_as_choice=False,
        write_of=lambda field: writers.write_array(base_field(field), write_converter(base_field(field))),
        predict=lambda field: predictors.predict_array(predictor(base_field(field)) or predictors.predict_nothing),
        annotation=lambda field: GenericAlias(list, _value_annotation(base_field(field))),
        is_array=True,
    ),
    "HStoreField": ColumnType(
        dict,
        readers.read_mapping,
        write=writers.write_texts,
        predict=predictors.predict_texts,
        annotation=lambda field: dict[str, str | None],
    ),
    **dict.fromkeys(("IntegerRangeField", "BigIntegerRangeField", "DecimalRangeField"), _RANGE),
    **dict.fromkeys(("DateTimeRangeField", "DateRangeField"), _RANGE),
    "SearchVectorField": msgspec.structs.replace(_UNKNOWN_TYPE, has_syntax=True),
}
"""By the class of a field, or by its internal type; the class goes first."""
