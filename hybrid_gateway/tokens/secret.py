"""What a token is made of: ``hgt_`` and 256 random bits, of which only a digest is ever stored."""

from __future__ import annotations

import re
import secrets
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

__all__ = ["PREFIX", "digest", "generate", "hint", "is_well_formed", "password_fingerprint"]

PREFIX = "hgt_"  # lets other bearer schemes tell our tokens apart, and scanners find leaked ones
HINT_LENGTH = 6  # characters after the prefix; 220 of the 256 bits stay unknown

_WELL_FORMED = re.compile(PREFIX + r"[A-Za-z0-9_-]{43}")


def generate() -> str:
    """Draw a new plain token: 256 bits from the operating system, 47 URL-safe characters."""
    return PREFIX + secrets.token_urlsafe(32)


def is_well_formed(plain: str) -> bool:
    """Whether :func:`generate` could have drawn this."""
    return _WELL_FORMED.fullmatch(plain) is not None


def digest(plain: str) -> str:
    """The SHA-256 of a token, in hex. A slow, salted hash guards guessable secrets; 256 random bits need none."""
    return sha256(plain.encode()).hexdigest()


def hint(plain: str) -> str:
    """The first characters of a token, by which a person recognises it."""
    return plain[: len(PREFIX) + HINT_LENGTH]


def password_fingerprint(user: AbstractBaseUser) -> str:
    """A digest that changes when the user's password does, however it was changed."""
    # SECURITY: not get_session_auth_hash(): that is keyed with SECRET_KEY, and every token would die with the last
    # fallback of a rotated key, though it owes the key nothing. A plain digest reveals nothing that the password column
    # of the same database does not; the words before it keep it from equalling any other digest of that column.
    return sha256(b"hybrid_gateway.tokens.password_fingerprint:" + user.password.encode()).hexdigest()
