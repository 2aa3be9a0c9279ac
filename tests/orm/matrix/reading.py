"""Each value by each way of reading: what a Struct shows is what the instance shows."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from tests.orm.matrix.columns import Color
from tests.orm.matrix.oracle import shown
from tests.orm.matrix.table import ROWS, Table

__all__ = ["follow", "look"]


def look(table: Table) -> None:
    """The columns of a row, each under two annotations."""
    from hybrid_gateway.orm import Column, prepare

    fields: dict[str, Any] = {"id": table.rng.choice(table.key_fits), **table.managed}
    for cell in table.cells:
        fields[cell.name] = table.annotation(cell)
        fields[f"{cell.name}_too"] = Annotated[table.annotation(cell), Column(cell.name)]
    out, model = table.struct(table.model, fields), table.model
    expected = [table.expected(row, fields) for row in table.rows]
    queryset = model.objects.order_by("pk")
    for _ in range(2):  # compiled, and by what was kept of that
        table.compare("fetch", out.fetch(queryset), expected, fields)
    table.compare("get", [out.get(model.objects.filter(pk=row.pk)) for row in table.rows], expected, fields)
    prepared = prepare(out, lambda pk: model.objects.filter(pk=pk))
    table.compare("prepared", [prepared.get(pk=row.pk) for row in table.rows], expected, fields)
    table.compare("from_model", [out.from_model(row) for row in table.rows], expected, fields)
    table.compare("joined query", out.fetch(queryset.filter(chain__word__in="0123").distinct()), expected, fields)
    _pages(table, out, expected, fields)
    _filters(table, out, expected, fields)


def _pages(table: Table, out: Any, expected: list[Any], fields: Any) -> None:
    from hybrid_gateway import get
    from hybrid_gateway.orm import Cursor, LimitOffset, PageNumber

    by = table.rng.choice([cell.name for cell in table.cells if cell.kind.orders] or ["code"])
    order, model = table.rng.choice(["", "-"]) + by, table.model

    def rows() -> Any:
        return model.objects.order_by("pk")

    client = _client(
        get("/limit", response=list[out], pagination=LimitOffset(limit=3, max_limit=9))(rows),
        get("/page", response=list[out], pagination=PageNumber(size=3))(rows),
        get("/cursor", response=list[out], pagination=Cursor(size=3, ordering=order))(rows),
        get("/stream", response=list[out], chunked=True)(rows),
    )
    for path in ("/limit", "/page", "/cursor"):
        items: list[Any] = []
        url, told = path, f"{path} by {order} ({table.describe(by)})"
        while url:
            answer = client.get(url)
            assert answer.status_code == 200, f"{told}: {answer.text}"
            items += answer.json()["items"]
            url = answer.json()["next"]
            assert len(items) <= ROWS, f"{told}: a row is on two pages"
        if path == "/cursor":
            keys = [entry["id"] for entry in expected]
            items = sorted(items, key=lambda item: keys.index(item["id"]))
        table.compare(path, items, expected, fields, told)
    table.compare("/stream", client.get("/stream").json(), expected, fields)


def _filters(table: Table, out: Any, expected: list[Any], fields: Any) -> None:
    """A query parameter with the value of a row finds what Django finds."""
    from hybrid_gateway import get

    cells = [cell for cell in table.cells if cell.kind.orders and cell.kind.written]
    cells = [cell for cell in cells if not cell.kind.own and not cell.kind.vendor and fields[cell.name] is not Any]
    if not cells:
        return
    chosen: Any = msgspec.defstruct("Chosen", [(cell.name, fields[cell.name] | None, None) for cell in cells])
    model = table.model
    client = _client(get("/", response=list[out], filters=chosen)(lambda: model.objects.order_by("pk")))
    for cell in cells:
        annotation, row = fields[cell.name], table.rng.choice(table.rows)
        value, text = getattr(row, cell.name), shown(getattr(row, cell.name), annotation)
        if value in (None, "") or annotation in (float, float | None) or isinstance(value, bytes):
            continue
        answer = client.get("/", params={cell.name: str(text).lower() if isinstance(text, bool) else text})
        assert answer.status_code == 200, f"filter: {cell.told} by {text!r}: {answer.text}"
        keys = [entry.pk for entry in model.objects.filter(**{cell.name: value})]
        wanted = [entry for entry, row in zip(expected, table.rows, strict=True) if row.pk in keys]
        table.compare("filter", answer.json(), wanted, fields, f"{cell.told} by {text!r}")


def _client(*routes: Any) -> Any:
    from hybrid_gateway import Gateway
    from hybrid_gateway.test import TestClient

    return TestClient(Gateway(list(routes), type_encoders={Color: str}))


# --- relations -----------------------------------------------------------------------------------------------------


def follow(table: Table) -> None:
    """Keys as values of foreign keys, whatever they point to, and the rows behind them."""
    from hybrid_gateway.orm import Column

    fields: dict[str, Any] = {"id": table.rng.choice(table.key_fits)}
    fields |= {cell.name: table.annotation(cell) for cell in table.cells}
    inner, first = table.struct(table.model, fields, "Inner"), _or_none(fields["c0"])
    key = _or_none(table.rng.choice(table.code_fits if table.to_field else table.key_fits))
    outer_fields = {
        "owner_id": key,
        "key": Annotated[key, Column("owner")],
        "owner": inner | None,
        "first": Annotated[first, Column("owner__c0")],
    }
    outer, links = table.struct(table.link, outer_fields), table.link.objects.order_by("pk")
    expected = [
        {
            "owner_id": shown(link.owner_id, key),
            "key": shown(link.owner_id, key),
            "owner": None if link.owner is None else table.expected(link.owner, fields),
            "first": None if link.owner is None else shown(link.owner.c0, first),
        }
        for link in links.select_related("owner")
    ]
    told = {**outer_fields, "owner": fields}
    table.compare("nested", outer.fetch(links), expected, told)
    table.compare("nested from_model", [outer.from_model(link) for link in links], expected, told)
    only = table.struct(table.link, {"owner_id": key}, "Key")
    table.compare("key", only.fetch(links), [{"owner_id": entry["owner_id"]} for entry in expected], told)
    _chains(table)
    if not table.is_one:
        back_fields = {"links": list[only], "keys": Annotated[list[key], Column("links__owner_id")]}
        back = table.struct(table.model, back_fields, "Back")
        keys = [[shown(link.owner_id, key) for link in row.links.all()] for row in table.rows]
        wanted = [{"links": [{"owner_id": entry} for entry in found], "keys": found} for found in keys]
        table.compare("lists", back.fetch(table.model.objects.order_by("pk")), wanted, back_fields)


def _chains(table: Table) -> None:
    """A foreign key to a one-to-one key: the key of a key."""
    from hybrid_gateway.orm import Column

    key = table.rng.choice(table.key_fits)
    fields = {
        "chain_id": key,
        "far": Annotated[key, Column("chain__owner")],
        "further": Annotated[key, Column("chain__owner__id")],
    }
    ends, rows = table.struct(table.end, fields), table.end.objects.order_by("pk")
    wanted = [dict.fromkeys(fields, shown(end.chain_id, key)) for end in rows]
    table.compare("key of a key", ends.fetch(rows), wanted, fields)
    table.compare("key of a key", [ends.from_model(end) for end in rows], wanted, fields)


def _or_none(annotation: Any) -> Any:
    return annotation if annotation is Any else annotation | None
