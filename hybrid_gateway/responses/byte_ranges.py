"""The ``Range`` header: which bytes of a body a client asks for. SPEC: RFC 9110 section 14."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence

from hybrid_gateway.types import Header

ByteRange = tuple[int, int]
"""The first byte, and the one after the last."""

MAX_RANGES = 16  # of one request; SPEC: section 14.2: one with many may be ignored

_SPEC = re.compile("([0-9]*)-([0-9]*)")
_MOST_DIGITS = 18


def read_ranges(header: str, size: int) -> list[ByteRange] | None:
    """Return the ranges of a body of ``size`` bytes that a header names; ``None`` where it is to be ignored.

    No range at all is one that cannot be satisfied: a 416. Those that overlap or touch are one, in the place of the
    first. SECURITY: so nobody gets more bytes than there are, however many ranges a header names (CVE-2011-3192).
    """
    unit, _, text = header.partition("=")
    entries = text.split(",")
    if unit.strip().lower() != "bytes" or len(entries) > MAX_RANGES:
        return None
    found: list[ByteRange] = []
    is_named = False
    for entry in entries:
        entry = entry.strip(" \t")
        if not entry:  # SPEC: section 5.6.1.2: empty elements of a list are skipped
            continue
        match = _SPEC.fullmatch(entry)
        if match is None or entry == "-":
            return None
        first, last = match.groups()
        is_named = True
        if not first:
            length = _number(last)
            if length and not size:  # SPEC: it can be satisfied, and no Content-Range could say how
                return None
            start, stop = max(size - length, 0), size
        else:
            start, stop = _number(first), _number(last) + 1 if last else size
            if last and stop <= start:
                return None
        if start < min(stop, size):
            _merge(found, start, min(stop, size))
    return found if is_named else None


def _number(digits: str) -> int:
    # SECURITY: int() raises for 5,000 digits; no body is as long as that.
    return int(digits) if len(digits) <= _MOST_DIGITS else 10**_MOST_DIGITS


def _merge(ranges: list[ByteRange], start: int, stop: int) -> None:
    """Add a range, as one with those that it overlaps or touches."""
    touched = [other for other in ranges if other[0] <= stop and start <= other[1]]
    if not touched:
        ranges.append((start, stop))
        return
    place = ranges.index(touched[0])
    merged = min(start, *(first for first, _ in touched)), max(stop, *(end for _, end in touched))
    ranges[place] = merged
    ranges[:] = [other for other in ranges if other == merged or other not in touched]


def content_range(wanted: ByteRange, size: int) -> bytes:
    """Return the ``Content-Range`` of one range."""
    return b"bytes %d-%d/%d" % (wanted[0], wanted[1] - 1, size)


def multipart(ranges: Sequence[ByteRange], size: int, content_type: bytes) -> tuple[Header, list[bytes | ByteRange]]:
    """Return the ``Content-Type`` of several ranges, and what their body is made of. SPEC: section 14.6."""
    boundary = secrets.token_hex(16).encode()
    pieces: list[bytes | ByteRange] = []
    for place, wanted in enumerate(ranges):
        head = b"%b--%b\r\nContent-Type: %b\r\nContent-Range: %b\r\n\r\n"
        break_before = b"\r\n" if place else b""
        pieces += [head % (break_before, boundary, content_type, content_range(wanted, size)), wanted]
    pieces.append(b"\r\n--%b--\r\n" % boundary)
    return (b"content-type", b"multipart/byteranges; boundary=" + boundary), pieces
