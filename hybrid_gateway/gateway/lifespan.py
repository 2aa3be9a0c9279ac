"""What runs once per process, before the first request and after the last: a project's hooks and context managers."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from hybrid_gateway.binding.signature import reject_generator
from hybrid_gateway.routing.declare import describe_handler

__all__ = ["Lifespan"]

Give = Callable[[Callable[..., Any]], Awaitable[tuple[list[Any], dict[str, Any]]]]
"""The arguments of a hook."""


class Lifespan:
    """Hooks and context managers, whose parameters are injected."""

    def __init__(
        self,
        contexts: Sequence[Callable[..., Any]],
        on_startup: Sequence[Callable[..., Any]],
        on_shutdown: Sequence[Callable[..., Any]],
    ) -> None:
        for hook in (*on_startup, *on_shutdown):
            reject_generator(hook, f"The hook {describe_handler(hook)}", "lifespan= takes one that is asynchronous.")
        self._contexts = contexts
        self._on_startup = on_startup
        self._on_shutdown = on_shutdown
        self._stack: contextlib.AsyncExitStack | None = None

    def __bool__(self) -> bool:
        return bool(self.hooks)

    @property
    def hooks(self) -> Sequence[Callable[..., Any]]:
        """All of them."""
        return (*self._on_startup, *self._contexts, *self._on_shutdown)

    async def enter(self, give: Give) -> None:
        """Run the start-up hooks and enter the contexts, once; what was entered is left where one of them fails."""
        if self._stack is not None:
            return
        async with contextlib.AsyncExitStack() as stack:
            for hook in self._on_startup:
                await _call(hook, give)
            for context in self._contexts:
                arguments, keywords = await give(context)
                wrapped = contextlib.asynccontextmanager(context) if inspect.isasyncgenfunction(context) else context
                await stack.enter_async_context(wrapped(*arguments, **keywords))
            for hook in reversed(self._on_shutdown):
                stack.push_async_callback(_call, hook, give)
            self._stack = stack.pop_all()

    async def leave(self) -> None:
        """Undo :meth:`enter` in reverse."""
        stack, self._stack = self._stack, None
        if stack is not None:
            await stack.aclose()


async def _call(hook: Callable[..., Any], give: Give) -> None:
    arguments, keywords = await give(hook)
    outcome = hook(*arguments, **keywords)
    if inspect.isawaitable(outcome):
        await outcome
