"""``ModelStruct``: a Struct whose fields are columns of a Django model, checked when the class is made.

How this works: the metaclass completes the annotations before msgspec sees them (what a ``choices`` or ``max_length``
says is added, ``partial`` fields may be absent) and, once Django knows all models, makes the plan by which the class is
read. A class that is made before that, in a ``models.py``, is checked when the apps are ready.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, cast

import msgspec
from django.apps import apps
from django.db.models import Model
from django.db.models.query import RawQuerySet
from msgspec import UNSET

from hybrid_gateway._compat.cpython_internals import caller_namespaces
from hybrid_gateway.class_annotations import (
    Names,
    Namespace,
    declared_annotations,
    may_be_absent,
    resolve_annotations,
    take_computed,
)
from hybrid_gateway.concurrency.asgiref_bridge import on_request_thread
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.columns.column_types import annotation_for
from hybrid_gateway.orm.columns.struct_annotations import column_in, with_constraints
from hybrid_gateway.orm.introspection import STRUCT_INFO, StructClass, StructInfo, own_info
from hybrid_gateway.orm.querysets.querysets import Source
from hybrid_gateway.orm.read.fetch import fetch, get
from hybrid_gateway.orm.read.instances import from_model
from hybrid_gateway.orm.read.read_plan import read_plan_of
from hybrid_gateway.orm.write.instance_writer import create, create_many, update, update_many
from hybrid_gateway.spelling import check_options

M = TypeVar("M", bound="ModelStructMeta")
Bases = tuple[type, ...]

_KEYWORDS = frozenset(
    (
        *("model", "partial", "exclude", "kw_only", "frozen", "eq", "order", "rename", "tag", "tag_field", "gc"),
        *("dict", "omit_defaults", "forbid_unknown_fields", "array_like", "repr_omit_defaults", "weakref"),
        "cache_hash",
    )
)


class ModelStructMeta(msgspec.StructMeta):
    """Takes ``model=``, ``partial=`` and ``exclude=``; the other keywords are msgspec's."""

    def __new__(
        mcls: type[M],
        name: str,
        bases: Bases,
        namespace: Namespace,
        *,
        model: type[Model] | None = None,
        partial: bool = False,
        exclude: Iterable[str] = (),
        **options: Any,
    ) -> M:
        check_options(options, _KEYWORDS, f"class {name}")
        if model is None:
            model = next(
                (info.model for info in map(own_info, filter(_is_ours, bases)) if info.model is not None), None
            )
        if exclude:
            bases, namespace = _without(bases, namespace, tuple(exclude), name)
        names: Names = caller_namespaces(1)
        annotations = resolve_annotations(declared_annotations(namespace), namespace, names)
        computed_fields = take_computed(namespace, annotations)
        if model is not None:
            _check_names(name, bases, annotations)
        if partial:
            annotations = {**_inherited_annotations(bases), **annotations}
        columns = {field: column_in(annotation) for field, annotation in annotations.items()}
        absent = {field for field in annotations if partial or columns[field].read_only}
        declared = {field: may_be_absent(entry) if field in absent else entry for field, entry in annotations.items()}
        for field, annotation in annotations.items():
            if model is not None:
                annotation = with_constraints(model, field, annotation)
            annotations[field] = annotation
            if field in computed_fields:
                annotations[field], namespace[field] = may_be_absent(annotation), UNSET
            elif field in absent:
                annotations[field] = may_be_absent(annotation)
                namespace.setdefault(field, UNSET)
        namespace |= {
            "__annotations__": annotations,
            "__model__": model,
            STRUCT_INFO: StructInfo(model, columns, computed_fields, declared),
        }
        made = super().__new__(mcls, name, bases, namespace, **{"kw_only": True, **options})
        if model is not None:
            _unchecked.append(made)
            check_all()
        return made


_unchecked: list[Any] = []  # made before Django knew all models, or before a name in an annotation had its meaning


def check_all(*, final: bool = False) -> None:
    """Check every class that is not yet; with ``final``, an unknown name in an annotation is an error."""
    if not apps.models_ready:
        return
    for cls in list(_unchecked):
        _unchecked.remove(cls)
        try:
            read_plan_of(cls)
        except NameError as error:
            if final:
                raise ConfigurationError(
                    f"{cls.__qualname__}: the annotation {error.name!r} is unknown.", id="P002"
                ) from error
            _unchecked.append(cls)


# --- bases ---------------------------------------------------------------------------------------------------------


def _is_ours(base: type) -> bool:
    return isinstance(base, ModelStructMeta)


def _parents(bases: Bases) -> Iterator[type]:
    """Yield the classes of this metaclass that fields are inherited from; what a later one says wins."""
    for base in reversed(bases):
        yield from filter(_is_ours, reversed(base.__mro__))


def _check_names(name: str, bases: Bases, fields: Iterable[str]) -> None:
    """Raise :class:`ConfigurationError` for a field that would take the place of a method: ``get``, ``update``."""
    methods = vars(next(_parents(bases)))
    for field in fields:
        if callable(methods.get(field)) or isinstance(methods.get(field), classmethod):
            raise ConfigurationError(
                f"{name}.{field}: a ModelStruct has a method {field}(). Give the field another name here, and its "
                f'own to clients: {field}_: Annotated[..., Column("{field}")] = msgspec.field(name="{field}").',
                id="M011",
            )


def _inherited_annotations(bases: Bases) -> dict[str, object]:
    found: dict[str, object] = {}
    for parent in _parents(bases):
        found |= own_info(parent).declared  # without what a column demands, which is added once
    return found


def _without(bases: Bases, namespace: Namespace, excluded: tuple[str, ...], name: str) -> tuple[Bases, Namespace]:
    """Return bases and namespace as if the bases had never had the excluded fields: with copies of the others."""
    annotations = _inherited_annotations(bases)
    unknown = set(excluded) - annotations.keys()
    if unknown:
        raise ConfigurationError(f"{name}: exclude names {', '.join(sorted(unknown))}, which no base has.", id="M012")
    copied: Namespace = {}
    for parent in _parents(bases):
        if own_info(parent).model is not None:
            fields = {field.name: field for field in msgspec.structs.fields(cast("StructClass", parent))}
            copied |= {key: value for key, value in vars(parent).items() if key not in {*_OF_ONE_CLASS, *fields}}
            for key, field in fields.items():
                if field.default_factory is not msgspec.NODEFAULT:
                    copied[key] = msgspec.field(default_factory=field.default_factory)
                elif not field.required:
                    copied[key] = field.default
    kept = {field: entry for field, entry in annotations.items() if field not in excluded}
    kept |= declared_annotations(namespace)
    copied = {key: value for key, value in copied.items() if key not in excluded}
    return (next(_parents(bases)),), {**copied, **namespace, "__annotations__": kept}


_OF_ONE_CLASS = frozenset(
    (
        *("__annotations__", "__dict__", "__match_args__", "__model__", "__slots__", "__weakref__", STRUCT_INFO),
        *("__struct_config__", "__struct_encode_fields__", "__struct_fields__"),
    )
)


class ModelStruct(msgspec.Struct, metaclass=ModelStructMeta):
    """Fields of a Django model as clients see or send them: ``class ProductOut(ModelStruct, model=Product)``.

    A field is a column, or what :class:`Column` says; a nested ``ModelStruct`` is a foreign key, joined; a list of them
    is the other side of one, or many-to-many: one more query for all rows. ``partial=True`` lets every field be absent
    (``UNSET``), ``exclude`` drops fields of a base. Fields are keyword-only unless ``kw_only=False``.

    Raises :class:`~hybrid_gateway.ConfigurationError` for a field that the model lacks or whose type cannot hold it.
    """

    if TYPE_CHECKING:
        __model__: ClassVar[type[Model]]

        def __init_subclass__(
            cls, *, model: type[Model] | None = None, partial: bool = False, exclude: Iterable[str] = (), **options: Any
        ) -> None: ...

    @classmethod
    def fetch(cls, queryset: Source | RawQuerySet[Any]) -> list[Self]:
        """Return the rows of ``queryset`` (of a manager: all) in its order: one query, and one per list of a row."""
        return fetch(cls, queryset)

    @classmethod
    async def afetch(cls, queryset: Source | RawQuerySet[Any]) -> list[Self]:
        """:meth:`fetch`, on the thread of the request."""
        return await on_request_thread(cls.fetch, queryset)

    @classmethod
    def get(cls, queryset: Source) -> Self:
        """Return the one row of ``queryset``; none is 404 (:class:`~hybrid_gateway.exceptions.NotFound`).

        Raises the model's ``MultipleObjectsReturned`` for more.
        """
        return get(cls, queryset)

    @classmethod
    async def aget(cls, queryset: Source) -> Self:
        """:meth:`get`, on the thread of the request."""
        return await on_request_thread(cls.get, queryset)

    def create(self, *, using: str | None = None, full_clean: bool = False, **extra: object) -> Any:
        """Save a new row and return the instance. ``extra`` are attributes that clients do not send (``owner=user``).

        The model's validators run for what clients sent, ``full_clean`` runs all of its checks; what they reject is 422
        with the place of the field, as is a foreign key that leads nowhere. A row that contradicts another is 409.
        """
        return create(self, extra, using=using, full_clean=full_clean)

    async def acreate(self, *, using: str | None = None, full_clean: bool = False, **extra: object) -> Any:
        """:meth:`create`, on the thread of the request."""
        return await on_request_thread(self.create, using=using, full_clean=full_clean, **extra)

    def update(self, instance: Model, *, using: str | None = None, full_clean: bool = False, **extra: object) -> Any:
        """Write the fields that are not ``UNSET`` to ``instance`` and save those; errors as in :meth:`create`.

        A row that is gone is 404.
        """
        return update(self, instance, extra, using=using, full_clean=full_clean)

    async def aupdate(
        self, instance: Model, *, using: str | None = None, full_clean: bool = False, **extra: object
    ) -> Any:
        """:meth:`update`, on the thread of the request."""
        return await on_request_thread(self.update, instance, using=using, full_clean=full_clean, **extra)

    @classmethod
    def create_many(
        cls, items: Sequence[Self], *, using: str | None = None, full_clean: bool = False, **extra: object
    ) -> list[Any]:
        """Save new rows, all of them or none; errors name the items by their numbers."""
        return create_many(items, extra, using=using, full_clean=full_clean)

    @classmethod
    def update_many(
        cls, items: Sequence[Self], queryset: Source, *, using: str | None = None, full_clean: bool = False
    ) -> list[Any]:
        """Change the rows of ``queryset`` that the items name by their keys, all of them or none."""
        return update_many(items, queryset, using=using, full_clean=full_clean)

    @classmethod
    def from_model(cls, instance: Model) -> Self:
        """Return the Struct of an instance. What that has not loaded costs queries, as any attribute access does."""
        return from_model(cls, instance)


def model_struct(
    model: type[Model],
    *,
    fields: Iterable[str] = (),
    exclude: Iterable[str] = (),
    name: str | None = None,
    partial: bool = False,
    **options: Any,
) -> Any:
    """Make a :class:`ModelStruct` of the columns that ``fields`` names, or of all but those that ``exclude`` does.

    For scripts and generated APIs: a type checker knows nothing of its fields. One of the two must be given, so that a
    column which is added to the model one day is not shown to everybody by that.
    """
    wanted, unwanted = set(fields), set(exclude)
    if bool(wanted) == bool(unwanted):
        raise ConfigurationError("model_struct() needs either fields= or exclude=.", id="M012")
    known = {field.name: field for field in model._meta.concrete_fields}
    unknown = (wanted | unwanted) - known.keys()
    if unknown:
        raise ConfigurationError(f"{model.__name__} has no columns {', '.join(sorted(unknown))}.", id="M005")
    chosen = {key: field for key, field in known.items() if (key in wanted if wanted else key not in unwanted)}
    namespace = {
        "__module__": model.__module__,
        "__annotations__": {key: annotation_for(field) for key, field in chosen.items()},
    }
    title = name or f"{model.__name__}Struct"
    return ModelStructMeta(title, (ModelStruct,), namespace, model=model, partial=partial, **options)
