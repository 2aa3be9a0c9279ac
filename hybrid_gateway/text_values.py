"""Text → value, for the plain types: one rule for path, query, header, cookie and form.

SECURITY: only ASCII digits are digits, and ``fullmatch`` has no ``$`` that lets a newline pass. ``1e5`` and ``1.0`` are
numbers and no integers, and ``007`` is 7, as in Django's paths.
"""

from __future__ import annotations

import datetime
import decimal
import functools
import math
import re
import uuid
from collections.abc import Callable

import msgspec

_is_int = re.compile(r"-?[0-9]+").fullmatch
_is_number = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,4})?").fullmatch
# As many digits as nobody can fill memory, or time, with: arithmetic on decimals knows no bound of its own.
_is_decimal = re.compile(r"[+-]?([0-9]{1,400}([.][0-9]{0,400})?|[.][0-9]{1,400})([eE][+-]?[0-9]{1,3})?").fullmatch


def _expected(kind: str) -> msgspec.ValidationError:
    return msgspec.ValidationError(f"Expected `{kind}`, got `str`")


def read_int(text: str) -> int:
    """Read an integer; raise :class:`msgspec.ValidationError` for other text, as every reader here does."""
    if _is_int(text) is None:
        raise _expected("int")
    try:
        return int(text)
    except ValueError:  # longer than sys.set_int_max_str_digits allows
        raise msgspec.ValidationError("Integer value out of range") from None


def _read_float(text: str) -> float:
    if _is_number(text) is None:
        raise _expected("float")
    number = float(text)
    if math.isinf(number):
        raise msgspec.ValidationError("Number out of range")
    return number


def _read_decimal(text: str) -> decimal.Decimal:
    # decimal.Decimal itself takes digits of every script, NaN and Infinity.
    if _is_decimal(text) is None:
        raise msgspec.ValidationError("Invalid decimal string")
    return decimal.Decimal(text)


def read_bool(text: str) -> bool:
    """Read ``true`` and ``false``, ``1`` and ``0``, and the ``on`` of a checkbox, in either case."""
    value = _BOOLS.get(text.lower()) if text.isascii() else None
    if value is None:
        raise _expected("bool")
    return value


_BOOLS = {"true": True, "1": True, "on": True, "false": False, "0": False, "off": False}


# By RFC 3339 and ISO 8601; bytes are base64.
_AS_IN_JSON = (uuid.UUID, datetime.datetime, datetime.date, datetime.time, datetime.timedelta, bytes)

READERS: dict[object, Callable[[str], object]] = {
    str: str,
    int: read_int,
    float: _read_float,
    bool: read_bool,
    decimal.Decimal: _read_decimal,
    **{kind: functools.partial(msgspec.convert, type=kind) for kind in _AS_IN_JSON},
}
