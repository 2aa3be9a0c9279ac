"""Functions and constants that a moved body uses, and that stand beside its operation: they move along."""

from __future__ import annotations

import ast
from collections.abc import Callable
from contextlib import suppress
from types import FunctionType
from typing import Any

from pydantic import BaseModel

from hybrid_gateway.migration.form import Move, TextForm
from hybrid_gateway.migration.ninja.moved_functions import FunctionSource, NotMovable

Moved = Callable[[str, Any], str | None]


class Helpers:
    """Moves functions and constants along, each once."""

    def __init__(self, target: Move) -> None:
        self.target = target
        self._names: dict[tuple[str, str], str | None] = {}

    def move(self, source: FunctionSource, name: str, value: Any, moved: Moved) -> str | None:
        """Return the name of a helper in the new module, or None for one that has to be imported."""
        key = (source.file.module, name)
        if key not in self._names:
            self._names[key] = None  # a function that calls itself through another one is imported
            if isinstance(value, FunctionType):
                self._names[key] = self._function(value, moved)
            elif isinstance(value, str | int | float | bool | tuple | list | dict | frozenset | set):
                self._names[key] = self._constant(source, name)
        return self._names[key]

    def _function(self, function: FunctionType, moved: Moved) -> str | None:
        """Move a plain function; one with a decorator may be more than its text says."""
        with suppress(NotMovable):
            helper = FunctionSource(function)
            if helper.function is not function or helper.node.decorator_list or self._is_ninjas(helper):
                return None
            names = self.target.names
            written = names.define(function.__name__)
            nodes: list[ast.AST] = list(ast.walk(helper.node))

            def renamed(name: str, value: Any) -> str | None:
                if name == function.__name__ and value is function:
                    return written
                found = moved(name, value)
                is_local = name not in helper.file.imports
                return self.move(helper, name, value, moved) if found is None and is_local else found

            edits = helper.imports(names, nodes, renamed)
            start, end = helper.file.span(helper.node)
            text = helper.file.text(start, end, edits)
            if written != function.__name__:
                text = text.replace(f"def {function.__name__}(", f"def {written}(", 1)
            self.target.views.append(TextForm(written, text))
            return written
        return None

    def _is_ninjas(self, helper: FunctionSource) -> bool:
        values = (
            helper.function.__globals__.get(node.id) for node in ast.walk(helper.node) if isinstance(node, ast.Name)
        )
        return any(
            (getattr(value, "__module__", "") or "").split(".")[0] == "ninja"
            or (isinstance(value, type) and issubclass(value, BaseModel))
            for value in values
        )

    def _constant(self, source: FunctionSource, name: str) -> str | None:
        """Move an assignment of a literal."""
        for node in source.file.tree.body:
            targets = (
                node.targets
                if isinstance(node, ast.Assign)
                else [node.target]
                if isinstance(node, ast.AnnAssign)
                else []
            )
            value = getattr(node, "value", None)
            if value is not None and [getattr(target, "id", "") for target in targets] == [name] and _is_literal(value):
                written = self.target.names.define(name)
                text = source.file.text(*source.file.span(value), [])
                self.target.views.insert(0, TextForm(written, f"{written} = {text}"))
                return written
        return None


def _is_literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except ValueError:
        return False
    return True
