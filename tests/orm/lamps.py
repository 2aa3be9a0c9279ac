"""Models with keys, orders and relations of every kind; their tables are made by the fixture ``lamps``."""

from __future__ import annotations

import uuid

import pytest
from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import connection, models


class Maker(models.Model):
    name = models.CharField(max_length=20)
    rank = models.IntegerField(null=True)

    class Meta:
        app_label = "library"
        ordering = ["-rank", "name"]


class Tag(models.Model):
    word = models.CharField(max_length=20)

    class Meta:
        app_label = "library"


class Lamp(models.Model):
    name = models.CharField(max_length=40)
    note = models.CharField(max_length=40, null=True)
    price = models.DecimalField(max_digits=8, decimal_places=3, null=True)
    weight = models.FloatField(null=True)
    lit = models.DateTimeField(null=True)
    span = models.DurationField(null=True)
    serial = models.UUIDField(default=uuid.uuid4)
    maker = models.ForeignKey(Maker, models.SET_NULL, null=True, related_name="lamps")
    tags = models.ManyToManyField(Tag, related_name="lamps")
    labels = GenericRelation("library.Label")

    class Meta:
        app_label = "library"


class Plug(models.Model):
    """The other side of a one-to-one relation."""

    lamp = models.OneToOneField(Lamp, models.CASCADE, null=True, related_name="plug")
    watts = models.IntegerField()

    class Meta:
        app_label = "library"


class Fuse(models.Model):
    """As :class:`Plug`, whose key is its lamp."""

    lamp = models.OneToOneField(Lamp, models.CASCADE, primary_key=True, related_name="fuse")
    watts = models.IntegerField()

    class Meta:
        app_label = "library"


class Bulb(models.Model):
    lamp = models.ForeignKey(Lamp, models.CASCADE, related_name="bulbs")
    watts = models.IntegerField()

    class Meta:
        app_label = "library"


class Shade(models.Model):
    lamp = models.ForeignKey(Lamp, models.CASCADE, null=True, related_name="shades")
    colour = models.CharField(max_length=10)

    class Meta:
        app_label = "library"


class Label(models.Model):
    """Of anything, by the text of its key."""

    content_type = models.ForeignKey(ContentType, models.CASCADE)
    object_id = models.CharField(max_length=40)
    thing = GenericForeignKey()
    text = models.CharField(max_length=20)

    class Meta:
        app_label = "library"


class Pair(models.Model):
    """A row with a composite key."""

    pk = models.CompositePrimaryKey("maker_id", "number")
    maker = models.ForeignKey(Maker, models.CASCADE, related_name="pairs")
    number = models.IntegerField()
    label = models.CharField(max_length=20)
    version = models.IntegerField(default=1, editable=False)

    class Meta:
        app_label = "library"


class Coded(models.Model):
    code = models.CharField(max_length=10, primary_key=True)
    name = models.CharField(max_length=20)
    labels = GenericRelation(Label)

    class Meta:
        app_label = "library"


class SubCoded(Coded):
    extra = models.CharField(max_length=20)

    class Meta:
        app_label = "library"


class Keyed(models.Model):
    key = models.UUIDField(primary_key=True, default=uuid.uuid4)
    name = models.CharField(max_length=20)
    labels = GenericRelation(Label)

    class Meta:
        app_label = "library"


class Spot(models.Model):
    """Unique together, some of it when the transaction ends."""

    x = models.IntegerField()
    y = models.IntegerField()
    place = models.IntegerField(null=True)

    class Meta:
        app_label = "library"
        constraints = [
            models.UniqueConstraint(fields=["x", "y"], name="spot_x_y"),
            models.UniqueConstraint(fields=["place"], name="spot_place", deferrable=models.Deferrable.DEFERRED),
        ]


MODELS = (Maker, Tag, Lamp, Plug, Fuse, Bulb, Shade, Label, Pair, Coded, SubCoded, Keyed, Spot)


@pytest.fixture(scope="module")
def lamps(django_db_setup, django_db_blocker):
    """The tables of these models, while the tests of a module run."""
    with django_db_blocker.unblock():
        with connection.schema_editor() as editor:
            for model in MODELS:
                editor.create_model(model)
        yield
        with connection.schema_editor() as editor:
            for model in reversed(MODELS):
                editor.delete_model(model)
