"""Texts that columns of text are compared with: bound as they are, without making a lookup each time.

How this works: what Django makes of the first text is stored, where that is one parameter, and the text itself. Any
other text comes to the same; the empty one is not looked at, for some databases take it for ``NULL``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from django.db import models

from hybrid_gateway._compat.django_query_internals import AnyLookup

_COLUMNS = frozenset({models.CharField, models.TextField, models.SlugField, models.EmailField, models.URLField})


class PlainTexts(msgspec.Struct, eq=False):
    """The text on the right side of one lookup, and what becomes of it."""

    sql: str | None = None

    @classmethod
    def of(cls, lookup: AnyLookup) -> PlainTexts | None:
        """Return it for a lookup whose left side is a column; ``None`` where that compares with no text."""
        field: Any = lookup.lhs.output_field
        is_djangos = type(lookup).__module__.startswith("django.db.models.")
        return cls() if type(field) in _COLUMNS and lookup.lookup_name == "exact" and is_djangos else None

    def bind(self, value: object) -> tuple[str, Sequence[object]] | None:
        """Return the SQL and the parameter of a text; ``None`` for Django to make them."""
        return (self.sql, (value,)) if type(value) is str and value and self.sql is not None else None

    def learn(self, value: object, bound: tuple[str, Sequence[object]]) -> None:
        """Store what Django has made of ``value``."""
        text, parameters = bound
        if type(value) is str and value and [*map(type, parameters)] == [str] and parameters[0] == value:
            self.sql = text
