"""The development server of a front end (Vite and its like) behind the gateway's own address, with ``DEBUG`` alone.

How this works: the page, its modules and the websocket of hot module replacement come from one origin, that of the
API, so there is no CORS and cookies are those of production. A request goes on as it came, to the one origin that the
project names, whatever it asks for: ``Host`` is that origin's, and what the client asked is in ``X-Forwarded-*``.
"""

from __future__ import annotations

import asyncio
import html
import socket
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Annotated
from urllib.parse import urlsplit

from h11 import RemoteProtocolError
from starlette.requests import ClientDisconnect, Request
from starlette.websockets import WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Origin, Subprotocol

from hybrid_gateway import http
from hybrid_gateway.binding.markers import Header
from hybrid_gateway.exceptions import BadGateway, HTTPException, NotFound
from hybrid_gateway.request.head_parsing import path_info
from hybrid_gateway.responses.gateway_response import GatewayResponse
from hybrid_gateway.responses.response_classes import HTMLResponse, Response
from hybrid_gateway.responses.streaming_response import StreamingResponse
from hybrid_gateway.routing.declare import FallbackRoute, Route
from hybrid_gateway.routing.websocket_routes import FallbackWebSocketRoute
from hybrid_gateway.static_files.folder_handler import FileHeaders
from hybrid_gateway.static_files.proxied_exchange import CONNECT_TIMEOUT, ProxiedExchange, end_to_end
from hybrid_gateway.types import Header as HeaderLine
from hybrid_gateway.types import Scope
from hybrid_gateway.url_quoting import quote_path
from hybrid_gateway.websockets.socket import WebSocket

ANY_PATH = "/{path:path}"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
UNBOUND = 2**40  # bytes of a body: it is passed on as it comes
MAX_MESSAGE = 16 * 1024 * 1024  # bytes of one message of a client


class DevServer:
    """Passes requests and websockets on to the development server at ``origin``."""

    def __init__(self, origin: str) -> None:
        parts = urlsplit(origin)
        self.origin = origin
        self._host, self._port, self._authority = str(parts.hostname), parts.port or 80, parts.netloc

    def routes(self, name: str) -> Sequence[Route]:
        """Return the routes of all that is passed on, of requests and of websockets."""
        return [
            FallbackRoute(("/", ANY_PATH), self._pass_on, methods=METHODS, max_body_size=UNBOUND, name=name),
            FallbackWebSocketRoute(
                ANY_PATH,
                self._pass_on_websocket,
                name=f"{name}_websocket",
                max_message_size=MAX_MESSAGE,
                ping_interval=None,
            ),
        ]

    # --- HTTP

    async def _pass_on(
        self, request: Request, method: http.Method, accepted: Annotated[FileHeaders, Header()]
    ) -> GatewayResponse:
        """Pass a request on to the development server."""
        if request.headers.get("upgrade", "").lower() == "websocket":
            raise HTTPException(426, "Hot module replacement needs a websocket, which WSGI has none of: serve ASGI.")
        own = self._own_headers(request.scope)
        headers = [(name, value) for name, value in end_to_end(request.headers.raw) if name not in own]
        headers += own.items()
        has_length = "content-length" in request.headers
        has_body = has_length or "transfer-encoding" in request.headers
        if has_body and not has_length:
            headers.append((b"transfer-encoding", b"chunked"))
        try:
            exchange = await ProxiedExchange.open(self._host, self._port)
        except OSError as error:
            return self._unreachable(error, accepted)
        try:
            body = request.stream() if has_body else None
            await exchange.send(method, _target(request.scope), headers, body)
        except (OSError, RemoteProtocolError) as error:
            await exchange.aclose()
            return self._unreachable(error, accepted)
        except BaseException:
            await exchange.aclose()
            raise
        if exchange.status == 404 or self._is_fallback(exchange.headers, request, accepted):
            await exchange.aclose()
            raise NotFound
        lines = [
            (name, self._local(value) if name == b"location" else value)
            for name, value in exchange.headers
            if name not in (b"date", b"server")  # which the server here writes itself
        ]
        made: GatewayResponse
        if method == "HEAD" or exchange.status in (204, 304):
            await exchange.aclose()
            made = Response(None, exchange.status)
        else:
            made = StreamingResponse(exchange, exchange.status)
        made.raw_headers = lines
        return made

    def _own_headers(self, scope: Scope) -> dict[bytes, bytes]:
        """Return the headers that the development server gets in the place of those of the client."""
        pairs: dict[bytes, bytes] = dict(scope["headers"])
        client = (scope.get("client") or ("",))[0]
        return {
            b"host": self._authority.encode("ascii"),
            b"connection": b"close",
            b"x-forwarded-for": client.encode("ascii", "ignore"),
            b"x-forwarded-host": pairs.get(b"host", b""),
            b"x-forwarded-proto": scope.get("scheme", "http").encode("ascii"),
        }

    def _is_fallback(self, headers: Sequence[HeaderLine], request: Request, accepted: FileHeaders) -> bool:
        """Return whether a page came that nobody asked for: Vite sends it in place of a 404, to ``fetch()`` as well."""
        kind = next((value for name, value in headers if name == b"content-type"), b"")
        is_asked_for = accepted.asks_for_html or request.scope["path"].endswith((".html", "/"))
        return kind.startswith(b"text/html") and not is_asked_for

    def _local(self, location: bytes) -> bytes:
        """Return a ``Location`` of the development server as a path of ours."""
        rest = location.removeprefix(self.origin.encode("ascii"))
        return rest if rest != location and rest.startswith(b"/") else location

    def _unreachable(self, error: Exception, accepted: FileHeaders) -> GatewayResponse:
        reason = f"The development server at {self.origin} does not answer: {type(error).__name__}."
        if not accepted.asks_for_html:
            raise BadGateway(reason)
        return HTMLResponse(_PAGE.format(reason=html.escape(reason)), 502)

    # --- websockets

    async def _pass_on_websocket(self, socket: WebSocket, path: str) -> None:
        """Pass a websocket on to the development server."""
        scope = socket.scope
        cookies = [("Cookie", value.decode("latin-1")) for name, value in scope["headers"] if name == b"cookie"]
        try:
            # SECURITY: by a socket of ours, so that neither a redirect nor a proxy of the environment leads elsewhere.
            connected = await _connect(self._host, self._port)
            upstream = await connect(
                f"ws://{self._authority}{_target(scope)}",
                sock=connected,
                origin=Origin(self.origin),
                subprotocols=[Subprotocol(name) for name in socket.offered_subprotocols] or None,
                additional_headers=cookies,
                compression=None,
                max_size=None,
                ping_interval=None,
                open_timeout=CONNECT_TIMEOUT,
            )
        except (OSError, ValueError, WebSocketException) as error:
            raise BadGateway(f"The development server at {self.origin} takes no websocket: {error}.") from None
        async with upstream:
            await socket.accept(upstream.subprotocol)
            await _until_either_ends(_from_client(socket, upstream), _from_server(socket, upstream))


async def _connect(host: str, port: int) -> socket.socket:
    """Return a connected socket that never blocks. Raises ``OSError``."""
    loop = asyncio.get_running_loop()
    problem: OSError | None = None
    for family, kind, protocol, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await loop.sock_connect(made, address)
        except OSError as error:
            made.close()
            problem = error
        else:
            return made
    raise problem or OSError(f"{host} is not known.")


async def _from_client(socket: WebSocket, upstream: ClientConnection) -> None:
    with suppress(WebSocketDisconnect, ClientDisconnect):
        while True:
            await upstream.send(await socket.receive(str | bytes))


async def _from_server(socket: WebSocket, upstream: ClientConnection) -> None:
    async for message in upstream:
        await socket.send(message)


async def _until_either_ends(*halves: Coroutine[object, None, None]) -> None:
    tasks = [asyncio.ensure_future(half) for half in halves]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _target(scope: Scope) -> str:
    """Return path and query of a request, as they are asked of the development server, without a script prefix."""
    path = path_info(scope["path"], scope.get("root_path", "")) or "/"
    query = scope.get("query_string", b"").decode("latin-1")
    return quote_path(path) + (f"?{query}" if query else "")


_PAGE = """<!doctype html>
<meta charset="utf-8">
<meta http-equiv="refresh" content="2">
<title>No development server</title>
<h1>502 Bad Gateway</h1>
<p>{reason}</p>
<p>Start it (<code>npm run dev</code>): this page looks for it every two seconds.</p>
"""
