"""Components that a route shares with its hooks, its exception handlers and what runs after its responses.

How this works: which components those are is known at start-up. The plan of a route notes what it has made of them on
the ctx, and that one of them has failed; whoever asks later gets what was noted. Where the plan did not come so far,
the one who asks first has it made. What has been closed is forgotten. No other component has a place on the ctx.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

from hybrid_gateway.binding.components import Provider
from hybrid_gateway.binding.signature import Parameter, Signature
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.request.request_parts import AFTER_RESPONSE

_FOR_EVER = AFTER_RESPONSE + 1  # what nothing closes, no moment makes stale


class Shared(NamedTuple):
    """A component that several ask for."""

    moment: int  # when it is left
    is_closed: bool  # then: it, or something that it needs, cleans up

    @property
    def until(self) -> int:
        """Up to which moment its value may be handed out."""
        return self.moment if self.is_closed else _FOR_EVER


SharedMaker = Callable[
    [Provider, Parameter, tuple[str, ...], Mapping[type, str]], tuple[Callable[..., Awaitable[object]], bool]
]
"""Returns the function of a call and of what is given that makes one, and whether that has to wait on a loop."""


class _Failed(NamedTuple):
    error: Exception


def share(ctx: RequestContext, key: object, until: int, make: Callable[[], object]) -> object:
    """Make a component and note it."""
    try:
        value = make()
    except Exception as error:
        _note(ctx, key, _FOR_EVER, _Failed(error))
        raise
    _note(ctx, key, until, value)
    return value


async def share_async(ctx: RequestContext, key: object, until: int, make: Callable[[], Awaitable[object]]) -> object:
    """Make an asynchronous component and note it."""
    try:
        value = await make()
    except Exception as error:
        _note(ctx, key, _FOR_EVER, _Failed(error))
        raise
    _note(ctx, key, until, value)
    return value


def _note(ctx: RequestContext, key: object, until: int, value: object) -> None:
    if ctx.shared is None:
        ctx.shared = {}
    ctx.shared[key] = until, value


async def ask(ctx: RequestContext, key: object, make: Callable[..., Awaitable[object]], *given: object) -> object:
    """Return the component of the request, made now if it has not been; raise the error of one that has failed."""
    found = None if ctx.shared is None else ctx.shared.get(key)
    if found is None:
        return await make(ctx, *given)
    if type(found[1]) is _Failed:
        raise found[1].error
    return found[1]


# --- who shares what, found out at start-up --------------------------------------------------------------------------


def sees_parameter(provider: Provider) -> bool:
    """Return whether a provider is told which parameter it fills, so that it makes one value for each."""
    return any(inner.type is inspect.Parameter for inner in provider.signature.parameters)


def key_of(provider: Provider, parameter: Parameter) -> object:
    """Return what the value of ``provider`` is known by within one request."""
    return (provider.key, parameter.name, parameter.type) if sees_parameter(provider) else provider.key


class Needs:
    """An account of the components that functions on the way out of a route ask for, and of all that those need.

    ``find`` tells which component fills a parameter; ``callers`` which signatures are called to fill another one.
    """

    def __init__(
        self, find: Callable[[Parameter], Provider | None], callers: Callable[[Parameter], Sequence[Signature]]
    ) -> None:
        self.names: set[str] = set()  # of all parameters
        self.types: list[object] = []  # of those that no component fills
        self._find = find
        self._callers = callers
        self._found: dict[tuple[object, bool], Shared] = {}

    @property
    def components(self) -> dict[object, Shared]:
        """Those that are made once per request, by the key of their providers."""
        return {key: shared for (key, use_cache), shared in self._found.items() if use_cache}

    def add(self, signature: Signature, moment: int) -> bool:
        """Add a function that is called before ``moment``; return whether anything that it needs cleans up."""
        self.names.update(parameter.name for parameter in signature.parameters)
        return max((self._add_parameter(parameter, moment) for parameter in signature.parameters), default=False)

    def _add_parameter(self, parameter: Parameter, moment: int) -> bool:
        provider = self._find(parameter)
        if provider is None:
            self.types.append(parameter.info.without_none)
            return max((self.add(signature, moment) for signature in self._callers(parameter)), default=False)
        if provider.lifetime == "app":
            return False
        key = key_of(provider, parameter), provider.use_cache
        known = self._found.get(key)
        if known is not None and known.moment >= moment:
            return known.is_closed
        self._found[key] = Shared(moment, False)  # where a cycle ends; the plan tells of it
        is_closed = self.add(provider.signature, moment) or provider.cleans_up
        self._found[key] = Shared(moment, is_closed)
        return is_closed
