"""One request as plain values: what compiled endpoints read, and what drivers fill in."""

from __future__ import annotations

import copy
import functools
from collections.abc import AsyncIterator, Callable, MutableMapping
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

from django.conf import settings
from django.core.signals import setting_changed
from django.dispatch import receiver
from starlette.requests import ClientDisconnect, Request

from hybrid_gateway.exceptions import BadRequest, ContentTooLarge, UnsupportedMediaType
from hybrid_gateway.request.background import OutgoingResponse
from hybrid_gateway.request.body_deadline import BodyDeadline
from hybrid_gateway.request.cleanup_phases import ANSWERED
from hybrid_gateway.request.cookie_header import parse_cookies
from hybrid_gateway.types import Receive, Scope

__all__ = ["RequestContext", "Exit", "check_field_count", "parse_query", "body_too_large"]


class Exit(NamedTuple):
    """What a request has entered, and is to leave."""

    moment: int  # when
    mode: str  # where: on the loop, on its thread, or anywhere
    manager: Any
    known_error: BaseException | None  # what had gone wrong before


class RequestContext:
    """The state of one request, from its head to its answer. Made by a driver, dropped with the answer."""

    # PERF: what most requests never touch is a class attribute until somebody sets it; twelve slots cost 0.3 µs.
    path_values: tuple[Any, ...] = ()
    path_names: tuple[str, ...] = ()  # known once the plan of the route has ended
    authentication: Any = None
    exits: list[Exit] | None = None  # what was entered, in order
    answered_error: BaseException | None = None  # that an answer has been made of: what is entered later has no part in
    shared: dict[Any, tuple[int, Any]] | None = None  # components that others ask for than the plan, and until when
    entered: list[tuple[Any, Any]] | None = None  # hooks and their instances, in order
    rate_limit: tuple[int, int, int] | None = None  # the tightest: its limit, what is left of it, seconds to its end
    has_read_cookies = False  # a handler has, of a whole Request
    visit: Any = None  # what Django knows of the request, where anybody has asked
    cacheable: Any = None  # what is known of an answer that may be kept
    accepted = ""  # the media type of the answer, where a route offers several
    is_secure: bool | None = None  # whether it came over HTTPS, once somebody has asked
    received = 0  # bytes of the body so far
    body_timeout = 30.0  # seconds until it must have come, and one more for every KiB
    _patience: BodyDeadline | None = None
    _outgoing: OutgoingResponse | None = None
    _query: list[tuple[str, str]] | None = None
    headers_by_name: dict[bytes, bytes] | None = None  # of a repeated header the last
    _scope: Scope | None = None
    _thread: Any = None
    _over = False
    keeps_crash = False
    crash: Exception | None = None  # what nobody expected, where it is kept for somebody
    is_given_up = False  # cancelled: what a thread is entering for it just now is left there
    late: RequestContext | None = None  # what goes on for a client whose request has taken too long

    def __init__(self, scope: Scope, receive: Receive, lend: Callable[[], Any]) -> None:
        self.method: str = scope["method"]
        self.raw_query: bytes = scope.get("query_string", b"")  # without "?"
        self.raw_headers: list[tuple[bytes, bytes]] = scope["headers"]  # names in lower case
        self._scope = scope
        self._receive = receive
        self._lend = lend

    @property
    def scope(self) -> Scope:
        """The request as ASGI describes it."""
        if self._scope is None:
            self._scope = self.describe()
        return self._scope

    def with_state(self) -> Scope:
        """The same, with a ``state`` that all who look at the request share; a server may have put one there."""
        scope = self.scope
        if scope.get("state") is None:
            scope["state"] = {}
        return scope

    def adopt(self, scope: Scope) -> Scope:
        """From here on the request is what ``scope`` says."""
        self._scope = scope
        return scope

    @property
    def is_http_1(self) -> bool:
        """Whether headers may speak of the connection. SPEC: RFC 9113 section 8.2.2 forbids it in HTTP/2."""
        return bool(self.scope.get("http_version", "1.1").startswith("1"))

    def describe(self) -> Scope:
        """The scope of a request that did not come with one."""
        raise RuntimeError("The request is over.")

    @property
    def outgoing(self) -> OutgoingResponse:
        """What a handler that asks for the ``Response`` adds headers and cookies to; its status is not set yet."""
        if self._outgoing is None:
            self._outgoing = OutgoingResponse()
        return self._outgoing

    @property
    def thread(self) -> Any:
        """The thread of the request, lent when first asked for; what outlives the request gets a released one."""
        if self._thread is None:
            self._thread = self._lend()
            if self._over:
                self._thread.release()
        return self._thread

    def move(self, thread: Any) -> None:
        """From here on the request goes on on ``thread``."""
        self._thread = thread

    @property
    def lender(self) -> Callable[[], Any]:
        """What lends the thread of the request."""
        return self._lend

    def borrow(self, lend: Callable[[], Any]) -> None:
        """From here on the thread of the request is one that ``lend()`` gives; the one it had is given back."""
        if self._thread is not None:
            self._thread.release()
            self._thread = None
        self._lend = lend

    def release(self) -> None:
        """The request is over: give its thread back, and keep nothing else of it.

        Tasks that outlive the request, and timers of the server, go on in contexts that know this object.
        """
        self._over = True
        self._scope = None
        if self.visit is not None:
            self.visit = None
        if self._thread is not None:
            self._thread.release()

    def apart(self) -> RequestContext:
        """The same request for who answers in the place of its handler, which may still be busy on its thread."""
        other = copy.copy(self)
        other.exits = other.shared = other._thread = None
        other._lend = lambda: self.thread.beside()
        self.entered = None
        self.late = other
        return other

    def on_exit(self, mode: str, manager: Any, moment: int = ANSWERED) -> Exit:
        """Leave ``manager`` at a moment of the request's end, on the loop, on its thread, or anywhere.

        A thread that something was entered on is held until that is left: it may live on there.
        """
        if self.exits is None:
            self.exits = []
        if mode == "thread":
            self.thread.hold()
        entry = Exit(moment, mode, manager, self.answered_error)
        self.exits.append(entry)
        return entry

    def blame(self, error: BaseException) -> None:
        """What was entered to answer ``error`` could not: it shall see that, as what was entered before does."""
        if self.exits:
            entries = [
                entry._replace(known_error=None) if entry.known_error is error else entry for entry in self.exits
            ]
            self.exits = entries

    def enter(self, hook: Any, instance: Any) -> None:
        """From here on ``hook`` sees how the request ends."""
        if self.entered is None:
            self.entered = []
        self.entered.append((hook, instance))

    # --- query, headers, cookies

    def query_pairs(self) -> list[tuple[str, str]]:
        """Names and values of the query string, in order."""
        if self._query is None:
            self._query = parse_query(self.raw_query)
        return self._query

    def query_values(self) -> dict[str, str]:
        """The query by name; of a repeated name the last value, as in Django."""
        raw = self.raw_query
        if not raw:
            return {}
        most = _most_fields()
        try:  # PERF: the usual query, without a list of pairs in between
            text = raw.decode("ascii")
            if "%" not in text and "+" not in text and (most is None or raw.count(b"&") < most):
                return dict([pair.split("=", 1) for pair in text.split("&")])
        except ValueError:  # not ASCII, or a pair without "="
            pass
        return dict(self.query_pairs())

    def query_lists(self) -> dict[str, list[str]]:
        """The query by name, every value."""
        lists: dict[str, list[str]] = {}
        for name, value in self.query_pairs():
            lists.setdefault(name, []).append(value)
        return lists

    def header(self, name: bytes) -> bytes | None:
        """One header by its lower-case name; of a repeated header the last."""
        if self.headers_by_name is None:
            self.headers_by_name = dict(self.raw_headers)
        return self.headers_by_name.get(name)

    def header_values(self) -> dict[str, str]:
        """The headers by lower-case name."""
        return {name.decode("latin-1"): value.decode("latin-1") for name, value in self.raw_headers}

    def header_lists(self) -> dict[str, list[str]]:
        """The headers by lower-case name, every value."""
        lists: dict[str, list[str]] = {}
        for name, value in self.raw_headers:
            lists.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
        return lists

    def cookies(self) -> dict[str, str]:
        """The cookies by name."""
        merged: dict[str, str] = {}
        for name, value in self.raw_headers:
            if name == b"cookie":
                check_field_count(value.count(b";") + 1, "cookies")
                merged.update(parse_cookies(value.decode("latin-1")))
        return merged

    # --- body

    async def read_body(self, limit: int) -> bytes:
        """The whole body, at most ``limit`` bytes; more raises 413 as soon as it is known."""
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

    def check_body(self, limit: int) -> None:
        """Refuse a body that announces more than ``limit`` bytes, or an encoding."""
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

    async def receive(self, limit: int) -> MutableMapping[str, Any]:
        """The next message of the body. SECURITY: what arrives is counted, whatever Content-Length says."""
        steps = self._receive().__await__()
        try:  # PERF: most bodies have come already, and need no timer
            waited_for = next(steps)
        except StopIteration as stop:
            message: MutableMapping[str, Any] = stop.value
        else:
            if self._patience is None:
                self._patience = BodyDeadline(self.body_timeout)
            message = await self._patience.wait_for(steps, waited_for, self.received)
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        self.received += len(message.get("body", b""))
        if self.received > limit:
            raise body_too_large(limit)
        return message

    @property
    def waited(self) -> float:
        """Seconds that the client has let us wait for its body."""
        return 0.0 if self._patience is None else self._patience.waited

    async def stream(self, limit: int) -> AsyncIterator[bytes]:
        """The body as it comes, at most ``limit`` bytes."""
        self.check_body(limit)
        more = True
        while more:
            message = await self.receive(limit)
            if message.get("body"):
                yield message["body"]
            more = message.get("more_body", False)

    def request(self, limit: int, path_names: tuple[str, ...], router: Any) -> Request:
        """Starlette's ``Request``, its body bounded like every other; ``router`` is what its ``url_for`` asks."""
        values = dict(zip(path_names, self.path_values, strict=False))  # where no route answers, nobody names them
        scope = {**self.with_state(), "path_params": values, "router": router}

        async def receive() -> MutableMapping[str, Any]:
            if not self.received:
                self.check_body(limit)
            return await self.receive(limit)

        return _Request(scope, receive, self)


class _Request(Request):
    """Starlette's, which notes that somebody has read its cookies."""

    def __init__(self, scope: Scope, receive: Receive, ctx: RequestContext) -> None:
        super().__init__(scope, receive)
        self._call = ctx

    @property
    def cookies(self) -> dict[str, str]:
        self._call.has_read_cookies = True
        return super().cookies


def body_too_large(limit: int) -> ContentTooLarge:
    """The error for a body of more than ``limit`` bytes."""
    return ContentTooLarge(f"The body is larger than {limit} bytes.")


@functools.cache  # PERF: 0.3 µs; Django's settings are an object whose every attribute goes through Python code
def _most_fields() -> int | None:
    most: int | None = settings.DATA_UPLOAD_MAX_NUMBER_FIELDS
    return most


@receiver(setting_changed)
def _forget_most_fields(**kwargs: Any) -> None:
    _most_fields.cache_clear()


def check_field_count(count: int, what: str) -> None:
    """Raise 400 for more than Django's ``DATA_UPLOAD_MAX_NUMBER_FIELDS`` of something."""
    most = _most_fields()
    if most is not None and count > most:
        # DJANGO: TooManyFieldsSent is 400 as well, for request.GET too (http/request.py)
        raise BadRequest(f"The request has more than {most} {what}.")


def parse_query(raw: bytes) -> list[tuple[str, str]]:
    """Split ``application/x-www-form-urlencoded`` text; only ``&`` separates, blank values are kept."""
    if not raw:
        return []
    check_field_count(raw.count(b"&") + 1, "parameters")
    text = raw.decode("utf-8", "replace")
    pairs = [pair.partition("=") for pair in text.split("&") if pair]
    if "%" in text or "+" in text:
        return [(unquote_plus(name), unquote_plus(value)) for name, _, value in pairs]
    return [(name, value) for name, _, value in pairs]
