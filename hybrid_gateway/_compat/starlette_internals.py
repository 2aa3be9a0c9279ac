"""Undocumented names of Starlette's requests and responses."""

from __future__ import annotations

from hybrid_gateway._compat import Internal

__all__: list[str] = []

INTERNALS: dict[str, Internal] = {}
