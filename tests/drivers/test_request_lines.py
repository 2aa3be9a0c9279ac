"""What finds endpoints fast, on the lane by first lines and on ASGI by paths, finds what the general way would find."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

pytest.importorskip("uvicorn", reason="The lane needs uvicorn and httptools.")

from hybrid_gateway import Gateway, get, put
from hybrid_gateway.concurrency.caller_threads import InlineThread
from hybrid_gateway.dispatch.dispatcher import no_message
from hybrid_gateway.dispatch.fallback import NotRouted, UnknownPath
from hybrid_gateway.dispatch.request_checks import MAX_PATH, is_plain_path
from hybrid_gateway.drivers.asgi_driver import ASGIDriver
from hybrid_gateway.drivers.lane.request_lines import RequestLines
from hybrid_gateway.request.context import RequestContext
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


GATEWAY = Gateway(
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
)
LINES = RequestLines(GATEWAY.dispatcher)
DRIVER = ASGIDriver(GATEWAY)

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
        other, other_query = LINES.match(f"{path}{query}".encode(), method.encode())
        assert (match[0], match[2], given_query) == (other[0], other[2], other_query)
        assert match[1] is other[1] or (type(match[1]) is type(other[1]) and vars(match[1]) == vars(other[1]))


@given(st.sampled_from(["GET", "PUT", "HEAD", "get"]), paths)
@example("GET", "/names/mine")
@example("GET", "/around/special")
@example("GET", "/inside/a")
@example("GET", "/shop/page")
@example("GET", "/deep/er/est")
@example("GET", "/items/-5")
@example("GET", "/items/" + "1" * 5000)
@example("GET", "/names/" + "a" * 9000)
def test_a_path_of_asgi_leads_where_the_tree_leads(method, path):
    dispatcher = GATEWAY.dispatcher
    scope = {"type": "http", "method": method, "path": path, "headers": [], "query_string": b""}
    ctx = RequestContext(scope, no_message, InlineThread)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DRIVER, "_knows_head", lambda ctx, scope: True)
        endpoint = DRIVER.find_directly(ctx, scope)
    found = dispatcher.table.tree.find(path, method)
    is_direct = found is not None and is_plain_path(path) and len(path) <= MAX_PATH
    if found is None or not is_direct or not dispatcher.answers_directly(path, found[0]):
        assert endpoint is None
    else:
        assert (endpoint, ctx.path_values) == found


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


@pytest.mark.parametrize("line", [b"GET /names/ HTTP/1.1", b"PATCH /items/5 HTTP/1.1", b"GET /nope?a=b HTTP/1.1"])
def test_lines_that_no_route_answers_need_none_either(line):
    match, _ = LINES.read(line)
    assert match is not None
    assert isinstance(match[1], NotRouted | UnknownPath)


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
        b"GET /shop/page?a=b HTTP/1.1",
        b"GET /around/special?a=b HTTP/1.1",
        b"GET /items/5",
        b"",
    ],
)
def test_what_only_a_parser_may_judge_is_left_to_it(line):
    assert LINES.read(line)[0] is None
