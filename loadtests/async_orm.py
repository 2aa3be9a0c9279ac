"""``python -m loadtests.async_orm``: what awaiting the ORM costs beside the same work in a ``def`` handler.

One server has every handler twice; both are asked in turn, round after round. CPU is that of the server's process tree,
switches are those of all of its threads: voluntary ones are threads that wait for work, for an answer or for the GIL.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from loadtests.client import Request, run_client
from loadtests.compare.cases import JSON_TYPE, SALE
from loadtests.compare.run import SETTINGS, Database, databases
from loadtests.servers import Server, pinned, two_cores
from loadtests.tables import print_table

MODULE = "loadtests.compare.apps.twins"


@dataclass(frozen=True, slots=True)
class Twins:
    """One kind of work; ``{}`` in the path stands for ``def`` or ``async``."""

    title: str
    path: str
    body: str = ""

    def request(self, kind: str) -> Request:
        """What to ask the one or the other."""
        path = self.path.format(kind)
        return Request(path, "POST", JSON_TYPE, self.body, 201) if self.body else Request(path)


TWINS: Mapping[str, Twins] = {
    "prepared": Twins("prepared list, 10 rows", "/{}/prepared/10"),
    "prepared-100": Twins("prepared list, 100 rows", "/{}/prepared/100"),
    "list": Twins("ModelStruct list, 10 rows", "/{}/list/10"),
    "list-100": Twins("ModelStruct list, 100 rows", "/{}/list/100"),
    "get": Twins("ModelStruct.get", "/{}/get/17"),
    "django": Twins("Django's get()", "/{}/django/17"),
    "iterate": Twins("Django's queryset, 10 rows", "/{}/iterate/10"),
    "create": Twins("ModelStruct.create", "/{}/create", SALE),
}


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one request: microseconds of CPU, switches of threads that wait, and of those that were made to."""

    cpu_us: float
    voluntary: float
    nonvoluntary: float


Costs = dict[str, dict[str, list[Cost]]]  # twins, "def" or "async"


def switches(server: Server) -> tuple[int, int]:
    """Voluntary and nonvoluntary context switches of all threads of a server so far."""
    text = "".join(path.read_text() for path in Path("/proc", str(server.process.pid), "task").glob("*/status"))
    counted: list[int] = []
    for word in ("\nvoluntary_ctxt_switches:", "\nnonvoluntary_ctxt_switches:"):
        counted.append(sum(int(part.split(None, 1)[0]) for part in text.split(word)[1:]))
    return counted[0], counted[1]


def measure(server: Server, request: Request, connections: int, seconds: int) -> Cost:
    """Ask one of the twins, once."""
    cpu, (voluntary, nonvoluntary) = server.cpu_seconds(), switches(server)
    load = run_client(server.port, request, connections=connections, seconds=seconds)
    if not load.requests or load.errors:
        raise RuntimeError(f"{request.path}: {load.errors} errors of {load.requests}:\n{server.output()}")
    spent, (waited, forced) = server.cpu_seconds() - cpu, switches(server)
    number = load.requests
    return Cost(spent * 1e6 / number, (waited - voluntary) / number, (forced - nonvoluntary) / number)


def run(options: argparse.Namespace, database: Database) -> Costs:
    """Ask all twins in turn."""
    server_cores, client_cores = two_cores()
    environment = {**SETTINGS, "BENCH_DATABASE": database.name, "BENCH_APPLICATION": f"{MODULE}.application"}
    command = ("lane", "loadtests.compare.manage") if options.lane else ("uvicorn", f"{MODULE}:application")
    costs: Costs = {name: {"def": [], "async": []} for name in options.cases}
    server = Server(*command, port=options.port, cores=server_cores, environment=environment)
    with server, pinned(client_cores):
        for name in costs:
            for kind in costs[name]:
                measure(server, TWINS[name].request(kind), options.connections, 1)
        for number in range(1, options.rounds + 1):
            print(f"{database.name}: round {number} of {options.rounds}", file=sys.stderr, flush=True)
            for name, kinds in costs.items():
                for kind, measured in kinds.items():
                    request = TWINS[name].request(kind)
                    measured.append(measure(server, request, options.connections, options.seconds))
    return costs


def rows(costs: Costs) -> Iterator[list[str]]:
    """Give a line for each kind of work: medians of both, and the median of the ratios within a round."""
    for name, kinds in costs.items():
        ratio = median(second.cpu_us / first.cpu_us for first, second in zip(kinds["def"], kinds["async"], strict=True))
        line = [TWINS[name].title]
        for rounds in kinds.values():
            line.append(f"{median(cost.cpu_us for cost in rounds):,.0f}")
            line.append(f"{median(cost.voluntary for cost in rounds):.2f}")
            line.append(f"{median(cost.nonvoluntary for cost in rounds):.2f}")
        yield [*line, f"{ratio:.2f}"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print a table for each database."""
    parser = argparse.ArgumentParser(prog="loadtests.async_orm", description="CPU and switches of awaited ORM calls.")
    parser.add_argument("--cases", default=",".join(TWINS), help=f"of {', '.join(TWINS)}")
    parser.add_argument("--databases", default="sqlite,postgresql", help="one or both of sqlite, postgresql")
    parser.add_argument("--seconds", type=int, default=3, help="length of one measurement (3)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each handler (3)")
    parser.add_argument("--connections", type=int, default=64, help="kept-alive connections (64)")
    parser.add_argument("--lane", action="store_true", help="serve by gateway serve instead of plain ASGI")
    parser.add_argument("--port", type=int, default=8400, help="port of the server (8400)")
    options = parser.parse_args(arguments)
    options.cases = options.cases.split(",")
    for name in options.cases:
        if name not in TWINS:
            parser.error(f"{name!r} is none of {', '.join(TWINS)}")
    kinds = options.databases.split(",")
    with databases(set(kinds)) as made:
        for kind in kinds:
            costs = run(options, made[kind])
            header = [kind, "def: µs", "waits", "forced", "async: µs", "waits", "forced", "CPU async ÷ def"]
            print_table(header, list(rows(costs)))


if __name__ == "__main__":
    main()
