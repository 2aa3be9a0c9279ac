"""What a Struct writes is what Django writes of the same values; what no row can have is refused at its place."""

from __future__ import annotations

import datetime
import decimal
import typing
import uuid
from typing import Any, Literal

import msgspec

from tests.orm.matrix.columns import Color, Mixed
from tests.orm.matrix.oracle import plain, shown
from tests.orm.matrix.table import ROWS, Cell, Table, quiet

__all__ = ["assign", "refuse", "throw", "write"]

EVERYTHING = [
    *(int, str, bool, float, decimal.Decimal, datetime.date, datetime.datetime, datetime.time, datetime.timedelta),
    *(uuid.UUID, bytes, list[int], dict[str, Any], Mixed, Literal["q"], Literal[9]),
]
"""Annotations that a column which does not hold them has to refuse."""


def write(table: Table) -> None:
    """Create and change rows, each beside one that Django has written, and look at both."""
    cells = [cell for cell in table.cells if cell.kind.written]
    fields = {cell.name: _written(table, cell) for cell in cells}
    shows = {cell.name: table.annotation(cell) for cell in table.cells} | table.managed
    into, out = table.struct(table.model, fields, "In"), table.struct(table.model, shows)
    patch = table.struct(table.model, {}, "Patch", base=into, partial=True)
    for number in (ROWS, ROWS + 2):
        absent = {cell.name for cell in cells if _has_default(cell) and table.rng.random() < 0.4}
        sent = _wires(table, [cell for cell in cells if cell.name not in absent], fields)
        short = table.struct(table.model, {}, "Short", base=into, exclude=absent) if absent else into
        data = _decoded(sent, table.rng.choice([short, patch]) if absent else into)
        with quiet():
            made = data.create(**table.named(number))
            values = {name: _plain(table, getattr(data, name), name) for name in sent}
            reference = table.model(**table.named(number + 1), **values)
            _clean(reference, sent)
            reference.save(force_insert=True)
        _compare_rows(table, "create", made, reference, sent)
        _compare_shown(table, "shown after create", out, made, shows, sent)
        part = _wires(table, [cell for cell in cells if table.rng.random() < 0.5], fields)
        data = _decoded(part, patch)
        with quiet():
            data.update(made)
            for name in part:
                setattr(reference, name, _plain(table, getattr(data, name), name))
            _clean(reference, part)
            if part:
                reference.save(update_fields=sorted(part))
        _compare_rows(table, "update", made, reference, part)
        _compare_shown(table, "shown after update", out, made, shows, part)


def _written(table: Table, cell: Cell) -> Any:
    """An annotation that loses nothing on the way."""
    loses = cell.kind.name in ("big", "positive_big") and not cell.has_choices
    return int | None if loses else table.annotation(cell)


def _has_default(cell: Cell) -> bool:
    return bool(cell.options.keys() & {"default", "db_default"})


def _wires(table: Table, cells: list[Cell], fields: dict[str, Any]) -> dict[str, Any]:
    return {cell.name: shown(table.rng.choice(cell.values()), fields[cell.name]) for cell in cells}


def _decoded(wires: dict[str, Any], struct: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(wires), type=struct, dec_hook=_decode)


def _decode(kind: Any, value: Any) -> Any:
    return Color(value) if kind is Color and isinstance(value, str) else value


def _plain(table: Table, value: Any, name: str) -> Any:
    """A value of a Struct as code of a project that has no Structs would assign it."""
    cell = next(cell for cell in table.cells if cell.name == name)
    if value is None and not cell.options.get("null") and cell.kind.empty is not None:
        return cell.kind.empty
    return plain(value, table.model._meta.get_field(name))


def _clean(instance: Any, names: Any) -> None:
    """Run Django's validators for what clients have sent, but for what they take for missing."""
    others = []
    for field in instance._meta.fields:
        value = instance.__dict__.get(field.attname)
        if field.name not in names or value in (None, "", [], {}) or (isinstance(value, list) and None in value):
            others.append(field.name)
    instance.full_clean(exclude=others)


def _compare_rows(table: Table, way: str, mine: Any, others: Any, sent: Any) -> None:
    """Whether two rows are one to the database."""
    quote = table.connection.ops.quote_name
    columns = [quote(cell.name) for cell in table.cells]
    asked = ", ".join(_TEXTS[table.connection.vendor].format(column) for column in columns)
    key = table.model._meta.pk
    found = []
    for row in (mine, others):
        with table.connection.cursor() as cursor:
            cursor.execute(
                f"SELECT {asked} FROM {quote(table.model._meta.db_table)} WHERE {quote(key.column)} = %s",
                [key.get_db_prep_value(row.pk, table.connection)],
            )
            found.append(cursor.fetchone())
    for cell, left, right in zip(table.cells, *found, strict=True):
        table.counts[way] += 1
        assert left == right, f"{way}: {cell.told} is {left!r}, and Django writes {right!r} of {sent}"


_TEXTS = {
    "postgresql": "{0}::text",
    "sqlite": "typeof({0}) || CASE typeof({0}) WHEN 'blob' THEN hex({0}) ELSE CAST({0} AS TEXT) END",
}


def _compare_shown(table: Table, way: str, out: Any, made: Any, shows: Any, sent: Any) -> None:
    """Whether an instance that was written shows what its row has."""
    fresh = type(made).objects.get(pk=made.pk)
    table.compare(way, [out.from_model(made)], [table.expected(fresh, shows)], shows, f"of {sent}")


def assign(table: Table) -> None:
    """What code has assigned, of whatever type, is shown as the row has it, where that can be told."""
    messy = [cell for cell in table.cells if cell.kind.messy and not cell.has_choices]
    messy = [cell for cell in messy if not cell.kind.own and not cell.kind.vendor]
    values = {cell.name: cell.some(table.rng) for cell in table.cells}
    values |= {cell.name: table.rng.choice(cell.kind.messy) for cell in messy if table.rng.random() < 0.8}
    shows = {cell.name: table.annotation(cell) for cell in table.cells} | table.managed
    some = {cell.name: shows[cell.name] for cell in messy}
    nothing = table.struct(table.model, {"id": Any}, "Nothing", partial=True)
    with quiet():
        made = table.model(**table.named(ROWS + 8), **values)
        made.save(force_insert=True)
        _compare_shown(table, "assigned", table.struct(table.model, some, "Some"), made, some, values)
        made = nothing().create(**table.named(ROWS + 9), **values)
        _compare_shown(table, "given to create", table.struct(table.model, shows), made, shows, values)


# --- refusals ------------------------------------------------------------------------------------------------------


def refuse(table: Table) -> None:
    """What no row can have is 422 at its place; what no column can show is told when the class is made."""
    for cell in table.cells:
        _refuse_types(table, cell)
        if cell.kind.written and cell.fits[0] is not Any:
            _refuse_values(table, cell, cell.fits[0])


def _refuse_types(table: Table, cell: Cell) -> None:
    if cell.needs_null(cell.fits[0]) and cell.fits[0] is not Any:
        _refuse_type(table, cell, cell.fits[0], "can be null|may be blank")
    if cell.kind.own or cell.kind.name in ("json", "parts", "named"):  # which hold whatever they are given
        return
    for wrong in EVERYTHING:
        is_free = not cell.has_choices or callable(cell.options["choices"])
        if wrong not in [*cell.fits, *cell.kind.fits] and not (typing.get_origin(wrong) is Literal and is_free):
            _refuse_type(table, cell, wrong | None, "cannot hold|lacks|must be all|is read as")


def _refuse_type(table: Table, cell: Cell, wrong: Any, words: str) -> None:
    import pytest

    from hybrid_gateway import ConfigurationError

    with pytest.raises(ConfigurationError, match=rf"Wrong\.{cell.name}\b.*({words})"):
        table.struct(table.model, {cell.name: wrong}, "Wrong")
        raise AssertionError(f"{cell.told} takes {wrong}")
    table.counts["refused types"] += 1


def _refuse_values(table: Table, cell: Cell, fit: Any) -> None:
    import pytest
    from django.db import transaction

    from hybrid_gateway.exceptions import RequestValidationError

    into = table.struct(table.model, {cell.name: fit | None}, "In")
    rest = {other.name: other.some(table.rng) for other in table.cells if other is not cell}
    for wire in cell.kind.hostile:
        if cell.has_choices and not isinstance(wire, (str, int)):
            continue
        if table.connection.vendor == "sqlite" and type(wire) is int and (wire > 0 or "positive" not in cell.kind.name):
            wire *= 2**60  # a column of SQLite has 64 bits, whatever it is called
        refusals = (msgspec.ValidationError, RequestValidationError)
        with quiet(), transaction.atomic(), pytest.raises(refusals) as caught:
            _decoded({cell.name: wire}, into).create(**table.named(ROWS + 20), **rest)
            raise AssertionError(f"{cell.told} takes {wire!r} under {fit}")
        if isinstance(caught.value, RequestValidationError):
            places = [fault["loc"] for fault in caught.value.errors]
            assert places[0][:2] == ["body", cell.name], f"{cell.told} refuses {wire!r} at {places}"
        table.counts["refused values"] += 1


GARBAGE: list[Any] = [
    *(
        None,
        True,
        0,
        -1,
        2**31,
        2**63,
        2**200,
        -(10**400),
        0.5,
        1e308,
        -0.0,
        "",
        " ",
        "x",
        "\x00",
        "NaN",
        "Infinity",
        "-1",
    ),
    *(
        "0001-01-01T00:00:00+14:00",
        "9999-12-31",
        "24:00",
        "10:00Z",
        "P-1D",
        "PT1e9S",
        "::",
        "1/2",
        "{}",
        "ß" * 300,
        "\U0001f701",
    ),
    *(
        [],
        [None],
        [[]],
        [[1], [2, 3]],
        ["a", 1, {}],
        {},
        {"lower": 5, "upper": 1},
        {"lower": "x"},
        {"a": None, "b": {"c": [1]}},
    ),
    {"lower": None, "upper": None, "bounds": "()", "empty": True},
]


def throw(table: Table) -> None:
    """Whatever a client sends is a row that can be read, or a refusal."""
    from django.db import transaction

    from hybrid_gateway.exceptions import Conflict, RequestValidationError

    def throw_at(model: Any, name: str, fit: Any, told: str, **rest: Any) -> None:
        into = table.struct(model, {name: fit if fit is Any else fit | None}, "In")
        for wire in table.rng.sample(GARBAGE, 12):
            table.counts["thrown"] += 1
            try:
                with quiet(), transaction.atomic():
                    made = _decoded({name: wire}, into).create(**rest)
                    _compare_shown(table, "thrown and taken", into, made, {name: fit}, wire)
                    raise _Undo
            except (msgspec.ValidationError, RequestValidationError, Conflict, _Undo):
                continue
            except Exception as error:
                raise AssertionError(f"{told} under {fit} of {wire!r}: {type(error).__name__}: {error}") from error

    for cell in table.cells:
        if cell.kind.written:
            rest = {other.name: other.some(table.rng) for other in table.cells if other is not cell}
            throw_at(table.model, cell.name, _written(table, cell), cell.told, **table.named(ROWS + 30), **rest)
    for fit in table.code_fits if table.to_field else table.key_fits:
        throw_at(table.link, "owner_id", fit, "a foreign key")
    for fit in table.key_fits:
        throw_at(table.chain, "owner_id", fit, "a key that is one", word="x")
        throw_at(table.end, "chain_id", fit, "a key of a key")


class _Undo(Exception):
    """Raised to have a row undone."""
