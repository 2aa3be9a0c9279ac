"""The reading of a ModelStruct: which columns one query selects, what becomes of a row, which lists need a query more.

How this works: every value that is needed has a slot in the row; what makes the Struct of a row is an expression of
those slots, compiled once per connection, because what Django's backends do to a value (a ``datetime`` of SQLite's
text) differs from one to the next. The fields of a class are walked once, together with the fields of its model.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, cast

import msgspec
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import CompositePrimaryKey, Model, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.db.models.expressions import Col, Expression
from django.db.models.fields.related import ForeignObjectRel
from django.db.models.sql import Query
from msgspec import UNSET

from hybrid_gateway._compat.django_query_internals import Converters, own_columns, select_columns, select_paths
from hybrid_gateway.class_annotations import computed
from hybrid_gateway.codegen import define
from hybrid_gateway.exceptions import ConfigurationError, located
from hybrid_gateway.orm.columns.column_types import read_converter
from hybrid_gateway.orm.columns.field_facts import (
    PathStep,
    check_has_one_column,
    has_fixed_join,
    has_several_columns,
    key_columns,
)
from hybrid_gateway.orm.columns.row_converters import LOOK_NAMES, converted
from hybrid_gateway.orm.columns.struct_annotations import Column
from hybrid_gateway.orm.introspection import (
    StructClass,
    columns_of,
    computed_of,
    hints_of,
    holds_structs,
    is_model_struct,
    model_of,
    needs_instances,
    once_per_struct,
)
from hybrid_gateway.orm.querysets.lookup_paths import (
    chosen_of,
    is_annotation,
    is_compatible_model,
    is_optional_step,
    is_to_many,
    lookup_path,
    path_steps,
)
from hybrid_gateway.orm.querysets.querysets import key_names
from hybrid_gateway.orm.read.related_list import RelatedList, related_list
from hybrid_gateway.type_info import bare, is_nullable

Index = defaultdict[object, list[list[object]]]
"""By key, the lists that the rows on the other side of it are added to."""

RowsFactory = Callable[..., list[Any]]
"""Makes Structs of rows; its other arguments are an :data:`Index` for each list."""


class ReadPlan:
    """The plan by which one class is read."""

    def __init__(self, struct: type[msgspec.Struct], model: type[Model]) -> None:
        self.struct = struct
        self.model = model
        self.paths: list[str] = []  # of the row, in order: columns of the model and of what it refers to
        self.named: list[str] = []  # then: annotations that the queryset must bring
        self.expressions: dict[str, Expression] = {}  # then: those that are added to it
        self.many: list[RelatedList] = []
        self.names: dict[str, object] = {"UNSET": UNSET}  # what the code calls by name
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
    def is_fixed(self) -> bool:
        """True where the SQL of what is selected is the same each time, whatever the language or the queryset."""
        steps = [step for path in self.paths for step in path_steps(self.model, path, self.struct.__qualname__)]
        return not (self.named or self.expressions) and all(map(has_fixed_join, steps))

    @cached_property
    def reads_instances(self) -> bool:
        """True where rows are read as instances, because functions of the class are called with those."""
        return needs_instances(self.struct)

    @cached_property
    def width(self) -> int:
        """The number of values of a row that are the Struct's."""
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

    def rows_factory(self, converters: Converters, connection: BaseDatabaseWrapper, columns: int | None) -> RowsFactory:
        """Return the function that makes Structs of rows with so many ``columns``, ``None`` where nobody knows."""
        groups = (("p", self.paths), ("n", self.named), ("e", self.expressions))
        slots = [f"{letter}{number}" for letter, group in groups for number in range(len(group))]
        names = {**self.names, **LOOK_NAMES, "connection": connection}
        cells: dict[str, str] = {}
        for position, slot in enumerate(slots):
            # PERF: a row that is unpacked takes half of one that is asked for each of its columns.
            cell = f"row[{position}]" if columns is None else f"c{position}"
            cells[slot], own = converted(cell, position, converters, connection)
            names |= own
        lists = "".join(f", many{number}" for number in range(len(self.many)))
        row = "row" if columns is None else "".join(f"c{position}, " for position in range(columns))
        source = (
            f"def make(rows{lists}):\n"
            "    zone = connection.timezone\n"
            f"    return [{self.code.format_map(cells)} for {row} in rows]\n"
        )
        return define("make", source, names, f"rows of {self.struct.__qualname__}")

    def check_model(self, model: type[Model]) -> None:
        """Raise :class:`ConfigurationError` where a queryset is of another model."""
        if not issubclass(model, self.model) and model._meta.concrete_model is not self.model._meta.concrete_model:
            raise ConfigurationError(
                f"{self.struct.__qualname__} is of {self.model.__name__}, not of {model.__name__}.", id="M008"
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
                f"{self.struct.__qualname__} reads {', '.join(missing)}, which the queryset must annotate().", id="M010"
            )
        # The table of a child has none of the columns of its parent.
        is_own = queryset.model._meta.concrete_model is self.model._meta.concrete_model
        local = self.local_columns if is_own and not more else None
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


@once_per_struct
def read_plan_of(struct: StructClass) -> ReadPlan:
    """Return how ``struct`` is read; raises ConfigurationError for a field that its model lacks or cannot fill."""
    model = model_of(struct)
    plan = ReadPlan(struct, model)
    plan.code = _ReadPlanBuilder(plan).struct(_Level(struct, model))
    if not (plan.paths or plan.named or plan.expressions or plan.many):  # all that is shown is that there is a row
        plan.column_slot(model._meta.concrete_fields[0].attname)
    return plan


class _Level(msgspec.Struct, frozen=True, eq=False):
    """A Struct of the walk, and how its rows are reached from the first one."""

    struct: StructClass
    model: type[Model]
    prefix: str = ""  # of paths: ends in two underscores
    around: tuple[StructClass, ...] = ()  # the Structs that it is nested in


class _Field(msgspec.Struct, frozen=True, eq=False):
    """A field of such a Struct."""

    level: _Level
    name: str
    annotation: object
    column: Column

    @property
    def where(self) -> str:
        """The name in messages."""
        return f"{self.level.struct.__qualname__}.{self.name}"

    def check_nullable(self, *, may_be_null: bool) -> None:
        if may_be_null and not is_nullable(self.annotation):
            raise ConfigurationError(
                f"{self.where} can be null in the database: write `| None` after its type.", id="M004"
            )


class _ReadPlanBuilder:
    """Walks a class and its model; the code it gives names slots as ``{p0}``."""

    def __init__(self, plan: ReadPlan) -> None:
        self._plan = plan

    def struct(self, level: _Level) -> str:
        """Return the code of a Struct, whose columns are read below a prefix."""
        struct = level.struct
        if struct in level.around:
            chain = " → ".join(entry.__qualname__ for entry in (*level.around, struct))
            raise ConfigurationError(
                f"{chain}: a Struct cannot be joined to itself without end; use another inside.", id="M009"
            )
        columns, computed_fields = columns_of(struct), computed_of(struct)
        parameters = inspect.signature(struct).parameters
        arguments = []
        for name, annotation in hints_of(struct).items():
            field = _Field(level, name, annotation, columns.get(name) or Column())
            entry = computed_fields.get(name)
            with located(struct):
                code = self._field(field) if entry is None else self._computed(field, entry)
            arguments.append(f"{name}={code}" if parameters[name].kind is inspect.Parameter.KEYWORD_ONLY else code)
        return f"{self._plan.name_for('struct', struct)}({', '.join(arguments)})"

    def _computed(self, field: _Field, entry: computed[object]) -> str:
        if not entry.columns:
            return "UNSET"  # such a class is read by instances
        slots = []
        for path in entry.columns:
            steps = list(path_steps(field.level.model, path, field.where))
            if any(is_to_many(step) for step in steps):
                raise ConfigurationError(f"{field.where} is computed of {path!r}, which leads to many rows.", id="M007")
            slots.append(self._column(field.level, steps, lookup_path(path, steps)))
        return f"{self._plan.name_for('compute', entry.function)}({', '.join(slots)})"

    def _field(self, field: _Field) -> str:
        source = field.column.source
        if field.column.is_unseen:
            return "UNSET"
        if source is ...:
            return self._path(field, field.name)
        if not isinstance(source, str):
            if holds_structs(field.annotation):
                raise ConfigurationError(
                    f"{field.where} is an expression, which gives single values: name a relation, such as "
                    'Column("reviews"), to nest a ModelStruct.',
                    id="M001",
                )
            slot = self._annotation_slot(field, f"_{field.name}", cast("Expression", source))
            kind = bare(field.annotation)
            return f"({slot} if {slot} is None else {kind.__name__}({slot}))" if kind in (float, str) else slot
        if is_annotation(field.level.model, source) and not holds_structs(field.annotation):
            return self._annotation_slot(field, source)
        return self._path(field, source)

    def _annotation_slot(self, field: _Field, name: str, expression: Expression | None = None) -> str:
        if field.level.prefix:
            raise ConfigurationError(f"{field.where} is an annotation, which a nested Struct cannot have.", id="M010")
        return self._plan.annotation_slot(name, expression)

    def _path(self, field: _Field, path: str) -> str:
        level = field.level
        steps = list(path_steps(level.model, path, field.where))
        path = lookup_path(path, steps)
        for position, step in enumerate(steps):
            if is_to_many(step):
                return self._list(field, step, path.split(LOOKUP_SEP), position)
        last = steps[-1]
        is_optional = any(is_optional_step(step) for step in steps)
        if is_model_struct(field.annotation):
            return self._nested(field, path, last, is_optional=is_optional)
        if isinstance(last, ForeignObjectRel):
            last, path = last.related_model._meta.pk, f"{path}{LOOKUP_SEP}pk"
        field.check_nullable(may_be_null=is_optional or last.null)
        convert = read_converter(field.annotation, last, field.where)
        slot = self._column(level, [*steps[:-1], last], path)
        if convert is None:
            return slot
        value = self._plan.name_for("value", None)
        return f"(None if ({value} := {slot}) is None else {self._plan.name_for('make', convert)}({value}))"

    def _column(self, level: _Level, steps: Sequence[PathStep], path: str) -> str:
        """Return the code of what is at the end of a path: of a column, or of those that it is made of."""
        path = level.prefix + path
        before = path.removesuffix(path.split(LOOKUP_SEP)[-1])
        if isinstance(steps[-1], CompositePrimaryKey):
            key = [self._plan.column_slot(before + part.attname) for part in key_columns(steps[-1].model)]
            return f"(None if {key[0]} is None else ({', '.join(key)}))"
        chosen = chosen_of(level.model, steps)
        if chosen is None:
            check_has_one_column(steps[-1])
            return self._plan.column_slot(path)
        names, choose = chosen
        slots = ", ".join(self._plan.column_slot(before + name) for name in names)
        return f"{self._plan.name_for('choose', choose)}({slots})"

    def _nested(self, field: _Field, path: str, last: PathStep, *, is_optional: bool) -> str:
        level, struct = field.level, bare(field.annotation)
        model = model_of(struct)
        if not last.is_relation or not is_compatible_model(model, last.related_model):
            raise ConfigurationError(
                f"{field.where} is a {model.__name__}, which {path!r} does not lead to.", id="M008"
            )
        field.check_nullable(may_be_null=is_optional)
        inside = f"{level.prefix}{path}{LOOKUP_SEP}"
        is_elsewhere = isinstance(last, ForeignObjectRel) or has_several_columns(last)
        key = f"{inside}{key_names(last.related_model)[0]}" if is_elsewhere else level.prefix + path
        present = self._plan.column_slot(key)
        code = self.struct(_Level(struct, model, inside, (*level.around, level.struct)))
        return f"(None if {present} is None else {code})" if is_optional or level.prefix else code

    def _list(self, field: _Field, step: PathStep, names: Sequence[str], position: int) -> str:
        rest = LOOKUP_SEP.join(names[position + 1 :])
        many = related_list(step, rest, field.annotation, field.column, field.where)
        self._plan.many.append(many)
        owner = field.level.prefix + LOOKUP_SEP.join([*names[:position], many.owner_column])
        number = len(self._plan.many) - 1
        # The list is the first of a pair; the other one tells its index of it.
        return f"(list{number} := [], many{number}[{self._plan.column_slot(owner)}].append(list{number}))[0]"
