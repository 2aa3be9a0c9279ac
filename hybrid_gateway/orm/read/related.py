"""The rows of lists, by the keys of their owners: a prepared query for each list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models.constants import LOOKUP_SEP

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.model_struct import shape_of
from hybrid_gateway.orm.query_cache.prepared import Prepared
from hybrid_gateway.orm.read.fetch import fetch_with, select, with_values
from hybrid_gateway.orm.read.read_plan import RelatedList

__all__ = ["linked"]


def linked(many: RelatedList, keys: list[Any], using: str) -> list[tuple[Any, tuple[Any, ...]]]:
    """Each Struct on the other side of ``keys``, with its key."""
    if many.extra is None:  # a generic relation has a content type, whose number is the database's
        if using not in many.prepared:
            many.prepared[using] = _prepare(many, using)
        if many.prepared[using] is not None:
            found: list[tuple[Any, tuple[Any, ...]]] = many.prepared[using].fetch(keys=keys)
            return found
    return fetch_with(many.struct, _owned(many, keys, using), [many.link])


def _owned(many: RelatedList, keys: Any, using: str) -> Any:
    return many.rows(using).filter(**{f"{many.link}{LOOKUP_SEP}in": keys})


def _prepare(many: RelatedList, using: str) -> _Linked | None:
    try:
        return _Linked(many, lambda keys: _owned(many, keys, using))
    except ConfigurationError:  # a default manager may do what cannot be prepared
        return None


class _Linked(Prepared[Any]):
    """A prepared query whose rows come with their keys."""

    def __init__(self, many: RelatedList, build: Callable[..., Any]) -> None:
        self._many = many
        super().__init__(many.struct, build)

    def _select(self, queryset: Any) -> Any:
        shape = shape_of(self._struct)
        return select(shape, queryset, more=[] if self._many.link in shape.paths else [self._many.link])

    def _fetch(self, queryset: Any) -> list[Any]:
        return fetch_with(self._struct, queryset, [self._many.link])

    def _read_rows(self, compiler: Any) -> Callable[[list[Any]], list[Any]]:
        return with_values(shape_of(self._struct), compiler, [self._many.link])
