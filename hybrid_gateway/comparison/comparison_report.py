"""The report of a comparison, with one line for everything that differs in the same way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from hybrid_gateway.comparison.accepted_differences import Pattern, is_matched
from hybrid_gateway.comparison.answer_differences import KINDS, Difference
from hybrid_gateway.comparison.generated_requests import Unreached

_ORDER = {kind: number for number, kind in enumerate(KINDS)}


class Group(msgspec.Struct):
    """Differences of one kind, at one place. ``example`` is where it was seen first."""

    kind: str
    place: str
    detail: str
    example: str
    old: str
    new: str
    count: int = 0
    routes: set[str] = msgspec.field(default_factory=set)


class Report(msgspec.Struct):
    """The outcome of a comparison."""

    old: str
    new: str
    requests: int = 0
    same: int = 0
    routes: dict[str, str] = msgspec.field(default_factory=dict)
    """Each route with the worst that was seen of it: same, accepted or different."""
    groups: dict[tuple[str, str, str], Group] = msgspec.field(default_factory=dict)
    accepted: dict[tuple[str, str, str], Group] = msgspec.field(default_factory=dict)
    unreached: list[Unreached] = msgspec.field(default_factory=list)
    unsteady: dict[str, None] = msgspec.field(default_factory=dict)
    """Routes whose old answers differ from each other, where the new one does."""
    notes: list[str] = msgspec.field(default_factory=list)

    @property
    def has_failed(self) -> bool:
        """Return whether something differs that nobody has accepted."""
        return bool(self.groups)


class Collector:
    """Sorts differences into a report."""

    def __init__(self, report: Report, accepted: Sequence[Pattern], ignored: Sequence[Pattern]) -> None:
        self.report, self._accepted, self._ignored = report, accepted, ignored

    def add_answers(self, found: Iterable[Difference], route: str, shown: str) -> None:
        """Add what differs between the answers to one request."""
        verdicts = {self._add(difference, route, shown) for difference in found} or {"same"}
        self.report.requests += 1
        self.report.same += verdicts <= {"same"}
        verdict = next(one for one in _VERDICTS if one in verdicts)
        before = self.report.routes.get(route, "same")
        self.report.routes[route] = min(before, verdict, key=_VERDICTS.index)

    def add_documents(self, found: Iterable[tuple[str, Difference]]) -> None:
        """Add what differs between the documents."""
        for route, difference in found:
            self._add(difference, route, route)

    def _add(self, difference: Difference, route: str, shown: str) -> str:
        if is_matched(self._ignored, difference, route):
            return "same"
        is_accepted = is_matched(self._accepted, difference, route)
        groups = self.report.accepted if is_accepted else self.report.groups
        key = (difference.kind, difference.place, difference.detail)
        if key not in groups:
            groups[key] = Group(*key, shown, difference.old, difference.new)
        groups[key].count += 1
        groups[key].routes.add(route)
        return "accepted" if is_accepted else "different"


_VERDICTS = ("different", "accepted", "same")


def worst_first(groups: Iterable[Group]) -> list[Group]:
    """Sort groups by what they mean to a client, then by how often they were seen."""
    return sorted(groups, key=lambda group: (_ORDER[group.kind], -group.count, group.place))


def as_text(report: Report, *, verbose: bool = False) -> Iterator[str]:
    """Yield the lines of a report for people."""
    yield f"{report.old} → {report.new}"
    seen = list(report.routes.values())
    yield (
        f"{report.requests} requests of {len(seen)} routes: {seen.count('same')} routes the same, "
        f"{seen.count('accepted')} with accepted differences, {seen.count('different')} with others"
    )
    unrouted = {route for group in report.groups.values() if group.kind == "unrouted" for route in group.routes}
    if unrouted:
        yield f"{len(unrouted)} of them {report.new} leaves to the URLconf: no route answered"
    yield from report.notes
    if report.unsteady:
        shown = ", ".join(report.unsteady)
        yield f"{report.old} answers {len(report.unsteady)} otherwise each time, which is passed over: {shown}"
    if report.unreached:
        shown = ", ".join(f"{one.method} {one.path}" for one in report.unreached)
        yield f"no row was found for the paths of {len(report.unreached)}: {shown}"
    for group in worst_first(report.groups.values()):
        yield ""
        yield from _group_lines(group)
    if report.accepted:
        yield ""
        yield f"accepted: {sum(group.count for group in report.accepted.values())} of {len(report.accepted)} kinds"
        for group in worst_first(report.accepted.values()) if verbose else ():
            yield f"  {group.kind} {group.place} {group.detail}".rstrip()


def _group_lines(group: Group) -> Iterator[str]:
    yield f"{group.kind} {group.place} {group.detail}".rstrip()
    plural = "" if len(group.routes) == 1 else "s"
    yield f"  {group.count} times, {len(group.routes)} route{plural}, such as {group.example}"
    if group.old:
        yield f"  old  {group.old}"
    if group.new:
        yield f"  new  {group.new}"


def as_json(report: Report) -> dict[str, Any]:
    """Return a report for programs."""
    return {
        "old": report.old,
        "new": report.new,
        "requests": report.requests,
        "same": report.same,
        "routes": report.routes,
        "notes": report.notes,
        "unsteady": list(report.unsteady),
        "unreached": [f"{one.method} {one.path}" for one in report.unreached],
        "differences": [_as_dict(group) for group in worst_first(report.groups.values())],
        "accepted": [_as_dict(group) for group in worst_first(report.accepted.values())],
    }


def _as_dict(group: Group) -> dict[str, Any]:
    return {**msgspec.structs.asdict(group), "routes": sorted(group.routes)}
