"""Defaults of another type than their field's, and sets of flags, in the document: what is served is in it."""

import dataclasses
import datetime
import decimal
import enum
import re
import uuid
from typing import Annotated, Any, NamedTuple

import jsonschema
import msgspec
import openapi_spec_validator
import pytest

from hybrid_gateway import Body, Form, Gateway, Query, get, post
from hybrid_gateway.conf import OpenAPISettings
from hybrid_gateway.test import TestClient


class Color(enum.Enum):
    RED = "red"


class Inner(msgspec.Struct):
    a: int = 1


DEFAULTS: list[tuple[Any, Any]] = [
    (int, "7"), (int, 1.5), (int, None), (int, True), (float, 1), (float, None), (float, "x"), (str, 3), (str, None),
    (bool, 0), (bool, None), (decimal.Decimal, 0), (decimal.Decimal, 1.5), (decimal.Decimal, None),
    (uuid.UUID, None), (datetime.date, None), (datetime.date, "2020-01-01"),
    (datetime.timedelta, 5), (list[int], None), (list[int], ()), (dict[str, int], None), (Color, None),
    (Color, "red"), (Color, "blue"), (Inner, None), (Inner | None, 3), (int | None, "x"), (list[Inner], None),
    (int, 3), (str, "x"), (decimal.Decimal, decimal.Decimal("1.50")), (Color, Color.RED), (list[int], []),
]  # fmt: skip


BEYOND: list[tuple[Any, Any]] = [
    (Annotated[int, msgspec.Meta(le=10)], 100),
    (Annotated[str, msgspec.Meta(min_length=3)], "ab"),
    (Annotated[str, msgspec.Meta(pattern="^a")], "b"),
    (Annotated[list[int], msgspec.Meta(min_length=1)], []),
]
"""Beyond the bounds, which is said all the same: it is what a request without them means."""

JSON_ONLY = re.compile("dict|Inner")  # which no text can hold


def classes(kind: Any, default: Any) -> list[Any]:
    """Classes with a field of ``kind``, by default ``default``."""
    made = dataclasses.field(default_factory=list) if isinstance(default, list) else default
    named: Any = NamedTuple("Named", [("field", kind)])
    named.__new__.__defaults__ = (default,)
    named._field_defaults = {"field": default}
    return [
        msgspec.defstruct("Plain", [("field", kind, default)]),
        msgspec.defstruct("Short", [("field", kind, default)], rename="upper", omit_defaults=True),
        dataclasses.make_dataclass("Data", [("field", kind, made)]),
        named,
    ]


def client_of(*routes: Any) -> TestClient:
    return TestClient(Gateway(list(routes), openapi=OpenAPISettings(enabled=True)))


def schema_at(found: Any, *path: str) -> Any:
    schema = found["paths"]
    for step in path:
        schema = schema[step]
    return {**schema, "components": found["components"]}


def answers(cls: Any) -> tuple[TestClient, list[tuple[Any, str, str]]]:
    """What is answered of a class by default, sent as nothing and made."""

    @post("/sent")
    def sent(data: Annotated[cls, Body()]) -> cls:
        return data

    @get("/made")
    def made() -> cls:
        return cls()

    client = client_of(sent, made)
    nothing: Any = [] if issubclass(cls, tuple) else {}
    return client, [(client.post("/sent", json=nothing), "/sent", "post"), (client.get("/made"), "/made", "get")]


@pytest.mark.parametrize(("kind", "default"), [*DEFAULTS, *BEYOND])
def test_an_answer_of_defaults_is_what_the_document_says(kind: Any, default: Any) -> None:
    for cls in classes(kind, default):
        client, given = answers(cls)
        found = client.get("/openapi.json").json()
        if (kind, default) not in BEYOND:
            openapi_spec_validator.validate(found)
        for answer, path, method in given:
            assert answer.status_code in (200, 201), answer.text
            status = str(answer.status_code)
            schema = schema_at(found, path, method, "responses", status, "content", "application/json", "schema")
            jsonschema.Draft202012Validator(schema).validate(answer.json())


def taking(kind: Any, default: Any) -> TestClient:
    """A route whose parameter, and one whose field of a form, is ``kind``, by default ``default``."""

    def query(one: Any) -> int:
        return 1

    def form(one: Any) -> int:
        return 1

    query.__annotations__ = {"one": Annotated[kind, Query()], "return": int}
    form.__annotations__ = {"one": Annotated[kind, Form()], "return": int}
    query.__defaults__ = form.__defaults__ = (default,)
    return client_of(get("/query")(query), post("/form")(form))


@pytest.mark.parametrize(("kind", "default"), [pair for pair in DEFAULTS if not JSON_ONLY.search(str(pair[0]))])
def test_a_default_of_a_parameter_is_shown_where_it_is_one(kind: Any, default: Any) -> None:
    client = taking(kind, default)
    assert client.get("/query").json() == client.post("/form").json() == 1
    openapi_spec_validator.validate(client.get("/openapi.json").json())


@pytest.mark.parametrize(
    ("kind", "default", "shown"),
    [
        (int, 3, 3), (decimal.Decimal, 0, "0"), (decimal.Decimal, decimal.Decimal("1.50"), "1.50"),
        (Color, Color.RED, "red"), (list[int], [1], [1]), (float, 1, 1), (int, None, ...), (int, "7", ...),
        *((kind, default, default) for kind, default in BEYOND),
    ],
)  # fmt: skip
def test_what_is_shown_of_a_default(kind: Any, default: Any, shown: Any) -> None:
    found = taking(kind, default).get("/openapi.json").json()["paths"]
    [parameter] = found["/query"]["get"]["parameters"]
    assert parameter["schema"].get("default", ...) == shown
    for content in found["/form"]["post"]["requestBody"]["content"].values():
        assert content["schema"]["properties"]["one"].get("default", ...) == shown


# --- flags ---------------------------------------------------------------------------------------------------------


class Kept(enum.IntFlag):
    READ = 1
    WRITE = 2


class Strict(enum.Flag):
    READ = 1
    WRITE = 2


class Gaps(enum.IntFlag, boundary=enum.STRICT):
    READ = 1
    WRITE = 4


@pytest.mark.parametrize("flags", [Kept, Strict, Gaps])
def test_a_set_of_flags_is_a_number_of_the_sums(flags: Any) -> None:
    @post("/body")
    def body(data: Annotated[list[flags], Body()]) -> list[flags]:
        return data

    @get("/query")
    def query(one: Annotated[flags, Query()]) -> int:
        return one.value

    client = client_of(body, query)
    found = client.get("/openapi.json").json()
    schema = schema_at(found, "/body", "post", "requestBody", "content", "application/json", "schema")
    allows = jsonschema.Draft202012Validator(schema)
    for number in range(10):
        answer = client.post("/body", json=[number])
        assert allows.is_valid([number]) is (answer.status_code == 201), number
        assert answer.status_code == 422 or answer.json() == [number]
        assert client.get(f"/query?one={number}").status_code == {201: 200, 422: 422}[answer.status_code]
