"""The OpenAPI document and its page: what they say, when they are served, and that the page works in a browser."""

from __future__ import annotations

import datetime
import decimal
import enum
import functools
import re
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypedDict, TypeVar

import msgspec
import pytest
from django.contrib.auth import get_user_model
from django.db import models
from django.db.models import QuerySet
from django.http import HttpResponse
from django.test import override_settings
from django.utils.safestring import SafeString

from hybrid_gateway import (
    Body,
    Controller,
    Cookie,
    Depends,
    Gateway,
    Header,
    HTMLResponse,
    Include,
    Path,
    Query,
    RedirectResponse,
    Request,
    Response,
    Route,
    Router,
    Session,
    StreamingResponse,
    delete,
    get,
    http,
    patch,
    post,
    put,
    route,
)
from hybrid_gateway.auth import (
    AllowAny,
    Authentication,
    AuthenticationScheme,
    BasicAuthentication,
    IsAuthenticated,
    TokenAuthentication,
)
from hybrid_gateway.conf import OpenAPISettings
from hybrid_gateway.openapi.document import build_document
from hybrid_gateway.openapi.schema import Schemas
from hybrid_gateway.test import TestClient
from tests.sites.threaded_server import serve_in_thread

openapi_spec_validator = pytest.importorskip("openapi_spec_validator", reason="needs the extra `test`")

User = get_user_model()
ENABLED = OpenAPISettings(title="Shop", version="2.1", enabled=True)
DECIMAL = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"


def document(*routes: Any, settings: OpenAPISettings = ENABLED, **options: Any) -> dict[str, Any]:
    """The document of a gateway with these routes, which the validator finds no fault with."""
    response = TestClient(Gateway(list(routes), openapi=settings, **options)).get("/openapi.json")
    assert response.status_code == 200, response.text
    openapi_spec_validator.validate(response.json())
    return response.json()


def operation(handler: Any, **options: Any) -> dict[str, Any]:
    """The only operation of the document of one handler."""
    [item] = document(handler, **options)["paths"].values()
    [found] = item.values()
    return found


def parameters(handler: Any, **options: Any) -> dict[str, dict[str, Any]]:
    return {parameter["name"]: parameter for parameter in operation(handler, **options)["parameters"]}


def schema(kind: Any) -> dict[str, Any]:
    return Schemas().schema(kind)


def component(kind: Any) -> dict[str, Any]:
    """The first component that writing a type makes."""
    schemas = Schemas()
    schemas.schema(kind)
    return next(iter(schemas.components.values()))


class Size(enum.Enum):
    SMALL = "small"
    LARGE = "large"
    HUGE = "huge"


class Colour(models.TextChoices):
    RED = "red", "Red as a rose"
    BLUE = "blue"


class Item(msgspec.Struct):
    """A thing for sale."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=20)]
    price: decimal.Decimal
    size: Size = Size.SMALL
    added: datetime.datetime | None = None


@get("/items/{item_id:int}")
async def get_item(item_id: int) -> Item:
    """Show one item.

    It may be sold out
    by now.
    """
    raise NotImplementedError


@post("/items")
def create_item(data: Item) -> Item:
    return data


# --- where and when


def test_the_document_is_served_over_both_protocols(serve):
    response = serve(get_item, openapi=ENABLED).get("/openapi.json")
    assert response.headers["content-type"] == "application/json"
    assert response.json()["openapi"] == "3.1.0"
    assert response.json()["info"] == {"title": "Shop", "version": "2.1"}
    openapi_spec_validator.validate(response.json())


def test_the_page_is_served_over_both_protocols(serve):
    response = serve(get_item, openapi=ENABLED).get("/docs")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "<title>Shop</title>" in response.text


@pytest.mark.parametrize(
    ("enabled", "debug", "status"),
    [(None, False, 404), (None, True, 200), (True, False, 200), (False, True, 404)],
)
def test_debug_decides_unless_the_settings_do(enabled, debug, status):
    with override_settings(DEBUG=debug):
        client = TestClient(Gateway([get_item], openapi=OpenAPISettings(enabled=enabled)))
        assert client.get("/openapi.json").status_code == status
        assert client.get("/docs").status_code == status


def test_a_gateway_made_in_code_has_no_documentation_unless_told():
    assert TestClient(Gateway([get_item])).get("/docs").status_code == 404


def test_the_paths_are_settings():
    settings = OpenAPISettings(path="/schema.json", docs="/handbook", enabled=True)
    client = TestClient(Gateway([get_item], openapi=settings))
    assert client.get("/schema.json").json()["paths"].keys() == {"/items/{item_id}"}
    assert 'data-document="/schema.json"' in client.get("/handbook").text


def test_the_outer_guards_and_schemes_do_not_hide_it():
    client = TestClient(
        Gateway([get_item], openapi=ENABLED, guards=[IsAuthenticated], authentication=[TokenAuthentication()])
    )
    assert client.get("/openapi.json").status_code == client.get("/docs").status_code == 200


def test_a_projects_own_routes_may_be_called_openapi_and_docs():
    @get("/my-docs", name="docs")
    def mine() -> str:
        return "mine"

    gateway = Gateway([mine], openapi=ENABLED)
    assert gateway.reverse_url("docs") == "/my-docs"
    assert gateway.reverse_url("openapi") == "/openapi.json"


def test_it_is_encoded_once_per_build():
    gateway = Gateway([get_item], openapi=ENABLED)
    handlers = {route.name: route.handler for route in gateway.routes}
    assert handlers["openapi"]().body is handlers["openapi"]().body


def test_overrides_are_seen():
    class Clock:
        pass

    def clock(zone: str) -> Clock:
        return Clock()

    def stopped(hour: int) -> Clock:
        return Clock()

    @get("/time")
    def time(clock: Clock) -> str:
        return ""

    gateway = Gateway([time], components=[clock], openapi=ENABLED)
    client = TestClient(gateway)

    def names() -> list[str]:
        return [
            parameter["name"] for parameter in client.get("/openapi.json").json()["paths"]["/time"]["get"]["parameters"]
        ]

    assert names() == ["zone"]
    with gateway.override({Clock: stopped}):
        assert names() == ["hour"]
    assert names() == ["zone"]


def test_below_a_script_prefix_the_document_names_the_server(serve):
    client = serve(get_item, openapi=ENABLED)
    assert client.get("/openapi.json").json()["servers"] == [{"url": "/"}]
    found = client.get("/openapi.json", SCRIPT_NAME="/shop").json()
    page = client.get("/docs", SCRIPT_NAME="/shop").text
    assert found["servers"] == [{"url": "/shop"}]
    assert 'data-document="/shop/openapi.json"' in page


# --- paths, names and words


def test_an_operation_has_its_names_and_words():
    found = operation(get_item)
    assert found["operationId"] == "get_item"
    assert found["summary"] == "Show one item."
    assert found["description"] == "It may be sold out\nby now."
    assert "deprecated" not in found


def test_options_say_more_than_the_docstring():
    @get(
        "/x",
        summary="S",
        description="D",
        operation_id="theX",
        deprecated=True,
        response_description="R",
        tags=["t", "t"],
    )
    def x() -> int:
        """Something else."""

    found = document(x)
    assert found["tags"] == [{"name": "t"}]
    assert found["paths"]["/x"]["get"] == {
        "operationId": "theX",
        "tags": ["t"],
        "summary": "S",
        "description": "D",
        "deprecated": True,
        "responses": {"200": {"description": "R", "content": {"application/json": {"schema": {"type": "integer"}}}}},
    }


def test_a_partial_is_described_by_its_function():
    def scaled(factor: int) -> int:
        """Scale."""
        return factor

    handler = functools.partial(scaled, factor=2)
    assert operation(Route("/scaled", handler, name="scaled"))["summary"] == "Scale."


def test_tags_of_all_layers_add_up_in_the_order_of_routes():
    @get("/b", tags=["inner"])
    def b() -> int: ...

    @get("/a", tags=["alone"])
    def a() -> int: ...

    found = document(Router("/r", [b], tags=["outer"]), a)
    assert [tag["name"] for tag in found["tags"]] == ["outer", "inner", "alone"]


def test_hidden_routes_are_left_out_and_so_is_the_documentation():
    @get("/hidden", include_in_schema=False)
    def hidden() -> Item: ...

    found = document(hidden)
    assert found["paths"] == {}
    assert "Item" not in found["components"]["schemas"]


def test_operation_ids_are_unique():
    @route("/both", methods=["GET", "POST"])
    def both() -> int: ...

    @get("/one", name="ns:both")
    def one() -> int: ...

    @get("/two", operation_id="both")
    def two() -> int: ...

    class Things(Controller):
        path = "/things"

        @get("/a")
        def show(self) -> int: ...

    class Others(Things):
        path = "/others"

    found = document(both, one, two, Include("/i", [both], name="inner"), Things, Others)
    ids = {path: [entry["operationId"] for entry in item.values()] for path, item in found["paths"].items()}
    assert ids == {
        "/both": ["both_get", "both_post"],
        "/one": ["ns_both"],
        "/two": ["both"],
        "/i/both": ["inner_both", "inner_both_post"],
        "/things/a": ["show"],
        "/others/a": ["show_get"],
    }


def test_converters_leave_the_path_and_become_types():
    @get("/{year:int}-{slug}/{key:uuid}/{price:decimal}/{rest:path}")
    def view(year: int, slug: str, key: uuid.UUID, price: decimal.Decimal, rest: str) -> None: ...

    [path] = document(view)["paths"]
    assert path == "/{year}-{slug}/{key}/{price}/{rest}"
    found = parameters(view)
    assert all(parameter["in"] == "path" and parameter["required"] for parameter in found.values())
    assert found["year"]["schema"] == {"type": "integer"}
    assert found["slug"]["schema"] == {"type": "string"}
    assert found["key"]["schema"] == {"type": "string", "format": "uuid"}
    assert found["price"]["schema"] == {"type": "string", "format": "decimal", "pattern": DECIMAL}
    assert found["rest"]["schema"] == {"type": "string", "format": "path"}
    assert "slashes" in found["rest"]["description"]


def test_path_parameters_that_no_signature_names_are_described():
    @get("/{year:int}/{slug}")
    def view(request: Request) -> str: ...

    assert {name: found["schema"] for name, found in parameters(view).items()} == {
        "year": {"type": "integer"},
        "slug": {"type": "string"},
    }


def test_paths_that_differ_in_their_converters_alone_are_both_shown():
    @get("/items/{key}")
    def by_key(key: str) -> str: ...

    @get("/items/{key:int}")
    def by_number(key: int) -> str: ...

    found = document(by_key, by_number)["paths"]
    assert found["/items/{key}"]["get"]["operationId"] == "by_key"
    assert found["/items/{key_int}"]["get"]["operationId"] == "by_number"
    assert found["/items/{key_int}"]["get"]["parameters"][0]["name"] == "key_int"


def test_one_path_holds_all_its_methods():
    @put("/items/{item_id}")
    def replace(item_id: int, data: Item) -> Item: ...

    @patch("/items/{item_id}")
    def change(item_id: int, data: Item) -> Item: ...

    @delete("/items/{item_id:int}")
    def remove(item_id: int) -> None: ...

    assert document(replace, change, remove)["paths"]["/items/{item_id}"].keys() == {"put", "patch", "delete"}


# --- parameters


def test_parameters_have_their_constraints_defaults_and_words():
    @get("/search")
    def search(
        q: Annotated[str, Query(min_length=2, title="Words", description="What to look for", examples=["tea", "pot"])],
        page: Annotated[int, Query(ge=1, alias="p")] = 1,
        size: Size | None = None,
        colour: Colour = Colour.BLUE,
        ids: Annotated[list[int], Query(alias="id", deprecated=True)] = [],  # noqa: B006
        since: datetime.date | None = None,
        ratio: Annotated[float, msgspec.Meta(gt=0, lt=1)] | None = None,
    ) -> list[Item]: ...

    assert parameters(search) == {
        "q": {
            "name": "q",
            "in": "query",
            "description": "What to look for",
            "required": True,
            "schema": {"type": "string", "minLength": 2, "title": "Words", "examples": ["tea", "pot"]},
        },
        "p": {"name": "p", "in": "query", "schema": {"type": "integer", "minimum": 1, "default": 1}},
        "size": {"name": "size", "in": "query", "schema": {"$ref": "#/components/schemas/Size"}},
        "colour": {
            "name": "colour",
            "in": "query",
            "schema": {"$ref": "#/components/schemas/Colour", "default": "blue"},
        },
        "id": {
            "name": "id",
            "in": "query",
            "deprecated": True,
            "schema": {"type": "array", "items": {"type": "integer"}, "default": []},
        },
        "since": {"name": "since", "in": "query", "schema": {"type": "string", "format": "date"}},
        "ratio": {
            "name": "ratio",
            "in": "query",
            "schema": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        },
    }


def test_headers_and_cookies_carry_their_wire_names():
    @get("/x")
    def x(
        request_id: Annotated[str | None, Header()] = None, session: Annotated[str, Cookie(alias="sessionid")] = ""
    ) -> None: ...

    found = parameters(x)
    assert found["request-id"]["in"] == "header"
    assert found["sessionid"]["in"] == "cookie"


def test_headers_that_openapi_says_elsewhere_are_no_parameters():
    @get("/x")
    def x(
        accept: Annotated[str | None, Header()] = None,
        authorization: Annotated[str | None, Header()] = None,
        content_type: Annotated[str | None, Header()] = None,
    ) -> None: ...

    assert "parameters" not in operation(x)


def test_a_struct_of_query_parameters_is_taken_apart():
    class Filter(msgspec.Struct):
        word: Annotated[str, msgspec.Meta(max_length=5, description="A word.")]
        limit: int = 10

    @get("/x")
    def x(filters: Annotated[Filter, Query()]) -> None: ...

    assert parameters(x)["word"] == {
        "name": "word",
        "in": "query",
        "description": "A word.",
        "required": True,
        "schema": {"type": "string", "maxLength": 5},
    }
    assert "required" not in parameters(x)["limit"]


def test_parameters_of_components_and_guards_are_shown_once():
    def tenant(tenant_id: int) -> str:
        return ""

    def guard(x_key: Annotated[str, Header()]) -> bool:
        return True

    @get("/x", guards=[guard])
    def x(name: Annotated[str, Depends(tenant)], tenant_id: int | None = None) -> None: ...

    found = operation(x)["parameters"]
    assert sorted(parameter["name"] for parameter in found) == ["tenant_id", "x-key"]
    assert all(parameter["required"] for parameter in found)


# --- bodies


def test_a_json_body_has_its_schema():
    found = document(create_item)
    assert found["paths"]["/items"]["post"]["requestBody"] == {
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ItemInput"}}},
        "required": True,
    }
    received, sent = (found["components"]["schemas"][name] for name in ("ItemInput", "Item"))
    # A number is understood for a decimal, and all decimals are sent as text.
    price = {"type": ["string", "number"], "format": "decimal", "pattern": DECIMAL}
    assert received == {**sent, "title": "ItemInput", "properties": {**sent["properties"], "price": price}}
    assert sent == {
        "title": "Item",
        "description": "A thing for sale.",
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 20},
            "price": {"type": "string", "format": "decimal", "pattern": DECIMAL},
            "size": {"$ref": "#/components/schemas/Size", "default": "small"},
            "added": {"type": ["string", "null"], "format": "date-time"},
        },
        "required": ["name", "price"],
    }


def test_an_optional_body_is_not_required():
    @post("/x")
    def x(data: Annotated[dict[str, int] | None, Body(description="Counts.")] = None) -> None: ...

    body = operation(x)["requestBody"]
    assert body["required"] is False
    assert body["description"] == "Counts."
    assert body["content"]["application/json"]["schema"] == {
        "type": ["object", "null"],
        "additionalProperties": {"type": "integer"},
    }


@pytest.mark.parametrize("kind", [Annotated[bytes, Body()], http.Body])
def test_a_raw_body_is_bytes(kind):
    def upload(data):
        return None

    upload.__annotations__ = {"data": kind, "return": None}
    found = operation(Route("/x", upload, methods=["PUT"]))
    content = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    assert found["requestBody"] == {"content": content, "required": False}
    assert found["responses"].keys() == {"204", "413"}


# --- answers


@pytest.mark.parametrize(
    ("annotation", "responses"),
    [
        (Item, {"200": {"application/json": {"schema": {"$ref": "#/components/schemas/Item"}}}}),
        (dict, {"200": {"application/json": {"schema": {"type": "object", "additionalProperties": {}}}}}),
        (str, {"200": {"text/plain": {"schema": {"type": "string"}}}}),
        (SafeString, {"200": {"text/plain": {"schema": {"type": "string"}}}}),
        (bytes, {"200": {"application/octet-stream": {}}}),
        (None, {"204": None}),
        (int | None, {"200": {"application/json": {"schema": {"type": "integer"}}}, "204": None}),
        (tuple[str, int], {"200": {"text/plain": {"schema": {"type": "string"}}}}),
        (
            tuple[int, str],
            {
                "200": {
                    "application/json": {
                        "schema": {
                            "type": "array",
                            "minItems": 2,
                            "maxItems": 2,
                            "prefixItems": [{"type": "integer"}, {"type": "string"}],
                            "items": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
                        }
                    }
                }
            },
        ),
        (Iterator[bytes], {"200": {"application/octet-stream": {}}}),
        (AsyncIterator[str], {"200": {"application/octet-stream": {}}}),
        (Response, {"200": None}),
        (HTMLResponse, {"200": {"text/html": {}}}),
        (StreamingResponse, {"200": None}),
        (RedirectResponse, {"307": None}),
        (HttpResponse, {"200": None}),
        (QuerySet, {"200": {"application/json": {"schema": {}}}}),
        (
            int | RedirectResponse,
            {"200": {"application/json": {"schema": {"type": "integer"}}}, "307": None},
        ),
    ],
)
def test_the_return_annotation_decides(annotation, responses):
    def view():
        return None

    view.__annotations__["return"] = annotation
    found = operation(Route("/x", view))["responses"]
    assert {status: answer.get("content") for status, answer in found.items()} == responses


def test_the_response_option_outweighs_the_annotation():
    @get("/x", response=list[int])
    def x() -> Any: ...

    assert operation(x)["responses"]["200"]["content"]["application/json"]["schema"]["type"] == "array"


@pytest.mark.parametrize(
    ("decorate", "annotation", "statuses"),
    [
        (get("/x"), Item, ["200"]),
        (get("/x"), None, ["204"]),
        (post("/x"), Item, ["201"]),
        (post("/x"), None, ["201"]),
        (post("/x"), Response, ["201"]),
        (post("/x", status_code=202), Item, ["202"]),
        (put("/x"), Item, ["200"]),
        (delete("/x"), None, ["204"]),
        (delete("/x"), Item, ["200"]),
        (delete("/x", status_code=202), None, ["202"]),
    ],
)
def test_the_status_is_the_one_that_the_handler_answers_with(serve, decorate, annotation, statuses):
    def view():
        return {None: None, Item: Item(name="a", price=decimal.Decimal(1)), Response: Response()}[annotation]

    view.__annotations__["return"] = annotation
    handler = decorate(view)
    assert list(operation(handler)["responses"]) == statuses
    [method] = handler.methods
    assert str(serve(handler).generic(method, "/x").status_code) == statuses[0]


def test_an_unannotated_answer_has_no_schema():
    def view(): ...

    assert operation(Route("/x", view))["responses"] == {"200": {"description": "OK"}}
    assert operation(Route("/x", view, methods=["DELETE"]))["responses"] == {"204": {"description": "No Content"}}


def test_the_problems_a_route_can_give_are_listed():
    @get("/plain")
    def plain() -> None: ...

    @get("/limited/{n:int}")
    def limited(n: Annotated[int, Path(ge=1)]) -> None: ...

    @get("/me", authentication=[BasicAuthentication()])
    def me(user: User) -> str: ...

    @post("/guarded", authentication=[BasicAuthentication()], guards=[IsAuthenticated])
    def guarded(data: Item) -> None: ...

    @get("/refusing", guards=[lambda: False])
    def refusing() -> None: ...

    found = document(plain, get_item, limited, me, guarded, refusing)
    problems = {
        path: [status for entry in item.values() for status in entry["responses"] if status >= "4"]
        for path, item in found["paths"].items()
    }
    assert problems == {
        "/plain": [],
        "/items/{item_id}": ["404"],
        "/limited/{n}": ["404", "422"],
        "/me": ["401"],
        "/guarded": ["400", "401", "403", "413", "415", "422"],
        "/refusing": ["403"],
    }
    unauthorized = found["components"]["responses"]["Unauthorized"]
    problem = {"$ref": "#/components/schemas/Problem"}
    assert unauthorized["content"] == {"application/problem+json": {"schema": problem}}


def test_the_problem_schema_fits_a_real_problem(serve):
    client = serve(create_item, openapi=ENABLED)
    found = client.get("/openapi.json").json()["components"]["schemas"]
    answer = client.post("/items", json={"name": ""}).json()
    assert answer.keys() <= found["Problem"]["properties"].keys()
    assert answer["errors"][0].keys() == found["ProblemError"]["properties"].keys()


# --- security


def test_schemes_are_components_and_alternatives():
    @get("/me", authentication=[TokenAuthentication(), BasicAuthentication()])
    def me(user: User) -> str: ...

    @get("/open")
    def open_to_all() -> str: ...

    found = document(me, open_to_all)
    assert found["paths"]["/me"]["get"]["security"] == [{"TokenAuthentication": []}, {"BasicAuthentication": []}]
    assert "security" not in found["paths"]["/open"]["get"]
    assert found["components"]["securitySchemes"]["BasicAuthentication"] == {"type": "http", "scheme": "basic"}


def test_the_anonymous_are_welcome_where_the_handler_says_so():
    @get("/optional")
    def optional(user: User | None) -> str: ...

    @get("/login", guards=[AllowAny])
    def login() -> str: ...

    @get("/guarded", guards=[IsAuthenticated])
    def guarded(authentication: Authentication | None) -> str: ...

    found = document(optional, login, guarded, authentication=[BasicAuthentication()])["paths"]
    assert found["/optional"]["get"]["security"] == [{"BasicAuthentication": []}, {}]
    assert found["/login"]["get"]["security"] == [{"BasicAuthentication": []}, {}]
    assert found["/guarded"]["get"]["security"] == [{"BasicAuthentication": []}]


def test_two_schemes_of_one_class_are_told_apart():
    class Key(AuthenticationScheme):
        def __init__(self, name: str) -> None:
            self.name = name

        def authenticate(self) -> Authentication | None:
            return None

        def openapi(self) -> dict[str, Any]:
            return {"type": "apiKey", "in": "header", "name": self.name}

    @get("/a", authentication=[Key("A")])
    def a(user: User) -> str: ...

    @get("/b", authentication=[Key("B"), Key("A")])
    def b(user: User) -> str: ...

    found = document(a, b)
    assert found["paths"]["/b"]["get"]["security"] == [{"Key_2": []}, {"Key": []}]
    assert found["components"]["securitySchemes"]["Key_2"]["name"] == "B"


def test_the_security_option_is_taken_as_it_is():
    @get("/x", security=[{"BasicAuthentication": []}], authentication=[BasicAuthentication(), TokenAuthentication()])
    def x(user: User) -> str: ...

    found = document(x)
    assert found["paths"]["/x"]["get"]["security"] == [{"BasicAuthentication": []}]
    assert found["components"]["securitySchemes"].keys() == {"BasicAuthentication", "TokenAuthentication"}


# --- schemas


def test_datetimes_have_a_format_with_or_without_a_zone():
    assert schema(datetime.datetime) == {"type": "string", "format": "date-time"}
    assert schema(Annotated[datetime.datetime, msgspec.Meta(tz=True)])["format"] == "date-time"
    assert schema(datetime.time)["format"] == "time"
    assert schema(datetime.timedelta)["format"] == "duration"


def test_enums_have_a_type_and_keep_their_order():
    assert component(Size) == {
        "title": "Size",
        "type": "string",
        "enum": ["small", "large", "huge"],
        "x-enum-varnames": ["SMALL", "LARGE", "HUGE"],
    }
    assert component(Colour)["enum"] == ["red", "blue"]
    assert schema(Literal[1, 2]) == {"type": "integer", "enum": [1, 2]}
    assert schema(Literal["only"]) == {"type": "string", "const": "only"}


def test_what_may_be_null_says_so_in_its_type():
    assert schema(int | None) == {"type": ["integer", "null"]}
    assert schema(Item | None) == {"anyOf": [{"$ref": "#/components/schemas/Item"}, {"type": "null"}]}
    assert schema(Literal["a", "b"] | None)["anyOf"][1] == {"type": "null"}


def test_tagged_unions_have_a_discriminator():
    class Cat(msgspec.Struct, tag=True):
        lives: int

    class Dog(msgspec.Struct, tag=True):
        tricks: set[str]

    schemas = Schemas()
    assert schemas.schema(Cat | Dog | None) == {
        "anyOf": [
            {
                "anyOf": [{"$ref": "#/components/schemas/Cat"}, {"$ref": "#/components/schemas/Dog"}],
                "discriminator": {
                    "propertyName": "type",
                    "mapping": {"Cat": "#/components/schemas/Cat", "Dog": "#/components/schemas/Dog"},
                },
            },
            {"type": "null"},
        ]
    }
    assert schemas.components["Dog"]["properties"]["type"] == {"type": "string", "const": "Dog"}


def test_every_kind_of_class_with_fields_is_a_component():
    @dataclass
    class Data:
        x: int
        y: str = "a"

    class Typed(TypedDict, total=False):
        x: int

    class Named(NamedTuple):
        x: int
        y: int = 2

    assert component(Data)["properties"]["y"] == {"type": "string", "default": "a"}
    assert "description" not in component(Data)
    assert "required" not in component(Typed)
    assert component(Named)["prefixItems"][1] == {"type": "integer", "default": 2}


class Tree(msgspec.Struct, forbid_unknown_fields=True):
    children: list[Tree] = []
    parent: Tree | None = None


def test_a_type_may_hold_itself():
    assert component(Tree) == {
        "title": "Tree",
        "type": "object",
        "properties": {
            "children": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}, "default": []},
            "parent": {"anyOf": [{"$ref": "#/components/schemas/Tree"}, {"type": "null"}]},
        },
        "additionalProperties": False,
    }


T = TypeVar("T")


class Envelope(msgspec.Struct, Generic[T]):
    data: T


def test_classes_of_one_name_are_told_apart():
    def make(kind: Any, module: str) -> Any:
        made = msgspec.defstruct("Row", [("value", kind)], module=module)
        return get(f"/{kind.__name__}/{module}")(lambda: None), made

    handlers, kinds = zip(make(int, "shop.a"), make(str, "shop.b"), make(bool, "shop.b"), strict=True)
    for handler, kind in zip(handlers, kinds, strict=True):
        handler.handler.__annotations__["return"] = kind
    found = document(*handlers)
    refs = [
        item["get"]["responses"]["200"]["content"]["application/json"]["schema"] for item in found["paths"].values()
    ]
    names = [ref["$ref"].rpartition("/")[2] for ref in refs]
    assert names == ["Row", "shop_b_Row", "Row_2"]
    values = [found["components"]["schemas"][name]["properties"]["value"]["type"] for name in names]
    assert values == ["integer", "string", "boolean"]


def test_generic_structs_are_named_after_their_arguments():
    schemas = Schemas()
    schemas.schema(Envelope[Item])
    schemas.schema(Envelope[list[int]])
    assert {"Envelope_Item", "Envelope_list_int"} <= schemas.components.keys()
    assert schemas.components["Envelope_Item"]["properties"]["data"] == {"$ref": "#/components/schemas/Item"}


@pytest.mark.parametrize("kind", [object, models.Model, QuerySet[Any], Any, "nonsense", list[int] | tuple[str, ...]])
def test_unknown_types_do_not_break_the_document(kind):
    assert isinstance(schema(kind), dict)


# --- the page


def test_the_page_names_no_other_host_and_is_small():
    text = TestClient(Gateway([], openapi=ENABLED)).get("/docs").text
    assert len(text.encode()) < 40_000
    assert re.findall(r"(?:https?:)?//[\w-]+\.[\w.-]+", text) == ["https://example.com"]  # a sample value of a URI
    assert not re.search(r"<(?:script|link|img|iframe)[^>]*\ssrc=|@import|url\(", text)


def test_the_page_runs_only_its_own_script_and_style():
    headers = TestClient(Gateway([], openapi=ENABLED)).get("/docs").headers
    policy = dict(directive.split(" ", 1) for directive in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert re.fullmatch(r"'sha256-[\w+/]{43}='", policy["script-src"])
    assert re.fullmatch(r"'sha256-[\w+/]{43}='", policy["style-src"])
    assert policy["connect-src"] == "'self'"


def test_the_page_escapes_what_the_settings_say():
    settings = OpenAPISettings(title='</title><script>alert(1)</script>"{{ document_url }}', enabled=True)
    text = TestClient(Gateway([], openapi=settings)).get("/docs").text
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&quot;{{ document_url }}" in text


# --- the page in a browser


class Order(msgspec.Struct):
    item: Item
    note: str = "<b>soon</b>"


def shop() -> Gateway:
    @get("/orders/{number:int}", tags=["orders"])
    async def get_order(number: int, lines: list[str] = [], x_trace: Annotated[str, Header()] = "") -> dict[str, Any]:  # noqa: B006
        """Show an <i>order</i>."""
        return {"number": number * 10**15, "lines": lines, "trace": x_trace}

    @post("/orders", tags=["orders"])
    async def create_order(data: Order, authorization: Annotated[str, Header()] = "nobody") -> dict[str, str]:
        return {"by": authorization, "note": data.note, "size": data.item.size.value}

    @get("/hello")
    async def hello() -> str:
        return "<b>hello</b>"

    return Gateway([get_order, create_order, hello], openapi=ENABLED)


@pytest.fixture
def site() -> Iterator[str]:
    """The shop under uvicorn."""
    with serve_in_thread(shop()) as url:
        yield url


@pytest.fixture
def browser(tmp_path: FilePath) -> Iterator[Any]:
    pytest.importorskip("selenium", reason="needs selenium, which the extra `dev` brings")
    from tests.sites.browser import start_chromium

    with start_chromium(tmp_path / "profile", height=2000) as driver:
        driver.implicitly_wait(10)  # seconds
        yield driver


def find(where: Any, selector: str) -> Any:
    return where.find_element("css selector", selector)


def submit(form: Any) -> tuple[str, str]:
    """Send a form; the status and the body that the page then shows."""
    find(form, "button").click()
    return find(form, ".result .status").text, find(form, ".result .answer").text


def test_operations_are_read_and_tried_in_a_browser(browser, site):
    browser.get(f"{site}/docs#get_order")
    assert browser.title == "Shop"
    order = find(browser, "#get_order")
    assert find(order, ".method").text == "GET"
    assert "Show an <i>order</i>." in find(order, "summary").text
    assert [heading.text for heading in browser.find_elements("css selector", "main h2")] == ["orders", "Operations"]

    form = find(order, "form")
    find(form, "[name='path:number']").send_keys("7")
    find(form, "[name='query:lines']").send_keys("a b\nc&d")
    find(form, "[name='header:x-trace']").send_keys("t1")
    status, body = submit(form)
    assert status == "200"
    assert body == ('{\n  "number": 7000000000000000,\n  "lines": [\n    "a b",\n    "c&d"\n  ],\n  "trace": "t1"\n}')
    assert "content-type: application/json" in find(form, ".result pre").get_attribute("textContent")

    find(browser, "#authorization").send_keys("Bearer abc")
    find(browser, "#create_order > summary").click()
    status, body = submit(find(browser, "#create_order form"))
    assert status == "201"
    assert msgspec.json.decode(body) == {"by": "Bearer abc", "note": "<b>soon</b>", "size": "small"}

    browser.refresh()
    assert find(browser, "#authorization").get_attribute("value") == "Bearer abc"
    find(browser, "#hello > summary").click()
    assert submit(find(browser, "#hello form")) == ("200", "<b>hello</b>")
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_the_filter_leaves_what_was_asked_for(browser, site):
    browser.get(f"{site}/docs")
    find(browser, "#hello")
    find(browser, "#filter").send_keys("post")
    shown = [entry.text for entry in browser.find_elements("css selector", ".operation .path") if entry.is_displayed()]
    assert shown == ["/orders"]


def test_errors_that_a_handler_raises_are_in_the_document():
    from django.core.exceptions import PermissionDenied

    from hybrid_gateway.exceptions import Conflict, RouteError

    @get("/", raises=[Conflict, 410, PermissionDenied])
    async def handler() -> str:
        return ""

    @get("/", raises=[ValueError])
    async def mistaken() -> str:
        return ""

    responses = build_document(Gateway([handler]).endpoints, OpenAPISettings())["paths"]["/"]["get"]["responses"]
    assert list(responses) == ["200", "403", "409", "410"]
    assert responses["409"] == {"$ref": "#/components/responses/Conflict"}
    with pytest.raises(RouteError, match="ValueError"):
        build_document(Gateway([mistaken]).endpoints, OpenAPISettings())


# --- cookies


def test_the_document_tells_which_cookies_a_response_sets():
    told = {"key": "cart", "documentation_only": True, "description": "what the visitor wants to buy"}

    @get("/", response_cookies=[("theme", "dark"), {"key": "seen", "value": "1", "httponly": True}, told])
    def handler() -> int:
        return 1

    @get("/session")
    def with_session(session: Session) -> int: ...

    @get("/none", response_cookies=[told])
    def without() -> int:
        return 1

    gateway = Gateway([handler, with_session, without])
    paths = build_document(gateway.endpoints, OpenAPISettings())["paths"]
    found = [item["get"]["responses"]["200"]["headers"]["Set-Cookie"] for item in paths.values()]
    assert found == [
        {
            "description": "Sets `theme`, `seen`, `cart` (what the visitor wants to buy).",
            "schema": {"type": "string"},
            "examples": {"theme": {"value": "theme=dark"}, "seen": {"value": "seen=1; HttpOnly; Path=/; SameSite=lax"}},
        },
        {"description": "Sets `sessionid` (when the session has changed).", "schema": {"type": "string"}},
        {"description": "Sets `cart` (what the visitor wants to buy).", "schema": {"type": "string"}},
    ]
    client = TestClient(gateway)
    assert sorted(client.get("/").cookies) == ["seen", "theme"]
    assert "set-cookie" not in client.get("/none").headers


def test_a_scheme_by_cookie_tells_of_the_csrf_token_and_a_cookie_of_another_case_is_a_parameter():

    from hybrid_gateway.auth import APIKeyAuthentication, SessionAuthentication

    @post("/")
    def handler(
        user: get_user_model(), key: Annotated[str, Cookie()] = "", upper: Annotated[str, Cookie(alias="Key")] = ""
    ) -> None: ...

    gateway = Gateway([handler], authentication=[SessionAuthentication(), APIKeyAuthentication(cookie="key")])
    document = build_document(gateway.endpoints, OpenAPISettings())
    token = "Methods that change something need Django's CSRF token as well, in the header X-CSRFToken."
    assert document["components"]["securitySchemes"] == {
        "SessionAuthentication": {"type": "apiKey", "in": "cookie", "name": "sessionid", "description": token},
        "APIKeyAuthentication": {"type": "apiKey", "in": "cookie", "name": "key", "description": token},
    }
    assert [one["name"] for one in document["paths"]["/"]["post"]["parameters"]] == ["Key"]
