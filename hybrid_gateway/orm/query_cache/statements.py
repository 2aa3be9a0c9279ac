"""From the function of a prepared query to a statement whose lookups are placeholders.

How this works: the function is called with :class:`~.Parameter` objects for its values. The query that it returns must
have each of them in a lookup or in its limits, and may depend on nothing else that can be told from the outside.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar, cast

import msgspec
from django.db.models import Model, QuerySet
from django.db.models.sql import Query
from django.db.models.sql.compiler import SQLCompiler

from hybrid_gateway._compat.cpython_internals import watch_calls
from hybrid_gateway._compat.django_orm_internals import chosen_database
from hybrid_gateway._compat.django_query_internals import Limits, count_query, has_prefetches, limits_of
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.query_cache.placeholders import insert_placeholders
from hybrid_gateway.orm.query_cache.query_parameters import FIRST_SLICE_MARK, Parameter, SliceParam, Values
from hybrid_gateway.orm.query_cache.sql_variants import Row, Unsafe

R = TypeVar("R")

Build = Callable[..., QuerySet[Any]]
"""The function of a prepared query: its parameters by name → a queryset."""


Limit = SliceParam | int | None


class Statement(msgspec.Struct, Generic[R], frozen=True, eq=False, weakref=True):
    """One way to ask a prepared query: what is selected, and what becomes of the rows."""

    query: Query  # with placeholders
    placeholders: int
    limits: tuple[Limit, Limit] | None  # of its slice; None where no parameter is in them
    narrow: Callable[[QuerySet[Model]], Query]  # a queryset of real values → the query that must come to the same
    reader: Callable[[SQLCompiler], Callable[[list[Row]], R]]  # of a compiled query: rows → the result
    ordinary: Callable[[QuerySet[Model]], R]  # a queryset of real values → the result
    nothing: Callable[[], R]  # the result where a slice is empty

    def limits_for(self, values: Values) -> Limits | None:
        """Return its limits with these values."""
        if self.limits is None:
            return None
        first, last = self.limits
        low = first.compute(values) if isinstance(first, SliceParam) else first
        high = last.compute(values) if isinstance(last, SliceParam) else last
        if type(low) is int and low >= 0 and (high is None or (type(high) is int and high >= 0)):
            return low, high
        raise Unsafe("no number can be made of a limit")  # Django has the words for it


class StatementBuilder:
    """Makes the statements of one function."""

    def __init__(self, build: Build, *, static_managers: bool) -> None:
        self.build = build
        self.title = f"The prepared query {getattr(build, '__qualname__', build)!s}"
        self.parameters = inspect.signature(build).parameters
        for parameter in self.parameters.values():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
                raise ConfigurationError(f"{self.title} takes {parameter}; name each parameter.", id="Q006")
        self._static_managers = static_managers

    def template(self) -> tuple[QuerySet[Model], Mapping[int, SliceParam]]:
        """Return a new queryset of the function with parameters for values, and those that are in its limits."""
        marked: dict[int, SliceParam] = {}
        try:
            with watch_calls("get_queryset") as called:
                queryset = self.build(**{name: Parameter(name, marked) for name in self.parameters})
        except (TypeError, ValueError) as error:
            raise ConfigurationError(
                f"{self.title} does something with its parameters that has no answer before there are values: {error}",
                id="Q001",
            ) from error
        managers = [name for module, name in called if not module.startswith("django.")]
        if managers and not self._static_managers:
            # SECURITY: a manager that filters by the tenant of the day would be filtering by the first one's for ever.
            raise ConfigurationError(
                f"{self.title} starts at {managers[0]}(): whatever that looks at (a tenant, a user) it would look at "
                "once, for all calls. Start at a plain manager and pass it as a parameter; or, if it is the same for "
                "everybody, say so: static_managers=True.",
                id="Q003",
            )
        if not isinstance(queryset, QuerySet):
            raise ConfigurationError(f"{self.title} must return a QuerySet, not {queryset!r}.", id="Q004")
        if has_prefetches(queryset):
            raise ConfigurationError(f"{self.title} prefetches, which cannot be prepared.", id="Q005")
        database: object = chosen_database(queryset)
        if isinstance(database, SliceParam):
            raise ConfigurationError(
                f"{self.title} chooses a database by a parameter, which cannot be prepared.", id="Q005"
            )
        return queryset, marked

    def statement(
        self,
        narrow: Callable[[QuerySet[Model]], Query],
        reader: Callable[[SQLCompiler], Callable[[list[Row]], R]],
        ordinary: Callable[[QuerySet[Model]], R],
        nothing: Callable[[], R],
    ) -> Statement[R]:
        """Return the statement that selects what ``narrow`` says; the others are its fields."""
        queryset, marked = self.template()  # of its own: placeholders are put into this very query
        query = narrow(queryset)
        placeholders, used = insert_placeholders(query)
        low, high = [self._limit(mark, marked) for mark in limits_of(query)]
        open_limits = [limit for limit in (low, high) if isinstance(limit, SliceParam)]
        used = used.union(*(limit.names for limit in open_limits))
        unused = [name for name in self.parameters if name not in used]
        if unused:
            raise ConfigurationError(
                f"{self.title}: nothing in the query depends on {', '.join(unused)}. Parameters go to filter(), "
                "exclude(), or the end of a slice whose other end is open or a parameter.",
                id="Q006",
            )
        limits = (low, high) if open_limits else None
        return Statement(query, placeholders, limits, narrow, reader, ordinary, nothing)

    def _limit(self, mark: int | None, marked: Mapping[int, SliceParam]) -> Limit:
        if mark is None or mark < FIRST_SLICE_MARK:
            return mark
        if mark not in marked:
            raise ConfigurationError(f"{self.title} slices what is sliced already; write one slice.", id="Q005")
        return marked[mark]

    # --- other questions than for rows

    def exists_statement(self) -> Statement[bool]:
        return self.statement(lambda queryset: self._unsliced(queryset).exists(), lambda _: bool, QuerySet.exists, bool)

    def count_statement(self) -> Statement[int]:
        return self.statement(self._count, lambda _: lambda rows: cast("int", rows[0][0]), QuerySet.count, int)

    def _unsliced(self, queryset: QuerySet[Model]) -> Query:
        if queryset.query.is_sliced:
            raise ConfigurationError(
                f"{self.title} is sliced: whether and how many rows there are is asked of all of them.", id="Q005"
            )
        return queryset.query

    def _count(self, queryset: QuerySet[Model]) -> Query:
        query = self._unsliced(queryset)
        if query.distinct or query.combinator or query.group_by is not None or query.annotations or query.extra:
            raise ConfigurationError(
                f"{self.title} cannot be counted: it is more than filters and an order. Use count() of a queryset.",
                id="Q005",
            )
        return count_query(query)
