"""A crowd of clients in a process of its own: ``python -m loadtests.realtime.crowd``, told what to do line by line.

How this works: a line of standard input is one command as JSON, ``{"do": "connect", ...}``, and a method of
:class:`Crowd`; what it returns is one line of standard output. Times are those of the monotonic clock, which is one for
all processes: an event carries the moment it was sent, and whoever hears it knows how long it took.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from array import array
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from loadtests.realtime.client_socket import ClientSocket, Hear, frame_of, handshake

PATIENCE = 60.0  # seconds for what should have come
EVENT_BYTES = 100
COMPRESSION, PLAIN = "compression", "plain"
_AT, _DIGITS = b'"at":"', 16

Seen = Mapping[str, Any]


def event_now() -> bytes:
    """An event of JSON, 100 bytes long, that says when it was sent: in microseconds, always as many digits."""
    start = b'{"at":"%016d","text":"' % (time.monotonic_ns() // 1000)
    return start + b"x" * (EVENT_BYTES - len(start) - 2) + b'"}'


def age_of(data: bytes, start: int, end: int) -> float:
    """Milliseconds since the event in there was sent, whatever stands around it."""
    at = data.find(_AT, start, end) + len(_AT)
    return time.monotonic_ns() / 1e6 - int(data[at : at + _DIGITS]) / 1e3


def percentiles(ages: array[float]) -> dict[str, float]:
    """Milliseconds below which half of all, 99 % of all, and all are."""
    ordered = sorted(ages)
    if not ordered:
        return {"p50_ms": 0.0, "p99_ms": 0.0, "longest_ms": 0.0}
    shares = {"p50_ms": 0.5, "p99_ms": 0.99}
    found = {name: ordered[int(len(ordered) * share)] for name, share in shares.items()}
    return {**found, "longest_ms": ordered[-1]}


def ignore(socket: ClientSocket, data: bytes, start: int, end: int) -> None:
    """Hear nothing."""


class Crowd:
    """Sockets of one server, from one address of the loopback network."""

    def __init__(self, port: int, address: str, *, compression: bool) -> None:
        self._port = port
        self._compression = compression
        self._address = address
        self.sockets: list[ClientSocket] = []
        self._ended = 0  # that nobody here has asked to

    async def _open(self, path: str, hear: Hear) -> ClientSocket | None:
        """Open one socket; None where it is refused."""
        loop = asyncio.get_running_loop()
        made = ClientSocket(handshake(path, self._port, compression=self._compression), hear, self._forget)
        try:
            async with asyncio.timeout(PATIENCE):
                await loop.create_connection(lambda: made, "127.0.0.1", self._port, local_addr=(self._address, 0))
                status = await made.opened
        except (OSError, TimeoutError):
            status = 0
        return made if status == 101 else None

    def _forget(self, socket: ClientSocket) -> None:
        self._ended += 1

    async def connect(self, path: str, count: int, at_once: int = 100) -> Seen:
        """Open ``count`` sockets, ``at_once`` at a time, and keep them."""
        began, slots = time.monotonic(), asyncio.Semaphore(at_once)

        async def one() -> ClientSocket | None:
            async with slots:
                return await self._open(path, ignore)

        made = [socket for socket in await asyncio.gather(*(one() for _ in range(count))) if socket is not None]
        self.sockets += made
        return {"opened": len(made), "refused": count - len(made), "seconds": time.monotonic() - began}

    async def count(self) -> Seen:
        """Say how many sockets are open."""
        return {"open": sum(socket.is_open for socket in self.sockets)}

    async def leave(self) -> Seen:
        """Close all sockets."""
        for socket in self.sockets:
            socket.close()
        await asyncio.sleep(0.5)
        for socket in self.sockets:
            socket.abort()
        self.sockets.clear()
        return {}

    # --- what is measured

    async def fan_out(self, path: str, events: int, seconds: float) -> Seen:
        """Publish by one more socket, each event when all have heard the last; ``seconds`` at most."""
        ages, done, heard = array("d"), asyncio.Event(), 0
        everyone = len(self.sockets)

        def hear(socket: ClientSocket, data: bytes, start: int, end: int) -> None:
            nonlocal heard
            ages.append(age_of(data, start, end))
            heard += 1
            if heard == everyone:
                done.set()

        self._hear(hear)
        publisher = await self._open(path, ignore)
        if publisher is None:
            raise RuntimeError(f"{path} refuses the handshake")
        began, sent = time.monotonic(), 0
        while sent < events and time.monotonic() - began < seconds:
            heard, sent = 0, sent + 1
            done.clear()
            publisher.send(frame_of(event_now()))
            if not await _within(done.wait(), PATIENCE):
                break
        took = time.monotonic() - began
        publisher.close()
        self._hear(ignore)
        return {
            "messages": len(ages), "lost": sent * everyone - len(ages), "seconds": took, **percentiles(ages)
        }  # fmt: skip

    async def echo(self, messages: int, seconds: float) -> Seen:
        """Have every socket send and wait for its answer, until all have sent ``messages`` together."""
        payload = b"e" * EVENT_BYTES
        frame, ages, done = frame_of(payload), array("d"), asyncio.Event()
        asked = dict.fromkeys(self.sockets, 0.0)
        waiting, left, wrong, until = len(asked), messages - len(asked), 0, time.monotonic() + seconds

        def hear(socket: ClientSocket, data: bytes, start: int, end: int) -> None:
            nonlocal left, waiting, wrong
            now = time.monotonic()
            ages.append((now - asked[socket]) * 1e3)
            wrong += data[start:end] != payload
            if left > 0 and now < until:
                left -= 1
                asked[socket] = now
                socket.send(frame)
            else:
                waiting -= 1
                if not waiting:
                    done.set()

        self._hear(hear)
        began = time.monotonic()
        for socket in self.sockets:
            asked[socket] = time.monotonic()
            socket.send(frame)
        await _within(done.wait(), seconds + PATIENCE)
        self._hear(ignore)
        took = time.monotonic() - began
        return {"messages": len(ages), "lost": waiting, "wrong": wrong, "seconds": took, **percentiles(ages)}

    async def pace(self, seconds: float) -> Seen:
        """Have every socket send once a second, each at a moment of its own; see that all is answered."""
        ages, done, everyone = array("d"), asyncio.Event(), list(self.sockets)
        total = int(len(everyone) * seconds)

        def hear(socket: ClientSocket, data: bytes, start: int, end: int) -> None:
            ages.append(age_of(data, start, end))
            if len(ages) == total:
                done.set()

        self._hear(hear)
        before = self._ended
        began, sent = time.monotonic(), 0
        while sent < total:
            due = min(total, int((time.monotonic() - began) * len(everyone)))
            for number in range(sent, due):
                everyone[number % len(everyone)].send(frame_of(event_now()))
            sent = due
            await asyncio.sleep(0.005)
        await _within(done.wait(), PATIENCE / 4)
        self._hear(ignore)
        ended = self._ended - before
        return {"messages": len(ages), "sent": sent, "lost": sent - len(ages), "ended": ended, **percentiles(ages)}

    async def publish(self, path: str, follow: str, events: int) -> list[str]:
        """Publish events by one socket while another follows; return what that one has heard."""
        heard: list[str] = []
        done = asyncio.Event()

        def hear(socket: ClientSocket, data: bytes, start: int, end: int) -> None:
            heard.append(data[start:end].decode())
            if len(heard) == events:
                done.set()

        follower, publisher = await self._open(follow, hear), await self._open(path, ignore)
        if follower is None or publisher is None:
            raise RuntimeError(f"{path} or {follow} refuses the handshake")
        for _ in range(events):
            publisher.send(frame_of(event_now()))
        await _within(done.wait(), PATIENCE)
        follower.close()
        publisher.close()
        return heard

    async def storm(self, path: str, count: int, expects: int, seconds: float) -> Seen:
        """Open ``count`` sockets at once; see how long it takes until each has heard ``expects`` messages."""
        times = array("d")
        done = asyncio.Event()
        began = time.monotonic()

        def hear(socket: ClientSocket, data: bytes, start: int, end: int) -> None:
            if socket.received == expects:
                times.append((time.monotonic() - began) * 1e3)
                if len(times) == count:
                    done.set()

        made = await asyncio.gather(*(self._open(path, hear) for _ in range(count)))
        opened = [socket for socket in made if socket is not None]
        self.sockets += opened
        await _within(done.wait(), max(0.0, began + seconds - time.monotonic()))
        await asyncio.sleep(0.5)  # for whatever should not come
        surplus = sum(socket.received > expects for socket in opened)
        return {"recovered": len(times), "refused": count - len(opened), "surplus": surplus, **percentiles(times)}

    def _hear(self, hear: Hear) -> None:
        for socket in self.sockets:
            socket.hear = hear


async def _within(waiting: Awaitable[object], seconds: float) -> bool:
    """Wait; whether it was over in time."""
    try:
        await asyncio.wait_for(waiting, seconds)
    except TimeoutError:
        return False
    return True


def _commands() -> Iterator[dict[str, Any]]:
    for line in sys.stdin:
        yield json.loads(line)


async def serve(port: int, address: str, compression: str) -> None:
    """Do what standard input says, until it ends."""
    crowd, commands = Crowd(port, address, compression=compression == COMPRESSION), _commands()
    while (command := await asyncio.to_thread(next, commands, None)) is not None:
        method: Callable[..., Awaitable[Any]] = getattr(crowd, command.pop("do"))
        print(json.dumps(await method(**command)), flush=True)


def main() -> None:
    """Be a crowd."""
    try:
        import uvloop
    except ImportError:
        factory = asyncio.new_event_loop
    else:
        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(serve(int(sys.argv[1]), *sys.argv[2:]))


if __name__ == "__main__":
    main()
