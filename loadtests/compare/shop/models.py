"""Rows to list."""

from __future__ import annotations

from django.db import models


class Article(models.Model):
    """Five plain columns."""

    name = models.CharField(max_length=100)
    price = models.IntegerField()
    stock = models.IntegerField()
    is_active = models.BooleanField(default=True)

    def __str__(self) -> str:
        return self.name
