"""``manage.py gateway createtoken``: issue a token."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from hybrid_gateway.management.token_arguments import days_of, need_tokens


def add_arguments(parser: CommandParser) -> None:
    """Add whose token it is, and what it may do."""
    parser.add_argument("user", help="The user's name, as USERNAME_FIELD has it.")
    parser.add_argument("--name", default="", help="What the token is for, to tell it from others.")
    parser.add_argument("--expires-in", type=days_of, metavar="DAYS", help="Days until it expires; never by default.")
    parser.add_argument("--scope", action="append", default=[], dest="scopes", help="One scope; may be repeated.")


def handle(
    command: BaseCommand, *, user: str, name: str, expires_in: timedelta | None, scopes: list[str], **options: object
) -> None:
    """Issue a token; print it alone, so that a script can take it."""
    need_tokens()
    from hybrid_gateway.tokens.models import Token  # the app need not be installed

    users: Any = get_user_model()
    try:
        owner = users._default_manager.get_by_natural_key(user)
    except users.DoesNotExist:
        raise CommandError(f"There is no user with the {users.USERNAME_FIELD} {user!r}.") from None
    try:
        _, plain = Token.objects.issue(owner, name=name, expires_in=expires_in, scopes=scopes)
    except ValueError as error:
        raise CommandError(str(error)) from error
    command.stdout.write(plain)
