"""``get_queryset(self)`` of a view → ``get_queryset(self, user: User)`` of a ``ModelViewSet``.

How this works: what the method asks of the request becomes parameters: ``self.request.user`` the user,
``self.kwargs["x"]`` a part of the path, the rest Django's request. A method that asks for anything else of the view
(``self.action``, a serializer) is :class:`UnmovedError`.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import textwrap
from typing import Any, TypeAlias

from rest_framework.generics import GenericAPIView

from hybrid_gateway.migration.drf.access import user_class
from hybrid_gateway.migration.drf.module_parts import Parts
from hybrid_gateway.migration.drf.serializer_fields import UnmovedError
from hybrid_gateway.migration.form import FunctionForm
from hybrid_gateway.migration.source_place import place_of

ViewClass: TypeAlias = Any
"""A view of REST framework; the package has no types."""


def queryset_method(parts: Parts, view: ViewClass, model: type, *, needs_user: bool) -> FunctionForm | None:
    """Return the method that chooses the rows of a view, or ``None`` where they are those of ``queryset``."""
    if view.get_queryset is GenericAPIView.get_queryset:
        return None
    function, place = view.get_queryset, place_of(view, "get_queryset")
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    except (OSError, TypeError, SyntaxError):
        raise UnmovedError("get_queryset has no source.", place) from None
    if not isinstance(tree, ast.FunctionDef) or any(_name(entry) != "override" for entry in tree.decorator_list):
        raise UnmovedError("get_queryset is decorated.", place)
    rewriter = _Rewriter(parts, view, function, place, needs_user=needs_user)
    body = tree.body[1:] if ast.get_docstring(tree) is not None else tree.body
    made = [rewriter.visit(statement) for statement in body if not _is_for_schemas(statement)]
    lines = [line for statement in made for line in ast.unparse(ast.fix_missing_locations(statement)).split("\n")]
    rows = f"{parts.names.use('django.db.models', 'QuerySet')}[{parts.names.use(model.__module__, model.__name__)}]"
    lines = [line if '"' in line or "\\" in line else line.replace("'", '"') for line in lines]
    return FunctionForm("get_queryset", ["self", *rewriter.parameters], rows, lines)


def _name(decorator: ast.expr) -> str:
    return ast.unparse(decorator).rpartition(".")[2]


def _is_for_schemas(statement: ast.stmt) -> bool:
    """Return whether a statement asks for ``swagger_fake_view``, which generators of schemas set."""
    return isinstance(statement, ast.If) and "swagger_fake_view" in ast.unparse(statement.test) and not statement.orelse


class _Rewriter(ast.NodeTransformer):
    """Puts parameters in the place of what a method asks of its view."""

    def __init__(self, parts: Parts, view: ViewClass, function: Any, place: str, *, needs_user: bool) -> None:
        self._parts = parts
        self._view = view
        self._globals = function.__globals__
        self._locals = {*function.__code__.co_varnames, *function.__code__.co_cellvars}
        self._place = place
        self._needs_user = needs_user
        self._asked: dict[str, str] = {}

    @property
    def parameters(self) -> list[str]:
        """The parameters that are asked for."""
        return [f"{name}: {kind}" for name, kind in self._asked.items()]

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        text = ast.unparse(node)
        if text == "self.request.user" and self._needs_user:
            self._asked["user"] = user_class(self._parts)
            return ast.Name("user", ast.Load())
        if text in ("self.request.query_params", "self.request.GET"):
            return ast.Attribute(self._request(), "GET", ast.Load())
        if text == "self.request":
            return self._request()
        if text == "self.queryset":
            return node
        if text.startswith("self."):
            return self._of_class(node)
        return self.generic_visit(node)

    def _of_class(self, node: ast.Attribute) -> ast.AST:
        if not isinstance(node.value, ast.Name):
            return self.generic_visit(node)
        raise UnmovedError(f"get_queryset asks for self.{node.attr}.", self._place)

    def _request(self) -> ast.Name:
        self._asked["request"] = self._parts.names.use("django.http", "HttpRequest")
        return ast.Name("request", ast.Load())

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        if ast.unparse(node.value) == "self.kwargs" and isinstance(node.slice, ast.Constant):
            name = str(node.slice.value)
            self._asked[name] = "str"
            return ast.Name(name, ast.Load())
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if ast.unparse(node.func) == "super":
            owner = next(base for base in self._view.__mro__ if "get_queryset" in vars(base))
            rest = self._view.__mro__[self._view.__mro__.index(owner) + 1 :]
            if next(base for base in rest if "get_queryset" in vars(base)) is not GenericAPIView:
                raise UnmovedError("get_queryset is asked of several classes.", self._place)
            return ast.Call(ast.Name("super", ast.Load()), [], [])
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id == "self":
            raise UnmovedError("get_queryset hands the view on.", self._place)
        if node.id in self._locals or hasattr(builtins, node.id):
            return node
        if node.id not in self._globals:
            raise UnmovedError(f"get_queryset asks for {node.id}.", self._place)
        value = self._globals[node.id]
        module, name = getattr(value, "__module__", None), getattr(value, "__name__", None)
        if inspect.ismodule(value):
            parent, _, last = value.__name__.rpartition(".")
            return ast.Name(self._parts.names.use(parent, last) if parent else self._parts.names.use(last), ast.Load())
        if isinstance(module, str) and isinstance(name, str) and (inspect.isclass(value) or inspect.isfunction(value)):
            return ast.Name(self._parts.names.use(module, name), ast.Load())
        return ast.Name(self._parts.names.use(str(self._globals["__name__"]), node.id), ast.Load())
