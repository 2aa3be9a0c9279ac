"""Parameters and bodies: where values come from, and what happens when they are wrong."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import uuid
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import pytest

from hybrid_gateway import (
    Body,
    Cookie,
    Gateway,
    Header,
    Headers,
    Path,
    Query,
    QueryParams,
    Request,
    Route,
    State,
    delete,
    get,
    http,
    patch,
    post,
    put,
    route,
)
from hybrid_gateway.exceptions import ConfigurationError, DependencyError


class Colour(enum.Enum):
    red = "r"
    blue = "b"


class Filter(msgspec.Struct):
    category: str | None = None
    sizes: list[int] = []
    minimum: Annotated[int, msgspec.Meta(ge=0)] = 0


class Line(msgspec.Struct):
    sku: str
    count: Annotated[int, msgspec.Meta(ge=1)]


class Order(msgspec.Struct):
    customer: Annotated[str, msgspec.Meta(min_length=2)]
    lines: list[Line]
    note: str | None = None


def errors(response: Any) -> list[tuple[Any, ...]]:
    assert response.status_code == 422, response.content
    assert response.headers["content-type"] == "application/problem+json"
    return [(*error["loc"], error["type"]) for error in response.json()["errors"]]


# --- query ---------------------------------------------------------------------------------------------------------


@get("/search")
async def search(
    q: str,
    page: Annotated[int, Query(ge=1)] = 1,
    exact: bool = False,
    colour: Colour | None = None,
    ids: Annotated[list[int], Query(alias="id")] = [],  # noqa: B006 (what users write; every request gets a copy)
    order: Literal["asc", "desc"] = "asc",
    since: datetime.date | None = None,
    price: decimal.Decimal | None = None,
    key: uuid.UUID | None = None,
) -> dict[str, Any]:
    ids.append(0)
    return {"q": q, "page": page, "exact": exact, "colour": colour, "ids": ids, "order": order, "since": since,
            "price": price, "key": key}  # fmt: skip


def test_query_parameters_are_converted_by_their_annotations(serve):
    client = serve(search)
    full = client.get(
        "/search?q=a+b%26&page=2&exact=true&colour=b&id=1&id=2&order=desc&since=2024-01-31&price=1.50"
        "&key=12345678-1234-5678-1234-567812345678"
    )
    assert full.json() == {
        "q": "a b&", "page": 2, "exact": True, "colour": "b", "ids": [1, 2, 0], "order": "desc", "since": "2024-01-31",
        "price": "1.50", "key": "12345678-1234-5678-1234-567812345678",
    }  # fmt: skip


def test_absent_query_parameters_take_their_defaults_and_never_share_them(serve):
    client = serve(search)
    for _ in range(2):
        assert client.get("/search?q=").json()["ids"] == [0]
    assert client.get("/search?q=").json()["q"] == ""


def test_all_errors_of_a_query_are_told_at_once(serve):
    response = serve(search).get("/search?page=0&exact=perhaps&colour=x&id=1&id=x&order=up&since=yesterday")
    assert errors(response) == [
        ("query", "q", "missing"),
        ("query", "page", "value_error"),
        ("query", "exact", "type_error"),
        ("query", "colour", "value_error"),
        ("query", "id", 1, "type_error"),
        ("query", "order", "value_error"),
        ("query", "since", "value_error"),
    ]
    assert response.json()["detail"] == "7 parameters are invalid."
    assert response.json()["errors"][1] == {
        "loc": ["query", "page"],
        "msg": "Expected `int` >= 1",
        "type": "value_error",
    }


def test_of_a_repeated_scalar_the_last_wins_and_only_the_ampersand_separates(serve):
    client = serve(search)
    assert client.get("/search?q=1&q=2").json()["q"] == "2"
    assert client.get("/search?q=1;page=5").json()["q"] == "1;page=5"


@pytest.mark.parametrize("value", ["１２", "1_0", "0x1", " 1", "9" * 5000])
def test_only_ascii_digits_are_numbers(serve, value):
    assert errors(serve(search).get("/search", params={"q": "", "page": value}))[0][:2] == ("query", "page")


def test_a_struct_gathers_query_parameters(serve):
    @get("/filter")
    def filtered(filters: Annotated[Filter, Query()], page: int = 1) -> Filter:
        return filters

    client = serve(filtered)
    assert client.get("/filter?category=toys&sizes=1&sizes=2").json() == {
        "category": "toys",
        "sizes": [1, 2],
        "minimum": 0,
    }
    assert errors(client.get("/filter?minimum=-1&sizes=1&sizes=x&page=x")) == [
        ("query", "sizes", 1, "type_error"),
        ("query", "minimum", "value_error"),
        ("query", "page", "type_error"),
    ]


def test_sets_tuples_and_sequences_are_lists_on_the_wire(serve):
    @get("/lists")
    async def lists(a: set[int], b: tuple[int, ...], c: Sequence[str] = ()) -> list[Any]:
        return [sorted(a), b, c]

    assert serve(lists).get("/lists?a=2&a=1&a=2&b=3&c=x&c=y").json() == [[1, 2], [3], ["x", "y"]]


def test_a_parameter_without_annotation_is_text(serve):
    @get("/plain/{x}")
    async def plain(x, y="z"):
        return {"x": x, "y": y}

    assert serve(plain).get("/plain/1?y=2").json() == {"x": "1", "y": "2"}


# --- headers and cookies -------------------------------------------------------------------------------------------


@get("/head")
def heads(
    request_id: Annotated[str | None, Header()] = None,
    limit: Annotated[int, Header(alias="X-Limit", ge=1)] = 5,
    session: Annotated[str, Cookie(alias="sessionid")] = "none",
    user_agent: Annotated[str, Header()] = "?",
) -> dict[str, Any]:
    return {"request_id": request_id, "limit": limit, "session": session, "agent": user_agent}


def test_headers_and_cookies_by_name_and_alias(serve):
    client = serve(heads)
    response = client.get(
        "/head", headers={"Request-Id": "r1", "x-limit": "7", "User-Agent": "test"}, cookies={"sessionid": "s1"}
    )
    assert response.json() == {"request_id": "r1", "limit": 7, "session": "s1", "agent": "test"}
    assert serve(heads).get("/head").json() == {"request_id": None, "limit": 5, "session": "none", "agent": "?"}


def test_bad_headers_carry_their_wire_name(serve):
    assert errors(serve(heads).get("/head", headers={"X-Limit": "0"})) == [("header", "x-limit", "value_error")]


def test_a_cookie_without_a_name_is_no_cookie(serve):
    @get("/cookie")
    async def cookie(host: Annotated[str | None, Cookie(alias="__Host-x")] = None) -> dict[str, Any]:
        return {"host": host}

    assert serve(cookie).get("/cookie", headers={"Cookie": "=__Host-x=evil"}).json() == {"host": None}


# --- bodies --------------------------------------------------------------------------------------------------------


@post("/orders")
async def create_order(data: Order) -> Order:
    return data


@put("/orders")
def replace_order(data: Order, dry_run: bool = False) -> dict[str, Any]:
    return {"dry_run": dry_run, "data": data}


VALID = {"customer": "Ada", "lines": [{"sku": "a", "count": 1}], "note": None}


def test_a_struct_is_the_json_body_for_sync_and_async_handlers(serve):
    client = serve(create_order, replace_order)
    assert client.post("/orders", json=VALID).json() == VALID
    assert client.put("/orders?dry_run=1", json=VALID).json() == {"dry_run": True, "data": VALID}


def test_all_errors_of_a_body_are_told_with_their_places(serve):
    body = {"customer": "A", "lines": [{"sku": 1, "count": 0}, {"count": 1}, "x"]}
    response = serve(replace_order).put("/orders?dry_run=perhaps", json=body)
    assert errors(response) == [
        ("query", "dry_run", "type_error"),
        ("body", "customer", "value_error"),
        ("body", "lines", 0, "sku", "type_error"),
        ("body", "lines", 0, "count", "value_error"),
        ("body", "lines", 1, "sku", "missing"),
        ("body", "lines", 2, "type_error"),
    ]


def test_a_post_init_error_names_the_struct(serve):
    class Range(msgspec.Struct):
        low: int
        high: int

        def __post_init__(self) -> None:
            if self.low > self.high:
                raise ValueError("low is above high")

    @post("/range")
    async def ranges(data: list[Range]) -> None:
        return None

    response = serve(ranges).post("/range", json=[{"low": 1, "high": 2}, {"low": 2, "high": 1}])
    assert response.json()["errors"] == [{"loc": ["body", 1], "msg": "low is above high", "type": "value_error"}]


@pytest.mark.parametrize(
    "body",
    [
        b"{", b'{"customer": "Ada", "lines": [}', b"[" * 100_000, b'{"a":' * 50_000, b'"\xff"', b'{"note": "\xff"}',
        b"nul", b'{"customer": "x"} trailing', b"\x00",
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/orders", "/any"])
def test_malformed_json_is_400_however_it_is_malformed(serve, path, body):
    @post("/any")
    def anything(data: Annotated[Any, Body()] = None) -> None:
        return None

    response = serve(create_order, anything).post(path, content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400, response.content
    assert response.json()["title"] == "Bad Request"


def test_a_required_body_that_is_absent_is_422_and_an_optional_one_takes_its_default(serve):
    @patch("/maybe")
    async def maybe(data: Line | None = None) -> dict[str, Any]:
        return {"data": data}

    client = serve(create_order, maybe)
    assert errors(client.post("/orders")) == [("body", "missing")]
    assert client.patch("/maybe").json() == {"data": None}
    assert client.patch("/maybe", json={"sku": "a", "count": 1}).json() == {"data": {"sku": "a", "count": 1}}


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""])
def test_a_wrong_content_type_is_415(serve, content_type):
    response = serve(create_order).post("/orders", content=b"{}", headers={"content-type": content_type or "x"})
    assert response.status_code == 415


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.api+json"]
)
def test_json_goes_by_several_names(serve, content_type):
    body = msgspec.json.encode(VALID)
    assert serve(create_order).post("/orders", content=body, headers={"content-type": content_type}).status_code == 201


def test_a_body_beyond_the_limit_is_413(serve):
    @post("/big", max_body_size=2_000_000)
    async def big(data: Annotated[list[str], Body()]) -> int:
        return len(data[0])

    client = serve(create_order, big)
    large = [("x" * 1_500_000)]
    assert client.post("/orders", json=large).status_code == 413
    assert client.post("/orders", json=["x" * 10_000_000]).status_code == 413
    assert client.post("/big", json=large).json() == 1_500_000


def test_dicts_lists_dataclasses_and_typed_dicts_are_bodies(serve):
    @dataclasses.dataclass
    class Point:
        x: int
        y: int = 0

    class Named(TypedDict):
        name: str

    @post("/dict")
    async def as_dict(data: dict[str, int]) -> dict[str, int]:
        return data

    @post("/bare")
    async def as_bare_dict(data: dict) -> dict:  # type: ignore[type-arg]
        return data

    @post("/points")
    def as_points(data: list[Point]) -> list[Point]:
        return data

    @post("/named")
    def as_named(data: Named) -> Named:
        return data

    @post("/either")
    async def either(data: Line | list[int]) -> list[Any]:
        return [type(data).__name__]

    client = serve(as_dict, as_bare_dict, as_points, as_named, either)
    assert client.post("/dict", json={"a": 1}).json() == {"a": 1}
    assert client.post("/bare", json={"a": [1]}).json() == {"a": [1]}
    assert client.post("/points", json=[{"x": 1, "y": 2}]).json() == [{"x": 1, "y": 2}]
    assert errors(client.post("/points", json=[{"y": 1}])) == [("body", 0, "x", "missing")]
    assert client.post("/named", json={"name": "n"}).json() == {"name": "n"}
    assert client.post("/either", json=[1]).json() == ["list"]


def test_raw_bodies(serve):
    @post("/raw")
    async def raw(raw: Annotated[bytes, Body()]) -> int:
        return len(raw)

    @post("/typed")
    def typed(body: http.Body, data: dict[str, int]) -> list[Any]:
        return [len(body), data]

    client = serve(raw, typed)
    assert client.post("/raw", content=b"\x00\xff", headers={"content-type": "image/png"}).json() == 2
    assert client.post("/raw").json() == 0
    assert client.post("/typed", json={"a": 1}).json() == [7, {"a": 1}]


def test_raw_bodies_keep_defaults_and_bounds(serve):
    @post("/default")
    async def default(raw: Annotated[bytes, Body()] = b"none") -> str:
        return repr(raw)

    @post("/optional")
    def optional(raw: Annotated[bytes | None, Body()] = None) -> str:
        return repr(raw)

    @post("/bounded")
    async def bounded(raw: Annotated[bytes, Body(min_length=2, max_length=3)]) -> str:
        return repr(raw)

    @post("/both")
    def both(raw: Annotated[bytes | None, Body(max_length=3)] = None) -> str:
        return repr(raw)

    client = serve(default, optional, bounded, both)
    given = {"content": b"abc", "headers": {"content-type": "image/png"}}
    for path in ("/default", "/optional", "/bounded", "/both"):
        assert client.post(path, **given).text == "b'abc'"
    assert client.post("/default").text == "b'none'"
    assert client.post("/optional").text == client.post("/both").text == "None"
    for content in (b"", b"a", b"abcd"):
        assert errors(client.post("/bounded", content=content)) == [("body", "value_error")]
    assert errors(client.post("/both", content=b"abcd")) == [("body", "value_error")]
    with pytest.raises(DependencyError, match="'raw' is bytes: ge=1 cannot be checked"):
        serve(post("/x")(_numeric)).get("/")


def _numeric(raw: Annotated[bytes, Body(ge=1)]) -> None: ...


# --- by type alone -------------------------------------------------------------------------------------------------


def test_what_may_be_asked_for_by_type_alone(serve):
    @get("/about/{n:int}", name="about", opt={"level": 3})
    def about(
        method: http.Method, url: http.URL, scheme: http.Scheme, host: http.Host, port: http.Port, path: http.Path,
        query: http.QueryString, params: QueryParams, headers: Headers, path_params: http.PathParams, state: State,
        cookies: http.Cookies, gateway: Gateway, route: Route, request: Request,
    ) -> dict[str, Any]:  # fmt: skip
        assert gateway.state is state
        return {
            "method": method, "url": url, "scheme": scheme, "host": host, "port": port, "path": path, "query": query,
            "params": params.multi_items(), "x": headers["x-a"], "path_params": path_params, "name": route.name,
            "opt": route.opt, "request": request.method, "request_path": request.path_params,
            "cookies": cookies,
        }  # fmt: skip

    response = serve(about).get(
        "/about/5?a=1&a=%C3%A9", headers={"X-A": "y", "Host": "ex.test:8443"}, cookies={"c": "d"}
    )
    assert response.json() == {
        "method": "GET", "url": "http://ex.test:8443/about/5?a=1&a=%C3%A9", "scheme": "http", "host": "ex.test",
        "port": 8443, "path": "/about/5", "query": "a=1&a=%C3%A9", "params": [["a", "1"], ["a", "é"]], "x": "y",
        "path_params": {"n": 5}, "name": "about", "opt": {"level": 3}, "request": "GET", "request_path": {"n": 5},
        "cookies": {"c": "d"},
    }  # fmt: skip


def test_a_request_reads_its_own_body(serve):
    @post("/echo")
    async def echo(request: Request) -> Any:
        return await request.json()

    client = serve(echo)
    assert client.post("/echo", json={"a": 1}).json() == {"a": 1}
    assert client.post("/echo", content=b"x" * 2_000_000).status_code == 413


# --- mistakes ------------------------------------------------------------------------------------------------------


class Opaque: ...


def _body_on_get(data: Order) -> None: ...
def _two_bodies(first: Order, second: Line) -> None: ...
def _marker_default(page: int = Query()) -> None: ...
def _opaque(thing: Opaque) -> None: ...
def _star(*args: int) -> None: ...
def _no_such_path(x: Annotated[int, Path()]) -> None: ...
def _bytes(raw: bytes) -> None: ...
def _query_of_struct_list(lines: Annotated[list[Line], Query()]) -> None: ...
def _unknown(x: Nowhere) -> None: ...  # noqa: F821


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (get("/x")(_body_on_get), r"_body_on_get .*'data' would be the JSON body.*Annotated\[Order, Query\(\)\]"),
        (post("/x")(_two_bodies), "'second' and 'first' are both the JSON body"),
        (get("/x")(_marker_default), r"`page: Annotated\[int, Query\(...\)\]` and a real default"),
        (get("/x")(_opaque), "nothing provides 'thing' of type Opaque. Register a component"),
        (get("/x")(_star), "cannot be injected"),
        (get("/x")(_no_such_path), r"marked Path\(\), but the path does not name it"),
        (post("/x")(_bytes), r"Annotated\[bytes, Body\(\)\]"),
        (get("/x")(_query_of_struct_list), "text cannot hold"),
        (get("/x")(_unknown), "'Nowhere' is unknown at run time"),
    ],
)
def test_signatures_that_cannot_be_served_are_told_at_start_up(declared, message):
    with pytest.raises(ConfigurationError, match=message):
        Gateway([declared])


def test_a_body_on_a_route_that_also_answers_get_is_allowed(serve):
    @route("/both", methods=["GET", "DELETE"])
    async def both(data: dict[str, int] | None = None) -> dict[str, Any]:
        return {"data": data}

    @delete("/with-body")
    async def remove(data: dict[str, int]) -> dict[str, int]:
        return data

    client = serve(both, remove)
    assert client.get("/both").json() == {"data": None}
    assert client.delete("/with-body", json={"a": 1}).json() == {"a": 1}


# --- text has no null


@pytest.mark.parametrize("kind", ["async", "def"])
def test_the_text_null_is_no_value_of_an_optional_parameter(serve, kind):
    class Page(msgspec.Struct):
        size: int | None = None
        name: str | None = None

    if kind == "async":

        @get("/")
        async def view(page: Annotated[Page, Query()], n: int | None = None, q: str | None = None) -> str:
            return f"{n} {q} {page.name}"

    else:

        @get("/")
        def view(page: Annotated[Page, Query()], n: int | None = None, q: str | None = None) -> str:
            return f"{n} {q} {page.name}"

    client = serve(view)
    assert client.get("/?q=null&name=null").text == "None null null"
    answer = client.get("/?n=null&size=null")
    assert sorted(error["loc"] for error in answer.json()["errors"]) == [["query", "n"], ["query", "size"]]


def test_annotations_know_the_local_names_around_their_function(serve):
    class Note(msgspec.Struct):
        text: str

    def factory():
        @post("/notes")
        def create(note: Note) -> str:
            return note.text

        return serve(create)

    assert factory().post("/notes", json={"text": "hi"}).text == "hi"
