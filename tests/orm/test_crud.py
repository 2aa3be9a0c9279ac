"""crud(), ViewSet and ModelViewSet: six routes of a model, scoped, versioned, overridable, documented."""

from typing import Annotated, Any, Literal

import msgspec
import pytest
from django.contrib.auth.models import User
from django.db.models import QuerySet

from hybrid_gateway import ConfigurationError, Gateway, Router, get
from hybrid_gateway.auth import BasicAuthentication, IsAuthenticated
from hybrid_gateway.conf import OpenAPISettings
from hybrid_gateway.exceptions import Forbidden
from hybrid_gateway.openapi.document import build_document
from hybrid_gateway.orm import Column, LimitOffset, ModelStruct, ModelViewSet, Ordering, ViewSet, action, crud
from tests.library.models import Author, Book, Publisher, Review

pytestmark = pytest.mark.django_db(transaction=True)


class PublisherOut(ModelStruct, model=Publisher):
    id: int
    name: str


class BookOut(ModelStruct, model=Book):
    id: int
    title: str
    pages: int
    publisher: PublisherOut | None


class BookIn(ModelStruct, model=Book):
    title: str
    isbn: str
    pages: int = 1
    publisher: int | None = None


class BookPatch(BookIn, partial=True):
    pass


class BookFilter(msgspec.Struct):
    pages__gte: int | None = None
    sort: Annotated[Literal["title", "-title"] | None, Ordering()] = None


@pytest.fixture
def house():
    return Publisher.objects.create(name="House")


def routes(**options: Any) -> Any:
    given = {"out": BookOut, "create": BookIn, "update": BookPatch, "path": "/books", **options}
    return crud(Book, **given)


def test_paths_may_end_with_a_slash(serve, house):
    client = serve(routes(trailing_slash=True), trailing_slash="strict")
    made = client.post("/books/", json={"title": "A", "isbn": "a"})
    row = made.headers["Location"]
    assert row == f"/books/{made.json()['id']}/"
    assert client.get(row).json() == made.json()
    assert client.patch(row, json={"pages": 3}).json()["pages"] == 3
    assert client.put(row, json={"title": "Z", "isbn": "z"}).status_code == 200
    assert client.get("/books").status_code == client.get(row.rstrip("/")).status_code == 404
    assert client.delete(row).status_code == 204


def test_actions_end_with_a_slash_as_their_view_set_does(serve, house):
    class BookViewSet(ModelViewSet):
        path = "/books"
        out = BookOut
        trailing_slash = True

        @action(detail=False)
        def number(self) -> int:
            return 7

    client = serve(BookViewSet, trailing_slash="strict")
    assert client.get("/books/number/").json() == 7
    assert client.get("/books/number").status_code == 404


def test_six_routes(serve, house):
    client = serve(routes(filters=BookFilter, pagination=LimitOffset(limit=2)))
    made = client.post("/books", json={"title": "A", "isbn": "a", "publisher": house.pk})
    key = made.json()["id"]
    assert (made.status_code, made.headers["Location"]) == (201, f"/books/{key}")
    assert made.json() == {"id": key, "title": "A", "pages": 1, "publisher": {"id": house.pk, "name": "House"}}
    for title in "BCD":
        client.post("/books", json={"title": title, "isbn": title, "pages": 5})
    listed = client.get("/books?pages__gte=5&sort=-title").json()
    assert ([item["title"] for item in listed["items"]], listed["total"]) == (["D", "C"], 3)
    assert client.get(f"/books/{key}").json() == made.json()
    assert client.patch(f"/books/{key}", json={"pages": 3}).json() == {**made.json(), "pages": 3}
    replaced = client.put(f"/books/{key}", json={"title": "Z", "isbn": "z"})
    assert replaced.json() == {"id": key, "title": "Z", "pages": 1, "publisher": None}
    assert client.delete(f"/books/{key}").status_code == 204
    for call in (client.get, client.delete):
        assert call(f"/books/{key}").status_code == 404
    assert client.patch(f"/books/{key}", json={}).status_code == 404
    assert client.get("/books/x").status_code == 404


def test_a_key_that_a_client_sends_overwrites_nothing(serve):
    book = Book.objects.create(title="T", isbn="1")

    class WithKey(ModelStruct, model=Book):
        id: Annotated[int, Column(read_only=True)]
        title: str
        isbn: str

    client = serve(routes(create=WithKey))
    answer = client.post("/books", json={"id": book.pk, "title": "U", "isbn": "2"})
    assert answer.json()["id"] != book.pk
    book.refresh_from_db()
    assert book.title == "T"


def test_names_and_what_is_left_out(serve):
    gateway = Gateway([routes(deletes=False, create=None)])
    assert sorted(route.name for route in gateway.routes) == ["book_detail", "book_list", "book_partial_update"]
    assert gateway.reverse_url("book_detail", pk=3) == "/books/3"
    client = serve(routes(create=None, update=None))
    assert client.post("/books", json={}).headers["Allow"] == "GET, HEAD, OPTIONS"
    assert crud(Book, out=BookOut).path == "/books"


def test_what_nobody_can_set_is_a_mistake():
    with pytest.raises(ConfigurationError, match="BookOut.id is managed by the server"):
        routes(create=BookOut)
    with pytest.raises(ConfigurationError, match="out=.*must be a ModelStruct of it"):
        crud(Book, out=PublisherOut)
    with pytest.raises(ConfigurationError, match="must be a ModelStruct of Book"):
        routes(update=PublisherOut)


# --- scope ---------------------------------------------------------------------------------------------------------


class ReviewOut(ModelStruct, model=Review):
    id: int
    stars: int
    text: str


class ReviewIn(ModelStruct, model=Review):
    stars: int
    book: int
    text: str = ""


class ReviewPatch(ReviewIn, partial=True):
    pass


def mine(user: User) -> QuerySet[Review]:
    return Review.objects.filter(text=user.username)


def signed(user: User) -> dict[str, Any]:
    return {"text": user.username}


@pytest.mark.parametrize("driver", ["serve"])
def test_a_queryset_scopes_reads_and_writes(serve, driver):
    for name in ("ada", "bob"):
        User.objects.create_user(name, password="pw")
    book = Book.objects.create(title="T", isbn="1")
    other = Review.objects.create(book=book, stars=1, text="bob")
    reviews = crud(
        Review, out=ReviewOut, create=ReviewIn, update=ReviewPatch, queryset=mine, given=signed,
        authentication=[BasicAuthentication()], guards=[IsAuthenticated],
    )  # fmt: skip
    client = serve(reviews)
    assert client.get("/reviews").status_code == 401
    client.credentials(Authorization="Basic YWRhOnB3")
    made = client.post("/reviews", json={"stars": 4, "book": book.pk, "text": "bob"}).json()
    assert made["text"] == "ada", "what is given is given, whatever a client sends"
    assert [item["id"] for item in client.get("/reviews").json()] == [made["id"]]
    for call in (client.get, client.delete):
        assert call(f"/reviews/{other.pk}").status_code == 404
    assert client.patch(f"/reviews/{other.pk}", json={"stars": 2}).status_code == 404
    answer = client.patch(f"/reviews/{made['id']}", json={"text": "bob"})
    assert answer.status_code == 403
    assert Review.objects.get(pk=made["id"]).text == "ada", "undone"
    assert client.get("/reviews/1/nothing").status_code == 404


def test_a_row_cannot_be_made_out_of_scope(serve):
    client = serve(routes(queryset=lambda: Book.objects.filter(pages__gt=10)))
    assert client.post("/books", json={"title": "T", "isbn": "1"}).status_code == 403
    assert not Book.objects.exists()
    assert client.post("/books", json={"title": "T", "isbn": "1", "pages": 11}).status_code == 201


def test_guards_of_those_that_write(serve):
    Book.objects.create(title="T", isbn="1")
    options = {"authentication": [BasicAuthentication()], "write_guards": [IsAuthenticated]}
    client = serve(routes(**options))
    assert len(client.get("/books").json()) == 1
    one = f"/books/{Book.objects.get().pk}"
    assert client.get(one).status_code == 200
    answers = [client.post("/books", json={}), client.put(one, json={}), client.patch(one, json={}), client.delete(one)]
    assert [answer.status_code for answer in answers] == [401] * 4


class AuthorOut(ModelStruct, model=Author):
    name: str


def test_a_lookup_by_another_column(serve):
    class NamedOut(ModelStruct, model=Publisher):
        name: str

    Publisher.objects.create(name="A")
    client = serve(crud(Publisher, out=NamedOut, lookup="name"))
    assert client.get("/publishers/A").json() == {"name": "A"}
    assert client.delete("/publishers/A").status_code == 204
    assert not Publisher.objects.exists()
    with pytest.raises(ConfigurationError, match="must be a unique column"):
        crud(Author, out=AuthorOut, lookup="name")


def test_a_queryset_may_hold_a_row_more_than_once(serve):
    book = Book.objects.create(title="T", isbn="1")
    book.authors.set([Author.objects.create(name="A"), Author.objects.create(name="B")])
    client = serve(routes(queryset=lambda: Book.objects.filter(authors__name__in=["A", "B"]), version="version"))
    url = f"/books/{book.pk}"
    assert client.get(url).status_code == 200
    assert client.patch(url, json={"pages": 3}).json()["pages"] == 3
    assert client.delete(url).status_code == 204


# --- versions ------------------------------------------------------------------------------------------------------


def test_versions(serve):
    book = Book.objects.create(title="T", isbn="1")
    client = serve(routes(version="version"))
    seen = client.get(f"/books/{book.pk}").headers["ETag"]
    assert seen == '"1"'
    mine = client.patch(f"/books/{book.pk}", json={"pages": 2}, headers={"If-Match": seen})
    assert (mine.status_code, mine.headers["ETag"]) == (200, '"2"')
    theirs = client.patch(f"/books/{book.pk}", json={"pages": 3}, headers={"If-Match": seen})
    assert theirs.status_code == 412
    assert client.delete(f"/books/{book.pk}", headers={"If-Match": 'W/"2"'}).status_code == 412
    book.refresh_from_db()
    assert (book.pages, book.version) == (2, 2)
    assert client.put(f"/books/{book.pk}", json={"title": "U", "isbn": "1"}).headers["ETag"] == '"3"'
    assert client.delete(f"/books/{book.pk}", headers={"If-Match": '"1", "3"'}).status_code == 204


# --- classes -------------------------------------------------------------------------------------------------------


class Shelf(ModelViewSet):
    path = "/shelf"
    out = BookOut
    create_in = BookIn
    update_in = BookPatch
    basename = "shelf"

    def get_queryset(self, least: int = 0) -> QuerySet[Book]:
        return Book.objects.filter(pages__gte=least).order_by("pk")

    def destroy(self, pk: int) -> None:
        raise Forbidden

    @action(detail=True, methods=["POST"])
    def burn(self, pk: int) -> dict[str, int]:
        return {"burnt": pk}

    @action(detail=False, path="count-all", name="counted")
    async def count(self) -> int:
        return await Book.objects.acount()


class Thick(Shelf):
    path = "/thick"
    basename = "thick"
    create_in = None

    def get_queryset(self) -> QuerySet[Book]:
        return Book.objects.filter(pages__gte=100)

    def retrieve(self, pk: int) -> str:
        return f"thick {pk}"


def test_model_view_sets_are_overridden_method_by_method(serve):
    book = Book.objects.create(title="T", isbn="1", pages=5)
    client = serve(Shelf, Thick)
    assert [item["title"] for item in client.get("/shelf").json()] == ["T"]
    assert client.get("/shelf?least=6").json() == []
    assert client.get(f"/shelf/{book.pk}").json()["title"] == "T"
    assert client.delete(f"/shelf/{book.pk}").status_code == 403
    assert client.post(f"/shelf/{book.pk}/burn").json() == {"burnt": book.pk}
    assert client.get("/shelf/count-all").json() == 1
    assert client.get("/thick").json() == []
    assert client.get(f"/thick/{book.pk}").status_code == 404, "one that is not among its rows"
    thick = Book.objects.create(title="W", isbn="w", pages=100)
    assert client.get(f"/thick/{thick.pk}").text == f"thick {thick.pk}"
    assert client.post("/thick", json={"title": "U", "isbn": "3"}).status_code == 405
    assert client.post("/shelf", json={"title": "U", "isbn": "2"}).status_code == 201


def test_view_sets(serve):
    class Numbers(ViewSet):
        path = "/numbers"
        lookup_field = "number"

        def list(self) -> Any:
            return [1, 2]

        async def retrieve(self, number: int) -> int:
            return number

        def create(self, data: dict[str, int]) -> dict[str, int]:
            return data

    client = serve(Numbers, Router("/again", [Numbers]), get("/other")(lambda: 1))
    assert client.get("/numbers").json() == [1, 2]
    assert client.get("/numbers/7").json() == 7
    assert client.post("/again/numbers", json={"a": 1}).status_code == 201
    names = [route.name for route in Gateway([Numbers]).routes]
    assert sorted(names) == ["numbers_create", "numbers_detail", "numbers_list"]


def test_everything_is_documented():
    document = build_document(Gateway([routes(version="version", filters=BookFilter)]).endpoints, OpenAPISettings())
    paths = document["paths"]
    assert {method for path in paths.values() for method in path} == {"get", "post", "put", "patch", "delete"}
    one = paths["/books/{pk}"]
    assert set(one["patch"]["responses"]) >= {"200", "404", "409", "412", "413", "415", "422"}
    assert (one["get"]["summary"], one["get"]["tags"]) == ("Show one book.", ["books"])
    assert one["get"]["parameters"][0]["schema"] == {"type": "integer"}
    create = paths["/books"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert create == {"$ref": "#/components/schemas/BookIn"}
    schema = document["components"]["schemas"]["BookIn"]
    assert (schema["properties"]["title"]["maxLength"], schema["properties"]["pages"]["minimum"]) == (80, 1)
