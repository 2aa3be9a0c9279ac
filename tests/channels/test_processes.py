"""Publishers and subscribers that are processes: order, each message once, and coming back."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections
from pytest_django import DjangoDbBlocker

from tests.channels.back_ends import private_postgresql, shared_database
from tests.channels.servers import REDIS, PrivateRedis, answers, wait_until

COUNT = 300
"""Messages of each publisher."""


@pytest.fixture(params=["redis", "postgresql"])
def project(request: pytest.FixtureRequest, django_db_blocker: DjangoDbBlocker) -> Iterator[dict[str, Any]]:
    """Settings that processes share."""
    if request.param == "redis":
        redis = pytest.importorskip("redis", reason="redis-py is not installed.")
        if not answers(6379):
            pytest.skip("Redis does not answer on 127.0.0.1:6379.")
        prefix = f"tests-{uuid4().hex}"
        backend = "hybrid_gateway.channels.backends.redis_streams.RedisBackend"
        yield {"databases": {}, "channels": {"BACKEND": backend, "URL": REDIS, "PREFIX": prefix}}
        with redis.Redis.from_url(REDIS) as client:
            for key in client.scan_iter(f"{prefix}:*"):
                client.delete(key)
        return
    with django_db_blocker.unblock(), shared_database("channels"):
        database = {name: connections.settings["channels"][name] for name in ("ENGINE", "NAME", "USER", "HOST", "PORT")}
        yield {"databases": {"default": database}, "channels": "postgresql"}


class Process:
    """One of them, and what it has said."""

    def __init__(self, project: dict[str, Any], *arguments: str) -> None:
        self.lines: list[str] = []
        self.ready = threading.Event()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.channels.process", json.dumps(project), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if self.ready.is_set():
                self.lines.append(line.strip())
            elif line == "ready\n":
                self.ready.set()

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def result(self) -> list[str]:
        """Wait for its end, and return what it said."""
        assert self.process.wait(60) == 0, self.process.stderr and self.process.stderr.read()
        self._reader.join(10)
        return self.lines


@pytest.fixture
def start() -> Iterator[Any]:
    processes: list[Process] = []

    def start(project: dict[str, Any], *arguments: str) -> Process:
        process = Process(project, *arguments)
        processes.append(process)
        if not process.ready.wait(60):
            process.process.kill()
            assert process.process.stderr is not None
            raise AssertionError(process.process.stderr.read())
        return process

    yield start
    for process in processes:
        process.process.kill()
        process.process.communicate()


def test_two_publishers_reach_two_subscribers_in_order_each_message_once_and_one_comes_back(
    project: dict[str, Any], start: Any
) -> None:
    steady = start(project, "subscribe", str(2 * COUNT))
    brief = start(project, "subscribe", "100")
    publishers = [start(project, "publish", name, str(COUNT)) for name in ("ann", "bob")]
    for publisher in publishers:
        publisher.go()
    *first, offset = brief.result()
    *later, last = start(project, "subscribe", str(2 * COUNT - 100), offset).result()
    *all_of_it, end = steady.result()
    for publisher in publishers:
        publisher.result()
    assert first + later == all_of_it, "both have one sequence, and coming back neither skips nor repeats"
    assert last == end
    for name in ("ann", "bob"):
        assert [line for line in all_of_it if line.startswith(name)] == [f"{name} {n}" for n in range(1, COUNT + 1)]
    assert len(all_of_it) == 2 * COUNT


@pytest.fixture(params=["redis", "postgresql"])
def own(request: pytest.FixtureRequest, tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[Any]:
    """A server that may be killed, and the settings that lead to it."""
    if request.param == "redis":
        redis = PrivateRedis(tmp_path)
        redis.start()
        yield redis, {"databases": {}, "channels": redis.url}
        redis.kill()
        return
    with django_db_blocker.unblock(), private_postgresql() as postgresql:
        database = {"ENGINE": "django.db.backends.postgresql", **postgresql.settings}
        yield postgresql, {"databases": {"default": database}, "channels": "postgresql"}


def test_subscribers_hear_all_of_it_and_no_gap_though_the_server_is_killed_and_restarted(own: Any, start: Any) -> None:
    server, project = own
    publisher = start(project, "persist", "ann", "20")
    subscribers = [start(project, "subscribe", "0") for _ in range(2)]
    publisher.go()
    wait_until(lambda: len(publisher.lines) > 20 and all(len(each.lines) > 10 for each in subscribers))
    server.kill()
    wait_until(lambda: "away" in publisher.lines)
    server.start()
    acknowledged = [line for line in publisher.result() if line != "away"]
    assert len(acknowledged) > 40
    for subscriber in subscribers:
        *heard, _ = subscriber.result()
        numbers = [int(line.removeprefix("ann ")) for line in heard if line != "first"]
        assert numbers == sorted(set(numbers)), "in order, each once"
        missing = set(acknowledged) - set(heard)
        started_at = numbers[0]
        assert not {line for line in missing if int(line.removeprefix("ann ")) >= started_at}
