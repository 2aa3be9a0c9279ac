"""What type checkers must take, and know of: mypy and pyright read this file, and a test runs it."""

import dataclasses
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Annotated, Generic, NewType, TypeVar, assert_type

import msgspec
from django.contrib.auth.models import User
from django.db.models import QuerySet
from typing_extensions import TypeAliasType

from hybrid_gateway import (
    Form,
    Gateway,
    Listener,
    Query,
    Shape,
    UploadFile,
    WebSocket,
    WriteOnly,
    get,
    listener,
    post,
    stream,
    websocket,
)
from hybrid_gateway.channels import Channel, Gap
from hybrid_gateway.orm import ModelStruct, ModelViewSet, PageNumber, action, computed
from hybrid_gateway.test import ClientResponse, TestClient, create_test_client

UserId = NewType("UserId", int)
Limit = TypeAliasType("Limit", Annotated[int, Query(ge=1)])


class UserOut(ModelStruct, model=User):
    id: int
    first_name: str

    @computed("first_name", "last_name")
    @staticmethod
    def full_name(first_name: str, last_name: str) -> str:
        return f"{first_name} {last_name}".strip()

    @computed("last_name")
    @staticmethod
    def length(last_name: str) -> int:
        return len(last_name)


def shown(out: UserOut) -> str:
    assert_type(out.full_name, str)
    assert_type(out.length, int)
    return out.full_name.upper()


@dataclasses.dataclass
class Account:
    id: int
    name: str
    password: Annotated[str, WriteOnly]


class SignUp(Shape[Account], read_only={"id"}, rename="camel"):
    name: Annotated[str, msgspec.Meta(min_length=2)]

    @computed("name")
    @staticmethod
    def initial(name: str) -> str:
        return name[0]


class Change(Shape, of=Account, include={"name"}, partial=True):
    pass


@post("/sign-up", response=SignUp)
def sign_up(data: SignUp) -> Account:
    assert_type(data.name, str)
    assert_type(data.initial, str)
    account = data.create(id=1)
    assert_type(account, Account)
    assert_type(data.apply(account), Account)
    assert_type(SignUp.from_instance(account), SignUp)
    assert Change(name=data.password).name == account.password  # of which no checker knows anything
    return account


class Papers(msgspec.Struct):
    name: str
    scans: list[UploadFile] = []


@get("/users/{user_id}")
def show_user(
    user_id: UserId,
    limit: Limit = 10,
    price: Annotated[Decimal, Query(gt=0, le=Decimal("99.99"))] = Decimal(1),
) -> list[str]:
    return [str(user_id), str(limit), str(price)]


@post("/papers")
def save(papers: Annotated[Papers, Form()]) -> int:
    return len(papers.scans)


class Said(msgspec.Struct):
    text: str


class Asked(msgspec.Struct, tag=True):
    question: str


class Answered(msgspec.Struct, tag=True):
    answer: str


said = Channel("typed:{room_id}", Said, history=10)
talk = Channel("talk", Asked | Answered)


async def follow() -> str:
    offset = await said.apublish(Said("hi"), room_id=1)
    async with said.subscribe(room_id=1, since=offset) as messages:
        assert_type(messages.offset, str | None)
        await said.apublish(Said("again"), room_id=1)
        async for message in messages:
            assert_type(message, Said)
            break
    async with said.subscribe(room_id=1, since="unknown", gaps=True) as events:
        event = await anext(events)
        assert_type(event, Said | Gap)
        return event.text if isinstance(event, Said) else "gap"


def say() -> str:
    assert_type(said.publish(Said("hi"), room_id=1, on_commit=True), str | None)
    talk.publish(Asked("who?"))
    return said.publish(Said("hi"), room_id=1)


class Ask(msgspec.Struct, tag="ask"):
    text: str


class Say(msgspec.Struct, tag="say"):
    text: str


@websocket("/typed/echo/{room}", receives=Ask | Say, sends=Say)
async def echo(socket: WebSocket, room: str) -> None:
    assert_type(await socket.receive(Say), Say)
    assert_type(await socket.receive_text(), str)
    async for message in socket.iter(Say):
        assert_type(message, Say)
        await socket.send(Say(f"{room}: {message.text}"))


@listener("/typed/chat")
async def chat(data: Ask | Say, shout: bool = False) -> Say | None:
    return Say(data.text.upper() if shout else data.text)


@listener("/typed/blocking", atomic=True, message_throttle=["20/second"])
def blocking(data: str) -> int:
    return len(data)


@stream("/typed/numbers", mode="msgpack")
async def numbers(upto: int = 3) -> AsyncIterator[int]:
    for number in range(upto):
        yield number


class Lobby(Listener):
    path = "/typed/lobby"

    async def on_connect(self, name: str) -> None:
        self.visitor = name

    async def on_message(self, data: Say) -> Say:
        return Say(f"{self.visitor}: {data.text}")


@stream("/typed/rooms/{room_id}", channel=said)
async def follow_room(room_id: int) -> None: ...


async def call_as_functions() -> None:
    assert_type(await chat(Ask("hello")), Say | None)
    assert_type(blocking("abc"), int)
    assert_type([number async for number in numbers(2)], list[int])


class Rates(msgspec.Struct):
    euro: float = 1.5


@get("/typed/rate")
def rate(rates: Rates) -> float:
    assert_type(rates.euro, float)
    return rates.euro


def ask_for_the_rate() -> ClientResponse:
    path = Gateway([rate], state=Rates()).reverse_url(rate)
    assert_type(path, str)
    with create_test_client([rate], state=Rates, raise_request_exception=False) as client:
        assert_type(client, TestClient)
        return client.get(path)


class UserPatch(ModelStruct, model=User, partial=True):
    first_name: str


class UserRow(ModelStruct, model=User):
    id: int


T = TypeVar("T")


class Results(msgspec.Struct, Generic[T]):
    items: list[T] = msgspec.field(name="results")
    total: int = msgspec.field(name="count")


class Users(ModelViewSet):
    path = "/view-set"
    queryset = User.objects.order_by("pk")
    out, list_out, update_in = UserOut, UserRow, UserPatch
    pagination = PageNumber(page_param="p", size_param="n", envelope=Results, links=["first", "last"])
    search_fields = ["^username"]
    filterset_fields = {"id": ["in"]}
    ordering_fields = ["id"]
    ordering = "-id"
    lookup_field = "username"

    def get_queryset(self, least: int = 0) -> QuerySet[User]:
        rows: QuerySet[User] = super().get_queryset()
        return rows.filter(pk__gte=least)

    @action(detail=False)
    def count(self, rows: QuerySet[User]) -> int:
        return rows.count()


class AsyncUsers(ModelViewSet):
    path = "/async-view-set"
    basename = "async_user"
    out = UserOut
    lookup_field = "username"
    search_fields = ["username"]
    pagination = PageNumber(size_param="n", envelope=Results)

    async def get_queryset(self, least: int = 0) -> QuerySet[User]:
        return User.objects.filter(pk__gt=least)

    @action(detail=False)
    async def count(self, rows: QuerySet[User]) -> int:
        return await rows.acount()
