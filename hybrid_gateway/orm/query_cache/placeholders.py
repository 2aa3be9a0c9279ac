"""Lookups of a compiled query whose values are given later.

How this works: a lookup whose right side has parameters is replaced by a :class:`PlaceholderLookup`. Whenever SQL is
made, that makes the lookup anew with the values of the day, exactly as ``filter()`` would have, so values are adapted
by Django and by nobody else.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import msgspec
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.lookups import Lookup
from django.db.models.sql import Query
from django.db.models.sql.compiler import SQLCompiler

from hybrid_gateway._compat.django_query_internals import (
    AnyLookup,
    conditions_of_joins,
    given_values,
    has_one_sided_sql,
    has_transformed_sides,
)
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.query_cache.integer_values import Bound, IntegerValues
from hybrid_gateway.orm.query_cache.plain_texts import PlainTexts
from hybrid_gateway.orm.query_cache.query_parameters import Parameter, ParameterReference, SliceParam, Values, unadapted


class Fragment(msgspec.Struct, frozen=True, eq=False):
    """The outcome of one placeholder in one statement."""

    placeholder: PlaceholderLookup
    compiler: SQLCompiler  # of the query that it is in
    sql: str
    is_one_sided: bool  # whether only its right side can change
    plain: IntegerValues | PlainTexts | None  # what is known of values that Django changes nothing of

    def bind(self, values: Any) -> Bound:
        """Return the SQL and the parameters that it has with ``values``."""
        plain, placeholder = self.plain, self.placeholder
        if plain is not None:  # PERF: a list of ten takes 15 thousand instructions, and 400 by ten lookups
            given = placeholder.value_of(values)
            known = plain.bind(given)
            if known is not None:
                return known
            bound: Bound = placeholder.lookup_of(values).process_rhs(self.compiler, self.compiler.connection)
            plain.learn(given, bound)
            return bound
        lookup = placeholder.lookup_of(values)
        if self.is_one_sided:  # PERF: the other side is a column, whatever the values are
            return lookup.process_rhs(self.compiler, self.compiler.connection)
        return self.compiler.compile(lookup)


class ParamSlot:
    """The place of one value in the parameters of compiled SQL."""

    __slots__ = ("fragment", "position")

    def __init__(self, fragment: int, position: int) -> None:
        self.fragment = fragment
        self.position = position


_compilation: ContextVar[tuple[Any, list[Fragment]]] = ContextVar("hybrid_gateway_compilation")
"""The values that SQL is being made of, and what its placeholders have come to; Django's compilers pass nothing on."""


@contextmanager
def compiling(values: Any) -> Iterator[list[Fragment]]:
    """Let placeholders have ``values``, and collect their fragments in the order of the SQL."""
    fragments: list[Fragment] = []
    token = _compilation.set((values, fragments))
    try:
        yield fragments
    finally:
        _compilation.reset(token)


if TYPE_CHECKING:
    _Lookup = Lookup[Any]
else:  # no generic class at run time
    _Lookup = Lookup


class PlaceholderLookup(_Lookup):
    """A lookup that is made when SQL is made of it. It stands for one with the same left side."""

    lookup_of: Callable[[Any], AnyLookup]  # the lookup that filter() would have made of the values
    value_of: Callable[[Any], object]  # the whole of its right side, as far as that is one value

    def __init__(self, left: Any, right: object) -> None:
        self.lhs = left
        self.rhs = right

    def get_source_expressions(self) -> list[Any]:
        return [self.lhs]

    def set_source_expressions(self, new_exprs: Sequence[Any]) -> None:
        [self.lhs] = new_exprs

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, tuple[Any, ...]]:
        values, fragments = _compilation.get()
        lookup = self.lookup_of(values)
        sql, parameters = compiler.compile(lookup)
        is_one_sided = has_one_sided_sql(lookup)
        text, bound = lookup.process_rhs(compiler, connection) if is_one_sided else (sql, parameters)
        number = len(fragments)
        plain = (IntegerValues.of(lookup, connection) or PlainTexts.of(lookup)) if is_one_sided else None
        fragments.append(Fragment(self, compiler, text, is_one_sided, plain))
        return sql, tuple(ParamSlot(number, position) for position in range(len(bound)))

    as_oracle = as_sql


class ParameterLookup(PlaceholderLookup):
    """A lookup whose right side has parameters of a prepared query."""

    def __init__(self, lookup: AnyLookup) -> None:
        super().__init__(lookup.lhs, given_values(lookup.rhs))
        self._kind = type(lookup)
        is_one_value = type(self.rhs) is ParameterReference
        self.value_of = itemgetter(self.rhs.name) if is_one_value else lambda values: None

    def lookup_of(self, values: Values) -> AnyLookup:
        template = self.rhs
        if type(template) is ParameterReference:
            return self._kind(self.lhs, values[template.name])
        return self._kind(self.lhs, _fill(template, values))


def _fill(template: object, values: Values) -> object:
    if isinstance(template, (ParameterReference, Parameter)):
        return values[template.name]
    if type(template) is tuple:
        return tuple(_fill(entry, values) for entry in template)
    return [_fill(entry, values) for entry in template] if type(template) is list else template


def parameters_in(right: object) -> Iterator[str]:
    """Yield the names of the parameters on the right side of a lookup."""
    right = given_values(right)
    if isinstance(right, (ParameterReference, Parameter)):
        yield right.name
    elif type(right) is list or type(right) is tuple:
        for entry in right:
            yield from parameters_in(entry)


# --- where lookups are ---------------------------------------------------------------------------------------------


def lookups_of(node: object, seen: set[int] | None = None) -> Iterator[AnyLookup]:
    """Yield every lookup anywhere in a query: its conditions, annotations and order, and the queries inside it."""
    seen = set() if seen is None else seen
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, Lookup):
        yield node
    for child in _children(node):
        yield from lookups_of(child, seen)


def _children(node: Any) -> list[object]:
    """Return what a part of a query is made of; raises ConfigurationError for a parameter that no lookup adapts."""
    if isinstance(node, SliceParam):
        raise ConfigurationError(unadapted(" and ".join(node.names)), id="Q001")
    if isinstance(node, ParameterReference):
        raise ConfigurationError(unadapted(node.name), id="Q001")
    if isinstance(node, Query):
        group_by = node.group_by if isinstance(node.group_by, tuple) else ()
        own = [*node.annotations.values(), *node.select, *node.order_by, *group_by]
        return [node.where, *node.combined_queries, *conditions_of_joins(node), *own]
    if isinstance(node, Lookup):
        return [node.lhs] if any(parameters_in(node.rhs)) else [node.lhs, node.rhs]
    if isinstance(node, (list, tuple)):
        return list(node)
    if not hasattr(node, "get_source_expressions"):
        return list(getattr(node, "params", None) or ())
    return [*node.get_source_expressions(), *(getattr(node, name, None) for name in ("query", "value", "params"))]


def insert_placeholders(query: Query) -> tuple[int, frozenset[str]]:
    """Put placeholders where ``query`` has lookups with parameters: return how many, and the names of the parameters.

    Raises :class:`ConfigurationError` for a parameter anywhere else.
    """
    inserter = _Inserter()
    inserter.walk(query)
    return len(inserter.made), frozenset(inserter.names)


class _Inserter:
    """Walks a query that is nobody else's, and replaces its lookups where they stand."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.made: dict[int, ParameterLookup] = {}  # by the id of the lookup that it stands for
        self._seen: dict[int, object] = {}  # with the objects, so that no other one can have their id

    def walk(self, node: object) -> None:
        if id(node) in self._seen:
            return
        self._seen[id(node)] = node
        for child in _children(node):
            if isinstance(child, Lookup):
                self._check(child)
            self.walk(self._replaced(child))
        self._put_into(node)

    def _check(self, lookup: AnyLookup) -> None:
        names = set(parameters_in(lookup.rhs))
        if not names:
            _reject_moment(lookup)
        elif id(lookup) not in self.made and not isinstance(lookup, PlaceholderLookup):
            if has_transformed_sides(lookup):
                raise ConfigurationError(
                    f"{type(lookup).__name__} transforms both sides, which cannot be prepared.", id="Q005"
                )
            self._seen[id(lookup)] = lookup
            self.made[id(lookup)] = ParameterLookup(lookup)
            self.names |= names

    def _replaced(self, child: Any) -> Any:
        return self.made.get(id(child), child)

    def _put_into(self, node: Any) -> None:
        if isinstance(node, Query):
            node.annotations = {name: self._replaced(entry) for name, entry in node.annotations.items()}
            node.select, node.order_by = self._all_replaced(node.select), self._all_replaced(node.order_by)
            if isinstance(node.group_by, tuple):
                node.group_by = self._all_replaced(node.group_by)
        elif hasattr(node, "get_source_expressions"):
            sources = node.get_source_expressions()
            if any(id(source) in self.made for source in sources):
                node.set_source_expressions(list(self._all_replaced(sources)))

    def _all_replaced(self, nodes: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(map(self._replaced, nodes))


def _reject_moment(lookup: AnyLookup) -> None:
    """Raise for a date that the function has computed: what was today when it was prepared is not today tomorrow."""
    values = lookup.rhs if isinstance(lookup.rhs, (list, tuple)) else [lookup.rhs]
    moment = next((value for value in values if isinstance(value, (datetime.date, datetime.time))), None)
    if moment is not None:
        raise ConfigurationError(
            f"A prepared query compares with {moment!r}, which was computed when it was prepared and never will be "
            "again. Pass it as a parameter, or let the database say it: Now().",
            id="Q002",
        )
