"""A run: every peer's server once, its cases in turn, two servers at a time."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count, groupby
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from loadtests.client import Request
from loadtests.compare.cases import CASES
from loadtests.compare.peers import PEERS
from loadtests.compare.run import check, databases, request_of, takes_part
from loadtests.instructions.counted_server import CountedServer
from loadtests.instructions.stages import ENVIRONMENT, Functions, read_functions, valgrind_options
from loadtests.servers import ROOT

AT_ONCE = 2  # servers

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


LIGHT, MIDDLE, HEAVY = Amount(400, 320, 3), Amount(160, 64, 3), Amount(48, 16, 5)
AMOUNTS = {"api": LIGHT, "rows": MIDDLE, "async": MIDDLE, "token": MIDDLE, "django": HEAVY}
"""By what a case asks for: a page of Django's costs as much as fifty of hello."""


def pairs_of(peers: Iterable[str], cases: Iterable[str]) -> list[Pair]:
    """Give each peer with each case that it takes part in."""
    return [(peer, case) for case in cases for peer in peers if takes_part(PEERS[peer], CASES[case])]


def count_instructions(pairs: Iterable[Pair], port: int, root: Path = ROOT) -> Counts:
    """Count every pair, of the tree at ``root``. Servers take ports from ``port`` on."""

    def work(server: CountedServer, request: Request, amount: Amount) -> float:
        return min(server.count(request, *amount))

    return on_servers(pairs, work, port=port, root=root)


def on_servers(
    pairs: Iterable[Pair],
    work: Callable[[CountedServer, Request, Amount], T],
    *,
    port: int,
    root: Path = ROOT,
    options: Sequence[str] = (),
    environment: Mapping[str, str] = MappingProxyType({}),
) -> dict[Pair, T]:
    """Do ``work`` with every pair, on a server below callgrind that has answered it rightly before."""
    wanted = list(pairs)
    groups = [(setting, list(group)) for setting, group in groupby(sorted(wanted, key=_setting_of), key=_setting_of)]
    results: dict[Pair, T] = {}
    ports = count(port)
    with databases({database for (_, database, _), _ in groups}) as made, tempfile.TemporaryDirectory() as folder:

        def ask(setting: tuple[str, str, int], group: Sequence[Pair], port: int) -> None:
            name, database, routes = setting
            known = {**made[database].environment(PEERS[name], routes), **environment}
            with CountedServer(PEERS[name], root, folder, port=port, environment=known, options=options) as server:
                for pair in group:
                    case = CASES[pair[1]]
                    request = request_of(case, PEERS[name], made[database].tokens)
                    check(PEERS[name].title, case, request, server)
                    results[pair] = work(server, request, AMOUNTS[case.needs])
                    print(f"counted: {PEERS[name].title}: {case.title}", file=sys.stderr, flush=True)

        with ThreadPoolExecutor(AT_ONCE) as threads:
            try:
                for done in [threads.submit(ask, setting, group, next(ports)) for setting, group in groups]:
                    done.result()
            finally:
                threads.shutdown(cancel_futures=True)  # after an error, nothing new is started
    return {pair: results[pair] for pair in wanted}


def _setting_of(pair: Pair) -> tuple[str, str, int]:
    """Name what pairs have in common that share a server."""
    peer, case = pair
    return peer, CASES[case].database, CASES[case].routes


def count_functions(pairs: Iterable[Pair], port: int) -> dict[Pair, Functions]:
    """Count every pair by Python function."""

    def work(server: CountedServer, request: Request, amount: Amount) -> tuple[str, int, int]:
        [dump] = server.dumps(request, amount.warm_up, amount.counted, 1)
        return dump, amount.counted, server.process.pid

    dumps = on_servers(pairs, work, port=port, options=valgrind_options(), environment=ENVIRONMENT)
    maps = {pid: perf_map_of(pid) for pid in {pid for _, _, pid in dumps.values()}}
    return {pair: read_functions(dump, maps[pid], counted) for pair, (dump, counted, pid) in dumps.items()}


def perf_map_of(pid: int) -> str:
    """Take the file in which an ended process has written the addresses of its trampolines."""
    path = Path(f"/tmp/perf-{pid}.map")
    text = path.read_text(encoding="utf-8", errors="replace")
    path.unlink()
    return text
