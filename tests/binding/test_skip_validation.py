"""SkipValidation[T]: documented as T, given to the handler as it came."""

from typing import Annotated, Any

import msgspec
import pytest

from hybrid_gateway import ConfigurationError, Form, Gateway, Header, Query, SkipValidation, get, post
from hybrid_gateway.conf import OpenAPISettings
from hybrid_gateway.openapi.document import build_document


class Item(msgspec.Struct):
    sku: str
    count: int


@get("/raw/{number}")
async def parameters(
    number: SkipValidation[int],
    size: Annotated[SkipValidation[int], Query(ge=5)],
    ids: SkipValidation[list[int]] = [],  # noqa: B006 (never shared)
    token: Annotated[SkipValidation[float | None], Header()] = None,
) -> list[Any]:
    return [number, size, ids, token]


@get("/raw/{number}")
def sync_parameters(
    number: SkipValidation[int],
    size: Annotated[SkipValidation[int], Query(ge=5)],
    ids: SkipValidation[list[int]] = [],  # noqa: B006
    token: Annotated[SkipValidation[float | None], Header()] = None,
) -> list[Any]:
    return [number, size, ids, token]


@post("/body")
async def body(data: SkipValidation[Item]) -> Any:
    return data


@post("/form")
def form(count: Annotated[SkipValidation[int], Form()]) -> list[Any]:
    return [count]


@pytest.mark.parametrize("handler", [parameters, sync_parameters])
def test_text_stays_text(serve, handler):
    client = serve(handler)
    answer = client.get("/raw/x", params={"size": "1", "ids": ["a", "2"]}, headers={"Token": "t"})
    assert answer.json() == ["x", "1", ["a", "2"], "t"]
    assert client.get("/raw/1", params={"size": "null"}).json() == ["1", "null", [], None]
    assert client.get("/raw/1").status_code == 422, "what is missing is missing"


def test_a_body_is_what_json_says(serve):
    client = serve(body, form)
    assert client.post("/body", json={"sku": 1, "more": [2]}).json() == {"sku": 1, "more": [2]}
    assert client.post("/body", "{", content_type="application/json").status_code == 400
    assert client.post("/form", {"count": "many"}).json() == ["many"]


def test_the_document_says_what_the_type_says():
    document = build_document(Gateway([parameters, body]).endpoints, OpenAPISettings())
    listed = {p["name"]: p["schema"] for p in document["paths"]["/raw/{number}"]["get"]["parameters"]}
    assert listed["number"]["type"] == "integer"
    assert (listed["size"]["type"], listed["size"]["minimum"]) == ("integer", 5)
    schema = document["paths"]["/body"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/Item"}


def test_a_struct_of_parameters_cannot_be_left_unchecked():
    @get("/")
    def handler(data: Annotated[SkipValidation[Item], Query()]) -> None: ...

    with pytest.raises(ConfigurationError, match="SkipValidation"):
        Gateway([handler])
