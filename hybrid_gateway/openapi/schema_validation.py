"""Whether a schema of the document allows a value: as much of JSON Schema as defaults are held to."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from types import NoneType
from typing import Any

__all__ = ["JSON_TYPES", "admits"]

JSON_TYPES = ((str, "string"), (bool, "boolean"), (int, "integer"), (float, "number"), (NoneType, "null"))

Keeps = Callable[[Any, Any], bool]


def admits(schema: Mapping[str, Any], value: Any, components: Mapping[str, Any], *, bounds: bool = True) -> bool:
    """Whether ``value`` is of the type that ``schema`` names, or one of its choices; with ``bounds``, within those."""
    if "$ref" in schema:
        schema = components.get(schema["$ref"].rpartition("/")[2], {})
    if "anyOf" in schema:
        return any(admits(member, value, components, bounds=bounds) for member in schema["anyOf"])
    if "const" in schema or "enum" in schema:
        return any(type(known) is type(value) and known == value for known in schema.get("enum", [schema.get("const")]))
    names = _names_of(value)
    kinds = schema.get("type", names)
    if names.isdisjoint([kinds] if isinstance(kinds, str) else kinds):
        return False
    limits = _BOUNDS.get(type(value), {}) if bounds else {}
    if not all(keeps(value, schema[word]) for word, keeps in limits.items() if word in schema):
        return False
    if isinstance(value, list):
        return all(admits(schema.get("items", {}), entry, components, bounds=bounds) for entry in value)
    named = schema.get("properties", {}) if isinstance(value, dict) else {}
    return all(admits(named[name], value[name], components, bounds=bounds) for name in named if name in value)


def _names_of(value: Any) -> set[str]:
    """What JSON Schema calls the type of a value of JSON."""
    found = {name for kind, name in (*JSON_TYPES, (list, "array"), (dict, "object")) if type(value) is kind}
    return {*found, "number"} if "integer" in found else found


_NUMBERS: Mapping[str, Keeps] = {
    "minimum": operator.ge,
    "exclusiveMinimum": operator.gt,
    "maximum": operator.le,
    "exclusiveMaximum": operator.lt,
    "multipleOf": lambda value, factor: value % factor == 0,
}
_BOUNDS: Mapping[type, Mapping[str, Keeps]] = {
    int: _NUMBERS,
    float: _NUMBERS,
    str: {
        "minLength": lambda value, least: len(value) >= least,
        "maxLength": lambda value, most: len(value) <= most,
        "pattern": lambda value, pattern: re.search(pattern, value) is not None,
    },
    list: {
        "minItems": lambda value, least: len(value) >= least,
        "maxItems": lambda value, most: len(value) <= most,
    },
}
