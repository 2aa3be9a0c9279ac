"""Fields of serializers → fields of a ``ModelStruct``.

How this works: a table says for every class of field of REST framework how its values look beside those of the column,
by the class whose ``to_representation`` it has. A field with one of its own is read by nobody: :class:`UnmovedError`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from django.conf import settings
from django.core.files.storage import default_storage
from django.db import models
from msgspec import Struct, field
from rest_framework import fields
from rest_framework.settings import api_settings

from hybrid_gateway.migration.drf.method_columns import ModelField
from hybrid_gateway.migration.drf.module_parts import Parts
from hybrid_gateway.migration.form import Difference
from hybrid_gateway.migration.source_place import place_of

DRFField: TypeAlias = Any
"""A field of a serializer; the package has no types."""


class UnmovedError(Exception):
    """Something that is not written anew, and the place of the original."""

    def __init__(self, reason: str, place: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.place = place


class Column(Struct):
    """A column as a field shows it: what it is, and the function of the module that makes it a text."""

    annotation: str
    function: str = ""
    differences: list[Difference] = field(default_factory=list)


Reader: TypeAlias = Callable[[Parts, DRFField, ModelField, str], Column]


def column_type(parts: Parts, column: ModelField) -> str:
    """Return the type that Python has for a column."""
    for known, (module, name) in _TYPES.items():
        if isinstance(column, known):
            if module == "datetime":
                return parts.moment(name)
            return parts.names.use(module, name) if module else name
    if type(column).__name__ == "ArrayField":
        return f"list[{column_type(parts, getattr(column, 'base_field'))}]"  # noqa: B009
    return "object"


_TYPES: dict[type, tuple[str, str]] = {
    models.BooleanField: ("", "bool"),
    models.IntegerField: ("", "int"),
    models.FloatField: ("", "float"),
    models.DecimalField: ("decimal", "Decimal"),
    models.DateTimeField: ("datetime", "datetime"),
    models.DateField: ("datetime", "date"),
    models.TimeField: ("datetime", "time"),
    models.DurationField: ("datetime", "timedelta"),
    models.UUIDField: ("uuid", "UUID"),
    models.JSONField: ("", "object"),
    models.GenericIPAddressField: ("", "str"),
    models.FileField: ("", "str"),
    models.CharField: ("", "str"),
    models.TextField: ("", "str"),
    models.FilePathField: ("", "str"),
}


def read_column(parts: Parts, shown: DRFField, column: ModelField, where: str) -> Column:
    """Return how a field of a serializer shows a column; raise :class:`UnmovedError` where no table knows."""
    kind = _kind_of(shown)
    reader = _READERS.get(kind)
    if reader is None:
        raise UnmovedError(
            f"`{where}` is a {type(shown).__name__}, with a to_representation of its own.", place_of(type(shown))
        )
    return reader(parts, shown, column, where)


def _kind_of(shown: DRFField) -> type | None:
    """Return the known class whose way to show a value a field has."""
    method = type(shown).to_representation
    kinds: list[Any] = [kind for kind in type(shown).__mro__ if kind in _READERS]
    return next((kind for kind in kinds if kind.to_representation is method), None)


def _as_it_is(*columns: type) -> Reader:
    def read(parts: Parts, shown: DRFField, column: ModelField, where: str) -> Column:
        if not isinstance(column, columns):
            raise UnmovedError(
                f"`{where}` shows a {type(column).__name__} by a {type(shown).__name__}.", place_of(type(shown))
            )
        return Column(column_type(parts, column))

    return read


def _big(parts: Parts, shown: DRFField, column: ModelField, where: str) -> Column:
    if getattr(shown, "coerce_to_string", None) or getattr(api_settings, "COERCE_BIGINT_TO_STRING", False):
        raise UnmovedError(f"`{where}` shows a number as a text.")
    return _as_it_is(models.IntegerField)(parts, shown, column, where)


def _decimal(parts: Parts, shown: DRFField, column: ModelField, where: str) -> Column:
    coerces = getattr(shown, "coerce_to_string", api_settings.COERCE_DECIMAL_TO_STRING)
    if (
        not isinstance(column, models.DecimalField)
        or shown.localize
        or shown.decimal_places not in (None, column.decimal_places)
    ):
        raise UnmovedError(f"`{where}` shows another number of places than its column has.")
    if not coerces:
        return Column("float", parts.number())
    many = (column.decimal_places or 0) > 6
    return Column("str", parts.decimal_text()) if many else Column(column_type(parts, column))


def _datetime(parts: Parts, shown: DRFField, column: ModelField, where: str) -> Column:
    if type(column) is models.DateField:
        raise UnmovedError(f"`{where}` shows a date as a moment.")
    form = getattr(shown, "format", api_settings.DATETIME_FORMAT)
    zone = str(getattr(shown, "timezone", None) or settings.TIME_ZONE)
    if settings.USE_TZ and zone != settings.TIME_ZONE:
        raise UnmovedError(f"`{where}` is shown in a time zone of its own.")
    if form == fields.ISO_8601 and (not settings.USE_TZ or zone in ("UTC", "Etc/UTC")):
        return Column(column_type(parts, column))
    if form == fields.ISO_8601:
        return Column("str", parts.local_text())
    if form is None:
        return Column(column_type(parts, column))
    return Column("str", parts.moment_text(str(form), "datetime"))


def _day(parts: Parts, shown: DRFField, column: ModelField, where: str) -> Column:
    kind, form = (
        ("date", api_settings.DATE_FORMAT)
        if isinstance(shown, fields.DateField)
        else ("time", api_settings.TIME_FORMAT)
    )
    form = getattr(shown, "format", form)
    if isinstance(column, models.DateTimeField):
        raise UnmovedError(f"`{where}` shows a moment as a {kind}.")
    if form in (None, fields.ISO_8601):
        return Column(column_type(parts, column))
    return Column("str", parts.moment_text(str(form), kind))


def _duration(parts: Parts, shown: DRFField, column: ModelField, where: str) -> Column:
    if getattr(shown, "format", "standard") not in (None, "standard", "[DD] [HH:[MM:]]ss[.uuuuuu]"):
        raise UnmovedError(f"`{where}` has a format of its own.")
    return Column("str", parts.duration_text())


def _file(parts: Parts, shown: DRFField, column: ModelField, where: str) -> Column:
    if not isinstance(column, models.FileField):
        raise UnmovedError(f"`{where}` is no file in the model.")
    if not getattr(shown, "use_url", api_settings.UPLOADED_FILES_USE_URL):
        raise UnmovedError(f"`{where}` shows the name of a file, not its URL.")
    if column.storage is not default_storage:
        return Column(
            "str",
            differences=[Difference(f"value $*.{where.split('.')[-1]}", "the path of a file, not an absolute URL")],
        )
    return Column("str", parts.media_url(), parts.path_difference(where))


def _raw(parts: Parts, shown: DRFField, column: ModelField, where: str) -> Column:
    if isinstance(column, (models.DurationField, models.DateTimeField, models.FileField, models.TimeField)):
        raise UnmovedError(f"`{where}` is a ReadOnlyField, which leaves a {type(column).__name__} to the encoder.")
    if isinstance(column, models.DecimalField):
        return Column("float", parts.number())
    return Column(column_type(parts, column))


def key_type(parts: Parts, column: ModelField) -> str:
    """Return the type of the key that a relation holds, or of a column itself."""
    target: ModelField | None = column
    while target is not None and target.is_relation:
        target = getattr(target, "target_field")  # noqa: B009
    return "object" if target is None else column_type(parts, target)


_TEXT = (models.CharField, models.TextField, models.FilePathField, models.GenericIPAddressField, models.UUIDField)
_READERS: dict[type | None, Reader] = {
    fields.BooleanField: _as_it_is(models.BooleanField),
    fields.CharField: _as_it_is(*_TEXT),
    fields.UUIDField: _as_it_is(models.UUIDField),
    fields.IntegerField: _as_it_is(models.IntegerField),
    getattr(fields, "BigIntegerField", fields.IntegerField): _big,
    fields.FloatField: _as_it_is(models.FloatField),
    fields.DecimalField: _decimal,
    fields.DateTimeField: _datetime,
    fields.DateField: _day,
    fields.TimeField: _day,
    fields.DurationField: _duration,
    fields.ChoiceField: _as_it_is(*_TEXT, models.IntegerField, models.BooleanField),
    fields.JSONField: _as_it_is(models.JSONField),
    fields.ListField: _as_it_is(models.Field),
    fields.FileField: _file,
    fields.ReadOnlyField: _raw,
    fields.ModelField: _raw,
}
