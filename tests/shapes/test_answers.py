"""What handlers answer by a shape: its fields and no others, whatever they return and wherever it stands."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import msgspec
import pydantic
import pytest
from msgspec import UNSET

from hybrid_gateway import (
    ConfigurationError,
    Gateway,
    JSONResponse,
    Response,
    Shape,
    WriteOnly,
    computed,
    get,
    listener,
    post,
    stream,
)
from hybrid_gateway.channels import Channel
from hybrid_gateway.exceptions import ResponseValidationError
from hybrid_gateway.test import TestClient
from tests.shapes.sources import KINDS, SECRET, DataAddress, StructAccount, StructAddress, make_account

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T]):
    items: list[T]
    total: int = 1


PLACE = {"street": "Elm", "city": "Bonn"}
FRIEND = {"id": 2, "firstName": "Bob", "home": PLACE}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Any:
    """An account with secrets, and the shape that has none."""
    account, address = KINDS[request.param]

    class Public(
        Shape,
        of=account,
        exclude={"password", "home.code", "places.*.code", "by_name.*.code"},
        rename="camel",
    ):
        pass

    return Public, make_account(account, address)


def expected(found: dict[str, Any]) -> dict[str, Any]:
    """Return the account as clients are to see it; what a friend has not got may be absent, or empty."""
    return {
        "id": 1,
        "firstName": "Ada",
        "home": PLACE,
        "places": [PLACE, PLACE],
        "byName": {"work": PLACE},
        "friends": [{**FRIEND, **{key: found["friends"][0][key] for key in found["friends"][0] if key not in FRIEND}}],
    }


def test_an_instance_of_the_source_is_sent_as_its_shape(serve, kind):
    shape, account = kind

    @get("/one")
    def one() -> shape:
        return account

    found = serve(one).get("/one")
    assert found.json() == expected(found.json())
    assert SECRET not in found.text


WAYS = {
    "list": (lambda shape: list[shape], lambda account: [account, account]),
    "optional": (lambda shape: shape | None, lambda account: account),
    "dict": (lambda shape: dict[str, shape], lambda account: {"a": account}),
    "tuple": (lambda shape: tuple[shape, ...], lambda account: (account,)),
    "status": (lambda shape: tuple[shape, int], lambda account: (account, 202)),
    "page": (lambda shape: Page[shape], lambda account: Page([account])),
    "nested lists": (lambda shape: list[list[shape]], lambda account: [[account]]),
    "a list in a dict": (lambda shape: dict[str, list[shape] | None], lambda account: {"a": [account], "b": None}),
    "response": (lambda shape: Response[shape], lambda account: JSONResponse(account)),
}


@pytest.mark.parametrize("way", WAYS)
def test_nothing_that_is_excluded_leaks_from_within(serve, kind, way):
    shape, account = kind
    annotate, wrap = WAYS[way]

    @get("/one", response=annotate(shape))
    async def one():
        return wrap(account)

    found = serve(one).get("/one")
    assert found.status_code == (202 if way == "status" else 200), found.text
    assert '"firstName":"Ada"' in found.text
    assert SECRET not in found.text


def test_a_subclass_with_more_fields_shows_none_of_them(serve):
    class Admin(StructAccount):
        key: str = SECRET

    class More(StructAddress):
        door: str = SECRET

    class Public(Shape, of=StructAccount, exclude={"password", "home.code", "places.*.code", "by_name.*.code"}):
        pass

    @get("/one")
    def one() -> Public:
        return Admin(1, "Ada", home=More("Elm", "Bonn"), friends=[Admin(2, "Bob")])

    found = serve(one).get("/one")
    assert found.json()["home"] == PLACE
    assert SECRET not in found.text


def test_the_source_within_a_class_of_the_source_is_the_shape_again(serve):
    class Order(msgspec.Struct):
        buyer: Owner
        total: int = 3

    class Owner(msgspec.Struct):
        name: str
        password: str = SECRET
        orders: list[Order] = []

    globals().update(Order=Order, Owner=Owner)

    class Public(Shape, of=Owner, exclude={"password"}):
        pass

    @get("/one")
    def one() -> Public:
        return Owner("Ada", orders=[Order(Owner("Bob"))])

    assert serve(one).get("/one").json() == {
        "name": "Ada",
        "orders": [{"buyer": {"name": "Bob", "orders": []}, "total": 3}],
    }


def test_computed_fields_are_made_of_what_is_hidden(serve):
    class Public(Shape, of=StructAccount, include={"id"}):
        @computed("first_name", "password")
        @staticmethod
        def has_password(first_name: str, password: str) -> str:
            return f"{first_name}: {len(password)}"

    @get("/one")
    def one() -> Public:
        return StructAccount(1, "Ada")

    assert serve(one).get("/one").json() == {"id": 1, "has_password": "Ada: 7"}


def test_added_fields_are_read_from_attributes(serve):
    class Account(StructAccount):
        @property
        def initial(self) -> str:
            return self.first_name[0]

    class Public(Shape, of=Account, include={"id"}):
        initial: str
        kind: str = "person"

    @get("/one")
    def one() -> Public:
        return Account(1, "Ada")

    assert serve(one).get("/one").json() == {"id": 1, "initial": "A", "kind": "person"}
    assert Public.from_instance(Account(1, "Ada")) == Public(id=1, initial="A", kind="person")


def test_two_shapes_of_one_class_are_never_guessed_between(serve):
    class Public(Shape, of=StructAccount, include={"id"}, tag="public"):
        pass

    class Full(Shape, of=StructAccount, tag="full"):
        pass

    @get("/{raw}")
    def one(raw: bool) -> Public | Full:
        account = StructAccount(1, "Ada")
        return account if raw else Public.from_instance(account)

    client = serve(one)
    assert client.get("/false").json() == {"type": "public", "id": 1}
    with pytest.raises(ResponseValidationError, match="use (Full|Public).from_instance"):
        client.get("/true")


def test_shapes_of_two_classes_are_told_by_the_instance(serve):
    class Cat(msgspec.Struct):
        name: str
        secret: str = SECRET

    class Dog(msgspec.Struct):
        name: str
        tricks: int
        secret: str = SECRET

    class PublicCat(Shape, of=Cat, exclude={"secret"}):
        pass

    class PublicDog(Shape, of=Dog, exclude={"secret"}):
        pass

    @get("/")
    def all_pets() -> list[PublicCat | PublicDog]:
        return [Cat("Tom"), Dog("Rex", 3)]

    assert serve(all_pets).get("/").json() == [{"name": "Tom"}, {"name": "Rex", "tricks": 3}]


@pytest.mark.parametrize("kind_of", KINDS)
def test_frames_of_websockets_are_shapes(kind_of):
    account, address = KINDS[kind_of]

    class Public(Shape, of=account, include={"id", "home.city"}, read_only={"id"}):
        pass

    @stream("/all")
    async def all_accounts() -> AsyncIterator[Public]:
        yield make_account(account, address)

    @listener("/echo")
    async def echo(data: Public) -> Public:
        assert data.id is UNSET
        return make_account(account, address)

    client = TestClient(Gateway([all_accounts, echo]))
    with client.websocket("/all") as socket:
        assert socket.receive(dict) == {"id": 1, "home": {"city": "Bonn"}}
    with client.websocket("/echo") as socket:
        socket.send({"id": 7, "home": None})
        assert socket.receive(dict) == {"id": 1, "home": {"city": "Bonn"}}


def test_channels_publish_the_shape():
    class Public(Shape, of=Member, include={"name"}):
        pass

    channel = Channel("members", Public)
    publication = channel.publication("members", Member("Ada"))
    assert publication.payload == b'{"name":"Ada"}'
    assert publication.value == Public(name="Ada")


def test_a_write_only_value_is_sent_by_nobody(serve):
    class SignUp(Shape, of=StructAccount, include={"first_name", "password"}, write_only={"password"}):
        pass

    @post("/typed")
    def typed(data: SignUp) -> SignUp:
        assert data.password == SECRET
        return data

    @post("/untyped")
    def untyped(data: SignUp):
        return {"data": [data], "as it is": data}

    @post("/response")
    def response(data: SignUp) -> Response:
        return JSONResponse({"data": data})

    client = serve(typed, untyped, response)
    for path in ("/typed", "/untyped", "/response"):
        answer = client.post(path, json={"first_name": "Ada", "password": SECRET})
        assert answer.status_code == 201, answer.text
        assert "Ada" in answer.text
        assert SECRET not in answer.text


@dataclasses.dataclass
class Member:
    name: str
    password: str = SECRET
    home: DataAddress | None = None
    club: Club | None = None


@dataclasses.dataclass
class Club:
    members: list[Member] = dataclasses.field(default_factory=list)


class Members(list[Member]):
    pass


class Couple(NamedTuple):
    one: Member
    other: Member


class Root(pydantic.RootModel[list[Member]]):
    pass


def test_what_the_body_declares_shows_no_more_of_the_source(serve):
    class Public(Shape, of=Member, exclude={"password", "home.code"}):
        home: DataAddress | None = None
        friend: Member | None = None

        @computed("name")
        @staticmethod
        def doubles(name: str) -> list[Member]:
            return [Member("Zoe")] if name == "Ada" else []

    @get("/one")
    def one() -> Public:
        found = Member("Ada", home=DataAddress("Elm", "Bonn"), club=Club([Member("Eve")]))
        found.friend = Member("Bob")
        return found

    found = serve(one).get("/one")
    assert found.json()["home"] == PLACE
    assert found.json()["friend"]["name"] == "Bob"
    assert found.json()["doubles"][0]["name"] == "Zoe"
    assert found.json()["club"]["members"][0]["name"] == "Eve"
    assert SECRET not in found.text
    assert SECRET not in repr(Public.from_instance(one()))


@pytest.mark.parametrize("holder", [Members, Couple, Root])
def test_what_cannot_be_changed_inside_is_told(holder):
    made = dataclasses.make_dataclass("Holder", [("all", holder), ("password", str, "")])

    class Public(Shape, of=made):  # nothing in it is hidden
        pass

    class Marked(msgspec.Struct):
        member: Annotated[str, WriteOnly]

    class Shelf(list[Marked]):
        pass

    with pytest.raises(ConfigurationError, match="all is .*Shelf, inside of which a shape cannot change anything"):

        class Wrong(Shape, of=dataclasses.make_dataclass("Holder", [("all", Shelf)])):
            pass


def test_a_source_inside_a_class_of_its_own_is_told():
    with pytest.raises(ConfigurationError, match="couple is .*Couple, inside of which"):

        class Public(Shape, of=Member, exclude={"password"}):
            couple: Couple | None = None
