"""Versions of rows: a client that would overwrite what it has not seen gets a 412 (``ETag`` and ``If-Match``)."""

from __future__ import annotations

import datetime

from django.db.models import Model
from django.utils import timezone

from hybrid_gateway.exceptions import PreconditionFailed

Version = int | datetime.datetime

_CHANGED = "Somebody else has changed it since."


def check_version(instance: Model, name: str, expected: Version, *, using: str | None = None) -> None:
    """Make the next version of a row, if ``expected`` is its version now; else 412. Call it in the transaction.

    The column is a whole number, which is counted up, or a time, which becomes now.
    """
    rows = type(instance)._base_manager.using(using or instance._state.db).filter(pk=instance.pk, **{name: expected})
    following = expected + 1 if isinstance(expected, int) else timezone.now()
    if not rows.update(**{name: following}):
        raise PreconditionFailed(_CHANGED)
    setattr(instance, name, following)


def version_text(value: object) -> str:
    """Return a version as an ``ETag`` says it."""
    return value.isoformat() if isinstance(value, datetime.datetime) else str(value)


def expected_version(if_match: str | None, now: Version) -> Version:
    """Return the version that the client has seen, by ``If-Match`` (RFC 9110, section 13.1.1); without it, ``now``."""
    if if_match is None or if_match.strip() == "*":
        return now
    for entry in if_match.split(","):
        text = entry.strip()
        if text.startswith('"') and text.endswith('"') and text[1:-1] == version_text(now):
            return now
    raise PreconditionFailed(_CHANGED)
