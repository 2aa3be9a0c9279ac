"""Handlers that answer with rows: lists, one row, pages, filters, long lists; over every protocol."""

import decimal
from typing import Annotated, Any, Literal

import msgspec
import pytest
from django.db.models import Count, F, QuerySet

from hybrid_gateway import ConfigurationError, Gateway, Router, get
from hybrid_gateway.conf import OpenAPISettings
from hybrid_gateway.openapi.document import build_document
from hybrid_gateway.orm import Column, Cursor, LimitOffset, Lookup, ModelStruct, Ordering, Page, PageNumber, Search
from hybrid_gateway.orm.querysets.querysets import with_total_order
from hybrid_gateway.test import TestCase, TestClient, assert_queries
from tests.library.models import Author, Book, Publisher

pytestmark = pytest.mark.django_db(transaction=True)


class AuthorOut(ModelStruct, model=Author):
    name: str


class BookOut(ModelStruct, model=Book):
    title: str
    price: decimal.Decimal
    authors: Annotated[list[AuthorOut], Column(order_by="name")]


@pytest.fixture(autouse=True)
def books():
    authors = [Author.objects.create(name=name) for name in "AB"]
    house = Publisher.objects.create(name="House")
    for number in range(7):
        book = Book.objects.create(
            title=f"Book {number}", isbn=str(number), price=number // 2, publisher=house if number < 3 else None
        )
        book.authors.set(authors[: number % 3])


def asynchronous(function: Any) -> Any:
    """The same handler as ``async def``."""

    async def handler() -> QuerySet:
        return function()

    return handler


@pytest.fixture(params=["def", "async"])
def both(request):
    """Makes a handler of a function: itself, or an ``async def`` that calls it."""
    return asynchronous if request.param == "async" else lambda function: function


def rows(path: str = "/", **options: Any) -> Any:
    return get(path, response=list[BookOut], **options)


def all_books() -> Any:
    return Book.objects.order_by("pk")


def names(answer: Any) -> list[str]:
    body = answer.json()
    return [item["title"] for item in (body["items"] if isinstance(body, dict) else body)]


def test_a_queryset_is_fetched(serve, both):
    handler = both(all_books)
    answer = serve(rows()(handler)).get("/")
    assert answer.json()[1] == {"title": "Book 1", "price": "0.00", "authors": [{"name": "A"}]}
    assert len(answer.json()) == 7


def test_managers_instances_lists_of_them_and_structs(serve):
    @get("/manager", response=list[BookOut])
    async def manager() -> Any:
        return Book.objects

    @get("/instances", response=list[BookOut])
    def instances() -> Any:
        return list(all_books())

    @get("/async-instances", response=list[BookOut])
    async def async_instances() -> Any:
        return [book async for book in all_books()]

    @get("/one", response=BookOut)
    def one() -> Any:
        return Book.objects.get(isbn="1")

    @get("/async-one", response=BookOut)
    async def async_one() -> Any:
        return await Book.objects.aget(isbn="1")

    @get("/queryset", response=BookOut)
    async def queryset(isbn: str) -> Any:
        return Book.objects.filter(isbn=isbn)

    @get("/struct")
    def struct() -> BookOut | None:
        return BookOut.get(Book.objects.filter(isbn="1"))

    @get("/none")
    def none() -> BookOut | None:
        return None

    client = serve(manager, instances, async_instances, one, async_one, queryset, struct, none)
    for path in ("/manager", "/instances", "/async-instances"):
        assert len(client.get(path).json()) == 7, path
    for path in ("/one", "/async-one", "/queryset?isbn=1", "/struct"):
        assert client.get(path).json()["title"] == "Book 1", path
    assert client.get("/queryset?isbn=9").status_code == 404
    assert client.get("/none").status_code == 204


# --- pages ---------------------------------------------------------------------------------------------------------


def test_pages_by_number(serve, both):
    client = serve(rows(pagination=PageNumber(size=3))(both(all_books)))
    first = client.get("/?x=1")
    assert first.json() | {"items": 0} == {
        "items": 0, "next": "/?x=1&page=2", "previous": None, "page": 1, "size": 3, "total": 7, "pages": 3,
    }  # fmt: skip
    assert first.headers["Link"] == '</?x=1&page=2>; rel="next"'
    second = client.get(first.json()["next"])
    assert names(second) == ["Book 3", "Book 4", "Book 5"]
    assert second.headers["Link"] == '</?x=1&page=3>; rel="next", </?x=1&page=1>; rel="prev"'
    third = client.get(second.json()["next"])
    assert (names(third), third.json()["next"], third.json()["total"]) == (["Book 6"], None, 7)
    beyond = client.get("/?page=50").json()
    assert (beyond["items"], beyond["previous"], beyond["total"]) == ([], "/?page=3", 7)
    assert names(client.get("/?size=2&page=2")) == ["Book 2", "Book 3"]
    for wrong in ("page=0", "page=x", "size=0", "size=101"):
        assert client.get(f"/?{wrong}").status_code == 422


def test_pages_by_limit_and_offset(serve, both):
    client = serve(rows(pagination=LimitOffset(limit=3, max_limit=5))(both(all_books)))
    first = client.get("/").json()
    assert (first["limit"], first["offset"], first["total"], first["next"]) == (3, 0, 7, "/?limit=3&offset=3")
    last = client.get("/?offset=5&limit=5")
    assert (names(last), last.json()["next"], last.json()["previous"]) == (
        ["Book 5", "Book 6"],
        None,
        "/?limit=5&offset=0",
    )
    assert client.get("/?limit=6").status_code == 422


def test_nobody_counts_where_nobody_wants_to_know(serve):
    client = serve(
        rows("/number", pagination=PageNumber(size=3, count=False))(all_books),
        rows("/offset", pagination=LimitOffset(limit=4, count=False))(all_books),
        rows("/estimate", pagination=LimitOffset(limit=4, count="estimate"))(all_books),
    )
    page = client.get("/number?page=2").json()
    assert ("total" in page, "pages" in page, page["next"], page["previous"]) == (
        False, False, "/number?page=3", "/number?page=1",
    )  # fmt: skip
    assert client.get("/number?page=3").json()["next"] is None
    assert client.get("/offset?offset=4").json()["next"] is None
    assert client.get("/estimate").json()["total"] >= 4


def walk(client: Any, start: str, key: str = "next") -> list[str]:
    found, url = [], start
    while url:
        answer = client.get(url)
        assert answer.status_code == 200
        found += names(answer) if key == "next" else list(reversed(names(answer)))
        url = answer.json()[key]
    return found


@pytest.mark.parametrize("size", [1, 3, 20])
@pytest.mark.parametrize(
    "order", [["price"], ["-price", "title"], ["publisher__name"], ["-publisher__name"], ["-pk"], []]
)
def test_cursors_lose_no_row_in_either_direction(serve, both, order, size):
    client = serve(rows(pagination=Cursor(size=size))(both(lambda: Book.objects.order_by(*order))))
    forwards = walk(client, "/")
    assert sorted(forwards) == [f"Book {number}" for number in range(7)]
    url = "/"
    while (following := client.get(url).json()["next"]) is not None:
        url = following
    assert walk(client, url, "previous") == list(reversed(forwards))


def test_a_cursor_stays_where_it_is_while_rows_come_and_go(serve):
    client = serve(rows(pagination=Cursor(ordering=["price"], size=2))(Book.objects.all))
    second = client.get(client.get("/").json()["next"])
    assert names(second) == ["Book 2", "Book 3"]
    Book.objects.filter(isbn__in=["0", "3", "4"]).delete()
    Book.objects.create(title="New", isbn="n", price=0)
    assert names(client.get(second.json()["next"])) == ["Book 5", "Book 6"]
    assert names(client.get(second.json()["previous"])) == ["Book 1", "New"]


def test_cursors_of_rows_with_annotations(serve):
    class Counted(ModelStruct, model=Book):
        title: str
        by: Annotated[int, Column(Count("authors"))]

    handler = get("/", response=list[Counted], pagination=Cursor(ordering=["-price"], size=3))(Book.objects.all)
    client = serve(handler)
    first = client.get("/").json()
    assert [(item["title"], item["by"]) for item in first["items"]] == [("Book 6", 0), ("Book 4", 1), ("Book 5", 2)]
    assert sorted(walk(client, "/")) == [f"Book {number}" for number in range(7)]


def test_a_cursor_of_another_list_is_refused(serve):
    client = serve(
        rows("/a", pagination=Cursor(ordering="price", size=2))(Book.objects.all),
        rows("/b", pagination=Cursor(ordering="-price", size=2))(Book.objects.all),
    )
    token = client.get("/a").json()["next"].partition("cursor=")[2]
    assert client.get(f"/a?cursor={token}").status_code == 200
    for wrong in (f"/b?cursor={token}", "/a?cursor=garbage", f"/a?cursor=x{token}", "/a?cursor="):
        answer = client.get(wrong)
        assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, ["query", "cursor"])


def test_a_handler_may_fill_its_page_itself(serve):
    @get("/sync", pagination=LimitOffset(limit=2))
    def sync(page: Page[BookOut], least: int = 0) -> Page[BookOut]:
        return page.fetch(Book.objects.filter(price__gte=least).order_by("pk"))

    @get("/async", pagination=LimitOffset(limit=2))
    async def asynchronous(page: Page[BookOut], least: int = 0) -> Page[BookOut]:
        return await page.afetch(Book.objects.filter(price__gte=least).order_by("pk"))

    client = serve(sync, asynchronous)
    for path in ("/sync", "/async"):
        answer = client.get(f"{path}?least=1&offset=1")
        assert (names(answer), answer.json()["total"]) == (["Book 3", "Book 4"], 5)
        assert answer.json()["previous"] == f"{path}?least=1&limit=2&offset=0"


def test_pagination_of_a_layer_is_for_its_lists(serve):
    @get("/one", response=BookOut)
    def one() -> Any:
        return Book.objects.filter(isbn="1")

    @get("/other")
    def other() -> list[int]:
        return [1]

    client = serve(Router("", [rows("/list")(all_books), one, other], pagination=PageNumber(size=2)))
    assert len(client.get("/list").json()["items"]) == 2
    assert client.get("/one").json()["title"] == "Book 1"
    assert client.get("/other").json() == [1]


@pytest.mark.parametrize(
    ("queryset", "order"),
    [
        (Book.objects.order_by("price"), ("price", "pk")),
        (Book.objects.order_by(F("price").desc()), (F("price").desc(), "pk")),
        (Book.objects.all(), ("pk",)),
        (Book.objects.order_by("-id"), ("-id",)),
        (Publisher.objects.all(), ()),  # whose names are unique
        (Book.objects.order_by("price")[:3], ("price", "pk")),
    ],
)
def test_the_key_ends_every_order(queryset, order):
    assert with_total_order(queryset).query.order_by == order


class TestQueries(TestCase):
    def test_pages_need_a_query_per_list_and_one_to_count(self):
        test_books = [Book(title=f"Book {number}", isbn=f"x{number}") for number in range(7)]
        Book.objects.bulk_create(test_books)
        client = TestClient(Gateway([rows("/", pagination=LimitOffset(limit=3))(all_books)]))
        with assert_queries(3) as found:
            client.get("/")
        assert "COUNT" in "".join(found)
        with pytest.raises(AssertionError, match="3 queries instead of 2:"), assert_queries(2):
            client.get("/")


@pytest.mark.parametrize("debug", [True, False])
def test_answers_say_how_many_queries_they_took_while_debugging(serve, both, settings, debug):
    settings.DEBUG = debug
    client = serve(rows()(both(all_books)), get("/none")(lambda: 1))
    timing = client.get("/").headers.get("Server-Timing", "")
    assert ('desc="2 queries"' in timing) is debug
    assert ('desc="0 queries"' in client.get("/none").headers.get("Server-Timing", "")) is debug


# --- filters -------------------------------------------------------------------------------------------------------


class BookFilter(msgspec.Struct, forbid_unknown_fields=True):
    price__gte: decimal.Decimal | None = None
    isbn: list[str] | None = None
    house: Annotated[str | None, Lookup("publisher__name__iexact")] = None
    not_by: Annotated[str | None, Lookup("authors__name", exclude=True)] = None
    by: Annotated[list[str] | None, Lookup("authors__name")] = None
    q: Annotated[str | None, Search("title", "authors__name")] = None
    sort: Annotated[Literal["newest", "title", "-title"] | None, Ordering(newest="-pk")] = None


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("price__gte=3", [6]),
        ("isbn=2&isbn=4", [2, 4]),
        ("house=HOUSE", [0, 1, 2]),
        ("not_by=A", [0, 3, 6]),
        ("q=book+4", [4]),
        ("q=4+b", [4]),
        ("by=A&by=B", [1, 2, 4, 5]),
        ("q=ook", [0, 1, 2, 3, 4, 5, 6]),
        ("sort=newest", [6, 5, 4, 3, 2, 1, 0]),
        ("sort=-title&house=house&price__gte=1", [2]),
        ("", [0, 1, 2, 3, 4, 5, 6]),
    ],
)
def test_filters(serve, both, query, expected):
    client = serve(rows(filters=BookFilter)(both(all_books)))
    assert names(client.get(f"/?{query}")) == [f"Book {number}" for number in expected]


def test_a_number_that_no_column_holds_is_refused(serve):
    class ByHouse(msgspec.Struct, rename={"publisher": "house"}):
        publisher: int | None = None
        pk: list[int] | None = None

    client = serve(rows(filters=ByHouse)(all_books))
    answer = client.get(f"/?house={10**30}&pk=1&pk={-(10**20)}")
    assert [error["loc"] for error in answer.json()["errors"]] == [["query", "house"], ["query", "pk"]]
    assert client.get(f"/?house={2**62}").json() == []


def test_what_is_no_filter_is_refused(serve):
    client = serve(rows("/strict", filters=BookFilter, pagination=LimitOffset(limit=2))(all_books))
    for wrong in ("nothing=1", "price__lt=3", "sort=price", "price__gte=x", "title__contains=x"):
        answer = client.get(f"/strict?{wrong}")
        assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, ["query", wrong.partition("=")[0]])
    answer = client.get("/strict?price__gte=1&limit=3&offset=1&isbn=3&isbn=4&isbn=5")
    assert (names(answer), answer.json()["total"]) == (["Book 4", "Book 5"], 3)

    class Lax(msgspec.Struct):
        isbn: str | None = None

    assert len(serve(rows(filters=Lax)(all_books)).get("/?nothing=1").json()) == 7


def test_filters_are_tried_when_the_gateway_is_built():
    def wrong(match: str, **fields: Any) -> None:
        struct = msgspec.defstruct("Wrong", [(name, *entry) for name, entry in fields.items()])
        with pytest.raises(ConfigurationError, match=match):
            Gateway([rows(filters=struct)(all_books)])

    wrong("Wrong.nothing is no lookup of Book", nothing=(str | None, None))
    wrong("Wrong.a is no lookup of Book", a=(Annotated[str | None, Lookup("title__nothing")], None))
    wrong("Wrong.isbn has no default", isbn=(str,))
    wrong("Wrong.q is no lookup", q=(Annotated[str | None, Search("nothing")], None))
    wrong("Wrong.sort cannot be ordered by", sort=(Annotated[Literal["x"] | None, Ordering()], None))
    wrong("must list what clients may order by", sort=(Annotated[str | None, Ordering()], None))
    with pytest.raises(ConfigurationError, match="must be a Struct"):
        Gateway([rows(filters=dict)(all_books)])
    with pytest.raises(ConfigurationError, match="filters= is for routes that answer with a list of a ModelStruct"):
        Gateway([get("/", filters=BookFilter)(lambda: None)])
    with pytest.raises(ConfigurationError, match=r"must be PageNumber\(\), LimitOffset\(\) or Cursor\(\)"):
        Gateway([rows(pagination=3)(all_books)])

    @get("/")
    def page(page: Page[BookOut]) -> Page[BookOut]: ...

    with pytest.raises(ConfigurationError, match="asks for a Page, but there is no pagination="):
        Gateway([page])


def test_pages_and_filters_are_documented():
    routes = [
        rows("/number", pagination=PageNumber())(all_books),
        rows("/offset", pagination=LimitOffset(max_limit=50), filters=BookFilter)(all_books),
        rows("/cursor", pagination=Cursor())(all_books),
    ]
    document = build_document(Gateway(routes).endpoints, OpenAPISettings())

    def listed(path: str) -> dict[str, Any]:
        return {entry["name"]: entry["schema"] for entry in document["paths"][path]["get"]["parameters"]}

    assert set(listed("/number")) == {"page", "size"}
    assert set(listed("/cursor")) == {"cursor", "size"}
    assert set(listed("/offset")) == {"limit", "offset", "price__gte", "isbn", "house", "not_by", "by", "q", "sort"}
    assert listed("/offset")["limit"] == {"type": "integer", "minimum": 1, "maximum": 50, "default": 20}
    schema = document["paths"]["/number"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    page = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    assert {"items", "next", "previous", "page", "size", "total", "pages"} == set(page["properties"])
    assert page["properties"]["items"]["items"]["$ref"].endswith("BookOut")


# --- long lists ----------------------------------------------------------------------------------------------------


def test_a_long_list_is_sent_as_it_is_read(serve, both):
    client = serve(rows(chunked=True, filters=BookFilter)(both(all_books)))
    answer = client.get("/?price__gte=2")
    assert answer.headers["Content-Type"] == "application/json"
    assert names(answer) == ["Book 4", "Book 5", "Book 6"]
    assert client.get("/?price__gte=200").json() == []
    lines = client.get("/", headers={"Accept": "application/x-ndjson"})
    assert lines.headers["Content-Type"] == "application/x-ndjson"
    assert [msgspec.json.decode(line)["title"] for line in lines.content.splitlines()] == [
        f"Book {n}" for n in range(7)
    ]
