"""Undocumented names of Django's models, queries, compilers and connections."""

from __future__ import annotations

from hybrid_gateway._compat import Internal

__all__: list[str] = []

INTERNALS: dict[str, Internal] = {}
