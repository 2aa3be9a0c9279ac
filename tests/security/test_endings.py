"""The end of a process, and of bodies that do not come: F5, F8, R-ALLPATHS on real servers."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from contextlib import ExitStack
from time import monotonic, sleep

import pytest

from hybrid_gateway import EventSourceResponse, Gateway, get
from hybrid_gateway.dispatch.shutdown import Shutdown
from tests.security.servers import Answer, Server, read_answer, serving

SERVERS = ["h11", "httptools", "lane", "granian", "gunicorn-lane", "gunicorn-wsgi"]


@pytest.fixture
def begin():
    """``begin(server, target)`` sends a request, and gives the connection on which the answer comes."""
    with ExitStack() as opened:

        def send(server: Server, target: str) -> socket.socket:
            connection = opened.enter_context(socket.create_connection(("127.0.0.1", server.port), 10))
            connection.sendall(f"GET {target} HTTP/1.1\r\nHost: ex.test\r\n\r\n".encode())
            return connection

        yield send


@pytest.mark.parametrize("name", SERVERS)
def test_f5_on_sigterm_requests_finish_event_streams_end_and_the_process_goes(name, begin):
    with serving(name) as server:
        slow = [begin(server, "/slow") for _ in range(20)]
        streams = [begin(server, "/events") for _ in range(20)]
        for stream in streams:
            assert b"tick" in stream.recv(65536) + stream.recv(65536)
        sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        started = monotonic()
        answers = [read_answer(connection) for connection in slow]
        assert [(answer.status, answer.text) for answer in answers] == [(200, "slow")] * 20
        for stream in streams:
            rest = b""
            while chunk := stream.recv(65536):
                rest += chunk
            assert rest.endswith(b"0\r\n\r\n"), rest[-200:]
        assert server.process.wait(10) in (0, -signal.SIGTERM)
        assert monotonic() - started < 8
        assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("name", SERVERS)
def test_f5_a_stream_that_never_ends_is_cut_after_the_grace_and_not_completed(name, begin):
    with serving(name, GRACE="0.5") as server:
        stream = begin(server, "/endless")
        assert b"tick" in stream.recv(65536) + stream.recv(65536)
        server.process.send_signal(signal.SIGTERM)
        rest = b""
        try:
            while chunk := stream.recv(65536):
                rest += chunk
        except ConnectionResetError:
            pass
        assert not rest.endswith(b"0\r\n\r\n")
        assert server.process.wait(10) in (0, -signal.SIGTERM)


def test_while_it_drains_a_gateway_answers_503_and_probes():
    @get("/x")
    async def x() -> str:
        return "x"

    @get("/probe", opt={"probe": True})
    async def probe() -> str:
        return "alive"

    gateway = Gateway([x, probe], django_routes=["/page/"])
    assert not gateway.draining and ask(gateway, "/x")[0] == 200
    gateway.drain()
    gateway.drain()
    assert gateway.draining
    for path in ("/x", "/page/", "/nowhere"):
        status, headers, _ = ask(gateway, path)
        assert (status, headers[b"connection"], headers[b"retry-after"]) == (503, b"close", b"1")
    assert b"connection" not in ask(gateway, "/x", http_version="2")[1]
    assert ask(gateway, "/probe")[2] == b"alive"
    asyncio.run(gateway.startup())  # a server begins in the same process, as in tests
    assert ask(gateway, "/x")[0] == 200


def test_what_comes_right_after_the_signal_is_answered_as_the_last_of_its_connection():
    @get("/x")
    async def x() -> str:
        return "x"

    gateway = Gateway([x])
    gateway.dispatcher.shutdown.begin(0.2)
    assert gateway.draining
    status, headers, body = ask(gateway, "/x")
    assert (status, headers[b"connection"], body) == (200, b"close", b"x")
    assert b"connection" not in ask(gateway, "/x", http_version="2")[1]
    gateway.dispatcher.shutdown.begin(60)  # later news, as of the server after the signal, give no more time
    sleep(0.25)
    assert ask(gateway, "/x")[0] == 503
    asyncio.run(gateway.startup())
    gateway.dispatcher.shutdown.begin(60)
    gateway.drain()  # whoever says it means it
    assert ask(gateway, "/x")[0] == 503


def test_on_every_driver_a_gateway_that_drains_refuses_and_event_streams_end(serve):
    @get("/x")
    async def x() -> str:
        return "x"

    @get("/events")
    async def events() -> EventSourceResponse:
        async def ticks():
            yield "first"
            await asyncio.Event().wait()

        return EventSourceResponse(ticks(), heartbeat=None)

    client = serve(x, events)
    assert client.get("/x").text == "x"
    threading.Timer(0.2, client.gateway.drain).start()
    assert client.get("/events").text == "data: first\n\n"
    assert client.get("/x").status_code == 503


def test_two_gateways_of_a_process_hear_a_signal_in_whatever_order_they_end():
    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        first, second = Shutdown(1), Shutdown(1)
        first.watch_signals()
        second.watch_signals()
        second.watch_signals()
        first.forget_signals()  # which the second one still leads to
        signal.raise_signal(signal.SIGTERM)
        assert heard == [signal.SIGTERM] and first.has_begun and second.has_begun
        assert not first.rejects_requests and not second.rejects_requests  # not at once
        second.forget_signals()
        signal.raise_signal(signal.SIGTERM)
        assert len(heard) == 2
    finally:
        first.forget_signals()
        second.forget_signals()
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGINT, signal.default_int_handler)


def ask(gateway: Gateway, path: str, **more: str) -> tuple[int, dict[bytes, bytes], bytes]:
    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "headers": [(b"host", b"testserver")],
        "http_version": "1.1", "query_string": b"", "server": ("testserver", 80), "scheme": "http", **more,
    }  # fmt: skip
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    asyncio.run(gateway(scope, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(message.get("body", b"") for message in sent[1:])


def test_an_event_stream_that_waits_ends_at_once_and_closes_its_iterator():
    closed = []

    async def events():
        try:
            yield "first"
            await asyncio.Event().wait()
        finally:
            closed.append(True)

    async def chunks():
        response = EventSourceResponse(events(), heartbeat=None)
        ending = Shutdown(1)
        response.until = ending.notifying
        sent = []

        async def send(message):
            sent.append(message)
            if b"first" in message.get("body", b""):
                threading.Timer(0.05, ending.begin).start()  # as a signal handler would, from anywhere

        async with asyncio.timeout(5):
            await response.stream_response(send)
        return [message.get("body") for message in sent[1:]]

    assert asyncio.run(chunks()) == [b"data: first\n\n", b""]
    assert closed


# --- bodies that do not come: F8


@pytest.mark.parametrize("name", ["h11", "httptools", "lane", "granian"])
def test_f8_a_body_that_does_not_come_or_only_drips_is_408(name):
    with serving(name, BODY_TIMEOUT="0.6") as server:
        for path in ("/length", "/admin/length/"):
            head = f"POST {path} HTTP/1.1\r\nHost: ex.test\r\nContent-Type: application/octet-stream\r\n".encode()
            started = monotonic()
            stalled = server.send(head + b"Content-Length: 10\r\n\r\nab")
            assert (stalled.status, stalled.headers.get("connection")) == (408, "close"), path
            dripping = drip(server, head + b"Content-Length: 100\r\n\r\n")
            assert dripping.status == 408, path
            assert monotonic() - started < 4
            whole = server.send(head + b"Content-Length: 3\r\n\r\nabc", pieces=1, pause=0.002)
            assert whole.text in ("3", "django 3"), path


def drip(server: Server, head: bytes) -> Answer:
    """A body of which a byte comes now and then."""
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(head)
        over = threading.Event()

        def write() -> None:
            while not over.wait(0.1):
                try:
                    connection.sendall(b"x")
                except OSError:
                    return

        writer = threading.Thread(target=write)
        writer.start()
        try:
            return read_answer(connection)
        finally:
            over.set()
            writer.join()
