"""Composite keys: one value of several columns, shown as a tuple or a list of them."""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Any

from hybrid_gateway.exceptions import ConfigurationError

__all__ = ["reader"]

Convert = Callable[[Any], Any]


def reader(
    kind: Any, key: Any, converter: Callable[[Any, Any, str, str], Convert | None], where: str, told: str
) -> Convert | None:
    """What makes a value of ``kind`` of the values of ``key``, whose columns are converted by ``converter``.

    Raises :class:`ConfigurationError` for a type that is neither a tuple nor a list with a type for each column.
    """
    if kind in (Any, object):
        return None
    made, inner = typing.get_origin(kind) or kind, typing.get_args(kind) or (Any, ...)
    items = inner[:1] * len(key.fields) if made is list or inner[1:] == (...,) else inner
    if made not in (list, tuple) or len(items) != len(key.fields):
        fields = ", ".join(part.name for part in key.fields)
        raise ConfigurationError(f"{where}: {told} is {fields}: a tuple with a type for each of them, or a list.")
    converts = [converter(item, part, where, told) or _itself for item, part in zip(items, key.fields, strict=True)]

    def convert(values: Any) -> Any:
        return made([change(value) for change, value in zip(converts, values, strict=True)])

    return convert


def _itself(value: Any) -> Any:
    return value
