"""What becomes of the rows of a prepared query that are no Structs: tuples, dicts, values, instances, one number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models.query import FlatValuesListIterable, ModelIterable, ValuesIterable, ValuesListIterable

from hybrid_gateway.exceptions import ConfigurationError

__all__ = ["QuerysetRows", "read_count", "read_exists"]


def read_exists(compiler: Any) -> Callable[[list[Any]], bool]:
    return bool


def read_count(compiler: Any) -> Callable[[list[Any]], int]:
    return lambda rows: int(rows[0][0])


def _tuples(compiler: Any, queryset: Any) -> Callable[[list[Any]], list[Any]]:
    columns = [column for column, *_ in compiler.select]
    converters, width = compiler.get_converters(columns), len(columns)

    def read(rows: list[Any]) -> list[Any]:
        found = compiler.apply_converters(rows, converters) if converters else rows
        return [tuple(row[:width]) for row in found]

    return read


def _dicts(compiler: Any, queryset: Any) -> Callable[[list[Any]], list[Any]]:
    query, read = compiler.query, _tuples(compiler, queryset)
    # DJANGO: ValuesIterable (db/models/query.py)
    names = list(query.selected or (*query.extra_select, *query.values_select, *query.annotation_select))
    return lambda rows: [dict(zip(names, row, strict=False)) for row in read(rows)]


def _singles(compiler: Any, queryset: Any) -> Callable[[list[Any]], list[Any]]:
    read = _tuples(compiler, queryset)
    return lambda rows: [row[0] for row in read(rows)]


def _instances(compiler: Any, queryset: Any) -> Callable[[list[Any]], list[Any]]:
    if compiler.annotation_col_map or queryset._known_related_objects:
        raise ConfigurationError("Instances with annotations cannot be prepared; use values() or a ModelStruct.")
    read, using = _tuples(compiler, queryset), compiler.connection.alias
    instances = _Instances(compiler.klass_info, compiler.select, using)
    return lambda rows: [instances.make(row) for row in read(rows)]


class _Instances:
    """Instances of rows, with what ``select_related`` joined. DJANGO: ModelIterable and RelatedPopulator."""

    def __init__(self, info: Any, select: Any, using: str) -> None:
        self._model = info["model"]
        self._using = using
        self._places = list(info["select_fields"])
        self._names = [select[place][0].target.attname for place in self._places]
        self._key = next(
            (
                place
                for place, name in zip(self._places, self._names, strict=True)
                if name == self._model._meta.pk.attname
            ),
            None,
        )
        self._related = [
            (_Instances(entry, select, using), entry["local_setter"], entry["remote_setter"])
            for entry in info.get("related_klass_infos", ())
        ]

    def make(self, row: Any) -> Any:
        if self._key is not None and row[self._key] is None:
            return None
        instance = self._model.from_db(self._using, self._names, [row[place] for place in self._places])
        for related, set_here, set_there in self._related:
            other = related.make(row)
            set_here(instance, other)
            if other is not None:
                set_there(other, instance)
        return instance


_READERS: dict[Any, Any] = {
    ModelIterable: _instances,
    ValuesIterable: _dicts,
    ValuesListIterable: _tuples,
    FlatValuesListIterable: _singles,
}


class QuerysetRows:
    """How a prepared query reads rows that are no Structs: as its queryset has them."""

    def select(self, queryset: Any, where: str) -> Any:
        kind = queryset._iterable_class
        if kind not in _READERS:
            raise ConfigurationError(f"{where}: rows of {kind.__name__} cannot be prepared.")
        return queryset.query.chain()

    def fetch(self, queryset: Any) -> list[Any]:
        return list(queryset)

    def reader(self, compiler: Any, queryset: Any) -> Callable[[list[Any]], list[Any]]:
        return _READERS[queryset._iterable_class](compiler, queryset)  # type: ignore[no-any-return]
