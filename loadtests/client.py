"""Load on one URL, from ``wrk`` where it is installed and from a small asyncio client where it is not.

Both are commands that end with one line of JSON. Run as ``python -m loadtests.client URL CONNECTIONS SECONDS`` this
file is the second one; it costs more than the fast applications it asks, so its requests/s say little about them.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
GRACE_SECONDS = 30  # what a client may take beyond the time it was given before it is killed


@dataclass(frozen=True, slots=True)
class Load:
    """What one client saw in one round."""

    requests: int
    seconds: float
    longest_ms: float
    p99_ms: float
    errors: int


def client_name() -> str:
    """The client that :func:`run_client` uses on this machine."""
    return "wrk" if shutil.which("wrk") else "asyncio client (wrk is not installed)"


def run_client(url: str, *, connections: int, seconds: int) -> Load:
    """Ask for ``url`` over ``connections`` kept alive for ``seconds``; blocks until done."""
    command = _wrk if shutil.which("wrk") else _asyncio_client
    done = subprocess.run(
        command(url, connections, seconds),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds + GRACE_SECONDS,
    )
    if done.returncode:
        raise RuntimeError(f"the client failed on {url}:\n{(done.stdout + done.stderr)[-2000:]}")
    return Load(**json.loads(done.stdout.strip().splitlines()[-1]))


def _wrk(url: str, connections: int, seconds: int) -> list[str]:
    script = str(Path(__file__).with_name("wrk.lua"))
    return ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script, url]


def _asyncio_client(url: str, connections: int, seconds: int) -> list[str]:
    return [sys.executable, "-m", "loadtests.client", url, str(connections), str(seconds)]


class Connection(asyncio.Protocol):
    """One kept-alive connection that asks again as soon as it is answered."""

    def __init__(self, request: bytes, until: float) -> None:
        self.request = request
        self.until = until
        self.latencies: list[float] = []
        self.errors = 0
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.ask()

    def ask(self) -> None:
        self.answer = b""
        self.asked = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.answer += data
        if not _complete(self.answer):
            return
        now = time.perf_counter()
        self.latencies.append(now - self.asked)
        self.errors += not self.answer.startswith(b"HTTP/1.1 200 ")
        if now < self.until:
            self.ask()
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.errors += time.perf_counter() < self.until
        if not self.closed.done():
            self.closed.set_result(None)


def _complete(answer: bytes) -> bool:
    head, separator, body = answer.partition(b"\r\n\r\n")
    if not separator:
        return False
    headers = head.lower()
    if b"\r\ntransfer-encoding: chunked" in headers:
        return body.endswith(b"0\r\n\r\n")
    length = headers.partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0]
    return len(body) >= int(length or 0)


async def _ask(url: str, connections: int, seconds: int) -> Load:
    parts = urlsplit(url)
    request = f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    until = started + seconds
    made = [
        await loop.create_connection(
            lambda: Connection(request, until), parts.hostname or "127.0.0.1", parts.port or 80
        )
        for _ in range(connections)
    ]
    everyone = [connection for _, connection in made]
    await asyncio.wait([connection.closed for connection in everyone], timeout=seconds + GRACE_SECONDS / 2)
    latencies = sorted(latency for connection in everyone for latency in connection.latencies)
    if not latencies:
        raise SystemExit(f"no answer from {url}")
    return Load(
        requests=len(latencies),
        seconds=time.perf_counter() - started,
        longest_ms=latencies[-1] * 1e3,
        p99_ms=latencies[int(len(latencies) * 0.99)] * 1e3,
        errors=sum(connection.errors for connection in everyone),
    )


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def main(url: str, connections: str, seconds: str) -> None:
    """Load ``url`` and print what was seen as one line of JSON."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        print(json.dumps(asdict(runner.run(_ask(url, int(connections), int(seconds))))))


if __name__ == "__main__":
    main(*sys.argv[1:])
