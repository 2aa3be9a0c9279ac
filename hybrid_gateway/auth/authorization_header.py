"""The headers ``Authorization`` and ``WWW-Authenticate``. SPEC: RFC 9110, section 11."""

from __future__ import annotations

from collections.abc import Collection

from starlette.datastructures import Headers

from hybrid_gateway.exceptions import ConfigurationError, Unauthorized

__all__ = ["quoted_realm", "read_credentials"]


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
        raise ConfigurationError(f"realm={realm!r} must be printable ASCII without quotes and backslashes.")
    return f'realm="{realm}"'
