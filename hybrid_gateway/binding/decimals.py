"""Decimals in bodies, for msgspec takes ``"NaN"``, ``"Infinity"`` and ``"1e999999"`` for some.

How this works: at start-up a type is searched for decimals. Where it has some, a function checks those of each value;
it knows where they are, and nothing of the rest. What a union holds is told by the classes of values.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from decimal import Decimal

from msgspec import inspect as mi

from hybrid_gateway.exceptions import ErrorEntry, Location, error_entry
from hybrid_gateway.type_hints import cached_by_type
from hybrid_gateway.types import Handler

__all__ = ["DecimalCheck", "decimal_check"]

DecimalCheck = Callable[[object, Location, list[ErrorEntry]], None]
"""Adds the errors of a value at a location."""

# SECURITY: `int(value)` of an exponent of six digits fills the memory, and comparing with NaN raises.
MAX_DIGITS = 1000

_OfItems = mi.ListType | mi.SetType | mi.FrozenSetType | mi.VarTupleType
_OfFields = mi.StructType | mi.DataclassType | mi.TypedDictType | mi.NamedTupleType


@cached_by_type
def decimal_check(kind: object) -> DecimalCheck | None:
    """Return what checks the decimals in values of ``kind``; ``None`` where there are none."""
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
        self._classes: dict[type, DecimalCheck] = {}

    def build(self, info: mi.Type) -> DecimalCheck | None:
        """Return the check of a type; None where it has no decimals."""
        while isinstance(info, mi.Metadata):
            info = info.type
        if isinstance(info, mi.DecimalType):
            return _check_decimal
        if not _holds_decimal(info, frozenset()):
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

    def _items(self, info: _OfItems) -> DecimalCheck:
        check = self.build(info.item_type)
        assert check is not None

        def check_items(value: object, location: Location, errors: list[ErrorEntry]) -> None:
            if isinstance(value, (list, tuple, set, frozenset)):
                for position, item in enumerate(value):
                    check(item, (*location, position), errors)

        return check_items

    def _entries(self, info: mi.TupleType) -> DecimalCheck:
        checks = [(position, check) for position, item in enumerate(info.item_types) if (check := self.build(item))]

        def check_entries(value: object, location: Location, errors: list[ErrorEntry]) -> None:
            if isinstance(value, tuple):
                for position, check in checks:
                    check(value[position], (*location, position), errors)

        return check_entries

    def _mapping(self, info: mi.DictType) -> DecimalCheck:
        key, check = self.build(info.key_type), self.build(info.value_type)

        def check_mapping(value: object, location: Location, errors: list[ErrorEntry]) -> None:
            if isinstance(value, Mapping):
                for name, entry in value.items():
                    if key is not None:
                        key(name, (*location, str(name)), errors)
                    if check is not None:
                        check(entry, (*location, str(name)), errors)

        return check_mapping

    def _union(self, info: mi.UnionType) -> DecimalCheck:
        checks = [check for member in info.types if (check := self.build(member))]

        def check_any(value: object, location: Location, errors: list[ErrorEntry]) -> None:
            for check in checks:
                check(value, location, errors)

        return check_any

    def _fields(self, info: _OfFields) -> DecimalCheck:
        if info.cls in self._classes:
            return self._classes[info.cls]
        checks: list[tuple[str, str, DecimalCheck]] = []
        cls: type = typing.get_origin(info.cls) or info.cls
        get: Handler = getattr
        if typing.is_typeddict(cls):
            get, cls = dict.get, dict

        def check_fields(value: object, location: Location, errors: list[ErrorEntry]) -> None:
            if isinstance(value, cls):
                for name, wire_name, check in checks:
                    check(get(value, name, None), (*location, wire_name), errors)

        self._classes[info.cls] = check_fields
        checks += [(field.name, field.encode_name, check) for field in info.fields if (check := self.build(field.type))]
        return check_fields


def _holds_decimal(info: mi.Type, seen: frozenset[type]) -> bool:
    while isinstance(info, mi.Metadata):
        info = info.type
    if isinstance(info, mi.DecimalType):
        return True
    if isinstance(info, _OfFields):
        return info.cls not in seen and any(_holds_decimal(field.type, seen | {info.cls}) for field in info.fields)
    inner: tuple[mi.Type, ...] = ()
    if isinstance(info, _OfItems):
        inner = (info.item_type,)
    elif isinstance(info, mi.DictType):
        inner = (info.key_type, info.value_type)
    elif isinstance(info, mi.TupleType):
        inner = info.item_types
    elif isinstance(info, mi.UnionType):
        inner = info.types
    return any(_holds_decimal(one, seen) for one in inner)
