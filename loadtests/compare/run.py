"""The run: databases, servers, rounds. Every peer of a setting stays up while all of them are asked in turn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from loadtests.client import Load, Request, run_client
from loadtests.compare.cases import CASES, Case
from loadtests.compare.peers import PEERS, Peer
from loadtests.servers import ROOT, Server, pinned, two_cores

SETTINGS = {"DJANGO_SETTINGS_MODULE": "loadtests.compare.settings"}
POSTGRESQL = "hybrid_gateway_bench"
WARM_UP = 1  # seconds

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Round:
    """One peer in one round of one case: microseconds of CPU per request, bytes of memory after it."""

    load: Load
    cpu_us: float
    memory: int


@dataclass(frozen=True, slots=True)
class Life:
    """One peer from start to a million requests: seconds until the first answer, bytes of memory, requests asked."""

    start_seconds: float
    start_cpu_seconds: float
    at_rest: int
    after: int
    requests: int


Results = dict[str, dict[str, list[Round]]]  # case, peer


@dataclass(frozen=True, slots=True)
class Database:
    """A database with the rows of the service, and the tokens that open it."""

    name: str  # of an SQLite file, or "postgresql"
    tokens: Mapping[str, str]

    def environment(self, peer: Peer, routes: int) -> dict[str, str]:
        """What a peer's server is started with."""
        return {**SETTINGS, "BENCH_DATABASE": self.name, "BENCH_ROUTES": str(routes), **peer.environment}


@contextmanager
def databases(kinds: set[str]) -> Iterator[dict[str, Database]]:
    """Make what the cases need; a PostgreSQL database is dropped afterwards."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        made = {"sqlite": _prepare(str(Path(folder) / "bench.sqlite3"))}
        if "postgresql" in kinds:
            stack.enter_context(_postgresql())
            made["postgresql"] = _prepare("postgresql")
        yield made


def _prepare(name: str) -> Database:
    command = [sys.executable, "-m", "loadtests.compare.manage", "prepare"]
    environment = {**os.environ, **SETTINGS, "BENCH_DATABASE": name}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the database {name} could not be made:\n{done.stderr[-2000:]}")
    return Database(name, json.loads(done.stdout.strip().splitlines()[-1]))


@contextmanager
def _postgresql() -> Iterator[None]:
    import psycopg

    address = {"host": os.environ.get("PGHOST", "127.0.0.1"), "user": os.environ.get("PGUSER", "postgres")}
    drop = f"DROP DATABASE IF EXISTS {POSTGRESQL} WITH (FORCE)"
    try:
        connection = psycopg.connect(dbname="postgres", autocommit=True, connect_timeout=3, **address)
    except psycopg.OperationalError as error:
        raise RuntimeError(
            f"PostgreSQL does not answer: {error}. --without-postgresql leaves its cases out."
        ) from error
    with connection:
        connection.execute(drop)
        connection.execute(f"CREATE DATABASE {POSTGRESQL}")
        try:
            yield
        finally:
            connection.execute(drop)


def request_of(case: Case, peer: Peer, tokens: Mapping[str, str]) -> Request:
    """The request of a case, with the peer's token where it needs one."""
    if case.needs != "token":
        return case.request
    authorization = peer.token.format(tokens[peer.token_kind])
    return replace(case.request, headers={**case.request.headers, "Authorization": authorization})


def takes_part(peer: Peer, case: Case) -> bool:
    """Whether a peer has what the case asks for."""
    return case.needs in peer.has


def check(name: str, case: Case, request: Request, server: Server) -> None:
    """A peer that answers something else is not measured. Raises ``RuntimeError``."""
    status, body = server.ask(request)
    right = case.answer is None or (
        case.answer in body if isinstance(case.answer, bytes) else _json(body) == case.answer
    )
    if status != request.status or not right:
        raise RuntimeError(f"{name} answers {status} {body[:300]!r} to {case.title}:\n{server.output()}")


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def measure(name: str, server: Server, request: Request, connections: int, seconds: int) -> Round:
    """One peer, once."""
    before = server.cpu_seconds()
    load = run_client(server.port, request, connections=connections, seconds=seconds)
    spent = server.cpu_seconds() - before
    if not load.requests:
        raise RuntimeError(f"{name} answered nothing in {seconds} s:\n{server.output()}")
    _let_finish(server)
    return Round(load, spent * 1e6 / load.requests, server.memory())


def _let_finish(server: Server) -> None:
    """A slow peer is still busy with requests whose client has gone; the next one is not to share the core with it."""
    before = server.cpu_seconds()
    for _ in range(_PATIENCE):
        time.sleep(0.1)
        after = server.cpu_seconds()
        if after - before < _IDLE:
            return
        before = after


_PATIENCE = 50  # tenths of a second
_IDLE = 0.02  # seconds of CPU in one of them


class Comparison:
    """Some peers, some cases, and how long to ask."""

    def __init__(
        self, peers: Sequence[str], cases: Sequence[str], *, rounds: int, seconds: int, port: int, report: Report
    ) -> None:
        self.peers = peers
        self.cases = cases
        self.rounds = rounds
        self.seconds = seconds
        self.port = port
        self.report = report
        self.results: Results = {}
        self.lives: dict[str, Life] = {}
        self.left_out: list[str] = []  # who did not answer, and to what
        self.server_cores, self.client_cores = two_cores()

    def measurements(self) -> int:
        """How many measurements the run takes, warm-ups included."""
        pairs = sum(takes_part(PEERS[peer], CASES[case]) for case in self.cases for peer in self.peers)
        return pairs * (self.rounds + 1)

    def run(self, made: Mapping[str, Database]) -> None:
        """Ask everybody, and fill ``results``; cases that share a setting share the servers."""
        settings: dict[tuple[str, int], list[str]] = {}
        for name in self.cases:
            settings.setdefault((CASES[name].database, CASES[name].routes), []).append(name)
        for (database, routes), cases in settings.items():
            names = [name for name in self.peers if any(takes_part(PEERS[name], CASES[case]) for case in cases)]
            with ExitStack() as stack:
                servers = {}
                for offset, name in enumerate(names):
                    self.report(f"starting {PEERS[name].title}")
                    server = self._server(name, made[database], routes, self.port + offset)
                    with self._leaving_out(name):
                        servers[name] = stack.enter_context(server)
                for case in cases:
                    self.results[case] = {}
                    self._case(case, servers, made[database].tokens)

    @contextmanager
    def _leaving_out(self, name: str, case: str | None = None) -> Iterator[None]:
        """Who does not start, or answers wrongly or not at all, is left out of the case; the others go on."""
        try:
            yield
        except RuntimeError as error:
            self.left_out.append(f"{CASES[case].title}: {error}" if case else str(error))
            if case:
                self.results[case].pop(name, None)

    def _server(self, name: str, database: Database, routes: int, port: int) -> Server:
        peer = PEERS[name]
        environment = database.environment(peer, routes)
        return Server(peer.server, peer.target, port=port, cores=self.server_cores, environment=environment)

    def _case(self, name: str, servers: Mapping[str, Server], tokens: Mapping[str, str]) -> None:
        case = CASES[name]
        requests = {peer: request_of(case, PEERS[peer], tokens) for peer in servers if takes_part(PEERS[peer], case)}
        results = self.results[name]
        with pinned(self.client_cores):
            for peer, request in requests.items():
                with self._leaving_out(peer, name):
                    check(PEERS[peer].title, case, request, servers[peer])
                    results[peer] = []
            for number in range(self.rounds + 1):
                for peer, request in requests.items():
                    self.report(f"{case.title}: {PEERS[peer].title}, {f'round {number}' if number else 'warm-up'}")
                    if peer not in results:
                        continue
                    with self._leaving_out(peer, name):
                        seconds = self.seconds if number else WARM_UP
                        measured = measure(PEERS[peer].title, servers[peer], request, case.connections, seconds)
                        if number:
                            results[peer].append(measured)

    def live(self, made: Mapping[str, Database], *, requests: int, seconds: int) -> None:
        """Start every peer on its own; its memory before and after ``requests``, or as many as ``seconds`` allow."""
        for name in self.peers:
            with self._leaving_out(name):
                self.lives[name] = self._life(name, made["sqlite"], requests, seconds)

    def _life(self, name: str, database: Database, requests: int, seconds: int) -> Life:
        hello = CASES["hello"]
        self.report(f"start-up and memory: {PEERS[name].title}")
        began = time.monotonic()
        with self._server(name, database, 0, self.port) as server, pinned(self.client_cores):
            check(name, hello, hello.request, server)
            started, spent = time.monotonic() - began, server.cpu_seconds()
            at_rest = server.memory()
            asked = 0
            while asked < requests and time.monotonic() - began < started + seconds:
                asked += run_client(server.port, hello.request, connections=64, seconds=min(5, seconds)).requests
            return Life(started, spent, at_rest, server.memory(), asked)
