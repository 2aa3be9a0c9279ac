"""What PostgreSQL alone does: transactions, one connection, tables that do not grow."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections, transaction
from django.test import override_settings
from pytest_django import DjangoDbBlocker

from hybrid_gateway.channels.backend import BlockingBackend, ChannelsUnavailable, History
from hybrid_gateway.channels.models import ChannelState, KeptMessage, Presence
from hybrid_gateway.exceptions import SettingsError
from tests.channels.back_ends import run, shared_database, started
from tests.channels.servers import wait_until

pytest.importorskip("psycopg", reason="psycopg is not installed.")
pytest.importorskip("psycopg.pq", reason="libpq is not installed.")

from hybrid_gateway.channels.backends import postgres_connection  # noqa: E402
from hybrid_gateway.channels.backends.postgres_notify import PostgreSQLBackend  # noqa: E402

HOUR = History(size=100, ttl=3600)
ROOM = "room:1"


@pytest.fixture(scope="module", autouse=True)
def tables(django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    with django_db_blocker.unblock(), shared_database("channels"):
        yield


@pytest.fixture(autouse=True)
def empty(tables: None) -> None:
    for model in (KeptMessage, ChannelState, Presence):
        model._base_manager.using("channels").all().delete()


def backend() -> PostgreSQLBackend:
    return PostgreSQLBackend(database="channels")


def query(statement: str) -> list[Any]:
    with connections["channels"].cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def in_thread(function: Any, *arguments: Any) -> threading.Thread:
    def work() -> None:
        try:
            function(*arguments)
        finally:
            connections["channels"].close()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


@pytest.mark.parametrize("history", [None, HOUR])
@pytest.mark.parametrize("payload", [b"short", b"long" * 5_000], ids=["short", "long"])
def test_a_message_is_sent_when_the_transaction_is_committed(history: History | None, payload: bytes) -> None:
    ours = backend()
    assert isinstance(ours, BlockingBackend)

    def publish() -> None:
        with transaction.atomic(using="channels"):
            ours.publish_blocking(ROOM, payload, history)
            ours.publish_blocking(ROOM, payload, history)
            written.set()
            assert checked.wait(20)

    written, checked = threading.Event(), threading.Event()

    async def work() -> None:
        async with started(ours) as (ears,):
            await ours.subscribe(ROOM)
            thread = in_thread(publish)
            await asyncio.to_thread(written.wait, 20)
            await asyncio.sleep(0.2)
            assert ears.heard == []
            assert await ours.replay(ROOM, None, HOUR) == ([], True, 0)
            checked.set()
            await ears.has(2)
            assert ears.payloads == [payload] * 2
            await asyncio.to_thread(thread.join)

    run(work)


def test_a_rollback_sends_nothing_and_leaves_no_hole(tables: None) -> None:
    ours = backend()

    def publish() -> None:
        ours.publish_blocking(ROOM, b"1", HOUR)
        with transaction.atomic(using="channels"):
            ours.publish_blocking(ROOM, b"2", HOUR)
            try:
                with transaction.atomic(using="channels"):
                    ours.publish_blocking(ROOM, b"in a savepoint", HOUR)
                    raise ZeroDivisionError
            except ZeroDivisionError:
                pass
        try:
            with transaction.atomic(using="channels"):
                ours.publish_blocking(ROOM, b"never", HOUR)
                raise ZeroDivisionError
        except ZeroDivisionError:
            pass
        ours.publish_blocking(ROOM, b"3", HOUR)

    async def work() -> None:
        async with started(ours) as (ears,):
            await ours.subscribe(ROOM)
            await asyncio.to_thread(in_thread(publish).join)
            await ears.has(3)
            assert ears.payloads == [b"1", b"2", b"3"]
            assert [int(delivery.offset.partition("-")[2]) for delivery in ears.heard] == [1, 2, 3]

    run(work)


def test_numbers_have_the_order_of_commits_so_that_since_skips_nothing() -> None:
    """The first publisher commits last, unless numbers wait for it: then `since` would skip its message."""
    ours = backend()
    order: list[str] = []

    def slow() -> None:
        with transaction.atomic(using="channels"):
            order.append(ours.publish_blocking(ROOM, b"slow", HOUR))
            begun.set()
            assert go.wait(20)

    def quick() -> None:
        order.append(ours.publish_blocking(ROOM, b"quick", HOUR))

    begun, go = threading.Event(), threading.Event()

    async def work() -> None:
        async with started(ours) as (ears,):
            await ours.subscribe(ROOM)
            before = await ours.position(ROOM, HOUR)
            threads = [in_thread(slow)]
            assert await asyncio.to_thread(begun.wait, 20)
            threads.append(in_thread(quick))
            await asyncio.sleep(0.3)
            assert ears.heard == [], "the second message has overtaken the first"
            assert await ours.publish("room:2", b"other channels do not wait", HOUR)
            assert await ours.position("room:3", HOUR) is not None
            go.set()
            await ears.has(2)
            for thread in threads:
                await asyncio.to_thread(thread.join)
            assert [delivery.offset for delivery in ears.heard] == order
            assert ears.payloads == [b"slow", b"quick"]
            replay = await ours.replay(ROOM, before, HOUR)
            assert [kept.payload for kept in replay.messages] == [b"slow", b"quick"] and replay.recovered

    run(work)


def test_the_position_of_a_channel_whose_first_message_is_not_committed_is_unknown() -> None:
    ours = backend()

    def slow() -> None:
        with transaction.atomic(using="channels"):
            ours.publish_blocking(ROOM, b"slow", HOUR)
            begun.set()
            assert go.wait(20)

    begun, go = threading.Event(), threading.Event()

    async def work() -> None:
        async with started(ours) as (ears,):
            thread = in_thread(slow)
            assert await asyncio.to_thread(begun.wait, 20)
            assert await ours.position(ROOM, HOUR) is None
            go.set()
            await asyncio.to_thread(thread.join)
            assert (await ours.position(ROOM, HOUR) or "").endswith("-1")
            assert ears.told == ["connected"]

    run(work)


def listening() -> list[int]:
    """Return the connections of all back ends that listen in this database."""
    ours = "application_name = 'hybrid_gateway-listen' AND datname = current_database()"
    return [pid for (pid,) in query(f"SELECT pid FROM pg_stat_activity WHERE {ours}")]


def test_a_process_has_one_connection_however_many_channels() -> None:
    ours = backend()

    async def work() -> None:
        async with started(ours) as (ears,):
            await asyncio.gather(*(ours.subscribe(f"room:{number}") for number in range(300)))
            for number in range(300):
                await ours.publish(f"room:{number}", b"", None)
            await ears.has(300)
            assert len(await asyncio.to_thread(in_own_connection, listening)) == 1

    run(work)
    wait_until(lambda: not listening())


def in_own_connection(function: Any) -> Any:
    try:
        return function()
    finally:
        connections["channels"].close()


def test_a_connection_that_is_cut_is_opened_anew_and_listens_to_all_of_it() -> None:
    ours = backend()

    def cut() -> None:
        for pid in listening():
            query(f"SELECT pg_terminate_backend({pid})")

    async def work() -> None:
        async with started(ours) as (ears,):
            await asyncio.gather(*(ours.subscribe(f"room:{number}") for number in range(600)))
            await ours.unsubscribe("room:599")
            offset = await ours.publish(ROOM, b"1", HOUR)
            await ears.has(1)
            await asyncio.to_thread(in_own_connection, cut)
            await asyncio.to_thread(in_own_connection, lambda: ours.publish_blocking(ROOM, b"2", HOUR))
            await ears.until(lambda: ears.told == ["connected", "disconnected", "connected"])
            assert [kept.payload for kept in (await ours.replay(ROOM, offset, HOUR)).messages] == [b"2"]
            heard = len(ears.heard)
            for number in range(600):
                await ours.publish(f"room:{number}", b"", None)
            await ears.has(heard + 599)

    run(work)


def test_what_has_ended_is_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_connection, "PRUNE_EVERY", 0.2)
    ours = backend()

    def counts() -> list[int]:
        return [model._base_manager.using("channels").count() for model in (KeptMessage, ChannelState, Presence)]

    async def work() -> None:
        async with started(ours):
            brief = History(size=10, ttl=0.1)
            for number in range(30):
                await ours.publish(f"brief:{number % 3}", b"", brief)
                await ours.publish("lasting", b"", HOUR)
            await ours.enter("brief", "ann", 0.1)
            await ours.enter("lasting", "ann", 3600)
            await asyncio.to_thread(
                in_own_connection,
                lambda: query(
                    "UPDATE hybrid_gateway_channels_channelstate SET expires_at = now() WHERE name = 'brief:1'"
                ),
            )
            async with asyncio.timeout(20):
                while await asyncio.to_thread(in_own_connection, counts) != [30, 3, 1]:
                    await asyncio.sleep(0.05)

    run(work)


def test_a_channel_keeps_no_more_rows_than_its_size() -> None:
    ours = backend()

    async def work() -> None:
        async with started(ours):
            for _ in range(20):
                await ours.publish(ROOM, b"", History(size=3, ttl=3600))

    run(work)
    assert KeptMessage._base_manager.using("channels").count() == 3


def test_a_long_message_whose_row_is_gone_is_not_passed_over_in_silence() -> None:
    ours = backend()

    def publish() -> None:
        with transaction.atomic(using="channels"):
            ours.publish_blocking(ROOM, b"long" * 5_000, None)
            query("DELETE FROM hybrid_gateway_channels_keptmessage")

    async def work() -> None:
        async with started(ours) as (ears,):
            await ours.subscribe(ROOM)
            await asyncio.to_thread(in_own_connection, publish)
            await ears.until(lambda: ears.told == ["connected", "disconnected", "connected"])
            await ours.publish(ROOM, b"after", None)
            await ears.has(1)

    run(work)


def test_the_connection_that_listens_has_the_role_of_the_others() -> None:
    options = connections.settings["channels"]["OPTIONS"]
    query("CREATE ROLE hybrid_listener")
    query("GRANT ALL ON ALL TABLES IN SCHEMA public TO hybrid_listener")
    query("GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO hybrid_listener")
    ours = backend()

    async def work() -> None:
        async with started(ours):
            await ours.publish(ROOM, b"", HOUR)
            assert ours._connection is not None
            assert await ours._connection.enqueue(lambda held: held.ask("SELECT current_user::text")) == [
                ("hybrid_listener",)
            ]

    options["assume_role"] = "hybrid_listener"
    try:
        run(work)
    finally:
        del options["assume_role"]
        query("DROP OWNED BY hybrid_listener")
        query("DROP ROLE hybrid_listener")


def test_missing_tables_are_told_of() -> None:
    ours = backend()
    query("ALTER TABLE hybrid_gateway_channels_keptmessage RENAME TO elsewhere")

    async def work() -> None:
        async with started(ours) as (ears,):
            assert ears.told == ["disconnected"]
            with pytest.raises(ChannelsUnavailable, match=r"Run manage\.py migrate"):
                await ours.subscribe(ROOM)

    try:
        run(work)
    finally:
        query("ALTER TABLE elsewhere RENAME TO hybrid_gateway_channels_keptmessage")


def test_other_databases_are_refused_with_a_sentence() -> None:
    connections.settings["other"] = {**connections.settings["default"], "ENGINE": "django.db.backends.sqlite3"}
    try:
        with pytest.raises(SettingsError, match="psycopg 3; DATABASES\\['other'\\] is 'django.db.backends.sqlite3'"):
            PostgreSQLBackend(database="other")
        with pytest.raises(SettingsError, match="'other'"):
            PostgreSQLBackend(database="channels", listen="other")
    finally:
        del connections["other"]
        del connections.settings["other"]
    with pytest.raises(SettingsError, match="'nowhere', which DATABASES does not have"):
        PostgreSQLBackend(database="nowhere")


def test_the_app_must_be_installed() -> None:
    with override_settings(INSTALLED_APPS=["hybrid_gateway"]), pytest.raises(SettingsError, match="INSTALLED_APPS"):
        backend()
