"""Queries whose SQL is compiled once: from then on a call only binds values.

How this works: see :mod:`~.parameters` for how values find their places. The first call on a connection compiles the
query with its values, beside it what Django makes of the same call without any of this, and compares: only when SQL and
parameters are equal, and as long as the lookups make the same pieces of SQL of later values, is the text used again.
Other pieces (a list of another length, ``True`` for ``False``) are other variants, compared and kept on their own. What
cannot be told from the outside (``None``, expressions) and what differs goes the ordinary way, and costs what it costs.
No statement is prepared in the database, so any pooler will do.
"""

from __future__ import annotations

import inspect
import logging
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Generic, Protocol, TypeVar

import msgspec
from asgiref.sync import sync_to_async
from django.db import connections, models
from django.db.models import Count, QuerySet

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.query_cache.placeholders import FIRST_NUMBER, Parameter, SliceParam, dig_holes
from hybrid_gateway.orm.query_cache.row_readers import QuerysetRows, read_count, read_exists
from hybrid_gateway.orm.query_cache.sql_variants import Limits, Unsafe, Variant, Variants, compile_variant, is_proven
from hybrid_gateway.orm.querysets.queryset_source import the_one

__all__ = ["Prepared", "RowSource"]

logger = logging.getLogger("hybrid_gateway.orm")

T = TypeVar("T")

_MOST_TYPES = 64  # combinations of types that a query keeps variants for
_KEPT = "_hybrid_gateway_prepared"  # the attribute of a connection


class Statement(msgspec.Struct, frozen=True, eq=False, weakref=True):
    """One way to ask a prepared query: what is selected, and what becomes of the rows."""

    name: str
    query: Any  # with holes
    holes: int
    limits: tuple[Any, Any]  # of a slice: numbers or Limits
    narrow: Callable[[Any], Any]  # a queryset of real values → the query that must come to the same
    read: Callable[[Any], Callable[[list[Any]], Any]]  # a compiler → rows → the result
    ordinary: Callable[[Any], Any]  # a queryset of real values → the result
    nothing: Callable[[], Any]  # the result where a slice is empty


class RowSource(Protocol):
    """How the rows of a prepared query are selected and read."""

    def select(self, queryset: Any, where: str) -> Any:
        """Return the query that selects what is read; raises ConfigurationError where it cannot be prepared."""

    def fetch(self, queryset: Any) -> list[Any]:
        """Return the rows of a queryset in the ordinary way."""

    def reader(self, compiler: Any, queryset: Any) -> Callable[[list[Any]], list[Any]]:
        """Return what makes the result of the rows of a compiler's query."""


class Prepared(Generic[T]):
    """A query that is compiled once, for any values. Made by :func:`prepare`; parameters are passed by name."""

    def __init__(self, source: RowSource, build: Callable[..., Any], *, static_managers: bool = False) -> None:
        self._static_managers = static_managers
        self._build = build
        self._where = f"The prepared query {getattr(build, '__qualname__', build)!s}"
        self._signature = inspect.signature(build)
        for parameter in self._signature.parameters.values():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
                raise ConfigurationError(f"{self._where} takes {parameter}; name each parameter.")
        self._names = tuple(self._signature.parameters)
        self._defaults = {
            name: parameter.default
            for name, parameter in self._signature.parameters.items()
            if parameter.default is not parameter.empty
        }
        self._queryset, self._sliced = self._template()
        self.model = self._queryset.model
        self._rows = self._statement(
            "rows",
            lambda queryset: source.select(queryset, self._where),
            lambda compiler: source.reader(compiler, self._queryset),
            source.fetch,
            list,
        )
        self._others: dict[str, Statement] = {}

    def __repr__(self) -> str:
        return f"<Prepared {self.model.__name__}: {', '.join(self._names)}>"

    # --- what it is asked

    def fetch(self, **values: Any) -> list[T]:
        """The rows, as Structs or as the queryset has them."""
        found: list[T] = self._run(self._rows, values)
        return found

    async def afetch(self, **values: Any) -> list[T]:
        """:meth:`fetch`, on the thread of the request."""
        return await sync_to_async(self.fetch)(**values)

    def get(self, **values: Any) -> T:
        """The one row; none is 404. Raises the model's ``MultipleObjectsReturned`` for more."""
        found: T = the_one(self.fetch(**values), self.model)
        return found

    async def aget(self, **values: Any) -> T:
        """:meth:`get`, on the thread of the request."""
        return await sync_to_async(self.get)(**values)

    def first(self, **values: Any) -> T | None:
        """The first row, or ``None``. The query says in which order, and had better say ``[:1]`` itself."""
        found = self.fetch(**values)
        return found[0] if found else None

    async def afirst(self, **values: Any) -> T | None:
        """:meth:`first`, on the thread of the request."""
        return await sync_to_async(self.first)(**values)

    def exists(self, **values: Any) -> bool:
        """Whether there is a row."""
        statement = self._other("exists", lambda q: _unlimited(q, self._where).query.exists(), read_exists)
        found: bool = self._run(statement, values)
        return found

    async def aexists(self, **values: Any) -> bool:
        """:meth:`exists`, on the thread of the request."""
        return await sync_to_async(self.exists)(**values)

    def count(self, **values: Any) -> int:
        """How many rows there are."""
        statement = self._other("count", lambda q: _counting(q, self._where), read_count)
        found: int = self._run(statement, values)
        return found

    async def acount(self, **values: Any) -> int:
        """:meth:`count`, on the thread of the request."""
        return await sync_to_async(self.count)(**values)

    def aggregate(self, **expressions: Any) -> PreparedAggregate:
        """A prepared query of aggregates over the rows: ``prices.aggregate(most=Max("price"))``, then ``.get(...)``."""
        return PreparedAggregate(self._build, expressions, static_managers=self._static_managers)

    # --- preparation

    def _template(self) -> tuple[Any, dict[int, SliceParam]]:
        sliced: dict[int, SliceParam] = {}
        try:
            with _watched() as managers:
                queryset: Any = self._build(**{name: Parameter(name, sliced) for name in self._names})
        except (TypeError, ValueError) as error:
            raise ConfigurationError(
                f"{self._where} does something with its parameters that has no answer before there are values: {error}"
            ) from error
        if managers and not self._static_managers:
            # SECURITY: a manager that filters by the tenant of the day would be filtering by the first one's for ever.
            raise ConfigurationError(
                f"{self._where} starts at {managers[0]}(): whatever that looks at (a tenant, a user) it would look at "
                "once, for all calls. Start at a plain manager and pass it as a parameter; or, if it is the same for "
                "everybody, say so: static_managers=True."
            )
        if not isinstance(queryset, QuerySet):
            raise ConfigurationError(f"{self._where} must return a QuerySet, not {queryset!r}.")
        chosen, prefetched = getattr(queryset, "_db"), getattr(queryset, "_prefetch_related_lookups")  # noqa: B009
        if isinstance(chosen, SliceParam) or prefetched:
            what = "prefetches" if prefetched else "chooses a database by a parameter"
            raise ConfigurationError(f"{self._where} {what}, which cannot be prepared.")
        return queryset, sliced

    def _statement(self, name: str, narrow: Any, read: Any, ordinary: Any, nothing: Any) -> Statement:
        # A queryset of its own: holes are dug into the very lookups.
        queryset, sliced = self._template()
        query = narrow(queryset)
        holes, used = dig_holes(query)
        limits = (_limit(query.low_mark, sliced, self._where), _limit(query.high_mark, sliced, self._where))
        used |= {name for limit in limits if isinstance(limit, SliceParam) for name in limit.names}
        unused = [name for name in self._names if name not in used]
        if unused:
            raise ConfigurationError(
                f"{self._where}: nothing in the query depends on {', '.join(unused)}. Parameters go to filter(), "
                "exclude(), or the end of a slice whose other end is open or a parameter."
            )
        return Statement(name, query, holes, limits, narrow, read, ordinary, nothing)

    def _other(self, name: str, narrow: Any, read: Any) -> Statement:
        if name not in self._others:
            self._others[name] = self._statement(name, narrow, read, _ORDINARY[name], _NOTHING[name])
        return self._others[name]

    # --- a call

    def _run(self, statement: Statement, values: dict[str, Any]) -> Any:
        if values.keys() != self._signature.parameters.keys():
            values = self._complete(values)
        if not all(map(_is_bindable, values.values())):
            return statement.ordinary(self._build(**values))
        connection = connections[self._queryset.db]
        kept = connection.__dict__.get(_KEPT)
        if kept is None:
            kept = connection.__dict__[_KEPT] = weakref.WeakKeyDictionary()
        variants = kept.get(statement)
        if variants is None:
            variants = kept[statement] = {}
        try:
            limits = _real_limits(statement.limits, values)
            if limits is not None and limits[1] is not None and limits[1] <= limits[0]:
                return statement.nothing()
            variant, found = self._variant(statement, variants, connection, values, limits)
        except Exception:
            # Values that make a condition superfluous, that a column does not take, or that nothing is proven of: the
            # ordinary way has the rows, or the right words. Nothing has been sent to the database yet.
            return statement.ordinary(self._build(**values))
        return variant.run(connection, limits, found)

    def _complete(self, values: dict[str, Any]) -> dict[str, Any]:
        values = {**self._defaults, **values}
        if values.keys() != self._signature.parameters.keys():
            raise TypeError(f"{self._where} takes {', '.join(self._names) or 'nothing'}, not {', '.join(values)}.")
        return values

    def _variant(
        self,
        statement: Statement,
        variants: dict[Any, Variants],
        connection: Any,
        values: dict[str, Any],
        limits: Limits | None,
    ) -> tuple[Variant, list[Sequence[Any]]]:
        """The variant that fits, and the parameters of its pieces; values of other types are proven on their own."""
        types = tuple(map(type, values.values()))
        known = variants.get(types)
        if known is None:
            if len(variants) >= _MOST_TYPES:
                variants.clear()
            known = variants[types] = Variants()

        def make() -> tuple[Variant, list[Sequence[Any]]]:
            return compile_variant(statement.query, statement.holes, connection, values, statement.read)

        def prove(variant: Variant, found: list[Sequence[Any]]) -> bool:
            compiler = statement.narrow(self._build(**values)).get_compiler(connection=connection)
            proven = is_proven(variant, found, limits, compiler)
            if not proven:
                logger.warning("%r is another query for some values, which is run as it is.", self)
            return proven

        return known.find(values, make, prove)


class PreparedAggregate:
    """Aggregates over the rows of a prepared query."""

    def __init__(
        self, build: Callable[..., Any], expressions: Mapping[str, Any], *, static_managers: bool = False
    ) -> None:
        if not expressions:
            raise ConfigurationError('aggregate() needs expressions by name, such as total=Sum("price").')
        self._names = tuple(expressions)

        def rows(**values: Any) -> Any:
            queryset = build(**values)
            query = queryset.query
            if query.is_sliced or query.distinct or query.combinator or query.group_by is not None or query.annotations:
                raise ConfigurationError(
                    "Only the rows of a queryset without slices, distinct(), annotations and unions can be aggregated "
                    "by a prepared query."
                )
            # All rows are one group: by a constant, which SELECT then leaves out. None of them is no group, see get().
            return queryset.order_by().annotate(_all=models.Value(1)).values("_all").annotate(**expressions)

        rows.__signature__ = inspect.signature(build)  # type: ignore[attr-defined]
        rows.__qualname__ = getattr(build, "__qualname__", "aggregate")
        self._prepared: Prepared[dict[str, Any]] = Prepared(QuerysetRows(), rows, static_managers=static_managers)
        self._build = build
        self._expressions = expressions

    def get(self, **values: Any) -> dict[str, Any]:
        """The aggregates by name, as ``QuerySet.aggregate`` has them."""
        found = self._prepared.fetch(**values)
        if not found:
            result: dict[str, Any] = self._build(**values).aggregate(**self._expressions)
            return result
        return {name: found[0][name] for name in self._names}

    async def aget(self, **values: Any) -> dict[str, Any]:
        """:meth:`get`, on the thread of the request."""
        return await sync_to_async(self.get)(**values)


@contextmanager
def _watched() -> Iterator[list[str]]:
    """The ``get_queryset`` methods, other than Django's, that are called on this thread while it is entered."""
    found: list[str] = []
    before = sys.getprofile()

    def look(frame: Any, event: str, argument: Any) -> None:
        asked = event == "call" and frame.f_code.co_name == "get_queryset"
        if asked and not str(frame.f_globals.get("__name__")).startswith("django."):
            found.append(frame.f_code.co_qualname)

    sys.setprofile(look)
    try:
        yield found
    finally:
        sys.setprofile(before)


def _is_bindable(value: Any) -> bool:
    if value is None or hasattr(value, "resolve_expression") or isinstance(value, (QuerySet, Iterator)):
        return False
    return not (isinstance(value, (list, tuple, set, frozenset)) and None in value)


# --- slices --------------------------------------------------------------------------------------------------------


def _limit(mark: int | None, sliced: Mapping[int, SliceParam], where: str) -> Any:
    if mark is None or mark < FIRST_NUMBER:
        return mark
    if mark not in sliced:
        raise ConfigurationError(f"{where} slices what is sliced already; write one slice.")
    return sliced[mark]


def _real_limits(limits: tuple[Any, Any], values: Mapping[str, Any]) -> tuple[int, int | None] | None:
    if not any(isinstance(limit, SliceParam) for limit in limits):
        return None
    low, high = [limit.compute(values) if isinstance(limit, SliceParam) else limit for limit in limits]
    if any(type(limit) is not int or limit < 0 for limit in (low, high) if limit is not None):
        raise Unsafe  # Django has the words for it
    return low, high


# --- other questions than for rows ---------------------------------------------------------------------------------


def _unlimited(queryset: Any, where: str) -> Any:
    if queryset.query.is_sliced:
        raise ConfigurationError(f"{where} is sliced: whether and how many rows there are is asked of all of them.")
    return queryset


def _counting(queryset: Any, where: str) -> Any:
    query = _unlimited(queryset, where).query
    if query.distinct or query.combinator or query.group_by is not None or query.annotations or query.extra:
        raise ConfigurationError(
            f"{where} cannot be counted: it is more than filters and an order. Use count() of a queryset."
        )
    query = query.chain()
    query.clear_ordering(force=True)
    query.select_related = False
    query.clear_deferred_loading()
    query.clear_select_clause()
    query.add_annotation(Count("*"), "__count", select=True)
    return query


_ORDINARY: dict[str, Callable[[Any], Any]] = {"exists": QuerySet.exists, "count": QuerySet.count}
_NOTHING: dict[str, Callable[[], Any]] = {"exists": bool, "count": int}
