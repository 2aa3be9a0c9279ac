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
    if find_spec("libcst") is None:
        print('This needs libcst: pip install "hybrid-gateway[init]" brings it.', file=sys.stderr)
        return 1
    from hybrid_gateway.scaffold import init_command

    parser = argparse.ArgumentParser(prog="python -m hybrid_gateway", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    init_command.add_arguments(
        commands.add_parser("init", help="Put the gateway in front of the project in this folder.")
    )
    commands.add_parser("doctor", help="Examine the project in this folder, as manage.py gateway doctor does.")
    return init_command.run(parser.parse_args(arguments))


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
