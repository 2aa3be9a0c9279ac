"""The model matrix: generated models and Structs, each value as a Struct shows and writes it against Django's own.

A cell is one column of one row, seen in one way (:mod:`tests.orm.matrix.reading`); or one that is written, a value that
is refused, an annotation that cannot be (:mod:`tests.orm.matrix.writing`).

``python -m tests.orm.matrix --cells 50000`` makes a database of its own (``TEST_DATABASE=postgresql`` for that one).
"""

from __future__ import annotations

import collections
import random
from collections.abc import Callable
from typing import Any

from tests.orm.command import run_command
from tests.orm.matrix.reading import follow, look
from tests.orm.matrix.table import Tables
from tests.orm.matrix.writing import assign, refuse, throw, write

WAYS = (look, follow, write, assign, refuse, throw)


def prepare_database(connection: Any) -> None:
    """What columns of PostgreSQL need."""
    if connection.vendor == "postgresql":
        from django.contrib.postgres.signals import get_hstore_oids, register_type_handlers

        with connection.cursor() as cursor:
            cursor.execute("CREATE EXTENSION IF NOT EXISTS hstore")
        get_hstore_oids.cache_clear()
        register_type_handlers(connection)


def run(cells: int, seed: int, report: Callable[[str], None] = print) -> collections.Counter[str]:
    """Look at ``cells`` cells; raise ``AssertionError`` for the first that is wrong."""
    from django.db import connection

    prepare_database(connection)
    tables = Tables(random.Random(seed), connection)
    while tables.counts.total() < cells:
        with tables.table() as table:
            for way in WAYS:
                way(table)
    report(f"{connection.vendor}: {tables.counts.total()} cells, {dict(tables.counts)}")
    return tables.counts


def main() -> None:
    run_command(__doc__, "cells", 50_000, run)


if __name__ == "__main__":
    main()
