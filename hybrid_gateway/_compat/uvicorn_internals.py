"""Undocumented names of uvicorn's HTTP protocol and server, below the lane."""

from __future__ import annotations

from hybrid_gateway._compat import Internal

__all__: list[str] = []

INTERNALS: dict[str, Internal] = {}
