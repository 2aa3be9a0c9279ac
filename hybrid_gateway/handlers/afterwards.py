"""Work after an answer: whatever goes wrong with it, the client has its answer, and the rest of the work is done."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from starlette.background import BackgroundTask, BackgroundTasks

from hybrid_gateway.background import each_task
from hybrid_gateway.handlers.errors import printable

__all__ = ["Afterwards", "do_afterwards", "report"]

logger = logging.getLogger("django.request")


class Afterwards(BackgroundTasks):
    """The tasks of an answer, and what is to run after every answer of its route."""

    def __init__(self, own: BackgroundTask | None, always: Sequence[BackgroundTask]) -> None:
        super().__init__([*([] if own is None else [own]), *always])
        self.always = BackgroundTasks(always)


async def do_afterwards(work: BackgroundTask, fail: Callable[[Exception], None]) -> None:
    """Do all of ``work``, one task after the other; what one raises is given to ``fail`` and stops no other."""
    for task in each_task(work):
        try:
            await task()
        except Exception as error:
            fail(error)


def report(call: Any, route: str, what: str, error: BaseException) -> None:
    """Log what has failed once the answer to ``call`` was sent."""
    path = printable(call.scope["path"])
    logger.error(
        "%s of %s failed: %s %s",
        what,
        route,
        call.method,
        path,
        exc_info=(type(error), error, error.__traceback__),
        extra={"status_code": 500, "route": route},
    )
