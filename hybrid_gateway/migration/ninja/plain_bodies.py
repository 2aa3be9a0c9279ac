"""The body of an operation where its schemas are Structs: what of its text changes.

How this works: where all that is returned is seen to be rows or literals, ``return 201, x`` is ``return x`` with
a status of the route, and ``return 404, {...}`` is a ``JSONResponse``. Elsewhere the returns stay, and ``by_status``
converts what comes. ``HttpError`` is ``HTTPException``; a schema that is called with keywords is ``made(Struct, ...)``;
``data.dict()`` and ``data.model_dump()`` are ``msgspec.structs.asdict(data)``. Everything else is as it was. Where
something of django-ninja would be left, the body is not plain.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from django.db.models import Model
from django.http.response import HttpResponseBase
from ninja import Schema
from ninja.constants import NOT_SET
from ninja.errors import HttpError
from ninja.operation import Operation
from ninja.responses import Status
from pydantic import BaseModel

from hybrid_gateway.migration.ninja.moved_functions import Edit, FunctionSource
from hybrid_gateway.migration.ninja.ninja_schemas import NotPlain, SchemaWriter
from hybrid_gateway.migration.ninja.returned_values import ReturnedValue, is_rows, parents_of, returned_values


class PlainBody:
    """The edits of a body, and what the route answers; making one raises :class:`NotPlain`."""

    def __init__(self, source: FunctionSource, operation: Operation, schemas: SchemaWriter, has_handlers: bool) -> None:
        self.source, self.operation, self.schemas, self.names = source, operation, schemas, schemas.names
        self.has_handlers = has_handlers
        self.edits: list[Edit] = []
        self.raises_http_errors = False
        self.decorator = ""
        """What converts returns that do not tell what they are; empty where they do."""
        self._parents = parents_of(source.node)
        self._made: dict[str, str] = {}
        self.models = [value for value in self._globals() if isinstance(value, type) and issubclass(value, Model)]
        if operation.by_alias or operation.exclude_none or operation.exclude_unset or operation.exclude_defaults:
            raise NotPlain("it leaves values out, or shows aliases")
        statuses = list(operation.response_models)
        self._usual = statuses[0] if len(statuses) == 1 and isinstance(statuses[0], int) else 200
        self._returned = returned_values(source, self._usual)
        self.status = next((int(one.status) for one in self._returned if one.succeeds), self._usual)

    def response(self, annotation: Any, *, is_paged: bool) -> str | None:
        """Return the annotation of what is answered, or None where the value says it."""
        text = self._told(annotation)
        if text is not _UNTOLD:
            for one in self._returned:
                if not one.succeeds:
                    response = self.names.use("hybrid_gateway", "JSONResponse")
                    self._replace(one.value, one.shown, f"{response}(", f", {one.status})")
                elif one.shown is not one.value:
                    self._replace(one.value, one.shown, "", "")
            return text
        if is_paged:
            raise NotPlain("what its pages are made of is not seen to be rows")
        return self._by_status()

    # --- what is returned

    def _told(self, annotation: Any) -> str | None:
        """Return the annotation where every return tells what it is, else ``_UNTOLD``."""
        successes = [one for one in self._returned if one.succeeds]
        if len({one.status for one in successes}) > 1 or not all(map(self._is_told_error, self._returned)):
            return _UNTOLD
        shown = [one.shown for one in successes]
        if annotation is NOT_SET or annotation is Any:
            is_told = all(isinstance(value, _LITERALS) or self._is_response(value) for value in shown)
            return None if is_told else _UNTOLD
        if annotation is None:
            return "None" if all(isinstance(value, ast.Constant) for value in shown) else _UNTOLD
        if shown and all(is_rows(self.source, value) for value in shown):
            text = self.schemas.output(annotation, self.models)
            return _UNTOLD if text in ("str", "str | None") else text
        return _UNTOLD

    def _is_told_error(self, one: ReturnedValue) -> bool:
        """Return whether an error is a dict with just the fields of its schema."""
        if one.succeeds:
            return True
        model = self._model(one.status)
        fields = getattr(model, "model_fields", {})
        keys = [getattr(key, "value", None) for key in one.shown.keys] if isinstance(one.shown, ast.Dict) else []
        return bool(fields) and keys == list(fields)

    def _model(self, status: object) -> Any:
        """Return the annotation of a status, ``NOT_SET`` for none."""
        models = self.operation.response_models
        model = models.get(status, models.get(Ellipsis, NOT_SET))
        return model if model is None or model is NOT_SET else model.model_fields["response"].annotation

    def _replace(self, outer: ast.expr, inner: ast.expr, before: str, after: str) -> None:
        (start, end), (inner_start, inner_end) = self.source.file.span(outer), self.source.file.span(inner)
        self.edits += [Edit(start, inner_start, before), Edit(inner_end, end, after)]

    def _by_status(self) -> str | None:
        """Let the returns be, and convert what comes; return the annotation of success."""
        entries, text = [], None
        for status, model in self.operation.response_models.items():
            if not isinstance(status, int):
                raise NotPlain("one schema is for several statuses")
            annotation = model if model is None or model is NOT_SET else model.model_fields["response"].annotation
            shown = self.names.use("typing", "Any") if annotation is NOT_SET else self.schemas.plain(annotation)
            entries.append(f"{int(status)}: {shown}")
            text = shown if status == self._usual and annotation not in (NOT_SET, Any, None, str) else text
        if any(isinstance(one.value, ast.Call) and one.shown is not one.value for one in self._returned):
            raise NotPlain("its status is told by django-ninja's Status")
        self.status = self._usual
        options = [f"{{{', '.join(entries)}}}", *([] if self._usual == 200 else [f"status={self._usual}"])]
        self.decorator = f"@{self.names.use(_BY_STATUS, 'by_status')}({', '.join(options)})"
        return text

    def _is_response(self, value: ast.expr) -> bool:
        """Return whether a value is a response of Django's, made on the spot."""
        if not isinstance(value, ast.Call) or not isinstance(value.func, ast.Name):
            return False
        kind = self.source.function.__globals__.get(value.func.id)
        return isinstance(kind, type) and issubclass(kind, HttpResponseBase)

    # --- what is used

    def moved(self, name: str, value: Any) -> str | None:
        """Return what becomes of a name of the body; raises :class:`NotPlain` for what is django-ninja's."""
        if isinstance(value, type) and issubclass(value, BaseModel):
            return self._moved_schema(name, value)
        if value is HttpError:
            if self.has_handlers:
                raise NotPlain("HttpError has a handler of the API's")
            self.raises_http_errors = True
            return self.names.use("hybrid_gateway.exceptions", "HTTPException")
        if value is Status:
            return name  # which is gone with its call
        module = getattr(value, "__module__", "") or ""
        if module.split(".")[0] in ("ninja", "ninja_extra", "ninja_jwt"):
            raise NotPlain(f"{name} is django-ninja's")
        return None

    def _moved_schema(self, name: str, schema: type[BaseModel]) -> str | None:
        """Return the Struct for a schema that the body makes, or None for one of pydantic's that stays."""
        if name in self._made:
            return self._made[name]
        uses = [one for body in self.source.node.body for one in ast.walk(body) if getattr(one, "id", "") == name]
        calls = [one for one in map(self._parents.get, uses) if isinstance(one, ast.Call) and not one.args]
        taken = {one.name for one in self.operation.signature.params}
        asked = (one for one in ast.walk(self.source.node) if isinstance(one, ast.Attribute))
        is_dumped = any(one.attr in _OF_SCHEMAS and getattr(one.value, "id", "") not in taken for one in asked)
        if is_dumped or not all(self._is_call_or_annotation(one) for one in uses):
            if issubclass(schema, Schema):
                raise NotPlain(f"{name} is used as more than a class to make")
            return None
        written = self.schemas.plain(schema)
        for call in calls:
            if getattr(call.func, "id", "") == name:
                self._edit_call(call, written)
        self._made[name] = written
        return written

    def _is_call_or_annotation(self, node: ast.AST) -> bool:
        """Return whether a class is called with keywords, or only names the type of a local variable."""
        parent = self._parents.get(node)
        if isinstance(parent, ast.Call) and parent.func is node:
            return not parent.args
        while isinstance(parent, ast.Subscript | ast.BinOp | ast.Tuple):
            node, parent = parent, self._parents.get(parent)
        return isinstance(parent, ast.AnnAssign) and parent.annotation is node and isinstance(parent.target, ast.Name)

    def _edit_call(self, call: ast.Call, written: str) -> None:
        """Write ``made(GroupOut, name=...)`` for ``GroupOut(name=...)``, with its layout."""
        made, (start, name_end) = self.names.use(_BY_STATUS, "made"), self.source.file.span(call.func)
        if not call.keywords:
            self.edits.append(Edit(start, self.source.file.span(call)[1], f"{made}({written})"))
            return
        first = call.keywords[0]
        opened = self.source.file.offset(first.lineno, first.col_offset)
        blank = self.source.file.data[name_end:opened].decode().partition("(")[2]
        self.edits.append(Edit(start, opened, f"{made}({written},{blank or ' '}"))

    def edit_body_parameter(self, name: str) -> None:
        """Rewrite what is called on a body; raises :class:`NotPlain` for what a Struct has not."""
        for node in ast.walk(self.source.node):
            if not isinstance(node, ast.Name) or node.id != name or not isinstance(node.ctx, ast.Load):
                continue
            attribute = self._parents.get(node)
            if not isinstance(attribute, ast.Attribute):
                raise NotPlain(f"{name} is handed on")
            call = self._parents.get(attribute)
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


_BY_STATUS = "hybrid_gateway.contrib.by_status"
_LITERALS = (ast.Dict, ast.List, ast.DictComp, ast.ListComp)
_UNTOLD = "?"
_OF_SCHEMAS = frozenset(
    ("dict", "json", "model_dump", "model_dump_json", "model_copy", "model_fields_set", "model_fields")
)
