"""The run: servers and clients of a case are started, take turns, and go."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from loadtests.instructions.counted_server import CountedServer
from loadtests.realtime.cases import CASES, Case, Figures, Side
from loadtests.realtime.clients import Clients
from loadtests.realtime.peers import PEERS
from loadtests.servers import ROOT, Server, two_cores

SETTINGS = {"DJANGO_SETTINGS_MODULE": "loadtests.realtime.settings"}
BARE = "-bare"  # the end of the name of a peer without clients

Results = dict[str, dict[str, list[Figures]]]  # case, peer: a round each


@dataclass(frozen=True, slots=True)
class Entrant:
    """A peer in a case; its own name, and how many clients it has."""

    name: str
    peer: str
    clients: int


def entrants(case: Case, peers: Sequence[str], clients: int | None) -> list[Entrant]:
    """Who takes part in a case, of those that were asked for."""
    wanted = [name for name in peers if case.needs in PEERS[name].has and name in (case.peers or PEERS)]
    count = case.size.clients if clients is None else clients
    found = [Entrant(name, name, count) for name in wanted]
    return [*found, *(Entrant(name + BARE, name, 0) for name in wanted if case.bare)]


class Run:
    """Some peers, some cases, and how often."""

    def __init__(
        self,
        peers: Sequence[str],
        *,
        rounds: int,
        port: int,
        clients: int | None = None,
        seconds: float | None = None,
        compression: bool = True,
        report: Callable[[str], None] = print,
    ) -> None:
        self.peers = peers
        self.rounds = rounds
        self.port = port
        self.clients = clients
        self.seconds = seconds
        self.compression = compression
        self.report = report
        self.results: Results = {}
        self.left_out: list[str] = []
        self._server_cores, self._client_cores = two_cores()

    def measure(self, name: str) -> None:
        """Measure one case, and fill ``results``."""
        case = CASES[name]
        if case.counted and shutil.which("valgrind") is None:
            self.left_out.append(f"{case.title}: instructions are counted by valgrind, which is not installed")
            self.results[name] = {}
            return
        if self.seconds is not None:
            case = replace(case, size=replace(case.size, seconds=self.seconds))
        results = self.results[name] = {}
        everyone = entrants(case, self.peers, self.clients)
        for group in [[entrant] for entrant in everyone] if case.alone else [everyone]:
            with ExitStack() as stack:
                sides = dict(self._start(case, group, stack))
                for number in range(1 if case.alone else self.rounds + 1):
                    turns = list(sides.items())  # there and back, so that nobody always follows the same
                    for entrant, side in turns if number % 2 else reversed(turns):
                        self.report(f"{case.title}: {entrant}, {f'round {number}' if number else 'first round'}")
                        with self._leaving_out(name, entrant, sides):
                            seen = case.measure(side)
                            if number or case.alone:  # else it was the warm-up
                                results.setdefault(entrant, []).append(seen)

    def _start(self, case: Case, group: Sequence[Entrant], stack: ExitStack) -> Iterator[tuple[str, Side]]:
        for place, entrant in enumerate(group):
            try:
                server = stack.enter_context(self._server(case, entrant.peer, self.port + place))
                clients = stack.enter_context(self._clients(server, case.processes))
                side = Side(server, clients, replace(case.size, clients=entrant.clients))
                case.prepare(side)
            except RuntimeError as error:
                self.left_out.append(f"{case.title}: {entrant.name}: {error}")
            else:
                yield entrant.name, side

    def _clients(self, server: Server, processes: int) -> Clients:
        return Clients(server.port, self._client_cores, processes, compression=self.compression)

    @contextmanager
    def _server(self, case: Case, name: str, port: int) -> Iterator[Server]:
        peer = PEERS[name]
        environment: Mapping[str, str] = {**SETTINGS, **peer.environment}
        with tempfile.TemporaryDirectory() as folder:
            if case.counted:
                server: Server = CountedServer(peer, ROOT, folder, port=port, environment=environment)
            else:
                server = Server(peer.server, peer.target, port=port, cores=self._server_cores, environment=environment)
            with server:
                yield server

    @contextmanager
    def _leaving_out(self, case: str, entrant: str, sides: dict[str, Side]) -> Iterator[None]:
        """Who fails is left out from there on; the others go on."""
        try:
            yield
        except RuntimeError as error:
            self.left_out.append(f"{CASES[case].title}: {entrant}: {error}")
            self.results[case].pop(entrant, None)
            sides.pop(entrant, None)
