"""Types in the document that others stumbled over: unions of Structs, classes of one name, models of pydantic."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import itertools
import json
import os
import re
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, NamedTuple, TypedDict, TypeVar

import attrs
import msgspec
import pydantic
import pytest
from django.contrib.auth import get_user_model
from django.core import validators
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import QuerySet

from hybrid_gateway import Body, Cookie, Form, Gateway, Header, Query, Response, get, post, put
from hybrid_gateway.auth import APIKeyAuthentication, Authentication, AuthenticationScheme
from hybrid_gateway.conf import OpenAPISettings
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.openapi.schema import Schemas
from hybrid_gateway.openapi.schema_types import Use
from hybrid_gateway.orm import Column, ModelStruct
from hybrid_gateway.orm.columns.column_constraints import constrained
from hybrid_gateway.test import TestClient
from tests.library.models import Book

openapi_spec_validator = pytest.importorskip("openapi_spec_validator", reason="needs the extra `test`")
User = get_user_model()
T = TypeVar("T")
REF = "#/components/schemas/"


def document(*routes: Any, **options: Any) -> dict[str, Any]:
    gateway = Gateway(list(routes), openapi=OpenAPISettings(enabled=True), **options)
    response = TestClient(gateway).get("/openapi.json")
    assert response.status_code == 200, response.text
    openapi_spec_validator.validate(response.json())
    return response.json()


def answer(found: dict[str, Any], path: str, status: str = "200") -> Any:
    [operation] = found["paths"][path].values()
    return operation["responses"][status]["content"]


class Mini(msgspec.Struct):
    id: int


class Full(msgspec.Struct):
    """All there is."""

    id: int
    other: Full | Mini | None = None
    parts: list[Full | Mini] = []


class Pair(NamedTuple):
    left: Full | Mini
    right: int = 2


class Keyed(TypedDict, total=False):
    one: Full | Mini


@dataclasses.dataclass
class Data:
    one: Full | Mini
    many: dict[str, Full | Mini] = dataclasses.field(default_factory=dict)


@attrs.define
class Defined:
    one: Full | Mini
    name: str = "a"


class Box(msgspec.Struct, Generic[T]):
    content: T


EITHER = {"anyOf": [{"$ref": f"{REF}Full"}, {"$ref": f"{REF}Mini"}]}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Full | Mini, EITHER),
        (Full | Mini | None, {"anyOf": [EITHER, {"type": "null"}]}),
        (Annotated[Full | Mini, msgspec.Meta(description="Either.")], {**EITHER, "description": "Either."}),
        (list[Full | Mini], {"type": "array", "items": EITHER}),
        (tuple[Full | Mini, ...], {"type": "array", "items": EITHER}),
        (dict[str, Full | Mini], {"type": "object", "additionalProperties": EITHER}),
        (dict[str, list[Full | Mini]], {"type": "object", "additionalProperties": {"type": "array", "items": EITHER}}),
    ],
)
def test_a_union_of_structs_is_a_choice_wherever_it_stands(kind, expected):
    assert Schemas().schema(kind) == expected


@pytest.mark.parametrize(
    ("kind", "field", "required"),
    [
        (Full, "other", ["id"]),
        (Keyed, "one", None),
        (Data, "one", ["one"]),
        (Defined, "one", ["one"]),
        (Box[Full | Mini], "content", ["content"]),
    ],
)
def test_a_union_of_structs_is_a_choice_in_every_kind_of_class(kind, field, required):
    schemas = Schemas()
    name = schemas.schema(kind)["$ref"].removeprefix(REF)
    component = schemas.components[name]
    assert EITHER in (component["properties"][field], component["properties"][field].get("anyOf", [None])[0])
    assert component.get("required") == required
    assert {"Full", "Mini"} <= schemas.components.keys()
    assert schemas.components["Full"]["description"] == "All there is."


def test_a_named_tuple_of_unions_is_one_of_choices():
    schemas = Schemas()
    schemas.schema(Pair)
    assert schemas.components["Pair"]["prefixItems"] == [EITHER, {"type": "integer", "default": 2}]
    assert schemas.components["Pair"]["minItems"] == 1


def test_an_answer_of_either_is_one_of_them():
    @get("/either")
    def either() -> Full | Mini:
        return Mini(1)

    found = document(either)
    assert answer(found, "/either") == {"application/json": {"schema": EITHER}}
    assert TestClient(Gateway([either])).get("/either").json() == {"id": 1}


# --- tuples


@pytest.mark.parametrize("kinds", [(int,), (int, int), (int, str), (int, str, int)])
def test_the_entries_of_tuples_are_a_choice_of_two_or_more_as_well(kinds):
    # openapi-python-client cannot read `items: false`, and hey-api takes one type there for that of one more entry.
    schema = Schemas().schema(tuple[kinds])
    assert schema["minItems"] == schema["maxItems"] == len(schema["prefixItems"]) == len(kinds)
    assert all(entry in schema["prefixItems"] for entry in schema["items"]["anyOf"])
    assert len(schema["items"]["anyOf"]) > 1
    assert Schemas().schema(tuple[()]) == {"type": "array", "minItems": 0, "maxItems": 0, "items": {}}


@pytest.mark.parametrize(("strict", "status"), [(False, 201), (True, 422)])
def test_what_comes_behind_the_fields_of_a_struct_like_an_array_is_told_as_it_is_taken(strict, status):
    kind = msgspec.defstruct("Row", [("a", int), ("b", str)], array_like=True, forbid_unknown_fields=strict)
    schemas = Schemas()
    schemas.schema(kind, Use.RECEIVED)
    assert ("maxItems" in schemas.components["Row"]) is strict

    def handler(data): ...

    handler.__annotations__["data"] = kind
    assert TestClient(Gateway([post("/")(handler)])).post("/", json=[1, "a", 5]).status_code == status


# --- models of pydantic, and names


def nested(module: str, kind: Any) -> Any:
    """A model of pydantic in a module, with another inside it, of which there may be more of that name."""
    inner = pydantic.create_model("Row", __module__=module, value=(kind, ...))
    return pydantic.create_model(f"Table{module.title()}", __module__=module, rows=(list[inner], ...))


def test_nested_models_of_one_name_are_told_apart_and_from_structs():
    one, other = nested("shop", int), nested("stock", str)
    struct = msgspec.defstruct("Row", [("value", bool)], module="ours")
    schemas = Schemas()
    for kind in (struct, one, other):
        schemas.schema(kind)
    rows = {name: schema for name, schema in schemas.components.items() if "Row" in name}
    assert list(rows) == ["Row", "shop_Row", "stock_Row"]
    assert [schema["properties"]["value"]["type"] for schema in rows.values()] == ["boolean", "integer", "string"]
    for name, kind in (("TableShop", "integer"), ("TableStock", "string")):
        inner = schemas.components[name]["properties"]["rows"]["items"]["$ref"].removeprefix(REF)
        assert schemas.components[inner]["properties"]["value"]["type"] == kind
        assert schemas.components[inner]["title"] == inner


class Node(pydantic.BaseModel):
    children: list[Node] = []
    colour: Colour | None = None


class Colour(enum.Enum):
    RED = "red"


Node.model_rebuild()


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]


class Owner(pydantic.BaseModel):
    pet: Annotated[Cat | Dog, pydantic.Field(discriminator="kind")]


def test_a_model_that_holds_itself_and_an_enum_that_is_known_already():
    schemas = Schemas()
    schemas.schema(Colour)
    schemas.schema(Node)
    assert schemas.components.keys() == {"Colour", "Node"}
    assert schemas.components["Node"]["properties"]["children"]["items"] == {"$ref": f"{REF}Node"}


def test_discriminators_of_pydantic_lead_to_components():
    schemas = Schemas()
    schemas.schema(Owner)
    mapping = schemas.components["Owner"]["properties"]["pet"]["discriminator"]["mapping"]
    assert mapping == {"cat": f"{REF}Cat", "dog": f"{REF}Dog"}


def test_a_model_that_pydantic_cannot_describe_leaves_the_document_open_there(caplog):
    class Strange(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
        what: object = pydantic.Field(default_factory=object)
        call: Gateway | None = None

    @get("/strange")
    def strange() -> Strange: ...

    assert document(strange)["components"]["schemas"]["Strange"] == {"title": "Strange"}
    assert "Strange" in caplog.text


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a.b", "a_b"], ["a_b", "a_b_get"]),
        (["getItem", "getitem"], ["getItem", "getitem_get"]),
        (["get_item", "getItem"], ["get_item", "getItem_get"]),
        (["GET_ITEM", "getItem", "get:item"], ["GET_ITEM", "getItem_get", "get_item_get_2"]),
    ],
)
def test_operation_ids_are_not_one_in_another_case(names, expected):
    handlers = [get(f"/{number}", name=name)(lambda: None) for number, name in enumerate(names)]
    found = document(*handlers)["paths"]
    assert [item["get"]["operationId"] for item in found.values()] == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["Item", "item"], ["Item", "tests_item"]),
        (["A_B", "AB"], ["A_B", "tests_AB"]),
        (["Ärger", "Arger"], ["rger", "Arger"]),
    ],
)
def test_components_are_not_one_in_another_case(names, expected):
    schemas = Schemas()
    for name in names:
        schemas.schema(msgspec.defstruct(name, [("value", int)], module="tests"))
    assert list(schemas.components) == expected


# --- received and sent


class Priced(msgspec.Struct):
    price: decimal.Decimal


class Basket(msgspec.Struct):
    lines: list[Priced] = []
    inner: Basket | None = None


class Plain(msgspec.Struct):
    name: str


class Renamed(pydantic.BaseModel):
    twice: int = pydantic.Field(validation_alias="in", serialization_alias="out")

    @pydantic.computed_field
    @property
    def total(self) -> int:
        return 2 * self.twice


def test_a_class_that_is_received_otherwise_than_sent_is_two_components():
    @put("/basket")
    def basket(data: Basket) -> Basket:
        return data

    @put("/plain")
    def plain(data: Plain) -> Plain:
        return data

    @put("/model")
    def model(data: Renamed) -> Renamed:
        return data

    found = document(basket, plain, model)["components"]["schemas"]
    assert found.keys() - {"Problem", "ProblemError"} == {
        *("Basket", "BasketInput", "Priced", "PricedInput", "Plain", "Renamed", "RenamedInput")
    }
    assert found["Priced"]["properties"]["price"]["type"] == "string"
    assert found["PricedInput"]["properties"]["price"]["type"] == ["string", "number"]
    assert found["BasketInput"]["properties"]["lines"]["items"] == {"$ref": f"{REF}PricedInput"}
    assert found["BasketInput"]["properties"]["inner"]["anyOf"][0] == {"$ref": f"{REF}BasketInput"}
    assert found["Renamed"]["required"] == ["out", "total"]
    assert found["RenamedInput"]["required"] == ["in"]
    client = TestClient(Gateway([basket, model]))
    assert client.put("/basket", json={"lines": [{"price": 1.5}]}).json()["lines"] == [{"price": "1.5"}]
    assert client.put("/model", json={"in": 2}).json() == {"out": 2, "total": 4}


def test_a_class_that_is_only_received_keeps_its_name():
    @put("/basket")
    def basket(data: Basket) -> None: ...

    found = document(basket)["components"]["schemas"]
    assert found.keys() - {"Problem", "ProblemError"} == {"Basket", "Priced"}
    assert found["Priced"]["properties"]["price"]["type"] == ["string", "number"]


def test_what_webhooks_receive_is_what_we_send():
    @post("", name="sold")
    async def sold(data: Priced) -> None: ...

    settings = OpenAPISettings(enabled=True, webhooks=(sold,))
    found = TestClient(Gateway([], openapi=settings)).get("/openapi.json").json()
    assert found["components"]["schemas"]["Priced"]["properties"]["price"]["type"] == "string"


# --- decimals in bodies


@dataclasses.dataclass
class Amounts:
    one: decimal.Decimal
    many: list[decimal.Decimal | None] = dataclasses.field(default_factory=list)
    pair: tuple[int, decimal.Decimal] | None = None
    inner: Basket | None = None
    by_name: dict[str, decimal.Decimal] = dataclasses.field(default_factory=dict)
    by_amount: dict[decimal.Decimal, int] = dataclasses.field(default_factory=dict)


WRONG = ["NaN", "-Infinity", "sNaN", "1e999999", "-1e-999999"]


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize(
    ("place", "make"),
    [
        (["one"], lambda wrong: {"one": wrong}),
        (["many", 1], lambda wrong: {"one": "1", "many": [None, wrong]}),
        (["pair", 1], lambda wrong: {"one": 1, "pair": [0, wrong]}),
        (["inner", "lines", 0, "price"], lambda wrong: {"one": 1.5, "inner": {"lines": [{"price": wrong}]}}),
        (["inner", "inner", "lines", 0, "price"], lambda w: {"one": 1, "inner": {"inner": {"lines": [{"price": w}]}}}),
        (["by_name", "a"], lambda wrong: {"one": 1, "by_name": {"a": wrong}}),
    ],
)
def test_what_is_no_decimal_number_is_refused_in_bodies(serve, wrong, place, make):
    @post("/")
    def handler(data: Amounts) -> str:
        return str(data.one > 0)  # which raises for NaN

    response = serve(handler).post("/", json=make(wrong))
    assert response.status_code == 422
    assert response.json()["errors"] == [
        {"loc": ["body", *place], "msg": "Invalid decimal string", "type": "value_error"}
    ]


@pytest.mark.parametrize("kind", [decimal.Decimal, list[decimal.Decimal], decimal.Decimal | None])
def test_decimals_alone_are_bodies_and_looked_at(kind):
    @post("/")
    def handler(data: Annotated[kind, Body()]) -> str:  # type: ignore[valid-type]
        return "ok"

    client = TestClient(Gateway([handler]))
    for value, status in (("1.5", 201), (1.5, 201), ("1e300", 201), ("NaN", 422), ("1e5000", 422)):
        body = [value] if kind == list[decimal.Decimal] else value
        assert client.post("/", json=body).status_code == status, value
    assert client.post("/", data=b"1e5000", content_type="application/json").status_code in (400, 422)


@pytest.mark.parametrize(("digits", "places"), [(8, 2), (2, 2), (3, 0), (1, 0), (5, 4), (4, 1)])
def test_the_pattern_of_a_decimal_column_is_what_its_validator_takes(digits, places):
    field = models.DecimalField(max_digits=digits, decimal_places=places)
    schema = Schemas().schema(constrained(decimal.Decimal, field), Use.RECEIVED)
    assert schema["multipleOf"] == 10**-places
    assert schema["exclusiveMaximum"] == -schema["exclusiveMinimum"] == 10 ** (digits - places)
    assert "multipleOf" not in Schemas().schema(constrained(decimal.Decimal, field))
    wholes = ["", "0", "00", "5", "12", "123", "0012", "99999", "123456", "1234567"]
    fractions = ["", ".", ".0", ".5", ".05", ".12", ".123", ".1200", ".12345"]
    for text in map("".join, itertools.product(["", "-", "+"], wholes, fractions)):
        try:
            field.run_validators(decimal.Decimal(text))
            fits = True
        except (decimal.InvalidOperation, ValidationError):
            fits = False
        assert bool(re.search(schema["pattern"], text)) is fits, text


def test_the_bounds_of_a_decimal_column_are_shown():
    field = models.DecimalField(
        max_digits=4,
        decimal_places=1,
        validators=[validators.MinValueValidator(0), validators.MaxValueValidator(decimal.Decimal("99.5"))],
    )
    schema = Schemas().schema(constrained(decimal.Decimal | None, field), Use.RECEIVED)
    assert (schema["minimum"], schema["maximum"], schema["type"]) == (0, 99.5, ["string", "number", "null"])
    assert not re.search(schema["pattern"], "-1")


# --- text, or JSON


class Word(enum.StrEnum):
    ONE = "one"


class Size(enum.Enum):
    SMALL = "small"


@pytest.mark.parametrize(
    ("kind", "value", "media_type"),
    [
        (Word, Word.ONE, "text/plain"),
        (Size, Size.SMALL, "application/json"),
        (Literal["a", "b"], "a", "text/plain"),
        (Literal[1, 2], 1, "application/json"),
        (Literal["a", 1], "a", "text/plain"),
        (Literal["a", 1], 1, "application/json"),
        (int | Literal["a"], "a", "text/plain"),
        (datetime.date, datetime.date(2020, 1, 2), "application/json"),
        (Any, "a", "text/plain"),
        (Any, b"a", "application/octet-stream"),
        (Any, [1], "application/json"),
    ],
)
def test_the_content_type_is_that_of_the_value(kind, value, media_type):
    def handler():
        return value

    handler.__annotations__["return"] = kind
    route = get("/")(handler)
    content = answer(document(route), "/")
    assert media_type in content
    served = TestClient(Gateway([route])).get("/").headers["content-type"].partition(";")[0]
    assert served == media_type


# --- what cannot be written


if TYPE_CHECKING:
    from nowhere import Missing


class Lost(msgspec.Struct):
    what: Missing


@pytest.mark.parametrize("place", ["data", "return"])
@pytest.mark.parametrize("kind", [Lost, list[Lost], dict[str, Lost | None]])
def test_an_annotation_without_a_meaning_is_told_at_start_up(kind, place):
    def handler(data: Any) -> Any: ...

    handler.__annotations__[place] = kind
    with pytest.raises(ConfigurationError, match=r"/lost.*'Missing' is unknown at run time.*TYPE_CHECKING"):
        Gateway([post("/lost")(handler)])


def test_where_nothing_is_made_of_it_the_document_is_left_open(caplog):
    def handler(): ...

    handler.__annotations__["return"] = Response[Lost]
    lost = get("/lost")(handler)

    @get("/found")
    def found() -> Plain: ...

    written = document(lost, found)
    assert answer(written, "/lost") == {"application/json": {"schema": {}}}
    assert answer(written, "/found") == {"application/json": {"schema": {"$ref": f"{REF}Plain"}}}
    assert "'Missing' has no meaning at run time" in caplog.text


# --- schemes of one's own


class ByHeader(AuthenticationScheme):
    """Asks the billing system."""

    def authenticate(self, key: Annotated[str | None, Header(alias="X-Billing")] = None) -> Authentication | None: ...


class ByQuery(AuthenticationScheme):
    def authenticate(self, key: Annotated[str | None, Query()] = None) -> Authentication | None: ...


class ByCookie(AuthenticationScheme):
    def authenticate(self, key: Annotated[str | None, Cookie(alias="k")] = None) -> Authentication | None: ...


class ByKeyword(AuthenticationScheme):
    keywords = ("Hawk",)

    def authenticate(self) -> Authentication | None: ...


class ByCarrier(AuthenticationScheme):
    carriers = ("X-Signature",)

    def authenticate(self) -> Authentication | None: ...


class Silent(AuthenticationScheme):
    def authenticate(self) -> Authentication | None: ...


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        (
            ByHeader,
            {"type": "apiKey", "in": "header", "name": "x-billing", "description": "Asks the billing system."},
        ),
        (ByQuery, {"type": "apiKey", "in": "query", "name": "key"}),
        (ByCookie, {"type": "apiKey", "in": "cookie", "name": "k"}),
        (ByKeyword, {"type": "http", "scheme": "hawk"}),
        (ByCarrier, {"type": "apiKey", "in": "header", "name": "X-Signature"}),
        (Silent, {"type": "apiKey", "in": "header", "name": "Authorization"}),
    ],
)
def test_a_scheme_that_says_nothing_of_itself_is_described_by_how_it_authenticates(scheme, expected):
    @get("/me")
    def me(user: User) -> str: ...

    found = document(me, authentication=[scheme()])
    assert found["components"]["securitySchemes"] == {scheme.__name__: expected}
    assert found["paths"]["/me"]["get"]["security"] == [{scheme.__name__: []}]
    assert "parameters" not in found["paths"]["/me"]["get"]


# --- from run to run


def test_the_document_is_the_same_whatever_hashes_are():
    program = textwrap.dedent("""
        import enum, os, typing
        os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
        import django; django.setup()
        import msgspec
        from hybrid_gateway import Gateway, Query, get
        from hybrid_gateway.conf import OpenAPISettings
        from hybrid_gateway.openapi.document import build_document
        class A(msgspec.Struct):
            kinds: frozenset[str] = frozenset({"a", "b", "c", "d"})
            pick: typing.Literal["x", "y", "z"] = "x"
        @get("/a", tags=["t", "s", "u"])
        def a(q: typing.Annotated[set[str], Query()] = {"p", "q", "r"}) -> dict[typing.Literal["k", "l"], A]: ...
        print(msgspec.json.encode(build_document(Gateway([a]).endpoints, OpenAPISettings())).decode())
    """)
    found = set()
    for seed in ("1", "2", "3"):
        ran = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(json.dumps(json.loads(ran.stdout)))
    assert len(found) == 1
    [text] = found
    assert '"default": ["a", "b", "c", "d"]' in text


# --- what else is answered


def statuses(*routes: Any, **options: Any) -> list[list[str]]:
    found = document(*routes, **options)["paths"].values()
    return [list(operation["responses"]) for item in found for operation in item.values()]


def test_credentials_in_a_cookie_need_a_token_of_django_for_what_changes_something():
    @get("/", authentication=[APIKeyAuthentication(cookie="key")])
    def read(user: User) -> str: ...

    @post("/", authentication=[APIKeyAuthentication(cookie="key")])
    def write(user: User) -> str: ...

    @post("/header", authentication=[APIKeyAuthentication()])
    def by_header(user: User) -> str: ...

    assert statuses(read, write, by_header) == [["200", "401"], ["201", "401", "403"], ["201", "401"]]


def test_what_options_of_layers_answer_is_in_the_document():
    @get("/slow", timeout=1.0)
    async def slow() -> str: ...

    @get("/tagged", etag=True)
    def tagged() -> dict[str, int]: ...

    @get("/cookie", response_cookies={"id": "7"})
    def cookie() -> int: ...

    assert statuses(slow, tagged, cookie) == [["200", "504"], ["200", "304"], ["200"]]
    found = document(tagged, cookie)["paths"]
    assert found["/tagged"]["get"]["responses"]["200"]["headers"].keys() == {"ETag"}
    assert found["/cookie"]["get"]["responses"]["200"]["headers"].keys() == {"Set-Cookie"}


def test_rows_in_lines_are_a_content_of_their_own():
    @get("/books", response=list[Title], chunked=True)
    def books() -> QuerySet[Book]: ...

    content = answer(document(books), "/books")
    assert content["application/json"] == {"schema": {"type": "array", "items": {"$ref": f"{REF}Title"}}}
    assert content["application/x-ndjson"] == {"schema": {"$ref": f"{REF}Title"}}


class Title(ModelStruct, model=Book):
    title: str
    isbn: Annotated[str, Column(write_only=True)]
    pages: Annotated[int, Column(read_only=True)]


def test_what_is_only_written_or_only_read_is_said_where_it_counts():
    @put("/books")
    def books(data: Title) -> Title: ...

    found = document(books)["components"]["schemas"]
    assert found["TitleInput"]["properties"] == {
        "title": {"type": "string", "minLength": 1, "maxLength": 80},
        "isbn": {"type": "string", "minLength": 1, "maxLength": 13, "writeOnly": True},
        "pages": {"type": "integer", "minimum": 1, "readOnly": True},
    }
    assert found["TitleInput"]["required"] == ["title", "isbn"]
    # A row may hold what no client could have sent.
    assert found["Title"]["properties"] == {
        "title": {"type": "string", "maxLength": 80},
        "pages": {"type": "integer", "readOnly": True},
    }
    assert found["Title"]["required"] == ["title"]


# --- Structs of parameters


class Asked(pydantic.BaseModel):
    size: int = pydantic.Field(3, ge=1, le=9, description="How many.")
    word: Annotated[str, pydantic.Field(min_length=2, pattern="^x")]
    kinds: list[int] = []
    other: str = pydantic.Field("a", alias="theOther")
    third: int = pydantic.Field(4, validation_alias="in")


class Wanted(msgspec.Struct, rename="camel"):
    word: Annotated[str, msgspec.Meta(min_length=2)]
    first_size: int = 3
    kinds: list[int] = []
    colour: Colour = Colour.RED
    since: datetime.date = datetime.date(2020, 1, 2)


@dataclasses.dataclass
class Given:
    word: str
    size: Annotated[int, msgspec.Meta(ge=1)] = 3
    kinds: list[int] = dataclasses.field(default_factory=list)


@pytest.mark.parametrize("marker", [Query(), Form()])
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (
            Asked,
            {
                "size": {"type": "integer", "minimum": 1, "maximum": 9, "default": 3},
                "word": {"type": "string", "minLength": 2, "pattern": "^x"},
                "kinds": {"type": "array", "items": {"type": "integer"}, "default": []},
                "theOther": {"type": "string", "default": "a"},
                "in": {"type": "integer", "default": 4},
            },
        ),
        (
            Wanted,
            {
                "word": {"type": "string", "minLength": 2},
                "firstSize": {"type": "integer", "default": 3},
                "kinds": {"type": "array", "items": {"type": "integer"}, "default": []},
                "colour": {"$ref": f"{REF}Colour", "default": "red"},
                "since": {"type": "string", "format": "date", "default": "2020-01-02"},
            },
        ),
        (
            Given,
            {
                "word": {"type": "string"},
                "size": {"type": "integer", "minimum": 1, "default": 3},
                "kinds": {"type": "array", "items": {"type": "integer"}, "default": []},
            },
        ),
    ],
)
def test_defaults_and_bounds_of_structs_of_parameters_are_shown(marker, kind, expected):
    def handler(asked): ...

    handler.__annotations__["asked"] = Annotated[kind, marker]
    [operation] = document(post("/")(handler))["paths"]["/"].values()
    if isinstance(marker, Query):
        found = {entry["name"]: entry["schema"] for entry in operation["parameters"]}
        required = [entry["name"] for entry in operation["parameters"] if entry.get("required")]
    else:
        form = operation["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]
        found, required = form["properties"], form["required"]
    shown = {
        name: {key: value for key, value in schema.items() if key != "description"} for name, schema in found.items()
    }
    assert (shown, required) == (expected, ["word"])


def test_a_parameter_of_a_model_of_pydantic_goes_by_the_name_that_it_validates():
    @get("/")
    def handler(asked: Annotated[Asked, Query()]) -> dict[str, Any]:
        return asked.model_dump()

    answered = TestClient(Gateway([handler])).get("/?word=xy&in=7&theOther=b").json()
    assert (answered["third"], answered["other"]) == (7, "b")
