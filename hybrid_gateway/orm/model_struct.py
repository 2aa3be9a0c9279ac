"""``ModelStruct``: a Struct whose fields are columns of a Django model, checked when the class is made.

How this works: the metaclass settles the annotations before msgspec sees them (what a ``choices`` or ``max_length``
says is added, ``partial`` fields may be absent) and, once Django knows all models, asks :mod:`~.shape` how the class is
read. A class that is made before that, in a ``models.py``, is checked when the apps are ready.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import msgspec
from asgiref.sync import sync_to_async
from django.apps import apps
from django.db.models import Model
from msgspec import UNSET

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.columns.column_types import annotation_for
from hybrid_gateway.orm.columns.struct_annotations import (
    column_in,
    optional,
    own_annotations,
    refined,
    resolved,
    take_computed,
)
from hybrid_gateway.orm.introspection import StructInfo, own_info
from hybrid_gateway.orm.read.fetch import fetch, get
from hybrid_gateway.orm.read.instances import from_model
from hybrid_gateway.orm.read.plan_builder import read_plan_of
from hybrid_gateway.orm.write.bulk_writer import create_many, update_many
from hybrid_gateway.orm.write.instance_writer import create, update
from hybrid_gateway.spelling import check_options

__all__ = ["ModelStruct", "check_all", "model_struct"]


_KEYWORDS = frozenset(
    (
        *("model", "partial", "exclude", "kw_only", "frozen", "eq", "order", "rename", "tag", "tag_field", "gc"),
        *(
            "omit_defaults",
            "forbid_unknown_fields",
            "array_like",
            "repr_omit_defaults",
            "weakref",
            "cache_hash",
            "dict",
        ),
    )
)


class _ModelStructMeta(msgspec.StructMeta):
    """Takes ``model=``, ``partial=`` and ``exclude=``; the other keywords are msgspec's."""

    def __new__(
        mcls,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        model: type[Model] | None = None,
        partial: bool = False,
        exclude: Iterable[str] = (),
        **options: Any,
    ) -> Any:
        check_options(options, _KEYWORDS, f"class {name}")
        inherited = next((base for base in bases if getattr(base, "__model__", None) is not None), None)
        if model is None and inherited is not None:
            model = inherited.__model__  # type: ignore[attr-defined]
        if exclude:
            bases, namespace = _without(bases, namespace, tuple(exclude), name)
        annotations = resolved(own_annotations(namespace), namespace, name)
        computed_fields = take_computed(namespace, annotations)
        if model is not None:
            _check_names(name, annotations)
        if partial:
            annotations = {**_inherited_annotations(bases), **annotations}
        columns = {field: column_in(annotation) for field, annotation in annotations.items()}
        absent = {field for field in annotations if partial or columns[field].read_only}
        declared = {field: optional(entry) if field in absent else entry for field, entry in annotations.items()}
        namespace["__struct_info__"] = StructInfo(model, columns, computed_fields, declared)
        if model is not None:
            annotations = {field: refined(model, field, entry) for field, entry in annotations.items()}
        for field, annotation in annotations.items():
            if field in computed_fields:
                annotations[field], namespace[field] = optional(annotation), UNSET
            elif field in absent:
                annotations[field] = optional(annotation)
                namespace.setdefault(field, UNSET)
        namespace["__annotations__"] = annotations
        namespace["__model__"] = model
        options.setdefault("kw_only", True)
        cls = super().__new__(mcls, name, bases, namespace, **options)
        if model is not None:
            _pending.append(cls)
            check_all()
        return cls


_pending: list[Any] = []  # made before Django knew all models, or before a name in an annotation had its meaning


def check_all(*, final: bool = False) -> None:
    """Check every class that is not yet; with ``final``, an unknown name in an annotation is an error."""
    if not apps.models_ready:
        return
    for cls in list(_pending):
        _pending.remove(cls)
        try:
            read_plan_of(cls)
        except NameError as error:
            if final:
                raise ConfigurationError(f"{cls.__qualname__}: the annotation {error.name!r} is unknown.") from error
            _pending.append(cls)


def _check_names(name: str, fields: Iterable[str]) -> None:
    """Raise :class:`ConfigurationError` for a field that would take the place of a method: ``get``, ``update``."""
    for field in fields:
        if callable(vars(ModelStruct).get(field)) or isinstance(vars(ModelStruct).get(field), classmethod):
            raise ConfigurationError(
                f"{name}.{field}: a ModelStruct has a method {field}(). Give the field another name here, and its "
                f'own to clients: {field}_: Annotated[..., Column("{field}")] = msgspec.field(name="{field}").'
            )


# --- bases ---------------------------------------------------------------------------------------------------------


def _inherited_annotations(bases: Sequence[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for base in reversed(bases):
        for parent in reversed(base.__mro__):
            if isinstance(parent, _ModelStructMeta):
                found |= own_info(parent).declared  # without what a column demands, which is added once
    return found


def _without(
    bases: tuple[Any, ...], namespace: dict[str, Any], excluded: tuple[str, ...], name: str
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The class as if its bases had never had the fields that are excluded: on its own, with copies of the others."""
    annotations = _inherited_annotations(bases)
    unknown = set(excluded) - annotations.keys()
    if unknown:
        raise ConfigurationError(f"{name}: exclude names {', '.join(sorted(unknown))}, which no base has.")
    copied: dict[str, Any] = {}
    for base in reversed(bases):
        for parent in reversed(base.__mro__):
            if isinstance(parent, _ModelStructMeta) and parent.__dict__.get("__model__") is not None:
                members = {key: value for key, value in vars(parent).items() if key not in _MADE_BY_MSGSPEC}
                known: Any = parent
                fields = {field.name: field for field in msgspec.structs.fields(known)}
                defaults = {key: _default(fields[key]) for key in fields if not fields[key].required}
                copied |= {key: value for key, value in members.items() if key not in fields} | defaults
    kept = {field: entry for field, entry in annotations.items() if field not in excluded}
    copied = {key: value for key, value in copied.items() if key not in excluded}
    kept |= own_annotations(namespace)
    return (ModelStruct,), {**copied, **namespace, "__annotations__": kept}


def _default(field: Any) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return msgspec.field(default_factory=field.default_factory)
    return field.default


_MADE_BY_MSGSPEC = frozenset(
    (
        "__annotations__",
        "__dict__",
        "__match_args__",
        "__model__",
        "__slots__",
        "__struct_info__",
        "__struct_config__",
        "__struct_encode_fields__",
        "__struct_fields__",
        "__weakref__",
    )
)


# --- the class -----------------------------------------------------------------------------------------------------


class ModelStruct(msgspec.Struct, metaclass=_ModelStructMeta):
    """Fields of a Django model as clients see or send them: ``class ProductOut(ModelStruct, model=Product)``.

    A field is a column, or what :class:`Column` says; a nested ``ModelStruct`` is a foreign key, joined; a list of them
    is the other side of one, or many-to-many: one more query for all rows. ``partial=True`` lets every field be absent
    (``UNSET``), ``exclude`` drops fields of a base. Fields are keyword-only unless ``kw_only=False``.

    Raises :class:`~hybrid_gateway.ConfigurationError` for a field that the model lacks or whose type cannot hold it.
    """

    if TYPE_CHECKING:
        __model__: ClassVar[type[Model]]

        def __init_subclass__(
            cls,
            *,
            model: type[Model] | None = None,
            partial: bool = False,
            exclude: Iterable[str] = (),
            **options: Any,
        ) -> None: ...

    @classmethod
    def fetch(cls, queryset: Any) -> list[Self]:
        """The rows of ``queryset`` (or of all, of a manager), in its order: one query, and one per list of a row."""
        found: list[Self] = fetch(cls, queryset)
        return found

    @classmethod
    async def afetch(cls, queryset: Any) -> list[Self]:
        """:meth:`fetch`, on the thread of the request."""
        return await sync_to_async(cls.fetch)(queryset)

    @classmethod
    def get(cls, queryset: Any) -> Self:
        """The one row of ``queryset``; none is 404 (:class:`~hybrid_gateway.exceptions.NotFound`).

        Raises the model's ``MultipleObjectsReturned`` for more.
        """
        found: Self = get(cls, queryset)
        return found

    @classmethod
    async def aget(cls, queryset: Any) -> Self:
        """:meth:`get`, on the thread of the request."""
        return await sync_to_async(cls.get)(queryset)

    def create(self, *, using: str | None = None, full_clean: bool = False, **extra: Any) -> Any:
        """A new row: the instance, saved. ``extra`` are attributes that clients do not send (``owner=user``).

        The model's validators run for what clients sent, ``full_clean`` runs all of its checks; what they refuse is 422
        with the place of the field, as is a foreign key that leads nowhere. A row that contradicts another is 409.
        """
        return create(self, extra, using=using, full_clean=full_clean)

    async def acreate(self, *, using: str | None = None, full_clean: bool = False, **extra: Any) -> Any:
        """:meth:`create`, on the thread of the request."""
        return await sync_to_async(self.create)(using=using, full_clean=full_clean, **extra)

    def update(self, instance: Any, *, using: str | None = None, full_clean: bool = False, **extra: Any) -> Any:
        """Write the fields that are not ``UNSET`` to ``instance`` and save those; errors as in :meth:`create`.

        A row that is gone is 404.
        """
        return update(self, instance, extra, using=using, full_clean=full_clean)

    async def aupdate(self, instance: Any, *, using: str | None = None, full_clean: bool = False, **extra: Any) -> Any:
        """:meth:`update`, on the thread of the request."""
        return await sync_to_async(self.update)(instance, using=using, full_clean=full_clean, **extra)

    @classmethod
    def create_many(
        cls, items: Sequence[Self], *, using: str | None = None, full_clean: bool = False, **extra: Any
    ) -> list[Any]:
        """New rows, all of them or none; the faults of all items are told, by their numbers."""
        return create_many(items, extra, using=using, full_clean=full_clean)

    @classmethod
    def update_many(
        cls, items: Sequence[Self], queryset: Any, *, using: str | None = None, full_clean: bool = False
    ) -> list[Any]:
        """Change the rows of ``queryset`` that the items name by their keys, all of them or none."""
        return update_many(items, queryset, using=using, full_clean=full_clean)

    @classmethod
    def from_model(cls, instance: Model) -> Self:
        """What clients may see of an instance. What it has not loaded costs queries, as any attribute access does."""
        made: Self = from_model(cls, instance)
        return made


def model_struct(
    model: type[Model],
    *,
    fields: Iterable[str] = (),
    exclude: Iterable[str] = (),
    name: str | None = None,
    partial: bool = False,
    **options: Any,
) -> Any:
    """A :class:`ModelStruct` of the columns that ``fields`` names, or of all but those that ``exclude`` does.

    For scripts and generated APIs: a type checker knows nothing of its fields. One of the two must be given, so that a
    column which is added to the model one day is not shown to everybody by that.
    """
    wanted, unwanted = set(fields), set(exclude)
    if bool(wanted) == bool(unwanted):
        raise ConfigurationError("model_struct() needs either fields= or exclude=.")
    known = {field.name: field for field in model._meta.concrete_fields}
    unknown = (wanted | unwanted) - known.keys()
    if unknown:
        raise ConfigurationError(f"{model.__name__} has no columns {', '.join(sorted(unknown))}.")
    chosen = {key: field for key, field in known.items() if (key in wanted if wanted else key not in unwanted)}
    namespace = {
        "__module__": model.__module__,
        "__annotations__": {key: annotation_for(field) for key, field in chosen.items()},
    }
    title = name or f"{model.__name__}Struct"
    return _ModelStructMeta(title, (ModelStruct,), namespace, model=model, partial=partial, **options)
