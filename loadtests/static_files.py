"""``python -m loadtests.static_files``: what files cost beside Starlette's ``StaticFiles``, in one interleaved run.

Each server is a uvicorn of its own; a round asks each of them for the same, one after the other, and what counts is the
CPU time of its process. The table has medians, and their ratios to Starlette's. It needs Linux, for ``/proc``.
"""

from __future__ import annotations

import http.client
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 8
CASES = {"4 KB": ("/files/small.js", 400), "1 MB": ("/files/large.bin", 60), "304": ("/files/small.js", 400)}
"""By name: what is asked for, and how often in a round."""

_SERVE = """
import sys
import uvicorn

kind, folder, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
options = {"port": port, "access_log": False, "log_level": "error"}
if kind == "starlette":
    from starlette.applications import Starlette
    from starlette.routing import Mount
    from starlette.staticfiles import StaticFiles

    app = Starlette(routes=[Mount("/files", StaticFiles(directory=folder))])
else:
    import django
    from django.conf import settings

    settings.configure(SECRET_KEY="x", ALLOWED_HOSTS=["*"], INSTALLED_APPS=["hybrid_gateway"])
    django.setup()
    from hybrid_gateway import Gateway, StaticFiles

    app = Gateway([StaticFiles("/files", folder)])
    if kind == "lane":
        from hybrid_gateway.drivers.lane.protocol import LaneProtocol

        options["http"] = LaneProtocol
uvicorn.run(app, **options)
"""


class Server:
    """A server in a process of its own."""

    def __init__(self, kind: str, folder: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process = subprocess.Popen([sys.executable, "-c", _SERVE, kind, folder, str(self.port)])
        while self.process.poll() is None:
            with socket.socket() as probe:
                if not probe.connect_ex(("127.0.0.1", self.port)):
                    break
            time.sleep(0.2)

    def cpu_seconds(self) -> float:
        """Return what all threads of the process have used so far."""
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

    def ask(self, path: str, times: int, headers: dict[str, str]) -> dict[str, str]:
        """Ask for the same again and again over one connection; return the headers of the last response."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        for _ in range(times):
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            response.read()
            assert response.status == (304 if "If-None-Match" in headers else 200), response.status
        connection.close()
        return {name.lower(): value for name, value in response.getheaders()}


def main() -> None:
    """Measure, and print the table."""
    with tempfile.TemporaryDirectory() as folder:
        long_ago = time.time() - 1_000_000
        for name, content in (("small.js", b"x" * 4000), ("large.bin", os.urandom(1 << 20))):
            (Path(folder) / name).write_bytes(content)
            os.utime(Path(folder) / name, (long_ago, long_ago))
        servers = {kind: Server(kind, folder) for kind in ("starlette", "gateway", "lane")}
        try:
            for case, (path, times) in CASES.items():
                costs: dict[str, list[float]] = {kind: [] for kind in servers}
                headers = {
                    kind: {"If-None-Match": server.ask(path, 20, {})["etag"]} if case == "304" else {}
                    for kind, server in servers.items()
                }
                for _ in range(ROUNDS):
                    for kind, server in servers.items():
                        before = server.cpu_seconds()
                        server.ask(path, times, headers[kind])
                        costs[kind].append((server.cpu_seconds() - before) / times)
                medians = {kind: statistics.median(values) for kind, values in costs.items()}
                told = (
                    f"{kind} {cost * 1e6:.0f} µs ({cost / medians['starlette']:.2f})" for kind, cost in medians.items()
                )
                print(f"{case:>5}  {'  '.join(told)}")
        finally:
            for server in servers.values():
                server.process.terminate()


if __name__ == "__main__":
    main()
