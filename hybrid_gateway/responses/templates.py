"""Django's templates as answers of typed handlers."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.loader import render_to_string
from django.utils.module_loading import import_string
from starlette.background import BackgroundTask
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from hybrid_gateway.headers import make_private
from hybrid_gateway.responses.response_classes import DEFAULT_STATUS

__all__ = ["TemplateResponse", "template_encoder"]

_LOCALE = "django.middleware.locale.LocaleMiddleware"

# What fills a template's context; in the project's order, and only if the project has it.
_FILLING = (
    "django.contrib.sessions.middleware.SessionMiddleware",
    _LOCALE,
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
)


class TemplateResponse(Response):
    """A template of the project's, rendered with ``context`` on a thread, as ``render(request, ...)`` does in a view.

    The project's context processors run, so ``request``, ``csrf_token``, ``user`` and ``messages`` are what they are in
    a view; the cookies that go with them are set. ``user`` is who the route has authenticated, else the session's.
    """

    media_type = "text/html"

    def __init__(
        self,
        template_name: str,
        context: Mapping[str, Any] | None = None,
        status_code: int = DEFAULT_STATUS,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: BackgroundTask | None = None,
    ) -> None:
        super().__init__(b"", status_code, headers, media_type, background)
        self.template_name = template_name
        self.context = dict(context or {})
        self.user: Any = None
        self.is_rendered = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self.is_rendered:
            await sync_to_async(self.render_alone)(scope)
        await super().__call__(scope, receive, send)

    def render_for(self, request: Any) -> None:
        """Render, on this thread, for a Django request whose session, messages and cookies its owner looks after."""
        request.template_response = self
        self._fill(_renderer(tuple(name for name in settings.MIDDLEWARE if name == _LOCALE))(request))

    def _fill(self, rendered: HttpResponse) -> None:
        self.is_rendered = True
        self.body = rendered.content
        del self.headers["content-length"]
        self.headers["content-length"] = str(len(self.body))
        for name, value in rendered.items():
            if name.lower() == "vary":
                self.headers.add_vary_header(value)
            elif name.lower() != "content-type":
                self.headers.setdefault(name, value)
        for morsel in rendered.cookies.values():
            self.raw_headers.append((b"set-cookie", morsel.OutputString().encode("latin-1")))
        if "cookie" in rendered.get("Vary", "").lower():  # it has shown a session, or a token
            self.raw_headers[:] = make_private(self.raw_headers)

    def render_alone(self, scope: Scope) -> None:
        """Render, on this thread, for a request that nobody has asked for."""
        request: Any = ASGIRequest(scope, io.BytesIO())
        request.template_response = self
        self._fill(_renderer(tuple(settings.MIDDLEWARE))(request))


def template_encoder(template_name: str, status: int, encode: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The function that shows a value, as ``data``, by a template; ``encode`` makes an answer of a response."""

    def show(value: Any) -> Any:
        is_response = isinstance(value, (Response, HttpResponseBase))
        return encode(value if is_response else TemplateResponse(template_name, {"data": value}, status))

    return show


@lru_cache(maxsize=4)
def _renderer(middleware: tuple[str, ...]) -> Callable[[HttpRequest], HttpResponse]:
    render: Any = _render
    for name in reversed(middleware):
        if name in _FILLING:
            render = import_string(name)(render)
    return render  # type: ignore[no-any-return]


def _render(request: Any) -> HttpResponse:
    response = request.template_response
    if response.user is not None:
        request.user = response.user
    return HttpResponse(render_to_string(response.template_name, response.context, request))
