"""One account, made in each of the five ways that shapes know; with the same fields, and a secret in every corner."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, NotRequired, TypedDict

import attrs
import msgspec
import pydantic

SECRET = "hunter2"


class StructAddress(msgspec.Struct):
    street: str
    city: str
    code: str = SECRET


class StructAccount(msgspec.Struct):
    id: int
    first_name: str
    password: str = SECRET
    home: StructAddress | None = None
    places: list[StructAddress] = []
    by_name: dict[str, StructAddress] = {}
    friends: list[StructAccount] = []


@dataclasses.dataclass
class DataAddress:
    street: str
    city: str
    code: str = SECRET


@dataclasses.dataclass
class DataAccount:
    id: int
    first_name: str
    password: str = SECRET
    home: DataAddress | None = None
    places: list[DataAddress] = dataclasses.field(default_factory=list)
    by_name: dict[str, DataAddress] = dataclasses.field(default_factory=dict)
    friends: list[DataAccount] = dataclasses.field(default_factory=list)


class DictAddress(TypedDict):
    street: str
    city: str
    code: NotRequired[str]


class DictAccount(TypedDict):
    id: int
    first_name: str
    password: NotRequired[str]
    home: NotRequired[DictAddress | None]
    places: NotRequired[list[DictAddress]]
    by_name: NotRequired[dict[str, DictAddress]]
    friends: NotRequired[list[DictAccount]]


@attrs.define
class AttrsAddress:
    street: str
    city: str
    code: str = SECRET


@attrs.define
class AttrsAccount:
    id: int
    first_name: str
    password: str = SECRET
    home: AttrsAddress | None = None
    places: list[AttrsAddress] = attrs.field(factory=list)
    by_name: dict[str, AttrsAddress] = attrs.field(factory=dict)
    friends: list[AttrsAccount] = attrs.field(factory=list)


class PydanticAddress(pydantic.BaseModel):
    street: str
    city: str
    code: str = SECRET


class PydanticAccount(pydantic.BaseModel):
    id: int
    first_name: Annotated[str, pydantic.Field(min_length=1)]
    password: str = SECRET
    home: PydanticAddress | None = None
    places: list[PydanticAddress] = []
    by_name: dict[str, PydanticAddress] = {}
    friends: list[PydanticAccount] = []


KINDS: dict[str, tuple[Any, Any]] = {
    "struct": (StructAccount, StructAddress),
    "dataclass": (DataAccount, DataAddress),
    "typed_dict": (DictAccount, DictAddress),
    "attrs": (AttrsAccount, AttrsAddress),
    "pydantic": (PydanticAccount, PydanticAddress),
}
"""Account and address of each kind."""


def make_account(account: Any, address: Any) -> Any:
    """Return an account with secrets in whatever holds something."""
    place = address(street="Elm", city="Bonn", code=SECRET)
    friend = account(id=2, first_name="Bob", password=SECRET, home=place)
    return account(
        id=1,
        first_name="Ada",
        password=SECRET,
        home=place,
        places=[place, place],
        by_name={"work": place},
        friends=[friend],
    )
