"""SQL that fits many values: compiled once, proven equal to what Django makes of the first of them, and stored.

How this works: a query with placeholders for lookups is compiled to text and to a list of parameters, in which each
placeholder says where its values go. Later values make the same lookups anew; as long as those come to the same
fragments of SQL, the text is theirs as well. Whatever has not been proven, by comparing it with the SQL of the ordinary
query, is never used.

:func:`find_variant` does so for ordinary querysets: a query of one table, with plain conditions on its columns, an
order by name and a slice, is nothing but the list of those. Two queries with the same list have the same SQL but for
their values. Whatever else a query has makes it another kind, which is compiled each time: what is allowed is listed,
not what is forbidden.
"""

from __future__ import annotations

import logging
import weakref
from collections import OrderedDict
from collections.abc import Callable, MutableMapping, Sequence
from itertools import count
from operator import itemgetter
from typing import Any

import msgspec
from django.db import DataError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.sql import Query
from django.db.models.sql.compiler import SQLCompiler

from hybrid_gateway._compat.django_cursor_internals import AskDriver, asks_driver, driver_of
from hybrid_gateway._compat.django_query_internals import (
    AnyLookup,
    Limits,
    copy_with_conditions,
    limits_of,
    set_limits,
    simple_query_key,
    slice_of,
)
from hybrid_gateway.orm.columns.postgresql import ask_again
from hybrid_gateway.orm.query_cache.placeholders import Fragment, ParamSlot, PlaceholderLookup, compiling
from hybrid_gateway.orm.query_cache.query_parameters import FIRST_SLICE_MARK, SliceParam

Row = Sequence[object]
"""A row as a driver gives it."""

_MAX_VARIANTS = 64  # of a query and a connection
_MAX_TEXTS = 128  # of a variant: one for each page that is asked for


class Unsafe(Exception):
    """No SQL is proven for these values: they are for the ordinary way."""


class Variant(msgspec.Struct, frozen=True, eq=False):
    """SQL that fits all values whose lookups come to the same fragments."""

    fragments: list[Fragment]
    before: str
    after: str | None  # of the limits; None where there are none to be put between
    parameters: Sequence[object]
    read: Callable[[list[Row]], Any]
    driver_texts: dict[Limits | None, tuple[AskDriver, str]] = {}  # PERF: by limits, what the driver is asked and how

    def sql(self, connection: BaseDatabaseWrapper, limits: Limits | None) -> str:
        """Return the text with these limits."""
        if self.after is None or limits is None:
            return self.before
        if limits == (0, None):
            return f"{self.before[:-1]}{self.after}"
        return f"{self.before}{connection.ops.limit_offset_sql(*limits)}{self.after}"

    def bind(self, found: Sequence[Sequence[object]]) -> list[Any]:
        """Return the parameters of the text, made of those of its fragments."""
        return [
            found[entry.fragment][entry.position] if type(entry) is ParamSlot else entry for entry in self.parameters
        ]

    def run(self, connection: BaseDatabaseWrapper, limits: Limits | None, found: Sequence[Sequence[object]]) -> Any:
        """Ask the database; return what becomes of the rows."""
        parameters = self.bind(found)
        if asks_driver(connection):  # PERF: Django's cursors take as much as the statement of ten rows does
            known = self.driver_texts.get(limits)
            if known is None:
                if len(self.driver_texts) >= _MAX_TEXTS:
                    self.driver_texts.clear()
                ask, text_of = driver_of(connection)
                known = self.driver_texts[limits] = (ask, text_of(self.sql(connection, limits)))
            ask, text = known
            rows = ask(connection, text, parameters)
            if rows is None:
                with connection.cursor() as cursor:
                    rows = ask_again(cursor, self.sql(connection, limits), parameters)
            return self.read(rows)
        with connection.cursor() as cursor:
            sql = self.sql(connection, limits)
            cursor.execute(sql, parameters)
            try:
                rows = cursor.fetchall()
            except DataError:
                rows = ask_again(cursor, sql, parameters)
        return self.read(rows)


BoundVariant = tuple[Variant, list[Sequence[object]]]
"""A variant, and the parameters of its fragments for the values of the day."""


def compile_variant(
    query: Query,
    placeholders: int,
    connection: BaseDatabaseWrapper,
    values: object,
    reader: Callable[[SQLCompiler], Callable[[list[Row]], Any]],
) -> BoundVariant:
    """Return the variant of ``query`` for ``values``.

    Limits that are slice marks are left open. Raises :class:`Unsafe` where a condition has gone, because these values
    make it superfluous.
    """
    if connection.features.interprets_empty_strings_as_nulls:
        raise Unsafe("on this database, an empty text is another lookup")
    compiler = query.clone().get_compiler(connection=connection)
    with compiling(values) as fragments:
        sql, parameters = compiler.as_sql()
    if len(fragments) < placeholders or any(isinstance(entry, SliceParam) for entry in parameters):
        raise Unsafe("these values make a condition superfluous")
    before, after = sql, None
    low, high = limits_of(query)
    if max(low, high or 0) >= FIRST_SLICE_MARK:
        marks = connection.ops.limit_offset_sql(low, high)
        if sql.count(marks) != 1:
            raise Unsafe("the limits are not found in the SQL")
        before, _, after = sql.partition(marks)
    variant = Variant(fragments, before, after, parameters, reader(compiler))
    return variant, [fragment.bind(values)[1] for fragment in fragments]


class Variants:
    """The variants of one query for one connection."""

    def __init__(self) -> None:
        self.is_fallback_logged = False
        self._leader: Variant | None = None
        self._known: dict[tuple[str, ...], Variant | None] = {}

    def find(self, values: object) -> BoundVariant | None:
        """Return the variant that fits ``values``, ``None`` if these are new; raises :class:`Unsafe` for none."""
        if self._leader is None:
            return None
        bound = [fragment.bind(values) for fragment in self._leader.fragments]
        key = tuple([sql for sql, _ in bound])
        if key not in self._known:
            return None
        known = self._known[key]
        if known is None:
            raise Unsafe("the SQL was not equal to that of Django")
        return known, [parameters for _, parameters in bound]

    def add(self, variant: Variant, *, is_proven: bool) -> None:
        """Store a variant; raises :class:`Unsafe` for one that is not proven."""
        key = tuple([fragment.sql for fragment in variant.fragments])
        if len(self._known) >= _MAX_VARIANTS:
            self._known.clear()
        self._leader = self._leader or variant
        self._known[key] = variant if is_proven else None
        if not is_proven:
            raise Unsafe("the SQL is not equal to that of Django")


def is_proven(
    variant: Variant, found: Sequence[Sequence[object]], limits: Limits | None, compiler: SQLCompiler
) -> bool:
    """Return whether it comes to the same SQL and parameters as the ordinary query of these very values."""
    sql, parameters = compiler.as_sql()
    mine = variant.bind(found)
    same = variant.sql(compiler.connection, limits) == sql and len(mine) == len(parameters)
    return same and all(map(_is_same, mine, parameters))


def _is_same(mine: object, theirs: object) -> bool:
    if type(mine) is not type(theirs):
        return False
    wrapped = getattr(mine, "obj", None)  # psycopg's Jsonb does not compare
    return bool(mine == theirs) or (wrapped is not None and bool(wrapped == getattr(theirs, "obj", None)))


# --- what is stored with a connection ------------------------------------------------------------------------------

CACHE = "_hybrid_gateway_cache"
"""The attribute of a connection; where it is missing, :func:`add_cache` makes it."""


class ConnectionCache:
    """Compiled SQL, and functions that read its rows.

    Both hold on to the connection that they were made for, through its compilers. They are an attribute of it, so that
    all of them go together when its thread ends; a table elsewhere, even a weak one, would keep every connection for
    ever. A connection is of one thread, so nothing here is locked.
    """

    def __init__(self) -> None:
        self.simple_queries: OrderedDict[object, Variants] = OrderedDict()  # by plan and kind, see find_variant()
        # By statement, then by the types of its values.
        self.statements: MutableMapping[object, dict[tuple[type, ...], Variants]] = weakref.WeakKeyDictionary()
        self.rows_factories: dict[object, Callable[..., list[Any]]] = {}  # by plan and number of columns


def add_cache(connection: BaseDatabaseWrapper) -> ConnectionCache:
    """Store an empty cache with ``connection``, and return it."""
    cache = ConnectionCache()
    setattr(connection, CACHE, cache)
    return cache


logger = logging.getLogger("hybrid_gateway.orm")

_MAX_QUERIES = 512  # kinds of queries per connection; the one not used for longest goes


def find_variant(
    plan: object,
    query: Query,
    connection: BaseDatabaseWrapper,
    select: Callable[[], Query],
    reader: Callable[[SQLCompiler], Callable[[list[Row]], Any]],
    one: Limits | None = None,
) -> tuple[Variant, Limits | None, list[Sequence[object]]] | None:
    """Return SQL for what ``select`` makes of ``query`` by a plan; ``None`` if that is not simple.

    It selects columns whose SQL only depends on the plan; with ``one``, it takes the order away and sets these limits.
    """
    lookups: list[AnyLookup] = []
    kind = simple_query_key(query, lookups, is_one=one is not None)
    if kind is None:
        return None
    cache: ConnectionCache = getattr(connection, CACHE, None) or add_cache(connection)
    key, known = (plan, kind), cache.simple_queries
    variants = known.get(key)
    if variants is None:
        if len(known) >= _MAX_QUERIES:
            known.popitem(last=False)
        variants = known[key] = Variants()
    else:
        known.move_to_end(key)
    limits = slice_of(query) if one is None else one
    try:
        found = variants.find(lookups)
        if found is None:
            selected = select()
            found = compile_variant(_template(selected), len(lookups), connection, lookups, reader)
            proven = is_proven(*found, limits, selected.get_compiler(connection=connection))
            variants.add(found[0], is_proven=proven)
    except Exception as error:  # as in Prepared: the ordinary way returns the rows, or raises the right error
        if not variants.is_fallback_logged:
            variants.is_fallback_logged = True
            name = getattr(query.model, "__name__", None)
            logger.debug("A query of %s is compiled anew for some values: %r", name, error)
        return None
    return found[0], limits, found[1]


def _template(query: Query) -> Query:
    """Return the query with placeholders for its lookups, and with marks for its limits."""
    numbers = count()
    template = copy_with_conditions(query, lambda lookup: _NumberedLookup(lookup, next(numbers)))
    low, high = limits_of(query)
    set_limits(template, (FIRST_SLICE_MARK if low else 0, None if high is None else 2 * FIRST_SLICE_MARK))
    return template


class _NumberedLookup(PlaceholderLookup):
    """A lookup that is found by its number among those of the query of the day."""

    def __init__(self, lookup: AnyLookup, number: int) -> None:
        super().__init__(lookup.lhs, lookup.rhs)
        self.lookup_of = itemgetter(number)
        self.value_of = lambda lookups: lookups[number].rhs
