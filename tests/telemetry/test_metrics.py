"""What Prometheus is told, over every driver."""

import asyncio
import os
import subprocess
import sys
import textwrap
import threading

import pytest
from prometheus_client import CollectorRegistry

from hybrid_gateway import Gateway, StreamingResponse, get
from hybrid_gateway.auth import BasicAuthentication, IsStaff
from hybrid_gateway.exceptions import Conflict
from hybrid_gateway.telemetry.metrics import Prometheus, PrometheusMiddleware
from hybrid_gateway.test import TestClient
from tests.telemetry.test_telemetry import ask


@pytest.fixture
def registry():
    return CollectorRegistry()


def requests(registry):
    """The counters that are not zero: ``{(method, route, status): number}``."""
    found = {}
    for metric in registry.collect():
        for sample in metric.samples:
            if sample.name == "hybrid_gateway_requests_total":
                found[tuple(sample.labels[name] for name in ("method", "route", "status"))] = sample.value
    return found


@get("/things/{number:int}")
async def thing(number: int) -> str:
    if number == 9:
        raise Conflict
    return "x" * number


@get("/blocking")
def blocking() -> None:
    """Runs on a thread."""


@get("/broken")
def broken() -> None:
    raise ValueError


def test_requests_are_counted_by_template_and_never_by_path(serve, registry):
    client = serve(thing, broken, raises=False, plugins=[Prometheus(registry=registry)])
    for path in ("/things/1", "/things/2", "/things/9", "/broken", "/nowhere/1", "/nowhere/2", "/things/x"):
        client.get(path)
    client.post("/things/1")
    client.generic("TRACE", "/nowhere/3")
    found = requests(registry)
    assert [found.pop(key) for key in list(found) if key[0] == "other"] == [1]
    assert found == {
        ("GET", "/things/{number:int}", "2xx"): 2,
        ("GET", "/things/{number:int}", "4xx"): 1,
        ("GET", "/broken", "5xx"): 1,
        ("GET", "", "4xx"): 3,
        ("POST", "", "4xx"): 1,
    }
    assert registry.get_sample_value("hybrid_gateway_requests_in_progress") == 0
    duration = {"method": "GET", "route": "/things/{number:int}"}
    assert registry.get_sample_value("hybrid_gateway_request_duration_seconds_count", duration) == 3


def test_the_route_shows_metrics_in_the_format_that_is_asked_for(serve, registry):
    client = serve(thing, plugins=[Prometheus("/internal/metrics", registry=registry)])
    client.get("/things/1")
    answer = client.get("/internal/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    assert answer.headers["Cache-Control"] == "no-store"
    assert 'requests_total{method="GET",route="/things/{number:int}",status="2xx"} 1.0' in answer.text
    opened = client.get("/internal/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert opened.text.endswith("# EOF\n")


def test_guards_stand_before_the_metrics(serve, registry):
    plugin = Prometheus(registry=registry, guards=[IsStaff], authentication=[BasicAuthentication()])
    assert serve(thing, plugins=[plugin]).get("/metrics").status_code == 401


def test_two_gateways_may_share_a_registry_and_none_need_answer(registry):
    for _ in range(2):
        gateway = Gateway([thing], plugins=[Prometheus(None, registry=registry)])
        assert TestClient(gateway).get("/metrics").status_code == 404
    assert requests(registry) == {("GET", "", "4xx"): 2}


def test_a_request_that_nobody_waits_for_is_no_longer_in_progress(registry):
    begun = asyncio.Event()

    @get("/slow")
    async def slow() -> None:
        begun.set()
        await asyncio.Event().wait()

    gateway = Gateway([slow], plugins=[Prometheus(registry=registry)])

    async def scenario():
        task = asyncio.ensure_future(ask(gateway, "/slow", []))
        await begun.wait()
        assert registry.get_sample_value("hybrid_gateway_requests_in_progress") == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())
    assert registry.get_sample_value("hybrid_gateway_requests_in_progress") == 0
    assert requests(registry) == {("GET", "/slow", "aborted"): 1}


def test_a_stream_is_in_progress_to_its_end(serve, registry):
    def lines():
        yield str(registry.get_sample_value("hybrid_gateway_requests_in_progress"))

    @get("/lines")
    def stream() -> StreamingResponse:
        return StreamingResponse(lines())

    assert serve(stream, plugins=[Prometheus(registry=registry)]).get("/lines").text == "1.0"
    assert registry.get_sample_value("hybrid_gateway_requests_in_progress") == 0


def test_threads_tell_how_long_work_waited_for_them(registry):
    gateway = Gateway([blocking], plugins=[Prometheus(registry=registry)], threads=1)

    async def scenario():
        plain = Gateway([blocking])
        assert type(gateway.pools.typed) is not type(plain.pools.typed)

        async def run():
            await gateway({**SCOPE, "path": "/blocking"}, receive, send)

        await asyncio.gather(run(), run(), run())

    asyncio.run(scenario())
    labels = {"pool": "gateway"}
    assert registry.get_sample_value("hybrid_gateway_thread_wait_seconds_count", labels) == 3
    assert registry.get_sample_value("hybrid_gateway_threads_busy", labels) == 0
    assert registry.get_sample_value("hybrid_gateway_database_connections", {**labels, "alias": "default"}) == 0


def test_metrics_are_told_while_no_thread_is_free(registry):
    gate, hanging = threading.Event(), threading.Event()

    @get("/hanging")
    def hang() -> None:
        hanging.set()
        gate.wait(20)

    gateway = Gateway([hang], plugins=[Prometheus(registry=registry)], threads=1)

    async def scenario():
        task = asyncio.ensure_future(ask(gateway, "/hanging", []))
        await asyncio.to_thread(hanging.wait, 10)
        status, _, body = await asyncio.wait_for(ask(gateway, "/metrics", []), 10)
        assert (status, b'threads_busy{pool="gateway"} 1.0' in body) == (200, True)
        gate.set()
        await task

    asyncio.run(scenario())


SCOPE = {
    "type": "http", "method": "GET", "query_string": b"", "headers": [(b"host", b"testserver")], "scheme": "http",
    "root_path": "", "server": ("testserver", 80), "client": ("127.0.0.1", 1), "http_version": "1.1",
}  # fmt: skip


async def receive():
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(message):
    assert message["type"] != "http.response.start" or message["status"] < 300


@pytest.mark.parametrize("path", ["/sync/", "/async/"])
def test_the_pages_of_django_are_counted_by_their_pattern(settings, registry, monkeypatch, path):
    monkeypatch.setattr(PrometheusMiddleware, "registry", registry)
    settings.MIDDLEWARE = [
        "hybrid_gateway.telemetry.metrics.PrometheusMiddleware",
        "hybrid_gateway.telemetry.RequestIDMiddleware",
    ]
    settings.ROOT_URLCONF = "tests.sites.request_id_urls"
    gateway = Gateway([], django_routes=["/sync/", "/async/"])
    asyncio.run(ask(gateway, path, []))
    asyncio.run(ask(gateway, f"{path}unknown", []))
    pattern = path.removeprefix("/")
    assert requests(registry) == {("GET", f"django:{pattern}", "2xx"): 1, ("GET", "django:", "4xx"): 1}


def test_several_processes_are_told_of_as_one(tmp_path):
    program = tmp_path / "serve.py"
    program.write_text(
        textwrap.dedent(
            """
            import os
            os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
            import django
            django.setup()
            from hybrid_gateway import Gateway, get
            from hybrid_gateway.telemetry.metrics import Prometheus
            from hybrid_gateway.test import TestClient

            @get("/")
            async def index() -> None: ...

            client = TestClient(Gateway([index], plugins=[Prometheus]))
            client.get("/")
            print(client.get("/metrics").text)
            """
        )
    )
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": os.getcwd()}
    for expected in ("1.0", "2.0"):
        done = subprocess.run([sys.executable, program], env=environment, capture_output=True, text=True, check=True)
        assert f'requests_total{{method="GET",route="/",status="2xx"}} {expected}' in done.stdout
