"""The example project under a server, for tests that talk to it from outside."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import pytest

EXAMPLE = Path(__file__).parents[2] / "example_project"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def wait_for_port(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = monotonic() + 30  # seconds
    while monotonic() < deadline and server.poll() is None:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            sleep(0.05)
    pytest.fail("uvicorn did not begin to listen")


@contextmanager
def serve_example(home: Path) -> Iterator[str]:
    """Its URL, while it is served by uvicorn with a seeded database and uploads of its own in ``home``."""
    port = free_port()
    environ = os.environ | {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DATABASE_URL": f"sqlite:///{home / 'db.sqlite3'}",
        "MEDIA_ROOT": str(home / "media"),
        "PYTHONPATH": os.pathsep.join([str(EXAMPLE.parent), str(EXAMPLE)]),
        "DEBUG": "1",
    }
    for command in ["migrate", "seed"]:
        subprocess.run([sys.executable, EXAMPLE / "manage.py", command, "--verbosity=0"], env=environ, check=True)
    uvicorn = [sys.executable, "-m", "uvicorn", "config.asgi:application", "--port", str(port), "--log-level=warning"]
    with subprocess.Popen(uvicorn, env=environ) as server:
        try:
            wait_for_port(port, server)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
