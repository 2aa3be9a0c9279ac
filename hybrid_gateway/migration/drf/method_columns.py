"""Methods that look at one row, as functions of its columns.

How this works: ``def get_total(self, order): return order.price * order.amount`` needs nothing but two columns. Its
source is parsed; every chain of attributes that begins at the row and leads to a column becomes a parameter. A method
that does anything else with the row, or with ``self``, is none of these, and ``None`` is returned.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import textwrap
from collections.abc import Callable
from typing import TypeAlias

from django.core.exceptions import FieldDoesNotExist
from django.db.models import Field, FileField, Model
from msgspec import Struct

from hybrid_gateway.migration.form import Names

ModelField: TypeAlias = "Field[object, object]"


class ColumnMethod(Struct):
    """A function of columns: their paths, the parameter that stands for each, and the statements."""

    columns: dict[str, str]
    body: list[str]


def method_of_columns(
    function: Callable[..., object], model: type[Model], row: str, names: Names
) -> ColumnMethod | None:
    """Return a method whose parameter ``row`` is an instance of ``model`` as a function of columns."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    except (OSError, TypeError, SyntaxError):
        return None
    if not isinstance(tree, ast.FunctionDef):
        return None
    rewriter = _Rewriter(function, model, row, names)
    statements = tree.body[1:] if ast.get_docstring(tree) is not None else tree.body
    try:
        made = [rewriter.visit(statement) for statement in statements]
    except _NotOfColumnsError:
        return None
    if not rewriter.columns or not made:
        return None
    lines = [line for statement in made for line in ast.unparse(ast.fix_missing_locations(statement)).split("\n")]
    return ColumnMethod(rewriter.columns, [_double_quoted(line) for line in lines])


def column_at(model: type[Model], steps: list[str]) -> tuple[list[str], ModelField] | None:
    """Return the steps that lead from a model to a column, and the column; ``None`` where none is there."""
    taken: list[str] = []
    for step in steps:
        try:
            field = model._meta.pk if step == "pk" else model._meta.get_field(step)
        except FieldDoesNotExist:
            return None
        taken.append(step)
        if isinstance(field, Field) and field.is_relation and step == field.attname:
            return taken, field
        if not field.is_relation:
            return (taken, field) if isinstance(field, Field) else None
        if field.one_to_many or field.many_to_many or not isinstance(field.related_model, type):
            return None
        model = field.related_model
    return None


class _NotOfColumnsError(Exception):
    """A method that needs more than columns."""


class _Rewriter(ast.NodeTransformer):
    """Puts parameters in the place of columns; raises :class:`_NotOfColumnsError`."""

    def __init__(self, function: Callable[..., object], model: type[Model], row: str, names: Names) -> None:
        self.columns: dict[str, str] = {}
        self._globals: dict[str, object] = getattr(function, "__globals__", {})
        self._code = function.__code__ if inspect.isfunction(function) else None
        self._model = model
        self._row = row
        self._names = names

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        steps: list[str] = []
        inner: ast.expr = node
        while isinstance(inner, ast.Attribute):
            steps.insert(0, inner.attr)
            inner = inner.value
        if not isinstance(inner, ast.Name) or inner.id != self._row:
            if node.attr in ("objects", "_default_manager", "_base_manager"):
                raise _NotOfColumnsError  # a query of its own may give anything
            return self.generic_visit(node)
        found = column_at(self._model, steps)
        if found is None or isinstance(found[1], FileField):
            raise _NotOfColumnsError
        taken, _ = found
        path = "__".join(taken)
        clash = self._code is not None and "_".join(taken) in self._code.co_varnames
        name = self.columns.setdefault(path, "_".join(taken) + "_value" * clash)
        made: ast.expr = ast.Name(name, ast.Load())
        for step in steps[len(taken) :]:
            made = ast.Attribute(made, step, ast.Load())
        return made

    def visit_Name(self, node: ast.Name) -> ast.AST:
        local = self._code is None or node.id in self._code.co_varnames
        if node.id in (self._row, "self"):
            raise _NotOfColumnsError
        if local or hasattr(builtins, node.id):
            return node
        value = self._globals.get(node.id)
        module = getattr(value, "__module__", None)
        if inspect.ismodule(value):
            parent, _, last = value.__name__.rpartition(".")
            written = self._names.use(parent, last) if parent else self._names.use(last)
        elif isinstance(module, str) and hasattr(value, "__qualname__"):
            written = self._names.use(module, getattr(value, "__qualname__"))  # noqa: B009
        elif node.id in self._globals and isinstance(value, (str, int, float, tuple, list, dict, frozenset)):
            written = self._names.use(str(self._globals["__name__"]), node.id)
        else:
            raise _NotOfColumnsError
        if str(module or written).startswith("rest_framework"):
            raise _NotOfColumnsError
        return ast.Name(written, ast.Load())

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        raise _NotOfColumnsError

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        raise _NotOfColumnsError


def _double_quoted(line: str) -> str:
    """Return a line with the quotes that ruff puts, where that is safe."""
    return line if '"' in line or "\\" in line else line.replace("'", '"')
