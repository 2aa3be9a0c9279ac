"""Types as ``msgspec.inspect`` describes them, also those that msgspec could never decode but a handler may return.

``Full | Mini`` is such a type: a body does not tell which of two Structs it is, but each value that is sent is one.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import types
import typing
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Union

import msgspec
from msgspec import inspect as mi

from hybrid_gateway.type_info import field_types, resolve_new_types


def read_type(kind: object) -> mi.Type:
    """Return msgspec's description of a type; raise ``NameError`` for a name that means nothing at run time."""
    return _TypeReader().read(kind)


class _TypeReader:
    """Reads a type part by part. A class is known before its fields are, for it may hold itself."""

    def __init__(self) -> None:
        self._classes: dict[object, mi.Type] = {}

    def read(self, kind: object) -> mi.Type:
        try:
            return mi.type_info(kind)
        except (TypeError, ValueError, AttributeError, RecursionError):
            return self._read_part(resolve_new_types(kind))

    def read_all(self, kinds: Iterable[object]) -> tuple[mi.Type, ...]:
        return tuple(map(self.read, kinds))

    def _read_part(self, kind: Any) -> mi.Type:
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin is Annotated:
            return _with_words(self.read(arguments[0]), arguments[1:])
        if origin in (Union, types.UnionType):
            return mi.UnionType(self.read_all(member for member in arguments if member is not msgspec.UnsetType))
        if origin in (typing.Final, typing.Required, typing.NotRequired):
            return self.read(arguments[0])
        cls = origin or kind
        if isinstance(cls, type):
            for base, read_container in _CONTAINERS:
                if arguments and issubclass(cls, base):
                    return read_container(self, arguments)
            for is_one, read_class in _CLASSES:
                if is_one(cls):
                    return self._classes.get(kind) or self._read_class(kind, read_class(kind, cls))
        return mi.AnyType()

    def _read_class(self, kind: object, read: tuple[_WithFields, Iterable[mi.Field]]) -> mi.Type:
        info, fields = read
        self._classes[kind] = info
        info.fields = tuple(fields)
        for field in info.fields:
            field.type = self.read(field.type)
        return info


def _with_words(info: mi.Type, extras: Iterable[object]) -> mi.Type:
    words: dict[str, object] = {}
    for meta in extras:
        if isinstance(meta, msgspec.Meta):
            given = {"title": meta.title, "description": meta.description, "examples": meta.examples}
            words |= {name: value for name, value in given.items() if value is not None}
            words |= meta.extra_json_schema or {}
    return mi.Metadata(info, extra_json_schema=words) if words else info


# --- containers ----------------------------------------------------------------------------------------------------


def _read_tuple(reader: _TypeReader, arguments: Sequence[object]) -> mi.Type:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return mi.VarTupleType(reader.read(arguments[0]))
    return mi.TupleType(reader.read_all(arguments))


_CONTAINERS: tuple[tuple[type, Callable[[_TypeReader, Sequence[object]], mi.Type]], ...] = (
    (tuple, _read_tuple),
    (collections.abc.Mapping, lambda reader, kinds: mi.DictType(reader.read(kinds[0]), reader.read(kinds[1]))),
    (collections.abc.Set, lambda reader, kinds: mi.SetType(reader.read(kinds[0]))),
    (collections.abc.Iterable, lambda reader, kinds: mi.ListType(reader.read(kinds[0]))),
)


# --- classes with fields: an empty description, and the fields, whose types are to be read -------------------------

_WithFields = mi.StructType | mi.TypedDictType | mi.NamedTupleType | mi.DataclassType
_hints: Callable[[object], dict[str, Any]] = field_types  # which stand in fields until they are read


def _read_struct(kind: Any, cls: Any) -> tuple[_WithFields, Iterable[mi.Field]]:
    config = cls.__struct_config__
    info = mi.StructType(kind, (), config.tag_field, config.tag, config.array_like, config.forbid_unknown_fields)
    return info, (
        mi.Field(
            field.name,
            field.encode_name,
            field.type,
            field.required,
            msgspec.NODEFAULT if field.default is msgspec.UNSET else field.default,
            field.default_factory,
        )
        for field in msgspec.structs.fields(kind)
    )


def _read_typed_dict(kind: Any, cls: Any) -> tuple[_WithFields, Iterable[mi.Field]]:
    hints = _hints(kind)
    return mi.TypedDictType(kind, ()), (
        mi.Field(name, name, hint, name in cls.__required_keys__) for name, hint in hints.items()
    )


def _read_named_tuple(kind: Any, cls: Any) -> tuple[_WithFields, Iterable[mi.Field]]:
    hints, defaults = _hints(kind), cls._field_defaults
    return mi.NamedTupleType(kind, ()), (
        mi.Field(name, name, hints.get(name, Any), name not in defaults, defaults.get(name, msgspec.NODEFAULT))
        for name in cls._fields
    )


def _read_dataclass(kind: Any, cls: Any) -> tuple[_WithFields, Iterable[mi.Field]]:
    hints, fields = _hints(kind), []
    for field in dataclasses.fields(cls):
        default = msgspec.NODEFAULT if field.default is dataclasses.MISSING else field.default
        is_required = default is msgspec.NODEFAULT and field.default_factory is dataclasses.MISSING
        fields.append(mi.Field(field.name, field.name, hints[field.name], is_required, default))
    return mi.DataclassType(kind, ()), fields


def _read_attrs(kind: Any, cls: Any) -> tuple[_WithFields, Iterable[mi.Field]]:
    hints, fields = _hints(kind), []
    for field in cls.__attrs_attrs__:
        has_default = repr(field.default) != "NOTHING"
        is_shown = has_default and not hasattr(field.default, "factory")  # which attrs.Factory has
        default = field.default if is_shown else msgspec.NODEFAULT
        fields.append(mi.Field(field.name, field.name, hints.get(field.name, Any), not has_default, default))
    return mi.DataclassType(kind, ()), fields


_CLASSES: tuple[tuple[Callable[[type], bool], Callable[[Any, Any], tuple[_WithFields, Iterable[mi.Field]]]], ...] = (
    (lambda cls: issubclass(cls, msgspec.Struct), _read_struct),
    (typing.is_typeddict, _read_typed_dict),
    (lambda cls: issubclass(cls, tuple) and hasattr(cls, "_fields"), _read_named_tuple),
    (dataclasses.is_dataclass, _read_dataclass),
    (lambda cls: hasattr(cls, "__attrs_attrs__"), _read_attrs),
)
