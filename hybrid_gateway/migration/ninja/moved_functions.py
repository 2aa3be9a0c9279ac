"""The body of a function as text, with the imports that it needs, for another module.

How this works: the module of the function is parsed once. A name that the body uses and the module imports is imported
in the same way; one that the module defines is imported from there, or moved as well. Where the new module calls
a thing by another name, the name is replaced in the text, and nothing else is: comments, strings and layout stay.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

from msgspec import Struct

from hybrid_gateway.migration.form import Names

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


class NotMovable(Exception):
    """A function whose text cannot be taken over."""


class Edit(Struct, frozen=True):
    """A piece of a file that is replaced: offsets in bytes, as the parser counts them."""

    start: int
    end: int
    text: str


class SourceFile:
    """A module of the project as text and as a tree."""

    def __init__(self, file: Path, module: str) -> None:
        self.file, self.module = file, module
        self.data = file.read_bytes()
        self.tree = ast.parse(self.data)
        self._starts = [0]
        for line in self.data.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))
        self.imports = {name: target for node in ast.walk(self.tree) for name, target in self._imported(node)}

    def offset(self, line: int, column: int) -> int:
        """Return where a line and a column of the parser's is."""
        return self._starts[line - 1] + column

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        """Return where a node begins and ends."""
        assert node.end_lineno is not None and node.end_col_offset is not None
        return self.offset(node.lineno, node.col_offset), self.offset(node.end_lineno, node.end_col_offset)

    def text(self, start: int, end: int, edits: list[Edit]) -> str:
        """Return a piece of the file, edited."""
        pieces, position = [], start
        for edit in sorted(set(edits), key=lambda edit: edit.start):
            if position <= edit.start and edit.end <= end:
                pieces += [self.data[position : edit.start], edit.text.encode()]
                position = edit.end
        return b"".join([*pieces, self.data[position:end]]).decode()

    def _imported(self, node: ast.AST) -> Iterator[tuple[str, tuple[str, str]]]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.asname or alias.name.split(".")[0]
                yield name, (alias.name if alias.asname else name, "")
        elif isinstance(node, ast.ImportFrom):
            package = self.module.split(".")
            is_package = self.file.name == "__init__.py"
            base = package[: len(package) - node.level + is_package] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield alias.asname or alias.name, (module, alias.name)


@cache
def _source_file(file: str, module: str) -> SourceFile:
    return SourceFile(Path(file), module)


class Origins:
    """The modules that the project imports things from; the new module imports them from there as well."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[str, str]] = {}

    def learn(self, source: FunctionSource) -> None:
        """Note what the module of a function imports."""
        for name, (module, original) in source.file.imports.items():
            if original and name in source.function.__globals__:
                self._known.setdefault(id(source.function.__globals__[name]), (module, original))

    def use(self, value: Any, names: Names) -> str | None:
        """Return how a thing is written that some module imports, or None."""
        found = self._known.get(id(value))
        return None if found is None or isinstance(value, _PLAIN) else names.use(*found)


_PLAIN = (str, int, float, bool, tuple, type(None))
"""Values of which two names may have one object."""


class FunctionSource:
    """A function of the project's, with its text."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = inspect.unwrap(function)
        if not isinstance(self.function, FunctionType):
            raise NotMovable(f"{self.function!r} is no function with a text of its own")
        code = self.function.__code__
        self.file = _source_file(code.co_filename, self.function.__module__)
        found = next((node for node in ast.walk(self.file.tree) if _is_function_at(node, code)), None)
        if not isinstance(found, FunctionNode):
            raise NotMovable(f"{self.function.__qualname__} is not found in {code.co_filename}")
        if "<locals>" in self.function.__qualname__ or code.co_freevars:
            raise NotMovable(f"{self.function.__qualname__} is defined inside of another function")
        self.node = found

    @property
    def place(self) -> str:
        """Return ``shop/api.py:31``."""
        path = self.file.file
        shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
        return f"{shown}:{self.node.lineno}"

    def uses(self, name: str) -> bool:
        """Return whether the body uses a name."""
        return any(isinstance(node, ast.Name) and node.id == name for node in self._body_nodes())

    def _body_nodes(self) -> Iterator[ast.AST]:
        for statement in self.node.body:
            yield from ast.walk(statement)

    def body(self, edits: list[Edit]) -> str:
        """Return the lines of the body, comments before it included."""
        first = self.node.body[0]
        end = self.file.span(self.node.body[-1])[1]
        if first.lineno == self.node.lineno:  # def f(): return 1
            return "    " + self.file.text(self.file.span(first)[0], end, edits)
        line = first.lineno
        lines = self.file.data.splitlines()
        while lines[line - 2].strip().startswith(b"#"):
            line -= 1
        return self.file.text(self.file.offset(line, 0), end, edits)

    def decorator(self, node: ast.expr, edits: list[Edit]) -> str:
        """Return the text of a decorator."""
        return self.file.text(*self.file.span(node), edits)

    def imports(self, names: Names, nodes: list[ast.AST], moved: Callable[[str, Any], str | None]) -> list[Edit]:
        """Import what ``nodes`` use, and return what has to be called differently.

        ``moved`` may say what becomes of a thing that the module knows by a name.
        """
        local = set(self.function.__code__.co_varnames)
        edits = []
        for node in nodes:
            if isinstance(node, ast.Name) and node.id not in local and node.id in self.function.__globals__:
                value = self.function.__globals__[node.id]
                written = moved(node.id, value) or self._imported(node.id, names)
                if written != node.id:
                    edits.append(Edit(*self.file.span(node), written))
        return edits

    def body_imports(self, names: Names, moved: Callable[[str, Any], str | None]) -> list[Edit]:
        """Import what the body uses."""
        return self.imports(names, list(self._body_nodes()), moved)

    def _imported(self, name: str, names: Names) -> str:
        module, original = self.file.imports.get(name, (self.file.module, name))
        return names.use_as(module, original, name)


def _is_function_at(node: ast.AST, code: Any) -> bool:
    if not isinstance(node, FunctionNode) or node.name != code.co_name:
        return False
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return bool(first == code.co_firstlineno)
