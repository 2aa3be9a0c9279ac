"""fetch() compiles the SQL of a simple query once per connection, and tells simple queries apart."""

from decimal import Decimal
from typing import Any

import pytest
from django.db import DataError, connection, connections
from django.db.models import F, Q
from django.test.utils import CaptureQueriesContext

from hybrid_gateway.orm import ModelStruct
from hybrid_gateway.orm.query_cache.sql_variants import add_cache
from tests.library.models import Book, Novel, Publisher

pytestmark = pytest.mark.django_db(transaction=True)


class Title(ModelStruct, model=Book):
    title: str


@pytest.fixture(autouse=True)
def books():
    for number in range(6):
        Book.objects.create(title=str(number), isbn=str(number), pages=number + 1, is_rare=number > 3)


def titles(queryset: Any) -> str:
    return "".join(row.title for row in Title.fetch(queryset))


def test_a_simple_query_is_compiled_once(monkeypatch):
    def ask(least: int, offset: int, limit: int) -> str:
        return titles(Book.objects.filter(Q(pages__gte=least) | Q(title="0")).order_by("-pk")[offset : offset + limit])

    assert ask(3, 1, 2) == "43"

    def compile_again(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr("django.db.models.sql.compiler.SQLCompiler.as_sql", compile_again)
    assert (ask(4, 1, 2), ask(2, 2, 100), ask(100, 1, 5)) == ("43", "3210", "")
    with pytest.raises(AssertionError):
        ask(3, 0, 2)


def test_one_row_is_found_without_compiling(monkeypatch):
    assert Title.get(Book.objects.filter(isbn="1")).title == "1"

    def compile_again(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr("django.db.models.sql.compiler.SQLCompiler.as_sql", compile_again)
    assert Title.get(Book.objects.filter(isbn="2")).title == "2"


def test_what_rows_refer_to_is_joined_without_compiling(monkeypatch):
    class Named(ModelStruct, model=Publisher):
        name: str

    class Published(ModelStruct, model=Book):
        title: str
        publisher: Named | None

    for name in "ab":
        publisher = Publisher.objects.create(name=name)
        Book.objects.filter(title="1" if name == "a" else "2").update(publisher=publisher)

    def ask(publisher: Publisher) -> list[Any]:
        found = Published.fetch(Book.objects.filter(publisher=publisher).order_by("pk"))
        return [(row.title, row.publisher and row.publisher.name) for row in found]

    first, second = Publisher.objects.order_by("pk")
    assert ask(first) == [("1", "a")]

    def compile_again(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr("django.db.models.sql.compiler.SQLCompiler.as_sql", compile_again)
    assert ask(second) == [("2", "b")]
    assert ask(Publisher(pk=10**9)) == []


def test_a_child_has_the_columns_of_its_parent():
    Novel.objects.create(title="novel", isbn="n", hero="Ada")
    for novels in (Novel.objects.all(), Novel.objects.filter(hero="Ada"), Novel.objects.order_by("pk")):
        assert titles(novels) == "novel"


NUMBERS: list[Any] = [1, 2, 6, 7, 0, -1, True, "2", 2.0, 2**31, 2**63 - 1, 2**63, 2**80, Decimal(3)]


@pytest.mark.parametrize("lookup", ["pages", "pages__in", "publisher__in", "pk__in"])
def test_numbers_are_those_of_django(lookup):
    first = Publisher.objects.create(name="first")
    Book.objects.filter(title__in="024").update(publisher=first)
    values = NUMBERS
    if lookup.endswith("in"):
        numbers = [*NUMBERS, first.pk]
        lists = [[one] for one in numbers] + [[one, two] for one in numbers for two in numbers]
        values = [*lists, [*lists[-1], None], [None], [], (1, 2), {1, 2}, range(3)]
    for value in values * 2:
        books = Book.objects.filter(**{lookup: value}).order_by("pk")
        try:
            expected = "".join(books.values_list("title", flat=True))
        except (OverflowError, DataError) as error:
            with pytest.raises(type(error)):
                titles(books)
        else:
            assert titles(books) == expected, value
            with CaptureQueriesContext(connection) as captured:
                list(books.values_list("title", flat=True))
                titles(books)
            assert len({query["sql"].partition(" FROM ")[2] for query in captured}) <= 1, value


def test_who_watches_a_connection_sees_each_statement():
    def ask() -> None:
        assert titles(Book.objects.filter(pages=2)) == "1"

    seen: list[str] = []

    def watch(execute: Any, sql: str, *call: Any) -> Any:
        seen.append(sql)
        return execute(sql, *call)

    ask()
    with connection.execute_wrapper(watch):
        ask()
    with CaptureQueriesContext(connection) as captured:
        ask()
    assert len(seen) == len(captured) == 1
    ask()
    assert len(seen) == len(captured) == 1


QUERIES = [
    (lambda q: q, "012345"),
    (lambda q: q.filter(pages=1), "0"),
    (lambda q: q.exclude(pages=1), "12345"),
    (lambda q: q.filter(~Q(pages=1) | Q(title="3")), "12345"),
    (lambda q: q.filter(Q(title="3") | Q(pages=1, title="0")), "03"),
    (lambda q: q.filter(Q(title="3") | ~Q(pages=1, title="0")), "12345"),
    (lambda q: q.filter(Q(title="3") & Q(pages=1)), ""),
    (lambda q: q.filter(title="4"), "4"),
    (lambda q: q.filter(isbn="3"), "3"),
    (lambda q: q.filter(title="3", isbn="3"), "3"),
    (lambda q: q.filter(isbn="3", title="4"), ""),
    (lambda q: q.filter(version=1), "012345"),
    (lambda q: q.filter(pages__gt=1), "12345"),
    (lambda q: q.filter(pages__in=[1, 2, 99]), "01"),
    (lambda q: q.filter(pages__in=[1]), "0"),
    (lambda q: q.filter(pages__in=[]), ""),
    (lambda q: q.filter(pages__in=[1, None]), "0"),
    (lambda q: q.filter(is_rare=True), "45"),
    (lambda q: q.filter(is_rare=False), "0123"),
    (lambda q: q.filter(printed=None), "012345"),
    (lambda q: q.filter(printed__isnull=False), ""),
    (lambda q: q.filter(pages__lt=2**80), "012345"),
    (lambda q: q.filter(pages=F("pages")), "012345"),
    (lambda q: q.order_by("-pk"), "543210"),
    (lambda q: q.reverse(), "543210"),
    (lambda q: q.order_by().order_by("pk")[:1], "0"),
    (lambda q: q.order_by("-is_rare", "-pk"), "543210"),
    (lambda q: q[2:4], "23"),
    (lambda q: q[2:], "2345"),
    (lambda q: q[:2], "01"),
    (lambda q: q[4:2], ""),
    (lambda q: q.order_by("publisher__name", "pk"), "012345"),
    (lambda q: q.filter(publisher=None), "012345"),
    (lambda q: q.filter(publisher__name=None), "012345"),
    (lambda q: q.filter(publisher=Publisher(pk=1)), ""),
    (lambda q: q.distinct(), "012345"),
    (lambda q: q.select_for_update(), "012345"),
]


@pytest.mark.parametrize(("narrow", "expected"), QUERIES)
def test_queries_are_told_apart(narrow, expected):
    from django.db import transaction

    with transaction.atomic():
        for other, _ in QUERIES:  # whatever was kept before
            titles(other(Book.objects.order_by("pk")))
        for _ in range(2):
            assert titles(narrow(Book.objects.order_by("pk"))) == expected


def test_a_query_is_one_query(books):
    for _ in range(2):
        with CaptureQueriesContext(connection) as captured:
            titles(Book.objects.filter(pages=2))
        assert len(captured) == 1


def test_no_more_is_kept_than_is_useful(monkeypatch):
    monkeypatch.setattr("hybrid_gateway.orm.query_cache.sql_variants._MAX_QUERIES", 2)
    cache = add_cache(connections["default"])
    for order in ("pk", "title", "pages", "isbn", "pk"):
        titles(Book.objects.order_by(order))
    assert len(cache.simple_queries) == 2


def test_why_a_query_is_compiled_anew_is_logged_once(caplog):
    add_cache(connections["default"])
    with caplog.at_level("DEBUG", "hybrid_gateway.orm"):
        for _ in range(3):
            assert titles(Book.objects.filter(pages__in=[])) == ""
    assert [record.getMessage() for record in caplog.records] == [
        "A query of Book is compiled anew for some values: EmptyResultSet()"
    ]
