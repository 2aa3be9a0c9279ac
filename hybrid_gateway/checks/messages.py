"""Messages of system checks: severity and hint by their ids, of which ``hybrid_gateway.problems`` has the pages."""

from __future__ import annotations

from collections.abc import Iterable

from django.core.checks import CheckMessage, Error, Warning

from hybrid_gateway.endpoints.endpoint import Endpoint
from hybrid_gateway.problems import TAG, link
from hybrid_gateway.problems.catalogue import catalogue


def report(number: str, message: str, **values: object) -> CheckMessage:
    """Return the message of a check; ``values`` are for its hint."""
    severity = Error if number.startswith("E") else Warning
    hint = catalogue()[number].hint.format(**values)
    return severity(message, hint=f"{hint}\n{link(number)}", id=f"{TAG}.{number}")


def name_routes(endpoints: Iterable[Endpoint]) -> str:
    """Return the methods and paths of three routes at most, and how many more there are."""
    names = list(dict.fromkeys(f"{endpoint.method} {endpoint.route.path}" for endpoint in endpoints))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
