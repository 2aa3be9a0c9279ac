"""Rows to list."""

from __future__ import annotations

from django.db import models


class Brand(models.Model):
    """One side of a foreign key."""

    name = models.CharField(max_length=50)

    def __str__(self) -> str:
        return self.name


class Label(models.Model):
    """One side of a many-to-many relation."""

    name = models.CharField(max_length=50)

    def __str__(self) -> str:
        return self.name


class Gadget(models.Model):
    """A row with relations."""

    name = models.CharField(max_length=100)
    brand = models.ForeignKey(Brand, on_delete=models.CASCADE)
    labels = models.ManyToManyField(Label)

    def __str__(self) -> str:
        return self.name


class Sale(models.Model):
    """What is added to, so that the other lists stay as they are."""

    name = models.CharField(max_length=100)
    price = models.IntegerField()

    def __str__(self) -> str:
        return self.name


class Article(models.Model):
    """Five plain columns."""

    name = models.CharField(max_length=100)
    price = models.IntegerField()
    stock = models.IntegerField()
    is_active = models.BooleanField(default=True)

    def __str__(self) -> str:
        return self.name
