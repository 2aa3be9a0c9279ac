"""Canaries of ``hybrid_gateway/_compat/django_cursor_internals.py``."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.exceptions import SynchronousOnlyOperation
from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.db.utils import ConnectionHandler
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from hybrid_gateway._compat import django_cursor_internals as internals
from tests.compat import canary

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def connection() -> Iterator[BaseDatabaseWrapper]:
    """A new one, which no other test has touched."""
    made: BaseDatabaseWrapper = ConnectionHandler({"default": {**connections["default"].settings_dict}})["default"]
    made.ensure_connection()
    made.execute_wrappers.clear()  # a gateway of another test may have asked to count statements
    driver: Any = made.connection
    yield made
    driver.close()  # Django never closes one to a database in memory


@canary("asks_driver")
def test_the_driver_is_asked_while_nobody_watches(connection: BaseDatabaseWrapper) -> None:
    assert internals.asks_driver(connection)
    with CaptureQueriesContext(connection):
        assert not internals.asks_driver(connection)
    with connection.execute_wrapper(lambda execute, *call: execute(*call)):
        assert not internals.asks_driver(connection)
    for _ in range(2):  # whether or not somebody has read it
        with override_settings(DEBUG=True):
            assert not internals.asks_driver(connection)
        assert internals.asks_driver(connection)


@canary("asks_driver")
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        *(
            (CursorWrapper, name)
            for name in ("__init__", "execute", "_execute", "_execute_with_wrappers", "__getattr__")
        ),
        *((BaseDatabaseWrapper, name) for name in ("cursor", "_cursor", "_prepare_cursor", "make_cursor")),
        *((None, name) for name in ("cursor", "make_cursor", "create_cursor")),  # of the connection alone
    ],
)
def test_a_step_that_somebody_has_replaced_is_taken(
    monkeypatch: pytest.MonkeyPatch, connection: BaseDatabaseWrapper, owner: Any, name: str
) -> None:
    owner = owner or connection
    before = getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *call: before(*call))
    assert not internals.asks_driver(connection)


@canary("asks_driver")
def test_django_looks_at_a_connection_that_may_not_be_used(connection: Any) -> None:
    async def on_a_loop() -> bool:
        return internals.asks_driver(connection)

    with pytest.raises(SynchronousOnlyOperation):
        asyncio.run(on_a_loop())
    with ThreadPoolExecutor(1) as pool:
        assert not pool.submit(internals.asks_driver, connection).result()
    connection.needs_rollback = True
    assert not internals.asks_driver(connection)
    connection.needs_rollback = False
    assert internals.asks_driver(connection)
    connection.health_check_enabled, connection.health_check_done = True, False
    assert not internals.asks_driver(connection)
    connection.health_check_enabled = False


@canary("asks_driver")
def test_a_connection_is_opened() -> None:
    alone = ConnectionHandler({"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}})["default"]
    assert internals.asks_driver(alone)
    assert alone.connection is not None
    alone.connection.close()


@canary("driver_of")
def test_the_driver_gives_rows_and_djangos_errors(connection: Any) -> None:
    ask, text_of = internals.driver_of(connection)
    text = text_of("SELECT %s, '100%%' WHERE 1 < %s")
    assert [tuple(row) for row in ask(connection, text, ["a", 2]) or ()] == [("a", "100%")]
    with pytest.raises(DatabaseError) as raised:
        ask(connection, text_of("SELECT a FROM b WHERE c = %s"), [1])
    assert isinstance(raised.value.__cause__, connection.Database.Error)
    assert connection.errors_occurred
    connection.errors_occurred = False
