"""What clients send by a shape: what is taken, and the instances that are made and changed of it."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import attrs
import msgspec
import pydantic
import pytest
from django.core.exceptions import ValidationError
from msgspec import UNSET, Meta

from hybrid_gateway import Body, Form, Query, ReadOnly, Shape, WriteOnly, get, patch, post
from hybrid_gateway.exceptions import ConfigurationError, RequestValidationError
from tests.shapes.sources import KINDS, SECRET, AttrsAccount, DataAccount, PydanticAccount, StructAccount, make_account


def plain(value: Any) -> Any:
    """Return an instance of any kind as plain values."""
    if isinstance(value, pydantic.BaseModel):
        return value.model_dump()
    return msgspec.to_builtins(value, enc_hook=lambda inner: inner.model_dump())


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Any:
    return KINDS[request.param]


BODY = {
    "id": 9,
    "firstName": "Ada",
    "home": {"street": "Elm", "city": "Bonn"},
    "places": [{"street": "Oak", "city": "Ulm"}],
    "byName": {"work": {"street": "Ash", "city": "Jena"}},
    "friends": [{"id": 8, "firstName": "Bob"}],
}


def test_a_body_becomes_an_instance(serve, kind):
    account, address = kind
    made = []

    class New(Shape, of=account, exclude={"password", "home.code", "places.*.code", "by_name.*.code"}, rename="camel"):
        pass

    @post("/accounts")
    def create(data: New) -> None:
        made.append(data.create(password="x"))

    answer = serve(create).post("/accounts", json=BODY)
    assert answer.status_code == 201, answer.text
    assert isinstance(made[0], dict if account is KINDS["typed_dict"][0] else account)
    found = plain(made[0])
    assert found["password"] == "x"
    assert (found["id"], found["first_name"], found["home"]["city"]) == (9, "Ada", "Bonn")
    assert found["places"][0]["street"] == "Oak"
    assert found["by_name"]["work"]["street"] == "Ash"
    assert found["friends"][0]["first_name"] == "Bob"
    if account is not KINDS["typed_dict"][0]:
        assert isinstance(made[0].places[0], address)
        assert isinstance(made[0].by_name["work"], address)
        assert isinstance(made[0].friends[0], account)


def test_what_is_read_only_is_ignored_wherever_it_is_sent(serve, kind):
    account, _ = kind
    seen = []

    class New(Shape, of=account, include={"id", "first_name", "friends"}, read_only={"id"}):
        pass

    @post("/one")
    async def one(data: New) -> int:
        seen.append(data)
        return plain(data.create(id=4, friends=[]))["id"]

    @post("/many")
    def many(data: dict[str, list[New]]) -> None:
        seen.extend(data["all"])

    client = serve(one, many)
    body = {"id": 666, "first_name": "Ada", "friends": [{"id": 667, "first_name": "Bob"}]}
    answer = client.post("/one", json=body)
    assert (answer.status_code, answer.json()) == (201, 4)
    assert client.post("/many", json={"all": [body]}).status_code == 201
    assert client.post("/one", json={"first_name": "Ada"}).status_code == 201
    assert [data.id for data in seen] == [UNSET] * 3
    assert seen[0].friends[0].id is UNSET


def test_a_form_takes_no_read_only_field(serve):
    class New(Shape, of=StructAccount, include={"id", "first_name"}, read_only={"id"}):
        pass

    @post("/form")
    def form(data: Annotated[New, Form()]) -> dict[str, Any]:
        return {"has id": data.id is not UNSET, "first_name": data.first_name}

    @get("/query")
    def query(data: Annotated[New, Query()]) -> dict[str, Any]:
        return {"has id": data.id is not UNSET, "first_name": data.first_name}

    client = serve(form, query)
    assert client.post("/form", data={"id": "6", "first_name": "Ada"}).json() == {"has id": False, "first_name": "Ada"}
    assert client.get("/query?id=6&first_name=Ada").json() == {"has id": False, "first_name": "Ada"}


def test_only_what_was_sent_is_applied(serve, kind):
    account, address = kind
    stored = make_account(account, address)

    class Change(Shape, of=account, exclude={"id"}, partial=True):
        pass

    @patch("/account")
    def change(data: Change) -> None:
        assert data.apply(stored) is stored

    client = serve(change)
    before = plain(stored)
    assert client.patch("/account", json={}).status_code == 204
    assert plain(stored) == before
    answer = client.patch("/account", json={"first_name": "Eve", "home": {"city": "Kiel"}, "places": []})
    assert answer.status_code == 204, answer.text
    found = plain(stored)
    assert found["home"] == {"street": "Elm", "city": "Kiel", "code": SECRET}
    assert (found["first_name"], found["places"], found["password"], found["id"]) == ("Eve", [], SECRET, 1)


def test_items_of_a_partial_shape_are_whole(serve, kind):
    account, address = kind

    class Change(Shape, of=account, partial=True):
        pass

    @patch("/account")
    def change(data: Change) -> None:
        data.apply(make_account(account, address))

    client = serve(change)
    answer = client.patch("/account", json={"places": [{"city": "Kiel"}]})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["body", "places", 0, "street"]


def test_a_part_of_nothing_is_not_enough(serve, kind):
    account, _ = kind

    class Change(Shape, of=account, partial=True, rename="camel"):
        pass

    @patch("/account")
    def change(data: Change) -> None:
        data.apply(account(id=1, first_name="Ada", home=None))

    answer = serve(change).patch("/account", json={"home": {"city": "Kiel"}})
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"] == [{"loc": ["body", "home", "street"], "msg": "Field required", "type": "missing"}]


def test_a_partial_shape_creates_what_is_whole(serve, kind):
    account, _ = kind

    class Change(Shape, of=account, partial=True, rename="camel"):
        pass

    @post("/account")
    def create(data: Change) -> int:
        made = plain(data.create())
        return made["id"]

    client = serve(create)
    assert client.post("/account", json={"id": 3, "firstName": "Ada"}).json() == 3
    answer = client.post("/account", json={"id": 3})
    assert answer.json()["errors"] == [{"loc": ["body", "firstName"], "msg": "Field required", "type": "missing"}]


@dataclasses.dataclass(frozen=True)
class FrozenData:
    a: int = 1
    b: int = 2


@attrs.frozen
class FrozenAttrs:
    _a: int = 1
    b: int = 2


class FrozenStruct(msgspec.Struct, frozen=True):
    a: int = 1
    b: int = 2


class FrozenPydantic(pydantic.BaseModel, frozen=True):
    a: int = 1
    b: int = 2


@pytest.mark.parametrize("frozen", [FrozenData, FrozenAttrs, FrozenStruct, FrozenPydantic])
def test_of_a_frozen_class_a_changed_copy_is_returned(frozen):
    class Change(Shape, of=frozen, include={"b"}, partial=True):
        pass

    before = frozen()
    after = Change(b=5).apply(before)
    assert (before.b, after.b) == (2, 5)
    assert type(after) is frozen
    assert Change().create() == frozen()


def test_what_is_given_wins_over_what_is_sent():
    class New(Shape, of=StructAccount):
        pass

    assert New(id=1, first_name="Ada", password="sent").create(password="given").password == "given"
    account = StructAccount(1, "Ada")
    New(id=2, first_name="Eve").apply(account, id=3)
    assert (account.id, account.first_name) == (3, "Eve")


# --- what the source refuses


@dataclasses.dataclass
class Checked:
    name: str
    age: int = 1

    def __post_init__(self):
        if self.name == "django":
            raise ValidationError({"name": "No such name."})
        if self.age < 0:
            raise ValueError("Nobody is that young.")


@attrs.define
class CheckedAttrs:
    name: str = attrs.field(validator=attrs.validators.in_(["Ada"]))
    age: int = 1


class CheckedPydantic(pydantic.BaseModel):
    name: str = pydantic.Field(alias="fullName")
    url: pydantic.HttpUrl | None = None
    age: int = 1

    @pydantic.field_validator("name")
    @classmethod
    def check(cls, value: str) -> str:
        if value == "Eve":
            raise ValueError("Not Eve.")
        return value.title()


class CheckedStruct(msgspec.Struct):
    name: str
    age: Annotated[int, Meta(ge=0)] = 1

    def __post_init__(self):
        if self.name == "Eve":
            raise ValueError("Not Eve.")


@pytest.mark.parametrize(
    ("source", "body", "where", "words"),
    [
        (Checked, {"name": "django"}, ["body", "name"], "No such name."),
        (Checked, {"name": "x", "age": -1}, ["body"], "Nobody is that young."),
        (CheckedAttrs, {"name": "long"}, ["body", "name"], "'name' must be in ['Ada'] (got 'long')"),
        (CheckedPydantic, {"fullName": "Eve"}, ["body", "fullName"], "Value error, Not Eve."),
        (CheckedStruct, {"name": "Eve"}, ["body"], "Not Eve."),
        (CheckedStruct, {"name": "Ada", "age": -1}, ["body", "age"], "Expected `int` >= 0"),
    ],
)
def test_what_the_source_refuses_is_a_422_with_its_place(serve, source, body, where, words):
    class New(Shape, of=source):
        pass

    @post("/new")
    def new(data: New) -> None:
        data.create()

    answer = serve(new).post("/new", json=body)
    assert answer.status_code == 422, answer.text
    [error] = answer.json()["errors"]
    assert (error["loc"], error["msg"]) == (where, words)


def test_nested_faults_have_their_places():
    class Holder(msgspec.Struct):
        many: list[CheckedStruct]
        secret: str = ""

    class New(Shape, of=Holder, exclude={"many.*.age"}):
        pass

    data = msgspec.json.decode(b'{"many": [{"name": "Ada"}, {"name": "Eve"}]}', type=New)
    with pytest.raises(RequestValidationError) as caught:
        data.create()
    assert caught.value.errors[0]["loc"] == ["body", "many", 1]


def test_a_change_that_is_refused_changes_nothing():
    account = CheckedAttrs("Ada")

    class Change(Shape, of=CheckedAttrs, partial=True):
        pass

    with pytest.raises(RequestValidationError):
        Change(age=5, name="long").apply(account)
    assert account == CheckedAttrs("Ada", 1)


def test_validators_of_pydantic_see_changes():
    person = CheckedPydantic(fullName="ada")

    class Change(Shape, of=CheckedPydantic, partial=True):
        pass

    Change(name="bob").apply(person)
    assert person.name == "Bob"
    with pytest.raises(RequestValidationError) as caught:
        Change(name="Eve").apply(person)
    assert caught.value.errors[0]["loc"] == ["body", "fullName"]
    assert person.name == "Bob"


# --- marks, and what the body of the class declares


def test_marks_of_the_source_hold(serve):
    @dataclasses.dataclass
    class Account:
        id: Annotated[int, ReadOnly]
        name: str
        password: Annotated[str, WriteOnly]

    globals()["Account"] = Account

    class Both(Shape[Account]):
        pass

    @post("/account")
    def create(data: Both) -> Both:
        assert data.password == "x"
        return data.create(id=5)

    answer = serve(create).post("/account", json={"id": 6, "name": "Ada", "password": "x"})
    assert answer.json() == {"id": 5, "name": "Ada"}


def test_a_field_declared_anew_is_as_it_is_declared(serve):
    class New(Shape, of=DataAccount, include={"id"}):
        first_name: Annotated[str, Meta(min_length=2)]
        repeat: str = ""

    @post("/new")
    def new(data: New) -> dict[str, str]:
        return {"repeat": data.repeat, "name": data.create().first_name}

    client = serve(new)
    assert client.post("/new", json={"id": 1, "first_name": "A"}).status_code == 422
    answer = client.post("/new", json={"id": 1, "first_name": "Ada", "repeat": "r"})
    assert answer.json() == {"repeat": "r", "name": "Ada"}


def test_a_shape_in_the_body_of_another_is_used_for_its_field():
    class Place(Shape, of=KINDS["dataclass"][1], include={"city"}):
        street: str = "unknown"

    class New(Shape, of=DataAccount, include={"id", "first_name"}):
        home: Place | None = None

    made = New(id=1, first_name="Ada", home=Place(city="Bonn")).create()
    assert made.home == KINDS["dataclass"][1]("unknown", "Bonn")
    assert New.from_instance(made).home == Place(city="Bonn", street="unknown")


def test_unknown_names_are_as_for_structs(serve):
    class Open(Shape, of=StructAccount, include={"id"}):
        pass

    class Closed(Shape, of=StructAccount, include={"id"}, forbid_unknown_fields=True):
        pass

    @post("/open")
    def an_open(data: Open) -> None: ...

    @post("/closed")
    def a_closed(data: Annotated[Closed, Body()]) -> None: ...

    client = serve(an_open, a_closed)
    body = {"id": 1, "password": "x"}
    assert client.post("/open", json=body).status_code == 201
    assert client.post("/closed", json=body).status_code == 422


def test_a_shape_inherits_what_its_base_says():
    class Public(Shape, of=StructAccount, exclude={"password"}, rename="camel"):
        def hello(self) -> str:
            return f"Hello {self.first_name}"

    class Change(Public, partial=True):
        pass

    class Short(Public, exclude={"friends", "places", "by_name"}):
        pass

    assert isinstance(Change(), Public)
    assert msgspec.json.encode(Change(first_name="Ada")) == b'{"firstName":"Ada"}'
    assert Short.__struct_fields__ == ("id", "first_name", "home")
    assert Short(id=1, first_name="Ada").hello() == "Hello Ada"


# --- what cannot be


def test_create_says_what_no_client_can_give():
    class New(Shape, of=AttrsAccount, exclude={"id", "friends"}):
        pass

    class Friendly(Shape, of=AttrsAccount, exclude={"id"}):
        pass

    with pytest.raises(ConfigurationError, match=r"without friends\.id"):
        Friendly(first_name="Ada").create(id=1)
    with pytest.raises(ConfigurationError, match=r"without id.*create\(id=\.\.\.\)"):
        New(first_name="Ada").create()
    assert New(first_name="Ada").create(id=1) == AttrsAccount(1, "Ada")
    with pytest.raises(ConfigurationError, match="no field 'idd'.*'id'"):
        New(first_name="Ada").create(idd=1)


def test_apply_takes_an_instance_of_the_source():
    class Change(Shape, of=PydanticAccount, partial=True):
        pass

    with pytest.raises(TypeError, match="PydanticAccount, not a StructAccount"):
        Change().apply(StructAccount(1, "Ada"))
