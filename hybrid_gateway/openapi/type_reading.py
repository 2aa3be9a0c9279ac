"""Types as ``msgspec.inspect`` tells them, also those that msgspec could never decode but a handler may return.

``Full | Mini`` is such a type: nobody can say which of two Structs a body is, but each value that is sent is one.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import types
import typing
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Union

import msgspec
from msgspec import inspect as mi

__all__ = ["read_type"]


def read_type(kind: Any) -> Any:
    """One of ``msgspec.inspect``'s descriptions; raises ``NameError`` for a name that means nothing at run time."""
    try:
        return mi.type_info(kind)
    except (TypeError, ValueError, AttributeError, RecursionError):
        return _Parts().read(kind)


class _Parts:
    """Reads a type part by part. A class is known before its fields are, for it may hold itself."""

    def __init__(self) -> None:
        self._classes: dict[Any, Any] = {}

    def read(self, kind: Any) -> Any:
        try:
            return mi.type_info(kind)
        except (TypeError, ValueError, AttributeError, RecursionError):
            return self._by_hand(kind)

    def _by_hand(self, kind: Any) -> Any:
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin is Annotated:
            return _with_words(self.read(arguments[0]), arguments[1:])
        if hasattr(kind, "__supertype__"):  # NewType
            return self.read(kind.__supertype__)
        if hasattr(origin or kind, "__value__"):  # type X = ...
            return self.read(kind.__value__ if origin is None else origin.__value__[arguments])
        if origin in (Union, types.UnionType):
            return mi.UnionType(tuple(self.read(member) for member in arguments if member is not msgspec.UnsetType))
        if origin in (typing.Final, typing.Required, typing.NotRequired):
            return self.read(arguments[0])
        cls = origin or kind
        if isinstance(cls, type):
            for base, make in _CONTAINERS:
                if arguments and issubclass(cls, base):
                    return make(self, arguments)
            for is_one, make_class in _CLASSES:
                if is_one(cls):
                    return self._class(kind, make_class)
        return mi.AnyType()

    def _class(self, kind: Any, make: Callable[[_Parts, Any, Any], tuple[Any, Iterable[Any]]]) -> Any:
        if kind not in self._classes:
            info, fields = make(self, kind, typing.get_origin(kind) or kind)
            self._classes[kind] = info
            info.fields = tuple(fields)
        return self._classes[kind]

    def hints(self, kind: Any, cls: Any) -> dict[str, Any]:
        """The annotations of the fields, with the arguments of a generic class in the places of its parameters."""
        hints = typing.get_type_hints(cls, include_extras=True)
        given = dict(zip(getattr(cls, "__parameters__", ()), typing.get_args(kind), strict=False))
        return {name: _substituted(hint, given) for name, hint in hints.items()}


def _substituted(hint: Any, given: dict[Any, Any]) -> Any:
    if hint in given:
        return given[hint]
    parameters = getattr(hint, "__parameters__", ())
    return hint[tuple(given.get(one, one) for one in parameters)] if given and parameters else hint


def _with_words(info: Any, extras: Iterable[Any]) -> Any:
    words: dict[str, Any] = {}
    for meta in extras:
        if isinstance(meta, msgspec.Meta):
            told = {name: getattr(meta, name) for name in ("title", "description", "examples")}
            words |= {name: value for name, value in told.items() if value is not None}
            words |= meta.extra_json_schema or {}
    return mi.Metadata(info, extra_json_schema=words) if words else info


# --- containers ----------------------------------------------------------------------------------------------------


def _tuple(parts: _Parts, arguments: Any) -> Any:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return mi.VarTupleType(parts.read(arguments[0]))
    return mi.TupleType(tuple(map(parts.read, arguments)))


_CONTAINERS: tuple[tuple[type, Callable[[_Parts, Any], Any]], ...] = (
    (tuple, _tuple),
    (collections.abc.Mapping, lambda parts, kinds: mi.DictType(parts.read(kinds[0]), parts.read(kinds[1]))),
    (collections.abc.Set, lambda parts, kinds: mi.SetType(parts.read(kinds[0]))),
    (collections.abc.Iterable, lambda parts, kinds: mi.ListType(parts.read(kinds[0]))),
)


# --- classes with fields -------------------------------------------------------------------------------------------


def _struct(parts: _Parts, kind: Any, cls: Any) -> tuple[Any, Iterable[Any]]:
    config = cls.__struct_config__
    info = mi.StructType(
        kind,
        (),
        tag_field=config.tag_field,
        tag=config.tag,
        array_like=config.array_like,
        forbid_unknown_fields=config.forbid_unknown_fields,
    )
    fields = msgspec.structs.fields(kind)
    return info, (
        mi.Field(
            name=field.name,
            encode_name=field.encode_name,
            type=parts.read(field.type),
            required=field.required,
            default=msgspec.NODEFAULT if field.default is msgspec.UNSET else field.default,
            default_factory=field.default_factory,
        )
        for field in fields
    )


def _typed_dict(parts: _Parts, kind: Any, cls: Any) -> tuple[Any, Iterable[Any]]:
    hints, required = parts.hints(kind, cls), cls.__required_keys__
    fields = ((name, hint, name in required, msgspec.NODEFAULT) for name, hint in hints.items())
    return mi.TypedDictType(kind, ()), (_field(parts, *field) for field in fields)


def _named_tuple(parts: _Parts, kind: Any, cls: Any) -> tuple[Any, Iterable[Any]]:
    hints, defaults = parts.hints(kind, cls), cls._field_defaults
    fields = (
        (name, hints.get(name, Any), name not in defaults, defaults.get(name, msgspec.NODEFAULT))
        for name in cls._fields
    )
    return mi.NamedTupleType(kind, ()), (_field(parts, *field) for field in fields)


def _dataclass(parts: _Parts, kind: Any, cls: Any) -> tuple[Any, Iterable[Any]]:
    hints = parts.hints(kind, cls)
    described = []
    for field in dataclasses.fields(cls):
        has_factory = field.default_factory is not dataclasses.MISSING
        default = msgspec.NODEFAULT if field.default is dataclasses.MISSING else field.default
        described.append((field.name, hints[field.name], default is msgspec.NODEFAULT and not has_factory, default))
    return mi.DataclassType(kind, ()), (_field(parts, *field) for field in described)


def _attrs(parts: _Parts, kind: Any, cls: Any) -> tuple[Any, Iterable[Any]]:
    hints = parts.hints(kind, cls)
    described = []
    for field in cls.__attrs_attrs__:
        is_plain = not hasattr(field.default, "factory")  # what attrs.Factory has
        has_default = repr(field.default) != "NOTHING"
        default = field.default if has_default and is_plain else msgspec.NODEFAULT
        described.append((field.name, hints.get(field.name, Any), not has_default, default))
    return mi.DataclassType(kind, ()), (_field(parts, *field) for field in described)


def _field(parts: _Parts, name: str, kind: Any, required: bool, default: Any) -> Any:
    return mi.Field(name=name, encode_name=name, type=parts.read(kind), required=required, default=default)


_CLASSES: tuple[tuple[Callable[[Any], bool], Callable[[_Parts, Any, Any], tuple[Any, Iterable[Any]]]], ...] = (
    (lambda cls: issubclass(cls, msgspec.Struct), _struct),
    (typing.is_typeddict, _typed_dict),
    (lambda cls: issubclass(cls, tuple) and hasattr(cls, "_fields"), _named_tuple),
    (dataclasses.is_dataclass, _dataclass),
    (lambda cls: hasattr(cls, "__attrs_attrs__"), _attrs),
)
