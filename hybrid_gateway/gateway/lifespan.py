"""Start-up and shutdown: components that live as long as the process, and a project's hooks and context managers."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from hybrid_gateway.binding.app_components import AppComponents
from hybrid_gateway.binding.components import Provider
from hybrid_gateway.binding.signature import Parameter, reject_generator
from hybrid_gateway.routing.declare import describe_handler
from hybrid_gateway.types import Handler

__all__ = ["Lifespan"]


class Lifespan:
    """Hooks and context managers, whose parameters are injected, inside of ``components``.

    ``arguments(hook)`` are its parameters, and a value or a provider for each.
    """

    def __init__(
        self,
        contexts: Sequence[Handler],
        on_startup: Sequence[Handler],
        on_shutdown: Sequence[Handler],
        components: AppComponents,
        arguments: Callable[[Handler], Sequence[tuple[Parameter, object]]],
    ) -> None:
        for hook in (*on_startup, *on_shutdown):
            reject_generator(hook, f"The hook {describe_handler(hook)}", "lifespan= takes one that is asynchronous.")
        self.hooks = (*on_startup, *contexts, *on_shutdown)
        self.has_started = False
        self._contexts = contexts
        self._on_startup = on_startup
        self._on_shutdown = on_shutdown
        self._components = components
        self._arguments = arguments
        self._stack: contextlib.AsyncExitStack | None = None

    def __bool__(self) -> bool:
        """Return whether there is anything to start up."""
        return bool(self.hooks) or not self._components.is_empty

    async def start(self) -> None:
        """Open the components, run the start-up hooks and enter the contexts, once.

        Where one of them fails, what was entered before it is closed.
        """
        await self._components.open_all()
        if self._stack is None:
            async with contextlib.AsyncExitStack() as stack:
                for hook in self._on_startup:
                    await self._call(hook)
                for context in self._contexts:
                    arguments, keywords = await self._resolve_arguments(context)
                    wrapped = (
                        contextlib.asynccontextmanager(context) if inspect.isasyncgenfunction(context) else context
                    )
                    await stack.enter_async_context(wrapped(*arguments, **keywords))
                for hook in reversed(self._on_shutdown):
                    stack.push_async_callback(self._call, hook)
                self._stack = stack.pop_all()
        self.has_started = True

    async def stop(self) -> None:
        """Undo :meth:`start` in reverse."""
        self.has_started = False
        stack, self._stack = self._stack, None
        try:
            if stack is not None:
                await stack.aclose()
        finally:
            await self._components.close()

    async def _call(self, hook: Handler) -> None:
        arguments, keywords = await self._resolve_arguments(hook)
        outcome = hook(*arguments, **keywords)
        if inspect.isawaitable(outcome):
            await outcome

    async def _resolve_arguments(self, hook: Handler) -> tuple[list[Any], dict[str, Any]]:
        arguments: list[Any] = []
        keywords: dict[str, Any] = {}
        for parameter, given in self._arguments(hook):
            value = await self._components.open_async(given) if isinstance(given, Provider) else given
            if parameter.raw.kind is inspect.Parameter.POSITIONAL_ONLY:
                arguments.append(value)
            else:
                keywords[parameter.name] = value
        return arguments, keywords
