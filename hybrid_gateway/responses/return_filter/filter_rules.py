"""What of a value is sent, by the kinds of annotations: as much of it as they name, and nothing else.

How this works: ``fits`` is asked for each value, and looks at classes alone: an instance of the very class that is
annotated has nothing else in it. Of whatever does not fit (dicts, instances of other classes and of subclasses, rows)
``narrow`` takes the fields that the annotation names, by their names on the wire. Values are not checked; that is
``validate_response``.
"""

from __future__ import annotations

import collections
import functools
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import msgspec
from django.db.models import Manager, QuerySet

from hybrid_gateway.exceptions import ResponseValidationError, error_entry
from hybrid_gateway.responses.return_filter.annotation_fields import FieldOf, is_single, is_structure

__all__ = [
    "AnyOf",
    "Anything",
    "DictOf",
    "Encoders",
    "Fields",
    "ListOf",
    "OptionalOf",
    "Root",
    "Rule",
    "TupleOf",
    "Value",
]

Encoders = Mapping[Any, Callable[[Any], Any]]

_MANY = (list, tuple, set, frozenset, collections.deque, QuerySet, Manager)


class Rule:
    """What one annotation lets through."""

    names_fields = True  # or what is in it does

    def fits(self, value: Any) -> bool:
        """Whether ``value`` has nothing but what is annotated, by the classes of what it is made of."""
        raise NotImplementedError

    def narrow(self, value: Any) -> Any:
        """Of a value that does not fit, what is annotated; raises :class:`ResponseValidationError` where that is
        nothing."""
        raise NotImplementedError

    def parts(self) -> Iterable[Rule]:
        """The rules it is made of."""
        return ()

    def apply(self, value: Any) -> Any:
        """``value``, or what of it may be sent."""
        return value if self.fits(value) else self.narrow(value)


# --- rules ---------------------------------------------------------------------------------------------------------


class Anything(Rule):
    names_fields = False

    def fits(self, value: Any) -> bool:
        return True


class Value(Rule):
    """An annotation without fields. Something with fields in its place could be anything, so it is not sent."""

    names_fields = False

    def fits(self, value: Any) -> bool:
        return not _has_fields(value)

    def narrow(self, value: Any) -> Any:
        raise _misfit(value)


class Fields(Rule):
    """A class with named fields: Struct, dataclass, attrs, TypedDict or pydantic's."""

    def __init__(self, kind: Any, encoders: Encoders) -> None:
        config = getattr(kind, "__struct_config__", None)
        self.kind = kind
        self.tag = (config.tag_field, config.tag) if config is not None and config.tag is not None else None
        self.wires: frozenset[str] = frozenset()
        self.required: frozenset[str] = frozenset()
        self.is_flat = False  # the class alone says everything
        self._encoders = encoders
        self._is_dict = typing.is_typeddict(kind)
        self._is_array = config is not None and config.array_like
        self._grows = hasattr(kind, "__attrs_attrs__")  # instances may have more attributes, and msgspec writes those
        self._fields: tuple[tuple[FieldOf, Rule], ...] = ()
        self.nested: tuple[tuple[FieldOf, Rule], ...] = ()
        self.hides = False
        self.is_row = getattr(kind, "__model__", None) is not None

    def settle(self, fields: Iterable[tuple[FieldOf, Rule]]) -> None:
        """Learn the fields, which may lead back here."""
        known = tuple(fields)
        self.hides = any(field.is_hidden for field, _ in known)
        self._fields = tuple(entry for entry in known if not entry[0].is_hidden)
        self.nested = tuple(entry for entry in self._fields if entry[1].names_fields)
        self.wires = frozenset(field.wire for field, _ in self._fields)
        self.required = frozenset(field.wire for field, _ in self._fields if field.is_required)
        self.is_flat = not (self.nested or self.hides or self._is_dict or self._grows)

    def parts(self) -> Iterable[Rule]:
        return [rule for _, rule in self._fields]

    @property
    def is_searched_slowly(self) -> bool:
        """Whether the class says nothing, or not everything, of what its instances hold."""
        return self._is_dict or self._grows or self.hides

    @functools.cached_property
    def hides_within(self) -> bool:
        """Whether instances have anything that is never sent, or hold what has."""
        return any(isinstance(rule, Fields) and rule.hides for rule in _within(self))

    def fits(self, value: Any) -> bool:
        if self._is_dict:
            return type(value) is dict and value.keys() <= self.wires and self._entries_fit(value)
        if type(value) is not self.kind or self.hides:
            return False
        if self.is_row and not self.hides_within:  # what was read has what was asked for
            return True
        if self._grows and len(getattr(value, "__dict__", ())) > len(self._fields):
            return False
        return all(rule.fits(getattr(value, field.name, None)) for field, rule in self.nested)

    def _entries_fit(self, value: Any) -> bool:
        return all(rule.fits(value[field.wire]) for field, rule in self.nested if field.wire in value)

    def narrow(self, value: Any) -> Any:
        value = self._encoded(value)
        if isinstance(value, Mapping):
            found = {field.wire: rule.apply(value[key]) for field, rule, key in self._keys_in(value)}
        elif is_single(value):
            return value
        elif _is_many(value):  # several, where one is annotated
            return [self.apply(entry) for entry in _each(value)]
        else:
            found = self._by_attribute(value)
        if self._is_array:
            return [found.get(field.wire) for field, _ in self._fields]
        return found if self.tag is None else {self.tag[0]: self.tag[1], **found}

    def _encoded(self, value: Any) -> Any:
        if self._encoders:
            kind = next((parent for parent in type(value).__mro__ if parent in self._encoders), None)
            if kind is not None and kind is not self.kind:
                return self._encoders[kind](value)
        return value

    def _keys_in(self, value: Mapping[Any, Any]) -> Iterable[tuple[FieldOf, Rule, str]]:
        for field, rule in self._fields:
            key = field.wire if field.wire in value else field.name
            if key in value:
                yield field, rule, key

    def _by_attribute(self, value: Any) -> dict[str, Any]:
        found = {}
        for field, rule in self._fields:
            attribute = getattr(value, field.name, msgspec.UNSET)
            if attribute is not msgspec.UNSET:
                found[field.wire] = rule.apply(attribute)
        if not found and self.required:
            raise _misfit(value)
        return found


class Root(Rule):
    """A class that is written as the one value that it holds: ``RootModel`` of pydantic."""

    rule: Rule  # which may lead back here

    def __init__(self, kind: Any) -> None:
        self.kind = kind

    def parts(self) -> Iterable[Rule]:
        return (self.rule,)

    def fits(self, value: Any) -> bool:
        return type(value) is self.kind and self.rule.fits(value.root)

    def narrow(self, value: Any) -> Any:
        return self.rule.apply(value.root if isinstance(value, self.kind) else value)


class ListOf(Rule):
    def __init__(self, item: Rule) -> None:
        self.names_fields = item.names_fields
        self.item = item

    def parts(self) -> Iterable[Rule]:
        return (self.item,)

    def fits(self, value: Any) -> bool:
        if not isinstance(value, (list, tuple, set, frozenset)):
            return is_single(value)
        item = self.item
        if type(item) is Fields and item.is_flat:
            return {item.kind}.issuperset(map(type, value))  # PERF: without a call for each
        return all(map(item.fits, value))

    def narrow(self, value: Any) -> Any:
        if _is_many(value):
            return [self.item.apply(entry) for entry in _each(value)]
        return self.item.apply(value)  # one, where several are annotated: no more of it than of each


class TupleOf(Rule):
    """A tuple of so many, or a named one, which is sent as an array as well."""

    def __init__(self, items: tuple[Rule, ...], names: tuple[str, ...] = ()) -> None:
        self.names_fields = any(item.names_fields for item in items)
        self.items = items
        self._names = names

    def parts(self) -> Iterable[Rule]:
        return self.items

    def fits(self, value: Any) -> bool:
        if not isinstance(value, (tuple, list)) or len(value) != len(self.items):
            return is_single(value)
        return all(rule.fits(entry) for rule, entry in zip(self.items, value, strict=True))

    def narrow(self, value: Any) -> Any:
        if isinstance(value, Mapping) and self._names:
            value = [value.get(name) for name in self._names]
        if not isinstance(value, (tuple, list)) or len(value) != len(self.items):
            raise _misfit(value)
        return [rule.apply(entry) for rule, entry in zip(self.items, value, strict=True)]


class DictOf(Rule):
    def __init__(self, item: Rule) -> None:
        self.names_fields = item.names_fields
        self.item = item

    def parts(self) -> Iterable[Rule]:
        return (self.item,)

    def fits(self, value: Any) -> bool:
        return all(map(self.item.fits, value.values())) if type(value) is dict else is_single(value)

    def narrow(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: self.item.apply(entry) for key, entry in value.items()}
        return self.item.apply(value)


class OptionalOf(Rule):
    """A rule, or a value without fields, ``None`` above all."""

    def __init__(self, rule: Rule) -> None:
        self.names_fields = rule.names_fields
        self.rule = rule

    def parts(self) -> Iterable[Rule]:
        return (self.rule,)

    def fits(self, value: Any) -> bool:
        return self.rule.fits(value) or is_single(value)

    def narrow(self, value: Any) -> Any:
        return self.rule.narrow(value)


class AnyOf(Rule):
    """One of several: the one whose class it is, or that its tag names, or that has most of its fields."""

    def __init__(self, members: Collection[Rule]) -> None:
        self.names_fields = any(member.names_fields for member in members)
        self.members = tuple(members)
        self._classes = tuple(member for member in self.members if isinstance(member, Fields))

    def parts(self) -> Iterable[Rule]:
        return self.members

    def fits(self, value: Any) -> bool:
        return any(member.fits(value) for member in self.members)

    def narrow(self, value: Any) -> Any:
        return self._chosen(value).narrow(value)

    def _chosen(self, value: Any) -> Rule:
        if _is_many(value):
            return self._of_kind(ListOf, TupleOf)
        if isinstance(value, Mapping):
            return self._by_keys(value)
        kinds = {member.kind: member for member in self._classes}
        nearest = next((kinds[parent] for parent in type(value).__mro__ if parent in kinds), None)
        return nearest or max(self._classes, key=lambda member: _shared(member, value), default=self.members[0])

    def _of_kind(self, *kinds: type[Rule]) -> Rule:
        return next((member for member in self.members if isinstance(member, kinds)), self.members[0])

    def _by_keys(self, value: Mapping[Any, Any]) -> Rule:
        tagged = [member for member in self._classes if member.tag and value.get(member.tag[0]) == member.tag[1]]
        candidates = tagged or [member for member in self._classes if member.required <= value.keys()]
        if not candidates and any(isinstance(member, DictOf) for member in self.members):
            return self._of_kind(DictOf)
        best = max(candidates or self._classes, key=lambda member: len(member.wires & value.keys()), default=None)
        return best or self.members[0]


def _shared(member: Fields, value: Any) -> int:
    return sum(hasattr(value, name) for name in member.wires)


def _within(rule: Rule) -> Iterable[Rule]:
    """A rule and those it leads to, each once."""
    found, waiting = {id(rule): rule}, [rule]
    while waiting:
        for inner in waiting.pop().parts():
            if id(inner) not in found:
                found[id(inner)] = inner
                waiting.append(inner)
    return found.values()


# --- values --------------------------------------------------------------------------------------------------------


def _has_fields(value: Any) -> bool:
    """Whether keys would be written for ``value``, or for something in it."""
    if isinstance(value, (list, tuple, set, frozenset)):
        return any(map(_has_fields, value))
    if isinstance(value, Mapping):
        return True
    return isinstance(value, msgspec.Struct) or (is_structure(type(value)) and not isinstance(value, type))


def _is_many(value: Any) -> bool:
    return isinstance(value, _MANY) and not hasattr(type(value), "_fields")  # no named tuple


def _each(value: Any) -> Iterable[Any]:
    return value.all() if isinstance(value, Manager) else value


def _misfit(value: Any) -> ResponseValidationError:
    words = f"A `{type(value).__qualname__}` has nothing of what is annotated, so it is not sent"
    return ResponseValidationError([error_entry(("response",), words, "type_error")])
