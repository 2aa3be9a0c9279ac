"""Responses of an operation: those of success by the return annotation, and the problems."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from http.client import responses as phrases
from typing import Annotated

from hybrid_gateway.binding.parameter_sources import SOURCES
from hybrid_gateway.binding.plan import Input
from hybrid_gateway.endpoints.endpoint import Endpoint
from hybrid_gateway.endpoints.errors import translate
from hybrid_gateway.exceptions import RouteError
from hybrid_gateway.headers import JSON
from hybrid_gateway.openapi.schema_types import JSONObject, Schema
from hybrid_gateway.openapi.security_schemes import has_guards
from hybrid_gateway.responses.response_info import Contents, ResponseInfo, default_status, read_response_info
from hybrid_gateway.responses.server_sent_events import EVENT_STREAM
from hybrid_gateway.responses.templates import shows_template

_SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")
_EMPTY = (204, 205, 304)  # SPEC: RFC 9110: these never carry content


def success_responses(
    returns: object, method: str, options: Mapping[str, object], schema: Callable[[object], Schema]
) -> dict[str, JSONObject]:
    """Return response objects by status: of the value, and of its absence where the annotation has ``| None``."""
    info = read_response_info(returns)
    given = options.get("status_code")
    status = given if isinstance(given, int) else None
    found: dict[int, Contents] = {}
    if info.returns_response:  # a redirect, and other classes of Django's, have a status of their own
        own, given_kind = info.response_status, None if status is None else status // 100
        is_routes = own == 200 or given_kind == own // 100
        found[default_status(method, status) if is_routes else own] = info.response_contents
    if info.may_be_none or (returns is inspect.Parameter.empty and method == "DELETE"):
        found[default_status(method, status, is_empty=True)] = {}
    if info.contents:
        found[default_status(method, status)] = info.contents
    if not found:
        found[default_status(method, status)] = {}
    responses: dict[str, JSONObject] = {}
    for number, contents in sorted(found.items()):
        words = options.get("response_description") or phrases.get(number, "Success")
        responses[str(number)] = response = {"description": words}
        if contents and number not in _EMPTY:
            response["content"] = {
                kind: ({} if of is None else {"schema": schema(of)}) | _event_words(kind, info, schema)
                for kind, of in contents.items()
            }
    return responses


def _event_words(media_type: str, info: ResponseInfo, schema: Callable[[object], Schema]) -> JSONObject:
    """Return what the media type object of events says beside its schema. SPEC: OpenAPI 3.1 has no word for it."""
    if media_type != EVENT_STREAM or info.event_data is None:
        return {}
    words: JSONObject = {"x-event-schema": schema(info.event_data)}
    origin = typing.get_origin(info.value) or info.value
    return {**words, "x-channel-events": True} if getattr(origin, "is_of_channel", False) else words


# --- problems -------------------------------------------------------------------------------------------------------


def is_json(entry: Input) -> bool:
    """Return whether an input is a body of JSON."""
    return entry.media_type == JSON


def _is_parsed(entry: Input) -> bool:
    return entry.source == "form" or is_json(entry)


def problem_statuses(endpoint: Endpoint) -> list[int]:
    """Return the statuses of errors of the gateway itself, and those that ``raises=`` names."""
    layers = endpoint.route.layers
    negotiates = len(layers.media_types) > 1 or shows_template(endpoint.returns, endpoint.route.options)
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
            raise RouteError(f"raises={entry!r} is neither a status nor an exception with one.", id="R020")
        found.append(status)
    return found


def _may_be_invalid(entry: Input) -> bool:
    """Return whether a value can be wrong by its content; a path that does not fit its converter is another, 404."""
    if entry.source == "path":
        return typing.get_origin(entry.type) is Annotated
    return entry.source != "body" or is_json(entry)
