"""A run: a server for each pair of peer and case, two at a time."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from loadtests.client import Request
from loadtests.compare.cases import CASES
from loadtests.compare.peers import PEERS
from loadtests.compare.run import check, databases, request_of, takes_part
from loadtests.instructions.counted_server import CountedServer, Ended, perf_map_path
from loadtests.instructions.stages import ENVIRONMENT, Functions, read_functions, valgrind_options
from loadtests.servers import ROOT

AT_ONCE = 2  # servers
TRIES = 4  # callgrind sometimes gives up ("nonskipped != 0") when it skips functions and threads take turns

Pair = tuple[str, str]  # peer, case
Counts = dict[Pair, float]  # instructions per request
T = TypeVar("T")


class Amount(NamedTuple):
    """How many requests warm up, how many are counted, and how many times: the least is the figure.

    A full collection of garbage, once in some hundred requests, adds a twentieth to the time that it falls into.
    """

    warm_up: int
    counted: int
    times: int


LIGHT, MIDDLE, HEAVY = Amount(400, 160, 4), Amount(160, 32, 6), Amount(48, 16, 5)
AMOUNTS = {"api": LIGHT, "rows": MIDDLE, "async": MIDDLE, "token": MIDDLE, "django": HEAVY}
"""By what a case asks for: a page of Django's costs as much as fifty of hello."""


def pairs_of(peers: Iterable[str], cases: Iterable[str]) -> list[Pair]:
    """Give each peer with each case that it takes part in."""
    return [(peer, case) for case in cases for peer in peers if takes_part(PEERS[peer], CASES[case])]


def count_instructions(
    pairs: Iterable[Pair], port: int, root: Path = ROOT, environment: Mapping[str, str] = MappingProxyType({})
) -> Counts:
    """Count every pair, of the tree at ``root``. Servers take ports from ``port`` on."""

    def work(server: CountedServer, request: Request, amount: Amount) -> float:
        return min(server.count(request, *amount))

    return on_servers(pairs, work, port=port, root=root, environment=environment)


def on_servers(
    pairs: Iterable[Pair],
    work: Callable[[CountedServer, Request, Amount], T],
    *,
    port: int,
    root: Path = ROOT,
    options: Sequence[str] = (),
    environment: Mapping[str, str] = MappingProxyType({}),
) -> dict[Pair, T]:
    """Do ``work`` with every pair, on a server below callgrind that has answered it rightly before.

    Each pair has a server of its own: Python adapts its bytecode to what runs first, and a body of JSON costs up to 8 %
    more on a server that has answered hello before.
    """
    wanted = list(pairs)
    with (
        databases({CASES[case].database for _, case in wanted}) as made,
        tempfile.TemporaryDirectory() as folder,
        ThreadPoolExecutor(AT_ONCE) as threads,
    ):

        def ask(pair: Pair, port: int) -> T:
            peer, case = PEERS[pair[0]], CASES[pair[1]]
            database = made[case.database]
            known = {**database.environment(peer, case.routes), **environment}
            request = request_of(case, peer, database.tokens)
            with CountedServer(peer, root, folder, port=port, environment=known, options=options) as server:
                check(peer.title, case, request, server)
                result = work(server, request, AMOUNTS[case.needs])
            print(f"counted: {peer.title}: {case.title}", file=sys.stderr, flush=True)
            return result

        def insist(pair: Pair, port: int) -> T:
            for _ in range(TRIES - 1):
                with suppress(Ended, ConnectionError):
                    return ask(pair, port)
            return ask(pair, port)

        try:
            asked = {pair: threads.submit(insist, pair, port + number) for number, pair in enumerate(wanted)}
            return {pair: done.result() for pair, done in asked.items()}
        finally:
            threads.shutdown(cancel_futures=True)  # after an error, nothing new is started


def count_functions(pairs: Iterable[Pair], port: int) -> dict[Pair, Functions]:
    """Count every pair by Python function."""

    def work(server: CountedServer, request: Request, amount: Amount) -> tuple[str, int, int]:
        [dump] = server.dumps(request, amount.warm_up, amount.counted, 1)
        return dump, amount.counted, server.process.pid

    dumps = on_servers(pairs, work, port=port, options=valgrind_options(), environment=ENVIRONMENT)
    return {pair: read_functions(dump, perf_map_of(pid), counted) for pair, (dump, counted, pid) in dumps.items()}


def perf_map_of(pid: int) -> str:
    """Take the file in which an ended process has written the addresses of its trampolines."""
    path = perf_map_path(pid)
    text = path.read_text(encoding="utf-8", errors="replace")
    path.unlink()
    return text
