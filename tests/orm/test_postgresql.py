"""What only PostgreSQL has: arrays, ranges, and prepared queries of them."""

import datetime
import decimal

import msgspec
import pytest
from django.db import connection, models

from hybrid_gateway.exceptions import ConfigurationError, Conflict, RequestValidationError
from hybrid_gateway.orm import Cursor, LimitOffset, ModelStruct, Range, crud, prepare

if connection.vendor != "postgresql":
    pytest.skip("Arrays and ranges need PostgreSQL: TEST_DATABASE=postgresql.", allow_module_level=True)

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import (
    ArrayField,
    BigIntegerRangeField,
    DateRangeField,
    DateTimeRangeField,
    DecimalRangeField,
    IntegerRangeField,
)

pytestmark = pytest.mark.django_db(transaction=True)


class Shift(models.Model):
    tags = ArrayField(models.CharField(max_length=10))
    hours = IntegerRangeField()
    days = DateRangeField(null=True)
    far = BigIntegerRangeField(null=True)
    pay = DecimalRangeField(null=True)
    span = DateTimeRangeField(null=True)

    class Meta:
        app_label = "library"
        constraints = [ExclusionConstraint(name="shift_days", expressions=[("days", "&&")])]


class ShiftOut(ModelStruct, model=Shift):
    tags: list[str]
    hours: Range
    days: Range | None


@pytest.fixture(autouse=True)
def table():
    with connection.schema_editor() as editor:
        editor.create_model(Shift)
    yield
    with connection.schema_editor() as editor:
        editor.delete_model(Shift)


def test_arrays_and_ranges():
    day = datetime.date(2024, 1, 1)
    Shift.objects.create(tags=["a", "b"], hours=(8, 12), days=(day, None))
    Shift.objects.create(tags=[], hours=(5, 5))
    rows = ShiftOut.fetch(Shift.objects.order_by("pk"))
    assert rows == [
        ShiftOut(tags=["a", "b"], hours=Range(8, 12), days=Range(day, None)),
        ShiftOut(tags=[], hours=Range(empty=True), days=None),
    ]
    assert [ShiftOut.from_model(shift) for shift in Shift.objects.order_by("pk")] == rows


def test_prepared_queries_of_them():
    Shift.objects.create(tags=["a", "b"], hours=(8, 12))
    Shift.objects.create(tags=["b"], hours=(1, 3))
    tagged = prepare(ShiftOut, lambda tags: Shift.objects.filter(tags__contains=tags).order_by("pk"))
    assert [[len(tagged.fetch(tags=tags)) for tags in (["b"], ["a", "b"], ["c"])] for _ in range(2)] == [[2, 1, 0]] * 2
    with pytest.raises(ConfigurationError, match="its parameter hour where no lookup adapts it"):
        prepare(ShiftOut, lambda hour: Shift.objects.filter(hours__contains=hour)).fetch(hour=2)


MOST = datetime.date.max


@pytest.mark.django_db
@pytest.mark.parametrize("bounds", ["[)", "[]", "()", "(]"])
@pytest.mark.parametrize("ends", [(MOST, MOST), (datetime.date(2024, 1, 1), MOST), (MOST, None), (None, MOST)])
def test_a_range_of_days_ends_within_the_calendar(ends, bounds):
    """PostgreSQL makes one up to the day behind its last, which Python may not have."""

    class ShiftIn(ModelStruct, model=Shift):
        tags: list[str]
        hours: Range[int]
        days: Range[datetime.date] | None = None

    data = ShiftIn(tags=["a"], hours=Range(1, 2), days=Range(*ends, bounds))
    try:
        made = data.create()
    except RequestValidationError as error:
        assert [fault["loc"] for fault in error.errors] == [["body", "days"]]
        assert (ends[0] == MOST and bounds[0] == "(") or (ends[1] == MOST and bounds[1] == "]")
        assert not Shift.objects.exists()
    else:
        assert ShiftOut.fetch(Shift) == [ShiftOut.from_model(made)]
        assert Shift.objects.get()


@pytest.mark.django_db
def test_what_excludes_another_row_is_a_conflict():
    class ShiftIn(ModelStruct, model=Shift):
        tags: list[str]
        hours: Range[int]
        days: Range[datetime.date] | None

    days = Range(datetime.date(2024, 1, 1), datetime.date(2024, 1, 5))
    data = ShiftIn(tags=["a"], hours=Range(1, 2), days=days)
    data.create()
    with pytest.raises(Conflict) as caught:
        data.create()
    assert [fault["loc"] for fault in caught.value.extra["errors"]] == [["body"]]


MOMENT = datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("name", "held", "inside", "wrong"),
    [
        ("hours", (1, 5), "2", "99999999999"),
        ("far", (1, 5), "2", "9" * 30),
        ("pay", (1, 5), "2.50", "x"),
        ("days", (MOMENT.date(), None), "2024-02-01", "2024"),
        ("span", (MOMENT, None), "2024-02-01T00:00:00Z", "2024"),
    ],
)
def test_filters_by_what_a_range_holds(serve, name, held, inside, wrong):
    kinds = {"pay": decimal.Decimal, "days": datetime.date, "span": datetime.datetime}
    filters = msgspec.defstruct("F", [(f"{name}__contains", kinds.get(name, int) | None, None)])
    styles = {"s": None, "t": LimitOffset(), "u": Cursor()}
    routes = [
        crud(Shift, out=ShiftOut, path=f"/{key}", name=key, filters=filters, pagination=style)
        for key, style in styles.items()
    ]
    if name == "pay" and "None" in models.DecimalField().cast_db_type(connection):
        with pytest.raises(ConfigurationError, match="this version of Django"):
            serve(*routes)
        return
    client = serve(*routes)
    Shift.objects.create(**{"tags": ["a"], "hours": (8, 9), name: held})
    Shift.objects.create(tags=["b"], hours=(8, 9))
    for key in styles:
        answer = client.get(f"/{key}?{name}__contains={inside}").json()
        assert [row["tags"] for row in (answer if key == "s" else answer["items"])] == [["a"]]
        refused = client.get(f"/{key}?{name}__contains={wrong}")
        assert (refused.status_code, refused.json()["errors"][0]["loc"]) == (422, ["query", f"{name}__contains"])
