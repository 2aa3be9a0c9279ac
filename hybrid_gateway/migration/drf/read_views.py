"""Views that read → ``ModelViewSet`` classes, or handlers around what REST framework goes on doing.

How this works: every endpoint that lists rows or shows one is tried as a route of its own. Whatever cannot be said
anew raises :class:`UnmovedError` somewhere below, with the reason and its line. Then the stock method is bridged, which
asks the old view for its rows and its serializer; and what is neither stock nor of columns is left to Django.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from typing import Any, TypeAlias

from django.db.models import Model, QuerySet
from msgspec import Struct, field
from rest_framework import serializers

from hybrid_gateway.migration.drf.access import Access, need_no_row_permissions
from hybrid_gateway.migration.drf.endpoints import Endpoint
from hybrid_gateway.migration.drf.list_options import Lists, filter_attributes
from hybrid_gateway.migration.drf.module_parts import Parts, quoted
from hybrid_gateway.migration.drf.queryset_methods import queryset_method
from hybrid_gateway.migration.drf.serializer_fields import UnmovedError
from hybrid_gateway.migration.drf.serializers import SerializerReader
from hybrid_gateway.migration.drf.stock import depends_on_request, need_stock
from hybrid_gateway.migration.form import Decision, Difference, FieldForm, FunctionForm, camel
from hybrid_gateway.migration.source_place import place_of

View: TypeAlias = Any
"""A view of REST framework, or an instance of one; the package has no types."""


class ReadRoute(Struct):
    """A list or a row, as a ``ModelViewSet`` shows it."""

    model: type[Model]
    struct: str
    guards: list[str]
    needs: list[str]
    attributes: list[FieldForm]
    """Of the class: filters and pages of a list."""
    queryset: str
    """The text of the rows, empty for all of them."""
    method: FunctionForm | None
    """``get_queryset``."""
    throttles: list[str]
    differences: list[Difference] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)


class ReadViews:
    """Reads the endpoints that list rows or show one."""

    def __init__(self, parts: Parts, structs: SerializerReader, lists: Lists, access: Access) -> None:
        self._parts = parts
        self._structs = structs
        self._lists = lists
        self._access = access

    def read(self, endpoint: Endpoint, kind: str) -> ReadRoute:
        """Return an endpoint as a route; raise :class:`UnmovedError` where it is more than that."""
        view, cls = endpoint.instance(), endpoint.view
        need_stock(cls, kind, "filter_queryset", "get_serializer")
        need_stock(cls, *(("paginate_queryset", "get_paginated_response") if kind == "list" else ("get_object",)))
        serializer, model = self.serializer(view)
        shown = self._structs.shown(serializer, camel(model.__name__))
        differences, decisions = list(shown.differences), list[Decision]()
        guards, needs_user = self._access.guards(view, endpoint.method)
        needs = list(self._access.needs)
        method = queryset_method(self._parts, cls, model, needs_user=needs_user)
        attributes: list[FieldForm] = []
        if kind == "list":
            attributes = self._list_attributes(view, model, serializer, differences)
        else:
            need_no_row_permissions(view)
            if view.lookup_field not in ("pk", "id"):
                attributes = [FieldForm("lookup_field", default=quoted(view.lookup_field))]
        if "{" in endpoint.path.rsplit("/{", 1)[0 if kind == "retrieve" else -1] and kind == "list" and method is None:
            raise UnmovedError("The path has a part that get_queryset does not ask for.", place_of(cls))
        queryset = "" if method is not None and not _asks_super(method) else self._queryset(cls, model)
        throttles = self._access.throttles(view, differences, decisions)
        differences += _other_formats(view)
        return ReadRoute(
            model, shown.name, guards, needs, attributes, queryset, method, throttles, differences, decisions
        )

    def serializer(self, view: View) -> tuple[View, type[Model]]:
        """Return the serializer of a view and its model."""
        cls = type(view)
        if depends_on_request(cls, "get_serializer_class"):
            raise UnmovedError("get_serializer_class asks who calls.", place_of(cls, "get_serializer_class"))
        try:
            found = view.get_serializer_class()
            serializer = found(context={"request": view.request, "view": view, "format": None})
            fields = serializer.fields
        except Exception as error:
            raise UnmovedError(f"The serializer of {cls.__name__} cannot be made: {error!r}.", place_of(cls)) from error
        meta = getattr(found, "Meta", None)
        if getattr(meta, "list_serializer_class", None) is not None:
            raise UnmovedError(f"{found.__name__} has a list_serializer_class.", place_of(found))
        if not isinstance(serializer, serializers.ModelSerializer) or not fields:
            raise UnmovedError(f"{found.__name__} is no ModelSerializer.", place_of(found))
        return serializer, getattr(meta, "model")  # noqa: B009

    def _list_attributes(
        self, view: View, model: type[Model], serializer: View, differences: list[Difference]
    ) -> list[FieldForm]:
        if depends_on_request(type(view), "get_queryset") and view.queryset is None:
            view.queryset = model._default_manager.all()
        view.get_queryset = lambda: model._default_manager.all()
        found: list[FieldForm] = []
        pages = self._lists.pagination(view, differences)
        if pages is not None:
            found.append(FieldForm("pagination", default=pages))
        return [*found, *filter_attributes(self._parts, view, model, serializer)]

    def _queryset(self, cls: View, model: type[Model]) -> str:
        """Return the rows of a class as text: empty where they are all, the expression of its source, or its own."""
        rows = cls.queryset
        if not isinstance(rows, QuerySet):
            raise UnmovedError(f"{cls.__name__} has no queryset.", place_of(cls))
        plain = rows.select_related(None).prefetch_related(None)
        if plain.model is model and str(plain.query) == str(model._default_manager.all().query):
            return ""
        text = expression_of(self._parts, cls, "queryset")
        if text is None:
            raise UnmovedError(f"{cls.__name__}.queryset has no source.", place_of(cls))
        return text


def expression_of(parts: Parts, cls: View, name: str) -> str | None:
    """Return the expression that a class body assigns to a name, by names of the module."""
    owner: View = next((base for base in cls.__mro__ if name in vars(base)), None)
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
    except (OSError, TypeError, SyntaxError):
        return None
    values = [
        node.value
        for node in getattr(tree, "body", [])
        if isinstance(node, ast.Assign) and [getattr(target, "id", "") for target in node.targets] == [name]
    ]
    namespace = vars(inspect.getmodule(owner))
    inner = {node.arg for value in values for node in ast.walk(value) if isinstance(node, ast.arg)}
    for node in (node for value in values for node in ast.walk(value)):
        if isinstance(node, ast.Name) and node.id not in inner and node.id in namespace:
            found = namespace[node.id]
            module = getattr(found, "__module__", None) or getattr(inspect.getmodule(owner), "__name__", "")
            if inspect.ismodule(found):
                parent, _, last = found.__name__.rpartition(".")
                node.id = parts.names.use(parent, last) if parent else parts.names.use(last)
            elif inspect.isclass(found) or inspect.isfunction(found):
                node.id = parts.names.use(str(module), found.__name__)
            else:
                return None
    text = ast.unparse(values[-1]) if values else None
    return text if text is None or '"' in text else text.replace("'", '"')


def _asks_super(method: FunctionForm) -> bool:
    return bool(re.search(r"super\(\)|self\.queryset", "\n".join(method.body)))


def _other_formats(view: View) -> list[Difference]:
    known = ("JSONRenderer", "BrowsableAPIRenderer")
    others = [cls.__name__ for cls in view.renderer_classes if cls.__name__ not in known]
    return [Difference("headers.Content-Type", f"JSON alone, without {name}") for name in others]
