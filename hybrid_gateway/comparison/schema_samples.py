"""A value that a schema of an OpenAPI document allows: the plainest there is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hybrid_gateway.comparison.exchanges import JSON

Schema = Mapping[str, Any]
"""A document, or an object inside it: a schema, a parameter, a body, an operation."""


class Schemas:
    """The document, for references into it."""

    def __init__(self, document: Schema) -> None:
        self._document = document

    def resolve(self, schema: Schema) -> Schema:
        """Return what a schema, a parameter or a body refers to, or itself."""
        for _ in range(10):  # a reference to a reference; no document has ten
            if "$ref" not in schema:
                break
            found = self._document
            for part in schema["$ref"].removeprefix("#/").split("/"):
                found = found[part.replace("~1", "/").replace("~0", "~")]
            schema = found
        return schema


def sample(schema: Schema, schemas: Schemas, depth: int = 0) -> JSON:
    """Return a value for ``schema``: its example, its default, its first member, or what its type begins with."""
    schema = schemas.resolve(schema)
    for key in ("const", "example", "default"):
        given: JSON = schema.get(key)
        if given is not None:
            return given
    for key in ("examples", "enum"):
        if schema.get(key):
            first: JSON = next(iter(schema[key]))
            return first
    for key in ("anyOf", "oneOf"):
        if key in schema:
            members = [schemas.resolve(one) for one in schema[key]]
            told = [one for one in members if one.get("type") != "null"] or members
            return sample(told[0], schemas, depth)
    if "allOf" in schema:
        parts = [sample(one, schemas, depth) for one in schema["allOf"]]
        objects = [part for part in parts if isinstance(part, dict)]
        return {name: value for part in objects for name, value in part.items()} if objects == parts else parts[0]
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = next((one for one in kind if one != "null"), "null") if isinstance(kind, list) else kind
    return _MAKERS[kind](schema, schemas, depth)


def _object(schema: Schema, schemas: Schemas, depth: int) -> JSON:
    required = schema.get("required", ())
    properties = {name: schemas.resolve(one) for name, one in schema.get("properties", {}).items()}
    sent = {name: one for name, one in properties.items() if name in required and not one.get("readOnly")}
    return {} if depth > 5 else {name: sample(one, schemas, depth + 1) for name, one in sent.items()}


def _list(schema: Schema, schemas: Schemas, depth: int) -> JSON:
    return [sample(schema.get("items", {}), schemas, depth + 1)] if depth < 5 else []


def _number(schema: Schema, schemas: Schemas, depth: int) -> float:
    least = schema.get("minimum", schema.get("exclusiveMinimum", 0) if "exclusiveMinimum" in schema else None)
    if least is None:
        return int(min(1, schema.get("maximum", 1)))
    return int(least) + ("exclusiveMinimum" in schema and schema["exclusiveMinimum"] is not False)


_TEXTS = {
    "date": "2030-01-31",
    "date-time": "2030-01-31T10:00:00Z",
    "time": "10:00:00",
    "duration": "P1D",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "email": "somebody@example.org",
    "uri": "https://example.org/",
    "ipv4": "127.0.0.1",
    "decimal": "1",
}


def _text(schema: Schema, schemas: Schemas, depth: int) -> str:
    text = _TEXTS.get(schema.get("format", ""), "text")
    return text.ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength") or None]


_MAKERS: dict[str, Callable[[Schema, Schemas, int], JSON]] = {
    "object": _object,
    "array": _list,
    "integer": _number,
    "number": _number,
    "string": _text,
    "boolean": lambda schema, schemas, depth: True,
    "null": lambda schema, schemas, depth: None,
}
