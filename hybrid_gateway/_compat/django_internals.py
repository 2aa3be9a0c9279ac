"""Undocumented names of Django's handlers, requests, responses, sessions, settings and test client."""

from __future__ import annotations

from hybrid_gateway._compat import Internal

__all__: list[str] = []

INTERNALS: dict[str, Internal] = {}
