"""``crud()``: the routes of a model in one call."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Unpack, cast

from django.db.models import Model

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.layer_options import LAYER_OPTIONS, LayerOptions
from hybrid_gateway.orm.introspection import is_model_struct, model_of
from hybrid_gateway.orm.lists.filters import FilterType
from hybrid_gateway.orm.querysets.querysets import OrderTerm, Source, is_queryable
from hybrid_gateway.orm.views.list_fields import FilterFields
from hybrid_gateway.orm.views.row_scope import StructClass
from hybrid_gateway.orm.views.viewsets import ModelViewSet
from hybrid_gateway.routing.declare import HANDLER_OPTIONS
from hybrid_gateway.spelling import reject_unknown_keywords
from hybrid_gateway.types import Handler


class CrudOptions(LayerOptions, total=False):
    """The options of :func:`crud` beside its Structs and rows: attributes of :class:`ModelViewSet`, and of a layer."""

    path: str | None
    """The path of the list; the plural name of the model by default."""
    name: str | None
    """What the names of the routes begin with; the name of the model by default."""
    lookup: str
    """The unique column that names a row in paths, ``"pk"`` by default."""
    given: Handler | None
    """A function that returns attributes of new rows which clients do not send; parameters injected."""
    filters: FilterType | None
    """A Struct of parameters that narrow the list."""
    search_fields: Sequence[str]
    """The columns that ``?search=`` looks in, as in Django REST framework."""
    filterset_fields: FilterFields
    """The columns that have a parameter each, as in django-filter."""
    ordering_fields: Sequence[str]
    """The columns that clients may order by with ``?ordering=``."""
    ordering: Sequence[OrderTerm] | str
    """The order of a list for whom asks for none."""
    version: str | None
    """The column for ``ETag`` and ``If-Match``: who writes over another's change gets 412."""
    write_guards: Sequence[object]
    """Guards of the routes that write, asked after ``guards``."""
    deletes: bool
    """Whether rows can be deleted, ``True`` by default."""
    trailing_slash: bool
    """Whether paths end with a slash, ``False`` by default."""


CRUD_OPTIONS = frozenset(CrudOptions.__annotations__) | LAYER_OPTIONS

_ATTRIBUTES = {"name": "basename", "lookup": "lookup_field"}
"""The attributes of a view set that have another name than the option."""


@reject_unknown_keywords(*CRUD_OPTIONS, elsewhere={"each handler": HANDLER_OPTIONS})
def crud(
    model: type[Model],
    *,
    out: StructClass,
    list_out: StructClass | None = None,
    create: StructClass | None = None,
    update: StructClass | None = None,
    replace: StructClass | None = None,
    queryset: Source | Handler | None = None,
    **options: Unpack[CrudOptions],
) -> type[ModelViewSet]:
    """Return the routes of a model in a line: ``crud(Product, out=ProductOut, create=ProductIn, update=ProductPatch)``.

    A controller to be listed among the routes, at ``/products`` unless ``path`` says otherwise: list, create, retrieve,
    replace (PUT, by ``replace`` or else ``create``), change (PATCH, by ``update``) and delete; see
    :class:`ModelViewSet` for the rest. The names of the routes begin with ``name`` (``product_list``). ``queryset`` is
    a queryset, a manager or a model, or a function that returns one, parameters injected.

    Raises :class:`ConfigurationError` where ``out`` is no ModelStruct of the model.
    """
    if not is_model_struct(out) or not issubclass(model, model_of(out)):
        raise ConfigurationError(f"crud({model.__name__}): out={out!r} must be a ModelStruct of it.", id="M020")
    namespace: dict[str, object] = {_ATTRIBUTES.get(name, name): value for name, value in options.items()}
    namespace |= {
        "__module__": out.__module__,
        "out": out,
        "list_out": list_out,
        "create_in": create,
        "update_in": update,
        "queryset": queryset if is_queryable(queryset) else model._default_manager,
        "basename": options.get("name") or model._meta.model_name,
    }
    if namespace.get("path") is None:
        namespace["path"] = f"/{str(model._meta.verbose_name_plural).replace(' ', '-').lower()}"
    if replace is not None:
        namespace["replace_in"] = replace
    if inspect.isfunction(given := options.get("given")):
        namespace["given"] = staticmethod(given)
    if not (queryset is None or is_queryable(queryset)):
        namespace["get_queryset"] = staticmethod(cast("Handler", queryset))
    return type(f"{model.__name__}ViewSet", (ModelViewSet,), namespace)
