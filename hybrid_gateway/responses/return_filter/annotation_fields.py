"""What annotations of responses are made of: classes with fields, whoever's they are, and what is around them."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import types
import typing
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar, Union

import msgspec
from django.http import HttpResponseBase
from django.utils.functional import Promise
from starlette.responses import Response as StarletteResponse

from hybrid_gateway.type_info import is_pydantic_model

__all__ = [
    "FieldOf",
    "arguments_of_bases",
    "fields_of",
    "is_single",
    "is_structure",
    "is_value",
    "members_of",
    "root_of",
    "without_wrapping",
]


class FieldOf(msgspec.Struct, frozen=True):
    """A field of a class, however that was made."""

    name: str
    wire: str
    type: Any
    is_required: bool = True
    is_hidden: bool = False  # it is never sent


def is_structure(kind: Any) -> bool:
    """Whether instances of a class have fields that are written by their names."""
    if not isinstance(kind, type) and not typing.is_typeddict(kind):
        return False
    return any(is_kind(kind) for is_kind, _ in _KINDS)


def fields_of(kind: Any, origin: Any) -> Iterator[FieldOf]:
    """The fields of ``kind``, which is ``origin``, or ``origin[...]`` with the types of its parameters."""
    read = next(read for is_kind, read in _KINDS if is_kind(origin))
    parameters = getattr(origin, "__parameters__", ())
    given = dict(zip(parameters, typing.get_args(kind), strict=False))
    for field in read(kind if read is _of_struct else origin):
        hidden = field.is_hidden or _is_write_only(field.type)
        yield msgspec.structs.replace(field, type=_with_parameters(field.type, given), is_hidden=hidden)


def without_wrapping(annotation: Any) -> Any:
    """What an annotation is, without its metadata, and without the names that stand for it."""
    while True:
        origin = typing.get_origin(annotation)
        if origin is Annotated or origin in _QUALIFIERS:
            annotation = typing.get_args(annotation)[0]
        elif hasattr(annotation, "__supertype__"):  # NewType
            annotation = annotation.__supertype__
        elif isinstance(annotation, TypeVar):
            annotation = annotation.__bound__ or Any
        elif origin is not None and hasattr(origin, "__value__"):  # type Page[T] = ...
            given = dict(zip(origin.__type_params__, typing.get_args(annotation), strict=False))
            annotation = _with_parameters(origin.__value__, given)
        elif hasattr(annotation, "__value__") and not isinstance(annotation, type):  # type Name = ...
            annotation = annotation.__value__
        else:
            return annotation


def members_of(kind: Any) -> list[Any] | None:
    """What a union is made of, without ``None`` and the answers that are sent as they are; ``None`` for no union."""
    if typing.get_origin(kind) not in (Union, types.UnionType):
        return None
    return [entry for entry in typing.get_args(kind) if not _is_answer(without_wrapping(entry))]


def root_of(kind: Any) -> Any:
    """The type of the one value that a class is written as; ``None`` for a class with fields of its own."""
    return kind.model_fields["root"].annotation if getattr(kind, "__pydantic_root_model__", False) else None


def arguments_of_bases(kind: Any) -> tuple[Any, ...]:
    """What a class holds that is a list of something, or a dict: ``class Things(list[Thing])``."""
    parents = (vars(parent) for parent in getattr(kind, "__mro__", ()))
    found = (typing.get_args(base) for members in parents for base in members.get("__orig_bases__", ()))
    return next(filter(None, found), ())


def is_value(kind: Any) -> bool:
    """Whether an annotation stands for values without fields: texts, numbers, dates, choices."""
    if kind is Literal or kind is None:
        return True
    return isinstance(kind, type) and (issubclass(kind, SINGLE) or kind in (msgspec.UnsetType, type(None)))


def is_single(value: Any) -> bool:
    """Whether nothing can be taken out of ``value``."""
    return value is None or isinstance(value, SINGLE)


SINGLE: tuple[type, ...] = (
    *(str, bytes, bytearray, memoryview, int, float, complex, decimal.Decimal, uuid.UUID, enum.Enum, Promise),
    *(datetime.date, datetime.time, datetime.timedelta, msgspec.Raw, msgspec.UnsetType),
)


def _is_answer(kind: Any) -> bool:
    kind = typing.get_origin(kind) or kind
    if kind is type(None):
        return True
    return isinstance(kind, type) and issubclass(kind, (StarletteResponse, HttpResponseBase))


def _is_write_only(annotation: Any) -> bool:
    """Whether its metadata says that clients write it and never read it: ``writeOnly``, ``Column(write_only=True)``."""
    if typing.get_origin(annotation) is Annotated:
        inner, *extras = typing.get_args(annotation)
        if any(getattr(extra, "is_unseen", False) for extra in extras):  # a Column
            return True
        schemas = (extra.extra_json_schema for extra in extras if isinstance(extra, msgspec.Meta))
        return any((schema or {}).get("writeOnly") for schema in schemas) or _is_write_only(inner)
    members = typing.get_args(annotation) if typing.get_origin(annotation) in (Union, types.UnionType) else ()
    return any(map(_is_write_only, members))


def _with_parameters(annotation: Any, given: Mapping[Any, Any]) -> Any:
    """An annotation with types in the place of type variables."""
    if not given:
        return annotation
    if isinstance(annotation, TypeVar):
        return given.get(annotation, annotation)
    parameters = getattr(annotation, "__parameters__", ())
    if isinstance(annotation, type) or not parameters:
        return annotation
    return annotation[tuple(given.get(parameter, parameter) for parameter in parameters)]


# --- kinds of classes ----------------------------------------------------------------------------------------------


def _hints(kind: Any) -> Mapping[str, Any]:
    """The types of fields; none where one names what is unknown at run time, so that of those nothing can be said."""
    try:
        return typing.get_type_hints(kind, include_extras=True)
    except NameError:
        return {}


def _of_struct(kind: Any) -> Iterable[FieldOf]:
    try:
        known = msgspec.structs.fields(kind)
    except NameError:
        names = zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True)
        return [FieldOf(name, wire, Any, False) for name, wire in names]
    return [FieldOf(field.name, field.encode_name, field.type, field.required) for field in known]


def _of_dataclass(kind: Any) -> Iterable[FieldOf]:
    hints = _hints(kind)
    for field in dataclasses.fields(kind):
        has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        yield FieldOf(field.name, field.name, hints.get(field.name, Any), not has_default)


def _of_attrs(kind: Any) -> Iterable[FieldOf]:
    hints = _hints(kind)
    for field in kind.__attrs_attrs__:
        yield FieldOf(field.name, field.name, hints.get(field.name, Any), not field.default)


def _of_typed_dict(kind: Any) -> Iterable[FieldOf]:
    hints = _hints(kind)
    for name in (*kind.__required_keys__, *kind.__optional_keys__):
        yield FieldOf(name, name, hints.get(name, Any), name in kind.__required_keys__)


def _of_pydantic(kind: Any) -> Iterable[FieldOf]:
    for name, field in kind.model_fields.items():
        wire = field.serialization_alias or field.alias or name
        yield FieldOf(name, wire, field.annotation, field.is_required(), bool(field.exclude))
    for name, field in kind.model_computed_fields.items():
        yield FieldOf(name, field.alias or name, field.return_type, False)


_QUALIFIERS: tuple[Any, ...] = tuple(
    getattr(typing, name)
    for name in ("Required", "NotRequired", "ReadOnly", "Final", "ClassVar")
    if hasattr(typing, name)
)
_KINDS: tuple[tuple[Callable[[Any], bool], Callable[[Any], Iterable[FieldOf]]], ...] = (
    (lambda kind: isinstance(kind, msgspec.StructMeta), _of_struct),
    (typing.is_typeddict, _of_typed_dict),
    (lambda kind: hasattr(kind, "__attrs_attrs__"), _of_attrs),
    (is_pydantic_model, _of_pydantic),
    (lambda kind: dataclasses.is_dataclass(kind), _of_dataclass),
)
