"""A site of websockets for real servers: settings and routes in one module."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

SECRET_KEY = "for the tests of websockets alone"
ASGI_APPLICATION = "hybrid_gateway.asgi.application"
WSGI_APPLICATION = "hybrid_gateway.wsgi.application"
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["hybrid_gateway"]
USE_TZ = True
DEBUG = False
HYBRID_GATEWAY = {"ROUTES": "tests.websockets.site", "ALLOWED_DJANGO_ROUTES": (), "THREADS": 4, "GRACEFUL_TIMEOUT": 3}
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "postgres",
        "USER": "postgres",
        "HOST": "127.0.0.1",
        "CONN_MAX_AGE": None,
        "OPTIONS": {"application_name": os.environ.get("SITE_NAME", "websockets")},
    }
}


def make_routes() -> list:
    from django.db import connection

    from hybrid_gateway import HTTPException, Listener, Request, WebSocket, get, listener, stream, websocket
    from hybrid_gateway.exceptions import Forbidden

    log: list[str] = []

    class Ask(msgspec.Struct, tag=True):
        question: str

    class Say(msgspec.Struct, tag=True):
        text: str

    class Held:
        pass

    @asynccontextmanager
    async def held(request: Request) -> AsyncIterator[Held]:
        name = request.query_params["name"]
        log.append(f"{name} enter")
        try:
            yield Held()
        finally:
            log.append(f"{name} leave")

    @get("/probe")
    async def probe() -> str:
        return "ready"

    @get("/log/{name}")
    async def show(name: str) -> list[str]:
        return [entry.removeprefix(f"{name} ") for entry in log if entry.startswith(f"{name} ")]

    @get("/both")
    async def page() -> str:
        return "the page"

    @websocket("/both")
    async def both(socket: WebSocket) -> None:
        await socket.send("the socket")

    @listener("/typed")
    async def typed(data: Ask | Say) -> dict:
        return {"kind": type(data).__name__}

    @listener("/packed", mode="msgpack")
    async def packed(data: Ask | Say) -> dict:
        return {"kind": type(data).__name__}

    @websocket("/frames")
    async def frames(socket: WebSocket) -> None:
        while True:
            text = await socket.receive_text()
            await socket.send(text)
            await socket.send(text.encode())

    @websocket("/refused/{status}")
    async def refused(socket: WebSocket, status: int) -> None:
        raise HTTPException(status, "No.", headers={"X-Why": "because"})

    @websocket("/refused-by-guard", guards=[_deny(Forbidden)])
    async def guarded(socket: WebSocket) -> None:
        """Never be called."""

    @websocket("/close/{code}")
    async def close(socket: WebSocket, code: int) -> None:
        await socket.send("before")
        await socket.close(code, "because")

    @websocket("/nothing")
    async def nothing(socket: WebSocket) -> None:
        """Return without a word."""

    @websocket("/crash")
    async def crash(socket: WebSocket) -> None:
        await socket.accept()
        raise ValueError("broken")

    @websocket("/protocols", subprotocols=["two"], response_headers={"X-Layer": "1"})
    async def protocols(socket: WebSocket) -> None:
        await socket.accept(headers=[("X-Own", "2")])
        await socket.send(socket.offered_subprotocols)

    class Ending(Listener):
        path = "/ending"
        components = [held]

        async def on_connect(self, name: str, held: Held) -> None:
            self.name = name

        async def on_message(self, data: str) -> str:
            return data

        async def on_disconnect(self, code: int) -> None:
            await asyncio.sleep(0)
            log.append(f"{self.name} code {code}")

    @stream("/talk", components=[held])
    async def talk(name: str, held: Held) -> AsyncIterator[int]:
        try:
            number = 0
            while True:
                yield (number := number + 1)
                await asyncio.sleep(0.01)
        finally:
            log.append(f"{name} finally")

    @stream("/flood", ping_interval=0.5, components=[held])
    async def flood(name: str, held: Held) -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65536

    @listener("/small", max_message_size=1000)
    async def small(data: str) -> int:
        return len(data.encode())

    @listener("/rows")
    def rows(data: str) -> str:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(0.005)")
        return threading.current_thread().name

    return [
        *(probe, show, page, both, typed, packed, frames, refused, guarded, close, nothing, crash, protocols),
        *(Ending, talk, flood, small, rows),
    ]


def _deny(error: type[Exception]):
    async def deny() -> None:
        raise error("Not you.")

    return deny


def __getattr__(name: str) -> list:
    if name == "routes":  # once Django has read the settings, which this module is as well
        return globals().setdefault("routes", make_routes())
    raise AttributeError(name)
