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
from functools import partial
from typing import Any, cast

from django.urls import set_script_prefix
from starlette.requests import ClientDisconnect

from hybrid_gateway.concurrency.asgiref_bridge import enter_request, thread_sensitive
from hybrid_gateway.concurrency.caller_threads import CallingThread, LoopThread, WaitingThread
from hybrid_gateway.concurrency.thread_pools import PooledThread
from hybrid_gateway.concurrency.unit_of_work import close_unit, open_unit
from hybrid_gateway.dispatch.dispatcher import FORCED_AUTHENTICATION, Responder, force_authentication
from hybrid_gateway.dispatch.fallback import RejectedRequest
from hybrid_gateway.dispatch.mounts import Mounted
from hybrid_gateway.drivers.asgi_driver import ASGIDriver
from hybrid_gateway.drivers.served_application import ServedApplication
from hybrid_gateway.drivers.wsgi_scope import WSGIRequest, build_receive, start, step
from hybrid_gateway.exceptions import HTTPException
from hybrid_gateway.headers import check_headers
from hybrid_gateway.request.request_thread import RequestThread
from hybrid_gateway.responses.raw_response import RawResponse
from hybrid_gateway.types import ASGIApp, Environ, Message, Receive, Send, StartResponse

logger = logging.getLogger("hybrid_gateway")

Answer = Callable[[Receive, Send, RequestThread], Coroutine[Any, Any, None]]
"""A function that answers one request on a loop, and is told which thread blocking work runs on."""


class WSGIDriver:
    """The WSGI application of one gateway; ``asgi`` answers what needs an event loop before an endpoint is known."""

    def __init__(self, application: ServedApplication, asgi: ASGIDriver) -> None:
        self._application = application
        self._dispatcher = application.dispatcher
        self._asgi = asgi
        self._django = application.dispatcher.django
        self._django_below = application.dispatcher.prefixes.below
        self._shutdown = application.dispatcher.shutdown
        self._is_checked_further = bool(application.dispatcher.security.redirects or application.dispatcher.forced_root)
        self._worker = _Worker()
        self._starting = threading.Lock()
        self._has_started = False
        self._begin: Callable[..., Iterable[bytes]] = self._answer
        if application.emit.table:
            self.knows_requests()

    def __repr__(self) -> str:
        return f"<WSGI side of {self._application!r}>"

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = self._find_path(environ)
        if path is not None and path.startswith(self._django_below):  # PERF: most of Django's, at once
            self._worker.is_djangos = True
            return self._django.wsgi(environ, start_response)
        request = WSGIRequest(environ)
        path, error = self._judge(request, path)
        if error is None and self._dispatcher.is_django(path):
            self._worker.is_djangos = True
            return self._django.wsgi(environ, start_response)
        if not self._has_started:
            self._start_up()
        open_unit()
        body: Iterable[bytes] = ()
        try:
            body = contextvars.copy_context().run(self._begin, request, path, error, start_response, self._worker)
        finally:
            if not isinstance(body, Iterator):
                close_unit()
        return _ClosingBody(body) if isinstance(body, Iterator) else body

    def serve(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request on the calling thread, without touching its database connections."""
        request = WSGIRequest(environ)
        path, error = self._judge(request, self._find_path(environ))
        if error is None and self._dispatcher.is_django(path):
            return self._django.wsgi(environ, start_response)
        return contextvars.copy_context().run(self._answer, request, path, error, start_response, None)

    def knows_requests(self) -> None:
        """Let each request be known while it lasts, and end with its answer. PERF: without listeners nobody asks."""
        self._begin = self._answer_known

    def _answer_known(self, ctx: WSGIRequest, *arguments: Any) -> Iterable[bytes]:
        enter_request(ctx)
        body: Iterable[bytes] = ()
        try:
            body = self._answer(ctx, *arguments)
        finally:
            if not isinstance(body, Iterator):
                ctx.release()
        return _LastingBody(body, ctx.release) if isinstance(body, Iterator) else body

    def _find_path(self, environ: Environ) -> str | None:
        """Return the path of a request that is in order, where that is seen at once."""
        if self._is_checked_further or self._shutdown.has_begun:
            return None
        return self._dispatcher.validator.find_plain_path(environ)

    def _judge(self, request: WSGIRequest, path: str | None) -> tuple[str, HTTPException | None]:
        """Return the path of a request, and why neither side shall see it, if there is a reason."""
        if path is not None:
            return path, None
        request.root = root = request.scope["root_path"]
        below: str = request.scope["path"][len(root) :]
        return below, self._dispatcher.validate(request, below)

    def _answer(
        self,
        ctx: WSGIRequest,
        path: str,
        error: HTTPException | None,
        start_response: StartResponse,
        worker: _Worker | None,
    ) -> Iterable[bytes]:
        # In a context of its own, so that the thread's next request sees no language, time zone or script prefix of it.
        application, dispatcher = self._application, self._dispatcher
        if FORCED_AUTHENTICATION in ctx.environ:
            force_authentication(ctx)
        responder: Responder
        middleware = application.middleware
        if error is not None:
            responder, middleware = RejectedRequest(dispatcher.table, error), ()
        else:
            responder = dispatcher.find_responder(ctx, path, ctx.root)
        if isinstance(responder, Mounted) and not middleware:
            mounted = responder.serve_wsgi(ctx.environ, start_response)
            if mounted is not None:
                return mounted
        pooled: PooledThread | None = None
        if worker is not None:
            passed = responder.django_middleware
            if passed is not None and passed.pool is application.pools.django:
                worker.is_djangos = True
            elif worker.is_djangos or (passed is not None and passed.pool is not application.pools.typed):
                # What blocks must not run on the worker's own thread, because of what is left there.
                pooled = thread = application.lend_thread()
                ctx.borrow(lambda: WaitingThread(thread))
        if middleware or responder.middleware:
            return self._bridge(partial(self._asgi.serve, ctx.scope), ctx, start_response, pooled)
        if responder.awaits:
            return self._answer_on_loop(ctx, responder, start_response, pooled)
        response: RawResponse | ASGIApp | None = None
        try:
            response = step(responder.respond(ctx))
        except ClientDisconnect:
            # SPEC: PEP 3333: start_response is called whatever happens; servers log a traceback where it was not.
            start(start_response, 400, [(b"content-length", b"0")])
            return ()
        finally:
            if pooled is not None and (response is None or isinstance(response, tuple)):  # a stream needs its thread
                pooled.release()
        if isinstance(response, tuple):
            return self._finish(ctx, responder, response, start_response)
        assert response is not None
        streamed = response

        async def run_response(receive: Receive, send: Send, thread: RequestThread) -> None:
            ctx.move(thread)
            with thread_sensitive(thread):
                await dispatcher.run_response(ctx, responder, streamed, receive, send)

        return self._bridge(run_response, ctx, start_response, pooled)

    def _finish(
        self, ctx: WSGIRequest, responder: Responder, response: RawResponse, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Return the body of a complete response, whose head is started."""
        status, headers, body = self._dispatcher.finalize(ctx, responder, response)
        check_headers(headers)
        start(start_response, status, headers, body)
        return () if ctx.method == "HEAD" else (body,)

    def _answer_on_loop(
        self, ctx: WSGIRequest, responder: Responder, start_response: StartResponse, pooled: PooledThread | None
    ) -> Iterable[bytes]:
        """Answer on the event loop; a complete response comes back as it is. PERF: two turns of both threads less."""
        dispatcher = self._dispatcher
        complete: list[RawResponse] = []

        async def respond(receive: Receive, send: Send, thread: RequestThread) -> None:
            ctx.go_on_at(thread, receive)
            if ctx.root:
                set_script_prefix(ctx.root)  # which does not follow the context to another thread
            with thread_sensitive(thread), contextlib.suppress(ClientDisconnect):
                response = await responder.respond(ctx)
                if isinstance(response, tuple):
                    complete.append(response)
                else:
                    await dispatcher.run_response(ctx, responder, response, receive, send)

        return self._bridge(
            respond,
            ctx,
            start_response,
            pooled,
            lambda: self._finish(ctx, responder, complete[0], start_response) if complete else None,
        )

    def _bridge(
        self,
        run: Answer,
        request: WSGIRequest,
        start_response: StartResponse,
        pooled: PooledThread | None,
        finish: Callable[[], Iterable[bytes] | None] = lambda: None,
    ) -> Iterable[bytes]:
        """Answer on the loop, and give the messages to WSGI as they come.

        What blocks runs on ``pooled``, or on the calling thread where there is none. ``finish()`` is the body where
        nothing was sent.
        """
        bridge = _Bridge(pooled or self._application.lend_thread())
        coroutine = run(bridge.receive(request.environ), bridge.send, pooled or bridge)
        messages = bridge.messages(coroutine, self._application.loop_thread)
        head = next(messages, None)
        if head is None:
            body = finish()
            if body is None:
                start(start_response, 500, [(b"content-length", b"0")])
            return body or ()
        start(start_response, head["status"], head["headers"])
        return bridge.bodies(messages)

    # --- start-up with the first request of a process, and shutdown with the interpreter: WSGI knows no lifespan

    def _start_up(self) -> None:
        """Start up, once; an error is the first request's, and the next one tries again."""
        application = self._application
        with self._starting:
            if application.has_lifespan and not self._has_started:
                application.loop_thread.run(application.run_outside_requests(application.startup()))
                atexit.register(self._shut_down)
            self._has_started = True

    def _shut_down(self) -> None:
        application = self._application
        try:
            application.loop_thread.run(application.run_outside_requests(application.shutdown()))
        except Exception:
            logger.exception("lifespan.shutdown failed")


class _Worker(threading.local):
    """State of the calling thread."""

    is_djangos = False  # it has served Django's side


class _LastingBody(Iterator[bytes]):
    """A body whose request ends with it."""

    def __init__(self, chunks: Iterator[bytes], release: Callable[[], object]) -> None:
        self._chunks = chunks
        self._release = release

    def __next__(self) -> bytes:
        return next(self._chunks)

    def close(self) -> None:
        try:
            close = getattr(self._chunks, "close", None)
            if close is not None:
                close()
        finally:
            self._release()


class _ClosingBody:
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


# --- from the event loop back to the worker ---------------------------------------------------------------------------


class _Bridge(CallingThread):
    """A waiting worker that, beside blocking work, gets the messages of an ASGI application one by one."""

    def receive(self, environ: Environ) -> Receive:
        """Return ``receive`` of the application: the body is read in the worker's thread."""
        read, step_read = build_receive(environ), cast("Callable[[Awaitable[Message]], Message]", step)
        finished = False

        async def receive() -> Message:
            nonlocal finished
            if finished:  # WSGI tells nobody that a client has left; the wait ends when the response is closed
                await asyncio.Event().wait()
                return {"type": "http.disconnect"}
            message = await self.run(step_read, read())
            finished = not message["more_body"]
            return message

        return receive

    async def send(self, message: Message) -> None:
        await self.run(self._pending.append, message)

    def messages(self, coroutine: Coroutine[Any, Any, None], loop: LoopThread) -> Generator[Message, None, None]:
        """Drive ``coroutine`` on ``loop``; yield what it sends, raise what it raises.

        Closed early, it cancels the coroutine and lets it clean up here.
        """
        self._pending: list[Message] = []
        with contextlib.closing(self.steps(coroutine, loop)) as steps:
            for _ in steps:
                while self._pending:
                    yield self._pending.pop(0)

    def bodies(self, messages: Generator[Message, None, None]) -> Iterator[bytes]:
        """Yield the bodies of the other messages; raise where the last is missing, so that servers cut the response."""
        more = True
        with contextlib.closing(messages):
            for message in messages:
                if message.get("body"):
                    yield message["body"]
                more = message.get("more_body", False)
        if more:
            raise ConnectionResetError(errno.ECONNRESET, "The answer was cut.")  # which servers take calmly
