"""The Django request that passes ``django_middleware=``: its body may be read twice, and its user is the route's.

How this works: ``request.user`` below a route's middleware is whoever the route's own authentication finds, asked when
somebody first looks; the route, which comes later, does not ask again. Middleware that decorates or replaces the user
(one-time passwords, impersonation, hijacking) assigns ``request.user``, often lazily and on top of what it found there.
So what is found depends on when it was found: every look gives the user as it was left until then. In the end a
session's user is the one that the middleware left; who came with credentials of their own stays who they are, but
decorated.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Awaitable, Callable
from functools import cache, partial
from typing import IO, TYPE_CHECKING, Any

from asgiref.sync import async_to_sync, sync_to_async
from django.apps import apps
from django.core.handlers.asgi import ASGIRequest
from django.utils.functional import SimpleLazyObject

from hybrid_gateway._compat.django_internals import evaluate, is_evaluated, set_csrf_unchecked
from hybrid_gateway.auth import Authentication
from hybrid_gateway.binding.request_cleanup import close_all
from hybrid_gateway.concurrency.asgiref_bridge import ReentrantThread
from hybrid_gateway.concurrency.caller_threads import AsgirefThread, InlineThread
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.sessions.django_context import DJANGO_REQUEST, UNCHECKED_CSRF

if TYPE_CHECKING:
    from hybrid_gateway.sessions.django_context import DjangoContext

__all__ = ["ReplayableBody", "Caller", "UserBelow", "MiddlewareRequest"]

_UNSET: Any = object()


class MiddlewareRequest(ASGIRequest):
    """Django's request of one typed route with ``django_middleware=``."""

    def __init__(self, scope: Any, body: ReplayableBody, caller: Caller) -> None:
        super().__init__(scope, body.reader())
        set_csrf_unchecked(self, UNCHECKED_CSRF in scope)
        self.caller = caller
        self.is_answered = False  # whole, with nothing to come after it
        self.passage: Any = None  # for the middleware's other end: the exchange, and the call
        self._session_user: Any = _UNSET  # AuthenticationMiddleware's
        self._left: Any = _UNSET  # what other middleware has assigned
        self._logged_in: Any = _UNSET  # what the route has, by login() or logout()
        self._looked: tuple[Any, Any] = (None, None)

    @property
    def __class__(self) -> type:
        return type(self)

    @__class__.setter
    def __class__(self, kind: type) -> None:
        """Some middleware (django-pghistory's) puts a class of its own under the request; it stays one of these."""
        _set_class(self, _merged(kind))

    # --- who calls

    @property
    def user(self) -> Any:
        """Who calls, as far as the middleware has come; looked up when first used."""
        if self._logged_in is not _UNSET:
            return self._logged_in
        if self._left is _UNSET and not apps.is_installed("django.contrib.auth"):
            raise AttributeError("'django.contrib.auth' is not among INSTALLED_APPS.")
        left, user = self._looked
        if user is None or left is not self._left:
            user = SimpleLazyObject(partial(self._find_user, self._left))
            self._looked = (self._left, user)
        return user

    @user.setter
    def user(self, user: Any) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        if self.caller.is_inside:
            self._logged_in = user
        else:
            self._left = user

    @property
    def auser(self) -> Callable[[], Awaitable[Any]]:
        """:attr:`user` for ``async def``."""
        return self._find_user_async

    @auser.setter
    def auser(self, auser: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """What goes with an assigned :attr:`user`, which says it all."""

    def session_user_is_set(self) -> None:
        """``AuthenticationMiddleware`` has assigned the user: the session's, which is one credential of several."""
        self._session_user, self._left = self._left, _UNSET

    def _find_user(self, left: Any) -> Any:
        authentication = self.caller.ask()
        if authentication is None:
            return self._assigned(left)
        if left is _UNSET:
            return authentication.user
        return evaluate(left) if _is_by_session(authentication) else _decorated(authentication.user, left)

    async def _find_user_async(self) -> Any:
        if self._logged_in is _UNSET:
            await self.caller.ask_async()
        user = self.user
        return evaluate(user) if is_evaluated(user) else await sync_to_async(evaluate)(user)

    def _assigned(self, left: Any) -> Any:
        from django.contrib.auth.models import AnonymousUser

        assigned = self._session_user if left is _UNSET else left
        return AnonymousUser() if assigned is _UNSET else evaluate(assigned)

    def find_session_user(self, visit: DjangoContext) -> Any:
        """The session's user as middleware has left it; what ``SessionAuthentication`` asks."""
        from django.contrib.auth import get_user

        if self._left is not _UNSET or self._session_user is not _UNSET:
            return self._assigned(self._left)
        if not hasattr(self, "session"):  # without Django's middleware for it
            self.session = visit.session
        return get_user(self)

    def as_left(self, authentication: Authentication | None) -> Authentication | None:
        """What the route's authentication has found, with the user that the middleware has left."""
        self.caller.know(authentication)
        if authentication is None or self._left is _UNSET:
            return authentication
        user = evaluate(self._left)
        if not _is_by_session(authentication):
            user = _decorated(authentication.user, user)
        elif not user.is_authenticated:
            return None
        if user is authentication.user:
            return authentication
        return Authentication(
            user=user, scheme=authentication.scheme, token=authentication.token, scopes=authentication.scopes
        )


_set_class = vars(object)["__class__"].__set__


@cache
def _merged(kind: type) -> type:
    return type(kind.__name__, (kind, MiddlewareRequest), {"__module__": kind.__module__})


class UserBelow:
    """What plans of routes below middleware ask of authentication, beside their schemes."""

    @staticmethod
    def known(ctx: RequestContext) -> Authentication | None:
        """What was found out for the middleware already; raises what that has raised."""
        request: MiddlewareRequest = ctx.scope[DJANGO_REQUEST]
        request.caller.check()
        known: Authentication | None = ctx.authentication
        return known

    @staticmethod
    def as_left(ctx: RequestContext, authentication: Authentication | None) -> Authentication | None:
        """What was found, with the user that the middleware has left; blocks."""
        request: MiddlewareRequest = ctx.scope[DJANGO_REQUEST]
        return request.as_left(authentication)


def _is_by_session(authentication: Authentication) -> bool:
    return authentication.scheme is not None and authentication.scheme.reads_session


def _decorated(user: Any, left: Any) -> Any:
    """``user`` as middleware has left them; somebody else who was left there is not them."""
    left = evaluate(left)
    return left if type(left) is type(user) and left.pk == user.pk else user


class Caller:
    """Asks the route's own authentication, at most once, for middleware that wants to know before the route does."""

    def __init__(
        self,
        ctx: RequestContext,
        scope: Any,
        authenticate: Callable[[RequestContext], Awaitable[Any]] | None,
        *,
        awaits: bool,
    ) -> None:
        self._call = ctx
        self._scope = scope  # of the route, which has the request in it
        self._authenticate = authenticate
        self._awaits = awaits
        self._is_done = authenticate is None
        self._known = ctx.authentication  # by a test client
        self._refusal: Exception | None = None  # what asking has raised, and the route is to raise
        self.is_inside = False  # whether the route itself has begun

    def know(self, authentication: Authentication | None) -> None:
        """The route has found out by itself."""
        self._known, self._is_done = authentication, True

    def enter(self, ctx: RequestContext) -> None:
        """The route begins, and knows what is known."""
        self._call, self.is_inside = ctx, True
        ctx.authentication = self._known
        ctx.keeps_crash = True

    def check(self) -> None:
        """Raise what asking has raised, once."""
        refusal, self._refusal = self._refusal, None
        if refusal is not None:
            raise refusal

    def take_crash(self) -> Exception | None:
        """The exception that nobody expected, if the route has raised one."""
        crash, self._call.crash = self._call.crash, None
        return crash

    def ask(self) -> Authentication | None:
        """From a thread that blocks."""
        if not self._is_done and self._known is None:
            self._is_done = True  # whom asking leads back here finds nobody
            if self._awaits:
                async_to_sync(self._ask_below_sync_code)()
            else:
                self._step()
        known: Authentication | None = self._known
        return known

    async def ask_async(self) -> Authentication | None:
        """From the event loop."""
        if not self._is_done and self._known is None:
            self._is_done = True
            await self._ask(self._call.thread)
        known: Authentication | None = self._known
        return known

    def _step(self) -> None:
        coroutine = self._ask(InlineThread())
        try:
            coroutine.send(None)
        except StopIteration:
            return
        coroutine.close()
        raise RuntimeError("Authentication without asynchronous code waited; this is a defect of hybrid_gateway.")

    async def _ask_below_sync_code(self) -> None:
        thread = self._call.thread
        await self._ask(thread if isinstance(thread, AsgirefThread) else ReentrantThread(thread).use_for_task())

    async def _ask(self, thread: Any) -> None:
        assert self._authenticate is not None
        ctx, error = RequestContext(self._scope, _no_body, lambda: thread), None
        ctx.path_values = self._call.path_values
        try:
            self._known = await self._authenticate(ctx)
        except Exception as refusal:
            error = self._refusal = refusal
        if ctx.exits:
            failure = await close_all(ctx, error)
            if failure is not None and isinstance(failure, Exception):
                self._known, self._refusal = None, failure


async def _no_body() -> Any:
    raise RuntimeError("Authentication comes before the body.")


class ReplayableBody:
    """The body of a request, for several that read it, each from its beginning."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._lock = threading.Lock()
        self.size = size
        self.is_in_memory = isinstance(file, io.BytesIO)

    def read(self, position: int, size: int) -> bytes:
        """So many bytes from there, or what there is; blocks where the body is on disk."""
        with self._lock:
            self._file.seek(position)
            return self._file.read(size)

    def reader(self) -> IO[bytes]:
        """A file of its own, as far as its reader sees."""
        return io.BufferedReader(_Reader(self), 64 * 1024)

    def close(self) -> None:
        """Forget the body."""
        self._file.close()


class _Reader(io.RawIOBase):
    def __init__(self, body: ReplayableBody) -> None:
        self._body = body
        self._position = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._body.read(self._position, len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)
