"""What only PostgreSQL has: arrays, ranges, and prepared queries of them."""

import datetime

import pytest
from django.db import connection, models

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm import ModelStruct, Range, prepare

if connection.vendor != "postgresql":
    pytest.skip("Arrays and ranges need PostgreSQL: TEST_DATABASE=postgresql.", allow_module_level=True)

from django.contrib.postgres.fields import ArrayField, DateRangeField, IntegerRangeField

pytestmark = pytest.mark.django_db(transaction=True)


class Shift(models.Model):
    tags = ArrayField(models.CharField(max_length=10))
    hours = IntegerRangeField()
    days = DateRangeField(null=True)

    class Meta:
        app_label = "library"


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
