"""The two websockets of tests: the one waits on the thread of the test, the other on its loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from hybrid_gateway.concurrency.caller_threads import AsgirefThread
from hybrid_gateway.test.lent_thread import LentThread
from hybrid_gateway.test.socket_session import SocketSession, message
from hybrid_gateway.test.transports import LOOP

if TYPE_CHECKING:
    from hybrid_gateway.test.socket_session import Task

T = TypeVar("T")


class WebSocketSession(SocketSession):
    """A websocket of a :class:`TestClient`: ``with client.websocket("/chat/1") as socket``.

    While the test waits for a message, or for the end, its thread does the blocking work of all its conversations; at
    the end of the block the handler has ended, with all its clean-up.
    """

    def __enter__(self) -> WebSocketSession:
        self._thread = self._lent = LentThread()
        self._resources.callback(self._lent.end)
        now(self._open())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        now(self._leave(1000, "") if error is None else quietly(self._end(1000, "")))

    @overload
    def receive(self, kind: type[T], /, *, timeout: float | None = None) -> T: ...
    @overload
    def receive(self, kind: object = ..., /, *, timeout: float | None = None) -> Any: ...
    def receive(self, kind: object = Any, /, *, timeout: float | None = None) -> Any:
        """Return the next message as a ``kind``, decoded by the ``mode`` of the route.

        Raises what the handler has raised, ``WebSocketDisconnect`` once the connection is closed, and
        ``AssertionError`` where nothing comes within ``timeout`` seconds (those of the client by default), what comes
        does not fit, or the handshake was refused.
        """
        return now(self._receive(kind, timeout))

    def receive_text(self, *, timeout: float | None = None) -> str:
        """Return the next message, a text frame."""
        return self.receive(str, timeout=timeout)

    def receive_bytes(self, *, timeout: float | None = None) -> bytes:
        """Return the next message, a binary frame."""
        return self.receive(bytes, timeout=timeout)

    def receive_json(self, *, timeout: float | None = None) -> Any:
        """Return the next message decoded, of any shape."""
        return self.receive(timeout=timeout)

    def send(self, value: object) -> None:
        """Send text and bytes as they are, any other value in the ``mode`` of the route.

        What the server does not read any more is lost, as on a network.
        """
        self._give(self._encode(value))

    def send_text(self, text: str) -> None:
        """Send a text frame."""
        self._give(message(text))

    def send_bytes(self, data: bytes) -> None:
        """Send a binary frame."""
        self._give(message(data))

    def send_json(self, value: object) -> None:
        """Send a value in the ``mode`` of the route, a ``str`` quoted."""
        self._give(self._pack(value))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection, and wait until the handler has ended; raise what it has raised."""
        now(self._leave(code, reason))

    def abort(self) -> None:
        """Lose the connection as networks do: the handler sees 1006."""
        now(self._leave(1006, ""))

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` go by for pings, ``idle_timeout``, ``max_lifetime`` and credentials of open websockets.

        That clock stands still in tests otherwise. What handlers sleep is not affected.
        """
        now(self._advance(seconds))

    # --- how it waits

    def _start(self, coroutine: Coroutine[object, None, None]) -> Task:
        return self._lent.start(coroutine, LOOP)

    def _wake(self) -> None:
        self._lent.wake()

    def _call_soon(self, function: Callable[..., object], *args: object) -> None:
        LOOP.loop.call_soon_threadsafe(function, *args)

    async def _wait(self, is_met: Callable[[], bool], seconds: float) -> bool:
        return self._lent.wait_until(is_met, seconds)


class AsyncWebSocketSession(SocketSession):
    """A websocket of an :class:`AsyncTestClient`: ``async with client.websocket("/chat/1") as socket``.

    Blocking work of its handler runs where asgiref puts it, in a ``TestCase`` on the thread of the test.
    """

    async def __aenter__(self) -> AsyncWebSocketSession:
        self._thread = AsgirefThread()
        self._woken = asyncio.Event()
        await self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await (self._leave(1000, "") if error is None else quietly(self._end(1000, "")))

    @overload
    async def receive(self, kind: type[T], /, *, timeout: float | None = None) -> T: ...
    @overload
    async def receive(self, kind: object = ..., /, *, timeout: float | None = None) -> Any: ...
    async def receive(self, kind: object = Any, /, *, timeout: float | None = None) -> Any:
        """Return the next message as a ``kind``; see :meth:`WebSocketSession.receive`."""
        return await self._receive(kind, timeout)

    async def receive_text(self, *, timeout: float | None = None) -> str:
        """Return the next message, a text frame."""
        return await self.receive(str, timeout=timeout)

    async def receive_bytes(self, *, timeout: float | None = None) -> bytes:
        """Return the next message, a binary frame."""
        return await self.receive(bytes, timeout=timeout)

    async def receive_json(self, *, timeout: float | None = None) -> Any:
        """Return the next message decoded, of any shape."""
        return await self.receive(timeout=timeout)

    async def send(self, value: object) -> None:
        """Send text and bytes as they are, any other value in the ``mode`` of the route."""
        self._give(self._encode(value))

    async def send_text(self, text: str) -> None:
        """Send a text frame."""
        self._give(message(text))

    async def send_bytes(self, data: bytes) -> None:
        """Send a binary frame."""
        self._give(message(data))

    async def send_json(self, value: object) -> None:
        """Send a value in the ``mode`` of the route, a ``str`` quoted."""
        self._give(self._pack(value))

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection, and wait until the handler has ended; raise what it has raised."""
        await self._leave(code, reason)

    async def abort(self) -> None:
        """Lose the connection as networks do: the handler sees 1006."""
        await self._leave(1006, "")

    async def advance(self, seconds: float) -> None:
        """Let ``seconds`` go by for open websockets; see :meth:`WebSocketSession.advance`."""
        await self._advance(seconds)

    # --- how it waits

    def _start(self, coroutine: Coroutine[object, None, None]) -> Task:
        task = asyncio.create_task(coroutine)
        task.add_done_callback(lambda _: self._wake())
        return task

    def _wake(self) -> None:
        self._woken.set()

    def _call_soon(self, function: Callable[..., object], *args: object) -> None:
        function(*args)

    async def _wait(self, is_met: Callable[[], bool], seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                while not is_met():
                    self._woken.clear()
                    await self._woken.wait()
        except TimeoutError:
            return is_met()
        return True


def now(coroutine: Coroutine[object, None, T]) -> T:
    """Run a coroutine that never suspends, and return its result."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    raise RuntimeError("The coroutine waits for something.")


async def quietly(coroutine: Coroutine[object, None, None]) -> None:
    """Await a coroutine where another error is on its way, which says more."""
    with suppress(AssertionError):
        await coroutine
