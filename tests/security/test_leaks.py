"""Nothing of a request outlives it, however many there are; connections go back in the thread that used them."""

import asyncio
import gc
import logging
import sys
from collections import Counter
from types import TracebackType
from typing import Annotated

import pytest
from django.test import override_settings
from django.urls import path
from starlette.requests import Request as StarletteRequest

from hybrid_gateway import Cookie, Gateway, Header, PlainTextResponse, Query, Request, StreamingResponse, get
from hybrid_gateway.binding.validation import collect_errors
from hybrid_gateway.exceptions import Conflict, ErrorEntry
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.telemetry import AccessLog, RequestID, ServerTiming


@get("/read/{name}", event_hooks=[RequestID, ServerTiming, AccessLog])
async def read(
    request: Request,
    name: str,
    q: Annotated[list[int], Query()] = [],  # noqa: B006
    x: Annotated[str, Header()] = "",
    c: Annotated[str, Cookie()] = "",
) -> PlainTextResponse:
    return PlainTextResponse(request.url.path)


@get("/conflict/{name}")
async def conflict(name: str) -> str:
    raise Conflict(f"There is {name}.")


@get("/broken/{name}")
async def broken(name: str) -> str:
    raise LookupError(name)


@get("/stream/{name}")
async def stream(name: str) -> StreamingResponse:
    async def chunks():
        yield name.encode()

    return StreamingResponse(chunks())


def missing(request, name):
    raise LookupError(name)


urlpatterns = [path("django/<name>", missing)]
PATHS = ["/nowhere/{}", "/read/{}", "/read/{}?q={}", "/read/{}?q=x{}", "/read/{}/"]
PATHS += ["/conflict/{}", "/broken/{}", "/stream/{}"]


async def request(gateway, number, template):
    target, _, query = template.replace("{}", str(number)).partition("?")
    mark = f"{number}".encode()
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": target, "raw_path": target.encode(), "query_string": query.encode(), "root_path": "",
        "headers": [
            (b"host", b"localhost"), (b"x-" + mark, mark), (b"x", mark), (b"cookie", b"c=%b; d%b=1" % (mark, mark)),
            (b"accept", b"text/" + mark), (b"authorization", b"Basic " + mark),
        ],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
    }  # fmt: skip
    messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive():
        return messages.pop() if messages else await asyncio.Event().wait()

    async def send(message):
        pass

    await gateway(scope, receive, send)


def count(gateway, numbers, paths):
    """What there is after so many distinct requests."""

    async def main():
        for number in numbers:
            await request(gateway, number, paths[number % len(paths)])

    gateway.loop_thread.run(main())
    for _ in range(3):
        gc.collect()
    return Counter(type(thing) for thing in gc.get_objects()), sys.getallocatedblocks()


@pytest.mark.parametrize("side", ["typed", "django"])
def test_r_leak_thousands_of_distinct_requests_leave_nothing(side):
    logging.disable(logging.CRITICAL)
    try:
        with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=[], ALLOWED_HOSTS=["localhost"]):
            gateway = Gateway([read, conflict, broken, stream], django_routes=["/django/"])
            paths, most = (PATHS, 8000) if side == "typed" else (["/django/{}", "/django/x/{}"], 4000)
            first, blocks_before = count(gateway, range(2000), paths)
            last, blocks_after = count(gateway, range(2000, 2000 + most), paths)
    finally:
        logging.disable(logging.NOTSET)
    grown = last - first
    assert sum(grown.values()) < 500, grown.most_common(10)
    assert blocks_after - blocks_before < most / 4  # texts are nothing to the garbage collector
    kept = [
        kind for kind in grown if issubclass(kind, (RequestContext, StarletteRequest, asyncio.Task)) and grown[kind] > 1
    ]
    assert not kept  # not one more than other tests have left behind


@pytest.mark.parametrize("path", ["/broken/{}", "/conflict/{}", "/checked"])
def test_errors_that_are_answered_leave_no_traceback_to_the_garbage_collector(path):
    @get("/checked")
    async def checked() -> list[ErrorEntry]:
        return collect_errors({"x": "no number"}, dict[str, int], ("body",))

    def tracebacks():
        return sum(type(thing) is TracebackType for thing in gc.get_objects())

    async def main():
        for number in range(100):
            await request(gateway, number, path)
        return tracebacks()

    logging.disable(logging.CRITICAL)
    gateway = Gateway([conflict, broken, checked])
    gateway.loop_thread.run(main())
    gc.collect()
    gc.disable()
    try:
        before = tracebacks()
        after = gateway.loop_thread.run(main())
    finally:
        gc.enable()
        logging.disable(logging.NOTSET)
    assert after - before < 20


def drop(connections):
    with connections.psycopg.connect(**connections.SERVER, dbname="postgres", autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {connections.DATABASE} WITH (FORCE)")


def test_r_db_connections_are_closed_by_the_thread_that_used_them(django_db_blocker, request):
    """On success, on failure and when a client has gone; test_connections.py looks at it from all sides."""
    connections = pytest.importorskip("tests.concurrency.test_connections", reason="psycopg is not installed")
    try:
        observer = connections.psycopg.connect(
            **connections.SERVER, dbname="postgres", connect_timeout=2, autocommit=True
        )
    except connections.psycopg.OperationalError:
        pytest.skip("no PostgreSQL answers on 127.0.0.1:5432")
    database = connections.database(0)
    observer.execute(f"CREATE DATABASE {connections.DATABASE}")
    request.addfinalizer(lambda: drop(connections))
    with connections.psycopg.connect(**connections.SERVER, dbname=connections.DATABASE) as inside:
        inside.execute("CREATE TABLE auth_group (id serial PRIMARY KEY, name text)")
    with observer, django_db_blocker.unblock(), connections.Here(**database) as here:
        for target in ("/sync", "/async", "/django/sync", "/django/async"):
            assert here.get(target)[0] == 200
        for target in ("/fail", "/fail-async"):
            assert here.get(target)[0] == 500

        async def abort():
            tasks = [
                asyncio.create_task(here.request(target + "?pause=0.2")) for target in ("/sync", "/async", "/write")
            ]
            await asyncio.sleep(0.1)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run(abort())
        connections.wait_until(lambda: connections.backends(observer) == 0, 5)
