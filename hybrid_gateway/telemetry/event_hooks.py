"""Event hooks that observe: an id for each request, its duration for the browser, a line in the log, as JSON or not.

They are entered by a route's plan, not wrapped around it: every driver runs them, the lane included. Requests without a
route (404, Django's paths) do not pass them; for those there are :class:`RequestIDs` and the plugin for metrics.
``EVENT_HOOKS`` puts them around all routes.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from datetime import UTC, datetime
from functools import partial

import msgspec
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from hybrid_gateway.auth.request_credentials import SecretsInQueries
from hybrid_gateway.binding.components import inline
from hybrid_gateway.endpoints.errors import printable
from hybrid_gateway.headers import NO_CONTENT, add_stamp, set_stamp
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.responses.raw_response import RawResponse
from hybrid_gateway.telemetry.observer import Observer
from hybrid_gateway.telemetry.query_log import log_queries
from hybrid_gateway.types import Scope
from hybrid_gateway.url_quoting import quote_encoded_path, quote_query
from hybrid_gateway.websockets.connection import Connection
from hybrid_gateway.websockets.conversations import Conversation

request_id: ContextVar[str | None] = ContextVar("hybrid_gateway_request_id", default=None)
"""The id of the current request, where :class:`RequestID` has given it one."""

_ID = re.compile(r"[A-Za-z0-9._~+/=-]{1,128}")


# PERF: the bits of a UUID; the object itself takes several times as long to make.
_VERSION_4 = 4 << 76 | 2 << 62
_FREE = ~(15 << 76 | 3 << 62) & (1 << 128) - 1


def first_header(ctx: RequestContext, name: bytes) -> str:
    """Return the first header called ``name``, in lower case; the empty string where there is none."""
    if ctx.header(name) is not None:
        for known, value in ctx.raw_headers:
            if known == name:
                return value.decode("latin-1")
    return ""


class RequestID(Observer):
    """Gives each request an id: the client's or proxy's ``X-Request-ID``, if it looks like one, or a new UUID.

    The response carries it, :data:`request_id` holds it, and :class:`RequestIDFilter` puts it into log records. Another
    header is the ``header`` of a subclass.
    """

    header = "X-Request-ID"

    _name = b""  # of the header, in lower case

    def __init__(self) -> None:
        self.id = ""

    @inline
    def on_request(self, headers: Headers) -> None:
        self.take(headers.get(self.header, ""))

    def take(self, given: str) -> None:
        """Make ``given`` the id, if it may be one, else a new one."""
        # SECURITY: it goes into logs and a response's header, so not whatever a client writes.
        if not given or not _ID.fullmatch(given):
            # SPEC: RFC 9562 section 5.4, in 32 digits
            given = f"{int.from_bytes(os.urandom(16)) & _FREE | _VERSION_4:032x}"
        self.id = given
        request_id.set(self.id)

    @classmethod
    def beginning(cls, secrets: SecretsInQueries) -> Callable[[RequestContext], Observer]:
        name = cls.header.lower().encode("latin-1")

        def begin(ctx: RequestContext) -> RequestID:
            hook = cls()
            hook._name = name
            hook.take(first_header(ctx, name))
            return hook

        return begin

    def observe(self, ctx: RequestContext, response: RawResponse) -> RawResponse:
        status, headers, body = response
        return status, set_stamp(headers, (self._name, self.id.encode("ascii"))), body

    @inline
    def on_response(self, response: Response) -> None:
        response.headers[self.header] = self.id


class RequestIDFilter(logging.Filter):
    """For ``LOGGING``: every record gets ``request_id``, ``"-"`` outside of requests."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get() or "-"
        return True


class ServerTiming(Observer):
    """Tells a browser's developer tools how long the response took. SPEC: W3C Server Timing: in milliseconds."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    @inline
    def on_response(self, response: Response) -> None:
        response.headers.append("Server-Timing", self._timing())

    def _timing(self) -> str:
        return f"app;dur={(time.perf_counter() - self._start) * 1000:.1f}"

    @classmethod
    def beginning(cls, secrets: SecretsInQueries) -> Callable[[RequestContext], Observer]:
        return lambda ctx: cls()

    def observe(self, ctx: RequestContext, response: RawResponse) -> RawResponse:
        status, headers, body = response
        return status, add_stamp(headers, (b"server-timing", self._timing().encode("ascii"))), body


class DatabaseTiming:
    """Tells how many queries a response took: ``Server-Timing: db;dur=1.2;desc="2 queries"``. On with ``DEBUG``."""

    def __init__(self) -> None:
        self._queries = log_queries()

    @inline
    def on_response(self, response: Response) -> None:
        queries = self._queries
        noun = "query" if queries.count == 1 else "queries"
        timing = f'db;dur={queries.seconds * 1000:.1f};desc="{queries.count} {noun}"'
        response.headers.append("Server-Timing", timing)


class AccessLog(Observer):
    """One line of ``hybrid_gateway.access`` per response, at the level INFO.

    ``127.0.0.1 "GET /products?page=2 HTTP/1.1" 200 512 3.1ms``: client, request, status, bytes (``-`` for a stream),
    time until the response was ready. Of a websocket that is the handshake, with 101; when it has ended, a second line
    follows: ``127.0.0.1 "WEBSOCKET /chat/1" 1001 12 in 30 out 60000.0ms``, with the close code, the messages of both
    directions and the time since the handshake. The record has the same as attributes, for formatters that write JSON.
    Whatever a client could use to forge a line is escaped; parameters that schemes read credentials from are ``***``.
    """

    logger = logging.getLogger("hybrid_gateway.access")
    _secrets: SecretsInQueries

    def __init__(self) -> None:
        self._start = time.perf_counter()

    @inline
    def on_response(self, response: Response, request: Request, secrets: SecretsInQueries) -> None:
        if self.logger.isEnabledFor(logging.INFO):
            if isinstance(response, Conversation):
                # in the context of the handshake, whose id it has, whoever ends the connection
                write_end, context = partial(self._write_end, request.scope, secrets), copy_context()
                response.when_ended(lambda connection: context.run(write_end, connection))
            size = response.headers.get("content-length", "-")
            self._write(request.scope, response.status_code, size, request.headers.get("user-agent", ""), secrets)

    @classmethod
    def beginning(cls, secrets: SecretsInQueries) -> Callable[[RequestContext], Observer]:
        def begin(ctx: RequestContext) -> AccessLog:
            hook = cls()
            hook._secrets = secrets
            return hook

        return begin

    def observe(self, ctx: RequestContext, response: RawResponse) -> RawResponse:
        if self.logger.isEnabledFor(logging.INFO):
            status, _, body = response
            size = "-" if status in NO_CONTENT else str(len(body))
            self._write(ctx.scope_for_log(), status, size, first_header(ctx, b"user-agent"), self._secrets)
        return response

    def _write(self, scope: Scope, status: int, size: str, user_agent: str, secrets: SecretsInQueries) -> None:
        duration = (time.perf_counter() - self._start) * 1000
        # PERF: no helper shared with the line of a websocket's end: two calls less.
        peer, method, version = scope.get("client"), scope["method"], scope.get("http_version", "1.1")
        client = printable(peer[0]) if peer else "-"  # behind a proxy, what that says
        # Percent-encoded: no quote, blank or control can be in it.
        path = quote_encoded_path(scope.get("raw_path") or scope["path"].encode())
        query: bytes = scope.get("query_string", b"")
        if query:
            path = f"{path}?{quote_query(secrets.hide(query), safe='[]')}"
        fields = {
            "client": client,
            "method": method,
            "path": path,
            "http_version": version,
            "status_code": status,
            "size": size,
            "duration_ms": duration,
            "user_agent": printable(user_agent),
        }
        log, values = self.logger, (client, method, path, version, status, size, duration)
        if type(log) is not logging.Logger:  # an adapter, or a class of the project's
            log.info(_LINE, *values, extra=fields)
            return
        # PERF: without a look at who calls, and at each field whether a record has one of that name: none has.
        record = log.makeRecord(log.name, logging.INFO, __file__, 0, _LINE, values, None, "AccessLog")
        vars(record).update(fields)
        log.handle(record)

    def _write_end(self, scope: Scope, secrets: SecretsInQueries, connection: Connection) -> None:
        duration = (time.perf_counter() - self._start) * 1000
        peer, query = scope.get("client"), secrets.hide(scope.get("query_string", b""))
        path = quote_encoded_path(scope.get("raw_path") or scope["path"].encode())
        path = f"{path}?{quote_query(query, safe='[]')}" if query else path
        client = printable(peer[0]) if peer else "-"
        code = 1006 if connection.end is None else connection.end.code
        fields = {
            "client": client,
            "method": "WEBSOCKET",
            "path": path,
            "close_code": code,
            "messages_in": connection.received,
            "messages_out": connection.sent,
            "bytes_in": connection.received_bytes,
            "bytes_out": connection.sent_bytes,
            "duration_ms": duration,
        }
        values = (client, path, code, connection.received, connection.sent, duration)
        self.logger.info(_END, *values, extra=fields)


_LINE = '%s "%s %s HTTP/%s" %s %s %.1fms'
_END = '%s "WEBSOCKET %s" %s %s in %s out %.1fms'


# The attributes of every record; all others came with ``extra=``.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "request_id"}
_SHOWN = (str, int, float, bool, type(None))

_encode = msgspec.json.Encoder(enc_hook=str).encode


class JSONFormatter(logging.Formatter):
    """For ``LOGGING``: one line per record, whatever is in it.

    Its members are ``time`` (UTC), ``level``, ``logger``, ``message``, ``request_id`` where there is one, every field
    of ``extra=``, and ``exception`` and ``stack`` as text. Of fields that are no simple values it shows the text.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        found = request_id.get() or getattr(record, "request_id", "-")
        if found != "-":
            line["request_id"] = found
        for name, value in vars(record).items():
            if name not in _STANDARD and name not in line:
                line[name] = value if isinstance(value, _SHOWN) else str(value)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        try:
            return _encode(line).decode()
        except UnicodeEncodeError:  # half a surrogate pair, from a file name or a client
            for name, value in line.items():
                if isinstance(value, str):
                    line[name] = value.encode("utf-8", "backslashreplace").decode()
            return _encode(line).decode()
