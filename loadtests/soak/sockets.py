"""Websockets in the mix of a soak: some that say nothing, some that get back what they say, and rooms.

How this works: whatever is sent is numbered, and carries a hash of its number, so that what is lost, comes twice, out
of turn or altered is told apart. Clients of rooms are reset now and then and come back with ``since``: they must not
miss anything for it. An end that nobody has asked for is a fault, unless the fault of the hour explains it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import quote

from loadtests.realtime.client_socket import ClientSocket, frame_of, handshake
from loadtests.soak.load import Load
from loadtests.soak.report import Gate, at_least, at_most

__all__ = ["Link", "Numbers", "Sockets", "line_of", "open_link"]

PATIENCE = 20.0  # seconds for a handshake or an answer
PAUSE = 0.2  # seconds between two messages of one client


def line_of(sender: str, number: int) -> str:
    """A numbered and hashed line."""
    return f"{sender} {number} {hashlib.sha256(f'{sender} {number}'.encode()).hexdigest()}"


@dataclass(slots=True)
class Numbers:
    """What has come of the lines of one sender; ``perhaps`` are those of which nobody knows whether they were sent."""

    sender: str
    next: int = 0
    heard: int = 0
    lost: int = 0
    doubled: int = 0
    altered: int = 0
    perhaps: set[int] = field(default_factory=set)

    def take(self, line: str, *, is_first: bool = False) -> None:
        """Compare a line with the one whose turn it is; the first one may have any number."""
        try:
            number = int(line.split(" ", 2)[1])
        except (IndexError, ValueError):
            number = -1
        if is_first:
            self.next = number
        if number < 0 or line != line_of(self.sender, number):
            self.altered += 1
        elif number < self.next:
            self.doubled += 1
        else:
            self.heard += 1
            self.lost += sum(missing not in self.perhaps for missing in range(self.next, number))
            self.next = number + 1


class Link:
    """One websocket: its messages come by :meth:`next`, ``ended`` is set with its end."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self._queue: asyncio.Queue[str | None] = asyncio.Queue()
        self.socket: ClientSocket

    def hear(self, socket: ClientSocket, data: bytes, start: int, end: int) -> None:
        """Take a message."""
        self._queue.put_nowait(data[start:end].decode())

    def end(self, socket: ClientSocket) -> None:
        """Hear that it has ended."""
        self.ended.set()
        self._queue.put_nowait(None)

    async def next(self, seconds: float | None = PATIENCE) -> str | None:
        """The next message; None where there is none, since it has ended or nothing comes."""
        try:
            return await asyncio.wait_for(self._queue.get(), seconds)
        except TimeoutError:
            return None

    def say(self, line: str) -> None:
        """Send a message."""
        self.socket.send(frame_of(line.encode()))


async def open_link(port: int, path: str, headers: Mapping[str, str] = MappingProxyType({})) -> tuple[Link | None, int]:
    """Open a websocket; it, or None, and the status of the answer, 0 for none."""
    link = Link()
    link.socket = ClientSocket(handshake(path, port, headers=headers), link.hear, link.end)
    try:
        async with asyncio.timeout(PATIENCE):
            await asyncio.get_running_loop().create_connection(lambda: link.socket, "127.0.0.1", port)
            status = await link.socket.opened
    except (OSError, TimeoutError):
        status = 0
    return (link if status == 101 else None), status


class Sockets:
    """The clients. ``load`` says what is excused; ``rooms`` only where all processes share their channels."""

    def __init__(self, port: int, load: Load, *, idle: int, echoing: int, following: int, room: str) -> None:
        self.port = port
        self.load = load
        self.counts: Counter[str] = Counter()
        self._idle, self._echoing, self._following = idle, echoing, following
        self._room = quote(room, safe="")
        self._said = 0
        self._perhaps: set[int] = set()
        self._numbers: list[Numbers] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._reset = random.Random(1)
        self._is_over = asyncio.Event()

    def start(self) -> None:
        """Begin."""
        self._tasks += [asyncio.create_task(self._be_idle()) for _ in range(self._idle)]
        self._tasks += [asyncio.create_task(self._echo(f"echo-{number}")) for number in range(self._echoing)]
        self._tasks += [asyncio.create_task(self._follow()) for _ in range(self._following)]
        if self._following:
            self._tasks.append(asyncio.create_task(self._speak()))

    async def stop(self) -> None:
        """Let the followers hear what was said last, and end."""
        self._is_over.set()
        for _ in range(int(PATIENCE * 10)):
            if not any(map(self._behind, self._numbers)):
                break
            await asyncio.sleep(0.1)
        for each in self._numbers:
            each.lost += self._behind(each)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    def _behind(self, numbers: Numbers) -> int:
        """How many lines of the room are still to come."""
        if numbers.sender != self._room or not numbers.heard:
            return 0
        return sum(number not in self._perhaps for number in range(numbers.next, self._said))

    @property
    def _is_excused(self) -> bool:
        return bool(self.load.excused) or self.load.repeats

    async def _open(self, path: str) -> Link:
        """Open one, however often it takes while faults are made."""
        while True:
            link, status = await open_link(self.port, path)
            if link is not None:
                self.counts["opened"] += 1
                return link
            if not self._is_excused:
                self.counts["refused"] += 1
                self.load.wrong.append(f"{path}: the handshake was answered with {status}")
            await asyncio.sleep(0.2)

    def _miss(self, link: Link, what: str) -> None:
        """Note an end that nobody has asked for."""
        if self._is_excused:
            self.counts["ended by a fault"] += 1
        else:
            self.counts["ended"] += 1
            self.load.wrong.append(f"{what} was ended with {link.socket.close_code}")

    async def _be_idle(self) -> None:
        while True:
            link = await self._open("/soak/echo")
            try:
                await link.ended.wait()
            finally:
                link.socket.abort()
            self._miss(link, "an idle socket")

    async def _echo(self, sender: str) -> None:
        numbers = Numbers(sender)
        self._numbers.append(numbers)
        while True:
            link = await self._open("/soak/echo")
            try:
                while not link.ended.is_set():
                    link.say(line_of(sender, numbers.next))
                    line = await link.next()
                    if line is None:
                        numbers.lost += not link.ended.is_set()
                        numbers.next += 1
                        break
                    numbers.take(line)
                    await asyncio.sleep(PAUSE)
            finally:
                link.socket.abort()
            self._miss(link, sender)

    # --- the room

    async def _speak(self) -> None:
        while not self._is_over.is_set():
            link = await self._open(f"/soak/say/{self._room}")
            try:
                while not (link.ended.is_set() or self._is_over.is_set()):
                    await self._say_next(link)
                    await asyncio.sleep(PAUSE / 4)
            finally:
                link.socket.abort()
            if not self._is_over.is_set():
                self._miss(link, "whoever speaks")

    async def _say_next(self, link: Link) -> None:
        number = self._said
        self._perhaps.add(number)
        self._said = number + 1
        link.say(line_of(self._room, number))
        receipt = await link.next()
        if receipt is None:
            link.ended.set()  # a receipt that comes later would be taken for that of another line
        elif not receipt.startswith('{"type":"error"'):
            self._perhaps.discard(number)
        elif not self._is_excused:
            self.load.wrong.append(f"saying something: {receipt[:200]}")

    async def _follow(self) -> None:
        numbers = Numbers(self._room, perhaps=self._perhaps)
        self._numbers.append(numbers)
        since: str | None = None
        while True:
            link = await self._open(f"/soak/rooms/{self._room}" + (f"?since={quote(since)}" if since else ""))
            until = time.monotonic() + self._reset.uniform(2, 20)
            try:
                while (left := until - time.monotonic()) > 0:
                    frame = await link.next(left)
                    if frame is None:
                        break
                    message = json.loads(frame)
                    if "data" not in message:
                        self._gap(message)
                        continue
                    numbers.take(message["data"], is_first=since is None)
                    since = message["offset"]
            finally:
                link.socket.abort()
            if link.ended.is_set():
                self._miss(link, "a follower")
            else:
                self.counts["resets"] += 1

    def _gap(self, message: Mapping[str, object]) -> None:
        self.counts["gaps"] += 1
        if not self._is_excused:
            self.load.wrong.append(f"a follower was told {message}")

    def gates(self) -> list[Gate]:
        """What came of it."""
        total = {
            name: sum(getattr(each, name) for each in self._numbers) for name in ("heard", "lost", "doubled", "altered")
        }
        return [
            at_most("L7 sockets that ended, and nobody had asked", self.counts["ended"], 0),
            at_most("L7 handshakes that were refused", self.counts["refused"], 0),
            at_least("L8 messages heard, all numbered and hashed", total["heard"], 1, binding=bool(self._numbers)),
            at_most("L8 messages lost", total["lost"], 0),
            at_most("L8 messages doubled, or out of turn", total["doubled"], 0),
            at_most("L8 messages altered", total["altered"], 0),
        ]
