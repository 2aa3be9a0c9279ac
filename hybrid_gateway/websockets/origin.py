"""The pages that may open a websocket: a browser sends cookies along with any page's handshake, and no rule of CORS.

How this works: browsers say in ``Origin`` which page asks, and no page can change that (RFC 6455, section 10.2). An
origin is compared as a whole (scheme, host and port, RFC 6454) with that of the handshake itself, and with what the
project lists. Who sends no ``Origin`` is no browser; where a cookie then says who calls, ``check_csrf`` rejects it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from ipaddress import IPv6Address
from typing import NamedTuple

from django.conf import settings

from hybrid_gateway.access_control import Authentication
from hybrid_gateway.exceptions import ConfigurationError, Forbidden
from hybrid_gateway.layer_options import Layers
from hybrid_gateway.request.context import RequestContext

logger = logging.getLogger("django.security.csrf")

ANYBODY = "*"

# SPEC: RFC 6454, section 6.2, in ASCII, as browsers send it: no path, no user, no empty port.
_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?", re.IGNORECASE)
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """A scheme, a host and a port, in one spelling."""

    scheme: str
    host: str
    port: int | None


def parse_origin(text: str) -> Origin | None:
    """Return an origin in one spelling; None for what is none, ``null`` among it."""
    found = _ORIGIN.fullmatch(text)
    if found is None:
        return None
    scheme, host = found[1].lower(), found[2].lower()
    if host.startswith("["):
        try:
            host = f"[{IPv6Address(host[1:-1]).compressed}]"
        except ValueError:
            return None
    return Origin(scheme, host, int(found[3]) if found[3] else _DEFAULT_PORTS.get(scheme))


class Trusted:
    """Origins that are listed, literally or as ``"https://*.example.com"``, which is that host and all below it.

    DJANGO: what ``CSRF_TRUSTED_ORIGINS`` means (middleware/csrf.py, ``_origin_verified``).
    """

    def __init__(self, entries: Iterable[str]) -> None:
        self._exact: set[Origin] = set()
        self._below: set[Origin] = set()
        for entry in entries:
            scheme, separator, host = entry.partition("://")
            is_pattern = host.startswith("*.")
            with suppress(UnicodeError):  # browsers send names of other alphabets in Punycode
                host = host.removeprefix("*.").encode("idna").decode() if not host.isascii() else host
            origin = parse_origin(scheme + separator + host.removeprefix("*."))
            if origin is None:
                raise ConfigurationError(
                    f'{entry!r} is no origin. Write "https://shop.example", "https://*.shop.example", or "*" alone for '
                    "every page there is.",
                    id="K009",
                )
            (self._below if is_pattern else self._exact).add(origin)

    def __contains__(self, origin: Origin) -> bool:
        return origin in self._exact or any(
            (origin.scheme, origin.port) == (listed.scheme, listed.port)
            and (origin.host == listed.host or origin.host.endswith(f".{listed.host}"))
            for listed in self._below
        )


class OriginPolicy:
    """The origins that may open the websockets of one route; ``is_secure(ctx)`` says whether one comes over TLS.

    Everybody's CORS (``"*"``) lets pages read what anybody may read, without cookies; a handshake has them. So it
    counts for nothing here, and ``allowed_origins=["*"]`` says so outright.
    """

    def __init__(self, layers: Layers, is_secure: Callable[[RequestContext], bool]) -> None:
        cors = () if layers.cors is None else (origin.decode() for origin in layers.cors.origins)
        listed = [*layers.allowed_origins, *(origin for origin in cors if origin != ANYBODY)]
        self._is_open = ANYBODY in listed
        self._trusted = Trusted(entry for entry in listed if entry != ANYBODY)
        self._is_secure = is_secure

    def check(self, ctx: RequestContext, authentication: Authentication | None) -> None:
        """Raise 403 for the handshake of a page that may not open it."""
        given = [value.decode("latin-1") for name, value in ctx.raw_headers if name == b"origin"]
        if not given:
            return
        if len(given) == 1:  # SECURITY: of two a proxy may have checked the one, and we the other
            origin = parse_origin(given[0])
            if self._is_open or (origin is not None and self._allows(ctx, origin)):
                return
        # SECURITY: what comes from the client is escaped, so that a log file takes it for nothing else.
        told = [", ".join(given)[:200], self._own_text(ctx), ctx.scope["path"]]
        logger.warning(
            "Forbidden (the origin %s is neither that of the websocket, %s, nor allowed or trusted): %s",
            *(text.encode("unicode_escape").decode("ascii") for text in told),
            extra={"status_code": 403},
        )
        raise Forbidden("Pages of this origin may not open this websocket.")

    def _allows(self, ctx: RequestContext, origin: Origin) -> bool:
        return origin in self._trusted or origin == parse_origin(self._own_text(ctx)) or origin in _of_django()

    def _own_text(self, ctx: RequestContext) -> str:
        """Return the origin of the handshake itself, whose host was found to be one of ``ALLOWED_HOSTS``."""
        # DJANGO: HttpRequest._get_raw_host (http/request.py)
        forwarded = ctx.header(b"x-forwarded-host") if settings.USE_X_FORWARDED_HOST else None
        host = forwarded or ctx.header(b"host")
        scheme = "https" if self._is_secure(ctx) else "http"
        if host is not None:
            return f"{scheme}://{host.decode('latin-1')}"
        name, port = ctx.scope.get("server") or ("", None)
        return f"{scheme}://{name}" + (f":{port}" if port else "")


_known: tuple[tuple[str, ...], Trusted] = (), Trusted(())


def _of_django() -> Trusted:
    """Return ``CSRF_TRUSTED_ORIGINS``, read once for each value of the setting."""
    global _known
    listed = tuple(settings.CSRF_TRUSTED_ORIGINS)
    if listed != _known[0]:
        trusted: list[str] = []
        for entry in listed:
            with suppress(ConfigurationError):  # a check of Django's tells of it
                Trusted([entry])
                trusted.append(entry)
        _known = listed, Trusted(trusted)
    return _known[1]
