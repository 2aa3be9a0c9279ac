"""A model with a column of every class that its database has; its table is made by the tests that use it."""

from __future__ import annotations

import datetime
import decimal
import uuid
from typing import Any

from django.db import connection, models

from hybrid_gateway.orm import ModelStruct
from tests.library.models import CommaField, Status

EXTRA: dict[str, Any] = {}
FILLED: dict[str, Any] = {}
if connection.vendor == "postgresql":
    from django.contrib.postgres import fields as postgres

    EXTRA = {
        "tags": postgres.ArrayField(models.CharField(max_length=10), null=True),
        "numbers": postgres.ArrayField(models.IntegerField(), null=True),
        "moments": postgres.ArrayField(models.DateTimeField(), null=True),
        "hours": postgres.IntegerRangeField(null=True),
        "long_hours": postgres.BigIntegerRangeField(null=True),
        "prices": postgres.DecimalRangeField(null=True),
        "days": postgres.DateRangeField(null=True),
        "spans": postgres.DateTimeRangeField(null=True),
    }
    FILLED = {
        "tags": ["a"],
        "numbers": [1],
        "moments": [datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)],
        "hours": (1, 5),
        "long_hours": (1, 5),
        "prices": (decimal.Decimal(1), decimal.Decimal(2)),
        "days": (datetime.date(2024, 1, 1), None),
        "spans": (datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC), None),
    }


class Columns(models.Model):
    char = models.CharField(max_length=20, null=True)
    text = models.TextField(null=True)
    slug = models.SlugField(null=True)
    email = models.EmailField(null=True)
    url = models.URLField(null=True)
    status = models.CharField(max_length=10, choices=Status, null=True)
    whole = models.IntegerField(null=True)
    big = models.BigIntegerField(null=True)
    small = models.SmallIntegerField(null=True)
    positive = models.PositiveIntegerField(null=True)
    flag = models.BooleanField(null=True)
    real = models.FloatField(null=True)
    exact = models.DecimalField(max_digits=8, decimal_places=2, null=True)
    day = models.DateField(null=True)
    moment = models.DateTimeField(null=True)
    hour = models.TimeField(null=True)
    span = models.DurationField(null=True)
    uuid = models.UUIDField(null=True)
    address = models.GenericIPAddressField(null=True)
    address4 = models.GenericIPAddressField(null=True, protocol="IPv4")
    data = models.JSONField(null=True)
    raw = models.BinaryField(null=True)
    file = models.FileField(null=True)
    words = CommaField(null=True)
    parent = models.ForeignKey("self", models.CASCADE, null=True)
    locals().update(EXTRA)

    class Meta:
        app_label = "library"


class ColumnsOut(ModelStruct, model=Columns):
    id: int


def fill() -> None:
    """A row with something in every column, and one with nothing."""
    moment = datetime.datetime(2024, 3, 31, 1, 30, tzinfo=datetime.UTC)
    first = Columns.objects.create(
        char="a", text="a", slug="a", email="a@example.org", url="http://example.org", status="sold", whole=1, big=1,
        small=1, positive=1, flag=True, real=1.5, exact=decimal.Decimal("1.50"), day=moment.date(), moment=moment,
        hour=moment.time(), span=datetime.timedelta(hours=1), uuid=uuid.UUID(int=1), address="10.0.0.1",
        address4="10.0.0.1", data={"a": 1}, raw=b"a", file="a", words=["a"], **FILLED,
    )  # fmt: skip
    Columns.objects.create(parent=first)
