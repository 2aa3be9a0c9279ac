"""Pages by the names, links, headers and envelopes of a project's choice."""

import re
from typing import Annotated, Any, Generic, TypeVar

import msgspec
import pytest
from django.db.models import F
from hypothesis import given
from hypothesis import settings as run
from hypothesis import strategies as st

from hybrid_gateway import ConfigurationError, Depends, Gateway, Query, Router, get, http
from hybrid_gateway.conf import OpenAPISettings
from hybrid_gateway.openapi.document import build_document
from hybrid_gateway.orm import Cursor, LimitOffset, ModelStruct, Page, PageNumber
from hybrid_gateway.test import TestClient, assert_queries
from tests.library.models import Book

pytestmark = pytest.mark.django_db(transaction=True)

T = TypeVar("T")


class BookOut(ModelStruct, model=Book):
    title: str


class Results(msgspec.Struct, Generic[T]):
    """The envelope of Django REST framework."""

    next: str | None
    previous: str | None
    total: int = msgspec.field(name="count")
    items: list[T] = msgspec.field(name="results")


class Links(msgspec.Struct):
    first: str | None
    last: str | None
    previous: str | None = msgspec.field(name="prev")
    next: str | None


class Numbers(msgspec.Struct):
    total: int
    pages: int
    unit: str = "rows"


class Document(msgspec.Struct, Generic[T]):
    """The envelope of JSON:API."""

    links: Links
    meta: Numbers
    items: list[T] = msgspec.field(name="data")


class Summed(msgspec.Struct, Generic[T]):
    rows: list[T]
    has_more: bool

    @classmethod
    def from_page(cls, page: Page[T]) -> "Summed[T]":
        return cls(page.items, page.next is not None)


class Titles(msgspec.Struct):
    items: list[BookOut]


def fill(count: int = 7) -> None:
    Book.objects.bulk_create(Book(title=f"Book {number}", isbn=str(number)) for number in range(count))


def books(pagination: object, path: str = "/", **options: Any) -> Any:
    @get(path, response=list[BookOut], pagination=pagination, **options)
    def books() -> Any:
        return Book.objects.order_by("pk")

    return books


def titles(body: Any) -> list[str]:
    rows = body if isinstance(body, list) else next(value for value in body.values() if isinstance(value, list))
    return [row["title"] for row in rows]


def links(answer: Any) -> dict[str, str]:
    return {name: url for url, name in re.findall(r'<([^>]*)>; rel="(\w+)"', answer.headers.get("Link", ""))}


ALL = ("first", "prev", "next", "last")
NAMES = {
    PageNumber: [{}, {"page_param": "p", "size_param": "page_size"}, {"page_param": "page[number]", "size_param": "n"}],
    LimitOffset: [{}, {"limit_param": "per_page", "offset_param": "skip"}],
    Cursor: [{}, {"cursor_param": "after", "size_param": "first"}],
}
STYLES = [(style, names) for style, namings in NAMES.items() for names in namings]


# --- names ---------------------------------------------------------------------------------------------------------


def test_parameters_go_by_the_names_they_are_given(serve):
    fill()
    client = serve(
        books(PageNumber(page_param="p", size_param="page_size", size=2, max_size=5), "/numbered"),
        books(LimitOffset(limit_param="per_page", offset_param="skip"), "/sliced"),
        books(Cursor(cursor_param="after", size_param="n"), "/cursor"),
    )
    numbered = client.get("/numbered?p=2&page_size=3&page=9&size=1")
    assert (titles(numbered.json()), numbered.json()["size"]) == (["Book 3", "Book 4", "Book 5"], 3)
    assert numbered.json()["next"] == "/numbered?page_size=3&page=9&size=1&p=3"
    sliced = client.get("/sliced?per_page=2&skip=4&offset=1").json()
    assert (titles(sliced), sliced["previous"]) == (["Book 4", "Book 5"], "/sliced?offset=1&per_page=2&skip=2")
    cursor = client.get("/cursor?n=6").json()
    assert titles(client.get(cursor["next"]).json()) == ["Book 6"]
    for wrong, name in (("/numbered?p=0", "p"), ("/numbered?page_size=6", "page_size"), ("/cursor?after=x", "after")):
        answer = client.get(wrong)
        assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, ["query", name])


def test_names_are_in_the_document():
    def documented(*routes: Any) -> list[list[str]]:
        paths = build_document(Gateway(list(routes)).endpoints, OpenAPISettings())["paths"]
        return [[entry["name"] for entry in path["get"]["parameters"]] for path in paths.values()]

    assert documented(
        books(PageNumber(page_param="page[number]", size_param="page[size]"), "/numbered"),
        books(LimitOffset(limit_param="per_page", offset_param="skip"), "/sliced"),
        books(Cursor(cursor_param="after", size_param="n"), "/cursor"),
    ) == [["page[number]", "page[size]"], ["per_page", "skip"], ["after", "n"]]


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: PageNumber(page_parm="p"), "Did you mean 'page_param'"),  # type: ignore[call-arg]
        (lambda: PageNumber(page_query_param="p"), "Did you mean 'page_param'"),  # type: ignore[call-arg]
        (lambda: PageNumber(page_size_query_param="p"), "Did you mean 'size_param'"),  # type: ignore[call-arg]
        (lambda: LimitOffset(limit_query_param="p"), "Did you mean 'limit_param'"),  # type: ignore[call-arg]
        (lambda: LimitOffset(offset_query_param="p"), "Did you mean 'offset_param'"),  # type: ignore[call-arg]
        (lambda: Cursor(cursor_query_param="p"), "Did you mean 'cursor_param'"),  # type: ignore[call-arg]
        (lambda: Cursor(link=()), "Did you mean 'links'"),  # type: ignore[call-arg]
        (lambda: PageNumber(page_param="a", size_param="a"), "size_param='a'. is the name of page_param already"),
        (lambda: LimitOffset(limit_param="offset"), "offset_param='offset'. is the name of limit_param already"),
        (lambda: PageNumber(size_param="n", max_size=None), "clients cannot choose: give a max_size"),
        (lambda: PageNumber(page_param=""), "must be the name of a query parameter"),
        (lambda: PageNumber(page_param="a b"), "must be the name of a query parameter"),
        (lambda: PageNumber(page_param="a&b"), "must be the name of a query parameter"),
        (lambda: PageNumber(page_param=None), "must be the name of a query parameter"),  # type: ignore[arg-type]
        (lambda: PageNumber(links="next"), r"must be a list of 'first', 'prev', 'next', 'last'"),
        (lambda: PageNumber(links=["previous"]), "must be a list of"),  # type: ignore[list-item]
        (lambda: PageNumber(links=["last"], count=False), "the last page is known by counting"),
        (lambda: PageNumber(links=["last"], count="estimate"), "the last page is known by counting"),
        (lambda: Cursor(links=["last"]), "the last page is known by counting"),
        (lambda: Cursor(total_header="X-Total"), "nothing to say where nobody counts"),
        (lambda: LimitOffset(total_header="X Total"), "must be the name of a header"),
        (lambda: LimitOffset(total_header="X-Total", count=False), "nothing to say where nobody counts"),
    ],
)  # fmt: skip
def test_what_no_style_can_do_is_told(make, told):
    with pytest.raises(ConfigurationError, match=told):
        make()


class ByPage(msgspec.Struct):
    pages: Annotated[int | None, Query()] = None
    page: Annotated[int | None, Query()] = None


class ByPages(msgspec.Struct, rename={"pages": "page"}):
    pages: int | None = None


def paged_by_component(page: int = 1) -> int:
    return page


def rows_by(function: Any, **options: Any) -> Any:
    return get("/", response=list[BookOut], pagination=PageNumber(), **options)(function)


def asks_for_page(page: int = 1) -> Any: ...
def asks_by_alias(number: Annotated[int, Query(alias="page")] = 1) -> Any: ...
def asks_by_component(number: Annotated[int, Depends(paged_by_component)]) -> Any: ...
def asks_in_struct(given: Annotated[ByPages, Query()]) -> Any: ...
def asks_for_size(size: str = "") -> Any: ...
def asks_for_nothing() -> Any: ...
def asks_in_path(page: int) -> Any: ...


@pytest.mark.parametrize("function", [asks_for_page, asks_by_alias, asks_by_component, asks_in_struct, asks_for_size])
def test_a_name_that_means_something_else_already_is_told(function):
    told = r"'(page|size)' is (page|size)_param of pagination=PageNumber\(\) and a parameter of the handler"
    with pytest.raises(ConfigurationError, match=f"GET /: .*{function.__name__}.*{told}"):
        Gateway([rows_by(function)])
    Gateway([get("/", response=list[BookOut], pagination=PageNumber(page_param="p", size_param="s"))(function)])


def test_a_name_of_a_filter_or_of_a_layer_is_told():
    with pytest.raises(ConfigurationError, match=r"'page' is a field of filters=ByPages and page_param of pagination"):
        Gateway([rows_by(asks_for_nothing, filters=ByPages)])
    with pytest.raises(ConfigurationError, match="'page' is page_param of pagination.* and a parameter"):
        Gateway([rows_by(asks_for_nothing)], parameters={"page": Annotated[int | None, Query()]})
    with pytest.raises(ConfigurationError, match="'pages' is a field of filters=.*ByPages2 and a parameter"):

        class ByPages2(msgspec.Struct):
            pages: int | None = None

        def asks_for_pages(pages: int = 1) -> Any: ...

        Gateway([get("/", response=list[BookOut], filters=ByPages2)(asks_for_pages)])


def test_a_part_of_the_path_may_have_the_name_of_a_parameter(serve):
    fill(3)

    @get("/{page}", response=list[BookOut], pagination=PageNumber(size=2))
    def books(page: int) -> Any:
        return Book.objects.order_by("pk")

    assert serve(books).get("/7?page=1").json()["next"] == "/7?page=2"


# --- links ---------------------------------------------------------------------------------------------------------


def test_links_say_where_the_first_and_the_last_page_are(serve):
    fill()
    client = serve(
        books(PageNumber(size=3, links=ALL), "/numbered"),
        books(LimitOffset(limit=3, links=ALL), "/sliced"),
        books(Cursor(size=3, links=ALL[:3]), "/cursor"),
        books(LimitOffset(limit=3, links=()), "/none"),
        books(PageNumber(size=3, links=["last"]), "/last"),
    )
    at = "/numbered?q=%C3%A9&page"
    assert links(client.get("/numbered?page=2&q=%C3%A9")) == {
        "first": f"{at}=1", "prev": f"{at}=1", "next": f"{at}=3", "last": f"{at}=3",
    }  # fmt: skip
    assert links(client.get("/sliced?offset=1")) == {
        "first": "/sliced?limit=3&offset=0", "prev": "/sliced?limit=3&offset=0",
        "next": "/sliced?limit=3&offset=4", "last": "/sliced?limit=3&offset=4",
    }  # fmt: skip
    assert links(client.get("/sliced?offset=50"))["last"] == "/sliced?limit=3&offset=5"
    second = links(client.get(links(client.get("/cursor?x="))["next"]))
    assert (second["first"], set(second)) == ("/cursor?x=", {"first", "prev", "next"})
    assert "Link" not in client.get("/none").headers
    assert links(client.get("/last")) == {"last": "/last?page=3"}


def test_links_of_a_list_without_rows(serve):
    client = serve(
        books(PageNumber(links=ALL), "/numbered"), books(LimitOffset(links=ALL), "/sliced"), books(Cursor(), "/cursor")
    )
    assert links(client.get("/numbered")) == {"first": "/numbered?page=1", "last": "/numbered?page=1"}
    assert links(client.get("/sliced"))["last"] == "/sliced?limit=20&offset=0"
    assert links(client.get("/cursor")) == {}


@pytest.mark.parametrize("protocol", ["asgi", "wsgi"])
@pytest.mark.parametrize("forced", [True, False])
def test_links_have_the_prefixes_of_routers_and_of_the_server(protocol, forced, settings):
    fill(3)
    settings.FORCE_SCRIPT_NAME = "/shop" if forced else None

    @get("/where")
    def where(path: http.Path, url: http.URL) -> list[str]:
        return [path, url]

    gateway = Gateway([Router("/v1", [books(PageNumber(size=1, links=ALL), "/books"), where])])
    client = TestClient(gateway, protocol=protocol, **({} if forced else {"SCRIPT_NAME": "/shop"}))
    answer = client.get("/v1/books?page=2")
    assert answer.json()["next"] == "/shop/v1/books?page=3"
    assert links(answer)["first"] == "/shop/v1/books?page=1"
    assert client.get("/v1/where").json() == ["/shop/v1/where", "http://testserver/shop/v1/where"]


# --- envelopes -----------------------------------------------------------------------------------------------------


def test_a_bare_list_says_the_rest_in_headers(serve):
    fill()
    client = serve(
        books(PageNumber(size=3, envelope=None, links=ALL), "/numbered"),
        books(LimitOffset(limit=3, envelope=None, count=False), "/uncounted"),
        books(Cursor(size=3, envelope=None), "/cursor"),
        books(PageNumber(size=3, envelope=None, total_header="Total"), "/named"),
        books(PageNumber(size=3, total_header="X-Total-Count"), "/both"),
    )
    answer = client.get("/numbered?page=3")
    assert (answer.json(), answer.headers["X-Total-Count"]) == ([{"title": "Book 6"}], "7")
    assert set(links(answer)) == {"first", "prev", "last"}
    for path in ("/uncounted", "/cursor"):
        answer = client.get(path)
        assert (titles(answer.json()), set(links(answer))) == (["Book 0", "Book 1", "Book 2"], {"next"})
        assert "X-Total-Count" not in answer.headers
    assert client.get("/named").headers["Total"] == "7"
    both = client.get("/both")
    assert (both.json()["total"], both.headers["X-Total-Count"]) == (7, "7")


def test_an_envelope_may_be_a_class_of_the_projects(serve):
    fill()
    client = serve(
        books(PageNumber(size=3, envelope=Results), "/drf"),
        books(LimitOffset(limit=3, envelope=Results), "/drf-sliced"),
        books(PageNumber(size=3, envelope=Document), "/jsonapi"),
        books(Cursor(size=3, envelope=Summed), "/summed"),
        books(LimitOffset(limit=3, envelope=Titles), "/titles"),
    )
    rows = [{"title": f"Book {number}"} for number in range(3)]
    assert client.get("/drf").json() == {"count": 7, "next": "/drf?page=2", "previous": None, "results": rows}
    assert client.get("/drf-sliced").json()["count"] == 7
    document = client.get("/jsonapi?page=2").json()
    assert document["links"] == {
        "first": "/jsonapi?page=1", "last": "/jsonapi?page=3", "prev": "/jsonapi?page=1", "next": "/jsonapi?page=3",
    }  # fmt: skip
    assert (document["meta"], len(document["data"])) == ({"total": 7, "pages": 3, "unit": "rows"}, 3)
    assert links(client.get("/jsonapi")) == {"next": "/jsonapi?page=2"}, "what the envelope shows is not all linked"
    assert client.get("/summed").json() == {"rows": rows, "has_more": True}
    assert client.get("/titles").json() == {"items": rows}


def test_a_handler_that_fills_its_page_itself_is_sent_the_same(serve):
    fill(3)

    @get("/sync", pagination=PageNumber(size=2, envelope=Results))
    def sync(page: Page[BookOut]) -> Page[BookOut]:
        return page.fetch(Book.objects.order_by("pk"))

    @get("/bare", pagination=PageNumber(size=2, envelope=None))
    async def bare(page: Page[BookOut]) -> Page[BookOut]:
        return await page.afetch(Book.objects.order_by("pk"))

    client = serve(sync, bare)
    assert client.get("/sync").json()["count"] == 3
    assert len(client.get("/bare").json()) == 2


class Nameless(msgspec.Struct, Generic[T]):
    count: int
    items: list[T]


class Itemless(msgspec.Struct):
    total: int


class Untyped(msgspec.Struct):
    items: list[object]


class Counted(msgspec.Struct, Generic[T]):
    items: list[T]
    total: int


@pytest.mark.parametrize(
    ("pagination", "told"),
    [
        (PageNumber(envelope=Nameless), r"'count' is nothing that such a page has: first, items, last.*name='count'"),
        (PageNumber(envelope=Itemless), "must have one field `items: list"),
        (PageNumber(envelope=Untyped), r"items must be list\[.*BookOut\]"),
        (PageNumber(envelope=Counted, count=False), "'total' is to be counted, and nobody counts"),
        (Cursor(envelope=Counted), "'total' is to be counted, and nobody counts"),
        (Cursor(envelope=Document), "'last' is nothing that such a page has"),
        (LimitOffset(envelope=Document), "'pages' is nothing that such a page has"),
        (PageNumber(envelope=dict), "must be a Struct whose fields"),
        (PageNumber(envelope="x"), "must be a class, or None"),  # type: ignore[arg-type]
    ],
)
def test_an_envelope_that_cannot_be_filled_is_told(pagination, told):
    with pytest.raises(ConfigurationError, match=f"GET /: .*{told}"):
        Gateway([books(pagination)])


def test_envelopes_and_headers_are_in_the_document():
    def answer(pagination: object) -> Any:
        document = build_document(Gateway([books(pagination)]).endpoints, OpenAPISettings())
        answer = document["paths"]["/"]["get"]["responses"]["200"]
        schema = answer["content"]["application/json"]["schema"]
        if "$ref" in schema:
            schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return sorted(schema.get("properties", {schema["type"]: 0})), sorted(answer.get("headers", ()))

    assert answer(PageNumber(envelope=Results)) == (["count", "next", "previous", "results"], ["Link"])
    assert answer(PageNumber(envelope=None)) == (["array"], ["Link", "X-Total-Count"])
    assert answer(Cursor(envelope=Summed, links=())) == (["has_more", "rows"], [])


# --- every row once ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("style", "names"), STYLES)
@pytest.mark.parametrize("envelope", ["own", "bare"])
@given(
    prices=st.lists(st.integers(0, 3), max_size=9),
    size=st.integers(1, 4),
    order=st.sampled_from(["price", "-price", "weight"]),
)
@run(max_examples=5)
def test_every_row_is_on_one_page_in_its_place(style, names, envelope, prices, size, order):
    Book.objects.all().delete()
    Book.objects.bulk_create(
        Book(title=str(number), isbn=str(number), price=price, weight=price or None)
        for number, price in enumerate(prices)
    )

    @get("/", response=list[BookOut])
    def books() -> Any:
        return Book.objects.order_by(F(order).asc(nulls_first=True) if order == "weight" else order)

    known = {"limit" if style is LimitOffset else "size": size, **names}
    shown = {"links": ALL if style is not Cursor else ALL[:3], **({"envelope": None} if envelope == "bare" else {})}
    client = TestClient(Gateway([Router("/a b", [books], pagination=style(**known, **shown))]))
    expected = [book.title for book in Book.objects.order_by(
        F(order).asc(nulls_first=True) if order == "weight" else order, "pk"
    )]  # fmt: skip

    def walk(url: str, relation: str) -> tuple[list[list[str]], str]:
        pages = []
        while True:
            answer = client.get(url)
            pages.append(titles(answer.json()))
            found = links(answer)
            assert found.get("first") == links(client.get("/a%20b/?keep=%C3%A9")).get("first")
            assert all("keep=%C3%A9" in link for link in found.values())
            if relation not in found:
                return pages, url
            url = found[relation]

    pages, end = walk("/a%20b/?keep=%C3%A9", "next")
    assert [title for page in pages for title in page] == expected
    assert all(len(page) == size for page in pages[:-1])
    back, start = walk(end, "prev")
    assert [title for page in reversed(back) for title in page] == expected
    if style is not Cursor and expected:
        last = links(client.get(start))["last"]
        assert titles(client.get(last).json()) == pages[-1]


# --- queries -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pagination", "queries"),
    [
        (PageNumber(size=3, links=ALL), 2),
        (LimitOffset(limit=3, envelope=Results), 2),
        (LimitOffset(limit=3, envelope=None, count=False), 1),
        (Cursor(size=3, envelope=None, links=ALL[:3]), 1),
    ],
)
def test_no_link_and_no_envelope_costs_a_query(pagination, queries):
    fill()
    client = TestClient(Gateway([books(pagination)]))
    with assert_queries(queries):
        client.get("/")
