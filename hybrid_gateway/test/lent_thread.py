"""The thread of a test, which does the blocking work of what it waits for.

How this works: all requests and websockets of one thread share a queue of work. Whenever the test waits, for a response
or for a message, its thread does what is queued, whichever of them has asked: so a message to one socket may need work
of another, and nothing touches the connection of the test's transaction while the test itself goes on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import TypeVar

from hybrid_gateway.concurrency.caller_threads import CallingThread, LoopThread

T = TypeVar("T")


class _Queues(threading.local):
    """The queue of each thread."""

    def __init__(self) -> None:
        self.work = SimpleQueue[Callable[[], object] | None]()


_queues = _Queues()


class LentThread(CallingThread):
    """The thread of a test as one request, or one websocket, borrows it."""

    def __init__(self) -> None:
        super().__init__(work=_queues.work)

    def wake(self) -> None:
        """Let the test look again whether what it waits for has come. Any thread."""
        self._work.put(_nothing)

    def start(self, coroutine: Coroutine[object, None, T], loop: LoopThread) -> Future[T]:
        """Start ``coroutine`` on ``loop``, in a copy of the current context; its end wakes the test up."""
        future = loop.start(coroutine)
        future.add_done_callback(lambda _: self.wake())
        return future

    def wait_until(self, is_met: Callable[[], bool], timeout: float | None = None) -> bool:
        """Do what is queued until ``is_met()``; return False if it is not within ``timeout`` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not is_met():
            try:
                work = self._work.get(timeout=None if deadline is None else max(deadline - time.monotonic(), 0))
            except Empty:
                return is_met()
            if work is not None:
                work()
        return True

    def run_until_done(self, coroutine: Coroutine[object, None, T], loop: LoopThread) -> T:
        """Run ``coroutine`` on ``loop``, and do what is queued until it is done."""
        future = self.start(coroutine, loop)
        try:
            self.wait_until(future.done)
            return future.result()
        finally:
            self.end()
            del future  # an error's traceback knows this frame, and the future knows the error

    def end(self) -> None:
        """Refuse work from now on, after what is queued."""
        self._end()


def _nothing() -> None:
    """Wake the thread up, and no more."""
