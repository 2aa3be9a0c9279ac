"""``manage.py gateway prunetokens``: delete tokens and logins that ended long ago."""

from __future__ import annotations

from datetime import timedelta

from django.core.management.base import BaseCommand, CommandParser

from hybrid_gateway.management.token_arguments import days_of, need_tokens
from hybrid_gateway.tokens.revocation import prune


def add_arguments(parser: CommandParser) -> None:
    """Add for how long they are kept."""
    parser.add_argument(
        "--days", type=days_of, default=timedelta(days=30), help="How long ago; 30 days by default.", metavar="DAYS"
    )


def handle(command: BaseCommand, *, days: timedelta, **options: object) -> None:
    """Delete what has been over for that long; what still works, or ended lately, stays."""
    need_tokens()
    for name, count in prune(days).items():
        command.stdout.write(f"{count} {name}")
