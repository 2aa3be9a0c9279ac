"""Fields of pydantic's models as msgspec takes them. What that cannot check, the model does when it is made."""

from __future__ import annotations

import copy
import re
import sys
import types
import typing
from collections.abc import Iterable
from functools import partial
from typing import Annotated, Any, Union

import msgspec

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.type_info import PydanticField, is_pydantic_model, resolve_new_types

_CONSTRAINTS = ("ge", "gt", "le", "lt", "multiple_of", "pattern", "min_length", "max_length")
_KEYWORDS = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "multiple_of": "multipleOf",
    "pattern": "pattern",
    "min_length": "minLength",
    "max_length": "maxLength",
}


class _Foreign:
    """Marks what pydantic alone can read and write."""


_FOREIGN = _Foreign()


def decodable_type(annotation: object, metadata: Iterable[object], description: str | None = None) -> object:
    """Return the annotation of a field as msgspec understands it: its constraints as a ``Meta``.

    A type that pydantic alone knows (``EmailStr``, ``HttpUrl``) is anything, with its schema.
    """
    kind = _constrained(_decodable(annotation), tuple(metadata))
    return Annotated[kind, msgspec.Meta(description=description)] if description else kind


def is_foreign(annotation: object) -> bool:
    """Return whether something in an annotation is what pydantic alone reads and writes."""
    parts = (*typing.get_args(annotation), *getattr(annotation, "__metadata__", ()))
    return annotation is _FOREIGN or any(map(is_foreign, parts))


def _decodable(annotation: object) -> Any:
    annotation = resolve_new_types(annotation)
    origin: Any = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin is Annotated:
        return _constrained(_decodable(arguments[0]), arguments[1:])
    if origin in (Union, types.UnionType):
        return Union[tuple(map(_decodable, arguments))]  # noqa: UP007 (built at run time)
    if origin in _CONTAINERS:
        return origin[tuple(entry if entry is Ellipsis else _decodable(entry) for entry in arguments)]
    if hasattr(origin or annotation, "__get_pydantic_core_schema__") and not is_pydantic_model(origin or annotation):
        return _foreign(annotation)
    return annotation


_CONTAINERS: tuple[Any, ...] = (list, dict, set, frozenset, tuple)


def _foreign(annotation: object) -> object:
    adapter = sys.modules["pydantic"].TypeAdapter(annotation)
    schema = msgspec.Meta(extra_json_schema=adapter.json_schema(mode="serialization"))
    return Annotated[Any, schema, _FOREIGN]


def _constrained(kind: Any, metadata: tuple[object, ...]) -> object:
    """Return ``kind`` with constraints of pydantic's, and with what a ``Meta`` among them says."""
    if any(type(extra).__name__ in _BROADENING for extra in metadata):
        return _foreign(Annotated[(kind, *metadata)])
    bounds = {
        name: value
        for extra in metadata
        if not isinstance(extra, msgspec.Meta)
        for name in _CONSTRAINTS
        if isinstance(value := getattr(extra, name, None), (int, float, str))
    }
    if bounds:
        kind = _bounded(kind, bounds)
    own = tuple(extra for extra in metadata if isinstance(extra, msgspec.Meta))
    return Annotated[(kind, *own)] if own else kind


def _bounded(kind: Any, bounds: dict[str, Any]) -> object:
    members = typing.get_args(kind) if typing.get_origin(kind) in (Union, types.UnionType) else ()
    if types.NoneType in members:
        rest = (_bounded(member, bounds) if member is not types.NoneType else member for member in members)
        return Union[tuple(rest)]  # noqa: UP007 (built at run time)
    try:
        bounded: object = Annotated[(kind, msgspec.Meta(**bounds))]
        msgspec.json.Decoder(bounded)
    except (TypeError, ValueError, re.error):  # msgspec has no such bounds; the model has
        schema = {_KEYWORDS[name]: value for name, value in bounds.items()}
        return Annotated[kind, msgspec.Meta(extra_json_schema=schema)]
    return bounded


_BROADENING = ("BeforeValidator", "PlainValidator", "WrapValidator", "PlainSerializer", "WrapSerializer")
"""Metadata of pydantic's by which other values are taken, or sent, than the type says."""


def serialized_fields(model: Any) -> set[str]:
    """Return the fields that functions of the model write (``@field_serializer``)."""
    decorators = getattr(model, "__pydantic_decorators__", None)
    found = getattr(decorators, "field_serializers", {}).values()
    names = {name for entry in found for name in entry.info.fields}
    return set(model.model_fields) if "*" in names else names


def default_of(field: PydanticField) -> tuple[Any, Any]:
    """Return the default of a field, or what makes one; a factory that sees other values leaves it to the model."""
    missing: Any = msgspec.NODEFAULT
    if field.default_factory is not None:
        factory: Any = field.default_factory
        if getattr(field, "default_factory_takes_validated_data", False):
            return msgspec.UNSET, missing
        return missing, factory
    if isinstance(field.default, (str, int, float, bool, bytes, types.NoneType)):
        return field.default, missing
    return missing, partial(copy.deepcopy, field.default)


def input_name(model: Any, name: str, field: PydanticField) -> str:
    """Return the name by which a model takes a field."""
    config = model.model_config
    if field.validation_alias is None or config.get("populate_by_name") or config.get("validate_by_name"):
        return name
    choices = getattr(field.validation_alias, "choices", [field.validation_alias])
    known = next((choice for choice in choices if isinstance(choice, str)), None)
    if known is None:
        raise ConfigurationError(
            f"{model.__name__}.{name} has an AliasPath, which leads into JSON: no shape can give it a value. Let the "
            'model have model_config = {"populate_by_name": True}.',
            id="X010",
        )
    return known
