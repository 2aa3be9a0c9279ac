"""Values of types, for what handlers answer with."""

from __future__ import annotations

import datetime
import decimal
import enum
import math
import random
import re
import typing
import uuid
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import inspect as mi

UTC = datetime.UTC
WORDS = [
    "",
    "a",
    "b",
    "ab",
    "abc",
    "abcd",
    "abcdef",
    "null",
    "x y",
    "ä€",
    "12",
    "-1",
    "true",
    "2020-01-02",
    "\x00",
    "😀",
]
NUMBERS = [0, 1, 2, 3, 4, 5, 6, 9, -1, -3, 7, 12, 2**31, -(2**63), 2**63 - 1]
DECIMALS = [decimal.Decimal(text) for text in ("0", "1.50", "-3", "1e5", "12.345")]
FLOATS = [0.5, 1.5, -2.5, 3.25, 1e20, 1e-9, 8.75]


class NoSampleError(Exception):
    """Nothing was found that fits, in a few tries."""


class Instances:
    """Makes values of annotations, by what msgspec (or pydantic) says of them."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def of(self, kind: Any, depth: int = 4) -> Any:
        return self._make(mi.type_info(kind), depth)

    def _make(self, info: Any, depth: int) -> Any:
        pattern = ""
        while isinstance(info, mi.Metadata):
            pattern = (info.extra_json_schema or {}).get("pattern", pattern)  # the digits of a column
            info = info.type
        if isinstance(info, mi.DecimalType):
            return self._pick(DECIMALS, lambda value: re.search(pattern, str(value)))
        return getattr(self, "_" + type(info).__name__)(info, depth)

    def _pick(self, values: list[Any], fits: Callable[[Any], bool]) -> Any:
        found = [value for value in values if fits(value)]
        if not found:
            raise NoSampleError
        return self.rng.choice(found)

    def _IntType(self, info: Any, depth: int) -> Any:
        return self._pick(NUMBERS, lambda value: _within(value, info))

    def _FloatType(self, info: Any, depth: int) -> Any:
        return self._pick([*FLOATS, 3.0], lambda value: _within(value, info))

    def _StrType(self, info: Any, depth: int) -> Any:
        return self._pick(WORDS, lambda value: _is_long(value, info) and re.search(info.pattern or "", value))

    def _DateTimeType(self, info: Any, depth: int) -> Any:
        moment = datetime.datetime(
            2020, 1, self.rng.randint(1, 28), self.rng.randint(0, 23), 1, 2, self.rng.choice([0, 5])
        )
        zone = datetime.timezone(datetime.timedelta(hours=self.rng.choice([0, 2, -5])))
        return moment if info.tz is False else moment.replace(tzinfo=zone)

    def _TimeType(self, info: Any, depth: int) -> Any:
        return datetime.time(self.rng.randint(0, 23), 5, tzinfo=UTC if info.tz else None)

    def _DictType(self, info: Any, depth: int) -> Any:
        count = self._count(info, depth)
        found = {}
        for _ in range(20):
            if len(found) < count:
                found[self._make(info.key_type, depth - 1)] = self._make(info.value_type, depth - 1)
        return self._checked(found, info)

    def _ListType(self, info: Any, depth: int) -> Any:
        return self._checked([self._make(info.item_type, depth - 1) for _ in range(self._count(info, depth))], info)

    def _SetType(self, info: Any, depth: int) -> Any:
        return self._checked(set(self._ListType(msgspec.structs.replace(info, min_length=None), depth)), info)

    def _FrozenSetType(self, info: Any, depth: int) -> Any:
        return frozenset(self._SetType(info, depth))

    def _VarTupleType(self, info: Any, depth: int) -> Any:
        return tuple(self._ListType(info, depth))

    def _count(self, info: Any, depth: int) -> int:
        low = info.min_length or 0
        return self.rng.randint(low, max(low, min(info.max_length or 3, 3 if depth > 0 else 0)))

    def _checked(self, value: Any, info: Any) -> Any:
        if not _is_long(value, info):
            raise NoSampleError
        return value

    def _TupleType(self, info: Any, depth: int) -> Any:
        return tuple(self._make(item, depth - 1) for item in info.item_types)

    def _UnionType(self, info: Any, depth: int) -> Any:
        members = list(info.types)
        if depth <= 0 and any(isinstance(member, mi.NoneType) for member in members):
            return None
        return self._make(self.rng.choice(members), depth - 1)

    def _LiteralType(self, info: Any, depth: int) -> Any:
        return self.rng.choice(info.values)

    def _EnumType(self, info: Any, depth: int) -> Any:
        return self.rng.choice(list(info.cls))

    def _StructType(self, info: Any, depth: int) -> Any:
        chosen = {}
        for entry in info.fields:
            if entry.required or self.rng.random() < 0.6 and depth > 0:
                value = self._make(entry.type, depth - 1)
                if value is not msgspec.UNSET:
                    chosen[entry.name] = value
        return (typing.get_origin(info.cls) or info.cls)(**chosen)

    _DataclassType = _TypedDictType = _NamedTupleType = _StructType

    def _CustomType(self, info: Any, depth: int) -> Any:
        if issubclass(info.cls, enum.Enum):
            return self.rng.choice(list(info.cls))
        return self._pydantic(info.cls, depth)

    def _pydantic(self, cls: Any, depth: int) -> Any:
        values = {}
        for name, entry in cls.model_fields.items():
            if entry.is_required() or self.rng.random() < 0.6:
                limits = {
                    key: getattr(rule, key)
                    for rule in entry.metadata
                    for key in ("ge", "le", "min_length", "max_length")
                    if hasattr(rule, key)
                }
                kind = typing.Annotated[(entry.annotation, msgspec.Meta(**limits))] if limits else entry.annotation
                key = entry.validation_alias or entry.alias or name
                values[key] = self.of(kind, depth - 1)
        return cls.model_validate(values)


def _constant(*values: Any) -> Callable[[Any, Any, int], Any]:
    return lambda self, info, depth: self.rng.choice(values)


for _name, _values in {
    "AnyType": [1, "a", None, [1]],
    "RawType": [msgspec.Raw(b'{"a": 1}')],
    "NoneType": [None],
    "UnsetType": [msgspec.UNSET],
    "BoolType": [True, False],
    "BytesType": [b"", b"ab\xff"],
    "DateType": [datetime.date(2020, 2, 29), datetime.date(1, 1, 1), datetime.date(9999, 12, 31)],
    "TimeDeltaType": [datetime.timedelta(hours=2, microseconds=5), datetime.timedelta(days=-3), datetime.timedelta(0)],
    "UUIDType": [uuid.UUID(int=5), uuid.UUID(int=2**128 - 1)],
}.items():
    setattr(Instances, f"_{_name}", _constant(*_values))


def _within(value: Any, info: Any) -> bool:
    limits = {name: getattr(info, name, None) for name in ("ge", "gt", "le", "lt", "multiple_of")}
    checks = {
        "ge": lambda limit: value >= limit,
        "gt": lambda limit: value > limit,
        "le": lambda limit: value <= limit,
        "lt": lambda limit: value < limit,
        "multiple_of": lambda limit: value % limit == 0,
    }
    return all(limit is None or checks[name](limit) for name, limit in limits.items())


def _is_long(value: Any, info: Any) -> bool:
    return (info.min_length or 0) <= len(value) <= (math.inf if info.max_length is None else info.max_length)
