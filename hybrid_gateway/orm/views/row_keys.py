"""How one row is named in the path of a route: by its key, by another unique column, or by the columns of its key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from django.db.models import CompositePrimaryKey

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.columns.column_types import annotation_for
from hybrid_gateway.orm.columns.model_fields import value_field

__all__ = ["RowKey"]


class RowKey:
    """The parameters of a path that name a row of ``model``: ``/{pk}``, ``/{slug}``, or ``/{tenant_id}/{number}``."""

    def __init__(self, model: Any, lookup: str, where: str) -> None:
        field: Any = model._meta.pk if lookup == "pk" else model._meta.get_field(lookup)
        self._columns: dict[str, Any]
        if isinstance(field, CompositePrimaryKey):
            parts: Any = field.fields
            self._columns = {part.attname: part for part in parts}
        elif not field.unique:
            raise ConfigurationError(f"{where}.lookup={lookup!r} must be a unique column.")
        else:
            self._columns = {lookup: field}

    @property
    def path(self) -> str:
        """What comes behind the path of the list."""
        return "".join(f"/{{{name}}}" for name in self._columns)

    @property
    def annotations(self) -> dict[str, Any]:
        """The types of the parameters."""
        return {name: annotation_for(value_field(field)) for name, field in self._columns.items()}

    def take(self, values: dict[str, Any]) -> Mapping[str, Any]:
        """The condition that finds the row, taken out of the values of parameters."""
        return {name: values.pop(name) for name in self._columns}

    def path_of(self, instance: Any) -> str:
        """Where an instance is, behind the path of the list."""
        values = [getattr(instance, field.attname) for field in self._columns.values()]
        return "".join(f"/{quote(_text(value), safe='')}" for value in values)

    def __contains__(self, name: str) -> bool:
        return name in self._columns


def _text(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
