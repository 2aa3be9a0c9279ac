"""Decimals as text. msgspec asks ``decimal.Decimal``, which takes digits of every script, ``NaN`` and ``Infinity``."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from hybrid_gateway.binding.validation import Error

__all__ = ["decimal_faults", "holds_decimal"]

# SECURITY: only ASCII digits are numbers; three of them are enough for an exponent that nobody can fill memory with.
_is_decimal = re.compile(r"[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]{1,3})?").fullmatch


def holds_decimal(kind: Any) -> bool:
    """Whether a value of the type is a ``Decimal``, or a list of them, and no other text."""
    inside = typing.get_args(kind)
    return kind is Decimal or (str not in inside and any(map(holds_decimal, inside)))


def decimal_faults(texts: Mapping[str, Any], names: Iterable[str], source: str) -> list[Error]:
    """The errors of those of ``names`` whose text, or one of whose texts, is no finite decimal number."""
    return [
        {"loc": [source, name], "msg": "Invalid decimal string", "type": "value_error"}
        for name in names
        if name in texts and not all(map(_is_decimal, _as_list(texts[name])))
    ]


def _as_list(texts: Any) -> list[str]:
    return texts if isinstance(texts, list) else [texts]
