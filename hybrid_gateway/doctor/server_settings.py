"""The settings file of gunicorn, read and not run: what it assigns, as far as that can be told.

How this works: gunicorn runs its file, which may do anything. Here its assignments are worked out from the source:
constants, arithmetic, texts, ``cpu_count()``, ``os.environ.get(name, default)`` and names assigned before; of an ``if``
the branch that is taken where the environment has nothing of its own. What is made in another way is left out.
"""

from __future__ import annotations

import ast
import operator
import os
from collections.abc import Callable, Mapping
from pathlib import Path

Value = str | int | float | bool | None


def gunicorn_settings(config: str, folder: Path, chdir: str, environment: Mapping[str, str]) -> dict[str, Value]:
    """Return what the file of ``--config`` assigns, or ``gunicorn.conf.py``; empty where there is none to be found."""
    name = config.removeprefix("file:").removeprefix("python:") or "gunicorn.conf.py"
    if config.startswith("python:"):
        name = name.replace(".", "/") + ".py"
    for start in (folder, folder / chdir, *folder.parents[:2]):
        path = start / name.lstrip("/")
        if not path.is_file() and config.startswith("/"):  # an absolute path is one of the image
            path = start / Path(name).name
        if path.is_file():
            return _assigned(path.read_text(encoding="utf-8", errors="replace"), environment)
    return {}


def _assigned(source: str, environment: Mapping[str, str]) -> dict[str, Value]:
    try:
        tree = ast.parse(source)
    except SyntaxError:  # gunicorn will say so
        return {}
    values: dict[str, Value] = {}
    waiting = list(tree.body)
    while waiting:
        statement = waiting.pop(0)
        match statement:
            case ast.If(test=test, body=body, orelse=otherwise):
                waiting = [*(body if _is_true(test, values, environment) else otherwise), *waiting]
                continue
            case ast.Assign(targets=[ast.Name(id=name)], value=expression):
                pass
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as expression):
                pass
            case _:
                continue
        try:
            values[name] = _value(expression, values, environment)
        except (ValueError, TypeError, ArithmeticError):
            values.pop(name, None)
    return values


def _is_true(node: ast.expr, names: Mapping[str, Value], environment: Mapping[str, str]) -> bool:
    try:
        match node:
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return not _is_true(operand, names, environment)
            case ast.Compare(left=left, ops=[ast.Eq() | ast.NotEq() as op], comparators=[right]):
                is_equal = _value(left, names, environment) == _value(right, names, environment)
                return is_equal is isinstance(op, ast.Eq)
            case _:
                return bool(_value(node, names, environment))
    except (ValueError, TypeError, ArithmeticError):
        return False


_OPERATORS: Mapping[type, Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Div: operator.truediv,
}


def _value(node: ast.expr, names: Mapping[str, Value], environment: Mapping[str, str]) -> Value:
    """Work out an expression; raise ``ValueError`` for one that is of another kind."""

    def of(inner: ast.expr) -> Value:
        return _value(inner, names, environment)

    match node:
        case ast.Constant(value=str() | int() | float() | None as value):
            return value
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            one, other = of(left), of(right)
            if isinstance(one, int | float) and isinstance(other, int | float):
                return _OPERATORS[type(op)](one, other)
            if isinstance(one, str) and isinstance(other, str) and isinstance(op, ast.Add):
                return one + other
        case ast.BoolOp(op=ast.Or(), values=parts):
            return next((value for value in map(of, parts) if value), None)
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            return ",".join(str(of(part)) for part in parts)
        case ast.JoinedStr(values=parts):
            return "".join(str(of(part)) for part in parts)
        case ast.FormattedValue(value=inner):
            return of(inner)
        case ast.Call(func=ast.Attribute(value=text, attr="format"), args=arguments):
            return str(of(text)).format(*map(of, arguments))
        case ast.Call(func=function, args=arguments):
            return _called(ast.unparse(function), [of(argument) for argument in arguments], environment)
        case _:
            pass
    raise ValueError(ast.dump(node))


def _called(function: str, arguments: list[Value], environment: Mapping[str, str]) -> Value:
    name = function.rpartition(".")[2]
    if name in ("cpu_count", "process_cpu_count"):
        return os.cpu_count() or 1
    if function in ("os.environ.get", "environ.get", "os.getenv", "getenv") and arguments:
        return environment.get(str(arguments[0]), arguments[1] if len(arguments) > 1 else None)
    numbers = [argument for argument in arguments if isinstance(argument, int | float)]
    if name in ("min", "max") and len(numbers) == len(arguments) > 0:
        return (min if name == "min" else max)(numbers)
    match name, arguments:
        case "int", [str() | int() | float() as value]:
            return int(value)
        case "str", [value]:
            return str(value)
        case _:
            pass
    raise ValueError(function)
