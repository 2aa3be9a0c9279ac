"""First lines that are read without a parser lead where the parser would have led."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

pytest.importorskip("uvicorn", reason="The lane needs uvicorn and httptools.")

from hybrid_gateway import Gateway, get, put
from hybrid_gateway.drivers.lane.request_lines import RequestLines
from hybrid_gateway.types import ASGIApp


def middleware(app: ASGIApp) -> ASGIApp:
    return app


def view(**values: Any) -> None: ...


def number(item: int) -> int:
    return item


def text(name: str) -> str:
    return name


def two(name: str, item: int) -> str:
    return name


def day(when: datetime.date) -> str:
    return ""


def anything(rest: str) -> str:
    return rest


def nothing() -> None: ...


LINES = RequestLines(
    Gateway(
        [
            *(get("/items/{item:int}")(number), get("/items/7")(nothing), put("/items/8")(nothing)),
            *(get("/names/{name}")(text), get("/names/mine")(nothing), get("/names/{name}/{item:int}")(two)),
            get("/around/{name}")(text),
            get("/around/special", middleware=[middleware])(nothing),
            get("/inside/{name}", middleware=[middleware])(text),
            *(get("/days/{when}")(day), get("/days/{name}")(text), put("/days/{name}")(text)),
            *(get("/files/{rest:path}")(anything), get("/Upper/{name}")(text), get("/{name}/last")(text)),
            *(get("/shop/{name}")(text), get("/mixed/a{name}")(text)),
            *(get("/mixed/{name}")(text), get("/deep/er/{name}")(text), get("/é/{name}")(text)),
        ],
        django_routes=["/admin/", "/shop/page", "/deep/er/est/"],
    ).dispatcher
)

WORDS = """
items names around inside days files Upper upper shop mixed deep er admin mine special page est last 5 7 8 -5 007 a abc
a-b_c A é %41 2024-02-29 2024-02-30 5;x 5.x .x . .. a=b 1234567890123456789 123456789012345678 Special PAGE Est ADMIN
"""
segments = st.sampled_from([*WORDS.split(), ""])
paths = st.lists(segments, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))
queries = st.sampled_from(["", "", "?", "?a=b", "?a=%20&b", "?a=é", "?a b", "?a#b", "?a/b?c"])


@given(st.sampled_from(["GET", "PUT", "HEAD", "get", ""]), paths, queries)
@example("GET", "/items/5", "?a=b")
@example("GET", "/items/7", "?a=b")
@example("GET", "/names/mine", "?a=b")
@example("GET", "/around/special", "?a=b")
@example("GET", "/inside/a", "?a=b")
@example("GET", "/shop/page", "?a=b")
@example("GET", "/deep/er/est", "?a=b")
@example("GET", "/names/a b", "")
@example("GET", "/items/" + "1" * 5000, "")
def test_a_line_leads_where_its_parts_lead(method, path, query):
    line = f"{method} {path}{query} HTTP/1.1".encode()
    match, given_query = LINES.read(line)
    if match is not None:
        assert (match, given_query) == LINES.match(f"{path}{query}".encode(), method.encode())


@pytest.mark.parametrize(
    ("line", "values"),
    [
        (b"GET /items/5 HTTP/1.1", (5,)),
        (b"GET /items/007?a=b HTTP/1.1", (7,)),
        (b"GET /items/7?a=b HTTP/1.1", ()),
        (b"GET /names/a-b_c?a=b HTTP/1.1", ("a-b_c",)),
        (b"GET /names/mine?a=b HTTP/1.1", ()),
        (b"PUT /days/monday HTTP/1.1", ("monday",)),
        (b"GET /days/2024-02-29 HTTP/1.1", (datetime.date(2024, 2, 29),)),
        (b"HEAD /items/5 HTTP/1.1", (5,)),
    ],
)
def test_usual_lines_need_no_parser(line, values):
    match, _ = LINES.read(line)
    assert match is not None
    assert match[2] == values


@pytest.mark.parametrize(
    "line",
    [
        b"GET /items/5 HTTP/1.0",
        b"GET /items/5  HTTP/1.1",
        b"GET  /items/5 HTTP/1.1",
        b" GET /items/5 HTTP/1.1",
        b"GET /items/5?\xff HTTP/1.1",
        b"GET /items/5?a=\x00 HTTP/1.1",
        b"GET /items/5?a b HTTP/1.1",
        b"GET /items/5?a#b HTTP/1.1",
        b"GET /items/5?" + b"a" * 9000 + b" HTTP/1.1",
        b"GET /names/a\xc3\xa9 HTTP/1.1",
        b"GET /names/.a HTTP/1.1",
        b"GET /names/ HTTP/1.1",
        b"GET /shop/page?a=b HTTP/1.1",
        b"GET /around/special?a=b HTTP/1.1",
        b"GET /items/5",
        b"",
    ],
)
def test_what_only_a_parser_may_judge_is_left_to_it(line):
    assert LINES.read(line)[0] is None
