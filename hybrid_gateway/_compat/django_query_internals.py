"""Undocumented names of Django's querysets, queries, compilers and lookups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from inspect import getattr_static
from typing import Any, TypeAlias, TypeVar, cast

from django.db.models import Count, Model, QuerySet
from django.db.models.base import ModelState
from django.db.models.expressions import Col, Expression, ExpressionList, Value
from django.db.models.fields.related_descriptors import ForeignKeyDeferredAttribute
from django.db.models.fields.related_lookups import RelatedIn, RelatedLookupMixin
from django.db.models.lookups import BuiltinLookup, Exact, In, Lookup
from django.db.models.query import FlatValuesListIterable, ModelIterable, ValuesIterable, ValuesListIterable
from django.db.models.query_utils import DeferredAttribute
from django.db.models.signals import post_init, pre_init
from django.db.models.sql import Query
from django.db.models.sql.compiler import SQLCompiler
from django.db.models.sql.where import WhereNode

M = TypeVar("M", bound=Model)
AnyLookup: TypeAlias = "Lookup[Any]"
Limits: TypeAlias = tuple[int, int | None]
"""Where a slice begins and ends."""
Row: TypeAlias = Sequence[object]

INSTANCES, DICTS, TUPLES, SINGLES = ModelIterable, ValuesIterable, ValuesListIterable, FlatValuesListIterable
"""What ``row_kind`` may be: of a queryset of instances, ``values()``, ``values_list()``, ``values_list(flat=True)``."""


# --- querysets -----------------------------------------------------------------------------------------------------


def row_kind(queryset: QuerySet[Model]) -> type:
    """Return the class that makes what a queryset yields of its rows."""
    return cast("type", queryset._iterable_class)


def unread_instances(queryset: QuerySet[M]) -> QuerySet[M] | None:
    """Return a queryset of instances without the rows that it has read; ``None`` for ``values()`` and their like."""
    known: Any = queryset
    if known._fields is not None or not issubclass(known._iterable_class, ModelIterable):
        return None
    return queryset if known._result_cache is None else queryset.all()


def visited_instances(queryset: QuerySet[M], visit: Callable[[M], object]) -> QuerySet[M]:
    """Return the queryset, and ``visit`` is called of each instance as it is made, of its clones and slices as well."""

    def instances(rows: ModelIterable[M]) -> Iterator[M]:
        for instance in ModelIterable.__iter__(rows):
            visit(instance)
            yield instance

    visited: Any = queryset.all()
    visited._iterable_class = type("VisitedIterable", (ModelIterable,), {"__iter__": instances})
    return cast("QuerySet[M]", visited)


def has_prefetches(queryset: QuerySet[Model]) -> bool:
    """Tell whether ``prefetch_related`` asks for more queries than one."""
    return bool(getattr(queryset, "_prefetch_related_lookups"))  # noqa: B009 (unknown to the stubs, as the next one)


def has_known_relations(queryset: QuerySet[Model]) -> bool:
    """Tell whether the queryset sets relations of its instances to objects that it has, such as ``author.books``."""
    return bool(getattr(queryset, "_known_related_objects"))  # noqa: B009


# --- queries -------------------------------------------------------------------------------------------------------


def limits_of(query: Query) -> Limits:
    """Return where a query is sliced: ``(0, None)`` where it is not."""
    return query.low_mark, query.high_mark


def slice_of(query: Query) -> Limits | None:
    """Return where a query is sliced, ``None`` where it is not."""
    low, high = query.low_mark, query.high_mark
    return (low, high) if low or high is not None else None


def set_limits(query: Query, limits: Limits) -> None:
    """Slice a query, whatever its slice was."""
    query.low_mark, query.high_mark = limits


def select_columns(query: Query, columns: Any) -> None:
    """Make a query select columns of its own table and nothing else: what ``values()`` does, without its look-ups."""
    query.select_related = False
    query.clear_deferred_loading()
    query.clear_select_fields()
    query.get_initial_alias()
    query.set_select(columns)


def own_columns(model: type[Model], names: Sequence[str]) -> tuple[Col, ...] | None:
    """Return the columns of these names for :func:`select_columns`; ``None`` if one is not of the model's own table."""
    meta: Any = model._meta
    fields = [meta._forward_fields_map.get(name) for name in names]
    if any(field is None or field.model._meta.concrete_model is not meta.concrete_model for field in fields):
        return None
    # Not the field's own, which of a foreign key is without what the key's field makes of values.
    return tuple(field.get_col(meta.db_table) for field in fields)


def select_paths(query: Query, paths: Sequence[str]) -> None:
    """Make a query select columns, annotations and what is at the end of paths, in this order."""
    query.set_values(paths)


def count_query(query: Query) -> Query:
    """Return the query that counts the rows of another, which has neither slices, nor groups, nor annotations."""
    counted = query.chain()
    counted.clear_ordering(force=True)
    counted.select_related = False
    counted.clear_deferred_loading()
    counted.clear_select_clause()
    counted.add_annotation(Count("*"), "__count", select=True)
    return counted


def conditions_of_joins(query: Query) -> Iterator[WhereNode]:
    """Yield the conditions of its ``FilteredRelation`` joins."""
    for join in query.alias_map.values():
        relation = getattr(join, "filtered_relation", None)
        if (condition := getattr(relation, "resolved_condition", None)) is not None:
            yield condition


# DJANGO: what a Query (db/models/sql/query.py) may have of its own; everything else is the class's.
_KNOWN = frozenset(
    (
        *("model", "alias_refcount", "alias_map", "table_map", "used_aliases", "where", "filter_is_sticky"),
        *("_lookup_joins", "order_by", "high_mark", "low_mark", "base_table", "standard_ordering", "default_ordering"),
        *("select_related", "deferred_loading"),  # whatever selects columns of its own undoes them
        # Those that simple_query_key() asks for.
        *("annotations", "extra", "external_aliases", "_filtered_relations", "alias_cols", "extra_order_by"),
        *("_annotation_select_cache", "select", "values_select", "selected", "default_cols"),
    )
)


def simple_query_key(query: Query, lookups: list[AnyLookup], *, is_one: bool) -> tuple[object, ...] | None:
    """Return what tells the SQL of a simple query from that of another, ``None`` for one that is not simple.

    Simple is a query of one table with plain conditions on its columns, an order by name and a slice, which has not
    said what it selects. Its lookups, in which the values are, are added to ``lookups``. ``is_one`` asks for the key
    that it would have without an order and with a limit.
    """
    known: Any = query
    if type(query) is not Query or not _KNOWN.issuperset(known.__dict__):
        return None
    if known.annotations or known.extra or known.external_aliases or known._filtered_relations or known.extra_order_by:
        return None
    if (
        known.select
        or known.values_select
        or known.selected is not None
        or not (known.default_cols and known.alias_cols)
    ):
        return None
    table, tables = known.model._meta.db_table, known.alias_refcount
    if tables and (sum(map(bool, tables.values())) > 1 or not tables.get(table)):
        return None  # of a filter by a key alone, the other table is there, and used by nobody
    ordering: tuple[object, ...] = (), known.standard_ordering, False
    if not is_one:
        order = tuple(known.order_by)  # others put lists there
        for entry in order:
            if type(entry) is not str or entry == "?":
                return None
        ordering = (order, known.standard_ordering, known.default_ordering)
    where = _condition_key(known.where, table, lookups)
    if where is None:
        return None
    return known.model, where, ordering, known.low_mark > 0, not is_one and known.high_mark is None


def _condition_key(node: WhereNode, table: str, lookups: list[AnyLookup]) -> tuple[object, ...] | None:
    key: list[object] = [node.connector, node.negated]
    for child in node.children:
        if isinstance(child, Lookup):
            left = child.lhs
            if type(left) is not Col or left.alias != table or hasattr(child.rhs, "resolve_expression"):
                return None
            if hasattr(child.rhs, "as_sql") or child.bilateral_transforms:
                return None
            key.append((type(child), left.target, left.output_field))
            lookups.append(child)
        elif type(child) is WhereNode:
            inner = _condition_key(child, table, lookups)
            if inner is None:
                return None
            key.append(inner)
        else:
            return None
    return tuple(key)


def copy_with_conditions(query: Query, replace: Callable[[AnyLookup], AnyLookup]) -> Query:
    """Return a copy of a simple query with other lookups in its conditions, each made of one of its own, in order."""
    copied = query.clone()
    copied.where = _copy_conditions(query.where, replace)
    return copied


def _copy_conditions(node: WhereNode, replace: Callable[[AnyLookup], AnyLookup]) -> WhereNode:
    copied = node.create(connector=node.connector, negated=node.negated)
    before: list[Any] = node.children
    after: list[Any] = copied.children
    after += [replace(child) if isinstance(child, Lookup) else _copy_conditions(child, replace) for child in before]
    return copied


# --- lookups -------------------------------------------------------------------------------------------------------


def has_transformed_sides(lookup: AnyLookup) -> bool:
    """Tell whether the right side of a lookup is transformed as its left side is."""
    return bool(lookup.bilateral_transforms)


def given_values(right: object) -> object:
    """Return the right side of a lookup as ``filter()`` was given it: from Django 6.1 on, lists become expressions."""
    if not isinstance(right, ExpressionList):
        return right
    return [entry.value if type(entry) is Value else entry for entry in right.get_source_expressions()]


def has_one_sided_sql(lookup: AnyLookup) -> bool:
    """Tell whether the SQL of a lookup is a column, an operator, and what ``process_rhs()`` makes of the value."""
    of_one_column = (BuiltinLookup.as_sql, Exact.as_sql, RelatedLookupMixin.as_sql, In.as_sql, RelatedIn.as_sql)
    is_djangos = type(lookup).as_sql in of_one_column
    return is_djangos and type(lookup.lhs) is Col and not isinstance(lookup.rhs, bool)


# --- rows ----------------------------------------------------------------------------------------------------------

Converters: TypeAlias = "dict[int, tuple[list[Callable[..., Any]], Expression]]"
"""By the position of a column: the functions that the backend and the field put to its values, and the expression."""


def converters_of(compiler: SQLCompiler, positions: Iterable[int]) -> Converters:
    """Return the converters of the columns at ``positions`` of a compiled query, numbered from 0."""
    select = compiler.select
    return compiler.get_converters([select[position][0] for position in positions])


def column_count(compiler: SQLCompiler) -> int | None:
    """Return how many values a row of a compiled query has; ``None`` where more may stand behind those it selects."""
    return None if compiler.has_extra_select or compiler.query.combinator else len(compiler.select)


def convert_rows(compiler: SQLCompiler, rows: Iterable[Row], converters: Converters) -> Iterable[Row]:
    """Return rows with converted values; no converters, the same rows."""
    return compiler.apply_converters(rows, converters) if converters else rows


def names_of_values(compiler: SQLCompiler) -> list[str]:
    """Return the names of the columns of ``values()``."""
    query = compiler.query  # DJANGO: ValuesIterable (db/models/query.py)
    return list(query.selected or (*query.extra_select, *query.values_select, *query.annotation_select))


def typed_rows(compiler: SQLCompiler, rows: list[Row]) -> Iterator[Row]:
    """Yield the rows of a compiled query, as a driver gives them, with the values that Django makes of them."""
    if compiler.has_extra_select:  # for an order: it stands behind the values. DJANGO: cursor_iter
        rows = [row[: compiler.col_count] for row in rows]
    yield from compiler.results_iter([rows])


_PLAIN_ATTRIBUTES = {DeferredAttribute, ForeignKeyDeferredAttribute}


class InstanceReader:
    """Makes instances of rows, with what ``select_related`` joined. DJANGO: ModelIterable and RelatedPopulator."""

    def __init__(self, info: Mapping[str, Any], select: Sequence[tuple[Col, object, object]], using: str) -> None:
        self._model: type[Model] = info["model"]
        self._using = using
        self._positions: list[int] = list(info["select_fields"])
        self._names = [select[position][0].target.attname for position in self._positions]
        key = self._model._meta.pk.attname
        self._key = self._positions[self._names.index(key)] if key in self._names else None
        known: Any = self._model
        # Whether from_db() does nothing but put all columns into an instance, and tell receivers of signals.
        self._is_usual = (
            self._names == [field.attname for field in known._meta.concrete_fields]
            and known.from_db.__func__ is vars(Model)["from_db"].__func__
            and (known.__new__, known.__init__) == (object.__new__, Model.__init__)
            and known.__setattr__ is object.__setattr__
            and {type(getattr_static(known, name)) for name in self._names} <= _PLAIN_ATTRIBUTES
        )
        begin, end = self._positions[0], self._positions[-1] + 1
        self._slice = slice(begin, end) if self._positions == [*range(begin, end)] else None
        self._related = [
            (InstanceReader(entry, select, using), entry["local_setter"], entry["remote_setter"])
            for entry in info.get("related_klass_infos", ())
        ]

    @classmethod
    def of(cls, compiler: SQLCompiler) -> InstanceReader | None:
        """Return the reader of a compiled query; ``None`` for one with annotations."""
        if compiler.annotation_col_map:
            return None
        return cls(compiler.klass_info, compiler.select, compiler.connection.alias)

    def read(self, row: Row) -> Model | None:
        """Return the instance of a row, whose values are converted; ``None`` where an outer join found nothing."""
        if self._key is not None and row[self._key] is None:
            return None
        values = row[self._slice] if self._slice is not None else [row[position] for position in self._positions]
        if self._is_usual and not (pre_init.receivers or post_init.receivers):
            # PERF: what from_db() comes to; a third of its instructions. DJANGO: Model.from_db, Model.__init__
            instance = self._model.__new__(self._model)
            attributes: Any = instance.__dict__
            attributes["_state"] = state = ModelState()
            attributes.update(zip(self._names, values, strict=True))
            state.adding, state.db = False, self._using
        else:
            instance = self._model.from_db(self._using, self._names, values)
        for reader, set_here, set_there in self._related:
            related = reader.read(row)
            set_here(instance, related)
            if related is not None:
                set_there(related, instance)
        return instance
