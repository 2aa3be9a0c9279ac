"""Canaries of ``hybrid_gateway/_compat/django_connection_internals.py``."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.cache import cache, caches
from django.core.cache import close_caches as closed_by_django
from django.core.signals import request_finished
from django.db import OperationalError, close_old_connections, connection, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.sqlite3.base import DatabaseWrapper
from django.db.utils import ConnectionHandler

from hybrid_gateway._compat import django_connection_internals as internals
from tests.compat import canary


@pytest.fixture
def database(db: None, tmp_path: Path) -> Iterator[DatabaseWrapper]:
    """A connection of its own, to a file: Django never closes one to a database in memory."""
    options = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "canary.sqlite3"), "CONN_MAX_AGE": None}
    made = ConnectionHandler({"default": options})["default"]
    assert isinstance(made, DatabaseWrapper)
    yield made
    made.in_atomic_block = False
    made.close()


def transaction_of(database: DatabaseWrapper, patch: pytest.MonkeyPatch) -> transaction.Atomic:
    """``atomic`` for a connection that has no alias."""
    patch.setattr(transaction, "get_connection", lambda using: database)
    return transaction.atomic()


@canary("opened_connections")
def test_only_connections_that_were_used_are_opened() -> None:
    def use_one() -> bool:
        before, used = list(internals.opened_connections()), connections["default"]
        return before == [] and list(internals.opened_connections()) == [used]

    with ThreadPoolExecutor(1) as pool:  # its thread has used none
        assert pool.submit(use_one).result()


@canary("own_connections", "connections_in")
def test_the_connections_of_a_thread_are_seen_as_they_come_and_go() -> None:
    def use_and_delete() -> list[bool]:
        own = internals.own_connections()
        seen = [list(internals.connections_in(own)) == []]
        used = connections["default"]
        asyncio.run(_use_in_a_loop())  # for which asgiref keeps others, in the same place
        seen.append(list(internals.connections_in(own)) == list(internals.opened_connections()) == [used])
        del connections["default"]
        return [*seen, list(internals.connections_in(own)) == []]

    async def _use_in_a_loop() -> None:
        assert connections["default"] is not None

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(use_and_delete).result() == [True, True, True]


@canary("renew_connections")
def test_a_stale_connection_is_closed_and_an_abandoned_one_made_usable(database: DatabaseWrapper) -> None:
    database.connect()
    database.close_at = 0
    internals.renew_connections([database])
    assert database.connection is None
    database.connect()
    database.in_atomic_block = True
    database.close()
    internals.renew_connections([database])
    assert not database.in_atomic_block


@canary("close_stale_connections")
def test_a_connection_past_its_age_is_closed(database: DatabaseWrapper) -> None:
    database.connect()
    internals.close_stale_connections([database])
    assert database.connection is not None
    database.close_at = 0
    internals.close_stale_connections([database])
    assert database.connection is None


_STALE = """
if self.connection is not None: self.health_check_done = False
if self.get_autocommit() != self.settings_dict["AUTOCOMMIT"]: self.close() return
if self.errors_occurred: if self.is_usable(): self.errors_occurred = False self.health_check_done = True
else: self.close() return
if self.close_at is not None and time.monotonic() >= self.close_at: self.close() return
"""


@canary("close_stale_connections")
def test_django_has_no_more_reasons_to_close_a_connection_than_those_we_look_for() -> None:
    source = inspect.getsource(BaseDatabaseWrapper.close_if_unusable_or_obsolete).rpartition('"""')[2]
    code = [line.strip() for line in source.splitlines() if not line.strip().startswith("#")]
    assert " ".join(code).split() == _STALE.split()


@canary("close_stale_connections")
@pytest.mark.parametrize("attribute", ["errors_occurred", "autocommit", "close_at", "own rule"])
def test_whoever_may_have_a_reason_to_close_is_asked(database: DatabaseWrapper, attribute: str) -> None:
    database.connect()
    database.health_check_done = True
    asked = []

    def ask() -> None:
        asked.append(attribute)

    class Strict(DatabaseWrapper):
        close_if_unusable_or_obsolete = staticmethod(ask)

    if attribute == "own rule":
        database.__class__ = Strict
    internals.close_stale_connections([database])
    if attribute != "own rule":
        assert not asked
        assert not database.health_check_done
        assert database.connection is not None
        database.errors_occurred, database.is_usable = attribute == "errors_occurred", lambda: ask() is not None
        if attribute == "autocommit":
            database.set_autocommit(False)
        elif attribute == "close_at":
            database.close_at = 0
        internals.close_stale_connections([database])
        assert database.connection is None
    else:
        assert asked


@canary("keep_connections_open")
def test_django_asks_the_connection_itself_whether_it_is_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(connection, "close_if_unusable_or_obsolete", lambda: asked.append(connection.alias))
    assert any(reference() is close_old_connections for _, reference, *_ in request_finished.receivers)
    with internals.keep_connections_open():
        close_old_connections()
    assert asked == []
    close_old_connections()
    assert asked == [connection.alias]


@canary("in_atomic_block", "in_transaction")
def test_a_transaction_is_seen(database: DatabaseWrapper, monkeypatch: pytest.MonkeyPatch) -> None:
    database.connect()
    assert not internals.in_atomic_block(database)
    assert not internals.in_transaction(database)
    database.set_autocommit(False)
    assert internals.in_transaction(database)
    database.set_autocommit(True)
    with monkeypatch.context() as patch, transaction_of(database, patch):
        assert internals.in_atomic_block(database)
        assert internals.in_transaction(database)


@canary("abandon_transaction")
def test_an_abandoned_connection_connects_anew(database: DatabaseWrapper, monkeypatch: pytest.MonkeyPatch) -> None:
    database.connect()
    with monkeypatch.context() as patch:
        transaction_of(database, patch).__enter__()
    driver: Any = database.connection
    internals.abandon_transaction(database)
    assert database.connection is None
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):  # also of a database in memory
        driver.execute("SELECT 1")
    database.ensure_connection()
    assert not internals.in_transaction(database)


@canary("connection_parameters")
def test_parameters_are_those_that_psycopg_takes() -> None:
    psycopg = pytest.importorskip("psycopg")
    options = {
        "pool": True,
        "server_side_binding": True,
        "isolation_level": psycopg.IsolationLevel.SERIALIZABLE,
        "assume_role": "somebody",
        "prepare_threshold": 3,
        "sslmode": "prefer",
        "connect_timeout": 3,
    }
    settings = {**connections.settings["default"], "ENGINE": "django.db.backends.postgresql", "OPTIONS": options}
    settings |= {"NAME": "shop", "USER": "ann", "PASSWORD": "secret", "HOST": "db", "PORT": "5433"}
    connections.settings["canary"] = settings
    try:
        parameters = internals.connection_parameters("canary")
    finally:
        del connections["canary"]
        del connections.settings["canary"]
    where = {"dbname": "shop", "user": "ann", "password": "secret", "host": "db", "port": "5433"}
    assert parameters == where | {"client_encoding": "UTF8", "sslmode": "prefer", "connect_timeout": 3}
    assert "sslmode=prefer" in psycopg.conninfo.make_conninfo(**parameters)


@canary("reset_new_connection")
def test_django_configures_connections_of_a_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("psycopg")
    backend = importlib.import_module("django.db.backends.postgresql.base")
    configure = backend.DatabaseWrapper._configure_connection
    assert list(inspect.signature(configure).parameters) == ["self", "connection"]
    assert "configure=self._configure_connection" in inspect.getsource(backend.DatabaseWrapper.pool.fget)
    configured: list[object] = []
    wrapper = SimpleNamespace(_configure_connection=configured.append)
    monkeypatch.setattr(internals, "connections", {"pg": wrapper})
    internals.reset_new_connection("pg", "new")
    assert configured == ["new"]


@canary("has_failed_to_connect")
def test_a_refused_connection_leaves_through_connect(
    database: DatabaseWrapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise OperationalError

    monkeypatch.setattr(database, "get_new_connection", refuse)
    with pytest.raises(OperationalError) as caught:
        database.ensure_connection()
    assert internals.has_failed_to_connect(caught.value)
    with pytest.raises(OperationalError) as caught:
        refuse()
    assert not internals.has_failed_to_connect(caught.value)
    assert inspect.unwrap(BaseDatabaseWrapper.connect).__name__ == "connect"


@canary("create_cache")
def test_a_cache_is_made_anew() -> None:
    made = internals.create_cache("default")
    assert type(made) is type(caches["default"])
    assert made is not caches["default"]
    assert made is not internals.create_cache("default")


@canary("close_caches")
def test_caches_are_closed_as_by_django(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    monkeypatch.setattr(type(caches["default"]), "close", lambda self, **kwargs: closed.append(self))
    cache.get("key")  # caches are closed that the context has used
    internals.close_caches()
    assert caches["default"] in closed
    assert any(reference() is closed_by_django for _, reference, *_ in request_finished.receivers)
