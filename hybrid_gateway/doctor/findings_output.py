"""The doctor's output: lines for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from hybrid_gateway.doctor.examined_project import settings_module
from hybrid_gateway.doctor.finding import Finding, Severity
from hybrid_gateway.problems import DOCS_URL

SCHEMA = 1
"""The version of what ``as_json`` returns. Keys are added without a new one; none is removed or changes its meaning."""

Paint = Callable[[str], str]


def as_lines(findings: Sequence[Finding], paint: Mapping[Severity, Paint]) -> Iterable[str]:
    """Yield a line for each finding, the remedy indented below it, and a summary."""
    width = max((len(finding.id) for finding in findings), default=0)
    for finding in findings:
        kind = paint[finding.severity](f"{finding.severity.value:<6}")
        yield f"{kind}  {finding.id:<{width}}  {_on_one_line(finding.message)}"
        if finding.remedy:
            yield f"{'':<{width + 8}}  -> {_on_one_line(finding.remedy)}"
    yield ""
    yield summary(findings)
    told = [finding for finding in findings if finding.severity is not Severity.FINE]
    if told:
        online = f", or {DOCS_URL}problems/" if any(finding.page for finding in told) else ""
        yield f"What an id means: manage.py gateway explain ID{online}"


def _on_one_line(text: str) -> str:
    return " ".join(text.split())


def count(findings: Iterable[Finding]) -> dict[str, int]:
    """Return how many findings there are of each severity."""
    numbers = dict.fromkeys((severity.value for severity in Severity), 0)
    for finding in findings:
        numbers[finding.severity.value] += 1
    return numbers


def summary(findings: Sequence[Finding]) -> str:
    """Return one sentence on all of it."""
    numbers = count(findings)
    parts = [f"{number} {name}" for name, number in numbers.items() if number and name != Severity.FINE.value]
    return f"{settings_module()}: {', '.join(parts) or 'nothing to mend'}."


def as_json(findings: Sequence[Finding]) -> bytes:
    """Return the findings as JSON, of the schema that docs/doctor.md describes."""
    document = {
        "schema": SCHEMA,
        "settings": settings_module(),
        "summary": count(findings),
        "findings": [
            {
                "id": finding.id,
                "severity": finding.severity.value,
                "message": finding.message,
                "remedy": finding.remedy,
                "place": finding.place,
                "page": finding.page,
            }
            for finding in findings
        ],
    }
    return msgspec.json.format(msgspec.json.encode(document))
