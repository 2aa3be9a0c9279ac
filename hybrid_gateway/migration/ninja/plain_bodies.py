"""The body of an operation where its schemas are Structs: what of its text changes.

The rules: ``return 201, x`` is ``return x`` with a status of the route; ``return 404, {...}`` is a ``JSONResponse``;
``HttpError`` is ``HTTPException``; a schema that is called with keywords is the Struct of its name; ``data.dict()``
and ``data.model_dump()`` are ``msgspec.structs.asdict(data)``. Everything else is as it was. Where something of
django-ninja would be left, the body is not plain.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from django.db.models import Model
from django.http.response import HttpResponseBase
from ninja.constants import NOT_SET
from ninja.errors import HttpError
from ninja.operation import Operation
from ninja.responses import Status
from pydantic import BaseModel

from hybrid_gateway.migration.ninja.moved_functions import Edit, FunctionNode, FunctionSource
from hybrid_gateway.migration.ninja.ninja_schemas import NotPlain, SchemaWriter


class PlainBody:
    """The edits of a body, and what the route answers; making one raises :class:`NotPlain`."""

    def __init__(self, source: FunctionSource, operation: Operation, schemas: SchemaWriter, has_handlers: bool) -> None:
        self.source, self.operation, self.schemas, self.names = source, operation, schemas, schemas.names
        self.has_handlers = has_handlers
        self.edits: list[Edit] = []
        self.raises_http_errors = False
        self.status = self._returns()
        self.models = [value for value in self._globals() if isinstance(value, type) and issubclass(value, Model)]
        if operation.by_alias or operation.exclude_none or operation.exclude_unset or operation.exclude_defaults:
            raise NotPlain("it leaves values out, or shows aliases")

    def response(self, annotation: Any) -> str | None:
        """Return the annotation of what is answered, or None where the value says it."""
        if annotation is NOT_SET or annotation is Any:
            if not all(isinstance(value, _LITERALS) or self._is_response(value) for value in self._successes):
                raise NotPlain("nothing says what it answers")
            return None
        if annotation is None:
            return "None"
        text = self.schemas.output(annotation, self.models)
        if text in ("str", "str | None"):
            raise NotPlain("a text is text here, and JSON there")
        return text

    def _is_response(self, value: ast.expr) -> bool:
        """Return whether a value is a response of Django's, made on the spot."""
        if not isinstance(value, ast.Call) or not isinstance(value.func, ast.Name):
            return False
        kind = self.source.function.__globals__.get(value.func.id)
        return isinstance(kind, type) and issubclass(kind, HttpResponseBase)

    def moved(self, name: str, value: Any) -> str | None:
        """Return what becomes of a name of the body; raises :class:`NotPlain` for what is django-ninja's."""
        if isinstance(value, type) and issubclass(value, BaseModel):
            if not self._is_only_called(name):
                raise NotPlain(f"{name} is used as more than a class to make")
            return self.schemas.output(value, self.models)
        if value is HttpError:
            if self.has_handlers:
                raise NotPlain("HttpError has a handler of the API's")
            self.raises_http_errors = True
            return self.names.use("hybrid_gateway.exceptions", "HTTPException")
        if value is Status:
            return name  # which is gone with its call
        module = getattr(value, "__module__", "") or ""
        if module.split(".")[0] in ("ninja", "ninja_extra"):
            raise NotPlain(f"{name} is django-ninja's")
        return None

    def edit_body_parameter(self, name: str) -> None:
        """Rewrite what is called on a body; raises :class:`NotPlain` for what a Struct has not."""
        parents = _parents(self.source.node)
        for node in ast.walk(self.source.node):
            if not isinstance(node, ast.Name) or node.id != name or not isinstance(node.ctx, ast.Load):
                continue
            attribute = parents.get(node)
            if not isinstance(attribute, ast.Attribute):
                raise NotPlain(f"{name} is handed on")
            call = parents.get(attribute)
            if not (isinstance(call, ast.Call) and call.func is attribute):
                continue
            if attribute.attr not in ("dict", "model_dump") or call.args or call.keywords:
                raise NotPlain(f"{name}.{attribute.attr}(...) is a schema's")
            asdict = self.names.use("msgspec.structs", "asdict")
            self.edits.append(Edit(*self.source.file.span(call), f"{asdict}({name})"))

    def _globals(self) -> Iterator[Any]:
        for node in ast.walk(self.source.node):
            if isinstance(node, ast.Name) and node.id in self.source.function.__globals__:
                yield self.source.function.__globals__[node.id]

    def _is_only_called(self, name: str) -> bool:
        parents = _parents(self.source.node)
        uses = [node for body in self.source.node.body for node in ast.walk(body) if isinstance(node, ast.Name)]
        calls = [parents.get(node) for node in uses if node.id == name]
        return all(
            isinstance(call, ast.Call) and not call.args and getattr(call.func, "id", "") == name for call in calls
        )

    def _returns(self) -> int:
        """Edit what is returned with a status, and return the one of success."""
        self._successes: list[ast.expr] = []
        statuses = set()
        for value in _returned(self.source.node):
            status, shown = self._status(value)
            if status is None or status < 400:
                statuses.add(status or 200)
                self._successes.append(shown)
                if shown is not value:
                    self._replace(value, shown, "", "")
            elif isinstance(shown, ast.Dict) or (isinstance(shown, ast.Call) and shown.keywords and not shown.args):
                response = self.names.use("hybrid_gateway", "JSONResponse")
                self._replace(value, shown, f"{response}(", f", {status})")
            else:
                raise NotPlain(f"it returns {status} with a value that is not written there")
        if len(statuses) > 1:
            raise NotPlain("it succeeds with several statuses")
        return statuses.pop() if statuses else 200

    def _replace(self, outer: ast.expr, inner: ast.expr, before: str, after: str) -> None:
        (start, end), (inner_start, inner_end) = self.source.file.span(outer), self.source.file.span(inner)
        self.edits += [Edit(start, inner_start, before), Edit(inner_end, end, after)]

    def _status(self, value: ast.expr) -> tuple[int | None, ast.expr]:
        if isinstance(value, ast.Tuple) and len(value.elts) == 2:
            status = self._number(value.elts[0])
            return (None, value) if status is None else (status, value.elts[1])
        if isinstance(value, ast.Call) and len(value.args) == 2 and self._means(value.func, Status):
            status = self._number(value.args[0])
            if status is None:
                raise NotPlain("its status is computed")
            return status, value.args[1]
        return None, value

    def _means(self, node: ast.expr, value: object) -> bool:
        return isinstance(node, ast.Name) and self.source.function.__globals__.get(node.id) is value

    def _number(self, node: ast.expr) -> int | None:
        if isinstance(node, ast.Constant) and isinstance(node.value, int):
            return node.value
        if isinstance(node, ast.Attribute) and self._means(node.value, HTTPStatus):
            return int(HTTPStatus[node.attr])
        return None


_LITERALS = (ast.Dict, ast.List, ast.DictComp, ast.ListComp)


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


def _parents(tree: ast.AST) -> dict[ast.AST, ast.AST]:
    return {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
