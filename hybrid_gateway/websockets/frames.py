"""Frames to clients: what is encoded once and written to any number of websockets."""

from __future__ import annotations

from hybrid_gateway.types import Message

_TEXT, _BINARY = 0x81, 0x82  # SPEC: RFC 6455 section 5.2: FIN, and the opcode


class Frame:
    """One message to clients. What a wire needs of it is made once, whoever it is sent to."""

    __slots__ = ("_bytes", "_message", "is_text", "payload")

    def __init__(self, payload: bytes, *, is_text: bool = True) -> None:
        self.payload = payload
        self.is_text = is_text
        self._bytes: bytes | None = None
        self._message: Message | None = None

    def __len__(self) -> int:
        return len(self.payload)

    def __repr__(self) -> str:
        return f"<Frame {'text' if self.is_text else 'binary'} {len(self.payload)} bytes>"

    @property
    def as_bytes(self) -> bytes:
        """The frame as RFC 6455 section 5.2 has it: one fragment, without a mask, as servers send them."""
        if self._bytes is None:
            opcode, size = _TEXT if self.is_text else _BINARY, len(self.payload)
            if size < 126:
                head = bytes((opcode, size))
            elif size < 65_536:
                head = bytes((opcode, 126)) + size.to_bytes(2, "big")
            else:
                head = bytes((opcode, 127)) + size.to_bytes(8, "big")
            self._bytes = head + self.payload
        return self._bytes

    @property
    def as_message(self) -> Message:
        """The frame as a message of ASGI."""
        if self._message is None:
            content = {"text": self.payload.decode()} if self.is_text else {"bytes": self.payload}
            self._message = {"type": "websocket.send", **content}
        return self._message
