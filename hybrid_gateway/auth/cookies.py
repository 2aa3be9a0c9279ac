"""Credentials in cookies: read once, and worth nothing to other sites.

A browser sends a cookie with whatever a foreign page makes it ask for, so whoever is known by a cookie alone must show,
for every unsafe method, that the page was ours. The check is Django's own, with its cookie, header and settings.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

from django.http import HttpRequest
from django.middleware.csrf import CsrfViewMiddleware
from starlette.requests import Request

from hybrid_gateway.exceptions import ConfigurationError, Forbidden

__all__ = ["check_cookie_name", "enforce_csrf", "read_cookie"]

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # SPEC: RFC 9110, section 5.6.2: token


def check_cookie_name(name: str) -> str:
    """``name``, or :class:`ConfigurationError` for what no cookie can be called."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigurationError(f"cookie={name!r} must be the name of a cookie.")
    return name


def read_cookie(request: Request, name: str) -> str | None:
    """The cookie ``name``, None where it is absent or empty."""
    return request.cookies.get(name) or None


def enforce_csrf(request: Request) -> None:
    """Raise 403 with Django's reason where an unsafe request does not prove that it comes from a page of ours."""
    head: Any = HttpRequest()
    head.method, head.path, head.path_info = request.method, request.url.path, request.url.path
    head.META = _meta(request)
    head.COOKIES = dict(request.cookies)
    head._get_scheme = lambda: request.url.scheme
    check = _Check(_nothing)
    check.process_request(head)
    check.process_view(head, _nothing, (), {})


class _Check(CsrfViewMiddleware):
    def _reject(self, request: HttpRequest, reason: str) -> NoReturn:
        raise Forbidden(f"CSRF check failed: {reason}")


def _nothing(*args: Any) -> Any:
    return None


def _meta(request: Request) -> dict[str, str]:
    host, port = request.scope.get("server") or ("", None)
    meta = {"SERVER_NAME": host, "SERVER_PORT": str(port or "")}
    for name, value in request.headers.items():
        if "_" not in name:  # DJANGO: core/handlers/asgi.py: X_Y would pass for X-Y
            key = name.upper().replace("-", "_")
            meta[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
    return meta
