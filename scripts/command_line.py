"""Every command of the package and its parser, of which documents are made: none can be forgotten there.

``manage.py runserver`` extends the command of another app, so that its parser wants Django set up.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path

from django.core.management import find_commands, load_command_class
from django.core.management.base import CommandParser, DjangoHelpFormatter

import hybrid_gateway
from hybrid_gateway.__main__ import COMMANDS, add_init_arguments
from hybrid_gateway.management.commands.gateway import SUBCOMMANDS

MODULE, GATEWAY, MANAGE = "python -m hybrid_gateway", "manage.py gateway", "manage.py"


def command_names() -> list[str]:
    """Return the commands, as they are typed."""
    found = find_commands(str(Path(hybrid_gateway.__path__[0], "management")))
    return [
        *(f"{MODULE} {name}" for name in COMMANDS),
        *(f"{MANAGE} {name}" for name in found if name != "gateway"),
        *(f"{GATEWAY} {name}" for name in SUBCOMMANDS),
    ]


def parser_of(command: str) -> ArgumentParser:
    """Return the parser of a command, without the options that every command of Django has."""
    start, _, name = command.rpartition(" ")
    parser = CommandParser(prog=command, formatter_class=DjangoHelpFormatter)
    if start == MODULE and name == "init":
        parser.description = COMMANDS[name]
        add_init_arguments(parser)
    elif start in (MODULE, GATEWAY):
        parser.description = COMMANDS[name] if start == MODULE else SUBCOMMANDS[name].help
        SUBCOMMANDS[name].part("add_arguments")(parser)
    else:
        loaded = load_command_class("hybrid_gateway", name)
        parser.description = loaded.help
        loaded.add_arguments(parser)
    return parser


def options_table(command: str) -> Iterator[str]:
    """Yield the options of a command as rows of a table."""
    yield from ("| option | what |", "|---|---|")
    for action in parser_of(command)._actions:
        if action.dest != "help":
            value = (
                "" if action.nargs == 0 or not action.option_strings else f" {action.metavar or action.dest.upper()}"
            )
            names = ", ".join(f"`{option}{value}`" for option in action.option_strings or [action.dest])
            yield f"| {names} | {action.help} |"
