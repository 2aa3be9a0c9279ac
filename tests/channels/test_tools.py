"""Channels around the gateway: settings, tests, probes, metrics, checks, forks."""

import os
import subprocess
import sys
import time

import msgspec
import pytest
from django.core.checks import run_checks
from django.test import override_settings
from prometheus_client import CollectorRegistry

from hybrid_gateway import Gateway, Include, post
from hybrid_gateway.channels import Channel, ChannelsUnavailable, channels
from hybrid_gateway.channels.memory_backend import MemoryBackend
from hybrid_gateway.conf import get_settings
from hybrid_gateway.exceptions import SettingsError
from hybrid_gateway.telemetry.metrics import Prometheus
from hybrid_gateway.test import TestCase, TestClient
from tests.channels.broker import Broker, BrokerBackend
from tests.channels.conftest import using
from tests.channels.test_channels import run, until


class Said(msgspec.Struct):
    text: str


room = Channel("tool:{room_id}", Said, history=10)
broker = Broker()


class NamedBackend(BrokerBackend):
    """A back end of a project's, by the settings."""

    def __init__(self, *, delay: float = 0.0) -> None:
        super().__init__(broker, delay)


def configured(value):
    return override_settings(HYBRID_GATEWAY={"ROUTES": "tests.routes", "CHANNELS": value})


OWN = {"BACKEND": "tests.channels.test_tools.NamedBackend", "DELAY": 0.001}


# --- settings


@pytest.mark.parametrize(
    "value", ["radis://x", "rabbit", 5, None, {}, {"BACKEND": 5}, {"BACKEND": "tests.nothing.Backend"}, "redis"]
)
def test_a_setting_that_makes_no_sense_is_an_error(value):
    with configured(value), pytest.raises(SettingsError, match="CHANNELS"):
        get_settings()


def test_an_address_with_a_password_is_not_shown():
    with configured("amqp://user:hunter2@host"), pytest.raises(SettingsError) as caught:
        get_settings()
    assert "hunter2" not in str(caught.value)
    with configured("redis://user:hunter2@host"):
        assert "hunter2" not in repr(get_settings())


def test_a_back_end_of_ones_own_is_made_with_its_arguments_and_left_with_the_settings():
    with configured(OWN):
        room.publish(Said("x"), room_id=1)
        backend = channels.hub.backend
        assert isinstance(backend, NamedBackend)
        assert backend.delay == 0.001
    assert isinstance(channels.hub.backend, MemoryBackend)
    deadline = time.monotonic() + 20
    while backend in broker.clients and time.monotonic() < deadline:
        time.sleep(0.01)
    assert backend not in broker.clients


def test_arguments_that_a_back_end_does_not_take_are_told_at_start_up():
    with configured({**OWN, "SPEED": 1}), pytest.raises(Exception, match="CHANNELS.*speed"):
        TestClient(Gateway([])).__enter__()


# --- tests of projects


@post("/say/{room_id}")
def say(room_id: int, data: Said) -> str | None:
    return room.publish(data, room_id=room_id)


@post("/async-say/{room_id}")
async def say_async(room_id: int, data: Said) -> str:
    return await room.apublish(data, room_id=room_id)


class TestRecorded(TestCase):
    def test_what_is_published_is_recorded_with_its_channel(self):
        client = TestClient(Gateway([say, say_async]))
        with channels.recorded() as published:
            assert client.post("/say/1", json={"text": "a"}).status_code == 201
            assert client.post("/async-say/2", json={"text": "b"}).status_code == 201
            with self.captureOnCommitCallbacks(execute=True):
                room.publish(Said("c"), room_id=3, on_commit=True)
                assert len(published) == 2
            channels.publish("other", 4)
        room.publish(Said("later"), room_id=1)
        assert published == [("tool:1", Said("a")), ("tool:2", Said("b")), ("tool:3", Said("c")), ("other", 4)]

    def test_nothing_leaves_the_process(self):
        with configured(OWN):
            room.publish(Said("x"), room_id=1)
            assert isinstance(channels.hub.backend, MemoryBackend)
        assert broker.history.get("tool:1") is None or b'"x"' not in str(broker.history["tool:1"]).encode()

    async def test_each_test_begins_with_nothing(self):
        async with room.subscribe(room_id=1) as messages:
            assert messages.offset.endswith("-0")

    test_each_test_begins_with_nothing_again = test_each_test_begins_with_nothing


@pytest.mark.parametrize("turn", [1, 2])
def test_functions_begin_with_nothing_too(turn):
    room.publish(Said("x"), room_id=1)

    async def main():
        async with room.subscribe(room_id=1) as messages:
            assert messages.offset.endswith("-1")

    run(main())


def test_recorded_sees_a_shared_back_end_left_alone(hubs):
    with configured(OWN):
        before = dict(broker.numbers)
        with channels.recorded() as published:
            room.publish(Said("x"), room_id=5)
        assert published == [("tool:5", Said("x"))]
        assert broker.numbers == before


# --- probes, metrics, checks


def test_readyz_tells_of_a_back_end_that_is_away():
    with configured(OWN):
        client = TestClient(Gateway([Include("", "hybrid_gateway.health.routes")], health_checks=[]))
        assert client.get("/readyz").json()["checks"] == {"channels": "ok"}
        room.publish(Said("x"), room_id=1)
        hub = channels.hub
        hub.backend.cut()
        wait_until(lambda: hub.fault is not None)
        wait_until(lambda: client.get("/readyz").status_code == 503)
        answer = client.get("/readyz")
        assert answer.json()["checks"] == {"channels": "the back end cannot be reached"}
        with pytest.raises(ChannelsUnavailable):
            room.publish(Said("x"), room_id=1)
        hub.backend.mend()
        wait_until(lambda: hub.fault is None)
        wait_until(lambda: client.get("/readyz").status_code == 200)
    assert (
        TestClient(Gateway([Include("", "hybrid_gateway.health.routes")], health_checks=[]))
        .get("/readyz")
        .json()["checks"]
        == {}
    )


def test_a_request_that_publishes_to_nowhere_is_a_503(hubs, caplog):
    (hub,) = hubs()
    client = TestClient(Gateway([say, say_async]))
    with using(hub):
        room.publish(Said("x"), room_id=1)
        hub.backend.cut()
        for path in ("/async-say/1", "/say/1", "/say/2"):
            answer = client.post(path, json={"text": "a"})
            assert answer.status_code == 503
            assert answer.headers["Retry-After"] == "5"
            assert answer.json()["detail"] == "Messages cannot be carried now."  # servers are for the log alone
        hub.backend.mend()
        assert client.post("/say/1", json={"text": "a"}).status_code == 201
    assert caplog.text.count("does not answer: cut") == 1
    assert caplog.text.count("answers again") == 1
    assert "Traceback" not in caplog.text


def test_metrics_tell_of_readers_drops_and_outages(hubs, monkeypatch):
    monkeypatch.setattr(channels, "meter", None)
    registry = CollectorRegistry()
    gateway = Gateway([], plugins=[Prometheus(registry=registry)])
    (hub,) = hubs()

    def value(name):
        return registry.get_sample_value(f"hybrid_gateway_channel_{name}", {"channel": "tool:{room_id}"})

    async def main():
        async with room.subscribe(room_id=1, queue=1, gaps=True) as messages, room.subscribe(room_id=2):
            assert value("subscriptions") == 2
            for text in ("a", "bb", "ccc"):
                await room.apublish(Said(text), room_id=1)
            await until(lambda: messages.dropped == 2)
            await until(lambda: value("deliveries_total") == 3)
            assert value("dropped_total") == 2
            assert value("fan_out_seconds_count") == 3
            hub.backend.cut()
            await until(lambda: hub.fault)
            assert registry.get_sample_value("hybrid_gateway_channel_backend_connected") == 0
            hub.backend.mend()
            await until(lambda: not hub.fault)
            assert channels.queued_bytes == len(b'{"text":"ccc"}')
        assert value("subscriptions") == 0
        assert channels.queued_bytes == 0

    with using(hub):
        run(main())
        TestClient(gateway).get("/metrics")
    assert registry.get_sample_value("hybrid_gateway_channel_reconnects_total") == 1
    assert registry.get_sample_value("hybrid_gateway_channel_backend_connected") == 1


def test_deployments_are_warned_of_channels_in_memory():
    def ids():
        return {message.id for message in run_checks(tags=["hybrid_gateway"], include_deployment_checks=True)}

    assert "hybrid_gateway.W026" in ids()
    with configured("redis://127.0.0.1/9"):
        assert "hybrid_gateway.W026" not in ids()


def wait_until(is_true):
    deadline = time.monotonic() + 20
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# --- processes


def test_a_forked_process_has_connections_of_its_own():
    program = f"""
import asyncio, os, sys
import django
from django.conf import settings
settings.configure(HYBRID_GATEWAY={{"CHANNELS": {OWN!r}}})
django.setup()
from hybrid_gateway.channels import Channel, channels
room = Channel("room", int, history=5)
first = room.publish(1)
hub = channels.hub
pid = os.fork()
if not pid:
    second = room.publish(2)
    ours = channels.hub is not hub and first != second
    os._exit(0 if ours else 1)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
room.publish(3)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
