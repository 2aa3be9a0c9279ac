"""Secrets that a page under ``DEBUG`` must not show: credentials of the request, and variables that are called so."""

from __future__ import annotations

import re
from base64 import b64decode
from contextlib import suppress
from html import escape

import msgspec
from django.views.debug import SafeExceptionReporterFilter

from hybrid_gateway.auth.request_credentials import SecretCarriers
from hybrid_gateway.exceptions import HTTPException
from hybrid_gateway.request.context import RequestContext

STARS = SafeExceptionReporterFilter.cleansed_substitute
_TELLING = re.compile(r"api|auth|token|key|secret|pass|signature|cookie|session|credential|ticket|csrf", re.IGNORECASE)
_SHORTEST = 6  # characters of a value that is taken for a secret wherever it stands


class Hidden:
    """Stands for a value: shows what may be shown of it."""

    def __init__(self, shown: str) -> None:
        self._shown = shown

    def __repr__(self) -> str:
        return self._shown


def hide_variable(name: str, value: object) -> object:
    """Return a local variable, or what stands for it where its name, or those of its fields, tell of secrets."""
    if _TELLING.search(name) and isinstance(value, (str, bytes)):
        return Hidden(repr(STARS))
    if isinstance(value, msgspec.Struct):
        fields = [(field, getattr(value, field, None)) for field in value.__struct_fields__]
        if any(_TELLING.search(field) for field, _ in fields):
            shown = ", ".join(f"{field}={hide_variable(field, entry)!r}" for field, entry in fields)
            return Hidden(f"{type(value).__name__}({shown})")
    if isinstance(value, dict):
        return {key: hide_variable(str(key), entry) for key, entry in value.items()}
    return value


def hide_credentials(page: str, ctx: RequestContext, carriers: SecretCarriers) -> str:
    """Return the page without what the request has sent to prove who it is, wherever it stands."""
    for secret in sorted(_secrets(ctx, carriers), key=len, reverse=True):
        for shown in {secret, escape(secret), escape(repr(secret)[1:-1])}:
            page = page.replace(shown, STARS)
    return page


def _secrets(ctx: RequestContext, carriers: SecretCarriers) -> set[str]:
    """Return the values of headers, cookies and parameters of the query that carry secrets."""
    found: set[str] = set()
    for raw_name, raw_value in ctx.raw_headers:
        if raw_name in carriers.headers or _TELLING.search(raw_name.decode("latin-1")):
            value = raw_value.decode("latin-1")
            found |= {value, *value.split()[1:]}
            if value[:6].lower() == "basic ":
                with suppress(ValueError):
                    found.add(b64decode(value[6:]).decode("latin-1").partition(":")[2])
    with suppress(HTTPException):  # there are too many: then nobody has read them
        for name, value in (*ctx.query_pairs(), *ctx.cookies().items()):
            if name in carriers.query or _TELLING.search(name):
                found.add(value)
    return {value for value in found if len(value) >= _SHORTEST}
