"""Views that read → ``ModelViewSet`` classes, or handlers around what REST framework goes on doing.

How this works: every endpoint that lists rows or shows one is tried as a route of its own. Rows that code of the
project chooses (``get_queryset``, ``get_object``, filters by methods, permissions of single rows) are asked of that
code, without the machinery around it. Whatever cannot be said anew raises :class:`UnmovedError` somewhere below, with
the reason and its line. Then the stock method is bridged, which asks the old view for its rows and its serializer; and
what is neither stock nor of columns is left to Django.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from typing import Any, TypeAlias

from django.db.models import AutoField, Model, QuerySet
from msgspec import Struct, field
from rest_framework import serializers
from rest_framework.filters import OrderingFilter
from rest_framework.generics import GenericAPIView

from hybrid_gateway.migration.drf.access import Access, looks_at_rows
from hybrid_gateway.migration.drf.endpoints import Endpoint
from hybrid_gateway.migration.drf.list_options import Lists, read_filters
from hybrid_gateway.migration.drf.module_parts import Parts, quoted
from hybrid_gateway.migration.drf.queryset_methods import queryset_method
from hybrid_gateway.migration.drf.serializer_fields import UnmovedError
from hybrid_gateway.migration.drf.serializers import SerializerReader
from hybrid_gateway.migration.drf.stock import (
    depends_on_request,
    header_decorators,
    kind_of,
    need_stock,
    owner_beyond_delegation,
    page_timeout,
)
from hybrid_gateway.migration.form import Decision, Difference, FieldForm, FunctionForm, camel
from hybrid_gateway.migration.source_place import place_of
from hybrid_gateway.orm.querysets.querysets import is_total_order, order_terms, term_name

View: TypeAlias = Any
"""A view of REST framework, or an instance of one; the package has no types."""


class ReadRoute(Struct):
    """A list or a row, as a ``ModelViewSet`` shows it."""

    model: type[Model]
    struct: str
    guards: list[str]
    needs: list[str]
    attributes: list[FieldForm]
    """Of the class: filters and pages of a list, what caches are told."""
    queryset: str
    """The text of the rows, empty for all of them."""
    method: FunctionForm | None
    """``get_queryset``."""
    throttles: list[str]
    is_by_object: bool = False
    """Whether the view's own ``get_object()`` finds the row: the route is a function, not of a class."""
    asks_view: bool = False
    """Whether the view is asked for its rows, or its serializer for fields."""
    differences: list[Difference] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)


class _Rows(Struct):
    """The source of the rows of a view."""

    needs_view: bool
    """Whether the view itself has to be asked: by a method of its own, for its filters, or for its serializer."""
    backends: list[type] = field(default_factory=list)
    """The filters that are asked for theirs."""
    parameters: list[str] = field(default_factory=list)
    """The query parameters that those read."""


class ReadViews:
    """Reads the endpoints that list rows or show one."""

    def __init__(self, parts: Parts, structs: SerializerReader, lists: Lists, access: Access, *, bridges: bool) -> None:
        self._parts = parts
        self._structs = structs
        self._lists = lists
        self._access = access
        self._bridges = bridges

    def read(self, endpoint: Endpoint, kind: str) -> ReadRoute:
        """Return an endpoint as a route; raise :class:`UnmovedError` where it is more than that."""
        view, cls = endpoint.instance(), endpoint.view
        need_stock(cls, kind, "filter_queryset", "get_serializer")
        serializer, model = self.serializer(view)
        shown = self._structs.shown(serializer, camel(model.__name__))
        guards, needs_user = self._access.guards(view, endpoint.method)
        route = ReadRoute(model, shown.name, guards, [*self._access.needs, *shown.needs], [], "", None, [])
        route.differences += shown.differences
        rows = _Rows(needs_view=bool(shown.needs))
        if kind == "list":
            need_stock(cls, "paginate_queryset", "get_paginated_response")
            self._list_options(view, route, serializer, rows)
            self._choose_rows(endpoint, route, rows, needs_user=needs_user)
        else:
            route.is_by_object = looks_at_rows(view) or owner_beyond_delegation(cls, "get_object") is not GenericAPIView
            if not route.is_by_object:
                if view.lookup_field not in ("pk", "id"):
                    route.attributes.append(FieldForm("lookup_field", default=quoted(view.lookup_field)))
                self._choose_rows(endpoint, route, rows, needs_user=needs_user)
        route.asks_view = route.is_by_object or rows.needs_view
        if route.asks_view:
            if not self._bridges:
                raise UnmovedError("Its rows, or what is shown of them, are asked of the view.", place_of(cls))
            route.needs = list(dict.fromkeys([*route.needs, f"{cls.__module__}.{cls.__name__}"]))
        route.throttles = self._access.throttles(view, route.differences, route.decisions)
        others = {entry.__name__ for entry in view.renderer_classes} - {"JSONRenderer", "BrowsableAPIRenderer"}
        route.differences += [Difference("header content-type", f"JSON, without {name}") for name in sorted(others)]
        self._caches(cls, kind, route)
        return route

    def _choose_rows(self, endpoint: Endpoint, route: ReadRoute, rows: _Rows, *, needs_user: bool) -> None:
        """Put the rows of a view into its route: a queryset, a method of ours, or one that asks the view."""
        cls, model = endpoint.view, route.model
        if not rows.needs_view:
            try:
                route.method = queryset_method(self._parts, cls, model, needs_user=needs_user)
            except UnmovedError:
                rows.needs_view = True
        path = endpoint.path.rpartition("/{")[0] if kind_of(endpoint) != "list" else endpoint.path
        kinds = {"int": "int", "uuid": self._parts.names.use("uuid", "UUID")}
        found = re.findall(r"\{(\w+):?(\w*)\}", path)
        names = {name: f"{name}: {kinds.get(kind, 'str')}" for name, kind in found}
        if rows.needs_view:
            route.method = self._view_rows(endpoint, model, rows, names)
        elif names and route.method is None:
            raise UnmovedError("The path has a part that get_queryset does not ask for.", place_of(cls))
        if route.method is not None:
            route.method.parameters = [names.get(entry.split(":")[0], entry) for entry in route.method.parameters]
        if route.method is None or re.search(r"super\(\)|self\.queryset", "\n".join(route.method.body)):
            route.queryset = self._queryset(cls, model)

    def _view_rows(self, endpoint: Endpoint, model: type[Model], rows: _Rows, names: dict[str, str]) -> FunctionForm:
        """Return a ``get_queryset`` that asks the old view for its rows."""
        use, cls, bridge = self._parts.names.use, endpoint.view, "hybrid_gateway.contrib.drf_bridge"
        view = f"{use(bridge, 'view_of')}({use(cls.__module__, cls.__name__)}, request, {quoted(kind_of(endpoint))})"
        backends = "".join(f", {use(backend.__module__, backend.__name__)}" for backend in rows.backends)
        asked = [name for name in rows.parameters if name.isidentifier() and name not in ("request", *names)]
        form = FunctionForm(
            "get_queryset",
            ["self", f"request: {use('django.http', 'HttpRequest')}", *names.values()],
            f"{use('django.db.models', 'QuerySet')}[{use(model.__module__, model.__name__)}]",
            [f"return {use(bridge, 'rows_of')}({view}{backends})"],
        )
        form.parameters += [f"{name}: str | None = None" for name in asked]
        form.comments += (
            ["The filters read these parameters of the request; here they are documented."] if asked else []
        )
        return form

    def _caches(self, cls: View, kind: str, route: ReadRoute) -> None:
        """Say to caches what ``cache_page`` and its like around a view say, as far as a route can."""
        found = header_decorators(cls, "dispatch", kind)
        seconds = next((value for value in map(page_timeout, found) if value is not None), None)
        if seconds is not None:
            route.attributes.append(FieldForm("cache_control", default=quoted(f"max-age={seconds}")))
            anew = "Cache-Control alone; answers are made anew unless the route has a cache="
            route.differences += [Difference(f"header {name}", anew) for name in ("expires", "age")]
        if found:
            route.differences.append(Difference("header cache-control", "private, where the route knows its callers"))

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

    def _list_options(self, view: View, route: ReadRoute, serializer: View, rows: _Rows) -> None:
        model = route.model
        if depends_on_request(type(view), "get_queryset") and view.queryset is None:
            view.queryset = model._default_manager.all()
        view.get_queryset = lambda: model._default_manager.all()
        pages = self._lists.pagination(view, route.differences)
        if pages is not None:
            route.attributes.append(FieldForm("pagination", default=pages))
            route.differences += _ties(view, model)
        found = read_filters(self._parts, view, model, serializer)
        route.attributes += found.attributes
        rows.backends, rows.parameters = found.asked, found.parameters
        rows.needs_view |= bool(found.asked)

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


def _ties(view: View, model: type[Model]) -> list[Difference]:
    """Return what differs of pages whose order leaves rows equal: the key decides, and not the database."""
    rows = type(view).queryset
    terms = order_terms(rows) if isinstance(rows, QuerySet) else model._meta.ordering or ()
    ordering = getattr(view, "ordering", None)
    if ordering is not None and any(issubclass(backend, OrderingFilter) for backend in view.filter_backends):
        terms = (ordering,) if isinstance(ordering, str) else ordering
    if is_total_order(model, tuple(map(term_name, terms))):
        return []
    found = [Difference("order $.results[]", "rows that are equal in their order come by their keys")]
    if isinstance(model._meta.pk, AutoField):  # whose order is that in which rows came
        return found
    return [*found, Difference("value $.results[].*", "rows that are equal in their order may be of another page")]
