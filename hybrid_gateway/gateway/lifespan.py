"""What runs once per process, before the first request and after the last: a project's hooks and context managers."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["Lifespan"]


class Lifespan:
    """Hooks and context managers; each may take the gateway."""

    def __init__(
        self,
        contexts: Sequence[Callable[..., Any]],
        on_startup: Sequence[Callable[..., Any]],
        on_shutdown: Sequence[Callable[..., Any]],
    ) -> None:
        self._contexts = contexts
        self._on_startup = on_startup
        self._on_shutdown = on_shutdown
        self._stack: contextlib.AsyncExitStack | None = None

    def __bool__(self) -> bool:
        return bool(self._contexts or self._on_startup or self._on_shutdown)

    async def enter(self, gateway: Any) -> None:
        """Run the start-up hooks and enter the contexts, once; what was entered is left where one of them fails."""
        if self._stack is not None:
            return
        async with contextlib.AsyncExitStack() as stack:
            for hook in self._on_startup:
                await _call(hook, gateway)
            for context in self._contexts:
                wrapped = contextlib.asynccontextmanager(context) if inspect.isasyncgenfunction(context) else context
                await stack.enter_async_context(wrapped(*_gateway_argument(context, gateway)))
            for hook in reversed(self._on_shutdown):
                stack.push_async_callback(_call, hook, gateway)
            self._stack = stack.pop_all()

    async def leave(self) -> None:
        """Undo :meth:`enter` in reverse."""
        stack, self._stack = self._stack, None
        if stack is not None:
            await stack.aclose()


def _gateway_argument(hook: Callable[..., Any], gateway: Any) -> tuple[Any, ...]:
    return (gateway,) if inspect.signature(hook).parameters else ()


async def _call(hook: Callable[..., Any], gateway: Any) -> None:
    outcome = hook(*_gateway_argument(hook, gateway))
    if inspect.isawaitable(outcome):
        await outcome
