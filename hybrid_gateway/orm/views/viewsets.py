"""Routes by convention: ``ViewSet`` names them after what is done, ``ModelViewSet`` and ``crud()`` bring the code.

How this works: both are controllers. When a subclass is made, its methods of the six names become routes, and those
that a ``ModelViewSet`` does not write itself are made with the annotations of its Structs; so they are bound, checked
and documented as if somebody had written them out. Every one of them starts at ``queryset``: a row that is not in it
can neither be seen, nor written, nor be written into existence.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, TypeAlias, Unpack

import msgspec
from django.db.models import Manager, Model, QuerySet

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.layer_options import LAYER_OPTIONS, LayerOptions
from hybrid_gateway.orm.introspection import is_model_struct, model_of
from hybrid_gateway.orm.model_struct import ModelStruct
from hybrid_gateway.orm.querysets.querysets import Source
from hybrid_gateway.orm.views.model_actions import GENERATED, RowKey, generate_actions
from hybrid_gateway.routing.declare import HANDLER_OPTIONS, Controller, HandlerOptions, Route
from hybrid_gateway.spelling import reject_unknown_keywords
from hybrid_gateway.types import Handler

StructClass: TypeAlias = type[ModelStruct]

_ACTIONS: Mapping[str, tuple[str, bool]] = {
    "list": ("GET", False),
    "create": ("POST", False),
    "retrieve": ("GET", True),
    "update": ("PUT", True),
    "partial_update": ("PATCH", True),
    "destroy": ("DELETE", True),
}
"""The HTTP method of each action, and whether it is of one row."""

_ROUTE_NAMES = {"retrieve": "detail", "destroy": "delete"}


class _Action(msgspec.Struct, frozen=True):
    """A method with ``@action``."""

    function: Handler
    methods: tuple[str, ...]
    detail: bool
    path: str
    options: dict[str, Any]


@reject_unknown_keywords(*HANDLER_OPTIONS)
def action(
    *, detail: bool, methods: Iterable[str] = ("GET",), path: str | None = None, **options: Unpack[HandlerOptions]
) -> Callable[[Handler], Any]:
    """Add a route to a :class:`ViewSet`, below one row (``detail=True``: ``/{pk}/publish``) or below all of them."""

    def decorate(function: Handler) -> _Action:
        below = f"/{function.__name__}" if path is None else f"/{path.strip('/')}"
        upper = tuple(method.upper() for method in ((methods,) if isinstance(methods, str) else methods))
        return _Action(function, upper, detail, below, dict(options))

    return decorate


class ViewSet(Controller):
    """A controller whose methods ``list``, ``create``, ``retrieve``, ``update``, ``partial_update`` and ``destroy`` are
    routes, below ``path``; the last four take the parameter that ``lookup`` names. ``@action`` adds others.
    """

    lookup: ClassVar[str] = "pk"
    basename: ClassVar[str] = ""
    """What the names of the routes begin with; that of the class in lower case, without ``ViewSet``, by default."""

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__dict__.get("abstract", False):
            return
        for name in dir(cls):
            member = inspect.getattr_static(cls, name)
            if isinstance(member, _Action):
                where = f"{cls._row_path()}{member.path}" if member.detail else member.path
                cls._add(name, member.function, member.methods, where, member.options)
            elif name in _ACTIONS and inspect.isfunction(member):
                cls._add_action(name, member, {})

    @classmethod
    def _add_action(cls, name: str, function: Handler, options: dict[str, Any]) -> None:
        method, of_a_row = _ACTIONS[name]
        cls._add(name, function, (method,), cls._row_path() if of_a_row else "", options)

    @classmethod
    def _row_path(cls) -> str:
        return f"/{{{cls.lookup}}}"

    @classmethod
    def _add(cls, name: str, function: Handler, methods: Sequence[str], path: str, options: dict[str, Any]) -> None:
        base = cls.basename or cls.__name__.lower().removesuffix("viewset")
        options = {"name": f"{base}_{_ROUTE_NAMES.get(name, name)}", **options}
        setattr(cls, name, Route(path, function, methods=methods, **options))


class ModelViewSet(ViewSet):
    """The six routes of a model. ``out`` is what clients see, ``create_in`` what they send for a new row, ``update_in``
    (a ``partial`` Struct) for a change, ``replace_in`` for all of it; what is not given has no route.

    ``queryset`` is a queryset, a manager, or a function or method that returns one, parameters injected:
    ``def queryset(self, user: User)``. It scopes writes as well: what would be outside of it is 404 before, and 403
    after it was written. ``given`` is a function that returns attributes of new rows which clients do not send.
    ``write_guards`` are asked by the routes that write, after ``guards``. ``version`` names a column for ``ETag`` and
    ``If-Match``: who writes over another's change gets 412.
    """

    abstract: ClassVar[bool] = True

    out: ClassVar[StructClass]
    create_in: ClassVar[StructClass | None] = None
    update_in: ClassVar[StructClass | None] = None
    replace_in: ClassVar[StructClass | None] = None
    queryset: ClassVar[Any] = None
    given: ClassVar[Any] = None
    filters: ClassVar[type[msgspec.Struct] | None] = None
    version: ClassVar[str | None] = None
    write_guards: ClassVar[Sequence[object]] = ()
    deletes: ClassVar[bool] = True

    def __init_subclass__(cls, **kwargs: object) -> None:
        cls.abstract = "out" not in vars(cls) and not hasattr(cls, "out")
        if cls.abstract:
            return
        if not is_model_struct(cls.out):
            raise ConfigurationError(f"{cls.__qualname__}.out must be a ModelStruct, not {cls.out!r}.")
        model = model_of(cls.out)
        if not cls.basename:
            cls.basename = model._meta.model_name or ""
        if not getattr(cls, "tags", ()):
            setattr(cls, "tags", [str(model._meta.verbose_name_plural)])  # noqa: B010 (an option of any layer)
        super().__init_subclass__(**kwargs)
        queryset, given = _provider(cls, "queryset", model._default_manager.all), _provider(cls, "given", dict)
        actions = generate_actions(cls, inspect.getattr_static(cls, "queryset"), queryset, given)
        for name, (function, options) in actions.items():
            own = inspect.getattr_static(cls, name, None)
            if own is None or (isinstance(own, Route) and getattr(own.handler, GENERATED, False)):
                cls._add_action(name, function, options)

    @classmethod
    def _row_path(cls) -> str:
        return RowKey(model_of(cls.out), cls.lookup, cls.__qualname__).path


def _provider(cls: type[ModelViewSet], name: str, default: Handler) -> Handler:
    """Return the function that gives a class's queryset, or what new rows are given."""
    raw = inspect.getattr_static(cls, name)
    if raw is None:
        return _at_once(default)
    if isinstance(raw, type) and issubclass(raw, Model):
        raw = raw._default_manager
    if isinstance(raw, (QuerySet, Manager)):
        return _at_once(raw.all)
    provider: Handler = getattr(cls(), name)
    return provider


def _at_once(make: Handler) -> Handler:
    """Return a provider that needs no thread, because making a queryset asks no database."""

    def provide() -> object:
        return make()

    provide.__dict__["sync_to_thread"] = False
    return provide


@reject_unknown_keywords(*LAYER_OPTIONS, elsewhere={"each handler": HANDLER_OPTIONS})
def crud(
    model: type[Model],
    *,
    out: StructClass,
    create: StructClass | None = None,
    update: StructClass | None = None,
    replace: StructClass | None = None,
    path: str | None = None,
    queryset: Source | Handler | None = None,
    given: Handler | None = None,
    filters: type[msgspec.Struct] | None = None,
    version: str | None = None,
    write_guards: Sequence[object] = (),
    lookup: str = "pk",
    deletes: bool = True,
    name: str | None = None,
    **options: Unpack[LayerOptions],
) -> type[ModelViewSet]:
    """Return the routes of a model in a line: ``crud(Product, out=ProductOut, create=ProductIn, update=ProductPatch)``.

    A controller to be listed among the routes, at ``/products`` unless ``path`` says otherwise: list, create, retrieve,
    replace (PUT, by ``replace`` or else ``create``), change (PATCH, by ``update``) and delete; see
    :class:`ModelViewSet` for the rest. The names of the routes begin with ``name`` (``product_list``).
    """
    if not is_model_struct(out) or not issubclass(model, model_of(out)):
        raise ConfigurationError(f"crud({model.__name__}): out={out!r} must be a ModelStruct of it.")
    plural = str(model._meta.verbose_name_plural).replace(" ", "-").lower()
    wrapped = staticmethod(queryset) if inspect.isfunction(queryset) else queryset
    namespace: dict[str, object] = {
        "__module__": out.__module__,
        "path": f"/{plural}" if path is None else path,
        "out": out,
        "create_in": create,
        "update_in": update,
        "replace_in": replace or create,
        "queryset": wrapped if wrapped is not None else model._default_manager,
        "given": staticmethod(given) if inspect.isfunction(given) else given,
        "filters": filters,
        "version": version,
        "write_guards": write_guards,
        "lookup": lookup,
        "deletes": deletes,
        "basename": name or model._meta.model_name,
        **options,
    }
    return type(f"{model.__name__}ViewSet", (ModelViewSet,), namespace)
