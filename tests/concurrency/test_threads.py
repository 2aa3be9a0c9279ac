"""The threads of the process: who gets one, for how long, and what happens to it when things go wrong."""

import asyncio
import contextvars
import gc
import io
import itertools
import logging
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import aclosing, suppress
from typing import Annotated
from wsgiref.util import setup_testing_defaults

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connections, transaction
from django.utils import translation

from hybrid_gateway import BackgroundTask, Component, Depends, Gateway, StreamingResponse, get
from hybrid_gateway.concurrency.asgiref_bridge import on_request_thread, thread_sensitive
from hybrid_gateway.concurrency.caller_threads import AsgirefThread, CallingThread, InlineThread, LoopThread
from hybrid_gateway.concurrency.thread_pool import ThreadPool
from hybrid_gateway.concurrency.thread_pools import PooledThread
from hybrid_gateway.test import TestClient

ident = threading.get_ident
colour: contextvars.ContextVar[str] = contextvars.ContextVar("colour", default="none")


@pytest.fixture
def make_pool():
    """``make_pool(size)``: a pool whose threads end with the test."""
    pools = []

    def make(size):
        pools.append(ThreadPool(size, name=f"pool{len(pools)}"))
        return pools[-1]

    def close():
        for pool in pools:
            pool.close()
            wait_until(lambda pool=pool: not threads_of(pool))

    make.close = close
    yield make
    close()


@pytest.fixture
def gate():
    """An event that no test leaves anybody waiting for."""
    gate = threading.Event()
    yield gate
    gate.set()


@pytest.fixture
def scratch(tmp_path, monkeypatch, django_db_blocker, make_pool):
    """The alias of a database in a file, with one empty table."""
    options = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "scratch.sqlite3"), "CONN_MAX_AGE": 600}
    monkeypatch.setitem(connections.settings, "scratch", connections.settings["default"] | options)
    with django_db_blocker.unblock():
        execute("CREATE TABLE item (name text)")
        connections["scratch"].close()
        yield "scratch"
        make_pool.close()
        connections["scratch"].close()
        del connections["scratch"]


def execute(sql):
    with connections["scratch"].cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if sql.startswith("SELECT") else None


def insert():
    execute("INSERT INTO item VALUES ('x')")


def count_items():
    return execute("SELECT count(*) FROM item")[0][0]


def begin():
    transaction.atomic(using="scratch").__enter__()


def begin_and_insert():
    begin()
    insert()


def commit():
    transaction.atomic(using="scratch").__exit__(None, None, None)
    # The block above was entered and left again inside the one that begin() entered; this leaves that one.
    connection = connections["scratch"]
    connection.commit()
    connection.in_atomic_block = False
    connection.atomic_blocks.clear()
    connection.set_autocommit(True)


def request_on(pool, streams=None):
    return PooledThread(pool, streams or pool)


def threads_of(pool):
    return [thread for thread in threading.enumerate() if thread.name.startswith(pool.name + "-")]


def every_thread_is_free(pool):
    """Whether as many units as the pool has threads can run at the same time."""
    together = threading.Barrier(pool.size)
    futures = [request_on(pool).submit(together.wait, 5) for _ in range(pool.size)]
    return sorted(future.result(5) for future in futures) == list(range(pool.size))


def wait_until(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


# --- the pool ------------------------------------------------------------------------------------------------------


def test_threads_are_started_one_by_one_when_first_needed(make_pool):
    pool = make_pool(3)
    assert threads_of(pool) == []
    for _ in range(10):
        request_on(pool).submit(ident).result(5)
    assert len(threads_of(pool)) == 1
    assert every_thread_is_free(pool)
    assert len(threads_of(pool)) == 3


def test_no_more_units_run_at_once_than_there_are_threads(make_pool):
    pool = make_pool(4)
    running, most, lock = 0, 0, threading.Lock()

    def unit():
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.002)
        with lock:
            running -= 1

    for future in [request_on(pool).submit(unit) for _ in range(40)]:
        future.result(5)
    assert most == 4
    assert len(threads_of(pool)) == 4


def test_waiting_requests_are_served_in_the_order_in_which_they_came(make_pool, gate):
    pool, served = make_pool(1), []
    request_on(pool).submit(gate.wait, 5)
    futures = [request_on(pool).submit(served.append, number) for number in range(40)]
    gate.set()
    for future in futures:
        future.result(5)
    assert served == list(range(40))


def test_a_request_that_comes_back_for_more_waits_behind_the_others(make_pool, gate):
    pool, served = make_pool(1), []
    greedy, modest = request_on(pool), request_on(pool)
    greedy.submit(gate.wait, 5)
    futures = [greedy.submit(served.append, "greedy 1"), modest.submit(served.append, "modest")]
    futures.append(greedy.submit(served.append, "greedy 2"))
    gate.set()
    for future in futures:
        future.result(5)
    assert served == ["modest", "greedy 1", "greedy 2"]


def test_a_request_gets_its_thread_again_when_that_is_free(make_pool):
    pool = make_pool(4)
    requests = [request_on(pool) for _ in range(4)]
    together = threading.Barrier(4)

    def meet():
        together.wait(5)
        return ident()

    first = [future.result(5) for future in [request.submit(meet) for request in requests]]
    assert len(set(first)) == 4
    for _ in range(3):
        assert [request.submit(ident).result(5) for request in requests] == first


def test_units_of_one_request_never_overlap(make_pool):
    pool = make_pool(8)
    request, running, most = request_on(pool), 0, 0

    def unit():
        nonlocal running, most
        running += 1
        most = max(most, running)
        time.sleep(0.001)
        running -= 1

    for future in [request.submit(unit) for _ in range(20)]:
        future.result(5)
    assert most == 1


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit, StopIteration])
@pytest.mark.parametrize("way", ["run", "submit", "sync_to_async"])
def test_whatever_a_unit_raises_reaches_the_caller_and_spares_the_thread(make_pool, kind, way):
    pool = make_pool(1)
    request = request_on(pool)

    def fail():
        raise kind("on purpose")

    async def attempt():
        with thread_sensitive(request):
            if way == "run":
                await request.run(fail)
            elif way == "submit":
                await asyncio.wrap_future(request.submit(fail))
            else:
                await sync_to_async(fail)()

    async def main():
        try:
            await asyncio.wait_for(attempt(), 5) if kind in (ValueError, StopIteration) else await attempt()
        except BaseException as error:
            return error

    before = request.submit(ident).result(5)
    error = asyncio.run(main())
    if kind is StopIteration:  # no coroutine can raise it
        assert isinstance(error, RuntimeError)
        assert isinstance(error.__cause__, StopIteration)
    else:
        assert type(error) is kind
    assert request.submit(ident).result(5) == before


def test_an_error_is_forgotten_as_soon_as_it_is_handled(make_pool):
    request = request_on(make_pool(1))

    class Oops(Exception):
        pass

    def fail():
        raise Oops

    async def main():
        try:
            await request.run(fail)
        except Oops as error:
            return weakref.ref(error)

    gc.collect()
    gc.disable()
    try:
        reference = asyncio.run(main())
        wait_until(lambda: reference() is None, 1)
    finally:
        gc.enable()


def test_the_pool_works_in_a_forked_child():
    script = """
import os, threading
import django
from django.conf import settings
settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}})
django.setup()
from hybrid_gateway.concurrency.caller_threads import LoopThread
from hybrid_gateway.concurrency.thread_pools import PooledThread
from hybrid_gateway.concurrency.thread_pool import ThreadPool

pool, loop = ThreadPool(2), LoopThread()
gate = threading.Event()
async def nothing(): return "looped"
def busy(): return gate.wait(5)
held = [PooledThread(pool, pool).submit(busy) for _ in range(4)]  # two run, two wait
assert loop.run(nothing()) == "looped"
child = os.fork()
if not child:
    try:
        assert PooledThread(pool, pool).submit(str, 1).result(5) == "1"
        assert repr(pool) == "<ThreadPool 'gateway': 1 of 2 threads>"
        assert loop.run(nothing()) == "looped"
        os._exit(0)
    finally:
        os._exit(1)
assert os.waitpid(child, 0)[1] == 0
gate.set()
assert all(future.result(5) for future in held)
print("both worked")
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    result = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script],
        capture_output=True,
        text=True,
        timeout=30,
        env=environment,
    )
    assert (result.stdout, result.stderr) == ("both worked\n", "")


def test_a_closed_pool_finishes_what_it_has_and_refuses_the_rest(make_pool, gate, scratch):
    pool = make_pool(2)
    opened = [request_on(pool).submit(lambda: (gate.wait(5), execute("SELECT 1"), connections[scratch])[2])]
    opened += [request_on(pool).submit(lambda: (gate.wait(5), execute("SELECT 1"), connections[scratch])[2])]
    waiting = request_on(pool).submit(ident)
    pool.close()
    with pytest.raises(RuntimeError, match="is closed"):
        request_on(pool).submit(ident)
    gate.set()
    assert waiting.result(5)
    wait_until(lambda: not threads_of(pool))
    assert [future.result(5).connection for future in opened] == [None, None]
    with pytest.raises(RuntimeError, match="is closed"):
        request_on(pool).submit(ident)


def test_a_closed_pool_lets_a_held_thread_go_with_its_request(make_pool, scratch):
    pool = make_pool(1)
    request = request_on(pool)
    request.submit(begin_and_insert).result(5)
    pool.close()
    assert request.submit(count_items).result(5) == 1
    request.release()
    wait_until(lambda: not threads_of(pool))


def test_a_gateway_that_nobody_needs_any_more_takes_its_threads_with_it(make_pool):
    class Owner:
        def __init__(self):
            self.pool = ThreadPool(2, name="owned")
            weakref.finalize(self, self.pool.close)

    owner = Owner()
    request_on(owner.pool).submit(ident).result(5)
    del owner
    gc.collect()
    wait_until(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("owned-")])


# --- requests that are given up ------------------------------------------------------------------------------------


def test_a_unit_whose_request_was_given_up_in_the_queue_never_runs(make_pool, gate):
    pool, ran = make_pool(1), []

    async def main():
        request_on(pool).submit(gate.wait, 5)
        tasks = [asyncio.ensure_future(request_on(pool).run(ran.append, number)) for number in range(20)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.sleep(0)
        gate.set()
        await asyncio.wait(tasks)

    asyncio.run(main())
    assert ran == list(range(1, 20, 2))
    assert every_thread_is_free(pool)


def test_a_unit_whose_request_was_given_up_while_it_ran_is_let_finish(make_pool, gate):
    pool, done = make_pool(2), []

    def unit():
        gate.wait(5)
        done.append(1)

    async def main():
        request = request_on(pool)
        task = asyncio.ensure_future(request.run(unit))
        await asyncio.sleep(0.02)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        request.release()
        gate.set()

    asyncio.run(main())  # the loop is gone by the time the unit ends: nobody is told
    wait_until(lambda: done)
    assert every_thread_is_free(pool)
    assert len(threads_of(pool)) == 2


# --- transactions --------------------------------------------------------------------------------------------------


def test_a_request_with_an_open_transaction_has_its_thread_to_itself(make_pool, scratch):
    pool = make_pool(1)
    holder, other = request_on(pool), request_on(pool)
    holder.submit(begin_and_insert).result(5)
    waiting = other.submit(count_items)
    assert holder.submit(count_items).result(5) == 1
    assert not waiting.done()
    holder.submit(commit).result(5)
    assert waiting.result(5) == 1


def test_concurrent_units_of_a_request_with_an_open_transaction_all_run_on_its_thread(make_pool, scratch):
    pool = make_pool(4)
    request = request_on(pool)
    home = request.submit(lambda: (begin_and_insert(), ident())[1]).result(5)
    futures = [request.submit(ident) for _ in range(50)]
    assert {future.result(5) for future in futures} == {home}
    request.submit(commit).result(5)
    assert request_on(pool).submit(count_items).result(5) == 1


@pytest.mark.parametrize("open_it", ["atomic", "autocommit off"])
def test_a_transaction_left_open_is_rolled_back_with_its_request(make_pool, scratch, caplog, open_it):
    pool = make_pool(1)
    request = request_on(pool)

    def leave_open():
        if open_it == "atomic":
            begin()
        else:
            transaction.set_autocommit(False, using=scratch)
        insert()

    request.submit(leave_open).result(5)
    assert request.submit(count_items).result(5) == 1
    with caplog.at_level(logging.WARNING, "hybrid_gateway"):
        request.release()
        assert request_on(pool).submit(count_items).result(5) == 0
    assert ["rolled back" in record.message for record in caplog.records] == [True]
    # The next request finds a connection that works as ever.
    request_on(pool).submit(insert).result(5)
    assert request_on(pool).submit(count_items).result(5) == 1
    assert not request_on(pool).submit(lambda: connections[scratch].in_atomic_block).result(5)


def test_a_transaction_is_rolled_back_when_the_request_ends_before_its_unit(make_pool, scratch, gate):
    pool = make_pool(1)
    request = request_on(pool)
    unit = request.submit(lambda: (begin_and_insert(), gate.wait(5)))
    request.release()
    gate.set()
    with pytest.raises(RuntimeError, match="left a transaction open"):
        unit.result(5)
    assert request_on(pool).submit(count_items).result(5) == 0


def test_no_thread_is_lost_whenever_the_request_ends(make_pool, scratch):
    pool = make_pool(4)
    for attempt in range(300):
        request = request_on(pool)
        unit = request.submit(begin)
        until = time.perf_counter() + attempt % 30 * 20e-6
        while time.perf_counter() < until:
            pass
        request.release()
        with suppress(RuntimeError):
            unit.result(5)
    assert every_thread_is_free(pool)
    assert request_on(pool).submit(count_items).result(5) == 0


def test_a_cancelled_request_inside_a_transaction_gives_its_thread_back(make_pool, scratch):
    pool = make_pool(1)

    async def handler():
        await sync_to_async(begin_and_insert)()
        await asyncio.sleep(60)

    async def main():
        request = request_on(pool)
        with thread_sensitive(request):
            task = asyncio.create_task(handler())
        await asyncio.sleep(0.05)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        request.release()

    asyncio.run(main())
    assert request_on(pool).submit(count_items).result(5) == 0


@pytest.mark.parametrize("age", [0, 600])
def test_connections_are_closed_by_age_on_their_thread_after_each_unit(make_pool, scratch, age):
    connections.settings[scratch]["CONN_MAX_AGE"] = age
    request = request_on(make_pool(1))

    def use():
        execute("SELECT 1")
        return connections[scratch], connections[scratch].connection

    wrapper, raw = request.submit(use).result(5)
    assert (wrapper.connection is raw) == (age == 600)
    with pytest.raises(ZeroDivisionError):
        request.submit(lambda: (use(), 1 / 0)).result(5)
    assert (wrapper.connection is None) == (age == 0)


# --- streams -------------------------------------------------------------------------------------------------------


class Rows:
    """A blocking iterator that tells where it ran."""

    def __init__(self, number):
        self.left = number
        self.ran = []
        self.closed = []

    def __iter__(self):
        self.ran.append(threading.current_thread().name)
        return self

    def __next__(self):
        self.ran.append(threading.current_thread().name)
        if not self.left:
            raise StopIteration
        self.left -= 1
        return self.left

    def close(self):
        self.closed.append(threading.current_thread().name)


def test_a_stream_stays_on_one_thread_from_first_to_last(make_pool):
    pool, streams = make_pool(1), make_pool(4)
    rows, after = Rows(20), []

    async def main():
        stream = request_on(pool, streams).stream(rows, lambda: after.append(threading.current_thread().name))
        async for _ in stream:
            # Others come and go between two chunks; the thread is not theirs.
            await asyncio.gather(*(request_on(streams).run(ident) for _ in range(4)))
        assert [chunk async for chunk in stream] == []

    asyncio.run(main())
    assert len(rows.ran) == 22
    assert {*rows.ran, *rows.closed, *after} == {rows.ran[0]}
    assert (len(rows.closed), len(after)) == (1, 1)
    assert rows.ran[0].startswith(streams.name)
    assert every_thread_is_free(streams)


def test_a_stream_keeps_its_connection_although_connections_may_not_grow_old(make_pool, scratch):
    connections.settings[scratch]["CONN_MAX_AGE"] = 0
    streams = make_pool(2)

    def raw_connections():
        for _ in range(5):
            execute("SELECT 1")
            yield connections[scratch], connections[scratch].connection

    async def main():
        return [pair async for pair in request_on(streams).stream(raw_connections())]

    pairs = asyncio.run(main())
    assert len({id(raw) for _, raw in pairs}) == 1
    wait_until(lambda: pairs[0][0].connection is None)


@pytest.mark.parametrize("end", ["never started", "half consumed", "cancelled", "failed", "dropped"])
def test_a_stream_that_ends_early_is_closed_on_its_thread_and_gives_it_back(make_pool, gate, end):
    streams, pause = make_pool(1), threading.Event()

    class Slow(Rows):
        def __next__(self):
            if self.left == 2 and end == "cancelled":
                pause.set()
                gate.wait(5)
            if self.left == 2 and end == "failed":
                raise LookupError("no such row")
            return super().__next__()

    rows, after = Slow(4), []

    async def main():
        stream = request_on(streams).stream(rows, lambda: after.append(threading.current_thread().name))
        if end != "never started":
            assert [await anext(stream), await anext(stream)] == [3, 2]
        if end == "cancelled":
            task = asyncio.ensure_future(anext(stream))
            await asyncio.to_thread(pause.wait, 5)
            task.cancel()
            await asyncio.sleep(0.02)
            assert not rows.closed, "closed while it ran"
            gate.set()
            with pytest.raises(asyncio.CancelledError):
                await task
        elif end == "failed":
            with pytest.raises(LookupError):
                await anext(stream)
        elif end == "dropped":
            del stream
            gc.collect()
            await asyncio.sleep(0.05)
        else:
            await stream.aclose()
            await stream.aclose()

    asyncio.run(main())
    assert len(rows.closed) == 1
    assert after == rows.closed
    assert rows.closed[0].startswith(streams.name)
    assert {*rows.ran, *rows.closed} == {rows.closed[0]}
    assert every_thread_is_free(streams)


def test_a_stream_has_one_context_from_first_to_last(make_pool):
    def chunks():
        yield translation.get_language(), colour.get()
        with translation.override("fr"):
            colour.set("red")
            yield translation.get_language(), colour.get()
            yield translation.get_language(), colour.get()
        yield translation.get_language(), colour.get()

    async def main():
        with translation.override("de"):
            colour.set("blue")
            stream = request_on(make_pool(2)).stream(chunks())
        async with aclosing(stream):
            seen = [chunk async for chunk in stream]
        return seen, translation.get_language(), colour.get()

    seen, language, mine = asyncio.run(main())
    assert seen == [("de", "blue"), ("fr", "red"), ("fr", "red"), ("de", "red")]
    assert (language, mine) == ("en-us", "blue")


@pytest.mark.parametrize("end", ["whole", "closed"])
def test_a_stream_on_the_callers_thread_runs_and_closes_there(end):
    rows, loop = Rows(3), LoopThread()

    async def main(thread):
        async with aclosing(thread.stream(rows)) as stream:
            async for _ in stream:
                if end == "closed":
                    return

    thread = CallingThread()
    thread.run_until_done(main(thread), loop)
    loop.close()
    assert {*rows.ran, *rows.closed} == {threading.current_thread().name}
    assert len(rows.closed) == 1


# --- contexts ------------------------------------------------------------------------------------------------------

KINDS = ["pooled", "calling", "ambient"]


def complete(*args):
    """Run the coroutine function with a thread of the given kind, as its driver would; in a context of its own."""
    return contextvars.copy_context().run(_complete, *args)


def _complete(kind, make_pool, function):
    if kind == "pooled":
        return asyncio.run(function(request_on(make_pool(2))))
    if kind == "calling":
        thread, loop = CallingThread(), LoopThread()
        try:
            return thread.run_until_done(function(thread), loop)
        finally:
            loop.close()
    return async_to_sync(function)(AsgirefThread())


@pytest.mark.parametrize("kind", KINDS)
def test_a_unit_runs_in_the_context_of_its_request_and_leaves_its_changes_there(make_pool, kind):
    def unit():
        seen = translation.get_language(), colour.get()
        translation.activate("fr")
        colour.set("red")
        return seen

    async def main(thread):
        translation.activate("de")
        colour.set("blue")
        seen = await thread.run(unit)
        after = translation.get_language(), colour.get()
        again = await thread.run(unit)
        return seen, after, again

    seen, after, again = complete(kind, make_pool, main)
    assert seen == ("de", "blue")
    assert after == again == ("fr", "red")


def test_a_unit_that_fails_leaves_its_changes_too(make_pool):
    def unit():
        colour.set("red")
        raise ValueError

    async def main():
        with pytest.raises(ValueError):
            await request_on(make_pool(1)).run(unit)
        return colour.get()

    assert asyncio.run(main()) == "red"


def test_what_one_request_sets_no_other_sees_on_the_same_thread(make_pool):
    pool = make_pool(1)

    def unit(language):
        seen = translation.get_language(), colour.get()
        translation.activate(language)
        colour.set(language)
        return seen

    async def one(language):
        return await request_on(pool).run(unit, language)

    async def main():
        return await asyncio.gather(*(asyncio.create_task(one(language)) for language in ("de", "fr", "es") * 5))

    assert set(asyncio.run(main())) == {("en-us", "none")}


# --- asgiref -------------------------------------------------------------------------------------------------------


async def by_asgiref(function, *args):
    return await sync_to_async(function)(*args)


async def by_our_way(function, *args):
    return await on_request_thread(function, *args)


WAYS = pytest.mark.parametrize("call", [by_asgiref, by_our_way])


@WAYS
@pytest.mark.parametrize("kind", KINDS)
def test_thread_sensitive_work_goes_to_the_thread_of_the_request(make_pool, kind, call):
    async def main(thread):
        home = await thread.run(ident)
        with thread_sensitive(thread):
            idents = await asyncio.gather(*(call(ident) for _ in range(20)))
            task = asyncio.create_task(call(ident))
        return home, {*idents, await task}

    home, idents = complete(kind, make_pool, main)
    assert idents == {home}
    assert (home == ident()) == (kind != "pooled")


@WAYS
def test_a_pooled_thread_is_used_in_a_loop_below_async_to_sync_too(make_pool, call):
    """A server started by a synchronous command, as tests start one, must not send all its work to the command."""
    pool = make_pool(2)

    @async_to_sync
    async def main():
        before = await call(ident)
        with thread_sensitive(request_on(pool)):
            inside = await call(ident)
        return before, inside, await call(ident)

    before, inside, after = main()
    assert before == after == ident()
    assert inside in [thread.ident for thread in threads_of(pool)]


@WAYS
@pytest.mark.parametrize("under", ["run", "call"])
def test_async_to_sync_runs_on_the_servers_loop_and_comes_back_to_its_thread(make_pool, under, call):
    async def inner(depth):
        seen = [(id(asyncio.get_running_loop()), await call(ident))]
        if depth:
            seen += await call(unit, depth - 1)
        return seen

    def unit(depth=3):
        return [*async_to_sync(inner)(depth), (None, ident())]

    async def main():
        request = request_on(make_pool(1))
        with thread_sensitive(request):
            return id(asyncio.get_running_loop()), await (request.run(unit) if under == "run" else call(unit))

    loop, seen = asyncio.run(asyncio.wait_for(main(), 10))
    assert {found for found, _ in seen if found} == {loop}
    assert len({thread for _, thread in seen}) == 1
    assert len(seen) == 8


@WAYS
def test_every_thread_at_once_may_wait_for_the_loop(make_pool, call):
    pool, together = make_pool(8), threading.Barrier(8)

    async def inner():
        await asyncio.sleep(0.001)
        return await asyncio.gather(*(call(ident) for _ in range(5)))

    def unit():
        together.wait(5)
        return {ident(), *async_to_sync(inner)()}

    async def main():
        async def one():
            request = request_on(pool)
            with thread_sensitive(request):
                return await request.run(unit)

        return await asyncio.wait_for(asyncio.gather(*(one() for _ in range(40))), 20)

    found = asyncio.run(main())
    assert [len(idents) for idents in found] == [1] * 40


def test_a_server_loop_is_not_remembered_past_the_unit():
    """The caller of a ``CallingThread`` is nobody's pool thread: its own async_to_sync finds what it found before."""
    from asgiref.sync import SyncToAsync

    loop, thread = LoopThread(), CallingThread()
    before = getattr(SyncToAsync.threadlocal, "main_event_loop", None)

    async def main():
        return await thread.run(lambda: SyncToAsync.threadlocal.main_event_loop is loop.loop)

    assert thread.run_until_done(main(), loop)
    assert getattr(SyncToAsync.threadlocal, "main_event_loop", None) is before
    loop.close()


# --- tasks that outlive their request ------------------------------------------------------------------------------


def test_a_task_that_outlives_its_request_goes_on_using_the_pool(make_pool, scratch):
    pool = make_pool(2)
    ended = asyncio.Event()

    async def late():
        await ended.wait()
        await sync_to_async(insert)()
        with pytest.raises(RuntimeError, match="left a transaction open"):
            await sync_to_async(begin_and_insert)()
        return await sync_to_async(count_items)()

    async def main():
        request = request_on(pool)
        with thread_sensitive(request):
            await sync_to_async(ident)()
            task = asyncio.create_task(late())
        request.release()
        ended.set()
        return await task

    assert asyncio.run(asyncio.wait_for(main(), 5)) == 1
    assert every_thread_is_free(pool)


@pytest.mark.parametrize("afterwards", [False, True])
def test_a_task_that_outlives_a_lent_thread_is_told_so_or_goes_to_the_pool(make_pool, afterwards):
    pool, loop = make_pool(1), LoopThread()
    thread = CallingThread(request_on(pool) if afterwards else None)
    tasks = []

    async def late(ended):
        await ended.wait()
        return await sync_to_async(ident)(), await thread.run(ident)

    async def handler():
        ended = asyncio.Event()
        with thread_sensitive(thread):
            tasks.extend((asyncio.create_task(late(ended)), ended))
            return await sync_to_async(ident)()

    async def wait():
        tasks[1].set()
        return await asyncio.wait_for(tasks[0], 5)

    assert thread.run_until_done(handler(), loop) == ident()
    if afterwards:
        assert set(loop.run(wait())) == {found.ident for found in threads_of(pool)}
    else:
        with pytest.raises(RuntimeError, match="outlives the request"):
            loop.run(wait())
    loop.close()


# --- a synchronous caller ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ValueError, SystemExit, KeyboardInterrupt, asyncio.CancelledError])
def test_whatever_a_coroutine_raises_reaches_the_caller_and_spares_the_loop(kind):
    loop = LoopThread()

    async def fail():
        await asyncio.sleep(0)
        raise kind

    async def fine():
        return asyncio.get_running_loop()

    before = CallingThread().run_until_done(fine(), loop)
    with pytest.raises(CancelledError if kind is asyncio.CancelledError else kind):
        CallingThread().run_until_done(fail(), loop)
    assert CallingThread().run_until_done(fine(), loop) is before
    loop.close()


def test_a_caller_that_stops_half_way_still_serves_the_clean_up():
    loop, thread, events = LoopThread(), CallingThread(), []

    def note(event):
        events.append((event, ident()))

    async def main():
        try:
            await thread.run(note, "first")
            await asyncio.sleep(60)
        finally:
            await thread.run(note, "cleaned up")

    steps = thread.steps(main(), loop)
    next(steps)
    steps.close()
    assert events == [("first", ident()), ("cleaned up", ident())]
    loop.close()


def test_an_error_of_a_coroutine_is_forgotten_as_soon_as_it_is_handled():
    loop = LoopThread()

    class Oops(Exception):
        pass

    async def fail():
        raise Oops

    def attempt():
        try:
            CallingThread().run_until_done(fail(), loop)
        except Oops as error:
            return weakref.ref(error)

    gc.collect()
    gc.disable()
    try:
        reference = attempt()
        wait_until(lambda: reference() is None, 1)
    finally:
        gc.enable()
        loop.close()


def test_an_inline_thread_runs_everything_where_it_is_asked_for():
    thread = InlineThread()

    async def main():
        with thread_sensitive(thread):
            return await thread.run(ident), thread.submit(ident).result(0), [n async for n in thread.stream([1, 2])]

    step = main()
    with pytest.raises(StopIteration) as stop:
        step.send(None)
    assert stop.value.value == (ident(), ident(), [1, 2])
    with pytest.raises(KeyboardInterrupt):
        thread.submit(exec, "raise KeyboardInterrupt").result(0)


# --- the loop that outlives requests -------------------------------------------------------------------------------


def test_a_caller_that_leaves_when_all_is_done_disturbs_nobody():
    loop, thread, errors = LoopThread(), CallingThread(), []
    loop.loop.set_exception_handler(lambda _, context: errors.append(context))

    async def work() -> None:
        thread.run(lambda: None)

    for _ in range(20):
        steps = thread.steps(work(), loop)
        next(steps)
        time.sleep(0.002)  # the task ends meanwhile
        steps.close()
        thread = CallingThread()
    loop.run(asyncio.sleep(0.01))
    loop.close()
    assert errors == []


def test_a_loop_thread_starts_when_first_used_and_ends_what_runs_when_closed():
    loop, ended = LoopThread(name="some-loop"), threading.Event()
    assert not [thread for thread in threading.enumerate() if thread.name == "some-loop"]

    async def forever():
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            ended.set()

    async def start():
        task = asyncio.create_task(forever())
        await asyncio.sleep(0)
        return task

    task = loop.run(start())
    event_loop = loop.loop
    loop.close()
    assert ended.wait(5)
    wait_until(lambda: event_loop.is_closed())
    assert task.cancelled()


# --- through a gateway ---------------------------------------------------------------------------------------------


def test_handlers_of_both_kinds_may_call_each_other_however_deep(serve):
    async def deep(depth):
        here = asyncio.get_running_loop()
        if depth:
            assert await sync_to_async(lambda: async_to_sync(deep)(depth - 1))() is here
        return here

    @get("/sync")
    def sync_handler() -> bool:
        return bool(async_to_sync(deep)(3))

    @get("/async")
    async def async_handler() -> bool:
        return await deep(3) is asyncio.get_running_loop()

    client = serve(sync_handler, async_handler)
    assert client.get("/sync").json() is True
    assert client.get("/async").json() is True


@pytest.fixture
def ask():
    """``await ask(gateway, path)``: the body of an answer to a request that a server would make a task of."""

    async def ask(gateway, path):
        scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "root_path": ""}
        scope |= {"query_string": b"", "headers": [(b"host", b"testserver")], "scheme": "http", "http_version": "1.1"}
        messages, chunks = [{"type": "http.request", "body": b"", "more_body": False}], []

        async def send(message):
            chunks.append(message.get("body", b""))

        async def receive():
            return messages.pop() if messages else await asyncio.Event().wait()

        await asyncio.create_task(gateway(scope, receive, send))
        return b"".join(chunks)

    return ask


def test_all_tasks_of_a_request_share_its_one_thread(ask):
    @get("/gather")
    async def gather() -> int:
        running = most = 0

        def unit():
            nonlocal running, most
            running += 1
            most = max(most, running)
            time.sleep(0.001)
            running -= 1

        await asyncio.gather(*(sync_to_async(unit)() for _ in range(10)))
        return most

    gateway = Gateway([gather])

    async def main():
        return await asyncio.gather(*(ask(gateway, "/gather") for _ in range(10)))

    assert asyncio.run(main()) == [b"1"] * 10


def test_a_transaction_left_open_in_a_task_of_a_request_is_rolled_back_with_it(ask, scratch):
    """Middleware such as Starlette's BaseHTTPMiddleware runs the handler in a task of its own."""

    def middleware(app):
        async def run(scope, receive, send):
            await asyncio.create_task(app(scope, receive, send))

        return run

    @get("/leave")
    async def leave() -> int:
        await sync_to_async(begin_and_insert)()
        return await sync_to_async(count_items)()

    @get("/count")
    def count() -> int:
        return count_items()

    gateway = Gateway([leave, count], middleware=[middleware], threads=1)
    gateway.pools.typed.name = "own"

    async def main():
        gc.disable()  # that a collection would roll it back, too, is not good enough
        try:
            return await ask(gateway, "/leave"), await asyncio.wait_for(ask(gateway, "/count"), 5)
        finally:
            gc.enable()

    assert asyncio.run(main()) == (b"1", b"0")
    gateway.pools.typed.close()
    wait_until(lambda: not threads_of(gateway.pools.typed))


def test_a_blocking_handler_may_ask_its_own_gateway(ask):
    @get("/inner")
    def inner() -> int:
        return 1

    @get("/outer")
    def outer() -> int:
        return int(async_to_sync(ask)(gateway, "/inner")) + 1

    gateway = Gateway([inner, outer], threads=2)
    assert asyncio.run(asyncio.wait_for(ask(gateway, "/outer"), 5)) == b"2"


def test_two_gateways_may_share_a_loop_and_one_may_go(ask):
    @get("/name")
    async def name() -> str:
        return await sync_to_async(lambda: threading.current_thread().name.rpartition("-")[0])()

    def build(pool_name):
        gateway = Gateway([name])
        gateway.pools.typed.name = pool_name
        return gateway

    async def main():
        first, second = build("first"), build("second")
        names = [await ask(gateway, "/name") for gateway in (first, second, first)]
        reference = weakref.ref(first)
        del first
        gc.collect()
        assert reference() is None
        return [*names, await ask(second, "/name")]

    assert asyncio.run(main()) == [b"first", b"second", b"first", b"second"]


def test_a_task_that_belongs_to_no_request_keeps_the_thread_that_asgiref_has_for_it(ask):
    @get("/name")
    async def name() -> str:
        return await sync_to_async(lambda: threading.current_thread().name)()

    gateway = Gateway([name])

    async def periodic(times):
        return {await sync_to_async(lambda: threading.current_thread().name)() for _ in range(times)}

    async def main():
        before = await periodic(1)
        task = asyncio.create_task(periodic(5))
        served = await ask(gateway, "/name")
        return before, await task, await periodic(1), served.decode()

    before, beside, after, served = asyncio.run(main())
    assert before == beside == after
    assert served not in before


# --- through a gateway on a WSGI server ----------------------------------------------------------------------------


@pytest.fixture
def worker():
    """``worker(gateway, path, read)``: what a thread of a WSGI server gets; it stops after ``read`` chunks."""

    def ask(gateway, path, read):
        environ = {"wsgi.input": io.BytesIO(), "PATH_INFO": path}
        setup_testing_defaults(environ)
        body = gateway.wsgi(environ, lambda status, headers, exc_info=None: None)
        try:
            return b"".join(itertools.islice(body, read))
        finally:
            if hasattr(body, "close"):
                body.close()

    with ThreadPoolExecutor(1, thread_name_prefix="worker") as thread:
        yield lambda gateway, path, read=None: thread.submit(ask, gateway, path, read).result(10)
        thread.submit(connections.close_all).result(5)


@pytest.mark.parametrize("path", ["/blocking", "/async"])
def test_under_wsgi_an_answer_closed_early_is_cleaned_up_at_once(worker, path):
    events = []

    def session():
        try:
            yield 1
        finally:
            events.append(("session", threading.current_thread().name))

    @get("/blocking")
    def blocking(number: Annotated[int, Depends(session)]) -> StreamingResponse:
        def chunks():
            try:
                while True:
                    yield b"chunk"
            finally:
                events.append(("stream", threading.current_thread().name))

        return StreamingResponse(chunks())

    @get("/async")
    async def asynchronous(number: Annotated[int, Depends(session)]) -> StreamingResponse:
        async def chunks():
            try:
                while True:
                    yield b"chunk"
            finally:
                events.append(("stream", await sync_to_async(lambda: threading.current_thread().name)()))

        return StreamingResponse(chunks())

    async def others():
        return len(asyncio.all_tasks()) - 1

    gateway = Gateway([blocking, asynchronous])
    assert worker(gateway, path, 2) == b"chunk" * 2
    assert events == [("stream", "worker_0"), ("session", "worker_0")]
    assert gateway.loop_thread.run(others()) == 0
    gateway.loop_thread.close()


def test_under_wsgi_a_task_that_outlives_its_request_goes_to_the_pool(worker):
    kept = {}

    async def late(ended):
        await ended.wait()
        return await sync_to_async(lambda: threading.current_thread().name)()

    @get("/start")
    async def start() -> str:
        kept["ended"] = asyncio.Event()
        kept["task"] = asyncio.create_task(late(kept["ended"]))
        return await sync_to_async(lambda: threading.current_thread().name)()

    async def finish():
        kept["ended"].set()
        return await asyncio.wait_for(kept["task"], 5)

    gateway = Gateway([start])
    assert worker(gateway, "/start") == b"worker_0"
    assert gateway.loop_thread.run(finish()) == "gateway-1"
    gateway.pools.typed.close()
    gateway.loop_thread.close()


# --- what comes before and after a handler -------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["in the queue", "running"])
def test_no_cancellation_cuts_a_clean_up_short(ask, gate, when):
    """A transaction that a provider opened must not be taken for one that was left open."""
    events = []

    def session():
        yield 1
        if when == "running":
            events.append("closing")
            gate.wait(5)
        events.append("closed")

    @get("/use")
    async def use(number: Annotated[int, Depends(session)]) -> int:
        if when == "in the queue":
            other.submit(gate.wait, 5)
            events.append("closing")
        return number

    gateway = Gateway([use], threads=1)
    other = PooledThread(gateway.pools.typed, gateway.pools.streams)

    async def main():
        task = asyncio.create_task(ask(gateway, "/use"))
        while "closing" not in events:
            await asyncio.sleep(0.002)
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.sleep(0.01)
        gate.set()
        with suppress(asyncio.CancelledError):
            await task
        return list(events)

    assert asyncio.run(main()) == ["closing", "closed"]
    gateway.pools.typed.close()


@pytest.mark.parametrize("path", ["/whole", "/stream", "/fail"])
def test_an_asynchronous_clean_up_runs_in_the_task_that_entered_it(ask, path):
    async def session():
        token = colour.set("red")
        async with asyncio.timeout(60):  # which must be left by the task that entered it
            try:
                yield 1
            finally:
                await asyncio.sleep(0)
                colour.reset(token)

    @get("/whole")
    async def whole(number: Annotated[int, Depends(session)]) -> int:
        return number

    @get("/stream")
    async def stream(number: Annotated[int, Depends(session)]) -> StreamingResponse:
        return StreamingResponse(iter([b"1"]))

    @get("/fail")
    async def fail(number: Annotated[int, Depends(session)]) -> int:
        raise LookupError

    async def sorry(error: Exception) -> int:
        return 1

    gateway = Gateway([whole, stream, fail], exception_handlers={LookupError: sorry})
    assert asyncio.run(ask(gateway, path)).startswith(b"1")


def test_whatever_belongs_to_a_request_uses_its_thread(ask, scratch):
    """Streams, error handlers, clean-ups and background tasks, too: a connection nobody looks after is a leak."""
    connections.settings[scratch]["CONN_MAX_AGE"] = 0
    used = []

    def query():
        execute("SELECT 1")
        used.append((threading.current_thread().name.rpartition("-")[0], connections[scratch]))

    async def session():
        await sync_to_async(query)()
        try:
            yield 1
        finally:
            await sync_to_async(query)()

    async def sorry(error: Exception) -> str:
        await sync_to_async(query)()
        return "sorry"

    @get("/stream")
    async def stream(number: Annotated[int, Depends(session)]) -> StreamingResponse:
        async def chunks():
            await sync_to_async(query)()
            yield b"chunk"

        return StreamingResponse(chunks(), background=BackgroundTask(query))

    @get("/fail")
    async def fail(number: Annotated[int, Depends(session)]) -> int:
        raise LookupError

    class Flags:
        pass

    class FlagsComponent(Component):
        lifetime = "app"

        def resolve(self) -> Iterator[Flags]:
            query()
            yield Flags()
            query()

    @get("/flags")
    async def flags(flags: Flags) -> int:
        return 1

    async def start():
        await sync_to_async(query)()

    gateway = Gateway(
        [stream, fail, flags],
        components=[FlagsComponent()],
        exception_handlers={LookupError: sorry},
        on_startup=[start],
        on_shutdown=[start],
    )
    gateway.pools.typed.name = "own"

    async def main():
        messages = iter(["lifespan.startup", "lifespan.shutdown"])

        async def receive():
            return {"type": next(messages)}

        async def send(message):
            assert message["type"].endswith("complete"), message

        await gateway({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send)
        assert len(used) == 4
        return await ask(gateway, "/stream"), await ask(gateway, "/fail")

    assert asyncio.run(main()) == (b"chunk", b"sorry")
    assert [name for name, _ in used] == ["own"] * 11
    assert {wrapper.connection for _, wrapper in used} == {None}
    gateway.pools.typed.close()
    wait_until(lambda: not threads_of(gateway.pools.typed))


def test_asgiref_knows_the_route_of_an_async_function():
    @get("/one")
    async def one() -> int:
        return 1

    @get("/two")
    def two() -> int:
        return 2

    assert async_to_sync(one)() == 1
    assert asyncio.run(sync_to_async(two)()) == 2


# --- handing over ------------------------------------------------------------------------------------------------


def test_a_unit_that_waits_holds_up_none_that_another_thread_could_do(make_pool, gate):
    pool = make_pool(3)

    async def main():
        stuck = [request_on(pool).run(gate.wait, 5) for _ in range(2)]
        waiting = [asyncio.ensure_future(unit) for unit in stuck]
        short = [request_on(pool).run(threading.get_ident) for _ in range(20)]
        threads = await asyncio.wait_for(asyncio.gather(*short), 3)
        gate.set()
        await asyncio.gather(*waiting)
        return threads

    assert len(set(asyncio.run(main()))) == 1


@WAYS
def test_what_tasks_ask_for_within_a_turn_is_submitted_at_once(call):
    submitted = []

    class Counting(ThreadPool):
        def submit(self, *jobs):
            submitted.append(len(jobs))
            super().submit(*jobs)

    pool = Counting(3)

    async def one():
        with thread_sensitive(request_on(pool)):
            return await call(ident)

    async def main():
        await asyncio.gather(*(asyncio.create_task(one()) for _ in range(20)))

    asyncio.run(main())
    pool.close()
    assert submitted == [20]


@WAYS
def test_what_a_task_gave_up_in_the_queue_never_runs(make_pool, gate, call):
    pool, ran = make_pool(1), []

    async def main():
        blocked = request_on(pool).run(gate.wait, 5)
        with thread_sensitive(request_on(pool)):
            given_up = asyncio.create_task(call(ran.append, 1))
        await asyncio.sleep(0.01)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        gate.set()
        await blocked
        await request_on(pool).run(ident)

    asyncio.run(main())
    assert ran == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_work_raises_for_a_task_is_raised_there(make_pool, error):
    def unit():
        colour.set("red")
        raise error

    async def main():
        with thread_sensitive(request_on(make_pool(1))):
            for call in (by_asgiref, by_our_way):
                colour.set("none")
                with pytest.raises(error):
                    await call(unit)
                assert colour.get() == "red"

    asyncio.run(main())


def test_units_that_wait_get_every_thread(make_pool):
    pool = make_pool(5)
    barrier = threading.Barrier(5)

    async def main():
        return await asyncio.gather(*(request_on(pool).run(barrier.wait, 5) for _ in range(5)))

    assert sorted(asyncio.run(main())) == [0, 1, 2, 3, 4]


def test_a_pool_closed_within_the_turn_refuses_what_was_asked_for_in_it(make_pool):
    pool = make_pool(1)

    async def main():
        unit = request_on(pool).run(threading.get_ident)
        pool.close()
        await unit

    with pytest.raises(RuntimeError, match="is closed"):
        asyncio.run(main())


@pytest.mark.parametrize("path", ["/iterator", "/response"])
def test_a_stream_that_raises_the_end_of_another_kind_is_no_whole_stream(path):
    def talk() -> Iterator[bytes]:
        yield b"1"
        raise StopAsyncIteration

    @get("/iterator")
    def iterate() -> Iterator[bytes]:
        return talk()

    @get("/response")
    def respond() -> StreamingResponse:
        return StreamingResponse(talk())

    with pytest.raises(RuntimeError, match="StopAsyncIteration"):
        TestClient(Gateway([iterate, respond])).get(path)
