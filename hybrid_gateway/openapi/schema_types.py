"""Types of schemas and of their writers."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, Protocol

from msgspec import inspect as mi

__all__ = ["JSONObject", "Schema", "SchemaWriter", "Use", "WriteType"]

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
