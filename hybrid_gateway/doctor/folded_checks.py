"""Concern: all that ``manage.py check`` knows, with its ids and in its words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module

from django.conf import settings
from django.core.checks import ERROR, WARNING, CheckMessage
from django.core.checks.registry import registry

from hybrid_gateway.doctor.applications import raised_in
from hybrid_gateway.doctor.examined_project import Project
from hybrid_gateway.doctor.finding import Finding, Severity, found
from hybrid_gateway.problems import TAG, link

ELSEWHERE = frozenset((f"{TAG}.W004", f"{TAG}.W005"))
"""What another concern knows better, since it has imported what a check only reads."""


def look_at_checks(project: Project) -> Iterator[Finding]:
    """Yield the messages of each check that Django knows, and D003 for a URLconf that cannot be imported."""
    if getattr(settings, "HYBRID_GATEWAY", None) is None:
        yield found("D005", Severity.BROKEN, "HYBRID_GATEWAY is not in the settings, so that there is no gateway.")
    if urlconf := getattr(settings, "ROOT_URLCONF", None):
        try:
            import_module(urlconf)
        except Exception as error:
            yield found("D003", Severity.BROKEN, f"{urlconf} cannot be imported: {raised_in(error, project.root)}")
    failed: set[str] = set()
    for check in registry.get_checks(project.deploy):
        try:
            messages: Iterable[CheckMessage] = list(check(app_configs=None, databases=None) or ())
        except Exception as error:
            failed.add(raised_in(error, project.root))
            continue
        yield from map(_finding, (message for message in messages if message.id not in ELSEWHERE))
    for text in sorted(failed):
        yield found("D001", Severity.RISKY, f"A system check of the project could not be run: {text}")


def _finding(message: CheckMessage) -> Finding:
    number = (message.id or "check").removeprefix(f"{TAG}.")
    hint = (message.hint or "").removesuffix(link(number)).strip()
    what = f"{message.obj}: " if message.obj is not None and number == message.id else ""
    return Finding(id=number, severity=_severity(number, message), message=f"{what}{message.msg}", remedy=hint)


def _severity(number: str, message: CheckMessage) -> Severity:
    if number in _SEVERITIES:
        return _SEVERITIES[number]
    if message.level >= ERROR:
        return Severity.BROKEN
    return Severity.RISKY if message.level >= WARNING and number[:1] == "W" and "." not in number else Severity.ADVICE


_SEVERITIES = {
    **dict.fromkeys(("W008", "W039", "W043"), Severity.BROKEN),  # the first query fails; each handshake does
    **dict.fromkeys(("W007", "W012", "W024", "W030", "W032", "W035", "W055"), Severity.ADVICE),
    # What Django says of production, where it is worse than a missing header.
    **dict.fromkeys(("security.W009", "security.W018", "security.W020"), Severity.BROKEN),
}
