"""Ranges of PostgreSQL as clients see and send them, and its moments that Python has not."""

from __future__ import annotations

import datetime
import typing
from collections.abc import Callable, Sequence
from typing import Any, Generic, Literal, Protocol, TypeAlias, TypeVar

import msgspec
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.columns.field_facts import ModelField, base_field
from hybrid_gateway.orm.columns.value_readers import Converter, ReadTarget
from hybrid_gateway.orm.columns.value_writers import Writer
from hybrid_gateway.type_info import ANYTHING

T = TypeVar("T")

Bounds = Literal["[)", "(]", "[]", "()"]


class DriverRange(Protocol):
    """A range as psycopg gives it."""

    isempty: bool
    lower: object
    upper: object
    bounds: Bounds


class Range(msgspec.Struct, Generic[T], frozen=True):
    """A range of PostgreSQL: ``bounds`` is ``"[)"`` for one that holds its lower end and not its upper one.

    ``Range`` alone is one of what the column holds; ``Range[int]`` says it.
    """

    lower: T | None = None
    upper: T | None = None
    bounds: Bounds = "[)"
    empty: bool = False


def read_range(target: ReadTarget) -> Converter:
    """Read the driver's ranges as :class:`Range`."""
    kind = target.kind
    if kind not in ANYTHING and (typing.get_origin(kind) or kind) is not Range:
        raise ConfigurationError(
            f"{target.where}: {target.column}, a range of PostgreSQL, is read as hybrid_gateway.orm.Range.", id="M001"
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


# --- moments before year 1, after 9999, ``infinity``, 24:00 --------------------------------------------------------

# The driver raises for the first of them, and a list with such a row could not be read at all. Then, and only then, the
# query is asked again on a cursor that gives the end of Python's calendar which is nearest.

Loader: TypeAlias = Any
"""A class of psycopg, which need not be installed."""


def ask_again(cursor: CursorWrapper, sql: str, parameters: Sequence[Any]) -> list[Sequence[object]]:
    """Return the rows of a query whose values the driver could not load, or raise its error once more."""
    widen(cursor)
    cursor.execute(sql, parameters)
    rows: list[Sequence[object]] = cursor.fetchall()
    return rows


def widen(cursor: CursorWrapper) -> None:
    """Make ``cursor`` load moments outside of the calendar as its nearest end; nothing for other drivers."""
    adapters = getattr(cursor.cursor, "adapters", None)
    if adapters is None:
        return
    for name, loader in _loaders(getattr(cursor.db, "timezone", None)).items():
        adapters.register_loader(name, loader)


def _loaders(zone: datetime.tzinfo | None) -> dict[str, Loader]:
    # Here, because psycopg need not be installed.
    from django.db.backends.postgresql.psycopg_any import BaseTzLoader
    from psycopg.types import datetime as known

    class Tz(BaseTzLoader):  # type: ignore[misc]
        timezone = zone

    least, most = datetime.datetime.min, datetime.datetime.max
    return {
        "timestamptz": _within(Tz, least.replace(tzinfo=zone), most.replace(tzinfo=zone)),
        "timestamp": _within(known.TimestampLoader, least, most),
        "date": _within(known.DateLoader, datetime.date.min, datetime.date.max),
        "time": _within(known.TimeLoader, datetime.time.min, datetime.time.max),
        "interval": _within(known.IntervalLoader, datetime.timedelta.min, datetime.timedelta.max),
    }


def _within(loader: Loader, least: object, most: object) -> Loader:
    from psycopg import DataError  # here, because it need not be installed

    class Within(loader):  # type: ignore[misc]
        def load(self, data: bytes) -> object:
            try:
                return super().load(data)
            except (DataError, OverflowError):
                text = bytes(data)
                return least if text.startswith(b"-") or text.endswith(b"BC") else most

    return Within
