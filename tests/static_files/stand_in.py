"""A small server in the place of Vite's: it tells what it was asked, streams, and echoes websockets."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

SEEN: list[dict[str, Any]] = []  # what requests were like
RELEASE = threading.Event()  # lets the second half of a stream go


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await _echo(scope, receive, send)
    elif scope["type"] == "http":
        await _answer(scope, receive, send)


async def _echo(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    if scope["path"] == "/refused":
        await send({"type": "websocket.close"})
        return
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    offered = scope["subprotocols"]
    await send({"type": "websocket.accept", "subprotocol": offered[0] if offered else None})
    told = {"path": scope["path"], "query": scope["query_string"].decode(), "headers": headers}
    await send({"type": "websocket.send", "text": json.dumps(told)})
    while (message := await receive())["type"] == "websocket.receive":
        if message.get("text") == "bye":
            await send({"type": "websocket.close", "code": 1000})
            return
        await send({"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")})


async def _answer(scope: Any, receive: Any, send: Any) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message.get("body", b""), message.get("more_body", False)
    told = {
        "method": scope["method"],
        "path": scope["path"],
        "raw": scope["raw_path"].decode(),
        "query": scope["query_string"].decode(),
        "headers": [[name.decode(), value.decode("latin-1")] for name, value in scope["headers"]],
        "size": len(body),
    }
    SEEN.append(told)
    kind, status, extra = b"application/json", 200, []
    content = [json.dumps(told).encode()]
    match scope["path"]:
        case "/gone.js":
            status = 404
        case "/moved":
            status, extra = 302, [(b"location", f"http://{dict(scope['headers'])[b'host'].decode()}/there".encode())]
        case "/away":
            status, extra = 302, [(b"location", b"http://elsewhere.example/there")]
        case "/same.js":
            status, content = 304, []
        case "/" | "/users" | "/api/unknown" | "/missing.js" | "/part.html":
            kind, content = b"text/html", [b"<script type=module src=/@vite/client></script>"]
        case "/stream":
            content = [b"first\n", b"second\n"]
    extra += [
        (b"x-powered-by", b"stand-in"),
        (b"keep-alive", b"timeout=5"),
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind), *extra]})
    for place, chunk in enumerate(content):
        if place:
            await asyncio.to_thread(RELEASE.wait, 10)
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


@contextmanager
def stand_in() -> Iterator[str]:
    """Give the origin of a stand-in that serves as long as the context is open."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()  # before the first test asks: the thread may begin later
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", ws="websockets-sansio"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)
