"""Work after an answer, and what is told of it when it fails: the client has its answer."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from starlette.background import BackgroundTask, BackgroundTasks

from hybrid_gateway.endpoints.errors import printable
from hybrid_gateway.request.context import RequestContext

__all__ = ["BackgroundWork", "report"]

logger = logging.getLogger("django.request")


class BackgroundWork(BackgroundTasks):
    """The tasks of an answer, and what is to run after every answer of its route."""

    def __init__(self, own: BackgroundTask | None, always: Sequence[BackgroundTask]) -> None:
        super().__init__([*([] if own is None else [own]), *always])
        self.always = BackgroundTasks(always)


def report(ctx: RequestContext, route: str, what: str, error: BaseException) -> None:
    """Log what has failed once the answer to ``ctx`` was sent."""
    path = printable(ctx.scope["path"])
    logger.error(
        "%s of %s failed: %s %s",
        what,
        route,
        ctx.method,
        path,
        exc_info=(type(error), error, error.__traceback__),
        extra={"status_code": 500, "route": route},
    )
