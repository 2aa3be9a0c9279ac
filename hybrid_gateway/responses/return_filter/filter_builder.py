"""What a return annotation lets through: of what a handler returns, nothing is sent that the annotation has not got.

How this works: an annotation that names fields anywhere is compiled once to a :class:`Rule`; see ``rules.py``.
"""

from __future__ import annotations

import collections.abc
import contextlib
import functools
import typing
from collections.abc import Collection, Mapping
from typing import Any

from hybrid_gateway.responses.return_filter.annotation_fields import (
    arguments_of_bases,
    fields_of,
    is_structure,
    is_value,
    members_of,
    root_of,
    without_wrapping,
)
from hybrid_gateway.responses.return_filter.filter_rules import (
    AnyOf,
    Anything,
    DictOf,
    Encoders,
    Fields,
    ListOf,
    OptionalOf,
    Root,
    Rule,
    TupleOf,
    Value,
)

__all__ = ["build_filter"]

_HOLDERS = (collections.abc.Iterable, collections.abc.AsyncIterable, collections.abc.Container)


def build_filter(annotation: Any, encoders: Encoders | None = None) -> Rule | None:
    """The rule of an annotation; ``None`` for one that names no fields. ``encoders`` make plain values of classes."""
    if not encoders:
        with contextlib.suppress(TypeError):  # metadata that is no key
            return _plain_contract(annotation)
    rule = _Compiler(encoders or {}).rule(annotation)
    return rule if rule.names_fields else None


@functools.lru_cache(maxsize=512)  # PERF: at start-up; several routes of a project send the same
def _plain_contract(annotation: Any) -> Rule | None:
    rule = _Compiler({}).rule(annotation)
    return rule if rule.names_fields else None


class _Compiler:
    """Makes the rules of one annotation; a class that is met again, in itself above all, has the rule it had."""

    def __init__(self, encoders: Encoders) -> None:
        self._encoders = encoders
        self._known: dict[Any, Any] = {}

    def rule(self, annotation: Any) -> Rule:
        kind = without_wrapping(annotation)
        members = members_of(kind)
        if members is not None:
            return self._union(members)
        origin, arguments = typing.get_origin(kind) or kind, typing.get_args(kind)
        if is_structure(origin):
            root = root_of(origin)
            return self._structure(kind, origin) if root is None else self._root(origin, root)
        if origin is tuple:
            return self._tuple(arguments)
        if isinstance(origin, type) and issubclass(origin, tuple) and hasattr(origin, "_fields"):
            hints = typing.get_type_hints(origin, include_extras=True)
            names: tuple[str, ...] = getattr(origin, "_fields")  # noqa: B009 (pyright)
            return TupleOf(tuple(self.rule(hints.get(name, Any)) for name in names), names)
        if is_value(origin):
            return Value()
        held = arguments or arguments_of_bases(origin)
        if held and isinstance(origin, type) and issubclass(origin, _HOLDERS):
            return DictOf(self.rule(held[-1])) if issubclass(origin, Mapping) else ListOf(self.rule(held[0]))
        return Anything()

    def _structure(self, kind: Any, origin: Any) -> Rule:
        if kind not in self._known:
            rule = self._known[kind] = Fields(origin, self._encoders)
            rule.settle([(field, self.rule(field.type)) for field in fields_of(kind, origin)])
        known: Rule = self._known[kind]
        return known

    def _root(self, kind: Any, root: Any) -> Rule:
        if kind not in self._known:
            rule = self._known[kind] = Root(kind)
            rule.rule = self.rule(root)
        known: Rule = self._known[kind]
        return known

    def _tuple(self, arguments: tuple[Any, ...]) -> Rule:
        if not arguments:
            return Anything()
        if len(arguments) == 2 and arguments[1] is ...:
            return ListOf(self.rule(arguments[0]))
        return TupleOf(tuple(self.rule(entry) for entry in arguments))

    def _union(self, members: Collection[Any]) -> Rule:
        rules = [self.rule(member) for member in members]
        if any(isinstance(rule, Anything) for rule in rules):
            return Anything()
        with_more = [rule for rule in rules if not isinstance(rule, Value)]
        if not with_more:
            return Value()
        return OptionalOf(with_more[0] if len(with_more) == 1 else AnyOf(with_more))
