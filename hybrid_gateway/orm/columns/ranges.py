"""Ranges of PostgreSQL as clients see and send them."""

from __future__ import annotations

import datetime
import typing
from collections.abc import Callable
from typing import Any, Generic, Literal, Protocol, TypeVar

import msgspec
from django.db.backends.base.base import BaseDatabaseWrapper

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.columns.annotation_types import ANYTHING
from hybrid_gateway.orm.columns.model_fields import ModelField, base_field
from hybrid_gateway.orm.columns.value_readers import Converter, ReadTarget
from hybrid_gateway.orm.columns.value_writers import Writer

__all__ = ["DriverRange", "Range", "is_range", "range_converter", "read_range", "write_range"]

T = TypeVar("T")

Bounds = Literal["[)", "(]", "[]", "()"]


class DriverRange(Protocol):
    """A range as psycopg gives it."""

    @property
    def isempty(self) -> bool: ...
    @property
    def lower(self) -> object: ...
    @property
    def upper(self) -> object: ...
    @property
    def bounds(self) -> Bounds: ...


class Range(msgspec.Struct, Generic[T], frozen=True):
    """A range of PostgreSQL: ``bounds`` is ``"[)"`` for one that holds its lower end and not its upper one.

    ``Range`` alone is one of what the column holds; ``Range[int]`` says it.
    """

    lower: T | None = None
    upper: T | None = None
    bounds: Bounds = "[)"
    empty: bool = False


def is_range(kind: object) -> bool:
    """Return whether an annotation is :class:`Range`, of whatever."""
    return kind is Range or typing.get_origin(kind) is Range


def read_range(target: ReadTarget) -> Converter:
    """Read the driver's ranges as :class:`Range`."""
    kind = target.kind
    if kind not in ANYTHING and not is_range(kind):
        raise ConfigurationError(
            f"{target.where}: {target.column}, a range of PostgreSQL, is read as hybrid_gateway.orm.Range."
        )
    end = (typing.get_args(kind) or (object,))[0]
    return range_converter(target.inner_converter(end, base_field(target.field)))


def range_converter(convert: Converter | None) -> Callable[[DriverRange], Range[object]]:
    """Return the function that makes a :class:`Range` of the driver's; ``convert`` is for its ends."""

    def end(value: object) -> object:
        return value if convert is None or value is None else convert(value)

    def read(value: DriverRange) -> Range[object]:
        if value.isempty:
            return Range(empty=True)
        return Range(end(value.lower), end(value.upper), value.bounds)

    return read


def write_range(field: ModelField, write_end: Writer) -> Writer:
    """Return the writer that makes a range of the driver of a :class:`Range`.

    It raises ``ValueError`` or ``ValidationError`` for what PostgreSQL has no range of, ends in the wrong order
    included.
    """
    base, range_type = base_field(field), getattr(field, "range_type")  # noqa: B009 (of postgres alone)

    def end(value: object, connection: BaseDatabaseWrapper) -> Any:
        if value is None:
            return None
        value = write_end(base.to_python(value), connection)
        base.run_validators(value)
        return value

    def write(value: object, connection: BaseDatabaseWrapper) -> object:
        if isinstance(value, dict):  # of JSON, where nothing has said that it is a range
            try:
                value = msgspec.convert(value, Range)
            except msgspec.ValidationError as error:
                raise ValueError(str(error)) from None
        if not isinstance(value, Range):
            return value
        if value.empty:
            return range_type(empty=True)
        lower, upper = end(value.lower, connection), end(value.upper, connection)
        if lower is not None and upper is not None and lower > upper:
            raise ValueError("The lower end of the range is above its upper one")
        if datetime.date.max in (lower if value.bounds[0] == "(" else None, upper if value.bounds[1] == "]" else None):
            raise ValueError("The range is outside of the calendar")  # PostgreSQL makes it one up to the next day
        return range_type(lower, upper, value.bounds)

    return write
