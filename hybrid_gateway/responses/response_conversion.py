"""Raw responses as objects that hooks may change, and back."""

from __future__ import annotations

from starlette.responses import Response as StarletteResponse

from hybrid_gateway.exceptions import check_status
from hybrid_gateway.headers import with_content_length
from hybrid_gateway.request.background import join_tasks
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.responses.raw_response import EndpointResponse, make_raw
from hybrid_gateway.responses.response_classes import Response

__all__ = ["add_outgoing", "as_raw", "as_response"]


def as_response(response: EndpointResponse) -> StarletteResponse:
    """Return ``response`` as an object that hooks may read and change; itself, if it is one."""
    if isinstance(response, StarletteResponse):
        return response
    status, headers, body = response
    made: Response[bytes] = Response(status_code=status)
    made.body = body
    made.raw_headers = with_content_length(status, headers, body)
    return made


def as_raw(response: StarletteResponse) -> EndpointResponse:
    """Return a response that has nothing to do but send its body as a tuple; any other as it is."""
    if type(response) not in (Response, StarletteResponse) or response.background is not None:
        return response
    return make_raw(response.status_code, None, bytes(response.body), response.raw_headers)


def add_outgoing(ctx: RequestContext, response: EndpointResponse) -> EndpointResponse:
    """Return ``response`` with headers, cookies and status of the ``Response`` that the handler has asked for."""
    outgoing = ctx.outgoing
    if outgoing.background is not None:
        response = as_response(response)
        response.background = join_tasks(response.background, outgoing.background)
    if isinstance(response, StarletteResponse):
        response.raw_headers.extend(outgoing.raw_headers)
        response.status_code = outgoing.status_code or response.status_code
        check_status(response.status_code)
        return response
    status, headers, body = response
    check_status(outgoing.status_code or status)
    return outgoing.status_code or status, [*headers, *outgoing.raw_headers], body
