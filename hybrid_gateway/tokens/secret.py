"""The text of tokens, a prefix and 256 random bits, of which only a digest is ever stored; the names of scopes.

A refresh token is ``hgr_``, 22 characters that stay the same as long as its login lasts, and 43 drawn anew each time; a
ticket for a websocket is ``hgw_`` and 43.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

from msgspec import Struct

from hybrid_gateway.auth.credential_store import ISSUED_PREFIX as PREFIX

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

__all__ = [
    "PREFIX",
    "REFRESH_PREFIX",
    "TICKET_PREFIX",
    "SecretStruct",
    "check_scopes",
    "digest",
    "generate",
    "generate_refresh",
    "generate_ticket",
    "hint",
    "is_well_formed",
    "is_well_formed_refresh",
    "is_well_formed_ticket",
    "login_of",
    "password_fingerprint",
]

REFRESH_PREFIX = "hgr_"
TICKET_PREFIX = "hgw_"
HINT_LENGTH = 6  # characters after the prefix; 220 of the 256 bits stay unknown

_WELL_FORMED = re.compile(PREFIX + r"[A-Za-z0-9_-]{43}")
_WELL_FORMED_REFRESH = re.compile(REFRESH_PREFIX + r"[A-Za-z0-9_-]{65}")
_WELL_FORMED_TICKET = re.compile(TICKET_PREFIX + r"[A-Za-z0-9_-]{43}")
_LOGIN = len(REFRESH_PREFIX) + 22  # characters that stay the same from refresh to refresh


class SecretStruct(Struct):
    """A body that holds secrets, none of which its text shows."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"  # SECURITY: error reports show the variables of every frame


def generate() -> str:
    """Draw a new plain token: 256 bits from the operating system, 47 URL-safe characters."""
    return PREFIX + secrets.token_urlsafe(32)


def is_well_formed(plain: str) -> bool:
    """Say whether :func:`generate` could have drawn this."""
    return _WELL_FORMED.fullmatch(plain) is not None


def generate_refresh(before: str | None = None) -> str:
    """Draw a refresh token: of a new login, or the next one of the login that ``before`` belongs to."""
    login = REFRESH_PREFIX + secrets.token_urlsafe(16) if before is None else before[:_LOGIN]
    return login + secrets.token_urlsafe(32)


def is_well_formed_refresh(plain: str) -> bool:
    """Say whether :func:`generate_refresh` could have drawn this."""
    return _WELL_FORMED_REFRESH.fullmatch(plain) is not None


def generate_ticket() -> str:
    """Draw a ticket: 256 bits, of characters that need no quoting in a URL."""
    return TICKET_PREFIX + secrets.token_urlsafe(32)


def is_well_formed_ticket(plain: str) -> bool:
    """Say whether :func:`generate_ticket` could have drawn this."""
    return _WELL_FORMED_TICKET.fullmatch(plain) is not None


def login_of(plain: str) -> str:
    """Return the public name of a refresh token's login, which gives away no token of that login."""
    # SECURITY: a name of its own, so that nobody can end a login by guessing, and none is ever stored.
    return sha256(b"hybrid_gateway.tokens.login:" + plain[:_LOGIN].encode()).hexdigest()[:32]


def digest(plain: str) -> str:
    """Return the SHA-256 of a token, in hex. Guessable secrets need a slow, salted hash; 256 random bits do not."""
    return sha256(plain.encode()).hexdigest()


def hint(plain: str) -> str:
    """Return the first characters of a token, by which a person recognises it."""
    return plain[: len(PREFIX) + HINT_LENGTH]


def password_fingerprint(user: AbstractBaseUser) -> str:
    """Return a digest that changes when the user's password does, however it was changed."""
    # SECURITY: not get_session_auth_hash(): that is keyed with SECRET_KEY, and every token would die with the last
    # fallback of a rotated key, though it owes the key nothing. A plain digest reveals nothing that the password column
    # of the same database does not; the words before it keep it from equalling any other digest of that column.
    return sha256(b"hybrid_gateway.tokens.password_fingerprint:" + user.password.encode()).hexdigest()


_SCOPE = re.compile(r"[!#-\[\]-~]+")  # SPEC: RFC 6749, section 3.3: scope-token


def check_scopes(scopes: Sequence[str]) -> list[str]:
    """Return ``scopes`` as they are stored; raise :class:`ValueError` for what no scope can be called."""
    if isinstance(scopes, str) or not all(isinstance(name, str) and _SCOPE.fullmatch(name) for name in scopes):
        raise ValueError(f'scopes must be a list of names such as ["orders:read"], not {scopes!r}')
    return list(dict.fromkeys(scopes))
