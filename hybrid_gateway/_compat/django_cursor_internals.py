"""Undocumented names of Django's cursors: what they do around a statement, and whether anybody watches them."""

from __future__ import annotations

from asyncio import _get_running_loop
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import get_ident
from types import FunctionType
from typing import Any, TypeAlias

from django.apps import apps
from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

Rows: TypeAlias = "list[Sequence[object]]"
AskDriver: TypeAlias = Callable[[BaseDatabaseWrapper, str, "list[Any]"], "Rows | None"]
"""A connection, a text as its driver takes it, and parameters → the rows; ``None`` for values that cannot be loaded."""


_Wrapper: Any = CursorWrapper


_known_steps: list[tuple[object, ...]] = [()]
"""PERF: those that were Django's when they were last looked at."""

_ENSURE = BaseDatabaseWrapper.ensure_connection
_OF_INSTANCES = frozenset({"cursor", "_cursor", "_prepare_cursor", "make_cursor", "create_cursor"})

_known_settings: dict[str, Any] = object.__getattribute__(settings, "__dict__")
"""PERF: the settings that were read before; LazySettings empties it whenever one changes."""


def asks_driver(connection: Any) -> bool:
    """Tell whether ``cursor.execute()`` would come to nothing but a call of the driver, unseen by anybody else.

    Not so where statements are logged or wrapped, where a test or a package has replaced a step, and where Django has
    to look at the connection first. Opens it; raises what ``connection.cursor()`` does where it may not be used.
    """
    if connection.execute_wrappers or connection.force_debug_cursor or connection.needs_rollback:
        return False
    is_debugging = _known_settings.get("DEBUG")
    if settings.DEBUG if is_debugging is None else is_debugging:
        return False
    if connection.health_check_enabled and not connection.health_check_done:
        return False
    if connection._thread_ident != get_ident() or not apps.ready:
        return False
    kind = type(connection)
    steps = (
        *(kind.cursor, kind._cursor, kind._prepare_cursor, kind.make_cursor, _Wrapper.__init__, _Wrapper.__getattr__),
        *(_Wrapper.execute, _Wrapper._execute_with_wrappers, _Wrapper._execute),
    )
    if steps != _known_steps[0]:
        for step in steps:  # packages and tests that watch statements put others in their place
            if type(step) is not FunctionType or not step.__globals__["__name__"].startswith("django."):
                return False
            if not step.__qualname__.startswith(("BaseDatabaseWrapper.", "CursorWrapper.")):
                return False
        _known_steps[0] = steps
    own = connection.__dict__
    if not own.keys().isdisjoint(_OF_INSTANCES):
        for name in own.keys() & _OF_INSTANCES:  # tests that have put something there leave the method itself
            if getattr(own[name], "__func__", None) is not getattr(kind, name):
                return False
    # Django's and pytest's test cases replace it. PERF: most often, it raises and catches an error, and does nothing.
    if connection.connection is None or _get_running_loop() is not None or kind.ensure_connection is not _ENSURE:
        connection.ensure_connection()
    return True


def driver_of(connection: BaseDatabaseWrapper) -> tuple[AskDriver, Callable[[str], str]]:
    """Return what asks the driver of an open connection, and what makes of Django's SQL the text that it takes."""
    if connection.vendor == "sqlite":
        from sqlite3 import Connection  # here, because some builds of Python have none

        from django.db.backends.sqlite3.base import DatabaseWrapper

        if (
            type(connection).create_cursor is DatabaseWrapper.create_cursor
            and type(connection.connection) is Connection
        ):
            cursor: Any = connection.create_cursor()
            return _ask_sqlite, cursor.convert_query  # PERF: with a regular expression, for each statement
    return _ask, str


def _ask_sqlite(connection: Any, text: str, parameters: list[Any]) -> Rows | None:
    try:
        rows: Rows = connection.connection.execute(text, parameters).fetchall()
    except Exception:
        with connection.wrap_database_errors:
            raise
    return rows


def _ask(connection: Any, text: str, parameters: list[Any]) -> Rows | None:
    errors = connection.Database
    with connection.wrap_database_errors:
        cursor = connection.create_cursor()
        try:
            cursor.execute(text, parameters)
            try:
                rows: Rows = cursor.fetchall()
            except errors.DataError:
                return None
        finally:
            with suppress(errors.Error):
                cursor.close()
    return rows
