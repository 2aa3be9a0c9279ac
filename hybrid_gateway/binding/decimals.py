"""Decimals in bodies, for msgspec takes ``"NaN"``, ``"Infinity"`` and ``"1e999999"`` for some.

How this works: at start-up a type is searched for decimals. Where it has some, a function looks at those of each value;
it knows where they are, and nothing of the rest. What a union holds is told by the classes of values.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from msgspec import inspect as mi

from hybrid_gateway.exceptions import ErrorEntry, Location, error_entry
from hybrid_gateway.type_hints import cached_by_type

__all__ = ["Look", "look_for_decimals"]

Look = Callable[[Any, Location, list[ErrorEntry]], None]
"""Adds the errors of a value that lies at a place."""

# SECURITY: `int(value)` of an exponent of six digits fills the memory, and comparing with NaN raises.
_MOST_DIGITS = 1000


@cached_by_type
def look_for_decimals(kind: Any) -> Look | None:
    """What looks at the decimals in values of ``kind``; ``None`` where there are none."""
    try:
        return _Search().look(mi.type_info(kind))
    except (TypeError, NameError):  # which the decoder of the body has told
        return None


def _look_at_decimal(value: Any, place: Location, errors: list[ErrorEntry]) -> None:
    if type(value) is Decimal and not (value.is_finite() and -_MOST_DIGITS < value.adjusted() < _MOST_DIGITS):
        errors.append(error_entry(place, "Invalid decimal string"))


class _Search:
    """Makes the functions. A class is known before it is searched, for it may hold itself."""

    def __init__(self) -> None:
        self._classes: dict[Any, Look] = {}

    def look(self, info: Any) -> Look | None:
        while isinstance(info, mi.Metadata):
            info = info.type
        if isinstance(info, mi.DecimalType):
            return _look_at_decimal
        make = _SEARCHES.get(type(info))
        return None if make is None or not _holds_decimal(info, set()) else make(self, info)

    def items(self, info: Any) -> Look:
        look = self.look(info.item_type)
        assert look is not None

        def each(value: Any, place: Location, errors: list[ErrorEntry]) -> None:
            if isinstance(value, (list, tuple, set, frozenset)):
                for position, item in enumerate(value):
                    look(item, (*place, position), errors)

        return each

    def entries(self, info: Any) -> Look:
        looks = [(position, look) for position, item in enumerate(info.item_types) if (look := self.look(item))]

        def each(value: Any, place: Location, errors: list[ErrorEntry]) -> None:
            if isinstance(value, tuple):
                for position, look in looks:
                    look(value[position], (*place, position), errors)

        return each

    def mapping(self, info: Any) -> Look:
        key, look = self.look(info.key_type), self.look(info.value_type)

        def each(value: Any, place: Location, errors: list[ErrorEntry]) -> None:
            if isinstance(value, Mapping):
                for name, entry in value.items():
                    if key is not None:
                        key(name, (*place, str(name)), errors)
                    if look is not None:
                        look(entry, (*place, str(name)), errors)

        return each

    def union(self, info: Any) -> Look:
        looks = [look for member in info.types if (look := self.look(member))]

        def any_of(value: Any, place: Location, errors: list[ErrorEntry]) -> None:
            for look in looks:
                look(value, place, errors)

        return any_of

    def fields(self, info: Any) -> Look:
        if info.cls in self._classes:
            return self._classes[info.cls]
        looks: list[tuple[str, str, Look]] = []
        own = typing.get_origin(info.cls) or info.cls
        get: Any = Mapping.get if typing.is_typeddict(own) else getattr
        is_one: type = dict if typing.is_typeddict(own) else own

        def each(value: Any, place: Location, errors: list[ErrorEntry]) -> None:
            if isinstance(value, is_one):
                for name, wire_name, look in looks:
                    look(get(value, name, None), (*place, wire_name), errors)

        self._classes[info.cls] = each
        looks += [(field.name, field.encode_name, look) for field in info.fields if (look := self.look(field.type))]
        return each


def _holds_decimal(info: Any, seen: set[Any]) -> bool:
    while isinstance(info, mi.Metadata):
        info = info.type
    if isinstance(info, mi.DecimalType):
        return True
    fields = getattr(info, "fields", None)
    if fields is not None:
        if info.cls in seen:
            return False
        return any(_holds_decimal(field.type, seen | {info.cls}) for field in fields)
    inner = [getattr(info, name, None) for name in ("item_type", "key_type", "value_type")]
    return any(
        _holds_decimal(one, seen)
        for one in (*inner, *getattr(info, "item_types", ()), *getattr(info, "types", ()))
        if one
    )


_SEARCHES: dict[Any, Callable[[_Search, Any], Look]] = {
    mi.ListType: _Search.items,
    mi.SetType: _Search.items,
    mi.FrozenSetType: _Search.items,
    mi.VarTupleType: _Search.items,
    mi.TupleType: _Search.entries,
    mi.DictType: _Search.mapping,
    mi.UnionType: _Search.union,
    mi.StructType: _Search.fields,
    mi.DataclassType: _Search.fields,
    mi.TypedDictType: _Search.fields,
    mi.NamedTupleType: _Search.fields,
}
