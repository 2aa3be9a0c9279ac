"""Django's own handlers, built once, handed the request as a server of their own kind would hand it.

How this works: the URL is resolved ahead, only to pick a handler. An ``async def`` view is Django's ``ASGIHandler``'s,
given the scope as it came. Every other request is ``WSGIHandler``'s: its body is read first, one environ is built from
the scope, and one unit of work on the request's thread runs middleware, view and ``response.close()``. Django's own
ASGI handler takes more than a dozen thread hops for the same page. Under a WSGI server the environ is passed on.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
import re
import threading
import traceback
from collections.abc import Callable, Iterable
from contextlib import nullcontext, suppress
from typing import IO, Any, Generic, Literal, TypeVar

from asgiref.sync import iscoroutinefunction
from django.apps import apps
from django.conf import settings
from django.contrib.staticfiles.handlers import (
    ASGIStaticFilesHandler,
    StaticFilesHandler,
    StaticFilesHandlerMixin,
)
from django.core.exceptions import RequestAborted, SuspiciousFileOperation
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.urls import ResolverMatch, URLResolver, get_resolver
from django.urls.resolvers import LocalePrefixPattern
from django.utils import translation
from django.utils.module_loading import import_string

from hybrid_gateway.concurrency.asgiref_bridge import thread_sensitive
from hybrid_gateway.concurrency.thread_pools import may_leave_state
from hybrid_gateway.django_side.django_responses import (
    DjangoResponseState,
    Stream,
    TravellingStream,
    discard,
    discard_result,
    send_complete,
    send_stream,
    send_until,
)
from hybrid_gateway.django_side.environ import build_environ, is_utf8, resolved_path
from hybrid_gateway.django_side.request_body import listen_for_disconnect, read_body, with_body_timeout
from hybrid_gateway.endpoints.errors import DISK_FULL, printable
from hybrid_gateway.exceptions import reason
from hybrid_gateway.headers import check_headers, checked_start_response
from hybrid_gateway.request.request_thread import RequestThread
from hybrid_gateway.types import Environ, Message, Receive, Scope, Send, StartResponse

T = TypeVar("T")

logger = logging.getLogger("django.request")

DJANGO_RESPONSE = "hybrid_gateway.response"  # in the environ, where somebody asks for it


class once(Generic[T]):  # noqa: N801  (reads as a decorator)
    """A ``cached_property`` that two threads never compute twice."""

    def __init__(self, build: Callable[[Any], T]) -> None:
        self._build = build
        self._lock = threading.RLock()
        self._name = build.__name__
        self.__doc__ = build.__doc__

    def __get__(self, instance: object, owner: type) -> T:
        with self._lock:
            if self._name not in instance.__dict__:
                instance.__dict__[self._name] = self._build(instance)
            value: T = instance.__dict__[self._name]
            return value


class DjangoSide:
    """Django's own handlers, chosen for each request by the ``mode`` of the setting ``DJANGO_SIDE``.

    Settings are read when it is built. ``static`` says whether static files are served too; ``None`` follows ``DEBUG``,
    unless WhiteNoise does.
    """

    def __init__(
        self, mode: Literal["auto", "wsgi", "asgi"] = "auto", static: bool | None = None, body_timeout: float = 30
    ) -> None:
        self.mode = mode
        self._body_timeout = body_timeout
        wanted = settings.DEBUG and not _has_whitenoise() if static is None else static
        self.static = bool(wanted and settings.STATIC_URL and apps.is_installed("django.contrib.staticfiles"))
        self._script_name: str = settings.FORCE_SCRIPT_NAME or ""
        self._leaves_something = any(map(may_leave_state, settings.MIDDLEWARE))
        self._memory_limit: int = settings.FILE_UPLOAD_MAX_MEMORY_SIZE
        self._urlconf = getattr(settings, "ROOT_URLCONF", None)

    def __repr__(self) -> str:
        return f"<DjangoSide {self.mode}{' with static files' if self.static else ''}>"

    @once
    def wsgi_handler(self) -> WSGIHandler:
        """Django's ``WSGIHandler`` with the middleware of the settings; built when first read, which blocks."""
        return _StaticFiles(_WSGIHandler()) if self.static else _WSGIHandler()

    @once
    def asgi_handler(self) -> ASGIHandler:
        """Django's ``ASGIHandler`` with the middleware of the settings; built when first read, which blocks."""
        return _ASGIStaticFiles(ASGIHandler()) if self.static else ASGIHandler()

    @once
    def views(self) -> URLConf:
        """The URLconf of the settings; importing it blocks."""
        return URLConf(self._urlconf)

    def resolve(self, path_info: str) -> ResolverMatch | None:
        """Return the match of a path in the URLconf; ``None`` where it has nothing for it, or is broken."""
        return self.views.resolve(path_info)

    def match_of_page(self, path_info: str) -> ResolverMatch | None:
        """Return the match of a path, unless the pattern is for any path at all.

        Such a pattern would as well answer a path that nobody can have meant, with other names in it.
        """
        match = self.resolve(path_info)
        if match is None or path_info == "/":
            return match
        other = self.resolve(re.sub("[^/]+", r"no-such-page-\g<0>", path_info))
        return None if other is not None and other.route == match.route else match

    def has_page(self, path_info: str) -> bool:
        """Return whether the URLconf has a page there, with or without a final slash, by a pattern not for any path.

        Nothing is remembered: a gateway may be built while the URLconf is being imported.
        """
        views, path = URLConf(self._urlconf), path_info.rstrip("/")
        parent, _, name = path.rpartition("/")
        for slash in ("", "/"):
            match = views.resolve(path + slash)
            other = views.resolve(f"{parent}/no-such-page-{name}{slash}")
            if match is not None and (other is None or other.route != match.route):
                return True
        return False

    def wsgi(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Return the response to a WSGI request: Django's own, or a stream that stays in the request's context."""
        # Language, time zone and script prefix live in the context: in a copy of it they die with the request.
        context = contextvars.copy_context()
        response = context.run(self.wsgi_handler, environ, checked_start_response(start_response))
        return Stream(response, context) if getattr(response, "streaming", False) else response

    async def asgi(self, scope: Scope, receive: Receive, send: Send, thread: RequestThread) -> None:
        """Respond to an HTTP request; blocking work runs on ``thread``, which the caller releases.

        Raises ``RequestTimeout`` before anything is sent when the body does not come.
        """
        if await self._wants_asgi(scope, thread):
            await self._respond_by_asgi(scope, receive, send, thread)
        else:
            await self._respond_by_wsgi(scope, receive, send, thread)

    async def _wants_asgi(self, scope: Scope, thread: RequestThread) -> bool:
        if self.mode != "auto":
            return self.mode == "asgi"
        if not is_utf8(scope.get("query_string", b"")):
            return True  # DJANGO: ASGIRequest answers 400, WSGIRequest would guess (core/handlers/asgi.py)
        if "views" not in self.__dict__:
            await thread.run(getattr, self, "views")
        return self.views.has_async and self.views.is_async(resolved_path(scope, self._script_name))

    # --- an asynchronous view ---

    async def _respond_by_asgi(self, scope: Scope, receive: Receive, send: Send, thread: RequestThread) -> None:
        if "asgi_handler" not in self.__dict__:
            await thread.run(getattr, self, "asgi_handler")
        handler: Any = self.asgi_handler
        thread.hold()  # what middleware leaves there is the view's, and nobody else's; as below Django's own handler
        with thread_sensitive(thread):
            # A task of its own, so that language, time zone and script prefix end with it.
            task = asyncio.create_task(
                handler(scope, with_body_timeout(receive, self._body_timeout), _guarded(send, scope["path"], thread))
            )
        await task

    # --- every other view ---

    async def _respond_by_wsgi(self, scope: Scope, receive: Receive, send: Send, thread: RequestThread) -> None:
        try:
            body, size = await read_body(with_body_timeout(receive, self._body_timeout), thread, self._memory_limit)
        except RequestAborted:
            return
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            await send_complete(_without_view(507, scope["path"]), send)
            return
        environ = build_environ(scope, self._script_name, body, size)
        disconnect = asyncio.ensure_future(listen_for_disconnect(receive))
        try:
            response = await self._run(environ, thread)
            if disconnect.done():
                await discard(response, thread)
                disconnect.result()
            elif isinstance(response.content, TravellingStream):
                await send_until(disconnect, send_stream(response, response.content, send, thread))
            else:
                await send_complete(response, send)
        finally:
            disconnect.cancel()

    async def _run(self, environ: Environ, thread: RequestThread) -> DjangoResponseState:
        unit = asyncio.ensure_future(thread.run(self._call, environ, thread))
        try:
            return await asyncio.shield(unit)
        except asyncio.CancelledError:
            # A running view cannot be stopped. Its response is dropped.
            unit.add_done_callback(functools.partial(discard_result, thread))
            raise

    def _call(self, environ: Environ, thread: RequestThread) -> DjangoResponseState:
        """One unit of work: the whole of an ordinary response, or a stream that has not begun and holds the thread."""
        body: IO[bytes] = environ["wsgi.input"]
        started: list[tuple[str, list[tuple[str, str]]]] = []
        environ[DJANGO_RESPONSE] = None
        try:
            handler: Any = self.wsgi_handler
            made = handler(environ, lambda *start: started.append(start))
        except Exception:
            body.close()
            if settings.DEBUG_PROPAGATE_EXCEPTIONS:
                raise
            return _without_view(500, environ["PATH_INFO"])
        response = environ.pop(DJANGO_RESPONSE) or made  # PERF: a response knows its environ, and is a cycle with it
        status, headers = started[-1]
        # DJANGO: 5.2 puts a space before cookies (core/handlers/wsgi.py), which ASGI servers may refuse.
        encoded = [(name.encode("ascii"), value.strip().encode("latin-1")) for name, value in headers]
        try:
            check_headers(encoded)
        except ValueError:
            made.close()
            body.close()
            return _without_view(500, environ["PATH_INFO"])
        if response.streaming:
            if self._leaves_something and not isinstance(response, FileResponse):
                thread.hold()  # it may query, where middleware has led the connection
            return DjangoResponseState(int(status[:3]), encoded, TravellingStream(response, made, body))
        try:
            content: bytes = response.content if made is response else b"".join(made)
            return DjangoResponseState(int(status[:3]), encoded, content)
        finally:
            made.close()
            body.close()


def _guarded(send: Send, path: str, thread: RequestThread) -> Send:
    """Return ``send`` that sends a 500 in place of a response whose headers must not be sent.

    It raises nothing: Django 5.2 would close neither its response nor the body of the request.
    """
    is_dropped = False

    async def check_and_send(message: Message) -> None:
        nonlocal is_dropped
        if is_dropped:
            return
        try:
            check_headers(message.get("headers", ()))
        except ValueError:
            is_dropped = True
            await send_complete(_without_view(500, path), send)
        else:
            if message.get("more_body"):
                thread.hold_long()
            await send(message)

    return check_and_send


def _without_view(status: int, path: str) -> DjangoResponseState:
    """Log the exception that is being handled, and return a plain response."""
    # DJANGO: ASGIHandler.handle_uncaught_exception (core/handlers/asgi.py): there is no server further up that would
    # turn the exception into a response.
    title = reason(status)
    logger.exception("%s: %s", title, printable(path), extra={"status_code": status})
    content = (traceback.format_exc() if settings.DEBUG else title).encode()
    headers = [(b"Content-Type", b"text/plain; charset=utf-8"), (b"Content-Length", b"%d" % len(content))]
    return DjangoResponseState(status, headers, content)


def _has_whitenoise() -> bool:
    """Return whether WhiteNoise, or a subclass of it, serves static files: under ``DEBUG`` by the same finders."""
    kinds = []
    for name in settings.MIDDLEWARE:
        with suppress(Exception):  # Django's handlers tell what is wrong
            kinds.append(import_string(name))
    bases = [base for kind in kinds if isinstance(kind, type) for base in kind.__mro__]
    return any(base.__module__ == "whitenoise.middleware" for base in bases)


class _KeepsResponse:
    """Keeps Django's response where it is found: error trackers patch its handlers to give back a wrapper of theirs."""

    def get_response(self, request: Any) -> HttpResponseBase:
        above: Any = super()
        response: HttpResponseBase = above.get_response(request)
        if DJANGO_RESPONSE in request.environ:
            request.environ[DJANGO_RESPONSE] = response
        return response


class _WSGIHandler(_KeepsResponse, WSGIHandler):
    pass


class _NothingOutside(StaticFilesHandlerMixin):
    """Responds with 404 to paths that lead out of the static files, as to others that lead nowhere."""

    def serve(self, request: HttpRequest) -> HttpResponse | FileResponse:
        # DJANGO: StaticFilesHandlerMixin.get_response (contrib/staticfiles/handlers.py) answers Http404 alone, so that
        # a client could have a traceback logged for each of its requests.
        try:
            return super().serve(request)
        except SuspiciousFileOperation as error:
            raise Http404 from error


class _StaticFiles(_KeepsResponse, _NothingOutside, StaticFilesHandler):  # type: ignore[misc]
    pass


class _ASGIStaticFiles(_NothingOutside, ASGIStaticFilesHandler):  # type: ignore[misc]
    pass


class URLConf:
    """The URLconf of the settings, walked once: which view would answer a path, and whether it is an ``async def``."""

    def __init__(self, urlconf: str | None) -> None:
        self._urlconf = urlconf
        self.has_async = False
        self._has_languages = False
        try:
            self._walk(get_resolver(urlconf))
        except Exception:
            # A URLconf that cannot be imported: Django's handler meets the same error and answers it.
            logger.debug("The URLconf %r cannot be read", urlconf, exc_info=True)

    def _walk(self, root: URLResolver) -> None:
        waiting, seen = [root], {id(root)}
        while waiting:
            resolver = waiting.pop()
            self._has_languages |= isinstance(resolver.pattern, LocalePrefixPattern)
            for pattern in resolver.url_patterns:
                if not isinstance(pattern, URLResolver):
                    self.has_async |= iscoroutinefunction(pattern.callback)
                elif id(pattern) not in seen:  # a URLconf may include itself
                    seen.add(id(pattern))
                    waiting.append(pattern)

    def is_async(self, path_info: str) -> bool:
        """Return whether an ``async def`` view answers ``path_info``, as far as the URLconf knows."""
        match = self.resolve(path_info)
        return match is not None and iscoroutinefunction(match.func)

    def resolve(self, path_info: str) -> ResolverMatch | None:
        """Return what answers ``path_info``, in the language that its beginning names; None if nothing does."""
        language = translation.get_language_from_path(path_info) if self._has_languages else None
        try:
            with translation.override(language) if language else nullcontext():
                return get_resolver(self._urlconf).resolve(path_info)
        except Exception:
            # Resolver404, or an error of a converter or an included URLconf: Django's handler meets it again.
            return None
