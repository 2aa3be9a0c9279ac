"""One request as plain values: drivers make it, compiled endpoints read it."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Literal

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from hybrid_gateway.access_control import Authentication
from hybrid_gateway.exceptions import BadRequest, ContentTooLarge, UnsupportedMediaType
from hybrid_gateway.request.background_tasks import CollectedTasks
from hybrid_gateway.request.body_deadline import BodyDeadline
from hybrid_gateway.request.head_parsing import check_field_count, max_fields, parse_cookies, parse_query
from hybrid_gateway.request.request_parts import (
    HANDLED,
    AsyncExit,
    DjangoState,
    Exit,
    OutgoingResponse,
    PendingEntry,
    SyncExit,
)
from hybrid_gateway.request.request_thread import RequestThread
from hybrid_gateway.types import Header, Headers, Message, Receive, Scope

HookRun = Callable[
    ["RequestContext", object, Response, BaseException | None], Awaitable[tuple[int, Headers, bytes] | Response | None]
]
"""``run(ctx, instance, response, error)``: a compiled hook; ``None`` leaves the response alone."""

Observe = Callable[[Any, "RequestContext", tuple[int, Headers, bytes]], tuple[int, Headers, bytes]]
"""``observe(instance, ctx, response)``: a hook that never waits."""


class Hook(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """The way out of one hook, compiled."""

    moment: int  # the cleanup phase that follows when it has run
    on_response: HookRun | None = None
    on_error: HookRun | None = None
    awaits: bool = False
    observe: Observe | None = None  # in the place of the others, for responses that are complete


class RequestContext:
    """The state of one request, from its head to its response. Made by a driver, dropped with the response."""

    # PERF: what most requests never touch is a class attribute until somebody sets it; twelve slots cost 0.3 µs. What
    # every request sets is none: an assignment takes 50 instructions, and 400 where the class has the name too.
    path_values: tuple[object, ...]
    headers_by_name: dict[bytes, bytes] | None  # of a repeated header the last
    _scope: Scope | None
    _is_over: bool
    path_names: tuple[str, ...] = ()  # known once the plan of the route has ended
    authentication: Authentication | None = None
    exits: list[Exit] | None = None  # what was entered, in order
    handled_error: BaseException | None = None  # a response was made of it: what is entered later has no part in it
    shared: dict[object, tuple[int, object]] | None = None  # components for others than the plan; until when
    entered: list[tuple[Hook, object]] | None = None  # hooks and their instances, in order
    rate_limit: tuple[int, int, int] | None = None  # the tightest: its limit, what is left of it, seconds to its end
    is_handshake = False  # of a websocket
    has_read_cookies = False  # a handler has, of a whole Request
    varies_by: dict[bytes, None] | None = None  # headers that the response depends on, as they were read
    visit: DjangoState | None = None  # what Django knows of the request, where anybody has asked
    cacheable: PendingEntry | None = None  # where the response may be stored
    accepted = ""  # the media type of the response, where a route offers several
    is_secure: bool | None = None  # whether it came over HTTPS, once somebody has asked
    body = b""  # all of it, where the driver has that before it asks for a response
    is_read = False  # that one was taken
    received = 0  # bytes of the body so far
    body_timeout = 30.0  # seconds until it must have come, and one more for every KiB
    _body_deadline: BodyDeadline | None = None
    _outgoing: OutgoingResponse | None = None
    _tasks: CollectedTasks | None = None
    _query: list[tuple[str, str]] | None = None
    _thread: RequestThread | None = None
    keeps_crash = False
    crash: Exception | None = None  # what nobody expected, where it is kept for somebody
    is_given_up = False  # cancelled: what a thread is entering for it just now is left there
    late: RequestContext | None = None  # what goes on for a client whose request has taken too long

    def __init__(self, scope: Scope, receive: Receive, lend: Callable[[], RequestThread]) -> None:
        self.method: str = scope["method"]
        self.raw_query: bytes = scope.get("query_string", b"")  # without "?"
        self.raw_headers: list[Header] = scope["headers"]  # names in lower case
        self.headers_by_name = None
        self.path_values = ()
        self._scope = scope
        self._is_over = False
        self._receive = receive
        self._lend = lend

    @property
    def scope(self) -> Scope:
        """The request as ASGI describes it."""
        if self._scope is None:
            self._scope = self.describe()
        return self._scope

    def scope_for_log(self) -> Scope:
        """Return what a log tells of the scope: client, method, path, query and version. PERF: see the lane's."""
        return self.scope

    def with_state(self) -> Scope:
        """Return the scope with a ``state`` that all who look at the request share; a server may have put one there."""
        scope = self.scope
        if scope.get("state") is None:
            scope["state"] = {}
        return scope

    def adopt(self, scope: Scope) -> Scope:
        """Let the request be what ``scope`` says from here on."""
        self._scope = scope
        return scope

    @property
    def is_http_1(self) -> bool:
        """True where headers may speak of the connection. SPEC: RFC 9113 section 8.2.2 forbids it in HTTP/2."""
        return bool(self.scope.get("http_version", "1.1").startswith("1"))

    def describe(self) -> Scope:
        """Return the scope of a request that did not come with one."""
        raise RuntimeError("The request is over.")

    @property
    def outgoing(self) -> OutgoingResponse:
        """The response that a handler adds headers and cookies to when it asks for one; its status is not set yet."""
        if self._outgoing is None:
            self._outgoing = OutgoingResponse()
        return self._outgoing

    @property
    def tasks(self) -> CollectedTasks:
        """The tasks that are done once the response is sent."""
        if self._tasks is None:
            self._tasks = CollectedTasks()
        return self._tasks

    @property
    def thread(self) -> RequestThread:
        """The thread of the request, lent when first asked for; what outlives the request gets a released one."""
        if self._thread is None:
            self._thread = self._lend()
            if self._is_over:
                self._thread.release()
        return self._thread

    def move(self, thread: RequestThread) -> None:
        """Let the request go on on ``thread``."""
        self._thread = thread

    @property
    def lender(self) -> Callable[[], RequestThread]:
        """The function that lends the thread of the request."""
        return self._lend

    def borrow(self, lend: Callable[[], RequestThread]) -> None:
        """Let the request go on on a thread that ``lend()`` gives; give back the one that it had."""
        if self._thread is not None:
            self._thread.release()
            self._thread = None
        self._lend = lend

    def release(self) -> None:
        """End the request: give its thread back, and drop all else.

        Tasks that outlive the request, and timers of the server, go on in contexts that know this object.
        """
        self._is_over = True
        self._scope = None
        if self.visit is not None:
            self.visit = None
        if self._thread is not None:
            self._thread.release()

    @property
    def is_over(self) -> bool:
        """True once the request has ended."""
        return self._is_over

    def on_release(self, call: Callable[[], object]) -> None:
        """Call ``call()`` when the request has ended, after what was given before it."""
        release = self.release

        def release_and_call() -> None:
            release()
            call()

        # PERF: in the place of the method, so that other requests have nothing to ask.
        self.__dict__["release"] = release_and_call

    def apart(self) -> RequestContext:
        """Return the same request for who responds in place of its handler, which may still be busy on its thread."""
        other = copy.copy(self)
        other.exits = other.shared = other._thread = other._tasks = None
        other._lend = lambda: self.thread.beside()
        other.__dict__.pop("release", None)
        self.entered = None
        self.late = other
        return other

    def on_exit(self, mode: Literal["inline", "thread"], manager: SyncExit, moment: int = HANDLED) -> Exit:
        """Leave ``manager`` at a moment of the request's end, on its thread, or anywhere.

        A thread that something was entered on is held until that is left: it may live on there.
        """
        if self.exits is None:
            self.exits = []
        if mode == "thread":
            self.thread.hold()
        entry = Exit(moment, mode, manager, None, self.handled_error)
        self.exits.append(entry)
        return entry

    def on_async_exit(self, manager: AsyncExit, moment: int = HANDLED) -> None:
        """Leave ``manager`` at a moment of the request's end, on the loop."""
        if self.exits is None:
            self.exits = []
        self.exits.append(Exit(moment, "loop", None, manager, self.handled_error))

    def blame(self, error: BaseException) -> None:
        """Let what was entered to handle ``error`` see it as well, since that has failed."""
        if self.exits:
            entries = [
                entry._replace(known_error=None) if entry.known_error is error else entry for entry in self.exits
            ]
            self.exits = entries

    def enter(self, hook: Hook, instance: object) -> None:
        """Let ``hook`` see how the request ends."""
        if self.entered is None:
            self.entered = []
        self.entered.append((hook, instance))

    # --- query, headers, cookies

    def query_pairs(self) -> list[tuple[str, str]]:
        """Return the names and values of the query string, in order."""
        if self._query is None:
            self._query = parse_query(self.raw_query)
        return self._query

    def query_values(self) -> dict[str, str]:
        """Return the query by name; of a repeated name the last value, as in Django."""
        raw = self.raw_query
        if not raw:
            return {}
        most = max_fields()
        try:  # PERF: the usual query, without a list of pairs in between
            text = raw.decode("ascii")
            if "%" not in text and "+" not in text and (most is None or raw.count(b"&") < most):
                return dict([pair.split("=", 1) for pair in text.split("&")])
        except ValueError:  # not ASCII, or a pair without "="
            pass
        return dict(self.query_pairs())

    def query_lists(self) -> dict[str, list[str]]:
        """Return the query by name, every value."""
        lists: dict[str, list[str]] = {}
        for name, value in self.query_pairs():
            lists.setdefault(name, []).append(value)
        return lists

    def header(self, name: bytes) -> bytes | None:
        """Return a header by its lower-case name; of a repeated header the last."""
        if self.headers_by_name is None:
            self.headers_by_name = dict(self.raw_headers)
        return self.headers_by_name.get(name)

    def header_values(self) -> dict[str, str]:
        """Return the headers by lower-case name."""
        return {name.decode("latin-1"): value.decode("latin-1") for name, value in self.raw_headers}

    def header_lists(self) -> dict[str, list[str]]:
        """Return the headers by lower-case name, every value."""
        lists: dict[str, list[str]] = {}
        for name, value in self.raw_headers:
            lists.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
        return lists

    def cookies(self) -> dict[str, str]:
        """Return the cookies by name."""
        merged: dict[str, str] = {}
        for name, value in self.raw_headers:
            if name == b"cookie":
                check_field_count(value.count(b";") + 1, "cookies")
                merged.update(parse_cookies(value.decode("latin-1")))
        return merged

    def whole_cookies(self) -> dict[str, str]:
        """Return :meth:`cookies` to who gets all of them, and note that they were read."""
        self.has_read_cookies = True
        return self.cookies()

    # --- body

    async def read_body(self, limit: int) -> bytes:
        """Return the whole body; raise 413 as soon as more than ``limit`` bytes are announced or have come."""
        self.check_body(limit)
        message = await self.receive(limit)
        if not message.get("more_body", False):
            body: bytes = message.get("body", b"")
            return body
        parts = bytearray(message.get("body", b""))
        while message.get("more_body", False):
            message = await self.receive(limit)
            parts += message.get("body", b"")
        return bytes(parts)

    def take_body(self, limit: int) -> bytes:
        """Return the whole body where the driver had it at once; raise what :meth:`read_body` would raise."""
        self.is_read = True
        self.check_body(limit)
        if len(self.body) > limit:
            raise body_too_large(limit)
        return self.body

    def check_body(self, limit: int) -> None:
        """Reject a body that announces more than ``limit`` bytes, or an encoding."""
        encoding = self.header(b"content-encoding")
        if encoding is not None and encoding.strip().lower() not in (b"", b"identity"):
            # SECURITY: nothing is unpacked, so no small body becomes a large one. SPEC: RFC 9110 section 15.5.16
            raise UnsupportedMediaType("The body must not be encoded.", headers={"Accept-Encoding": "identity"})
        declared = self.header(b"content-length")
        if declared is not None:
            if not declared.isdigit():
                raise BadRequest("The Content-Length header is not a number.")
            if len(declared) > 18 or int(declared) > limit:
                raise body_too_large(limit)

    async def receive(self, limit: int) -> Message:
        """Return the next message of the body. SECURITY: what arrives is counted, whatever Content-Length says."""
        steps = self._receive().__await__()
        try:  # PERF: most bodies have come already, and need no timer
            waited_for = next(steps)
        except StopIteration as stop:
            message: Message = stop.value
        else:
            if self._body_deadline is None:
                self._body_deadline = BodyDeadline(self.body_timeout)
            message = await self._body_deadline.wait_for(steps, waited_for, self.received)
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        self.received += len(message.get("body", b""))
        if self.received > limit:
            raise body_too_large(limit)
        return message

    @property
    def waited(self) -> float:
        """Seconds that the client has let us wait for its body."""
        return 0.0 if self._body_deadline is None else self._body_deadline.waited

    async def stream(self, limit: int) -> AsyncIterator[bytes]:
        """Yield the body as it comes, at most ``limit`` bytes."""
        self.check_body(limit)
        more = True
        while more:
            message = await self.receive(limit)
            if message.get("body"):
                yield message["body"]
            more = message.get("more_body", False)

    def request(self, limit: int, path_names: tuple[str, ...], router: object) -> Request:
        """Return Starlette's ``Request``, its body bounded like every other; its ``url_for`` asks ``router``."""
        values = dict(zip(path_names, self.path_values, strict=False))  # where no route answers, nobody names them
        scope = {**self.with_state(), "path_params": values, "router": router}

        async def receive() -> Message:
            if not self.received:
                self.check_body(limit)
            return await self.receive(limit)

        return _Request(scope, receive, self)


class _Request(Request):
    """Starlette's request, which notes that its cookies were read."""

    def __init__(self, scope: Scope, receive: Receive, ctx: RequestContext) -> None:
        super().__init__(scope, receive)
        self._ctx = ctx

    @property
    def cookies(self) -> dict[str, str]:
        self._ctx.has_read_cookies = True
        return super().cookies


def body_too_large(limit: int) -> ContentTooLarge:
    """Return the error for a body of more than ``limit`` bytes."""
    return ContentTooLarge(f"The body is larger than {limit} bytes.")
