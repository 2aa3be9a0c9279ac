"""The WSGI driver: the same endpoints from a WSGI server, or Django's own WSGI handler for Django's paths.

How this works: an endpoint without asynchronous code is stepped right here, in the worker's thread, and never meets an
event loop. Everything else (async handlers, streams, ASGI middleware) runs on a loop that outlives requests, while the
worker waits and lends its thread to whatever blocks.

A worker that has served Django's side belongs to it from then on, since middleware leaves search paths, roles and users
on threads and connections: what blocks in typed routes is then done on the gateway's pool, while the worker waits.
PERF: that costs 35 µs, so it is not done where no page was served.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import contextvars
import errno
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from django.core.handlers.wsgi import get_script_name
from starlette.requests import ClientDisconnect

from hybrid_gateway.concurrency.asgiref_bridge import thread_sensitive
from hybrid_gateway.concurrency.caller_threads import CallingThread, InlineThread, WaitingThread
from hybrid_gateway.concurrency.pooled_thread import PooledThread
from hybrid_gateway.concurrency.request_thread import RequestThread
from hybrid_gateway.concurrency.unit_of_work import close_unit, open_unit
from hybrid_gateway.dispatch.fallback import RejectedRequest
from hybrid_gateway.dispatch.mounts import Mounted
from hybrid_gateway.dispatch.request_checks import UNCHECKED_HOST
from hybrid_gateway.drivers.asgi_driver import force_authentication
from hybrid_gateway.exceptions import reason
from hybrid_gateway.headers import headers_to_send
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.sessions.django_context import UNCHECKED_CSRF
from hybrid_gateway.types import Environ, Message, StartResponse

if TYPE_CHECKING:
    from hybrid_gateway.gateway.application import Gateway

__all__ = ["WSGIDriver"]

logger = logging.getLogger("hybrid_gateway")


_CHUNK = 64 * 1024  # bytes read from wsgi.input at a time
_INLINE = InlineThread()


def _inline() -> InlineThread:
    return _INLINE


class WSGIDriver:
    """The WSGI application of one gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._worker = _Worker()
        self._lifespan = _OnceStarted(gateway)

    def __repr__(self) -> str:
        return f"<WSGI side of {self._gateway!r}>"

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        request = _Request(self._gateway, environ)
        if request.is_django:
            self._worker.is_djangos = True
            return self._gateway.django.wsgi(environ, start_response)
        if not self._lifespan.is_started:
            self._lifespan.start()
        open_unit()
        body: Iterable[bytes] = ()
        try:
            body = self._serve(request, start_response, self._worker)
        finally:
            if not isinstance(body, Iterator):
                close_unit()
        return _Closing(body) if isinstance(body, Iterator) else body

    def serve(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request on the calling thread, without touching its database connections."""
        request = _Request(self._gateway, environ)
        if request.is_django:
            return self._gateway.django.wsgi(environ, start_response)
        return self._serve(request, start_response)

    def _serve(
        self, request: _Request, start_response: StartResponse, worker: _Worker | None = None
    ) -> Iterable[bytes]:
        # Nothing a handler does to language, time zone or script prefix is seen by the thread's next request.
        return contextvars.copy_context().run(self._answer, request, start_response, worker)

    def _answer(self, request: _Request, start_response: StartResponse, worker: _Worker | None) -> Iterable[bytes]:
        gateway, ctx, scope, environ = self._gateway, request.ctx, request.scope, request.environ
        force_authentication(ctx)
        endpoint: Any
        middleware: tuple[Any, ...]
        if request.refusal is not None:
            endpoint, middleware = RejectedRequest(gateway, request.refusal), ()
        else:
            endpoint, middleware = gateway.asgi.open(ctx, request.path, scope["root_path"]), gateway.middleware
        if isinstance(endpoint, Mounted) and not middleware:
            mounted = endpoint.serve_wsgi(environ, start_response)
            if mounted is not None:
                return mounted
        pooled = None
        if worker is not None and self._needs_pool(worker, endpoint):
            pooled = gateway.lend_thread()
            ctx.borrow(lambda: WaitingThread(pooled))
        if middleware or endpoint.middleware or endpoint.awaits:
            return self._bridge(gateway.asgi.serve, scope, environ, start_response, pooled)
        answer: Any = None
        try:
            answer = _step(endpoint.respond(ctx))
        except ClientDisconnect:
            # SPEC: PEP 3333: start_response is called whatever happens; servers log a traceback where it was not.
            _start(start_response, 400, [(b"content-length", b"0")])
            return ()
        finally:
            if pooled is not None and (answer is None or type(answer) is tuple):  # a stream still needs its thread
                pooled.release()
        if type(answer) is tuple:
            status, headers, body = gateway.asgi.completed(ctx, endpoint, answer)
            _start(start_response, status, headers_to_send(status, headers, body))
            return () if ctx.method == "HEAD" else (body,)

        async def send_response(_: Message, receive: Any, send: Any, thread: RequestThread) -> None:
            ctx.move(thread)
            with thread_sensitive(thread):
                await gateway.asgi.send_response(ctx, endpoint, answer, receive, send)

        return self._bridge(send_response, scope, environ, start_response, pooled)

    def _needs_pool(self, worker: _Worker, endpoint: Any) -> bool:
        """Whether what blocks must not run on the worker's own thread, for what others have left there, or it would."""
        gateway, passed = self._gateway, getattr(endpoint, "django_middleware", None)
        if passed is not None and passed.pool is gateway.pools.django:
            worker.is_djangos = True
            return False
        return worker.is_djangos or (passed is not None and passed.pool is not gateway.pool)

    def _bridge(
        self,
        application: Any,
        scope: Message,
        environ: Environ,
        start_response: StartResponse,
        pooled: PooledThread | None,
    ) -> Iterable[bytes]:
        """Run an ASGI application on the loop and give its messages to WSGI as they come.

        What blocks runs on ``pooled``, or on the worker's own thread where there is none.
        """
        bridge = _Bridge(pooled or self._gateway.lend_thread())
        chunks = bridge.messages(
            application(scope, bridge.receive(_reader(environ)), bridge.send, pooled or bridge), self._gateway
        )
        start = next(chunks, None)
        if start is None:
            _start(start_response, 500, [(b"content-length", b"0")])
            return ()
        _start(start_response, start["status"], start["headers"])
        return bridge.bodies(chunks)


class _Worker(threading.local):
    """What is known of the calling thread."""

    is_djangos = False  # it has served Django's side


class _Request:
    """One request to the WSGI application, and which side it goes to, if to any."""

    __slots__ = ("ctx", "environ", "is_django", "path", "refusal", "scope")

    def __init__(self, gateway: Gateway, environ: Environ) -> None:
        self.environ = environ
        self.scope = scope = build_scope(environ)
        self.path: str = scope["path"][len(scope["root_path"]) :]
        self.ctx = RequestContext(scope, _reader(environ), _inline)
        self.refusal = gateway.asgi.refuse(self.ctx, self.path)
        self.is_django = self.refusal is None and gateway.is_django(self.path)


class _OnceStarted:
    """WSGI knows no lifespan: it begins with the first request of a process, and ends with the interpreter."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._lock = threading.Lock()
        self.is_started = False

    def start(self) -> None:
        """Start up, once; an error is the first request's, and the next one tries again."""
        with self._lock:
            if self.is_started:
                return
            gateway = self._gateway
            if gateway.has_lifespan:
                gateway.loop_thread.run(gateway.run_outside_requests(gateway.startup()))
                atexit.register(self._stop)
            self.is_started = True

    def _stop(self) -> None:
        try:
            gateway = self._gateway
            gateway.loop_thread.run(gateway.run_outside_requests(gateway.shutdown()))
        except Exception:
            logger.exception("lifespan.shutdown failed")


# --- stepping a coroutine that never waits -------------------------------------------------------------------------


def _step(coroutine: Coroutine[Any, Any, Any]) -> Any:
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    raise RuntimeError("A handler without asynchronous code waited; this is a defect of hybrid_gateway.")


def _reader(environ: Environ) -> Callable[[], Awaitable[Message]]:
    """``wsgi.input`` as an ASGI ``receive``: as many bytes as announced, or to the end of a terminated stream."""
    stream = environ["wsgi.input"]
    length = environ.get("CONTENT_LENGTH")
    left = _number(length) if length and _is_number(length) else None
    if left is None and not environ.get("wsgi.input_terminated"):
        left = 0

    async def receive() -> Message:
        nonlocal left
        size = _CHUNK if left is None else min(left, _CHUNK)
        chunk = stream.read(size) if size else b""
        if left is not None:
            left -= len(chunk)
            if left and not chunk:
                raise ClientDisconnect
        more = bool(chunk) if left is None else left > 0
        return {"type": "http.request", "body": chunk, "more_body": more}

    return receive


# --- from the loop back to the worker ------------------------------------------------------------------------------


class _Bridge(CallingThread):
    """A waiting worker that, beside blocking work, gets the messages of an ASGI application one by one."""

    def receive(self, read: Callable[[], Awaitable[Message]]) -> Callable[[], Awaitable[Message]]:
        """``receive`` of the application: the body is read in the worker's thread."""
        finished = False

        async def receive() -> Message:
            nonlocal finished
            if finished:
                return await self.until_gone()
            message: Message = await self.run(_step, read())
            finished = not message["more_body"]
            return message

        return receive

    async def until_gone(self) -> Message:
        """WSGI tells nobody that a client has left; the wait ends when the answer is closed."""
        await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        await self.run(self._pending.append, message)

    def messages(self, coroutine: Coroutine[Any, Any, None], gateway: Gateway) -> Generator[Message, None, None]:
        """Drive ``coroutine`` on the gateway's loop; yield what it sends, raise what it raises.

        Closed early, it cancels the coroutine and lets it clean up here.
        """
        self._pending: list[Message] = []
        with contextlib.closing(self.steps(coroutine, gateway.loop_thread)) as steps:
            for _ in steps:
                while self._pending:
                    yield self._pending.pop(0)

    def bodies(self, messages: Generator[Message, None, None]) -> Iterator[bytes]:
        """The bodies of the other messages; raises where there is no last one, so that the answer ends unfinished."""
        more = True
        with contextlib.closing(messages):
            for message in messages:
                if message.get("body"):
                    yield message["body"]
                more = message.get("more_body", False)
        if more:
            raise ConnectionResetError(errno.ECONNRESET, "The answer was cut.")  # which servers take calmly


class _Closing:
    """A body after whose last chunk the thread's connections are looked after."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def close(self) -> None:
        try:
            close = getattr(self._chunks, "close", None)
            if close is not None:
                close()
        finally:
            close_unit()


# --- environ → scope -----------------------------------------------------------------------------------------------


def build_scope(environ: Environ) -> Message:
    """The ASGI scope of a WSGI request, once; SPEC: PEP 3333 strings are bytes in latin-1."""
    root = get_script_name(environ).rstrip("/")
    path = _decode(environ.get("PATH_INFO", "")) or "/"
    headers = [
        (name[5:].replace("_", "-").lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in environ.items()
        if name.startswith("HTTP_")
    ]
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            headers.append((name.replace("_", "-").lower().encode(), environ[name].encode("latin-1")))
    scope: Message = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "method": environ["REQUEST_METHOD"],
        "scheme": environ.get("wsgi.url_scheme", "http"),
        "path": root + path,
        "raw_path": _raw_path(environ) or quote(root + path).encode(),
        "query_string": environ.get("QUERY_STRING", "").encode("latin-1"),
        "root_path": root,
        "headers": headers,
        "client": (environ["REMOTE_ADDR"], _number(environ.get("REMOTE_PORT"))) if environ.get("REMOTE_ADDR") else None,
        "server": (environ["SERVER_NAME"], _number(environ.get("SERVER_PORT"))) if "SERVER_NAME" in environ else None,
    }
    if "SERVER_PROTOCOL" in environ:
        scope["http_version"] = environ["SERVER_PROTOCOL"].partition("/")[2]
    for key in _FROM_TESTS:
        if key in environ:
            scope[key] = environ[key]
    return scope


_FROM_TESTS = ("hybrid_gateway.authentication", UNCHECKED_CSRF, UNCHECKED_HOST)  # no server has such keys


def _raw_path(environ: Environ) -> bytes:
    """The path as it was asked for, where the server tells: gunicorn, uWSGI, Waitress and others do."""
    target: str = environ.get("RAW_URI") or environ.get("REQUEST_URI") or ""
    if "#" in target:  # which the server has cut: see RequestValidator
        return target.encode("latin-1", "replace")
    return target.partition("?")[0].encode("latin-1", "replace") if target.startswith("/") else b""


def _decode(text: str) -> str:
    return text.encode("latin-1").decode("utf-8", "replace")


def _is_number(text: str) -> bool:
    # SECURITY: only ASCII digits are digits, and int() raises for 5,000 of them.
    return text.isascii() and text.isdigit() and len(text) <= 18


def _number(text: str | None) -> int:
    return int(text) if text and _is_number(text) else 0


def _start(start_response: StartResponse, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
    # SPEC: PEP 3333, "Other HTTP Features": what speaks of the connection is the server's alone.
    lines = [(_title(name), value.decode("latin-1")) for name, value in headers if name != b"connection"]
    start_response(f"{status} {_phrase(status)}", lines)


def _title(name: bytes) -> str:
    return name.decode("latin-1").title()


def _phrase(status: int) -> str:
    if status >= 400:
        return reason(status)
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
