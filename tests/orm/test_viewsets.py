"""ModelViewSet in the words of Django REST framework: get_queryset, search, filters, order, actions; nothing passes."""

from typing import Annotated, Any

import msgspec
import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.db.models import Count, QuerySet
from hypothesis import given
from hypothesis import settings as run
from hypothesis import strategies as st

from hybrid_gateway import ConfigurationError, Depends, Gateway, get, post
from hybrid_gateway.auth import AllowAny, BasicAuthentication, IsAuthenticated
from hybrid_gateway.conf import OpenAPISettings
from hybrid_gateway.openapi.document import build_document
from hybrid_gateway.orm import Cursor, LimitOffset, ModelStruct, ModelViewSet, PageNumber, ViewSet, action, crud
from hybrid_gateway.test import TestClient, assert_queries
from tests.library.models import Author, Book, Publisher, Review

pytestmark = pytest.mark.django_db(transaction=True)


class BookShort(ModelStruct, model=Book):
    title: str


class BookOut(ModelStruct, model=Book):
    id: int
    title: str
    pages: int


class BookIn(ModelStruct, model=Book):
    title: str
    isbn: str
    pages: int = 1


class BookPatch(BookIn, partial=True):
    pass


class Books(ModelViewSet):
    path = "/books"
    queryset = Book.objects.order_by("pk")
    out = BookOut
    list_out = BookShort
    create_in = BookIn
    update_in = BookPatch
    search_fields = ["title", "=isbn", "^authors__name"]
    filterset_fields = {
        "pages": ["exact", "gte", "in", "range"],
        "publisher": ["exact", "isnull"],
        "publisher__name": ["icontains"],
        "printed": ["year"],
        "status": ["exact"],
        "authors": ["exact"],
    }
    ordering_fields = ["title", "pages", "publisher__name"]
    ordering = ["-pages", "title"]


@pytest.fixture
def books():
    house = Publisher.objects.create(name="House")
    ada, bob = (Author.objects.create(name=name) for name in ("Ada", "Bob"))
    made = [
        Book.objects.create(
            title="Django, plainly", isbn="10", pages=300, publisher=house, printed="2020-06-01T00:00Z"
        ),
        Book.objects.create(title="Python", isbn="11", pages=100, status="sold"),
        Book.objects.create(title="Plain text", isbn="12", pages=200),
    ]
    made[0].authors.set([ada, bob])
    made[1].authors.set([ada])
    return made


def titles(answer: Any) -> list[str]:
    body = answer.json()
    return [row["title"] for row in (body["items"] if isinstance(body, dict) else body)]


# --- lists ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["Django, plainly", "Plain text", "Python"]),
        ("search=plain", ["Django, plainly", "Plain text"]),
        ("search=plain,django", ["Django, plainly"]),
        ("search=plain+django", ["Django, plainly"]),
        ('search="plain+text"', ["Plain text"]),
        ('search="text+plain"', []),
        ("search=11", ["Python"]),
        ("search=1", []),
        ("search=ad", ["Django, plainly", "Python"]),
        ("search=da", []),
        ("search=+,+", ["Django, plainly", "Plain text", "Python"]),
        ("pages=200", ["Plain text"]),
        ("pages__gte=200&ordering=pages", ["Plain text", "Django, plainly"]),
        ("pages__in=100,300", ["Django, plainly", "Python"]),
        ("pages__in=100&pages__in=200", ["Plain text", "Python"]),
        ("pages__range=150,250", ["Plain text"]),
        ("publisher__isnull=true&ordering=title", ["Plain text", "Python"]),
        ("publisher__name__icontains=OUS", ["Django, plainly"]),
        ("printed__year=2020", ["Django, plainly"]),
        ("status=sold", ["Python"]),
        ("ordering=title", ["Django, plainly", "Plain text", "Python"]),
        ("ordering=-title", ["Python", "Plain text", "Django, plainly"]),
        ("ordering=-publisher__name,title&publisher__isnull=1", ["Plain text", "Python"]),
        ("ordering=title,title,-title,pages", ["Django, plainly", "Plain text", "Python"]),
    ],
)
def test_lists_are_searched_filtered_and_ordered(serve, books, query, expected):
    assert titles(serve(Books).get(f"/books?{query}")) == expected


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("ordering=isbn", "ordering"), ("ordering=title,isbn", "ordering"), ("ordering=", "ordering"),
        ("pages__in=1,x", "pages__in"), ("pages__range=1", "pages__range"), ("printed__year=x", "printed__year"),
        ("search=%00", "search"), ("status=x", "status"), ("pages=x", "pages"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_told_at_its_place(serve, books, query, name):
    answer = serve(Books).get(f"/books?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"][:2] == ["query", name]


def test_a_list_of_columns_is_compared_as_it_is(serve, books):
    class Listed(ModelViewSet):
        path = "/books"
        out = BookShort
        filterset_fields = ["isbn", "pages"]

    client = serve(Listed)
    assert titles(client.get("/books?isbn=11&pages=100")) == ["Python"]
    assert len(titles(client.get("/books?title=Python"))) == 3


def test_filters_of_a_struct_are_added_to(serve, books):
    class More(msgspec.Struct, forbid_unknown_fields=True):
        title: str | None = None

    views = crud(Book, out=BookShort, filters=More, search_fields=["isbn"], path="/books")
    client = serve(views)
    assert titles(client.get("/books?title=Python&search=1")) == ["Python"]
    assert client.get("/books?nothing=1").status_code == 422
    with pytest.raises(ConfigurationError, match="'title' is a field of its filters already"):
        crud(Book, out=BookShort, filters=More, filterset_fields=["title"])


def test_annotations_of_the_queryset_are_filtered_and_ordered_by(serve, books):
    views = crud(
        Book, out=BookShort, queryset=Book.objects.annotate(writers=Count("authors")), path="/books",
        filterset_fields={"writers": ["gte"]}, ordering_fields=["writers"], ordering="-writers",
        pagination=PageNumber(size=2),
    )  # fmt: skip
    client = serve(views)
    assert titles(client.get("/books?writers__gte=1")) == ["Django, plainly", "Python"]
    assert titles(client.get("/books?ordering=writers")) == ["Plain text", "Python"]


def test_ordering_pages_by_a_cursor(serve, books):
    client = serve(
        crud(Book, out=BookShort, path="/b", ordering_fields=["title"], ordering="-pages", pagination=Cursor(size=2))
    )
    first = client.get("/b")
    assert titles(first) + titles(client.get(first.json()["next"])) == ["Django, plainly", "Plain text", "Python"]
    first = client.get("/b?ordering=-title")
    assert titles(first) + titles(client.get(first.json()["next"])) == ["Python", "Plain text", "Django, plainly"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"search_fields": ["titel"]}, "titel"),
        ({"search_fields": ["@title"]}, "full-text search of PostgreSQL"),
        ({"search_fields": "title"}, "search_fields must be a list of names"),
        ({"ordering_fields": "__all__"}, "ordering_fields must be a list of names: .* tells them what is in it"),
        ({"filterset_fields": "__all__"}, "filterset_fields must be a list of names"),
        ({"ordering_fields": ["authors"]}, "leads to many rows"),
        ({"ordering_fields": ["nothing"]}, "cannot be ordered by"),
        ({"ordering": ["nothing"]}, "ordering"),
        ({"filterset_fields": ["nothing"]}, "'nothing'"),
        ({"filterset_fields": {"title": "icontains"}}, r"must be a list of lookups: \['icontains'\]"),
        ({"filterset_fields": {"title": ["likes"]}}, "title__likes"),
        ({"filterset_fields": ["data"]}, "no type"),
        ({"list_out": Book}, "list_out"),
        ({"search_field": ["title"]}, "Did you mean 'search_fields'"),
        ({"filter_fields": ["title"]}, "Did you mean 'filterset_fields'"),
    ],
)
def test_fields_that_cannot_be_are_told(options, told):
    with connection.cursor():
        if "@" in str(options) and connection.vendor == "postgresql":
            pytest.skip("What PostgreSQL can do.")
    with pytest.raises(ConfigurationError, match=told):
        Gateway([crud(Book, out=BookShort, **options)])


@pytest.mark.skipif("connection.vendor != 'postgresql'")
def test_full_text_search_where_it_is(serve, books, settings):
    with pytest.raises(ConfigurationError, match="'@title' needs 'django.contrib.postgres' in INSTALLED_APPS"):
        Gateway([crud(Book, out=BookShort, search_fields=["@title"])])
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "django.contrib.postgres"]
    client = serve(crud(Book, out=BookShort, path="/books", search_fields=["@title"]))
    assert titles(client.get("/books?search=texts")) == ["Plain text"]


def test_patterns_are_those_of_the_database(serve, books):
    client = serve(crud(Book, out=BookShort, path="/books", search_fields=["$title"], ordering="pk"))
    assert titles(client.get("/books", params={"search": "^p.*(n|t)$"})) == ["Python", "Plain text"]
    answer = client.get("/books", params={"search": "("})
    assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, ["query", "search"])


def test_all_of_it_is_in_the_document():
    document = build_document(Gateway([Books]).endpoints, OpenAPISettings())
    listed = document["paths"]["/books"]["get"]
    found = {entry["name"]: entry for entry in listed["parameters"]}
    assert set(found) == {
        "search", "ordering", "pages", "pages__gte", "pages__in", "pages__range", "publisher", "publisher__isnull",
        "publisher__name__icontains", "printed__year", "status", "authors",
    }  # fmt: skip
    assert found["ordering"]["schema"]["items"]["enum"] == [
        "-pages", "-publisher__name", "-title", "pages", "publisher__name", "title",
    ]  # fmt: skip
    assert (found["pages__in"]["explode"], found["pages__in"]["schema"]["items"]["type"]) == (False, "integer")
    assert found["publisher__isnull"]["schema"] == {"type": "boolean"}
    items = listed["responses"]["200"]["content"]["application/json"]["schema"]["items"]
    assert items == {"$ref": "#/components/schemas/BookShort"}
    one = document["paths"]["/books/{pk}"]
    assert one["get"]["responses"]["200"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/BookOut"
    }
    assert one["put"]["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/BookIn"}


# --- classes -------------------------------------------------------------------------------------------------------


def test_lists_have_a_class_of_their_own_and_put_falls_back_to_create(serve, books):
    client = serve(Books)
    assert client.get("/books?search=python").json() == [{"title": "Python"}]
    url = f"/books/{books[1].pk}"
    assert client.get(url).json() == {"id": books[1].pk, "title": "Python", "pages": 100}
    assert client.put(url, json={"title": "P", "isbn": "11"}).json() == {"id": books[1].pk, "title": "P", "pages": 1}
    short = serve(crud(Book, out=BookOut, list_out=BookShort, path="/books"))
    assert short.get("/books?search=python").json()[0].keys() == {"title"}


def test_put_is_left_out_where_it_is_said(serve, books):
    class NoPut(Books):
        replace_in = None

    class OtherPut(Books):
        class TitleIn(ModelStruct, model=Book):
            title: str

        replace_in = TitleIn

    url = f"/books/{books[1].pk}"
    assert serve(NoPut).put(url, json={}).status_code == 405
    assert serve(OtherPut).put(url, json={"title": "P"}).json()["title"] == "P"


def test_rows_are_looked_up_by_another_column(serve, books):
    class ByNumber(Books):
        lookup_field = "isbn"

        @action(detail=True)
        def count(self, book: Book) -> int:
            return book.pages

        @action(detail=True)
        def number(self, isbn: str) -> str:
            return f"no. {isbn}"

    client = serve(ByNumber)
    assert client.get("/books/11").json()["title"] == "Python"
    assert client.get("/books/11/count").json() == 100
    assert client.get("/books/11/number").text == "no. 11"
    assert client.get("/books/99/count").status_code == 404


def test_what_is_none_has_no_route(serve, books):
    class ReadOnly(Books):
        create_in = update_in = None
        destroy = None

    client, url = serve(ReadOnly), f"/books/{books[0].pk}"
    assert client.get(url).status_code == 200
    answers = [client.post("/books", json={}), *(call(url, json={}) for call in (client.put, client.patch))]
    assert [answer.status_code for answer in (*answers, client.delete(url))] == [405] * 4
    assert Book.objects.count() == 3


@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        ({"lookup": "isbn"}, "Did you mean 'lookup_field'"),
        ({"queryset": lambda self: Book.objects.all()}, "get_queryset"),
        ({"queryset": Author.objects.all()}, "queryset is of Author, and out of Book"),
        ({"queryset": [1]}, "queryset must be a queryset, a manager or a model"),
        ({"get_querysets": lambda self: Book.objects.all()}, "Did you mean 'get_queryset'"),
        ({"get_query_set": lambda self: Book.objects.all()}, "Did you mean"),
    ],
)
def test_what_would_be_passed_over_is_told(attributes, told):
    with pytest.raises(ConfigurationError, match=told):
        Gateway([type("Written", (ModelViewSet,), {"path": "/w", "out": BookOut, **attributes})])


# --- get_queryset --------------------------------------------------------------------------------------------------


class ReviewOut(ModelStruct, model=Review):
    id: int
    stars: int


class ReviewIn(ModelStruct, model=Review):
    stars: int
    book: int


class ReviewPatch(ReviewIn, partial=True):
    pass


class Reviews(ModelViewSet):
    path = "/shops/{shop}/reviews"
    queryset = Review.objects.order_by("pk")
    out, create_in, update_in = ReviewOut, ReviewIn, ReviewPatch
    pagination = LimitOffset()
    authentication = [BasicAuthentication()]
    filterset_fields = ["stars"]

    def get_queryset(self, user: User, shop: int) -> QuerySet[Review]:
        return super().get_queryset().filter(text=user.username, stars__lte=shop)  # type: ignore[no-any-return]

    def given(self, user: User) -> dict[str, str]:
        return {"text": user.username}

    @action(detail=True, methods=["POST"])
    def clear(self, review: Review) -> int:
        review.stars = 0
        review.save()
        return review.pk

    @action(detail=True, methods=["POST"])
    async def aclear(self, review: Review) -> int:
        await Review.objects.filter(pk=review.pk).aupdate(stars=0)
        return review.pk

    @action(detail=True, methods=["POST"])
    def clear_by_key(self, pk: int) -> int:
        return Review.objects.filter(pk=pk).update(stars=0)

    @action(detail=True)
    def among(self, pk: int, rows: QuerySet[Review]) -> int:
        return rows.get(pk=pk).stars

    @action(detail=True)
    async def nothing(self) -> str:
        return "nothing"

    @action(detail=False)
    def count(self, rows: QuerySet[Review]) -> int:
        return rows.count()

    @action(detail=False)
    async def acount(self, rows: QuerySet[Review]) -> int:
        return await rows.acount()

    @get("/{pk}/verb")
    def verb(self, pk: int) -> int:
        return pk

    @post("/{pk:int}/posted")
    def posted(self, review: Review) -> int:
        return review.pk

    @get("/by-verb")
    def by_verb(self, rows: QuerySet[Review]) -> int:
        return rows.count()


class Inherited(Reviews):
    """What is inherited goes through the rows of the class that inherits it."""

    def get_queryset(self, user: User) -> QuerySet[Review]:
        return Review.objects.filter(text=user.username, stars__lte=5)


class Asynchronous(Reviews):
    async def get_queryset(self, user: User, shop: int) -> QuerySet[Review]:
        return Review.objects.filter(text=user.username, stars__lte=shop)


class Overridden(Reviews):
    def retrieve(self, pk: int) -> str:
        return f"own {pk}"

    def update(self, pk: int) -> str:
        return f"own {pk}"

    async def partial_update(self, pk: int) -> str:
        return f"own {pk}"

    def destroy(self, review: Review) -> None:
        review.delete()

    def list(self, rows: QuerySet[Review]) -> list[ReviewOut]:
        return ReviewOut.fetch(rows)


@pytest.fixture
def reviews():
    for name in ("ada", "bob"):
        User.objects.create_user(name, password="pw")
    book = Book.objects.create(title="T", isbn="1")
    return {name: Review.objects.create(book=book, stars=4, text=name) for name in ("ada", "bob")} | {
        "dear": Review.objects.create(book=book, stars=9, text="ada")
    }


def paths(client: Any, key: int) -> dict[str, Any]:
    """What every route of one row answers, once for each."""
    one = f"/shops/5/reviews/{key}"
    calls = {
        "retrieve": lambda: client.get(one),
        "update": lambda: client.put(one, json={"stars": 1, "book": Book.objects.get().pk}),
        "partial_update": lambda: client.patch(one, json={"stars": 1}),
        "clear": lambda: client.post(f"{one}/clear"),
        "aclear": lambda: client.post(f"{one}/aclear"),
        "clear_by_key": lambda: client.post(f"{one}/clear_by_key"),
        "among": lambda: client.get(f"{one}/among"),
        "nothing": lambda: client.get(f"{one}/nothing"),
        "verb": lambda: client.get(f"{one}/verb"),
        "posted": lambda: client.post(f"{one}/posted"),
        "head": lambda: client.head(one),
        "destroy": lambda: client.delete(one),
    }
    return {name: call().status_code for name, call in calls.items()}


@pytest.mark.parametrize("view", [Reviews, Inherited, Asynchronous, Overridden])
def test_every_route_goes_through_get_queryset(serve, reviews, view):
    if view is Inherited:
        view = type("Inherited", (Inherited,), {"path": "/shops/5/reviews"})
    client = serve(view)
    assert client.get("/shops/5/reviews").status_code == 401
    client.credentials(Authorization="Basic YWRhOnB3")
    listed = client.get("/shops/5/reviews").json()
    assert [row["id"] for row in listed["items"]] == [reviews["ada"].pk]
    if view is not Overridden:
        assert client.get("/shops/5/reviews?stars=9").json()["items"] == []
    for name in ("count", "acount", "by-verb"):
        assert client.get(f"/shops/5/reviews/{name}").json() == 1
    before = list(Review.objects.order_by("pk").values())
    for hidden in ("bob", "dear"):
        assert set(paths(client, reviews[hidden].pk).values()) == {404}, hidden
    assert list(Review.objects.order_by("pk").values()) == before
    assert all(status < 300 for status in paths(client, reviews["ada"].pk).values())
    assert set(Review.objects.values_list("pk", flat=True)) == {reviews["bob"].pk, reviews["dear"].pk}


def test_what_is_written_stays_inside(serve, reviews):
    client = serve(Reviews)
    client.credentials(Authorization="Basic YWRhOnB3")
    book = Book.objects.get().pk
    assert client.post("/shops/5/reviews", json={"stars": 6, "book": book}).status_code == 403
    one = f"/shops/5/reviews/{reviews['ada'].pk}"
    assert client.patch(one, json={"stars": 6}).status_code == 403
    assert Review.objects.filter(stars=6).count() == 0
    made = client.post("/shops/5/reviews", json={"stars": 3, "book": book})
    assert made.headers["Location"] == f"/shops/5/reviews/{made.json()['id']}"


def test_a_list_of_the_projects_own_must_ask_for_the_rows():
    with pytest.raises(ConfigurationError, match=r"All.list does not ask for the rows.*rows: QuerySet\[Review\]"):

        class All(Reviews):
            def list(self) -> list[ReviewOut]:
                return ReviewOut.fetch(Review)


@pytest.mark.parametrize("name", ["get_queryset", "queryset", "write_guards", "given", "deletes"])
def test_a_mixin_that_would_count_for_nothing_is_told(name):
    class Mixin: ...

    setattr(Mixin, name, ())
    with pytest.raises(ConfigurationError, match=f"{name} of .*Mixin counts for nothing behind ModelViewSet.*Mixin, "):
        type("Mixed", (ModelViewSet, Mixin), {"path": "/m", "out": BookOut})


def test_what_a_mixin_before_it_says_counts(serve, books):
    class Long:
        def get_queryset(self) -> Any:
            return Book.objects.filter(pages__gt=200)

    class Mixed(Long, ModelViewSet):
        path = "/books"
        out = BookOut

    client = serve(Mixed)
    assert titles(client.get("/books")) == ["Django, plainly"]
    assert client.get(f"/books/{books[1].pk}").status_code == 404


def someone() -> Book:
    return Book(title="Somebody's")


def test_a_row_that_something_else_gives_is_none_of_the_view_set(serve, books):
    class Narrow(ModelViewSet):
        path = "/books"
        queryset = Book.objects.filter(pages__gt=200)
        out = BookOut

        @action(detail=True)
        def other(self, book: Annotated[Book, Depends(someone)]) -> str:
            return book.title

    client = serve(Narrow)
    assert client.get(f"/books/{books[0].pk}/other").text == "Somebody's"
    assert client.get(f"/books/{books[1].pk}/other").status_code == 404


@pytest.mark.parametrize("paths", ["/{key}/shown", "/{key:int}/shown", ["/{pk}/shown", "/shown"]])
def test_a_verb_whose_row_cannot_be_told_is_told(paths):
    with pytest.raises(ConfigurationError, match=r"shown is at .*begin its one path with '/{pk}', or with a word"):
        type("Shown", (Reviews,), {"shown": get(paths)(lambda self, request: "")})


def test_a_narrow_queryset_and_a_manager_of_ones_own_count_as_well(serve, books):
    def narrow(queryset: Any) -> Any:
        class Narrow(ModelViewSet):
            path = "/books"
            out = BookOut

            @action(detail=True)
            def shout(self, pk: int) -> str:
                return "!"

        return type("Narrow", (Narrow,), {"queryset": queryset})

    first, second = books[0].pk, books[1].pk
    for queryset in (Book.objects.filter(pages__gt=200), Book.rented, Book.objects.order_by("-pages")[:1]):
        client = serve(narrow(queryset))
        assert client.get(f"/books/{first}/shout").text == "!"
        assert client.get(f"/books/{second}/shout").status_code == 404
    assert serve(narrow(Book.objects.all())).get("/books/0/shout").text == "!", "all rows are no scope"


def test_guards_of_those_that_write_are_asked_by_actions_and_methods_of_ones_own(serve, books):
    class Guarded(Books):
        authentication = [BasicAuthentication()]
        write_guards = [IsAuthenticated]

        def destroy(self, pk: int) -> None:
            raise AssertionError

        @action(detail=True, methods=["POST", "GET"])
        def both(self, pk: int) -> int:
            return pk

        @action(detail=False, methods=["POST"])
        def wipe(self) -> None:
            raise AssertionError

        @action(detail=False, methods=["POST"], guards=[AllowAny])
        def contact(self) -> str:
            return "open"

        @action(detail=True)
        def look(self, pk: int) -> int:
            return pk

    client, one = serve(Guarded), f"/books/{books[0].pk}"
    answers = [client.delete(one), client.post(f"{one}/both"), client.get(f"{one}/both"), client.post("/books/wipe")]
    assert [answer.status_code for answer in answers] == [401] * 4
    assert client.post("/books/contact").text == "open"
    assert client.get(f"{one}/look").json() == books[0].pk


def test_a_view_of_users_tells_the_caller_from_the_row(serve):
    """`user: User` is who asks, here as everywhere: the row is looked for all the same."""

    class UserOut(ModelStruct, model=User):
        username: str

    class Users(ModelViewSet):
        path = "/users"
        out = UserOut
        authentication = [BasicAuthentication()]

        def get_queryset(self, user: User) -> QuerySet[User]:
            return User.objects.filter(groups__in=user.groups.all())

        @action(detail=True)
        def me(self, user: User) -> str:
            return user.username

    ada, bob, eve = (User.objects.create_user(name, password="pw") for name in ("ada", "bob", "eve"))
    for user in (ada, bob):
        user.groups.add(Group.objects.get_or_create(name="writers")[0])
    client = serve(Users)
    client.credentials(Authorization="Basic YWRhOnB3")
    assert client.get(f"/users/{bob.pk}/me").text == "ada"
    assert client.get(f"/users/{eve.pk}/me").status_code == 404


def test_rows_are_fresh_for_each_request(serve, books):
    class Shared(Books):
        def get_queryset(self) -> QuerySet[Book]:
            return self.queryset  # type: ignore[no-any-return]

        @action(detail=False)
        def names(self, rows: QuerySet[Book]) -> int:
            return len(rows)

    client = serve(Shared)
    assert client.get("/books/names").json() == 3
    Book.objects.all().delete()
    assert client.get("/books/names").json() == 0


def test_routes_of_a_subclass_have_names_of_their_own(serve):
    class Numbers(ViewSet):
        path = "/numbers"
        lookup_field = "number"

        def list(self) -> list[int]:
            return [1]

        @action(detail=True)
        def twice(self, number: int) -> int:
            return 2 * number

    class MoreNumbers(Numbers):
        path = "/more"

    gateway = Gateway([Numbers, MoreNumbers])
    assert gateway.reverse_url("numbers_twice", number=2) == "/numbers/2/twice"
    assert gateway.reverse_url("morenumbers_twice", number=2) == "/more/2/twice"
    assert serve(Numbers, MoreNumbers).get("/more/4/twice").json() == 8


# --- queries -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "queries"),
    [
        ("get", "", 2),  # the user, and the page, whose end is in sight
        ("get", "/{key}", 2),
        ("get", "/{key}/among", 2),
        ("get", "/{key}/nothing", 2),
        ("post", "/{key}/clear_by_key", 3),
    ],
)
def test_no_scope_costs_more_than_one_query(reviews, method, path, queries):
    client = TestClient(Gateway([Reviews]))
    client.force_authenticate(User.objects.get(username="ada"))
    with assert_queries(queries - 1):
        answer = getattr(client, method)(f"/shops/5/reviews{path.format(key=reviews['ada'].pk)}")
    assert answer.status_code < 300


# --- every row once ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pagination", [PageNumber(size=2), LimitOffset(limit=2), Cursor(size=2)])
@given(
    pages=st.lists(st.integers(1, 4), max_size=8),
    least=st.integers(1, 4),
    ordering=st.lists(st.sampled_from(["pages", "-pages", "title"]), max_size=3),
)
@run(max_examples=6)
def test_pages_of_a_searched_filtered_and_ordered_list_show_each_row_once(pagination, pages, least, ordering):
    Book.objects.all().delete()
    Book.objects.bulk_create(
        Book(title=f"{'odd' if number % 2 else 'even'} {number}", isbn=str(number), pages=count)
        for number, count in enumerate(pages)
    )
    view = type("Paged", (Books,), {"pagination": pagination})
    client = TestClient(Gateway([view]))
    query = {"search": "even", "pages__gte": least} | ({"ordering": ",".join(ordering)} if ordering else {})
    found, answer = [], client.get("/books", params=query)
    while True:
        found += titles(answer)
        if answer.json()["next"] is None:
            break
        answer = client.get(answer.json()["next"])
    expected = Book.objects.filter(title__contains="even", pages__gte=least)
    assert found == [book.title for book in expected.order_by(*(ordering or ["-pages", "title"]), "pk")]
