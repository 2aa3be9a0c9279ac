"""Constraints of values: those of ``msgspec.Meta``, and of decimals, for which msgspec has none."""

from __future__ import annotations

import operator
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from decimal import Context, Decimal
from typing import Annotated, Any

import msgspec

from hybrid_gateway.exceptions import DependencyError

_NAMES = ("gt", "ge", "lt", "le", "multiple_of", "pattern", "min_length", "max_length", "tz")
_COMPARISONS: dict[str, tuple[str, Callable[[Decimal, Decimal], bool]]] = {
    "gt": (">", operator.gt),
    "ge": (">=", operator.ge),
    "lt": ("<", operator.lt),
    "le": ("<=", operator.le),
}
_KEYWORDS = {
    "gt": "exclusiveMinimum",
    "ge": "minimum",
    "lt": "exclusiveMaximum",
    "le": "maximum",
    "multiple_of": "multipleOf",
}


Check = Callable[[object], object]
"""Returns a value, or raises ``ValidationError``."""


class Bounds(msgspec.Struct, frozen=True):
    """Constraints by name, as a marker has them; decimals among them, which ``msgspec.Meta`` does not take."""

    by_name: Mapping[str, Any]

    def __hash__(self) -> int:
        return hash(tuple(sorted(self.by_name.items())))


def constraints_of(meta: object) -> dict[str, Any]:
    """Return the constraints of a ``Meta`` or :class:`Bounds`, by name: numbers, texts, and whether there is a zone."""
    if isinstance(meta, Bounds):
        return dict(meta.by_name)
    if not isinstance(meta, msgspec.Meta):
        return {}
    return {name: value for name in _NAMES if (value := getattr(meta, name)) is not None}


def is_bounded(meta: object) -> bool:
    """Return whether an extra of ``Annotated`` constrains values."""
    return bool(constraints_of(meta))


def holds_bounds(kind: object) -> bool:
    """Return whether a type has constraints inside it that msgspec would pass over."""
    return any(isinstance(extra, Bounds) or holds_bounds(extra) for extra in typing.get_args(kind))


def make_meta(constraints: Mapping[str, Any]) -> msgspec.Meta | Bounds:
    """Return a ``Meta`` of the constraints, or :class:`Bounds` where one is a decimal."""
    if any(isinstance(value, Decimal) for value in constraints.values()):
        return Bounds(dict(constraints))
    try:
        return msgspec.Meta(**constraints)
    except (TypeError, ValueError, re.error) as error:
        raise DependencyError(f"{_written(constraints)} makes no sense: {error}", id="P015") from error


def _all_constraints(metas: Sequence[object]) -> dict[str, Any]:
    return {name: value for meta in metas for name, value in constraints_of(meta).items()}


def _written(constraints: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in constraints.items())


def checker(kind: object, metas: Sequence[object]) -> tuple[Check, Bounds | None]:
    """Return ``check(value)``, which returns the value, or raises ``ValidationError`` if that breaks ``metas``.

    And the constraints, where they are comparisons with whole numbers. Raises :class:`DependencyError` for constraints
    that mean nothing for ``kind``.
    """
    constraints = _all_constraints(metas)
    if kind is Decimal:
        return _decimal_checker(constraints), None
    if any(isinstance(value, Decimal) for value in constraints.values()):
        raise DependencyError(f"{_written(constraints)} is for Decimal alone", id="P015")
    constrained: object = Annotated[(kind, msgspec.Meta(**constraints))]
    try:
        msgspec.json.Decoder(constrained)
    except (TypeError, ValueError, re.error) as error:
        raise DependencyError(f"{_written(constraints)} cannot be checked: {reason(error)}", id="P015") from error
    simple = kind is int and constraints.keys() <= _COMPARISONS.keys()

    def check(value: object) -> object:
        return msgspec.convert(value, constrained)

    return check, Bounds(constraints) if simple else None


def reason(error: Exception) -> str:
    """Return msgspec's message without the type, which the declaration shows; and what to write instead."""
    words = getattr(error, "text", str(error)).partition(" - type `")[0].rstrip(".")
    if "custom type" in words:
        return f"{words}. Take one of them, or, of pydantic, a RootModel[One | Other]"
    if "must be tagged" in words:
        return f"{words.partition(' (via')[0]}: `class One(Struct, tag=True)`"
    if "Type unions" in words:
        return f"{words.partition(' (`')[0]}. Take one of them, or str, and let __post_init__ make more of it"
    if "numeric" in words:
        return (
            f"{words}; of text they are min_length=, max_length=, pattern=; of items list[Annotated[int, Meta(ge=1)]]"
        )
    if "str, bytes" in words:
        return f"{words}; those of a number are ge=, gt=, le=, lt= and multiple_of="
    return words


def _decimal_checker(constraints: Mapping[str, object]) -> Check:
    unknown = [name for name in constraints if name not in _KEYWORDS]
    if unknown:
        raise DependencyError(
            f"{unknown[0]}= is for text; the bounds of a Decimal are ge=, gt=, le=, lt= and multiple_of=", id="P015"
        )
    exact = {name: Decimal(str(value)) for name, value in constraints.items()}
    compared = [(*_COMPARISONS[name], bound) for name, bound in exact.items() if name in _COMPARISONS]
    step = exact.get("multiple_of")
    if step is not None and step <= 0:
        raise DependencyError("multiple_of= must be more than 0", id="P015")

    def check(value: Any) -> object:  # a Decimal: text has become one
        for sign, holds, bound in compared:
            if not holds(value, bound):
                raise msgspec.ValidationError(f"Expected `decimal` {sign} {bound}")
        if step is not None and _EXACT.remainder(value, step):
            raise msgspec.ValidationError(f"Expected `decimal` that's a multiple of {step}")
        return value

    return check


_EXACT = Context(prec=5000)  # more digits than a text and its exponent can have


def decimal_keywords(metas: Sequence[object]) -> dict[str, object]:
    """Return the bounds of a decimal as JSON Schema calls them."""
    constraints = _all_constraints(metas)
    numbers = {_KEYWORDS[name]: value for name, value in constraints.items() if name in _KEYWORDS}
    for name, value in numbers.items():
        if isinstance(value, Decimal):
            numbers[name] = int(value) if value == int(value) else float(value)
    return numbers
