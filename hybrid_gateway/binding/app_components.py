"""Components that live as long as the process: made once, at start-up or when first needed, closed at shutdown."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Mapping
from typing import Any

from asgiref.sync import sync_to_async

from hybrid_gateway.binding.components import Components, Mode, Provider
from hybrid_gateway.exceptions import DependencyError

__all__ = ["AppComponents"]

logger = logging.getLogger("hybrid_gateway")

_MODES: tuple[Mode, ...] = ("inline", "thread", "loop")  # the last that a chain needs decides


class AppComponents:
    """Components with ``lifetime = "app"``: made once, at start-up or when first needed, closed at shutdown."""

    def __init__(self) -> None:
        self._providers: dict[Provider, dict[str, object]] = {}  # each with its arguments: providers or ready values
        self._by_key: dict[object, Provider] = {}
        self._modes: dict[object, Mode] = {}  # where opening each runs, with all it needs
        self._values: dict[object, object] = {}
        self._exits: list[tuple[Mode, Any]] = []  # context managers, asynchronous ones on the loop
        self._lock = threading.RLock()
        self._async_lock: asyncio.Lock | None = None

    @property
    def is_empty(self) -> bool:
        """True where no route needs any."""
        return not self._providers

    def register(
        self, provider: Provider, components: Components, constants: Mapping[object, object], chain: tuple[str, ...]
    ) -> Mode:
        """Check that ``provider`` needs nothing of a request; tell where opening it runs."""
        chain = (*chain, provider.signature.where)
        if len(set(chain[1:])) < len(chain[1:]):
            raise DependencyError(f"{' → '.join(chain)}: a component cannot need itself.")
        arguments: dict[str, object] = {}
        mode: Mode = provider.mode
        for parameter in provider.signature.parameters:
            inner = components.find(parameter)
            if inner is not None and inner.lifetime == "app":
                needed = self.register(inner, components, constants, chain)
                mode = needed if _MODES.index(needed) > _MODES.index(mode) else mode
                arguments[parameter.name] = inner
            elif parameter.type in constants:
                arguments[parameter.name] = constants[parameter.type]
            elif parameter.required:
                raise DependencyError(
                    f"{' → '.join(chain)}: {parameter.name!r} belongs to a request, but the component lives as long as "
                    'the process. Give it lifetime = "request", or take only app-lifetime components.'
                )
        self._providers[provider] = arguments
        self._by_key[provider.key] = provider
        self._modes[provider.key] = mode
        return mode

    def open(self, provider: Provider) -> object:
        """The value of a component whose whole chain is synchronous."""
        with self._lock:
            if provider.key not in self._values:
                arguments = {
                    name: self.open(argument) if isinstance(argument, Provider) else argument
                    for name, argument in self._arguments(provider).items()
                }
                made = provider.call(**arguments)
                if provider.cleans_up:
                    manager: Any = made
                    made = manager.__enter__()
                    self._exits.append(("thread", manager))
                self._values[provider.key] = made
            return self._values[provider.key]

    def _arguments(self, provider: Provider) -> dict[str, object]:
        return self._providers[self._by_key[provider.key]]

    async def open_async(self, provider: Provider) -> object:
        """The value of a component that is, or needs, an asynchronous one."""
        if provider.key in self._values:
            return self._values[provider.key]
        if self._async_lock is None:
            self._async_lock = asyncio.Lock()
        async with self._async_lock:
            return await self._open_async(provider)

    async def _open_async(self, provider: Provider) -> object:
        if provider.key in self._values:
            return self._values[provider.key]
        mode = self._modes[provider.key]
        if mode != "loop":  # under the lock of open(): a thread may be opening it just now
            return await sync_to_async(self.open)(provider) if mode == "thread" else self.open(provider)
        arguments = {
            name: await self._open_async(argument) if isinstance(argument, Provider) else argument
            for name, argument in self._arguments(provider).items()
        }
        blocks = provider.mode == "thread"
        made = await sync_to_async(provider.call)(**arguments) if blocks else provider.call(**arguments)
        if provider.cleans_up:
            manager: Any = made
            if provider.is_async:
                made = await manager.__aenter__()
            else:
                made = await sync_to_async(manager.__enter__)() if blocks else manager.__enter__()
            self._exits.append((provider.mode, manager))
        elif inspect.isawaitable(made):
            made = await made
        self._values[provider.key] = made
        return made

    async def open_all(self) -> None:
        """Open every component that some route may need."""
        for provider in list(self._providers):
            await self.open_async(provider)

    async def close(self) -> None:
        """Leave what was entered, last in, first out; a failure is logged and does not stop the others."""
        while self._exits:
            mode, manager = self._exits.pop()
            try:
                if mode == "loop":
                    await manager.__aexit__(None, None, None)
                elif mode == "thread":
                    await sync_to_async(manager.__exit__)(None, None, None)
                else:
                    manager.__exit__(None, None, None)
            except Exception:
                logger.exception("The clean-up of an app-lifetime component failed")
        self._values.clear()
        self._async_lock = None
