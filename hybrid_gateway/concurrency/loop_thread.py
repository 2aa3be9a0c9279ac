"""An event loop that outlives requests, for callers that have none: WSGI workers and tests."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import TypeVar

__all__ = ["LoopThread"]

T = TypeVar("T")


class LoopThread:
    """An event loop on a daemon thread of its own, started when first used; where async handlers run under WSGI."""

    def __init__(self, *, name: str = "gateway-loop") -> None:
        self.name = name
        self._lock = threading.RLock()  # re-entrant: the garbage collector may call close() in the midst of anything
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop; it is started anew in a process that was forked."""
        with self._lock:
            if self._loop is None or self._pid != os.getpid():
                self._loop = asyncio.new_event_loop()
                self._pid = os.getpid()
                threading.Thread(target=_run_loop, args=(self._loop,), name=self.name, daemon=True).start()
            return self._loop

    def start(self, coroutine: Coroutine[object, None, T]) -> Future[T]:
        """Start ``coroutine`` on the loop, in a copy of the caller's context."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def run(self, coroutine: Coroutine[object, None, T]) -> T:
        """Run ``coroutine`` on the loop and wait for it."""
        return self.start(coroutine).result()

    def close(self) -> None:
        """Cancel what runs on the loop, and let its thread end."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None and self._pid == os.getpid():
            loop.call_soon_threadsafe(loop.stop)


def _run_loop(loop: asyncio.AbstractEventLoop) -> None:
    while True:
        try:
            loop.run_forever()
            break
        except (KeyboardInterrupt, SystemExit):  # out of a task, whose caller gets it, too: the others go on
            continue
    loop.run_until_complete(_cancel_others())
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
