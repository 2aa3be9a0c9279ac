"""The head of a request: query strings and cookies by name, within Django's limits, and the path for Django."""

from __future__ import annotations

import functools
import re
from urllib.parse import unquote_plus

from django.conf import settings
from django.core.signals import setting_changed
from django.dispatch import receiver

from hybrid_gateway.exceptions import BadRequest


@functools.cache  # PERF: 0.3 µs; Django's settings are an object whose every attribute goes through Python code
def max_fields() -> int | None:
    """Return Django's ``DATA_UPLOAD_MAX_NUMBER_FIELDS``."""
    most: int | None = settings.DATA_UPLOAD_MAX_NUMBER_FIELDS
    return most


@receiver(setting_changed)
def _forget_max_fields(**kwargs: object) -> None:
    max_fields.cache_clear()


def check_field_count(count: int, what: str) -> None:
    """Raise 400 for more than Django's ``DATA_UPLOAD_MAX_NUMBER_FIELDS`` of something."""
    most = max_fields()
    if most is not None and count > most:
        # DJANGO: TooManyFieldsSent is 400 as well, for request.GET too (http/request.py)
        raise BadRequest(f"The request has more than {most} {what}.")


def parse_query(raw: bytes) -> list[tuple[str, str]]:
    """Split ``application/x-www-form-urlencoded`` text; only ``&`` separates, blank values are kept."""
    if not raw:
        return []
    check_field_count(raw.count(b"&") + 1, "parameters")
    text = raw.decode("utf-8", "replace")
    pairs = [pair.partition("=") for pair in text.split("&") if pair]
    if "%" in text or "+" in text:
        return [(unquote_plus(name), unquote_plus(value)) for name, _, value in pairs]
    return [(name, value) for name, _, value in pairs]


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
            if value.startswith('"') and value.endswith('"') and len(value) > 1:
                value = _ESCAPED.sub(lambda match: chr(int(match[1], 8)) if match[1] else match[2], value[1:-1])
            found[name] = value
    return found


def path_info(path: str, root_path: str) -> str | None:
    """Return ``path`` without the script prefix, as Django will resolve it; None when the prefix ends inside a segment.

    A path that does not start with ``root_path`` was stripped by the server already.
    """
    # DJANGO: django/core/handlers/asgi.py ASGIRequest.__init__; 5.2 strips without looking at the boundary, so a path
    # on which the two could disagree is rejected instead of classified.
    root = root_path.rstrip("/")
    if not root or not path.startswith(root):
        return path
    rest = path[len(root) :]
    if not rest:
        return "/"
    return rest if rest.startswith("/") else None
