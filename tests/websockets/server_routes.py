"""The routes of the site. What happens in the process is told on standard error, a line each."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from hybrid_gateway import (
    Depends,
    EventSourceResponse,
    Header,
    HTTPException,
    Listener,
    Mount,
    Request,
    WebSocket,
    get,
    listener,
    stream,
    websocket,
)


def tell(*words: object) -> None:
    """Write a line of what happens."""
    print("event", *words, file=sys.stderr, flush=True)


async def living() -> AsyncIterator[None]:
    tell("started")
    yield
    tell("ended")


async def cleaned(key: str = "") -> AsyncIterator[str]:
    """A component with a clean-up, told once a connection."""
    try:
        yield key
    finally:
        tell("left", key)


Key = Annotated[str, Depends(cleaned)]


@websocket("/echo")
async def echo(socket: WebSocket, key: Key) -> None:
    async for message in socket.iter(str):
        await socket.send(message)


@websocket("/bytes")
async def echo_bytes(socket: WebSocket) -> None:
    async for message in socket.iter(bytes):
        await socket.send(message)


@websocket("/small", max_message_size=1000)
async def small(socket: WebSocket, key: Key) -> None:
    async for message in socket.iter(str):
        await socket.send(str(len(message)))
    tell("code", key, socket.close_code)


@websocket("/returns")
async def returns(socket: WebSocket, key: Key) -> None:
    await socket.accept()


@websocket("/silent")
async def silent(socket: WebSocket) -> None:
    pass


@websocket("/says")
async def says(socket: WebSocket) -> None:
    await socket.send("first")
    await socket.send("second")


@websocket("/raises")
async def raises(socket: WebSocket, key: Key) -> None:
    await socket.accept()
    raise LookupError("on purpose")


@websocket("/fails")
async def fails(socket: WebSocket) -> None:
    raise LookupError("on purpose")


@websocket("/closes/{code}")
async def closes(socket: WebSocket, code: int, reason: str = "") -> None:
    await socket.close(code, reason)


@websocket("/conflict")
async def conflict(socket: WebSocket) -> None:
    await socket.accept()
    raise HTTPException(409, "Not now.")


@websocket("/refuses/{status}")
async def refuses(socket: WebSocket, status: int) -> None:
    raise HTTPException(status, "No.", headers={"X-Why": "because"})


@websocket("/guarded", guards=[lambda: False])
async def guarded(socket: WebSocket) -> None:
    pass


@websocket("/numbers/{number}")
async def numbers(socket: WebSocket, number: int, limit: int) -> None:
    await socket.send([number, limit])


@websocket("/speaks", subprotocols=["two", "one"], response_headers={"X-Layer": "yes"})
async def speaks(socket: WebSocket, user_agent: Annotated[str, Header()] = "") -> None:
    await socket.send(user_agent)


@websocket("/accepts")
async def accepts(socket: WebSocket) -> None:
    await socket.accept("one", headers={"X-Own": "yes"}.items())


@websocket("/stays")
async def stays(socket: WebSocket, key: Key) -> None:
    """Say a word when the process is told to end, and wait for the close."""
    await socket.send("here")
    await socket.wait_draining()
    tell("draining", key)
    await socket.send("draining")
    async for _ in socket.iter(str):
        pass
    tell("code", key, socket.close_code)


@websocket("/stubborn")
async def stubborn(socket: WebSocket, key: Key) -> None:
    await socket.accept()
    await asyncio.sleep(3600)


class Lobby(Listener):
    path = "/lobby"

    async def on_connect(self, key: Key) -> None:
        if key == "unwanted":
            raise HTTPException(403, "Not you.")

    async def on_message(self, data: str) -> str:
        return data.upper()

    async def on_disconnect(self, code: int, key: Key) -> None:
        tell("disconnected", key, code)

    async def on_drain(self, key: Key) -> None:
        tell("draining", key)


@listener("/sync")
def in_thread(data: dict[str, Any]) -> dict[str, Any]:
    return {"data": data}


@stream("/flood", ping_interval=1.5)
async def flood(key: Key) -> AsyncIterator[str]:
    """More than a client can read."""
    sent = 0
    try:
        while True:
            yield "x" * 65536
            sent += 1
    finally:
        tell("sent", key, sent)


@stream("/ticks")
async def ticks(key: Key) -> AsyncIterator[str]:
    number = 0
    while True:
        yield f"tick {number}"
        number += 1
        await asyncio.sleep(0.05)


# --- of HTTP


@get("/probe", opt={"probe": True})
async def probe() -> str:
    return "alive"


@get("/process")
async def process() -> tuple[int, int, list[str]]:
    """The id of this process, its memory in KiB, and its tasks."""
    pages = int(open("/proc/self/statm").read().split()[1])  # noqa: ASYNC230, PTH123, SIM115
    tasks = [repr(task.get_coro()) for task in asyncio.all_tasks()]
    return os.getpid(), pages * os.sysconf("SC_PAGE_SIZE") // 1024, tasks


@get("/slow")
async def slow() -> str:
    await asyncio.sleep(1)
    return "slow"


@get("/events")
async def events() -> EventSourceResponse:
    async def numbers() -> AsyncIterator[str]:
        while True:
            yield f"{time.monotonic()}"
            await asyncio.sleep(0.05)

    return EventSourceResponse(numbers())


@get("/echo")
async def page(request: Request) -> str:
    return "a page"


# --- of another application


async def mounted(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            tell("mounted", message["type"])
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    assert scope["type"] == "websocket"
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": f"{scope['root_path']} {scope['path']}"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})
    tell("left", scope["query_string"].decode(), message["code"])


routes = [
    echo, echo_bytes, small, returns, silent, says, raises, fails, closes, conflict, refuses, guarded, numbers, speaks,
    accepts, stays, stubborn, Lobby, in_thread, flood, ticks, probe, process, slow, events, page,
    Mount("/live", mounted),
]  # fmt: skip
