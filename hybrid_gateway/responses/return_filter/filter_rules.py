"""One rule per kind of annotation: it takes of a value what the annotation names, and nothing else.

How this works: ``fits`` is asked for each value, and looks at classes alone: an instance of the very class that is
annotated has nothing else in it. Of whatever does not fit (dicts, instances of other classes and of subclasses, rows)
``narrow`` takes the fields that the annotation names, by their names on the wire. Values are not checked; that is
``validate_response``.
"""

from __future__ import annotations

import collections
import functools
import typing
from collections.abc import Collection, Iterable, Mapping
from typing import Protocol, TypeGuard

import msgspec
from django.db.models import Manager, Model, QuerySet

from hybrid_gateway.exceptions import ResponseValidationError, error_entry
from hybrid_gateway.responses.enc_hook import TypeEncoders
from hybrid_gateway.responses.response_info import PLAIN_VALUES
from hybrid_gateway.type_info import type_info

VALUES = (*PLAIN_VALUES, complex)
_PLAINEST = frozenset((str, int, float, bool, bytes, type(None)))  # PERF: most values; their classes have no fields
_MANY = (list, tuple, set, frozenset, collections.deque, QuerySet, Manager)


class Rule:
    """The filter of one annotation."""

    names_fields = True  # or what is in it does

    def fits(self, value: object) -> bool:
        """Return whether ``value`` has nothing but what is annotated, by the classes of what it is made of."""
        raise NotImplementedError

    def narrow(self, value: object) -> object:
        """Return what is annotated of a value that does not fit.

        Raises :class:`ResponseValidationError` where that is nothing.
        """
        raise NotImplementedError

    def parts(self) -> Iterable[Rule]:
        """Return the rules inside this one."""
        return ()

    def apply(self, value: object) -> object:
        """Return ``value``, or the part of it that may be sent."""
        return value if self.fits(value) else self.narrow(value)


# --- rules ---------------------------------------------------------------------------------------------------------


class Anything(Rule):
    names_fields = False

    def fits(self, value: object) -> bool:
        return True


class Value(Rule):
    """An annotation without fields. A value with fields does not fit: which of them were meant is unknown."""

    names_fields = False

    def fits(self, value: object) -> bool:
        return type(value) in _PLAINEST or not _has_fields(value)

    def narrow(self, value: object) -> object:
        raise _misfit(value)


class ResponseField(msgspec.Struct, frozen=True):
    """A field of a class, however that was made."""

    name: str
    wire: str
    type: object
    is_required: bool = True
    is_hidden: bool = False  # it is never sent


class Fields(Rule):
    """A class with named fields: Struct, dataclass, attrs, TypedDict or pydantic's."""

    def __init__(self, kind: type, encoders: TypeEncoders) -> None:
        config = getattr(kind, "__struct_config__", None)
        self.kind = kind
        self.tag = (config.tag_field, config.tag) if config is not None and config.tag is not None else None
        self.wire_names: frozenset[str] = frozenset()
        self.required: frozenset[str] = frozenset()
        self.is_flat = False  # the class alone says everything
        self._encoders = encoders
        self._is_dict = typing.is_typeddict(kind)
        self._is_array = config is not None and config.array_like
        self._grows = hasattr(kind, "__attrs_attrs__")  # instances may have more attributes, and msgspec writes those
        self._fields: tuple[tuple[ResponseField, Rule], ...] = ()
        self.nested: tuple[tuple[ResponseField, Rule], ...] = ()
        self.hides = False
        self.is_row = getattr(kind, "__model__", None) is not None

    def set_fields(self, fields: Iterable[tuple[ResponseField, Rule]]) -> None:
        """Set the fields, whose rules may lead back to this one."""
        known = tuple(fields)
        self.hides = any(field.is_hidden for field, _ in known)
        self._fields = tuple(entry for entry in known if not entry[0].is_hidden)
        self.nested = tuple(entry for entry in self._fields if entry[1].names_fields)
        self.wire_names = frozenset(field.wire for field, _ in self._fields)
        self.required = frozenset(field.wire for field, _ in self._fields if field.is_required)
        self.is_flat = not (self.nested or self.hides or self._is_dict or self._grows)

    def parts(self) -> Iterable[Rule]:
        return [rule for _, rule in self._fields]

    @property
    def needs_search(self) -> bool:
        """True where the class does not tell everything that its instances hold."""
        return self._is_dict or self._grows or self.hides

    @functools.cached_property
    def hides_within(self) -> bool:
        """True where instances, or what they hold, have a field that is never sent."""
        return any(isinstance(rule, Fields) and rule.hides for rule in _reachable(self))

    def fits(self, value: object) -> bool:
        if self._is_dict:
            return (
                type(value) is dict
                and value.keys() <= self.wire_names
                and all(rule.fits(value[field.wire]) for field, rule in self.nested if field.wire in value)
            )
        if type(value) is not self.kind or self.hides:
            return False
        if self.is_row and not self.hides_within:  # what was read has what was asked for
            return True
        if self._grows and len(getattr(value, "__dict__", ())) > len(self._fields):
            return False
        return all(rule.fits(getattr(value, field.name, None)) for field, rule in self.nested)

    def narrow(self, value: object) -> object:
        value = self._encoded(value)
        if isinstance(value, Mapping):
            found = self._by_key(value)
        elif _is_value(value):
            return value
        elif _is_many(value):  # several, where one is annotated
            return [self.apply(entry) for entry in _each(value)]
        else:
            found = self._by_attribute(value)
        if self._is_array:
            return [found.get(field.wire) for field, _ in self._fields]
        return found if self.tag is None else {self.tag[0]: self.tag[1], **found}

    def _encoded(self, value: object) -> object:
        if self._encoders:
            kind = next((parent for parent in type(value).__mro__ if parent in self._encoders), None)
            if kind is not None and kind is not self.kind:
                return self._encoders[kind](value)
        return value

    def _by_key(self, value: Mapping[object, object]) -> dict[str, object]:
        keys = [field.wire if field.wire in value else field.name for field, _ in self._fields]
        entries = zip(self._fields, keys, strict=True)
        return {field.wire: rule.apply(value[key]) for (field, rule), key in entries if key in value}

    def _by_attribute(self, value: object) -> dict[str, object]:
        found = {}
        for field, rule in self._fields:
            attribute = getattr(value, field.name, msgspec.UNSET)
            if attribute is not msgspec.UNSET:
                found[field.wire] = rule.apply(attribute)
        if not found and self.required:
            raise _misfit(value)
        return found


class FieldReader(Protocol):
    """The reader of a class that shows another one: of fields, from instances of that."""

    source: type

    def read(self, instance: object) -> Mapping[str, object]:
        """Return the fields by name; ``UNSET`` for one that is not there."""
        ...


class ReadFields(Fields):
    """The fields of a class that says itself how they are read: a :class:`~hybrid_gateway.Shape`."""

    def __init__(self, kind: type, encoders: TypeEncoders, reader: FieldReader) -> None:
        super().__init__(kind, encoders)
        self.source = reader.source
        self._reader = reader

    def narrow(self, value: object) -> object:
        if type(value) is self.source and self.tag is None and not self._encoders:  # PERF: most values
            return self._named(self._reader.read(value))
        return super().narrow(value)

    def _by_key(self, value: Mapping[object, object]) -> dict[str, object]:
        return self._named(self._reader.read(value))

    def _by_attribute(self, value: object) -> dict[str, object]:
        if isinstance(value, self.kind):
            return super()._by_attribute(value)
        found = self._named(self._reader.read(value))
        if not found and self.required:
            raise _misfit(value)
        return found

    def _named(self, values: Mapping[str, object]) -> dict[str, object]:
        return {
            field.wire: rule.apply(value)
            for field, rule in self._fields
            if (value := values.get(field.name, msgspec.UNSET)) is not msgspec.UNSET
        }


class Root(Rule):
    """A class that is written as the value of its ``root``: ``RootModel`` of pydantic."""

    rule: Rule  # which may lead back here

    def __init__(self, kind: type) -> None:
        self.kind = kind

    def parts(self) -> Iterable[Rule]:
        return (self.rule,)

    def fits(self, value: object) -> bool:
        return type(value) is self.kind and self.rule.fits(getattr(value, "root"))  # noqa: B009 (mypy)

    def narrow(self, value: object) -> object:
        return self.rule.apply(getattr(value, "root") if isinstance(value, self.kind) else value)  # noqa: B009


class _Around(Rule):
    """A rule around one other."""

    def __init__(self, item: Rule) -> None:
        self.names_fields = item.names_fields
        self.item = item

    def parts(self) -> Iterable[Rule]:
        return (self.item,)


class ListOf(_Around):
    def fits(self, value: object) -> bool:
        if not isinstance(value, (list, tuple, set, frozenset)):
            return _is_value(value)
        item = self.item
        if type(item) is Fields and item.is_flat:
            return {item.kind}.issuperset(map(type, value))  # PERF: without a call for each
        return all(map(item.fits, value))

    def narrow(self, value: object) -> object:
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

    def fits(self, value: object) -> bool:
        if not isinstance(value, (tuple, list)) or len(value) != len(self.items):
            return _is_value(value)
        return all(rule.fits(entry) for rule, entry in zip(self.items, value, strict=True))

    def narrow(self, value: object) -> object:
        if isinstance(value, Mapping) and self._names:
            value = [value.get(name) for name in self._names]
        if not isinstance(value, (tuple, list)) or len(value) != len(self.items):
            raise _misfit(value)
        return [rule.apply(entry) for rule, entry in zip(self.items, value, strict=True)]


class DictOf(_Around):
    def fits(self, value: object) -> bool:
        return all(map(self.item.fits, value.values())) if type(value) is dict else _is_value(value)

    def narrow(self, value: object) -> object:
        if isinstance(value, Mapping):
            return {key: self.item.apply(entry) for key, entry in value.items()}
        return self.item.apply(value)


class OptionalOf(_Around):
    """A rule, or a value without fields, ``None`` above all."""

    def fits(self, value: object) -> bool:
        return self.item.fits(value) or _is_value(value)

    def narrow(self, value: object) -> object:
        return self.item.narrow(value)


class AnyOf(Rule):
    """One of several: the one whose class it is, or that its tag names, or that has most of its fields."""

    def __init__(self, members: Collection[Rule]) -> None:
        self.names_fields = any(member.names_fields for member in members)
        self.members = tuple(members)
        self._classes = tuple(member for member in self.members if isinstance(member, Fields))

    def parts(self) -> Iterable[Rule]:
        return self.members

    def fits(self, value: object) -> bool:
        return any(member.fits(value) for member in self.members)

    def narrow(self, value: object) -> object:
        return self._chosen(value).narrow(value)

    def _chosen(self, value: object) -> Rule:
        if _is_many(value):
            return self._of_kind(ListOf, TupleOf)
        if isinstance(value, Mapping):
            return self._by_keys(value)
        kinds = {getattr(member, "source", member.kind): member for member in self._classes}
        kinds |= {member.kind: member for member in self._classes}
        nearest = next((kinds[parent] for parent in type(value).__mro__ if parent in kinds), None)
        return self._only_one(value, nearest) or max(
            self._classes,
            key=lambda member: sum(hasattr(value, name) for name in member.wire_names),
            default=self.members[0],
        )

    def _only_one(self, value: object, chosen: Fields | None) -> Fields | None:
        """Return ``chosen``; raise where the value might as well be meant as another shape of its class."""
        if isinstance(chosen, ReadFields) and not isinstance(value, chosen.kind):
            others = [member for member in self._classes if getattr(member, "source", None) is chosen.source]
            if len(others) > 1:
                names = " and ".join(sorted(member.kind.__name__ for member in others))
                words = f"{names} are shapes of {chosen.source.__name__}: use {chosen.kind.__name__}.from_instance(...)"
                raise ResponseValidationError([error_entry(("response",), words, "type_error")])
        return chosen

    def _of_kind(self, *kinds: type[Rule]) -> Rule:
        return next((member for member in self.members if isinstance(member, kinds)), self.members[0])

    def _by_keys(self, value: Mapping[object, object]) -> Rule:
        tagged = [member for member in self._classes if member.tag and value.get(member.tag[0]) == member.tag[1]]
        candidates = tagged or [member for member in self._classes if member.required <= value.keys()]
        if not candidates and any(isinstance(member, DictOf) for member in self.members):
            return self._of_kind(DictOf)
        best = max(candidates or self._classes, key=lambda member: len(member.wire_names & value.keys()), default=None)
        return (best if tagged else self._only_one(value, best)) or self.members[0]


def _reachable(rule: Rule) -> Iterable[Rule]:
    """Return a rule and those it leads to, each once."""
    found, waiting = {id(rule): rule}, [rule]
    while waiting:
        for inner in waiting.pop().parts():
            if id(inner) not in found:
                found[id(inner)] = inner
                waiting.append(inner)
    return found.values()


def _is_value(value: object) -> bool:
    """Return whether nothing can be taken out of ``value``."""
    return isinstance(value, VALUES)


def _has_fields(value: object) -> bool:
    """Return whether keys would be written for ``value``, or for something in it."""
    if isinstance(value, (list, tuple, set, frozenset)):
        return any(map(_has_fields, value))
    if isinstance(value, Mapping):
        return True
    return isinstance(value, msgspec.Struct) or (type_info(type(value)).is_structure and not isinstance(value, type))


def _is_many(value: object) -> TypeGuard[Iterable[object] | Manager[Model]]:
    return isinstance(value, _MANY) and not hasattr(type(value), "_fields")  # no named tuple


def _each(value: Iterable[object] | Manager[Model]) -> Iterable[object]:
    return value.all() if isinstance(value, Manager) else value


def _misfit(value: object) -> ResponseValidationError:
    words = f"A `{type(value).__qualname__}` has nothing of what is annotated, so it is not sent"
    return ResponseValidationError([error_entry(("response",), words, "type_error")])
