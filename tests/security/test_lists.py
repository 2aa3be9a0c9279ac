"""What clients choose from is written down: columns, orders, origins, prefixes; and the document's pages are off."""

import base64
from typing import Annotated, Literal

import msgspec
import pytest
from django.conf import settings as django_settings

from hybrid_gateway import CORS, ConfigurationError, Gateway, get, post
from hybrid_gateway.conf import OpenAPISettings
from hybrid_gateway.dispatch.prefixes import Prefixes
from hybrid_gateway.openapi.pages import VIEWERS
from hybrid_gateway.orm import Cursor, LimitOffset, Lookup, ModelStruct, Ordering, PageNumber, Search
from tests.library.models import Book, Publisher


class BookOut(ModelStruct, model=Book):
    title: str


class Filters(msgspec.Struct):
    title: str | None = None
    word: Annotated[str | None, Search("title")] = None
    least: Annotated[int | None, Lookup("pages__gte")] = None
    order: Annotated[Literal["title", "-title", "dear"], Ordering(dear="-price")] = "title"


def rows(path, **options):
    def handler():
        return Book.objects.all()

    handler.__name__ = "rows_" + path.strip("/")
    return get(path, response=list[BookOut], **options)(handler)


ROUTES = [
    rows("/filtered", filters=Filters),
    rows("/numbered", pagination=PageNumber()),
    rows("/sliced", pagination=LimitOffset()),
    rows("/cursor", pagination=Cursor(ordering="title")),
]


@pytest.fixture
def books(db):
    house = Publisher.objects.create(name="secret")
    for number in range(3):
        Book.objects.create(title=f"Book {number}", isbn=str(number), publisher=house)


# A relation, a lookup and a transform that nobody has offered; what Django's own query syntax would take; raw SQL.
OFFERED_TO_NOBODY = [
    "publisher__name", "publisher__name__startswith", "title__regex", "isbn", "pk", "id__in", "_connector", "_negated",
    "price__lt", "order_by", "-price", "title) OR 1=1 --",
]  # fmt: skip


@pytest.mark.parametrize("name", OFFERED_TO_NOBODY)
def test_r_orm_no_parameter_becomes_a_lookup(serve, books, name):
    client = serve(*ROUTES)
    for path in ("/filtered", "/numbered", "/sliced", "/cursor"):
        answer = client.get(path, params={name: "nothing"})
        items = answer.json() if path == "/filtered" else answer.json()["items"]
        assert (answer.status_code, len(items)) == (200, 3)


@pytest.mark.parametrize("order", [*OFFERED_TO_NOBODY, "price", "-title; DROP TABLE", "?", "", "title,price"])
def test_r_orm_no_word_becomes_an_order(serve, books, order):
    assert serve(*ROUTES).get("/filtered", params={"order": order}).status_code == 422
    assert serve(*ROUTES).get("/filtered", params={"order": "dear"}).status_code == 200


@pytest.mark.parametrize("cursor", ["x", "x:y", "e30:x", "a" * 2048, ":", "", "W10:W10", "ÿ", "a" * 3000])
def test_r_orm_no_cursor_but_ours(serve, books, cursor):
    assert serve(*ROUTES).get("/cursor", params={"cursor": cursor}).status_code == 422


def test_r_orm_a_cursor_that_was_changed_is_none(serve, books):
    """What is inside is no secret, and well-formed: it is the signature that says whose it is."""
    client = serve(*ROUTES)
    given = client.get("/cursor", params={"size": 1}).json()["next"].partition("cursor=")[2].partition("&")[0]
    place, _, signature = given.replace("%3A", ":").rpartition(":")
    values = base64.urlsafe_b64decode(place + "=" * (-len(place) % 4))
    assert client.get("/cursor", params={"cursor": f"{place}:{signature}"}).status_code == 200
    changed = base64.urlsafe_b64encode(values.replace(b"Book 0", b"Book 1")).decode().rstrip("=")
    assert changed != place
    assert client.get("/cursor", params={"cursor": f"{changed}:{signature}"}).status_code == 422


@pytest.mark.parametrize("query", ["page=0", "page=-1", "page=99999999999", "size=101", "size=1e3", "page=1&page=x"])
def test_r_orm_pages_have_bounds(serve, books, query):
    assert serve(*ROUTES).get(f"/numbered?{query}").status_code == 422
    sliced = query.replace("page", "offset").replace("size", "limit").replace("offset=0", "limit=0")
    assert serve(*ROUTES).get(f"/sliced?{sliced}").status_code == 422


@pytest.mark.parametrize("word", ["\\", "%", "_", "'", '"', "x" * 3000, " ".join(["xyz"] * 900)])
def test_r_orm_words_are_values(serve, books, word):
    assert serve(*ROUTES).get("/filtered", params={"word": word}).json() == []


@pytest.mark.parametrize("text", ["\x00", "a\x00b", "x" * 60_000, "é" * 4001])
def test_r_len_no_text_breaks_a_database(serve, books, text):
    for name in ("word", "title"):
        assert serve(*ROUTES).get("/filtered", params={name: text}).status_code == 422
    assert serve(*ROUTES).get("/filtered", params={"title": "Book 1"}).json() == [{"title": "Book 1"}]


class PublisherIn(ModelStruct, model=Publisher):
    name: str


@post("/publishers")
def add_publisher(data: PublisherIn) -> int:
    return int(data.create().pk)


def test_r_json1_a_null_character_is_no_text_for_a_column(serve, db):
    answer = serve(add_publisher).post("/publishers", json={"name": "a\x00b"})
    assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, ["body", "name"])
    assert serve(add_publisher).post("/publishers", json={"name": "a"}).status_code == 201


@pytest.mark.parametrize(
    "name", ["title[", "title[]", "title[a][b]", "title." * 1000, "[" * 5000, "child[" * 1000, "__proto__"]
)
def test_r_orm_no_name_is_a_path_into_something(serve, books, name):
    answer = serve(*ROUTES).get("/filtered", params={name: "x"})
    assert (answer.status_code, len(answer.json())) == (200, 3)


# --- literals ------------------------------------------------------------------------------------------------------


@get("/data")
async def data() -> str:
    return "data"


@pytest.mark.parametrize(
    "origin",
    [
        "https://shopXexample.com", "https://shop.example.com.evil.test", "https://evil.test?https://shop.example.com",
        "http://shop.example.com", "https://shop.example.com:8443", "https://SHOP.example.com", "null", "https://shop.example.co",
        "https://shop.example.com\x0b", "https://a@shop.example.com",
    ],
)  # fmt: skip
def test_r_lit_origins_are_literals(serve, origin):
    client = serve(data, cors=CORS(["https://shop.example.com"]))
    assert "Access-Control-Allow-Origin" not in client.get("/data", headers={"Origin": origin}).headers
    allowed = client.get("/data", headers={"Origin": "https://shop.example.com"})
    assert allowed.headers["Access-Control-Allow-Origin"] == "https://shop.example.com"


@pytest.mark.parametrize(
    "origin", ["https://*.example.com", "https://.*", "https://(a|b).test", "https://a.test/", "a.test"]
)
def test_r_lit_patterns_are_told(origin):
    with pytest.raises(ConfigurationError, match="is no origin"):
        CORS([origin])


def test_r_lit_prefixes_are_literals():
    prefixes = Prefixes(["/a.min/", "/b*/", "/c(d)/"])
    assert all(path in prefixes for path in ("/a.min", "/a.min/x", "/b*/x", "/c(d)/"))
    assert not any(path in prefixes for path in ("/admin/", "/aXmin/", "/bb/", "/b/", "/cd/", "/a.minx"))


# --- the document --------------------------------------------------------------------------------------------------


def test_r_docs_nothing_is_shown_without_debug(serve, settings):
    settings.DEBUG = False
    client = serve(data, openapi=OpenAPISettings())
    for path in ("/openapi.json", "/openapi.yaml", "/docs", *(f"/docs/{name}" for name in VIEWERS)):
        assert client.get(path).status_code == 404
    settings.DEBUG = True
    assert serve(data, openapi=OpenAPISettings()).get("/docs").status_code == 200
    assert Gateway([data]).openapi.enabled is False


@pytest.mark.parametrize("name", VIEWERS)
def test_r_docs_scripts_of_others_are_pinned_by_version_and_hash(name):
    viewer = VIEWERS[name]
    for file, integrity in filter(None, (viewer.script, viewer.style)):
        assert file.rpartition("@")[2].partition("/")[0].count(".") == 2
        assert integrity.startswith("sha384-")
        assert f'integrity="{integrity}" crossorigin="anonymous"' in viewer.page(
            "API", "/openapi.json", "https://cdn.test"
        )
    assert (
        "'unsafe-eval'" not in viewer.content_security_policy("https://cdn.test").split("script-src")[1].split(";")[0]
    )


def test_r_docs_a_title_is_text(serve):
    title = "<script>alert(1)</script>"
    client = serve(data, openapi=OpenAPISettings(enabled=True, title=title))
    for path in ("/docs", *(f"/docs/{name}" for name in VIEWERS)):
        assert title not in client.get(path).text
    assert django_settings.DEBUG is False
