"""The handlers behind the clients: Django's own for tests, or the gateway over the protocol asked for.

How this works: blocking work of an API request, the ORM's above all, runs on the thread of the test. So handlers, sync
and async, see the rows of a ``TestCase`` transaction, and Django's habit of closing connections around a request is
suspended as Django's own test handlers suspend it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, unquote_to_bytes

from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.http import HttpHeaders, HttpResponse
from django.test.client import AsyncClientHandler, ClientHandler

from hybrid_gateway._compat.django_test_internals import BODY_FILE
from hybrid_gateway.auth import Authentication
from hybrid_gateway.concurrency.caller_threads import AsgirefThread, LoopThread
from hybrid_gateway.dispatch.request_checks import UNCHECKED_HOST
from hybrid_gateway.drivers.wsgi_scope import WSGIRequest
from hybrid_gateway.gateway.application import Gateway
from hybrid_gateway.gateway.settings_gateway import default_gateway
from hybrid_gateway.sessions.django_context import UNCHECKED_CSRF
from hybrid_gateway.test.lent_thread import LentThread
from hybrid_gateway.types import Environ, Message, Scope

if TYPE_CHECKING:
    from django.test.utils import ContextList
    from django.urls import ResolverMatch

Protocol = Literal["asgi", "wsgi"]

# The loop of synchronous clients over ASGI: it outlives requests, tests and gateways.
LOOP = LoopThread(name="gateway-test-loop")

# SECURITY: no server can forge this: what it puts into a scope or an environ is never an Authentication object.
AUTHENTICATION = "hybrid_gateway.authentication"


class Target:
    """The gateway that API requests go to, with the headers and the authentication that a client adds to each."""

    def __init__(self, gateway: Gateway | None) -> None:
        self._gateway = gateway
        self.headers: dict[str, str] = {}
        self.authentication: Authentication | None = None

    @property
    def gateway(self) -> Gateway:
        """The gateway given to the client, else the one of the current settings."""
        return default_gateway() if self._gateway is None else self._gateway


class GatewayHandler(ClientHandler):
    """The handler of the sync client, for WSGI environs: Django's paths go to Django's own, others to the gateway."""

    def __init__(self, target: Target, protocol: Protocol, enforce_csrf_checks: bool) -> None:
        super().__init__(enforce_csrf_checks)
        self.target = target
        self.protocol = protocol

    @property
    def loop(self) -> LoopThread:
        """The loop that the gateway's coroutines run on, those of its lifespan too."""
        return self.target.gateway.loop_thread if self.protocol == "wsgi" else LOOP

    def __call__(self, environ: Environ) -> Any:
        gateway = self.target.gateway
        dispatcher = gateway.dispatcher
        with gateway.emit.held() as events:
            if dispatcher.is_django(path_text(environ["PATH_INFO"])) and not dispatcher.rejects(
                WSGIRequest(environ).scope
            ):
                response: Any = super().__call__(environ)
            else:
                self.complete(environ)
                with connections_left_alone():
                    response = RESPOND[self.protocol](gateway, environ)
            events.run()
        return response

    def complete(self, environ: Environ) -> None:
        """Add to an environ of the gateway's what the client adds to each, and what a server would."""
        for name, value in self.target.headers.items():
            environ.setdefault(HttpHeaders.to_wsgi_name(name), value)
        if "HTTP_HOST" not in environ:
            environ["HTTP_HOST"] = host_of(environ)
            environ[UNCHECKED_HOST] = True  # "testserver" is allowed where somebody has set the tests up, and elsewhere
        if not environ["HTTP_COOKIE"]:
            del environ["HTTP_COOKIE"]
        if self.target.authentication is not None:
            environ[AUTHENTICATION] = self.target.authentication
        if not self.enforce_csrf_checks:
            environ[UNCHECKED_CSRF] = True


class AsyncGatewayHandler(AsyncClientHandler):
    """The handler of the async client, for ASGI scopes, on the running loop."""

    def __init__(self, target: Target, enforce_csrf_checks: bool) -> None:
        super().__init__(enforce_csrf_checks)
        self.target = target

    async def __call__(self, scope: dict[str, Any]) -> Any:
        gateway = self.target.gateway
        dispatcher, path = gateway.dispatcher, scope["path"].removeprefix(scope.get("root_path", ""))
        with gateway.emit.held() as events:
            if dispatcher.is_django(path) and not dispatcher.rejects(scope):
                response: Any = await super().__call__(scope)
            else:
                body_file = scope.pop(BODY_FILE, None)
                self.complete(scope)
                exchange = Exchange(body_file.read() if body_file is not None else b"")
                with connections_left_alone():
                    await gateway.serve(scope, exchange.receive, exchange.send, AsgirefThread())
                response = exchange.response(scope["method"], scope["path"])
            await events.arun()
        return response

    def complete(self, scope: Scope) -> None:
        """Add to a scope of the gateway's what the client adds to each, and what a server would."""
        scope.setdefault("query_string", b"")
        present = {name for name, _ in scope["headers"]}
        if b"host" not in present:
            scope["headers"].append((b"host", scope["server"][0].encode("latin-1")))
            scope[UNCHECKED_HOST] = True
        for header, value in self.target.headers.items():
            name = header.lower().encode("latin-1")
            if name not in present:
                scope["headers"].append((name, value.encode("latin-1")))
        if self.target.authentication is not None:
            scope[AUTHENTICATION] = self.target.authentication
        if not self.enforce_csrf_checks:
            scope[UNCHECKED_CSRF] = True


# --- the response that a client hands back ---------------------------------------------------------------------------

_SHOWN = 300  # characters of a body; a failed assertion should say what the server complained about


class ClientResponse(HttpResponse):
    """The gateway's response as a Django response: ``status_code json() text content headers cookies url``.

    It is read to its end, streams too. Headers sent more than once are joined by commas; ``raw_headers`` has each, with
    names in lower case.
    Pages of Django's come back as the very object Django made, with these attributes and Django's own.
    """

    if TYPE_CHECKING:  # set by Django's client
        client: Any
        context: ContextList | Any
        exc_info: Any
        json: Callable[..., Any]
        redirect_chain: list[tuple[str, int]]
        request: Environ
        resolver_match: ResolverMatch
        templates: list[Any]

    wsgi_request = asgi_request = None  # no Django request was ever built

    def __init__(self, method: str, path: str, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        super().__init__(body, status=status)
        del self.headers["Content-Type"]
        self.method, self.path = method, path
        self.raw_headers = tuple((name.lower(), value) for name, value in headers)
        for name, value in self.raw_headers:
            if name == "set-cookie":
                self.cookies.update(SimpleCookie(value))
            else:
                self.headers[name] = f"{self.headers[name]}, {value}" if name in self.headers else value

    @property
    def url(self) -> str:
        """The target of a redirect."""
        if "Location" not in self.headers:
            raise AttributeError(f"{self!r} is no redirect: it has no Location.")
        return self.headers["Location"]

    def __repr__(self) -> str:
        kind = self.headers.get("Content-Type", "")
        readable = kind.startswith("text/") or "json" in kind
        body = self.content.decode("utf-8", "replace") if readable else f"{len(self.content)} bytes"
        body = body if len(body) <= _SHOWN else f"{body[:_SHOWN]}…"
        return f"<{type(self).__name__} {self.method} {self.path} {self.status_code} {kind} {body}>"


# --- the two protocols ---------------------------------------------------------------------------------------------


class Exchange:
    """The server's end of one ASGI request: hands out the body, collects the response."""

    def __init__(self, body: bytes) -> None:
        self.body: bytes | None = body
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self.chunks: list[bytes] = []
        self.complete = asyncio.Event()

    async def receive(self) -> Message:
        """Give the body, whole; then wait as a client does and hang up once the response is complete."""
        if self.body is not None:
            body, self.body = self.body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self.complete.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = message.get("headers", ())
            self.headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
        elif message["type"] == "http.response.body":
            self.chunks.append(message.get("body", b""))
            if not message.get("more_body", False):
                self.complete.set()

    def response(self, method: str, path: str) -> ClientResponse:
        if not self.status:
            raise RuntimeError(f"{method} {path} was never answered.")
        return build_response(method, path, self.status, self.headers, b"".join(self.chunks))


def respond_asgi(gateway: Gateway, environ: Environ) -> ClientResponse:
    scope = scope_from_environ(environ)
    exchange = Exchange(environ["wsgi.input"].read())
    thread = LentThread()
    thread.run_until_done(gateway.serve(scope, exchange.receive, exchange.send, thread), LOOP)
    return exchange.response(scope["method"], scope["path"])


def respond_wsgi(gateway: Gateway, environ: Environ) -> ClientResponse:
    started: list[tuple[int, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Callable[[bytes], None]:
        started[:] = [(int(status[:3]), headers)]
        return chunks.append

    chunks: list[bytes] = []
    body = gateway.serve_wsgi(environ, start_response)
    try:
        chunks.extend(body)
    finally:
        close = getattr(body, "close", None)
        if close is not None:
            close()
    method, path = environ["REQUEST_METHOD"], path_text(environ["SCRIPT_NAME"] + environ["PATH_INFO"])
    if not started:
        raise RuntimeError(f"{method} {path} was never answered.")
    return build_response(method, path, *started[0], b"".join(chunks))


RESPOND: dict[str, Callable[[Gateway, Environ], ClientResponse]] = {"asgi": respond_asgi, "wsgi": respond_wsgi}


def build_response(method: str, path: str, status: int, headers: list[tuple[str, str]], body: bytes) -> ClientResponse:
    # Servers drop the body of a response to HEAD; the length it would have had stays in the headers.
    return ClientResponse(method, path, status, headers, b"" if method == "HEAD" else body)


def scope_from_environ(environ: Environ) -> Scope:
    """Return the ASGI scope in which a server would have described the same request."""
    root_path, path = path_text(environ["SCRIPT_NAME"]), path_text(environ["PATH_INFO"])
    path_bytes = (environ["SCRIPT_NAME"] + environ["PATH_INFO"]).encode("latin-1")
    raw_path = environ.get("REQUEST_URI", "").partition("?")[0]
    if unquote_to_bytes(raw_path) != path_bytes:  # the environ was set by hand
        raw_path = quote(path_bytes)
    headers = [(b"host", environ.get("HTTP_HOST", host_of(environ)).encode("latin-1"))]
    for key, value in environ.items():
        name = HttpHeaders.parse_header_name(key)
        if name and (value or key.startswith("HTTP_")) and key != "HTTP_HOST":
            headers.append((name.lower().encode("latin-1"), str(value).encode("latin-1")))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": environ["SERVER_PROTOCOL"].partition("/")[2],
        "method": environ["REQUEST_METHOD"],
        "scheme": environ["wsgi.url_scheme"],
        "path": root_path + path,
        "raw_path": raw_path.encode("ascii"),
        "root_path": root_path,
        "query_string": environ.get("QUERY_STRING", "").encode("latin-1"),
        "headers": headers,
        "client": (environ["REMOTE_ADDR"], 0),
        "server": (environ["SERVER_NAME"], int(environ["SERVER_PORT"])),
    }
    for key in (AUTHENTICATION, UNCHECKED_CSRF, UNCHECKED_HOST):
        if key in environ:
            scope[key] = environ[key]
    return scope


def path_text(path: str) -> str:
    """Return a WSGI path (PEP 3333: bytes decoded as latin-1) as the text that ASGI servers and Django make of it."""
    return path.encode("latin-1").decode("utf-8", "replace")


def host_of(environ: Environ) -> str:
    """Return the ``Host`` header that a browser would send to this server."""
    usual = {"http": "80", "https": "443"}[environ["wsgi.url_scheme"]]
    port = environ["SERVER_PORT"]
    return environ["SERVER_NAME"] if port == usual else f"{environ['SERVER_NAME']}:{port}"


# --- connections ---------------------------------------------------------------------------------------------------

_lock = threading.Lock()
_running = 0


@contextmanager
def connections_left_alone() -> Iterator[None]:
    """Keep Django's request signals from closing the connection that holds the test's transaction."""
    # DJANGO: test/client.py, ClientHandler.__call__; counted, since async clients run several requests at once
    global _running
    with _lock:
        _running += 1
        if _running == 1:
            request_started.disconnect(close_old_connections)
            request_finished.disconnect(close_old_connections)
    try:
        yield
    finally:
        with _lock:
            _running -= 1
            if _running == 0:
                request_started.connect(close_old_connections)
                request_finished.connect(close_old_connections)
