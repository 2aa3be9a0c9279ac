"""The response classes a handler may return: Starlette's, with the status of their route and our JSON.

Streams, events, templates and files have modules of their own: ``streaming_response``, ``server_sent_events``,
``templates``, ``file_response``.

Raw responses become such objects where hooks may change them, and tuples again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, TypeVar

import msgspec
from starlette import background, responses
from starlette.datastructures import URL

from hybrid_gateway.exceptions import check_status
from hybrid_gateway.headers import JSON, with_content_length
from hybrid_gateway.request.background_tasks import join_tasks
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.responses.enc_hook import enc_hook
from hybrid_gateway.responses.gateway_response import DEFAULT_STATUS, DefaultStatus, GatewayResponse
from hybrid_gateway.responses.raw_response import EndpointResponse, make_raw
from hybrid_gateway.types import Receive, Scope, Send

T = TypeVar("T")


class Response(GatewayResponse, Generic[T]):
    """Any response. ``Response[Product]`` tells the OpenAPI document what is in it.

    ``content`` that is no text and no bytes is sent as JSON.
    """

    def __init__(
        self,
        content: T | Any = None,
        status_code: int = DEFAULT_STATUS,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: background.BackgroundTask | None = None,
    ) -> None:
        is_raw = content is None or isinstance(content, (str, bytes, memoryview))
        if not is_raw and media_type is None and self.media_type is None:
            media_type = JSON
        self.content = content
        super().__init__(content, status_code, headers, media_type, background)

    def render(self, content: Any) -> bytes | memoryview:
        if content is None or isinstance(content, (str, bytes, memoryview)):
            return super().render(content)
        return msgspec.json.encode(content, enc_hook=enc_hook)


class JSONResponse(GatewayResponse, responses.JSONResponse, Generic[T]):
    """JSON by msgspec, which also knows Structs, dates, decimals and UUIDs."""

    def __init__(
        self,
        content: T | Any,
        status_code: int = DEFAULT_STATUS,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: background.BackgroundTask | None = None,
    ) -> None:
        self.content = content
        super().__init__(content, status_code, headers, media_type, background)

    def render(self, content: Any) -> bytes:
        return msgspec.json.encode(content, enc_hook=enc_hook)


class HTMLResponse(GatewayResponse, responses.HTMLResponse):
    """HTML, as it is given."""


class PlainTextResponse(GatewayResponse, responses.PlainTextResponse):
    """Text, as it is given."""


class RedirectResponse(GatewayResponse, responses.RedirectResponse):
    """The way to another URL; 307, unless ``status_code`` here or on the route says otherwise."""

    documented_status = 307

    def __init__(
        self,
        url: str | URL,
        status_code: int = DefaultStatus(documented_status),
        headers: Mapping[str, str] | None = None,
        background: background.BackgroundTask | None = None,
    ) -> None:
        responses.RedirectResponse.__init__(self, url, status_code, headers, background)


class ASGIResponse(GatewayResponse):
    """Lets any ASGI application answer, with the guards, hooks and parameters of the route that returns it."""

    def __init__(
        self, app: Callable[..., Awaitable[None]], background: background.BackgroundTask | None = None
    ) -> None:
        super().__init__(background=background)
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)
        if self.background is not None:
            await self.background()


# --- raw responses as objects, and back ------------------------------------------------------------------------------


def as_response(response: EndpointResponse) -> responses.Response:
    """Return ``response`` as an object that hooks may read and change; itself, if it is one."""
    if isinstance(response, responses.Response):
        return response
    status, headers, body = response
    made: Response[bytes] = Response(status_code=status)
    made.body = body
    made.raw_headers = with_content_length(status, headers, body)
    return made


def as_raw(response: responses.Response) -> EndpointResponse:
    """Return a response that has nothing to do but send its body as a tuple; any other as it is."""
    if type(response) not in (Response, responses.Response) or response.background is not None:
        return response
    return make_raw(response.status_code, None, bytes(response.body), response.raw_headers)


def add_outgoing(ctx: RequestContext, response: EndpointResponse) -> EndpointResponse:
    """Return ``response`` with headers, cookies and status of the ``Response`` that the handler has asked for."""
    outgoing = ctx.outgoing
    if outgoing.background is not None:
        response = as_response(response)
        response.background = join_tasks(response.background, outgoing.background)
    if isinstance(response, responses.Response):
        response.raw_headers.extend(outgoing.raw_headers)
        response.status_code = outgoing.status_code or response.status_code
        check_status(response.status_code)
        return response
    status, headers, body = response
    check_status(outgoing.status_code or status)
    return outgoing.status_code or status, [*headers, *outgoing.raw_headers], body
