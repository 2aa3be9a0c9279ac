"""Very many clients who listen: L10."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass

from loadtests.soak.faults.run import Soak, inside
from loadtests.soak.report import at_least, at_most
from loadtests.soak.wire import Wire, head

LISTENING = 15.0  # seconds, once all have been connected
AT_ONCE = 100  # clients who connect at the same time


@dataclass(slots=True)
class Listener:
    """One client of a stream; ``lost`` are numbers that did not come in their turn."""

    wire: Wire
    heard: int = 0
    lost: int = 0

    async def connect(self) -> bool:
        """Whether the stream begins."""
        try:
            async with asyncio.timeout(20):
                reader, writer = await self.wire.open()
                writer.write(head("GET", "/soak/numbers", {}, None))
                start = await reader.readuntil(b"\r\n\r\n")
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return False
        return start.startswith(b"HTTP/1.1 200 ") and b"text/event-stream" in start

    async def listen(self) -> None:
        """Compare number after number, until cancelled or cut off."""
        reader, _ = await self.wire.open()
        try:
            while line := await reader.readline():
                if line.startswith(b"data: "):
                    self.lost += json.loads(line[6:])["number"] != self.heard
                    self.heard += 1
        except OSError:
            pass
        self.lost += 1  # it ended


async def streams(soak: Soak) -> None:
    """L10: numbered events to as many clients as were asked for; then they go, and so do the generators."""
    if not soak.is_asgi:
        soak.notes.append("L10 needs ASGI: under WSGI a stream takes a thread of the server's.")
        return
    began = time.monotonic()
    listeners = [Listener(Wire(soak.site.port)) for _ in range(soak.streams)]
    connected = 0
    for start in range(0, len(listeners), AT_ONCE):
        group = listeners[start : start + AT_ONCE]
        connected += sum(await asyncio.gather(*(listener.connect() for listener in group)))
    tasks = [asyncio.create_task(listener.listen()) for listener in listeners]
    await asyncio.sleep(LISTENING)
    opened = (await inside(soak))["streams"]
    for task, listener in zip(tasks, listeners, strict=True):
        task.cancel()
        listener.wire.drop()
    took = await _until_closed(soak)
    soak.marks.append(("L10 streams", began, time.monotonic()))
    few = min(listener.heard for listener in listeners)
    soak.gates += [
        at_least(f"L10 streams that began, of {len(listeners)}", connected, len(listeners)),
        at_most("L10 events lost, or out of turn", sum(listener.lost for listener in listeners), 0),
        at_least("L10 events that whoever heard least has heard", few, LISTENING * 0.6, binding=not soak.is_busy()),
        at_least("L10 generators that were open", opened, len(listeners)),
        at_most("L10 all of them closed after the clients had gone", took, 1, "s", binding=not soak.is_busy()),
    ]
    soak.notes.append(f"L10: {sum(listener.heard for listener in listeners)} events")


async def _until_closed(soak: Soak) -> float:
    began, took = time.monotonic(), 0.0
    while took < 30:
        opened = (await inside(soak))["streams"]
        took = time.monotonic() - began
        if not opened:
            break
        await asyncio.sleep(0.05)
    return took
