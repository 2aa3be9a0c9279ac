"""A visit: the Django request, the session and the user behind one request of a typed route, each when first asked for.

How this works: a route whose handler, guards, components or schemes ask for ``HttpRequest``, ``Session`` or
``DjangoContext`` gets one visit per request. Nothing of it is made before somebody asks; what was made is settled when
the route ends, by Django's own middleware (``settling.py``). The request is made of the head alone, for authentication
comes before the body; where the handler asks for it, the plan gives it the body as well.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.core.exceptions import BadRequest as DjangoBadRequest
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.functional import SimpleLazyObject, cached_property

from hybrid_gateway._compat.django_internals import HeadRequest, set_csrf_unchecked
from hybrid_gateway.binding.components import Mode
from hybrid_gateway.exceptions import BadRequest
from hybrid_gateway.request.context import RequestContext

if TYPE_CHECKING:
    from django.contrib.messages.storage.base import BaseStorage

__all__ = [
    "DJANGO_REQUEST",
    "UNCHECKED_CSRF",
    "TypedRequest",
    "DjangoContext",
    "DjangoContextPlanner",
    "request_for_backends",
]

DJANGO_REQUEST = "hybrid_gateway.django_request"  # in the scope: that of django_middleware=
UNCHECKED_CSRF = "hybrid_gateway.unchecked_csrf"  # put there by a test client; no server has such a key


class DjangoContext:
    """What Django knows of whoever sent a request; injected by type, lazy, one per request.

    ``request`` and ``session`` are those of ``django_middleware=`` where the route has them.
    """

    __slots__ = ("_body", "_call", "_check", "_owns_session", "_request", "_session", "is_csrf_exempt")

    def __init__(
        self,
        ctx: RequestContext,
        *,
        is_csrf_exempt: bool = False,
        check: Callable[[DjangoContext], None] | None = None,
    ) -> None:
        self._call = ctx
        self._check = check
        self._request: Any = None
        self._session: Any = None
        self._owns_session = False
        self._body: bytes | None = None
        self.is_csrf_exempt = is_csrf_exempt

    @property
    def method(self) -> str:
        """The request's method."""
        return self._call.method

    @property
    def has_session_cookie(self) -> bool:
        """Whether the request carries a session's cookie, of whatever worth."""
        return settings.SESSION_COOKIE_NAME in self._call.cookies()

    @property
    def authentication(self) -> Any:
        """What authentication has found so far."""
        return self._call.authentication

    @property
    def request(self) -> HttpRequest:
        """The request as Django would have built it; raises 400 for a head that Django refuses."""
        if self._request is None:
            self._request = self._call.scope.get(DJANGO_REQUEST) or self._build()
        request: HttpRequest = self._request
        return request

    def _build(self) -> TypedRequest:
        try:
            request = TypedRequest(self._call.scope, self)
        except (DjangoBadRequest, UnicodeDecodeError):
            # DJANGO: core/handlers/asgi.py, create_request: both are a bare 400
            raise BadRequest("The head of the request is malformed.") from None
        if self._body is not None:
            request.give_body(self._body)
        return request

    def give_body(self, body: bytes) -> None:
        """The body has come; a request that is ours shall have it."""
        self._body = body
        if self.own_request is not None:
            self.own_request.give_body(body)

    @property
    def session(self) -> SessionBase:
        """The session of the request's cookie, by the engine of ``SESSION_ENGINE``; nothing is loaded yet."""
        if self._session is None:
            outer = self._call.scope.get(DJANGO_REQUEST)
            self._session = getattr(outer, "session", None)
            if self._session is None:
                self._session, self._owns_session = self._open_session(), True
        session: SessionBase = self._session
        return session

    def _open_session(self) -> Any:
        # DJANGO: contrib/sessions/middleware.py, process_request
        engine = import_module(settings.SESSION_ENGINE)
        cookies = self._request.COOKIES if self._request is not None else self._call.cookies()
        return engine.SessionStore(cookies.get(settings.SESSION_COOKIE_NAME))

    def find_user(self) -> Any:
        """The session's user, or ``AnonymousUser``; blocks."""
        from django.contrib.auth import get_user

        request: Any = self.request
        return request.find_session_user(self) if self.is_below_django else get_user(request)

    def check(self) -> None:
        """Raise 403 for an unsafe request that may come from another site, which the cookies do not tell."""
        if self._check is not None:
            self._check(self)

    # --- for the way out

    @property
    def is_idle(self) -> bool:
        """Whether nobody has made anything of it."""
        return self._request is None and self._session is None

    @property
    def is_below_django(self) -> bool:
        """Whether ``django_middleware=`` stands around the route, and looks after its own request."""
        return DJANGO_REQUEST in self._call.scope

    @property
    def own_request(self) -> TypedRequest | None:
        """The request, where one was asked for and no middleware looks after it."""
        return self._request if isinstance(self._request, TypedRequest) else None

    def holder(self) -> Any:
        """What Django's session middleware is to see: cookies, and the session if anybody has asked for it."""
        own = self.own_request
        if own is not None:
            if "session" in own.__dict__ or self._session is not None or self._saves_always():
                return own
            return None
        if not self._owns_session:
            return None  # nobody has asked, or it is the middleware's, which saves it
        return SimpleNamespace(session=self._session, COOKIES=self._call.cookies())

    def _saves_always(self) -> bool:
        return settings.SESSION_SAVE_EVERY_REQUEST and self.has_session_cookie


class TypedRequest(HeadRequest):
    """Django's request of a typed route: what ``MIDDLEWARE`` would have added to it is there when asked for."""

    def __init__(self, scope: Any, visit: DjangoContext) -> None:
        super().__init__(scope)
        self._visit = visit
        self._session_user: Any = None  # as auser() has found it
        set_csrf_unchecked(self, UNCHECKED_CSRF in scope)
        CsrfViewMiddleware(_nobody).process_request(self)

    @cached_property
    def session(self) -> SessionBase:  # type: ignore[override]  # it may be set, as in Django
        return self._visit.session

    @cached_property
    def user(self) -> Any:  # type: ignore[override]
        """Who was authenticated, else the session's user, else ``AnonymousUser``; looked up when first used.

        SECURITY: the session's user comes by a cookie, so with an unsafe method and without a CSRF token it is a 403.
        """
        self._require("django.contrib.auth")
        return SimpleLazyObject(self._find_user)

    def _find_user(self) -> Any:
        from django.contrib.auth import get_user

        found = self._visit.authentication
        if found is not None:
            return found.user
        user = get_user(self)
        if user.is_authenticated:
            self._visit.check()
        return user

    async def auser(self) -> Any:
        """:attr:`user` for ``async def``."""
        from django.contrib.auth import aget_user

        found, known = self._visit.authentication, self.__dict__.get("user")
        if found is not None:
            return found.user
        if known is not None and not isinstance(known, SimpleLazyObject):
            return known  # by login() and logout(); DJANGO: those of 5.2 do not tell auser()
        if self._session_user is None:
            user = await aget_user(self)
            if user.is_authenticated:
                self._visit.check()
            self._session_user = user
        return self._session_user

    def open_messages(self) -> BaseStorage:
        self._require("django.contrib.messages")
        from django.contrib.messages.storage import default_storage

        return default_storage(self)

    def _require(self, app: str) -> None:
        if not apps.is_installed(app):
            raise AttributeError(f"{app!r} is not among INSTALLED_APPS.")


def _nobody(request: HttpRequest) -> Any:
    raise RuntimeError("Nothing lies below this middleware.")


def request_for_backends(ctx: RequestContext) -> Any:
    """What receivers of signals are told of a request: the one that there is, else one of the head; it never waits."""
    visit: DjangoContext | None = ctx.visit
    found = ctx.scope.get(DJANGO_REQUEST) or (None if visit is None else visit.own_request)
    if found is not None:
        return found
    try:
        request: Any = ASGIRequest(ctx.scope, io.BytesIO())
    except (DjangoBadRequest, UnicodeDecodeError):
        return None
    if apps.is_installed("django.contrib.auth"):
        from django.contrib.auth.models import AnonymousUser

        request.user = AnonymousUser() if ctx.authentication is None else ctx.authentication.user
    return request


class DjangoContextPlanner:
    """Makes the visits of one route; its methods are what plans ctx."""

    def __init__(self, *, csrf_exempt: bool = False, check: Callable[[DjangoContext], None] | None = None) -> None:
        self._csrf_exempt = csrf_exempt
        self._check = check

    def visit(self, ctx: RequestContext) -> DjangoContext:
        """The visit of a request."""
        if ctx.visit is None:
            ctx.visit = DjangoContext(ctx, is_csrf_exempt=self._csrf_exempt, check=self._check)
        visit: DjangoContext = ctx.visit
        return visit

    def request(self, ctx: RequestContext) -> HttpRequest:
        return self.visit(ctx).request

    def session(self, ctx: RequestContext) -> SessionBase:
        return self.visit(ctx).session

    def give_body(self, ctx: RequestContext, body: bytes) -> None:
        """Let the request have the body."""
        self.visit(ctx).give_body(body)

    @property
    def builders(self) -> dict[Any, tuple[Callable[[Any], Any], Mode]]:
        """What a plan gives by type: how, and where that runs."""
        # With CSRF_USE_SESSIONS a request asks its session for the token first of all.
        # DJANGO: middleware/csrf.py, process_request
        mode: Mode = "thread" if settings.CSRF_USE_SESSIONS else "inline"
        return {
            HttpRequest: (self.request, mode),
            SessionBase: (self.session, "inline"),
            DjangoContext: (self.visit, "inline"),
        }
