"""What is measured, one function each: a server, its clients, and what came of it."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from loadtests.client import Request
from loadtests.instructions.counted_server import CONNECTIONS, CountedServer
from loadtests.realtime.clients import Clients, together
from loadtests.servers import Server

HELLO = Request("/hello")
ROOM, PUBLISH, ECHO, KEPT, KEEP = "/rooms/1", "/publish", "/echo", "/kept/1", "/keep"
SETTLE = 0.3  # seconds after the last message in which a server may still be busy with it
REST = 5.0  # seconds after which a crowd that has come is idle
WARM = 200  # sockets that have come and gone before memory is read

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Size:
    """How many clients, and for how many seconds."""

    clients: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Side:
    """One peer that is up, and the clients of its own."""

    server: Server
    clients: Clients
    size: Size


@dataclass(frozen=True, slots=True)
class Case:
    """One table. ``prepare`` is done once, ``measure`` once a round; ``figure`` is what counts of what it returns."""

    title: str
    needs: str
    figure: str
    size: Size
    measure: Callable[[Side], Figures]
    prepare: Callable[[Side], None] = lambda side: None
    processes: int = 1  # of clients
    alone: bool = False  # whether the others are not up meanwhile, and one round says all
    bare: bool = False  # whether everybody is measured without clients, too
    counted: bool = False  # whether the server runs below callgrind
    peers: tuple[str, ...] = ()  # who takes part, or all


@contextmanager
def cpu_of(server: Server) -> Iterator[Callable[[float], Figures]]:
    """Give a function that tells the microseconds of CPU since then, per message, and how many were user code."""
    before, before_user = server.cpu_seconds(), server.cpu_seconds(system=False)

    def spent(messages: float) -> Figures:
        time.sleep(SETTLE)
        return {
            "cpu_us": (server.cpu_seconds() - before) * 1e6 / max(messages, 1),
            "user_us": (server.cpu_seconds(system=False) - before_user) * 1e6 / max(messages, 1),
        }

    yield spent


def connect(side: Side, path: str, count: int | None = None) -> Figures:
    """Have so many clients come, a hundred at a time. Raises ``RuntimeError`` where some are refused."""
    seen = together(side.clients.ask("connect", shared=["count"], path=path, count=count or side.size.clients))
    if seen["refused"]:
        raise RuntimeError(f"{seen['refused']} of {side.size.clients} were refused:\n{side.server.output()}")
    return seen


def fan_out(side: Side) -> Figures:
    """Events to all in a room."""
    with cpu_of(side.server) as spent:
        [seen] = side.clients.ask("fan_out", path=PUBLISH, events=1_000_000, seconds=side.size.seconds)
        return {**seen, **spent(seen["messages"])}


def echo(side: Side) -> Figures:
    """Each sends as soon as it is answered."""
    with cpu_of(side.server) as spent:
        [seen] = side.clients.ask("echo", messages=1_000_000_000, seconds=side.size.seconds)
        return {**seen, **spent(seen["messages"])}


def idle(side: Side) -> Figures:
    """Resident memory with many sockets that say nothing, to that with none."""
    connect(side, ECHO, WARM)
    side.clients.ask("echo", messages=10 * WARM, seconds=1)
    side.clients.ask("leave")
    time.sleep(1)
    before = side.server.memory()
    seen = connect(side, ECHO)
    time.sleep(REST)
    grown = side.server.memory() - before
    still = together(side.clients.ask("count"))["open"]
    return {"kib": grown / 1024 / side.size.clients, "lost": side.size.clients - still, "seconds": seen["seconds"]}


def traffic(side: Side) -> Figures:
    """Everybody sends once a second."""
    seen = connect(side, ECHO)
    with cpu_of(side.server) as spent:
        paced = together(side.clients.ask("pace", seconds=side.size.seconds))
        return {**paced, **spent(paced["messages"]), "connecting_seconds": seen["seconds"]}


BEFORE, AFTER = 50, 50  # events that those who come back have seen, and have not


def storm(side: Side) -> Figures:
    """Everybody comes back at once, and says what it has seen; HTTP goes on meanwhile."""
    heard = side.clients.ask_one("publish", path=KEEP, follow=KEPT, events=BEFORE + AFTER)
    if len(heard) != BEFORE + AFTER:
        raise RuntimeError(f"of {BEFORE + AFTER} events {len(heard)} were heard:\n{side.server.output()}")
    path = f"{KEPT}?since={json.loads(heard[BEFORE - 1])['offset']}"
    with probe(side.server) as answered, cpu_of(side.server) as spent:
        seen = together(
            side.clients.ask(
                "storm", path=path, shared=["count"], count=side.size.clients, expects=AFTER, seconds=side.size.seconds
            )
        )
    times = sorted(answered)
    missing = side.size.clients - seen["recovered"]
    return {
        **seen,
        **spent(side.size.clients),
        "lost": missing,
        "http_p99_ms": times[int(len(times) * 0.99)],
        "http_asked": len(times),
    }


@contextmanager
def probe(server: Server, pause: float = 0.02) -> Iterator[list[float]]:
    """Ask over HTTP meanwhile, on a kept connection, as proxies do; give milliseconds, that of a failure infinite."""
    times: list[float] = []
    over, is_kept = threading.Event(), threading.Event()

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=server.answer_seconds)
        while not over.is_set():
            began = time.monotonic()
            try:
                connection.request("GET", HELLO.path)
                response = connection.getresponse()
                response.read()
                status = response.status
            except OSError:
                connection.close()
                status = 0
            times.append((time.monotonic() - began) * 1e3 if status == 200 else float("inf"))
            is_kept.set()
            over.wait(pause)
        connection.close()

    thread = threading.Thread(target=ask)
    thread.start()
    is_kept.wait(server.answer_seconds)
    try:
        yield times
    finally:
        over.set()
        thread.join()


def requests(side: Side) -> Figures:
    """Requests of HTTP below callgrind.

    What goes by the clock, a look at the sockets once a second, weighs fifty times as much there, where seconds are
    that much shorter. So requests are counted in small portions, between which it falls: the lowest tenth counts.
    """
    assert isinstance(side.server, CountedServer)
    portions = sorted(side.server.count(HELLO, 400, CONNECTIONS, 60))
    return {"instructions": portions[len(portions) // 10]}


def _listen(side: Side) -> None:
    connect(side, ROOM)


def _connect(side: Side) -> None:
    connect(side, ECHO)


CASES: Mapping[str, Case] = {
    "fan-out": Case("event to a room", "room", "cpu_us", Size(1000, 3), fan_out, _listen),
    "echo": Case("echo of 100 bytes", "echo", "cpu_us", Size(100, 3), echo, _connect),
    "idle": Case("memory of an idle socket", "echo", "kib", Size(10_000, 0), idle, processes=2, alone=True),
    "traffic": Case(
        "each sends once a second", "echo", "p99_ms", Size(10_000, 60), traffic,
        processes=2, alone=True, peers=("lane", "starlette"),
    ),
    "storm": Case(
        "all come back at once", "kept", "longest_ms", Size(5000, 60), storm,
        processes=2, alone=True, peers=("lane",),
    ),
    "http": Case(
        "HTTP beside idle sockets", "kept", "instructions", Size(5000, 0), requests, _connect,
        processes=2, alone=True, bare=True, counted=True, peers=("lane",),
    ),
}  # fmt: skip
