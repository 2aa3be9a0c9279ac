"""Starlette: a set of sockets, and a loop over them, as its users write it."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

listening: set[WebSocket] = set()


async def hello(request: Request) -> JSONResponse:
    return JSONResponse({"message": "Hello, World!"})


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text)


async def room(socket: WebSocket) -> None:
    await socket.accept()
    listening.add(socket)
    try:
        async for _ in socket.iter_text():
            pass
    finally:
        listening.discard(socket)


async def publish(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        for listener in list(listening):
            await listener.send_text(text)


application = Starlette(
    routes=[
        Route("/hello", hello),
        WebSocketRoute("/echo", echo),
        WebSocketRoute("/rooms/1", room),
        WebSocketRoute("/publish", publish),
    ]
)
