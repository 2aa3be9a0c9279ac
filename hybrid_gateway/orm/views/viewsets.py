"""Routes by convention: ``ViewSet`` names them after what is done, ``ModelViewSet`` and ``crud()`` bring the code.

How this works: both are controllers. When a subclass is made, its methods of the six names become routes, and those
that a ``ModelViewSet`` does not write itself are made with the annotations of its Structs; so they are bound, checked
and documented as if somebody had written them out. Every one of them starts at ``queryset``: a row that is not in it
can neither be seen, nor written, nor be written into existence.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Unpack

import msgspec
from django.db.models import Manager, Model, ProtectedError, QuerySet, RestrictedError
from starlette.responses import Response

from hybrid_gateway import http
from hybrid_gateway.binding.markers import Depends, Header
from hybrid_gateway.exceptions import ConfigurationError, Conflict, Forbidden, NotFound, PreconditionFailed
from hybrid_gateway.layer_options import LAYER_OPTIONS, LayerOptions
from hybrid_gateway.orm.introspection import is_model_struct, model_of
from hybrid_gateway.orm.querysets.ordering import key_names, rearrangeable
from hybrid_gateway.orm.querysets.queryset_source import is_queryable
from hybrid_gateway.orm.read.rows import fetch_with
from hybrid_gateway.orm.views.row_keys import RowKey
from hybrid_gateway.orm.write.optimistic_locking import check_version, expected_version, version_text
from hybrid_gateway.orm.write.write_plan import check_input
from hybrid_gateway.routing.declare import (
    HANDLER_OPTIONS,
    Controller,
    HandlerOptions,
    Route,
)
from hybrid_gateway.spelling import reject_unknown_keywords
from hybrid_gateway.url_quoting import quote_path

__all__ = ["ModelViewSet", "ViewSet", "action", "crud"]

_ACTIONS: Mapping[str, tuple[str, bool]] = {
    "list": ("GET", False),
    "create": ("POST", False),
    "retrieve": ("GET", True),
    "update": ("PUT", True),
    "partial_update": ("PATCH", True),
    "destroy": ("DELETE", True),
}
"""What each method answers, and whether it is of one row."""

_NAMES = {"retrieve": "detail", "destroy": "delete"}  # in the names of routes


class _Action(msgspec.Struct, frozen=True):
    """What ``@action`` says of a method."""

    function: Any
    methods: tuple[str, ...]
    detail: bool
    path: str
    options: dict[str, Any]


@reject_unknown_keywords(*HANDLER_OPTIONS)
def action(
    *, detail: bool, methods: Iterable[str] = ("GET",), path: str | None = None, **options: Unpack[HandlerOptions]
) -> Callable[[Callable[..., Any]], Any]:
    """One more route of a :class:`ViewSet`: below one row (``detail=True``: ``/{pk}/publish``) or below all of them."""

    def decorate(function: Callable[..., Any]) -> Any:
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

    def __init_subclass__(cls, **kwargs: Any) -> None:
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
    def _add_action(cls, name: str, function: Any, options: dict[str, Any]) -> None:
        method, of_a_row = _ACTIONS[name]
        cls._add(name, function, (method,), cls._row_path() if of_a_row else "", options)

    @classmethod
    def _row_path(cls) -> str:
        return f"/{{{cls.lookup}}}"

    @classmethod
    def _add(cls, name: str, function: Any, methods: Sequence[str], path: str, options: dict[str, Any]) -> None:
        base = cls.basename or cls.__name__.lower().removesuffix("viewset")
        options = {"name": f"{base}_{_NAMES.get(name, name)}", **options}
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

    out: ClassVar[Any]
    create_in: ClassVar[Any] = None
    update_in: ClassVar[Any] = None
    replace_in: ClassVar[Any] = None
    queryset: ClassVar[Any] = None
    given: ClassVar[Any] = None
    filters: ClassVar[Any] = None
    version: ClassVar[str | None] = None
    write_guards: ClassVar[Sequence[Any]] = ()
    deletes: ClassVar[bool] = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
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
        made = _ActionFactory(cls, model)
        for name, (function, options) in made.actions().items():
            own = inspect.getattr_static(cls, name, None)
            if own is None or (isinstance(own, Route) and getattr(own.handler, "__made__", False)):
                cls._add_action(name, function, options)

    @classmethod
    def _row_path(cls) -> str:
        return RowKey(cls.out.__model__, cls.lookup, cls.__qualname__).path


class _ActionFactory:
    """The actions of one class that nobody wrote."""

    def __init__(self, cls: Any, model: Any) -> None:
        self._cls = cls
        self._model = model
        self._rows = Annotated[QuerySet[Any], Depends(_provider(cls, "queryset", model._default_manager.all))]
        self._given = Annotated[dict[str, Any], Depends(_provider(cls, "given", dict))]
        self._key = RowKey(model, cls.lookup, cls.__qualname__)
        if taken := _OWN_PARAMETERS.intersection(self._key.annotations):
            raise ConfigurationError(
                f"{cls.__qualname__}: its routes have a parameter {min(taken)!r} already, so no column of that name "
                "can be in their path: name another by lookup=."
            )
        self._version = None if cls.version is None else model._meta.get_field(cls.version)
        for struct in (cls.create_in, cls.update_in, cls.replace_in):
            if struct is not None:
                check_input(struct, model)

    def actions(self) -> dict[str, tuple[Any, dict[str, Any]]]:
        cls = self._cls
        found = {"list": (self._list(), {"filters": cls.filters} if cls.filters is not None else {})}
        found["retrieve"] = (self._retrieve(), {})
        raises = [Conflict, *([PreconditionFailed] if self._version is not None else [])]
        writes: dict[str, Any] = {"atomic": True, "raises": raises, "guards": cls.write_guards}
        if cls.create_in is not None:
            found["create"] = (self._create(), {**writes, "raises": [Conflict]})
        if cls.replace_in is not None:
            found["update"] = (self._change("update", cls.replace_in, "Replace"), writes)
        if cls.update_in is not None:
            found["partial_update"] = (self._change("partial_update", cls.update_in, "Change"), writes)
        if cls.deletes:
            found["destroy"] = (self._destroy(), writes)
        return found

    def _ready(self, function: Any, name: str, doc: str, returns: Any, /, **annotations: Any) -> Any:
        """A method with these annotations that calls ``function``, whose ``key`` is what finds the row."""
        key = self._key
        of_a_row = not annotations.keys().isdisjoint(key.annotations)

        def method(view: Any, **values: Any) -> Any:
            if of_a_row:
                values["key"] = key.take(values)
            return function(**values)

        method.__name__ = name
        method.__qualname__ = f"{self._cls.__qualname__}.{name}"
        method.__module__ = self._cls.__module__
        method.__doc__ = doc.format(self._model._meta.verbose_name, self._model._meta.verbose_name_plural)
        method.__annotations__ = {**annotations, "return": returns}
        asked = [_asked(name) for name in annotations]
        view = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
        method.__dict__.update(__signature__=inspect.Signature([view, *asked]), __made__=True)
        return method

    def _list(self) -> Any:
        def list_rows(rows: Any) -> Any:
            return rows

        returns = types.GenericAlias(list, self._cls.out)
        made = self._ready(list_rows, "list", "List {1}.", returns, rows=self._rows)
        rows = inspect.getattr_static(self._cls, "queryset", None)
        made.__rows__ = rows if is_queryable(rows) else None  # whose order is known before anybody asks
        return made

    def _retrieve(self) -> Any:
        def retrieve(key: Any, rows: Any, response: Any) -> Any:
            return self._shown(rows, key, response)

        return self._ready(retrieve, "retrieve", "Show one {0}.", self._cls.out, **self._row_annotations())

    def _create(self) -> Any:
        def create(data: Any, rows: Any, given: Any, path: Any, response: Any) -> Any:
            instance = data.create(using=_database(rows, self._model), **given)
            self._check_scope(rows, instance)
            response.headers["Location"] = f"{quote_path(path.rstrip('/'))}{self._key.path_of(instance)}"
            return self._shown(rows, {"pk": instance.pk}, response)

        annotations = {"data": self._cls.create_in, "rows": self._rows, "given": self._given}
        annotations |= {"path": http.Path, "response": Response}
        return self._ready(create, "create", "Add one {0}.", self._cls.out, **annotations)

    def _change(self, name: str, struct: Any, verb: str) -> Any:
        def change(key: Any, data: Any, rows: Any, response: Any, if_match: Any = None) -> Any:
            instance = self._found(rows, key, if_match)
            data.update(instance, using=_database(rows, self._model))
            self._check_scope(rows, instance)
            return self._shown(rows, {"pk": instance.pk}, response)

        annotations = {**self._row_annotations(), **self._condition(), "data": struct}
        return self._ready(change, name, f"{verb} one {{0}}.", self._cls.out, **annotations)

    def _destroy(self) -> Any:
        def destroy(key: Any, rows: Any, if_match: Any = None) -> None:
            try:
                self._found(rows, key, if_match).delete(using=_database(rows, self._model))
            except (ProtectedError, RestrictedError) as error:
                raise Conflict("Other rows need this one.") from error

        annotations = {**self._row_annotations(), **self._condition()}
        del annotations["response"]
        return self._ready(destroy, "destroy", "Delete one {0}.", None, **annotations)

    def _row_annotations(self) -> dict[str, Any]:
        return {**self._key.annotations, "rows": self._rows, "response": Response}

    def _condition(self) -> dict[str, Any]:
        return {} if self._version is None else {"if_match": Annotated[str | None, Header()]}

    def _found(self, rows: Any, key: Mapping[str, Any], if_match: str | None) -> Any:
        """The instance to be written; raises 404, and 412 where the client has seen another version of it."""
        instance = self._one(rows.using(_database(rows, self._model)), key).first()
        if instance is None:
            raise NotFound
        if self._version is not None:
            seen = getattr(instance, self._version.attname)
            check_version(instance, self._version.name, expected_version(if_match, seen))
        return instance

    def _shown(self, rows: Any, condition: Mapping[str, Any], response: Any) -> Any:
        rows = self._one(rows, condition)
        if self._version is None:
            return self._cls.out.get(rows)
        found = fetch_with(self._cls.out, rows, [self._version.name])
        if not found:
            raise NotFound
        shown, (version,) = found[0]
        response.headers["ETag"] = f'"{version_text(version)}"'
        return shown

    def _one(self, rows: Any, condition: Mapping[str, Any]) -> Any:
        """One row, which a queryset with joins may hold more than once."""
        return rearrangeable(rows.all()).filter(**condition).order_by(*key_names(self._model))[:1]

    def _check_scope(self, rows: Any, instance: Any) -> None:
        if not rearrangeable(rows.using(instance._state.db)).filter(pk=instance.pk).exists():
            raise Forbidden("This would put the row out of your reach.")


_OWN_PARAMETERS = frozenset(("data", "rows", "response", "if_match"))


def _asked(name: str) -> inspect.Parameter:
    default = None if name == "if_match" else inspect.Parameter.empty
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)


def _provider(cls: Any, name: str, default: Callable[[], Any]) -> Callable[..., Any]:
    """The function that gives a class's queryset, or what new rows are given."""
    raw = inspect.getattr_static(cls, name)
    if raw is None:
        return _at_once(default)
    if isinstance(raw, type) and issubclass(raw, Model):
        raw = raw._default_manager
    if isinstance(raw, (QuerySet, Manager)):
        return _at_once(raw.all)
    provider: Callable[..., Any] = getattr(cls(), name)
    return provider


def _at_once(make: Callable[[], Any]) -> Callable[[], Any]:
    """A provider that needs no thread, because making a queryset asks no database."""

    def provide() -> Any:
        return make()

    provide.__dict__["sync_to_thread"] = False
    return provide


def _database(rows: Any, model: Any) -> str:
    """The database that rows are written to: the one the queryset names, else what the routers say."""
    from django.db import router

    return rows._db or router.db_for_write(model)


@reject_unknown_keywords(*LAYER_OPTIONS, elsewhere={"each handler": HANDLER_OPTIONS})
def crud(
    model: type[Model],
    *,
    out: Any,
    create: Any = None,
    update: Any = None,
    replace: Any = None,
    path: str | None = None,
    queryset: Any = None,
    given: Any = None,
    filters: Any = None,
    version: str | None = None,
    write_guards: Sequence[Any] = (),
    lookup: str = "pk",
    deletes: bool = True,
    name: str | None = None,
    **options: Unpack[LayerOptions],
) -> type[ModelViewSet]:
    """The routes of a model in a line: ``crud(Product, out=ProductOut, create=ProductIn, update=ProductPatch)``.

    A controller to be listed among the routes, at ``/products`` unless ``path`` says otherwise: list, create, retrieve,
    replace (PUT, by ``replace`` or else ``create``), change (PATCH, by ``update``) and delete; see
    :class:`ModelViewSet` for the rest. The names of the routes begin with ``name`` (``product_list``).
    """
    if not is_model_struct(out) or not issubclass(model, model_of(out)):
        raise ConfigurationError(f"crud({model.__name__}): out={out!r} must be a ModelStruct of it.")
    plural = str(model._meta.verbose_name_plural).replace(" ", "-").lower()
    wrapped = staticmethod(queryset) if inspect.isfunction(queryset) else queryset
    namespace: dict[str, Any] = {
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
