"""The Procfile's own lines, run as a Heroku dyno runs them: release, serve, stop."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from urllib.request import Request, urlopen

import pytest

pytest.importorskip("uvicorn", reason="needs uvicorn, which the extra `server` brings")
pytest.importorskip("whitenoise", reason="needs whitenoise, which the extra `example` brings")

ROOT = Path(__file__).parents[2]
COMMANDS = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())


@pytest.fixture(scope="module")
def dyno(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The web process: its address, and the process itself."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    environ = os.environ | {
        "DYNO": "web.1",
        "PORT": str(port),
        "SECRET_KEY": "a-secret-that-only-this-test-knows-" * 2,
        "ALLOWED_HOSTS": ".herokuapp.com",
        "DATABASE_URL": f"sqlite:///{tmp_path_factory.mktemp('dyno') / 'db.sqlite3'}",
        "PYTHONPATH": str(ROOT),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    environ.pop("DEBUG", None)
    environ.pop("DJANGO_SETTINGS_MODULE", None)
    subprocess.run(COMMANDS["release"], shell=True, cwd=ROOT, env=environ, check=True, stdout=subprocess.DEVNULL)
    web = "exec " + COMMANDS["web"] + " --host 127.0.0.1"  # a test stays on its own machine
    with subprocess.Popen(web, shell=True, cwd=ROOT, env=environ, stderr=subprocess.PIPE, text=True) as server:
        try:
            deadline = monotonic() + 30  # seconds
            while monotonic() < deadline and server.poll() is None:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    sleep(0.05)
            yield f"http://127.0.0.1:{port}", server
        finally:
            server.kill()


def get(address: str, path: str) -> tuple[int, str]:
    """GET as Heroku's router passes it on: TLS already taken off, and said so."""
    headers = {"Host": "example.herokuapp.com", "X-Forwarded-Proto": "https"}
    with urlopen(Request(address + path, headers=headers), timeout=10) as response:
        return response.status, response.read().decode()


def test_the_api_answers(dyno: tuple[str, subprocess.Popen[str]]) -> None:
    assert get(dyno[0], "/hello") == (200, '{"message":"Hello, World!"}')
    assert get(dyno[0], "/products") == (200, "[]")


def test_the_admin_has_its_style_sheet_without_debug(dyno: tuple[str, subprocess.Popen[str]]) -> None:
    status, page = get(dyno[0], "/admin/login/")
    assert status == 200
    sheet = re.search(r'href="(/static/admin/css/base[^"]*\.css)"', page)
    assert sheet is not None
    status, css = get(dyno[0], sheet[1])
    assert status == 200
    assert "--primary" in css


def test_connections_outlive_the_routers_and_stops_are_shorter_than_its_patience() -> None:
    assert int(re.search(r"--keep-alive (\d+)", COMMANDS["web"])[1]) > 90  # seconds
    assert int(re.search(r"--graceful-timeout (\d+)", COMMANDS["web"])[1]) < 30  # seconds


def test_it_stops_when_told_to(dyno: tuple[str, subprocess.Popen[str]]) -> None:
    server = dyno[1]
    server.send_signal(signal.SIGTERM)
    _, log = server.communicate(timeout=10)
    assert "Application shutdown complete" in log
    assert "Traceback" not in log
