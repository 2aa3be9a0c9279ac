"""Undocumented names of CPython: frames, classes and what the standard library does not document."""

from __future__ import annotations

from hybrid_gateway._compat import Internal

__all__: list[str] = []

INTERNALS: dict[str, Internal] = {}
