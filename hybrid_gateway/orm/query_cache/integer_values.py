"""Whole numbers that columns of whole numbers are compared with: bound as they are, without making a lookup each time.

How this works: what Django makes of the first numbers is stored, by how many they are: the SQL, and the class that the
driver wants them to be of. Numbers that any such column may have come to the same, whatever they are; all other values
(zero and less, texts, members of an enum, a list with the same number twice) are Django's to adapt, each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from hybrid_gateway._compat.django_query_internals import AnyLookup

Bound = tuple[str, Sequence[object]]
"""The SQL and the parameters of one lookup, or of its right side."""

_COLUMNS = frozenset(
    {
        *(models.AutoField, models.BigAutoField, models.SmallAutoField),
        *(models.IntegerField, models.BigIntegerField, models.SmallIntegerField),
        *(models.PositiveIntegerField, models.PositiveBigIntegerField, models.PositiveSmallIntegerField),
    }
)
_MAX_COUNT = 256  # numbers in a list, and lengths that are stored


class IntegerValues(msgspec.Struct, eq=False):
    """The numbers on the right side of one lookup, and what becomes of them."""

    most: int
    texts: dict[int | None, tuple[str, type[int]]] = {}  # by how many they are; None: one that is no list

    @classmethod
    def of(cls, lookup: AnyLookup, connection: BaseDatabaseWrapper) -> IntegerValues | None:
        """Return it for a lookup whose left side is a column; ``None`` where values are not plain numbers."""
        field: Any = lookup.lhs.output_field
        while type(field) in (models.ForeignKey, models.OneToOneField):
            field = field.target_field
        is_djangos = type(lookup).__module__.startswith("django.db.models.")
        if type(field) not in _COLUMNS or lookup.lookup_name not in ("exact", "in") or not is_djangos:
            return None
        most = connection.ops.integer_field_range(field.get_internal_type())[1]
        return cls(2**63 - 1 if most is None else most)

    def bind(self, values: object) -> Bound | None:
        """Return the SQL and the parameters of known kinds of values; ``None`` for Django to make them."""
        if type(values) is int:
            known = self.texts.get(None)
            if known is None or not 0 < values <= self.most:
                return None
            text, kind = known
            return text, (values if kind is int else kind(values),)
        if type(values) is not list:
            return None
        known = self.texts.get(len(values))
        if known is None or not self._are_plain(values):
            return None
        text, kind = known
        return text, values if kind is int else [*map(kind, values)]

    def learn(self, values: object, bound: Bound) -> None:
        """Store what Django has made of ``values``."""
        text, parameters = bound
        given = [values] if type(values) is int else values
        if type(given) is not list or not 0 < len(given) <= _MAX_COUNT or not self._are_plain(given):
            return
        kinds = {*map(type, parameters)}
        kind: Any = kinds.pop()
        if not kinds and issubclass(kind, int) and list(parameters) == given:
            self.texts[len(given) if given is values else None] = text, kind

    def _are_plain(self, values: list[int]) -> bool:
        if {*map(type, values)} != {int} or len({*values}) != len(values):
            return False
        return min(values) > 0 and max(values) <= self.most
