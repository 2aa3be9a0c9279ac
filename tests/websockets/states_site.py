"""A site whose websockets can be met in any state of their life: settings and routes in one module."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

SECRET_KEY = "for the tests of websockets alone"
ASGI_APPLICATION = "hybrid_gateway.asgi.application"
WSGI_APPLICATION = "hybrid_gateway.wsgi.application"
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["hybrid_gateway"]
USE_TZ = True
HYBRID_GATEWAY = {"ROUTES": "tests.websockets.states_site", "THREADS": 8, "GRACEFUL_TIMEOUT": 2}
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}


def tell(*words: object) -> None:
    """Write a line of what happens, in one piece."""
    sys.stderr.write(" ".join(map(str, ("event", *words))) + "\n")
    sys.stderr.flush()


def make_routes() -> list:
    from hybrid_gateway import Listener, WebSocket, get, stream, websocket

    class Held:
        pass

    class Waited:
        pass

    @asynccontextmanager
    async def held(key: str) -> AsyncIterator[Held]:
        tell(key, "enter")
        try:
            yield Held()
        finally:
            tell(key, "leave")

    async def waited(key: str, held: Held, dependency: float = 0) -> Waited:
        tell(key, "begun")
        await asyncio.sleep(dependency)
        return Waited()

    def waited_in_thread(key: str, held: Held, dependency: float = 0) -> Waited:
        tell(key, "begun")
        time.sleep(dependency)
        return Waited()

    @get("/probe")
    async def probe() -> str:
        return "ready"

    class OnLoop(Listener):
        path = "/loop"
        components = [held, waited]

        async def on_connect(self, key: str, waited: Waited, connect: float = 0) -> None:
            await asyncio.sleep(connect)

        async def on_message(self, data: str, message: float = 0, size: int = 1) -> str:
            await asyncio.sleep(message)
            return data * size

        async def on_disconnect(self, code: int, key: str, disconnect: float = 0) -> None:
            tell(key, "disconnect", code)
            await asyncio.sleep(disconnect)

    class OnThread(Listener):
        path = "/thread"
        components = [held, waited_in_thread]

        def on_connect(self, key: str, waited: Waited, connect: float = 0) -> None:
            time.sleep(connect)

        def on_message(self, data: str, message: float = 0) -> str:
            time.sleep(message)
            return data

        def on_disconnect(self, code: int, key: str, disconnect: float = 0) -> None:
            tell(key, "disconnect", code)
            time.sleep(disconnect)

    @stream("/stream", components=[held])
    async def numbers(key: str, held: Held, pause: float, size: int = 1) -> AsyncIterator[str]:
        try:
            while True:
                yield "x" * size
                await asyncio.sleep(pause)
        finally:
            tell(key, "disconnect")

    @stream("/stream-on-thread", components=[held])
    def numbers_on_thread(key: str, held: Held, pause: float) -> Iterator[str]:
        try:
            while True:
                yield "x"
                time.sleep(pause)
        finally:
            tell(key, "disconnect")

    @websocket("/closes", components=[held])
    async def closes(socket: WebSocket, key: str, held: Held) -> None:
        await socket.close(4999)
        tell(key, "disconnect")

    @websocket("/undecided", components=[held, waited])
    async def undecided(socket: WebSocket, key: str, waited: Waited) -> None:
        await asyncio.sleep(3600)

    return [probe, OnLoop, OnThread, numbers, numbers_on_thread, closes, undecided]


def __getattr__(name: str) -> list:
    if name == "routes":  # once Django has read the settings, which this module is as well
        return globals().setdefault("routes", make_routes())
    raise AttributeError(name)
