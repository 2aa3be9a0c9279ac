"""What every peer is asked: the service, request by request, and the answer without which nobody is measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loadtests.client import Request

# What Chrome sent to a page of its own when this was written, some 1,000 bytes.
BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0",
    "Accept": "application/json, text/plain, */*",
    "Accept-Language": "en-GB,en;q=0.9,de;q=0.8",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Referer": "https://shop.example/catalogue/garden?page=2",
    "Cookie": "sessionid=0j1x2gq5v2l7s4q3m8k9e6t1; csrftoken=Jq3vZ8kD5sT1wB7nR2mX; _ga=GA1.1.1286.1795. consent=yes",
    "Sec-Fetch-Dest": "empty",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Site": "same-origin",
    "Cache-Control": "no-cache",
}
JSON_TYPE = {"Content-Type": "application/json"}


def order(lines: int, note: str) -> str:
    """An order as a client would send it."""
    items = [{"product": 1000 + number, "quantity": number + 1, "note": note} for number in range(lines)]
    return json.dumps({"customer": "Ada Lovelace", "lines": items}, separators=(",", ":"))


def receipt(body: str) -> Mapping[str, int]:
    """What the service answers to it."""
    lines = json.loads(body)["lines"]
    return {"lines": len(lines), "quantity": sum(line["quantity"] for line in lines)}


def rows(count: int) -> list[Mapping[str, Any]]:
    """The first articles of the database."""
    columns = ("name", "price", "stock", "is_active")
    values = [(f"Article {number}", number * 5, number, True) for number in range(1, count + 1)]
    return [{"id": number, **dict(zip(columns, row, strict=True))} for number, row in enumerate(values, 1)]


def gadgets(start: int, end: int) -> list[Mapping[str, Any]]:
    """Gadgets with their brand and their labels."""
    return [
        {
            "id": number,
            "name": f"Gadget {number}",
            "brand": {"id": 1 + number % 5, "name": f"Brand {1 + number % 5}"},
            "labels": [{"id": label, "name": f"Label {label}"} for label in range(1, 1 + number % 4)],
        }
        for number in range(start, end)
    ]


SALE = json.dumps({"name": "Something sold", "price": 17})


@dataclass(frozen=True, slots=True)
class Case:
    """One column of the comparison. ``answer`` is JSON, or bytes that the body must hold, or None for any body."""

    title: str
    request: Request
    answer: Any = None
    needs: str = "api"  # what a peer must have to take part: "api", "rows", "async", "token", "django"
    connections: int = 64
    database: str = "sqlite"
    routes: int = 0


ORDER_1K = order(17, "as soon as possible")
ORDER_10K = order(170, "as soon as possible")
HELLO = Request("/hello")
MESSAGE = {"message": "Hello, World!"}

CASES: Mapping[str, Case] = {
    "hello": Case("hello", HELLO, MESSAGE),
    "query": Case(
        "typed path and query", Request("/products/17?lang=de&page=2"), {"product": 17, "lang": "de", "page": 2}
    ),
    "json": Case("JSON body, 1 KB", Request("/orders", "POST", JSON_TYPE, ORDER_1K, 201), receipt(ORDER_1K)),
    "json-10k": Case("JSON body, 10 KB", Request("/orders", "POST", JSON_TYPE, ORDER_10K, 201), receipt(ORDER_10K)),
    "headers": Case("hello, browser's headers", Request("/hello", headers=BROWSER), MESSAGE),
    "404": Case("no such path", Request("/nowhere", status=404)),
    "token": Case("read with a token", Request("/me"), {"id": 1, "username": "ada"}, needs="token"),
    "rows": Case("10 rows, SQLite", Request("/rows?limit=10"), rows(10), needs="rows"),
    "rows-100": Case("100 rows, SQLite", Request("/rows?limit=100"), rows(100), needs="rows"),
    "async-rows": Case("10 rows, async, SQLite", Request("/async/rows?limit=10"), rows(10), needs="async"),
    "async-rows-100": Case("100 rows, async, SQLite", Request("/async/rows?limit=100"), rows(100), needs="async"),
    "async-detail": Case("one row, async, SQLite", Request("/async/rows/17"), rows(17)[-1], needs="async"),
    "related": Case("10 rows with relations, SQLite", Request("/gadgets?limit=10"), gadgets(1, 11), needs="rows"),
    "detail": Case("one row, SQLite", Request("/rows/17"), rows(17)[-1], needs="rows"),
    "listed": Case("page 50 of 10, SQLite", Request("/listed?page=50"), b'"Gadget 495"', needs="rows"),
    "create": Case(
        "new row, SQLite", Request("/sales", "POST", JSON_TYPE, SALE, 201), b'"Something sold"', needs="rows"
    ),
    "page": Case("Django page", Request("/page/"), b"<li>20: Line 19</li>", needs="django"),
    "catalogue": Case("Django page, large", Request("/page/catalogue/"), b"100 of 100", needs="django"),
    "login": Case("admin login page", Request("/admin/login/"), b"csrfmiddlewaretoken", needs="django"),
    "pg-rows": Case("10 rows, PostgreSQL", Request("/rows?limit=10"), rows(10), needs="rows", database="postgresql"),
    "pg-rows-100": Case(
        "100 rows, PostgreSQL", Request("/rows?limit=100"), rows(100), needs="rows", database="postgresql"
    ),
    "pg-async-rows": Case(
        "10 rows, async, PostgreSQL", Request("/async/rows?limit=10"), rows(10), needs="async", database="postgresql"
    ),
    "pg-async-rows-100": Case(
        "100 rows, async, PostgreSQL", Request("/async/rows?limit=100"), rows(100), needs="async", database="postgresql"
    ),
    "pg-related": Case(
        "10 rows with relations, PostgreSQL",
        Request("/gadgets?limit=10"),
        gadgets(1, 11),
        needs="rows",
        database="postgresql",
    ),
    "pg-detail": Case("one row, PostgreSQL", Request("/rows/17"), rows(17)[-1], needs="rows", database="postgresql"),
    "pg-listed": Case(
        "page 50 of 10, PostgreSQL", Request("/listed?page=50"), b'"Gadget 495"', needs="rows", database="postgresql"
    ),
    "pg-create": Case(
        "new row, PostgreSQL",
        Request("/sales", "POST", JSON_TYPE, SALE, 201),
        b'"Something sold"',
        needs="rows",
        database="postgresql",
    ),
    "connections-1": Case("hello, 1 connection", HELLO, MESSAGE, connections=1),
    "connections-1000": Case("hello, 1,000 connections", HELLO, MESSAGE, connections=1000),
    **{
        f"routes-{count}": Case(f"last of {count:,} routes", Request(f"/r{count - 1}/17"), {"item": 17}, routes=count)
        for count in (10, 100, 1_000, 10_000)
    },
}
