"""Every lookup of every field with every kind of value: rows, or 422 at its place, and nothing else.

``python -m tests.orm.filter_fuzz --cells 100000`` makes a database of its own (on that server with
``TEST_DATABASE=postgresql``).
"""

from __future__ import annotations

import datetime
import decimal
import enum
import random
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import msgspec

from tests.orm.command import run_command

UTC = datetime.UTC
EAST, WEST = datetime.timezone(datetime.timedelta(hours=14)), datetime.timezone(datetime.timedelta(hours=-12))


class Word(enum.Enum):
    A = "a"
    ONE = 1


VALUES: dict[Any, list[Any]] = {
    str: [
        *("", "x", "a", "(", "[", "*", "\\", "a{99999}", "(?P<", "a\0", "%", "_", "é", "🦊", "\ud800", "x" * 5000, "{"),
        "null",
        *('{"a": 1}', '{"a": "\\u0000"}', "true", "10.0.0.1", "::1", "999.1.1.1", "10.0.0.0/8", "fe80::1%eth0"),
        *("2024-01-01", "0000-01-01", "2024-02-30", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "25:00"),
        *("12:00+01:00", "1e400", "NaN", "Infinity", "9" * 30, "-1", "1.5", "P1D", "PT99999999999999S", "1 day"),
        *("[1,2)", "empty", "[,]", "00000000-0000-0000-0000-000000000001", "00000000"),
    ],
    int: [0, 1, -1, 7, 10_000, 2**15, 2**31, -(2**31) - 1, 2**63 - 1, -(2**63), 2**64, 10**30],
    float: [0.5, -1.0, 1e308, -1e308, 5e-324, float("inf"), float("-inf"), float("nan")],
    bool: [True, False],
    decimal.Decimal: [
        decimal.Decimal(text) for text in ("0", "1.5", "-0.0001", "1e30", "1e400", "1e999999", "NaN", "-Infinity")
    ],
    datetime.date: [datetime.date.min, datetime.date.max, datetime.date(2024, 2, 29)],
    datetime.datetime: [
        datetime.datetime.min,
        datetime.datetime.max,
        datetime.datetime.max.replace(tzinfo=WEST),
        datetime.datetime.min.replace(tzinfo=EAST),
        datetime.datetime(2024, 3, 31, 1, 30, tzinfo=UTC),
        datetime.datetime(2024, 3, 31, 2, 30),
    ],
    datetime.time: [datetime.time.min, datetime.time.max, datetime.time(12, tzinfo=EAST), datetime.time(1, tzinfo=UTC)],
    datetime.timedelta: [datetime.timedelta.min, datetime.timedelta.max, datetime.timedelta(0)],
    uuid.UUID: [uuid.UUID(int=1), uuid.UUID(int=2**128 - 1)],
    Word: [Word.A, Word.ONE],
    bytes: [b"", b"\0", b"\xff"],
}  # fmt: skip
KINDS = [*VALUES, *(list[kind] for kind in VALUES)]


def values_of(kind: Any) -> Iterator[Any]:
    if kind in VALUES:
        yield from VALUES[kind]
        return
    inner = VALUES[kind.__args__[0]]
    yield []
    yield inner
    for value in inner:
        yield [value]
        yield [value, value]


def paths_of(model: Any) -> list[str]:
    """Every lookup that Django has for the columns of ``model``, transforms and their lookups included."""
    from django.db import connection
    from django.db.models import Transform

    found = []
    for field in model._meta.get_fields():
        if not getattr(field, "concrete", False):
            continue
        kinds = [("", field.target_field if field.is_relation else field)]
        if field.is_relation:
            found += [f"{field.name}", f"{field.name}__in", f"{field.name}__gt", f"{field.name}__isnull"]
        while kinds:
            before, kind = kinds.pop()
            for name, lookup in kind.get_lookups().items():
                if name == "contained_by" and connection.vendor != "postgresql":  # there once its ranges are imported
                    continue
                path = f"{field.attname}{before}__{name}"
                found.append(path)
                if issubclass(lookup, Transform) and before.count("__") < 2:
                    try:
                        inner = lookup(field.cached_col).output_field
                    except Exception:  # one that needs to know more than the column
                        continue
                    kinds.append((f"{before}__{name}", inner))
    return found


def run(model: Any, rows: Any, fetch: Callable[[Any], Any], cells: int, seed: int) -> Counter[str]:
    """Ask ``cells`` times; raise for the first answer that is none."""
    from hybrid_gateway.exceptions import ConfigurationError, RequestValidationError
    from hybrid_gateway.orm import Lookup
    from hybrid_gateway.orm.lists.filters import FilterSet

    rng, counts = random.Random(seed), Counter[str]()
    chosen = [(path, kind) for path in paths_of(model) for kind in KINDS]
    rng.shuffle(chosen)
    wrong = []
    while chosen and counts["asked"] < cells:
        path, kind = chosen.pop()
        struct: Any = msgspec.defstruct("Filters", [("value", Annotated[kind | None, Lookup(path)], None)])
        try:
            filters = FilterSet(struct, model)
        except ConfigurationError:
            counts["refused when built"] += 1
            continue
        for value in values_of(kind):
            counts["asked"] += 1
            try:
                filters.use(rows, struct(value), fetch)
                counts["rows"] += 1
            except RequestValidationError as error:
                assert error.errors[0]["loc"] == ["query", "value"], (path, value, error.errors)
                counts["422"] += 1
            except Exception as error:
                counts["wrong"] += 1
                wrong.append(f"{path} with {value!r:.80}: {type(error).__name__} {str(error)!r:.150}")
    assert not wrong, "\n".join(sorted(wrong)[:200])
    return counts


def run_on_columns(cells: int, seed: int) -> None:
    """Make the table of all kinds of columns, and filter it."""
    from django.db import connection

    from tests.orm.columns import Columns, ColumnsOut, fill

    with connection.schema_editor() as editor:
        editor.create_model(Columns)
    fill()
    print(run(Columns, Columns.objects.all(), ColumnsOut.fetch, cells, seed))


def main() -> None:
    run_command(__doc__, "cells", 100_000, run_on_columns)


if __name__ == "__main__":
    main()
