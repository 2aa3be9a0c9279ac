"""Types → JSON Schema 2020-12, as OpenAPI 3.1 wants it; classes with fields and enums become shared components.

How this works: :mod:`~.reading` reads the type, and a table of :mod:`~.writers` picks a writer per kind of it. This is
not ``msgspec.json.schema_components``, because code generators trip over what that leaves out: a format for datetimes
without a declared zone, the type and the order of enums, ``const`` for tags, ``type: [string, "null"]``. It also raises
for two classes of one name in one module, and for types it does not know.

A class may be one thing when it is received and another when it is sent: a decimal is understood as a number, too, but
sent as text; a write-only column is never sent. It is one component all the same unless a document has it both ways and
they differ: then what is received is called ``ItemInput``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping
from enum import Enum

from msgspec import inspect as mi

from hybrid_gateway.openapi.pydantic_schemas import schema_of_model
from hybrid_gateway.openapi.schema_types import Schema, Use
from hybrid_gateway.openapi.schema_writers import (
    COMPONENTS,
    NOT_JSON,
    WRITERS,
    as_json,
    title_of,
    with_default,
    write_unknown,
)
from hybrid_gateway.openapi.type_reading import read_type
from hybrid_gateway.type_info import is_pydantic_model

__all__ = ["NOT_JSON", "Schemas", "as_json", "plain_name", "same_name"]

_REF = "#/components/schemas/"


class Schemas:
    """Writes schemas and collects the components they refer to, by name, in ``components``.

    ``two_faced`` are the classes whose components differ by use, as :meth:`two_faced` of an earlier writing finds them;
    ``None`` keeps those of all apart.
    """

    def __init__(self, two_faced: Container[object] | None = ()) -> None:
        self.components: dict[str, Schema] = {}
        self.custom: Mapping[Use, Mapping[type, object]] = {}  # classes of the project → the type that stands for them
        self.unknown: dict[str, None] = {}  # what could not be written, in words
        self.use = Use.SENT  # of what is being written
        self._names: dict[tuple[object, Use], str] = {}  # of components
        self._two_faced = two_faced
        self._taken: set[str] = set()

    def schema(self, kind: object, use: Use = Use.SENT) -> Schema:
        """Return the schema of a type; ``{}``, which allows anything, where nothing is known of it."""
        before, self.use = self.use, use
        try:
            return self.write(read_type(kind))
        except NameError as error:
            self.unknown[f"the annotation {error.name!r} has no meaning at run time"] = None
            return {}
        finally:
            self.use = before

    def with_default(self, schema: Schema, default: object, use: Use) -> Schema:
        """Return ``schema`` with a default, where that can be shown."""
        before, self.use = self.use, use
        try:
            return with_default(self, schema, default)
        finally:
            self.use = before

    def write(self, info: mi.Type) -> Schema:
        """Return the schema of a type that was read.

        ``Meta(extra={"received": keywords})`` names keywords that responses lack.
        """
        words: Schema = {}
        received: tuple[str, ...] = ()
        while isinstance(info, mi.Metadata):
            words = {**(info.extra_json_schema or {}), **words}
            received = (*received, *(info.extra or {}).get("received", ()))
            info = info.type
        written = {**self._plain(info), **words}
        left_out = received if self.use is Use.SENT else ()
        return {keyword: value for keyword, value in written.items() if keyword not in left_out}

    def _plain(self, info: mi.Type) -> Schema:
        if isinstance(info, mi.CustomType) and isinstance(info.cls, type) and issubclass(info.cls, Enum):
            info = mi.EnumType(info.cls)  # Django's choices: msgspec.inspect knows enums by their metaclass alone
        if isinstance(info, mi.CustomType) and is_pydantic_model(info.cls):
            return self.component(info.cls, title_of(info.cls), lambda: schema_of_model(self, info.cls))
        if isinstance(info, mi.CustomType) and info.cls in self.custom.get(self.use, ()):
            return self.schema(self.custom[self.use][info.cls], self.use)
        writer = WRITERS.get(type(info), write_unknown)
        if isinstance(info, COMPONENTS):
            return self.component(info.cls, title_of(info.cls), lambda: writer(self, info))
        return writer(self, info)

    def component(self, cls: object, title: str, write: Callable[[], Schema]) -> Schema:
        """Return a reference to a class, written when first asked for. Its name is known before: it may hold itself."""
        use = Use.SENT if self.use is Use.SENT else Use.RECEIVED
        is_two_faced = self._two_faced is None or cls in self._two_faced
        faces = [use] if is_two_faced else [Use.SENT, Use.RECEIVED]
        known = next((self._names[cls, face] for face in faces if (cls, face) in self._names), None)
        if known is None:
            known = self._free_name(cls, title, "Input" if is_two_faced and use is Use.RECEIVED else "")
            self._names[cls, use] = known
            self.components[known] = {}
            written = self.components[known] = write()
            if same_name(plain_name(str(written.get("title", known)))) != same_name(known):
                written["title"] = known  # generators call classes by their titles: no two may have the same
        return {"$ref": _REF + known}

    def _free_name(self, cls: object, title: str, suffix: str) -> str:
        short = plain_name(title) + suffix
        names = [short, f"{plain_name(getattr(cls, '__module__', ''))}_{short}"]
        names += [f"{short}_{number}" for number in range(2, len(self.components) + 3)]
        name = next(name for name in names if same_name(name) not in self._taken)
        self._taken.add(same_name(name))
        return name

    def two_faced(self) -> frozenset[object]:
        """Return classes whose schemas differ as received and as sent, after a writing that kept these apart."""
        pairs = {cls: (name, self._names[cls, Use.SENT]) for (cls, use), name in self._names.items()
                 if use is Use.RECEIVED and (cls, Use.SENT) in self._names}  # fmt: skip
        differ: set[object] = set()
        while True:
            # Two are the same if they are with all that they refer to, of which is known so far that it differs.
            alike = {_REF + received: _REF + sent for cls, (received, sent) in pairs.items() if cls not in differ}
            found = {
                cls
                for cls, (received, sent) in pairs.items()
                if cls not in differ
                and _renamed(self.components[received], alike) != _renamed(self.components[sent], alike)
            }
            if not found:
                return frozenset(differ)
            differ |= found


def _renamed(schema: object, names: Mapping[str, str]) -> object:
    """Return a schema with other names in its references, and none of its own."""
    if isinstance(schema, dict):
        return {
            key: _renamed(value, names) for key, value in schema.items() if key != "title" or isinstance(value, dict)
        }
    if isinstance(schema, list):
        return [_renamed(entry, names) for entry in schema]
    return names.get(schema, schema) if isinstance(schema, str) else schema


def plain_name(name: str) -> str:
    """Return a name for a component. A dot is allowed there, but generators make files and classes of names."""
    return re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "Object"


def same_name(name: str) -> str:
    """Return a name as generators see it, which write names in other cases: equal for two that they confuse."""
    return name.replace("_", "").casefold()
