"""The names of scopes."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["check_scopes"]

_SCOPE = re.compile(r"[!#-\[\]-~]+")  # SPEC: RFC 6749, section 3.3: scope-token


def check_scopes(scopes: Sequence[str]) -> list[str]:
    """Return ``scopes`` as they are stored; raise :class:`ValueError` for what no scope can be called."""
    if isinstance(scopes, str) or not all(isinstance(name, str) and _SCOPE.fullmatch(name) for name in scopes):
        raise ValueError(f'scopes must be a list of names such as ["orders:read"], not {scopes!r}')
    return list(dict.fromkeys(scopes))
