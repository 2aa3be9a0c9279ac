"""Hooks around a handler: entered in order on the way in, left in reverse on the way out with the answer so far."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.background import BackgroundTask, BackgroundTasks

from hybrid_gateway.handlers.errors import ErrorAnswers
from hybrid_gateway.responses.encode import as_answer, as_response

__all__ = ["Answered", "Hook", "Hooks", "answered"]

Run = Callable[..., Awaitable[Any]]


class Answered(Exception):
    """A hook has the answer, and nothing else of the route runs."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer


def answered(value: Any, encode: Callable[[Any], Any]) -> None:
    """Called by a compiled endpoint with what a hook returned: anything but ``None`` is the answer."""
    if value is not None:
        raise Answered(encode(value))


class Hook(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """What runs on the way out, compiled: ``run(call, hook, response, error)``; ``None`` leaves the response alone."""

    on_response: Run | None = None
    on_error: Run | None = None
    awaits: bool = False


class Hooks:
    """The hooks of one route. ``always`` and ``last`` are functions, the others are entered by the route's plan."""

    def __init__(self, errors: ErrorAnswers, *, always: tuple[Hook, ...] = (), last: tuple[Hook, ...] = ()) -> None:
        self._errors = errors
        self._always = always
        self._last = last

    async def conclude(self, call: Any, answer: Any, error: BaseException | None) -> Any:
        """``answer`` after every hook has seen it, the innermost first; one that fails makes another answer of it."""
        entered, call.entered = call.entered or [], None
        for hook, instance in (*((hook, None) for hook in reversed(self._always)), *reversed(entered)):
            unexpected = error is not None and _status(answer) >= 500
            run = hook.on_error if unexpected and hook.on_error is not None else hook.on_response
            if run is None:
                continue
            response = as_response(answer)
            try:
                replaced = await run(call, instance, response, error)
                answer = as_answer(response) if replaced is None else replaced
            except Exception as failure:
                error = failure
                answer = await self._errors.answer(call, failure)
        return self._with_last(call, answer, error) if self._last else answer

    def _with_last(self, call: Any, answer: Any, error: BaseException | None) -> Any:
        """The answer with what is to run once it has been sent."""
        response = as_response(answer)
        tasks = [] if response.background is None else [response.background]
        tasks += [BackgroundTask(hook.on_response, call, None, response, error) for hook in reversed(self._last)]  # type: ignore[arg-type]
        response.background = BackgroundTasks(tasks)
        return response


def _status(answer: Any) -> int:
    status: int = answer[0] if type(answer) is tuple else answer.status_code
    return status
