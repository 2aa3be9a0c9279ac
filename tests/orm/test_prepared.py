"""Prepared queries: the rows of the ordinary query, whatever the values; what cannot be prepared is told."""

import cProfile
import datetime
import decimal
import uuid
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection, models, transaction
from django.db.models import Avg, Case, Count, Exists, F, FilteredRelation, Max, OuterRef, Q, Sum, Value, When
from django.db.models.functions import Coalesce, Now
from django.db.models.lookups import GreaterThan
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.safestring import mark_safe

from hybrid_gateway import ConfigurationError
from hybrid_gateway.exceptions import NotFound
from hybrid_gateway.orm import ModelStruct, prepare
from hybrid_gateway.orm.query_cache.sql_variants import add_cache
from tests.library.models import Author, Book, Loan, Publisher, Review
from tests.orm import fuzz as orm_fuzz

pytestmark = pytest.mark.django_db(transaction=True)


class Title(ModelStruct, model=Book):
    title: str


@pytest.fixture(autouse=True)
def books():
    house = Publisher.objects.create(name="House")
    for number, title in enumerate(["a", "b%", "b_", "bx", "c"]):
        book = Book.objects.create(
            title=title,
            isbn=str(number),
            publisher=house if number % 2 else None,
            pages=number + 1,
            key=uuid.UUID(int=number),
            is_rare=number > 2,
            day=datetime.date(2024, 1, number + 1),
            data={"n": number},
        )
        Review.objects.create(book=book, stars=number)
    return house


def titles(rows: Any) -> list[str]:
    return [row.title for row in rows]


def test_the_sql_is_compiled_once(monkeypatch):
    by_pages = prepare(
        Title, lambda least, most=100: Book.objects.filter(pages__gte=least, pages__lte=most).order_by("pk")
    )
    assert titles(by_pages.fetch(least=4)) == ["bx", "c"]

    def compile_again(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr("django.db.models.sql.compiler.SQLCompiler.as_sql", compile_again)
    assert titles(by_pages.fetch(least=2, most=3)) == ["b%", "b_"]
    assert titles(by_pages.fetch(most=1, least=1)) == ["a"]
    with pytest.raises(AssertionError):
        by_pages.fetch(least="2"), "a value of another type is proven anew"


def test_values_are_adapted_as_django_adapts_them():
    cases: list[tuple[Any, Any, list[str]]] = [
        (lambda v: Q(title__contains=v), "%", ["b%"]),
        (lambda v: Q(title__startswith=v), "b_", ["b_"]),
        (lambda v: Q(title__iexact=v), "BX", ["bx"]),
        (lambda v: Q(key=v), uuid.UUID(int=2), ["b_"]),
        (lambda v: Q(key=v), str(uuid.UUID(int=2)), ["b_"]),
        (lambda v: Q(pages=v), "2", ["b%"]),
        (lambda v: Q(pages__lt=v), 2**80, ["a", "b%", "b_", "bx", "c"]),
        (lambda v: Q(pages__gt=v), 2**80, []),
        (lambda v: Q(day=v), datetime.date(2024, 1, 3), ["b_"]),
        (lambda v: Q(day__gte=v), "2024-01-04", ["bx", "c"]),
        (lambda v: Q(day__day=v), 5, ["c"]),
        (lambda v: Q(is_rare=v), True, ["bx", "c"]),
        (lambda v: Q(is_rare=v), False, ["a", "b%", "b_"]),
        (lambda v: Q(data__n=v), 4, ["c"]),
        (lambda v: Q(pk__in=v), [], []),
        (lambda v: Q(isbn__in=v), ["0", "4"], ["a", "c"]),
        (lambda v: Q(isbn__in=v), ("0", "4", "3"), ["a", "bx", "c"]),
        (lambda v: Q(isbn__in=v), {"1"}, ["b%"]),
        (lambda v: Q(isbn__in=v), ["1", None], ["b%"]),
        (lambda v: Q(pages__range=v), (2, 3), ["b%", "b_"]),
        (lambda v: Q(pages__range=(v, 3)), 2, ["b%", "b_"]),
        (lambda v: Q(price=v), decimal.Decimal("0.00"), ["a", "b%", "b_", "bx", "c"]),
        (lambda v: ~Q(publisher__name=v), "House", ["a", "b_", "c"]),
        (lambda v: ~Q(reviews__stars=v), 0, ["b%", "b_", "bx", "c"]),
        (lambda v: Q(weight__isnull=v), True, ["a", "b%", "b_", "bx", "c"]),
        (lambda v: Q(weight__isnull=v), False, []),
        (lambda v: Q(publisher=v), None, []),
        (lambda v: Q(pk__in=Review.objects.filter(stars__gte=v).values("book")), 3, ["bx", "c"]),
    ]
    for condition, value, expected in cases:
        build = eval("lambda v: Book.objects.filter(c(v)).order_by('pk')", {"Book": Book, "c": condition})
        if value is None:
            build = eval("lambda v: Book.objects.filter(publisher=v).order_by('pk')", {"Book": Book})
            expected = titles(Title.fetch(Book.objects.filter(publisher=None).order_by("pk")))
        query = prepare(Title, build)
        for _ in range(2):
            assert titles(query.fetch(v=value)) == expected, value
    by_house = prepare(Title, lambda house: Book.objects.filter(publisher=house).order_by("pk"))
    assert titles(by_house.fetch(house=Publisher.objects.get())) == ["b%", "bx"]
    assert titles(by_house.fetch(house=Publisher.objects.get().pk)) == ["b%", "bx"]


@pytest.mark.parametrize("first", ["a", "b%", "nothing", "", "it's \\ %s \u00e9"])
def test_texts_are_compared_as_django_compares_them(first):
    by_title = prepare(Title, lambda title: Book.objects.filter(title=title))
    for title in (first, "a", "b%", "", "bx", "%s", "'", mark_safe("c"), Letter.C, first):
        assert titles(by_title.fetch(title=title)) == titles(Title.fetch(Book.objects.filter(title=title)))
    with CaptureQueriesContext(connection) as captured:
        by_title.fetch(title=first), list(Book.objects.filter(title=first).values_list("title"))
    mine, djangos = [entry["sql"].partition(" WHERE ")[2] for entry in captured]
    assert mine == djangos != ""


class Letter(models.TextChoices):
    C = "c"


@pytest.mark.parametrize("kind", ["instances", "dicts", "tuples", "one"])
def test_rows_without_a_struct_have_the_values_of_django(kind):
    def build(least):
        books = Book.objects.filter(pages__gte=least).order_by("pk")
        every = [field.attname for field in Book._meta.concrete_fields]
        kinds = {"dicts": books.values(*every), "tuples": books.values_list(*every)}
        return {"instances": books, "one": books.values_list("day", flat=True), **kinds}[kind]

    prepared = prepare(build)
    for least in (1, 3, 9):
        found, djangos = prepared.fetch(least=least), list(build(least))
        if kind == "instances":
            found, djangos = [[{**vars(row), "_state": None} for row in rows] for rows in (found, djangos)]
        assert found == djangos


def test_slices_take_parameters():
    page = prepare(Title, lambda offset, limit: Book.objects.order_by("pk")[offset : offset + limit])
    assert titles(page.fetch(offset=1, limit=2)) == ["b%", "b_"]
    assert titles(page.fetch(offset=0, limit=1)) == ["a"]
    assert page.fetch(offset=3, limit=0) == []
    assert page.fetch(offset=30, limit=10) == []
    with pytest.raises(ValueError, match="Negative indexing"):
        page.fetch(offset=-1, limit=2)
    numbered = prepare(Title, lambda number: Book.objects.order_by("pk")[(number - 1) * 2 : number * 2])
    assert [titles(numbered.fetch(number=number)) for number in (1, 2, 3, 4)] == [["a", "b%"], ["b_", "bx"], ["c"], []]
    rest = prepare(Title, lambda start: Book.objects.order_by("pk")[start:])
    assert [len(rest.fetch(start=start)) for start in (0, 2, 9)] == [5, 3, 0]
    first = prepare(Title, lambda most: Book.objects.order_by("pk")[:most])
    assert [len(first.fetch(most=most)) for most in (0, 2, 9)] == [0, 2, 5]


def test_other_questions(books):
    rare = prepare(Title, lambda rare: Book.objects.filter(is_rare=rare))
    assert (rare.exists(rare=True), rare.count(rare=True), rare.count(rare=False)) == (True, 2, 3)
    one = prepare(Title, lambda isbn: Book.objects.filter(isbn=isbn))
    assert (one.get(isbn="1").title, one.exists(isbn="9"), one.first(isbn="9")) == ("b%", False, None)
    with pytest.raises(NotFound):
        one.get(isbn="9")
    with pytest.raises(Book.MultipleObjectsReturned):
        rare.get(rare=True)
    pages = rare.aggregate(most=Max("pages"), total=Sum("pages"), mean=Avg("pages"))
    assert pages.get(rare=False) == {"most": 3, "total": 6, "mean": 2.0}
    none = prepare(lambda isbn: Book.objects.filter(isbn=isbn)).aggregate(most=Max("pages"), n=Count("*"))
    assert none.get(isbn="9") == {"most": None, "n": 0}


def test_async():
    one = prepare(Title, lambda isbn: Book.objects.filter(isbn=isbn))
    assert async_to_sync(one.afetch)(isbn="1") == [Title(title="b%")]
    assert async_to_sync(one.aget)(isbn="1") == async_to_sync(one.afirst)(isbn="1") == Title(title="b%")
    assert (async_to_sync(one.aexists)(isbn="1"), async_to_sync(one.acount)(isbn="9")) == (True, 0)
    assert async_to_sync(one.aggregate(n=Count("*")).aget)(isbn="1") == {"n": 1}


def test_rows_without_a_struct(books):
    values = prepare(lambda least: Book.objects.filter(pages__gte=least).order_by("pk").values("title", "pages"))
    assert values.fetch(least=5) == [{"title": "c", "pages": 5}]
    tuples = prepare(lambda least: Book.objects.filter(pages__gte=least).values_list("title", F("pages") * 2))
    assert tuples.fetch(least=5) == [("c", 10)]
    flat = prepare(lambda least: Book.objects.filter(pages__gte=least).values_list("day", flat=True))
    assert flat.fetch(least=5) == [datetime.date(2024, 1, 5)]
    whole = prepare(lambda isbn: Book.objects.select_related("publisher").filter(isbn=isbn))
    with CaptureQueriesContext(connection) as captured:
        book, other = whole.get(isbn="1"), whole.get(isbn="0")
        assert (book.publisher.name, other.publisher, book._state.adding, book.data) == ("House", None, False, {"n": 1})
    assert len(captured) == 2
    book.save()


def test_lists_are_filled():
    class ReviewOut(ModelStruct, model=Review):
        stars: int

    class Reviewed(ModelStruct, model=Book):
        title: str
        reviews: list[ReviewOut]

    query = prepare(Reviewed, lambda least: Book.objects.filter(pages__gte=least).order_by("pk"))
    for least in (3, 4):
        with CaptureQueriesContext(connection) as captured:
            assert query.fetch(least=least)[-1] == Reviewed(title="c", reviews=[ReviewOut(stars=4)])
        assert len(captured) == 2


def test_transactions_and_rollbacks():
    count = prepare(Title, lambda least: Book.objects.filter(pages__gte=least))
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        Book.objects.create(title="d", isbn="d", pages=9)
        assert count.count(least=1) == 6
        raise ZeroDivisionError
    assert count.count(least=1) == 5


def test_a_branch_on_the_kind_of_a_value_goes_the_ordinary_way():
    def build(v):
        return Book.objects.filter(title=v) if isinstance(v, str) else Book.objects.filter(pages=v)

    query = prepare(Title, build)
    assert titles(query.fetch(v=2)) == ["b%"]
    assert titles(query.fetch(v="c")) == ["c"]
    assert titles(query.fetch(v="a")) == ["a"]


def test_a_value_that_joins_otherwise_goes_the_ordinary_way(caplog):
    query = prepare(Title, lambda v: Book.objects.filter(publisher__country__isnull=v).order_by("pk"))
    assert titles(query.fetch(v=True)) == ["a", "b%", "b_", "bx", "c"]
    assert titles(query.fetch(v=False)) == []
    assert "is another query for some values" in caplog.text


def test_routers_are_asked_each_time():
    class Recording:
        asked: list[Any] = []

        def db_for_read(self, model: Any, **hints: Any) -> str:
            self.asked.append(model)
            return "default"

    query = prepare(Title, lambda v: Book.objects.filter(pages=v))
    router = Recording()
    with override_settings(DATABASE_ROUTERS=[router]):
        for _ in range(2):
            assert titles(query.fetch(v=2)) == titles(Title.fetch(Book.objects.filter(pages=2))) == ["b%"]
    assert router.asked.count(Book) >= 4


WORDS = {"x": 1}


@pytest.mark.parametrize(
    ("build", "match"),
    [
        (lambda v: Book.objects.filter(title=f"{v}%"), "cannot make text of its parameter v"),
        (lambda v: Book.objects.filter(title=str(v)), "cannot make text of"),
        (lambda v: Book.objects.filter(title=v.lower()), "cannot use the attribute lower of"),
        (lambda v: Book.objects.filter(pages=1) if v else Book.objects.all(), "cannot ask for the truth of"),
        (lambda v: Book.objects.filter(pages=1 if v == 3 else 2), "cannot compare"),
        (lambda v: Book.objects.filter(pages=1 if v > 3 else 2), "cannot compare"),
        (lambda v: Book.objects.filter(pages=WORDS.get(v, 5)), "nothing in the query depends on v"),
        (lambda v: Book.objects.all(), "nothing in the query depends on v"),
        (lambda v: Book.objects.filter(title=len(v)), "has no answer before there are values"),
        (lambda v: Book.objects.filter(pages__gt=F("pages") + v), "where no lookup adapts it to a column"),
        (lambda v: Book.objects.annotate(x=Value(v)).filter(pages=v), "where no lookup adapts it"),
        (lambda v: Book.objects.annotate(x=Coalesce("weight", v)).filter(pages=v), "where no lookup adapts it"),
        (lambda v: Book.objects.filter(pages=v).order_by(v), "where no lookup adapts it|cannot"),
        (lambda v: Book.objects.extra(where=["pages = %s"], params=[v]), "where no lookup adapts it|depends"),
        (lambda v: Book.objects.using(v), "chooses a database|depends"),
        (lambda v: Book.objects.filter(pages=v).prefetch_related("authors"), "prefetches"),
        (lambda v: Book.objects.order_by("pk")[v:100], "depends on v|slices"),
        (lambda v: Book.objects.order_by("pk")[v:][v:], "slices what is sliced already|depends on"),
        (lambda v: Book.objects.filter(pages=v, day=datetime.date(2024, 1, 1)), "was computed when it was prepared"),
        (
            lambda v: Book.objects.filter(Q(pages=v) | Q(printed__range=(timezone.now(), timezone.now()))),
            "computed when",
        ),
        (lambda v: [v], "must return a QuerySet"),
        (lambda *v: Book.objects.all(), "name each parameter"),
        (lambda v: Author.objects.filter(name=v), "Title is of Book, not of Author"),
    ],
)
def test_what_cannot_be_prepared_is_told(build, match):
    with pytest.raises(ConfigurationError, match=match):
        prepare(Title, build)


def test_the_database_knows_what_time_it_is():
    Book.objects.update(printed=timezone.now() - datetime.timedelta(days=1))
    query = prepare(Title, lambda v: Book.objects.filter(pages=v, printed__lte=Now()))
    assert [titles(query.fetch(v=value)) for value in (1, 2)] == [["a"], ["b%"]]


def test_why_a_query_is_compiled_anew_is_logged_once(caplog):
    query = prepare(Title, lambda v: Book.objects.filter(pages__in=v))
    add_cache(connection)
    with caplog.at_level("DEBUG", "hybrid_gateway.orm"):
        for _ in range(3):
            assert query.fetch(v=[]) == []
    assert [record.getMessage() for record in caplog.records] == [
        "<Prepared Book: v> is compiled anew for some values: EmptyResultSet()",
        "A query of Book is compiled anew for some values: EmptyResultSet()",
    ]


def test_a_query_is_prepared_below_a_profiler():
    profiler = cProfile.Profile()
    profiler.enable()
    try:
        query = prepare(Title, lambda v: Book.objects.filter(pages=v))
        titles(query.fetch(v=1))
    finally:
        profiler.disable()
    profiler.create_stats()
    assert any(name == "fetch" for _, _, name in profiler.stats)  # type: ignore[attr-defined]


def test_lookups_are_found_wherever_they_are():
    in_annotation = prepare(
        Title, lambda v: Book.objects.annotate(x=Case(When(pages=v, then=1), default=0)).filter(x=1).order_by("pk")
    )
    in_order = prepare(Title, lambda v: Book.objects.order_by(GreaterThan(F("pages"), v), "pk"))
    in_join = prepare(
        Title,
        lambda v: Book.objects.annotate(r=FilteredRelation("reviews", condition=Q(reviews__stars=v))).filter(
            r__isnull=False
        ),
    )
    in_filter = prepare(lambda v: Book.objects.values("is_rare").annotate(n=Count("pk", filter=Q(pages__gt=v))))
    in_query = prepare(
        Title, lambda v: Book.objects.filter(Exists(Review.objects.filter(book=OuterRef("pk"), stars=v)))
    )
    for query, value, expected in [
        (in_annotation, 2, ["b%"]),
        (in_order, 2, ["a", "b%", "b_", "bx", "c"]),
        (in_join, 3, ["bx"]),
        (in_query, 4, ["c"]),
    ]:
        assert [titles(query.fetch(v=value)) for _ in range(2)] == [expected] * 2
    counts = [{row["is_rare"]: row["n"] for row in in_filter.fetch(v=value)} for value in (1, 4)]
    assert counts == [{False: 2, True: 2}, {False: 0, True: 1}]


def test_managers_with_a_mind_of_their_own_are_refused(monkeypatch):
    def build(v):
        return Book.rented.filter(pages=v)

    with pytest.raises(ConfigurationError, match=r"starts at TenantManager.get_queryset\(\)"):
        prepare(Title, build)
    with pytest.raises(ConfigurationError, match="static_managers=True"):
        prepare(Title, lambda v: Book.objects.filter(pages=v, pk__in=Book.rented.values("pk")))
    static = prepare(Title, build, static_managers=True)
    assert titles(static.fetch(v=2)) == ["b%"]
    assert static.aggregate(n=Count("*")).get(v=2) == {"n": 1}


def test_the_lists_of_rows_ask_their_manager_each_time(monkeypatch):
    class LoanOut(ModelStruct, model=Loan):
        days: int

    class Lent(ModelStruct, model=Book):
        title: str
        loans: list[LoanOut]

    for days in (1, 5, 9):
        Loan.objects.create(book=Book.objects.get(isbn="0"), days=days)
    query = prepare(Lent, lambda v: Book.objects.filter(isbn=v))
    for least, expected in ((0, [1, 5, 9]), (5, [5, 9]), (9, [9])):
        monkeypatch.setattr("tests.library.models.LoanManager.least", least)
        assert [loan.days for loan in query.get(v="0").loans] == expected
        assert [loan.days for loan in Lent.get(Book.objects.filter(isbn="0")).loans] == expected


def test_unknown_parameters():
    query = prepare(Title, lambda v: Book.objects.filter(pages=v))
    with pytest.raises(TypeError, match="takes v, not w"):
        query.fetch(w=1)
    sliced = prepare(Title, lambda v: Book.objects.all()[:v])
    with pytest.raises(ConfigurationError, match="is sliced"):
        sliced.count(v=1)


def test_what_is_prepared_is_what_is_not():
    Book.objects.all().delete()
    counts = orm_fuzz.run(400, seed=3, report=lambda line: None)
    assert counts["compared"] >= 400
    assert counts["refused"] == 0
