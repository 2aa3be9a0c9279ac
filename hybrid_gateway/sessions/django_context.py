"""The Django request, the session and the user behind one request of a typed route, each built when first asked for.

How this works: a route whose handler, guards, components or schemes ask for ``HttpRequest``, ``Session`` or
``DjangoContext`` gets one :class:`DjangoContext` per request, its visit. Nothing of it is built before somebody asks;
what was built is finished when the route ends, by Django's own middleware (:func:`finish_session`). The request is
built of the head alone, for authentication comes before the body; where the handler asks for it, the plan gives it the
body as well.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Literal, NoReturn, cast

from django.apps import apps
from django.conf import settings
from django.contrib.messages import get_messages
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.exceptions import BadRequest as DjangoBadRequest
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.functional import SimpleLazyObject, cached_property

from hybrid_gateway._compat.django_internals import HeadRequest, has_messages, has_new_csrf_token, set_csrf_unchecked
from hybrid_gateway.access_control import Authentication
from hybrid_gateway.binding.components import Mode
from hybrid_gateway.binding.plan_scope import DjangoValue
from hybrid_gateway.exceptions import BadRequest
from hybrid_gateway.headers import merge_vary
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.request.request_parts import DJANGO_REQUEST, DjangoState
from hybrid_gateway.responses.cookies import set_cookie_headers
from hybrid_gateway.responses.raw_response import EndpointResponse, headers_of, replace_headers, status_of
from hybrid_gateway.sessions.flash_messages import Messages, check_messages_installed
from hybrid_gateway.types import Scope

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.contrib.auth.models import AnonymousUser
    from django.contrib.messages.storage.base import BaseStorage

    User = AbstractBaseUser | AnonymousUser

UNCHECKED_CSRF = "hybrid_gateway.unchecked_csrf"  # put there by a test client; no server has such a key


class DjangoContext:
    """The request, session and user as Django knows them; injected by type, lazy, one per request.

    ``request`` and ``session`` are those of ``django_middleware=`` where the route has them.
    """

    __slots__ = (
        "_body",
        "_check",
        "_ctx",
        "_flashes",
        "_owns_messages",
        "_owns_session",
        "_request",
        "_session",
        "is_csrf_exempt",
    )

    def __init__(
        self, ctx: RequestContext, *, is_csrf_exempt: bool = False, check: Callable[[DjangoContext], None] | None = None
    ) -> None:
        self._ctx = ctx
        self._check = check
        self._request: HttpRequest | None = None
        self._session: SessionBase | None = None
        self._owns_session = False
        self._flashes: Messages | None = None
        self._owns_messages = False
        self._body: bytes | None = None
        self.is_csrf_exempt = is_csrf_exempt

    @property
    def method(self) -> str:
        """The request's method."""
        return self._ctx.method

    @property
    def has_session_cookie(self) -> bool:
        """True where the request carries a session's cookie, of whatever worth."""
        return settings.SESSION_COOKIE_NAME in self._ctx.cookies()

    @property
    def is_handshake(self) -> bool:
        """True where a websocket is to be opened."""
        return self._ctx.is_handshake

    @property
    def is_from_page(self) -> bool:
        """True where the request says which page has sent it, or a test client vouches for it."""
        return self._ctx.header(b"origin") is not None or UNCHECKED_CSRF in self._ctx.scope

    @property
    def authentication(self) -> Authentication | None:
        """The outcome of authentication so far."""
        found: Authentication | None = self._ctx.authentication
        return found

    @property
    def request(self) -> HttpRequest:
        """The request as Django would have built it; raises 400 for a head that Django rejects."""
        request = self._request
        if request is None:
            request = self._ctx.scope.get(DJANGO_REQUEST)
        if request is None:
            try:
                request = TypedRequest(self._ctx.scope, self)
            except (DjangoBadRequest, UnicodeDecodeError):
                # DJANGO: core/handlers/asgi.py, create_request: both are a bare 400
                raise BadRequest("The head of the request is malformed.") from None
            if self._body is not None:
                request.give_body(self._body)
        self._request = request
        return request

    def give_body(self, body: bytes) -> None:
        """Take the body, once it has been read, and give it to a request that is ours."""
        self._body = body
        if self.own_request is not None:
            self.own_request.give_body(body)

    @property
    def session(self) -> SessionBase:
        """The session of the request's cookie, by the engine of ``SESSION_ENGINE``; nothing is loaded yet."""
        session = self._session
        if session is None:
            session = getattr(self._ctx.scope.get(DJANGO_REQUEST), "session", None)
        if session is None:
            # DJANGO: contrib/sessions/middleware.py, process_request
            cookies = self._request.COOKIES if self._request is not None else self._ctx.cookies()
            session = import_module(settings.SESSION_ENGINE).SessionStore(cookies.get(settings.SESSION_COOKIE_NAME))
            self._owns_session = True
        self._session = session
        return session

    @property
    def messages(self) -> Messages:
        """The flash messages of the request; below middleware those of ``MessageMiddleware``, where that is there."""
        if self._flashes is None:
            request = self.request
            storage = get_messages(request)
            if isinstance(storage, list):  # DJANGO: an empty one, where no middleware has made a storage
                if not hasattr(request, "session"):
                    request.session = self.session
                MessageMiddleware(_no_view).process_request(request)
                storage, self._owns_messages = get_messages(request), True
            self._flashes = Messages(cast("BaseStorage", storage))
        return self._flashes

    def find_user(self) -> User:
        """Return the session's user, or ``AnonymousUser``; blocks."""
        from django.contrib.auth import get_user  # imports models

        outer = self._ctx.scope.get(DJANGO_REQUEST)
        user: User = get_user(self.request) if outer is None else outer.find_session_user(self)
        return user

    def check(self) -> None:
        """Raise 403 for an unsafe request that may come from another site, which the cookies do not tell."""
        if self._check is not None:
            self._check(self)

    # --- for the way out

    @property
    def is_idle(self) -> bool:
        """True as long as nobody has asked for anything of it."""
        return self._request is None and self._session is None

    @property
    def is_below_django(self) -> bool:
        """True where ``django_middleware=`` stands around the route, and looks after its own request."""
        return DJANGO_REQUEST in self._ctx.scope

    @property
    def own_request(self) -> TypedRequest | None:
        """The request, where one was asked for and no middleware looks after it."""
        return self._request if isinstance(self._request, TypedRequest) else None

    def message_request(self) -> HttpRequest | None:
        """Return a request whose messages are to be saved; ``None`` if there are none, or middleware saves them."""
        request = self._request
        if request is None or not has_messages(request):
            return None
        return request if self._owns_messages or isinstance(request, TypedRequest) else None

    def session_request(self) -> HttpRequest | None:
        """Return a request with cookies and session for Django's session middleware; None if nobody asked for it."""
        own = self.own_request
        if own is not None:
            saves_always = settings.SESSION_SAVE_EVERY_REQUEST and self.has_session_cookie
            return own if "session" in own.__dict__ or self._session is not None or saves_always else None
        if not self._owns_session:
            return None  # nobody has asked, or it is the middleware's, which saves it
        # DJANGO: contrib/sessions/middleware.py, process_response reads these two attributes alone
        return cast("HttpRequest", SimpleNamespace(session=self._session, COOKIES=self._ctx.cookies()))


class TypedRequest(HeadRequest):
    """Django's request of a typed route: what ``MIDDLEWARE`` would have added to it is there when asked for."""

    def __init__(self, scope: Scope, visit: DjangoContext) -> None:
        super().__init__(scope)
        self._visit = visit
        self._session_user: User | None = None  # as auser() has found it
        set_csrf_unchecked(self, UNCHECKED_CSRF in scope)
        CsrfViewMiddleware(_no_view).process_request(self)

    @cached_property
    def session(self) -> SessionBase:  # type: ignore[override]  # it may be set, as in Django
        return self._visit.session

    @cached_property
    def user(self) -> User:  # type: ignore[override]
        """The authenticated user, else the session's user, else ``AnonymousUser``; looked up when first used.

        SECURITY: the session's user comes by a cookie, so with an unsafe method and without a CSRF token it is a 403.
        """
        self._require("django.contrib.auth")
        return cast("User", SimpleLazyObject(self._find_user))

    def _find_user(self) -> User:
        from django.contrib.auth import get_user

        found = self._visit.authentication
        user: User = get_user(self) if found is None else found.user
        if found is None and user.is_authenticated:
            self._visit.check()
        return user

    async def auser(self) -> User:  # type: ignore[override]
        """:attr:`user` for ``async def``."""
        from django.contrib.auth import aget_user

        found = self._visit.authentication
        known: User | None = self.__dict__.get("user") if found is None else found.user
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


def _no_view(request: HttpRequest) -> NoReturn:
    raise RuntimeError("Nothing lies below this middleware.")


def request_for_backends(ctx: RequestContext) -> HttpRequest | None:
    """Return the request for receivers of signals: the one that there is, else one of the head; never blocks."""
    visit = ctx.visit
    found: HttpRequest | None = ctx.scope.get(DJANGO_REQUEST) or (None if visit is None else visit.own_request)
    if found is not None:
        return found
    try:
        request = ASGIRequest(ctx.scope, io.BytesIO())
    except (DjangoBadRequest, UnicodeDecodeError):
        return None
    if apps.is_installed("django.contrib.auth"):
        from django.contrib.auth.models import AnonymousUser

        request.user = AnonymousUser() if ctx.authentication is None else ctx.authentication.user
    return request


class DjangoContextPlanner:
    """Makes the :class:`DjangoContext` of each request of one route; plans call its methods."""

    def __init__(self, *, csrf_exempt: bool = False, check: Callable[[DjangoContext], None] | None = None) -> None:
        self._csrf_exempt = csrf_exempt
        self._check = check

    def visit(self, ctx: RequestContext) -> DjangoContext:
        """Return the context of a request."""
        if ctx.visit is None:
            ctx.visit = DjangoContext(ctx, is_csrf_exempt=self._csrf_exempt, check=self._check)
        return cast("DjangoContext", ctx.visit)

    def give_body(self, ctx: RequestContext, body: bytes) -> None:
        """Let the request have the body."""
        self.visit(ctx).give_body(body)

    @property
    def values(self) -> dict[type, DjangoValue]:
        """By the type that asks for it: how it is made."""
        # With CSRF_USE_SESSIONS a request asks its session for the token first of all.
        # DJANGO: middleware/csrf.py, process_request
        mode: Mode = "thread" if settings.CSRF_USE_SESSIONS else "inline"
        return {
            HttpRequest: DjangoValue(make=lambda ctx: self.visit(ctx).request, mode=mode, takes_body=True),
            SessionBase: DjangoValue(make=lambda ctx: self.visit(ctx).session),
            Messages: DjangoValue(make=lambda ctx: self.visit(ctx).messages, mode=mode, check=check_messages_installed),
            DjangoContext: DjangoValue(make=self.visit, reads_cookies=False),
        }


async def finish_session(ctx: RequestContext, response: EndpointResponse) -> EndpointResponse:
    """Return ``response`` with the cookies of the visit, whose session and messages are saved on the request's thread.

    Raises ``SessionInterrupted``, a 400, where the session was deleted meanwhile.
    """
    visit = ctx.visit
    mode = None if visit is None else _mode_of(visit)
    if visit is None or mode is None:
        return response
    status = status_of(response)
    if mode == "thread":
        written = await ctx.thread.run(_run_middleware, visit, status)
    else:
        written = _run_middleware(visit, status)
    lines = set_cookie_headers(written.cookies)
    if lines:
        ctx.cacheable = None  # SECURITY: what was written for one visitor is stored for no other
    names = written.get("Vary", "").encode("latin-1")
    if not lines and not names:
        return response
    return replace_headers(response, [*merge_vary(headers_of(response), names), *lines])


def _run_middleware(visit: DjangoState, status: int) -> HttpResponse:
    # DJANGO: the process_response of three middleware classes, in the order of a new project's MIDDLEWARE, reversed.
    response, request, message_request = HttpResponse(status=status), visit.own_request, visit.message_request()
    if message_request is not None:
        MessageMiddleware(_no_view).process_response(message_request, response)
    if request is not None:
        CsrfViewMiddleware(_no_view).process_response(request, response)
    session_request = visit.session_request()
    if session_request is not None:
        SessionMiddleware(_no_view).process_response(session_request, response)
    return response


def _mode_of(visit: DjangoState) -> Literal["inline", "thread"] | None:
    """Return where the middleware runs: on a thread where something may be loaded or saved, nowhere for no change.

    PERF: 20 µs less than to hear that nothing has changed from Django.
    """
    request, session_request = visit.own_request, visit.session_request()
    has_new_token = request is not None and has_new_csrf_token(request)
    if visit.message_request() is not None or (has_new_token and settings.CSRF_USE_SESSIONS):
        return "thread"
    if session_request is None:
        return "inline" if has_new_token else None
    session = session_request.session
    if session.modified or settings.SESSION_SAVE_EVERY_REQUEST:
        return "thread"
    is_dead = session.is_empty() and settings.SESSION_COOKIE_NAME in session_request.COOKIES
    return "inline" if has_new_token or session.accessed or is_dead else None
