"""Messages as sinks get them: encoded once in a process, whoever reads them and in whichever form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

import msgspec

T = TypeVar("T")

Kind = Literal["data", "joined", "left"]


class Message:
    """A message of a channel: JSON, and whatever is made of that.

    ``payload`` is the JSON of the value, or of a user who has joined or left; those have no ``offset``.
    """

    __slots__ = ("_made", "arrived", "kind", "offset", "payload")

    def __init__(self, payload: bytes, offset: str | None, kind: Kind = "data", arrived: float = 0.0) -> None:
        self.payload = payload
        self.offset = offset
        self.kind: Kind = kind
        self.arrived = arrived
        self._made: dict[object, Any] = {}

    def __repr__(self) -> str:
        return f"<Message {self.kind} {self.offset or ''} {len(self.payload)} bytes>"

    def cached(self, make: Callable[[Message], T]) -> T:
        """Return ``make(message)``, made once: a frame, an event, whatever many readers share."""
        try:
            made: T = self._made[make]
        except KeyError:
            made = self._made[make] = make(self)
        return made


class Gap(NamedTuple):
    """A place where messages are missing; ``missed`` is how many, ``None`` where nobody can know."""

    missed: int | None
    recovered: bool = False


class Joined(msgspec.Struct, frozen=True):
    """A user who was not there has come; ``user`` is the key, as text."""

    user: str


class Left(msgspec.Struct, frozen=True):
    """A user has gone, with the last of their connections; ``user`` is the key, as text."""

    user: str


class MessagesMissed(Exception):
    """Raised to a reader that has fallen behind; ``count`` is how many messages, ``None`` where nobody can know."""

    def __init__(self, count: int | None) -> None:
        self.count = count
        super().__init__(count)

    def __str__(self) -> str:
        return "Messages were missed." if self.count is None else f"{self.count} messages were missed."


class Sink(Protocol):
    """A reader of a channel. It is called on its own event loop, and neither waits nor raises."""

    def deliver(self, message: Message, /) -> None:
        """Take a message."""
        ...

    def gap(self, missed: int | None, recovered: bool, /) -> None:
        """Hear that messages are missing before the next one."""
        ...


def json_envelope(message: Message) -> bytes:
    """Return the JSON that clients of a channel get: ``{"offset": …, "data": …}``, or who has joined or left."""
    if message.kind != "data":
        return b'{"%s":%s}' % (message.kind.encode(), message.payload)
    return b'{"offset":"%s","data":%s}' % ((message.offset or "").encode(), message.payload)


class Position(NamedTuple):
    """An offset, taken apart."""

    epoch: str
    number: int

    @classmethod
    def parse(cls, offset: str) -> Position:
        """Read an offset of a back end: ``EPOCH-NUMBER``."""
        epoch, _, number = offset.rpartition("-")
        return cls(epoch, int(number))

    def __str__(self) -> str:
        return f"{self.epoch}-{self.number}"

    def follows(self, other: Position) -> bool:
        """Return whether nothing lies between ``other`` and this."""
        return self.number == other.number + 1 and self.epoch == other.epoch

    def is_known_at(self, other: Position) -> bool:
        """Return whether whoever has come as far as ``other`` has had this."""
        return self.number <= other.number and self.epoch == other.epoch
