"""Hooks around a handler: entered in order on the way in, run in reverse on the way out with the response so far."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import msgspec
from starlette.responses import Response

from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.responses.raw_response import EndpointResponse

__all__ = ["AnsweredEarly", "Hook", "HookRun", "answer_early"]

HookRun: TypeAlias = Callable[
    [RequestContext, object, Response, BaseException | None], Awaitable[EndpointResponse | None]
]
"""``run(ctx, instance, response, error)``: a compiled hook; ``None`` leaves the response alone."""


class AnsweredEarly(Exception):
    """Raised where a hook, or a cache, has the response, so that nothing else of the route runs."""

    def __init__(self, response: EndpointResponse) -> None:
        self.response = response


def answer_early(value: object, encode: Callable[[object], EndpointResponse]) -> None:
    """Raise :class:`AnsweredEarly` with what a hook has returned, unless that is ``None``."""
    if value is not None:
        raise AnsweredEarly(encode(value))


class Hook(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """The way out of one hook, compiled."""

    moment: int  # the cleanup phase that follows when it has run
    on_response: HookRun | None = None
    on_error: HookRun | None = None
    awaits: bool = False
