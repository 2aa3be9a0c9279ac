"""Frames of clients: bytes of a connection in, whole messages out.

How this works: :class:`FrameReader` keeps of a connection what is not a whole frame yet: the head of a frame or a
control frame, 131 bytes at most, and the message that has begun. The data of a frame are unmasked, inflated and
validated as they come, so that what no application shall see ends the connection with its first wrong byte.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import Protocol

from hybrid_gateway._compat.websockets_internals import apply_mask
from hybrid_gateway.websockets.wire import Receiver

CONTINUATION, TEXT, BINARY = 0x0, 0x1, 0x2  # SPEC: RFC 6455 section 5.2
CLOSE, PING, PONG = 0x8, 0x9, 0xA
FIN, RSV1 = 0x80, 0x40

PROTOCOL_ERROR, INVALID_DATA, TOO_BIG = 1002, 1007, 1009  # SPEC: RFC 6455 section 7.4.1

_WHOLE_BINARY = FIN | BINARY
_WHOLE = (FIN | TEXT, _WHOLE_BINARY)
_LONGEST_CONTROL = 125
_new_decoder = codecs.getincrementaldecoder("utf-8")


class MessageTooBigError(Exception):
    """A message has more bytes than the connection takes."""


class Inflater(Protocol):
    """The reader of a compressed message."""

    def inflate(self, data: bytes, limit: int) -> bytes:
        """Return what ``data`` adds to the message. Raises ``MessageTooBigError``, or ``ValueError`` for rubbish."""
        ...

    def finish(self, limit: int) -> bytes:
        """Return what is left once the last frame has ended."""
        ...


class _Message:
    """A message that has begun, and the frame of it whose data are still to come."""

    __slots__ = ("data", "inflater", "is_last", "left", "mask", "validate")

    def __init__(self, is_text: bool, inflater: Inflater | None) -> None:
        self.data = bytearray()
        self.inflater = inflater
        self.validate: Callable[[bytes, bool], str] | None = _new_decoder().decode if is_text else None
        self.is_last = False
        self.left = 0  # bytes of the frame
        self.mask = b""


class FrameReader:
    """The reading half of a websocket. Bounded: a message has ``max_size`` bytes at most, in however many frames."""

    __slots__ = ("_message", "_place", "_rest", "is_deaf", "is_paused", "max_size", "new_inflater", "receiver")

    receiver: Receiver

    def __init__(self) -> None:
        self._rest = b""
        self._place = 0  # in it
        self._message: _Message | None = None
        self.max_size = 0
        self.new_inflater: Callable[[], Inflater] | None = None
        self.is_paused = False  # what has come already waits as well
        self.is_deaf = False  # nothing that comes from here on is read

    def on_control(self, opcode: int, data: bytes) -> None:
        """Hear of a ping, a pong or a close."""
        raise NotImplementedError

    def fail(self, code: int, reason: str) -> None:
        """Hear that the client has broken the protocol; sets ``is_deaf``."""
        raise NotImplementedError

    def feed(self, data: bytes) -> None:
        """Read what the client has sent."""
        place = 0
        if self._rest:
            if data:
                data = self._rest[self._place :] + data
            else:
                data, place = self._rest, self._place
            self._rest, self._place = b"", 0
        end = len(data)
        while place < end and not self.is_paused:
            message = self._message
            if message is not None and message.left:
                place = self.take_data(message, data, place)
            else:
                start = place + 6  # a frame of a client has as many bytes before its data, at least
                first, length = data[place], data[place + 1] - 0x80 if start <= end else -1
                if length > _LONGEST_CONTROL:
                    start += 2 if length == 126 else 8
                    length = int.from_bytes(data[place + 2 : start - 4], "big") if start <= end else -1
                stop = start + length
                if (
                    first in _WHOLE and 0 <= length <= self.max_size and stop <= end and message is None
                ):  # PERF: as most are; 0.4 µs
                    content = apply_mask(data[start:stop], data[start - 4 : start])
                    place = stop
                    if first == _WHOLE_BINARY:
                        self.receiver.on_message(content)
                    else:
                        try:
                            text = content.decode()
                        except UnicodeDecodeError:
                            self.fail(INVALID_DATA, "The text is no UTF-8.")
                            return
                        self.receiver.on_message(text)
                else:
                    after = self.take_head(data, place, start, length)
                    if after == place:  # not all of it is there
                        break
                    place = after
            if self.is_deaf:
                return
        if place < end:
            if self.is_paused:  # PERF: else each pause would copy what has come in one piece
                self._rest, self._place = data, place
            else:
                self._rest = data[place:] if place else data

    def take_head(self, data: bytes, place: int, start: int, length: int) -> int:
        """Take the head of a frame, or a whole control frame; return where to go on: at ``place`` until more comes."""
        if len(data) - place < 2:
            return place
        first, second = data[place], data[place + 1]
        opcode = first & 0xF
        fault = self.fault_of(first, second, opcode)
        if fault is not None:
            self.fail(PROTOCOL_ERROR, fault)
        elif length < 0 or (opcode >= CLOSE and start + length > len(data)):
            return place
        elif opcode >= CLOSE:
            self.on_control(opcode, apply_mask(data[start : start + length], data[start - 4 : start]))
        else:
            self.begin_frame(first, opcode, length, data[start - 4 : start])
        return start + max(length, 0) if opcode >= CLOSE else start

    def fault_of(self, first: int, second: int, opcode: int) -> str | None:
        """Return what the first two bytes of a frame break of RFC 6455 section 5, if anything."""
        if second < 0x80:
            return "The frame is not masked."
        if opcode >= CLOSE:
            if opcode > PONG:
                return "The opcode is unknown."
            if first & 0x70:
                return "A reserved bit is set."
            if not first & FIN or second - 0x80 > _LONGEST_CONTROL:
                return "A control frame is fragmented or too long."
            return None
        if opcode > BINARY:
            return "The opcode is unknown."
        if (opcode == CONTINUATION) is (self._message is None):
            return (
                "A message is continued that has not begun." if opcode == CONTINUATION else "A message has not ended."
            )
        if first & 0x70 and not (first & 0x70 == RSV1 and opcode != CONTINUATION and self.new_inflater is not None):
            return "A reserved bit is set."
        return None

    def begin_frame(self, first: int, opcode: int, length: int, mask: bytes) -> None:
        """Begin a frame of data, and with it a message, unless one has begun."""
        message = self._message
        if message is None:
            inflater = self.new_inflater() if first & RSV1 and self.new_inflater is not None else None
            message = self._message = _Message(opcode == TEXT, inflater)
        # SECURITY: before any of it is kept; of a compressed frame only the content counts.
        if message.inflater is None and len(message.data) + length > self.max_size:
            self.fail(TOO_BIG, f"The message has more than {self.max_size} bytes.")
            return
        message.left, message.mask, message.is_last = length, mask, first >= FIN
        if not length and message.is_last:
            self._add(message, b"")

    def take_data(self, message: _Message, data: bytes, place: int) -> int:
        """Take what there is of a frame's data; return where to go on."""
        stop = min(place + message.left, len(data))
        taken, mask = stop - place, message.mask
        message.left -= taken
        turn = taken & 3
        if turn and message.left:
            message.mask = mask[turn:] + mask[:turn]
        self._add(message, apply_mask(data[place:stop], mask))
        return stop

    def _add(self, message: _Message, piece: bytes) -> None:
        """Add what a frame has brought to its message, and tell of that once it is whole."""
        content, is_whole = message.data, message.is_last and not message.left
        try:
            if message.inflater is not None:
                piece = message.inflater.inflate(piece, self.max_size - len(content))
                if is_whole:
                    piece += message.inflater.finish(self.max_size - len(content) - len(piece))
            if message.validate is not None:
                message.validate(piece, is_whole)
        except UnicodeDecodeError:
            self.fail(INVALID_DATA, "The text is no UTF-8.")
        except MessageTooBigError:
            self.fail(TOO_BIG, f"The message has more than {self.max_size} bytes.")
        except ValueError:
            self.fail(PROTOCOL_ERROR, "The compressed data are none.")
        else:
            content += piece
            if is_whole:
                self._message = None
                self.receiver.on_message(content.decode() if message.validate is not None else bytes(content))
