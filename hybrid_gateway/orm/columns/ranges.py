"""Ranges of PostgreSQL as clients see and send them."""

from __future__ import annotations

import datetime
import typing
from collections.abc import Callable
from typing import Any, Generic, Literal, TypeVar

import msgspec

__all__ = ["Range", "end_of", "is_range", "is_range_field", "reader", "writer"]

T = TypeVar("T")

_FIELDS = ("IntegerRangeField", "BigIntegerRangeField", "DecimalRangeField", "DateTimeRangeField", "DateRangeField")


class Range(msgspec.Struct, Generic[T], frozen=True):
    """A range of PostgreSQL: ``bounds`` is ``"[)"`` for one that holds its lower end and not its upper one.

    ``Range`` alone is one of what the column holds; ``Range[int]`` says it.
    """

    lower: T | None = None
    upper: T | None = None
    bounds: Literal["[)", "(]", "[]", "()"] = "[)"
    empty: bool = False


def is_range_field(field: Any) -> bool:
    """Whether its values are ranges."""
    return field.get_internal_type() in _FIELDS


def is_range(kind: Any) -> bool:
    """Whether an annotation is :class:`Range`, of whatever."""
    return kind is Range or typing.get_origin(kind) is Range


def end_of(kind: Any) -> Any:
    """What the ends of a :class:`Range` are; ``Any`` where it does not say."""
    return typing.get_args(kind)[0] if typing.get_args(kind) else Any


def reader(convert: Callable[[Any], Any] | None) -> Callable[[Any], Range[Any]]:
    """What makes a :class:`Range` of the driver's; ``convert`` is for its ends."""

    def end(value: Any) -> Any:
        return value if convert is None or value is None else convert(value)

    def read(value: Any) -> Range[Any]:
        if value.isempty:
            return Range(empty=True)
        return Range(end(value.lower), end(value.upper), value.bounds)

    return read


def writer(field: Any, take: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """What makes a range of the driver of a :class:`Range`; ``take`` is for its ends.

    Raises ``ValueError`` or ``ValidationError`` for what PostgreSQL has no range of, ends in the wrong order included.
    """

    def end(value: Any, connection: Any) -> Any:
        if value is None:
            return None
        value = take(field.base_field.to_python(value), connection)
        field.base_field.run_validators(value)
        return value

    def write(value: Any, connection: Any) -> Any:
        if isinstance(value, dict):  # of JSON, where nothing has said that it is a range
            value = _converted(value)
        if not isinstance(value, Range):
            return value
        if value.empty:
            return field.range_type(empty=True)
        lower, upper = end(value.lower, connection), end(value.upper, connection)
        if lower is not None and upper is not None and lower > upper:
            raise ValueError("The lower end of the range is above its upper one")
        if datetime.date.max in (lower if value.bounds[0] == "(" else None, upper if value.bounds[1] == "]" else None):
            raise ValueError("The range is outside of the calendar")  # PostgreSQL makes it one up to the next day
        return field.range_type(lower, upper, value.bounds)

    return write


def _converted(value: dict[str, Any]) -> Range[Any]:
    try:
        return msgspec.convert(value, Range)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
