"""Frames to clients: what is encoded once and written to any number of websockets."""

from __future__ import annotations

from hybrid_gateway.types import Message

_TEXT, _BINARY = 0x81, 0x82  # SPEC: RFC 6455 section 5.2: FIN, and the opcode
_COMPRESSED = 0x40  # SPEC: RFC 7692 section 7.2.1: RSV1


class Frame:
    """One message to clients. What a wire needs of it is made once, whoever it is sent to."""

    __slots__ = ("_bytes", "_message", "compressed", "is_text", "payload")

    def __init__(self, payload: bytes, *, is_text: bool = True) -> None:
        self.payload = payload
        self.is_text = is_text
        self._bytes: bytes | None = None
        self._message: Message | None = None
        self.compressed: bytes | None = None  # a wire's that compresses; another one may send the same

    def __len__(self) -> int:
        return len(self.payload)

    def __repr__(self) -> str:
        return f"<Frame {'text' if self.is_text else 'binary'} {len(self.payload)} bytes>"

    @property
    def as_bytes(self) -> bytes:
        """The frame as RFC 6455 section 5.2 has it: one fragment, without a mask, as servers send them."""
        if self._bytes is None:
            self._bytes = frame_bytes(self.payload, is_text=self.is_text)
        return self._bytes

    @property
    def as_message(self) -> Message:
        """The frame as a message of ASGI."""
        if self._message is None:
            content = {"text": self.payload.decode()} if self.is_text else {"bytes": self.payload}
            self._message = {"type": "websocket.send", **content}
        return self._message


def frame_bytes(payload: bytes, *, is_text: bool, is_compressed: bool = False) -> bytes:
    """Return a message as one frame of RFC 6455 section 5.2, as servers send it."""
    first, size = _TEXT if is_text else _BINARY, len(payload)
    if is_compressed:
        first |= _COMPRESSED
    if size < 126:
        head = bytes((first, size))
    elif size < 65_536:
        head = bytes((first, 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, 127)) + size.to_bytes(8, "big")
    return head + payload
