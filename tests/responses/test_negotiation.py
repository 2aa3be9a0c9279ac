"""JSON or MessagePack: by what a client accepts, and by what it sends."""

from typing import Annotated

import msgspec
import pytest

from hybrid_gateway import ConfigurationError, Gateway, Query, Router, get, post
from hybrid_gateway.conf import OpenAPISettings
from hybrid_gateway.headers import JSON, MESSAGEPACK
from hybrid_gateway.openapi.document import build_document
from hybrid_gateway.responses.negotiation import choose_media_type

BOTH = [JSON, MESSAGEPACK]


class Line(msgspec.Struct):
    sku: str
    count: Annotated[int, msgspec.Meta(ge=1)]


@pytest.fixture(params=["async", "def"])
def echo(request):
    if request.param == "async":

        @post("/echo", media_types=BOTH)
        async def handler(data: list[Line]) -> list[Line]:
            return data

    else:

        @post("/echo", media_types=BOTH)
        def handler(data: list[Line]) -> list[Line]:
            return data

    return handler


def send(client, body, content_type=MESSAGEPACK, **headers):
    return client.generic("POST", "/echo", body, content_type=content_type, headers=headers)


def test_both_ways(serve, echo):
    client, lines = serve(echo), [{"sku": "a", "count": 2}]
    packed = msgspec.msgpack.encode(lines)
    answer = send(client, packed, Accept=MESSAGEPACK)
    assert (answer.status_code, answer.headers["Content-Type"], answer.headers["Vary"]) == (201, MESSAGEPACK, "Accept")
    assert answer.content == packed
    assert send(client, packed).json() == lines
    assert send(client, msgspec.json.encode(lines), JSON, Accept="application/x-msgpack").content == packed
    assert send(client, packed, "application/vnd.msgpack; x=y").status_code == 201


def test_what_cannot_be_had_is_406_before_the_handler_runs(serve):
    @post("/", media_types=BOTH)
    async def handler() -> dict[str, int]:
        raise AssertionError

    answer = serve(handler).post("/", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.json()["detail"]) == (406, f"The answer can be {JSON} or {MESSAGEPACK}.")
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_errors_of_a_packed_body_have_their_places(serve, echo):
    client = serve(echo)
    answer = send(client, msgspec.msgpack.encode([{"sku": 1, "count": 0}, {"count": 1}]))
    assert [error["loc"] for error in answer.json()["errors"]] == [
        ["body", 0, "sku"],
        ["body", 0, "count"],
        ["body", 1, "sku"],
    ]
    assert send(client, b"\xc1").status_code == 400
    assert send(client, b"\x91" * 100_000).status_code == 400
    assert send(client, b"\x91\x82\xa3sku\xa1\xff\xa5count\x01").status_code == 400
    refused = send(client, b"x", "text/plain")
    assert (refused.status_code, refused.headers["Accept"]) == (415, f"{JSON}, {MESSAGEPACK}")


def test_json_alone_unless_told(serve):
    @post("/echo")
    async def handler(data: Line) -> Line:
        return data

    client = serve(handler)
    assert send(client, msgspec.msgpack.encode({"sku": "a", "count": 1})).status_code == 415
    assert client.post("/echo", json={"sku": "a", "count": 1}, headers={"Accept": MESSAGEPACK}).json()["sku"] == "a"


def test_on_a_layer_it_concerns_values_only(serve):
    @get("/text")
    async def text() -> str:
        return "text"

    @get("/number")
    async def number(n: Annotated[int, Query()] = 1) -> int:
        return n

    client = serve(Router("", [text, number], media_types=[MESSAGEPACK]))
    assert client.get("/text", headers={"Accept": "text/plain"}).text == "text"
    assert client.get("/number").content == b"\x01"
    assert client.get("/number", headers={"Accept": JSON}).status_code == 406


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("*/*", JSON), ("application/*", JSON), (MESSAGEPACK, MESSAGEPACK), ("", JSON), ("text/html, */*;q=0.1", JSON),
        (f"{JSON};q=0.5, {MESSAGEPACK}", MESSAGEPACK), (f"{JSON};q=0, */*", MESSAGEPACK), ("text/html", None),
        (f"{JSON};q=0", None), (f"{JSON};q=x, {MESSAGEPACK};q=0.1", MESSAGEPACK), ("APPLICATION/MSGPACK", MESSAGEPACK),
    ],
)  # fmt: skip
def test_weights(accept, chosen):
    assert choose_media_type(accept, BOTH) == chosen


def test_in_the_document(echo):
    operation = build_document(Gateway([echo]).endpoints, OpenAPISettings())["paths"]["/echo"]["post"]
    assert list(operation["requestBody"]["content"]) == BOTH
    assert list(operation["responses"]["201"]["content"]) == BOTH
    assert "406" in operation["responses"]


@pytest.mark.parametrize("media_types", [JSON, ["text/html"], [JSON, "application/xml"]])
def test_what_cannot_be_written_is_told(media_types):
    @get("/", media_types=media_types)
    async def handler() -> dict[str, int]:
        return {}

    with pytest.raises(ConfigurationError, match="media_types"):
        Gateway([handler])


@pytest.fixture
def templates(settings):
    backend = {**settings.TEMPLATES[0], "APP_DIRS": False}
    page = "{% for line in data %}<b>{{ line.sku }}</b>{% endfor %}"
    loaders = [("django.template.loaders.locmem.Loader", {"lines.html": page})]
    backend["OPTIONS"] = {**backend["OPTIONS"], "loaders": loaders}
    settings.TEMPLATES = [backend]


@get("/lines", template="lines.html", response_headers={"X-A": "b"})
async def lines() -> list[Line]:
    return [Line("<a>", 1)]


@get("/lines", template="lines.html", response_headers={"X-A": "b"})
def sync_lines() -> list[Line]:
    return [Line("<a>", 1)]


@pytest.mark.parametrize("handler", [lines, sync_lines])
def test_a_template_shows_the_value_to_a_browser(serve, templates, handler):
    client = serve(handler)
    browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    page = client.get("/lines", headers={"Accept": browser})
    assert (page.status_code, page.text) == (200, "<b>&lt;a&gt;</b>")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert (page.headers["X-A"], "Accept" in page.headers["Vary"]) == ("b", True)
    for accept in ({}, {"Accept": "*/*"}, {"Accept": JSON}):
        answer = client.get("/lines", headers=accept)
        assert (answer.json(), answer.headers["Vary"]) == ([{"sku": "<a>", "count": 1}], "Accept")
    assert client.get("/lines", headers={"Accept": MESSAGEPACK}).status_code == 406


def test_a_template_keeps_the_status_of_the_verb(serve, templates):
    @post("/lines", template="lines.html")
    async def create() -> list[Line]:
        return []

    assert serve(create).post("/lines", headers={"Accept": "text/html"}).status_code == 201


def test_a_template_is_documented_and_is_for_values(serve, templates):
    document = build_document(Gateway([lines]).endpoints, OpenAPISettings())
    responses = document["paths"]["/lines"]["get"]["responses"]
    assert set(responses["200"]["content"]) == {JSON, "text/html"}
    assert "406" in responses

    @get("/text", template="lines.html")
    async def text() -> str:
        return ""

    with pytest.raises(ConfigurationError, match="template='lines.html' shows JSON values"):
        Gateway([text])
