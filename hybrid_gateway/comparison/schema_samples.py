"""A value that a schema of an OpenAPI document allows: the plainest there is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Schema = Mapping[str, Any]


class Schemas:
    """The document, for references into it."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    def resolve(self, schema: Any) -> Any:
        """Return what a schema, a parameter or a body refers to, or itself."""
        for _ in range(10):  # a reference to a reference; no document has ten
            if "$ref" not in schema:
                break
            found: Any = self._document
            for part in schema["$ref"].removeprefix("#/").split("/"):
                found = found[part.replace("~1", "/").replace("~0", "~")]
            schema = found
        return schema


def sample(schema: Any, schemas: Schemas, depth: int = 0) -> Any:
    """Return a value for ``schema``: its example, its default, its first member, or what its type begins with."""
    schema = schemas.resolve(schema)
    for key in ("const", "example", "default"):
        if schema.get(key) is not None:
            return schema[key]
    for key in ("examples", "enum"):
        if schema.get(key):
            return next(iter(schema[key]))
    for key in ("anyOf", "oneOf"):
        if key in schema:
            members = [schemas.resolve(one) for one in schema[key]]
            told = [one for one in members if one.get("type") != "null"] or members
            return sample(told[0], schemas, depth)
    if "allOf" in schema:
        parts = [sample(one, schemas, depth) for one in schema["allOf"]]
        if all(isinstance(part, dict) for part in parts):
            return {name: value for part in parts for name, value in part.items()}
        return parts[0]
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = next((one for one in kind if one != "null"), "null") if isinstance(kind, list) else kind
    return _MAKERS[kind](schema, schemas, depth)


def _object(schema: Schema, schemas: Schemas, depth: int) -> dict[str, Any]:
    required = schema.get("required", ())
    properties = {name: schemas.resolve(one) for name, one in schema.get("properties", {}).items()}
    sent = {name: one for name, one in properties.items() if name in required and not one.get("readOnly")}
    return {} if depth > 5 else {name: sample(one, schemas, depth + 1) for name, one in sent.items()}


def _list(schema: Schema, schemas: Schemas, depth: int) -> list[Any]:
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


_MAKERS: dict[str, Callable[[Schema, Schemas, int], Any]] = {
    "object": _object,
    "array": _list,
    "integer": _number,
    "number": _number,
    "string": _text,
    "boolean": lambda schema, schemas, depth: True,
    "null": lambda schema, schemas, depth: None,
}
