"""The headers of Django's SecurityMiddleware and its relatives, for the responses of routes.

How this works: ``MIDDLEWARE`` says whether a project wants it, and ``SECURE_*``, ``X_FRAME_OPTIONS`` and ``SECURE_CSP``
say what. The headers are part of what an encoder fixes at start-up; drivers add them to every other response, errors
included. A header that a response has already stays as it is, and ``response_headers={"X-Frame-Options": None}``
removes one from a layer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from hybrid_gateway.exceptions import HTTPException
from hybrid_gateway.headers import FixedHeaders
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.responses.problem_details import PROBLEM
from hybrid_gateway.types import Header, Headers, Message, Send
from hybrid_gateway.url_quoting import quote_path, quote_query

_SECURITY = "django.middleware.security.SecurityMiddleware"
_FRAMES = "django.middleware.clickjacking.XFrameOptionsMiddleware"
_CSP = "django.middleware.csp.ContentSecurityPolicyMiddleware"


class SecurityHeaders:
    """The security headers of a project's responses, its redirect to HTTPS, and what counts as HTTPS."""

    def __init__(self) -> None:
        listed = _find_listed((_SECURITY, _FRAMES, _CSP))
        guards_transport = _SECURITY in listed
        self.headers = tuple(_headers(listed))
        self.hsts = _hsts() if guards_transport and settings.SECURE_HSTS_SECONDS else None
        self.redirects = bool(guards_transport and settings.SECURE_SSL_REDIRECT)
        self._exempt = [re.compile(pattern) for pattern in settings.SECURE_REDIRECT_EXEMPT]
        name, secure = settings.SECURE_PROXY_SSL_HEADER or ("", "")
        name = name.removeprefix("HTTP_").replace("_", "-").lower()
        self._proxy_header = name.encode("latin-1"), secure.encode("latin-1")
        self._problems: dict[tuple[int, tuple[Header, ...]], FixedHeaders] = {}

    def __repr__(self) -> str:
        return f"<SecurityHeaders: {', '.join(name.decode() for name, _ in self.headers) or 'no headers'}>"

    def headers_for(self, declared: Mapping[str, Any]) -> tuple[Header, ...]:
        """Return the headers of a layer that declares ``response_headers`` of its own."""
        names = {name.lower().encode("latin-1") for name in declared}
        return tuple(header for header in self.headers if header[0] not in names)

    # --- on the way in

    def is_secure(self, ctx: RequestContext) -> bool:
        """Return whether a request came over HTTPS, by ``SECURE_PROXY_SSL_HEADER`` where a proxy says so."""
        if ctx.is_secure is None:
            name, secure = self._proxy_header
            said = ctx.header(name) if name else None
            if said is None:
                ctx.is_secure = ctx.scope.get("scheme") in ("https", "wss")
            else:  # DJANGO: HttpRequest.scheme (http/request.py): the first of several values counts
                ctx.is_secure = said.partition(b",")[0].strip() == secure
        return bool(ctx.is_secure)

    def redirect(self, ctx: RequestContext, path: str) -> HTTPException | None:
        """Return the redirect to HTTPS, where the project wants it and ``path`` is not exempt."""
        # DJANGO: SecurityMiddleware.process_request (middleware/security.py)
        if self.is_secure(ctx) or any(pattern.search(path.lstrip("/")) for pattern in self._exempt):
            return None
        host = settings.SECURE_SSL_HOST
        if not host:  # the one that was asked for, and found to be one of ALLOWED_HOSTS
            forwarded = ctx.header(b"x-forwarded-host") if settings.USE_X_FORWARDED_HOST else None
            server = (ctx.scope.get("server") or ("",))[0]
            host = (forwarded or ctx.header(b"host") or server.encode("latin-1")).decode("latin-1")
        query = ctx.raw_query.decode("latin-1")
        location = f"https://{host}{quote_path(ctx.scope['path'])}" + (f"?{quote_query(query)}" if query else "")
        # SPEC: RFC 9110 section 15.4: after a 301 clients may turn POST into GET, after a 308 they may not
        return HTTPException(301 if ctx.method in ("GET", "HEAD") else 308, headers={"Location": location})

    # --- on the way out

    def finalize(self, ctx: RequestContext, status: int, headers: Headers, own: Headers) -> Headers:
        """Return ``headers`` with those of ``own`` that are missing, and with HSTS over HTTPS.

        :class:`FixedHeaders` have had theirs since start-up.
        """
        if len(headers) == 1 and headers[0] is PROBLEM:
            # PERF: the headers of most errors are made once for each status and layer: 2 µs.
            key = status, tuple(own)
            known = self._problems.get(key)
            headers = known if known is not None else self._problems.setdefault(key, FixedHeaders((PROBLEM, *own)))
        if type(headers) is FixedHeaders:
            if self.hsts is None or not self.is_secure(ctx):
                return headers
            return headers.extended(self.hsts)
        names = {name.lower() for name, _ in headers}
        missing = [header for header in own if header[0] not in names]
        if self.hsts is not None and self.hsts[0] not in names and self.is_secure(ctx):
            missing.append(self.hsts)
        return [*headers, *missing] if missing else headers

    def finalizing(self, send: Send, ctx: RequestContext, own: Headers) -> Send:
        """Return ``send`` for a response that sends itself: it adds what :meth:`finalize` does."""
        if not own and self.hsts is None:
            return send

        async def send_finalized(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = self.finalize(ctx, message["status"], list(message.get("headers", ())), own)
                message = {**message, "headers": headers}
            await send(message)

        return send_finalized


def _find_listed(wanted: Iterable[str]) -> set[str]:
    """Return which of ``wanted`` are in ``MIDDLEWARE``, themselves or as somebody's base class."""
    found: set[str] = set()
    kinds = {name: _import(name) for name in wanted}
    for entry in settings.MIDDLEWARE:
        middleware = entry if entry in kinds else _import(entry)
        for name, kind in kinds.items():
            if entry == name or (isinstance(middleware, type) and kind is not None and issubclass(middleware, kind)):
                found.add(name)
    return found


def _import(name: str) -> Any:
    try:
        return import_string(name)
    except Exception:  # Django's own handler will say so
        return None


def _headers(listed: set[str]) -> Iterable[Header]:
    if _SECURITY in listed:
        if settings.SECURE_CONTENT_TYPE_NOSNIFF:
            yield b"x-content-type-options", b"nosniff"
        if settings.SECURE_REFERRER_POLICY:
            policy = settings.SECURE_REFERRER_POLICY
            values = policy.split(",") if isinstance(policy, str) else policy
            yield b"referrer-policy", ",".join(value.strip() for value in values).encode("ascii")
        if settings.SECURE_CROSS_ORIGIN_OPENER_POLICY:
            yield b"cross-origin-opener-policy", settings.SECURE_CROSS_ORIGIN_OPENER_POLICY.encode("ascii")
    if _FRAMES in listed:
        yield b"x-frame-options", (settings.X_FRAME_OPTIONS or "DENY").upper().encode("ascii")
    if _CSP in listed:
        from django.utils.csp import build_policy  # Django 6.0

        if settings.SECURE_CSP:
            yield b"content-security-policy", build_policy(settings.SECURE_CSP).encode("ascii")
        if settings.SECURE_CSP_REPORT_ONLY:
            policy = build_policy(settings.SECURE_CSP_REPORT_ONLY)
            yield b"content-security-policy-report-only", policy.encode("ascii")


def _hsts() -> Header:
    value = f"max-age={settings.SECURE_HSTS_SECONDS}"
    if settings.SECURE_HSTS_INCLUDE_SUBDOMAINS:
        value += "; includeSubDomains"
    if settings.SECURE_HSTS_PRELOAD:
        value += "; preload"
    return b"strict-transport-security", value.encode("ascii")
