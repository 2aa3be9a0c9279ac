"""The third driver in tests: bytes through the lane's protocol, on a transport that keeps what is written."""

from __future__ import annotations

import asyncio
import http.client
import io
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from hybrid_gateway import Gateway
from hybrid_gateway.concurrency.caller_threads import CallingThread
from hybrid_gateway.drivers.lane.protocol import LaneProtocol
from hybrid_gateway.drivers.lane.request import LaneRequest
from hybrid_gateway.sessions.django_context import UNCHECKED_CSRF
from hybrid_gateway.test import transports
from hybrid_gateway.test.transports import AUTHENTICATION, LOOP, ClientResponse, build_response, scope_from_environ


class Transport(asyncio.Transport):
    """The server's end of a connection that goes nowhere."""

    def __init__(self, **extra: Any) -> None:
        super().__init__(extra)
        self.written = bytearray()
        self.closed = False

    def write(self, data: Any) -> None:
        if not self.closed:
            self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def set_protocol(self, protocol: Any) -> None:
        pass


class LentProtocol(LaneProtocol):
    """The lane, whose blocking work goes to the thread of the test, as the other drivers' does there."""

    thread: CallingThread
    authentication: Any = None
    marks: dict[str, Any] = {}

    class request_class(LaneRequest):  # noqa: N801
        connection: LentProtocol

        def __init__(self, connection: LentProtocol, *args: Any) -> None:
            super().__init__(connection, *args)
            self.authentication = connection.authentication

        def describe(self) -> Any:
            return {**super().describe(), **self.connection.marks}

        def _lend(self) -> CallingThread:
            return self.connection.thread


async def exchange(gateway: Gateway, scope: dict[str, Any], body: bytes, thread: CallingThread) -> bytes:
    """What a connection answers to one request, once nobody works on it any more."""
    config = uvicorn.Config(gateway, log_config=None, access_log=False, root_path=scope["root_path"])
    config.load()
    state = ServerState()
    protocol = LentProtocol(config, state, {}, asyncio.get_running_loop())
    protocol.thread = thread
    protocol.authentication = scope.get(AUTHENTICATION)
    protocol.marks = {key: scope[key] for key in (UNCHECKED_CSRF,) if key in scope}

    async def app(served: Any, receive: Any, send: Any) -> None:
        served.update({key: scope[key] for key in (AUTHENTICATION, UNCHECKED_CSRF) if key in scope})
        await gateway.serve(served, receive, send, thread)

    protocol.app = app
    transport = Transport(
        peername=scope["client"], sockname=scope["server"], sslcontext=object() if scope["scheme"] == "https" else None
    )
    protocol.connection_made(transport)
    protocol.data_received(request_bytes(scope, body))
    while state.tasks:
        await asyncio.wait(state.tasks)
        await asyncio.sleep(0)
    protocol.connection_lost(None)
    return bytes(transport.written)


def request_bytes(scope: dict[str, Any], body: bytes) -> bytes:
    """The request that a client would have written."""
    target = scope["raw_path"].removeprefix(scope["root_path"].encode()) or b"/"
    if scope["query_string"]:
        target += b"?" + scope["query_string"]
    lines = [scope["method"].encode() + b" " + target + b" HTTP/1.1"]
    lines += [name + b": " + value for name, value in scope["headers"]]
    if body and not any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"]):
        lines.append(b"content-length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def answer_lane(gateway: Gateway, environ: dict[str, Any]) -> ClientResponse:
    """One request of a test client."""
    scope = scope_from_environ(environ)
    thread = CallingThread()
    body = environ["wsgi.input"].read()
    raw = thread.run_until_done(exchange(gateway, scope, body, thread), LOOP)
    status, headers, content = read_response(raw, scope["method"])
    return build_response(scope["method"], scope["path"], status, headers, content)


def read_response(raw: bytes, method: str = "GET") -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, headers and body, chunked or not."""

    class Socket:
        def makefile(self, mode: str) -> io.BytesIO:
            return io.BytesIO(raw)

    response = http.client.HTTPResponse(Socket(), method=method)  # type: ignore[arg-type]
    response.begin()
    return response.status, response.getheaders(), response.read()


transports.RESPOND["lane"] = answer_lane
