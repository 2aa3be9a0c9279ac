"""Places of mistakes: the file and line of a handler or a class, of a setting, or of the code that was running."""

from __future__ import annotations

import ast
import contextlib
import functools
import inspect
import os
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, TracebackType
from typing import NamedTuple

_PACKAGE = f"{Path(__file__).resolve().parents[1]}{os.sep}"
_BETWEEN = (contextlib.__file__, functools.__file__)  # what stands between two frames of ours
_OTHERS = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


class Place(NamedTuple):
    """A line of a file; as a text it can be clicked in terminals and editors."""

    file: str
    line: int

    def __str__(self) -> str:
        path = Path(self.file)
        return f"{path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}:{self.line}"


def place_of(thing: object) -> Place | None:
    """Return where a function or a class is written, an instance by its class; ``None`` for what has no source."""
    function = inspect.unwrap(getattr(thing, "__func__", thing)) if callable(thing) else thing
    code = getattr(function, "__code__", None)
    if isinstance(code, CodeType):
        return None if code.co_filename.startswith("<") else Place(code.co_filename, code.co_firstlineno)
    kind = function if inspect.isclass(function) else type(function)
    try:
        return Place(inspect.getfile(kind), inspect.getsourcelines(kind)[1])
    except (OSError, TypeError):  # of C, of a shell, of exec()
        return None


def place_in(traceback: TracebackType | None) -> Place | None:
    """Return the line of the project that has called us: the innermost one of a traceback that is not of the package.

    ``None`` where Django, Python or a package of others stands there.
    """
    place = None
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if not file.startswith((_PACKAGE, "<")) and file not in _BETWEEN:
            place = None if file.startswith(_OTHERS) else Place(file, traceback.tb_lineno)
        traceback = traceback.tb_next
    return place


def place_of_setting(name: str, value: object, key: str | None = None) -> Place | None:
    """Return where a module of settings says ``name``, and inside of its dict ``key``, if that can be found.

    The modules are those in which the name is this very value: one may have it from another.
    """
    spaces = [getattr(module, "__dict__", {}) for module in [*sys.modules.values()]]
    files = [space.get("__file__") for space in spaces if name in space and space[name] is value]
    found = [place for file in files if file for place in _assignments(file, name, key)]
    return found[0] if found else None


def _assignments(file: str, name: str, key: str | None) -> Iterator[Place]:
    """Yield where a file assigns to ``name``: the last place first, those with ``key`` in them before all others."""
    try:
        tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return
    statements = [node for node in ast.walk(tree) if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign))]
    own = [node for node in reversed(statements) if name in _assigned_names(node)]
    keys = [entry for node in own for entry in ast.walk(node) if isinstance(entry, ast.Constant) and entry.value == key]
    yield from (Place(file, entry.lineno) for entry in keys if key is not None)
    yield from (Place(file, node.lineno) for node in own)


def _assigned_names(node: ast.Assign | ast.AnnAssign | ast.AugAssign) -> set[str]:
    """Return the names that a statement assigns to, with or without a key."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return {entry.id for target in targets for entry in ast.walk(target) if isinstance(entry, ast.Name)}
