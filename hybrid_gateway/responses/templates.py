"""Django's templates as responses of typed handlers: by name or inline, of every engine of ``TEMPLATES``.

How this works: a response holds the name and the context; it is rendered late, on the thread of the request, while the
components of the request are still open. Context processors get a Django request: the one that the route has, that of
``django_middleware=``, or one made for this alone, which has passed those of Django's middleware that fill a context.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.messages import get_messages
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from django.utils.module_loading import import_string
from starlette.background import BackgroundTask

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.headers import make_private
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.request.request_parts import DJANGO_REQUEST
from hybrid_gateway.responses.cookies import set_cookie_headers
from hybrid_gateway.responses.gateway_response import DEFAULT_STATUS, RESPONSE_CLASSES, GatewayResponse, ShutdownSignal
from hybrid_gateway.responses.raw_response import EndpointResponse
from hybrid_gateway.responses.response_info import is_class, union_members
from hybrid_gateway.responses.template_source import TemplateSource, context_of, fields_of
from hybrid_gateway.types import Receive, Scope, Send

_LOCALE = "django.middleware.locale.LocaleMiddleware"

_FILLING: Mapping[str, Callable[[HttpRequest], bool]] = {
    "django.contrib.sessions.middleware.SessionMiddleware": lambda request: hasattr(request, "session"),
    _LOCALE: lambda request: hasattr(request, "LANGUAGE_CODE"),
    "django.middleware.csrf.CsrfViewMiddleware": lambda request: "CSRF_COOKIE" in request.META,
    "django.contrib.auth.middleware.AuthenticationMiddleware": lambda request: (
        getattr(request, "user", None) is not None and request.user.is_authenticated
    ),
    "django.contrib.messages.middleware.MessageMiddleware": lambda request: not isinstance(get_messages(request), list),
}
"""The middleware that fills a template's context, if the project has it; and whether a request has passed it."""


class TemplateResponse(GatewayResponse):
    """A template rendered with ``context`` on a thread, as ``render(request, ...)`` does in a view.

    ``template_name`` may be a list, of which the first that exists is taken; ``template_str`` is the template itself
    instead: code, never text of a client. ``using`` is an engine of ``TEMPLATES``, else the first that knows the name.

    The project's context processors run, so ``request``, ``csrf_token``, ``user`` and ``messages`` are what they are in
    a view; the cookies that go with them are set. ``user`` is who the route has authenticated, else the session's.
    """

    media_type = "text/html"
    is_rendered_late = True

    def __init__(
        self,
        template_name: str | Sequence[str] | None = None,
        context: Mapping[str, object] | None = None,
        status_code: int = DEFAULT_STATUS,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: BackgroundTask | None = None,
        *,
        template_str: str | None = None,
        using: str | None = None,
    ) -> None:
        super().__init__(b"", status_code, headers, media_type, background)
        self.source = TemplateSource.of(template_name, template_str, using)
        self.context = dict(context or {})
        self.user: object = None

    async def render_late(self, ctx: RequestContext) -> None:
        """Render on the thread of the request: for its own Django request, unless it has none."""
        visit, below = ctx.visit, ctx.scope.get(DJANGO_REQUEST)
        if below is not None:
            await ctx.thread.run(self.render_below, below, None if visit is None else lambda: visit.session)
        elif visit is not None and not visit.is_idle:
            # What it shows of the visit is what the handler has left there: its messages, whom it has logged in.
            await ctx.thread.run(self.render_for, visit.request)
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

    def render_for(self, request: HttpRequest) -> None:
        """Render, on this thread, for a Django request whose session, messages and cookies its owner looks after."""
        self._render(request, tuple(name for name in settings.MIDDLEWARE if name == _LOCALE))

    def render_below(self, request: Any, session: Callable[[], object] | None) -> None:
        """Render, on this thread, for a request of the project's middleware, which may lack what others would fill.

        ``session`` gives the session that the route has opened itself, if any.
        """
        if session is not None and not hasattr(request, "session"):
            request.session = session()  # which its owner saves
        names = [name for name in settings.MIDDLEWARE if name in _FILLING and not _FILLING[name](request)]
        self._render(request, tuple(names))

    def render_alone(self, scope: Scope) -> None:
        """Render, on this thread, for a Django request made for this alone."""
        request = ASGIRequest(scope, io.BytesIO())
        self._render(request, tuple(name for name in settings.MIDDLEWARE if name in _FILLING))

    def _render(self, request: HttpRequest, middleware: tuple[str, ...]) -> None:
        vars(request)["template_response"] = self
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


Template = TemplateResponse
"""The same, for annotations: ``def page() -> Template``."""


@lru_cache(maxsize=16)
def _renderer(middleware: tuple[str, ...]) -> Callable[[HttpRequest], HttpResponse]:
    render: Callable[[HttpRequest], HttpResponse] = _render
    for name in reversed(middleware):
        render = import_string(name)(render)
    return render


def _render(request: Any) -> HttpResponse:
    response = request.template_response
    if response.user is not None:
        request.user = response.user
    return HttpResponse(response.source.load().render(response.context, request))


# --- options of a handler --------------------------------------------------------------------------------------------

Encode = Callable[[object], EndpointResponse]


def read_template_options(options: Mapping[str, Any]) -> TemplateSource | None:
    """Return the template of a route, loaded once to see that it can be; raise :class:`ConfigurationError`."""
    name, text, engine = (options.get(key) for key in ("template", "template_str", "template_engine"))
    if name is None and text is None:
        if engine is not None:
            raise ConfigurationError(
                "template_engine= is for template= or template_str=, and there is neither.", id="F002"
            )
        return None
    try:
        source = TemplateSource.of(name, text, engine)
    except TypeError as error:
        raise ConfigurationError(f"template={name!r}, template_str={text!r}: {error}", id="F002") from None
    source.check()
    return source


def returns_template(annotation: object) -> bool:
    """Return whether an annotation says that values are shown by a template, and never sent as they are."""
    return any(is_class(member, (TemplateResponse,)) for member in union_members(annotation))


def shows_template(annotation: object, options: Mapping[str, Any]) -> bool:
    """Return whether a route is known to answer with a template."""
    return returns_template(annotation) or not options.keys().isdisjoint(("template", "template_str"))


def page_encoder(source: TemplateSource | None, encode: Encode, *, may_be_none: bool) -> Encode:
    """Return an encoder that takes a value for the context of a template; ``encode`` finishes a response."""

    def encode_page(value: object) -> EndpointResponse:
        if isinstance(value, RESPONSE_CLASSES) or (value is None and may_be_none):
            return encode(value)
        if source is None:
            raise TypeError(
                f"The handler has returned {type(value).__name__}, and nothing names the template of that context: "
                "return Template(name, context), or write template= on the route."
            )
        return encode(_response(source, context_of(value)))

    return encode_page


def template_encoder(source: TemplateSource, status: int, encode: Encode) -> Encode:
    """Return an encoder that shows a value, as ``data`` and by its fields; ``encode`` finishes a response."""

    def encode_template(value: object) -> EndpointResponse:
        if isinstance(value, RESPONSE_CLASSES):
            return encode(value)
        return encode(_response(source, {**fields_of(value), "data": value}, status))

    return encode_template


def _response(source: TemplateSource, context: Mapping[str, object], status: int = DEFAULT_STATUS) -> TemplateResponse:
    names = source.names or None
    return TemplateResponse(names, context, status, template_str=source.text, using=source.using)
