"""The tokens of other issuers that ended before their time, remembered in a cache or in a table."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256

import msgspec

from hybrid_gateway.cache_connections import thread_cache

__all__ = ["CacheDenylist", "TableDenylist"]


class CacheDenylist:
    """In the cache ``alias`` of ``CACHES``: fast, forgotten when the cache is; several processes need a shared one."""

    def __init__(self, alias: str = "default") -> None:
        self._alias = alias

    def add(self, claims: Mapping[str, object]) -> None:
        lifetime = max(_end_of(claims) - int(time.time()), 1)
        thread_cache(self._alias).set(_PREFIX + _digest(claims), 1, timeout=lifetime)

    def holds(self, claims: Mapping[str, object]) -> bool:
        return thread_cache(self._alias).get(_PREFIX + _digest(claims)) is not None

    def __repr__(self) -> str:
        return f"CacheDenylist({self._alias!r})"


class TableDenylist:
    """In a table of ``hybrid_gateway.tokens``: one more query per request; ``manage.py gateway prunetokens`` tidies."""

    def add(self, claims: Mapping[str, object]) -> None:
        from hybrid_gateway.tokens.models import RevokedJWT

        expires_at = datetime.fromtimestamp(_end_of(claims), UTC)
        RevokedJWT.objects.get_or_create(digest=_digest(claims), defaults={"expires_at": expires_at})

    def holds(self, claims: Mapping[str, object]) -> bool:
        from hybrid_gateway.tokens.models import RevokedJWT

        return RevokedJWT.objects.filter(digest=_digest(claims)).exists()

    def __repr__(self) -> str:
        return "TableDenylist()"


_PREFIX = "hybrid_gateway.jwt.revoked:"
_MARGIN = 300  # seconds: the longest leeway for which an expired token still counts


def _end_of(claims: Mapping[str, object]) -> int:
    return int(msgspec.convert(claims["exp"], float, strict=False)) + _MARGIN


def _digest(claims: Mapping[str, object]) -> str:
    # Hashed, because an issuer chooses both; the length tells apart where the one ends.
    issuer = str(claims.get("iss", ""))
    return sha256(f"{len(issuer)}:{issuer}:{claims['jti']}".encode()).hexdigest()
