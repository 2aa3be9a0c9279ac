"""Canaries of ``hybrid_gateway/_compat/django_query_internals.py``."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.db.models import F, FilteredRelation, Q, QuerySet
from django.db.models.lookups import Exact, In
from django.db.models.signals import post_init, pre_init

from hybrid_gateway._compat import django_query_internals as internals
from tests.compat import canary
from tests.library.models import Book, Novel, Publisher, Review

pytestmark = pytest.mark.django_db


def rows_of(query: Any) -> tuple[list[Any], Any]:
    compiler = query.get_compiler(connection=connection)
    with connection.cursor() as cursor:
        cursor.execute(*compiler.as_sql())
        return cursor.fetchall(), compiler


@pytest.fixture
def book() -> Book:
    return Book.objects.create(title="a", isbn="1", pages=3, publisher=Publisher.objects.create(name="House"))


@canary("row_kind", "INSTANCES", "DICTS", "TUPLES", "SINGLES")
def test_querysets_know_what_they_make_of_rows() -> None:
    kinds = {
        internals.INSTANCES: Book.objects.all(),
        internals.DICTS: Book.objects.values("pk"),
        internals.TUPLES: Book.objects.values_list("pk"),
        internals.SINGLES: Book.objects.values_list("pk", flat=True),
    }
    assert [internals.row_kind(queryset) for queryset in kinds.values()] == list(kinds)


@canary("unread_instances")
def test_what_a_queryset_has_read_is_left_behind(book: Book, django_assert_num_queries: Any) -> None:
    read = Book.objects.all()
    assert internals.unread_instances(read) is read
    list(read)
    unread = internals.unread_instances(read)
    assert isinstance(unread, QuerySet)
    assert isinstance(unread[:1], QuerySet)
    assert internals.unread_instances(Book.objects.values("pk")) is None
    assert internals.unread_instances(Book.objects.values_list("pk")) is None


@canary("visited_instances")
def test_instances_are_visited_as_they_are_made_of_clones_too(book: Book) -> None:
    seen: list[str] = []
    rows = internals.visited_instances(Book.objects.all(), lambda row: seen.append(row.title))
    assert internals.unread_instances(rows) is rows
    assert [*rows.filter(pk=book.pk)[:1]] == [book] == [*rows.iterator()]
    assert rows.first() == book and seen == ["a", "a", "a"]


@canary("has_prefetches", "has_known_relations")
def test_a_queryset_knows_its_prefetches_and_known_relations(book: Book) -> None:
    assert not internals.has_prefetches(Book.objects.all())
    assert internals.has_prefetches(Book.objects.prefetch_related("authors"))
    assert not internals.has_known_relations(Book.objects.all())
    assert internals.has_known_relations(book.reviews.all())


@canary("limits_of", "set_limits", "slice_of")
def test_slices_are_limits() -> None:
    query = Book.objects.order_by("pk")[2**52 : 2**53].query
    assert internals.limits_of(query) == (2**52, 2**53)
    assert internals.slice_of(query) == (2**52, 2**53)
    assert internals.limits_of(Book.objects.all().query) == (0, None)
    assert internals.slice_of(Book.objects.all().query) is None
    internals.set_limits(query, (1, 4))
    assert str(query) == str(Book.objects.order_by("pk")[1:4].query)


@canary("select_columns", "own_columns")
def test_selected_columns_are_those_of_values(book: Book) -> None:
    names = ["title", "publisher_id", "pages"]
    columns = internals.own_columns(Book, names)
    assert columns is not None
    query = Book.objects.select_related("publisher").defer("title").filter(pages=3).query.chain()
    internals.select_columns(query, columns)
    assert rows_of(query)[0] == list(Book.objects.filter(pages=3).values_list(*names))
    assert internals.own_columns(Book, ["publisher__name"]) is None
    assert internals.own_columns(Novel, ["title"]) is None, "of a parent"


@canary("select_paths")
def test_selected_paths_are_those_of_values() -> None:
    query = Book.objects.all().query.chain()
    internals.select_paths(query, ["publisher__name", "title"])
    assert str(query) == str(Book.objects.values("publisher__name", "title").query)


@canary("count_query")
def test_a_count_is_that_of_a_queryset(book: Book, django_assert_num_queries: Any) -> None:
    queryset = Book.objects.filter(pages=3).order_by("title")
    with django_assert_num_queries(1) as captured:
        queryset.count()
    query = internals.count_query(queryset.query)
    assert str(query) == captured[0]["sql"]
    assert rows_of(query)[0] == [(1,)]


@canary("conditions_of_joins")
def test_conditions_of_joins_are_found() -> None:
    queryset = Book.objects.annotate(r=FilteredRelation("reviews", condition=Q(reviews__stars=7))).filter(r__pk=1)
    [condition] = internals.conditions_of_joins(queryset.query)
    assert [lookup.rhs for lookup in condition.children] == [7]  # type: ignore[union-attr]


@canary("simple_query_key")
def test_a_plain_query_is_simple_and_nothing_else_is() -> None:
    def key(queryset: QuerySet[Any]) -> Any:
        return internals.simple_query_key(queryset.query, [], is_one=False)

    books = Book.objects.order_by("pk")
    simple = [
        *(books, books.filter(pages=1), books.filter(Q(pages=1) | ~Q(title="a")), books.order_by("-pk"), books[:1]),
        *(books.filter(publisher=1), books.filter(publisher=1, pages=1), Publisher.objects.order_by("pk")),
    ]
    keys = [key(queryset) for queryset in simple]
    assert None not in keys
    assert len(set(keys)) == len(keys)
    assert key(books.filter(pages=2)) == key(books.filter(pages=1))
    more: list[QuerySet[Any]] = [
        *(books.distinct(), books.select_for_update(), books.annotate(x=F("pages")), books.filter(publisher__name="a")),
        *(books.filter(pages=F("pages")), books.order_by("?"), books.order_by(F("pages")), books.union(books)),
        *(books.extra(where=["1"]), books.filter(pk__in=books.values("pk")), books.order_by("publisher__name")[:1]),
    ]
    assert [key(queryset) for queryset in more[:-1]] == [None] * (len(more) - 1)
    undone = (books.select_related("publisher"), books.only("title"), books.defer("title"))
    assert {key(queryset) for queryset in undone} == {key(books)}
    chosen: list[QuerySet[Any]] = [books.values("pk"), books.values_list("pk"), books.union(books).order_by("pk")]
    assert [key(queryset) for queryset in chosen] == [None] * 3


@canary("simple_query_key")
def test_the_key_of_one_row_is_that_of_its_query() -> None:
    for books in (Book.objects.order_by("pages"), Book.objects.filter(pages=1), Book.objects.reverse()):
        key = internals.simple_query_key(books.query, [], is_one=True)
        assert key == internals.simple_query_key(books.order_by()[:21].query, [], is_one=False)
        assert "base_table" not in vars(books.query)


@canary("column_count")
def test_rows_have_the_columns_that_are_selected_and_no_others() -> None:
    def count(queryset: QuerySet[Any]) -> int | None:
        compiler = queryset.query.get_compiler("default")
        compiler.as_sql()
        return internals.column_count(compiler)

    titles = Book.objects.order_by().values_list("title")
    assert count(titles.order_by("pages")) == 1
    assert count(titles.distinct().order_by("pages")) is None  # the order is selected as well
    assert count(titles.union(titles)) is None


@canary("copy_with_conditions")
def test_the_conditions_of_a_copy_are_replaced() -> None:
    query = Book.objects.filter(Q(pages=1) | ~Q(title="a", pages=2)).query
    seen: list[Any] = []

    def replace(lookup: Any) -> Any:
        seen.append(lookup.rhs)
        return type(lookup)(lookup.lhs, 5)

    before = str(query)
    assert str(internals.copy_with_conditions(query, replace)).count("5") == before.count("1") + 2
    assert str(query) == before
    assert seen == [1, "a", 2] or seen == [1, 2, "a"]


@canary("given_values")
def test_the_right_side_is_what_was_given() -> None:
    query = Book.objects.filter(pages__in=[1, F("pages")]).query
    [lookup] = query.where.children
    first, second = internals.given_values(lookup.rhs)  # type: ignore[misc, union-attr]
    assert first == 1
    assert hasattr(second, "resolve_expression")
    assert internals.given_values(3) == 3


@canary("has_transformed_sides")
def test_plain_lookups_transform_no_side() -> None:
    [lookup] = Book.objects.filter(pages=1).query.where.children
    assert not internals.has_transformed_sides(lookup)  # type: ignore[arg-type]


@canary("has_one_sided_sql")
def test_only_the_right_side_of_a_plain_lookup_depends_on_its_value() -> None:
    query = Book.objects.filter(pages=1).query
    compiler = query.get_compiler(connection=connection)
    compiler.as_sql()
    [lookup] = query.where.children
    column = lookup.lhs  # type: ignore[union-attr]
    for made in (Exact(column, 3), In(column, [3, 4])):
        assert internals.has_one_sided_sql(made)
        right, values = made.process_rhs(compiler, compiler.connection)
        sql, parameters = compiler.compile(made)
        assert right in sql or made.lookup_name == "exact"
        assert list(values) == list(parameters)
    [rare] = Book.objects.filter(is_rare=True).query.where.children
    assert not internals.has_one_sided_sql(rare), "another text for another value"  # type: ignore[arg-type]


@canary("convert_rows", "converters_of", "names_of_values")
def test_rows_are_converted_as_values_are(book: Book) -> None:
    queryset = Book.objects.values("printed", "price", "data")
    rows, compiler = rows_of(queryset.query)
    width = len(compiler.select)
    [row] = internals.convert_rows(compiler, rows, internals.converters_of(compiler, range(width)))
    assert dict(zip(internals.names_of_values(compiler), row, strict=True)) == queryset.get()


@canary("typed_rows")
def test_typed_rows_are_those_of_values_list(book: Book) -> None:
    queryset = Book.objects.order_by("publisher__name").values_list("price", "data")
    rows, compiler = rows_of(queryset.query)
    assert [tuple(row) for row in internals.typed_rows(compiler, rows)] == list(queryset)


@canary("InstanceReader")
def test_instances_are_those_of_the_queryset(book: Book) -> None:
    Review.objects.create(book=book, stars=1)
    rows, compiler = rows_of(Review.objects.select_related("book__publisher").query)
    reader = internals.InstanceReader.of(compiler)
    assert reader is not None
    review: Any = reader.read(rows[0])
    assert (review, review.book.publisher) == (Review.objects.get(), book.publisher)
    assert not review._state.adding
    _, compiler = rows_of(Review.objects.annotate(x=F("stars")).query)
    assert internals.InstanceReader.of(compiler) is None


def read(model: Any, queryset: Any) -> Any:
    rows, compiler = rows_of(queryset.query)
    reader = internals.InstanceReader.of(compiler)
    assert reader is not None
    converters = internals.converters_of(compiler, range(len(compiler.select)))
    return reader.read(next(iter(internals.convert_rows(compiler, rows, converters))))


@canary("InstanceReader")
def test_instances_have_the_attributes_that_those_of_the_queryset_have(book: Book) -> None:
    made, djangos = read(Book, Book.objects.all()), Book.objects.get()
    assert list(vars(made)) == list(vars(djangos))
    assert {**vars(made), "_state": None} == {**vars(djangos), "_state": None}
    states = [{"peers": (), **vars(instance._state)} for instance in (made, djangos)]
    for state in states:
        state.pop("fetch_mode", None)  # that of a queryset; its default otherwise
    assert states[0] == states[1]
    assert type(made._state) is type(djangos._state)
    partial = read(Book, Book.objects.only("pk"))
    assert partial.get_deferred_fields() == Book.objects.only("pk").get().get_deferred_fields() != set()


class Loud(Book):
    class Meta:
        app_label = "library"
        proxy = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.heard = ["init"]


class FromDatabase(Book):
    class Meta:
        app_label = "library"
        proxy = True

    @classmethod
    def from_db(cls, *args: Any, **kwargs: Any) -> Any:
        made: Any = super().from_db(*args, **kwargs)
        made.heard = ["from_db"]
        return made


@canary("InstanceReader")
@pytest.mark.parametrize("model", [Loud, FromDatabase])
def test_models_that_make_their_instances_themselves_do_so(book: Book, model: Any) -> None:
    assert read(model, model.objects.all()).heard == model.objects.get().heard


@canary("InstanceReader")
@pytest.mark.parametrize("signal", [pre_init, post_init])
def test_receivers_hear_of_each_instance(book: Book, signal: Any) -> None:
    heard: list[object] = []

    def hear(sender: object, **kwargs: object) -> None:
        heard.append(sender)

    signal.connect(hear, sender=Book)
    try:
        read(Book, Book.objects.all())
    finally:
        signal.disconnect(hear, sender=Book)
    assert heard == [Book]
