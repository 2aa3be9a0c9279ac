"""Shapes in the OpenAPI document: by their names, with what is required, nullable and bounded each way."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import msgspec
import openapi_spec_validator
import pydantic
from msgspec import Meta

from hybrid_gateway import Gateway, ReadOnly, Shape, WriteOnly, computed, get, patch, post
from hybrid_gateway.conf import OpenAPISettings
from hybrid_gateway.test import TestClient

REF = "#/components/schemas/"


def schemas(*routes: Any) -> dict[str, Any]:
    gateway = Gateway(list(routes), openapi=OpenAPISettings(enabled=True))
    found = TestClient(gateway).get("/openapi.json").json()
    openapi_spec_validator.validate(found)
    return found["components"]["schemas"]


@dataclasses.dataclass
class Address:
    street: str
    code: str = ""


@dataclasses.dataclass
class Account:
    id: Annotated[int, ReadOnly]
    name: Annotated[str, Meta(min_length=2)]
    password: Annotated[str, WriteOnly]
    nick: str | None = None
    address: Address | None = None
    tags: list[str] = dataclasses.field(default_factory=list)


class Public(Shape, of=Account, exclude={"address.code"}, rename="camel"):
    """An account, as others see it."""

    @computed("name")
    @staticmethod
    def name_length(name: str) -> int:
        return len(name)


class Change(Public, partial=True):
    pass


@post("/accounts")
def create(data: Public) -> Public: ...


@get("/accounts")
def show() -> list[Public]: ...


@patch("/accounts")
def change(data: Change) -> None: ...


def test_a_shape_has_its_own_name_and_says_what_goes_which_way():
    found = schemas(create, show, change)
    answer, body = found["Public"], found["PublicInput"]
    assert answer["description"] == "An account, as others see it."
    assert list(answer["properties"]) == ["id", "name", "nick", "address", "tags", "nameLength"]
    assert list(body["properties"]) == ["name", "password", "nick", "address", "tags"]
    assert answer["required"] == ["id", "name", "nameLength"]
    assert body["required"] == ["name", "password"]
    assert answer["properties"]["id"] == {"type": "integer", "readOnly": True}
    assert body["properties"]["password"] == {"type": "string", "writeOnly": True}
    assert body["properties"]["name"]["minLength"] == 2
    assert body["properties"]["nick"]["type"] == ["string", "null"]
    assert body["properties"]["address"]["anyOf"][0] == {"$ref": REF + "PublicAddress"}
    assert list(found["PublicAddress"]["properties"]) == ["street"]


def test_a_partial_shape_requires_nothing():
    found = schemas(change)["Change"]
    assert "required" not in found
    assert list(found["properties"]) == ["name", "password", "nick", "address", "tags"]


class Model(pydantic.BaseModel):
    age: Annotated[int, pydantic.Field(ge=0, description="In years.")]
    url: pydantic.HttpUrl
    name: str = pydantic.Field(max_length=5, alias="fullName")
    price: Annotated[float | None, pydantic.Field(gt=1)] = None

    @pydantic.computed_field
    @property
    def double(self) -> int:
        return self.age * 2


class OfModel(Shape, of=Model):
    pass


def test_a_model_of_pydantic_keeps_its_bounds_and_words():
    @post("/models")
    def create_model(data: OfModel) -> OfModel: ...

    found = schemas(create_model)
    properties = found["OfModelInput"]["properties"]
    assert properties["age"] == {"type": "integer", "minimum": 0, "description": "In years."}
    assert properties["url"]["format"] == "uri"
    assert properties["fullName"] == {"type": "string", "maxLength": 5}
    assert properties["price"]["exclusiveMinimum"] == 1
    assert found["OfModel"]["required"] == ["age", "url", "fullName", "double"]


def test_what_pydantic_alone_can_write_is_written_by_it(serve):
    class Secretive(pydantic.BaseModel):
        url: pydantic.HttpUrl
        token: pydantic.SecretStr  # which pydantic itself calls write-only
        name: str

        @pydantic.field_serializer("name")
        def shout(self, name: str) -> str:
            return name.upper()

    class Out(Shape, of=Secretive):
        pass

    @post("/")
    def echo(data: Out) -> Out:
        return data.create()

    body = {"url": "https://example.com", "token": "hunter2", "name": "ada"}
    assert serve(echo).post("/", json=body).json() == {
        "url": "https://example.com/",
        "name": "ADA",
    }


class Point(msgspec.Struct, tag="point"):
    x: int
    secret: str = ""


class Line(msgspec.Struct, tag="line"):
    ends: tuple[Point, Point]


class Drawing(msgspec.Struct):
    parts: list[Point | Line]


def test_unions_keep_their_tags(serve):
    class Public(Shape, of=Drawing, exclude={"parts.*.secret", "parts.*.ends.*.secret"}):
        pass

    made = []

    @post("/")
    def echo(data: Public) -> Public:
        made.append(data.create())
        return made[-1]

    body = {"parts": [{"type": "point", "x": 1}, {"type": "line", "ends": [{"type": "point", "x": 1}] * 2}]}
    assert serve(echo).post("/", json=body).json() == body
    assert made == [Drawing([Point(1), Line((Point(1), Point(1)))])]
    found = schemas(echo)
    assert found["PublicPoint"]["properties"]["type"]["const"] == "point"
