"""``python -m hybrid_gateway``: what is done before, or where, ``manage.py`` does not start.

``init`` puts the gateway in front of a project; ``doctor`` is ``manage.py gateway doctor``, for settings that cannot be
imported as well.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["doctor"]:
        return examine(arguments[1:])
    parser = argparse.ArgumentParser(prog="python -m hybrid_gateway", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    made = {name: commands.add_parser(name, help=text, description=text) for name, text in COMMANDS.items()}
    add_init_arguments(made["init"])
    options = parser.parse_args(arguments)
    if find_spec("libcst") is None:
        print('This needs libcst: pip install "hybrid-gateway[init]" brings it.', file=sys.stderr)
        return 1
    from hybrid_gateway.scaffold import init_command

    return init_command.run(options)


COMMANDS = {
    "init": "Put the gateway in front of the project in this folder.",
    "doctor": "Examine the project in this folder, as manage.py gateway doctor does.",
}


def add_init_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``init``."""
    add = parser.add_argument
    add("folder", nargs="?", default=".", type=Path, help="The project; this folder, or one above or below it.")
    add("--dry-run", action="store_true", help="Show the changes and make none.")
    add("--yes", action="store_true", help="Do not ask.")
    add(
        "--undo",
        action="store_true",
        help="Put every file back, byte for byte, and take away what startapi wrote; refused where one was changed.",
    )
    add("--force", action="store_true", help="With --undo: files that were changed, too; that work is lost.")
    add("--settings", metavar="MODULE", help="The module of settings, where manage.py does not name it.")


def examine(arguments: list[str]) -> int:
    """Run the doctor in the folder of ``manage.py``, with the settings that it names unless the environment does."""
    from django.core.management.base import handle_default_options

    from hybrid_gateway.management.commands.gateway import Command

    manage = Path("manage.py")
    named = re.search(r"""DJANGO_SETTINGS_MODULE["'],\s*["']([\w.]+)""", manage.read_text() if manage.exists() else "")
    if named:
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", named[1])
    command = Command()
    # Its parser puts the name of the subcommand behind its own: one `doctor` in what `--help` prints.
    options = command.create_parser("python -m", "hybrid_gateway").parse_args(["doctor", *arguments])
    handle_default_options(options)
    try:
        command.execute(**vars(options))
    except SystemExit as end:
        return int(end.code or 0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
