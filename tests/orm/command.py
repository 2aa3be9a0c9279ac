"""Longer proofs as commands: ``--seed``, so many of what is generated, and a database of their own."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable


def run_command(description: str | None, counted: str, default: int, run: Callable[[int, int], object]) -> None:
    """Read ``--<counted>`` and ``--seed`` from the command line, and call ``run`` with both in a test database."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(f"--{counted}", type=int, default=default, dest="count")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django
    from django.db import connection

    django.setup()
    name = connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        run(options.count, options.seed)
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)
