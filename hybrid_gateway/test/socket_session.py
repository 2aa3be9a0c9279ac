"""Websockets of the test clients: what a test sends and receives, and how it learns what has become of the handler."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from django.core.signals import got_request_exception
from starlette.websockets import WebSocketDisconnect

from hybrid_gateway.auth.revalidation import ended_authentications
from hybrid_gateway.concurrency.asgiref_bridge import thread_sensitive
from hybrid_gateway.request.request_thread import RequestThread
from hybrid_gateway.test.socket_exchange import ServerHabits, SocketExchange, current_exchange
from hybrid_gateway.test.transports import ClientResponse, connections_left_alone
from hybrid_gateway.types import Scope

if TYPE_CHECKING:
    from concurrent.futures import Future

    from hybrid_gateway import Gateway

    Task = Future[None] | asyncio.Task[None]

TURNS = 20  # of the loop, in which a close is sent whose time has come
CLOSING = 10.0  # seconds that a conversation gets to end: more than a handler gets before it is cancelled


class SocketSession:
    """A websocket of a test, whatever waits for it: the parts that never wait."""

    def __init__(
        self,
        gateway: Gateway,
        scope: Scope,
        *,
        raises: bool,
        timeout: float,
        habits: ServerHabits,
        on_answer: Callable[[SocketExchange], object],
    ) -> None:
        self._gateway = gateway
        self._scope = scope
        self._raises = raises
        self._timeout = timeout
        self._on_answer = on_answer
        self._has_left = False
        self._resources = ExitStack()
        self._exchange = SocketExchange(scope["path"], habits, self._wake)
        found = gateway.dispatcher.table.find_websocket(scope["path"].removeprefix(scope["root_path"]))
        mode = "json" if found is None else found[0].route.layers.mode
        self._packs = mode == "msgpack"

    def __repr__(self) -> str:
        if self.refusal is not None:
            state = f"refused with {self.refusal.status_code}"
        elif self._exchange.headers is None:
            state = "not open yet"
        else:
            state = "open" if self.close_code is None else f"closed with {self.close_code}"
        return f"<{type(self).__name__} {self._scope['path']} {state}>"

    # --- what has become of it

    @property
    def refusal(self) -> ClientResponse | None:
        """The response that refused the handshake: ``status_code``, ``headers``, ``json()``; None once accepted."""
        return self._exchange.refusal

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the handler has chosen."""
        return self._exchange.subprotocol

    @property
    def headers(self) -> dict[str, str]:
        """The headers with which the handshake was accepted, names in lower case."""
        pairs = self._exchange.headers or ()
        return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in pairs}

    @property
    def close_code(self) -> int | None:
        """The close code, once the connection has ended."""
        return self._exchange.close_code

    @property
    def close_reason(self) -> str:
        """The reason that came with the close code."""
        return self._exchange.close_reason

    # --- messages

    def _encode(self, value: object) -> dict[str, Any]:
        if isinstance(value, str):
            return message(value)
        if isinstance(value, (bytes, bytearray, memoryview)):
            return message(bytes(value))
        return self._pack(value)

    def _pack(self, value: object) -> dict[str, Any]:
        return message(msgspec.msgpack.encode(value) if self._packs else msgspec.json.encode(value).decode())

    def _check_usable(self) -> None:
        if self.refusal is not None:
            content = self.refusal.content.decode("utf-8", "replace")
            raise AssertionError(
                f"{self._scope['path']} refused the handshake: {self.refusal.status_code} {content}".rstrip()
            )
        if self._exchange.headers is None:
            raise RuntimeError("A websocket is open within its `with`.")

    def _take(self) -> str | bytes | None:
        """Return the next frame, if there is one; raise what has ended the connection instead."""
        exchange = self._exchange
        while exchange.news:
            entry = exchange.news.popleft()
            self._call_soon(exchange.make_room)
            if not isinstance(entry, Exception):
                return entry
            if self._raises:
                raise entry
        if exchange.close_code is not None:
            raise WebSocketDisconnect(exchange.close_code, exchange.close_reason)
        return None

    @property
    def _has_news(self) -> bool:
        return bool(self._exchange.news) or self._exchange.close_code is not None or self._is_done

    def _decode(self, data: str | bytes, kind: Any) -> Any:
        if kind == str | bytes:
            return data
        if kind is str or kind is bytes:
            if isinstance(data, kind):
                return data
            raise AssertionError(f"{self._scope['path']} sent a frame that is not {kind.__name__}: {data!r}")
        try:
            if self._packs and isinstance(data, bytes):
                return msgspec.msgpack.decode(data, type=kind)
            return msgspec.json.decode(data, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            known = getattr(kind, "__name__", None) or repr(kind)
            raise AssertionError(f"{self._scope['path']} sent {data!r}, which is no {known}: {error}") from None

    def _give(self, message: dict[str, Any]) -> None:
        self._check_usable()
        if self._has_left:
            raise RuntimeError("The test has closed the websocket.")
        self._call_soon(self._exchange.give, message)

    # --- the conversation

    def _begin(self, thread: RequestThread) -> Coroutine[object, None, None]:
        """Return the conversation, not begun, and listen to what its handler raises."""
        self._resources.enter_context(connections_left_alone())
        got_request_exception.connect(self._note_error, weak=False)
        self._resources.callback(got_request_exception.disconnect, self._note_error)
        return self._serve(thread)

    async def _serve(self, thread: RequestThread) -> None:
        exchange = self._exchange
        current_exchange.set(exchange)
        # What a test waits for is what is sent; that time goes by is the test's to say.
        self._gateway.websocket_registry.of_loop().is_still = True
        try:
            await self._gateway.serve(self._scope, exchange.receive, exchange.send, thread)
        finally:
            exchange.finish()

    def _note_error(self, **_: object) -> None:
        """Remember what a handler has raised, at its place among the messages."""
        error = sys.exception()
        if current_exchange.get() is self._exchange and isinstance(error, Exception):
            self._exchange.news.append(error)
            self._wake()

    def _pending_error(self) -> Exception | None:
        """Return what the handler has raised and no test has seen."""
        errors = [entry for entry in self._exchange.news if isinstance(entry, Exception)]
        return errors[0] if errors and self._raises else None

    # --- what waits, which subclasses say how to

    _thread: RequestThread
    _task: Task | None = None

    def _start(self, coroutine: Coroutine[object, None, None]) -> Task:
        """Start ``coroutine`` on the loop of the application; its end wakes the test up."""
        raise NotImplementedError

    def _wake(self) -> None:
        """Let the test look again whether what it waits for has come."""
        raise NotImplementedError

    def _call_soon(self, function: Callable[..., object], *args: object) -> None:
        """Call ``function`` on the loop of the application."""
        raise NotImplementedError

    async def _wait(self, is_met: Callable[[], bool], seconds: float) -> bool:
        """Wait until ``is_met()``, ``seconds`` at most; return whether it is."""
        raise NotImplementedError

    async def _open(self) -> None:
        self._task = self._start(self._begin(self._thread))
        exchange = self._exchange
        try:
            if not await self._wait(lambda: exchange.is_answered or self._is_done, self._timeout):
                raise AssertionError(f"{exchange.path} has not answered the handshake within {self._timeout:g} s.")
            if exchange.headers is None:  # refused, or it will raise
                await self._leave(1006, "")
                if exchange.refusal is None:
                    raise RuntimeError(f"{exchange.path} was never answered.")
            self._on_answer(exchange)
        except BaseException:
            await self._end(1006, "")
            raise

    async def _receive(self, kind: Any, seconds: float | None) -> Any:
        self._check_usable()
        seconds = self._timeout if seconds is None else seconds
        while (data := self._take()) is None:
            if self._is_done:
                self._raise_failure()
            if not await self._wait(lambda: self._has_news, seconds):
                raise AssertionError(
                    f"{self._scope['path']} sent nothing within {seconds:g} s, and has not closed the connection."
                )
        return self._decode(data, kind)

    async def _leave(self, code: int, reason: str) -> None:
        """Close the connection, and wait until the conversation has ended; raise what its handler has raised."""
        await self._end(code, reason)
        error = self._pending_error()
        if error is not None:
            self._exchange.news.clear()
            raise error
        self._raise_failure()

    async def _end(self, code: int, reason: str) -> None:
        if self._has_left:
            return
        self._has_left = True
        self._call_soon(self._exchange.leave, code, reason)
        try:
            if not await self._wait(lambda: self._is_done, CLOSING):
                assert self._task is not None
                self._task.cancel()
                await self._wait(lambda: self._is_done, CLOSING)
                raise AssertionError(f"{self._exchange.path} went on for {CLOSING:g} s after the client had left.")
        finally:
            self._resources.close()

    async def _advance(self, seconds: float) -> None:
        task = self._start(self._age(seconds))
        await self._wait(task.done, CLOSING)
        task.result()

    async def _age(self, seconds: float) -> None:
        find_ended = partial(ended_authentications, lend=lambda: self._thread)
        with thread_sensitive(self._thread):
            await self._gateway.websocket_registry.of_loop().advance(seconds, find_ended)
        for _ in range(TURNS):
            await asyncio.sleep(0)

    @property
    def _is_done(self) -> bool:
        return self._task is not None and self._task.done()

    def _raise_failure(self) -> None:
        """Raise what has come out of the gateway itself."""
        if self._task is not None and self._is_done and not self._task.cancelled():
            error = self._task.exception()
            if error is not None:
                raise error


def message(data: str | bytes) -> dict[str, Any]:
    return {"type": "websocket.receive", "text" if isinstance(data, str) else "bytes": data}
