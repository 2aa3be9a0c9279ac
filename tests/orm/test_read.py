"""ModelStruct: what is checked when a class is made, what is selected, what becomes of rows."""

from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from typing import Annotated, Any, Literal

import msgspec
import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.db.models import Count, F, Prefetch, Q
from django.db.models.functions import Upper
from django.test.utils import CaptureQueriesContext
from msgspec import UNSET

from hybrid_gateway import ConfigurationError
from hybrid_gateway.exceptions import NotFound
from hybrid_gateway.orm import Column, ModelStruct, computed, model_struct, prepare
from hybrid_gateway.orm.model_struct import check_all
from hybrid_gateway.orm.read.fetch import chunks, fetch_with
from tests.library.models import Author, Biography, Book, Classic, Copy, Note, Novel, Publisher, Review, Status

pytestmark = pytest.mark.django_db(transaction=True)


class PublisherOut(ModelStruct, model=Publisher):
    id: int
    name: str


class AuthorOut(ModelStruct, model=Author):
    id: int
    name: str


class ReviewOut(ModelStruct, model=Review):
    stars: int
    critic: AuthorOut | None


class BookOut(ModelStruct, model=Book):
    id: int
    title: str
    publisher: PublisherOut | None
    authors: Annotated[list[AuthorOut], Column(order_by="-name")]
    reviews: Annotated[list[ReviewOut], Column(filter=Q(stars__gt=1), order_by=["stars"])]


@pytest.fixture
def books():
    house = Publisher.objects.create(name="House", country="GB")
    ada, bob = Author.objects.create(name="Ada"), Author.objects.create(name="Bob", born=datetime.date(1950, 1, 2))
    Biography.objects.create(author=ada, text="Born.")
    first = Book.objects.create(title="First", isbn="1", publisher=house, pages=10, status=Status.SOLD)
    second = Book.objects.create(title="Second", isbn="2", price=decimal.Decimal("9.50"))
    first.authors.add(ada, bob)
    second.authors.add(bob)
    Review.objects.create(book=first, stars=1)
    Review.objects.create(book=first, stars=3, critic=bob)
    Review.objects.create(book=first, stars=2)
    return [first, second]


def queries(function: Any, *args: Any) -> tuple[Any, list[str]]:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        result = function(*args)
    return result, [query["sql"] for query in captured]


def test_one_query_and_one_more_per_list(books):
    rows, sql = queries(BookOut.fetch, Book.objects.order_by("id"))
    assert rows == [
        BookOut(
            id=books[0].pk,
            title="First",
            publisher=PublisherOut(id=books[0].publisher_id, name="House"),
            authors=[AuthorOut(id=rows[0].authors[0].id, name="Bob"), AuthorOut(id=rows[0].authors[1].id, name="Ada")],
            reviews=[
                ReviewOut(stars=2, critic=None),
                ReviewOut(stars=3, critic=AuthorOut(id=rows[0].authors[0].id, name="Bob")),
            ],
        ),
        BookOut(id=books[1].pk, title="Second", publisher=None, authors=rows[1].authors, reviews=[]),
    ]
    assert len(sql) == 3
    assert "isbn" not in sql[0]
    assert "country" not in sql[0]


def test_from_model_sees_the_same(books):
    rows = BookOut.fetch(Book.objects.order_by("id"))
    assert [BookOut.from_model(book) for book in Book.objects.order_by("id")] == rows
    raw = Book.objects.raw("SELECT * FROM library_book ORDER BY id")
    assert BookOut.fetch(raw) == rows


def test_get(books):
    assert BookOut.get(Book.objects.filter(isbn="1")).title == "First"
    with pytest.raises(NotFound):
        BookOut.get(Book.objects.filter(isbn="nothing"))
    with pytest.raises(Book.MultipleObjectsReturned):
        BookOut.get(Book.objects.all())
    assert PublisherOut.get(Publisher).name == "House"
    assert PublisherOut.fetch(Publisher.objects)[0].name == "House"


def test_async(books):
    rows = async_to_sync(BookOut.afetch)(Book.objects.order_by("id"))
    assert [book.title for book in rows] == ["First", "Second"]
    assert async_to_sync(BookOut.aget)(Book.objects.filter(isbn="2")).title == "Second"


class Everything(ModelStruct, model=Book):
    id: int
    title: str
    status: Status
    pages: int
    price: decimal.Decimal
    weight: float | None
    is_rare: bool
    key: uuid.UUID
    printed: datetime.datetime | None
    day: datetime.date | None
    hour: datetime.time | None
    lent_for: datetime.timedelta | None
    data: dict[str, Any]
    words: list[str]
    cover: str | None
    checksum: bytes
    double: int
    publisher_id: int | None


def test_columns_of_every_type(books):
    moment = datetime.datetime(2024, 5, 6, 7, 8, 9, 10, tzinfo=datetime.UTC)
    values = {
        "title": "All",
        "status": Status.SOLD,
        "pages": 3,
        "price": decimal.Decimal("1.20"),
        "weight": 0.5,
        "is_rare": True,
        "key": uuid.UUID(int=5),
        "printed": moment,
        "day": moment.date(),
        "hour": datetime.time(7, 8),
        "lent_for": datetime.timedelta(days=1, seconds=5),
        "data": {"a": [1, None]},
        "words": ["x", "y"],
        "cover": "covers/a.png",
        "checksum": b"\x00\xff",
    }
    made = Book.objects.create(isbn="all", **values)
    row = Everything.get(Book.objects.filter(pk=made.pk))
    assert {name: getattr(row, name) for name in values} == {**values, "cover": "/covers/a.png"}
    assert (row.double, row.publisher_id) == (6, None)
    assert row == Everything.from_model(Book.objects.get(pk=made.pk))
    assert msgspec.json.decode(msgspec.json.encode(row))["status"] == "sold"
    assert Everything.get(Book.objects.filter(isbn="2")).cover is None


class Word(enum.Enum):
    PLANNED = "planned"
    SOLD = "sold"
    LOST = "lost"


def test_values_become_what_the_annotation_says(books):
    class Converted(ModelStruct, model=Book):
        key: str
        price: float
        status: Word
        cover: str
        pages: float
        state: Annotated[Literal["planned", "sold"], Column("status")]

    row = Converted.get(Book.objects.filter(isbn="2"))
    assert row.key == str(books[1].key)
    assert (row.price, type(row.price), row.status, row.cover, row.state) == (9.5, float, Word.PLANNED, "", "planned")


def test_paths_annotations_expressions_and_computed_fields(books):
    class Detail(ModelStruct, model=Book):
        house: Annotated[str | None, Column("publisher__name")]
        country: Annotated[str | None, Column("publisher__country")]
        n_authors: Annotated[int, Column("n_authors")]
        loud: Annotated[str, Column(Upper("title"))]
        critics: Annotated[int, Column(Count("reviews__critic", distinct=True))]
        names: Annotated[list[str], Column("authors__name", order_by="name")]
        author_keys: Annotated[list[int], Column("authors", order_by="name")]

        @computed("title", "pages")
        def label(title: str, pages: int) -> str:  # noqa: N805
            return f"{title} ({pages})"

    queryset = Book.objects.annotate(n_authors=Count("authors", distinct=True)).order_by("id")
    rows, sql = queries(Detail.fetch, queryset)
    assert len(sql) == 3
    assert msgspec.to_builtins(rows[0]) == {
        "house": "House",
        "country": "GB",
        "n_authors": 2,
        "loud": "FIRST",
        "critics": 1,
        "names": ["Ada", "Bob"],
        "author_keys": list(Author.objects.order_by("name").values_list("pk", flat=True)),
        "label": "First (10)",
    }
    assert (rows[1].house, rows[1].n_authors, rows[1].critics, rows[1].label) == (None, 1, 0, "Second (1)")
    with pytest.raises(ConfigurationError, match=r"reads n_authors, which the queryset must annotate\(\)"):
        Detail.fetch(Book.objects.all())


def _described(book: Book) -> str:
    return f"{type(book).__name__} of {len(book.authors.all())}"


def test_a_function_without_columns_is_called_with_the_instance(books):
    class Detail(ModelStruct, model=Book):
        title: str
        authors: Annotated[list[AuthorOut], Column(order_by="name")]
        shown: str = computed().by(_described)

    class House(ModelStruct, model=Publisher):
        books: Annotated[list[Detail], Column(order_by="id")]

    rows = Book.objects.prefetch_related(Prefetch("authors", Author.objects.order_by("name"))).order_by("id")
    found, sql = queries(Detail.fetch, rows)
    assert len(sql) == 2  # what is prefetched is not asked for again
    first = {"title": "First", "authors": [{"name": "Ada"}, {"name": "Bob"}], "shown": "Book of 2"}
    shown = msgspec.to_builtins(found[0])
    assert {**shown, "authors": [{"name": author["name"]} for author in shown["authors"]]} == first
    assert Detail.get(rows.filter(title="First")) == found[0] == Detail.from_model(rows.get(title="First"))
    assert House.fetch(Publisher.objects.filter(name="House"))[0].books[0].shown == "Book of 2"
    assert [row for part in chunks(Detail, rows) for row in part] == found
    [(again, (key,))] = fetch_with(Detail, rows[:1], ["pk"])
    assert again == found[0] and key == rows[0].pk
    with pytest.raises(ConfigurationError, match="has a function of instances"):
        prepare(Detail, lambda title: Book.objects.filter(title=title))


def test_relations_from_the_other_side(books):
    class BiographyOut(ModelStruct, model=Biography):
        text: str

    class AuthorDetail(ModelStruct, model=Author):
        name: str
        biography: BiographyOut | None
        mentor: AuthorOut | None
        pupils: list[AuthorOut]
        books: Annotated[list[PublishedBook], Column(order_by="title")]

    Author.objects.filter(name="Bob").update(mentor=Author.objects.get(name="Ada"))
    rows, sql = queries(AuthorDetail.fetch, Author.objects.order_by("name"))
    assert len(sql) == 3
    ada, bob = rows
    assert (ada.biography, bob.biography) == (BiographyOut(text="Born."), None)
    assert (ada.mentor, bob.mentor.name, [pupil.name for pupil in ada.pupils]) == (None, "Ada", ["Bob"])
    assert [book.title for book in bob.books] == ["First", "Second"]
    assert bob.books[0].publisher == PublisherOut(id=books[0].publisher_id, name="House")
    assert rows == [AuthorDetail.from_model(author) for author in Author.objects.order_by("name")]


class PublishedBook(ModelStruct, model=Book):
    title: str
    publisher: PublisherOut | None


def test_lists_below_a_joined_row_and_lists_in_lists(books):
    class House(ModelStruct, model=Publisher):
        name: str
        books: list[BookOut]

    class BookAndHouse(ModelStruct, model=Book):
        title: str
        publisher: House | None

    rows, sql = queries(BookAndHouse.fetch, Book.objects.order_by("id"))
    assert len(sql) == 4
    assert rows[1].publisher is None
    assert [book.title for book in rows[0].publisher.books] == ["First"]
    assert len(rows[0].publisher.books[0].authors) == 2


def test_a_relation_without_a_name_goes_by_that_of_its_manager(books):
    class CopyOut(ModelStruct, model=Copy):
        code: str

    class Shelved(ModelStruct, model=Book):
        title: str
        copy_set: list[CopyOut]

    Copy.objects.create(book=books[0], code="A1")
    assert Shelved.fetch(Book.objects.order_by("id"))[0].copy_set == [CopyOut(code="A1")]
    assert Shelved.from_model(books[0]).copy_set == [CopyOut(code="A1")]


def test_generic_relations(books):
    class NoteOut(ModelStruct, model=Note):
        text: str

    class Noted(ModelStruct, model=Book):
        title: str
        notes: list[NoteOut]

    books[0].notes.create(text="Good")
    Note.objects.create(about=Author.objects.get(name="Ada"), text="Other", object_id=books[0].pk)
    found = Noted.fetch(Book.objects.order_by("id"))
    assert [entry.notes for entry in found] == [[NoteOut(text="Good")], []]


def test_inheritance_and_proxies():
    class NovelOut(ModelStruct, model=Novel):
        id: int
        title: str
        hero: str

    class ClassicOut(ModelStruct, model=Classic):
        title: str

    Novel.objects.create(title="N", isbn="n", hero="H")
    [row] = NovelOut.fetch(Novel.objects.all())
    assert (row.title, row.hero) == ("N", "H")
    assert ClassicOut.fetch(Classic.objects.all()) == ClassicOut.fetch(Book.objects.all()) == [ClassicOut(title="N")]
    assert PublishedBook.fetch(Novel.objects.all())[0].title == "N"
    with pytest.raises(ConfigurationError, match="NovelOut is of Novel, not of Book"):
        NovelOut.fetch(Book.objects.all())


# --- querysets of every kind ---------------------------------------------------------------------------------------


class Title(ModelStruct, model=Book):
    title: str


@pytest.mark.parametrize(
    "narrow",
    [
        lambda q: q.only("isbn"),
        lambda q: q.defer("title"),
        lambda q: q.select_related("publisher"),
        lambda q: q.prefetch_related("authors"),
        lambda q: q.filter(authors__name="Bob"),
        lambda q: q.filter(publisher__name="House"),
        lambda q: q[1:],
        lambda q: q[:0],
        lambda q: q.none(),
        lambda q: q.reverse(),
        lambda q: q.annotate(n=Count("authors")).filter(n__gt=1),
        lambda q: q.annotate(n=Count("reviews")).order_by("-n"),
        lambda q: q.alias(n=F("pages")).filter(n=10),
        lambda q: q.using("default"),
        lambda q: q.order_by().union(Book.objects.filter(isbn="1")).order_by("title"),
        lambda q: q.filter(pk__in=Book.objects.filter(isbn="2")),
        lambda q: q.exclude(authors__name="Ada"),
        lambda q: q.extra(where=["pages > 5"]),  # noqa: S610
        lambda q: q.filter(pk__in=[]),
    ],
)
def test_whatever_the_queryset_is_its_rows_are_fetched(books, narrow):
    queryset = narrow(Book.objects.order_by("title"))
    expected = [book.title for book in narrow(Book.objects.order_by("title"))]
    assert [row.title for row in Title.fetch(queryset)] == expected


def test_distinct_means_rows_and_not_what_is_shown_of_them(books):
    Book.objects.create(title="First", isbn="3")
    queryset = Book.objects.filter(pages__gte=1).distinct().order_by("title")
    assert [row.title for row in Title.fetch(queryset)] == ["First", "First", "Second"]


def test_values_have_chosen_columns_already(books):
    for queryset in (Book.objects.values("title"), Book.objects.values_list("title")):
        with pytest.raises(TypeError, match="have chosen columns already"):
            Title.fetch(queryset)
    with pytest.raises(TypeError, match="A QuerySet, a manager or a model"):
        Title.fetch([1])


# --- what is told when a class is made -----------------------------------------------------------------------------


def refused(match: str, **fields: Any) -> None:
    with pytest.raises(ConfigurationError, match=match):
        _make(fields)


def _nothing(value: str) -> str:
    return value


def _make(fields: dict[str, Any]) -> Any:
    import types

    def fill(namespace: dict[str, Any]) -> None:
        namespace["__annotations__"] = fields
        namespace["__module__"] = __name__

    return types.new_class("Wrong", (ModelStruct,), {"model": Book}, fill)


def test_mistakes():
    refused(r"Wrong.titel: Book has no 'titel'. Did you mean 'title'\? It has .*title", titel=str)
    refused("Wrong.title: int cannot hold Book.title", title=int)
    refused("Wrong.pages: bool cannot hold", pages=bool)
    refused("Wrong.day: datetime cannot hold", day=datetime.datetime | None)
    refused("Wrong.weight can be null in the database", weight=float)
    refused("Wrong.publisher can be null", publisher=PublisherOut)
    refused("Wrong.house can be null", house=Annotated[str, Column("publisher__name")])
    refused("Wrong.x: Publisher has no 'nom'", x=Annotated[str, Column("publisher__nom")])
    refused("goes on behind a column", x=Annotated[str, Column("title__x")])
    refused("Wrong.authors leads to many rows: its type is list", authors=AuthorOut)
    refused("Wrong.authors lists Review, but its path leads to Author", authors=list[ReviewOut])
    refused("Wrong.publisher is a Author, which 'publisher' does not lead to", publisher=AuthorOut | None)
    refused("lacks 'sold', a choice of Book.status", status=Literal["planned"])
    for columns, match in ((["titel"], "has no 'titel'"), (["authors__name"], "leads to many rows")):
        with pytest.raises(ConfigurationError, match=match):
            type(ModelStruct)(
                "Wrong", (ModelStruct,), {"x": computed(*columns)(_nothing), "__module__": __name__}, model=Book
            )
    with pytest.raises(ConfigurationError, match="not both"):
        Column(read_only=True, write_only=True)

    global Endless  # noqa: PLW0603

    class Endless(ModelStruct, model=Author):
        mentor: Endless | None

    with pytest.raises(ConfigurationError, match="cannot be joined to itself without end"):
        check_all()


# --- what clients may send -----------------------------------------------------------------------------------------


class BookIn(ModelStruct, model=Book, forbid_unknown_fields=True, rename="camel"):
    title: str
    isbn: str
    status: str = "planned"
    pages: int = 1
    publisher_id: int | None = None
    is_rare: bool = False


def decode(kind: Any, **values: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(values), type=kind)


def test_what_a_column_demands_is_demanded_of_clients():
    assert decode(BookIn, title="x", isbn="1", isRare=True, publisherId=3).is_rare
    for wrong in ({"title": "x" * 81}, {"title": ""}, {"status": "lost"}, {"pages": 0}, {"more": 1}):
        with pytest.raises(msgspec.ValidationError):
            decode(BookIn, **{"title": "x", "isbn": "1", **wrong})


def test_a_partial_struct_tells_absent_from_null():
    class BookPatch(BookIn, partial=True, rename="camel"):
        pass

    patch = decode(BookPatch, publisherId=None)
    assert (patch.publisher_id, patch.title, patch.pages) == (None, UNSET, UNSET)
    with pytest.raises(msgspec.ValidationError):
        decode(BookPatch, title="")


def test_a_struct_without_some_of_the_fields_of_its_base():
    class Short(BookIn, exclude=["isbn", "publisher_id"]):
        def loud(self) -> str:
            return self.title.upper()

    class Shorter(Short, exclude=["status"]):
        pass

    assert Short.__struct_fields__ == ("title", "status", "pages", "is_rare")
    assert decode(Shorter, title="x") == Shorter(title="x")
    assert decode(Shorter, title="x").loud() == "X"
    with pytest.raises(ConfigurationError, match="exclude names nothing, which no base has"):

        class Wrong(BookIn, exclude=["nothing"]):
            pass


def test_structs_made_of_models(books):
    made = model_struct(Book, fields=["id", "title", "publisher", "weight"], name="Short")
    row = made.get(Book.objects.filter(isbn="1"))
    assert msgspec.to_builtins(row) == {
        "id": books[0].pk,
        "title": "First",
        "publisher": books[0].publisher_id,
        "weight": None,
    }
    assert model_struct(Publisher, exclude=["country"]).__struct_fields__ == ("id", "name")
    for wrong in ({}, {"fields": ["id"], "exclude": ["name"]}, {"fields": ["nothing"]}):
        with pytest.raises(ConfigurationError):
            model_struct(Publisher, **wrong)


def test_read_only_and_write_only_fields(books):
    class Secret(ModelStruct, model=Book):
        id: Annotated[int, Column(read_only=True)]
        title: str
        isbn: Annotated[str, Column(write_only=True)]

    assert decode(Secret, title="x", isbn="1").id is UNSET
    with pytest.raises(msgspec.ValidationError):
        decode(Secret, title="x")
    row = Secret.get(Book.objects.filter(isbn="1"))
    assert msgspec.json.decode(msgspec.json.encode(row)) == {"id": books[0].pk, "title": "First"}
    schema = msgspec.json.schema(Secret)["$defs"]["Secret"]["properties"]
    assert (schema["id"]["readOnly"], schema["isbn"]["writeOnly"]) == (True, True)


def test_rows_of_which_nothing_is_shown_are_there_all_the_same(books):
    class Secret(ModelStruct, model=Book):
        isbn: Annotated[str, Column(write_only=True)]

    queryset = Book.objects.order_by("pk")
    assert [msgspec.to_builtins(row) for row in Secret.fetch(queryset)] == [{}] * queryset.count()
    assert [msgspec.to_builtins(row) for row in Secret.fetch(queryset.distinct()[1:2])] == [{}]
    assert msgspec.to_builtins(Secret.get(queryset.filter(pk=queryset[0].pk))) == {}
