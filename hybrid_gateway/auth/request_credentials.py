"""The places of credentials in requests, which are neither remembered nor logged, and Django's CSRF check for cookies.

The check is Django's own, on the head of the request: the token comes in the header of ``CSRF_HEADER_NAME``
(``X-CSRFToken``), since authentication comes before the body. A form's hidden field is too late.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from urllib.parse import unquote_plus

import msgspec
from django.http import HttpRequest
from starlette.datastructures import Headers

from hybrid_gateway._compat.django_internals import csrf_failure
from hybrid_gateway.access_control import AuthenticationScheme, Guard
from hybrid_gateway.binding.plan import Plan
from hybrid_gateway.exceptions import ConfigurationError, Forbidden, Unauthorized
from hybrid_gateway.headers import is_token
from hybrid_gateway.sessions.django_context import DjangoContext

logger = logging.getLogger("django.security.csrf")


def check_cookie_name(name: str) -> str:
    """Return ``name``; raise :class:`ConfigurationError` for what no cookie can be called."""
    if not isinstance(name, str) or not is_token(name.encode()):
        raise ConfigurationError(f"cookie={name!r} must be the name of a cookie.", id="A012")
    return name


def read_cookie(visit: DjangoContext, name: str) -> str | None:
    """Return the cookie ``name``, None where it is absent or empty."""
    return visit.request.COOKIES.get(name) or None


def read_credentials(headers: Headers, keywords: Collection[str]) -> str | None:
    """Return what the ``Authorization`` header holds after one of ``keywords``; None where it opens with none."""
    values = headers.getlist("authorization")
    if not values:
        return None
    if len(values) > 1:
        # SECURITY: a proxy may have checked the one, we would believe the other. SPEC: RFC 9110, section 5.3
        raise Unauthorized("The Authorization header was sent more than once.")
    # SPEC: RFC 9110, section 11.4: auth-scheme 1*SP token68, the scheme in any case
    scheme, _, credentials = values[0].partition(" ")
    return credentials.strip(" ") if scheme.lower() in keywords else None


def quoted_realm(realm: str) -> str:
    """Return ``realm="..."`` for a challenge; raise :class:`ConfigurationError` for what a header cannot quote."""
    if not realm.isascii() or not realm.isprintable() or '"' in realm or "\\" in realm:
        raise ConfigurationError(f"realm={realm!r} must be printable ASCII without quotes and backslashes.", id="A012")
    return f'realm="{realm}"'


def check_csrf(visit: DjangoContext | HttpRequest) -> None:
    """Raise 403 with Django's reason, unless the method is safe, the token right, or the route ``csrf_exempt``.

    For schemes that read a cookie: they ask for ``visit: DjangoContext`` and call this before they vouch for anybody.
    It blocks with ``CSRF_USE_SESSIONS``, so it belongs into a ``def authenticate``.
    """
    if isinstance(visit, HttpRequest):
        request = visit
    elif visit.is_handshake:
        # SECURITY: any page can have a browser open a websocket, with cookies, and no token of CSRF goes with it. The
        # route has checked the Origin, which browsers always send.
        if not visit.is_from_page:
            raise Forbidden("A handshake that a cookie authenticates needs an Origin header.")
        return
    elif visit.is_csrf_exempt or visit.method in ("GET", "HEAD", "OPTIONS", "TRACE"):
        return
    else:
        request = visit.request
    reason = csrf_failure(request)
    if reason is not None:
        # SECURITY: path and reason come from the client: what a log file could take for something else is escaped.
        path = request.path.encode("unicode_escape").decode("ascii")
        shown = reason.encode("unicode_escape").decode("ascii")
        logger.warning("Forbidden (%s): %s", shown, path, extra={"status_code": 403})
        raise Forbidden(f"CSRF verification failed: {reason}")


class CSRFProtect(Guard):
    """A guard: unsafe methods need a CSRF token, whoever calls. For handlers that log in, or that trust a session."""

    def __call__(self, visit: DjangoContext) -> bool:
        check_csrf(visit)
        return True


# What no scheme of ours says may be one of Django's side, or of what is mounted. DJANGO: by the words of
# SafeExceptionReporterFilter.hidden_settings (views/debug.py), and some more.
_TELLING = re.compile(rb"api|auth|token|key|secret|pass|signature|cookie|session|credential|ticket|csrf")
_HIDDEN = b"***"


class SecretCarriers(msgspec.Struct, frozen=True, kw_only=True):
    """Headers, in small letters, and parameters of the query that carry secrets; or any, where nobody can say."""

    headers: frozenset[bytes] = frozenset()
    query: frozenset[str] = frozenset()
    in_any_header: bool = False
    in_any_parameter: bool = False

    @staticmethod
    def of(scheme: AuthenticationScheme, plan: Plan, asks_for_query: bool) -> SecretCarriers:
        """Return those of one scheme: what it says, and what its ``plan`` shows that it reads.

        A scheme that reads headers as a whole, and says nothing of its own, may read any of them.
        """
        headers = [name.lower().encode("latin-1") for name in scheme.carriers]
        headers += [entry.varies_by.lower().encode("latin-1") for entry in plan.inputs if entry.varies_by is not None]
        parameters = list(scheme.query_carriers)
        is_silent = not parameters and not scheme.declares("carriers") and not scheme.keywords
        asks = asks_for_query and not scheme.declares("query_carriers")
        return SecretCarriers(
            headers=frozenset(headers),
            query=frozenset([*parameters, *(entry.name for entry in plan.inputs if entry.source == "query")]),
            in_any_header=is_silent and plan.sees_request,
            in_any_parameter=asks or (is_silent and plan.sees_request),
        )

    @staticmethod
    def union(several: Iterable[SecretCarriers]) -> SecretCarriers:
        """Return those of all of them."""
        found = list(dict.fromkeys(several))
        return SecretCarriers(
            headers=frozenset().union(*(one.headers for one in found)),
            query=frozenset().union(*(one.query for one in found)),
            in_any_header=any(one.in_any_header for one in found),
            in_any_parameter=any(one.in_any_parameter for one in found),
        )

    def are_in(self, headers: Mapping[bytes, object], names: bytes) -> bool:
        """Say whether some of ``headers`` may be secret; ``names`` are those of all, one after the other."""
        return self.in_any_header or not self.headers.isdisjoint(headers) or _TELLING.search(names) is not None

    def hide(self, query: bytes) -> bytes:
        """Return a query for a log: the values of what is secret in it are asterisks."""
        if not query or not (self.query or self.in_any_parameter):
            return query
        pairs = query.split(b"&")
        for position, pair in enumerate(pairs):
            name, equals, _ = pair.partition(b"=")
            if equals and (self.in_any_parameter or unquote_plus(name.decode("latin-1")) in self.query):
                pairs[position] = name + equals + _HIDDEN
        return b"&".join(pairs)


class SecretsInQueries:
    """Injected into hooks that log a query: ``hide(query)`` leaves out what schemes of the gateway say is secret."""

    def __init__(self, secrets: Callable[[], SecretCarriers]) -> None:
        self._secrets = secrets

    def hide(self, query: bytes) -> bytes:
        """Return a query for a log, without the secrets of the routes there are now."""
        return self._secrets().hide(query)
