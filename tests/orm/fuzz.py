"""Rows as Structs against rows as instances: generated filters, orders, slices and values, on any database.

Every query is asked three times: by Django, by ``fetch()``, and prepared.

``python -m tests.orm.fuzz --queries 20000`` makes a database of its own (``TEST_DATABASE=postgresql`` for that one).
"""

from __future__ import annotations

import datetime
import decimal
import random
import uuid
from collections.abc import Callable
from typing import Any

from tests.orm.command import run_command

UTC = datetime.UTC
DAY = datetime.date(2020, 1, 1)


def moments(rng: random.Random) -> datetime.datetime:
    return datetime.datetime(2020, 1, rng.randint(1, 20), rng.randint(0, 23), rng.choice([0, 30]), tzinfo=UTC)


TEXTS = ["", "a", "A", "b%", "a_b", "ab", "B\\", "100%", "ä", "x'y", 'q"', "nul?", "long text here"]
VALUES: dict[str, Callable[[random.Random], Any]] = {
    "text": lambda rng: rng.choice(TEXTS),
    "int": lambda rng: rng.choice([0, 1, 2, 3, 5, 8, -1, 2**31 - 1, 2**70, "3", 2.5, True]),
    "key": lambda rng: rng.choice([1, 2, 3, 5, 99, "4"]),
    "decimal": lambda rng: rng.choice([decimal.Decimal("1.50"), 2, "3.25", decimal.Decimal(0), 1.5]),
    "float": lambda rng: rng.choice([0.5, 1, 2.25, -1.5]),
    "bool": lambda rng: rng.choice([True, False]),
    "uuid": lambda rng: rng.choice([uuid.UUID(int=rng.randint(0, 5)), str(uuid.UUID(int=rng.randint(0, 5)))]),
    "moment": moments,
    "day": lambda rng: DAY + datetime.timedelta(days=rng.randint(0, 20)),
    "year": lambda rng: rng.choice([2019, 2020, 2021]),
    "hour": lambda rng: datetime.time(rng.randint(0, 23)),
    "span": lambda rng: datetime.timedelta(hours=rng.randint(0, 30)),
    "json": lambda rng: rng.choice(["x", 1, {"b": 2}, [1, 2], True, 1.5]),
    "status": lambda rng: rng.choice(["planned", "sold", "lost"]),
}
COMPARED = ["", "__gt", "__gte", "__lt", "__lte", "__in", "__range"]
TEXTUAL = [
    *("", "__iexact", "__contains", "__icontains", "__startswith", "__istartswith", "__endswith", "__iendswith"),
    *("__in", "__gt", "__lte", "__lower", "__length__gt"),
]
COLUMNS: dict[str, list[tuple[str, str, list[str]]]] = {
    "Book": [
        ("title", "text", TEXTUAL),
        ("isbn", "text", ["", "__in", "__contains"]),
        ("status", "status", ["", "__in"]),
        ("pages", "int", COMPARED),
        ("price", "decimal", COMPARED),
        ("weight", "float", COMPARED),
        ("is_rare", "bool", ["", "__in"]),
        ("key", "uuid", ["", "__in"]),
        ("printed", "moment", [*COMPARED]),
        ("printed", "day", ["__date", "__date__gte"]),
        ("printed", "year", ["__year", "__year__gte", "__month__lt"]),
        ("day", "day", COMPARED),
        ("hour", "hour", COMPARED),
        ("lent_for", "span", COMPARED),
        ("data__a", "json", [""]),
        ("data__b__c", "json", [""]),
        ("publisher", "key", ["", "__in", "__gt"]),
        ("publisher_id", "key", ["", "__in"]),
        ("publisher__name", "text", TEXTUAL),
        ("authors", "key", ["", "__in"]),
        ("authors__name", "text", TEXTUAL),
        ("reviews__stars", "int", COMPARED),
        ("publisher__country", "bool", ["__isnull"]),
        ("weight", "bool", ["__isnull"]),
    ],
    "Author": [
        ("name", "text", TEXTUAL),
        ("born", "day", COMPARED),
        ("mentor", "key", ["", "__in"]),
        ("mentor__name", "text", TEXTUAL),
        ("books__pages", "int", COMPARED),
        ("books__publisher__name", "text", TEXTUAL),
        ("biography__text", "text", TEXTUAL),
    ],
    "Review": [
        ("stars", "int", COMPARED),
        ("text", "text", TEXTUAL),
        ("book", "key", ["", "__in"]),
        ("book__title", "text", TEXTUAL),
        ("book__publisher__name", "text", ["", "__in"]),
        ("critic", "key", ["", "__in"]),
        ("critic__born", "day", COMPARED),
    ],
}
ORDERS = {
    "Book": ["pk", "-title", "price", "-printed", "publisher__name"],
    "Author": ["pk", "-name", "born"],
    "Review": ["pk", "-stars", "book__title"],
}


class Shape:
    """One kind of query: a function of its parameters, and what makes values for them."""

    def __init__(self, rng: random.Random, models: dict[str, Any]) -> None:
        from django.db.models import Q

        self.name = rng.choice(list(COLUMNS))
        self.model = models[self.name]
        conditions = [self._condition(rng, number) for number in range(rng.randint(1, 3))]
        self.makers = {name: make for names in conditions for name, make in names[1].items()}
        joined, negated = rng.choice(["and", "and", "or"]), [rng.random() < 0.2 for _ in conditions]
        chained, distinct = rng.random() < 0.3, rng.random() < 0.15
        order = rng.choice(ORDERS[self.name])
        slicing = rng.choice([None, None, "limit", "offset", "both"])
        if slicing in ("limit", "both"):
            self.makers["n"] = lambda rng: rng.choice([0, 1, 2, 5, 100])
        if slicing in ("offset", "both"):
            self.makers["skip"] = lambda rng: rng.choice([0, 1, 3, 50])
        names = list(self.makers)

        def build(**values: Any) -> Any:
            queryset, together = self.model.objects.all(), Q()
            for (path, own), no in zip(conditions, negated, strict=True):
                given = [values[name] for name in own]
                value = given if path.endswith(("__range",)) else given[0]
                one = ~Q(**{path: value}) if no else Q(**{path: value})
                if chained:
                    queryset = queryset.filter(one)
                together = together | one if joined == "or" else together & one
            if not chained:
                queryset = queryset.filter(together)
            queryset = queryset.order_by(order, "pk")
            if distinct:
                queryset = queryset.distinct()
            if slicing == "limit":
                return queryset[: values["n"]]
            if slicing == "offset":
                return queryset[values["skip"] :]
            if slicing == "both":
                return queryset[values["skip"] : values["skip"] + values["n"]]
            return queryset

        source = f"lambda {', '.join(names)}: build({', '.join(f'{name}={name}' for name in names)})"
        self.build = eval(source, {"build": build})
        self.told = f"{self.name} {conditions} {joined} {negated} chained={chained} {order} {slicing}"

    def _condition(self, rng: random.Random, number: int) -> tuple[str, dict[str, Any]]:
        column, kind, lookups = rng.choice(COLUMNS[self.name])
        path = column + rng.choice(lookups)
        make = VALUES["int" if path.endswith("__length__gt") else kind]
        if path.endswith("__in"):
            return path, {f"v{number}": lambda rng: [make(rng) for _ in range(rng.choice([0, 1, 2, 3, 5]))]}
        if path.endswith("__range"):
            return path, {f"v{number}a": make, f"v{number}b": make}
        return path, {f"v{number}": make}

    def values(self, rng: random.Random) -> dict[str, Any]:
        made = {name: make(rng) for name, make in self.makers.items()}
        if rng.random() < 0.03:
            made[rng.choice(list(made))] = None
        return made


def fill(models: dict[str, Any], rng: random.Random) -> None:
    """A small library that has something of everything."""
    publishers = [
        models["Publisher"].objects.create(name=f"{text or 'none'} {n}", country=rng.choice([None, "GB", "FR"]))
        for n, text in enumerate(TEXTS)
    ]
    authors: list[Any] = []
    for text in TEXTS:
        mentor = rng.choice([None, *authors])
        authors.append(
            models["Author"].objects.create(name=text, mentor=mentor, born=rng.choice([None, VALUES["day"](rng)]))
        )
        if rng.random() < 0.5:
            models["Biography"].objects.create(author=authors[-1], text=rng.choice(TEXTS))
    for number in range(60):
        maybe = [rng.random() < 0.7 for _ in range(5)]
        book = models["Book"].objects.create(
            title=rng.choice(TEXTS),
            isbn=f"{number}%",
            publisher=rng.choice([None, *publishers]),
            status=rng.choice(["planned", "sold"]),
            pages=rng.randint(1, 9),
            price=decimal.Decimal(rng.randint(0, 16)) / 4,
            weight=rng.choice([None, 0.5, 1, 2.25]),
            is_rare=rng.random() < 0.5,
            key=uuid.UUID(int=rng.randint(0, 5)),
            printed=moments(rng) if maybe[0] else None,
            day=VALUES["day"](rng) if maybe[1] else None,
            hour=VALUES["hour"](rng) if maybe[2] else None,
            lent_for=VALUES["span"](rng) if maybe[3] else None,
            data=rng.choice([{}, {"a": VALUES["json"](rng)}, {"b": {"c": VALUES["json"](rng)}}]),
        )
        book.authors.set(rng.sample(authors, rng.randint(0, 3)))
        for _ in range(rng.randint(0, 3)):
            models["Review"].objects.create(
                book=book, stars=rng.randint(0, 5), text=rng.choice(TEXTS), critic=rng.choice([None, *authors])
            )


def outcome(function: Callable[[], Any]) -> Any:
    """What a call gives, or the kind of error it raises."""
    try:
        return function()
    except Exception as error:
        return type(error).__name__


def run(queries: int, seed: int, report: Callable[[str], None] = print) -> dict[str, int]:
    """Compare ``queries`` calls; raise ``AssertionError`` for the first difference."""
    from django.db import transaction
    from django.db.models import CharField, TextField
    from django.db.models.functions import Length, Lower

    from hybrid_gateway import ConfigurationError
    from hybrid_gateway.orm import ModelStruct, prepare
    from tests.library import models as library

    for field in (CharField, TextField):
        field.register_lookup(Lower)
        field.register_lookup(Length)
    rng = random.Random(seed)
    models = {name: getattr(library, name) for name in ("Publisher", "Author", "Biography", "Book", "Review")}
    if not models["Book"].objects.exists():
        fill(models, rng)

    class BookOut(ModelStruct, model=models["Book"]):
        id: int
        title: str
        price: decimal.Decimal
        printed: datetime.datetime | None

    class AuthorOut(ModelStruct, model=models["Author"]):
        id: int
        name: str
        books: list[BookOut]

    class ReviewOut(ModelStruct, model=models["Review"]):
        id: int
        book: BookOut

    structs = {"Book": BookOut, "Author": AuthorOut, "Review": ReviewOut}
    counts = {"compared": 0, "prepared": 0, "refused": 0, "errors": 0}

    def guarded(function: Callable[[], Any]) -> Any:
        def call() -> Any:
            with transaction.atomic():
                return function()

        return outcome(call)

    while counts["compared"] < queries:
        shape = Shape(rng, models)
        try:
            prepared = prepare(structs[shape.name], shape.build)
        except ConfigurationError:
            counts["refused"] += 1
            continue
        counts["prepared"] += 1
        for _ in range(12):
            values = shape.values(rng)
            struct = structs[shape.name]
            expected = guarded(lambda: [struct.from_model(row) for row in shape.build(**values)])  # noqa: B023
            fetched = guarded(lambda: struct.fetch(shape.build(**values)))  # noqa: B023
            assert fetched == expected, f"fetch: {shape.told} with {values}: {fetched} is not {expected}"
            found = guarded(lambda: prepared.fetch(**values))  # noqa: B023
            assert found == expected, f"{shape.told} with {values}: {found} is not {expected}"
            if not isinstance(expected, str) and "n" not in values and "skip" not in values:
                assert prepared.exists(**values) == bool(expected), f"exists: {shape.told} with {values}"
                if ".distinct" not in shape.told and not shape.build(**values).query.distinct:
                    assert prepared.count(**values) == len(expected), f"count: {shape.told} with {values}"
            counts["errors"] += isinstance(expected, str)
            counts["compared"] += 1
    report(f"{counts}")
    return counts


def main() -> None:
    run_command(__doc__, "queries", 20_000, run)


if __name__ == "__main__":
    main()
