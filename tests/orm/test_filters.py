"""What clients may compare with: every lookup of every column gives rows, or 422 at its place, on every database."""

import datetime
import decimal
import enum
import sqlite3
from typing import Annotated, Any

import msgspec
import pytest
from django.db import DatabaseError, OperationalError, connection, transaction

from hybrid_gateway import ConfigurationError, Gateway, get
from hybrid_gateway.exceptions import RequestValidationError
from hybrid_gateway.orm import LimitOffset, Lookup, Search
from hybrid_gateway.orm.lists.filters import FilterSet
from tests.library.models import Status
from tests.orm.columns import Columns, ColumnsOut, fill
from tests.orm.filter_fuzz import run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module", autouse=True)
def table(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        with connection.schema_editor() as editor:
            editor.create_model(Columns)
        yield
        with connection.schema_editor() as editor:
            editor.delete_model(Columns)


@pytest.fixture(autouse=True)
def rows():
    fill()


@pytest.mark.filterwarnings("ignore:DateTimeField", "ignore:Possible")
def test_every_lookup_of_every_column():
    found = run(Columns, Columns.objects.all(), ColumnsOut.fetch, cells=3000, seed=datetime.date.today().toordinal())
    assert min(found["rows"], found["422"], found["refused when built"]) > 100


class Plain(enum.Enum):
    SOLD = "sold"
    LOST = "lost"


class Number(enum.Enum):
    ONE = 1
    TWO = 2


class Filter(msgspec.Struct):
    day__year: int | None = None
    moment__year__gte: int | None = None
    moment__gte: datetime.datetime | None = None
    char__regex: str | None = None
    char__iregex: str | None = None
    address: str | None = None
    address__in: list[str] | None = None
    address__contains: str | None = None
    span__lt: datetime.timedelta | None = None
    hour__gte: datetime.time | None = None
    exact: decimal.Decimal | None = None
    real: float | None = None
    whole__in: list[int] | None = None
    uuid: str | None = None
    status: Plain | None = None
    states: Annotated[list[Plain] | None, Lookup("status")] = None
    small: Number | None = None
    choice: Annotated[Status | None, Lookup("status")] = None
    q: Annotated[str | None, Search("char", "text")] = None


BROKEN = [
    "day__year=0", "day__year=10000", "day__year=-1", "moment__year__gte=99999999999", "char__regex=(", "char__regex=[",
    "char__iregex=*a", "address=x", "address=10.0.0.0/8", "address=999.0.0.1", "address__in=10.0.0.1&address__in=x",
    "hour__gte=12:00:00%2B01:00", "hour__gte=12:00:00Z", "exact=1e999999", "uuid=x", "whole__in=99999999999999999999",
    "q=%00", "address__contains=%00",
]  # fmt: skip


@pytest.mark.parametrize("options", [{}, {"pagination": LimitOffset()}, {"chunked": True}])
def test_what_cannot_be_compared_with_is_422_at_its_place(serve, options):
    client = serve(get("/rows", response=list[ColumnsOut], filters=Filter, **options)(Columns.objects.all))
    for query in BROKEN:
        answer = client.get(f"/rows?{query}&small=1")
        assert answer.status_code == 422, query
        assert [error["loc"] for error in answer.json()["errors"]] == [["query", query.partition("=")[0]]], query
    answer = client.get("/rows?day__year=0&char__regex=(&whole__in=1&address=x")
    assert {error["loc"][1] for error in answer.json()["errors"]} >= {"char__regex", "address"}
    for query in ("char__regex=^a$", "address=10.0.0.1", "hour__gte=00:00:00", "exact=1.5", "day__year=2024"):
        body = client.get(f"/rows?{query}").json()
        assert len(body if isinstance(body, list) else body["items"]) == 1, query
    longest = f"{datetime.timedelta.max.days}"
    assert client.get(f"/rows?span__lt=P{longest}D").status_code in (200, 422), "SQLite has no room for that"


@pytest.mark.skipif(connection.vendor != "sqlite", reason="Others have no such limit.")
def test_more_values_than_the_database_takes():
    filters = FilterSet(Filter, Columns)
    limit = sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER
    before = connection.connection.setlimit(limit, 100)
    try:
        halves = Filter(whole__in=list(range(80)), address__in=[f"10.0.0.{number}" for number in range(60)])
        for values in (Filter(whole__in=list(range(200)), small=Number.ONE), halves):
            with pytest.raises(RequestValidationError) as caught:
                filters.use(Columns.objects.all(), values, ColumnsOut.fetch)
            assert [entry["loc"] for entry in caught.value.errors] == [["query", "whole__in"]]
    finally:
        connection.connection.setlimit(limit, before)


def test_members_of_enums_are_compared_by_their_values(serve):
    client = serve(get("/rows", response=list[ColumnsOut], filters=Filter)(Columns.objects.all))
    first = [{"id": Columns.objects.get(whole=1).pk}]
    for query in ("status=sold", "states=sold&states=lost", "small=1", "choice=sold"):
        assert client.get(f"/rows?{query}").json() == first, query
    for query in ("status=lost", "states=lost", "small=2", "choice=planned"):
        assert client.get(f"/rows?{query}").json() == [], query


def test_a_transaction_outlives_a_broken_pattern():
    filters = FilterSet(Filter, Columns)
    with transaction.atomic():
        for values in (Filter(char__regex="("), Filter(day__year=0)):
            with pytest.raises(RequestValidationError):
                filters.use(Columns.objects.all(), values, ColumnsOut.fetch)
        assert Columns.objects.count() == 2


def test_what_is_no_fault_of_a_filter_stays_what_it_is():
    filters = FilterSet(Filter, Columns)

    def fail(queryset: Any) -> Any:
        raise error

    for error in (DatabaseError("no"), OperationalError("away"), ValueError("ours"), AttributeError("ours")):
        with pytest.raises(type(error), match=str(error)):
            filters.use(Columns.objects.all(), Filter(whole__in=[1]), fail)


@pytest.mark.parametrize(
    ("kind", "path", "words"),
    [
        (int | None, "whole__isnull", "its type is bool"),
        (str | None, "char__in", r"its type is list\[...\]"),
        (int | None, "whole__range", r"its type is list\[...\]"),
        (int | None, "char__regex", "its type is str"),
    ],
)
def test_a_type_that_never_fits_is_told_at_the_start(kind, path, words):
    struct = msgspec.defstruct("Wrong", [("value", Annotated[kind, Lookup(path)], None)])
    with pytest.raises(ConfigurationError, match=f"Wrong.value .*{words}"):
        Gateway([get("/rows", response=list[ColumnsOut], filters=struct)(Columns.objects.all)])
