"""Return annotation → the rule that filters what is returned, and the function that tells in no time that it fits.

How this works: the source of one function per class is written, by the rule's parts, and compiled once per route. It
says yes to instances of the very classes that are annotated; where it says no, :meth:`Rule.narrow` has its say. What
was read from the database into a ``ModelStruct`` is taken at its word, as far as nothing in it is hidden.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import functools
import types
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, TypeGuard, TypeVar, Union

import msgspec

from hybrid_gateway.codegen import define
from hybrid_gateway.responses.enc_hook import TypeEncoders
from hybrid_gateway.responses.gateway_response import RESPONSE_CLASSES
from hybrid_gateway.responses.response_info import is_class
from hybrid_gateway.responses.return_filter.filter_rules import (
    VALUES,
    AnyOf,
    Anything,
    DictOf,
    Fields,
    ListOf,
    OptionalOf,
    ReadFields,
    ResponseField,
    Root,
    Rule,
    TupleOf,
    Value,
)
from hybrid_gateway.type_info import (
    PydanticModel,
    cached_by_type,
    extras_of,
    field_types,
    has_flag,
    is_pydantic_model,
    resolve_new_types,
    type_info,
)

_CONTAINERS = (collections.abc.Iterable, collections.abc.AsyncIterable, collections.abc.Container)


def build_filter(annotation: object, encoders: TypeEncoders | None = None) -> Rule | None:
    """Return the rule of an annotation; ``None`` for one that names no fields.

    ``encoders`` make plain values of classes.
    """
    return _build(annotation, encoders) if encoders else _cached_filter(annotation)


def _build(annotation: object, encoders: TypeEncoders) -> Rule | None:
    rule = _FilterBuilder(encoders).rule(annotation)
    return rule if rule.names_fields else None


# PERF: at start-up; several routes of a project send the same
_cached_filter = cached_by_type(functools.partial(_build, encoders={}))


class _FilterBuilder:
    """Builds the rules of one annotation; a class that is met again, in itself above all, has the rule it had."""

    def __init__(self, encoders: TypeEncoders) -> None:
        self._encoders = encoders
        self._known: dict[object, Rule] = {}

    def rule(self, annotation: object) -> Rule:
        kind = _unwrap(annotation)
        origin, arguments = typing.get_origin(kind) or kind, typing.get_args(kind)
        if origin in (Union, types.UnionType):
            return self._union(arguments)
        if isinstance(origin, type) and type_info(origin).is_structure:
            return self._known.get(kind) or self._structure(kind, origin)
        if origin is tuple:
            return self._tuple(arguments)
        if isinstance(origin, type) and issubclass(origin, tuple) and hasattr(origin, "_fields"):
            hints = typing.get_type_hints(origin, include_extras=True)
            names: tuple[str, ...] = getattr(origin, "_fields")  # noqa: B009 (pyright)
            return TupleOf(tuple(self.rule(hints.get(name, Any)) for name in names), names)
        if origin is Literal or origin is None or (isinstance(origin, type) and issubclass(origin, VALUES)):
            return Value()
        inside = arguments or _base_arguments(origin)
        if inside and isinstance(origin, type) and issubclass(origin, _CONTAINERS):
            return DictOf(self.rule(inside[-1])) if issubclass(origin, Mapping) else ListOf(self.rule(inside[0]))
        return Anything()

    def _structure(self, kind: object, origin: type) -> Rule:
        # Known before what is inside it, which may lead back here
        if is_pydantic_model(origin) and getattr(origin, "__pydantic_root_model__", False):
            root = self._known[kind] = Root(origin)
            root.rule = self.rule(origin.model_fields["root"].annotation)
            return root
        reader = getattr(origin, "__shape__", None)
        rule = Fields(origin, self._encoders) if reader is None else ReadFields(origin, self._encoders, reader)
        self._known[kind] = rule
        rule.set_fields([(field, self.rule(field.type)) for field in _fields_of(kind, origin)])
        return rule

    def _tuple(self, arguments: tuple[object, ...]) -> Rule:
        if not arguments:
            return Anything()
        if len(arguments) == 2 and arguments[1] is ...:
            return ListOf(self.rule(arguments[0]))
        return TupleOf(tuple(self.rule(entry) for entry in arguments))

    def _union(self, members: Collection[object]) -> Rule:
        never = (types.NoneType, *RESPONSE_CLASSES)
        rules = [self.rule(member) for member in members if not is_class(_unwrap(member), never)]
        if any(isinstance(rule, Anything) for rule in rules):
            return Anything()
        with_fields = [rule for rule in rules if not isinstance(rule, Value)]
        if not with_fields:
            return Value()
        return OptionalOf(with_fields[0] if len(with_fields) == 1 else AnyOf(with_fields))


# --- annotations and their fields ----------------------------------------------------------------------------------


def _fields_of(kind: object, origin: type) -> Iterator[ResponseField]:
    """Yield the fields of ``kind``, which is ``origin``, or ``origin[...]`` with the types of its parameters."""
    read = next(read for is_kind, read in _KINDS if is_kind(origin))
    for field in read(kind, origin):
        yield msgspec.structs.replace(field, is_hidden=field.is_hidden or _is_write_only(field.type))


def _unwrap(annotation: Any) -> object:
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


def _base_arguments(kind: object) -> tuple[object, ...]:
    """Return the type arguments of the first generic base of a class: ``class Things(list[Thing])``."""
    parents = (vars(parent) for parent in getattr(kind, "__mro__", ()))
    found = (typing.get_args(base) for members in parents for base in members.get("__orig_bases__", ()))
    return next(filter(None, found), ())


def _is_write_only(annotation: object) -> bool:
    """Return whether the metadata says that a field is never read: ``writeOnly``, ``Column(write_only=True)``."""
    is_unseen = any(getattr(extra, "is_unseen", False) for extra in extras_of(annotation))  # a Column
    return is_unseen or has_flag(annotation, "writeOnly")


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
        is_hidden = bool(field.exclude) or _is_write_only(Annotated[(field.annotation, *field.metadata, None)])
        yield ResponseField(name, wire, field.annotation, field.is_required(), is_hidden)
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


# --- rules as generated functions ----------------------------------------------------------------------------------


def compile_fits(rule: Rule) -> Callable[[object], bool]:
    """Return the function that tells whether a value fits ``rule``."""
    if isinstance(rule, ListOf) and _is_told_by_class(rule.item):  # most lists. PERF: at start-up
        are_all, others = frozenset((rule.item.kind,)).issuperset, rule.fits
        return lambda value: are_all(map(type, value)) if type(value) is list else others(value)
    if _is_told_by_class(rule):
        return rule.fits
    writer = _Writer()
    root = writer.function(rule)
    return define(root, "\n".join(writer.functions), writer.names, "the filter of a return annotation")


def _is_told_by_class(rule: Rule) -> TypeGuard[Fields]:
    """Return whether an instance of the very class has nothing that is not annotated."""
    if not isinstance(rule, Fields) or rule.needs_search:
        return False
    return rule.is_flat or (rule.is_row and not rule.hides_within)


class _Writer:
    """Writes one function for each rule that is called, by name, so that classes may hold themselves."""

    def __init__(self) -> None:
        self.names: dict[str, object] = {}
        self.functions: list[str] = []
        self._known: dict[int, str] = {}

    def function(self, rule: Rule) -> str:
        """Return the name of the function that tells whether its argument fits."""
        if id(rule) not in self._known:
            name = self._known[id(rule)] = f"fits_{len(self._known)}"
            lines = self._fields(rule) if isinstance(rule, Fields) else [f"return {self.expression(rule, 'value')}"]
            self.functions.append("\n    ".join((f"def {name}(value):", *lines, "")))
        return self._known[id(rule)]

    def name(self, value: object) -> str:
        """Return a new name in the source for ``value``."""
        name = f"n{len(self.names)}"
        self.names[name] = value
        return name

    def expression(self, rule: Rule, value: str) -> str:
        """Return the source that tells whether ``value``, a name, fits."""
        if isinstance(rule, Fields):
            if _is_told_by_class(rule):
                return f"type({value}) is {self.name(rule.kind)}"
            return f"{self.function(rule)}({value})"
        if isinstance(rule, OptionalOf):
            inner = self.expression(rule.item, value)
            return f"({value} is None or {inner} or {self.name(rule.fits)}({value}))"
        if isinstance(rule, (ListOf, DictOf)):
            entries = value if isinstance(rule, ListOf) else f"{value}.values()"
            kind = "list" if isinstance(rule, ListOf) else "dict"
            return f"({self._each(rule.item, entries)} if type({value}) is {kind} else {self.name(rule.fits)}({value}))"
        if isinstance(rule, AnyOf):
            return "(" + " or ".join(self.expression(member, value) for member in rule.members) + ")"
        return f"{self.name(rule.fits)}({value})"

    def _each(self, item: Rule, entries: str) -> str:
        if _is_told_by_class(item):
            return f"{self.name(frozenset((item.kind,)).issuperset)}(map(type, {entries}))"
        return f"all(map({self.function(item)}, {entries}))"

    def _fields(self, rule: Fields) -> list[str]:
        if rule.needs_search:
            return [f"return {self.name(rule.fits)}(value)"]
        lines = [f"if type(value) is not {self.name(rule.kind)}: return False"]
        for place, (field, inner) in enumerate(rule.nested):
            lines += [f"v{place} = value.{field.name}", f"if not {self.expression(inner, f'v{place}')}: return False"]
        return [*lines, "return True"]
