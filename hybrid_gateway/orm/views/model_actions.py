"""The actions of a ``ModelViewSet`` that its author has not written: methods with the types of its Structs."""

from __future__ import annotations

import inspect
import types
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, NamedTuple, Protocol

from django.db.models import ProtectedError, RestrictedError
from starlette.responses import Response

from hybrid_gateway import http
from hybrid_gateway.binding.markers import Depends, Header
from hybrid_gateway.exceptions import ConfigurationError, Conflict, PreconditionFailed
from hybrid_gateway.orm.lists.filters import FilterType
from hybrid_gateway.orm.model_struct import ModelStruct
from hybrid_gateway.orm.querysets.querysets import OrderTerm, Rows, as_queryset, rearrangeable
from hybrid_gateway.orm.views.handler_results import SOURCE_ATTRIBUTE
from hybrid_gateway.orm.views.row_scope import Condition, RowScope, StructClass
from hybrid_gateway.orm.write.write_plan import check_input
from hybrid_gateway.types import Handler
from hybrid_gateway.url_quoting import quote_path

ActionMethod = tuple[Handler, dict[str, Any]]
"""A method, and the options of its route."""

_OWN_PARAMETERS = frozenset(("data", "queryset", "response", "if_match"))

GENERATED = "__generated__"
"""The attribute of methods that are made here."""


class ViewModel(Protocol):
    """The attributes of a subclass of ``ModelViewSet``; see there."""

    out: ClassVar[StructClass]
    create_in: ClassVar[StructClass | None]
    update_in: ClassVar[StructClass | None]
    replace_in: ClassVar[StructClass | None]
    version: ClassVar[str | None]
    write_guards: ClassVar[Sequence[object]]
    deletes: ClassVar[bool]
    trailing_slash: ClassVar[bool]


class ListOptions(NamedTuple):
    """The list of a view set: what it shows, by which parameters of clients, in which order without them."""

    struct: StructClass
    filters: FilterType | None
    ordering: tuple[OrderTerm, ...]
    source: Rows | None  # that is paged, as far as it is known before anybody asks


def generate_actions(
    view: type[ViewModel], scope: RowScope, listing: ListOptions, given: Handler
) -> dict[str, ActionMethod]:
    """Return the actions by name; raises :class:`ConfigurationError` for Structs that are not of the model.

    ``given`` is called for each new row.
    """
    made = _ActionFactory(view, scope, given)
    writes: dict[str, Any] = {"atomic": True, "raises": [Conflict], "guards": view.write_guards}
    changes = {**writes, "raises": [Conflict, PreconditionFailed]} if view.version is not None else writes
    found = {"list": (made.list_rows(listing), {} if listing.filters is None else {"filters": listing.filters})}
    found["retrieve"] = (made.retrieve(), {})
    replace_in = getattr(view, "replace_in", view.create_in)
    if view.create_in is not None:
        found["create"] = (made.create(view.create_in), writes)
    if replace_in is not None:
        found["update"] = (made.change("update", replace_in, "Replace"), changes)
    if view.update_in is not None:
        found["partial_update"] = (made.change("partial_update", view.update_in, "Change"), changes)
    if view.deletes:
        found["destroy"] = (made.destroy(), changes)
    return found


class _ActionFactory:
    def __init__(self, view: type[ViewModel], scope: RowScope, given: Handler) -> None:
        self._view = view
        self._given = given
        self._model = scope.model
        self._rows = scope.rows
        self._key = scope.key
        if taken := _OWN_PARAMETERS.intersection(self._key.annotations):
            raise ConfigurationError(
                f"{view.__qualname__}: its routes have a parameter {min(taken)!r} already, so no column of that name "
                "can be in their path: name another by lookup_field=.",
                id="M025",
            )
        self._queryset = scope.queryset
        self._response = {"response": Response}
        self._if_match = {} if view.version is None else {"if_match": Annotated[str | None, Header()]}

    def list_rows(self, listing: ListOptions) -> Handler:
        ordering = listing.ordering

        def list_rows(queryset: Rows) -> Rows:
            return rearrangeable(as_queryset(queryset)).order_by(*ordering) if ordering else queryset

        returns = types.GenericAlias(list, listing.struct)
        method = self._method(list_rows, "list", "List {1}.", returns, **self._queryset)
        setattr(method, SOURCE_ATTRIBUTE, listing.source)
        return method

    def retrieve(self) -> Handler:
        annotations = {**self._key.annotations, **self._queryset, **self._response}
        return self._method(self._rows.show, "retrieve", "Show one {0}.", self._view.out, **annotations)

    def create(self, struct: StructClass) -> Handler:
        check_input(struct, self._model)
        rows, path_of, end = self._rows, self._key.path_of, "/" * self._view.trailing_slash

        def create(data: ModelStruct, queryset: Rows, given: dict[str, Any], path: str, response: Response) -> object:
            instance = data.create(using=rows.database(queryset), **given)
            rows.check_scope(queryset, instance)
            response.headers["Location"] = f"{quote_path(path.rstrip('/'))}{path_of(instance)}{end}"
            return rows.show({"pk": instance.pk}, queryset, response)

        given = Annotated[dict[str, Any], Depends(self._given)]
        annotations = {"data": struct, **self._queryset, "given": given, "path": http.Path, **self._response}
        return self._method(create, "create", "Add one {0}.", self._view.out, **annotations)

    def change(self, name: str, struct: StructClass, verb: str) -> Handler:
        check_input(struct, self._model)
        rows = self._rows

        def change(
            key: Condition, data: ModelStruct, queryset: Rows, response: Response, if_match: str | None = None
        ) -> object:
            instance = rows.instance(queryset, key, if_match)
            data.update(instance, using=rows.database(queryset))
            rows.check_scope(queryset, instance)
            return rows.show({"pk": instance.pk}, queryset, response)

        annotations = {**self._key.annotations, **self._queryset, **self._response, **self._if_match, "data": struct}
        return self._method(change, name, f"{verb} one {{0}}.", self._view.out, **annotations)

    def destroy(self) -> Handler:
        rows = self._rows

        def destroy(key: Condition, queryset: Rows, if_match: str | None = None) -> None:
            try:
                rows.instance(queryset, key, if_match).delete(using=rows.database(queryset))
            except (ProtectedError, RestrictedError) as error:
                raise Conflict("Other rows need this one.") from error

        annotations = {**self._key.annotations, **self._queryset, **self._if_match}
        return self._method(destroy, "destroy", "Delete one {0}.", None, **annotations)

    def _method(self, function: Handler, name: str, doc: str, returns: object, /, **annotations: object) -> Handler:
        """Return a method with these annotations that calls ``function``, whose ``key`` is what finds the row."""
        key, meta = self._key, self._model._meta
        of_a_row = not annotations.keys().isdisjoint(key.annotations)

        def method(view: object, **values: object) -> object:
            if of_a_row:
                values["key"] = key.take(values)
            return function(**values)

        method.__name__ = name
        method.__qualname__ = f"{self._view.__qualname__}.{name}"
        method.__module__ = self._view.__module__
        method.__doc__ = doc.format(meta.verbose_name, meta.verbose_name_plural)
        method.__annotations__ = {**annotations, "return": returns}
        parameters = [_parameter("self", inspect.Parameter.POSITIONAL_ONLY), *map(_parameter, annotations)]
        method.__dict__.update({"__signature__": inspect.Signature(parameters), GENERATED: True})
        return method


def _parameter(name: str, kind: Any = inspect.Parameter.KEYWORD_ONLY) -> inspect.Parameter:
    return inspect.Parameter(name, kind, default=None if name == "if_match" else inspect.Parameter.empty)
