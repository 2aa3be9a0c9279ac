"""What the run saw, as JSON and as Markdown: per case a table, medians and their spread, ratios to a baseline."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

from loadtests.client import client_name
from loadtests.compare.cases import CASES
from loadtests.compare.peers import PEERS
from loadtests.compare.run import Life, Results, Round
from loadtests.tables import markdown

MEBIBYTE = 1 << 20
PACKAGES = (
    "hybrid-gateway", "django", "msgspec", "uvicorn", "uvloop", "httptools", "gunicorn", "django-bolt", "django-ninja",
    "django-modern-rest", "djangorestframework", "falcon", "starlette", "blacksheep", "litestar", "fastapi", "pydantic",
)  # fmt: skip
HEADER = ["peer", "requests/s", "p50 ms", "p99 ms", "CPU µs/request", "spread", "CPU, {} = 1", "memory MB"]


@dataclass(frozen=True, slots=True)
class Target:
    """A promise: in ``case``, ``peer`` needs at most ``limit`` times the CPU of ``rival``."""

    peer: str
    case: str
    rival: str
    limit: float


FASTER_THAN = {"fastapi": 4.0, "litestar": 2.0, "blacksheep": 1.7, "starlette": 1.6, "falcon": 1.2}

ROWS = [f"{database}{case}" for database in ("", "pg-") for case in ("rows", "rows-100", "related", "detail", "listed")]

TARGETS = [
    Target("gateway", "hello", "raw", 1.15),
    Target("gateway", "query", "raw", 1.25),
    Target("gateway", "json", "raw", 1.4),
    Target("gateway", "json-10k", "raw", 1.4),
    *(Target("lane", case, "bolt", 1.0) for case in ("hello", "query", "json", "json-10k", "headers")),
    *(
        Target("gateway", case, rival, 1 / times)
        for rival, times in FASTER_THAN.items()
        for case in ("hello", "query", "json")
    ),
    *(Target("lane", case, "bolt", 0.7) for case in ROWS),
    *(Target("prepared", case, "bolt", 0.4) for case in ROWS),
    *(Target("prepared", case, "drf", 0.04) for case in ROWS),
    Target("lane", "token", "bolt", 0.6),
    Target("gateway", "page", "django", 1 / 4),
    Target("gateway", "login", "django", 1 / 1.7),
    Target("gateway-wsgi", "page", "django-wsgi", 1 / 0.97),
]


def ratio(results: Results, case: str, peer: str, rival: str) -> float | None:
    """CPU per request as a multiple of ``rival``'s: the median of the rounds' ratios. None where one is missing."""
    peers = results.get(case, {})
    if peer not in peers or rival not in peers:
        return None
    pairs = zip(peers[peer], peers[rival], strict=True)
    return median(ours.cpu_us / theirs.cpu_us if theirs.cpu_us else 0.0 for ours, theirs in pairs)


def spread(rounds: Sequence[Round]) -> float:
    """Half the distance between the dearest and the cheapest round, as a part of the median."""
    costs = [each.cpu_us for each in rounds]
    middle = median(costs)
    return (max(costs) - min(costs)) / 2 / middle if middle else 0.0


def rows(results: Results, case: str, baseline: str) -> list[list[str]]:
    """The table of a case, the cheapest peer first."""
    peers = sorted(results[case].items(), key=lambda item: median(each.cpu_us for each in item[1]))
    return [_row(results, case, name, rounds, baseline) for name, rounds in peers]


def _row(results: Results, case: str, name: str, rounds: Sequence[Round], baseline: str) -> list[str]:
    times = ratio(results, case, name, baseline)
    title = PEERS[name].title
    return [
        f"**{title}**" if name in ("lane", "gateway", "gateway-wsgi") else title,
        f"{median(each.load.requests_per_second for each in rounds):,.0f}",
        f"{median(each.load.p50_ms for each in rounds):,.1f}",
        f"{median(each.load.p99_ms for each in rounds):,.1f}",
        f"{median(each.cpu_us for each in rounds):,.1f}",
        f"± {spread(rounds):.0%}",
        "-" if times is None else f"{times:.2f}",
        f"{max(each.memory for each in rounds) / MEBIBYTE:,.0f}",
    ]


def overview(results: Results, peers: Sequence[str]) -> str:
    """CPU microseconds per request, a row for each peer and a column for each case."""
    cases = [case for case in results if CASES[case].routes == 0 and CASES[case].connections == 64]
    lines = [
        [PEERS[peer].title, *(_cost(results[case].get(peer)) for case in cases)]
        for peer in peers
        if any(peer in results[case] for case in cases)
    ]
    return markdown(["CPU µs/request", *(CASES[case].title for case in cases)], lines)


def _cost(rounds: Sequence[Round] | None) -> str:
    return f"{median(each.cpu_us for each in rounds):,.4g}" if rounds else "-"


def life_rows(lives: Mapping[str, Life]) -> list[list[str]]:
    """Start-up and memory, a row for each peer."""
    return [
        [
            PEERS[name].title,
            f"{life.start_seconds:.2f}",
            f"{life.start_cpu_seconds:.2f}",
            f"{life.at_rest / MEBIBYTE:,.0f}",
            f"{life.after / MEBIBYTE:,.0f}",
            f"{life.requests:,}",
        ]
        for name, life in lives.items()
    ]


LIFE_HEADER = ["peer", "seconds to the first answer", "CPU s until then", "MB at rest", "MB afterwards", "requests"]


def verdicts(results: Results) -> list[list[str]]:
    """Every target that this run can judge."""
    lines = []
    for target in TARGETS:
        value = ratio(results, target.case, target.peer, target.rival)
        if value is not None:
            met = "met" if value <= target.limit else "missed"
            peer, rival = PEERS[target.peer].title, PEERS[target.rival].title
            lines.append(
                [f"{CASES[target.case].title}: {peer} / {rival}", f"{value:.2f}", f"≤ {target.limit:.2f}", met]
            )
    return lines


def failures(results: Results) -> list[str]:
    """Whoever saw errors: their figures are no figures."""
    counts = {
        f"{CASES[case].title}: {PEERS[peer].title}": sum(each.load.errors for each in rounds)
        for case, peers in results.items()
        for peer, rounds in peers.items()
    }
    return [f"{name}: {count:,} failed requests" for name, count in counts.items() if count]


def conditions(rounds: int, seconds: int) -> str:
    """What was run, and on what."""
    versions = ", ".join(f"{package} {number}" for package in PACKAGES if (number := _version(package)))
    return (
        f"Python {platform.python_version()}; {versions}. {_processor()}, {os.cpu_count()} cores: every server is one "
        f"process on one core, {client_name()} asks from another, over 64 connections unless the case says otherwise. "
        f"{rounds} rounds of {seconds} s, interleaved; the figures are medians."
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def write_json(path: Path, results: Results, lives: Mapping[str, Life], about: str) -> None:
    """Every measurement."""
    report = {
        "conditions": about,
        "cases": {
            case: {p: [asdict(r) for r in rounds] for p, rounds in peers.items()} for case, peers in results.items()
        },
        "lives": {name: asdict(life) for name, life in lives.items()},
    }
    path.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write_markdown(
    path: Path, results: Results, lives: Mapping[str, Life], *, baseline: str, about: str, notes: Sequence[str]
) -> None:
    """The report, a section for each case."""
    peers = [name for name in PEERS if any(name in measured for measured in results.values())]
    parts = [about, "## All cases", overview(results, peers)]
    judged = verdicts(results)
    if judged:
        parts += ["## Targets", markdown(["CPU per request", "ratio", "target", ""], judged)]
    header = [name.format(PEERS[baseline].title) for name in HEADER]
    for case in results:
        parts += [
            f"## {CASES[case].title[0].upper()}{CASES[case].title[1:]}",
            markdown(header, rows(results, case, baseline)),
        ]
    if lives:
        parts += ["## Start-up and memory", markdown(LIFE_HEADER, life_rows(lives))]
    if notes:
        parts += ["## Left out, or failing", "\n".join(f"- {line.splitlines()[0]}" for line in notes)]
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
