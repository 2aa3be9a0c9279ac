"""The Django request that passes ``django_middleware=``: its body may be read twice, and its user is the route's.

How this works: ``request.user`` below a route's middleware is whoever the route's own authentication finds, asked when
somebody first looks; the route, which comes later, does not ask again. Middleware that decorates or replaces the user
(one-time passwords, impersonation, hijacking) assigns ``request.user``, often lazily and on top of what it found there.
So what is found depends on when it was found: every look gives the user as it was left until then. In the end a
session's user is the one that the middleware left; who came with credentials of their own stays who they are, but
decorated.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache, partial
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from django.apps import apps
from django.core.handlers.asgi import ASGIRequest
from django.utils.functional import SimpleLazyObject

from hybrid_gateway._compat.cpython_internals import set_class
from hybrid_gateway._compat.django_internals import evaluate, is_evaluated, set_csrf_unchecked
from hybrid_gateway.access_control import Authentication
from hybrid_gateway.binding.request_cleanup import close_all
from hybrid_gateway.concurrency.asgiref_bridge import ReentrantThread
from hybrid_gateway.concurrency.caller_threads import AsgirefThread, InlineThread
from hybrid_gateway.django_side.request_body import ReplayableBody
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.request.request_parts import DJANGO_REQUEST
from hybrid_gateway.request.request_thread import RequestThread
from hybrid_gateway.sessions.django_context import UNCHECKED_CSRF, DjangoContext
from hybrid_gateway.types import Message, Scope

_UNSET = object()


class MiddlewareRequest(ASGIRequest):
    """Django's request of one typed route with ``django_middleware=``."""

    def __init__(self, scope: Scope, body: ReplayableBody, caller: Caller) -> None:
        super().__init__(scope, body.reader())
        set_csrf_unchecked(self, UNCHECKED_CSRF in scope)
        self.caller = caller
        self.is_answered = False  # by a complete response, with nothing to come after it
        self.endpoint: object = None  # below the middleware, a MiddlewareExchange
        self.ctx: RequestContext | None = None  # of the middleware
        self._session_user: object = _UNSET  # as AuthenticationMiddleware has assigned it
        self._assigned_user: object = _UNSET  # by other middleware
        self._login_user: object = _UNSET  # assigned by the route, in login() or logout()
        self._lazy_user: SimpleLazyObject[Any] | None = None  # made for the user in ``_lazy_for``
        self._lazy_for: object = _UNSET

    @property
    def __class__(self) -> type:
        return type(self)

    @__class__.setter
    def __class__(self, kind: type) -> None:
        """Some middleware (django-pghistory's) puts a class of its own under the request; it stays one of these."""
        set_class(self, _merged(kind))

    # --- who calls

    @property
    def user(self) -> Any:
        """The user, as far as the middleware has come; looked up when first used."""
        if self._login_user is not _UNSET:
            return self._login_user
        assigned = self._assigned_user
        if assigned is _UNSET and not apps.is_installed("django.contrib.auth"):
            raise AttributeError("'django.contrib.auth' is not among INSTALLED_APPS.")
        if self._lazy_user is None or self._lazy_for is not assigned:
            self._lazy_user, self._lazy_for = SimpleLazyObject(partial(self._find_user, assigned)), assigned
        return self._lazy_user

    @user.setter
    def user(self, user: object) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        if self.caller.is_inside:
            self._login_user = user
        else:
            self._assigned_user = user

    @property
    def auser(self) -> Callable[[], Awaitable[Any]]:
        """:attr:`user` for ``async def``."""
        return self._find_user_async

    @auser.setter
    def auser(self, auser: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Ignore it: :attr:`user` is assigned with it."""

    def session_user_is_set(self) -> None:
        """Take the assigned user for the session's, as of ``AuthenticationMiddleware``: one credential of several."""
        self._session_user, self._assigned_user = self._assigned_user, _UNSET

    def _find_user(self, assigned: object) -> Any:
        authentication = self.caller.ask()
        if authentication is None:
            return self._evaluate_assigned(assigned)
        if assigned is _UNSET:
            return authentication.user
        return evaluate(assigned) if _is_by_session(authentication) else _decorated(authentication.user, assigned)

    async def _find_user_async(self) -> Any:
        if self._login_user is _UNSET:
            await self.caller.ask_async()
        user = self.user
        return evaluate(user) if is_evaluated(user) else await sync_to_async(evaluate)(user)

    def _evaluate_assigned(self, assigned: object) -> Any:
        from django.contrib.auth.models import AnonymousUser  # needs the app registry

        if assigned is _UNSET:
            assigned = self._session_user
        return AnonymousUser() if assigned is _UNSET else evaluate(assigned)

    def find_session_user(self, visit: DjangoContext) -> Any:
        """Return the session's user as middleware has left it, for ``SessionAuthentication``."""
        from django.contrib.auth import get_user  # needs the app registry

        if self._assigned_user is not _UNSET or self._session_user is not _UNSET:
            return self._evaluate_assigned(self._assigned_user)
        if not hasattr(self, "session"):  # without Django's middleware for it
            self.session = visit.session
        return get_user(self)

    def as_left(self, authentication: Authentication | None) -> Authentication | None:
        """Return what the route's authentication has found, with the user that the middleware has assigned."""
        self.caller.know(authentication)
        if authentication is None or self._assigned_user is _UNSET:
            return authentication
        user = evaluate(self._assigned_user)
        if not _is_by_session(authentication):
            user = _decorated(authentication.user, user)
        elif not user.is_authenticated:
            return None
        if user is authentication.user:
            return authentication
        return authentication.with_user(user)


@cache
def _merged(kind: type) -> type:
    return type(kind.__name__, (kind, MiddlewareRequest), {"__module__": kind.__module__})


class UserBelow:
    """Functions that plans of routes below middleware call for the user, beside their schemes."""

    @staticmethod
    def known(ctx: RequestContext) -> Authentication | None:
        """Return what was found out for the middleware already; raise what that has raised."""
        request: MiddlewareRequest = ctx.scope[DJANGO_REQUEST]
        request.caller.check()
        known: Authentication | None = ctx.authentication
        return known

    @staticmethod
    def as_left(ctx: RequestContext, authentication: Authentication | None) -> Authentication | None:
        """Return what was found, with the user that the middleware has assigned; blocks."""
        request: MiddlewareRequest = ctx.scope[DJANGO_REQUEST]
        return request.as_left(authentication)


def _is_by_session(authentication: Authentication) -> bool:
    return authentication.scheme is not None and authentication.scheme.reads_session


def _decorated(user: Any, assigned: object) -> Any:
    """Return the assigned user where it is ``user`` with something added, else ``user``."""
    found = evaluate(assigned)
    return found if type(found) is type(user) and found.pk == user.pk else user


class Caller:
    """The caller of a route, found by its own authentication, at most once, for middleware that asks before it does."""

    def __init__(
        self,
        ctx: RequestContext,
        scope: Scope,
        authenticate: Callable[[RequestContext], Awaitable[Authentication | None]] | None,
        *,
        awaits: bool,
    ) -> None:
        self._ctx = ctx
        self._scope = scope  # of the route, which has the request in it
        self._authenticate = authenticate
        self._awaits = awaits
        self._is_done = authenticate is None
        self._known: Authentication | None = ctx.authentication  # by a test client
        self._error: Exception | None = None  # raised by asking, and to be raised by the route
        self.is_inside = False  # whether the route itself has begun

    def know(self, authentication: Authentication | None) -> None:
        """Take what the route has found out by itself."""
        self._known, self._is_done = authentication, True

    def enter(self, ctx: RequestContext) -> None:
        """Begin the route, which knows what is known."""
        self._ctx, self.is_inside = ctx, True
        ctx.authentication = self._known
        ctx.keeps_crash = True

    def check(self) -> None:
        """Raise what asking has raised, once."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    def take_crash(self) -> Exception | None:
        """Return the exception that nobody expected, if the route has raised one, and forget it."""
        crash, self._ctx.crash = self._ctx.crash, None
        return crash

    def ask(self) -> Authentication | None:
        """Return who calls; asks on a thread that may block."""
        if not self._is_done and self._known is None:
            self._is_done = True  # whom asking leads back here finds nobody
            if self._awaits:
                async_to_sync(self._ask_below_sync_code)()
            else:
                coroutine = self._ask(InlineThread())
                try:
                    coroutine.send(None)
                except StopIteration:
                    return self._known
                coroutine.close()
                raise RuntimeError("Authentication without asynchronous code waited: a defect of hybrid_gateway.")
        return self._known

    async def ask_async(self) -> Authentication | None:
        """Return who calls; asks on the event loop."""
        if not self._is_done and self._known is None:
            self._is_done = True
            await self._ask(self._ctx.thread)
        return self._known

    async def _ask_below_sync_code(self) -> None:
        thread = self._ctx.thread
        await self._ask(thread if isinstance(thread, AsgirefThread) else ReentrantThread(thread).use_for_task())

    async def _ask(self, thread: RequestThread) -> None:
        assert self._authenticate is not None
        ctx, error = RequestContext(self._scope, _no_body, lambda: thread), None
        ctx.path_values = self._ctx.path_values
        try:
            self._known = await self._authenticate(ctx)
        except Exception as failure:
            error = self._error = failure
        if ctx.exits:
            failed = await close_all(ctx, error)
            if isinstance(failed, Exception):
                self._known, self._error = None, failed


async def _no_body() -> Message:
    raise RuntimeError("Authentication comes before the body.")
