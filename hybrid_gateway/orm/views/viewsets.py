"""Routes by convention: ``ViewSet`` names them after what is done, ``ModelViewSet`` brings the code.

How this works: both are controllers. When a subclass is made, its methods of the six names become routes, and those
that a ``ModelViewSet`` does not write itself are made with the annotations of its Structs; so they are bound, checked
and documented as if somebody had written them out. A subclass of a subclass makes all of them anew, since its rows may
be others. Every one of them starts at the queryset: a row that is not in it can neither be seen, nor written, nor be
written into existence.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Unpack

import msgspec
from django.core.exceptions import FieldError
from django.db.models import Model, QuerySet

from hybrid_gateway.binding.components import inline
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.introspection import is_model_struct, model_of
from hybrid_gateway.orm.lists.filters import FilterType
from hybrid_gateway.orm.querysets.lookup_paths import is_compatible_model
from hybrid_gateway.orm.querysets.querysets import OrderTerm, Rows, Source, as_queryset, is_queryable, rearrangeable
from hybrid_gateway.orm.views.list_fields import FilterFields, list_filters
from hybrid_gateway.orm.views.model_actions import ListOptions, generate_actions
from hybrid_gateway.orm.views.row_scope import RowScope, StructClass
from hybrid_gateway.routing.declare import HANDLER_OPTIONS, Controller, HandlerOptions, Route
from hybrid_gateway.spelling import reject_unknown_keywords
from hybrid_gateway.types import Handler

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
    routes, below ``path``; the last four take the parameter that ``lookup_field`` names. ``@action`` adds others.
    """

    lookup_field: ClassVar[str] = "pk"
    basename: ClassVar[str] = ""
    """What the names of the routes begin with; that of the class in lower case, without ``ViewSet``, by default."""
    trailing_slash: ClassVar[bool] = False
    """Whether the paths of the routes end with a slash, as those of Django's own do."""

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__dict__.get("abstract", False):
            return
        for name in dir(cls):
            declared = _declared(cls, name)
            if isinstance(declared, _Action):
                options = cls._own_options(name, declared.function, declared.methods, declared.options, declared.detail)
                where = f"{cls._row_path()}{declared.path}" if declared.detail else declared.path
                vars(cls._add(name, declared.function, declared.methods, where, options))[_DECLARED] = declared
            elif name in _ACTIONS and inspect.isfunction(declared):
                method, of_a_row = _ACTIONS[name]
                options = cls._own_options(name, declared, (method,), {}, of_a_row)
                vars(cls._add_action(name, declared, options))[_DECLARED] = declared
            elif isinstance(declared, Route):
                setattr(cls, name, cls._own_route(name, declared))

    @classmethod
    def _own_options(
        cls, name: str, method: Handler, methods: Sequence[str], options: dict[str, Any], of_a_row: bool
    ) -> dict[str, Any]:
        """Return the options of a route whose method the project has written."""
        return options

    @classmethod
    def _own_route(cls, name: str, route: Route) -> Route:
        """Return the route of a method that the project has written with a verb of its own."""
        return route

    @classmethod
    def _add_action(cls, name: str, function: Handler, options: dict[str, Any]) -> Route:
        method, of_a_row = _ACTIONS[name]
        return cls._add(name, function, (method,), cls._row_path() if of_a_row else "", options)

    @classmethod
    def _row_path(cls) -> str:
        return f"/{{{cls.lookup_field}}}"

    @classmethod
    def _add(cls, name: str, function: Handler, methods: Sequence[str], path: str, options: dict[str, Any]) -> Route:
        base = cls.basename or cls.__name__.lower().removesuffix("viewset")
        options = {"name": f"{base}_{_ROUTE_NAMES.get(name, name)}", **options}
        path = f"{path.rstrip('/')}/" if cls.trailing_slash else path
        route = Route(path, function, methods=methods, **options)
        vars(route)[_DECLARED] = None
        setattr(cls, name, route)
        return route


def _declared(cls: type, name: str) -> object:
    """Return what the project has written in a class, or in one that it inherits from, by that name."""
    member = inspect.getattr_static(cls, name, _LEFT_OUT)
    return vars(member).get(_DECLARED, member) if isinstance(member, Route) else member


_DECLARED = "__declared__"
"""The attribute of routes with what they were made of; ``None`` where that was not written by the project."""

_LEFT_OUT = object()
"""In the place of an inherited route that a class has not."""


class ModelViewSet(ViewSet):
    """The six routes of a model. ``out`` is what clients see, in lists ``list_out`` where there is one; ``create_in``
    is what they send for a new row, ``update_in`` (a ``partial`` Struct) for a change, ``replace_in``, or else
    ``create_in``, for all of it. What is not given, or ``None``, has no route.

    ``queryset`` is a queryset, a manager or a model. ``get_queryset`` is a method, sync or async, that returns one,
    parameters injected: ``def get_queryset(self, user: User)``. It is asked by every route, and scopes writes as well:
    what would be outside of it is 404 before, and 403 after it was written. Methods and actions of one row are asked
    for those rows alone; a parameter of the type of the model is the row, one that is a ``QuerySet`` all of them.

    ``search_fields``, ``filterset_fields``, ``ordering_fields`` and ``ordering`` are those of Django REST framework;
    ``filters`` is a Struct, as routes have it. ``given`` is a function that returns attributes of new rows which
    clients do not send. ``write_guards`` are asked by the routes that write, after ``guards``. ``version`` names a
    column for ``ETag`` and ``If-Match``: who writes over another's change gets 412.
    """

    abstract: ClassVar[bool] = True

    out: ClassVar[StructClass]
    list_out: ClassVar[StructClass | None] = None
    create_in: ClassVar[StructClass | None] = None
    update_in: ClassVar[StructClass | None] = None
    replace_in: ClassVar[StructClass | None]
    queryset: ClassVar[Any] = None
    given: ClassVar[Any] = None
    filters: ClassVar[FilterType | None] = None
    search_fields: ClassVar[Sequence[str]] = ()
    filterset_fields: ClassVar[FilterFields] = ()
    ordering_fields: ClassVar[Sequence[str]] = ()
    ordering: ClassVar[Sequence[OrderTerm] | str] = ()
    version: ClassVar[str | None] = None
    write_guards: ClassVar[Sequence[object]] = ()
    deletes: ClassVar[bool] = True
    _scope: ClassVar[RowScope]

    def get_queryset(self, *args: Any, **kwargs: Any) -> Any:
        """Return the rows of ``queryset``, or all of the model. A method of a subclass has parameters as it likes."""
        return as_queryset(self._scope.source).all()

    def __init_subclass__(cls, **kwargs: object) -> None:
        cls.abstract = "out" not in vars(cls) and not hasattr(cls, "out")
        if cls.abstract:
            return
        model = _check_structs(cls)
        if not cls.basename:
            cls.basename = model._meta.model_name or ""
        if not getattr(cls, "tags", ()):
            setattr(cls, "tags", [str(model._meta.verbose_name_plural)])  # noqa: B010 (an option of any layer)
        is_own = inspect.getattr_static(cls, "get_queryset") is not vars(ModelViewSet)["get_queryset"]
        source = _source(cls, model)
        manager = source._default_manager if isinstance(source, type) else source
        queryset = cls().get_queryset if is_own else _at_once(manager.all)
        cls._scope = scope = RowScope(cls, model, source, queryset, is_own=is_own)
        given = _at_once(dict) if inspect.getattr_static(cls, "given") is None else cls().given
        actions = generate_actions(cls, scope, _list_options(cls, scope), given)
        super().__init_subclass__(**kwargs)
        for name in _ACTIONS:
            declared = _declared(cls, name)
            if name in actions and ((declared is None and _is_generated(cls, name)) or declared is _LEFT_OUT):
                function, options = actions[name]
                method, of_a_row = _ACTIONS[name]
                components = scope.components((method,), of_a_row=of_a_row)
                cls._add_action(name, function, {**options, "components": components})
            elif _is_generated(cls, name):
                setattr(cls, name, _LEFT_OUT)

    @classmethod
    def _own_options(
        cls, name: str, method: Handler, methods: Sequence[str], options: dict[str, Any], of_a_row: bool
    ) -> dict[str, Any]:
        scope, own = cls._scope, options.get("guards", ())
        guards = scope.guards(name, method, methods, own, of_a_row=of_a_row)
        components = [*scope.components(methods, of_a_row=of_a_row), *options.get("components", ())]
        return {**options, "guards": guards, "components": components}

    @classmethod
    def _own_route(cls, name: str, route: Route) -> Route:
        of_a_row = cls._scope.is_of_a_row(name, route.paths)
        made = copy.copy(route)
        made.options = cls._own_options(name, route.handler, route.methods, dict(route.options), of_a_row)
        vars(made)[_DECLARED] = route
        return made

    @classmethod
    def _row_path(cls) -> str:
        return cls._scope.key.path


def _is_generated(cls: type, name: str) -> bool:
    member = inspect.getattr_static(cls, name, None)
    return isinstance(member, Route) and vars(member).get(_DECLARED, member) is None


def _check_structs(view: type[ModelViewSet]) -> type[Model]:
    """Return the model of a view set; raise :class:`ConfigurationError` for classes of others."""
    for name in ("out", "list_out"):
        struct: object = getattr(view, name)
        if name == "list_out" and struct is None:
            continue
        if not is_model_struct(struct):
            raise ConfigurationError(f"{view.__qualname__}.{name} must be a ModelStruct, not {struct!r}.", id="M020")
    for parent in view.__mro__[view.__mro__.index(ModelViewSet) + 1 :]:
        shadowed = [name for name in vars(parent) if name in vars(ModelViewSet) and not name.startswith("_")]
        if shadowed and not issubclass(ModelViewSet, parent):
            raise ConfigurationError(
                f"{view.__qualname__}: {shadowed[0]} of {parent.__qualname__} counts for nothing behind ModelViewSet, "
                f"which has its own. Write class {view.__name__}({parent.__name__}, ModelViewSet).",
                id="M021",
            )
    model = model_of(view.out)
    if view.list_out is not None and not is_compatible_model(model_of(view.list_out), model):
        raise ConfigurationError(
            f"{view.__qualname__}.list_out must be a ModelStruct of {model.__name__}, as out is.", id="M020"
        )
    return model


def _source(view: type[ModelViewSet], model: type[Model]) -> Source:
    """Return the ``queryset`` of a view set, or the manager of its model."""
    source: object = inspect.getattr_static(view, "queryset")
    if source is None:
        return model._default_manager
    if inspect.isroutine(source) or isinstance(source, (staticmethod, classmethod, property)):
        raise ConfigurationError(
            f"{view.__qualname__}.queryset must be a queryset, a manager or a model. A function that returns one is "
            "`def get_queryset(self, ...)`, with parameters that are injected.",
            id="M022",
        )
    if not is_queryable(source):
        raise ConfigurationError(
            f"{view.__qualname__}.queryset must be a queryset, a manager or a model, not {source!r}.", id="M022"
        )
    found = source if isinstance(source, type) else source.model
    if not is_compatible_model(found, model):
        raise ConfigurationError(
            f"{view.__qualname__}.queryset is of {found.__name__}, and out of {model.__name__}: no row is in both.",
            id="M022",
        )
    return source


def _list_options(view: type[ModelViewSet], scope: RowScope) -> ListOptions:
    """Return what the list of a view set shows; raise :class:`ConfigurationError` for what its rows do not have."""
    source = scope.source
    # A manager may look at the tenant of the day, whom nobody knows yet.
    rows: Rows = source if isinstance(source, QuerySet) else scope.model._base_manager.all()
    ordering = (view.ordering,) if isinstance(view.ordering, str) else tuple(view.ordering)
    try:
        ordered = rearrangeable(rows).order_by(*ordering) if ordering else rows
    except FieldError as error:
        raise ConfigurationError(f"{view.__qualname__}.ordering: {error}", id="L006") from error
    filters = list_filters(view, rows)
    is_known = ordering or not scope.is_own
    return ListOptions(view.list_out or view.out, filters, ordering, ordered if is_known else rows.order_by("pk"))


def _at_once(make: Handler) -> Handler:
    """Return a provider that needs no thread, because making a queryset asks no database."""

    def provide() -> object:
        return make()

    return inline(provide)
