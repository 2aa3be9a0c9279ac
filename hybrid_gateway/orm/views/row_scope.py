"""The rows of a view set: which one a path names, which of them a client may see and write.

How this works: everything starts at the queryset of the view set. The routes that are made of Structs ask it for their
rows. A method that the project has written for one row is asked only for a row that is there: it gets the row itself,
where a parameter has the type of the model, or else a guard looks for it. So there is no route to a row outside.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Protocol, TypeAlias
from urllib.parse import quote

from django.conf import settings
from django.db import router
from django.db.models import Field, Manager, Model, QuerySet
from starlette.responses import Response

from hybrid_gateway._compat.django_orm_internals import chosen_database
from hybrid_gateway.access_control import as_guard
from hybrid_gateway.binding.markers import Depends
from hybrid_gateway.binding.signature import read_signature
from hybrid_gateway.exceptions import ConfigurationError, DependencyError, Forbidden, NotFound
from hybrid_gateway.orm.columns.column_types import annotation_for
from hybrid_gateway.orm.columns.field_facts import key_columns, value_field
from hybrid_gateway.orm.model_struct import ModelStruct
from hybrid_gateway.orm.querysets.querysets import Rows, Source, as_queryset, key_names, rearrangeable
from hybrid_gateway.orm.read.fetch import fetch_with
from hybrid_gateway.orm.views.row_versions import check_version, expected_version, version_text
from hybrid_gateway.types import Handler

StructClass: TypeAlias = type[ModelStruct]
Condition = Mapping[str, object]


class RowKey:
    """The parameters of a path that name a row of ``model``: ``/{pk}``, ``/{slug}``, or ``/{tenant_id}/{number}``."""

    def __init__(self, model: type[Model], lookup: str, where: str) -> None:
        field, keys = model._meta.pk if lookup == "pk" else model._meta.get_field(lookup), key_columns(model)
        if field is model._meta.pk and len(keys) > 1:
            self._columns = {part.attname: part for part in keys}
        elif not (isinstance(field, Field) and field.unique):
            raise ConfigurationError(f"{where}: the lookup {lookup!r} must be a unique column.", id="M024")
        else:
            self._columns = {lookup: field}

    @property
    def path(self) -> str:
        """The path behind that of the list."""
        return "".join(f"/{{{name}}}" for name in self._columns)

    @property
    def path_parameters(self) -> set[str]:
        """The names of the parameters."""
        return set(self._columns)

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


class ScopedRows:
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
        instance = self.find(queryset.using(self.database(queryset)), key).first()
        if instance is None:
            raise NotFound
        if self._version is not None:
            seen = getattr(instance, self._version.attname)
            check_version(instance, self._version.name, expected_version(if_match, seen))
        return instance

    def show(self, key: Condition, queryset: Rows, response: Response) -> object:
        """Return what clients see of a row, and set its ``ETag``."""
        row = self.find(queryset, key)
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

    def find(self, queryset: Rows, key: Condition) -> Rows:
        """Return one row, which a queryset with joins may hold more than once."""
        return rearrangeable(queryset.all()).filter(**key).order_by(*key_names(self._model))[:1]


# --- methods of the project ----------------------------------------------------------------------------------------

_PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")
_SAFE = frozenset(("GET", "HEAD", "OPTIONS"))


class ScopedView(Protocol):
    """The attributes of a subclass of ``ModelViewSet`` that its scope is made of; see there."""

    out: ClassVar[StructClass]
    version: ClassVar[str | None]
    write_guards: ClassVar[Sequence[object]]
    lookup_field: ClassVar[str]


class RowScope:
    """The rows of one view set, and what its routes are given of them.

    ``queryset`` is called for each request, and returns them; ``is_own`` says that the project has written it, and
    ``source`` is what it is left out of, or made of.
    """

    def __init__(
        self, view: type[ScopedView], model: type[Model], source: Source, queryset: Handler, *, is_own: bool
    ) -> None:
        self.model = model
        self.key = RowKey(model, view.lookup_field, view.__qualname__)
        self.rows = ScopedRows(model, view.out, view.version)
        self.queryset = {"queryset": Annotated[QuerySet[Any], Depends(queryset)]}
        self.source = source
        self.is_own = is_own
        self._narrows = is_own or _is_narrow(self.source)
        self._where = view.__qualname__
        self._write_guards = tuple(view.write_guards)

    def components(self, methods: Sequence[str], *, of_a_row: bool) -> list[Handler]:
        """Return what gives the methods of a route the rows, and the row of its path, by the types of parameters."""

        def all_rows(queryset: Source) -> Rows:
            return as_queryset(queryset).all()

        found = [injected(all_rows, {**self.queryset, "return": QuerySet})]
        if of_a_row:
            found.append(injected(self._row(methods), {**self.key.annotations, **self.queryset, "return": self.model}))
        return found

    def guards(
        self, name: str, method: Handler, methods: Sequence[str], own: Sequence[object], *, of_a_row: bool
    ) -> list[object]:
        """Return the guards of a method that the project has written, with ``own``, those that it names itself.

        Raises :class:`ConfigurationError` for a ``list`` that shows other rows than those of the view set.
        """
        found = [*own]
        if not _SAFE.issuperset(methods) and not any(as_guard(entry).drops_outer_guards for entry in own):
            found = [*self._write_guards, *own]
        if not self._narrows:
            return found
        asked = self._asked_by(method)
        if of_a_row and not asked:
            found.append(injected(self._check, {**self.key.annotations, **self.queryset, "return": None}))
        if name == "list" and not asked:
            raise ConfigurationError(
                f"{self._where}.list does not ask for the rows that get_queryset or queryset leaves: write "
                f"`def list(self, rows: QuerySet[{self.model.__name__}])`, and return of those.",
                id="M023",
            )
        return found

    def is_of_a_row(self, name: str, paths: Sequence[str]) -> bool:
        """Return whether the paths of a method that has a verb of its own name a row.

        Raises :class:`ConfigurationError` where the row cannot be told.
        """
        found = {self.key.path_parameters <= set(_PARAMETER.findall(path)) for path in paths}
        for path in paths:
            first = _PARAMETER.match(path.lstrip("/"))
            if self._narrows and (len(found) > 1 or (first and first[1] not in self.key.path_parameters)):
                raise ConfigurationError(
                    f"{self._where}.{name} is at {path!r}, and shows no row that get_queryset or queryset leaves out: "
                    f"begin its one path with {self.key.path!r}, or with a word.",
                    id="M023",
                )
        return found == {True}

    def _row(self, methods: Sequence[str]) -> Callable[..., Model]:
        writes = not _SAFE.issuperset(methods)

        def row(queryset: Rows, **key: object) -> Model:
            found = as_queryset(queryset)
            instance = self.rows.find(found.using(self.rows.database(found)) if writes else found, key).first()
            if instance is None:
                raise NotFound
            return instance

        return row

    def _check(self, queryset: Rows, **key: object) -> None:
        if not self.rows.find(as_queryset(queryset), key).exists():
            raise NotFound

    def _asked_by(self, method: Handler) -> bool:
        """Return whether a method asks for rows of the view set, or for the one of its path."""
        label = self.model._meta.label_lower
        kinds = (QuerySet,) if label == settings.AUTH_USER_MODEL.lower() else (QuerySet, self.model)
        try:
            parameters = read_signature(method, self._where).parameters
        except DependencyError:  # names that are not known yet: then it is a query too many at worst
            return any("QuerySet[" in str(kind) for kind in method.__annotations__.values())
        return any(entry.marker is None and entry.info.inner in kinds for entry in parameters)


def _is_narrow(source: Source) -> bool:
    """Return whether there may be rows of the model that are not among those of ``source``."""
    if isinstance(source, QuerySet):
        query = source.query
        return bool(query.where or query.is_sliced or query.combinator or query.distinct_fields)
    manager = source if isinstance(source, Manager) else source._default_manager
    return type(manager).get_queryset is not Manager.get_queryset


def injected(function: Callable[..., object], annotations: Mapping[str, object]) -> Handler:
    """Return a function that calls ``function``, whose keywords are injected by these annotations."""

    def call(**values: object) -> object:
        return function(**values)

    names = [name for name in annotations if name != "return"]
    call.__name__ = call.__qualname__ = function.__name__
    call.__annotations__ = dict(annotations)
    keywords = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in names]
    call.__dict__["__signature__"] = inspect.Signature(keywords)
    return call
