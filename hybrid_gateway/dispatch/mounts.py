"""Other people's ASGI and WSGI applications below a path of the gateway."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import aclosing
from typing import Any, cast

from hybrid_gateway.dispatch.prefixes import Prefixes
from hybrid_gateway.django_side.environ import build_environ
from hybrid_gateway.headers import checked_start_response
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.request.request_thread import RequestThread
from hybrid_gateway.routing.declare import Mount
from hybrid_gateway.types import (
    ASGIApp,
    ASGIMiddlewareFactory,
    Environ,
    Header,
    Headers,
    Receive,
    Scope,
    Send,
    StartResponse,
    WSGIApp,
)

State = dict[str, Any]

MAX_BODY_IN_MEMORY = 64 * 1024  # bytes of a request body, beyond which it goes to a file


class Mounts:
    """The mounts of a gateway by path; the longest that covers a path answers.

    ``states`` are those of lifespans, by the ``id()`` of the application.
    """

    def __init__(self, mounts: Iterable[tuple[str, Mount]], states: dict[int, State]) -> None:
        self._by_prefix = {
            Prefixes([path]).prefixes[0]: Mounted(path.rstrip("/"), mount, states) for path, mount in mounts
        }
        self._prefixes = Prefixes(self._by_prefix)

    def __bool__(self) -> bool:
        return bool(self._by_prefix)

    @property
    def paths(self) -> list[str]:
        """The paths at which something is mounted."""
        return list(self._by_prefix)

    @property
    def with_lifespan(self) -> list[Mounted]:
        """The mounts that may have a lifespan: one for each ASGI application."""
        return list({id(mounted.app): mounted for mounted in self._by_prefix.values() if not mounted.is_wsgi}.values())

    def find(self, path: str) -> Mounted | None:
        """Return the mount that answers ``path``, where no route does."""
        prefix = self.prefix(path)
        return None if prefix is None else self._by_prefix[prefix]

    def prefix(self, path: str) -> str | None:
        """Return the path at which that is mounted."""
        return self._prefixes.find(path) if self._by_prefix else None


class Mounted:
    """A mounted application in the place of an endpoint."""

    awaits = False
    django_middleware = None
    middleware: tuple[ASGIMiddlewareFactory, ...] = ()
    security_headers: Headers = ()  # it has its own way

    def __init__(self, path: str, mount: Mount, states: dict[int, State]) -> None:
        self._path = path
        self._states = states
        self.app: object = mount.app
        self.is_wsgi = mount.protocol == "wsgi"

    def __repr__(self) -> str:
        return f"<Mount {self._path}: {self.app!r}>"

    @property
    def state(self) -> State | None:
        """The state that the application's lifespan has made; ``None`` where it has none, or none is running."""
        return self._states.get(id(self.app))

    @state.setter
    def state(self, state: State | None) -> None:
        if state is None:
            self._states.pop(id(self.app), None)
        else:
            self._states[id(self.app)] = state

    async def asgi_app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer a scope, whose ``state`` is a copy of its own."""
        if scope["type"] != "lifespan":
            # SPEC: ASGI HTTP scope: path holds all of it, root_path is where the application is mounted.
            scope = {**scope, "root_path": scope.get("root_path", "") + self._path}
            if self.state is not None:
                scope["state"] = {**(scope.get("state") or {}), **self.state}
        await cast("ASGIApp", self.app)(scope, receive, send)

    async def respond(self, ctx: RequestContext) -> ASGIApp:
        """Return the application, to which the mount is part of ``root_path``."""

        async def run_wsgi(scope: Scope, receive: Receive, send: Send) -> None:
            inside = {**scope, "root_path": scope.get("root_path", "") + self._path}
            await _serve_wsgi(cast("WSGIApp", self.app), inside, receive, send, ctx.thread)

        return run_wsgi if self.is_wsgi else self.asgi_app

    @property
    def websocket_app(self) -> ASGIApp | None:
        """The application that answers websockets; ``None`` for one of WSGI."""
        return None if self.is_wsgi else self.asgi_app

    def serve_wsgi(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes] | None:
        """Answer a WSGI server by a WSGI application; return ``None`` where the mount is none."""
        if not self.is_wsgi:
            return None
        path = self._path.encode().decode("latin-1")  # SPEC: PEP 3333: a character for each byte
        rest = environ.get("PATH_INFO", "")[len(path) :]
        inside = {**environ, "SCRIPT_NAME": environ.get("SCRIPT_NAME", "") + path, "PATH_INFO": rest}
        return cast("WSGIApp", self.app)(inside, checked_start_response(start_response))

    async def end(self, ctx: RequestContext, background: object = None, error: BaseException | None = None) -> None:
        """Do nothing: nothing was opened, and nothing follows."""


async def _serve_wsgi(app: WSGIApp, scope: Scope, receive: Receive, send: Send, thread: RequestThread) -> None:
    """Run a WSGI application on ``thread`` chunk by chunk; the request body is read before it starts."""
    with tempfile.SpooledTemporaryFile(MAX_BODY_IN_MEMORY) as body:
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            more = message.get("more_body", False)
            size += await thread.run(body.write, message.get("body", b""))
        body.seek(0)
        environ = build_environ(scope, "", body, size)
        if scope["path"] == scope["root_path"]:
            environ["PATH_INFO"] = ""  # an application that is mounted may tell it from "/"
        response = _WSGIResponse(app, environ)
        async with aclosing(thread.stream(response)) as chunks:
            async for chunk in chunks:
                await response.start(send)
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await response.start(send)
        await send({"type": "http.response.body", "body": b""})


class _WSGIResponse:
    """The chunks of a WSGI application's response, and what it says of them."""

    def __init__(self, app: WSGIApp, environ: Environ) -> None:
        self._app = app
        self._environ = environ
        self._head: tuple[int, list[Header]] | None = None
        self._is_started = False

    def __iter__(self) -> Iterator[bytes]:
        chunks = self._app(self._environ, self._start_response)
        try:
            yield from chunks
        finally:
            close = getattr(chunks, "close", None)
            if close is not None:
                close()

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None, /
    ) -> Callable[[bytes], object]:
        if exc_info is not None and self._is_started:
            raise exc_info[1].with_traceback(exc_info[2])
        lines = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        self._head = int(status.partition(" ")[0]), lines
        return _reject_write

    async def start(self, send: Send) -> None:
        """Send status and headers, once."""
        if self._is_started:
            return
        if self._head is None:
            raise RuntimeError(f"{self._app!r} answered without calling start_response().")
        self._is_started = True
        status, headers = self._head
        await send({"type": "http.response.start", "status": status, "headers": headers})


def _reject_write(data: bytes) -> None:
    raise NotImplementedError("The write() of start_response(), which PEP 3333 deprecates, is not supported.")
