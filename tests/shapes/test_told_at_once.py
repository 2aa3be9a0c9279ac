"""Mistakes in a shape are told when its class is made, with what to write instead."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any, NamedTuple

import msgspec
import pydantic
import pytest

from hybrid_gateway import ConfigurationError, Shape, computed
from tests.library.models import Book


@dataclasses.dataclass
class Address:
    street: str
    city: str = ""


@dataclasses.dataclass(frozen=True)
class Tag:
    name: str
    secret: str = ""


@dataclasses.dataclass
class Account:
    id: int
    address: Address
    orders: list[Address]
    anything: Any
    by_name: dict[str, Address]
    tags: set[Tag]


@dataclasses.dataclass
class Creator:
    id: int
    create: int = 0


class Named(NamedTuple):
    a: int


class Colour(enum.Enum):
    RED = 1


class Rooted(pydantic.RootModel[int]):
    pass


class Public(Shape, of=Account, include={"id", "address"}):
    pass


def shape(**options: Any) -> Any:
    return type(Public)("Made", (Shape,), {"__module__": __name__, **options.pop("body", {})}, **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, r"Made is a shape of nothing: write class Made\(Shape, of=Account\)"),
        ({"of": int}, "int has no fields to choose from.*dataclass"),
        ({"of": list[int]}, "no fields to choose from"),
        ({"of": "Account"}, "no fields to choose from"),
        ({"of": Named}, "no fields to choose from"),
        ({"of": Colour}, "no fields to choose from"),
        ({"of": Rooted}, "no fields to choose from"),
        ({"of": Book}, r"Book is a Django model: write class Made\(ModelStruct, model=Book\)"),
        ({"of": Public}, r"Public is a shape itself: inherit from it, class Made\(Public, \.\.\.\)"),
        ({"of": Account, "exclude": {"pasword"}}, "exclude names 'pasword', but Account has no field 'pasword'"),
        ({"of": Account, "exclude": {"adress"}}, "Did you mean 'address'"),
        ({"of": Account, "exclude": "orders"}, r"exclude='orders' must be a set of names: exclude={\"orders\"}"),
        ({"of": Account, "include": 3}, "must be a set of names"),
        ({"of": Account, "exclude": {"address..city"}}, "A path is the name of a field, or several with dots"),
        ({"of": Account, "exclude": {3}}, "A path is the name of a field"),
        ({"of": Account, "exclude": {"address.town"}}, "'address.town', but address is Address.*city"),
        ({"of": Account, "exclude": {"id.x"}}, "'id.x', but id is int, which has no fields to name"),
        ({"of": Account, "exclude": {"anything.x"}}, "which has no fields to name"),
        ({"of": Account, "exclude": {"orders.city"}}, r"write 'orders\.\*\.city'"),
        ({"of": Account, "exclude": {"by_name.city"}}, r"write 'by_name\.\*\.city'"),
        ({"of": Account, "exclude": {"address.*.city"}}, r"'address\.\*\.city', but address is Address"),
        ({"of": Account, "exclude": {"orders.*"}}, "name the field itself, 'orders'"),
        ({"of": Account, "exclude": {"address", "address.city"}}, "'address', and 'address.city' inside it"),
        ({"of": Account, "include": {"id"}, "exclude": {"id"}}, "two ways to say one thing"),
        ({"of": Account, "read_only": {"id"}, "write_only": {"id"}}, "'id' is read_only and write_only"),
        ({"of": Account, "read_only": {"no"}}, "read_only names 'no'"),
        ({"of": Account, "exclude": {"tags.*.secret"}}, "tags is a set.*Declare the field"),
        ({"of": Account, "exclude": {"address.street", "address.city"}}, "has none that are not excluded"),
        ({"of": Creator}, r"a Shape has a method create\(\). Exclude the field"),
        ({"of": Account, "include": {"id"}, "rename": "kebap"}, "kebap"),
        ({"of": Account, "include": {"id"}, "rename": {"idd": "x"}}, "rename names 'idd'.*'id'"),
        ({"of": Account, "include": {"id", "orders"}, "rename": {"id": "orders"}}, "to the same name"),
        ({"of": Account, "exclud": {"id"}}, "no option 'exclud'.*'exclude'"),
        ({"of": Account, "fields": {"id"}}, "no option 'fields'.*"),
        (
            {"of": Account, "exclude": {"id"}, "body": {"__annotations__": {"id": int}}},
            "'id' is excluded, and stands in the body",
        ),
    ],
)
def test_mistakes_are_told_with_their_remedy(options, words):
    with pytest.raises(ConfigurationError, match=words) as caught:
        shape(**options)
    assert str(caught.value).startswith("Made") or "class Made" in str(caught.value)


def test_a_computed_field_is_made_of_what_there_is():
    with pytest.raises(ConfigurationError, match="Wrong.full is computed of 'name', which Account has not got"):

        class Wrong(Shape, of=Account, include={"id"}):
            @computed("name")
            @staticmethod
            def full(name: str) -> str:
                return name


def test_a_base_keeps_what_it_excludes():
    class Short(Shape, of=Account, exclude={"id"}):
        pass

    with pytest.raises(ConfigurationError, match="include names 'id', which its base excludes"):

        class Longer(Short, include={"id"}):
            pass


def test_one_source_is_named_once():
    with pytest.raises(ConfigurationError, match=r"Shape\[Account\] says it already: leave out of="):

        class Twice(Shape[Account], of=Account, include={"id"}):
            pass


class Early(msgspec.Struct):
    later: Later | None = None  # noqa: F821


def test_a_source_whose_types_are_not_known_yet_is_told():
    with pytest.raises(ConfigurationError, match="names 'Later', which is not known yet. Write the shape below it"):

        class TooEarly(Shape, of=Early):
            pass


class Node(msgspec.Struct):
    secret: str = ""
    nodes: list[Node] = []


def test_the_source_again_has_no_paths_of_its_own():
    with pytest.raises(ConfigurationError, match=r"nodes\.\* is a Node again, which has one shape wherever it stands"):

        class Wrong(Shape, of=Node, exclude={"nodes.*.secret"}):
            pass
