"""Canaries of ``hybrid_gateway/_compat/django_orm_internals.py``."""

from __future__ import annotations

import sqlite3

import pytest
from django.db import DatabaseError, Error, connection, models, transaction
from django.db.models import Count
from django.test.utils import CaptureQueriesContext

from hybrid_gateway._compat import django_orm_internals as internals
from tests.compat import canary
from tests.library.models import Author, Biography, Book, Novel, Publisher

pytestmark = pytest.mark.django_db


def names(queryset: models.QuerySet) -> list[str]:
    return [author.name for author in queryset]


@pytest.fixture
def authors():
    for name in "abcd":
        Author.objects.create(name=name)
    return Author.objects.order_by("name")


@canary("order_terms")
def test_the_terms_are_what_the_compiler_orders_by(authors):
    assert internals.order_terms(authors) == ("name",)
    assert internals.order_terms(Author.objects.all()) == ()
    assert internals.order_terms(Publisher.objects.all()) == tuple(Publisher._meta.ordering)
    assert internals.order_terms(Publisher.objects.order_by()) == ()
    grouped = Publisher.objects.values("country").annotate(number=Count("pk"))
    assert internals.order_terms(grouped) == ()
    assert "ORDER BY" not in str(grouped.query)
    extra = authors.extra(order_by=["-name"])
    assert internals.order_terms(extra) == ("-name",)
    assert names(extra) == ["d", "c", "b", "a"]


@canary("append_order")
@pytest.mark.parametrize("extra", [False, True])
def test_an_order_is_appended_to_a_slice(authors, extra):
    ordered = (authors.extra(order_by=["-name"]) if extra else authors.order_by("-name"))[1:3]
    appended = internals.append_order(ordered, ("-name",), ("pk",))
    assert internals.order_terms(appended) == ("-name", "pk")
    assert names(appended) == names(ordered) == ["c", "b"]


@canary("is_reversed", "unreversed")
def test_an_order_is_turned_round_once(authors):
    assert not internals.is_reversed(authors)
    turned = authors.reverse().extra(order_by=["name"])
    assert internals.is_reversed(turned)
    assert names(internals.unreversed(turned.order_by("name"))) == ["a", "b", "c", "d"]


@canary("unsliced")
def test_a_slice_can_be_taken_away(authors):
    assert names(internals.unsliced(authors[1:3]).filter(name__gt="a")) == ["b", "c", "d"]
    assert not internals.unsliced(authors[:2]).query.is_sliced
    distinct = authors.distinct("name")
    assert not internals.unsliced(distinct).query.distinct_fields
    assert not internals.unsliced(distinct).query.distinct


@canary("chosen_database")
def test_a_queryset_knows_the_database_that_was_chosen(authors):
    assert internals.chosen_database(authors) is None
    assert internals.chosen_database(authors.using("default")) == "default"


@canary("returned_from_insert")
@pytest.mark.skipif(not connection.features.can_return_columns_from_insert, reason="It returns nothing.")
def test_an_insert_returns_what_it_is_asked_for():
    author, name = Author(name="Ann"), Author._meta.get_field("name")
    with (
        CaptureQueriesContext(connection) as captured,
        internals.returned_from_insert(author, [name]) as returned,
    ):
        author.save()
    assert returned == {"name": "Ann"}
    assert author.pk is not None
    assert len(captured) == 1
    assert captured[0]["sql"].count('"name"') == 2, "inserted and returned"
    assert "_do_insert" not in vars(author)


@canary("generated_fields_are_returned")
def test_saving_sets_generated_columns_or_does_not():
    book = Book.objects.create(title="T", isbn="1", pages=2)
    book = Book.objects.get(pk=book.pk)
    before, book.pages = book.double, 21
    book.save()
    after = vars(book).get("double")
    assert after == 42 if internals.generated_fields_are_returned else after in (before, None)


@canary("unique_checks")
def test_what_is_unique_is_known_of_parents_too():
    assert (Book, ("isbn",)) in internals.unique_checks(Novel())
    assert (Author, ("id",)) in internals.unique_checks(Author())


@canary("forget_related")
def test_the_other_side_is_forgotten(authors):
    author = authors[0]
    Biography.objects.create(author=author, text="...")
    relation = Author._meta.get_field("biography")
    assert author.biography.text == "..."
    Biography.objects.update(text="Other")
    internals.forget_related(author, relation)
    internals.forget_related(author, relation)
    assert author.biography.text == "Other"


@canary("is_vanished_row")
def test_a_row_that_is_gone_is_told_by_wording(authors):
    author = authors[0]
    Author.objects.all().delete()
    with pytest.raises(DatabaseError) as caught:
        author.save(update_fields=["name"])
    assert internals.is_vanished_row(caught.value)
    assert not internals.is_vanished_row(DatabaseError("disk full"))


@canary("is_unknown_value")
def test_a_value_of_an_unknown_class_is_told_by_wording():
    with pytest.raises(Error) as caught, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT %s", [object()])
    assert internals.is_unknown_value(caught.value)
    with pytest.raises(Error) as caught, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT nothing")
    assert not internals.is_unknown_value(caught.value)


@canary("is_too_many_parameters")
def test_too_many_parameters_are_told_by_wording():
    number = 70_000 if connection.vendor == "postgresql" else connection.connection.getlimit(LIMIT) + 1
    sql = f"SELECT 1 WHERE 1 IN ({', '.join(['%s'] * number)})"
    with pytest.raises(Exception) as caught, transaction.atomic(), server_side_cursor() as cursor:  # noqa: PT011
        cursor.execute(sql, [1] * number)
    assert internals.is_too_many_parameters(caught.value)


def server_side_cursor():
    """Return a cursor that sends parameters as such; Django's of PostgreSQL writes them into the text by default."""
    if connection.vendor != "postgresql":
        return connection.cursor()
    import psycopg

    return psycopg.Cursor(connection.connection)


LIMIT = sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER
