"""Days as an argument of commands about tokens, and the app that they need."""

from __future__ import annotations

from datetime import timedelta

from django.apps import apps
from django.core.management.base import CommandError


def need_tokens() -> None:
    """End the command where the app of tokens is not installed."""
    if not apps.is_installed("hybrid_gateway.tokens"):
        raise CommandError('Tokens need the app: add "hybrid_gateway.tokens" to INSTALLED_APPS and migrate.')


def days_of(text: str) -> timedelta:
    """Read a number of days; argparse tells of one that is none."""
    days = float(text)
    if not 0 < days < 1_000_000:
        raise ValueError(text)
    return timedelta(days=days)


days_of.__name__ = "number of days"  # argparse shows it: invalid number of days value
