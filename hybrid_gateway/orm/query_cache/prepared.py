"""Queries whose SQL is compiled once: from then on a call only binds values.

How this works: see :mod:`~.query_parameters` for how values find their places. The first call on a connection compiles
the query with its values, beside it what Django makes of the same call without any of this, and compares: only when SQL
and parameters are equal, and as long as the lookups make the same fragments of SQL of later values, is the text used
again. Other fragments (a list of another length, ``True`` for ``False``) are other variants, compared and stored on
their own. What cannot be told from the outside (``None``, expressions) and what differs is run as an ordinary query, at
its cost. No statement is prepared in the database, so any pooler will do.
"""

from __future__ import annotations

import datetime
import decimal
import inspect
import logging
import uuid
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar, cast

import msgspec
from django.db import connections
from django.db.models import Model, QuerySet, Value
from django.db.models.expressions import BaseExpression
from django.db.models.sql import Query
from django.db.models.sql.compiler import SQLCompiler

from hybrid_gateway._compat.django_query_internals import (
    DICTS,
    INSTANCES,
    SINGLES,
    TUPLES,
    InstanceReader,
    converters_of,
    has_known_relations,
    names_of_values,
    row_kind,
)
from hybrid_gateway.concurrency.asgiref_bridge import on_request_thread
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.columns.row_converters import values_reader
from hybrid_gateway.orm.query_cache.sql_variants import (
    CACHE,
    ConnectionCache,
    Row,
    Variants,
    add_cache,
    compile_variant,
    is_proven,
)
from hybrid_gateway.orm.query_cache.statements import Build, Statement, StatementBuilder
from hybrid_gateway.orm.querysets.querysets import the_one

logger = logging.getLogger("hybrid_gateway.orm")

R = TypeVar("R")
T = TypeVar("T")

_MAX_TYPES = 64  # combinations of types that a statement has variants for on one connection


class Prepared(Generic[T]):
    """A query that is compiled once, for any values. Made by :func:`prepare`; parameters are passed by name."""

    def __init__(self, source: RowSource, build: Build, *, static_managers: bool = False) -> None:
        self._build = build
        self._static_managers = static_managers
        self._builder = builder = StatementBuilder(build, static_managers=static_managers)
        self._parameters = builder.parameters
        self._names = {*builder.parameters}
        self._queryset = builder.template()[0]
        self.model = self._queryset.model
        self._rows: Statement[list[T]] = builder.statement(
            source.select, lambda compiler: source.reader(compiler, self._queryset), source.fetch, list
        )
        self._exists: Statement[bool] | None = None
        self._count: Statement[int] | None = None
        self._is_fallback_logged = False

    def __repr__(self) -> str:
        return f"<Prepared {self.model.__name__}: {', '.join(self._parameters)}>"

    # --- what it is asked

    def fetch(self, **values: object) -> list[T]:
        """Return the rows, as Structs or as the queryset has them."""
        return self._run(self._rows, values)

    async def afetch(self, **values: object) -> list[T]:
        """:meth:`fetch`, on the thread of the request."""
        return await on_request_thread(self.fetch, **values)

    def get(self, **values: object) -> T:
        """Return the one row; none is 404. Raises the model's ``MultipleObjectsReturned`` for more."""
        return the_one(self.fetch(**values), self.model)

    async def aget(self, **values: object) -> T:
        """:meth:`get`, on the thread of the request."""
        return await on_request_thread(self.get, **values)

    def first(self, **values: object) -> T | None:
        """Return the first row, or ``None``. The query says in which order, and had better say ``[:1]`` itself."""
        found = self._run(self._rows, values)
        return found[0] if found else None

    async def afirst(self, **values: object) -> T | None:
        """:meth:`first`, on the thread of the request."""
        return await on_request_thread(self.first, **values)

    def exists(self, **values: object) -> bool:
        """Return whether there is a row."""
        if self._exists is None:
            self._exists = self._builder.exists_statement()
        return self._run(self._exists, values)

    async def aexists(self, **values: object) -> bool:
        """:meth:`exists`, on the thread of the request."""
        return await on_request_thread(self.exists, **values)

    def count(self, **values: object) -> int:
        """Return how many rows there are."""
        if self._count is None:
            self._count = self._builder.count_statement()
        return self._run(self._count, values)

    async def acount(self, **values: object) -> int:
        """:meth:`count`, on the thread of the request."""
        return await on_request_thread(self.count, **values)

    def aggregate(self, **expressions: BaseExpression) -> PreparedAggregate:
        """Prepare aggregates over the rows: ``prices.aggregate(most=Max("price"))``, then ``.get(...)``."""
        return PreparedAggregate(self._build, expressions, static_managers=self._static_managers)

    # --- a call

    def _run(self, statement: Statement[R], values: dict[str, object]) -> R:
        if values.keys() != self._names:
            values = self._with_defaults(values)
        types = tuple(map(type, values.values()))
        if not _PLAIN_TYPES.issuperset(types) and not all(map(_is_bindable, values.values())):
            return statement.ordinary(self._build(**values))
        connection = connections[self._queryset.db]
        cache: ConnectionCache = getattr(connection, CACHE, None) or add_cache(connection)
        try:
            limits = None if statement.limits is None else statement.limits_for(values)
            if limits is not None and limits[1] is not None and limits[1] <= limits[0]:
                return statement.nothing()
            by_types = cache.statements.get(statement)
            if by_types is None:
                by_types = cache.statements[statement] = {}
            variants = by_types.get(types)
            if variants is None:  # values of other types are proven on their own
                if len(by_types) >= _MAX_TYPES:
                    by_types.clear()
                variants = by_types[types] = Variants()
            found = variants.find(values)
            if found is None:
                found = compile_variant(statement.query, statement.placeholders, connection, values, statement.reader)
                compiler = statement.narrow(self._build(**values)).get_compiler(connection=connection)
                proven = is_proven(*found, limits, compiler)
                if not proven:
                    logger.warning("%r is another query for some values, which is run as it is.", self)
                variants.add(found[0], is_proven=proven)
        except Exception as error:
            # Values that make a condition superfluous, that a column does not take, or that nothing is proven of: the
            # ordinary way returns the rows, or raises the right error. Nothing has been sent to the database yet.
            if not self._is_fallback_logged:
                self._is_fallback_logged = True
                logger.debug("%r is compiled anew for some values: %r", self, error)
            return statement.ordinary(self._build(**values))
        result: R = found[0].run(connection, limits, found[1])
        return result

    def _with_defaults(self, values: dict[str, object]) -> dict[str, object]:
        known = {name: entry.default for name, entry in self._parameters.items() if entry.default is not entry.empty}
        values = {**known, **values}
        if values.keys() != self._parameters.keys():
            names = ", ".join(self._parameters) or "nothing"
            raise TypeError(f"{self._builder.title} takes {names}, not {', '.join(values)}.")
        return values


_PLAIN_TYPES = frozenset({int, str, float, bool, decimal.Decimal, datetime.date, datetime.datetime, uuid.UUID})
"""PERF: types whose values need no look."""


def _is_bindable(value: object) -> bool:
    if type(value) is list:
        return None not in value
    if value is None or hasattr(value, "resolve_expression") or isinstance(value, (QuerySet, Iterator)):
        return False
    return not (isinstance(value, (list, tuple, set, frozenset)) and None in value)


class PreparedAggregate:
    """Aggregates over the rows of a prepared query."""

    def __init__(self, build: Build, expressions: dict[str, BaseExpression], *, static_managers: bool) -> None:
        if not expressions:
            raise ConfigurationError('aggregate() needs expressions by name, such as total=Sum("price").', id="Q005")
        self._build = build
        self._expressions = expressions

        def rows(**values: object) -> QuerySet[Any, Any]:
            queryset: QuerySet[Model] = build(**values)
            query = queryset.query
            is_grouped = query.group_by is not None
            if is_grouped or query.is_sliced or query.distinct or query.combinator or query.annotations:
                raise ConfigurationError(
                    "Only the rows of a queryset without slices, distinct(), annotations and unions can be aggregated "
                    "by a prepared query.",
                    id="Q005",
                )
            # All rows are one group: by a constant, which SELECT then leaves out. None of them is no group, see get().
            one_group = queryset.order_by().annotate(one_group=Value(1)).values("one_group")
            return cast("QuerySet[Any, Any]", one_group.annotate(**expressions))

        vars(rows)["__signature__"] = inspect.signature(build)
        rows.__qualname__ = getattr(build, "__qualname__", "aggregate")
        self._prepared: Prepared[dict[str, Any]] = Prepared(QUERYSET_ROWS, rows, static_managers=static_managers)

    def get(self, **values: object) -> dict[str, Any]:
        """Return the aggregates by name, as ``QuerySet.aggregate`` does."""
        found = self._prepared.fetch(**values)
        if not found:
            return self._build(**values).aggregate(**self._expressions)
        return {name: found[0][name] for name in self._expressions}

    async def aget(self, **values: object) -> dict[str, Any]:
        """:meth:`get`, on the thread of the request."""
        return await on_request_thread(self.get, **values)


RowReader = Callable[[list[Row]], list[Any]]
"""Makes of the rows of one compiled query what its caller gets: Structs, instances, dicts, values."""


class RowSource(msgspec.Struct, frozen=True, eq=False):
    """The way the rows of a prepared query are selected and read."""

    select: Callable[[QuerySet[Model]], Query]  # raises ConfigurationError for what cannot be prepared
    fetch: Callable[[QuerySet[Model]], list[Any]]  # in the ordinary way
    reader: Callable[[SQLCompiler, QuerySet[Model]], RowReader]


def _select(queryset: QuerySet[Model]) -> Query:
    kind = row_kind(queryset)
    if kind not in (INSTANCES, DICTS, TUPLES, SINGLES):
        raise ConfigurationError(f"Rows of {kind.__name__} cannot be prepared.", id="Q005")
    return queryset.query.chain()


def _reader(compiler: SQLCompiler, queryset: QuerySet[Model]) -> RowReader:
    kind, width = row_kind(queryset), len(compiler.select)
    read_tuples = values_reader(converters_of(compiler, range(width)), width, compiler.connection)
    if kind is DICTS:
        names = names_of_values(compiler)
        return lambda rows: [dict(zip(names, row, strict=False)) for row in read_tuples(rows)]
    if kind is SINGLES:
        return lambda rows: [row[0] for row in read_tuples(rows)]
    if kind is TUPLES:
        return read_tuples
    instances = InstanceReader.of(compiler)
    if instances is None or has_known_relations(queryset):
        raise ConfigurationError(
            "Instances with annotations cannot be prepared; use values() or a ModelStruct.", id="Q005"
        )
    return lambda rows: [instances.read(row) for row in read_tuples(rows)]


QUERYSET_ROWS = RowSource(_select, list, _reader)
"""Rows that are no Structs: what their queryset makes of them."""
