"""Pools that share their number of threads: who gets one, what is held, and that it is always given back."""

import asyncio
import gc
import random
import threading
import time
import warnings

import pytest
from asgiref.sync import sync_to_async
from django.http import HttpResponse, StreamingHttpResponse
from django.test import override_settings
from django.urls import path
from django.utils.deprecation import MiddlewareMixin

from hybrid_gateway import Gateway, Route, StreamingResponse, get
from hybrid_gateway.concurrency.thread_pool import MAX_LONG_HOLDS, ThreadPool
from hybrid_gateway.concurrency.thread_pools import PooledThread
from hybrid_gateway.health.health_check import Readiness


@pytest.fixture
def make_pools():
    made = []

    def make(size, number=3):
        pools = [ThreadPool(size, name=f"shared-{position}") for position in range(number)]
        for pool in pools[1:]:
            pool.share(pools[0])
        made.append(pools[0])
        return pools

    yield make
    for pool in made:
        pool.close()
        wait_until(lambda pool=pool: pool._budget.alive == 0)


def wait_until(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def alive():
    return [thread for thread in threading.enumerate() if thread.name.startswith("shared-")]


@pytest.mark.parametrize("size", [1, 2, 5])
def test_pools_have_no_more_threads_together_than_one_may_have(make_pools, monkeypatch, size):
    pools, most, homes, ended = make_pools(size), [0], {}, set()
    numbers, has_ended = random.Random(size), ThreadPool._has_ended

    def end(pool, worker):
        """It has closed its connections, and does nothing more; Python takes a moment to let it go."""
        ended.add(threading.current_thread())
        has_ended(pool, worker)

    monkeypatch.setattr(ThreadPool, "_has_ended", end)

    def work(position):
        most[0] = max(most[0], len(set(alive()) - ended))
        # A thread serves one pool as long as it lives.
        assert homes.setdefault(threading.current_thread(), position) == position
        time.sleep(0.0005)

    futures = []
    for _ in range(300):
        position = numbers.randrange(3)
        futures.append(PooledThread(pools[position], pools[position]).submit(work, position))
        if numbers.random() < 0.05:
            time.sleep(0.002)
    for future in futures:
        future.result(20)
    assert 1 <= most[0] <= size


def test_a_pool_in_need_gets_the_idle_thread_of_another_and_leaves_busy_ones(make_pools):
    one, two, _ = make_pools(2)
    gate = threading.Event()
    try:
        busy = PooledThread(one, one).submit(gate.wait, 5)
        PooledThread(one, one).submit(time.sleep, 0).result(5)
        assert PooledThread(two, two).submit(threading.current_thread).result(5).name.startswith("shared-1")
        assert not busy.done()
    finally:
        gate.set()


def test_neither_pool_starves(make_pools):
    """One has much to do all the time; the other now and then."""
    one, two, _ = make_pools(2)
    many = [PooledThread(one, one).submit(time.sleep, 0.002) for _ in range(200)]
    few = PooledThread(two, two).submit(int)
    assert few.result(5) == 0
    assert not all(future.done() for future in many)
    for future in many:
        future.result(10)


def test_a_held_thread_is_nobody_elses_until_it_is_free(make_pools):
    (pool, *_) = make_pools(1)
    request, other = PooledThread(pool, pool), PooledThread(pool, pool)
    request.hold()
    request.submit(int).result(5)
    waiting = other.submit(int)
    for _ in range(3):
        request.submit(int).result(5)
        assert not waiting.done()
    request.submit(request.free).result(5)
    assert waiting.result(5) == 0
    request.release()


@pytest.mark.parametrize("how", ["free", "release"])
def test_what_is_held_long_does_not_count_and_is_given_back(make_pools, how):
    pools = make_pools(1)
    requests = [PooledThread(pools[position % 2], pools[0]) for position in range(6)]
    for request in requests:
        request.hold()
        assert request.submit(int).result(5) == 0
        request.hold_long()
        request.hold_long()  # once more changes nothing
    assert len(alive()) == 6
    assert PooledThread(pools[2], pools[2]).submit(int).result(5) == 0
    for request in requests:
        if how == "free":
            request.submit(request.free).result(5)
        request.release()
    wait_until(lambda: len(alive()) == 1)
    assert pools[0]._budget.long_holds == 0
    assert PooledThread(pools[0], pools[0]).submit(int).result(5) == 0


def test_only_so_many_are_held_long(make_pools):
    (pool, *_) = make_pools(1)
    requests = [PooledThread(pool, pool) for _ in range(MAX_LONG_HOLDS + 1)]
    for request in requests:
        request.hold()
        request.submit(int).result(5)
        request.hold_long()
    assert len(alive()) == MAX_LONG_HOLDS + 1
    waiting = PooledThread(pool, pool).submit(int)
    time.sleep(0.02)
    assert not waiting.done()
    for request in requests:
        request.release()
    assert waiting.result(5) == 0


# --- in a gateway -----------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def what_the_loop_cut_off_is_collected_here():
    """A page that is cut off by the end of its loop may leave the file of its body to the collector."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


class Leaves(MiddlewareMixin):
    def process_request(self, request):
        request.left = threading.current_thread().name


async def slow():
    await sync_to_async(int)()
    await asyncio.sleep(0.01)
    await sync_to_async(int)()
    return HttpResponse("x")


def page(request):
    return HttpResponse("x")


async def async_page(request):
    return await slow()


def endless(request):
    def parts():
        while True:
            time.sleep(0.001)
            yield b"x"

    return StreamingHttpResponse(parts())


async def async_endless(request):
    async def parts():
        while True:
            await sync_to_async(int)()
            yield b"x"

    return StreamingHttpResponse(parts())


urlpatterns = [
    path("page/def", page),
    path("page/async", async_page),
    path("page/endless", endless),
    path("page/async-endless", async_endless),
]
LEAVES = "tests.concurrency.test_shared_threads.Leaves"


@get("/def", django_middleware=[LEAVES])
def below() -> int:
    time.sleep(0.002)
    return 1


@get("/async", django_middleware=[LEAVES])
async def below_async() -> int:
    await slow()
    return 1


@get("/endless", django_middleware=[LEAVES])
def below_endless() -> StreamingResponse:
    return StreamingResponse(iter(lambda: time.sleep(0.001) or b"x", None))


async def ask(application, target, *, until=None):
    """Ask, and go away after ``until`` messages, if that is a number."""
    scope = {"type": "http", "method": "GET", "path": target, "raw_path": target.encode(), "root_path": ""}
    scope |= {"query_string": b"", "headers": [(b"host", b"testserver")], "scheme": "http", "http_version": "1.1"}
    scope |= {"server": ("testserver", 80), "client": ("192.0.2.1", 1)}
    messages, sent, gone = [{"type": "http.request", "body": b"", "more_body": False}], [], asyncio.Event()

    async def receive():
        if messages:
            return messages.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)
        if until is not None and len(sent) >= until:
            gone.set()
            await asyncio.sleep(0.001)
            raise OSError("The client has gone.")

    await application(scope, receive, send)
    return sent


@pytest.fixture
def served():
    options = {"ROOT_URLCONF": "tests.concurrency.test_shared_threads", "MIDDLEWARE": [LEAVES], "ALLOWED_HOSTS": ["*"]}
    with override_settings(**options):
        routes = [below, below_async, below_endless, Route("/plain", page_of_ours)]
        gateway = Gateway(routes, django_routes=["/page/"], threads=2)
        yield gateway
        gateway.pools.typed.close()
        gateway.pools.streams.close()
        wait_until(lambda: gateway.pools.typed._budget.alive == 0)


def page_of_ours() -> int:
    return 1


def test_no_thread_is_lost_to_clients_that_go_away(served):
    targets = ["/def", "/async", "/endless", "/page/async", "/page/def", "/page/endless", "/page/async-endless"]
    numbers = random.Random(3)

    async def leave(target):
        task = asyncio.create_task(ask(served, target, until=numbers.choice([2, 3, 5])))
        if "endless" not in target and numbers.random() < 0.7:
            await asyncio.sleep(numbers.random() * 0.01)
            task.cancel()
        await asyncio.wait((task,), timeout=10)
        assert task.done(), target
        task.cancelled() or task.exception()

    async def main():
        await asyncio.gather(*(leave(target) for target in targets * 6))
        for target in ("/def", "/async", "/page/async", "/page/def", "/plain") * 3:
            sent = await asyncio.wait_for(ask(served, target), 5)
            assert sent[0]["status"] == 200

    asyncio.run(asyncio.wait_for(main(), 40))
    budget = served.pools.typed._budget
    wait_until(lambda: budget.long_holds == 0 and budget.alive - budget.ending <= 2)


def test_a_request_that_holds_the_only_thread_waits_for_no_other_of_its_kind():
    def check() -> bool:
        return True

    @get("/ready", django_middleware=[LEAVES])
    async def ready(readiness: Readiness) -> bool:
        await sync_to_async(int)()
        return (await readiness.ask())[0]

    with override_settings(ALLOWED_HOSTS=["*"]):
        gateway = Gateway([ready], threads=1, health_checks=[check])
        sent = asyncio.run(asyncio.wait_for(ask(gateway, "/ready"), 10))
    assert (sent[0]["status"], sent[1]["body"]) == (200, b"true")
    gateway.pools.typed.close()
    gateway.pools.streams.close()
