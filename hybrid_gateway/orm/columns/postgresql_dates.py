"""Moments that PostgreSQL has and Python has not: before year 1, after 9999, ``infinity``, 24:00.

How this works: the driver raises for the first of them, and a list with such a row could not be read at all. Then, and
only then, the query is asked again on a cursor that gives the end of Python's calendar which is nearest.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any, TypeAlias

from django.db.backends.utils import CursorWrapper

__all__ = ["ask_again", "widen"]

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
    loaders = _loaders(getattr(cursor.db, "timezone", None))
    for name, loader in loaders.items():
        adapters.register_loader(name, loader)


def _loaders(zone: datetime.tzinfo | None) -> dict[str, Loader]:
    # Here, because psycopg need not be installed.
    from django.db.backends.postgresql.psycopg_any import BaseTzLoader
    from psycopg.types import datetime as known

    class Tz(BaseTzLoader):  # type: ignore[misc]
        timezone = zone

    return {
        "timestamptz": _within(
            Tz, datetime.datetime.min.replace(tzinfo=zone), datetime.datetime.max.replace(tzinfo=zone)
        ),
        "timestamp": _within(known.TimestampLoader, datetime.datetime.min, datetime.datetime.max),
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
