"""``type X = ...``, ``TypeAliasType`` and ``NewType`` are what they stand for, wherever an annotation is."""

# ruff: noqa: UP007 (types are built at run time)
import dataclasses
import sys
import typing
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, Literal, NewType, TypedDict, TypeVar, Union

import msgspec
import pytest
from django.contrib.auth.models import Group
from typing_extensions import TypeAliasType

from hybrid_gateway import (
    Body,
    Component,
    Controller,
    Depends,
    Form,
    Gateway,
    Header,
    Query,
    Request,
    Response,
    Router,
    get,
    post,
)
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm import ModelStruct, Ordering
from hybrid_gateway.test import TestClient

T = TypeVar("T")
Limit = TypeAliasType("Limit", Annotated[int, Query(ge=1)])


class Item(msgspec.Struct):
    name: str
    size: "Positive" = 1


Positive = TypeAliasType("Positive", Annotated[int, msgspec.Meta(ge=1)])


class Tenant:
    def __init__(self, name: str = "acme") -> None:
        self.name = name


def native(source: str, **names: Any) -> Any:
    """What ``type X = ...`` makes, where Python has that."""
    if sys.version_info < (3, 12):
        pytest.skip("Python 3.12 and later")
    space: dict[str, Any] = dict(names)
    exec(source, space)
    return space["X"]


def client_for(*routes: Any, **options: Any) -> TestClient:
    return TestClient(Gateway(list(routes), **options), raise_request_exception=False)


def annotated(function: Any, returns: Any = str, **parameters: Any) -> Any:
    function.__annotations__ = {**parameters, "return": returns}
    return function


BODIES: list[tuple[str, Any, Any, Any]] = [
    ("a Struct", Item, {"name": "a"}, {"name": 1}),
    ("a list of Structs", list[Item], [{"name": "a"}], [{"name": 1}]),
    ("a dict", dict[str, Item], {"x": {"name": "a"}}, {"x": {"size": 1}}),
    ("a union", Union[Item, int], 5, []),
    ("optional", Union[Item, None], {"name": "a"}, 5),
    ("a TypedDict", TypedDict("Typed", {"a": Positive}), {"a": 1}, {"a": 0}),
    ("a dataclass", dataclasses.make_dataclass("Data", [("a", Positive)]), {"a": 1}, {"a": 0}),
    ("a NamedTuple", list[typing.NamedTuple("Pair", [("a", Positive), ("b", int)])], [[1, 2]], [[0, 2]]),
    ("marked", Annotated[Item, Body()], {"name": "a"}, {}),
    ("a number", Annotated[Positive, Body()], 5, 0),
]
SPELLINGS: dict[str, Any] = {
    "NewType": lambda kind: NewType("New", kind),
    "TypeAliasType": lambda kind: TypeAliasType("Alias", kind),
    "generic": lambda kind: TypeAliasType("One", Annotated[T, "words"], type_params=(T,))[kind],
    "type": lambda kind: native("type X = kind", kind=kind),
    "generic type": lambda kind: native("type Y[T, U] = U | T\ntype X = Y[kind, None]", kind=kind),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize(("name", "kind", "fits", "does_not"), BODIES, ids=[entry[0] for entry in BODIES])
def test_a_body(spelling, name, kind, fits, does_not):
    spelt = SPELLINGS[spelling](kind)
    client = client_for(post("/")(annotated(lambda data: repr(data), data=spelt)))
    assert client.post("/", fits, "application/json").status_code == 201
    answer = client.post("/", does_not, "application/json")
    assert (answer.status_code, answer.json()["errors"][0]["loc"][0]) == (422, "body")


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_an_answer(spelling):
    answers = [(Item, Item("a")), (list[Item], [Item("a")]), (dict[str, int], {"a": 1}), (int, 5), (bool, True)]
    for kind, value in answers:
        routes = [get("/spelt")(returning(value, SPELLINGS[spelling](kind))), get("/plain")(returning(value, kind))]
        client = client_for(*routes)
        assert client.get("/spelt").content == client.get("/plain").content
        assert client.get("/spelt").headers["Content-Type"] == "application/json"


def returning(value: Any, kind: Any) -> Any:
    return annotated(lambda: value, kind)


def test_an_alias_of_a_component_finds_it_and_provides_it():
    Current = TypeAliasType("Current", Tenant)

    class Provide(Component):
        def resolve(self) -> Tenant:
            return Tenant()

    def provide() -> Iterator[Current]:
        yield Tenant("other")

    for component, kind, name in (
        (Provide(), Current, "acme"),
        (provide, Tenant, "other"),
        (provide, Current, "other"),
    ):
        for asked in (kind, kind | None, Annotated[kind, "words"]):
            client = client_for(get("/")(annotated(lambda x: x.name, x=asked)), components=[component])
            assert client.get("/").text == name


def test_a_new_type_that_is_provided_is_a_key_of_its_own():
    Number, Other = NewType("Number", int), NewType("Other", int)

    def number() -> Number:
        return Number(7)

    @get("/")
    def show(x: Number, y: Other = 1, z: int = 2) -> list[int]:
        return [x, y, z]

    client = client_for(show, components=[number])
    assert client.get("/?x=3&y=4&z=5").json() == [7, 4, 5]
    gateway = Gateway([show], components=[number])
    with gateway.override({Number: 8}):
        assert TestClient(gateway).get("/").json() == [8, 1, 2]


def test_a_new_type_of_a_component_is_that_component():
    Mine = NewType("Mine", Tenant)

    def tenant() -> Tenant:
        return Tenant()

    client = client_for(get("/")(annotated(lambda x: x.name, x=Mine)), components=[tenant])
    assert client.get("/").text == "acme"


def test_what_is_injected_by_type_is_by_its_alias():
    Asked = TypeAliasType("Asked", Request)
    Given = TypeAliasType("Given", Annotated[Tenant, Depends(Tenant)])
    Answer = TypeAliasType("Answer", Response)

    def show(request, tenant, response):
        response.headers["X-Tenant"] = tenant.name
        return request.method

    client = client_for(get("/")(annotated(show, request=Asked, tenant=Given, response=Answer)))
    answer = client.get("/?name=x")
    assert (answer.text, answer.headers["X-Tenant"]) == ("GET", "x")


def test_parameters_of_layers_and_markers_inside_aliases():
    Token = TypeAliasType("Token", Annotated[str, Header(alias="X-Token")])

    class Things(Controller):
        path = "/things"
        parameters: typing.ClassVar = {"token": Token}

        @get("/")
        def show(self, token: str, limit: Limit = 5, most: Limit | None = None) -> list[object]:
            return [token, limit, most]

    client = client_for(
        Router("", [Things], parameters={"page": TypeAliasType("Page", Annotated[int | None, Query()])})
    )
    assert client.get("/things/?limit=2&most=3", headers={"X-Token": "t"}).json() == ["t", 2, 3]
    locations = [error["loc"] for error in client.get("/things/?limit=0&most=0&page=x").json()["errors"]]
    assert sorted(locations) == [["header", "x-token"], ["query", "limit"], ["query", "most"], ["query", "page"]]


def test_fields_of_structs_in_query_and_form():
    class Search(msgspec.Struct):
        limit: Positive = 1
        names: TypeAliasType("Names", list[str]) = []

    @get("/")
    def find(search: Annotated[Search, Query()]) -> Search:
        return search

    @post("/")
    def save(search: TypeAliasType("Asked", Annotated[Search, Form()])) -> Search:
        return search

    client = client_for(find, save)
    assert client.get("/?limit=3&names=a&names=b").json() == {"limit": 3, "names": ["a", "b"]}
    assert client.post("/", data={"limit": "3", "names": ["a"]}).json() == {"limit": 3, "names": ["a"]}
    assert client.get("/?limit=0").json()["errors"][0]["loc"] == ["query", "limit"]


@pytest.mark.django_db
def test_columns_and_rows_of_model_structs():
    Name = TypeAliasType("Name", str)

    class GroupOut(ModelStruct, model=Group):
        id: NewType("Key", int)
        name: Name

    Rows = TypeAliasType("Rows", list[GroupOut])

    class Filters(msgspec.Struct):
        name: TypeAliasType("Wanted", str | None) = None
        id__in: TypeAliasType("Keys", list[int] | None) = None
        order: TypeAliasType("Order", Annotated[Literal["id", "-id"], Ordering()]) = "id"

    @get("/", filters=Filters)
    def groups() -> Rows:
        return Group.objects.all()

    @get("/one", response=TypeAliasType("One", GroupOut))
    def one() -> Group:
        return Group.objects.first()

    group = Group.objects.create(name="a")
    client = client_for(groups, one)
    assert client.get("/?order=-id").json() == [{"id": group.pk, "name": "a"}]
    assert client.get(f"/?id__in={group.pk + 1}").json() == []
    assert client.get("/?order=name").status_code == 422
    assert client.get("/one").json() == {"id": group.pk, "name": "a"}


def test_streams_and_pairs():
    Chunks = TypeAliasType("Chunks", AsyncIterator[str])
    Made = TypeAliasType("Made", tuple[Item, int])

    async def chunks():
        yield "a"
        yield "b"

    client = client_for(get("/s")(annotated(chunks, Chunks)), get("/p")(annotated(lambda: (Item("a"), 202), Made)))
    assert client.get("/s").getvalue() == b"ab"
    assert (client.get("/p").status_code, client.get("/p").json()) == (202, {"name": "a", "size": 1})


def test_an_alias_of_any_json_is_any_and_others_that_hold_themselves_are_told():
    json = native("type X = str | int | float | bool | None | list[X] | dict[str, X]")
    client = client_for(post("/")(annotated(lambda data: repr(data), data=Annotated[json, Body()])))
    assert client.post("/", [{"a": None}], "application/json").text == "[{'a': None}]"
    with pytest.raises(ConfigurationError, match="The alias X holds itself"):
        client_for(post("/")(annotated(lambda data: "", data=Annotated[native("type X = int | list[X]"), Body()])))
