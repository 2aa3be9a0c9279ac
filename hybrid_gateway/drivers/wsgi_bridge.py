"""An ASGI application on an event loop, driven from a WSGI worker that waits and lends its thread to what blocks."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Iterator
from typing import Any, TypeVar, cast

from hybrid_gateway.concurrency.caller_threads import CallingThread
from hybrid_gateway.concurrency.loop_thread import LoopThread
from hybrid_gateway.concurrency.pooled_thread import PooledThread
from hybrid_gateway.drivers.wsgi_scope import build_receive, start
from hybrid_gateway.request.request_thread import RequestThread
from hybrid_gateway.types import Environ, Message, Receive, Scope, Send, StartResponse

__all__ = ["ThreadedASGIApp", "run_on_loop", "step"]

T = TypeVar("T")

ThreadedASGIApp = Callable[[Scope, Receive, Send, RequestThread], Coroutine[Any, Any, None]]
"""An ASGI application that is told which thread blocking work runs on."""


def step(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never waits, without an event loop."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        value: T = stop.value
        return value
    coroutine.close()
    raise RuntimeError("A handler without asynchronous code waited; this is a defect of hybrid_gateway.")


def run_on_loop(
    application: ThreadedASGIApp,
    scope: Scope,
    environ: Environ,
    start_response: StartResponse,
    loop: LoopThread,
    worker: PooledThread,
    *,
    lends_worker: bool,
) -> Iterable[bytes]:
    """Run ``application`` on ``loop`` and give its messages to WSGI as they come.

    What blocks runs on ``worker``, or where ``lends_worker``, on the calling thread, as long as that waits.
    """
    bridge = _Bridge(worker)
    thread = bridge if lends_worker else worker
    messages = bridge.messages(application(scope, bridge.receive(environ), bridge.send, thread), loop)
    head = next(messages, None)
    if head is None:
        start(start_response, 500, [(b"content-length", b"0")])
        return ()
    start(start_response, head["status"], head["headers"])
    return bridge.bodies(messages)


class _Bridge(CallingThread):
    """A waiting worker that, beside blocking work, gets the messages of an ASGI application one by one."""

    def receive(self, environ: Environ) -> Receive:
        """Return ``receive`` of the application: the body is read in the worker's thread."""
        read, step_read = build_receive(environ), cast("Callable[[Awaitable[Message]], Message]", step)
        finished = False

        async def receive() -> Message:
            nonlocal finished
            if finished:  # WSGI tells nobody that a client has left; the wait ends when the response is closed
                await asyncio.Event().wait()
                return {"type": "http.disconnect"}
            message = await self.run(step_read, read())
            finished = not message["more_body"]
            return message

        return receive

    async def send(self, message: Message) -> None:
        await self.run(self._pending.append, message)

    def messages(self, coroutine: Coroutine[Any, Any, None], loop: LoopThread) -> Generator[Message, None, None]:
        """Drive ``coroutine`` on ``loop``; yield what it sends, raise what it raises.

        Closed early, it cancels the coroutine and lets it clean up here.
        """
        self._pending: list[Message] = []
        with contextlib.closing(self.steps(coroutine, loop)) as steps:
            for _ in steps:
                while self._pending:
                    yield self._pending.pop(0)

    def bodies(self, messages: Generator[Message, None, None]) -> Iterator[bytes]:
        """Yield the bodies of the other messages; raise where the last is missing, so that servers cut the response."""
        more = True
        with contextlib.closing(messages):
            for message in messages:
                if message.get("body"):
                    yield message["body"]
                more = message.get("more_body", False)
        if more:
            raise ConnectionResetError(errno.ECONNRESET, "The answer was cut.")  # which servers take calmly
