"""Load from one request, by ``wrk`` where it is installed and by a small asyncio client where it is not.

Both are commands that end with one line of JSON. Run as ``python -m loadtests.client`` this file is the second one,
with the request on standard input; it costs more than the fast applications it asks, so its requests/s say little
about them.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import cast

ROOT = Path(__file__).resolve().parent.parent
GRACE_SECONDS = 30  # what a client may take beyond the time it was given before it is killed


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask, and the status that is no error."""

    path: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    status: int = 200

    def as_bytes(self, host: str) -> bytes:
        """The request as it is written on a connection."""
        headers = {"Host": host, **self.headers}
        if self.body:
            headers["Content-Length"] = str(len(self.body.encode()))
        lines = [f"{self.method} {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", self.body]).encode()


@dataclass(frozen=True, slots=True)
class Load:
    """What one client saw in one round; latencies in milliseconds."""

    requests: int
    seconds: float
    longest_ms: float
    p50_ms: float
    p99_ms: float
    errors: int

    @property
    def requests_per_second(self) -> float:
        return self.requests / self.seconds


def client_name() -> str:
    """The client that :func:`run_client` uses on this machine."""
    return "wrk" if shutil.which("wrk") else "asyncio client (wrk is not installed)"


def run_client(port: int, request: Request, *, connections: int, seconds: int) -> Load:
    """Ask a server of this machine over ``connections`` kept alive for ``seconds``; blocks until done."""
    run = _run_wrk if shutil.which("wrk") else _run_asyncio
    done = run(port, request, connections, seconds)
    if done.returncode:
        raise RuntimeError(f"the client failed on {request.path}:\n{(done.stdout + done.stderr)[-2000:]}")
    return Load(**json.loads(done.stdout.strip().splitlines()[-1]))


def _run_wrk(port: int, request: Request, connections: int, seconds: int) -> subprocess.CompletedProcess[str]:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_lua(request))
        script.flush()
        url = f"http://127.0.0.1:{port}{request.path}"
        return _run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script.name, url], seconds)


def _run_asyncio(port: int, request: Request, connections: int, seconds: int) -> subprocess.CompletedProcess[str]:
    job = json.dumps({"port": port, "request": asdict(request), "connections": connections, "seconds": seconds})
    return _run([sys.executable, "-m", "loadtests.client"], seconds, job)


def _run(command: list[str], seconds: int, job: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, input=job, cwd=ROOT, capture_output=True, text=True, check=False, timeout=seconds + GRACE_SECONDS
    )


def _lua(request: Request) -> str:
    """The script that makes wrk ask for it and report as :class:`Load`; wrk's latencies are in microseconds."""
    headers = "".join(
        f"wrk.headers[{json.dumps(name)}] = {json.dumps(text)}\n" for name, text in request.headers.items()
    )
    return f"""
wrk.method = {json.dumps(request.method)}
wrk.body = {json.dumps(request.body) if request.body else "nil"}
{headers}
done = function(summary, latency)
  local e = summary.errors
  local wrong = {"summary.requests - e.status" if request.status >= 400 else "e.status"}
  io.write(string.format(
    '{{"requests": %d, "seconds": %.6f, "longest_ms": %.3f, "p50_ms": %.3f, "p99_ms": %.3f, "errors": %d}}\\n',
    summary.requests, summary.duration / 1e6, latency.max / 1e3, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3, e.connect + e.read + e.write + e.timeout + wrong
  ))
end
"""


class Connection(asyncio.Protocol):
    """One kept-alive connection that asks again as soon as it is answered."""

    def __init__(self, request: bytes, status: int, until: float) -> None:
        self.request = request
        self.expected = b"HTTP/1.1 %d " % status
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
        self.errors += not self.answer.startswith(self.expected)
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


async def _ask(port: int, request: Request, connections: int, seconds: int) -> Load:
    text = request.as_bytes(f"127.0.0.1:{port}")
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    until = started + seconds
    made = [
        await loop.create_connection(lambda: Connection(text, request.status, until), "127.0.0.1", port)
        for _ in range(connections)
    ]
    everyone = [connection for _, connection in made]
    await asyncio.wait([connection.closed for connection in everyone], timeout=seconds + GRACE_SECONDS / 2)
    latencies = sorted(latency for connection in everyone for latency in connection.latencies)
    if not latencies:
        raise SystemExit(f"no answer to {request.path}")
    return Load(
        requests=len(latencies),
        seconds=time.perf_counter() - started,
        longest_ms=latencies[-1] * 1e3,
        p50_ms=latencies[len(latencies) // 2] * 1e3,
        p99_ms=latencies[int(len(latencies) * 0.99)] * 1e3,
        errors=sum(connection.errors for connection in everyone),
    )


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def main() -> None:
    """Do the job on standard input and print what was seen as one line of JSON."""
    job = json.load(sys.stdin)
    request = Request(**job["request"])
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        print(json.dumps(asdict(runner.run(_ask(job["port"], request, job["connections"], job["seconds"])))))


if __name__ == "__main__":
    main()
