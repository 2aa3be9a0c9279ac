"""Hooks as a project writes them → what the plan of a route enters, and what runs on its way out."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from starlette.responses import Response

from hybrid_gateway.binding.compiled import compile_plan
from hybrid_gateway.binding.components import mode_of
from hybrid_gateway.binding.plan import Planner
from hybrid_gateway.binding.signature import read_signature
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.handlers.errors import ErrorAnswers
from hybrid_gateway.handlers.hooks import Hook, Hooks, answered
from hybrid_gateway.responses.encode import make_encoder
from hybrid_gateway.routing.declare import describe
from hybrid_gateway.routing.layers import Layers

__all__ = ["HookCompiler"]

_METHODS = ("on_request", "on_response", "on_error")


class HookCompiler:
    """Compiles hooks; ``planner(where, layers, given)`` makes an empty plan. What layers share is compiled once."""

    def __init__(self, planner: Callable[..., Planner]) -> None:
        self._planner = planner
        self._runs: dict[Any, tuple[Any, bool]] = {}

    def enter(self, layers: Layers, planner: Planner) -> list[Hook]:
        """Plan the way in of every hook; what runs on the way out of those that were entered is their own to say."""
        entered = []
        for entry in layers.event_hooks:
            kind = _check(entry)
            hook = self._event_hook(entry, kind, layers)
            entered.append(hook)
            planner.enter_hook(hook, entry, getattr(_instance(entry), "on_request", None))
        for function in layers.before_request:
            planner.ask_first(function, answered, make_encoder(inspect.Signature.empty, method="GET"))
        return entered

    def leave(self, layers: Layers, errors: ErrorAnswers) -> tuple[Hooks | None, bool]:
        """What concludes every answer of a route, and whether any of it is async."""
        always = tuple(self._function(function, layers) for function in layers.after_request)
        last = tuple(self._function(function, layers) for function in layers.after_response)
        if not (layers.event_hooks or always or last):
            return None, False
        return Hooks(errors, always=always, last=last), any(hook.awaits for hook in always)

    def _event_hook(self, entry: Any, kind: Any, layers: Layers) -> Hook:
        runs = {name: self._run(getattr(kind, name), entry, layers) for name in _METHODS[1:] if hasattr(kind, name)}
        awaits = any(awaits for _, awaits in runs.values())
        return Hook(awaits=awaits, **{name: run for name, (run, _) in runs.items()})

    def _function(self, function: Any, layers: Layers) -> Hook:
        run, awaits = self._run(function, None, layers)
        return Hook(on_response=run, awaits=awaits)

    def _run(self, function: Any, owner: Any, layers: Layers) -> tuple[Any, bool]:
        key = (function, owner, layers.components, layers.authentication)
        if key not in self._runs:
            where = f"the hook {describe(function)}"
            planner = self._planner(where, layers, {Exception: "error", Response: "response"})
            method = function if owner is None else getattr(_instance(owner), function.__name__)
            signature = read_signature(method, where)
            encode = make_encoder(inspect.Signature.empty, method="GET")
            planner.result(
                function,
                signature,
                mode_of(method),
                lambda value: None if value is None else encode(value),
                receiver="hook" if owner is not None else None,
            )
            run, _ = compile_plan(planner.plan, where, layers.max_body_size, ("hook", "response", "error"))
            self._runs[key] = run, planner.plan.awaits
        return self._runs[key]


def _check(entry: Any) -> Any:
    """The class of an event hook; raises :class:`ConfigurationError` for what is none."""
    kind = entry if inspect.isclass(entry) else type(entry)
    if not any(hasattr(kind, name) for name in _METHODS):
        raise ConfigurationError(
            f"{entry!r} is no event hook: it has none of {', '.join(_METHODS)}. Functions are before_request=, "
            "after_request= and after_response=."
        )
    return kind


def _instance(entry: Any) -> Any:
    if not inspect.isclass(entry):
        return entry
    try:
        return entry()
    except TypeError as error:
        raise ConfigurationError(
            f"The event hook {entry.__qualname__} is made without arguments, once per request: {error}"
        ) from error
