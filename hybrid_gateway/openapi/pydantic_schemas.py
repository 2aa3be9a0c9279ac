"""Models of pydantic, which write their own schemas, with the classes inside them as components of the document."""

from __future__ import annotations

import re
import typing
from collections.abc import Callable
from enum import Enum

from hybrid_gateway.openapi.schema_types import Schema, SchemaWriter, Use
from hybrid_gateway.type_info import PydanticModel, is_pydantic_model

_DEFINITION = "#/$defs/"


def schema_of_model(writer: SchemaWriter, cls: type[PydanticModel]) -> Schema:
    """Return the schema of a model, its references those of components; its title where pydantic cannot write it."""
    mode = "serialization" if writer.use is Use.SENT else "validation"
    try:
        write: Callable[..., Schema] = getattr(cls, "model_json_schema")  # noqa: B009 (an attribute of pydantic's)
        schema = write(by_alias=True, mode=mode, ref_template=_DEFINITION + "{model}")
    except Exception as error:  # of pydantic's own making, which need not be installed
        writer.unknown[f"pydantic cannot write {cls.__qualname__}: {error}"] = None
        return {"title": cls.__name__}
    definitions: Schema = schema.pop("$defs", {})
    own = schema.get("$ref", "").removeprefix(_DEFINITION)  # of a model that holds itself
    if own:
        schema = definitions[own]
    known = _classes_inside(cls)
    names: dict[str, Schema] = {}

    def reference(name: str) -> Schema:
        if name not in names:
            inner = cls if name == own else known.get(name)
            names[name] = (
                writer.schema(inner, writer.use)
                if inner is not None
                else writer.component((cls, name), name, lambda: _resolved(definitions[name], reference))
            )
        return names[name]

    return _resolved(schema, reference)


def _resolved(schema: Schema, reference: Callable[[str], Schema]) -> Schema:
    """Return a schema with references to components."""
    return {key: _resolved_value(value, reference) for key, value in schema.items()}


def _resolved_value(value: object, reference: Callable[[str], Schema]) -> object:
    if isinstance(value, str) and value.startswith(_DEFINITION):
        return reference(value.removeprefix(_DEFINITION))["$ref"]
    if isinstance(value, list):
        return [_resolved_value(entry, reference) for entry in value]
    return _resolved(value, reference) if isinstance(value, dict) else value


def _classes_inside(model: type[PydanticModel]) -> dict[str, type]:
    """Return models and enums inside a model by the names that pydantic gives them: short ones unless taken."""
    found: dict[type, None] = {}
    _collect(model, found)
    classes = list(found)
    short = [_definition_name(cls.__name__) for cls in classes]
    return {
        name if short.count(name) == 1 else _definition_name(f"{cls.__module__}.{cls.__qualname__}"): cls
        for name, cls in zip(short, classes, strict=True)
    }


def _definition_name(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9.\-_]", "_", name).replace(".", "__")


def _collect(kind: object, found: dict[type, None]) -> None:
    if isinstance(kind, type) and (is_pydantic_model(kind) or issubclass(kind, Enum)):
        if kind in found:
            return
        found[kind] = None
        for field in getattr(kind, "model_fields", {}).values():
            _collect(field.annotation, found)
    for argument in typing.get_args(kind):
        _collect(argument, found)
