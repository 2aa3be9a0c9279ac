"""Work after a response, and the log entry where it fails: the client has its response."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from starlette.background import BackgroundTask, BackgroundTasks

from hybrid_gateway.endpoints.errors import printable
from hybrid_gateway.request.context import RequestContext

__all__ = ["BackgroundWork", "log_failure"]

logger = logging.getLogger("django.request")


class BackgroundWork(BackgroundTasks):
    """The tasks of one response, followed by those that run after every response of its route."""

    def __init__(self, own: BackgroundTask | None, always: Sequence[BackgroundTask]) -> None:
        super().__init__([*([] if own is None else [own]), *always])
        self.always = BackgroundTasks(always)


def log_failure(ctx: RequestContext, route: str, what: str, error: BaseException) -> None:
    """Log what has failed once the response to ``ctx`` was sent."""
    logger.error(
        "%s of %s failed: %s %s",
        what,
        route,
        ctx.method,
        printable(ctx.scope["path"]),
        exc_info=(type(error), error, error.__traceback__),
        extra={"status_code": 500, "route": route},
    )
