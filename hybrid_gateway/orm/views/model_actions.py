"""The actions of a ``ModelViewSet`` that its author has not written: methods with the types of its Structs."""

from __future__ import annotations

import datetime
import inspect
import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Protocol, TypeAlias
from urllib.parse import quote

import msgspec
from django.db import router
from django.db.models import Field, Model, ProtectedError, QuerySet, RestrictedError
from django.utils import timezone
from starlette.responses import Response

from hybrid_gateway import http
from hybrid_gateway._compat.django_orm_internals import chosen_database
from hybrid_gateway.binding.markers import Depends, Header
from hybrid_gateway.exceptions import ConfigurationError, Conflict, Forbidden, NotFound, PreconditionFailed
from hybrid_gateway.orm.columns.column_types import annotation_for
from hybrid_gateway.orm.columns.field_facts import key_columns, value_field
from hybrid_gateway.orm.introspection import model_of
from hybrid_gateway.orm.model_struct import ModelStruct
from hybrid_gateway.orm.querysets.querysets import Rows, is_queryable, key_names, rearrangeable
from hybrid_gateway.orm.read.fetch import fetch_with
from hybrid_gateway.orm.views.handler_results import SOURCE_ATTRIBUTE
from hybrid_gateway.orm.write.write_plan import check_input
from hybrid_gateway.types import Handler
from hybrid_gateway.url_quoting import quote_path

StructClass: TypeAlias = type[ModelStruct]
Condition = Mapping[str, object]
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
    filters: ClassVar[type[msgspec.Struct] | None]
    version: ClassVar[str | None]
    write_guards: ClassVar[Sequence[object]]
    lookup: ClassVar[str]
    deletes: ClassVar[bool]


def generate_actions(
    view: type[ViewModel], source: object, queryset: Handler, given: Handler
) -> dict[str, ActionMethod]:
    """Return the actions by name; raises :class:`ConfigurationError` for Structs that are not of the model.

    ``queryset`` and ``given`` are called for each request; ``source`` is the former as it is written in the class.
    """
    made = _ActionFactory(view, source, queryset, given)
    writes: dict[str, Any] = {"atomic": True, "raises": [Conflict], "guards": view.write_guards}
    changes = {**writes, "raises": [Conflict, PreconditionFailed]} if view.version is not None else writes
    found = {"list": (made.list_rows(), {"filters": view.filters} if view.filters is not None else {})}
    found["retrieve"] = (made.retrieve(), {})
    if view.create_in is not None:
        found["create"] = (made.create(view.create_in), writes)
    if view.replace_in is not None:
        found["update"] = (made.change("update", view.replace_in, "Replace"), changes)
    if view.update_in is not None:
        found["partial_update"] = (made.change("partial_update", view.update_in, "Change"), changes)
    if view.deletes:
        found["destroy"] = (made.destroy(), changes)
    return found


class _ActionFactory:
    def __init__(self, view: type[ViewModel], source: object, queryset: Handler, given: Handler) -> None:
        self._view = view
        self._source = source if is_queryable(source) else None
        self._given = given
        self._model = model = model_of(view.out)
        self._rows = _ScopedRows(model, view.out, view.version)
        self._key = RowKey(model, view.lookup, view.__qualname__)
        if taken := _OWN_PARAMETERS.intersection(self._key.annotations):
            raise ConfigurationError(
                f"{view.__qualname__}: its routes have a parameter {min(taken)!r} already, so no column of that name "
                "can be in their path: name another by lookup=."
            )
        self._queryset = {"queryset": Annotated[QuerySet[Any], Depends(queryset)]}
        self._response = {"response": Response}
        self._if_match = {} if view.version is None else {"if_match": Annotated[str | None, Header()]}
        for struct in (view.create_in, view.update_in, view.replace_in):
            if struct is not None:
                check_input(struct, model)

    def list_rows(self) -> Handler:
        def list_rows(queryset: Rows) -> Rows:
            return queryset

        returns = types.GenericAlias(list, self._view.out)
        method = self._method(list_rows, "list", "List {1}.", returns, **self._queryset)
        setattr(method, SOURCE_ATTRIBUTE, self._source)
        return method

    def retrieve(self) -> Handler:
        annotations = {**self._key.annotations, **self._queryset, **self._response}
        return self._method(self._rows.show, "retrieve", "Show one {0}.", self._view.out, **annotations)

    def create(self, struct: StructClass) -> Handler:
        rows, path_of = self._rows, self._key.path_of

        def create(data: ModelStruct, queryset: Rows, given: dict[str, Any], path: str, response: Response) -> object:
            instance = data.create(using=rows.database(queryset), **given)
            rows.check_scope(queryset, instance)
            response.headers["Location"] = f"{quote_path(path.rstrip('/'))}{path_of(instance)}"
            return rows.show({"pk": instance.pk}, queryset, response)

        given = Annotated[dict[str, Any], Depends(self._given)]
        annotations = {"data": struct, **self._queryset, "given": given, "path": http.Path, **self._response}
        return self._method(create, "create", "Add one {0}.", self._view.out, **annotations)

    def change(self, name: str, struct: StructClass, verb: str) -> Handler:
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


class RowKey:
    """The parameters of a path that name a row of ``model``: ``/{pk}``, ``/{slug}``, or ``/{tenant_id}/{number}``."""

    def __init__(self, model: type[Model], lookup: str, where: str) -> None:
        field, keys = model._meta.pk if lookup == "pk" else model._meta.get_field(lookup), key_columns(model)
        if field is model._meta.pk and len(keys) > 1:
            self._columns = {part.attname: part for part in keys}
        elif not (isinstance(field, Field) and field.unique):
            raise ConfigurationError(f"{where}.lookup={lookup!r} must be a unique column.")
        else:
            self._columns = {lookup: field}

    @property
    def path(self) -> str:
        """The path behind that of the list."""
        return "".join(f"/{{{name}}}" for name in self._columns)

    @property
    def annotations(self) -> dict[str, object]:
        """The types of the parameters."""
        return {name: annotation_for(value_field(field)) for name, field in self._columns.items()}

    def take(self, values: dict[str, object]) -> Mapping[str, object]:
        """Return the condition that finds the row, taken out of the values of parameters."""
        return {name: values.pop(name) for name in self._columns}

    def path_of(self, instance: Model) -> str:
        """Return the path of an instance behind that of the list."""
        values = [getattr(instance, field.attname) for field in self._columns.values()]
        texts = [value.isoformat() if hasattr(value, "isoformat") else str(value) for value in values]
        return "".join(f"/{quote(text, safe='')}" for text in texts)


class _ScopedRows:
    """The rows of a queryset that a client may see and write."""

    def __init__(self, model: type[Model], out: StructClass, version: str | None) -> None:
        field = None if version is None else model._meta.get_field(version)
        self._model = model
        self._out = out
        self._version = field if isinstance(field, Field) else None

    def database(self, queryset: Rows) -> str:
        """Return the database that rows are written to: the one the queryset names, else what the routers say."""
        return chosen_database(queryset) or router.db_for_write(self._model)

    def instance(self, queryset: Rows, key: Condition, if_match: str | None) -> Model:
        """Return the row to be written; raise 404, and 412 where the client has seen another version of it."""
        instance = self._one(queryset.using(self.database(queryset)), key).first()
        if instance is None:
            raise NotFound
        if self._version is not None:
            seen = getattr(instance, self._version.attname)
            check_version(instance, self._version.name, expected_version(if_match, seen))
        return instance

    def show(self, key: Condition, queryset: Rows, response: Response) -> object:
        """Return what clients see of a row, and set its ``ETag``."""
        row = self._one(queryset, key)
        if self._version is None:
            return self._out.get(row)
        found = fetch_with(self._out, row, [self._version.name])
        if not found:
            raise NotFound
        shown, (version,) = found[0]
        response.headers["ETag"] = f'"{version_text(version)}"'
        return shown

    def check_scope(self, queryset: Rows, instance: Model) -> None:
        """Raise 403 for a row that is not among those of the queryset."""
        if not rearrangeable(queryset.using(instance._state.db)).filter(pk=instance.pk).exists():
            raise Forbidden("This would put the row out of your reach.")

    def _one(self, queryset: Rows, key: Condition) -> Rows:
        """Return one row, which a queryset with joins may hold more than once."""
        return rearrangeable(queryset.all()).filter(**key).order_by(*key_names(self._model))[:1]


# --- versions of rows: a client that would overwrite what it has not seen gets a 412 (ETag and If-Match) ------------
Version = int | datetime.datetime

_CHANGED = "Somebody else has changed it since."


def check_version(instance: Model, name: str, expected: Version, *, using: str | None = None) -> None:
    """Make the next version of a row, if ``expected`` is its version now; else 412. Call it in the transaction.

    The column is a whole number, which is counted up, or a time, which becomes now.
    """
    rows = type(instance)._base_manager.using(using or instance._state.db).filter(pk=instance.pk, **{name: expected})
    following = expected + 1 if isinstance(expected, int) else timezone.now()
    if not rows.update(**{name: following}):
        raise PreconditionFailed(_CHANGED)
    setattr(instance, name, following)


def version_text(value: object) -> str:
    """Return a version as an ``ETag`` says it."""
    return value.isoformat() if isinstance(value, datetime.datetime) else str(value)


def expected_version(if_match: str | None, now: Version) -> Version:
    """Return the version that the client has seen, by ``If-Match`` (RFC 9110, section 13.1.1); without it, ``now``."""
    if if_match is None or if_match.strip() == "*":
        return now
    for entry in if_match.split(","):
        text = entry.strip()
        if text.startswith('"') and text.endswith('"') and text[1:-1] == version_text(now):
            return now
    raise PreconditionFailed(_CHANGED)
