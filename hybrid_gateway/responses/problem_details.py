"""Responses to errors: problem details, RFC 9457, one shape for every one of them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from hybrid_gateway.exceptions import HTTPException, RequestValidationError, reason
from hybrid_gateway.responses.enc_hook import enc_hook
from hybrid_gateway.responses.raw_response import RawResponse, make_raw

PROBLEM = (b"content-type", b"application/problem+json")
_encode = msgspec.json.Encoder(enc_hook=enc_hook).encode


def problem_document(status: int, detail: object = None, **members: object) -> dict[str, object]:
    """Return the members of a problem document, in the order in which they are read."""
    document: dict[str, object] = {"type": "about:blank", "title": reason(status), "status": status}
    if detail is not None:
        document["detail"] = detail
    document.update(members)
    return document


def problem_response(error: HTTPException) -> RawResponse:
    """Return the response to an HTTP error; statuses below 400 keep their meaning and have no document."""
    status = error.status_code
    headers = [(name.lower().encode("latin-1"), str(value).encode("latin-1")) for name, value in error.headers.items()]
    if status < 400:
        return make_raw(status, None, b"", headers)
    return make_raw(status, PROBLEM, _encode(problem_members(error)), headers)


def problem_members(error: HTTPException) -> dict[str, object]:
    """Return the problem document of an HTTP error."""
    members: dict[str, object] = {}
    if isinstance(error, RequestValidationError):
        members["errors"] = error.errors
    if isinstance(error.extra, Mapping):
        members.update(error.extra)
    elif error.extra is not None:
        members["extra"] = error.extra
    return problem_document(error.status_code, error.detail, **members)
