"""Pages of lists that are no rows of a ModelStruct: of Structs, dataclasses, models of pydantic, plain values."""

from dataclasses import dataclass
from typing import Any

import msgspec
import pydantic
import pytest
from django.contrib.auth.models import Group

from hybrid_gateway import ConfigurationError, Gateway, Router, get
from hybrid_gateway.conf import OpenAPISettings
from hybrid_gateway.orm import Cursor, LimitOffset, Page, PageNumber


class Item(msgspec.Struct):
    number: int


@dataclass
class Plain:
    number: int


class Model(pydantic.BaseModel):
    number: int


def numbers(page: dict[str, Any]) -> list[int]:
    return [item["number"] for item in page["items"]]


@pytest.mark.parametrize("kind", ["async", "sync"])
@pytest.mark.parametrize("cls", [Item, Plain, Model])
def test_a_list_of_anything_is_sent_page_by_page(serve, cls, kind):
    def items() -> list[cls]:
        return [cls(number=number) for number in range(10)]

    async def items_async() -> list[cls]:
        return items()

    client = serve(get("/items", pagination=LimitOffset(limit=3))(items if kind == "sync" else items_async))
    page = client.get("/items?offset=5&x=y").json()
    assert (numbers(page), page["total"], page["next"]) == ([5, 6, 7], 10, "/items?x=y&limit=3&offset=8")
    assert client.get("/items?limit=x").status_code == 422


def test_a_handler_may_fill_its_page_itself(serve):
    @get("/items", pagination=PageNumber(size=2))
    def items(page: Page[Item]) -> Page[Item]:
        return page.fetch([Item(number) for number in range(5)])

    response = serve(items).get("/items?page=2")
    assert (numbers(response.json()), response.json()["pages"]) == ([2, 3], 3)
    assert 'rel="next"' in response.headers["Link"]


def test_text_and_numbers_page_as_well(serve):
    @get("/words", pagination=PageNumber(size=2, envelope=None))
    async def words() -> list[str]:
        return ["a", "b", "c"]

    response = serve(words).get("/words?page=2")
    assert (response.json(), response.headers["X-Total-Count"]) == (["c"], "3")


@pytest.mark.django_db(transaction=True)
def test_so_does_a_queryset_below_a_plain_class(serve):
    @get("/groups", pagination=LimitOffset(limit=2))
    def groups() -> list[Named]:
        return Group.objects.order_by("name")

    Group.objects.bulk_create([Group(name=name) for name in "abc"])
    page = serve(groups).get("/groups?offset=1").json()
    assert (page["items"], page["total"]) == ([{"name": "b"}, {"name": "c"}], 3)


class Named(msgspec.Struct):
    name: str


def test_pagination_around_a_handler_is_for_rows_alone(serve):
    @get("/items")
    def items() -> list[Item]:
        return [Item(1), Item(2)]

    router = Router("", [items], pagination=LimitOffset(limit=1))
    assert serve(router).get("/items").json() == [{"number": 1}, {"number": 2}]


def test_the_document_shows_the_page(serve):
    @get("/items", pagination=LimitOffset())
    def items() -> list[Item]:
        return []

    document = serve(items, openapi=OpenAPISettings(enabled=True)).get("/openapi.json").json()
    operation = document["paths"]["/items"]["get"]
    assert [entry["name"] for entry in operation["parameters"]] == ["limit", "offset"]
    assert "SlicedPage" in str(operation["responses"]["200"])


def _no_list() -> dict[str, int]: ...  # type: ignore[empty-body]
def _nothing(): ...
def _one() -> Item: ...  # type: ignore[empty-body]
def _items() -> list[Item]: ...  # type: ignore[empty-body]
def _asks(page: Page[Item]) -> Page[Item]: ...  # type: ignore[empty-body]


@pytest.mark.parametrize(
    ("handler", "options", "message"),
    [
        (_no_list, {"pagination": LimitOffset()}, "whose annotation is a list"),
        (_nothing, {"pagination": LimitOffset()}, "whose annotation is a list"),
        (_one, {"pagination": LimitOffset()}, "whose annotation is a list"),
        (_items, {"pagination": Cursor()}, r"Take PageNumber\(\) or LimitOffset\(\)"),
        (_items, {"pagination": "number"}, "must be PageNumber"),
        (_asks, {}, "asks for a Page"),
    ],
)
def test_what_cannot_be_paged_is_told_at_start_up(handler, options, message):
    with pytest.raises(ConfigurationError, match=message):
        Gateway([get("/", **options)(handler)])
