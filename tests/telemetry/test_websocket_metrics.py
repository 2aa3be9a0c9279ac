"""What Prometheus is told of websockets, and a log."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry
from starlette.websockets import WebSocketDisconnect

from hybrid_gateway import Gateway, WebSocket, get, listener, stream, websocket
from hybrid_gateway.auth import APIKeyAuthentication, IsAuthenticated
from hybrid_gateway.telemetry import AccessLog, RequestID, RequestIDFilter
from hybrid_gateway.telemetry.metrics import Prometheus
from hybrid_gateway.test import TestClient
from hybrid_gateway.test.socket_exchange import ServerHabits


@listener("/echo/{name}", message_throttle=["3/minute"])
async def echo(data: str, name: str) -> str:
    return data


@listener("/closed", authentication=[APIKeyAuthentication(query="key")], guards=[IsAuthenticated])
async def closed(data: str) -> None: ...


@websocket("/leave")
async def leave(socket: WebSocket) -> None:
    await socket.close(4409)


@stream("/numbers")
async def numbers() -> AsyncIterator[int]:
    yield 1


@get("/plain")
async def plain() -> str:
    return ""


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def client(registry):
    routes = [echo, closed, leave, numbers, plain]
    return TestClient(Gateway(routes, plugins=[Prometheus(registry=registry)]))


def figures(client, registry, name):
    """The samples of a metric that are not zero, by the values of their labels."""
    client.get("/metrics")
    found = {}
    for metric in registry.collect():
        for sample in metric.samples:
            if sample.name == f"hybrid_gateway_{name}" and sample.value:
                found[tuple(sample.labels.values())] = sample.value
    return found


def test_connections_are_counted_by_template_while_they_are_open(client, registry):
    with client.websocket("/echo/a"), client.websocket("/echo/b"):
        assert figures(client, registry, "websocket_connections") == {("/echo/{name}",): 2}
    assert figures(client, registry, "websocket_connections") == {}
    assert figures(client, registry, "websocket_handshakes_total") == {("/echo/{name}", "101"): 2}
    assert figures(client, registry, "websocket_closed_total") == {("/echo/{name}", "1000"): 2}


def test_messages_and_bytes_are_counted_in_both_directions(client, registry):
    with client.websocket("/echo/a") as socket:
        for text in ("abc", "äb"):
            socket.send(text)
            assert socket.receive(str) == text
        seen = figures(client, registry, "websocket_messages_total")
        assert seen == {("/echo/{name}", "in"): 2, ("/echo/{name}", "out"): 2}
        socket.send("x")
        socket.receive(str)
    assert figures(client, registry, "websocket_messages_total") == {
        ("/echo/{name}", "in"): 3,
        ("/echo/{name}", "out"): 3,
    }
    assert figures(client, registry, "websocket_message_bytes_total") == {
        ("/echo/{name}", "in"): 7,
        ("/echo/{name}", "out"): 7,
    }


def test_messages_over_the_rate_are_counted(client, registry):
    with client.websocket("/echo/a") as socket:
        for _ in range(5):
            socket.send("x")
            socket.receive(str)
    assert figures(client, registry, "websocket_throttled_total") == {("/echo/{name}", "in"): 2}


def test_refusals_are_counted_by_status(client, registry):
    with client.websocket("/closed") as socket:
        assert socket.refusal.status_code == 401
    with client.websocket("/nowhere") as other:
        assert other.refusal.status_code == 404
    assert figures(client, registry, "websocket_handshakes_total") == {("/closed", "401"): 1, ("", "404"): 1}


def test_clients_cannot_make_up_series_by_their_codes(client, registry):
    with client.websocket("/echo/a") as socket:
        socket.close(3210)
    with client.websocket("/leave") as socket, pytest.raises(WebSocketDisconnect):
        socket.receive(str)
    assert set(figures(client, registry, "websocket_closed_total")) == {
        ("/echo/{name}", "other"),
        ("/leave", "4409"),
    }


def test_open_websockets_are_no_requests_in_progress(client, registry):
    with client.websocket("/echo/a"):
        assert client.get("/plain").status_code == 200
        assert figures(client, registry, "requests_in_progress") == {}
    counted = {labels[1] for labels in figures(client, registry, "requests_total")}
    assert counted == {"/plain", "/metrics"}


@websocket("/flood", send_queue=(1000, 500))
async def flood(socket: WebSocket) -> None:
    await socket.accept()
    await asyncio.gather(*(socket.send("x" * 100) for _ in range(50)))


def test_bytes_that_wait_for_clients_are_a_gauge_that_falls_to_nought(registry):
    client = TestClient(Gateway([flood], plugins=[Prometheus(registry=registry)]))
    with client.websocket("/flood", habits=ServerHabits(window=2)) as socket:
        assert socket.receive(str) == "x" * 100
        socket.advance(0)
        [(route, size)] = figures(client, registry, "websocket_queue_bytes").items()
        assert route == ("/flood",) and 300 <= size <= 500, "what the queue may have, and what is being sent"
        for _ in range(49):
            socket.receive(str)
        socket.advance(0)
        assert figures(client, registry, "websocket_queue_bytes") == {}
    assert figures(client, registry, "websocket_queue_bytes") == {}


PROCESS = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
import django
django.setup()
from hybrid_gateway import Gateway, listener
from hybrid_gateway.telemetry.metrics import Prometheus
from hybrid_gateway.test import TestClient
from hybrid_gateway.test.socket_exchange import ServerHabits

@listener("/echo/{name}", message_throttle=["3/day"])
async def echo(data: str, name: str) -> str:
    return data

client = TestClient(Gateway([echo], plugins=[Prometheus]))
with client.websocket("/echo/a") as socket:
    for _ in range(4):
        socket.send("x")
        socket.receive_text()
    if input() == "ask":
        print(client.get("/metrics").text, "<end>", flush=True)
        input()
print("<closed>", flush=True)
input()
"""


def test_several_processes_are_told_of_as_one_and_one_that_nobody_asks_counts_to_its_end(tmp_path):
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": os.getcwd()}
    command = [sys.executable, "-c", PROCESS]
    processes = [
        subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]

    def say(process: subprocess.Popen[str], word: str, end: str) -> dict[str, float]:
        process.stdin.write(f"{word}\n")
        process.stdin.flush()
        told = {}
        while end not in (line := process.stdout.readline()) and line:
            if line.startswith("hybrid_gateway_websocket_"):
                name, _, value = line.rpartition(" ")
                told[name.removeprefix("hybrid_gateway_websocket_")] = float(value)
        return told

    unasked, asked = processes
    try:
        say(unasked, "close", "<closed>")
        told = say(asked, "ask", "<end>")
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    route = 'route="/echo/{name}"'
    assert told[f"connections{{{route}}}"] == 1
    assert told[f'handshakes_total{{{route},status="101"}}'] == 2
    assert told[f'closed_total{{code="1000",{route}}}'] == 1
    for name, figure in [("messages_total", 8), ("message_bytes_total", 8), ("throttled_total", 2)]:
        assert told[f'{name}{{direction="in",{route}}}'] == figure, name
    assert told[f'messages_total{{direction="out",{route}}}'] == 8
    assert told[f"queue_bytes{{{route}}}"] == 0


# --- the log ---------------------------------------------------------------------------------------------------------


def lines_of(caplog):
    return [record for record in caplog.records if record.name == "hybrid_gateway.access"]


def test_the_log_has_a_line_at_the_handshake_and_one_at_the_end(caplog):
    caplog.set_level("INFO", "hybrid_gateway.access")
    client = TestClient(Gateway([echo], event_hooks=[RequestID, AccessLog]))
    with client.websocket("/echo/a?page=1") as socket:
        [begun] = lines_of(caplog)
        assert begun.getMessage().startswith('127.0.0.1 "GET /echo/a?page=1 HTTP/1.1" 101 - ')
        socket.send("abc")
        socket.receive(str)
        socket.close(4001)
    [_, ended] = lines_of(caplog)
    assert ended.getMessage().startswith('127.0.0.1 "WEBSOCKET /echo/a?page=1" 4001 1 in 1 out ')
    assert (ended.close_code, ended.messages_in, ended.bytes_out) == (4001, 1, 3)


def test_both_lines_have_the_id_of_the_handshake(caplog):
    caplog.set_level("INFO", "hybrid_gateway.access")
    caplog.handler.addFilter(RequestIDFilter())
    client = TestClient(Gateway([echo], event_hooks=[RequestID, AccessLog]))
    with client.websocket("/echo/a", headers={"X-Request-ID": "mine"}) as socket:
        assert dict(socket.headers)["x-request-id"] == "mine"
    assert [record.request_id for record in lines_of(caplog)] == ["mine", "mine"]


def test_a_refused_handshake_has_one_line_and_no_key_in_it(caplog):
    caplog.set_level("INFO", "hybrid_gateway.access")
    with TestClient(Gateway([closed], event_hooks=[AccessLog])).websocket("/closed?key=secret"):
        pass
    [line] = lines_of(caplog)
    assert line.getMessage().startswith('127.0.0.1 "GET /closed?key=*** HTTP/1.1" 401 ')
