"""``ModelStruct``: a Struct whose fields are columns of a Django model, checked when the class is made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import msgspec
from asgiref.sync import sync_to_async
from django.db.models import Model
from django.db.models.query import RawQuerySet

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.columns.column_types import annotation_for
from hybrid_gateway.orm.querysets.queryset_source import Source
from hybrid_gateway.orm.read.fetch import fetch, get
from hybrid_gateway.orm.read.instances import from_model
from hybrid_gateway.orm.struct_meta import ModelStructMeta
from hybrid_gateway.orm.write.instance_writer import create, create_many, update, update_many

__all__ = ["ModelStruct", "model_struct"]


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
            cls,
            *,
            model: type[Model] | None = None,
            partial: bool = False,
            exclude: Iterable[str] = (),
            **options: Any,
        ) -> None: ...

    @classmethod
    def fetch(cls, queryset: Source | RawQuerySet[Any]) -> list[Self]:
        """Return the rows of ``queryset`` (of a manager: all) in its order: one query, and one per list of a row."""
        return fetch(cls, queryset)

    @classmethod
    async def afetch(cls, queryset: Source | RawQuerySet[Any]) -> list[Self]:
        """:meth:`fetch`, on the thread of the request."""
        return await sync_to_async(cls.fetch)(queryset)

    @classmethod
    def get(cls, queryset: Source) -> Self:
        """Return the one row of ``queryset``; none is 404 (:class:`~hybrid_gateway.exceptions.NotFound`).

        Raises the model's ``MultipleObjectsReturned`` for more.
        """
        return get(cls, queryset)

    @classmethod
    async def aget(cls, queryset: Source) -> Self:
        """:meth:`get`, on the thread of the request."""
        return await sync_to_async(cls.get)(queryset)

    def create(self, *, using: str | None = None, full_clean: bool = False, **extra: object) -> Any:
        """Save a new row and return the instance. ``extra`` are attributes that clients do not send (``owner=user``).

        The model's validators run for what clients sent, ``full_clean`` runs all of its checks; what they reject is 422
        with the place of the field, as is a foreign key that leads nowhere. A row that contradicts another is 409.
        """
        return create(self, extra, using=using, full_clean=full_clean)

    async def acreate(self, *, using: str | None = None, full_clean: bool = False, **extra: object) -> Any:
        """:meth:`create`, on the thread of the request."""
        return await sync_to_async(self.create)(using=using, full_clean=full_clean, **extra)

    def update(self, instance: Model, *, using: str | None = None, full_clean: bool = False, **extra: object) -> Any:
        """Write the fields that are not ``UNSET`` to ``instance`` and save those; errors as in :meth:`create`.

        A row that is gone is 404.
        """
        return update(self, instance, extra, using=using, full_clean=full_clean)

    async def aupdate(
        self, instance: Model, *, using: str | None = None, full_clean: bool = False, **extra: object
    ) -> Any:
        """:meth:`update`, on the thread of the request."""
        return await sync_to_async(self.update)(instance, using=using, full_clean=full_clean, **extra)

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
    return ModelStructMeta(title, (ModelStruct,), namespace, model=model, partial=partial, **options)
