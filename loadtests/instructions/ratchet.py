"""Limits that only fall: what our requests may cost, as multiples of the least that the same server can do.

How this works: both parts of a ratio are counted in one run. It still depends on how Python was built and on the
versions of what is counted with ours, so ``limits.toml`` has a section for each environment that limits were written
in. There a case may be ``MARGIN`` dearer than its limit. Elsewhere the most similar section of the same Python counts,
with ``WIDE_MARGIN``: what another build changes. Where there is none, nothing is judged.
"""

from __future__ import annotations

import hashlib
import platform
import re
import sqlite3
import subprocess
import sysconfig
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from loadtests.compare.cases import CASES
from loadtests.compare.peers import PEERS
from loadtests.instructions.measure import Counts, Pair, count_functions, count_instructions
from loadtests.instructions.stages import IMPOSSIBLE, IS_POSSIBLE, Functions, stages_of
from loadtests.tables import print_table

LIMITS = Path(__file__).with_name("limits.toml")
MARGIN, WIDE_MARGIN = 0.02, 0.15
HEADER = """\
# What requests may cost: multiples of the raw callable's cost, or of Django's WSGI handler's.
# Written by python -m loadtests.instructions --write
"""
PACKAGES = ("django", "asgiref", "msgspec", "starlette", "uvicorn", "uvloop", "httptools")

Environment = dict[str, str]


class Held(NamedTuple):
    """A pair that has a limit, and the pair that counts as 1."""

    name: str
    pair: Pair
    base: Pair


def held() -> list[Held]:
    """Every pair that has a limit. Who reads a database is compared with the raw callable's hello."""
    drivers = [
        ("ASGI", "gateway", "prepared-asgi", "raw"),
        ("lane", "lane", "prepared", "raw"),
        ("WSGI", "gateway-wsgi", "prepared-wsgi", "raw-wsgi"),
    ]
    found = []
    for driver, ours, prepared, raw in drivers:
        found += [Held(f"{case}, {driver}", (ours, case), (raw, case)) for case in ("hello", "query", "json")]
        found += [Held(f"{case}, {driver}", (ours, case), (raw, "hello")) for case in ("token", "rows")]
        found.append(Held(f"prepared rows, {driver}", (prepared, "rows"), (raw, "hello")))
        found.append(Held(f"page, {driver}", (ours, "page"), ("django-wsgi", "page")))
    return found


@dataclass(frozen=True, slots=True)
class Section:
    """Limits of one environment; ``stages`` are thousands, and empty where Python cannot count them."""

    environment: Environment
    ratios: Mapping[str, float]
    stages: Mapping[str, Mapping[str, float]]


Sections = dict[str, Section]


def environment() -> Environment:
    """Say what counts depend on, beside the code that is counted."""
    built_with = " ".join(re.sub(r"\S*/\S*", "", f"{sysconfig.get_config_var(name)}") for name in _BUILD)
    valgrind = subprocess.run(["valgrind", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    return {
        "python": platform.python_version(),
        "build": hashlib.sha256(f"{platform.python_compiler()} {built_with}".encode()).hexdigest()[:8],
        "machine": f"{platform.machine()}{' avx2' if _has_avx2() else ''}",
        "libc": " ".join(platform.libc_ver()),
        "valgrind": valgrind.removeprefix("valgrind-"),
        "sqlite": sqlite3.sqlite_version,
        **{package: version(package) for package in PACKAGES},
    }


_BUILD = ("CONFIG_ARGS", "PY_CFLAGS", "PY_CORE_CFLAGS")


def _has_avx2() -> bool:
    information = Path("/proc/cpuinfo")
    return information.exists() and " avx2" in information.read_text()


def name_of(environment: Environment) -> str:
    """Name the section of an environment."""
    return f"{environment['python']}-{environment['build']}"


def read_sections(text: str) -> Sections:
    """Read what :func:`write_sections` has written."""
    return {
        name: Section(section["environment"], section["ratios"], section.get("stages", {}))
        for name, section in tomllib.loads(text).items()
    }


def limits() -> Sections:
    """Read the file of limits, where there is one."""
    return read_sections(LIMITS.read_text(encoding="utf-8")) if LIMITS.exists() else {}


def write_sections(sections: Sections) -> str:
    """Write the file of limits."""
    lines = [HEADER]
    for name, section in sorted(sections.items()):
        lines.append(f'["{name}".environment]')
        lines += [f'{key} = "{value}"' for key, value in section.environment.items()]
        lines.append(f'\n["{name}".ratios]')
        lines += [f'"{case}" = {ratio:.4g}' for case, ratio in section.ratios.items()]
        if section.stages:
            lines.append(f'\n["{name}".stages] # thousands of instructions, a little dearer for being told apart')
        for case, stages in section.stages.items():
            inline = ", ".join(f"{stage} = {cost:.1f}" for stage, cost in stages.items() if cost >= 0.05)
            lines.append(f'"{case}" = {{ {inline} }}')
        lines.append("")
    return "\n".join(lines)


def choose(sections: Sections, environment: Environment) -> tuple[Section, float, str] | None:
    """Choose the section to judge by, how much dearer a case may be, and what to say about it."""
    exact = sections.get(name_of(environment))
    if exact and exact.environment == environment:
        return exact, MARGIN, f"Limits of this environment, Python {environment['python']}; {MARGIN:.0%} are allowed."
    minor = environment["python"].rpartition(".")[0]
    same = [section for section in sections.values() if section.environment["python"].rpartition(".")[0] == minor]
    if not same:
        return None
    nearest = min(same, key=lambda section: len(_differences(section.environment, environment)))
    differences = ", ".join(_differences(nearest.environment, environment))
    return nearest, WIDE_MARGIN, f"No limits of this environment ({differences}); {WIDE_MARGIN:.0%} are allowed."


def _differences(theirs: Environment, ours: Environment) -> list[str]:
    return [
        f"{key} {ours.get(key)}, not {theirs.get(key)}"
        for key in {**theirs, **ours}
        if ours.get(key) != theirs.get(key)
    ]


def ratios_of(counts: Counts) -> dict[str, float]:
    """What is compared with limits."""
    return {each.name: counts[each.pair] / counts[each.base] for each in held()}


def dearer(ratios: Mapping[str, float], section: Section, margin: float) -> list[str]:
    """Name the cases above their limit, and those that have none."""
    return [name for name, ratio in ratios.items() if ratio > section.ratios.get(name, 0) * (1 + margin)]


def cheaper(ratios: Mapping[str, float], section: Section, margin: float) -> list[str]:
    """Name the cases whose limit can come down."""
    return [name for name, ratio in ratios.items() if ratio < section.ratios.get(name, 0) * (1 - margin)]


def grown(before: Mapping[str, float], functions: Functions) -> str:
    """Say which stages have become dearer, the dearest first."""
    changes = {stage: cost / 1000 - before.get(stage, 0) for stage, cost in stages_of(functions).items()}
    noise = 0.01 * sum(before.values())
    found = sorted(((change, stage) for stage, change in changes.items() if change > noise), reverse=True)
    if not found:  # many small ones
        found = [max((change, stage) for stage, change in changes.items())]
    return ", ".join(f"{stage} {change:+.1f} thousand" for change, stage in found)


LAYOUTS = (1000, 5000)
"""Bytes of environment that move a process's memory: where names lie decides which of them share a place in CPython's
cache of methods, which made the same code up to a tenth dearer in one folder than in another."""


def judge(port: int) -> int:
    """Count, compare and explain; the exit status."""
    chosen = choose(limits(), environment())
    if chosen is None:
        print(f"No limits of Python {platform.python_version()}, so nothing is judged; --write makes them.")
        return 0
    section, margin, about = chosen
    counts = count_instructions(_pairs(), port)
    for size in LAYOUTS:  # once more: what threads do is not the same each time either
        above = dearer(ratios_of(counts), section, margin)
        if not above:
            break
        pairs = [each.pair for each in held() if each.name in above]
        again = count_instructions(pairs, port, environment={"BENCH_LAYOUT": "x" * size})
        counts |= {pair: min(counts[pair], count) for pair, count in again.items()}
    ratios = ratios_of(counts)
    print_table(["", "thousands", "÷", "ratio", "limit", "change"], list(_lines(counts, ratios, section)))
    print(about)
    if lower := cheaper(ratios, section, margin):
        print(f"Limits can come down (python -m loadtests.instructions --write): {'; '.join(lower)}.")
    higher = dearer(ratios, section, margin)
    if higher:
        print("\n".join(explain(higher, ratios, section, port)))
    return 1 if higher else 0


def _pairs() -> list[Pair]:
    return list(dict.fromkeys(pair for each in held() for pair in (each.pair, each.base)))


def _lines(counts: Counts, ratios: Mapping[str, float], section: Section) -> Iterator[list[str]]:
    for each in held():
        ratio, limit = ratios[each.name], section.ratios.get(each.name)
        compared = [f"{limit:.4g}", f"{100 * (ratio / limit - 1):+.1f} %"] if limit else ["-", "-"]
        base = f"{PEERS[each.base[0]].title}: {CASES[each.base[1]].title}"
        yield [each.name, f"{counts[each.pair] / 1000:.1f}", base, f"{ratio:.4g}", *compared]


def explain(higher: Sequence[str], ratios: Mapping[str, float], section: Section, port: int) -> Iterator[str]:
    """Say of each case by how much it is dearer, and by which stage where that can be counted."""
    pairs = {each.name: each.pair for each in held()}
    known = [name for name in higher if name in section.stages]
    functions = count_functions([pairs[name] for name in known], port) if IS_POSSIBLE and known else {}
    for name in higher:
        limit = section.ratios.get(name)
        if limit is None:
            yield f"No limit: {name}. --write makes one."
            continue
        above = f"{100 * (ratios[name] / limit - 1):.1f} % above its limit of {limit:.4g}"
        stages = f": {grown(section.stages[name], functions[pairs[name]])}" if pairs[name] in functions else ""
        yield f"Dearer: {name} is at {ratios[name]:.4g}, {above}{stages}."
    if not IS_POSSIBLE:
        yield IMPOSSIBLE


def write(port: int) -> int:
    """Make the counts of this tree the limits of this environment; the exit status."""
    sections = limits()
    ratios = ratios_of(count_instructions(_pairs(), port))
    functions: Mapping[Pair, Functions] = count_functions([each.pair for each in held()], port) if IS_POSSIBLE else {}
    stages = {
        each.name: {stage: cost / 1000 for stage, cost in stages_of(functions[each.pair]).items()}
        for each in held()
        if each.pair in functions
    }
    here = environment()
    sections[name_of(here)] = Section(here, ratios, stages)
    LIMITS.write_text(write_sections(sections), encoding="utf-8")
    print(f"Written: the limits of Python {here['python']}, in {LIMITS}.")
    return 0
