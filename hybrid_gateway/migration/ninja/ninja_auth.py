"""The authentication of an operation, in our words."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from typing import Any

from hybrid_gateway.migration.form import FieldForm, Move, snake
from hybrid_gateway.migration.ninja.annotation_text import quoted


class AuthWriter:
    """Writes each combination of ``auth=`` once, as a constant of the module."""

    def __init__(self, move: Move) -> None:
        self.move = move
        self._known: dict[tuple[int, ...], str] = {}

    def constant(self, callbacks: Sequence[Any]) -> str | None:
        """Return the name of the scheme for these callables, or None where one cannot be written."""
        key = tuple(map(id, callbacks))
        if key not in self._known:
            written = [object_text(callback, self.move) for callback in callbacks]
            if None in written:
                return None
            scheme = self.move.names.use("hybrid_gateway.contrib.ninja", "NinjaAuthentication")
            text = f"{scheme}({', '.join(filter(None, written))})"
            same = next((one.name for one in self.move.constants if one.default == text), None)
            self._known[key] = same or self._define(callbacks, text)
        return self._known[key]

    def _define(self, callbacks: Sequence[Any], text: str) -> str:
        first = callbacks[0]
        name = getattr(first, "__name__", type(first).__name__)
        constant = self.move.names.define(snake(name), hint="auth_")
        self.move.constants.append(FieldForm(constant, default=text))
        return constant


def object_text(value: Any, move: Move) -> str | None:
    """Return an expression that gives ``value``: a name that a module has for it, or a call that makes one like it."""
    names = move.names
    if inspect.isroutine(value) or isinstance(value, type):
        return None if "<locals>" in value.__qualname__ else names.use_object(value)
    kind = type(value)
    call = _call_text(value)
    if call is not None:
        return f"{names.use_object(kind)}({call})"
    for module_name, module in list(sys.modules.items()):
        for name, found in list(vars(module).items()) if module else ():
            if found is value and not name.startswith("_"):
                return names.use(module_name, name)
    return None


def _call_text(value: Any) -> str | None:
    """Return the arguments that make an object with the same attributes, or None."""
    kind, attributes = type(value), getattr(value, "__dict__", {})
    parameters = inspect.signature(kind).parameters.values()
    named = {
        one.name: attributes[one.name]
        for one in parameters
        if one.name in attributes and one.default != attributes[one.name]
    }
    if not all(isinstance(one, str | int | float | bool | None) for one in named.values()):
        return None
    try:
        made = kind(**named)
    except Exception:  # a class that takes more than its attributes say
        return None
    is_same = getattr(made, "__dict__", {}) == attributes
    return ", ".join(f"{name}={quoted(one)}" for name, one in named.items()) if is_same else None
