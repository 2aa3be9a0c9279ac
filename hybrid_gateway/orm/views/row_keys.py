"""The path of one row: its key, another unique column, or the columns of its key."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from django.db.models import Field, Model

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.columns.column_types import annotation_for
from hybrid_gateway.orm.columns.model_fields import key_columns, value_field

__all__ = ["RowKey"]


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
