"""Stand-ins for the values of a prepared query while its function is called once.

How this works: the function is called with :class:`Parameter` objects. In a filter, one becomes a
:class:`ParameterReference`, the right side of a lookup, which :mod:`~.placeholders` finds there. In a slice it is a
number, found again in the limits of the query. Anything else a function might do with a value (compare it, print it,
ask for its length) is rejected, because what one value decides may be wrong for the next.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from django.db.models import Expression, Field
from django.db.models.sql.compiler import SQLCompiler

from hybrid_gateway.exceptions import ConfigurationError

Values = Mapping[str, object]

FIRST_SLICE_MARK = 2**52
"""The numbers from here on stand for parameters in the limits of a query.

QuerySet takes nothing but integers in a slice. These are more than any table has rows, so that nobody writes one, and
the sum of a thousand of them is still a number that every database and driver takes (below 2**63).
"""

_marks = itertools.count(FIRST_SLICE_MARK)  # rising, because the start of a slice is asked before its end


def _arithmetic(
    operation: Callable[[Any, Any], object], *, swapped: bool = False
) -> Callable[[SliceParam, object], SliceParam]:
    def method(self: SliceParam, other: object) -> SliceParam:
        compute = other.compute if isinstance(other, SliceParam) else lambda values: other
        names = self.names | (other.names if isinstance(other, SliceParam) else frozenset())
        left, right = (compute, self.compute) if swapped else (self.compute, compute)
        return SliceParam(lambda values: operation(left(values), right(values)), names, self.marked)

    return method


class SliceParam:
    """A parameter in a slice, or arithmetic with one: ``[offset : offset + limit]``."""

    def __init__(
        self, compute: Callable[[Values], object], names: frozenset[str], marked: dict[int, SliceParam]
    ) -> None:
        self.compute = compute
        self.names = names
        self.marked = marked  # of one template: by mark, what was put into its limits

    __add__, __radd__ = _arithmetic(operator.add), _arithmetic(operator.add, swapped=True)
    __sub__, __rsub__ = _arithmetic(operator.sub), _arithmetic(operator.sub, swapped=True)
    __mul__, __rmul__ = _arithmetic(operator.mul), _arithmetic(operator.mul, swapped=True)

    # DJANGO: QuerySet.__getitem__ asks the ends of a slice whether they are negative, then for their number.

    def __lt__(self, other: object) -> bool:
        if type(other) is not int or other != 0:
            self.reject("compare")
        return False

    def __int__(self) -> int:
        mark = next(_marks)
        self.marked[mark] = self
        return mark

    # --- what would decide something once and for all

    def reject(self, use: str) -> NoReturn:
        """Raise :class:`ConfigurationError` for something that one value cannot decide for all."""
        names = " and ".join(sorted(self.names))
        raise ConfigurationError(
            f"A prepared query cannot {use} its parameter {names}: the query is made once, for all values. Pass it to "
            "filter(), exclude() or a slice, and compute with it before the query is called.",
            id="Q001",
        )

    def __bool__(self) -> bool:
        self.reject("ask for the truth of")

    def __eq__(self, other: object) -> bool:
        if other is not None and not isinstance(other, (SliceParam, Expression, type)):
            self.reject("compare")
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __gt__(self, other: object) -> bool:
        self.reject("compare")

    __ge__ = __le__ = __gt__

    def __str__(self) -> str:
        self.reject("make text of")

    def __format__(self, spec: str) -> str:
        self.reject("make text of")


class Parameter(SliceParam):
    """One parameter of a prepared query, as its function sees it. Django takes it for an expression to be resolved."""

    def __init__(self, name: str, marked: dict[int, SliceParam]) -> None:
        super().__init__(lambda values: values[name], frozenset({name}), marked)
        self.name = name
        self._reference = ParameterReference(name)

    def resolve_expression(self, *args: object, **kwargs: object) -> ParameterReference:
        """Return what is put into the query: an expression, of which Django may ask what it likes."""
        return self._reference

    def __getattr__(self, name: str) -> object:
        if not hasattr(Expression, name):
            if name.startswith("_") or name in _ASKED_BY_DJANGO:
                raise AttributeError(name)
            self.reject(f"use the attribute {name} of")
        return getattr(self._reference, name)

    def __repr__(self) -> str:
        return f"<Parameter {self.__dict__.get('name')}>"


_ASKED_BY_DJANGO = frozenset({"has_select_fields", "lookup_name", "query", "value", "rhs", "opts", "pk"})


class ParameterReference(Expression):
    """The parameter of a prepared query inside of the query: the right side of a lookup, or an item of one."""

    def __init__(self, name: str) -> None:
        super().__init__(output_field=Field())
        self.name = name

    def resolve_expression(self, *args: object, **kwargs: object) -> ParameterReference:
        return self

    def as_sql(self, compiler: SQLCompiler, connection: object) -> NoReturn:
        raise ConfigurationError(unadapted(self.name), id="Q001")

    def __repr__(self) -> str:
        return f"<parameter {self.name}>"

    __eq__ = object.__eq__
    __hash__ = object.__hash__


def unadapted(name: str) -> str:
    """Return what is said of a parameter that no lookup adapts."""
    return (
        f"A prepared query uses its parameter {name} where no lookup adapts it to a column; pass it to filter(), "
        "exclude() or a slice."
    )
