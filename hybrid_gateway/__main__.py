"""``python -m hybrid_gateway init`` puts the gateway in front of a Django project."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code."""
    if find_spec("libcst") is None:
        print('This needs libcst: pip install "hybrid-gateway[init]" brings it.', file=sys.stderr)
        return 1
    from hybrid_gateway.scaffold import init_command

    parser = argparse.ArgumentParser(prog="python -m hybrid_gateway", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    init_command.add_arguments(
        commands.add_parser("init", help="Put the gateway in front of the project in this folder.")
    )
    return init_command.run(parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
