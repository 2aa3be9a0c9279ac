"""QuerySet → Structs: exactly the columns of a shape are selected, and no model instance is built."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
from django.core.exceptions import EmptyResultSet, FieldDoesNotExist, ObjectDoesNotExist
from django.db import DEFAULT_DB_ALIAS, DataError, connections, models
from django.db.models.constants import LOOKUP_SEP
from django.db.models.fields.related import ForeignObjectRel
from django.db.models.query import ModelIterable, RawQuerySet

from hybrid_gateway.exceptions import ConfigurationError, NotFound
from hybrid_gateway.orm.columns.column_types import bare, converter
from hybrid_gateway.orm.columns.postgresql_dates import ask_again
from hybrid_gateway.orm.columns.stored_values import shower
from hybrid_gateway.orm.model_struct import columns_of, computed_of, is_model_struct, shape_of
from hybrid_gateway.orm.query_cache.automatic import find_variant
from hybrid_gateway.orm.querysets.lookup_paths import leads_to_many, narrowing, paths_in
from hybrid_gateway.orm.querysets.ordering import key_names
from hybrid_gateway.orm.read.read_plan import ReadPlan, RelatedList

__all__ = [
    "as_queryset",
    "execute",
    "fetch",
    "fetch_with",
    "fill",
    "from_model",
    "get",
    "hints_of",
    "is_queryable",
    "reading_of",
    "rows_reader",
    "select",
    "with_values",
]

Index = defaultdict[Any, list[list[Any]]]

_MAX_GET = 21  # DJANGO: models/query.py, MAX_GET_RESULTS


def as_queryset(source: Any) -> Any:
    """A queryset of instances; a manager or a model is all of its rows. Raises ``TypeError`` for what is none."""
    if isinstance(source, type) and issubclass(source, models.Model):
        source = source._default_manager
    if isinstance(source, models.Manager):
        source = source.all()
    if not isinstance(source, models.QuerySet):
        raise TypeError(f"A QuerySet, a manager or a model is read, not {source!r}.")
    queryset: Any = source
    if queryset._fields is not None or not issubclass(queryset._iterable_class, ModelIterable):
        raise TypeError("values() and values_list() have chosen columns already; leave that to the Struct.")
    return queryset if queryset._result_cache is None else queryset._chain()  # a slice of one with rows is a list


def is_queryable(value: Any) -> bool:
    """Whether it is a queryset, a manager or a model."""
    return isinstance(value, (models.QuerySet, models.Manager)) or (
        isinstance(value, type) and issubclass(value, models.Model)
    )


def fetch(struct: Any, source: Any) -> list[Any]:
    """The rows of ``source`` as Structs, with their lists."""
    if isinstance(source, RawQuerySet):  # its columns are what somebody wrote
        return [from_model(struct, instance) for instance in source]
    queryset = as_queryset(source)
    shape = shape_of(struct)
    check_model(shape, queryset.model)
    query, using = select(shape, queryset), queryset.db
    if query.select and query.select is shape.local_columns:
        connection = connections[using]
        known = find_variant(shape, query, connection, lambda compiler: rows_reader(shape, compiler))
        if known is not None:
            variant, limits, found = known
            structs: list[Any] = variant.run(connection, limits, found)
            return structs
    rows, compiler = execute(query, using)
    return rows_reader(shape, compiler)(rows) if rows else []


def rows_reader(shape: ReadPlan, compiler: Any) -> Callable[[list[Any]], list[Any]]:
    """What makes Structs of the rows of a compiler's query, on its connection."""
    make, using = reading_of(shape, compiler), compiler.connection.alias
    if shape.many:
        return lambda rows: fill(shape, make, rows, using)
    return lambda rows: [make(row) for row in rows]


def get(struct: Any, source: Any) -> Any:
    """The one row of ``source``."""
    queryset = as_queryset(source)
    query = queryset.query
    if not query.is_sliced and not query.combinator:
        queryset = (queryset if query.distinct_fields else queryset.order_by())[:_MAX_GET]
    found = fetch(struct, queryset)
    return the_one(found, queryset.model)


def the_one(found: Sequence[Any], model: Any) -> Any:
    """The one of ``found``."""
    if not found:
        raise NotFound
    if len(found) > 1:
        raise model.MultipleObjectsReturned(f"There is more than one {model._meta.object_name}.")
    return found[0]


def check_model(shape: ReadPlan, model: Any) -> None:
    """Raise :class:`ConfigurationError` where a queryset is of another model."""
    if not issubclass(model, shape.model) and model._meta.concrete_model is not shape.model._meta.concrete_model:
        raise ConfigurationError(f"{shape.struct.__qualname__} is of {shape.model.__name__}, not of {model.__name__}.")


# --- one query -----------------------------------------------------------------------------------------------------


def select(shape: ReadPlan, queryset: Any, *, more: Sequence[str] = ()) -> Any:
    """The query of ``queryset`` that selects the columns of ``shape``, and ``more`` paths behind them."""
    if shape.expressions:
        queryset = queryset.annotate(**shape.expressions)
    query = queryset.query.chain()
    missing = [name for name in shape.named if name not in query.annotations]
    if missing:
        raise ConfigurationError(
            f"{shape.struct.__qualname__} reads {', '.join(missing)}, which the queryset must annotate()."
        )
    local = shape.local_columns
    plain = local is not None and not more and query.group_by is None and query.combinator is None
    if plain and not (query.distinct or query.annotations or query.extra):
        # PERF: what set_values() below comes to, without looking up every field (some 30 µs for 8 of them).
        query.select_related = False
        query.clear_deferred_loading()
        query.clear_select_fields()
        query.get_initial_alias()
        query.set_select(local)
        return query
    paths = [*_selected(shape), *more]
    if (query.distinct and not query.distinct_fields) or query.combinator:
        # Rows are what is distinct, or what is in both, not what a Struct shows of them.
        paths += [name for name in key_names(queryset.model) if name not in paths]
    query.set_values(paths)
    return query


def execute(query: Any, using: str) -> tuple[list[Any], Any]:
    """The rows of a query as the driver gives them, and the compiler that knows how to read them."""
    compiler = query.get_compiler(using)
    try:
        sql, parameters = compiler.as_sql()
    except EmptyResultSet:
        return [], None
    with connections[using].cursor() as cursor:
        cursor.execute(sql, parameters)
        try:
            return cursor.fetchall(), compiler
        except DataError:
            return ask_again(cursor, sql, parameters), compiler


def fill(shape: ReadPlan, make: Callable[..., Any], rows: Sequence[Any], using: str) -> list[Any]:
    """Structs of rows, and one more query for each of their lists."""
    indexes: list[Index] = [defaultdict(list) for _ in shape.many]
    found = [make(row, *indexes) for row in rows]
    for many, index in zip(shape.many, indexes, strict=True):
        if index:
            _fill(many, index, using)
    return found


def _fill(many: RelatedList, index: Index, using: str) -> None:
    """Add the rows on the other side to the lists of their owners."""
    keys = list(index)
    limit = connections[using].features.max_query_params or len(keys)
    for start in range(0, len(keys), limit):
        for key, item in _linked(many, keys[start : start + limit], using):
            for found in index[key]:
                found.append(item)


def _linked(many: RelatedList, keys: list[Any], using: str) -> Iterator[tuple[Any, Any]]:
    """Each row on the other side of ``keys``, with its key."""
    if many.struct is not None:
        from hybrid_gateway.orm.read.related import linked

        for struct, (key,) in linked(many, keys, using):
            yield key if many.own is None else many.own(key), struct
        return
    queryset = many.rows(using).filter(**{f"{many.link}{LOOKUP_SEP}in": keys})
    paths, make = many.value or (("pk",), None)
    for key, *values in _values(queryset.values_list(many.link, *paths).query, using):
        key = key if many.own is None else many.own(key)
        yield key, values[0] if make is None else make(*values)


def _values(query: Any, using: str) -> Iterator[Sequence[Any]]:
    """The rows of a query with what Django makes of their values."""
    rows, compiler = execute(query, using)
    if rows and compiler.has_extra_select:  # for an order: it stands behind the values. DJANGO: cursor_iter
        rows = [row[: compiler.col_count] for row in rows]
    yield from compiler.results_iter([rows]) if rows else ()


def fetch_with(struct: Any, queryset: Any, paths: Sequence[str]) -> list[tuple[Any, tuple[Any, ...]]]:
    """The rows as Structs, each with the values of more columns."""
    shape = shape_of(struct)
    check_model(shape, queryset.model)
    more = _unselected(shape, paths)
    rows, compiler = execute(select(shape, queryset, more=more), queryset.db)
    return with_values(shape, compiler, paths)(rows) if rows else []


def with_values(
    shape: ReadPlan, compiler: Any, paths: Sequence[str]
) -> Callable[[list[Any]], list[tuple[Any, tuple[Any, ...]]]]:
    """What makes Structs of rows, each with the values of ``paths``, which are selected behind the Struct's own."""
    selected = [*_selected(shape), *_unselected(shape, paths)]
    places = [selected.index(path) for path in paths]
    converters = compiler.get_converters([compiler.select[place][0] for place in places])
    make = rows_reader(shape, compiler)

    def read(rows: list[Any]) -> list[tuple[Any, tuple[Any, ...]]]:
        values: Any = [[row[place] for place in places] for row in rows]
        if converters:
            values = compiler.apply_converters(values, converters)
        return [(made, tuple(entry)) for made, entry in zip(make(rows), values, strict=True)]

    return read


def _selected(shape: ReadPlan) -> list[str]:
    return [*shape.paths, *shape.named, *shape.expressions]


def _unselected(shape: ReadPlan, paths: Sequence[str]) -> list[str]:
    there = _selected(shape)
    return [path for path in paths if path not in there]


# --- what the backend does to values -------------------------------------------------------------------------------


def reading_of(shape: ReadPlan, compiler: Any) -> Callable[..., Any]:
    """What makes a Struct of a row of this compiler's query: made once per connection, unless annotations matter."""
    connection = compiler.connection
    if shape.named or shape.expressions:
        return shape.row_factory(_converters(compiler, shape.width), connection)
    known: dict[Any, Any] = connection.__dict__.setdefault("_hybrid_gateway_readings", {})
    make: Callable[..., Any] | None = known.get(shape)
    if make is None:
        make = known[shape] = shape.row_factory(_converters(compiler, shape.width), connection)
    return make


def _converters(compiler: Any, width: int) -> Any:
    return compiler.get_converters([column for column, *_ in compiler.select[:width]])


# --- one instance --------------------------------------------------------------------------------------------------


def from_model(struct: Any, instance: Any) -> Any:
    """The Struct of an instance that was loaded already."""
    shape = shape_of(struct)
    check_model(shape, type(instance))
    return _from_instance(struct, instance)


def _from_instance(struct: Any, instance: Any) -> Any:
    columns, made = columns_of(struct), computed_of(struct)
    values: dict[str, Any] = {}
    for field in struct.__struct_fields__:
        if field in made:
            places = [_value(instance, path.split(LOOKUP_SEP)) for path in made[field].columns]
            function: Any = made[field].function
            values[field] = function(*places)
            continue
        column = columns[field]
        if column.is_unseen:
            values[field] = msgspec.UNSET
            continue
        path = column.source if isinstance(column.source, str) else field
        if isinstance(column.source, models.expressions.Combinable):
            path = f"_{field}"
        annotation = hints_of(struct)[field]
        values[field] = _from_path(instance, path, annotation, column, f"{struct.__qualname__}.{field}")
    return struct(**values)


def _from_path(instance: Any, path: str, annotation: Any, column: Any, where: str) -> Any:
    kind = bare(annotation)
    steps = path.split(LOOKUP_SEP)
    if leads_to_many(type(instance), path):
        [item] = kind.__args__
        return _from_list(instance, steps, item, column)
    if is_model_struct(kind):
        related = _value(instance, steps)
        return None if related is None else _from_instance(kind, related)
    owner = _value(instance, steps[:-1])
    if owner is None:
        return None
    try:
        field = owner._meta.get_field(steps[-1]) if steps[-1] != "pk" else owner._meta.pk
    except FieldDoesNotExist:
        return _attribute(owner, steps[-1], where)
    if isinstance(field, ForeignObjectRel):
        related = _value(owner, steps[-1:])
        return None if related is None else related.pk
    value = getattr(owner, field.attname)
    show, convert = _showing(annotation, field, where)
    if isinstance(field, models.FileField):
        value = value.name
    if value is not None and show is not None:
        value = show(value, connections[owner._state.db or DEFAULT_DB_ALIAS])
    return value if convert is None or value is None else convert(value)


_MOST_SHOWN = 100  # annotations per column


def _showing(annotation: Any, field: Any, where: str) -> tuple[Any, Any]:
    """What the database makes of a value of an instance, and what the annotation makes of that; made once."""
    kept = field.__dict__.setdefault("_hybrid_gateway_showing", {})
    key = (where, id(annotation))
    if key not in kept:
        if len(kept) >= _MOST_SHOWN:
            kept.clear()
        # With the annotation, so that no other one can ever have its id.
        kept[key] = (shower(field), converter(annotation, field, where), annotation)
    show, convert, _ = kept[key]
    return show, convert


def _attribute(owner: Any, name: str, where: str) -> Any:
    try:
        return getattr(owner, name)
    except AttributeError:
        raise ConfigurationError(f"{where} is an annotation, which this instance has not got.") from None


def _from_list(instance: Any, steps: list[str], item: Any, column: Any) -> list[Any]:
    for position, step in enumerate(steps):
        manager = _value(instance, [step])
        if not isinstance(manager, models.Manager):
            instance = manager
            continue
        found: Any = manager.all()
        if column.filter is not None:
            found = narrowing(found.model, list(paths_in(column.filter)))(found, copy.deepcopy(column.filter))
        if column.order_by:
            found = found.order_by(*column.order_by)
        found = found if found.ordered else sorted(found, key=lambda entry: entry.pk)
        rest = steps[position + 1 :]
        return [
            _from_instance(bare(item), entry)
            if not rest and is_model_struct(item)
            else _from_path(entry, LOOKUP_SEP.join(rest) or "pk", item, column, "")
            for entry in found
        ]
    return []


def _value(instance: Any, steps: Sequence[str]) -> Any:
    """What a path leads to, ``None`` where it ends before."""
    for step in steps:
        if instance is None:
            return None
        try:
            meta = instance._meta
            field = meta._forward_fields_map.get(step) or meta.fields_map.get(step)
            name = field.get_accessor_name() if isinstance(field, ForeignObjectRel) else step
            instance = getattr(instance, name or step)
        except ObjectDoesNotExist:  # of a one-to-one relation
            return None
    return instance


def hints_of(struct: Any) -> dict[str, Any]:
    """The annotations of its fields."""
    found: dict[str, Any] | None = struct.__dict__.get("__hints__")
    if found is None:
        found = struct.__hints__ = {field.name: field.type for field in msgspec.structs.fields(struct)}
    return found
