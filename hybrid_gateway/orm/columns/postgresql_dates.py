"""Moments that PostgreSQL has and Python has not: before year 1, after 9999, ``infinity``, 24:00.

How this works: the driver raises for the first of them, and a list with such a row could not be read at all. Then, and
only then, the query is asked again on a cursor that gives the end of Python's calendar which is nearest.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

__all__ = ["ask_again", "widen"]


def ask_again(cursor: Any, sql: str, parameters: Sequence[Any]) -> list[Any]:
    """The rows of a query whose values the driver could not load; raises what it raises where that is of no use."""
    widen(cursor)
    cursor.execute(sql, parameters)
    found: list[Any] = cursor.fetchall()
    return found


def widen(cursor: Any) -> None:
    """Make ``cursor`` load moments outside of the calendar as its nearest end; nothing for other drivers."""
    adapters = getattr(cursor.cursor, "adapters", None)
    if adapters is None:
        return
    loaders = _loaders(getattr(cursor.db, "timezone", None))
    for name, loader in loaders.items():
        adapters.register_loader(name, loader)


def _loaders(zone: datetime.tzinfo | None) -> dict[str, Any]:
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


def _within(loader: Any, least: Any, most: Any) -> Any:
    from psycopg import DataError

    class Within(loader):  # type: ignore[misc]
        def load(self, data: Any) -> Any:
            try:
                return super().load(data)
            except (DataError, OverflowError):
                text = bytes(data)
                return least if text.startswith(b"-") or text.endswith(b"BC") else most

    return Within
