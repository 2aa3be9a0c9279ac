"""What stands for a value while a query is being prepared, and where it may stand.

How this works: the function of a prepared query is called once with :class:`Parameter` objects. In a filter one is the
right-hand side of a lookup, which becomes a :class:`PlaceholderLookup`: whenever SQL is made, it makes the lookup anew
with the value of the day, exactly as ``filter()`` would have, so values are adapted by Django and by nobody else. In a
slice it is a number that no table reaches, found again in the limits of the query. Anything else a function might do
with a value (compare it, print it, ask for its length) is refused, because what one value decides may be wrong for the
next.
"""

from __future__ import annotations

import datetime
import itertools
import operator
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NoReturn

import msgspec
from django.db.models import Expression, Field
from django.db.models.expressions import Col, ExpressionList, Value
from django.db.models.fields.related_lookups import RelatedLookupMixin
from django.db.models.lookups import BuiltinLookup, Exact, In, Lookup
from django.db.models.sql import Query
from django.db.models.sql.where import WhereNode

from hybrid_gateway.exceptions import ConfigurationError

__all__ = ["FIRST_NUMBER", "SliceParam", "Parameter", "Fragment", "ParamSlot", "dig_holes", "lookups_of", "making"]

FIRST_NUMBER = 7_040_000_000_000_001  # more rows than any table has
_numbers = itertools.count(FIRST_NUMBER, 7_919)  # rising: the start of a slice is asked before its end


class SliceParam:
    """A parameter in a slice, or arithmetic with one: ``[offset : offset + limit]``."""

    def __init__(
        self, compute: Callable[[Mapping[str, Any]], Any], names: frozenset[str], sliced: dict[int, SliceParam]
    ):
        self.compute = compute
        self.names = names
        self.sliced = sliced  # of one preparation: where in its limits which of these was put

    def _with(self, operation: Callable[[Any, Any], Any], other: Any, *, swapped: bool = False) -> SliceParam:
        compute = other.compute if isinstance(other, SliceParam) else lambda values: other
        names = self.names | (other.names if isinstance(other, SliceParam) else frozenset())
        left, right = (compute, self.compute) if swapped else (self.compute, compute)
        return SliceParam(lambda values: operation(left(values), right(values)), names, self.sliced)

    def __add__(self, other: Any) -> Any:
        return self._with(operator.add, other)

    def __radd__(self, other: Any) -> Any:
        return self._with(operator.add, other, swapped=True)

    def __sub__(self, other: Any) -> Any:
        return self._with(operator.sub, other)

    def __rsub__(self, other: Any) -> Any:
        return self._with(operator.sub, other, swapped=True)

    def __mul__(self, other: Any) -> Any:
        return self._with(operator.mul, other)

    def __rmul__(self, other: Any) -> Any:
        return self._with(operator.mul, other, swapped=True)

    # DJANGO: QuerySet.__getitem__ asks the ends of a slice whether they are negative, then for their number.

    def __lt__(self, other: Any) -> bool:
        if type(other) is not int or other != 0:
            self.refuse("compare")
        return False

    def __int__(self) -> int:
        number = next(_numbers)
        self.sliced[number] = self
        return number

    # --- what would decide something once and for all

    def refuse(self, what: str) -> NoReturn:
        """Raise :class:`ConfigurationError` for something that one value cannot decide for all."""
        names = " and ".join(sorted(self.names))
        raise ConfigurationError(
            f"A prepared query cannot {what} its parameter {names}: the query is made once, for all values. Pass it to "
            "filter(), exclude() or a slice, and compute with it before the query is called."
        )

    def __bool__(self) -> bool:
        if not _is_asked_by_django():
            self.refuse("ask for the truth of")
        return True

    def __eq__(self, other: object) -> bool:
        if other is None or isinstance(other, (SliceParam, Expression, type)):
            return self is other
        if not _is_asked_by_django():
            self.refuse("compare")
        return False

    def __hash__(self) -> int:
        return id(self)

    def __gt__(self, other: Any) -> bool:
        self.refuse("compare")

    __ge__ = __le__ = __gt__

    def __str__(self) -> str:
        self.refuse("make text of")

    def __format__(self, spec: str) -> str:
        self.refuse("make text of")


def _is_asked_by_django() -> bool:
    """DJANGO: ``expr and expr.contains_aggregate`` (expressions.py), ``rhs == ""`` for Oracle (sql/query.py)."""
    return str(sys._getframe(2).f_globals.get("__name__")).startswith("django.db.models")


class Parameter(SliceParam, Expression):
    """One parameter of a prepared query. Django takes it for an expression, and so leaves it alone."""

    output_field: ClassVar[Any] = Field()
    conditional: Any = False

    def __init__(self, name: str, sliced: dict[int, SliceParam]) -> None:
        SliceParam.__init__(self, lambda values: values[name], frozenset({name}), sliced)
        self.name = name

    def resolve_expression(self, *args: Any, **kwargs: Any) -> Parameter:
        return self

    def get_source_expressions(self) -> list[Any]:
        return []

    def as_sql(self, compiler: Any, connection: Any) -> NoReturn:
        raise ConfigurationError(
            f"A prepared query uses its parameter {self.name} where no lookup adapts it to a column; pass it to "
            "filter(), exclude() or a slice."
        )

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_") or name in _ASKED_BY_DJANGO:
            raise AttributeError(name)
        self.refuse(f"use the attribute {name} of")

    def __repr__(self) -> str:
        return f"<Parameter {self.__dict__.get('name')}>"

    __eq__ = SliceParam.__eq__
    __hash__ = SliceParam.__hash__
    __add__ = SliceParam.__add__
    __radd__ = SliceParam.__radd__
    __sub__ = SliceParam.__sub__
    __rsub__ = SliceParam.__rsub__
    __mul__ = SliceParam.__mul__
    __rmul__ = SliceParam.__rmul__


_ASKED_BY_DJANGO = frozenset({"has_select_fields", "lookup_name", "query", "value", "rhs", "filterable", "opts", "pk"})


class Fragment(msgspec.Struct, frozen=True, eq=False):
    """What one hole came to in one statement."""

    hole: Any
    compiler: Any  # of the query that it is in
    sql: str
    count: int  # of its parameters
    plain: bool  # whether only its right-hand side can change

    def bind(self, values: Mapping[str, Any]) -> tuple[str, Sequence[Any]]:
        """The SQL and the parameters that it has with ``values``."""
        lookup = self.hole.real(values)
        if self.plain:  # PERF: the other side is a column, whatever the values are
            return lookup.process_rhs(self.compiler, self.compiler.connection)  # type: ignore[no-any-return]
        return self.compiler.compile(lookup)  # type: ignore[no-any-return]


class ParamSlot:
    """The place of one value in the parameters of prepared SQL."""

    __slots__ = ("piece", "position")

    def __init__(self, piece: int, position: int) -> None:
        self.piece = piece
        self.position = position


class Making(threading.local):
    """What is being compiled on this thread."""

    values: Mapping[str, Any] = {}
    pieces: list[Fragment] = []


making = Making()


class PlaceholderLookup:
    """Mixed into the class of a lookup whose right-hand side is made of parameters."""

    lhs: Any
    rhs: Any
    made_from: Any
    template: Any

    def get_source_expressions(self) -> list[Any]:
        return [self.lhs]

    def set_source_expressions(self, expressions: Sequence[Any]) -> None:
        [self.lhs] = expressions

    def real(self, values: Mapping[str, Any]) -> Any:
        """The lookup as ``filter()`` would have made it of ``values``."""
        return self.made_from(self.lhs, _filled(self.template, values))

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        real = self.real(making.values)
        sql, parameters = compiler.compile(real)
        piece, plain = sql, _is_plain(real)
        if plain:
            piece, parameters = real.process_rhs(compiler, connection)
        number = len(making.pieces)
        making.pieces.append(Fragment(self, compiler, piece, len(parameters), plain))
        return sql, [ParamSlot(number, position) for position in range(len(parameters))]

    as_sqlite = as_postgresql = as_mysql = as_oracle = as_sql


def _is_plain(lookup: Any) -> bool:
    """Whether its SQL is a column, an operator and what ``process_rhs`` makes of the value."""
    made_by_base = type(lookup).as_sql in (BuiltinLookup.as_sql, Exact.as_sql, RelatedLookupMixin.as_sql, In.as_sql)
    return made_by_base and type(lookup.lhs) is Col and not isinstance(lookup.rhs, bool)


_holed: dict[type, type] = {}


def _dig(lookup: Any) -> None:
    """Make a hole of a lookup, where it stands."""
    made_from = type(lookup)
    if made_from not in _holed:
        _holed[made_from] = type(f"Prepared{made_from.__name__}", (PlaceholderLookup, made_from), {})
    lookup.made_from = made_from
    lookup.template = _values(lookup.rhs)
    lookup.__class__ = _holed[made_from]


def _values(rhs: Any) -> Any:
    """The right-hand side as it was given. DJANGO: lists with expressions become one from 6.1 on."""
    if not isinstance(rhs, ExpressionList):
        return rhs
    entries = rhs.get_source_expressions()
    return [entry.value if type(entry) is Value else entry for entry in entries]


def _filled(template: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(template, Parameter):
        return values[template.name]
    if type(template) in (list, tuple):
        return type(template)(_filled(entry, values) for entry in template)
    return template


def _parameters(template: Any) -> Iterator[Parameter]:
    if isinstance(template, Parameter):
        yield template
    elif type(template) in (list, tuple):
        for entry in template:
            yield from _parameters(entry)


def dig_holes(query: Query) -> tuple[int, frozenset[str]]:
    """Make holes of the lookups of ``query`` that have parameters: how many, and the names of those parameters.

    Raises :class:`ConfigurationError` for a parameter anywhere else.
    """
    names: set[str] = set()
    count = 0
    for lookup in list(lookups_of(query)):
        found = {parameter.name for parameter in _parameters(_values(lookup.rhs))}
        if not found:
            _refuse_moment(lookup)
            continue
        if lookup.bilateral_transforms:
            raise ConfigurationError(f"{type(lookup).__name__} transforms both sides, which cannot be prepared.")
        if not isinstance(lookup, PlaceholderLookup):
            _dig(lookup)
        names |= found
        count += 1
    return count, frozenset(names)


def _refuse_moment(lookup: Any) -> None:
    """Raise for a date that the function has computed: what was today when it was prepared is not today tomorrow."""
    values = lookup.rhs if isinstance(lookup.rhs, (list, tuple)) else [lookup.rhs]
    moment = next((value for value in values if isinstance(value, (datetime.date, datetime.time))), None)
    if moment is not None:
        raise ConfigurationError(
            f"A prepared query compares with {moment!r}, which was computed when it was prepared and never will be "
            "again. Pass it as a parameter, or let the database say it: Now()."
        )


def lookups_of(node: Any, seen: set[int] | None = None) -> Iterator[Any]:
    """Every lookup anywhere in a query: its conditions, annotations and order, and the queries inside it."""
    seen = set() if seen is None else seen
    if node is None or isinstance(node, str) or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, SliceParam):
        raise ConfigurationError(
            f"A prepared query uses its parameter {' and '.join(node.names)} where no lookup adapts it to a column; "
            "pass it to filter(), exclude() or a slice."
        )
    if isinstance(node, Query):
        inner = _of_query(node)
    elif isinstance(node, Lookup):
        yield node
        inner = [node.lhs, *([node.rhs] if next(_parameters(_values(node.rhs)), None) is None else [])]
    elif isinstance(node, WhereNode):
        inner = list(node.children)
    elif isinstance(node, (list, tuple)):
        inner = list(node)
    elif hasattr(node, "get_source_expressions"):
        inner = [*node.get_source_expressions(), *(getattr(node, name, None) for name in ("query", "value", "params"))]
    else:
        inner = list(getattr(node, "params", None) or ())
    for entry in inner:
        yield from lookups_of(entry, seen)


def _of_query(query: Query) -> list[Any]:
    group_by = query.group_by if isinstance(query.group_by, tuple) else ()
    joins = [getattr(join, "filtered_relation", None) for join in query.alias_map.values()]
    conditions = [getattr(relation, "resolved_condition", None) for relation in joins if relation is not None]
    return [
        query.where,
        *query.annotations.values(),
        *query.combined_queries,
        *query.select,
        *query.order_by,
        *group_by,
        *conditions,
    ]
