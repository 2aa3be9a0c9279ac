"""Declarations that could only fail, request by request, are errors of the start, which say what to write."""

import dataclasses
import datetime
import decimal
import enum
import pathlib
import zoneinfo
from collections.abc import AsyncIterator, Generator, Iterable, Iterator
from typing import Annotated, Any, NamedTuple

import msgspec
import pydantic
import pytest
from django.contrib.auth.models import Group
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db.models import Model, QuerySet

from hybrid_gateway import (
    Body,
    Component,
    Cookie,
    Depends,
    File,
    Form,
    Gateway,
    Header,
    Path,
    Query,
    Response,
    Router,
    ServerSentEvent,
    UploadFile,
    delete,
    get,
    http,
    post,
)
from hybrid_gateway.conf import OpenAPISettings
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm import ModelStruct
from hybrid_gateway.test import TestClient


class Item(msgspec.Struct):
    name: str


class One(pydantic.BaseModel):
    one: int


class Other(pydantic.BaseModel):
    other: int


class Money:
    """Nobody knows what it is made of."""


class Priced(msgspec.Struct):
    items: list["Inner"] = []


class Inner(msgspec.Struct):
    price: Money


class Bounded(msgspec.Struct):
    price: Annotated[decimal.Decimal, msgspec.Meta(gt=0)]


class Mixed(enum.Enum):
    ONE = 1
    TWO = "two"


class Nested(msgspec.Struct):
    item: Item


class Pair(NamedTuple):
    left: int
    right: int


class GroupOut(ModelStruct, model=Group):
    id: int


def takes(kind: Any, name: str = "x") -> Any:
    exec(f"def handler({name}): ...", space := {})
    handler = space["handler"]
    handler.__annotations__ = {"return": None} if kind is None else {name: kind, "return": None}
    return handler


def returns(kind: Any, *, yields: bool = False) -> Any:
    async def stream():
        yield ""

    def answer(): ...

    handler = stream if yields else answer
    handler.__annotations__ = {"return": kind}
    return handler


def told(route: Any, words: str, **options: Any) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Gateway([route], **options)


# --- what is taken -------------------------------------------------------------------------------------------------

UNTOLD = {
    "request": "`request: Request`",
    "req": "`req: Request`",
    "data": r"`data: Item`.*`data: dict`",
    "body": "`body: Item`",
    "payload": "`payload: Item`",
    "form": r"`form: Annotated\[LoginForm, Form\(\)\]`",
    "file": "`file: UploadFile`",
    "user": "`user: User`",
    "response": "`response: Response`",
    "headers": "`headers: http.Headers`",
    "exc": "`exc: Exception`",
}


@pytest.mark.parametrize("verb", [get, post])
@pytest.mark.parametrize("name", UNTOLD)
def test_an_unannotated_name_that_means_something_else_than_query_text(name, verb):
    told(verb("/")(takes(None, name)), f"{name!r} has no annotation.*{UNTOLD[name]}.*`{name}: str`")


def test_such_a_name_is_told_in_guards_components_and_exception_handlers_too():
    def guard(request): ...

    def provide(request) -> Money: ...

    def handle(request, exc): ...

    told(get("/", guards=[guard])(returns(str)), "guard.*'request' has no annotation")
    told(get("/")(takes(Annotated[Money, Depends(provide)])), "provide.*'request' has no annotation")
    told(get("/", exception_handlers={ValueError: handle})(returns(str)), "'request' has no annotation")


def test_such_a_name_may_be_a_path_or_query_parameter_or_that_of_a_layer_or_a_component():
    class Named(Component):
        def can_handle_parameter(self, parameter: Any) -> bool:
            return parameter.name == "data"

        def resolve(self) -> str:
            return "given"

    def show(request, body: str, data, user):
        return [request, body, data, user]

    routes = Router("", [get("/{request}")(show)], parameters={"user": Annotated[str, Header()]}, components=[Named()])
    answer = TestClient(Gateway([routes])).get("/a?body=b", headers={"User": "u"})
    assert answer.json() == ["a", "b", "given", "u"]


@pytest.mark.parametrize(
    ("route", "words"),
    [
        (get("/")(takes(http.Body)), "GET and HEAD do not have. Take it on POST"),
        (get("/")(takes(Annotated[bytes, Body()])), "GET and HEAD do not have"),
        (get("/")(takes(Item)), r"Annotated\[Item, Query\(\)\]"),
        (get("/")(takes(UploadFile)), "would be a form field"),
        (get("/")(takes(Annotated[http.Body, Query()])), "text cannot hold"),
        (get("/")(takes(Annotated[Nested, Query()])), "the field 'item' of 'x' is Item, which the query cannot hold"),
        (get("/")(takes(Annotated[Nested, Header()])), "the field 'item' of 'x' is Item, which the header cannot hold"),
        (get("/")(takes(Annotated[dict[str, int], Cookie()])), "text cannot hold"),
        (get("/")(takes(Annotated[list[list[int]], Query()])), "text cannot hold"),
        (get("/")(takes(Annotated[list[int] | list[str], Query()])), "two kinds of list"),
        (get("/")(takes(Annotated[Money, Query()])), "text cannot hold Money"),
        (get("/")(takes(Annotated[Mixed, Query()])), "the values of Mixed must be all str or all int"),
        (get("/")(takes(Annotated[int, Query(ge=1.5)])), "ge=1.5 cannot be checked"),
        (get("/")(takes(Annotated[int, Query(le=2**70)])), "cannot be checked"),
        (get("/")(takes(Annotated[int, Query(ge=decimal.Decimal("1.5"))])), "is for Decimal alone"),
        (get("/")(takes(zoneinfo.ZoneInfo)), r"type_decoders=\{ZoneInfo: function\}"),
        (post("/")(takes(Item | Nested)), r"must be tagged: `class One\(Struct, tag=True\)`"),
        (post("/")(takes(One | Other)), r"Take one of them, or, of pydantic, a RootModel\[One \| Other\]"),
        (get("/{x}")(takes(list[int])), "one piece of the path, which cannot hold"),
        (get("/{x}")(takes(Item)), "one piece of the path, which cannot hold Item"),
        (get("/{x:int}")(takes(str)), "int by the converter in the path, and str by its annotation"),
        (get("/{x:int}")(takes(datetime.date)), "int by the converter"),
        (get("/{x:date}")(takes(datetime.datetime)), "date by the converter"),
        (get("/{x:float}")(takes(decimal.Decimal)), "float by the converter"),
        (get("/{x:uuid}")(takes(int)), "UUID by the converter"),
        (post("/")(takes(Priced)), "nobody makes Money of JSON.*type_decoders={Money: ...}"),
        (post("/")(takes(list[Inner])), "nobody makes Money of JSON"),
        (post("/")(takes(Bounded)), "the field 'price' of Bounded, Can only set `gt` on a numeric type"),
        (post("/")(takes(Annotated[datetime.date | datetime.datetime, Body()])), "Take one of them"),
        (post("/")(takes(Annotated[decimal.Decimal, Body(gt=0)])), "cannot be a JSON body: Can only set `gt`"),
        (post("/")(takes(Annotated[decimal.Decimal, Body(gt=decimal.Decimal("0.5"))])), "hold for text alone"),
        (post("/")(takes(Annotated[list[Inner], Form()])), "nobody makes Money of JSON"),
        (post("/")(takes(Annotated[complex, Body()])), "nobody makes complex of JSON"),
        (post("/")(takes(Annotated[Money, Form()])), "no field of a form can hold"),
        (post("/")(takes(Annotated[UploadFile, File(max_size=60_000_000)])), "60,000,000 bytes.*at most 52,428,800"),
        (post("/", max_upload_size=5)(takes(Annotated[list[UploadFile], File(max_size=6)])), "at most 5"),
        (get("/")(takes(Annotated[list[Annotated[int, Query(alias="y")]], Query()])), "belongs around the whole"),
    ],
)
def test_what_cannot_be_read(route, words):
    told(route, words)


def test_constraints_of_other_packages_are_told():
    pydantic, annotated_types = pytest.importorskip("pydantic"), pytest.importorskip("annotated_types")
    told(get("/")(takes(Annotated[int, pydantic.Field(gt=0)])), "of pydantic, which nobody would check. Write Query")
    told(get("/")(takes(Annotated[int | None, annotated_types.Gt(0)])), "of annotated_types, which nobody would check")


CONVERTED = [
    ("int", int, "007", 7),
    ("int", float, "7", 7.0),
    ("int", decimal.Decimal, "7", decimal.Decimal(7)),
    ("int", int | None, "7", 7),
    ("int", int | float, "7", 7),
    ("int", Annotated[int, Path(ge=1)], "7", 7),
    ("decimal", float, "1.5", 1.5),
    ("decimal", decimal.Decimal, "1e3", decimal.Decimal("1e3")),
    ("float", float, "1e5", 1e5),
    ("date", datetime.date | datetime.datetime, "2020-01-31", datetime.date(2020, 1, 31)),
    ("str", int, "007", 7),
    ("path", pathlib.Path, "a/b", pathlib.Path("a/b")),
    ("path", pathlib.PurePosixPath | None, "a/b", pathlib.PurePosixPath("a/b")),
    ("path", str, "a/b", "a/b"),
]


@pytest.mark.parametrize(("converter", "kind", "text", "value"), CONVERTED)
def test_an_annotation_that_follows_from_the_converter_is_what_is_given(serve, converter, kind, text, value):
    def show(x):
        return repr(x)

    show.__annotations__ = {"x": kind, "return": str}
    assert serve(get(f"/{{x:{converter}}}")(show)).get(f"/{text}").text == repr(value)


# --- what is answered ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        *((returns(kind), "Make a ModelStruct") for kind in (
            Group, list[Group], Group | None, dict[str, Group], tuple[Group, int], Model,
        )),
        *((returns(kind), "a status goes with the value always, or never") for kind in (
            Item | tuple[Item, int], tuple[Item, int] | None, tuple[Item, int] | tuple[Pair, int],
        )),
        *((returns(kind, yields=True), "a stream is made of str or bytes") for kind in (
            AsyncIterator[dict], AsyncIterator[Item], AsyncIterator[int | str], AsyncIterator[list[int]],
            Iterator[dict[str, int]], Generator[Item, None, None], Iterable[Item],
        )),
        (returns(Iterator[Item]), "a stream is made of str or bytes"),
        (returns(list[int], yields=True), "the handler yields"),
        *((returns(kind), "nobody knows how Money is sent.*type_encoders={Money: ...}") for kind in (
            Money, list[Money], Priced, Money | None, tuple[Money, int],
        )),
        (returns(complex), "nobody knows how complex is sent"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("verb", [get, post, delete])
def test_what_cannot_be_sent(handler, words, verb):
    told(verb("/")(handler), words)


@pytest.mark.parametrize(
    ("handler", "options"),
    [
        (returns(Group), {"response": GroupOut}),
        (returns(QuerySet[Group]), {"response": list[GroupOut]}),
        (returns(Money), {"type_encoders": {Money: repr}}),
        (returns(Priced), {"type_encoders": {Money: repr}}),
        (returns(AsyncIterator[str], yields=True), {}),
        (returns(AsyncIterator[bytes | str], yields=True), {}),
        (returns(AsyncIterator[ServerSentEvent], yields=True), {}),
        (returns(AsyncIterator[Any], yields=True), {}),
        (returns(Iterable[Item]), {}),
        (returns(Item | Response), {}),
        (returns(Response[Item] | None), {}),
        (returns(tuple[Item, int]), {}),
        (returns(tuple[int, int, int]), {}),
        (returns(list[Pair]), {}),
        (returns(object), {}),
        (returns(dict[str, object]), {}),
        (returns(pathlib.Path), {}),
        (returns(set[Mixed]), {}),
    ],
)
def test_what_can_be_sent_is_not_told(handler, options):
    Gateway([get("/", **options)(handler)])


# --- errors that name fields ---------------------------------------------------------------------------------------


class Booking(msgspec.Struct, rename="camel"):
    first_day: int
    last_day: int = 9

    def __post_init__(self) -> None:
        if self.last_day < self.first_day:
            raise ValidationError({"last_day": ["Too early.", "Before the first."], NON_FIELD_ERRORS: "No such stay."})
        if self.last_day == 13:
            raise ValidationError("Never on that day.")
        if self.last_day == 14:
            raise ValueError("Nor then.")


@dataclasses.dataclass
class Stay:
    name: str
    booking: Booking

    def __post_init__(self) -> None:
        if self.name == "nobody":
            raise ValidationError({"name": "Who?"})


def found(answer: Any) -> list[tuple[list[Any], str]]:
    assert answer.status_code == 422, answer.text
    return [(error["loc"], error["msg"]) for error in answer.json()["errors"]]


EARLY = [("lastDay", "Too early."), ("lastDay", "Before the first."), (None, "No such stay.")]


@pytest.mark.parametrize("driver", ["sync", "async"])
def test_what_a_post_init_raises_names_fields_as_clients_call_them(serve, driver):
    def handler(kind: Any) -> Any:
        def respond(x): ...

        async def respond_async(x): ...

        made = respond if driver == "sync" else respond_async
        made.__annotations__ = {"x": kind, "return": None}
        return made

    client = serve(
        post("/body", media_types=["application/json", "application/msgpack"])(handler(Booking)),
        post("/list")(handler(list[Booking])),
        post("/stay")(handler(Stay)),
        post("/form")(handler(Annotated[Booking, Form()])),
        get("/query")(handler(Annotated[Booking, Query()])),
    )
    wrong = {"firstDay": 5, "lastDay": 1}

    def at(*place: Any) -> list[Any]:
        return [([*place, name] if name else [*place], message) for name, message in EARLY]

    assert found(client.post("/body", wrong, "application/json")) == at("body")
    assert found(client.post("/body", msgspec.msgpack.encode(wrong), "application/msgpack")) == at("body")
    assert found(client.post("/list", [{"firstDay": 1}, wrong], "application/json")) == at("body", 1)
    assert found(client.post("/stay", {"name": "a", "booking": wrong}, "application/json")) == at("body", "booking")
    assert found(client.post("/form", data=wrong)) == at("body")
    assert found(client.get("/query", params=wrong)) == at("query")
    nobody = {"name": "nobody", "booking": {"firstDay": 1}}
    assert found(client.post("/stay", nobody, "application/json")) == [(["body", "name"], "Who?")]
    for day, message in ((13, "Never on that day."), (14, "Nor then.")):
        assert found(client.get("/query", params={"firstDay": 1, "lastDay": day})) == [(["query"], message)]


# --- Structs inside forms ------------------------------------------------------------------------------------------


class Address(msgspec.Struct):
    street: str
    floor: int = 0


class Order(msgspec.Struct):
    name: str
    address: Address
    others: list[Address] = []
    amounts: dict[str, decimal.Decimal] = {}
    note: Address | None = None


def test_a_struct_inside_a_form_is_json_in_its_field(serve):
    @post("/")
    def order(form: Annotated[Order, Form()]) -> Order:
        return form

    client = serve(order)
    sent = {"name": "a", "address": '{"street": "x"}', "note": ""}
    made = {"name": "a", "address": {"street": "x", "floor": 0}, "others": [], "amounts": {}, "note": None}
    assert client.post("/", data=sent).json() == made
    for others in (['{"street": "y"}', '{"street": "z"}'], ['[{"street": "y"}, {"street": "z"}]']):
        answer = client.post("/", data={**sent, "others": others, "amounts": '{"a": "1.5"}'}).json()
        assert [entry["street"] for entry in answer["others"]] == ["y", "z"]
        assert answer["amounts"] == {"a": "1.5"}
    body = "name=a&address=%7B%22street%22%3A%22x%22%7D"
    assert client.post("/", body, "application/x-www-form-urlencoded").json() == made
    wrong = client.post("/", data={"address": '{"floor": "x"}', "others": ['{"street": 1}'], "amounts": '{"a": "NaN"}'})
    assert [error["loc"] for error in wrong.json()["errors"]] == [
        ["body", "name"],
        ["body", "address", "street"],
        ["body", "address", "floor"],
        ["body", "others", 0, "street"],
        ["body", "amounts", "a"],
    ]
    for text in ("{", "[" * 5000, "x", "null"):
        assert found(client.post("/", data={**sent, "address": text}))[0][0] == ["body", "address"]


def test_such_a_field_is_json_in_the_document_too():
    @post("/")
    def order(form: Annotated[Order, Form()]) -> None: ...

    gateway = Gateway([order], openapi=OpenAPISettings(enabled=True))
    document = TestClient(gateway).get("/openapi.json").json()
    for content in document["paths"]["/"]["post"]["requestBody"]["content"].values():
        assert content["encoding"] == dict.fromkeys(
            ("address", "others", "amounts", "note"), {"contentType": "application/json"}
        )


def test_a_list_of_structs_or_a_dict_may_be_a_field_of_its_own(serve):
    @post("/")
    def order(lines: Annotated[list[Address], Form()], extra: Annotated[dict[str, int] | None, Form()] = None) -> str:
        return f"{len(lines)} {extra}"

    client = serve(order)
    assert client.post("/", data={"lines": ['{"street": "x"}'], "extra": '{"a": 1}'}).text == "1 {'a': 1}"
    assert found(client.post("/", data={"extra": '{"a": "x"}'})) == [
        (["body", "lines"], "Field required"),
        (["body", "extra", "a"], "Expected `int`, got `str`"),
    ]
