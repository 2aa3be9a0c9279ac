"""A process that is told to end while its websockets are in every state of their life, under real servers."""

import re
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.websockets.servers import serving

GRACE = 2  # seconds, as the site has it
SERVERS = ["lane", "uvicorn-h11-sansio", "granian", "hypercorn"]
EVER = 3600

PENDING = {
    "dependency": f"/loop?dependency={EVER}",
    "connect": f"/loop?connect={EVER}",
    "handler": "/undecided",
    "dependency-on-thread": "/thread?dependency=4",  # which nobody can cut: it ends by itself
}
"""Handshakes that nothing would ever decide."""

OPEN = {
    "waits": ("/loop", ""),
    "message": ("/loop?message=1", "x"),
    "message-ever": (f"/loop?message={EVER}", "x"),
    "waits-on-thread": ("/thread", ""),
    "message-on-thread": ("/thread?message=1", "x"),
    "stream": ("/stream?pause=0.05", ""),
    "stream-waits": (f"/stream?pause={EVER}", ""),
    "stream-on-thread": ("/stream-on-thread?pause=0.05", ""),
}
"""Websockets whose client reads, with what it sends."""

FULL = {"stream-full": "/stream?pause=0&size=60000", "listener-full": "/loop?size=60000"}
"""Websockets whose client reads nothing."""

LEFT = {
    "disconnect": "/loop?disconnect=1",
    "disconnect-ever": f"/loop?disconnect={EVER}",
    "disconnect-on-thread": "/thread?disconnect=1",
}
"""Websockets whose client has closed."""


def frame(opcode: int, data: bytes) -> bytes:
    return bytes((0x80 | opcode, 0x80 | len(data))) + bytes(4) + data


def read(connection: socket.socket) -> bytes:
    """What comes until the close or the end; a client that was refused hangs up."""
    received = b""
    while not re.search(rb"\A(?!HTTP/1.1 101)HTTP/1.1 \d", received) and not re.search(rb"\x88.\x03\xf4", received):
        chunk = connection.recv(65536)
        if not chunk:
            break
        received += chunk
    connection.close()
    return received


@pytest.mark.parametrize("name", SERVERS)
def test_a_process_that_is_told_to_end_ends_in_time_and_leaves_each_of_its_sockets_once(name, tmp_path):
    site = {"DJANGO_SETTINGS_MODULE": "tests.websockets.states_site"}
    with serving(name, tmp_path, **site) as server, ExitStack() as stack, ThreadPoolExecutor(20) as pool:

        def open_socket(key: str, target: str) -> socket.socket:
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=20))
            connection.sendall(
                f"GET {target}{'&' if '?' in target else '?'}key={key} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
            )
            return connection

        begun = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=20))
        begun.sendall(b"GET /loop?key=begun HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgr")
        pending = {key: open_socket(key, target) for key, target in PENDING.items()}
        opened = {key: open_socket(key, target) for key, (target, _) in OPEN.items()}
        full = {key: open_socket(key, target) for key, target in FULL.items()}
        left = {key: open_socket(key, target) for key, target in LEFT.items()}
        closing = open_socket("closing", "/closes")
        for connection in (*opened.values(), *full.values(), *left.values(), closing):
            assert connection.recv(12, socket.MSG_WAITALL) == b"HTTP/1.1 101"
        for key, (_, message) in OPEN.items():
            opened[key].sendall(frame(1, message.encode()) if message else b"")
        full["listener-full"].sendall(frame(1, b"x") * 300)
        for connection in left.values():
            connection.sendall(frame(8, (1000).to_bytes(2, "big")))
        time.sleep(0.5)
        if name == "granian":  # it waits half a minute for the rest of a head
            begun.close()

        server.process.send_signal(signal.SIGTERM)
        told = time.monotonic()
        refused = dict(zip(pending, pool.map(read, pending.values()), strict=True))
        answers = dict(zip(opened, pool.map(read, opened.values()), strict=True))
        if name == "hypercorn":  # since Python 3.12 it waits for clients that do not hang up
            stack.close()
        server.process.wait(30)
        # a thread that sleeps is waited for by granian alone, which does not go before
        assert time.monotonic() - told < (4 if name == "granian" else GRACE) + 2, server.log.read_text()

        log = server.log.read_text()
        for key, answer in refused.items():
            status = answer.split(b" ", 2)[1]
            # hypercorn has words of its own for a handshake that is open when it ends
            assert status == b"503" or (status == b"500" and name == "hypercorn"), (key, answer)
        for key, answer in answers.items():
            assert answer.endswith(b"\x03\xf4The server restarts."), (key, answer[-200:])
        for key in (*OPEN, *FULL, *LEFT, "closing"):
            events = re.findall(rf"^event {key} (.*)$", log, re.MULTILINE)
            kinds = [event.split()[0] for event in events if event != "begun"]
            assert kinds == ["enter", "disconnect", "leave"], (key, events)
        for key in PENDING:
            assert re.findall(rf"^event {key} (.*)$", log, re.MULTILINE) == ["enter", "begun", "leave"], key
        assert "event begun" not in log
