"""Classes that msgspec does not know: a project's own, secrets, models of attrs and pydantic; parameters of a layer."""

import datetime
from typing import Annotated

import attrs
import msgspec
import pydantic
import pytest
from django.contrib.auth.models import User

from hybrid_gateway import (
    ConfigurationError,
    Cookie,
    Depends,
    Form,
    Gateway,
    Header,
    Path,
    Query,
    Router,
    get,
    http,
    post,
)
from hybrid_gateway.auth import BasicAuthentication
from hybrid_gateway.conf import OpenAPISettings
from hybrid_gateway.openapi.document import build_document


class Money:
    def __init__(self, cents):
        self.cents = cents


def read_money(text: str) -> Money:
    whole, _, cents = text.partition(".")
    return Money(int(whole) * 100 + int(cents or 0))


def write_money(money: Money) -> str:
    return f"{money.cents // 100}.{money.cents % 100:02}"


TYPES = {"type_encoders": {Money: write_money}, "type_decoders": {Money: read_money}}


class Offer(msgspec.Struct):
    price: Money
    others: list[Money] = []


@pytest.mark.parametrize("kind", ["async", "def"])
def test_own_classes_come_in_and_go_out(serve, kind):
    if kind == "async":

        @post("/offers", validate_response=True, **TYPES)
        async def offer(data: Offer, least: Money, tip: Annotated[Money | None, Header()] = None) -> Offer:
            return Offer(Money(data.price.cents + least.cents), [*data.others, *([tip] if tip else [])])

    else:

        @post("/offers", validate_response=True, **TYPES)
        def offer(data: Offer, least: Money, tip: Annotated[Money | None, Header()] = None) -> Offer:
            return Offer(Money(data.price.cents + least.cents), [*data.others, *([tip] if tip else [])])

    client = serve(offer)
    answer = client.post("/offers?least=1.50", {"price": "2.25", "others": ["0.10"]}, "application/json")
    assert (answer.status_code, answer.json()) == (201, {"price": "3.75", "others": ["0.10"]})
    answer = client.post("/offers?least=1", {"price": "2"}, "application/json", headers={"Tip": "0.5"})
    assert answer.json() == {"price": "3.00", "others": ["0.05"]}


def test_every_fault_of_own_classes_is_told_at_its_place(serve):
    @post("/offers/{rest}", **TYPES)
    async def offer(data: Offer, least: Money, rest: Annotated[Money, Path()]) -> None: ...

    client = serve(offer)
    answer = client.post("/offers/1?least=x", {"price": 5, "others": ["1", "y"]}, "application/json")
    assert answer.status_code == 422
    assert [error["loc"] for error in answer.json()["errors"]] == [
        ["query", "least"],
        ["body", "price"],
        ["body", "others", 1],
    ]
    answer = client.post("/offers/1?least=1", {"price": [5], "others": ["1", "y"]}, "application/json")
    assert [error["loc"] for error in answer.json()["errors"]] == [["body", "price"], ["body", "others", 1]]
    assert client.post("/offers/z?least=1", {"price": "1"}, "application/json").status_code == 404


def test_the_closest_layer_decides_how_a_class_is_written(serve):
    @get("/a")
    async def outer() -> dict[str, Money]:
        return {"price": Money(5)}

    @get("/b", type_encoders={Money: lambda money: money.cents})
    async def inner() -> dict[str, Money]:
        return {"price": Money(5)}

    client = serve(Router("", [outer, inner], type_encoders={Money: write_money}))
    assert client.get("/a").json() == {"price": "0.05"}
    assert client.get("/b").json() == {"price": 5}


def test_a_type_that_msgspec_reads_itself_cannot_have_a_decoder():
    @get("/", type_decoders={datetime.date: str})
    async def view() -> None: ...

    with pytest.raises(ConfigurationError, match="msgspec converts date by itself"):
        Gateway([view])


def test_the_document_shows_what_stands_for_own_classes():
    @post("/offers", **TYPES)
    async def offer(data: Offer, least: Money) -> Offer: ...

    document = build_document(Gateway([offer]).endpoints, OpenAPISettings())
    assert document["components"]["schemas"]["Offer"]["properties"]["price"] == {"type": "string"}
    assert document["paths"]["/offers"]["post"]["parameters"][0]["schema"] == {"type": "string"}


# --- secrets


def test_secrets_are_read_and_never_shown(serve, caplog):
    class Login(msgspec.Struct):
        name: str
        password: http.SecretString

    @post("/login")
    async def login(data: Login, key: Annotated[http.SecretString, Header()]) -> dict[str, object]:
        return {"data": data, "shown": f"{data} {key}", "size": len(key), "same": key == http.SecretString("k3y")}

    client = serve(login)
    body = {"name": "ada", "password": "s3cret"}
    answer = client.post("/login", body, "application/json", headers={"Key": "k3y"})
    assert answer.json()["data"] == {"name": "ada", "password": "******"}
    assert (answer.json()["size"], answer.json()["same"]) == (3, True)
    assert "s3cret" not in answer.text and "k3y" not in answer.text
    answer = client.post("/login", {"name": "ada", "password": 5}, "application/json", headers={"Key": "k"})
    assert [error["loc"] for error in answer.json()["errors"]] == [["body", "password"]]
    document = build_document(Gateway([login]).endpoints, OpenAPISettings())
    password = document["components"]["schemas"]["Login"]["properties"]["password"]
    assert password == {"type": "string", "format": "password"}
    assert http.SecretBytes(b"x").get_secret() == b"x" and repr(http.SecretBytes(b"x")) == "SecretBytes('******')"


# --- attrs and pydantic


@attrs.define
class Point:
    x: int
    y: int = 0


class Line(pydantic.BaseModel):
    sku: str
    count: int = pydantic.Field(ge=1)


class Order(pydantic.BaseModel):
    customer: str
    lines: list[Line]


@pytest.mark.parametrize("kind", ["async", "def"])
def test_attrs_and_pydantic_models(serve, kind):
    if kind == "async":

        @post("/points")
        async def points(data: Point) -> Point:
            return data

        @post("/orders")
        async def orders(data: Order) -> Order:
            return data

    else:

        @post("/points")
        def points(data: Point) -> Point:
            return data

        @post("/orders")
        def orders(data: Order) -> Order:
            return data

    client = serve(points, orders)
    assert client.post("/points", {"x": 1}, "application/json").json() == {"x": 1, "y": 0}
    order = {"customer": "ada", "lines": [{"sku": "a", "count": 1}]}
    answer = client.post("/orders", order, "application/json")
    assert (answer.status_code, answer.json()) == (201, order)
    order["lines"] += [{"sku": 5, "count": 0}, {"sku": "b"}]
    errors = client.post("/orders", order, "application/json").json()["errors"]
    places = [(error["loc"], error["type"]) for error in errors]
    assert places == [
        (["body", "lines", 1, "sku"], "type_error"),
        (["body", "lines", 1, "count"], "value_error"),
        (["body", "lines", 2, "count"], "missing"),
    ]


def test_a_pydantic_model_inside_a_struct_and_of_a_query_and_a_form(serve):
    class Wrapped(msgspec.Struct):
        line: Line

    @post("/struct", validate_response=True)
    async def inside(data: Wrapped) -> Wrapped:
        return data

    @get("/query")
    async def query(line: Annotated[Line, Query()]) -> Line:
        return line

    @post("/form")
    async def form(line: Annotated[Line, Form()]) -> Line:
        return line

    client = serve(inside, query, form)
    assert client.post("/struct", {"line": {"sku": "a", "count": 2}}, "application/json").status_code == 201
    errors = client.post("/struct", {"line": {"sku": "a", "count": 0}}, "application/json").json()["errors"]
    assert [error["loc"] for error in errors] == [["body", "line", "count"]]
    assert client.get("/query?sku=a&count=3").json() == {"sku": "a", "count": 3}
    assert client.get("/query?sku=a&count=0").json()["errors"][0]["loc"] == ["query", "count"]
    assert client.post("/form", {"sku": "a", "count": "3"}).json() == {"sku": "a", "count": 3}


def test_the_document_holds_pydantic_models():
    @post("/orders")
    async def orders(data: Order) -> Order: ...

    schemas = build_document(Gateway([orders]).endpoints, OpenAPISettings())["components"]["schemas"]
    assert schemas["Order"]["properties"]["lines"]["items"] == {"$ref": "#/components/schemas/Line"}
    assert schemas["Line"]["required"] == ["sku", "count"]


# --- parameters of a layer


@pytest.mark.parametrize("kind", ["async", "def"])
def test_a_layer_requires_parameters_of_every_handler(serve, kind):
    if kind == "async":

        @get("/plain")
        async def plain() -> str:
            return "fine"

        @get("/named")
        async def named(tenant: str, page: int) -> str:
            return f"{tenant} {page}"

    else:

        @get("/plain")
        def plain() -> str:
            return "fine"

        @get("/named")
        def named(tenant: str, page: int) -> str:
            return f"{tenant} {page}"

    parameters = {
        "tenant": Annotated[str, Header(alias="X-Tenant", min_length=2)],
        "page": Annotated[int | None, Query(ge=1)],
        "theme": Annotated[str | None, Cookie()],
    }
    client = serve(Router("", [plain, named], parameters=parameters))
    assert client.get("/plain", headers={"X-Tenant": "acme"}).text == "fine"
    assert client.get("/named?page=3", headers={"X-Tenant": "acme"}).text == "acme 3"
    answer = client.get("/plain?page=0")
    assert [error["loc"] for error in answer.json()["errors"]] == [["query", "page"], ["header", "x-tenant"]] or [
        error["loc"] for error in answer.json()["errors"]
    ] == [["header", "x-tenant"], ["query", "page"]]


def test_the_parameters_of_a_layer_are_in_the_document_and_say_where_they_come_from():
    @get("/")
    async def view() -> None: ...

    gateway = Gateway([view], parameters={"tenant": Annotated[str, Header()]})
    [parameter] = build_document(gateway.endpoints, OpenAPISettings())["paths"]["/"]["get"]["parameters"]
    assert (parameter["name"], parameter["in"], parameter["required"]) == ("tenant", "header", True)
    with pytest.raises(ConfigurationError, match=r"must say where it comes from: Annotated\[..., Header\(\)\]"):
        Gateway([view], parameters={"tenant": str})


def test_a_layer_provides_by_name(serve):
    asked: list[str] = []

    def page(number: Annotated[int, Query(ge=1)] = 1) -> int:
        asked.append("page")
        return number * 10

    @get("/async")
    async def asynchronous(offset: int) -> int:
        return offset

    @get("/def")
    def synchronous(offset) -> int:
        return offset

    @get("/other")
    async def other() -> int:
        return 0

    client = serve(Router("", [asynchronous, synchronous, other], parameters={"offset": Annotated[int, Depends(page)]}))
    assert [client.get(path, params={"number": 2}).json() for path in ("/async", "/def")] == [20, 20]
    assert client.get("/def", params={"number": 0}).status_code == 422
    asked.clear()
    assert client.get("/other", params={"number": 0}).json() == 0
    assert asked == [], "nobody there has asked for it"


def test_a_layers_provider_that_asks_for_the_user_authenticates_first(serve):
    def name(user: User) -> str:
        return user.username

    @get("/")
    async def handler(who: str) -> str:
        return who

    client = serve(handler, parameters={"who": Annotated[str, Depends(name)]}, authentication=[BasicAuthentication()])
    assert client.get("/").status_code == 401
