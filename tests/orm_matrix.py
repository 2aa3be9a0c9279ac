"""The model matrix: generated models and Structs, each value as a Struct shows and writes it against Django's own.

A cell is one column of one row, seen in one way: by ``fetch``, ``get``, a prepared query, a page, a cursor, a filter,
``from_model``, nested or through a foreign key; or one value written, refused, or one annotation that cannot be.

``python -m tests.orm_matrix --cells 50000`` makes a database of its own (``TEST_DATABASE=postgresql`` for that one).
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import datetime
import decimal
import enum
import itertools
import os
import random
import types
import typing
import uuid
import warnings
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

import msgspec

from tests.matrix_columns import OWN, SIMPLE, Color, Kind, Mixed, postgresql

ROWS = 4
EVERYTHING = [
    *(int, str, bool, float, decimal.Decimal, datetime.date, datetime.datetime, datetime.time, datetime.timedelta),
    *(uuid.UUID, bytes, list[int], dict[str, Any], Mixed, Literal["q"], Literal[9]),
]
"""Annotations that a column which does not hold them has to refuse."""


class Cell(msgspec.Struct):
    """One column of a generated model."""

    name: str
    kind: Kind
    options: dict[str, Any]
    fits: list[Any]

    @property
    def null(self) -> bool:
        return bool(self.options.get("null"))

    @property
    def told(self) -> str:
        return f"{self.kind.name} {self.options}"


def kinds(vendor: str) -> list[Kind]:
    found = [*SIMPLE, *OWN, *(postgresql() if vendor == "postgresql" else [])]
    return [kind for kind in found if kind.vendor in ("", vendor)]


# --- what a value is, said independently of the package ------------------------------------------------------------


def shown(value: Any, annotation: Any) -> Any:
    """What JSON has of the value of an instance under an annotation."""
    annotation, optional = without_null(annotation)
    if value is None:
        return None
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        if value == "" and optional and "" not in {member.value for member in annotation}:
            return None
        return annotation(value).value
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return None if value == "" and "" not in arguments else value
    if type(value).__name__ == "Range" or hasattr(value, "isempty"):
        end = arguments[0] if arguments else Any
        if value.isempty:
            return {"lower": None, "upper": None, "bounds": "[)", "empty": True}
        ends = {"lower": shown(value.lower, end), "upper": shown(value.upper, end)}
        return {**ends, "bounds": value.bounds, "empty": False}
    if origin in (list, set) and isinstance(value, list):
        made = [shown(entry, arguments[0] if arguments else Any) for entry in value]
        return sorted(made, key=str) if origin is set else made
    if hasattr(value, "storage"):
        return value.url if value else None if optional else ""
    if annotation is str:
        return str(value)
    if annotation is float and not isinstance(value, int):
        return float(value)
    if annotation is int:
        return int(value)
    if hasattr(annotation, "__struct_fields__") or typing.is_typeddict(annotation):
        value = msgspec.to_builtins(msgspec.convert(value, annotation))
    elif origin is dict and isinstance(value, dict):
        value = {key: shown(entry, arguments[1]) for key, entry in value.items()}
    return msgspec.to_builtins(bytes(value) if isinstance(value, memoryview) else value, enc_hook=str)


def without_null(annotation: Any) -> tuple[Any, bool]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        members = [entry for entry in typing.get_args(annotation) if entry is not types.NoneType]
        return members[0], len(members) < len(typing.get_args(annotation))
    return annotation, annotation is Any


def packed(value: Any) -> Any:
    """A Struct as JSON has it."""
    found = msgspec.json.decode(msgspec.json.encode(value, enc_hook=str))
    return found


def same(mine: Any, others: Any) -> bool:
    """Whether two values of JSON are one; a set has no order, and 1 and 1.0 are one number."""
    if isinstance(mine, list) and isinstance(others, list):
        return len(mine) == len(others) and (
            all(map(same, mine, others)) or sorted(mine, key=str) == sorted(others, key=str)
        )
    if isinstance(mine, dict) and isinstance(others, dict):
        return mine.keys() == others.keys() and all(same(mine[name], others[name]) for name in mine)
    return bool(mine == others and isinstance(mine, bool) == isinstance(others, bool))


def plain(value: Any, field: Any) -> Any:
    """A value of a Struct as code that has no Structs would have it."""
    from django.db.models import DecimalField

    from hybrid_gateway.orm import Range

    if value is None:
        return None
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Range):
        ends = [None if end is None else field.base_field.to_python(end) for end in (value.lower, value.upper)]
        return field.range_type(empty=True) if value.empty else field.range_type(*ends, value.bounds)
    if field.get_internal_type() == "ArrayField":
        return [plain(entry, field.base_field) for entry in value]
    if isinstance(value, (dict, list, msgspec.Struct)):
        return msgspec.to_builtins(value)
    if type(value) is float and isinstance(field, DecimalField):
        return decimal.Decimal(repr(value))
    return field.to_python(value)


# --- one round -----------------------------------------------------------------------------------------------------


class Matrix:
    """Rounds of generated models, and what was counted of them."""

    def __init__(self, rng: random.Random, connection: Any) -> None:
        self.rng = rng
        self.connection = connection
        self.kinds = kinds(connection.vendor)
        self.turns = itertools.cycle(rng.sample(self.kinds, len(self.kinds)))
        self.keys = itertools.cycle(rng.sample(found := [k for k in self.kinds if k.is_key], len(found)))
        self.counts: collections.Counter[str] = collections.Counter()
        self.numbers = itertools.count()

    def round(self) -> None:
        """Make a model with its rows, look at each cell in each way, and drop it."""
        from django.apps.registry import Apps
        from django.db import models

        rng, apps = self.rng, Apps(["tests.library"])
        key = next(self.keys)
        cells = [self.cell(number) for number in range(8)]
        name = f"Matrix{next(self.numbers)}"
        is_automatic = rng.random() < 0.3
        pk = models.BigAutoField(primary_key=True) if is_automatic else key.field(primary_key=True)
        code = key.field(unique=True)
        self.model = _model(name, apps, {"id": pk, "code": code, **{cell.name: self.field(cell) for cell in cells}})
        one, to_field = rng.random() < 0.3, rng.random() < 0.5
        link = (models.OneToOneField if one else models.ForeignKey)(
            self.model, models.CASCADE, related_name="links", null=True, **({"to_field": "code"} if to_field else {})
        )
        chain = models.OneToOneField(self.model, models.CASCADE, primary_key=True, related_name="chain")
        self.link = _model(f"{name}Link", apps, {"owner": link})
        self.chain = _model(f"{name}Chain", apps, {"owner": chain, "word": models.CharField(max_length=9)})
        end = models.ForeignKey(self.chain, models.CASCADE, related_name="ends")
        self.end = _model(f"{name}End", apps, {"chain": end})
        self.cells, self.is_one, self.to_field = cells, one, to_field
        self.key_fits = [int, float, str] if is_automatic else key.fits
        self.code_fits = key.fits
        self.make_code = _distinct(key)
        self.make_key = (lambda number: number + 1) if is_automatic else self.make_code
        made = [self.model, self.link, self.chain, self.end]
        with self.connection.schema_editor() as editor:
            for model in made:
                editor.create_model(model)
        try:
            self.fill()
            self.look()
            self.follow()
            self.write()
            self.refuse()
        finally:
            with self.connection.schema_editor() as editor:
                for model in reversed(made):
                    editor.delete_model(model)

    # --- what is generated

    def cell(self, number: int) -> Cell:
        rng, kind = self.rng, next(self.turns)
        options: dict[str, Any] = {}
        fits = kind.fits
        for name, chance in (("null", 0.4), ("blank", 0.4), ("default", 0.2), ("db_default", 0.2)):
            if name in kind.options and rng.random() < chance and not (name == "db_default" and "default" in options):
                options[name] = True if name in ("null", "blank") else kind.value(rng)
        if kind.choices and rng.random() < 0.7:
            options["choices"], fits = rng.choice(kind.choices)
            for name in ("default", "db_default"):
                if name in options:
                    options[name] = "s" if isinstance(options[name], str) else 1
        if "default" in options and isinstance(options["default"], (list, dict)):
            options["default"] = _copier(options["default"])
        return Cell(f"c{number}", kind, options, fits)

    def field(self, cell: Cell) -> Any:
        from django.db.models import JSONField, Value

        options = dict(cell.options)
        if "db_default" in options:
            field = cell.kind.field(**{name: value for name, value in options.items() if name != "db_default"})
            options["db_default"] = Value(options["db_default"], output_field=field)
            assert not isinstance(field, JSONField)
        return cell.kind.field(**options)

    def values(self, cell: Cell) -> list[Any]:
        """What the column may hold."""
        if "choices" in cell.options:
            found: list[Any] = ["s", "l"] if isinstance(cell.kind.values[0], str) else [1, 2]
        else:
            found = list(cell.kind.values)
        if cell.options.get("blank") and cell.kind.empty is not None:
            found.append(cell.kind.empty)
        elif not cell.options.get("blank"):
            found = [value for value in found if value not in ([], {})]
        return found + [None] * (2 if cell.null else 0)

    def annotation(self, cell: Cell, *, optional: bool | None = None) -> Any:
        """One that fits; with ``None`` where a row may have none, or a blank that is no member."""
        fit = self.rng.choice(cell.fits)
        return fit | None if (optional or self.needs_null(cell, fit)) and fit is not Any else fit

    def needs_null(self, cell: Cell, fit: Any) -> bool:
        if cell.null:
            return True
        if not cell.options.get("blank") or cell.kind.empty is None:
            return False
        if isinstance(fit, type) and issubclass(fit, enum.Enum):
            return "" not in {member.value for member in fit}
        return typing.get_origin(fit) is Literal

    def named(self, number: int) -> dict[str, Any]:
        """The keys of a row."""
        return {"id": self.make_key(number), "code": self.make_code(number)}

    def fill(self) -> None:
        rows = []
        for number in range(ROWS):
            values = {cell.name: self.rng.choice(self.values(cell)) for cell in self.cells}
            with quiet():
                row = self.model(**self.named(number), **values)
                row.save(force_insert=True)
            rows.append(row)
            self.link(owner=row).save()
            self.chain(owner=row, word=str(number)).save()
            self.end(chain_id=row.pk).save()
        self.link(owner=None).save()
        self.rows = list(self.model.objects.order_by("pk"))

    def struct(self, model: Any, fields: dict[str, Any], name: str = "Out", **options: Any) -> Any:
        from hybrid_gateway.orm import ModelStruct

        def fill(namespace: dict[str, Any]) -> None:
            defaults = {key: value[1] for key, value in fields.items() if isinstance(value, tuple)}
            annotations = {key: value[0] if isinstance(value, tuple) else value for key, value in fields.items()}
            namespace |= {**defaults, "__annotations__": annotations, "__module__": __name__}

        return types.new_class(name, (ModelStruct,), {"model": model, **options}, fill)

    # --- reading

    def look(self) -> None:
        """Each value by each way of reading."""
        from hybrid_gateway.orm import Column, prepare

        fields: dict[str, Any] = {"id": self.rng.choice(self.key_fits)}
        for cell in self.cells:
            fields[cell.name] = self.annotation(cell)
            fields[f"{cell.name}_too"] = Annotated[self.annotation(cell), Column(cell.name)]
        out, model = self.struct(self.model, fields), self.model
        expected = [self.expected(row, fields) for row in self.rows]
        queryset = model.objects.order_by("pk")
        for _ in range(2):
            self.compare("fetch", out.fetch(queryset), expected, fields)
        self.compare("get", [out.get(model.objects.filter(pk=row.pk)) for row in self.rows], expected, fields)
        prepared = prepare(out, lambda pk: model.objects.filter(pk=pk))
        self.compare("prepared", [prepared.get(pk=row.pk) for row in self.rows], expected, fields)
        self.compare("from_model", [out.from_model(row) for row in self.rows], expected, fields)
        self.compare("joined query", out.fetch(queryset.filter(chain__word__in="0123").distinct()), expected, fields)
        self.paged(out, expected, fields)
        self.filtered(out, expected, fields)

    def expected(self, row: Any, fields: dict[str, Any]) -> dict[str, Any]:
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

    def paged(self, out: Any, expected: list[Any], fields: Any) -> None:
        from hybrid_gateway import get
        from hybrid_gateway.orm import Cursor, LimitOffset, PageNumber

        ordered = [cell.name for cell in self.cells if cell.kind.orders]
        by = self.rng.choice(ordered or ["c0"])
        descending = self.rng.choice(["", "-"])
        model = self.model

        def rows() -> Any:
            return model.objects.order_by("pk")

        routes = [
            get("/limit", response=list[out], pagination=LimitOffset(limit=3, max_limit=9))(rows),
            get("/page", response=list[out], pagination=PageNumber(size=3))(rows),
            get("/cursor", response=list[out], pagination=Cursor(size=3, ordering=f"{descending}{by}"))(rows),
        ]
        client = _client(routes)
        for path in ("/limit", "/page", "/cursor"):
            items, url = [], path
            while url:
                answer = client.get(url)
                assert answer.status_code == 200, f"{path} by {by} ({self.describe(by)}): {answer.text}"
                items += answer.json()["items"]
                url = answer.json()["next"]
                assert len(items) <= ROWS, f"{path} by {by} ({self.describe(by)}): a row is on two pages"
            if path == "/cursor":
                items = sorted(items, key=lambda item: [entry["id"] for entry in expected].index(item["id"]))
            self.compare(f"{path} by {by}" if path == "/cursor" else path, items, expected, fields)

    def filtered(self, out: Any, expected: list[Any], fields: Any) -> None:
        """A query parameter with the value of a row finds what Django finds."""
        from hybrid_gateway import get

        cells = [c for c in self.cells if c.kind.orders and not c.kind.own and c.kind.written and not c.kind.vendor]
        cells = [cell for cell in cells if fields[cell.name] is not Any]
        if not cells:
            return
        namespace = {cell.name: (fields[cell.name] | None, None) for cell in cells}
        entries = [(name, *value) for name, value in namespace.items()]
        chosen, model = msgspec.defstruct("Chosen", entries), self.model
        route = get("/", response=list[out], filters=chosen)(lambda: model.objects.order_by("pk"))
        client = _client([route])
        for cell in cells:
            row = self.rng.choice(self.rows)
            value, text = getattr(row, cell.name), shown(getattr(row, cell.name), fields[cell.name])
            if value in (None, "") or fields[cell.name] in (float, float | None) or isinstance(value, bytes):
                continue
            answer = client.get("/", params={cell.name: str(text).lower() if isinstance(text, bool) else text})
            assert answer.status_code == 200, f"filter: {cell.told} by {text!r}: {answer.text}"
            keys = [entry.pk for entry in model.objects.filter(**{cell.name: value})]
            wanted = [entry for entry, row in zip(expected, self.rows, strict=True) if row.pk in keys]
            self.compare("filter", answer.json(), wanted, fields, f"{cell.told} by {text!r}")

    # --- relations

    def follow(self) -> None:
        """Keys as values of foreign keys, whatever they point to, and rows behind them."""
        from hybrid_gateway.orm import Column

        rng = self.rng
        fields: dict[str, Any] = {"id": rng.choice(self.key_fits)}
        fields |= {cell.name: self.annotation(cell) for cell in self.cells}
        inner = self.struct(self.model, fields, "Inner")
        key = rng.choice(self.code_fits if self.to_field else self.key_fits)
        key = key if key is Any else key | None
        outer = self.struct(
            self.link,
            {"owner_id": key, "key": Annotated[key, Column("owner")], "owner": inner | None,
             "first": Annotated[fields["c0"] | None, Column("owner__c0")]},
        )  # fmt: skip
        links = list(self.link.objects.select_related("owner").order_by("pk"))
        expected = [
            {
                "owner_id": shown(link.owner_id, key),
                "key": shown(link.owner_id, key),
                "owner": None if link.owner is None else self.expected(link.owner, fields),
                "first": None if link.owner is None else shown(link.owner.c0, fields["c0"]),
            }
            for link in links
        ]
        told = {"owner_id": key, "key": key, "owner": fields, "first": fields["c0"]}
        self.compare("nested", outer.fetch(self.link.objects.order_by("pk")), expected, told)
        self.compare("nested from_model", [outer.from_model(link) for link in links], expected, told)
        only = self.struct(self.link, {"owner_id": key}, "Key")
        self.compare(
            "key", only.fetch(self.link.objects.order_by("pk")), [{"owner_id": e["owner_id"]} for e in expected], told
        )
        chained = rng.choice(self.key_fits)
        ends = self.struct(self.end, {"chain_id": chained, "far": Annotated[chained, Column("chain__owner")],
                                      "further": Annotated[chained, Column("chain__owner__id")]})  # fmt: skip
        wanted = [
            dict.fromkeys(("chain_id", "far", "further"), shown(end.chain_id, chained))
            for end in self.end.objects.order_by("pk")
        ]
        named = dict.fromkeys(("chain_id", "far", "further"), chained)
        self.compare("key of a key", ends.fetch(self.end.objects.order_by("pk")), wanted, named)
        self.compare("key of a key", [ends.from_model(end) for end in self.end.objects.order_by("pk")], wanted, named)
        if not self.is_one:
            back = self.struct(
                self.model, {"links": list[only], "keys": Annotated[list[key], Column("links__owner_id")]}, "Back"
            )
            lists = [[{"owner_id": shown(link.owner_id, key)} for link in row.links.all()] for row in self.rows]
            wanted = [{"links": found, "keys": [entry["owner_id"] for entry in found]} for found in lists]
            self.compare("lists", back.fetch(self.model.objects.order_by("pk")), wanted, {"links": key, "keys": key})

    # --- writing

    def write(self) -> None:
        """What is created and changed by a Struct is what Django writes of the same values, and is shown as it is."""
        from hybrid_gateway.orm import ModelStruct  # noqa: F401

        cells = [cell for cell in self.cells if cell.kind.written]
        fields: dict[str, Any] = {cell.name: self.annotation(cell) for cell in cells}
        fields |= {
            cell.name: int | None
            for cell in cells
            if cell.kind.name in ("big", "positive_big") and cell.fits == cell.kind.fits
        }
        shows = {cell.name: self.annotation(cell) for cell in self.cells}
        into, out = self.struct(self.model, fields, "In"), self.struct(self.model, shows)
        patch = self.struct(self.model, fields, "Patch", partial=True)
        for number in range(2):
            wires = {cell.name: shown(self.rng.choice(self.values(cell)), fields[cell.name]) for cell in cells}
            left_out = {
                cell.name
                for cell in cells
                if cell.options.keys() & {"default", "db_default"} and self.rng.random() < 0.4
            }
            sent = {name: value for name, value in wires.items() if name not in left_out}
            kind = patch if left_out else into
            data = msgspec.json.decode(msgspec.json.encode(sent), type=kind, dec_hook=_decode)
            keys, others = self.named(ROWS + 2 * number), self.named(ROWS + 2 * number + 1)
            with quiet():
                made = data.create(**keys)
                reference = self.model(**others, **{name: self.plain(getattr(data, name), name) for name in sent})
                self.clean(reference, sent)
                reference.save(force_insert=True)
            self.same_row("create", made.pk, reference.pk, sent)
            fresh = self.model.objects.get(pk=made.pk)
            self.compare(
                "shown after create", [out.from_model(made)], [self.expected(fresh, shows)], shows, f"of {sent}"
            )
            part = {
                cell.name: shown(self.rng.choice(self.values(cell)), fields[cell.name])
                for cell in cells
                if self.rng.random() < 0.5
            }
            data = msgspec.json.decode(msgspec.json.encode(part), type=patch, dec_hook=_decode)
            with quiet():
                data.update(made)
                for name in part:
                    setattr(reference, name, self.plain(getattr(data, name), name))
                self.clean(reference, part)
                reference.save(update_fields=sorted(part)) if part else None
            self.same_row("update", made.pk, reference.pk, part)
            fresh = self.model.objects.get(pk=made.pk)
            self.compare(
                "shown after update", [out.from_model(made)], [self.expected(fresh, shows)], shows, f"of {part}"
            )
        self.messy(out, shows)

    def plain(self, value: Any, name: str) -> Any:
        """A value of a Struct as Django's own code would have it."""
        cell = next(cell for cell in self.cells if cell.name == name)
        if value is None and not cell.null and cell.kind.empty is not None:
            return cell.kind.empty
        return plain(value, self.model._meta.get_field(name))

    def clean(self, instance: Any, names: Any) -> None:
        """Run Django's validators for what clients have sent, but for what they take for missing."""
        others = []
        for field in instance._meta.fields:
            value = getattr(instance, field.attname)
            if field.name not in names or value in (None, "", [], {}) or (isinstance(value, list) and None in value):
                others.append(field.name)
        instance.full_clean(exclude=others)

    def same_row(self, way: str, mine: Any, others: Any, names: Any) -> None:
        """Whether two rows are one to the database."""
        quote, vendor = self.connection.ops.quote_name, self.connection.vendor
        columns = [
            field for field in self.model._meta.concrete_fields if field.name.startswith("c") and field.name != "code"
        ]
        text = (
            "{0}::text"
            if vendor == "postgresql"
            else "typeof({0}) || ':' || CASE typeof({0}) WHEN 'blob' THEN hex({0}) ELSE CAST({0} AS TEXT) END"
        )
        asked = ", ".join(text.format(quote(field.column)) for field in columns)
        pk = self.model._meta.pk
        found = []
        for key in (mine, others):
            with self.connection.cursor() as cursor:
                prepared = pk.get_db_prep_value(key, self.connection)
                cursor.execute(
                    f"SELECT {asked} FROM {quote(self.model._meta.db_table)} WHERE {quote(pk.column)} = %s", [prepared]
                )
                found.append(cursor.fetchone())
        for field, left, right in zip(columns, *found, strict=True):
            self.counts[way] += 1
            assert left == right, (
                f"{way}: {self.describe(field.name)} is {left!r}, and Django writes {right!r} of {names}"
            )

    def messy(self, out: Any, shows: Any) -> None:
        """What code has assigned is shown as the row has it, where that can be told."""
        cells = [
            c
            for c in self.cells
            if c.kind.messy and not c.kind.own and not c.kind.vendor and "choices" not in c.options
        ]
        values = {cell.name: self.rng.choice([*cell.kind.messy, *cell.kind.values]) for cell in cells}
        others = {
            cell.name: cell.kind.value(self.rng)
            for cell in self.cells
            if cell.name not in values and "choices" not in cell.options
        }
        others |= {
            c.name: "s" if isinstance(c.kind.values[0], str) else 1 for c in self.cells if "choices" in c.options
        }
        with quiet():
            made = self.model(**self.named(ROWS + 8), **values, **others)
            made.save(force_insert=True)
            fresh = self.model.objects.get(pk=made.pk)
            names = {name: shows[name] for name in values}
            some = self.struct(self.model, names, "Some")
            if names:
                self.compare("messy", [some.from_model(made)], [self.expected(fresh, names)], names, f"of {values}")
            patch = self.struct(self.model, {"id": Any}, "Nothing", partial=True)
            made = patch().create(**self.named(ROWS + 9), **values, **others)
            fresh = self.model.objects.get(pk=made.pk)
        self.compare("messy create", [out.from_model(made)], [self.expected(fresh, shows)], shows, f"of {values}")

    # --- refusals

    def refuse(self) -> None:
        """What no row can have is 422 at its place; what no column can show is told when the class is made."""
        import pytest
        from django.db import transaction

        from hybrid_gateway import ConfigurationError
        from hybrid_gateway.exceptions import RequestValidationError

        for cell in self.cells:
            fit = cell.fits[0]
            if self.needs_null(cell, fit) and fit is not Any:
                with pytest.raises(ConfigurationError, match=r"Wrong\.c\d.*(can be null|may be blank)"):
                    self.struct(self.model, {cell.name: fit}, "Wrong")
                self.counts["refused types"] += 1
            for wrong in EVERYTHING:
                if (
                    cell.kind.own
                    or cell.kind.name in _ANYTHING
                    or wrong in [*cell.fits, *cell.kind.fits]
                    or _allows(cell, wrong)
                ):
                    continue
                with pytest.raises(ConfigurationError, match=r"Wrong\.c\d.*(cannot hold|lacks|must be all|is read as)"):
                    self.struct(self.model, {cell.name: wrong | None}, "Wrong")
                    raise AssertionError(f"{cell.told} takes {wrong}")
                self.counts["refused types"] += 1
            if not cell.kind.written or fit is Any:
                continue
            into = self.struct(self.model, {cell.name: fit | None}, "In")
            rest = {
                c.name: c.kind.value(self.rng)
                if "choices" not in c.options
                else ("s" if isinstance(c.kind.values[0], str) else 1)
                for c in self.cells
                if c is not cell
            }
            for wire in cell.kind.hostile:
                if (
                    self.connection.vendor == "sqlite"
                    and type(wire) is int
                    and (wire > 0 or "pos" not in cell.kind.name)
                ):
                    wire *= 2**60  # a column of SQLite has 64 bits, whatever it is called
                if "choices" in cell.options and not isinstance(wire, (str, int)):
                    continue
                with (
                    quiet(),
                    transaction.atomic(),
                    pytest.raises((msgspec.ValidationError, RequestValidationError)) as caught,
                ):
                    msgspec.json.decode(msgspec.json.encode({cell.name: wire}), type=into, dec_hook=_decode).create(
                        **self.named(ROWS + 20), **rest
                    )
                    raise AssertionError(f"{cell.told} takes {wire!r} under {fit}")
                if isinstance(caught.value, RequestValidationError):
                    places = [fault["loc"] for fault in caught.value.errors]
                    assert places[0][:2] == ["body", cell.name], f"{cell.told} refuses {wire!r} at {places}"
                self.counts["refused values"] += 1


_ANYTHING = ("json", "parts", "named")
"""Kinds that hold whatever they are given."""


def _allows(cell: Cell, wrong: Any) -> bool:
    """Whether a type that a column is never tried with would do: an enum or a Literal of the type it holds."""
    return typing.get_origin(wrong) is Literal and ("choices" not in cell.options or callable(cell.options["choices"]))


def _model(name: str, apps: Any, fields: dict[str, Any]) -> Any:
    from django.db import models

    meta = type("Meta", (), {"apps": apps, "app_label": "library"})
    return type(name, (models.Model,), {"__module__": __name__, "Meta": meta, **fields})


def _client(routes: list[Any]) -> Any:
    from hybrid_gateway import Gateway
    from hybrid_gateway.test import TestClient

    return TestClient(Gateway(routes, type_encoders={Color: str}))


def _distinct(kind: Kind) -> Callable[[int], Any]:
    """Values of a key, another for each number."""
    makers: dict[str, Callable[[int], Any]] = {
        "integer": lambda n: n * 7 - 3,
        "big": lambda n: 2**62 + n,
        "char": lambda n: f"k {n} ä",
        "slug": lambda n: f"k-{n}",
        "decimal": lambda n: decimal.Decimal(n) / 4,
        "date": lambda n: datetime.date(2024, 1, 1 + n),
        "moment": lambda n: datetime.datetime(2024, 1, 1 + n, 3, 4, 5, 6, tzinfo=datetime.UTC),
        "uuid": lambda n: uuid.UUID(int=n << 64),
        "color": lambda n: Color(f"c{n}"),
    }
    return makers[kind.name]


def _copier(value: Any) -> Callable[[], Any]:
    import copy

    return lambda: copy.deepcopy(value)


def _decode(kind: Any, value: Any) -> Any:
    return Color(value) if kind is Color and isinstance(value, str) else value


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without Django's warnings of moments that have no offset."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


def prepare_database(connection: Any) -> None:
    """What the columns of PostgreSQL need."""
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
    matrix = Matrix(random.Random(seed), connection)
    while matrix.counts.total() < cells:
        matrix.round()
    report(f"{connection.vendor}: {matrix.counts.total()} cells, {dict(matrix.counts)}")
    return matrix.counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django
    from django.db import connection
    from django.test.utils import get_runner  # noqa: F401 (loads what a test database needs)

    django.setup()
    name = connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        run(options.cells, options.seed)
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


if __name__ == "__main__":
    main()
