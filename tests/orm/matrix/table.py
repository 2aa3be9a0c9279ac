"""Generated models: a table with columns of any kind and with rows, those that point to it, and Structs of them."""

from __future__ import annotations

import collections
import contextlib
import copy
import datetime
import decimal
import enum
import itertools
import random
import types
import typing
import uuid
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Literal

import msgspec

from tests.orm.matrix.columns import OWN, SIMPLE, Color, Kind, postgresql
from tests.orm.matrix.oracle import packed, same, shown

__all__ = ["ROWS", "Cell", "Table", "Tables", "quiet"]

ROWS = 4


class Cell(msgspec.Struct):
    """One column of a generated model."""

    name: str
    kind: Kind
    options: dict[str, Any]
    fits: list[Any]

    @property
    def told(self) -> str:
        return f"{self.kind.name} {self.options}"

    @property
    def has_choices(self) -> bool:
        return "choices" in self.options

    def some(self, rng: random.Random) -> Any:
        """A value that the column may hold, and that is neither null nor blank."""
        return rng.choice(self._members() if self.has_choices else self.kind.values)

    def values(self) -> list[Any]:
        """What the column may hold."""
        found = self._members() if self.has_choices else list(self.kind.values)
        if self.options.get("blank") and self.kind.empty is not None:
            found.append(self.kind.empty)
        elif not self.options.get("blank"):
            found = [value for value in found if value not in ([], {})]
        return found + [None] * (2 if self.options.get("null") else 0)

    def _members(self) -> list[Any]:
        return ["s", "l"] if isinstance(self.kind.values[0], str) else [1, 2]

    def needs_null(self, fit: Any) -> bool:
        """Whether there are rows that an annotation has nothing for but ``None``."""
        if self.options.get("null"):
            return True
        if not self.options.get("blank") or self.kind.empty is None:
            return False
        if isinstance(fit, type) and issubclass(fit, enum.Enum):
            return "" not in {member.value for member in fit}
        return typing.get_origin(fit) is Literal

    def field(self) -> Any:
        from django.db.models import Value

        options = dict(self.options)
        if "db_default" in options:
            without = self.kind.field(**{name: value for name, value in options.items() if name != "db_default"})
            options["db_default"] = Value(options["db_default"], output_field=without)
        return self.kind.field(**options)


class Tables:
    """Makes tables, each kind of column in its turn, and counts what is looked at."""

    def __init__(self, rng: random.Random, connection: Any) -> None:
        self.rng = rng
        self.connection = connection
        found = [*SIMPLE, *OWN, *(postgresql() if connection.vendor == "postgresql" else [])]
        keys = [kind for kind in found if kind.is_key]
        self._turns = itertools.cycle(rng.sample(found, len(found)))
        self._keys = itertools.cycle(rng.sample(keys, len(keys)))
        self._numbers = itertools.count()
        self.counts: collections.Counter[str] = collections.Counter()

    @contextlib.contextmanager
    def table(self) -> Iterator[Table]:
        cells = [self._cell(number) for number in range(8)]
        table = Table(self, f"Matrix{next(self._numbers)}", next(self._keys), cells)
        with self.connection.schema_editor() as editor:
            for model in table.models:
                editor.create_model(model)
        try:
            table.fill()
            yield table
        finally:
            with self.connection.schema_editor() as editor:
                for model in reversed(table.models):
                    editor.delete_model(model)

    def _cell(self, number: int) -> Cell:
        rng, kind = self.rng, next(self._turns)
        options: dict[str, Any] = {}
        for name in ("null", "blank"):
            if name in kind.options and rng.random() < 0.4:
                options[name] = True
        cell = Cell(f"c{number}", kind, options, kind.fits)
        if kind.choices and rng.random() < 0.7:
            options["choices"], cell.fits = rng.choice(kind.choices)
        default = rng.choice(["", "", "default", "db_default"])
        if default in kind.options:
            value = cell.some(rng)
            is_shared = default == "default" and isinstance(value, (list, dict))
            options[default] = (lambda: copy.deepcopy(value)) if is_shared else value
        return cell


class Table:
    """One generated model with its rows."""

    def __init__(self, made_by: Tables, name: str, key: Kind, cells: list[Cell]) -> None:
        from django.apps.registry import Apps
        from django.db import models

        self.rng, self.connection, self.counts = made_by.rng, made_by.connection, made_by.counts
        rng, apps = self.rng, Apps(["tests.library"])
        self.cells, self.code_fits, self._code = cells, key.fits, _distinct(key)
        is_automatic = rng.random() < 0.3
        self.key_fits = [int, float, str] if is_automatic else key.fits
        self._key = (lambda number: number + 1) if is_automatic else self._code
        self.copied = next((cell for cell in cells if cell.kind.written and not cell.kind.vendor), None)
        self.model = _model(
            name,
            apps,
            {
                "id": models.BigAutoField(primary_key=True) if is_automatic else key.field(primary_key=True),
                "code": key.field(unique=True),
                **{cell.name: cell.field() for cell in cells},
                "number": models.IntegerField(default="7"),
                "double": models.GeneratedField(
                    expression=models.F("number") * 2, output_field=models.IntegerField(), db_persist=True
                ),
                "changed": models.DateTimeField(auto_now=True),
                "made": models.DateField(auto_now_add=True),
                **self._generated(),
            },
        )
        self.is_one, self.to_field = rng.random() < 0.3, rng.random() < 0.5
        link = (models.OneToOneField if self.is_one else models.ForeignKey)(
            self.model,
            models.CASCADE,
            related_name="links",
            null=True,
            **({"to_field": "code"} if self.to_field else {}),
        )
        chain = models.OneToOneField(self.model, models.CASCADE, primary_key=True, related_name="chain")
        self.link = _model(f"{name}Link", apps, {"owner": link})
        self.chain = _model(f"{name}Chain", apps, {"owner": chain, "word": models.CharField(max_length=9)})
        end = models.ForeignKey(self.chain, models.CASCADE, related_name="ends")
        self.end = _model(f"{name}End", apps, {"chain": end})
        self.models = [self.model, self.link, self.chain, self.end]
        self.rows: list[Any] = []

    def _generated(self) -> dict[str, Any]:
        """A column that the database copies of another, with all that its field makes of values."""
        from django.db import models

        if self.copied is None:
            return {}
        output, source = self.copied.kind.field(), models.F(self.copied.name)
        return {"copied": models.GeneratedField(expression=source, output_field=output, db_persist=True)}

    @property
    def managed(self) -> dict[str, Any]:
        """Columns that the server fills, with annotations."""
        found: dict[str, Any] = {"number": int, "double": int, "changed": datetime.datetime, "made": datetime.date}
        return found | ({} if self.copied is None else {"copied": _or_none(self.copied.kind.fits[0])})

    def named(self, number: int) -> dict[str, Any]:
        """The keys of a row."""
        return {"id": self._key(number), "code": self._code(number)}

    def fill(self) -> None:
        for number in range(ROWS):
            with quiet():
                values = {cell.name: self.rng.choice(cell.values()) for cell in self.cells}
                row = self.model(**self.named(number), **values)
                row.save(force_insert=True)
            self.link(owner=row).save()
            self.chain(owner=row, word=str(number)).save()
            self.end(chain_id=row.pk).save()
        self.link(owner=None).save()
        self.rows = list(self.model.objects.order_by("pk"))

    # --- Structs

    def annotation(self, cell: Cell) -> Any:
        """One that fits; with ``None`` where a row may have none, or a blank that is no member."""
        fit = self.rng.choice(cell.fits)
        return _or_none(fit) if cell.needs_null(fit) else fit

    def struct(self, model: Any, fields: dict[str, Any], name: str = "Out", base: Any = None, **options: Any) -> Any:
        from hybrid_gateway.orm import ModelStruct

        def fill(namespace: dict[str, Any]) -> None:
            namespace |= {"__annotations__": dict(fields), "__module__": __name__}

        return types.new_class(name, (base or ModelStruct,), {"model": model, **options}, fill)

    def expected(self, row: Any, fields: dict[str, Any]) -> dict[str, Any]:
        """What JSON has of an instance."""
        found = {}
        for name, annotation in fields.items():
            kind = typing.get_args(annotation)[0] if hasattr(annotation, "__metadata__") else annotation
            found[name] = shown(getattr(row, name.removesuffix("_too")), kind)
        return found

    def compare(self, way: str, structs: list[Any], expected: list[Any], fields: Any, told: str = "") -> None:
        found = [packed(struct) for struct in structs]
        assert len(found) == len(expected), f"{way}: {len(found)} rows, not {len(expected)} {told}"
        for mine, others in zip(found, expected, strict=True):
            for name, value in others.items():
                self.counts[way] += 1
                assert same(mine[name], value), (
                    f"{way}: {self.describe(name)} under {fields[name]} is {mine[name]!r}, not {value!r} {told}"
                )

    def describe(self, name: str) -> str:
        cell = next((cell for cell in self.cells if cell.name == name.removesuffix("_too")), None)
        return cell.told if cell is not None else name


def _or_none(annotation: Any) -> Any:
    return annotation if annotation is Any else annotation | None


def _model(name: str, apps: Any, fields: dict[str, Any]) -> Any:
    from django.db import models

    meta = type("Meta", (), {"apps": apps, "app_label": "library"})
    return type(name, (models.Model,), {"__module__": __name__, "Meta": meta, **fields})


def _distinct(kind: Kind) -> Callable[[int], Any]:
    """Values of a key, another for each number."""
    makers: dict[str, Callable[[int], Any]] = {
        "integer": lambda n: n * 7 - 3,
        "big": lambda n: 2**62 + n,
        "char": lambda n: f"k {n} ä",
        "slug": lambda n: f"k-{n}",
        "decimal": lambda n: decimal.Decimal(n) / 4,
        "date": lambda n: datetime.date(2024, 1, 1) + datetime.timedelta(n),
        "moment": lambda n: datetime.datetime(2024, 1, 1, 3, 4, 5, n, tzinfo=datetime.UTC),
        "uuid": lambda n: uuid.UUID(int=n << 64),
        "color": lambda n: Color(f"c{n}"),
    }
    return makers[kind.name]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without Django's warnings of moments that have no offset."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield
