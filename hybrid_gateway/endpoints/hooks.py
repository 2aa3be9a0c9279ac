"""Hooks around a handler: entered in order on the way in, left in reverse on the way out with the answer so far."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

__all__ = ["AnsweredEarly", "Hook", "answered"]

Run = Callable[..., Awaitable[Any]]


class AnsweredEarly(Exception):
    """A hook has the answer, and nothing else of the route runs."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer


def answered(value: Any, encode: Callable[[Any], Any]) -> None:
    """Called by a compiled endpoint with what a hook returned: anything but ``None`` is the answer."""
    if value is not None:
        raise AnsweredEarly(encode(value))


class Hook(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """What runs on the way out, compiled: ``run(ctx, hook, response, error)``; ``None`` leaves the response alone."""

    moment: int  # of the request's end: when it has run
    on_response: Run | None = None
    on_error: Run | None = None
    awaits: bool = False
