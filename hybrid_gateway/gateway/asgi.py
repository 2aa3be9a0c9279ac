"""The ASGI driver: moves bytes between an ASGI server and the endpoints, or hands the request to Django untouched."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from django.conf import settings
from django.urls import set_script_prefix
from starlette.requests import ClientDisconnect

from hybrid_gateway.auth import Authentication
from hybrid_gateway.binding.call import Call
from hybrid_gateway.exceptions import BadRequest, MethodNotAllowed, NotFound
from hybrid_gateway.gateway.prefixes import path_info
from hybrid_gateway.handlers.endpoint import Endpoint
from hybrid_gateway.handlers.sensitive import RequestThreads, thread_sensitive
from hybrid_gateway.handlers.threads import RequestThread
from hybrid_gateway.responses.encode import complete
from hybrid_gateway.responses.kinds import StreamingResponse

if TYPE_CHECKING:
    from hybrid_gateway.gateway.application import Gateway

__all__ = ["ASGIDriver"]

logger = logging.getLogger("hybrid_gateway")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

App = Callable[[Scope, Receive, Send], Awaitable[None]]

_THREAD = "hybrid_gateway.thread"  # on its way through middleware
_ROUTED = "hybrid_gateway.routed"
_FORCED = "hybrid_gateway.authentication"  # put there by a test client; no server has such a key


class ASGIDriver:
    """Answers ``http``, ``lifespan`` and ``websocket`` scopes for one gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._fallthrough = gateway.fallthrough
        self._django = gateway.django
        self.threads = RequestThreads(gateway.pool, gateway.streams)
        self._django_prefixes = gateway.django_prefixes
        self._forced_root = (settings.FORCE_SCRIPT_NAME or "").rstrip("/")
        self._middleware = _wrap(self._answer_inside_middleware, gateway.middleware) if gateway.middleware else None

    async def attend(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a scope that is not ``http``."""
        kind = scope["type"]
        if kind == "lifespan":
            await self._live(receive, send)
        elif kind == "websocket":
            # SPEC: ASGI: closing before accepting refuses the handshake with 403.
            await receive()
            await send({"type": "websocket.close", "code": 1000, "reason": ""})
        else:
            # DJANGO: the words of ASGIHandler.__call__ (core/handlers/asgi.py), which people search for.
            raise ValueError(f"Django can only handle ASGI/HTTP connections, not {kind}.")

    async def serve(self, scope: Scope, receive: Receive, send: Send, thread: RequestThread) -> None:
        """Answer one ``http`` scope; blocking work runs on ``thread``."""
        with thread_sensitive(thread), contextlib.suppress(ClientDisconnect):
            await self.answer(scope, receive, send, thread)

    async def answer(self, scope: Scope, receive: Receive, send: Send, thread: RequestThread) -> None:
        """The same, where asgiref knows of the thread already. Raises ``ClientDisconnect`` when nobody is left."""
        root = self._forced_root or scope.get("root_path")
        path = scope["path"] if not root else path_info(scope["path"], root)
        if path in self._django_prefixes or (self._fallthrough and path and not self._gateway.knows(path)):
            own = self.threads.current() if thread is self.threads else thread
            await self._django.asgi(scope, receive, send, own)
        elif self._middleware is not None:
            await self._middleware({**scope, _THREAD: thread}, receive, send)
        else:
            call, endpoint = self.open(scope, receive, thread, path, root)
            if endpoint.middleware:
                await self._answer_through_middleware(call, endpoint, receive, send)
                return
            answer = await endpoint.respond(call)
            if type(answer) is tuple:  # PERF: what _send does, without the 0.2 µs of one more coroutine
                status, headers, body = answer
                await send({"type": "http.response.start", "status": status, "headers": headers})
                await send({"type": "http.response.body", "body": body if scope["method"] != "HEAD" else b""})
            else:
                await self.send_response(call, endpoint, answer, receive, send)

    async def _send(self, call: Call, endpoint: Endpoint | Unrouted, answer: Any, receive: Receive, send: Send) -> None:
        if type(answer) is tuple:
            status, headers, body = answer
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body if call.scope["method"] != "HEAD" else b""})
        else:
            await self.send_response(call, endpoint, answer, receive, send)

    async def _answer_inside_middleware(self, scope: Scope, receive: Receive, send: Send) -> None:
        root = self._forced_root or scope.get("root_path") or ""
        call, endpoint = self.open(scope, receive, scope[_THREAD], path_info(scope["path"], root), root)
        await self._answer_through_middleware(call, endpoint, receive, send)

    async def _answer_through_middleware(
        self, call: Call, endpoint: Endpoint | Unrouted, receive: Receive, send: Send
    ) -> None:
        app = _wrap(self._answer_inside_route, endpoint.middleware)
        await app({**call.scope, _ROUTED: (call, endpoint)}, receive, send)

    async def _answer_inside_route(self, scope: Scope, receive: Receive, send: Send) -> None:
        routed, endpoint = scope[_ROUTED]
        call = Call(scope, receive, routed.path_values, routed.thread)
        call.authentication = routed.authentication
        await self._send(call, endpoint, await endpoint.respond(call), receive, send)

    def open(
        self, scope: Scope, receive: Receive, thread: RequestThread, path: str | None, root: str | None
    ) -> tuple[Call, Endpoint | Unrouted]:
        """The call that a scope describes, and what answers it. ``path`` is ``None`` when nobody can tell the path."""
        if root:
            set_script_prefix(root)
        found = None if path is None else self._gateway.tree.find(path, scope["method"])
        if found is None:
            found = self._find_other_slash(path, scope["method"])
        if found is None:
            return Call(scope, receive, (), thread), Unrouted(self._gateway, path, root or "")
        endpoint, values = found
        call = Call(scope, receive, values, thread)
        if _FORCED in scope:
            forced = scope[_FORCED]
            call.authentication = forced if isinstance(forced, Authentication) else None
        return call, endpoint

    def _find_other_slash(self, path: str | None, method: str) -> tuple[Endpoint, tuple[Any, ...]] | None:
        tree = self._gateway.tree
        if path is None or self._gateway.trailing_slash != "ignore" or tree.methods(path):
            return None
        other = self._gateway.other_slash(path)
        return None if other is None else tree.find(other, method)

    async def send_response(
        self, call: Call, endpoint: Endpoint | Unrouted, response: Any, receive: Receive, send: Send
    ) -> None:
        """Let a Starlette response send itself, then leave what the handler entered."""
        failure = None
        try:
            if isinstance(response, StreamingResponse):
                if call.method == "HEAD":
                    await _send_head(response, send)
                    return
                response.iterate_on(call.thread.stream)
            await response(call.scope, receive, send)
        except BaseException as error:
            failure = error
            raise
        finally:
            await endpoint.close(call, failure)

    # --- lifespan

    async def _live(self, receive: Receive, send: Send) -> None:
        """SPEC: ASGI lifespan. Django's handler raises on it, so the gateway answers by itself."""
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                if not await self._report(self._gateway.startup(), "lifespan.startup", send):
                    return
            elif message["type"] == "lifespan.shutdown":
                await self._report(self._gateway.shutdown(), "lifespan.shutdown", send)
                return

    async def _report(self, work: Awaitable[None], phase: str, send: Send) -> bool:
        self.threads.adopt()  # what it asks of the ORM leaves no connection open either
        try:
            await work
        except Exception as error:
            logger.exception("%s failed", phase)
            await send({"type": f"{phase}.failed", "message": f"{type(error).__name__}: {error}"})
            return False
        finally:
            self.threads.release()
        await send({"type": f"{phase}.complete"})
        return True


def _wrap(app: App, middleware: Sequence[Callable[[App], App]]) -> App:
    for factory in reversed(middleware):
        app = factory(app)
    return app


class Unrouted:
    """Answers where no route does: 404, 405, an automatic OPTIONS, or the way to the other slash."""

    awaits = False
    middleware = ()

    def __init__(self, gateway: Gateway, path: str | None, root: str) -> None:
        self._gateway = gateway
        self._path = path
        self._root = root

    async def respond(self, call: Call) -> Any:
        """The answer, which is whole unless a handler of the project's for errors streams."""
        path, errors = self._path, self._gateway.errors
        if path == "*" and call.method == "OPTIONS":
            return _allow(("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"))
        if path is None or not path.startswith("/"):
            return await errors.answer(call, BadRequest("The path of the request makes no sense here."))
        methods = self._gateway.tree.methods(path)
        other = None if methods else self._gateway.other_slash(path)
        if other is not None and self._gateway.trailing_slash == "ignore":
            methods = self._gateway.tree.methods(other)
        elif other is not None:
            return _redirect(self._root.rstrip("/") + other, call.raw_query)
        if not methods:
            return await errors.answer(call, NotFound())
        if call.method == "OPTIONS":
            return _allow(methods)
        allow = ", ".join(sorted({*methods, "OPTIONS"}))
        return await errors.answer(call, MethodNotAllowed(headers={"Allow": allow}))

    async def close(self, call: Call, error: BaseException | None = None) -> None:
        """Nothing was entered."""


def _allow(methods: Iterable[str]) -> Any:
    return complete(204, None, b"", [(b"allow", ", ".join(sorted({*methods, "OPTIONS"})).encode())])


def _redirect(path: str, query: bytes) -> Any:
    # SPEC: RFC 9110 section 15.4.9: 308 keeps method and body.
    location = quote(path, safe="/!$&'()*+,;=:@~-._").encode() + (b"?" + query if query else b"")
    return complete(308, None, b"", [(b"location", location)])


async def _send_whole(send: Send, answer: Any) -> None:
    status, headers, body = answer
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _send_head(response: StreamingResponse, send: Send) -> None:
    """HEAD of a stream: its status and headers, and not one chunk asked for."""
    await _send_whole(send, (response.status_code, response.raw_headers, b""))
