"""Websockets on every server that speaks ASGI: the same by real clients, and where not, so much as the server lets us.

``LACKS`` is the table of what a server does otherwise; docs/websocket-servers.md has it in words.
"""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from time import monotonic, sleep
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from tests.websockets.asgi_servers import WebSocketServer, serving_websockets

SERVERS = ["httptools", "legacy", "wsproto", "lane", "granian", "hypercorn", "daphne", "gunicorn"]
LACKS = {
    "granian": {"headers"},
    "gunicorn": {"refusals"},
    "hypercorn": {"codes of clients"},
    "daphne": {"refusals", "headers", "reasons", "codes below 3000", "empty messages", "a bound of what is sent"},
}


@pytest.fixture(scope="module")
def started() -> Iterator[Callable[[str], WebSocketServer]]:
    """``started(name)``: a server that tests share."""
    known: dict[str, WebSocketServer] = {}
    with ExitStack() as running:

        def start(name: str) -> WebSocketServer:
            if name not in known:
                known[name] = running.enter_context(serving_websockets(name))
            return known[name]

        yield start


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, started: Callable[[str], WebSocketServer]) -> WebSocketServer:
    """The site under each server."""
    return started(request.param)


def lacks(server: WebSocketServer, what: str) -> bool:
    """Whether the server does without."""
    return what in LACKS.get(server.name, ())


def read_to_end(client: ClientConnection) -> tuple[list[Any], int, str]:
    """Every message that comes, and the code and the reason of the server's close."""
    messages = []
    try:
        while True:
            messages.append(client.recv(timeout=8))
    except ConnectionClosed as closed:
        assert closed.rcvd is not None, "It was closed without a close frame."
        return messages, closed.rcvd.code, closed.rcvd.reason


def refusal(server: WebSocketServer, target: str, **options: Any) -> InvalidStatus:
    """The response to a handshake that is refused."""
    with pytest.raises(InvalidStatus) as caught, server.open(target, **options):
        pass
    return caught.value


# --- messages


def test_messages_go_both_ways_whole_and_in_order(server: WebSocketServer) -> None:
    texts = ["hi", "ä" * 10_000, "x" * 65_536, *map(str, range(200))]
    if not lacks(server, "empty messages"):
        texts.append("")
    with server.open("/echo") as client:
        for text in texts:
            client.send(text)
        assert [client.recv(timeout=8) for _ in texts] == texts
        client.send(["in ", "three ", "fragments"])
        assert client.recv(timeout=8) == "in three fragments"
        client.ping().wait(8)
    with server.open("/bytes") as client:
        client.send(bytes(range(256)))
        assert client.recv(timeout=8) == bytes(range(256))


def test_the_head_of_the_acceptance(server: WebSocketServer) -> None:
    with server.open("/speaks", subprotocols=["one", "two"], user_agent_header="me") as client:
        assert client.subprotocol == "two"
        assert client.recv(timeout=8) == "me"
        assert lacks(server, "headers") or client.response is not None and client.response.headers["X-Layer"] == "yes"
    with server.open("/accepts", subprotocols=["one"]) as client:
        assert client.subprotocol == "one"
        assert lacks(server, "headers") or client.response is not None and client.response.headers["X-Own"] == "yes"


def test_an_application_that_is_mounted_gets_them_as_they_are(server: WebSocketServer) -> None:
    with server.open("/live/a/b?mounted") as client:
        assert client.recv(timeout=8) == "/live /live/a/b"
        client.send("hi")
        assert client.recv(timeout=8) == "hi"
    server.wait_told("left", "mounted")


# --- our close


OTHER_CODES = {1001: 1000, 1008: 4403, 1009: 4413, 1011: 4500, 1012: 4503, 1013: 4503}


def expected(server: WebSocketServer, code: int, reason: str = "") -> tuple[int, str]:
    """The close that a client of the server sees."""
    if lacks(server, "codes below 3000"):
        code = OTHER_CODES.get(code, code)
    return code, "" if lacks(server, "reasons") else reason


@pytest.mark.parametrize(
    ("target", "messages", "code", "reason"),
    [
        ("/returns", 0, 1000, ""),
        ("/silent", 0, 1000, ""),
        ("/says", 2, 1000, ""),
        ("/raises", 1, 1011, ""),
        ("/conflict", 1, 4409, "Not now."),
        ("/closes/1000", 0, 1000, ""),
        ("/closes/1001", 0, 1001, ""),
        ("/closes/1013?reason=busy", 0, 1013, "busy"),
        ("/closes/4001?reason=bye%20%C3%A9", 0, 4001, "bye é"),
        ("/closes/3000?reason=" + "%C3%A9" * 100, 0, 3000, "é" * 61),
    ],
)
def test_our_close_always_goes_out(server: WebSocketServer, target: str, messages: int, code: int, reason: str) -> None:
    with server.open(target) as client:
        found = read_to_end(client)
    assert (len(found[0]), *found[1:]) == (messages, *expected(server, code, reason))


def test_a_message_that_is_too_big_closes_with_1009(server: WebSocketServer) -> None:
    with server.open("/small?key=big") as client:
        client.send("ä" * 500)
        assert client.recv(timeout=8) == "500"
        client.send("x" * 1001)
        assert read_to_end(client)[1:] == expected(server, 1009, "A message may have 1000 bytes.")
    assert server.wait_told("code", "big") == ["1009"]


def test_a_client_that_never_answers_our_close_is_left(server: WebSocketServer) -> None:
    with open_raw(server, "/returns?key=mute") as connection:
        server.wait_told("left", "mute", timeout=10)
        connection.settimeout(15)
        with suppress(ConnectionResetError):  # the server hangs up, some after 10 seconds
            while connection.recv(65536):
                pass


# --- refusals


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/refuses/401", 401),
        ("/refuses/404", 404),
        ("/refuses/429", 429),
        ("/refuses/503", 503),
        ("/fails", 500),
        ("/guarded", 403),
        ("/lobby?key=unwanted", 403),
        ("/numbers/1", 422),
        ("/numbers/1?limit=x", 422),
        ("/numbers/x?limit=1", 404),
        ("/nowhere", 404),
        ("/probe", 404),  # which is a route, and none of websockets
        ("/admin/x", 404),
        ("/%61dmin/x", 404),
        ("/Admin/x", 400),
        ("/admin/../echo", 400),
        ("/echo%2f..", 400),
        ("//admin/x", 400),
        ("/echo%00", 400),
    ],
)
def test_a_refusal_is_the_response_that_a_request_would_get(server: WebSocketServer, target: str, status: int) -> None:
    response = refusal(server, target).response
    if lacks(server, "refusals"):
        assert response.status_code == 403
        return
    assert response.status_code == status
    problem = json.loads(response.body or b"")
    assert (problem["status"], response.headers["Content-Type"]) == (status, "application/problem+json")
    assert not target.startswith("/refuses") or response.headers["X-Why"] == "because"


def test_a_foreign_host_is_refused(server: WebSocketServer) -> None:
    head = _handshake("/echo", "evil.test")
    with server.connect() as connection:
        connection.sendall(head)
        assert connection.recv(65536).split(b" ", 2)[1] == (b"403" if lacks(server, "refusals") else b"400")


# --- the client leaves


def _handshake(target: str, host: str) -> bytes:
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET {target} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    ).encode()


def open_raw(server: WebSocketServer, target: str, buffer: int = 0) -> socket.socket:
    """A connection that is accepted, whose bytes go as they are written."""
    connection = server.connect(timeout=8)
    if buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    connection.sendall(_handshake(target, "127.0.0.1"))
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        assert byte, head
        head += byte
    assert head.startswith(b"HTTP/1.1 101"), head
    return connection


def frame(opcode: int, payload: bytes) -> bytes:
    """A frame of a client, of less than 126 bytes."""
    mask = b"\1\2\3\4"
    masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + mask + masked


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


LEAVE: dict[str, tuple[Callable[[socket.socket], object], set[int]]] = {
    "1001": (lambda connection: connection.sendall(frame(8, b"\x03\xe9")), {1001}),
    "4002": (lambda connection: connection.sendall(frame(8, b"\x0f\xa2why")), {4002}),
    "no-code": (lambda connection: connection.sendall(frame(8, b"")), {1005}),
    "reset": (_reset, {1005, 1006}),
    "half-close": (lambda connection: connection.shutdown(socket.SHUT_WR), {1005, 1006}),
    "no-text": (lambda connection: connection.sendall(frame(1, b"\xff")), {1002, 1005, 1006, 1007}),
    "no-mask": (lambda connection: connection.sendall(b"\x81\x01a"), {1002, 1005, 1006}),
}


@pytest.mark.parametrize("how", LEAVE)
@pytest.mark.parametrize("path", ["/lobby", "/ticks", "/stubborn"])
def test_whoever_leaves_is_noticed_and_everything_is_cleaned_up_once(
    server: WebSocketServer, path: str, how: str
) -> None:
    if path == "/stubborn" and how != "reset":
        pytest.skip("Its handler is cancelled after five seconds, which need not be awaited for each.")
    key = f"{path[1:]}-{how}"
    connection = open_raw(server, f"{path}?key={key}")
    with suppress(OSError), connection:
        if path == "/lobby":
            connection.sendall(frame(1, b"a"))
            assert connection.recv(3) == b"\x81\x01A"
        LEAVE[how][0](connection)
        if server.name == "legacy":  # which waits ten seconds for the client to hang up first
            connection.close()
        server.wait_told("left", key, timeout=12)
    sleep(0.05)
    assert len(server.told("left", key)) == 1
    if path == "/lobby":
        (code,) = map(int, server.told("disconnected", key))
        assert code in ({1006} if lacks(server, "codes of clients") else LEAVE[how][1])


def test_readers_that_stall_cost_nobody_else_anything(server: WebSocketServer) -> None:
    if lacks(server, "a bound of what is sent"):
        pytest.skip("It keeps what a client does not read, however much that is, and tells nobody.")
    with ExitStack() as opened:
        other = opened.enter_context(server.open("/echo"))
        before = process(server)[1]
        for number in range(50):
            opened.enter_context(open_raw(server, f"/flood?key=stalled-{number}", 4096))
        end = monotonic() + 20
        while monotonic() < end and len(server.told("sent")) < 50:
            other.send("still here")
            assert other.recv(timeout=5) == "still here"
            assert process(server)[1] - before < 100 * 1024  # KiB, of the gigabytes that were to be sent
            sleep(0.1)
        server.wait_told("sent", "stalled-49", timeout=15)
        assert len(server.told("sent")) == 50
        other.send("still here")
        assert other.recv(timeout=5) == "still here"
    for number in range(50):
        server.wait_told("left", f"stalled-{number}", timeout=15)


def process(server: WebSocketServer) -> tuple[int, int, list[str]]:
    """The id of the process, its memory in KiB, and its tasks."""
    pid, memory, tasks = json.loads(server.get("/process", host="127.0.0.1").text)
    return pid, memory, tasks


def test_in_the_end_no_task_is_left_and_no_log_complains(server: WebSocketServer) -> None:
    """The last of this file: of what all the others have left behind."""
    end = monotonic() + 15
    while any("ASGIWire" in task or "Conversation" in task for task in process(server)[2]):
        assert monotonic() < end, process(server)[2]
        sleep(0.2)
    log = server.log.read_text()
    assert "never retrieved" not in log
    assert "was destroyed" not in log
    assert "without completing handshake" not in log
    for error in re.findall(r"^(\w*(?:Error|Exception)): ", log, re.MULTILINE):
        assert error == "LookupError" or (error == "UnicodeDecodeError" and server.name in ("httptools", "lane")), log
