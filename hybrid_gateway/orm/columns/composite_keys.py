"""Composite keys: one value of several columns, shown as a tuple or a list of them."""

from __future__ import annotations

import typing
from typing import Any

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.columns.annotation_types import ANYTHING
from hybrid_gateway.orm.columns.model_fields import key_columns
from hybrid_gateway.orm.columns.value_readers import Converter, ReadTarget

__all__ = ["read_composite_key"]


def read_composite_key(target: ReadTarget) -> Converter | None:
    """Read a composite key as a tuple or a list with a type for each column."""
    kind, columns = target.kind, key_columns(target.field.model)
    if kind in ANYTHING:
        return None
    made, inner = typing.get_origin(kind) or kind, typing.get_args(kind) or (Any, ...)
    items = inner[:1] * len(columns) if made is list or inner[1:] == (...,) else inner
    if made not in (list, tuple) or len(items) != len(columns):
        names = ", ".join(column.name for column in columns)
        raise ConfigurationError(
            f"{target.where}: {target.column} is {names}: a tuple with a type for each of them, or a list."
        )
    converters = [target.inner_converter(item, column) for item, column in zip(items, columns, strict=True)]

    def convert(values: tuple[object, ...]) -> object:
        pairs = zip(converters, values, strict=True)
        return made([value if change is None else change(value) for change, value in pairs])

    return convert
