"""What the run saw: a table for each case, and every target that it can judge."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

from loadtests.realtime.cases import CASES, Figures
from loadtests.realtime.peers import PEERS
from loadtests.realtime.run import BARE, Results
from loadtests.tables import markdown

PACKAGES = (
    "hybrid-gateway", "django", "msgspec", "uvicorn", "uvloop", "httptools", "websockets", "starlette", "litestar",
    "channels", "daphne", "django-bolt",
)  # fmt: skip

COLUMNS = {
    "fan-out": ("cpu_us", "user_us", "p50_ms", "p99_ms", "messages", "lost"),
    "echo": ("cpu_us", "user_us", "p50_ms", "p99_ms", "messages", "lost", "wrong"),
    "idle": ("kib", "lost", "seconds"),
    "traffic": ("cpu_us", "p50_ms", "p99_ms", "longest_ms", "messages", "lost", "ended", "connecting_seconds"),
    "storm": ("cpu_us", "p50_ms", "longest_ms", "recovered", "refused", "surplus", "http_p99_ms", "http_asked"),
    "http": ("instructions",),
}
TITLES = {
    "cpu_us": "CPU µs/message",
    "kib": "KiB/socket",
    "user_us": "of it user",
    "seconds": "s to connect",
    "connecting_seconds": "s to connect",
    "http_p99_ms": "HTTP p99 ms",
    "http_asked": "HTTP requests",
    "instructions": "instructions/request",
}


@dataclass(frozen=True, slots=True)
class Target:
    """A promise: ``figure`` of ``peer`` is at most ``limit``, or that many times ``rival``'s."""

    case: str
    figure: str
    peer: str
    limit: float
    rival: str = ""


TARGETS = [
    Target("fan-out", "cpu_us", "lane", 0.5, "starlette"),
    Target("fan-out", "cpu_us", "lane", 0.015, "channels"),
    Target("fan-out", "cpu_us", "gateway", 0.6, "litestar"),
    Target("echo", "cpu_us", "lane", 0.7, "starlette"),
    Target("echo", "cpu_us", "lane", 1.2, "bolt"),
    Target("idle", "kib", "lane", 0.33, "starlette"),
    Target("idle", "kib", "lane", 0.7, "channels"),
    Target("idle", "kib", "lane", 20),
    Target("traffic", "lost", "lane", 0),
    Target("traffic", "ended", "lane", 0),
    Target("traffic", "p99_ms", "lane", 250),
    Target("storm", "lost", "lane", 0),
    Target("storm", "longest_ms", "lane", 15_000),
    Target("storm", "http_p99_ms", "lane", 1000),
    Target("http", "instructions", "lane", 1.05, "lane" + BARE),
]


def title_of(name: str) -> str:
    """The name of a row."""
    return f"{PEERS[name.removesuffix(BARE)].title}{', no sockets' if name.endswith(BARE) else ''}"


def found(target: Target, results: Results) -> float | None:
    """What the run says of a target: the median of the rounds, of their ratios where there is a rival."""
    case = results.get(target.case, {})
    rounds = case.get(target.peer)
    if not rounds:
        return None
    if not target.rival:
        return median(each[target.figure] for each in rounds)
    rivals = case.get(target.rival)
    if not rivals:
        return None
    pairs = zip(rounds, rivals, strict=False)
    return median(ours[target.figure] / theirs[target.figure] for ours, theirs in pairs if theirs[target.figure])


def verdicts(results: Results) -> list[list[str]]:
    """Every target that this run can judge."""
    lines = []
    for target in TARGETS:
        value = found(target, results)
        if value is None:
            continue
        rival = f" / {title_of(target.rival)}" if target.rival else ""
        what = f"{CASES[target.case].title}: {_title(target.figure)}, {title_of(target.peer)}{rival}"
        lines.append([what, f"{value:,.4g}", f"≤ {target.limit:g}", "met" if value <= target.limit else "missed"])
    return lines


def _title(figure: str) -> str:
    return TITLES.get(figure, figure.replace("_", " "))


def header(case: str) -> list[str]:
    """The names of the columns of a case."""
    return ["peer", *(_title(name) for name in COLUMNS[case]), "spread"]


def rows(case: str, results: Results) -> list[list[str]]:
    """The table of a case: medians, and how far apart the rounds are in what counts."""
    peers = results[case]
    figure = CASES[case].figure
    ordered = sorted(peers, key=lambda name: median(each[figure] for each in peers[name]))
    return [_row(case, name, peers[name]) for name in ordered]


def _row(case: str, name: str, rounds: Sequence[Figures]) -> list[str]:
    figures = [each[CASES[case].figure] for each in rounds]
    middle = median(figures)
    spread = (max(figures) - min(figures)) / 2 / middle if middle and len(figures) > 1 else 0.0
    cells = [_cell(column, median(each[column] for each in rounds)) for column in COLUMNS[case]]
    return [title_of(name), *cells, f"± {spread:.0%}" if len(figures) > 1 else "-"]


def _cell(column: str, value: float) -> str:
    return f"{value:,.1f}" if column.endswith(("_us", "_ms", "kib", "seconds")) else f"{value:,.0f}"


def conditions(rounds: int, *, compression: bool) -> str:
    """What was run, and on what."""
    there = ", ".join(f"{package} {number}" for package in PACKAGES if (number := _version(package)))
    load = os.getloadavg()[0]
    return (
        f"Python {platform.python_version()}; {there}. {os.cpu_count()} cores: every server is one process on one "
        f"core, its clients are on another. {rounds} rounds, interleaved; figures are medians. "
        f"Clients {'offer compression, as browsers do' if compression else 'do not offer compression'}. "
        f"Load average {load:.1f}."
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def write(folder: Path, results: Results, about: str, left_out: Sequence[str]) -> None:
    """``realtime.json`` with every measurement, ``realtime.md`` with the tables."""
    folder.mkdir(parents=True, exist_ok=True)
    everything = {"conditions": about, "cases": results, "left_out": list(left_out)}
    (folder / "realtime.json").write_text(json.dumps(everything, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    parts = [about]
    if judged := verdicts(results):
        parts += ["## Targets", markdown(["what", "found", "target", ""], judged)]
    for case in results:
        if results[case]:
            title = CASES[case].title
            parts += [f"## {title[0].upper()}{title[1:]}", markdown(header(case), rows(case, results))]
    if left_out:
        parts += ["## Left out", "\n".join(f"- {line.splitlines()[0]}" for line in left_out)]
    (folder / "realtime.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
