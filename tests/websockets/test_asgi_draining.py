"""The end of a process with open websockets, under every server that speaks ASGI: F5."""

from __future__ import annotations

import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from time import monotonic, sleep

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from tests.websockets.asgi_servers import WebSocketServer, serving_websockets
from tests.websockets.test_asgi_servers import expected, lacks, open_raw

SERVERS = [
    *("httptools", "legacy", "wsproto", "lane", "granian", "hypercorn", "daphne", "gunicorn"),
    *("uvicorn-worker", "gunicorn-lane"),
]
GRACE = 3
COUNT = 30


def read_to_end(client: ClientConnection) -> tuple[list[object], int, float]:
    """What comes until the close, its code, and when it came."""
    messages = []
    try:
        while True:
            messages.append(client.recv(timeout=20))
    except ConnectionClosed as closed:
        return messages, 1006 if closed.rcvd is None else closed.rcvd.code, monotonic()


def request(server: WebSocketServer, target: str, stack: ExitStack) -> socket.socket:
    """A request whose answer is read later."""
    connection = stack.enter_context(server.connect(timeout=15))
    connection.sendall(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    return connection


def read(connection: socket.socket, end: bytes = b"") -> bytes:
    """What comes until ``end``, or until the server hangs up."""
    data = b""
    with suppress(ConnectionResetError):
        while not (end and end in data) and (chunk := connection.recv(65536)):
            data += chunk
    return data


@pytest.mark.parametrize("name", SERVERS)
def test_f5_handlers_hear_of_the_end_first_sockets_are_closed_with_1012_and_nothing_is_lost(name: str) -> None:
    with serving_websockets(name, GRACE=str(GRACE)) as server, ExitStack() as stack, ThreadPoolExecutor(COUNT) as pool:
        clients = [stack.enter_context(server.open(f"/stays?key=socket-{number}")) for number in range(COUNT)]
        for client in clients:
            assert client.recv(timeout=8) == "here"
        # these neither answer nor notice
        mute = [open_raw(server, target) for target in ("/stubborn?key=deaf", "/lobby?key=mute", "/live/x?mounted")]
        slow = [request(server, "/slow", stack) for _ in range(COUNT)]
        streams = [request(server, "/events", stack) for _ in range(COUNT)]
        for stream in streams:
            assert read(stream, b"data:")
        sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        started = monotonic()
        ends = list(pool.map(read_to_end, clients))
        assert {code for _, code, _ in ends} == {expected(server, 1012)[0]}
        moments = sorted(moment for _, _, moment in ends)
        assert moments[-1] - started < GRACE + 1
        if name != "granian":  # which ends all of them at once, and may let nobody say a last word
            assert [messages for messages, _, _ in ends] == [["draining"]] * COUNT
        assert all(b" 200 " in answer and b"slow" in answer for answer in (read(one, b"slow") for one in slow))
        assert all(read(stream).endswith(b"0\r\n\r\n") for stream in streams)
        assert server.process.wait(GRACE + 10) in (0, -signal.SIGTERM)
        for number in range(COUNT):
            assert len(server.told("left", f"socket-{number}")) == 1
            assert len(server.told("draining", f"socket-{number}")) == 1 or name == "granian"
        assert server.told("disconnected", "mute") == ["1012"]
        assert len(server.told("left", "mute")) == 1
        assert len(server.told("left", "deaf")) == 1 or name == "granian"  # which waits for no handler
        assert server.told("mounted")[-1] == "lifespan.shutdown"
        assert len(server.told("ended")) == 1
        log = server.log.read_text()
        assert "Traceback" not in log, log
        assert "never retrieved" not in log, log
        for connection in mute:
            connection.close()


@pytest.mark.parametrize("name", SERVERS)
def test_a_handshake_that_comes_after_the_signal_is_refused(name: str) -> None:
    with serving_websockets(name, GRACE=str(GRACE)) as server, ExitStack() as stack:
        client = stack.enter_context(server.open("/stays?key=first"))
        assert client.recv(timeout=8) == "here"
        server.process.send_signal(signal.SIGTERM)
        try:
            assert client.recv(timeout=8) == "draining"
        except ConnectionClosed:
            assert name == "granian"  # as above
        try:
            connection = stack.enter_context(server.connect(timeout=4))
            connection.sendall(
                b"GET /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            )
            answer = connection.recv(65536)
        except OSError:  # nobody listens any more, or whoever does takes no connections
            return
        assert answer == b"" or answer.split(b" ", 2)[1] == (b"403" if lacks(server, "refusals") else b"503")
