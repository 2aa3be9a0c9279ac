"""Versions of rows: who writes over what they have not seen is told (``ETag`` and ``If-Match``)."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils import timezone

from hybrid_gateway.exceptions import PreconditionFailed

__all__ = ["check_version", "expected_version", "version_text"]


def check_version(instance: Any, name: str, expected: Any, *, using: str | None = None) -> None:
    """Make the next version of a row, if ``expected`` is its version now; else 412. Call it in the transaction.

    The column is a whole number, which is counted up, or a time, which becomes now.
    """
    field = instance._meta.get_field(name)
    rows = type(instance)._base_manager.using(using or instance._state.db).filter(pk=instance.pk, **{name: expected})
    following = timezone.now() if isinstance(field, models.DateTimeField) else expected + 1
    if not rows.update(**{name: following}):
        raise PreconditionFailed("Somebody else has changed it since.")
    setattr(instance, name, following)


def version_text(value: Any) -> str:
    """A version as an ``ETag`` says it."""
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def expected_version(field: Any, if_match: str | None, now: Any) -> Any:
    """The version that ``If-Match`` says the client has seen (RFC 9110, section 13.1.1); without it, that of now."""
    if if_match is None or if_match.strip() == "*":
        return now
    for entry in if_match.split(","):
        text = entry.strip()
        if text.startswith('"') and text.endswith('"') and text[1:-1] == version_text(now):
            return now
    raise PreconditionFailed("Somebody else has changed it since.")
