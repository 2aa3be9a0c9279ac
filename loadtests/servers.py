"""One server process at a time: started on a core of its own, watched for its CPU time, always stopped by its pid."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType, TracebackType

import psutil

from loadtests.client import Request

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 120  # ten thousand routes take some frameworks long

PYTHON = [sys.executable, "-m"]
COMMANDS: Mapping[str, list[str]] = {
    "uvicorn": [
        *PYTHON, "uvicorn", "--host", "127.0.0.1", "--port", "{port}", "--loop", "uvloop", "--http", "httptools",
        "--no-access-log", "--log-level", "warning", "{target}",
    ],
    "gunicorn": [
        *PYTHON, "gunicorn", "--bind", "127.0.0.1:{port}", "--workers", "1", "--worker-class", "gthread",
        "--threads", "8", "--keep-alive", "75", "--log-level", "warning", "{target}",
    ],
    "granian": [
        *PYTHON, "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", "{port}", "--workers", "1",
        "--blocking-threads", "8", "--no-access-log", "--log-level", "warning", "{target}",
    ],
    "daphne": [*PYTHON, "daphne", "-b", "127.0.0.1", "-p", "{port}", "-v", "0", "{target}"],
    "lane": [*PYTHON, "{target}", "gateway", "serve", "--port", "{port}", "--log-level", "warning"],
    "runbolt": [*PYTHON, "{target}", "runbolt", "--host", "127.0.0.1", "--port", "{port}", "--processes", "1"],
}  # fmt: skip


def two_cores() -> tuple[set[int], set[int]]:
    """A core for the server and one for the client; the same one, or none to pin to, where there are no two."""
    if not hasattr(os, "sched_getaffinity"):
        return set(), set()
    cores = sorted(os.sched_getaffinity(0))
    return {cores[0]}, {cores[min(1, len(cores) - 1)]}


@contextmanager
def pinned(cores: set[int]) -> Iterator[None]:
    """Processes started inside run on ``cores`` only; threads they start inherit it."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Server:
    """A context manager around one server process and its children."""

    stop_seconds, answer_seconds = 5, 10

    def __init__(
        self,
        kind: str,
        target: str,
        *,
        port: int,
        cores: set[int],
        environment: Mapping[str, str] = MappingProxyType({}),
        root: Path = ROOT,
    ) -> None:
        self.command = [part.format(port=port, target=target) for part in COMMANDS[kind]]
        self.environment = {**os.environ, **environment}
        self.port = port
        self.cores = cores
        self.root = root

    def __enter__(self) -> Server:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                raise RuntimeError(f"port {self.port} is taken; choose others with --port")
        self.log = tempfile.TemporaryFile("w+")
        with pinned(self.cores):
            # A session of its own: Ctrl-C reaches this program only, which then stops its servers in order.
            self.process = subprocess.Popen(
                self.command,
                cwd=self.root,
                env=self.environment,
                stdout=self.log,
                stderr=self.log,
                start_new_session=True,
            )
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"{' '.join(self.command)} ended with {self.process.returncode}:\n{self.output()}")
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(0.05)
        raise RuntimeError(f"{' '.join(self.command)} did not listen within {START_SECONDS} s:\n{self.output()}")

    def output(self) -> str:
        """The last lines the server wrote."""
        self.log.seek(0)
        return "".join(self.log.readlines()[-25:])

    def ask(self, request: Request) -> tuple[int, bytes]:
        """Status and body of one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.answer_seconds)
        try:
            connection.request(request.method, request.path, request.body or None, dict(request.headers))
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def _tree(self) -> list[psutil.Process]:
        try:
            root = psutil.Process(self.process.pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def cpu_seconds(self, *, system: bool = True) -> float:
        """User and system time of the process and its children so far, in steps of a clock tick (10 ms)."""
        times = [process.cpu_times() for process in self._tree()]
        return float(sum(time.user + (time.system if system else 0.0) for time in times))

    def memory(self) -> int:
        """Bytes of memory that exist because of the process and its children: shared pages count in parts."""
        total = 0
        for process in self._tree():
            with suppress(psutil.Error):
                details = process.memory_full_info()
                total += getattr(details, "pss", details.rss)  # only Linux knows the former
        return total

    def stop(self) -> None:
        """Ask the process to end, then end what is left of it and its children."""
        tree = self._tree()
        if self.process.poll() is None:
            self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(self.stop_seconds)
        for process in tree:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()
        self.log.close()
