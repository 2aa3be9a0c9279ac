"""A library: columns of every type, relations of every kind, inheritance."""

import uuid

from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.core.validators import MinValueValidator
from django.db import models


class Publisher(models.Model):
    name = models.CharField(max_length=50, unique=True)
    country = models.CharField(max_length=2, null=True)

    class Meta:
        ordering = ["name"]


class Author(models.Model):
    name = models.CharField(max_length=50)
    born = models.DateField(null=True)
    mentor = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="pupils")


class Biography(models.Model):
    author = models.OneToOneField(Author, models.CASCADE)
    text = models.TextField()


class Status(models.TextChoices):
    PLANNED = "planned"
    SOLD = "sold"


class CommaField(models.Field):
    """A list of words as text: a field that nobody but its owner knows."""

    def db_type(self, connection):
        return "varchar(200)"

    def from_db_value(self, value, expression, connection):
        return None if value is None else value.split(",") if value else []

    def get_prep_value(self, value):
        return ",".join(value) if isinstance(value, list) else value

    def to_python(self, value):
        return value


class Note(models.Model):
    content_type = models.ForeignKey(ContentType, models.CASCADE)
    object_id = models.PositiveBigIntegerField()
    about = GenericForeignKey()
    text = models.CharField(max_length=50)


class TenantManager(models.Manager):
    """Shows what the tenant of the day may see."""

    tenant = "House"

    def get_queryset(self):
        return super().get_queryset().filter(publisher__name=self.tenant)


class Book(models.Model):
    title = models.CharField(max_length=80)
    isbn = models.CharField(max_length=13, unique=True)
    publisher = models.ForeignKey(Publisher, models.CASCADE, null=True, blank=True, related_name="books")
    authors = models.ManyToManyField(Author, related_name="books", blank=True)
    status = models.CharField(max_length=10, choices=Status, default=Status.PLANNED)
    pages = models.PositiveIntegerField(default=1, validators=[MinValueValidator(1)])
    price = models.DecimalField(max_digits=8, decimal_places=2, default=0)
    weight = models.FloatField(null=True, blank=True)
    is_rare = models.BooleanField(default=False)
    key = models.UUIDField(default=uuid.uuid4, editable=False)
    printed = models.DateTimeField(null=True, blank=True)
    day = models.DateField(null=True, blank=True)
    hour = models.TimeField(null=True, blank=True)
    lent_for = models.DurationField(null=True, blank=True)
    data = models.JSONField(default=dict, blank=True)
    words = CommaField(default=list, blank=True)
    cover = models.FileField(blank=True)
    checksum = models.BinaryField(default=b"", editable=True, blank=True)
    version = models.PositiveIntegerField(default=1, editable=False)
    double = models.GeneratedField(
        expression=models.F("pages") * 2, output_field=models.IntegerField(), db_persist=True
    )
    notes = GenericRelation(Note)

    objects = models.Manager()
    rented = TenantManager()

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(pages__lt=100_000), name="thin")]


class Novel(Book):
    hero = models.CharField(max_length=50)


class Classic(Book):
    class Meta:
        proxy = True


class Review(models.Model):
    book = models.ForeignKey(Book, models.CASCADE, related_name="reviews")
    stars = models.SmallIntegerField()
    text = models.CharField(max_length=200, blank=True)
    critic = models.ForeignKey(Author, models.SET_NULL, null=True, blank=True)


class LoanManager(models.Manager):
    """The default manager of its model, and one with a mind of its own."""

    least = 0

    def get_queryset(self):
        return super().get_queryset().filter(days__gte=self.least)


class Loan(models.Model):
    book = models.ForeignKey(Book, models.CASCADE, related_name="loans")
    days = models.IntegerField()

    objects = LoanManager()


class Copy(models.Model):
    """Without a ``related_name``."""

    book = models.ForeignKey(Book, models.CASCADE)
    code = models.CharField(max_length=5, primary_key=True)
