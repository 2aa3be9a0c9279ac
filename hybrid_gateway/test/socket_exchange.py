"""The server's end of one websocket in tests, which can be as little helpful as servers are.

How this works: the application receives from a queue that the test fills, and what it sends becomes news, in order,
which the test takes. The exchange lives on the loop of the application; the test reads from wherever it is.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import ContextVar

import msgspec

from hybrid_gateway.test.transports import ClientResponse, build_response
from hybrid_gateway.types import Headers, Message

MAX_REASON = 123  # bytes. SPEC: RFC 6455 section 5.5


class ServerHabits(msgspec.Struct, frozen=True, kw_only=True):
    """Habits of the server of a test, where ASGI leaves it to servers."""

    denies: bool = True
    """It answers a handshake by any response; otherwise a refusal is a bare 403."""
    send_fails: bool = True
    """``send()`` raises once the client has gone; otherwise it says nothing, and only who receives is told."""
    repeats_disconnect: bool = True
    """``receive()`` tells of the end each time; otherwise once, and then it waits for ever."""
    closes_beside: bool = True
    """It sends a close while the application receives; otherwise ``send()`` waits until it does not, as granian's."""
    window: int | None = None
    """Messages that the test has not received yet, above which ``send()`` waits; ``None`` is any number."""


current_exchange: ContextVar[SocketExchange | None] = ContextVar("hybrid_gateway_socket_exchange", default=None)
"""The websocket of a test that the current task belongs to."""


class SocketExchange:
    """One websocket as a server has it: what the application receives, and the news that it makes."""

    def __init__(self, path: str, habits: ServerHabits, wake: Callable[[], object]) -> None:
        self.path = path
        self.habits = habits
        self.wake = wake
        self.news: deque[str | bytes | Exception] = deque()
        """Messages of the application, and what its handler has raised, in order."""
        self.subprotocol: str | None = None
        self.headers: Headers | None = None  # once it is accepted
        self.refusal: ClientResponse | None = None
        self.close_code: int | None = None
        self.close_reason = ""
        self._denial: tuple[int, Headers, list[bytes]] | None = None
        self._has_left = False
        self._incoming: asyncio.Queue[Message] = asyncio.Queue()
        self._incoming.put_nowait({"type": "websocket.connect"})
        self._has_room = asyncio.Event()
        self._is_free = asyncio.Event()  # nobody receives
        self._is_free.set()

    @property
    def is_answered(self) -> bool:
        """True once the handshake is accepted or refused."""
        return self.headers is not None or self.refusal is not None

    # --- the client, on the loop of the application

    def give(self, message: Message) -> None:
        """Hand on what the client sends."""
        if self.close_code is None and not self._has_left:
            self._incoming.put_nowait(message)

    def leave(self, code: int, reason: str = "") -> None:
        """Let the client go, unless the connection has ended already."""
        if self._has_left or self.refusal is not None:
            return
        if self.close_code is None:
            self._end(code, reason)
        self._has_left = True
        self._has_room.set()

    def make_room(self) -> None:
        """Let an application go on that waits until the client has read."""
        self._has_room.set()

    def _end(self, code: int, reason: str) -> None:
        self.close_code, self.close_reason = code, reason
        self._incoming.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.wake()

    def finish(self) -> None:
        """Hear that the application has returned: a connection that it has not closed is cut."""
        if self.headers is not None and self.close_code is None:
            self._end(1006, "")

    # --- the application

    async def receive(self) -> Message:
        self._is_free.clear()
        try:
            message = await self._incoming.get()
        finally:
            self._is_free.set()
        if message["type"] == "websocket.disconnect" and self.habits.repeats_disconnect:
            self._incoming.put_nowait(message)
        return message

    async def send(self, message: Message) -> None:
        kind = message["type"]
        act = self._ACTS.get(kind)
        if act is None:
            raise RuntimeError(f"A server would not understand the message {kind!r}.")
        if self._has_left:
            if self.habits.send_fails:
                raise OSError("The client has gone.")
            return
        if self.close_code is not None or self.refusal is not None:
            raise RuntimeError(f"A server would refuse {kind!r}: the connection has ended.")
        if kind == "websocket.close" and not self.habits.closes_beside:
            await self._is_free.wait()
        act(self, message)
        self.wake()
        if kind == "websocket.send":
            await self._wait_for_room()

    async def _wait_for_room(self) -> None:
        window = self.habits.window
        while window is not None and len(self.news) > window and not self._has_left:
            self._has_room.clear()
            await self._has_room.wait()

    def _accept(self, message: Message) -> None:
        if self.is_answered or self._denial is not None:
            raise RuntimeError("The handshake is answered already.")
        headers: Sequence[tuple[bytes, bytes]] = list(message.get("headers") or ())
        if any(type(part) is not bytes for pair in headers for part in pair):
            raise RuntimeError(f"Headers are pairs of bytes, not {headers!r}.")
        self.subprotocol, self.headers = message.get("subprotocol"), headers

    def _frame(self, message: Message) -> None:
        parts = [message[key] for key in ("text", "bytes") if message.get(key) is not None]
        if self.headers is None or len(parts) != 1 or not isinstance(parts[0], (str, bytes)):
            raise RuntimeError(f"A server could not send {message!r}.")
        self.news.append(parts[0])

    def _close(self, message: Message) -> None:
        code, reason = message.get("code", 1000), message.get("reason") or ""
        if self.headers is None:  # SPEC: ASGI, "Close": a 403
            self._refuse(403, (), b"")
            return
        if len(reason.encode()) > MAX_REASON or not (1000 <= code <= 1014 or 3000 <= code <= 4999):
            raise RuntimeError(f"No frame could hold the close code {code} and the reason {reason!r}.")
        self._end(code, reason)

    def _begin_denial(self, message: Message) -> None:
        if not self.habits.denies or self.is_answered or self._denial is not None:
            raise RuntimeError("The server cannot answer by a response.")
        self._denial = message["status"], message.get("headers") or (), []

    def _deny(self, message: Message) -> None:
        if self._denial is None:
            raise RuntimeError("The response has not begun.")
        status, headers, chunks = self._denial
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            self._refuse(status, headers, b"".join(chunks))

    def _refuse(self, status: int, headers: Headers, body: bytes) -> None:
        lines = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
        self.refusal = refusal = build_response("GET", self.path, status, lines, body)
        refusal.json = lambda **options: json.loads(refusal.content, **options)
        self._incoming.put_nowait({"type": "websocket.disconnect", "code": 1006})

    _ACTS = {
        "websocket.accept": _accept,
        "websocket.send": _frame,
        "websocket.close": _close,
        "websocket.http.response.start": _begin_denial,
        "websocket.http.response.body": _deny,
    }
