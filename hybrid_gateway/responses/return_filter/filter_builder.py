"""Return annotation → the rule that filters what is returned."""

from __future__ import annotations

import collections.abc
import contextlib
import functools
import typing
from collections.abc import Collection, Mapping
from typing import Any

from hybrid_gateway.responses.enc_hook import TypeEncoders
from hybrid_gateway.responses.return_filter.annotation_fields import (
    base_arguments,
    fields_of,
    is_structure,
    is_value_type,
    members_of,
    root_of,
    unwrap_annotation,
)
from hybrid_gateway.responses.return_filter.filter_rules import (
    AnyOf,
    Anything,
    DictOf,
    Fields,
    ListOf,
    OptionalOf,
    Root,
    Rule,
    TupleOf,
    Value,
)

__all__ = ["build_filter"]

_CONTAINERS = (collections.abc.Iterable, collections.abc.AsyncIterable, collections.abc.Container)


def build_filter(annotation: object, encoders: TypeEncoders | None = None) -> Rule | None:
    """Return the rule of an annotation; ``None`` for one that names no fields.

    ``encoders`` make plain values of classes.
    """
    if not encoders:
        with contextlib.suppress(TypeError):  # metadata that is no key
            return _cached_filter(annotation)
    return _build(annotation, encoders or {})


def _build(annotation: object, encoders: TypeEncoders) -> Rule | None:
    rule = _FilterBuilder(encoders).rule(annotation)
    return rule if rule.names_fields else None


# PERF: at start-up; several routes of a project send the same
_cached_filter = functools.lru_cache(maxsize=512)(functools.partial(_build, encoders={}))


class _FilterBuilder:
    """Builds the rules of one annotation; a class that is met again, in itself above all, has the rule it had."""

    def __init__(self, encoders: TypeEncoders) -> None:
        self._encoders = encoders
        self._known: dict[object, Rule] = {}

    def rule(self, annotation: object) -> Rule:
        kind = unwrap_annotation(annotation)
        members = members_of(kind)
        if members is not None:
            return self._union(members)
        origin, arguments = typing.get_origin(kind) or kind, typing.get_args(kind)
        if isinstance(origin, type) and is_structure(origin):
            return self._known.get(kind) or self._structure(kind, origin)
        if origin is tuple:
            return self._tuple(arguments)
        if isinstance(origin, type) and issubclass(origin, tuple) and hasattr(origin, "_fields"):
            hints = typing.get_type_hints(origin, include_extras=True)
            names: tuple[str, ...] = getattr(origin, "_fields")  # noqa: B009 (pyright)
            return TupleOf(tuple(self.rule(hints.get(name, Any)) for name in names), names)
        if is_value_type(origin):
            return Value()
        inside = arguments or base_arguments(origin)
        if inside and isinstance(origin, type) and issubclass(origin, _CONTAINERS):
            return DictOf(self.rule(inside[-1])) if issubclass(origin, Mapping) else ListOf(self.rule(inside[0]))
        return Anything()

    def _structure(self, kind: object, origin: type) -> Rule:
        inside = root_of(origin)
        # Known before what is inside it, which may lead back here
        if inside is not None:
            root = self._known[kind] = Root(origin)
            root.rule = self.rule(inside)
            return root
        rule = self._known[kind] = Fields(origin, self._encoders)
        rule.set_fields([(field, self.rule(field.type)) for field in fields_of(kind, origin)])
        return rule

    def _tuple(self, arguments: tuple[object, ...]) -> Rule:
        if not arguments:
            return Anything()
        if len(arguments) == 2 and arguments[1] is ...:
            return ListOf(self.rule(arguments[0]))
        return TupleOf(tuple(self.rule(entry) for entry in arguments))

    def _union(self, members: Collection[object]) -> Rule:
        rules = [self.rule(member) for member in members]
        if any(isinstance(rule, Anything) for rule in rules):
            return Anything()
        with_fields = [rule for rule in rules if not isinstance(rule, Value)]
        if not with_fields:
            return Value()
        return OptionalOf(with_fields[0] if len(with_fields) == 1 else AnyOf(with_fields))
