"""One line of the doctor: how bad it is, what is the case and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from msgspec import Struct

from hybrid_gateway.problems import link
from hybrid_gateway.problems.catalogue import find


class Severity(Enum):
    """The badness of a finding, the worst first."""

    BROKEN = "broken"
    """Requests fail, or somebody may do what they may not."""
    RISKY = "risky"
    """It will fail under load, behind a proxy, or once something restarts."""
    ADVICE = "advice"
    """It works, and could work better."""
    FINE = "fine"
    """It was looked at, and is as it should be."""

    @property
    def rank(self) -> int:
        """Its place, the worst being 0."""
        return list(Severity).index(self)


class Finding(Struct, frozen=True, kw_only=True):
    """A line: ``id`` is that of the catalogue, or of somebody else's system check, such as ``security.W018``."""

    id: str
    severity: Severity
    message: str
    remedy: str = ""
    place: str = ""
    """The file and line, or what else it is about, where a reader may want to go."""

    @property
    def page(self) -> str:
        """The address of the page of its id; empty for checks of others."""
        return link(self.id) if "." not in self.id else ""


def together(places: Iterable[str]) -> str:
    """Return places as a sentence names them, each once: ``Procfile:1, fly.toml:3 and Dockerfile:9``."""
    *others, last = dict.fromkeys(places) or [""]
    return " and ".join(filter(None, (", ".join(others), last)))


def found(number: str, severity: Severity, message: str, *, place: str = "", **values: object) -> Finding:
    """Return a finding with the remedy of the catalogue; ``values`` fill in the names in braces."""
    problem = find(number)
    remedy = problem.hint.format(**values) if problem is not None and severity is not Severity.FINE else ""
    return Finding(id=number, severity=severity, message=message, remedy=remedy, place=place)
