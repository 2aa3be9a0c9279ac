"""Paths and names: templates, the tree, the slash policy, reversing."""

from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from typing import Annotated, Any, Literal
from urllib.parse import quote, unquote

import pytest
from django.urls import NoReverseMatch
from hypothesis import given
from hypothesis import strategies as st

from hybrid_gateway import (
    Controller,
    Gateway,
    Include,
    Path,
    Request,
    Route,
    Router,
    delete,
    get,
    head,
    http,
    options,
    post,
    put,
    route,
)
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.routing.path_template import CONVERTERS, PathTemplate
from hybrid_gateway.routing.route_tree import RouteTree


@get("/items/new")
def new_item() -> str:
    return "new"


@get("/items/{item_id:int}")
def item(item_id: int) -> str:
    return f"int {item_id}"


@get("/items/{slug}")
async def item_by_slug(slug: str) -> str:
    return f"slug {slug}"


@get("/files/{path:path}")
async def file(path: str) -> str:
    return path


def test_static_segments_beat_parameters_and_strict_converters_beat_loose_ones(serve):
    client = serve(item_by_slug, item, new_item)
    assert client.get("/items/new").text == "new"
    assert client.get("/items/42").text == "int 42"
    assert client.get("/items/-42").text == "int -42"
    assert client.get("/items/forty-two").text == "slug forty-two"


def test_matching_goes_back_when_a_static_segment_leads_nowhere(serve):
    @get("/a/{x}/c")
    async def parameter(x: str) -> str:
        return x

    @get("/a/b/d")
    async def static() -> str:
        return "static"

    client = serve(parameter, static)
    assert client.get("/a/b/c").text == "b"
    assert client.get("/a/b/d").text == "static"
    assert client.get("/a/b/e").status_code == 404


def test_a_static_path_that_lacks_the_method_leaves_it_to_a_parameter(serve):
    @post("/items/{slug}")
    async def update(slug: str) -> str:
        return slug

    client = serve(new_item, update)
    assert client.post("/items/new").text == "new"
    assert client.get("/items/new").text == "new"
    assert client.put("/items/new").headers["allow"] == "GET, HEAD, OPTIONS, POST"


def test_a_path_parameter_takes_slashes_but_not_nothing(serve):
    client = serve(file)
    assert client.get("/files/a/b.txt").text == "a/b.txt"
    assert client.get("/files/").status_code == 404


def test_non_ascii_paths_arrive_decoded(serve):
    client = serve(item_by_slug)
    assert client.get("/items/caf%C3%A9").text == "slug café"


@pytest.mark.parametrize(
    ("converter", "text", "value"),
    [
        ("int", "7", 7),
        ("float", "1.5", 1.5),
        ("str", "x", "x"),
        ("uuid", "12345678-1234-5678-1234-567812345678", uuid.UUID(int=0x12345678123456781234567812345678)),
        ("date", "2024-02-29", datetime.date(2024, 2, 29)),
        ("datetime", "2024-02-29T10:00:00Z", datetime.datetime(2024, 2, 29, 10, tzinfo=datetime.UTC)),
        ("time", "10:30:00", datetime.time(10, 30)),
        ("timedelta", "PT90S", datetime.timedelta(seconds=90)),
        ("decimal", "1.10", decimal.Decimal("1.10")),
        ("path", "a/b", "a/b"),
    ],
)
def test_every_converter_reads_and_writes_its_own_type(converter, text, value):
    entry = CONVERTERS[converter]
    assert entry.convert(text) == value
    assert entry.convert(entry.to_string(value)) == value
    assert entry.convert("") is None


@pytest.mark.parametrize("text", ["", "x", "１２", "1_000", " 1", "+1", "9" * 5000])
def test_text_that_is_no_int_is_an_unknown_path(serve, text):
    assert serve(item).get(f"/items/{quote(text)}").status_code == 404


@pytest.mark.parametrize("text", ["2023-02-29", "20230101", "2023-1-1"])
def test_a_date_that_never_was_is_an_unknown_path(serve, text):
    @get("/on/{day}")
    async def on(day: datetime.date) -> str:
        return day.isoformat()

    client = serve(on)
    assert client.get("/on/2024-02-29").text == "2024-02-29"
    assert client.get(f"/on/{text}").status_code == 404


def test_the_annotation_types_an_untyped_parameter(serve):
    class Size(enum.Enum):
        small = "s"
        large = "l"

    @get("/by-size/{size}")
    async def by_size(size: Size) -> str:
        return size.name

    @get("/by-kind/{kind}")
    def by_kind(kind: Literal["a", "b"]) -> str:
        return kind

    @get("/by-number/{number}")
    def by_number(number: Annotated[int, Path(ge=1, le=9)]) -> int:
        return number

    client = serve(by_size, by_kind, by_number)
    assert client.get("/by-size/l").text == "large"
    assert client.get("/by-size/xl").status_code == 404
    assert client.get("/by-kind/c").status_code == 404
    assert client.get("/by-number/5").json() == 5
    assert client.get("/by-number/x").status_code == 404
    refused = client.get("/by-number/10")
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["loc"] == ["path", "number"]


def test_a_segment_may_mix_text_and_parameters(serve):
    @get("/report-{year:int}.{kind}")
    async def report(year: int, kind: str) -> list[Any]:
        return [year, kind]

    client = serve(report)
    assert client.get("/report-2024.csv").json() == [2024, "csv"]
    assert client.get("/report-x.csv").status_code == 404


def test_one_handler_may_have_several_paths(serve):
    @get(["/a", "/b/{x:int}"])
    async def both(request: Request) -> dict[str, Any]:
        return {"path": request.url.path}

    client = serve(both)
    assert client.get("/a").json() == {"path": "/a"}
    assert client.get("/b/1").json() == {"path": "/b/1"}


# --- methods -------------------------------------------------------------------------------------------------------


def test_head_is_answered_by_get_without_a_body(serve):
    client = serve(new_item)
    full, short = client.get("/items/new"), client.head("/items/new")
    assert short.status_code == 200
    assert short.content == b""
    assert short.headers["content-length"] == full.headers["content-length"] == "3"


def test_options_is_answered_by_itself_unless_declared(serve):
    @options("/own")
    async def own() -> str:
        return "mine"

    client = serve(new_item, own)
    assert client.options("/items/new").status_code == 204
    assert client.options("/items/new").headers["allow"] == "GET, HEAD, OPTIONS"
    assert client.options("/own").text == "mine"


def test_a_head_route_of_its_own_is_asked_first(serve):
    @head("/items/new")
    async def cheap() -> None:
        return None

    assert serve(new_item, cheap).head("/items/new").status_code == 204


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "get", "FOO", "__INIT__"])
def test_a_wrong_method_is_405_and_names_the_right_ones(serve, method):
    response = serve(new_item).generic(method, "/items/new")
    if response.text == "Invalid HTTP request received.":
        assert response.status_code == 400  # uvicorn's parser knows its methods and refuses this one by itself
        return
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, HEAD, OPTIONS"
    assert response.json() == {"type": "about:blank", "title": "Method Not Allowed", "status": 405}


def test_route_takes_any_methods(serve):
    @route("/any", methods=["GET", "POST"])
    async def any_method(method: http.Method) -> str:
        return method

    client = serve(any_method, Route("/legacy", new_item.handler, methods=["PUT"], name="legacy"))
    assert client.get("/any").status_code == 200
    assert client.post("/any").status_code == 201
    assert client.put("/legacy").text == "new"
    assert client.get("/legacy").status_code == 405


# --- slashes -------------------------------------------------------------------------------------------------------


@get("/with/")
async def with_slash() -> str:
    return "with"


def test_the_wrong_slash_is_redirected_with_method_and_query(serve):
    client = serve(new_item, with_slash)
    response = client.get("/items/new/?a=1&b=%20")
    assert (response.status_code, response.headers["location"]) == (308, "/items/new?a=1&b=%20")
    assert client.get("/with").headers["location"] == "/with/"
    assert client.get("/nowhere/").status_code == 404
    assert client.get("/items/new/", follow_redirects=True).text == "new"


def test_strict_slashes_redirect_nothing(serve):
    client = serve(new_item, with_slash, trailing_slash="strict")
    assert client.get("/items/new/").status_code == 404
    assert client.get("/with").status_code == 404


def test_ignored_slashes_answer_both_ways(serve):
    client = serve(new_item, with_slash, item, trailing_slash="ignore")
    assert client.get("/items/new/").text == "new"
    assert client.get("/with").text == "with"
    assert client.get("/items/5/").text == "int 5"
    assert client.post("/items/new/").status_code == 405


@pytest.mark.parametrize("path", ["//evil.example/", "//evil.example", "/\\evil.example/"])
def test_no_redirect_leads_to_another_host(serve, path):
    client = serve(file, item_by_slug, with_slash)
    assert not client.generic("GET", path).headers.get("location", "").startswith(("//", "/\\"))


# --- nesting and names ---------------------------------------------------------------------------------------------


class Orders(Controller):
    path = "/orders"
    tags = ["orders"]

    @get()
    async def list_orders(self) -> str:
        return "list"

    @get("/{order_id:int}", name="order")
    def detail(self, order_id: int) -> str:
        return f"order {order_id}"

    @delete("/{order_id:int}")
    def remove(self, order_id: int) -> None:
        return None


def test_routers_includes_and_controllers_nest(serve):
    client = serve(Router("/v1", [Orders, Include("/more", "tests.routes")], name="v1"), Orders)
    assert client.get("/v1/orders").text == "list"
    assert client.get("/orders/3").text == "order 3"
    assert client.delete("/v1/orders/3").status_code == 204
    assert client.get("/v1/more/hello").json() == {"message": "Hello, World!"}


def test_names_nest_and_reverse():
    gateway = Gateway([Router("/v1", [Orders, Include("/auth", [new_item], name="auth")], name="v1"), item, file])
    assert gateway.reverse_url("v1:order", order_id=7) == "/v1/orders/7"
    assert gateway.reverse_url("v1:auth:new_item") == "/v1/auth/items/new"
    assert gateway.reverse_url("item", item_id=-1) == "/items/-1"
    assert gateway.reverse_url("file", path="a b/ü?.txt") == "/files/a%20b/%C3%BC%3F.txt"


def test_a_handler_stands_for_its_own_name():
    @get(["/all", "/all/{day:date}"])
    def all_items(day: datetime.date | None = None) -> None: ...

    def plain() -> None: ...

    gateway = Gateway([Router("/v1", [item, Orders, all_items], name="v1"), Route("/plain", plain)])
    assert gateway.reverse_url(item, item_id=3) == "/v1/items/3"
    assert gateway.reverse_url(Orders.detail, order_id=7) == "/v1/orders/7"
    assert gateway.reverse_url(plain) == "/plain"
    assert gateway.reverse_url(all_items) == "/v1/all"
    assert gateway.reverse_url(all_items, day="2030-01-31") == "/v1/all/2030-01-31"
    with pytest.raises(NoReverseMatch, match="no route of that name"):
        gateway.reverse_url(file, path="x")
    with pytest.raises(NoReverseMatch, match="ambiguous"):
        Gateway([Router("/a", [item]), Router("/b", [item])]).reverse_url(item, item_id=1)


def test_a_request_finds_the_url_of_a_handler(serve):
    @get("/where")
    async def where(request: Request) -> str:
        return str(request.url_for(item, item_id=3))

    assert serve(where, item).get("/where").text == "http://testserver/items/3"


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("nobody", {}, "no route of that name"),
        ("item", {}, "misses item_id"),
        ("item", {"item_id": 1, "x": 2}, "has no x"),
        ("item", {"item_id": "x"}, "is not a int value"),
        ("item_by_slug", {"slug": "a/b"}, "is not a str value"),
        ("item_by_slug", {"slug": ""}, "is not a str value"),
    ],
)
def test_reversing_refuses_what_would_not_match(name, values, message):
    gateway = Gateway([item, item_by_slug])
    with pytest.raises(NoReverseMatch, match=message):
        gateway.reverse_url(name, **values)


@given(st.text(min_size=1).filter(lambda text: "/" not in text and "\0" not in text))
def test_what_reverse_writes_matching_reads(text):
    gateway = Gateway([item_by_slug])
    try:
        path = unquote(gateway.reverse_url("item_by_slug", slug=text))
    except UnicodeEncodeError:
        return
    endpoint, values = gateway.dispatcher.table.tree.find(path, "GET")
    assert (endpoint.route.name, values) == ("item_by_slug", (text,))


def test_the_decorated_function_is_still_the_function():
    assert item(5) == "int 5"
    assert item.__name__ == "item"
    assert Orders().detail(order_id=2) == "order 2"


def test_one_list_of_routes_builds_several_gateways():
    routes = [Router("/v1", [Orders]), item]
    first, second = Gateway(routes), Gateway(routes)
    assert (
        [r.path for r in first.routes]
        == [r.path for r in second.routes]
        == ["/v1/orders", "/v1/orders/{order_id:int}", "/v1/orders/{order_id:int}", "/items/{item_id:int}"]
    )


# --- mistakes ------------------------------------------------------------------------------------------------------


def _view() -> None: ...


@pytest.mark.parametrize(
    ("routes", "message"),
    [
        ([get("/x")(_view), get("/x")(lambda: None)], "GET /x is answered twice"),
        ([get("/x/{a:int}")(lambda a: None), get("/x/{b:int}")(lambda b: None)], r"at '/x/\{a:int\}'"),
        ([get("/x/{a:integer}")(_view)], "unknown converter 'integer'.*Known converters: uuid"),
        ([get("/x/{a")(_view)], "brace without its partner"),
        ([get("/x/{a b}")(_view)], "not a Python identifier"),
        ([get("/x/{a}/{a}")(_view)], "names the parameter 'a' twice"),
        ([get("/x/{a:path}/y")(_view)], "must come last"),
        ([get("/x/{a}")(_view)], r"test_routing._view .*the path names a, but neither"),
        ([_view], "decorate it with @get"),
        ([Orders()], "list the class"),
        (["/x"], "is no route"),
        ([get("/x", name="n")(_view), get("/y", name="n")(lambda: None)], "'n' is given twice"),
        ([Include("/x", "tests.settings")], "no `routes` list"),
    ],
)
def test_mistakes_in_routes_are_told_at_start_up(routes, message):
    with pytest.raises(ConfigurationError, match=message):
        Gateway(routes)


def test_an_unknown_option_names_the_nearest_one():
    with pytest.raises(ConfigurationError, match="Did you mean 'guards'"):
        get("/x", guard=[])(_view)
    with pytest.raises(ConfigurationError, match="unknown method 'FETCH'"):
        route("/x", methods=["FETCH"])(_view)


def test_defaulted_names_may_repeat_until_somebody_reverses_them():
    gateway = Gateway([get("/x")(_view), put("/y")(_view)])
    with pytest.raises(NoReverseMatch, match="ambiguous: /x, /y"):
        gateway.reverse_url("_view")


# --- the tree against a naive oracle -------------------------------------------------------------------------------

_SEGMENTS = st.sampled_from(["a", "b", "7", "{x:int}", "{x}", "a{x}", "{x:path}"])


@given(
    st.lists(
        st.tuples(st.sampled_from(["GET", "PUT"]), st.lists(_SEGMENTS, min_size=1, max_size=4)), min_size=1, max_size=12
    ),
    st.lists(st.sampled_from(["a", "b", "7", "a7", ""]), min_size=1, max_size=5),
)
def test_the_tree_finds_what_trying_every_route_would_find(templates, path):
    parsed = []
    for number, (_, segments) in enumerate(templates):
        cleaned = [
            s.replace("x", f"p{i}", 1) if "{" in s else s
            for i, s in enumerate(segments)
            if s != "{x:path}" or i == len(segments) - 1
        ]
        if cleaned:
            parsed.append((number, PathTemplate.parse("/" + "/".join(cleaned))))
    tree: RouteTree[int] = RouteTree()
    for number, template in parsed:
        tree.add(template, templates[number][0], number)
    matching = [
        (number, template)
        for number, template in parsed
        if templates[number][0] == "GET" and _naive_match(template, path)
    ]
    found = tree.find("/" + "/".join(path), "GET")
    if not matching:
        assert found is None
    else:
        assert found is not None
        assert found[0] in {number for number, _ in matching}
        assert _rank(dict(parsed)[found[0]]) == min(_rank(template) for _, template in matching)


def _naive_match(template: PathTemplate, path: list[str]) -> bool:
    segments = list(template.segments)
    if template.has_tail:
        head = segments[:-1]
        return len(path) > len(head) and _match_all(head, path) and "/".join(path[len(head) :]) != ""
    return len(segments) == len(path) and _match_all(segments, path)


def _match_all(segments: list[Any], path: list[str]) -> bool:
    return all(
        segment == text if isinstance(segment, str) else _matches(segment, text)
        for segment, text in zip(segments, path, strict=False)
    )


def _matches(segment: Any, text: str) -> bool:
    *before, parameter = segment
    rest = text.removeprefix("".join(before))
    return text.startswith("".join(before)) and bool(rest) and parameter.converter.convert(rest) is not None


def _rank(template: PathTemplate) -> list[int]:
    return [
        -2 if isinstance(segment, str) else -1 if len(segment) > 1 else segment[0].converter.rank
        for segment in template.segments
    ]


def test_a_route_shows_what_it_was_compiled_to():
    @get("/items/{item_id:int}")
    async def item(item_id: int, lang: str = "en") -> int:
        return item_id

    (route,) = [route for route in Gateway([item]).routes if route.path.startswith("/items")]
    assert route.source.count("async def endpoint(ctx):") == 1
    assert "read_query" in route.source


def test_controllers_nest(serve):
    class Shop(Controller):
        path = "/shops/{shop:int}"
        response_headers = {"X-Shop": "yes"}

        @get("")
        async def detail(self, shop: int) -> int:
            return shop

        class Shelves(Controller):
            path = "/shelves"

            @get("/{shelf:int}")
            def shelf(self, shop: int, shelf: int) -> list[int]:
                return [shop, shelf]

    client = serve(Shop)
    assert client.get("/shops/3").json() == 3
    answer = client.get("/shops/3/shelves/4")
    assert (answer.json(), answer.headers["X-Shop"]) == ([3, 4], "yes")
