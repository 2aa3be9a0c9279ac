"""Decimals without a value and read-only fields in what clients send, which msgspec does not see to.

How this works: at start-up a type is searched for both. Where it has some, a function looks after those of each value;
it knows where they are, and nothing of the rest. What a union holds is told by the classes of values.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from typing import cast

import msgspec
from msgspec import inspect as mi

from hybrid_gateway.exceptions import ErrorEntry, Location, error_entry
from hybrid_gateway.type_info import cached_by_type
from hybrid_gateway.types import Handler

InputCheck = Callable[[object, Location, list[ErrorEntry]], None]
"""Adds the errors of a value at a location, and takes read-only values out of it."""

# SECURITY: msgspec takes "NaN", "Infinity" and "1e999999" for decimals. `int(value)` of an exponent of six digits fills
# the memory, and comparing with NaN raises.
MAX_DIGITS = 1000

_OfItems = mi.ListType | mi.SetType | mi.FrozenSetType | mi.VarTupleType
_OfFields = mi.StructType | mi.DataclassType | mi.TypedDictType | mi.NamedTupleType


@cached_by_type
def input_check(kind: object) -> InputCheck | None:
    """Return what looks after values of ``kind``; ``None`` where there is nothing to see to."""
    try:
        return _CheckBuilder().build(mi.type_info(kind))
    except (TypeError, NameError):  # which the decoder of the body has told
        return None


def _check_decimal(value: object, location: Location, errors: list[ErrorEntry]) -> None:
    if type(value) is Decimal and not (value.is_finite() and -MAX_DIGITS < value.adjusted() < MAX_DIGITS):
        errors.append(error_entry(location, "Invalid decimal string"))


class _CheckBuilder:
    """Builds the functions. A class is known before it is searched, for it may hold itself."""

    def __init__(self) -> None:
        self._classes: dict[type, InputCheck] = {}

    def build(self, info: mi.Type) -> InputCheck | None:
        """Return the check of a type; None where it needs none."""
        while isinstance(info, mi.Metadata):
            info = info.type
        if isinstance(info, mi.DecimalType):
            return _check_decimal
        if not _needs_check(info, frozenset()):
            return None
        if isinstance(info, _OfItems):
            return self._items(info)
        if isinstance(info, mi.TupleType):
            return self._entries(info)
        if isinstance(info, mi.DictType):
            return self._mapping(info)
        if isinstance(info, mi.UnionType):
            return self._union(info)
        return self._fields(info) if isinstance(info, _OfFields) else None

    def _items(self, info: _OfItems) -> InputCheck:
        check = self.build(info.item_type)
        assert check is not None

        def check_items(value: object, location: Location, errors: list[ErrorEntry]) -> None:
            if isinstance(value, (list, tuple, set, frozenset)):
                for position, item in enumerate(value):
                    check(item, (*location, position), errors)

        return check_items

    def _entries(self, info: mi.TupleType) -> InputCheck:
        checks = [(position, check) for position, item in enumerate(info.item_types) if (check := self.build(item))]

        def check_entries(value: object, location: Location, errors: list[ErrorEntry]) -> None:
            if isinstance(value, tuple):
                for position, check in checks:
                    check(value[position], (*location, position), errors)

        return check_entries

    def _mapping(self, info: mi.DictType) -> InputCheck:
        key, check = self.build(info.key_type), self.build(info.value_type)

        def check_mapping(value: object, location: Location, errors: list[ErrorEntry]) -> None:
            if isinstance(value, Mapping):
                for name, entry in value.items():
                    if key is not None:
                        key(name, (*location, str(name)), errors)
                    if check is not None:
                        check(entry, (*location, str(name)), errors)

        return check_mapping

    def _union(self, info: mi.UnionType) -> InputCheck:
        checks = [check for member in info.types if (check := self.build(member))]

        def check_any(value: object, location: Location, errors: list[ErrorEntry]) -> None:
            for check in checks:
                check(value, location, errors)

        return check_any

    def _fields(self, info: _OfFields) -> InputCheck:
        if info.cls in self._classes:
            return self._classes[info.cls]
        checks: list[tuple[str, str, InputCheck]] = []
        cls: type = typing.get_origin(info.cls) or info.cls
        get: Handler = getattr
        read_only: Collection[str] = getattr(cls, "__read_only__", ())  # of a shape
        if typing.is_typeddict(cls):
            get, cls = dict.get, dict

        def check_fields(value: object, location: Location, errors: list[ErrorEntry]) -> None:
            if isinstance(value, cls):
                for name in read_only:
                    msgspec.structs.force_setattr(cast("msgspec.Struct", value), name, msgspec.UNSET)
                for name, wire_name, check in checks:
                    check(get(value, name, None), (*location, wire_name), errors)

        self._classes[info.cls] = check_fields
        checks += [
            (field.name, field.encode_name, check)
            for field in info.fields
            if field.name not in read_only and (check := self.build(field.type))
        ]
        return check_fields


def _needs_check(info: mi.Type, seen: frozenset[type]) -> bool:
    while isinstance(info, mi.Metadata):
        info = info.type
    if isinstance(info, mi.DecimalType):
        return True
    if isinstance(info, _OfFields):
        if getattr(typing.get_origin(info.cls) or info.cls, "__read_only__", ()):
            return True
        return info.cls not in seen and any(_needs_check(field.type, seen | {info.cls}) for field in info.fields)
    inner: tuple[mi.Type, ...] = ()
    if isinstance(info, _OfItems):
        inner = (info.item_type,)
    elif isinstance(info, mi.DictType):
        inner = (info.key_type, info.value_type)
    elif isinstance(info, mi.TupleType):
        inner = info.item_types
    elif isinstance(info, mi.UnionType):
        inner = info.types
    return any(_needs_check(one, seen) for one in inner)
