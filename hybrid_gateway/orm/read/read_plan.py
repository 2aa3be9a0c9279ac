"""How a ModelStruct is read: which columns one query selects, what becomes of a row, which lists need a query more.

How this works: every value that is needed has a slot in the row; what makes the Struct of a row is an expression of
those slots, compiled once per connection, because what Django's backends do to a value (a ``datetime`` of SQLite's
text) differs from one to the next.
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import msgspec
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model, QuerySet
from django.db.models.expressions import Col, Expression
from django.db.models.sql import Query
from msgspec import UNSET

from hybrid_gateway._compat.django_query_internals import Converters, own_columns, select_columns, select_paths
from hybrid_gateway.codegen import define
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.querysets.ordering import key_names
from hybrid_gateway.orm.read.related_list import RelatedList

__all__ = ["Index", "ReadPlan", "RowFactory"]

Index = defaultdict[object, list[list[object]]]
"""By key, the lists that the rows on the other side of it are added to."""

RowFactory = Callable[..., Any]
"""Makes the Struct of a row; its other arguments are an :data:`Index` for each list."""


class ReadPlan:
    """How one class is read."""

    def __init__(self, struct: type[msgspec.Struct], model: type[Model]) -> None:
        self.struct = struct
        self.model = model
        self.paths: list[str] = []  # of the row, in order: columns of the model and of what it refers to
        self.named: list[str] = []  # then: annotations that the queryset must bring
        self.expressions: dict[str, Expression] = {}  # then: those that are added to it
        self.many: list[RelatedList] = []
        self.names: dict[str, object] = {"add_list": _add_list, "UNSET": UNSET}  # what the code calls by name
        self.code = ""  # an expression that makes the Struct, with slots as ``{p0}``

    @cached_property
    def selected(self) -> tuple[str, ...]:
        """The paths and the names of annotations of a row, in order."""
        return (*self.paths, *self.named, *self.expressions)

    @cached_property
    def local_columns(self) -> tuple[Col, ...] | None:
        """The columns, where all are of the model's own table; what Django would look up again for each query."""
        return None if self.named or self.expressions else own_columns(self.model, self.paths)

    @cached_property
    def width(self) -> int:
        """How many values of a row are the Struct's."""
        return len(self.selected)

    def column_slot(self, path: str) -> str:
        """Return the name of the slot of a column; asked for twice it is one."""
        if path not in self.paths:
            self.paths.append(path)
        return f"{{p{self.paths.index(path)}}}"

    def annotation_slot(self, name: str, expression: Expression | None = None) -> str:
        """Return the name of the slot of an annotation."""
        if expression is None:
            if name not in self.named:
                self.named.append(name)
            return f"{{n{self.named.index(name)}}}"
        self.expressions[name] = expression
        return f"{{e{list(self.expressions).index(name)}}}"

    def name_for(self, role: str, value: object) -> str:
        """Return the name by which the code calls ``value``."""
        name = f"{role}{len(self.names)}"
        self.names[name] = value
        return name

    def row_factory(self, converters: Converters, connection: BaseDatabaseWrapper) -> RowFactory:
        """Return the function that makes a Struct of a row and the indexes of its lists.

        ``converters`` are Django's of one query: by position, functions and the expression they want to see.
        """
        groups = (("p", self.paths), ("n", self.named), ("e", self.expressions))
        slots = [f"{letter}{number}" for letter, group in groups for number in range(len(group))]
        names = {**self.names, "connection": connection}
        cells: dict[str, str] = {}
        for position, slot in enumerate(slots):
            cell = f"row[{position}]"
            functions, expression = converters.get(position, ((), None))
            for number, convert in enumerate(functions):
                called = f"db{position}_{number}"
                fast = _fast_converter(convert, connection)
                names |= {called: fast or convert, f"ex{position}": expression}
                cell = f"{called}({cell})" if fast is not None else f"{called}({cell}, ex{position}, connection)"
            cells[slot] = cell
        lists = "".join(f", many{number}" for number in range(len(self.many)))
        source = f"def make(row{lists}):\n    return {self.code.format_map(cells)}\n"
        return define("make", source, names, f"row of {self.struct.__qualname__}")

    def check_model(self, model: type[Model]) -> None:
        """Raise :class:`ConfigurationError` where a queryset is of another model."""
        if not issubclass(model, self.model) and model._meta.concrete_model is not self.model._meta.concrete_model:
            raise ConfigurationError(
                f"{self.struct.__qualname__} is of {self.model.__name__}, not of {model.__name__}."
            )

    def select(self, queryset: QuerySet[Model], *, more: Sequence[str] = ()) -> Query:
        """Return the query of ``queryset`` that selects the columns of the plan, and ``more`` paths behind them."""
        if queryset.model is not self.model:  # PERF: asked here, since it nearly never is
            self.check_model(queryset.model)
        if self.expressions:
            queryset = queryset.annotate(**self.expressions)
        query = queryset.query.chain()
        if missing := self.named and [name for name in self.named if name not in query.annotations]:
            raise ConfigurationError(
                f"{self.struct.__qualname__} reads {', '.join(missing)}, which the queryset must annotate()."
            )
        local = None if more else self.local_columns
        plain = query.group_by is None and query.combinator is None
        if local is not None and plain and not (query.distinct or query.annotations or query.extra):
            # PERF: what select_paths() comes to, without looking up every field (some 30 µs for 8 of them).
            select_columns(query, local)
            return query
        paths = [*self.selected, *more]
        if (query.distinct and not query.distinct_fields) or query.combinator:
            # Rows are what is distinct, or what is in both, not what a Struct shows of them.
            paths += [name for name in key_names(queryset.model) if name not in paths]
        select_paths(query, paths)
        return query

    def __repr__(self) -> str:
        return f"<ReadPlan of {self.struct.__qualname__}: {', '.join(self.selected)}>"


def _fast_converter(convert: Callable[..., Any], connection: BaseDatabaseWrapper) -> Callable[[object], object] | None:
    """PERF: the most frequent conversion of SQLite without its detours, 0.2 µs instead of 0.9."""
    if connection.vendor != "sqlite" or getattr(convert, "__name__", "") != "convert_datetimefield_value":
        return None

    def make_aware(value: object) -> object:
        if type(value) is not datetime.datetime:
            return convert(value, None, connection)
        zone = connection.timezone
        return value if zone is None or value.tzinfo is not None else value.replace(tzinfo=zone)

    return make_aware


def _add_list(index: Index, key: object) -> list[object]:
    """Return a new list that the rows with this key will be added to."""
    items: list[object] = []
    index[key].append(items)
    return items
