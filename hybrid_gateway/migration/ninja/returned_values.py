"""The values that a function is seen to return: their statuses, and whether they are rows of a model."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from http import HTTPStatus

from django.db.models import Model
from django.shortcuts import aget_list_or_404, aget_object_or_404, get_list_or_404, get_object_or_404
from msgspec import Struct
from ninja.responses import Status

from hybrid_gateway.migration.ninja.moved_functions import FunctionNode, FunctionSource
from hybrid_gateway.migration.ninja.ninja_schemas import NotPlain


class ReturnedValue(Struct, frozen=True):
    """A value that stands behind a ``return``; ``shown`` is what of it is sent, with ``status``."""

    value: ast.expr
    shown: ast.expr
    status: int

    @property
    def succeeds(self) -> bool:
        """Return whether it is no error."""
        return self.status < 400


def returned_values(source: FunctionSource, usual: int) -> list[ReturnedValue]:
    """Return what a function returns, where one status is ``usual``; raises :class:`NotPlain` for a computed one."""
    found = []
    for value in _returned(source.node):
        status, shown = None, value
        if isinstance(value, ast.Tuple) and len(value.elts) == 2:
            status = _number(source, value.elts[0])
            shown = value if status is None else value.elts[1]
        elif isinstance(value, ast.Call) and len(value.args) == 2 and _means(source, value.func, Status):
            status, shown = _number(source, value.args[0]), value.args[1]
            if status is None:
                raise NotPlain("its status is computed")
        found.append(ReturnedValue(value, shown, usual if status is None else status))
    return found


def _number(source: FunctionSource, node: ast.expr) -> int | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    if isinstance(node, ast.Attribute) and _means(source, node.value, HTTPStatus):
        return int(HTTPStatus[node.attr])
    return None


def _means(source: FunctionSource, node: ast.expr, value: object) -> bool:
    return isinstance(node, ast.Name) and source.function.__globals__.get(node.id) is value


def _returned(function: FunctionNode) -> Iterator[ast.expr]:
    """Yield the values that a function returns, not those that functions inside of it do."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            continue
        if isinstance(node, ast.Return):
            yield node.value or ast.Constant(None, lineno=node.lineno, col_offset=node.col_offset)
        else:
            waiting += ast.iter_child_nodes(node)


# --- rows ------------------------------------------------------------------------------------------------------------


def is_rows(source: FunctionSource, value: ast.expr, asked: frozenset[str] = frozenset()) -> bool:
    """Return whether a value is seen to be a row, or rows, and never a pair of a status and a value.

    ``asked`` are the variables on the way to it: what is made of itself (``rows = rows.filter()``) is what it was.
    """
    match value:
        case ast.IfExp(body=body, orelse=other):
            return is_rows(source, body, asked) and is_rows(source, other, asked)
        case ast.Await(value=inner) | ast.Subscript(value=inner):
            return is_rows(source, inner, asked)
        case ast.Name(id=name):
            return _is_rows_variable(source, name, asked)
        case ast.Call(func=ast.Name(), args=[first, *_]) if _global(source, value.func) in _GETTERS:
            return _is_model(source, first) or is_rows(source, first, asked)
        case ast.Call(func=ast.Attribute(attr="filter"), args=[inner]) if is_rows(source, inner, asked):
            return True  # of a schema of filters
        case ast.Call(func=ast.Attribute(value=inner, attr=word)) if word not in _NO_ROWS:
            return is_rows(source, inner, asked)
        case ast.Attribute(value=inner):
            return _is_model(source, inner)  # its manager
    return False


def _is_rows_variable(source: FunctionSource, name: str, asked: frozenset[str]) -> bool:
    if name in asked:
        return True
    given = [one for one in ast.walk(source.node) if isinstance(one, ast.Name) and one.id == name]
    stored = [one for one in given if isinstance(one.ctx, ast.Store)]
    assigned = [
        node.value
        for node in ast.walk(source.node)
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr) and node.value is not None
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name) and target.id == name
    ]
    is_all = len(assigned) == len(stored) > 0
    return is_all and all(is_rows(source, one, asked | {name}) for one in assigned)


def _is_model(source: FunctionSource, node: ast.expr) -> bool:
    found = _global(source, node)
    return isinstance(found, type) and issubclass(found, Model)


def _global(source: FunctionSource, node: ast.expr) -> object:
    return source.function.__globals__.get(node.id) if isinstance(node, ast.Name) else None


_GETTERS = (get_object_or_404, get_list_or_404, aget_object_or_404, aget_list_or_404)
_NO_ROWS = frozenset(
    (
        "aggregate",
        "count",
        "delete",
        "dict",
        "exists",
        "explain",
        "get_or_create",
        "in_bulk",
        "update",
        "update_or_create",
        "values",
        "values_list",
        "dates",
        "datetimes",
        "bulk_create",
        "bulk_update",
        "raw",
        "iterator",
        "aaggregate",
        "acount",
        "adelete",
        "aexists",
        "aexplain",
        "aget_or_create",
        "ain_bulk",
        "aupdate",
        "aupdate_or_create",
        "abulk_create",
        "abulk_update",
        "aiterator",
    )
)
"""Methods of managers and querysets that give something else."""


def parents_of(tree: ast.AST) -> dict[ast.AST, ast.AST]:
    """Return what each node of a tree stands in."""
    return {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
