"""Structs → rows: what is written, what is refused and where, one transaction for what belongs together."""

import decimal
import uuid
from typing import Annotated, Any

import msgspec
import pytest
from asgiref.sync import async_to_sync
from django.db import connection, transaction
from django.http import HttpResponse
from django.test.utils import CaptureQueriesContext
from msgspec import UNSET, UnsetType

from hybrid_gateway import ConfigurationError, JSONResponse, Router, patch, post
from hybrid_gateway.exceptions import Conflict, NotFound, PreconditionFailed, RequestValidationError
from hybrid_gateway.orm import Column, ModelStruct, crud, run_in_transaction
from hybrid_gateway.orm.views.row_versions import check_version
from tests.library.models import Author, Book, Copy, Novel, Publisher, Review, Status

pytestmark = pytest.mark.django_db(transaction=True)


class BookIn(ModelStruct, model=Book, rename="camel"):
    title: str
    isbn: str
    status: Status = Status.PLANNED
    pages: int = 1
    price: decimal.Decimal = decimal.Decimal(0)
    publisher_id: int | None = None
    authors: list[int] = []


class BookPatch(BookIn, partial=True, rename="camel"):
    pass


@pytest.fixture
def house():
    return Publisher.objects.create(name="House")


@pytest.fixture
def book(house):
    return Book.objects.create(title="T", isbn="1", publisher=house)


def faults(error: Any) -> list[tuple[list[Any], str]]:
    found = error.errors if isinstance(error, RequestValidationError) else error.extra["errors"]
    return [(list(entry["loc"]), entry["msg"]) for entry in found]


def test_create(house):
    ada = Author.objects.create(name="Ada")
    made = BookIn(title="T", isbn="1", status=Status.SOLD, publisher_id=house.pk, authors=[ada.pk]).create(pages=7)
    stored = Book.objects.get(pk=made.pk)
    assert (stored.title, stored.status, stored.pages, stored.publisher, list(stored.authors.all())) == (
        "T", "sold", 7, house, [ada],
    )  # fmt: skip
    assert async_to_sync(BookIn(title="U", isbn="2").acreate)().title == "U"


def test_what_the_server_gives_wins_by_whichever_name(house):
    other = Publisher.objects.create(name="Other")

    class Both(ModelStruct, model=Book):
        name: Annotated[str, Column("title")]
        isbn: str
        publisher_id: int | None

    data = Both(name="theirs", isbn="1", publisher_id=other.pk)
    made = data.create(publisher=house, title="ours")
    made.refresh_from_db()
    assert (made.publisher, made.title) == (house, "ours")
    data.update(made, publisher_id=house.pk)
    made.refresh_from_db()
    assert (made.publisher, made.title) == (house, "theirs")


def test_a_key_of_ones_own_overwrites_nothing(book):
    class CopyIn(ModelStruct, model=Copy):
        code: str
        book: int

    CopyIn(code="A1", book=book.pk).create()
    other = Book.objects.create(title="U", isbn="u")
    with pytest.raises(Conflict) as caught:
        CopyIn(code="A1", book=other.pk).create()
    assert faults(caught.value)[0][0] == ["body", "code"]
    assert Copy.objects.get().book == book


def test_update_writes_what_is_sent_and_nothing_else(book):
    Book.objects.update(title="changed since")
    with CaptureQueriesContext(connection) as captured:
        BookPatch(pages=5).update(book)
    [query] = [entry["sql"] for entry in captured if entry["sql"].startswith("UPDATE")]
    assert ("pages" in query, "title" in query) == (True, False)
    stored = Book.objects.get()
    assert (stored.title, stored.pages, stored.publisher_id) == ("changed since", 5, book.publisher_id)
    BookPatch(publisher_id=None).update(book)
    assert Book.objects.get().publisher is None
    with CaptureQueriesContext(connection) as captured:
        BookPatch().update(book)
    assert len(captured) == 0
    assert async_to_sync(BookPatch(title="A").aupdate)(book).title == "A"


def test_what_the_server_manages_is_never_written(book):
    class Everything(ModelStruct, model=Book):
        id: int | UnsetType = UNSET
        version: int | UnsetType = UNSET
        key: uuid.UUID | UnsetType = UNSET
        double: int | UnsetType = UNSET
        title: Annotated[str, Column(read_only=True)]
        isbn: str

    data = msgspec.convert(
        {"id": book.pk, "version": 9, "key": str(uuid.UUID(int=1)), "title": "x", "isbn": "2"}, Everything
    )
    made = data.create()
    assert made.pk != book.pk
    made.refresh_from_db()
    assert (made.version, made.key == uuid.UUID(int=1), made.title) == (1, False, "")
    msgspec.structs.replace(data, isbn="3").update(book)
    book.refresh_from_db()
    assert (book.version, book.title, book.isbn, book.pk == made.pk) == (1, "T", "3", False)


def test_validators_of_the_model_and_keys_that_lead_nowhere(house):
    with pytest.raises(RequestValidationError) as caught:
        BookIn(title="T" * 90, isbn="1", price=decimal.Decimal("1.234"), publisher_id=house.pk + 1).create()
    assert sorted(loc[-1] for loc, _ in faults(caught.value)) == ["price", "publisherId", "title"]
    with pytest.raises(RequestValidationError) as caught:
        BookIn(title="T", isbn="1", authors=[5, 6]).create()
    assert faults(caught.value) == [
        (["body", "authors", 0], "There is no 5"),
        (["body", "authors", 1], "There is no 6"),
    ]
    assert not Book.objects.exists(), "the row of the transaction is gone with it"


@pytest.mark.parametrize("inside", [False, True])
def test_a_row_that_contradicts_another_is_a_conflict(book, inside):
    with transaction.atomic() if inside else CaptureQueriesContext(connection):
        with pytest.raises(Conflict) as caught:
            BookIn(title="T", isbn="1").create()
        assert faults(caught.value) == [(["body", "isbn"], "Book with this Isbn already exists.")]
        assert Book.objects.count() == 1
    other = Book.objects.create(title="U", isbn="2")
    with pytest.raises(Conflict):
        BookPatch(isbn="1").update(other)
    other.refresh_from_db()
    with pytest.raises(RequestValidationError) as caught:
        BookPatch(pages=200_000).update(other)
    assert faults(caught.value) == [(["body"], "Constraint “thin” is violated.")]


def test_full_clean_runs_all_checks_of_the_model(book):
    with pytest.raises(RequestValidationError) as caught:
        BookIn(title="T", isbn="1").create(full_clean=True)
    assert (["body", "isbn"], "Book with this Isbn already exists.") in faults(caught.value)


def test_a_row_that_is_gone_is_404(book):
    Book.objects.all().delete()
    with pytest.raises(NotFound):
        BookPatch(pages=2).update(book)


def test_inheritance():
    class NovelIn(ModelStruct, model=Novel):
        title: str
        isbn: str
        hero: str

    made = NovelIn(title="N", isbn="n", hero="H").create()
    assert (Novel.objects.get().title, Book.objects.get().pk) == ("N", made.pk)


# --- nested Structs ------------------------------------------------------------------------------------------------


class PublisherIn(ModelStruct, model=Publisher):
    name: str


class ReviewIn(ModelStruct, model=Review):
    id: Annotated[int, Column()] | None = None
    stars: int
    text: str = ""


class WholeBook(ModelStruct, model=Book):
    title: str
    isbn: str
    publisher: Annotated[PublisherIn | None, Column(write="create")] = None
    reviews: Annotated[list[ReviewIn], Column(write="replace")] = []


def test_nested_rows_are_written_by_the_rules_of_their_columns(house):
    book = WholeBook(
        title="T", isbn="1", publisher=PublisherIn(name="New"), reviews=[ReviewIn(stars=1), ReviewIn(stars=2)]
    ).create()
    assert (book.publisher.name, sorted(book.reviews.values_list("stars", flat=True))) == ("New", [1, 2])
    first = book.reviews.get(stars=1)
    WholeBook(
        title="T",
        isbn="1",
        publisher=PublisherIn(name="Newer"),
        reviews=[ReviewIn(id=first.pk, stars=5), ReviewIn(stars=4)],
    ).update(book)
    assert Publisher.objects.count() == 2
    assert sorted(book.reviews.values_list("pk", "stars"))[0] == (first.pk, 5)
    assert sorted(book.reviews.values_list("stars", flat=True)) == [4, 5]
    stranger = Review.objects.create(book=Book.objects.create(title="U", isbn="2"), stars=0)
    WholeBook(title="T", isbn="1", publisher=None, reviews=[ReviewIn(id=stranger.pk, stars=3)]).update(book)
    stranger.refresh_from_db()
    assert (stranger.stars, stranger.book_id != book.pk) == (0, True), "the row of another book stays as it was"
    book.refresh_from_db()
    assert (book.publisher, Publisher.objects.count()) == (None, 2)


def test_faults_of_nested_rows_have_their_places_and_undo_the_rest(house):
    with pytest.raises(Conflict) as caught:
        WholeBook(title="T", isbn="1", publisher=PublisherIn(name="House")).create()
    assert faults(caught.value) == [(["body", "publisher", "name"], "Publisher with this Name already exists.")]
    with pytest.raises(RequestValidationError) as caught:
        WholeBook(title="T", isbn="1", reviews=[ReviewIn(stars=1), ReviewIn(stars=2, text="x" * 300)]).create()
    assert faults(caught.value)[0][0] == ["body", "reviews", 1, "text"]
    assert (Book.objects.count(), Review.objects.count()) == (0, 0)


def test_nesting_without_a_rule_is_a_mistake():
    class NoRule(ModelStruct, model=Book):
        title: str
        publisher: PublisherIn | None

    class NoRuleForMany(ModelStruct, model=Book):
        title: str
        reviews: list[ReviewIn] = []

    with pytest.raises(ConfigurationError, match="NoRule.publisher is nested: say what writing it means"):
        NoRule(title="T", publisher=PublisherIn(name="x")).create()
    with pytest.raises(ConfigurationError, match="NoRuleForMany.reviews is nested"):
        NoRuleForMany(title="T").create()
    with pytest.raises(ConfigurationError, match="NoRuleForMany.reviews is nested"):
        crud(Book, out=NoRule, create=NoRuleForMany)


# --- many rows, versions -------------------------------------------------------------------------------------------


class Keyed(ModelStruct, model=Book, partial=True):
    id: int
    isbn: str
    pages: int


def test_many_rows_are_all_written_or_none(book):
    made = BookIn.create_many([BookIn(title="A", isbn="a"), BookIn(title="B", isbn="b")], pages=3)
    assert [row.pages for row in made] == [3, 3]
    with pytest.raises(Conflict) as caught:
        BookIn.create_many([BookIn(title="C", isbn="c"), BookIn(title="D", isbn="1"), BookIn(title="E" * 99, isbn="e")])
    assert [loc for loc, _ in faults(caught.value)] == [["body", 1, "isbn"], ["body", 2, "title"]]
    assert Book.objects.count() == 3
    changes = [Keyed(id=made[0].pk, pages=8), Keyed(id=made[1].pk, pages=9)]
    Keyed.update_many(changes, Book.objects.all())
    assert sorted(Book.objects.values_list("pages", flat=True)) == [1, 8, 9]
    with pytest.raises(RequestValidationError) as caught:
        Keyed.update_many([Keyed(id=made[0].pk, pages=1), Keyed(id=book.pk, pages=1)], Book.objects.exclude(pk=book.pk))
    assert faults(caught.value) == [(["body", 1, "id"], "There is no such row")]
    assert Book.objects.get(pk=made[0].pk).pages == 8
    assert BookIn.create_many([]) == Keyed.update_many([], Book.objects.all()) == []


def test_a_version_is_claimed_once(book):
    check_version(book, "version", 1)
    assert (book.version, Book.objects.get().version) == (2, 2)
    with pytest.raises(PreconditionFailed):
        check_version(book, "version", 1)


# --- transactions of handlers --------------------------------------------------------------------------------------


def test_atomic_handlers(serve):
    @post("/fine")
    def fine() -> None:
        Book.objects.create(title="fine", isbn="1")

    @post("/raises")
    def raises() -> None:
        Book.objects.create(title="raises", isbn="2")
        raise Conflict

    @post("/refuses")
    def refuses() -> JSONResponse:
        Book.objects.create(title="refuses", isbn="3")
        return JSONResponse({}, 400)

    @post("/pair")
    def pair() -> tuple[str, int]:
        Book.objects.create(title="pair", isbn="4")
        return "no", 409

    @post("/django")
    def django() -> HttpResponse:
        Book.objects.create(title="django", isbn="6")
        return HttpResponse(status=400)

    @post("/plain", atomic=False)
    def plain() -> None:
        Book.objects.create(title="plain", isbn="5")
        raise Conflict

    client = serve(Router("", [fine, raises, refuses, pair, django, plain], atomic=True))
    statuses = [
        client.post(path).status_code for path in ("/fine", "/raises", "/refuses", "/pair", "/django", "/plain")
    ]
    assert statuses == [201, 409, 400, 409, 400, 409]
    assert sorted(Book.objects.values_list("title", flat=True)) == ["fine", "plain"]


def test_async_handlers_have_a_function_in_a_transaction(serve):
    @post("/")
    async def handler(fail: bool = False) -> int:
        def write(title: str) -> int:
            Book.objects.create(title=title, isbn="1")
            if fail:
                raise Conflict
            return Book.objects.count()

        return await run_in_transaction(write, "t")

    client = serve(handler)
    assert client.post("/?fail=1").status_code == 409
    assert client.post("/").json() == 1
    with pytest.raises(ConfigurationError, match="atomic= is for `def` handlers"):

        @post("/", atomic=True)
        async def wrong() -> None: ...

        serve(wrong)


def test_bodies_of_handlers(serve, house):
    class BookOut(ModelStruct, model=Book):
        title: str
        publisher: PublisherIn | None

    @post("/books", response=BookOut)
    def create(data: BookIn) -> Any:
        return data.create()

    @patch("/books/{isbn}", response=BookOut)
    async def change(isbn: str, data: BookPatch) -> Any:
        return await data.aupdate(await Book.objects.aget(isbn=isbn))

    client = serve(create, change)
    answer = client.post("/books", json={"title": "T", "isbn": "1", "publisherId": house.pk})
    assert (answer.status_code, answer.json()) == (201, {"title": "T", "publisher": {"name": "House"}})
    answer = client.post("/books", json={"title": "T", "isbn": "1"})
    assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (409, ["body", "isbn"])
    answer = client.post("/books", json={"title": "", "isbn": "2", "pages": 0})
    assert [error["loc"] for error in answer.json()["errors"]] == [["body", "title"], ["body", "pages"]]
    answer = client.post("/books", json={"title": "T", "isbn": "2", "publisherId": 99})
    assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, ["body", "publisherId"])
    assert client.patch("/books/1", json={"publisherId": None}).json() == {"title": "T", "publisher": None}
    assert client.patch("/books/9", json={}).status_code == 404
