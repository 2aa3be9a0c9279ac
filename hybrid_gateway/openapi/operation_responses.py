"""Return annotation → the successful responses of an operation."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from http import HTTPStatus

from hybrid_gateway.openapi.schema_types import JSONObject, Schema
from hybrid_gateway.responses.response_info import BodyContent, default_status, read_response_info

__all__ = ["success_responses"]

_EMPTY = (204, 205, 304)  # SPEC: RFC 9110: these never carry content


def success_responses(
    returns: object, method: str, options: Mapping[str, object], schema: Callable[[object], Schema]
) -> dict[str, JSONObject]:
    """Return response objects by status: of the value, and of its absence where the annotation has ``| None``."""
    info = read_response_info(returns)
    given = options.get("status_code")
    status = given if isinstance(given, int) else None
    found: dict[int, tuple[BodyContent, ...]] = {}
    if info.returns_response:  # a redirect, and other classes of Django's, have a status of their own
        own, given_kind = info.response_status, None if status is None else status // 100
        is_routes = own == 200 or given_kind == own // 100
        found[default_status(method, status) if is_routes else own] = info.response_contents
    if info.may_be_none or (returns is inspect.Parameter.empty and method == "DELETE"):
        found[default_status(method, status, is_empty=True)] = ()
    if info.contents:
        found[default_status(method, status)] = info.contents
    if not found:
        found[default_status(method, status)] = ()
    return {str(status): _response(status, contents, options, schema) for status, contents in sorted(found.items())}


def _response(
    status: int,
    contents: tuple[BodyContent, ...],
    options: Mapping[str, object],
    schema: Callable[[object], Schema],
) -> JSONObject:
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Success"
    response: JSONObject = {"description": options.get("response_description") or phrase}
    if contents and status not in _EMPTY:
        response["content"] = {
            content.media_type: {} if content.type is None else {"schema": schema(content.type)} for content in contents
        }
    return response
