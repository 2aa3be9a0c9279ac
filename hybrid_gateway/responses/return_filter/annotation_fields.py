"""Fields of annotated classes of any kind, and annotations without what is around the class."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar, Union

import msgspec

from hybrid_gateway.responses.gateway_response import RESPONSE_CLASSES
from hybrid_gateway.responses.response_info import PLAIN_VALUES, is_class
from hybrid_gateway.type_info import PydanticModel, field_types, is_pydantic_model, resolve_new_types

__all__ = [
    "ResponseField",
    "base_arguments",
    "fields_of",
    "is_value",
    "is_value_type",
    "members_of",
    "root_of",
    "unwrap_annotation",
]


_VALUES = (*PLAIN_VALUES, complex)


class ResponseField(msgspec.Struct, frozen=True):
    """A field of a class, however that was made."""

    name: str
    wire: str
    type: object
    is_required: bool = True
    is_hidden: bool = False  # it is never sent


def fields_of(kind: object, origin: type) -> Iterator[ResponseField]:
    """Yield the fields of ``kind``, which is ``origin``, or ``origin[...]`` with the types of its parameters."""
    read = next(read for is_kind, read in _KINDS if is_kind(origin))
    for field in read(kind, origin):
        yield msgspec.structs.replace(field, is_hidden=field.is_hidden or _is_write_only(field.type))


def unwrap_annotation(annotation: Any) -> object:
    """Return an annotation without its metadata, qualifiers, new types, aliases and type variables."""
    while True:
        annotation = resolve_new_types(annotation)
        origin = typing.get_origin(annotation)
        if origin is Annotated or origin in _QUALIFIERS:
            annotation = typing.get_args(annotation)[0]
        elif isinstance(annotation, TypeVar):
            annotation = annotation.__bound__ or Any
        else:
            return annotation


def members_of(kind: object) -> list[object] | None:
    """Return the members of a union without ``None`` and responses; ``None`` for no union."""
    if typing.get_origin(kind) not in (Union, types.UnionType):
        return None
    never = (types.NoneType, *RESPONSE_CLASSES)
    return [entry for entry in typing.get_args(kind) if not is_class(unwrap_annotation(entry), never)]


def root_of(kind: type) -> object:
    """Return the type of the one value that a class is written as; ``None`` for a class with fields of its own."""
    is_root = is_pydantic_model(kind) and getattr(kind, "__pydantic_root_model__", False)
    return kind.model_fields["root"].annotation if is_root and is_pydantic_model(kind) else None


def base_arguments(kind: object) -> tuple[object, ...]:
    """Return the type arguments of the first generic base of a class: ``class Things(list[Thing])``."""
    parents = (vars(parent) for parent in getattr(kind, "__mro__", ()))
    found = (typing.get_args(base) for members in parents for base in members.get("__orig_bases__", ()))
    return next(filter(None, found), ())


def is_value_type(kind: object) -> bool:
    """Return whether an annotation stands for values without fields: texts, numbers, dates, choices."""
    return kind is Literal or kind is None or (isinstance(kind, type) and issubclass(kind, _VALUES))


def is_value(value: object) -> bool:
    """Return whether nothing can be taken out of ``value``."""
    return isinstance(value, _VALUES)


def _is_write_only(annotation: object) -> bool:
    """Return whether the metadata says that a field is never read: ``writeOnly``, ``Column(write_only=True)``."""
    if typing.get_origin(annotation) is Annotated:
        inner, *extras = typing.get_args(annotation)
        if any(getattr(extra, "is_unseen", False) for extra in extras):  # a Column
            return True
        schemas = (extra.extra_json_schema for extra in extras if isinstance(extra, msgspec.Meta))
        return any((schema or {}).get("writeOnly") for schema in schemas) or _is_write_only(inner)
    members = typing.get_args(annotation) if typing.get_origin(annotation) in (Union, types.UnionType) else ()
    return any(map(_is_write_only, members))


# --- kinds of classes: whether a class is one, and how its fields are read -----------------------------------------


def _hints(kind: object) -> Mapping[str, object]:
    """Return the types of fields; none where one names what is unknown at run time, for then msgspec knows none."""
    try:
        return field_types(kind)
    except NameError:
        return {}


def _read_struct(kind: Any, origin: Any) -> Iterable[ResponseField]:
    try:
        known = msgspec.structs.fields(kind)
    except NameError:
        names = zip(origin.__struct_fields__, origin.__struct_encode_fields__, strict=True)
        return [ResponseField(name, wire, Any, False) for name, wire in names]
    return [ResponseField(field.name, field.encode_name, field.type, field.required) for field in known]


def _read_dataclass(kind: object, origin: Any) -> Iterable[ResponseField]:
    hints = _hints(kind)
    for field in dataclasses.fields(origin):
        has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        yield ResponseField(field.name, field.name, hints.get(field.name, Any), not has_default)


def _read_attrs(kind: object, origin: Any) -> Iterable[ResponseField]:
    hints = _hints(kind)
    for field in origin.__attrs_attrs__:
        yield ResponseField(field.name, field.name, hints.get(field.name, Any), not field.default)


def _read_typed_dict(kind: object, origin: Any) -> Iterable[ResponseField]:
    for name, hint in (_hints(kind) or dict.fromkeys(origin.__annotations__, Any)).items():
        yield ResponseField(name, name, hint, name in origin.__required_keys__)


def _read_pydantic(kind: object, origin: type[PydanticModel]) -> Iterable[ResponseField]:
    for name, field in origin.model_fields.items():
        wire = field.serialization_alias or field.alias or name
        yield ResponseField(name, wire, field.annotation, field.is_required(), bool(field.exclude))
    for name, computed in getattr(origin, "model_computed_fields").items():  # noqa: B009 (an attribute of pydantic's)
        yield ResponseField(name, computed.alias or name, computed.return_type, False)


_QUALIFIERS: tuple[object, ...] = tuple(
    getattr(typing, name)
    for name in ("Required", "NotRequired", "ReadOnly", "Final", "ClassVar")
    if hasattr(typing, name)
)
_KINDS: tuple[tuple[Callable[[type], bool], Callable[[Any, Any], Iterable[ResponseField]]], ...] = (
    (lambda kind: isinstance(kind, msgspec.StructMeta), _read_struct),
    (typing.is_typeddict, _read_typed_dict),
    (lambda kind: hasattr(kind, "__attrs_attrs__"), _read_attrs),
    (is_pydantic_model, _read_pydantic),
    (dataclasses.is_dataclass, _read_dataclass),
)
