"""Bodies as they come, raw ASGI applications as answers, and responses that say what is in them."""

from collections.abc import AsyncIterator
from typing import Annotated

import msgspec
import pytest

from hybrid_gateway import (
    ASGIResponse,
    Body,
    ConfigurationError,
    Gateway,
    JSONResponse,
    Request,
    Response,
    get,
    http,
    post,
)
from hybrid_gateway.conf import OpenAPISettings
from hybrid_gateway.exceptions import Forbidden
from hybrid_gateway.openapi.document import build_document


class Product(msgspec.Struct):
    name: str


@post("/upload", max_body_size=1000)
async def upload(data: AsyncIterator[bytes], name: str = "") -> dict[str, object]:
    size = 0
    async for chunk in data:
        size += len(chunk)
    return {"size": size, "name": name}


def test_a_body_is_read_as_it_comes_and_bounded(serve):
    client = serve(upload)
    assert client.post("/upload?name=x", b"a" * 1000, "application/octet-stream").json() == {"size": 1000, "name": "x"}
    assert client.post("/upload", b"a" * 1001, "application/octet-stream").status_code == 413
    assert client.post("/upload").json()["size"] == 0


def test_starlettes_own_stream_works_as_well(serve):
    @post("/")
    async def view(request: Request) -> int:
        return sum([len(chunk) async for chunk in request.stream()])

    assert serve(view).post("/", b"abc", "text/plain").json() == 3


def test_a_streamed_body_is_the_only_body_and_needs_an_async_handler():
    async def both(data: AsyncIterator[bytes], raw: Annotated[bytes, Body()]) -> None: ...

    async def reverse(product: Product, data: Annotated[AsyncIterator[bytes], Body()]) -> None: ...

    def sync(data: AsyncIterator[bytes]) -> None: ...

    for handler in (both, reverse):
        with pytest.raises(ConfigurationError, match="the body would be two things at once"):
            Gateway([post("/")(handler)])
    with pytest.raises(ConfigurationError, match="only `async def` can read a body that is an AsyncIterator"):
        Gateway([post("/")(sync)])
    with pytest.raises(ConfigurationError, match="which GET and HEAD do not have"):
        Gateway([get("/")(both)])


def test_the_document_shows_a_streamed_body():
    body = build_document(Gateway([upload]).endpoints, OpenAPISettings())["paths"]["/upload"]["post"]["requestBody"]
    assert list(body["content"]) == ["application/octet-stream"]


# --- raw ASGI


async def raw(scope, receive, send):
    await send({"type": "http.response.start", "status": 202, "headers": [(b"x-path", scope["path"].encode())]})
    await send({"type": "http.response.body", "body": (await receive())["body"].upper()})


@pytest.mark.parametrize("kind", ["async", "def"])
def test_a_raw_application_answers_behind_guards(serve, kind):
    def only_even(params: http.PathParams) -> None:
        if params["number"] % 2:
            raise Forbidden

    if kind == "async":

        @post("/raw/{number:int}", guards=[only_even])
        async def view(number: int) -> ASGIResponse:
            return ASGIResponse(raw)

    else:

        @post("/raw/{number:int}", guards=[only_even])
        def view(number: int) -> ASGIResponse:
            return ASGIResponse(raw)

    client = serve(view)
    answer = client.post("/raw/2", b"abc", "text/plain")
    assert (answer.status_code, answer.headers["X-Path"], answer.content) == (202, "/raw/2", b"ABC")
    assert client.post("/raw/3").status_code == 403


# --- Response[T]


def test_a_typed_response(serve):
    @get("/a")
    async def typed() -> Response[Product]:
        return Response(Product("x"), status_code=203, headers={"X-A": "1"})

    @get("/b")
    def json() -> JSONResponse[list[Product]]:
        return JSONResponse([Product("x")])

    @get("/c")
    def text() -> Response[str]:
        return Response("plain", media_type="text/plain")

    client = serve(typed, json, text)
    answer = client.get("/a")
    assert (answer.status_code, answer.json(), answer.headers["X-A"]) == (203, {"name": "x"}, "1")
    assert answer.headers["Content-Type"] == "application/json"
    assert client.get("/b").json() == [{"name": "x"}]
    assert client.get("/c").text == "plain"
    paths = build_document(client.gateway.endpoints, OpenAPISettings())["paths"]
    content = {path: entry["get"]["responses"]["200"]["content"] for path, entry in paths.items()}
    assert content["/a"] == {"application/json": {"schema": {"$ref": "#/components/schemas/Product"}}}
    assert content["/b"]["application/json"]["schema"]["type"] == "array"
    assert list(content["/c"]) == ["text/plain"]
