"""Start-up and shutdown: components that live as long as the process, and a project's hooks and context managers."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from hybrid_gateway.binding.components import AppComponents, Provider
from hybrid_gateway.binding.signature import reject_generator
from hybrid_gateway.dispatch.routing_table import RoutingTable
from hybrid_gateway.dispatch.shutdown import Shutdown
from hybrid_gateway.gateway.mount_lifespans import MountLifespan
from hybrid_gateway.gateway.options import GatewayOptions
from hybrid_gateway.routing.declare import describe_handler
from hybrid_gateway.types import Handler

logger = logging.getLogger("hybrid_gateway")


class Lifespan:
    """Hooks and context managers of ``options``, whose parameters are injected, inside of ``components``.

    ``table()`` has a value or a provider for each parameter of a hook, and the mounts, whose lifespans come last.
    """

    def __init__(
        self,
        options: GatewayOptions,
        components: AppComponents,
        table: Callable[[], RoutingTable],
    ) -> None:
        for hook in (*options.on_startup, *options.on_shutdown):
            reject_generator(hook, f"The hook {describe_handler(hook)}", "lifespan= takes one that is asynchronous.")
        self.hooks = (*options.on_startup, *options.lifespan, *options.on_shutdown)
        self.has_started = False
        self._options = options
        self._components = components
        self._table = table
        self._stack: contextlib.AsyncExitStack | None = None

    def __bool__(self) -> bool:
        """Return whether there is anything to start up."""
        return bool(self.hooks or self._table().mounts.with_lifespan) or not self._components.is_empty

    async def start(self) -> None:
        """Open the components, run the start-up hooks and enter the contexts, once.

        Where one of them fails, what was entered before it is closed.
        """
        await self._components.open_all()
        if self._stack is None:
            async with contextlib.AsyncExitStack() as stack:
                for hook in self._options.on_startup:
                    await self._call(hook)
                for context in self._options.lifespan:
                    arguments, keywords = await self._resolve_arguments(context)
                    opened = contextlib.asynccontextmanager(context) if inspect.isasyncgenfunction(context) else context
                    entered = await stack.enter_async_context(opened(*arguments, **keywords))
                    if isinstance(entered, Mapping):  # as of Starlette's lifespans
                        for name, value in entered.items():
                            setattr(self._options.state, name, value)
                for mounted in self._table().mounts.with_lifespan:
                    await stack.enter_async_context(MountLifespan(mounted, self._options.graceful_timeout))
                for hook in reversed(self._options.on_shutdown):
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
        for parameter, given in self._table().hooks[id(hook)]:
            value = await self._components.open_async(given) if isinstance(given, Provider) else given
            if parameter.raw.kind is inspect.Parameter.POSITIONAL_ONLY:
                arguments.append(value)
            else:
                keywords[parameter.name] = value
        return arguments, keywords


class LateStart:
    """Start-up with the first request, where no lifespan reaches the gateway: behind a wrapper that passes on none.

    It runs ``startup`` once, and ``shutdown`` when the process ends, both in one task, as task groups need it.

    The end is a signal (``process``), once no request is being answered any more: uvicorn ends the process before the
    event loop has ended. Elsewhere it is the loop's end, which cancels the task: ``asyncio.run`` waits for it.
    """

    def __init__(
        self, startup: Callable[[], Awaitable[None]], shutdown: Callable[[], Awaitable[None]], process: Shutdown
    ) -> None:
        self._startup = startup
        self._shutdown = shutdown
        self._process_shutdown = process
        self._started: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None  # the loop itself keeps no task alive
        self._count = 0

    @property
    def is_used(self) -> bool:
        """True if start-up was a request's."""
        return self._started is not None

    async def wait(self) -> None:
        """Start up, or wait until another request has; raises what ``startup`` raises, and the next one tries again."""
        if self._started is None:
            logger.warning(
                "No lifespan reaches the gateway, so start-up runs with the first request and delays it. Pass scopes "
                'of the type "lifespan" on to it: {"http": gateway, "lifespan": gateway} for a ProtocolTypeRouter.'
            )
            self._started = asyncio.get_running_loop().create_future()
            self._idle, self._is_over = asyncio.Event(), asyncio.Event()
            self._task = asyncio.ensure_future(self._live(self._started))
        await asyncio.shield(self._started)

    def counting(self, answer: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        """Return ``answer``; the end of the process waits until none of its calls is running."""

        async def answer_and_count(*args: Any) -> None:
            self._count += 1
            self._idle.clear()
            try:
                await answer(*args)
            finally:
                self._count -= 1
                if not self._count:
                    self._idle.set()

        return answer_and_count

    async def _live(self, started: asyncio.Future[None]) -> None:
        try:
            await self._startup()
        except Exception as error:
            self._started = None
            started.set_exception(error)
            return
        except BaseException:
            started.cancel()
            raise
        self._idle.set()
        started.set_result(None)
        with self._process_shutdown.notifying(self._is_over.set):
            try:
                await self._is_over.wait()
                await self._idle.wait()
            except GeneratorExit:  # its loop ended long ago, and nothing can be awaited any more
                raise
            except BaseException:
                await self._end()
                raise
            await self._end()

    async def _end(self) -> None:
        try:
            await self._shutdown()
        except Exception:
            logger.exception("lifespan.shutdown failed")
