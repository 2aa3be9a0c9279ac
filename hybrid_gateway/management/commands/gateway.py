"""``manage.py gateway SUBCOMMAND``: serve it, look at it, work with it."""

from __future__ import annotations

from argparse import SUPPRESS
from importlib import import_module
from typing import Any, NamedTuple

from django.core.management.base import BaseCommand, CommandParser, DjangoHelpFormatter


class Subcommand(NamedTuple):
    """A module of ``management/subcommands``, which is imported where it is asked for, and what it is for."""

    module: str
    help: str

    def part(self, name: str) -> Any:
        """Return a function of the module."""
        return getattr(import_module(f"hybrid_gateway.management.subcommands.{self.module}"), name)


SUBCOMMANDS = {
    "serve": Subcommand("serve", "Serve ASGI_APPLICATION in production: uvicorn with the lane."),
    "routes": Subcommand("routes", "List every path with who answers it, the API or Django."),
    "openapi": Subcommand("documents", "Print the OpenAPI document, or check that a file still is it."),
    "asyncapi": Subcommand(
        "documents", "Print the AsyncAPI document, of websockets, or check that a file still is it."
    ),
    "doctor": Subcommand("doctor", "Examine the project, its servers, databases and caches."),
    "explain": Subcommand("explain", "Explain the ids of messages, or list them all."),
    "compare": Subcommand("compare", "Replay requests against two sides, and show what differs."),
    "client": Subcommand(
        "clients", "Write a typed client of the API, in TypeScript or Python, or check that one still is it."
    ),
    "createtoken": Subcommand("createtoken", "Issue a token and print it; it cannot be read again."),
    "migrate-from": Subcommand("migrate_from", "Write the routes of another framework anew, with a report."),
    "prunetokens": Subcommand("prunetokens", "Delete tokens and logins by JWT that ended long ago."),
}


class SubcommandParser(CommandParser):
    """Asks the module of a subcommand for its options once it is to parse some."""

    subcommand: Subcommand | None = None

    def parse_known_args(self, *args: Any, **named: Any) -> Any:
        """Parse, after the options were added."""
        if self.subcommand is not None:
            self.subcommand.part("add_arguments")(self)
            self.subcommand = None
        return super().parse_known_args(*args, **named)


class DjangoOptions(BaseCommand):
    """The options of every command, as a subcommand takes them: those not given leave what stands before it."""

    requires_system_checks = ()

    def add_base_argument(self, parser: CommandParser, *args: Any, **kwargs: Any) -> None:
        """Add one without a default."""
        super().add_base_argument(parser, *args, **{**kwargs, "default": SUPPRESS})

    def add_arguments(self, parser: CommandParser) -> None:
        self.add_base_argument(parser, "--skip-checks", action="store_true", help="Skip system checks.")


class Command(BaseCommand):
    help = "Looks at the gateway and works with it."

    def add_arguments(self, parser: CommandParser) -> None:
        # Two arguments and no keywords: django-configurations puts a function of just these in the method's place.
        options: Any = DjangoOptions().create_parser("", "")
        commands = parser.add_subparsers(
            dest="subcommand", required=True, metavar="command", parser_class=SubcommandParser
        )
        for name, subcommand in SUBCOMMANDS.items():
            commands.add_parser(
                name,
                help=subcommand.help,
                description=subcommand.help,
                parents=[options],
                formatter_class=DjangoHelpFormatter,
                conflict_handler="resolve",  # both have --help
            ).subcommand = subcommand

    def handle(self, *args: object, **options: Any) -> None:
        SUBCOMMANDS[options["subcommand"]].part("handle")(self, **options)
