"""``manage.py gateway routes | createtoken``: look at the gateway of the settings, and work with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from operator import itemgetter
from typing import Any, NamedTuple

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.gateway.application import Gateway, default_gateway


class Row(NamedTuple):
    """One line of the table: who answers a path, or everything below a prefix."""

    path: str
    methods: tuple[str, ...]
    name: str
    side: str
    handler: str | None = None


class Command(BaseCommand):
    help = "Looks at the gateway and works with it."

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="subcommand", required=True, metavar="command")

        routes = commands.add_parser("routes", help="List every path with who answers it, the API or Django.")
        routes.add_argument("--json", action="store_true", dest="as_json", help="Print a JSON list instead of a table.")

        token = commands.add_parser("createtoken", help="Issue a token and print it; it cannot be read again.")
        token.add_argument("user", help="The user's name, as USERNAME_FIELD has it.")
        token.add_argument("--name", default="", help="What the token is for, to tell it from others.")
        token.add_argument("--expires-in", type=_days, metavar="DAYS", help="Days until it expires; never by default.")

    def handle(self, *args: Any, **options: Any) -> None:
        subcommands: dict[str, Callable[..., None]] = {"routes": self.routes, "createtoken": self.create_token}
        subcommands[options["subcommand"]](**options)

    def routes(self, *, as_json: bool, **options: Any) -> None:
        """Print both sides as one table."""
        try:
            rows = sorted(rows_of(default_gateway()), key=itemgetter(0))
        except ConfigurationError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(json.dumps([row._asdict() for row in rows], indent=2) if as_json else as_table(rows))

    def create_token(self, *, user: str, name: str, expires_in: timedelta | None, **options: Any) -> None:
        """Issue a token; print it alone, so that a script can take it."""
        if not apps.is_installed("hybrid_gateway.tokens"):
            raise CommandError('Tokens need the app: add "hybrid_gateway.tokens" to INSTALLED_APPS and migrate.')
        from hybrid_gateway.tokens.models import Token

        users: Any = get_user_model()
        try:
            owner = users._default_manager.get_by_natural_key(user)
        except users.DoesNotExist:
            raise CommandError(f"There is no user with the {users.USERNAME_FIELD} {user!r}.") from None
        _, plain = Token.objects.issue(owner, name=name, expires_in=expires_in)
        self.stdout.write(plain)


def _days(text: str) -> timedelta:
    days = float(text)
    if not 0 < days < 1_000_000:
        raise ValueError(text)
    return timedelta(days=days)


_days.__name__ = "number of days"  # argparse shows it: invalid number of days value


def rows_of(gateway: Gateway) -> Iterator[Row]:
    """Every route of the API and every prefix of Django's."""
    for route in gateway.routes:
        yield Row(route.path, tuple(route.methods), route.name, "api", dotted_name(route.handler))
    for prefix in gateway.django_prefixes.prefixes:
        yield Row(prefix, (), "", "static" if is_static(prefix) else "django")
    if gateway.fallthrough:
        yield Row("*", (), "", "fallthrough")


def is_static(prefix: str) -> bool:
    """Whether ``prefix`` is STATIC_URL, which may have the script prefix in front."""
    return prefix != "/" and (settings.STATIC_URL or "").endswith(prefix)


_SIDES = {"django": "Django", "static": "Django's static files", "fallthrough": "Django, when no route matches"}


def dotted_name(handler: Any) -> str:
    """Where a handler is found in the project's code."""
    function = getattr(handler, "__func__", handler)
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{function.__module__}.{name.replace('.<locals>', '')}"


def as_table(rows: Sequence[Row]) -> str:
    """Columns as wide as their widest cell."""
    cells = [("Path", "Methods", "Name", "Answered by")]
    cells += [(row.path, ", ".join(row.methods) or "any", row.name, row.handler or _SIDES[row.side]) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])
