"""The ``Cookie`` header as names and values, the way browsers, Django and Starlette mean it."""

from __future__ import annotations

import re

__all__ = ["parse_cookies"]

_ESCAPED = re.compile(r"\\(?:([0-3][0-7][0-7])|(.))", re.DOTALL)


def parse_cookies(header: str) -> dict[str, str]:
    """Return the cookies of one header by name; of a repeated name the last.

    Quoted values are unquoted in one pass: that of ``http.cookies``, which Django and Starlette call, takes time by the
    square of their length on Python before 3.11.10, 3.12.6 and 3.13.0 (CVE-2024-7592).
    """
    found: dict[str, str] = {}
    for pair in header.split(";"):
        name, equals, value = pair.partition("=")
        name, value = name.strip(), value.strip()
        if equals and name:  # SECURITY: `=__Host-x=...` is no cookie called __Host-x
            found[name] = _unquote(value) if value.startswith('"') else value
    return found


def _unquote(text: str) -> str:
    if len(text) < 2 or not text.endswith('"'):
        return text
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)) if match[1] else match[2], text[1:-1])
