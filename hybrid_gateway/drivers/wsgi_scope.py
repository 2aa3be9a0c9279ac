"""A WSGI environ as an ASGI scope and ``receive``, and a response's head as ``start_response`` wants it."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from http.client import responses
from typing import Any, TypeVar, cast
from urllib.parse import quote

from django.core.handlers.wsgi import get_script_name
from starlette.requests import ClientDisconnect

from hybrid_gateway.concurrency.caller_threads import InlineThread
from hybrid_gateway.dispatch.dispatcher import FORCED_AUTHENTICATION
from hybrid_gateway.dispatch.request_checks import UNCHECKED_HOST
from hybrid_gateway.exceptions import reason
from hybrid_gateway.headers import NO_CONTENT, FixedHeaders
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.request.request_thread import RequestThread
from hybrid_gateway.sessions.django_context import UNCHECKED_CSRF
from hybrid_gateway.types import Environ, Header, Message, Receive, Scope, StartResponse

T = TypeVar("T")

_CHUNK = 64 * 1024  # bytes read from wsgi.input at a time
_FROM_TESTS = (FORCED_AUTHENTICATION, UNCHECKED_CSRF, UNCHECKED_HOST)  # no server has such keys


class WSGIRequest(RequestContext):
    """One request to the WSGI application. PERF: its scope is made when somebody asks for it."""

    root = ""  # the script prefix
    _read: Receive | None = None

    def __init__(self, environ: Environ) -> None:
        self.environ = environ
        self.method = environ["REQUEST_METHOD"]
        self.raw_query = environ.get("QUERY_STRING", "").encode("latin-1")
        self.raw_headers = read_headers(environ)
        self.headers_by_name = None
        self.path_values = ()
        self._scope = None
        self._is_over = False
        self._lend = InlineThread

    async def _receive(self) -> Message:
        if self._read is None:
            self._read = build_receive(self.environ)
        return await self._read()

    def describe(self) -> Scope:
        return build_scope(self.environ, self.raw_headers)

    def go_on_at(self, thread: RequestThread, receive: Receive) -> None:
        """Let the request go on on ``thread``, and its body come by ``receive``."""
        self.move(thread)
        self._read = receive


def step(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never waits, without an event loop."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return cast("T", stop.value)
    coroutine.close()
    raise RuntimeError("A handler without asynchronous code waited; this is a defect of hybrid_gateway.")


def read_headers(environ: Environ) -> list[Header]:
    """Return the headers of a WSGI request, names in lower case."""
    headers = [
        (name[5:].replace("_", "-").lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in environ.items()
        if name.startswith("HTTP_")
    ]
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            headers.append((name.replace("_", "-").lower().encode(), environ[name].encode("latin-1")))
    return headers


def build_scope(environ: Environ, headers: list[Header]) -> Scope:
    """Return the ASGI scope of a WSGI request. SPEC: PEP 3333 strings are bytes in latin-1."""
    root = get_script_name(environ).rstrip("/")
    path = environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8", "replace") or "/"
    # The path as it was asked for, where the server tells: gunicorn, uWSGI, Waitress and others do.
    target: str = environ.get("RAW_URI") or environ.get("REQUEST_URI") or ""
    if "#" not in target:  # a fragment, which the server has cut, is RequestValidator's to reject
        target = target.partition("?")[0] if target.startswith("/") else ""
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "method": environ["REQUEST_METHOD"],
        "scheme": environ.get("wsgi.url_scheme", "http"),
        "path": root + path,
        "raw_path": target.encode("latin-1", "replace") or quote(root + path).encode(),
        "query_string": environ.get("QUERY_STRING", "").encode("latin-1"),
        "root_path": root,
        "headers": headers,
        "client": (environ["REMOTE_ADDR"], _number(environ.get("REMOTE_PORT"))) if environ.get("REMOTE_ADDR") else None,
        "server": (environ["SERVER_NAME"], _number(environ.get("SERVER_PORT"))) if "SERVER_NAME" in environ else None,
    }
    if "SERVER_PROTOCOL" in environ:
        scope["http_version"] = environ["SERVER_PROTOCOL"].partition("/")[2]
    scope.update((key, environ[key]) for key in _FROM_TESTS if key in environ)
    return scope


def build_receive(environ: Environ) -> Receive:
    """Return ``wsgi.input`` as an ASGI ``receive``: as many bytes as announced, or to the end of a terminated stream.

    It raises ``ClientDisconnect`` where fewer come.
    """
    stream = environ["wsgi.input"]
    length = environ.get("CONTENT_LENGTH")
    is_terminated = environ.get("wsgi.input_terminated") and not (length and _is_number(length))
    left = None if is_terminated else _number(length)

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


def _is_number(text: str) -> bool:
    # SECURITY: only ASCII digits are digits, and int() raises for 5,000 of them.
    return text.isascii() and text.isdigit() and len(text) <= 18


def _number(text: str | None) -> int:
    return int(text) if text and _is_number(text) else 0


def start(start_response: StartResponse, status: int, headers: Iterable[Header], body: bytes | None = None) -> None:
    """Call ``start_response`` with the head of a response, and the length of ``body`` where that is all of it."""
    if type(headers) is FixedHeaders:
        text = headers.text
        if text is None:
            text = headers.text = _as_text(headers)
    else:
        text = _as_text(headers)
    if body is not None and status not in NO_CONTENT:
        text = [*text, ("Content-Length", str(len(body)))]
    start_response(_STATUS_LINES.get(status) or _status_line(status), text)


def _as_text(headers: Iterable[Header]) -> list[tuple[str, str]]:
    # SPEC: PEP 3333, "Other HTTP Features": what speaks of the connection is the server's alone.
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers if name != b"connection"]
    return [(name.title(), value) for name, value in pairs]


def _status_line(status: int) -> str:
    return f"{status} {reason(status) if status >= 400 else responses.get(status, 'Unknown')}"


_STATUS_LINES = {status: _status_line(status) for status in responses}
