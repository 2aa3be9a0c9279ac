"""The founding comparison: raw ASGI, the router, the gateway and Django, all saying ``{"message":"Hello, World!"}``.

    python -m loadtests.hello --seconds 5 --rounds 5

How this works: every server is one process on one core and stays up for the whole run; the client asks them in turn
from another core, round after round, so a disturbance of the machine hits all alike. Figures are medians over the
rounds, ratios medians of the ratios within a round. CPU per request is the one to trust: it counts the server's
process tree only, however little of the core the machine left it.
"""

from __future__ import annotations

import argparse
import json
import platform
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from statistics import median

if not __package__:  # run as a file: the repository root stands for this directory
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from loadtests.client import Load, Request, client_name, run_client
from loadtests.servers import Server, pinned, two_cores
from loadtests.tables import markdown, print_table

BODY = b'{"message":"Hello, World!"}'
HEADER = ["application", "requests/s", "longest ms", "p99 ms", "CPU µs/request", "raw ASGI = 1", "Django ASGI = 1"]
WSGI_SERVERS = [name for name in ("gunicorn", "granian") if find_spec(name)]


@dataclass(frozen=True, slots=True)
class Peer:
    """One application on one server."""

    title: str
    target: str
    path: str
    settings: str = "loadtests.apps.settings"
    protocol: str = "asgi"


PEERS: Mapping[str, Peer] = {
    "raw": Peer("raw ASGI callable", "loadtests.apps.hello_raw:application", "/hello"),
    "router": Peer("router alone", "loadtests.apps.hello_gateway:router", "/hello"),
    "gateway": Peer("gateway: API", "loadtests.apps.hello_gateway:application", "/hello"),
    "page": Peer("gateway: Django page", "loadtests.apps.hello_gateway:application", "/page/"),
    "django": Peer("Django ASGI", "loadtests.apps.hello_django:application", "/page/"),
    "django-bare": Peer(
        "Django ASGI, no middleware",
        "loadtests.apps.hello_django:application",
        "/page/",
        "loadtests.apps.settings_bare",
    ),
    "django-wsgi": Peer("Django WSGI", "loadtests.apps.hello_django:wsgi_application", "/page/", protocol="wsgi"),
    "page-wsgi": Peer(
        "gateway: Django page, WSGI", "loadtests.apps.hello_gateway:wsgi_application", "/page/", protocol="wsgi"
    ),
}


@dataclass(frozen=True, slots=True)
class Target:
    """A promise: ``peer`` needs no more than 1/``ratio`` of the CPU that ``rival`` needs for a request."""

    title: str
    peer: str
    rival: str
    ratio: float


TARGETS = [
    Target("API, of a raw ASGI callable", "gateway", "raw", 0.85),
    Target("Django page, of Django's own ASGI handler", "page", "django", 4.0),
]


@dataclass(frozen=True, slots=True)
class Round:
    """One peer in one round."""

    load: Load
    cpu_us: float


Results = dict[str, list[Round]]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="loadtests.hello", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=5, help="length of one measurement (5)")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each application (5)")
    parser.add_argument("--connections", type=int, default=64, help="kept-alive connections (64)")
    parser.add_argument("--only", nargs="+", choices=PEERS, default=list(PEERS), metavar="NAME", help=", ".join(PEERS))
    parser.add_argument("--wsgi", choices=WSGI_SERVERS, default=next(iter(WSGI_SERVERS), None), help="server for WSGI")
    parser.add_argument("--port", type=int, default=8180, help="first port; each server takes one (8180)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every measurement")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table")
    return parser.parse_args(arguments)


def chosen(options: argparse.Namespace) -> dict[str, str]:
    """The peers to run and the server of each; WSGI peers are left out, aloud, where no WSGI server is installed."""
    servers = {name: "uvicorn" if PEERS[name].protocol == "asgi" else options.wsgi for name in options.only}
    for name in [name for name, server in servers.items() if server is None]:
        print(f"left out: {PEERS[name].title} (neither gunicorn nor granian is installed)")
        del servers[name]
    return servers


def start(stack: ExitStack, names: Mapping[str, str], first_port: int, cores: set[int]) -> dict[str, Server]:
    """Start a server for each peer; the stack stops them."""
    return {
        name: stack.enter_context(
            Server(
                kind,
                PEERS[name].target,
                port=first_port + index,
                cores=cores,
                environment={"DJANGO_SETTINGS_MODULE": PEERS[name].settings},
            )
        )
        for index, (name, kind) in enumerate(names.items())
    }


def check(name: str, server: Server) -> None:
    """A peer that answers something else is not measured."""
    answer = server.ask(Request(PEERS[name].path))
    if answer != (200, BODY):
        raise RuntimeError(f"{name} answers {answer}, not {(200, BODY)}:\n{server.output()}")


def measure(name: str, server: Server, connections: int, seconds: int) -> Round:
    """One peer, once."""
    before = server.cpu_seconds()
    load = run_client(server.port, Request(PEERS[name].path), connections=connections, seconds=seconds)
    if not load.requests:
        raise RuntimeError(f"{name} answered nothing in {seconds} s:\n{server.output()}")
    return Round(load, (server.cpu_seconds() - before) * 1e6 / load.requests)


def run(options: argparse.Namespace, names: Mapping[str, str]) -> Results:
    """Start all, check all, warm all up, then measure them in turn."""
    server_cores, client_cores = two_cores()
    results: Results = {name: [] for name in names}
    with ExitStack() as stack:
        servers = start(stack, names, options.port, server_cores)
        with pinned(client_cores):
            for name, server in servers.items():
                check(name, server)
                measure(name, server, options.connections, 1)
            for number in range(1, options.rounds + 1):
                print(f"round {number} of {options.rounds}", file=sys.stderr)
                for name, server in servers.items():
                    results[name].append(measure(name, server, options.connections, options.seconds))
    return results


def ratio(results: Results, name: str, rival: str) -> float | None:
    """How many times less CPU than ``rival`` a request of ``name`` takes: the median over the rounds."""
    if name not in results or rival not in results:
        return None
    pairs = zip(results[name], results[rival], strict=True)
    return median(theirs.cpu_us / ours.cpu_us if ours.cpu_us else 0.0 for ours, theirs in pairs)


def row(results: Results, name: str, server: str) -> list[str]:
    """One line of the table."""
    rounds = results[name]
    times = [ratio(results, name, rival) for rival in ("raw", "django")]
    return [
        f"{PEERS[name].title} ({server})",
        f"{median(each.load.requests_per_second for each in rounds):,.0f}",
        f"{median(each.load.longest_ms for each in rounds):,.1f}",
        f"{median(each.load.p99_ms for each in rounds):,.1f}",
        f"{median(each.cpu_us for each in rounds):,.1f}",
        *("-" if times_rival is None else f"{times_rival:.2f}" for times_rival in times),
    ]


def verdicts(results: Results) -> list[str]:
    """A sentence for each target that this run can judge."""
    lines = []
    for target in TARGETS:
        value = ratio(results, target.peer, target.rival)
        if value is not None:
            word = "met" if value >= target.ratio else "missed"
            lines.append(f"{target.title}: {value:.2f} (target ≥ {target.ratio:g}): {word}")
    return lines


def warnings(results: Results) -> list[str]:
    """Whoever saw errors: their figures are no figures."""
    errors = {name: sum(each.load.errors for each in rounds) for name, rounds in results.items()}
    return [f"{PEERS[name].title}: {count} failed requests" for name, count in errors.items() if count]


def conditions(options: argparse.Namespace) -> str:
    """What was run, in one line."""
    packages = ["django", "uvicorn", "uvloop", "httptools", *filter(None, [options.wsgi])]
    versions = ", ".join(f"{package} {_version(package)}" for package in packages)
    server, client = two_cores()
    cores = f"server on core {min(server)}, client on core {min(client)}" if server else "not pinned to cores"
    return (
        f"Python {platform.python_version()}, {versions}; {client_name()}, {options.connections} connections, "
        f"{options.rounds} rounds of {options.seconds} s; one process each, {cores}"
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def save(options: argparse.Namespace, results: Results, rows: list[list[str]], notes: list[str]) -> None:
    """Write the files that were asked for."""
    if options.json:
        rounds = {name: [asdict(each) for each in rounds] for name, rounds in results.items()}
        report = {"conditions": conditions(options), "verdicts": notes, "rounds": rounds}
        options.json.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if options.markdown:
        lines = [markdown(HEADER, rows), "", conditions(options) + ".", "", *(f"- {note}" for note in notes)]
        options.markdown.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the comparison and print the table."""
    options = parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as Ctrl-C: the servers are stopped on the way out
    names = chosen(options)
    try:
        results = run(options, names)
    except KeyboardInterrupt:
        sys.exit(130)
    except RuntimeError as error:
        sys.exit(f"loadtests.hello: {error}")
    rows = [row(results, name, server) for name, server in names.items()]
    notes = verdicts(results) + warnings(results)
    print(conditions(options))
    print_table(HEADER, rows)
    print("Ratios are by CPU per request; higher is better.", *notes, sep="\n")
    save(options, results, rows, notes)


if __name__ == "__main__":
    main()
