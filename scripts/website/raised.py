"""Which exceptions a function raises by itself, or by functions of its module and methods of its class.

How this works: the source is read, not run, and names are followed inside one module only. So what other modules raise
is not seen, and a docstring says it where it matters.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from types import FunctionType

_DEPTH = 4  # calls that are followed


@cache
def functions_of(module: str) -> Mapping[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    """Return the functions of a module, methods as ``Class.method``."""
    found: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = {}
    for node in ast.parse(inspect.getsource(sys.modules[module])).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found[node.name] = node
        elif isinstance(node, ast.ClassDef):
            for method in node.body:
                if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef):
                    found[f"{node.name}.{method.name}"] = method
    return found


def raised_by(function: FunctionType) -> list[type[BaseException]]:
    """Return the classes of the exceptions, in the order of their names."""
    found: set[type[BaseException]] = set()
    seen: set[str] = set()
    names = [function.__qualname__]
    for _ in range(_DEPTH):
        nodes = [functions_of(function.__module__).get(name) for name in names]
        seen.update(names)
        calls = set()
        for name, node in zip(names, nodes, strict=True):
            for part in ast.walk(node) if node else ():
                match part:
                    case ast.Raise(exc=ast.Call(func=ast.Name(raised)) | ast.Name(raised)):
                        found.update(exceptions_named(function, raised))
                    case ast.Call(func=ast.Name(called)):
                        calls.add(called)
                    case ast.Call(func=ast.Attribute(value=ast.Name("self" | "cls"), attr=called)):
                        calls.add(f"{name.partition('.')[0]}.{called}")
        names = sorted(calls - seen)
    return sorted(found, key=lambda each: each.__name__)


def exceptions_named(function: FunctionType, name: str) -> Iterator[type[BaseException]]:
    """Yield what a name is in the module of a function, if it is an exception."""
    value = vars(sys.modules[function.__module__]).get(name, getattr(sys.modules["builtins"], name, None))
    if inspect.isclass(value) and issubclass(value, Exception):
        yield value
