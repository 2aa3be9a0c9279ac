"""QuerySet → Structs: exactly the columns of a plan are selected, and no model instance is built.

The rows of each list of a Struct are one more query, for all rows at once. Lists that are too long for memory are
streamed, row by row from a cursor of the server.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import islice
from typing import Any, TypeVar, overload

import msgspec
from django.core.exceptions import EmptyResultSet
from django.db import DataError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.db.models.query import RawQuerySet
from django.db.models.sql import Query
from django.db.models.sql.compiler import SQLCompiler

from hybrid_gateway._compat.django_query_internals import column_count, convert_rows, converters_of, typed_rows
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.headers import JSON_LINES
from hybrid_gateway.orm.columns.postgresql import ask_again, widen
from hybrid_gateway.orm.introspection import StructClass
from hybrid_gateway.orm.query_cache.prepared import QUERYSET_ROWS, Prepared, RowReader, RowSource
from hybrid_gateway.orm.query_cache.sql_variants import CACHE, ConnectionCache, Row, add_cache, find_variant
from hybrid_gateway.orm.query_cache.statements import Build
from hybrid_gateway.orm.querysets.querysets import Source, as_queryset, the_one
from hybrid_gateway.orm.read.instances import from_model, read_rows, value_at
from hybrid_gateway.orm.read.read_plan import Index, ReadPlan, RowsFactory, read_plan_of
from hybrid_gateway.orm.read.related_list import RelatedList
from hybrid_gateway.responses.enc_hook import enc_hook
from hybrid_gateway.responses.negotiation import choose_media_type
from hybrid_gateway.responses.streaming_response import StreamingResponse

S = TypeVar("S", bound=msgspec.Struct)

_MAX_GET = 21  # DJANGO: models/query.py, MAX_GET_RESULTS


def fetch(struct: type[S], source: Source | RawQuerySet[Any]) -> list[S]:
    """Return the rows of ``source`` as Structs, with their lists."""
    if isinstance(source, RawQuerySet):  # its columns are what somebody wrote
        return [from_model(struct, instance) for instance in source]
    return _fetch(struct, as_queryset(source))


def get(struct: type[S], source: Source) -> S:
    """Return the one row of ``source``."""
    queryset = as_queryset(source)
    query = queryset.query
    if query.is_sliced or query.combinator or query.distinct_fields:
        found = _fetch(struct, queryset if query.is_sliced or query.combinator else queryset[:_MAX_GET])
    else:
        found = _fetch(struct, queryset, is_one=True)
    return the_one(found, queryset.model)


def _fetch(struct: type[S], queryset: QuerySet[Model], *, is_one: bool = False) -> list[S]:
    """Return the rows as Structs; ``is_one`` leaves the order away, and reads no more of them than ``get()`` may."""
    plan = read_plan_of(struct)
    if plan.reads_instances:
        return [made for made, _ in read_rows(struct, queryset.order_by()[:_MAX_GET] if is_one else queryset)]
    connection = connections[queryset.db]

    def select() -> Query:
        return plan.select(queryset.order_by()[:_MAX_GET] if is_one else queryset)

    if plan.is_fixed:
        one = (0, _MAX_GET) if is_one else None
        known = find_variant(
            plan, queryset.query, connection, select, lambda compiler: rows_reader(plan, compiler), one
        )
        if known is not None:
            variant, limits, values = known
            structs: list[S] = variant.run(connection, limits, values)
            return structs
    rows, compiler = execute(select(), connection.alias)
    return rows_reader(plan, compiler)(rows) if rows else []


WithValues = tuple[S, tuple[object, ...]]
"""A Struct, and the values of more columns of its row."""


def rows_reader(plan: ReadPlan, compiler: SQLCompiler) -> RowReader:
    """Return what makes Structs of the rows of a compiled query, on its connection."""
    make, connection = rows_factory(plan, compiler), compiler.connection
    return (lambda rows: fill_lists(plan, make, rows, connection)) if plan.many else make


def rows_factory(plan: ReadPlan, compiler: SQLCompiler) -> RowsFactory:
    """Return what makes Structs of rows: made once per connection, unless it depends on the query's annotations."""
    connection, columns = compiler.connection, column_count(compiler)
    cache: ConnectionCache = getattr(connection, CACHE, None) or add_cache(connection)
    make = cache.rows_factories.get((plan, columns))
    if make is None:
        make = plan.rows_factory(converters_of(compiler, range(plan.width)), connection, columns)
        if not (plan.named or plan.expressions):
            cache.rows_factories[plan, columns] = make
    return make


def fetch_with(struct: type[S], queryset: QuerySet[Model], paths: Sequence[str]) -> list[WithValues[S]]:
    """Return the rows as Structs, each with the values of more columns."""
    plan = read_plan_of(struct)
    if plan.reads_instances:
        return [(made, tuple(value_at(row, path) for path in paths)) for made, row in read_rows(struct, queryset)]
    more = [path for path in paths if path not in plan.selected]
    rows, compiler = execute(plan.select(queryset, more=more), queryset.db)
    return _reader_with_values(plan, compiler, paths)(rows) if rows else []


def _reader_with_values(plan: ReadPlan, compiler: SQLCompiler, paths: Sequence[str]) -> RowReader:
    """Return what makes Structs of rows, each with the values of ``paths``; new ones are selected behind its own."""
    selected = [*plan.selected, *(path for path in paths if path not in plan.selected)]
    positions = [selected.index(path) for path in paths]
    converters = converters_of(compiler, positions)
    make = rows_reader(plan, compiler)
    if not converters and len(positions) == 1:
        [only] = positions
        return lambda rows: [(made, (row[only],)) for made, row in zip(make(rows), rows, strict=True)]

    def read(rows: list[Row]) -> list[WithValues[Any]]:
        values = convert_rows(compiler, [[row[position] for position in positions] for row in rows], converters)
        return [(made, tuple(entry)) for made, entry in zip(make(rows), values, strict=True)]

    return read


def execute(query: Query, using: str) -> tuple[list[Row], SQLCompiler]:
    """Return the rows of a query as the driver gives them, and the compiler that knows how to read them."""
    compiler = query.get_compiler(using)
    try:
        sql, parameters = compiler.as_sql()
    except EmptyResultSet:
        return [], compiler
    with connections[using].cursor() as cursor:
        cursor.execute(sql, parameters)
        try:
            return cursor.fetchall(), compiler
        except DataError:
            return ask_again(cursor, sql, parameters), compiler


# --- lists ---------------------------------------------------------------------------------------------------------


_ALWAYS_TAKEN = 500  # parameters, by any database


def fill_lists(plan: ReadPlan, make: RowsFactory, rows: Sequence[Row], connection: BaseDatabaseWrapper) -> list[Any]:
    """Return Structs of rows, and make one more query for each of their lists."""
    indexes: list[Index] = [defaultdict(list) for _ in plan.many]
    structs = make(rows, *indexes)
    for many, index in zip(plan.many, indexes, strict=True):
        keys = list(index)
        limit = _ALWAYS_TAKEN
        if len(keys) > limit:  # PERF: SQLite asks its library
            limit = connection.features.max_query_params or len(keys)
        for start in range(0, len(keys), limit):
            for key, item in _related(many, keys[start : start + limit], connection.alias):
                for items in index[key]:
                    items.append(item)
    return structs


def _related(many: RelatedList, keys: list[object], using: str) -> Iterator[tuple[object, object]]:
    """Yield what is on the other side of ``keys``, each with its key."""
    owner_key = many.owner_key
    if many.struct is not None:
        for struct, (key,) in _related_structs(many, many.struct, keys, using):
            yield key if owner_key is None else owner_key(key), struct
        return
    paths, make = many.value or (("pk",), None)
    query = _rows_of(many, keys, using).values_list(many.link, *paths).query
    rows, compiler = execute(query, using)
    for key, *values in typed_rows(compiler, rows) if rows else ():
        key = key if owner_key is None else owner_key(key)
        yield key, values[0] if make is None else make(*values)


def _rows_of(many: RelatedList, keys: object, using: str) -> QuerySet[Any]:
    return many.rows(using).filter(**{f"{many.link}{LOOKUP_SEP}in": keys})


def _related_structs(many: RelatedList, struct: type[S], keys: list[object], using: str) -> list[WithValues[S]]:
    if using not in many.prepared and many.extra is None:
        try:
            many.prepared[using] = Prepared(_with_keys(struct, many.link), lambda keys: _rows_of(many, keys, using))
        except ConfigurationError:  # a default manager may do what cannot be prepared
            many.prepared[using] = None
    prepared = many.prepared.get(using)
    if prepared is None:  # nor is a generic relation prepared: the number of its content type is the database's
        return fetch_with(struct, _rows_of(many, keys, using), [many.link])
    return prepared.fetch(keys=keys)


def _with_keys(struct: StructClass, link: str) -> RowSource:
    """Return how a prepared query reads the rows of a list: each comes with the key of its owner."""
    plan = read_plan_of(struct)
    return RowSource(
        lambda queryset: plan.select(queryset, more=[] if link in plan.paths else [link]),
        lambda queryset: fetch_with(struct, queryset, [link]),
        lambda compiler, _: _reader_with_values(plan, compiler, [link]),
    )


@overload
def prepare(struct: type[S], build: Build, *, static_managers: bool = False) -> Prepared[S]: ...


@overload
def prepare(struct: Build, *, static_managers: bool = False) -> Prepared[Any]: ...


def prepare(
    struct: type[msgspec.Struct] | Build, build: Build | None = None, *, static_managers: bool = False
) -> Prepared[Any]:
    """Compile a query once: ``prepare(ProductOut, lambda category: Product.objects.filter(category=category))``.

    ``build`` takes parameters by name and returns a queryset; they go to ``filter()``, ``exclude()`` and slices. What
    else it computes is computed once, when it is prepared: a setting, the date (rejected: pass it, or ``Now()``).
    Without a Struct, rows are what the queryset has: instances, ``values()`` or ``values_list()``.

    A manager with a ``get_queryset`` of its own is rejected as well, unless ``static_managers`` says that it gives the
    same to everybody.

    Raises :class:`~hybrid_gateway.ConfigurationError` for what cannot be proven to be the same query for all values.
    """
    if isinstance(struct, type):
        if build is None:
            raise ConfigurationError("prepare() needs a function that returns a queryset.", id="Q004")
        plan = read_plan_of(struct)
        if plan.reads_instances:
            raise ConfigurationError(
                f"{struct.__qualname__} has a function of instances, which no prepared query makes: use fetch().",
                id="Q005",
            )
        rows = RowSource(plan.select, partial(fetch, struct), lambda compiler, _: rows_reader(plan, compiler))
        return Prepared(rows, build, static_managers=static_managers)
    return Prepared(QUERYSET_ROWS, struct, static_managers=static_managers)


Encode = Callable[[object, bytearray, int], None]

_CHUNK_SIZE = 2000  # rows; DJANGO: QuerySet.iterator


def stream(
    struct: type[msgspec.Struct], source: Source, accept: str = "", *, hook: Callable[[Any], Any] = enc_hook
) -> StreamingResponse:
    """Return the rows as they come, as an array or, where the client accepts those, as lines; ``hook`` is msgspec's."""
    kind = choose_media_type(accept, ("application/json", JSON_LINES)) if accept else "application/json"
    encode = msgspec.json.Encoder(enc_hook=hook).encode_into
    content = _lines if kind == JSON_LINES else _array
    response = StreamingResponse(content(chunks(struct, source), encode), media_type=kind or "application/json")
    response.headers["Vary"] = "Accept"
    return response


def _lines(found: Generator[list[S]], encode: Encode) -> Iterator[bytes]:
    with closing(found):
        for items in found:
            buffer = bytearray()
            for item in items:
                encode(item, buffer, -1)
                buffer += b"\n"
            yield bytes(buffer)


def _array(found: Generator[list[S]], encode: Encode) -> Iterator[bytes]:
    start = b"["
    with closing(found):
        for items in found:
            buffer = bytearray()
            for item in items:
                buffer += start
                encode(item, buffer, -1)
                start = b","
            yield bytes(buffer)
    yield b"[]" if start == b"[" else b"]"


def chunks(struct: type[S], source: Source) -> Generator[list[S]]:
    """Yield the rows as Structs, 2,000 at a time, from a server-side cursor where the database has those.

    DJANGO: ``DISABLE_SERVER_SIDE_CURSORS`` (for poolers that share connections by transaction) is heeded.
    """
    queryset = as_queryset(source)
    plan, using = read_plan_of(struct), queryset.db
    if plan.reads_instances:
        rows = read_rows(struct, queryset, _CHUNK_SIZE)
        while found := [made for made, _ in islice(rows, _CHUNK_SIZE)]:
            yield found
        return
    connection = connections[using]
    compiler = plan.select(queryset).get_compiler(using)
    try:
        sql, parameters = compiler.as_sql()
    except EmptyResultSet:
        return
    named = connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS") is not True
    with connection.chunked_cursor() if named else connection.cursor() as cursor:
        widen(cursor)  # at once: what a server-side cursor has given it does not give again
        cursor.execute(sql, parameters)
        read = rows_reader(plan, compiler)
        while fetched := cursor.fetchmany(_CHUNK_SIZE):
            yield read(fetched)
