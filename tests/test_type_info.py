"""What is found out about an annotation, once."""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, NamedTuple, TypedDict

import msgspec
import pydantic
import pytest

from hybrid_gateway.type_info import is_pydantic_model, strip_annotated, type_info


class Item(msgspec.Struct):
    name: str


class Model(pydantic.BaseModel):
    name: str


class Typed(TypedDict):
    name: str


class Pair(NamedTuple):
    first: int
    second: int


@dataclasses.dataclass
class Data:
    name: str


META = msgspec.Meta(ge=1)


@pytest.mark.parametrize(
    "annotation",
    [
        list[int],
        list[int] | None,
        Annotated[list[int], META],
        Annotated[list[int], META] | None,
        Annotated[list[int] | None, META],
        Annotated[Annotated[list[int], META] | None, "doc"],
    ],
)
def test_the_inner_type_is_found_whatever_is_around_it(annotation):
    info = type_info(annotation)
    assert (info.inner, info.origin, info.arguments) == (list[int], list, (int,))
    assert info.annotation is annotation


def test_none_is_taken_out_of_the_union_alone():
    info = type_info(Annotated[int, META] | None)
    assert info.is_optional
    assert info.without_none == Annotated[int, META]
    assert not type_info(int | str).is_optional
    assert type_info(int | str).without_none == int | str


def test_metadata_is_kept_from_inside_and_outside():
    assert type_info(Annotated[Annotated[int, META] | None, "doc"]).metadata == ("doc", META)


@pytest.mark.parametrize("cls", [Item, Model, Typed, Data])
def test_classes_with_named_fields_are_structures(cls):
    for annotation in (cls, cls | None, Annotated[cls, "doc"]):
        assert type_info(annotation).is_structure
        assert type_info(annotation).is_json


def test_named_tuples_are_json_but_no_structures():
    assert type_info(Pair).is_json
    assert not type_info(Pair).is_structure


@pytest.mark.parametrize(
    "annotation", [dict, list, dict[str, int], Mapping[str, int], list[Item], Item | int, tuple[Item, ...] | None]
)
def test_containers_of_structures_and_mappings_are_json(annotation):
    assert type_info(annotation).is_json


@pytest.mark.parametrize("annotation", [int, str | None, list[int], set[str], tuple, Annotated[int, META]])
def test_scalars_and_lists_of_them_are_not_json(annotation):
    assert not type_info(annotation).is_json


def test_only_models_of_pydantic_are_such():
    assert is_pydantic_model(Model)
    assert type_info(Model | None).is_pydantic
    assert not any(map(is_pydantic_model, (Item, Item("a"), Model(name="a"), None)))


def test_annotated_is_stripped():
    assert strip_annotated(Annotated[Annotated[int, META], "doc"]) is int
    assert strip_annotated(int | None) == int | None
