"""The lane: a uvicorn protocol that hands whole requests from the parser straight to the endpoints.

How this works: :class:`LaneProtocol` is uvicorn's own httptools protocol. A request that arrives in one piece, as most
do, and that one of the gateway's routes answers without ASGI middleware, or none does, becomes a :class:`LaneRequest`:
no scope, no messages, no headers until somebody asks for them. What its endpoint can answer without a wait is written
at once, in a copied context and in no task (``Endpoint.respond_now``). Others are entered in a task that starts where
it is created (``eager_start``; on Python 3.11 in an ordinary one).

Everything else takes uvicorn's road through ASGI, on the same connection and from the same bytes: Django's paths,
upgrades, ``Expect``, requests in pieces, and requests that come while another is being answered. So does whatever the
parser rejects. Both roads see what the same parser sees, or would see (``server.py``). A handshake of a websocket makes
the connection another one (``websocket_socket.py``).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context, copy_context
from math import inf
from types import CoroutineType
from typing import Any, cast

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from uvicorn.config import Config

from hybrid_gateway._compat.uvicorn_internals import (
    RequestResponseCycle,
    ServerState,
    UvicornConnection,
    build_cycle,
    server_headers,
    start_cycle,
)
from hybrid_gateway.concurrency.asgiref_bridge import enter_request
from hybrid_gateway.dispatch.shutdown import GRACE_AFTER_SIGNAL
from hybrid_gateway.drivers.lane.connection_state import ConnectionState, RequestPhase
from hybrid_gateway.drivers.lane.request import LaneRequest
from hybrid_gateway.drivers.lane.server import LaneServer, lane_server
from hybrid_gateway.drivers.lane.websocket_upgrade import size_of_head, upgrade
from hybrid_gateway.drivers.served_application import ServedApplication
from hybrid_gateway.drivers.start_lines import start_line
from hybrid_gateway.headers import NO_CONTENT, FixedHeaders, StampedHeaders, check_headers, end_of_head
from hybrid_gateway.responses.raw_response import EndpointResponse
from hybrid_gateway.types import ASGIApp, Headers, Receive, Scope, Send

_EAGER: dict[str, Any] = {"eager_start": True} if sys.version_info >= (3, 12) else {}
MAX_TRAILER_BYTES = 8 * 1024
_EMPTY = Context()  # for timers: in the context of a request they would keep it alive

_CRASH = FixedHeaders([(b"content-type", b"text/plain; charset=utf-8")])


Unfinished = Response | Coroutine[object, None, EndpointResponse]
"""A response that sends itself, or that nobody has yet."""

_IDLE, _HEAD, _BODY = RequestPhase  # PERF: a global each; Python 3.11 looks up a member of an Enum by a descriptor


class LaneProtocol(UvicornConnection):
    """One connection. uvicorn makes it: ``uvicorn.run(gateway, http=LaneProtocol)``.

    ``head_timeout`` and ``body_timeout`` are seconds: a head must be complete that long after its first byte (or after
    the connection was made), and a body must not rest longer. The first ends the connection, the second is a 408.
    ``owns_process`` says that nothing but this server is at work in the process.
    """

    head_timeout = 30.0
    body_timeout = 30.0
    request_class: type[LaneRequest] = LaneRequest

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        head_timeout: float | None = None,
        body_timeout: float | None = None,
        owns_process: bool = False,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        if head_timeout and head_timeout != self.head_timeout:
            self.head_timeout = head_timeout
        if body_timeout and body_timeout != self.body_timeout:
            self.body_timeout = body_timeout
        self.own = ConnectionState()
        self.lane = lane_server(config, server_state, self.loop, owns_process=owns_process)
        if self.lane is not None and self.access_log:
            self.access_logger = self.lane.access_logger  # type: ignore[assignment]

    @property
    def application(self) -> ServedApplication:
        """The gateway, where the lane is on."""
        return cast("LaneServer", self.lane).application

    @property
    def trust_proxy(self) -> Callable[[Scope], None]:
        """The function that changes a scope to what the headers of a trusted proxy say."""
        return cast("LaneServer", self.lane).trust_proxy

    def data_received(self, data: bytes) -> None:
        lane = self.lane
        if lane is not None and self.cycle is None and self.own.phase is _IDLE:
            ctx = lane.take(self, data)
            if ctx is not None:
                if not ctx.keep_alive:  # what comes after it is not even looked at, as by uvicorn's parser
                    self.own.ignores_data = True
                # SECURITY: in a context of its own; what a handler sets there no other request sees.
                if ctx.endpoint.respond_now is None or self.flow.write_paused:
                    self._serve_in_task(ctx)
                else:
                    copy_context().run(self._answer_now, ctx)
                return
        if not self.own.ignores_data:
            own, deadline = self.own, self.own.deadline
            super().data_received(data)
            if own.head_size is not None:
                upgrade(self, cast("LaneServer", lane).sockets, data[own.head_size :], is_ending=own.is_ending)
            elif own.phase is _BODY:
                self._watch(self.body_timeout)
            elif own.deadline is None and own.phase is _HEAD:
                self._watch(self.head_timeout)
            elif own.deadline is None and self.cycle is None:  # SECURITY: blank lines begin no request, and buy no time
                own.deadline = deadline

    # --- on the lane

    def _answer_now(self, ctx: LaneRequest) -> None:
        """Answer without a task, as far as nothing has to wait."""
        enter_request(ctx)
        try:
            response = ctx.endpoint.respond_now(ctx)  # type: ignore[misc]
            if not isinstance(response, tuple):
                self._serve_in_task(ctx, response)
                return
            status, headers, body = response
            self._write(ctx, status, headers, body)
        except BaseException as error:
            self._fail(ctx, error)
        ctx.release()
        # PERF: on_response_complete() without what cannot be: nothing has come meanwhile. 400 instructions.
        self.server_state.total_requests += 1
        own = self.own
        own.deadline = deadline = self.loop.time() + self.timeout_keep_alive
        if deadline < own.wakes:
            self._watch(self.timeout_keep_alive)

    def _serve_in_task(self, ctx: LaneRequest, response: Unfinished | None = None) -> None:
        self.own.deadline = None
        self.cycle = ctx
        task = asyncio.Task(self._serve(ctx, response), loop=self.loop, context=copy_context(), **_EAGER)
        if not task.done():
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _serve(self, ctx: LaneRequest, unfinished: Unfinished | None) -> None:
        enter_request(ctx)
        try:
            response: EndpointResponse
            if unfinished is None:
                response = await ctx.endpoint.respond(ctx)
            elif isinstance(unfinished, CoroutineType):
                response = await unfinished
            else:
                response = cast("Response", unfinished)
            if isinstance(response, tuple):
                if self.flow.write_paused and not ctx.disconnected:
                    await self.flow.drain()
                self._write(ctx, *response)
            else:
                await self._stream(ctx, response)
        except BaseException as error:
            self._fail(ctx, error)
        finally:
            ctx.release()
            if ctx.response_complete:
                self.on_response_complete()

    def _write(self, ctx: LaneRequest, status: int, headers: Headers, body: bytes) -> None:
        if ctx.disconnected:
            return
        lane: LaneServer = self.lane  # type: ignore[assignment]
        stamped = type(headers) is StampedHeaders and ctx.keep_alive and ctx.method != "HEAD"
        if not (type(headers) is FixedHeaders or stamped) or lane.has_hsts:
            headers = lane.dispatcher.security.finalize(ctx, status, headers, ctx.endpoint.security_headers)
            check_headers(headers)  # raises where they must not be sent: a 500
        ctx.is_started = True
        if self.access_log:
            client, target = ctx.name_for_log()
            self.access_logger.info('%s - "%s %s HTTP/%s" %d', client, ctx.method, target, "1.1", status)
        if type(headers) is StampedHeaders and stamped:
            self.transport.write(lane.stamped_head(headers, status) + end_of_head(body) + body)
        elif type(headers) is FixedHeaders and ctx.keep_alive and ctx.method != "HEAD":
            head = headers.head if headers.stamp is self.server_state.default_headers else lane.renew(headers, status)
            self.transport.write(head + end_of_head(body) + body)
        else:
            self.transport.write(self._write_all(ctx, lane.start(status), status, headers, body))
        ctx.response_complete = True
        if ctx.end_event is not None:
            ctx.set()
        if not ctx.keep_alive:
            self.transport.close()

    def _write_all(self, ctx: LaneRequest, start: bytes, status: int, headers: Headers, body: bytes) -> bytes:
        """Return the response as uvicorn would write it."""
        lines = [start]
        closes = False
        for name, value in headers:
            lines.append(b"%b: %b\r\n" % (name.lower(), value))
            closes |= name == b"connection" and b"close" in [part.strip() for part in value.lower().split(b",")]
        if closes:
            ctx.keep_alive = False
        if status not in NO_CONTENT:
            lines.append(b"content-length: %d\r\n" % len(body))
        if not ctx.keep_alive and not closes:
            lines.append(b"connection: close\r\n")
        return b"".join([*lines, b"\r\n", body if ctx.method != "HEAD" else b""])

    async def _stream(self, ctx: LaneRequest, response: ASGIApp) -> None:
        """Let a response send itself through an ASGI cycle that takes the place of ``ctx``."""
        cycle = build_cycle(self, ctx.scope, keep_alive=ctx.keep_alive)
        cycle.disconnected = ctx.disconnected
        if not ctx.is_read:
            cycle.body += ctx.body
        if ctx.disconnected or not ctx.is_read:
            cycle.message_event.set()
        if self.cycle is ctx:
            self.cycle = cycle
        dispatcher = self.application.dispatcher

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            with suppress(ClientDisconnect):  # nobody is left to answer
                await dispatcher.run_response(ctx, ctx.endpoint, response, receive, send)

        await cycle.run_asgi(application)  # type: ignore[arg-type]

    def _fail(self, ctx: LaneRequest, error: BaseException) -> None:
        """Do as uvicorn does when an application raises instead of answering; a client that has gone is no error."""
        gone = isinstance(error, ClientDisconnect)
        if gone and ctx.disconnected:
            return
        message = "ASGI callable returned without starting response." if gone else "Exception in ASGI application\n"
        self.logger.error(message, exc_info=None if gone else error)
        if ctx.is_started:  # with a status that has no line: as uvicorn does, say nothing
            self.transport.close()
        else:
            ctx.keep_alive = False
            self._write(ctx, 500, _CRASH, b"Internal Server Error")

    def shutdown(self) -> None:
        """End the connection with the server, which calls this."""
        if self.lane is not None:
            self.lane.dispatcher.shutdown.begin(GRACE_AFTER_SIGNAL)
        if self.cycle is None or self.cycle.response_complete:
            # A request may be on its way already: it is answered, as the last one of the connection.
            self.own.is_ending, self.head_timeout = True, GRACE_AFTER_SIGNAL
            self._watch(GRACE_AFTER_SIGNAL)
        else:
            super().shutdown()

    def handle_websocket_upgrade(self) -> None:
        """Note that the head is a handshake; uvicorn calls this while it handles what the parser has raised."""
        self.own.phase = _IDLE
        if self.cycle is not None and not self.cycle.response_complete:
            # SECURITY: what is answered still would be written among the frames. SPEC: RFC 6455 section 4.1, 2.
            self.cycle.keep_alive, self.own.ignores_data = False, True
            return
        self._stop_watching()
        if self.lane is not None and self.lane.sockets.is_on:
            self.own.head_size, self.own.ignores_data = size_of_head(), True
        elif self.own.is_ending:  # nobody would tell the websocket to end
            self.transport.close()
        else:
            super().handle_websocket_upgrade()

    # --- on uvicorn's road: what is still to come of a request

    def on_message_begin(self) -> None:
        self.own.phase, self.own.trailer_bytes = _HEAD, 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.own.phase is not _BODY:
            super().on_header(name, value)
            return
        # SECURITY: what follows a chunked body is no header: nobody has validated it. SPEC: RFC 9110 section 6.5.1
        self.own.trailer_bytes += len(name) + len(value)
        if self.own.trailer_bytes > MAX_TRAILER_BYTES:
            raise ValueError("The trailers of the request are too long.")

    def on_headers_complete(self) -> None:
        self._check_target()
        self.own.phase = _BODY
        super().on_headers_complete()
        if self.own.is_ending and self.cycle is not None:
            self.cycle.keep_alive = False

    def _check_target(self) -> None:
        """Answer 400 to a fragment, and to a host in the target (``GET http://host/path``) other than ``Host``."""
        if self.url.find(b"#") >= 0:  # SPEC: RFC 9112 section 3.2; uvicorn drops it
            raise ValueError("The target of the request has a fragment.")
        if self.url.startswith(b"/"):
            return
        # SPEC: RFC 9112 section 3.2.2: the authority of the target wins; an application would see Host alone.
        _, separator, rest = self.url.partition(b"://")
        authority, host = rest.partition(b"/")[0].partition(b"?")[0], dict(self.headers).get(b"host")
        if separator and host is not None and authority != host:
            raise ValueError("The target and the Host header of the request name two hosts.")

    def on_message_complete(self) -> None:
        self.own.phase = _IDLE
        super().on_message_complete()
        self._forget_request()

    def _forget_request(self) -> None:
        """Keep nothing of a request that has come as a whole, and is answered."""
        if self.own.phase is _IDLE and self.cycle is not None and self.cycle.response_complete:
            self.cycle = None

    # --- time-outs: one timer per connection, which looks whether the deadline has moved

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch(self.head_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_watching()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.flow.read_paused:
            self.flow.resume_reading()
        if self.pipeline:
            start_cycle(self, *self.pipeline.pop())
            return
        if self.cycle is not None:
            self._forget_request()
        own = self.own
        own.deadline = deadline = self.loop.time() + self.timeout_keep_alive
        if deadline < own.wakes:
            self._watch(self.timeout_keep_alive)

    def on_bytes(self) -> None:
        if self.own.phase is not _HEAD:  # more bytes of a head give it no more time
            self.own.deadline = None

    def _watch(self, seconds: float) -> None:
        """End the wait in so many seconds, unless the deadline is moved or dropped before."""
        self.own.deadline = deadline = self.loop.time() + seconds
        if deadline < self.own.wakes:
            if self.own.timer is not None:
                self.own.timer.cancel()
            self._wake(seconds, deadline)

    def _wake(self, seconds: float, at: float) -> None:
        self.own.timer = self.loop.call_later(seconds, self._check_deadline, context=_EMPTY)
        self.own.wakes = at

    def _stop_watching(self) -> None:
        self.own.deadline = None
        if self.own.timer is not None:
            self.own.timer.cancel()
            self.own.timer, self.own.wakes = None, inf

    def _check_deadline(self) -> None:
        self.own.timer, self.own.wakes = None, inf
        if self.own.deadline is None or self.transport.is_closing():
            return
        left = self.own.deadline - self.loop.time()
        if left > 0.001:
            self._wake(left, self.own.deadline)
        elif self.cycle is None or self.cycle.response_complete:
            self.transport.close()
        elif self.own.phase is not _BODY or self.flow.read_paused:  # it is the application that takes its time
            self._watch(self.body_timeout)
        else:
            self._end_stalled_body(self.cycle)

    def _end_stalled_body(self, cycle: RequestResponseCycle) -> None:
        if not cycle.response_started:
            start = start_line(408, server_headers(self.server_state))
            self.transport.write(b"%bcontent-length: 0\r\nconnection: close\r\n\r\n" % start)
        self.transport.close()
        cycle.disconnected = True
        cycle.message_event.set()
