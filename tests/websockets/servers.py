"""The site of websockets under real servers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

_UVICORN = "-m uvicorn hybrid_gateway.asgi:application --host 127.0.0.1 --port {port} --log-level warning"
COMMANDS = {
    "uvicorn-h11-sansio": _UVICORN + " --http h11 --ws websockets-sansio",
    "uvicorn-httptools-wsproto": _UVICORN + " --http httptools --ws wsproto",
    "lane": "-m django gateway serve --port {port}",
    "granian": "-m granian --host 127.0.0.1 --port {port} --no-access-log --interface asgi"
    " hybrid_gateway.asgi:application",
    "hypercorn": "-m hypercorn -b 127.0.0.1:{port} hybrid_gateway.asgi:get_asgi_application()",
}
NEEDS = {
    "uvicorn-h11-sansio": ("uvicorn", "h11", "websockets"),
    "uvicorn-httptools-wsproto": ("uvicorn", "httptools", "wsproto"),
    "lane": ("uvicorn", "httptools"),
    "granian": ("granian",),
    "hypercorn": ("hypercorn",),
}
DENYING = ("uvicorn-h11-sansio", "uvicorn-httptools-wsproto", "lane", "granian", "hypercorn")
"""Servers that refuse a handshake by any response; others send 403."""


class SiteServer:
    """The site under one server."""

    def __init__(self, name: str, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.port = port
        self.process = process
        self.log = log

    @property
    def denies(self) -> bool:
        return self.name in DENYING

    def url(self, path: str) -> str:
        return f"ws://127.0.0.1:{self.port}{path}"

    def get(self, path: str) -> Any:
        """What a request gets: text, or what it is JSON of."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as response:
            text = response.read().decode()
            return json.loads(text) if "json" in response.headers["content-type"] else text

    def noted(self, name: str, is_complete: Callable[[list[str]], bool]) -> list[str]:
        """What the site has noted of ``name``, once it is complete."""
        end = time.monotonic() + 20
        noted: list[str] = []
        while time.monotonic() < end:
            noted = self.get(f"/log/{name}")
            if is_complete(noted):
                break
            time.sleep(0.02)
        return noted


@contextmanager
def serving(name: str, folder: Path, **environ: str) -> Iterator[SiteServer]:
    """The site under the server called ``name``, which is killed at the end if it has not ended by itself."""
    for needed in NEEDS[name]:
        if find_spec(needed) is None:
            pytest.skip(f"This server needs {needed}.")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / f"{name}.txt"
    known = {"PYTHONPATH": str(ROOT), "DJANGO_SETTINGS_MODULE": "tests.websockets.site", **environ}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *COMMANDS[name].format(port=port).split()],
            env=os.environ | known,
            cwd=ROOT,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    server = SiteServer(name, port, process, log)
    try:
        _wait_for(server)
        yield server
    finally:
        with suppress(ProcessLookupError):  # it has ended; else its workers, too, must go
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_for(server: SiteServer) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and server.process.poll() is None:
        try:
            if server.get("/probe") == "ready":
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"{server.name} does not answer:\n{server.log.read_text()}")
