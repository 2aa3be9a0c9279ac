"""The lane: what it takes, what it leaves to uvicorn's road, and that nobody can tell the two apart."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import threading
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="The lane needs uvicorn and httptools, which the extra `server` brings.")

import anyio
import uvicorn
from django.utils import translation
from hypothesis import HealthCheck, given, settings
from starlette.requests import ClientDisconnect
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from hybrid_gateway import CORS, EventSourceResponse, Gateway, PlainTextResponse, Request, StreamingResponse, get, post
from hybrid_gateway.drivers.lane.protocol import LaneProtocol
from hybrid_gateway.drivers.lane.request import LaneRequest
from tests.drivers.lane import Transport, read_response
from tests.drivers.lane_fuzz import Comparison, conversations

GET = b"GET %b HTTP/1.1\r\nHost: example.org\r\n\r\n"


class CountedLane(LaneProtocol):
    calls: list[LaneRequest] = []

    class request_class(LaneRequest):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            CountedLane.calls.append(self)


@pytest.fixture(autouse=True)
def no_calls() -> Iterator[None]:
    CountedLane.calls.clear()
    yield
    CountedLane.calls.clear()


class Connection:
    """One connection of a client that writes bytes and reads what was written back."""

    def __init__(self, app: Any, kind: Any = CountedLane, state: ServerState | None = None, **options: Any) -> None:
        options = {"log_config": None, "access_log": False, "ws": "none", **options}
        self.config = uvicorn.Config(app, **options)
        self.config.load()
        self.state = state or ServerState()
        self.protocol = kind(self.config, self.state, {}, asyncio.get_running_loop())
        self.transport = Transport(peername=("127.0.0.1", 1), sockname=("127.0.0.1", 2))
        self.protocol.connection_made(self.transport)

    def send(self, data: bytes) -> None:
        self.protocol.data_received(data)

    async def ask(self, path: str, *, head: bytes = b"", method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        """One request; status, headers and body of the answer."""
        self.transport.written.clear()
        self.send(b"%b %b HTTP/1.1\r\nHost: example.org\r\n%b\r\n" % (method.encode(), path.encode(), head))
        await self.settle()
        status, headers, body = read_response(bytes(self.transport.written), method)
        return status, dict(headers), body

    async def settle(self) -> None:
        """Wait until every request is answered."""
        while self.state.tasks:
            await asyncio.wait(self.state.tasks)
            await asyncio.sleep(0)


# --- the same as uvicorn's own road --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def comparison() -> Iterator[Comparison]:
    comparison = Comparison()
    yield comparison
    comparison.close()


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(conversation=conversations())
def test_the_same_bytes_get_the_same_answer_on_both_roads(comparison, conversation):
    comparison.run(*conversation)


def test_whole_requests_for_routes_take_the_lane_and_the_rest_does_not():
    @get("/hello")
    async def hello() -> str:
        return "hello"

    @get("/items/{item_id}")
    async def item(item_id: int) -> int:
        return item_id

    @get("/wrapped", middleware=[lambda app: app])
    async def wrapped() -> str:
        return "wrapped"

    async def main() -> None:
        connection = Connection(Gateway([hello, item, wrapped], django_routes=["/page/"]))
        for path, status, taken in [
            ("/hello", 200, 1),
            ("/hello?x=1", 200, 1),
            ("/items/7", 200, 1),
            ("/items/x", 404, 1),
            ("/wrapped", 200, 0),
            ("/nope", 404, 1),
            ("/page/", 404, 0),
        ]:
            CountedLane.calls.clear()
            assert (await connection.ask(path))[0] == status
            assert len(CountedLane.calls) == taken, path
        CountedLane.calls.clear()
        for byte in GET % b"/hello":
            connection.send(bytes([byte]))
        await connection.settle()
        assert connection.transport.written.endswith(b"hello") and not CountedLane.calls

    asyncio.run(main())


async def teapot(request: Request, error: Exception) -> PlainTextResponse:
    return PlainTextResponse(f"{request.url.path} is no teapot", status_code=418)


@pytest.mark.parametrize(
    ("options", "takes_unknown"),
    [
        ({}, True),
        ({"cors": CORS(origins=["https://example.org"])}, True),
        ({"exception_handlers": {404: teapot}}, True),
        ({"fallthrough": True}, False),
        ({"trailing_slash": "ignore"}, False),
        ({"trailing_slash": "strict"}, True),
    ],
)
def test_paths_without_a_route_get_the_same_answer_on_both_roads(options, takes_unknown):
    @get("/items/{item_id:int}")
    async def item(item_id: int) -> int:
        return item_id

    paths = (
        "/nope",
        "/nope?a=b",
        "/items/x",
        "/items/7/",
        "/hello/",
        "/items/7",
        "/hello",
        "/HELLO",
        "/Page/",
        "/page/x",
    )

    async def answers(gateway: Gateway, kind: Any) -> list[Any]:
        connection = Connection(gateway, kind, ServerState())
        found = []
        for path in paths * 2:
            for method in ("GET", "POST", "OPTIONS", "HEAD", "TRACE"):
                answer = await connection.ask(path, method=method, head=b"Origin: https://example.org\r\n")
                found.append((path, method, answer))
        return found

    async def main() -> None:
        gateway = Gateway([hello, item], django_routes=["/page/"], **options)
        theirs, ours = await answers(gateway, HttpToolsProtocol), await answers(gateway, CountedLane)
        assert theirs == ours
        assert (
            any(call.method == "GET" and call.scope["path"] == "/nope" for call in CountedLane.calls) is takes_unknown
        )

    asyncio.run(main())


def test_no_more_than_so_many_unknown_paths_are_remembered_and_none_that_a_new_route_answers(monkeypatch):
    monkeypatch.setattr("hybrid_gateway.drivers.lane.request_lines.MAX_NOTED", 3)

    @get("/late")
    async def late() -> str:
        return "late"

    async def main() -> None:
        gateway = Gateway([hello])
        connection = Connection(gateway)
        assert (await connection.ask("/hello"))[0] == 200
        for path in ("/late", "/late", *(f"/nope/{number}" for number in range(10)), "/" + "x" * 200):
            assert (await connection.ask(path))[0] == 404
        lines: Any = connection.protocol.lane._lines
        known = {
            line for line in lines.static if b"hello" not in line and b"openapi" not in line and b"docs" not in line
        }
        assert known == {b"GET /nope/8 HTTP/1.1", b"GET /nope/9 HTTP/1.1"}
        gateway.register(late)
        assert (await connection.ask("/late"))[2] == b"late"

    asyncio.run(main())


def test_what_comes_after_the_last_request_of_a_connection_is_ignored_on_both_roads():
    @get("/slow")
    async def slow() -> str:
        await asyncio.sleep(0.01)
        return "done"

    async def answer(kind: Any) -> bytes:
        connection = Connection(Gateway([slow]), kind)
        connection.send(b"GET /slow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        connection.send(b"GET / http/1.1\r\n\r\n")  # which no parser takes
        await connection.settle()
        return bytes(connection.transport.written).partition(b"\r\n")[0]

    assert asyncio.run(answer(CountedLane)) == asyncio.run(answer(HttpToolsProtocol)) == b"HTTP/1.1 200 OK"


def test_an_overridden_gateway_is_seen_at_once():
    class Tenant(str):
        pass

    def tenant() -> Tenant:
        return Tenant("real")

    @get("/tenant")
    async def name(tenant: Tenant) -> str:
        return str(tenant)

    async def main() -> None:
        gateway = Gateway([name], components=[tenant])
        connection = Connection(gateway)
        assert (await connection.ask("/tenant"))[2] == b"real"
        with gateway.override({Tenant: Tenant("fake")}):
            assert (await connection.ask("/tenant"))[2] == b"fake"
        assert (await connection.ask("/tenant"))[2] == b"real"
        assert len(CountedLane.calls) == 3

    asyncio.run(main())


@pytest.mark.parametrize("wait", [False, True])
def test_a_handler_runs_in_a_task_as_it_would_anywhere(wait):
    seen: list[Any] = []

    @get("/task")
    async def task() -> str:
        if wait:
            await asyncio.sleep(0.01)
        seen.append(asyncio.current_task())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.sleep(5)
        with anyio.move_on_after(0.01) as scope:
            await anyio.sleep(5)
        assert scope.cancelled_caught
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0))
        return "done"

    async def main() -> None:
        connection = Connection(Gateway([task]))
        assert (await connection.ask("/task"))[2] == b"done"
        assert (await connection.ask("/task"))[2] == b"done"
        assert len(CountedLane.calls) == 2

    asyncio.run(main())
    assert seen[0] is not None and seen[0] is not seen[1]


def test_what_a_handler_sets_in_its_context_no_other_request_sees():
    variable: ContextVar[str] = ContextVar("variable", default="fresh")

    @get("/set")
    async def read_and_set() -> list[str]:
        found = [variable.get(), translation.get_language()]
        variable.set("used")
        translation.activate("de")
        return found

    @get("/set-sync")
    def read_and_set_sync() -> list[str]:
        found = [variable.get(), translation.get_language()]
        variable.set("used")
        translation.activate("de")
        return found

    async def main() -> None:
        connection = Connection(Gateway([read_and_set, read_and_set_sync]))
        for path in ("/set", "/set", "/set-sync", "/set-sync", "/set"):
            assert (await connection.ask(path))[2] == b'["fresh","en-us"]', path
        assert variable.get() == "fresh"

    asyncio.run(main())


def test_the_clean_up_of_a_stream_runs_in_the_task_that_entered():
    tasks: list[Any] = []

    async def provider() -> AsyncIterator[int]:
        tasks.append(asyncio.current_task())
        async with asyncio.timeout(5):
            yield 1
        tasks.append(asyncio.current_task())

    @get("/stream")
    async def stream(value: int) -> StreamingResponse:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"a"
            await asyncio.sleep(0)
            yield b"b"

        return StreamingResponse(chunks())

    async def main() -> None:
        connection = Connection(Gateway([stream], components=[provider]))
        assert (await connection.ask("/stream"))[2] == b"ab"

    asyncio.run(main())
    assert len(tasks) == 2 and tasks[0] is tasks[1] is not None


def test_an_idle_connection_keeps_nothing_of_its_last_request():
    @post("/data")
    async def data(request: Request) -> int:
        return len(await request.body())

    async def main() -> None:
        connection = Connection(Gateway([data]))
        connection.send(b"POST /data HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody")
        await connection.settle()
        assert connection.transport.written.endswith(b"4")
        reference = weakref.ref(CountedLane.calls.pop())
        if reference() is not None:
            gc.collect()
        assert reference() is None

    asyncio.run(main())


def test_a_client_that_hangs_up_is_told_to_whoever_waits_for_it():
    outcomes: list[str] = []

    @get("/wait")
    async def wait(request: Request) -> str:
        assert await request.body() == b""
        try:
            async for _ in request.stream():
                pass
            message = await request.receive()
            outcomes.append(message["type"])
        except ClientDisconnect:
            outcomes.append("gone")
            raise
        return "late"

    async def main() -> None:
        connection = Connection(Gateway([wait]))
        connection.send(GET % b"/wait")
        await asyncio.sleep(0.01)
        assert connection.state.tasks and not outcomes
        connection.protocol.connection_lost(None)
        await connection.settle()
        assert outcomes == ["gone"] and not connection.transport.written

    asyncio.run(main())


def test_answers_wait_while_the_client_does_not_read():
    @get("/hello")
    async def hello() -> str:
        return "hello"

    async def main() -> None:
        connection = Connection(Gateway([hello]))
        connection.protocol.pause_writing()
        connection.send(GET % b"/hello")
        await asyncio.sleep(0.01)
        assert not connection.transport.written and connection.state.tasks
        connection.protocol.resume_writing()
        await connection.settle()
        assert connection.transport.written.endswith(b"hello")

    asyncio.run(main())


def test_the_limit_of_concurrency_and_the_access_log_are_uvicorns(caplog, monkeypatch):
    @get("/hello")
    async def hello() -> str:
        return "hello"

    @get("/files/{name:path}")
    async def file(name: str) -> str:
        return name

    async def main() -> None:
        gateway = Gateway([hello, file])
        answers = []
        for kind in (HttpToolsProtocol, CountedLane):
            connection = Connection(gateway, kind, limit_concurrency=1)
            answers.append(await connection.ask("/hello"))
        assert answers[0] == answers[1] and answers[0][0] == 503
        monkeypatch.setattr(logging.getLogger("uvicorn.access"), "propagate", True)  # Config has switched it off
        lines = []
        for kind in (HttpToolsProtocol, CountedLane):
            caplog.clear()
            connection = Connection(gateway, kind, access_log=True, forwarded_allow_ips="*")
            for path in ("/hello?a=%20b", "/hello", "/hello?", "/files/a%20b", "/files/a:b?c", "/files/~a", "/nope"):
                await connection.ask(path, head=b"X-Forwarded-For: 203.0.113.9\r\n")
            lines.append([record.getMessage() for record in caplog.records if record.name == "uvicorn.access"])
        assert lines[0] == lines[1]
        assert lines[0][0] == '203.0.113.9:0 - "GET /hello?a=%20b HTTP/1.1" 200'

    caplog.set_level(logging.INFO, "uvicorn.access")
    asyncio.run(main())


@pytest.mark.parametrize(
    ("wrap", "gateway_options", "options", "why"),
    [
        (lambda gateway: lambda *args: gateway(*args), {}, {"interface": "asgi3"}, "no bare Gateway"),
        (lambda gateway: gateway, {"middleware": [lambda app: app]}, {}, "middleware of its own"),
        (lambda gateway: gateway, {}, {"root_path": "/api"}, "script prefix"),
    ],
)
def test_where_something_must_see_asgi_the_lane_is_off_and_says_so_once(caplog, wrap, gateway_options, options, why):
    @get("/hello")
    async def hello() -> str:
        return "hello"

    async def main() -> None:
        state = ServerState()
        app = wrap(Gateway([hello], **gateway_options))
        for _ in range(2):
            assert (await Connection(app, state=state, **options).ask("/hello"))[2] == b"hello"

    asyncio.run(main())
    messages = [record.getMessage() for record in caplog.records if "lane is off" in record.getMessage()]
    assert len(messages) == 1 and why in messages[0]
    assert not CountedLane.calls


# --- time-outs -----------------------------------------------------------------------------------------------------


class HastyLane(CountedLane):
    head_timeout = 0.1
    body_timeout = 0.1


class PatientLane(CountedLane):
    body_timeout = 1.0


@asynccontextmanager
async def serving(app: Any, kind: Any = HastyLane, **options: Any) -> AsyncIterator[tuple[uvicorn.Server, int]]:
    """A real server on a port of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, http=kind, log_config=None, access_log=False, **options)
        server = uvicorn.Server(config)
        server.capture_signals = threading.Lock  # type: ignore[assignment,method-assign]  # a context that does nothing
        task = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            yield server, listener.getsockname()[1]
        finally:
            server.should_exit = True
            await task


async def talk(port: int, *chunks: bytes, pause: float = 0.0) -> tuple[bytes, float]:
    """What comes back until the server hangs up, and how long that took after the last chunk."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for chunk in chunks:
        writer.write(chunk)
        await asyncio.sleep(pause)
    start = asyncio.get_running_loop().time()
    answer = b""
    with suppress(ConnectionError):  # it may have hung up while the last chunk was on its way
        answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return answer, asyncio.get_running_loop().time() - start


@get("/hello")
async def hello() -> str:
    return "hello"


@get("/slow")
async def slow() -> str:
    await asyncio.sleep(0.4)
    return "slow"


@post("/length")
async def length(request: Request) -> int:
    return len(await request.body())


def test_heads_and_bodies_that_do_not_come_end_the_connection():
    async def main() -> None:
        async with serving(Gateway([hello, slow, length]), timeout_keep_alive=1) as (_, port):
            silent, dripping, stalled, chunked, patient, idle = await asyncio.gather(
                talk(port),
                talk(port, b"GET /hello HTTP/1.1\r\nHost: localhost\r\n", *[b"X: y\r\n"] * 4, pause=0.03),
                talk(port, b"POST /length HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nab"),
                talk(
                    port, b"POST /length HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"
                ),
                talk(port, b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n"),
                talk(port, b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            )
        assert silent[0] == b"" and silent[1] < 0.7
        assert dripping[0] == b"" and dripping[1] < 0.5  # more bytes of a head buy no time
        for answer, _ in (stalled, chunked):
            assert answer.startswith(b"HTTP/1.1 408 ") and b"connection: close" in answer
        assert b"slow" in patient[0]  # longer than both, and not cut off
        assert idle[0].endswith(b"hello") and 0.8 < idle[1] < 3

    asyncio.run(main())


def test_blank_lines_buy_an_idle_connection_no_time():
    async def main() -> None:
        async with serving(Gateway([hello]), timeout_keep_alive=1) as (_, port):
            request = b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"
            kept, fresh = await asyncio.gather(talk(port, request, b"\r\n", pause=0.1), talk(port, b"\r\n"))
        assert kept[0].endswith(b"hello") and kept[1] < 3
        assert fresh[0] == b"" and fresh[1] < 3

    asyncio.run(main())


def test_a_body_that_keeps_coming_may_take_its_time():
    async def main() -> None:
        async with serving(Gateway([length]), PatientLane) as (_, port):
            head = b"POST /length HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 5\r\n\r\n"
            answer, _ = await talk(port, head, b"a", b"b", b"c", b"d", b"e", pause=0.3)
            assert answer.endswith(b"\r\n5")

    asyncio.run(main())


def test_a_websocket_is_refused_cleanly_and_not_watched_by_the_lane():
    async def main() -> None:
        async with serving(Gateway([hello])) as (_, port):
            answer, _ = await talk(
                port,
                b"GET /hello HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            )
            assert answer.startswith(b"HTTP/1.1 404 ")
            assert answer.endswith(b'{"type":"about:blank","title":"Not Found","status":404}')

    asyncio.run(main())


def test_a_graceful_shutdown_waits_for_requests_on_the_lane():
    async def main() -> None:
        async with serving(Gateway([slow])) as (server, port):
            request = asyncio.create_task(talk(port, b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n"))
            await asyncio.sleep(0.1)
            assert CountedLane.calls
            server.should_exit = True
            answer, _ = await request
            assert answer.endswith(b"slow") and b"connection: close" in answer

    asyncio.run(main())


# On its own road uvicorn told nobody before this version.
SAYS_CLOSE = tuple(map(int, uvicorn.__version__.split(".")[:2])) >= (0, 51)


@pytest.mark.parametrize("is_wrapped", [False, True])
def test_a_connection_outlives_the_shutdown_for_the_request_that_is_on_its_way_and_for_no_other(
    is_wrapped, monkeypatch
):
    monkeypatch.setattr("hybrid_gateway.drivers.lane.protocol.GRACE_AFTER_SIGNAL", 2.0)  # enough on a busy machine
    gateway = Gateway([slow])

    async def wrapper(scope: Any, receive: Any, send: Any) -> None:
        await gateway(scope, receive, send)

    request = b"GET %b HTTP/1.1\r\nHost: localhost\r\n%b\r\n"
    upgrade = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n"

    async def main() -> None:
        async with serving(wrapper if is_wrapped else gateway, CountedLane) as (server, port):
            kept = [await asyncio.open_connection("127.0.0.1", port) for _ in range(5)]
            await asyncio.sleep(0.1)
            server.should_exit = True
            await asyncio.sleep(0.3)  # the server has closed its door by now
            ends = zip(kept, [(b"/slow", b""), (b"/nowhere", b""), (b"/slow", upgrade)], strict=False)
            for (_, writer), (path, more) in ends:
                writer.write(request % (path, more) * 2)
            kept[3][1].write(b"GET /slow HTTP/1.1\r\nHo")
            answered, unknown, upgraded, half, idle = [await reader.read() for reader, _ in kept]
            for _, writer in kept:
                writer.close()
        assert answered.startswith(b"HTTP/1.1 200 ") and answered.count(b"HTTP/1.1") == 1 and answered.endswith(b"slow")
        assert unknown.startswith(b"HTTP/1.1 404 ") and unknown.count(b"HTTP/1.1") == 1
        if SAYS_CLOSE:
            assert b"connection: close" in answered and b"connection: close" in unknown
        assert half == idle == b""
        assert (
            upgraded == b""
            if is_wrapped
            else upgraded.startswith(b"HTTP/1.1 503 ") and upgraded.count(b"HTTP/1.1") == 1
        )

    asyncio.run(asyncio.wait_for(main(), 20))


@get("/events")
async def events() -> EventSourceResponse:
    async def ticks() -> AsyncIterator[str]:
        while True:
            yield "tick"
            await asyncio.sleep(0.02)

    return EventSourceResponse(ticks())


def test_a_server_that_is_told_to_end_without_a_signal_ends_event_streams():
    gateway = Gateway([events])

    async def main() -> None:
        async with serving(gateway) as (server, port):
            stream = asyncio.create_task(talk(port, b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"))
            await asyncio.sleep(0.2)
            server.should_exit = True
            answer, _ = await stream
        assert answer.endswith(b"\r\n0\r\n\r\n") and gateway.draining

    asyncio.run(main())


def test_a_shutdown_that_may_not_wait_cancels_requests_and_answers_500(caplog):
    @get("/forever")
    async def forever() -> str:
        await asyncio.sleep(60)
        return ""

    async def main() -> None:
        async with serving(Gateway([forever]), timeout_graceful_shutdown=0.2) as (server, port):
            request = asyncio.create_task(talk(port, b"GET /forever HTTP/1.1\r\nHost: localhost\r\n\r\n"))
            await asyncio.sleep(0.1)
            server.should_exit = True
            answer, _ = await request
            assert answer.startswith(b"HTTP/1.1 500 ")

    asyncio.run(main())


def test_requests_at_once_and_one_after_another_all_take_the_lane():
    @get("/echo/{number:int}")
    async def echo(number: int) -> PlainTextResponse | str:
        await asyncio.sleep(number % 3 / 1000)
        return str(number)

    @get("/sync/{number:int}")
    def sync(number: int) -> str:
        return str(number)

    async def client(port: int, number: int, answers: list[bool]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for path in ("echo", "sync", "echo", "sync", "sync"):
            writer.write(GET % f"/{path}/{number}".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            answers.append(await reader.readexactly(size) == str(number).encode())
        writer.close()

    async def main() -> None:
        answers: list[bool] = []
        async with serving(Gateway([echo, sync]), CountedLane) as (_, port):
            await asyncio.gather(*(client(port, number, answers) for number in range(60)))
        assert len(answers) == 300 and all(answers)
        assert len(CountedLane.calls) == 300

    asyncio.run(main())
