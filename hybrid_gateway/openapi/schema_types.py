"""Types of schemas and of their writers; validation of defaults by as much of JSON Schema as that needs."""

from __future__ import annotations

import enum
import operator
import re
from collections.abc import Callable, Mapping
from types import NoneType
from typing import Any, Protocol

from msgspec import inspect as mi

JSONObject = dict[str, Any]
"""An object of the document. SPEC: OpenAPI 3.1 and JSON Schema 2020-12 say what is where in it."""

Schema = JSONObject
"""A schema, JSON Schema 2020-12."""


class Use(enum.Enum):
    """The way of a value: it is read from text, received in a body, or sent."""

    TEXT = "text"
    RECEIVED = "received"
    SENT = "sent"


class SchemaWriter(Protocol):
    """Writes the schemas of one document; what a writer of one kind of type asks for those inside it."""

    use: Use
    """Of what is being written."""
    components: dict[str, Schema]
    """Of the classes so far, by name."""
    unknown: dict[str, None]
    """What could not be written, in words."""

    def schema(self, kind: object, use: Use = Use.SENT) -> Schema:
        """Return the schema of a type."""
        ...

    def write(self, info: mi.Type) -> Schema:
        """Return the schema of a type that has been read."""
        ...

    def component(self, cls: object, title: str, write: Callable[[], Schema]) -> Schema:
        """Return a reference to a class, which ``write`` writes when it is first asked for."""
        ...


WriteType = Callable[[SchemaWriter, Any], Schema]
"""``write(writer, info)``: the schema of one kind of type, which ``msgspec.inspect`` has described by ``info``."""


# --- validation ----------------------------------------------------------------------------------------------------

JSON_TYPES = ((str, "string"), (bool, "boolean"), (int, "integer"), (float, "number"), (NoneType, "null"))

IsWithin = Callable[..., bool]  # of a value and its bound


def admits(schema: Schema, value: object, components: Mapping[str, Schema], *, bounds: bool = True) -> bool:
    """Return whether ``value`` is of the type or among the choices of ``schema``; with ``bounds``, within those."""
    if "$ref" in schema:
        schema = components.get(schema["$ref"].rpartition("/")[2], {})
    if "anyOf" in schema:
        return any(admits(member, value, components, bounds=bounds) for member in schema["anyOf"])
    if "const" in schema or "enum" in schema:
        return any(type(known) is type(value) and known == value for known in schema.get("enum", [schema.get("const")]))
    names = {name for kind, name in (*JSON_TYPES, (list, "array"), (dict, "object")) if type(value) is kind}
    if "integer" in names:
        names.add("number")
    kinds = schema.get("type", names)
    if names.isdisjoint([kinds] if isinstance(kinds, str) else kinds):
        return False
    limits = _BOUNDS.get(type(value), {}) if bounds else {}
    if not all(is_within(value, schema[word]) for word, is_within in limits.items() if word in schema):
        return False
    if isinstance(value, list):
        return all(admits(schema.get("items", {}), entry, components, bounds=bounds) for entry in value)
    if not isinstance(value, dict):
        return True
    named = schema.get("properties", {}).items()
    return all(admits(inner, value[name], components, bounds=bounds) for name, inner in named if name in value)


_NUMBERS: Mapping[str, IsWithin] = {
    "minimum": operator.ge,
    "exclusiveMinimum": operator.gt,
    "maximum": operator.le,
    "exclusiveMaximum": operator.lt,
    "multipleOf": lambda value, factor: value % factor == 0,
}
_BOUNDS: Mapping[type, Mapping[str, IsWithin]] = {
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
