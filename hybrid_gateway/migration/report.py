"""The report of a move, route by route, as Markdown and as JSON."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec

from hybrid_gateway.comparison.answer_differences import KINDS
from hybrid_gateway.migration.form import Decision, Difference, Grade, Move, RouteReport

_GRADES: dict[Grade, str] = {
    "moved": "written anew",
    "bridged": "written anew around pieces of the old framework",
    "kept": "left to the old framework",
}


def as_json(move: Move) -> bytes:
    """Return the report as JSON: ``{"source", "settings", "general", "unread", "routes": [...]}``."""
    report = {
        "source": move.source,
        "settings": move.settings,
        "general": move.general,
        "unread": move.unread,
        "counts": counts_of(move.routes),
        "routes": move.routes,
    }
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def counts_of(routes: Iterable[RouteReport]) -> dict[str, dict[str, int]]:
    """Return how many routes there are of each grade, those that read and those that write."""
    found = {"read": Counter[str](dict.fromkeys(_GRADES, 0)), "write": Counter[str](dict.fromkeys(_GRADES, 0))}
    for route in routes:
        found["read" if route.reads else "write"][route.grade] += 1
    return {kind: dict(counted) for kind, counted in found.items()}


def as_markdown(move: Move, module: str) -> str:
    """Return the report for people; ``module`` is where the routes were written."""
    return "\n".join(_lines(move, module)) + "\n"


def _lines(move: Move, module: str) -> Iterator[str]:
    yield from (f"# {move.source} → {module}", "", "| | read | write |", "|---|---|---|")
    counted = counts_of(move.routes)
    for grade, words in _GRADES.items():
        yield f"| {words} | {counted['read'][grade]} | {counted['write'][grade]} |"
    if move.settings:
        yield from ("", "## Settings", "", "```python", "HYBRID_GATEWAY = {")
        yield from (f'    "{key}": {value},' for key, value in move.settings.items())
        yield from ("}", "```")
    if move.general:
        yield from ("", "## What differs everywhere", "", *_differences(move.general))
    decided = [(route, decision) for route in move.routes for decision in route.decisions]
    if decided or move.unread:
        yield from ("", "## To decide", "", *_decisions(decided, move.unread))
    yield from ("", "## Routes", "")
    for route in move.routes:
        yield from _route(route, general=bool(move.general))


def _differences(differences: Iterable[Difference]) -> Iterator[str]:
    for difference in differences:
        yield f"* `{difference.where}`: {difference.what}"


def _decisions(decided: list[tuple[RouteReport, Decision]], unread: Iterable[Decision]) -> Iterator[str]:
    """Yield each decision once, with the routes that wait for it."""
    routes: dict[Decision, list[str]] = {entry: [] for entry in unread}
    for route, decision in decided:
        routes.setdefault(decision, []).append(f"{route.method} {route.path}")
    for decision, waiting in routes.items():
        place = f" `{decision.place}`" if decision.place else ""
        shown = ", ".join(f"`{entry}`" for entry in waiting[:4]) + (
            f" and {len(waiting) - 4} more" * (len(waiting) > 4)
        )
        yield f"* {decision.what}{place}{f' ({shown})' if shown else ''}"


def _route(route: RouteReport, *, general: bool) -> Iterator[str]:
    yield f"### `{route.method} {route.path}`"
    yield ""
    written = f" in `{route.written}`" if route.written else ""
    yield f"* {route.name}: {_GRADES[route.grade]}{written}; it was {route.origin}"
    if route.needs:
        yield f"* needs at run time: {', '.join(f'`{entry}`' for entry in route.needs)}"
    yield from _differences(route.differences)
    for decision in route.decisions:
        yield f"* decide: {decision.what}{f' `{decision.place}`' if decision.place else ''}"
    if route.grade == "moved" and not route.differences and not route.decisions:
        yield "* the same bytes, but for what differs everywhere" if general else "* the same bytes"
    yield ""


def accepted_lines(move: Move) -> str:
    """Return the differences that are told, as ``gateway compare --accepted`` reads them.

    A difference whose place begins with a kind of those that ``gateway compare`` shows (``value *.created``) is one.
    """
    lines = [f"{_as_line(one.where, '')}  # {one.what}" for one in move.general if _is_compared(one.where)]
    for route in move.routes:
        path = re.sub(r"\{[^}]*\}", "{*}", route.path)  # documents may name its parameters otherwise
        pattern = f'"{route.method} {path}"'
        lines += [
            f"{_as_line(one.where, pattern)}  # {one.what}" for one in route.differences if _is_compared(one.where)
        ]
    return "".join(f"{line}\n" for line in dict.fromkeys(lines))


def _is_compared(where: str) -> bool:
    return where.partition(" ")[0] in KINDS


def _as_line(where: str, pattern: str) -> str:
    kind, _, place = where.partition(" ")
    return f'{kind} "{place or "*"}" {pattern}'.rstrip()
