"""Django's templates as responses of typed handlers."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.module_loading import import_string
from starlette.background import BackgroundTask

from hybrid_gateway.headers import make_private
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.responses.cookies import set_cookie_headers
from hybrid_gateway.responses.gateway_response import DEFAULT_STATUS, RESPONSE_CLASSES, GatewayResponse, ShutdownSignal
from hybrid_gateway.responses.raw_response import EndpointResponse
from hybrid_gateway.types import Receive, Scope, Send

_LOCALE = "django.middleware.locale.LocaleMiddleware"

# What fills a template's context; in the project's order, and only if the project has it.
_FILLING = (
    "django.contrib.sessions.middleware.SessionMiddleware",
    _LOCALE,
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
)


class TemplateResponse(GatewayResponse):
    """A template of the project's, rendered with ``context`` on a thread, as ``render(request, ...)`` does in a view.

    The project's context processors run, so ``request``, ``csrf_token``, ``user`` and ``messages`` are what they are in
    a view; the cookies that go with them are set. ``user`` is who the route has authenticated, else the session's.
    """

    media_type = "text/html"
    is_rendered_late = True

    def __init__(
        self,
        template_name: str,
        context: Mapping[str, object] | None = None,
        status_code: int = DEFAULT_STATUS,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: BackgroundTask | None = None,
    ) -> None:
        super().__init__(b"", status_code, headers, media_type, background)
        self.template_name = template_name
        self.context = dict(context or {})
        self.user: object = None

    async def render_late(self, ctx: RequestContext) -> None:
        """Render on the thread of the request: for its own Django request, unless it has none or Django owns that."""
        if ctx.visit is not None and not ctx.visit.is_idle and not ctx.visit.is_below_django:
            # What it shows of the visit is what the handler has left there: its messages, whom it has logged in.
            await ctx.thread.run(self.render_for, ctx.visit.request)
        else:
            self._take_user(ctx)
            await ctx.thread.run(self.render_alone, ctx.scope)

    async def send_to(self, ctx: RequestContext, receive: Receive, send: Send, shutdown: ShutdownSignal) -> bool:
        self._take_user(ctx)
        return await super().send_to(ctx, receive, send, shutdown)

    def _take_user(self, ctx: RequestContext) -> None:
        if ctx.authentication is not None:
            self.user = ctx.authentication.user

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self.is_rendered:
            await sync_to_async(self.render_alone)(scope)
        await super().__call__(scope, receive, send)

    def render_for(self, request: Any) -> None:
        """Render, on this thread, for a Django request whose session, messages and cookies its owner looks after."""
        self._render(request, tuple(name for name in settings.MIDDLEWARE if name == _LOCALE))

    def render_alone(self, scope: Scope) -> None:
        """Render, on this thread, for a Django request made for this alone."""
        self._render(ASGIRequest(scope, io.BytesIO()), tuple(settings.MIDDLEWARE))

    def _render(self, request: Any, middleware: tuple[str, ...]) -> None:
        request.template_response = self
        rendered = _renderer(middleware)(request)
        self.is_rendered = True
        self.body = rendered.content
        del self.headers["content-length"]
        self.headers["content-length"] = str(len(self.body))
        for name, value in rendered.items():
            if name.lower() == "vary":
                self.headers.add_vary_header(value)
            elif name.lower() != "content-type":
                self.headers.setdefault(name, value)
        self.raw_headers += set_cookie_headers(rendered.cookies)
        if "cookie" in rendered.get("Vary", "").lower():  # it has shown a session, or a token
            self.raw_headers[:] = make_private(self.raw_headers)


def template_encoder(
    template_name: str, status: int, encode: Callable[[object], EndpointResponse]
) -> Callable[[object], EndpointResponse]:
    """Return an encoder that shows a value, as ``data``, by a template; ``encode`` finishes a response."""
    return lambda value: encode(
        value if isinstance(value, RESPONSE_CLASSES) else TemplateResponse(template_name, {"data": value}, status)
    )


@lru_cache(maxsize=4)
def _renderer(middleware: tuple[str, ...]) -> Callable[[HttpRequest], HttpResponse]:
    render: Callable[[HttpRequest], HttpResponse] = _render
    for name in reversed(middleware):
        if name in _FILLING:
            render = import_string(name)(render)
    return render


def _render(request: Any) -> HttpResponse:
    response = request.template_response
    if response.user is not None:
        request.user = response.user
    return HttpResponse(render_to_string(response.template_name, response.context, request))
