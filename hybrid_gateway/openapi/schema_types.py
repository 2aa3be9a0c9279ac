"""What schemas are made of, and what their writers ask of one another."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Protocol

__all__ = ["JSONObject", "Schema", "SchemaWriter", "Use"]

JSONObject = dict[str, object]
"""An object of the document; its values are what JSON knows."""

Schema = JSONObject
"""A schema, JSON Schema 2020-12."""


class Use(enum.Enum):
    """What becomes of a value: it is read from text, from a body, or sent."""

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

    def write(self, info: object) -> Schema:
        """Return the schema of a type that has been read."""
        ...

    def component(self, cls: object, title: str, write: Callable[[], Schema]) -> Schema:
        """Return a reference to a class, which ``write`` writes when it is first asked for."""
        ...
