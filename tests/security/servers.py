"""The site under real servers, and raw requests to them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from select import select
from time import monotonic, sleep
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]

_UVICORN = "-m uvicorn hybrid_gateway.asgi:application --host 127.0.0.1 --port {port}"
_GRANIAN = "-m granian --host 127.0.0.1 --port {port} --no-access-log --workers-kill-timeout 6"
COMMANDS = {
    "h11": _UVICORN + " --http h11",
    "httptools": _UVICORN + " --http httptools",
    "lane": "-m django gateway serve --port {port} --access-log",
    "granian": _GRANIAN + " --interface asgi hybrid_gateway.asgi:application",
    "granian-wsgi": _GRANIAN + " --interface wsgi hybrid_gateway.wsgi:application",
    "gunicorn-wsgi": "-m gunicorn hybrid_gateway.wsgi:application -b 127.0.0.1:{port} --log-level warning --threads 40"
    " --graceful-timeout 6",
    "gunicorn-lane": "-m gunicorn hybrid_gateway.asgi:application -b 127.0.0.1:{port} --log-level warning"
    " -k hybrid_gateway.workers.LaneWorker --graceful-timeout 6",
}
# Whoever connects from there is a proxy: the servers that look at such headers take them from nobody else.
PROXY = {"FORWARDED_ALLOW_IPS": "127.7.7.7,192.0.2.1"}
_NEEDS = {"h11": "h11", "httptools": "httptools", "lane": "httptools", "gunicorn-lane": "uvicorn_worker"}


class Answer(NamedTuple):
    """What a server wrote, taken apart as far as it goes."""

    status: int
    headers: dict[str, str]
    body: bytes
    is_closed: bool

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


class Server:
    """The site under one server."""

    def __init__(self, name: str, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.port = port
        self.process = process
        self.log = log

    @property
    def is_wsgi(self) -> bool:
        return self.name.endswith("wsgi")

    def connect(self, source: str = "", timeout: float = 5) -> socket.socket:
        """A connection from the address ``source``, whose bytes go as they are written."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout, (source, 0) if source else None)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def send(self, raw: bytes, *, timeout: float = 5, pause: float = 0, pieces: int = 0, source: str = "") -> Answer:
        """One request as it is written here, in so many bytes at a time; the first answer to it."""
        with self.connect(source, timeout) as connection:
            _write(connection, raw, pieces or len(raw), pause)
            return read_answer(connection, is_head=raw.startswith(b"HEAD "))

    def say(self, raw: bytes, *, ends: bool = False) -> bytes:
        """What comes back until the server hangs up; ``ends`` says that we have, on our side."""
        received = b""
        with self.connect() as connection:
            _write(connection, raw, len(raw))
            if ends:
                connection.shutdown(socket.SHUT_WR)
            while chunk := _receive(connection):
                received += chunk
        return received

    def post(
        self, target: str, content: bytes, content_type: str, *lines: str, pieces: int = 0, chunks: int = 0
    ) -> Answer:
        """A body, whole or in segments of ``pieces`` bytes, of a known length or in ``chunks`` of so many bytes."""
        head = [
            f"POST {target} HTTP/1.1",
            "Host: ex.test",
            "Connection: close",
            f"Content-Type: {content_type}",
            *lines,
        ]
        head.append("Transfer-Encoding: chunked" if chunks else f"Content-Length: {len(content)}")
        body = b"".join(in_chunks(content, chunks)) + b"0\r\n\r\n" if chunks else content
        return self.send("\r\n".join([*head, "", ""]).encode("latin-1") + body, pieces=pieces)

    def get(self, target: str | bytes, *lines: str, method: str = "GET", host: str = "ex.test") -> Answer:
        raw_target = target if isinstance(target, bytes) else target.encode()
        head = b"%b %b HTTP/1.1\r\nHost: %b\r\n" % (method.encode(), raw_target, host.encode())
        return self.send(head + b"".join(line.encode("latin-1") + b"\r\n" for line in lines) + b"\r\n")


def in_chunks(content: bytes, size: int) -> Iterator[bytes]:
    """The coding that is called chunked, but for its end."""
    for start in range(0, len(content), size):
        piece = content[start : start + size]
        yield b"%x\r\n%b\r\n" % (len(piece), piece)


def _write(connection: socket.socket, raw: bytes, size: int, pause: float = 0) -> None:
    """Write until all is said, or until there is an answer: a client that is refused goes no further."""
    for start in range(0, len(raw), size):
        if start and select([connection], [], [], pause)[0]:
            return
        with suppress(ConnectionError):
            connection.sendall(raw[start : start + size])


def read_answer(connection: socket.socket, is_head: bool = False) -> Answer:
    """Read until the answer is whole or the server has closed; status 0 where there is none."""
    data = b""
    is_closed = False
    while b"\r\n\r\n" not in data and not is_closed:
        is_closed = not (chunk := _receive(connection))
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    start, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = 0 if is_head else int(headers.get("content-length", 0))
    is_chunked = "chunked" in headers.get("transfer-encoding", "") and not is_head
    while not is_closed and (len(body) < length or (is_chunked and not body.endswith(b"0\r\n\r\n"))):
        is_closed = not (chunk := _receive(connection))
        body += chunk
    status = int(start.split(" ")[1]) if start.startswith("HTTP/1") else 0
    return Answer(status, headers, body, is_closed)


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except ConnectionResetError:
        return b""


@contextmanager
def serving(
    name: str, kind: type[Server] | None = None, command: str = "", needed: str = "", **environ: str
) -> Iterator[Server]:
    """The site under the server called ``name``; it is killed at the end, if it has not ended by itself."""
    needed = needed or _NEEDS.get(name, name.partition("-")[0])
    if find_spec(needed) is None:
        pytest.skip(f"This server needs {needed}.")
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        log = Path(folder, "log.txt")
        words = [sys.executable, *(command or COMMANDS[name]).format(port=port).split()]
        known = {"PYTHONPATH": str(ROOT), "DJANGO_SETTINGS_MODULE": "tests.security.site", **PROXY, **environ}
        with log.open("wb") as output:
            process = subprocess.Popen(
                words, env=os.environ | known, cwd=ROOT, stdout=output, stderr=output, start_new_session=True
            )
        try:
            server = (kind or Server)(name, port, process, log)
            _wait_for(server)
            yield server
        finally:
            with suppress(ProcessLookupError):  # it has ended; else its workers, too, must go
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for(server: Server) -> None:
    end = monotonic() + 30
    while monotonic() < end and server.process.poll() is None:
        try:
            if server.get("/probe").status == 200:
                return
        except OSError:
            sleep(0.05)
    raise AssertionError(f"{server.name} does not answer:\n{server.log.read_text()}")
