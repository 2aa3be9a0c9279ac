"""Servers below callgrind, and the clients that ask them an exact number of times."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol

from loadtests.client import Request
from loadtests.servers import Server

CONNECTIONS = 8
SECONDS = 120  # for an answer: callgrind is fifty times slower, and the machine may be busy
IS_WSGI = {"gunicorn"}  # servers that the loop stands in for
KEEP_ALIVE = {"uvicorn": "--timeout-keep-alive", "lane": "--keep-alive"}  # else idle connections go in five seconds
FIXED = {"PYTHONHASHSEED": "0", "BENCH_COUNTED": "1"}


class Peer(Protocol):
    """Who is counted: a server of ``loadtests.servers``, and what it serves."""

    @property
    def server(self) -> str: ...
    @property
    def target(self) -> str: ...


class Client(Protocol):
    """Who asks a server: a context manager, since connections are kept between requests."""

    def __enter__(self) -> Client: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...
    def ask(self, request: Request, count: int) -> None: ...


class Ended(RuntimeError):
    """A server that is gone, or has closed a connection."""


class CountedServer(Server):
    """A server below callgrind, of the tree at ``root``; ``wsgi_loop`` stands in for a WSGI server."""

    stop_seconds = answer_seconds = SECONDS

    def __init__(
        self,
        peer: Peer,
        root: Path,
        folder: str,
        *,
        port: int,
        environment: Mapping[str, str],
        options: Sequence[str] = (),
    ) -> None:
        known = {**environment, **FIXED, "PYTHONPATH": str(root)}
        super().__init__(peer.server, peer.target, port=port, cores=set(), environment=known, root=root)
        self.is_loop = peer.server in IS_WSGI
        if self.is_loop:
            self.command = [sys.executable, "-m", "loadtests.instructions.wsgi_loop", peer.target, str(port)]
        if peer.server in KEEP_ALIVE:
            self.command += [KEEP_ALIVE[peer.server], str(SECONDS)]
        self._counts = Path(folder, f"callgrind-{port}")
        callgrind = ["--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={self._counts}"]
        self.command = ["valgrind", "-q", *callgrind, *options, *self.command]
        self._dumps: set[Path] = set()
        for path in self._counts.parent.glob(f"{self._counts.name}.*"):
            path.unlink()  # of a server that has ended in the midst

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, traceback)
        if error is not None:
            perf_map_path(self.process.pid).unlink(missing_ok=True)

    def client(self) -> Client:
        """A client of this server."""
        return LoopCalls(self.port) if self.is_loop else Connections(self.port, self.process.pid)

    def ask(self, request: Request) -> tuple[int, bytes]:
        """Status and body of one request."""
        if not self.is_loop:
            return super().ask(request)
        with LoopCalls(self.port) as calls:
            return calls.call(request, 1)

    def dumps(self, request: Request, warm_up: int, counted: int, times: int) -> Iterator[str]:
        """Ask ``warm_up`` requests that do not count; then, so many times, ``counted`` requests and give their dump."""
        with self.client() as client:
            client.ask(request, warm_up)
            self._control("-i", "on")
            self._control("-z")
            for _ in range(times):
                client.ask(request, counted)
                self._control("-d")  # which begins anew at nothing
                yield self._new_dump()
            self._control("-i", "off")

    def count(self, request: Request, warm_up: int, counted: int, times: int) -> list[float]:
        """User-space instructions per request, ``times`` times."""
        return [total(dump) / counted for dump in self.dumps(request, warm_up, counted, times)]

    def _control(self, option: str, *value: str) -> None:
        command = ["callgrind_control", option, *value, str(self.process.pid)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _new_dump(self) -> str:
        """The file that was written last; others are of threads, where callgrind counts them apart."""
        there = set(self._counts.parent.glob(f"{self._counts.name}.*"))
        texts = [path.read_text() for path in there - self._dumps]
        self._dumps = there
        return max(texts, key=total)


def total(dump: str) -> int:
    """All instructions of a dump."""
    return sum(int(found) for found in re.findall(r"(?m)^totals: (\d+)", dump))


def perf_map_path(pid: int) -> Path:
    """Where a process writes the addresses of its trampolines, if it makes any."""
    return Path(f"/tmp/perf-{pid}.map")


class Connections:
    """Kept connections that ask all at once and wait for every answer.

    The server's process is stopped while they ask, so that one turn of its event loop sees all of them, and not as many
    as chance will have it.
    """

    def __init__(self, port: int, pid: int) -> None:
        self._port = port
        self._pid = pid

    def __enter__(self) -> Connections:
        self._sockets = [socket.create_connection(("127.0.0.1", self._port), SECONDS) for _ in range(CONNECTIONS)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for connection in self._sockets:
            connection.close()

    def ask(self, request: Request, count: int) -> None:
        """Ask so many times; raises ``RuntimeError`` for an answer with another status than the request's."""
        sent = request.as_bytes(f"127.0.0.1:{self._port}")
        for _ in range(count // CONNECTIONS):
            with stopped(self._pid):
                for connection in self._sockets:
                    connection.sendall(sent)
            for connection in self._sockets:
                _read_response(connection, request.status)


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stop a process; it goes on afterwards."""
    os.kill(pid, signal.SIGSTOP)
    try:
        while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "TZX":
            time.sleep(0)
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _read_response(connection: socket.socket, status: int) -> None:
    received = b""
    while b"\r\n\r\n" not in received:
        received += _receive(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"(?im)^content-length: *(\d+)", head)
    if length is None or head.split(b" ", 2)[1] != b"%d" % status:
        raise RuntimeError(f"not an answer to count: {head.decode('latin-1')}")
    while len(body) < int(length[1]):
        body += _receive(connection)


def _receive(connection: socket.socket) -> bytes:
    received = connection.recv(64 * 1024)
    if not received:
        raise Ended("the server has closed the connection")
    return received


class LoopCalls:
    """One connection to ``wsgi_loop``, which makes the calls by itself."""

    def __init__(self, port: int) -> None:
        self._port = port

    def __enter__(self) -> LoopCalls:
        self._socket = socket.create_connection(("127.0.0.1", self._port), SECONDS)
        self._file: IO[str] = self._socket.makefile("rw", encoding="utf-8", newline="\n")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()
        self._socket.close()

    def call(self, request: Request, count: int) -> tuple[int, bytes]:
        """Status and body of the last of ``count`` calls."""
        self._file.write(json.dumps({"count": count, "request": asdict(request)}) + "\n")
        self._file.flush()
        line = self._file.readline()
        if not line:
            raise Ended("the loop has ended")
        answer = json.loads(line)
        return answer["status"], answer["body"].encode("latin-1")

    def ask(self, request: Request, count: int) -> None:
        """Make so many calls; raises ``RuntimeError`` for an answer with another status than the request's."""
        status, body = self.call(request, count)
        if status != request.status:
            raise RuntimeError(f"not an answer to count: {status} {body[:300]!r}")
