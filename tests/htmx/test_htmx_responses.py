"""What a response says to htmx: headers that every browser reads as they were meant, whatever went into them."""

import json

import pytest
from django.core.exceptions import DisallowedRedirect
from django.utils.functional import lazystr
from msgspec import Struct

from hybrid_gateway import HTMLResponse, Response, get, post
from hybrid_gateway.exceptions import UnprocessableContent
from hybrid_gateway.htmx import (
    HXHeaders,
    HXLocation,
    HXRedirect,
    HXRefresh,
    PushUrl,
    ReplaceUrl,
    Reselect,
    Reswap,
    Retarget,
    StopPolling,
    TriggerEvent,
)

HOSTILE = "a\r\nSet-Cookie: b=c\x00\x7f\x85\u2028 größe ł 🦊"


def returning(made):
    @get("/")
    async def handler() -> Response:
        return made()

    return handler


# --- each helper by itself -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "name", "value"),
    [
        (Reswap("beforeend scroll:bottom"), "HX-Reswap", "beforeend scroll:bottom"),
        (Retarget("#errors"), "HX-Retarget", "#errors"),
        (Reselect("closest .row > a"), "HX-Reselect", "closest .row > a"),
        (PushUrl("/a?b=c"), "HX-Push-Url", "/a?b=c"),
        (PushUrl(False), "HX-Push-Url", "false"),
        (ReplaceUrl("/a"), "HX-Replace-Url", "/a"),
        (ReplaceUrl(False), "HX-Replace-Url", "false"),
        (TriggerEvent("saved"), "HX-Trigger", '{"saved":{}}'),
        (TriggerEvent("saved", 7, after="swap"), "HX-Trigger-After-Swap", '{"saved":7}'),
        (TriggerEvent("saved", {"id": 7}, after="settle"), "HX-Trigger-After-Settle", '{"saved":{"id":7}}'),
    ],
)
def test_headers_go_wherever_headers_go(serve, made, name, value):
    @get("/response")
    def by_response() -> HTMLResponse:
        return HTMLResponse("<p>", headers=made)

    @get("/parameter")
    async def by_parameter(response: Response) -> str:
        response.headers.update(made)
        return ""

    @get("/layer", response_headers=made)
    async def by_layer() -> str:
        return ""

    @get("/error")
    async def by_error() -> str:
        raise UnprocessableContent("no", headers=made)

    client = serve(by_response, by_parameter, by_layer, by_error)
    for path in ("/response", "/parameter", "/layer", "/error"):
        assert client.get(path).headers[name] == value, path


@pytest.mark.parametrize("is_async", [True, False])
def test_responses_without_a_body(serve, is_async):
    made = {
        "/redirect": lambda: HXRedirect("/login", headers=TriggerEvent("left")),
        "/refresh": lambda: HXRefresh(),
        "/location": lambda: HXLocation("/a b"),
        "/options": lambda: HXLocation(
            "/ł", target="#größe", swap="outerHTML", values={"id": 7}, hx_headers={"X-A": "b"}, push=False, replace="/r"
        ),
    }

    def route(path, response):
        async def asynchronous() -> Response:
            return response()

        def synchronous() -> Response:
            return response()

        return get(path)(asynchronous if is_async else synchronous)

    client = serve(*(route(*item) for item in made.items()))
    answers = {path: client.get(path) for path in made}
    assert {(answer.status_code, answer.content) for answer in answers.values()} == {(200, b"")}
    assert answers["/redirect"].headers["HX-Redirect"] == "/login"
    assert answers["/redirect"].headers["HX-Trigger"] == '{"left":{}}'
    assert answers["/refresh"].headers["HX-Refresh"] == "true"
    assert answers["/location"].headers["HX-Location"] == "/a%20b"
    assert json.loads(answers["/options"].headers["HX-Location"]) == {
        "path": "/%C5%82",
        "target": "#größe",
        "swap": "outerHTML",
        "values": {"id": 7},
        "headers": {"X-A": "b"},
        "push": "false",
        "replace": "/r",
    }


def test_the_status_of_a_verb_is_no_matter_but_that_of_the_response(serve):
    @post("/")
    async def create() -> HXRedirect:
        return HXRedirect("/a")

    @get("/poll")
    async def poll() -> StopPolling:
        return StopPolling("<b>done</b>", headers=Reswap("outerHTML"))

    client = serve(create, poll)
    assert client.post("/").status_code == 201  # by the verb, as of any response
    done = client.get("/poll")
    assert (done.status_code, done.text, done.headers["HX-Reswap"]) == (286, "<b>done</b>", "outerHTML")
    assert done.headers["Content-Type"] == "text/html; charset=utf-8"


# --- joined ----------------------------------------------------------------------------------------------------------


def test_headers_are_joined():
    joined = Reswap("outerHTML") | Retarget("#a") | TriggerEvent("one", {"n": 1}) | TriggerEvent("two", "ł")
    assert joined == {
        "HX-Reswap": "outerHTML",
        "HX-Retarget": "#a",
        "HX-Trigger": '{"one":{"n":1},"two":"\\u0142"}',
    }
    assert Reswap("none") | Reswap("delete") == {"HX-Reswap": "delete"}
    assert {"X-A": "b", "HX-Reswap": "none"} | Reswap("delete") == {"X-A": "b", "HX-Reswap": "delete"}
    assert type({"X-A": "b"} | Reswap("delete")) is HXHeaders
    several = TriggerEvent("a") | TriggerEvent("a", after="swap")
    assert set(several) == {"HX-Trigger", "HX-Trigger-After-Swap"}


def test_headers_are_added_in_place():
    headers = {"X-A": "b"}
    headers |= Reswap("none")
    assert headers == {"X-A": "b", "HX-Reswap": "none"}
    events = TriggerEvent("a")
    events |= TriggerEvent("b")
    assert events == {"HX-Trigger": '{"a":{},"b":{}}'}


# --- nothing gets out of its header ----------------------------------------------------------------------------------

TAKING_URLS = {
    "HX-Push-Url": lambda text: HTMLResponse(headers=PushUrl(text)),
    "HX-Replace-Url": lambda text: HTMLResponse(headers=ReplaceUrl(text)),
    "HX-Redirect": HXRedirect,
    "HX-Location": HXLocation,
}


@pytest.mark.parametrize("name", TAKING_URLS)
def test_hostile_urls_are_percent_encoded(serve, name):
    answer = serve(returning(lambda: TAKING_URLS[name]("/" + HOSTILE))).get("/")
    value = answer.headers[name]
    assert value == "/a%0D%0ASet-Cookie:%20b=c%00%7F%C2%85%E2%80%A8%20gr%C3%B6%C3%9Fe%20%C5%82%20%F0%9F%A6%8A"
    assert not answer.cookies


@pytest.mark.parametrize("name", TAKING_URLS)
@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,a", "vbscript:a", "http://["]
)
def test_urls_that_are_none_of_http_are_400(serve, name, url):
    assert serve(returning(lambda: TAKING_URLS[name](url))).get("/").status_code == 400
    with pytest.raises(DisallowedRedirect):
        TAKING_URLS[name](url)


@pytest.mark.parametrize("letter", ["\t", "\n", "\r", "\x00", "\x1f", " "])
@pytest.mark.parametrize("name", TAKING_URLS)
def test_a_scheme_with_letters_that_browsers_drop_is_no_scheme_any_more(name, letter):
    for url in (f"{letter}javascript:alert(1)", f"java{letter}script:alert(1)"):
        try:
            sent = TAKING_URLS[name](url).headers[name]
        except DisallowedRedirect:
            continue
        assert "%" in sent.partition(":")[0], sent  # and so it is a path


@pytest.mark.parametrize(
    ("kind", "name"), [(Reswap, "HX-Reswap"), (Retarget, "HX-Retarget"), (Reselect, "HX-Reselect")]
)
def test_selectors_are_one_line_of_ascii(serve, kind, name):
    for letter in map(chr, [*range(0x20), 0x7F]):
        with pytest.raises(ValueError, match="one line"):
            kind(f"#a{letter}b")
    for nothing in ("", "  "):
        with pytest.raises(ValueError, match="one line"):
            kind(nothing)
    answer = serve(returning(lambda: HTMLResponse(headers=kind("#größe \u2028🦊\x85")))).get("/")
    assert answer.headers[name] == "#gr\\0000f6\\0000dfe \\002028\\01f98a\\000085"


@pytest.mark.parametrize("after", ["receive", "swap", "settle"])
def test_events_are_json_in_ascii(serve, after):
    name = {"receive": "HX-Trigger"}.get(after, f"HX-Trigger-After-{after.title()}")
    made = TriggerEvent(HOSTILE, {HOSTILE: [HOSTILE]}, after=after)
    answer = serve(returning(lambda: HTMLResponse(headers=made))).get("/")
    value = answer.headers[name]
    assert value.isascii() and value.isprintable()
    assert json.loads(value) == {HOSTILE: {HOSTILE: [HOSTILE]}}
    assert not answer.cookies


def test_a_location_is_json_in_ascii(serve):
    options = {"source": HOSTILE, "event": HOSTILE, "handler": HOSTILE, "target": HOSTILE, "swap": HOSTILE}
    made = HXLocation("/" + HOSTILE, **options, select=HOSTILE, values={HOSTILE: HOSTILE}, hx_headers={HOSTILE: "a"})
    answer = serve(returning(lambda: made)).get("/")
    value = answer.headers["HX-Location"]
    assert value.isascii() and value.isprintable()
    found = json.loads(value)
    assert {found[name] for name in (*options, "select")} == {HOSTILE}
    assert found["values"] == {HOSTILE: HOSTILE}
    for name in ("push", "replace"):
        with pytest.raises(DisallowedRedirect):
            HXLocation("/", **{name: "javascript:alert(1)"})


def test_headers_made_by_hand_are_checked_like_all_others(serve):
    answer = serve(
        returning(lambda: HTMLResponse(headers=HXHeaders({"HX-Push-Url": "/a\r\nSet-Cookie: b=c"}))), raises=False
    )
    try:
        found = answer.get("/")
    except ValueError:
        return  # the test client of ASGI has no server that would have answered it with a 500
    assert found.status_code == 500 and not found.cookies


# --- params ----------------------------------------------------------------------------------------------------------


class Saved(Struct, rename="camel"):
    product_id: int


@pytest.mark.parametrize(
    ("params", "shown"),
    [(Saved(7), {"productId": 7}), ([1], [1]), (lazystr("a"), "a"), (False, False), (float("nan"), None)],
)
def test_params_are_whatever_is_json(params, shown):
    assert json.loads(TriggerEvent("saved", params)["HX-Trigger"]) == {"saved": shown}


def test_mistakes_are_told():
    with pytest.raises(ValueError, match="'receive', 'settle', 'swap'"):
        TriggerEvent("a", after="later")
    with pytest.raises(ValueError, match="name of an event"):
        TriggerEvent("")
    with pytest.raises(TypeError, match="cannot be encoded"):
        TriggerEvent("a", object())
