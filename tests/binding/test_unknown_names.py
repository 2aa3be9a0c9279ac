"""A class that forbids unknown fields forbids them in the query and in forms, not in JSON alone."""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import pydantic
import pytest

from hybrid_gateway import Controller, Cookie, Depends, Form, Gateway, Header, Query, Router, UploadFile, get, post
from hybrid_gateway.auth import APIKeyAuthentication, IsAuthenticated
from hybrid_gateway.conf import OpenAPISettings
from hybrid_gateway.exceptions import DependencyError
from hybrid_gateway.orm import ModelStruct
from hybrid_gateway.test import TestClient
from tests.library.models import Book


class Closed(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    a_number: int
    tags: list[str] = []


class ClosedModel(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    a_number: int = pydantic.Field(alias="aNumber")
    tags: list[str] = []


class WithFile(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    paper: UploadFile | None = None


class Open(msgspec.Struct):
    a_number: int = msgspec.field(name="aNumber")


def page(size: int = 10) -> int:
    return size


def takers(kind: Any) -> list[Any]:
    @get("/query")
    def query(data: Annotated[kind, Query()], page: Annotated[int, Depends(page)], single: str = "") -> int:
        return data.a_number + page

    @post("/form")
    async def form(data: Annotated[kind, Form()], single: Annotated[str, Form()] = "") -> int:
        return data.a_number

    @get("/header")
    def header(data: Annotated[kind, Header()]) -> int:
        return data.a_number

    @get("/cookie")
    def cookie(data: Annotated[kind, Cookie()]) -> int:
        return data.a_number

    return [query, form, header, cookie]


def unknown(answer: Any) -> list[list[str]]:
    assert answer.status_code == 422
    errors = answer.json()["errors"]
    return [error["loc"] for error in errors if error["msg"] == "Unknown parameter"]


@pytest.mark.parametrize("kind", [Closed, ClosedModel])
def test_names_that_nobody_asks_for_are_refused(serve: Callable[..., TestClient], kind: Any) -> None:
    client = serve(*takers(kind))
    # What other parameters are called, those of providers among them, is known.
    assert client.get("/query?aNumber=1&tags=a&tags=b&single=x&size=3").json() == 4
    assert client.post("/form", data={"aNumber": "1", "single": "x", "csrfmiddlewaretoken": "t"}).json() == 1
    answer = client.get("/query?aNumber=1&aNumbre=1&x=1&x=2")
    assert unknown(answer) == [["query", "aNumbre"], ["query", "x"]]
    assert len(client.get("/query?y=1").json()["errors"]) == 2  # beside what is missing
    assert unknown(client.get("/query?a_number=1")) == [["query", "a_number"]]
    assert unknown(client.post("/form", data={"aNumber": "1", "x": "1"})) == [["body", "x"]]
    # Others' headers and cookies come along whatever a client does.
    assert client.get("/header", headers={"anumber": "1", "tags": "a"}).status_code == 200
    assert client.get("/cookie", cookies={"aNumber": "1", "csrftoken": "x"}).status_code == 200


def test_files_that_nobody_asks_for_are_refused(serve: Callable[..., TestClient]) -> None:
    @post("/form")
    def form(data: Annotated[WithFile, Form()]) -> int:
        return 0 if data.paper is None else data.paper.size or 0

    client = serve(form)
    assert client.post("/form", data={"name": "a"}, files={"paper": ("a.txt", b"abc")}).json() == 3
    answer = client.post("/form", data={"name": "a"}, files={"letter": ("a.txt", b"abc")})
    assert unknown(answer) == [["body", "letter"]]


def test_a_class_that_forbids_nothing_is_open(serve: Callable[..., TestClient]) -> None:
    client = serve(*takers(Open))
    assert client.get("/query?aNumber=1&x=1").status_code == 200
    assert client.post("/form", data={"aNumber": "1", "x": "1"}).status_code == 201


def test_no_more_than_a_hundred_are_told(serve: Callable[..., TestClient]) -> None:
    answer = serve(*takers(Closed)).get("/query?aNumber=1&" + "&".join(f"x{number}=" for number in range(500)))
    assert len(unknown(answer)) == 100


def test_the_document_says_so_of_forms() -> None:
    gateway = Gateway(
        [Router("/closed", takers(Closed)), Router("/open", takers(Open))], openapi=OpenAPISettings(enabled=True)
    )
    paths = TestClient(gateway).get("/openapi.json").json()["paths"]
    for path, expected in (("/closed/form", False), ("/open/form", None)):
        for content in paths[path]["post"]["requestBody"]["content"].values():
            assert content["schema"].get("additionalProperties") is expected


class BookOut(ModelStruct, model=Book):
    id: int


class BookFilter(msgspec.Struct, forbid_unknown_fields=True):
    id: int | None = None


@pytest.mark.django_db
def test_a_key_in_the_query_is_known(serve: Callable[..., TestClient], django_user_model: Any) -> None:
    from hybrid_gateway.tokens.models import Token

    class Keyed(Controller):
        authentication = [APIKeyAuthentication(query="api_key")]  # noqa: RUF012
        guards = [IsAuthenticated]  # noqa: RUF012

        @get("/struct")
        def struct(self, data: Annotated[Closed, Query()]) -> int:
            return data.a_number

        @get("/books", response=list[BookOut], filters=BookFilter)
        def books(self) -> Any:
            return Book.objects.all()

    _, key = Token.objects.issue(django_user_model.objects.create_user("ada"))
    client = serve(Keyed)
    assert client.get(f"/struct?aNumber=1&api_key={key}").json() == 1
    assert client.get(f"/books?api_key={key}").status_code == 200
    assert unknown(client.get(f"/books?api_key={key}&apikey=x")) == [["query", "apikey"]]


# --- pydantic's names ----------------------------------------------------------------------------------------------


class Aliased(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(alias_generator=str.upper, extra="forbid")

    plain: int
    either: int = pydantic.Field(validation_alias=pydantic.AliasChoices("one", "other"))
    read: int = pydantic.Field(1, alias="sent", validation_alias="taken")


def test_every_name_that_a_model_reads_a_field_by_is_read(serve: Callable[..., TestClient]) -> None:
    @get("/query")
    def query(data: Annotated[Aliased, Query()]) -> list[int]:
        return [data.plain, data.either, data.read]

    @post("/form")
    def form(data: Annotated[Aliased, Form()]) -> list[int]:
        return [data.plain, data.either, data.read]

    client = serve(query, form, openapi=OpenAPISettings(enabled=True))
    for name in ("one", "other"):
        assert client.get(f"/query?PLAIN=1&{name}=2&taken=3").json() == [1, 2, 3]
        assert client.post("/form", data={"PLAIN": "1", name: "2"}).json() == [1, 2, 1]
    for name in ("EITHER", "either", "sent", "READ"):
        assert unknown(client.get(f"/query?PLAIN=1&one=2&{name}=3")) == [["query", name]]
    assert client.get("/query?PLAIN=1").status_code == 422
    [operation] = client.get("/openapi.json").json()["paths"]["/query"].values()
    shown = {parameter["name"]: parameter.get("required", False) for parameter in operation["parameters"]}
    assert shown == {"PLAIN": True, "one": False, "other": False, "taken": False}


def test_a_path_into_json_is_no_name() -> None:
    class Inner(pydantic.BaseModel):
        first: int = pydantic.Field(validation_alias=pydantic.AliasPath("names", 0))

    @get("/query")
    def query(data: Annotated[Inner, Query()]) -> int:
        return data.first

    with pytest.raises(DependencyError, match="first has an AliasPath, which leads into JSON; give it a name"):
        Gateway([query])
