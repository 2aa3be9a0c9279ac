"""Statuses of the problems that an operation may respond with."""

from __future__ import annotations

import typing
from collections.abc import Iterable
from typing import Annotated

from hybrid_gateway.binding.parameter_sources import SOURCES
from hybrid_gateway.binding.plan import Input
from hybrid_gateway.endpoints.endpoint import Endpoint
from hybrid_gateway.endpoints.errors import translate
from hybrid_gateway.exceptions import RouteError
from hybrid_gateway.openapi.security_schemes import has_guards
from hybrid_gateway.responses.response_info import read_response_info

__all__ = ["is_json", "problem_statuses"]

_SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")


def is_json(entry: Input) -> bool:
    """Return whether an input is a body of JSON."""
    return entry.media_type == "application/json"


def _is_parsed(entry: Input) -> bool:
    return entry.source == "form" or is_json(entry)


def problem_statuses(endpoint: Endpoint) -> list[int]:
    """Return the statuses of errors of the gateway itself, and those that ``raises=`` names."""
    layers = endpoint.route.layers
    negotiates = len(layers.media_types) > 1 or "template" in endpoint.route.options
    checks_csrf = endpoint.method not in _SAFE and any("Cookie" in scheme.carriers for scheme in endpoint.schemes)
    bodies = [entry for entry in endpoint.inputs if not SOURCES[entry.source].allowed_on_get]
    statuses = {
        400: any(map(_is_parsed, bodies)),
        401: bool(endpoint.schemes),
        403: has_guards(endpoint) or checks_csrf,
        406: negotiates and read_response_info(endpoint.returns).is_json,
        404: bool(endpoint.route.template.parameters),
        413: bool(bodies),
        415: any(map(_is_parsed, bodies)),
        422: any(map(_may_be_invalid, endpoint.inputs)),
        429: bool(layers.throttle),
        504: layers.timeout is not None,
    }
    return sorted(
        {*(status for status, given in statuses.items() if given), *_raised(endpoint.route.options.get("raises", ()))}
    )


def _raised(entries: Iterable[object]) -> list[int]:
    """Return the statuses that ``raises=`` names; a Django exception has that of its translation."""
    found = []
    for entry in entries:
        status = entry if isinstance(entry, int) else getattr(entry, "status_code", None)
        if status is None and isinstance(entry, type) and issubclass(entry, Exception):
            known = translate(entry())
            status = None if known is None else known.status_code
        if status is None:
            raise RouteError(f"raises={entry!r} is neither a status nor an exception with one.")
        found.append(status)
    return found


def _may_be_invalid(entry: Input) -> bool:
    """Return whether a value can be wrong by its content; a path that does not fit its converter is another, 404."""
    if entry.source == "path":
        return typing.get_origin(entry.type) is Annotated
    return entry.source != "body" or is_json(entry)
