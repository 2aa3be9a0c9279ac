"""``manage.py gateway serve`` and gunicorn's worker, as processes with signals and sockets."""

from __future__ import annotations

import http.client
import inspect
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep

import pytest
from django.core.management import CommandError, call_command

from hybrid_gateway.management import listening

uvicorn = pytest.importorskip("uvicorn", reason="needs uvicorn, which the extra `server` brings")

ROOT = Path(__file__).parents[2]
PROJECT = {
    "settings.py": """
        import os

        SECRET_KEY = "serve"
        DEBUG = os.environ.get("DEBUG") == "1"
        ALLOWED_HOSTS = ["*"]
        INSTALLED_APPS = ["hybrid_gateway"]
        ROOT_URLCONF = "urls"
        ASGI_APPLICATION = os.environ.get("APPLICATION", "hybrid_gateway.asgi.application")
        HYBRID_GATEWAY = {"ROUTES": "routes", "ALLOWED_DJANGO_ROUTES": ("/page/",), "OPENAPI": {"ENABLED": False}}
    """,
    "urls.py": """
        from django.http import HttpResponse
        from django.urls import path

        urlpatterns = [path("page/", lambda request: HttpResponse("a page"))]
    """,
    "routes.py": """
        import asyncio
        import gc
        import os
        import sys

        from hybrid_gateway import Body, Request, get, post
        from typing import Annotated

        @get("/pid")
        async def pid() -> int:
            return os.getpid()

        @get("/frozen")
        async def frozen() -> int:
            return gc.get_freeze_count()

        @get("/slow")
        async def slow() -> str:
            await asyncio.sleep(0.7)
            return "slow"

        @get("/road")
        async def road() -> str:
            frame = sys._getframe()
            while frame is not None:
                if frame.f_code.co_name == "run_asgi":
                    return "asgi"
                frame = frame.f_back
            return "lane"

        @get("/client")
        async def client(request: Request) -> str:
            return request.client.host

        @post("/length")
        async def length(data: Annotated[bytes, Body()]) -> int:
            return len(data)

        routes = [pid, frozen, slow, road, client, length]
    """,
    "wrapped.py": """
        from hybrid_gateway.asgi import get_asgi_application

        gateway = get_asgi_application()

        async def application(scope, receive, send):
            await gateway(scope, receive, send)
    """,
    "manage.py": """
        import os
        import sys

        if __name__ == "__main__":
            os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
            from django.core.management import execute_from_command_line

            execute_from_command_line(sys.argv)
    """,
}


class Process:
    """A server process, and what it says."""

    def __init__(self, command: list[str], cwd: Path, port: int, **environ: str) -> None:
        self.port = port
        self.log = cwd / f"log-{port}.txt"
        inherited = {
            name: value for name, value in os.environ.items() if name not in ("DJANGO_SETTINGS_MODULE", "PORT")
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=cwd,
                env=inherited | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(cwd)])} | environ,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self) -> Process:
        deadline = monotonic() + 30  # seconds
        while monotonic() < deadline and self.process.poll() is None:
            try:
                if self.get("/pid")[0] == 200:
                    return self
            except OSError:
                sleep(0.05)
        raise AssertionError(self.log.read_text())

    def get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def talk(self, data: bytes) -> bytes:
        """What comes back until the server hangs up."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as client:
            client.sendall(data)
            received = b""
            while part := client.recv(65536):
                received += part
            return received


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in PROJECT.items():
        (tmp_path / name).write_text(textwrap.dedent(text))
    return tmp_path


@pytest.fixture
def start(project: Path) -> Iterator[Callable[..., Process]]:
    """``start(*arguments, **environ)``: ``manage.py gateway serve`` on a free port."""
    started: list[Process] = []

    def run(*arguments: str, command: list[str] | None = None, **environ: str) -> Process:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        serve = ["manage.py", "gateway", "serve", "--port", str(port)] if command is None else command
        process = Process(
            [sys.executable, *(part.format(port=port) for part in serve), *arguments], project, port, **environ
        )
        started.append(process)
        return process

    yield run
    for process in started:
        with suppress(ProcessLookupError):  # it has ended; else its workers must go with it
            os.killpg(process.process.pid, signal.SIGKILL)
        process.process.wait()


def test_both_sides_answer_and_the_api_is_on_the_lane(start):
    server = start().wait()
    assert server.get("/road") == (200, b"lane")
    assert server.get("/page/") == (200, b"a page")
    assert b"server: " not in server.talk(b"GET /pid HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").lower()
    log = server.log.read_text()
    assert "GET /road" not in log and "DEBUG is on" not in log


def test_sigterm_lets_a_request_finish(start):
    server = start("--access-log").wait()
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
        sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        answer = b""
        while part := client.recv(65536):
            answer += part
    assert answer.endswith(b"slow") and b"connection: close" in answer
    assert server.process.wait(10) in (0, -signal.SIGTERM)
    log = server.log.read_text()
    assert "GET /slow" in log and "Application shutdown complete" in log and "Traceback" not in log


def test_two_workers_answer(start):
    server = start("--workers", "2").wait()
    deadline = monotonic() + 10
    found = set()
    while len(found) < 2 and monotonic() < deadline:
        found.add(server.get("/pid")[1])
    assert len(found) == 2 and str(server.process.pid).encode() not in found
    assert server.get("/road") == (200, b"lane")
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(10) == 0


def test_sighup_replaces_all_workers_and_fails_nobody(start):
    server = start("--workers", "2").wait()
    deadline = monotonic() + 60  # a few seconds, where others leave it the cores
    before = set()
    while len(before) < 2 and monotonic() < deadline:
        before.add(server.get("/pid"))
    answers, over = [], threading.Event()

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        while not over.wait(0.01):
            connection.request("GET", "/pid")  # connects anew where the last answer said that it was the last
            response = connection.getresponse()
            answers.append((response.status, response.read()))
        connection.close()

    with ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(ask) for _ in range(4)]
        server.process.send_signal(signal.SIGHUP)
        while (
            (not answers or set(answers[-20:]) & before)
            and monotonic() < deadline
            and not any(client.done() for client in clients)
        ):
            sleep(0.1)
        over.set()
        for client in clients:
            client.result()
    assert {status for status, _ in answers} == {200}
    assert answers[-1] not in before, server.log.read_text()


@pytest.mark.skipif(
    "timeout_worker_healthcheck" not in inspect.signature(uvicorn.Config).parameters,
    reason="This uvicorn has no such option.",
)
def test_what_start_up_has_made_is_no_garbage_to_look_for(start):
    status, frozen = start().wait().get("/frozen")
    assert status == 200 and int(frozen) > 10_000


def test_how_long_a_worker_may_take_is_the_servers_to_know(monkeypatch, settings):
    told: dict[str, object] = {}
    settings.ASGI_APPLICATION = "hybrid_gateway.asgi.application"
    monkeypatch.setattr("uvicorn.run", lambda *args, **options: told.update(options))
    call_command("gateway", "serve")
    assert told["timeout_worker_healthcheck"] == 10
    call_command("gateway", "serve", "--worker-timeout", "30")
    assert told["timeout_worker_healthcheck"] == 30


def test_slow_heads_and_stalled_bodies_end(start):
    server = start("--header-timeout", "0.3", "--body-timeout", "0.3", "--workers", "2").wait()
    assert server.talk(b"GET /pid HTTP/1.1\r\nHos") == b""
    assert server.talk(b"POST /length HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nab").startswith(b"HTTP/1.1 408 ")


def test_a_unix_domain_socket(start, project):
    path = project / "gateway.sock"
    server = start("--uds", str(path))
    deadline = monotonic() + 30
    while not path.exists() and monotonic() < deadline:
        sleep(0.05)
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(path))
        client.sendall(b"GET /road HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        answer = b""
        while part := client.recv(65536):
            answer += part
    assert answer.endswith(b"lane")
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(10) in (0, -signal.SIGTERM)


def test_a_wrapped_application_is_served_without_the_lane_and_says_so(start):
    server = start(APPLICATION="wrapped.application").wait()
    assert server.get("/road") == (200, b"asgi")
    assert "lane is off" in server.log.read_text()


def test_reload_takes_up_a_change(start, project):
    server = start("--reload").wait()
    first = server.get("/pid")
    sleep(1)  # the watcher compares whole seconds on some file systems
    routes = project / "routes.py"
    routes.write_text(routes.read_text().replace("return os.getpid()", "return 0"))
    deadline = monotonic() + 15
    while monotonic() < deadline:
        try:
            if server.get("/pid") == (200, b"0"):
                break
        except OSError:
            pass
        sleep(0.1)
    else:
        pytest.fail(f"{first} {server.log.read_text()}")


@pytest.mark.parametrize(
    ("environ", "arguments", "message"),
    [
        ({"APPLICATION": ""}, [], "ASGI_APPLICATION"),
        ({"APPLICATION": "nowhere.application"}, [], "nowhere"),
        ({}, ["--workers", "0"], "is not positive"),
        ({}, ["--header-timeout", "nan"], "is no number of seconds"),
    ],
)
def test_what_cannot_be_served_is_said(start, environ, arguments, message):
    server = start(*arguments, **environ)
    assert server.process.wait(20) != 0
    assert message in server.log.read_text()


def test_a_port_in_use_is_said(start):
    first = start().wait()
    second = start(command=["manage.py", "gateway", "serve", "--port", str(first.port)])
    assert second.process.wait(20) != 0
    assert "address already in use" in second.log.read_text().lower()


def test_debug_is_warned_of_and_port_and_workers_come_from_the_environment(start):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    server = start(
        command=["manage.py", "gateway", "serve", "--host", "127.0.0.1"], DEBUG="1", PORT=str(port), WEB_CONCURRENCY="2"
    )
    server.port = port
    server.wait()
    assert server.get("/pid")[1] != str(server.process.pid).encode()
    assert "DEBUG is on" in server.log.read_text()


def test_gunicorns_worker_is_on_the_lane(start):
    pytest.importorskip("uvicorn_worker", reason="needs uvicorn-worker and gunicorn, which the extra `gunicorn` brings")
    command = ["-m", "gunicorn", "hybrid_gateway.asgi:application", "-b", "127.0.0.1:{port}"]
    worker = ["-k", "hybrid_gateway.workers.LaneWorker", "--keep-alive", "7"]
    server = start(command=[*command, *worker], DJANGO_SETTINGS_MODULE="settings").wait()
    assert server.get("/road") == (200, b"lane")
    assert server.get("/page/") == (200, b"a page")
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(10) == 0


# --- every address ----------------------------------------------------------------------------------------------------

LOOPBACK = """
import sys
from django.core.management import execute_from_command_line
from hybrid_gateway.management import listening

if __name__ == "__main__":
    listening.EVERYWHERE = ("127.0.0.1", "::1")  # those of this machine alone
    execute_from_command_line(sys.argv)
"""
has_ipv6 = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="needs IPv6")


@has_ipv6
@pytest.mark.parametrize("workers", ["1", "2"])
def test_with_a_port_of_the_platform_both_kinds_of_addresses_answer(start, project, workers):
    (project / "everywhere.py").write_text(LOOPBACK)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    server = start(
        command=["everywhere.py", "gateway", "serve"], PORT=str(port), WEB_CONCURRENCY=workers,
        DJANGO_SETTINGS_MODULE="settings",
    )  # fmt: skip
    server.port = port
    server.wait()
    for host in ("127.0.0.1", "::1"):
        connection = http.client.HTTPConnection(host, port, timeout=10)
        connection.request("GET", "/road")
        assert connection.getresponse().read() == b"lane"
        connection.request("GET", "/client")
        assert connection.getresponse().read() == host.encode()
        connection.close()
    assert f"Uvicorn running on 127.0.0.1:{port} and [::1]:{port}" in server.log.read_text()


@pytest.mark.parametrize(
    ("addresses", "bound"),
    [
        (("127.0.0.1", "2001:db8::1"), ["127.0.0.1"]),  # addresses of documentation: no machine has them
        (("192.0.2.1", "127.0.0.1"), ["127.0.0.1"]),
    ],
)
def test_the_kind_of_address_that_a_machine_lacks_is_done_without(monkeypatch, addresses, bound):
    monkeypatch.setattr(listening, "EVERYWHERE", addresses)
    sockets = listening.bind_everywhere(0)
    assert [made.getsockname()[0] for made in sockets] == bound
    for made in sockets:
        made.close()


@has_ipv6
def test_a_port_that_is_taken_is_said_whichever_address_has_it(monkeypatch, settings):
    settings.ASGI_APPLICATION = "hybrid_gateway.asgi.application"
    monkeypatch.setattr(listening, "EVERYWHERE", ("127.0.0.1", "::1"))
    for host in ("127.0.0.1", "::1"):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.create_server((host, 0), family=family) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(CommandError, match=f"Port {port} cannot be listened on: "):
                call_command("gateway", "serve", "--host", "::", "--port", str(port))


def test_a_machine_without_any_address_is_told(monkeypatch):
    monkeypatch.setattr(listening, "EVERYWHERE", ("192.0.2.1", "2001:db8::1"))
    with pytest.raises(OSError, match="assign requested address|unreachable"):
        listening.bind_everywhere(0)
