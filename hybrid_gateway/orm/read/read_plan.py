"""How a ModelStruct is read: which columns one query selects, what becomes of a row, which lists need a query more.

How this works: the fields of a class are walked once, together with the fields of its model. Every value that is needed
gets a place in the row; what makes the Struct of a row is an expression of those places, compiled once per connection,
because what Django's backends do to a value (a ``datetime`` of SQLite's text) differs from one to the next.
"""

from __future__ import annotations

import copy
import datetime
import typing
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import msgspec
from django.db import models
from django.db.models.constants import LOOKUP_SEP
from django.db.models.fields.related import ForeignObjectRel
from msgspec import UNSET

from hybrid_gateway.codegen import define
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.columns.column_types import bare, check_is_one, converter, is_optional, is_several, real_field
from hybrid_gateway.orm.columns.modeltranslation import chosen_of
from hybrid_gateway.orm.columns.struct_annotations import Column
from hybrid_gateway.orm.model_struct import columns_of, computed_of, is_model_struct
from hybrid_gateway.orm.querysets.lookup_paths import (
    fits,
    follow,
    is_annotation,
    is_to_many,
    may_be_absent,
    narrowing,
    passes_many,
    paths_in,
)
from hybrid_gateway.orm.querysets.ordering import key_names, name_of

__all__ = ["RelatedList", "ReadPlan"]

Cell = Callable[[int], str]
"""The code of a value by its place in the row."""


class ReadPlan:
    """How one class is read."""

    def __init__(self, struct: Any) -> None:
        self.struct = struct
        self.model: type[models.Model] = struct.__model__
        self.paths: list[str] = []  # of the row, in order: columns of the model and of what it refers to
        self.named: list[str] = []  # then: annotations that the queryset must bring
        self.expressions: dict[str, Any] = {}  # then: those that are added to it
        self.many: list[RelatedList] = []
        self.names: dict[str, Any] = {"enter": _enter, "UNSET": UNSET}  # what the code calls by name
        self.code = _Reading(self).struct(struct, self.model, "", ())
        if not (self.width or self.many):  # nothing of a row is shown, but that there is one
            self.place(self.model._meta.concrete_fields[0].attname)

    @cached_property
    def local_columns(self) -> tuple[Any, ...] | None:
        """The columns, where all are of the model's own table; what Django would look up again for each query."""
        if self.named or self.expressions:
            return None
        meta = self.model._meta
        fields = [meta._forward_fields_map.get(path) for path in self.paths]  # type: ignore[attr-defined]
        if any(field is None or field.model._meta.concrete_model is not meta.concrete_model for field in fields):
            return None
        # Not the field's own, which of a foreign key is without what the key's field makes of values.
        return tuple(field.get_col(meta.db_table) for field in fields)

    @property
    def width(self) -> int:
        """How many values of a row are the Struct's."""
        return len(self.paths) + len(self.named) + len(self.expressions)

    def place(self, path: str) -> str:
        """The name of the place of a column; asked for twice it is one."""
        if path not in self.paths:
            self.paths.append(path)
        return f"{{p{self.paths.index(path)}}}"

    def added(self, name: str, expression: Any = None) -> str:
        """The name of the place of an annotation."""
        if expression is None:
            if name not in self.named:
                self.named.append(name)
            return f"{{n{self.named.index(name)}}}"
        self.expressions[name] = expression
        return f"{{e{list(self.expressions).index(name)}}}"

    def call(self, role: str, value: Any) -> str:
        """What the code calls ``value``."""
        name = f"{role}{len(self.names)}"
        self.names[name] = value
        return name

    def row_factory(self, converters: Mapping[int, tuple[Sequence[Any], Any]], connection: Any) -> Callable[..., Any]:
        """The function that makes a Struct of a row and the indexes of its lists.

        ``converters`` are Django's of one query: by place, functions and the expression they want to see.
        """
        names = {**self.names, "connection": connection}
        cells: dict[str, str] = {}
        for place in range(self.width):
            cell = f"row[{place}]"
            functions, expression = converters.get(place, ((), None))
            for number, convert in enumerate(functions):
                called = f"db{place}_{number}"
                swift = _swift(convert, connection)
                names |= {called: swift or convert, f"ex{place}": expression}
                cell = f"{called}({cell})" if swift is not None else f"{called}({cell}, ex{place}, connection)"
            cells[self._name(place)] = cell
        lists = "".join(f", many{number}" for number in range(len(self.many)))
        source = f"def make(row{lists}):\n    return {self.code.format_map(cells)}\n"
        return define("make", source, names, f"row of {self.struct.__qualname__}")

    def _name(self, place: int) -> str:
        columns, named = len(self.paths), len(self.named)
        if place < columns:
            return f"p{place}"
        return f"n{place - columns}" if place < columns + named else f"e{place - columns - named}"

    def __repr__(self) -> str:
        return f"<Shape of {self.struct.__qualname__}: {', '.join([*self.paths, *self.named, *self.expressions])}>"


def _swift(convert: Any, connection: Any) -> Callable[[Any], Any] | None:
    """PERF: the most frequent conversion of SQLite without its detours, 0.2 µs instead of 0.9."""
    if connection.vendor != "sqlite" or getattr(convert, "__name__", "") != "convert_datetimefield_value":
        return None

    def aware(value: Any) -> Any:
        if type(value) is not datetime.datetime:
            return convert(value, None, connection)
        zone = connection.timezone
        return value if zone is None or value.tzinfo is not None else value.replace(tzinfo=zone)

    return aware


def _enter(index: defaultdict[Any, list[list[Any]]], key: Any) -> list[Any]:
    """A list that the rows with this key will be added to."""
    found: list[Any] = []
    index[key].append(found)
    return found


class RelatedList(msgspec.Struct, frozen=True, eq=False):
    """A list of a Struct: the rows on the other side, all at once, by the key that they share with their owners."""

    model: Any  # on the other side
    link: str  # the path from there to the key
    struct: Any  # what they become; None: single values
    value: tuple[tuple[str, ...], Any] | None  # their paths, and what makes a value of those of a row
    order_by: tuple[Any, ...]
    condition: Any
    narrow: Callable[[Any, Any], Any] | None  # how it is put to the rows
    extra: Callable[[], dict[str, Any]] | None  # what else narrows the rows, of a generic relation
    own: Callable[[Any], Any] | None  # what makes the owner's key of the link of a generic relation, which may be text
    prepared: dict[str, Any] = {}  # the query of these rows, by database

    def rows(self, using: str) -> Any:
        """The rows on the other side, in order, of whomever."""
        queryset = self.model._default_manager.using(using)
        if self.extra is not None:
            queryset = queryset.filter(**self.extra())
        if self.narrow is not None:
            # Managers of others (django-modeltranslation) change the condition that they are given.
            queryset = self.narrow(queryset, copy.deepcopy(self.condition))
        if self.order_by:
            return queryset.order_by(*self.order_by)
        return queryset if queryset.ordered else queryset.order_by("pk")


class _Reading:
    """Walks a class and its model; the code it gives names places as ``{p0}``."""

    def __init__(self, shape: ReadPlan) -> None:
        self._shape = shape

    def struct(self, struct: Any, model: Any, prefix: str, around: tuple[Any, ...]) -> str:
        """The code of a Struct, whose columns are read below ``prefix``."""
        if struct in around:
            chain = " → ".join(entry.__qualname__ for entry in (*around, struct))
            raise ConfigurationError(f"{chain}: a Struct cannot be joined to itself without end; use another inside.")
        hints = {field.name: field.type for field in msgspec.structs.fields(struct)}
        columns, made = columns_of(struct), computed_of(struct)
        arguments = []
        for name, annotation in hints.items():
            where = f"{struct.__qualname__}.{name}"
            if name in made:
                code = self._computed(made[name], model, prefix, where)
            else:
                code = self._field(name, annotation, columns.get(name) or Column(), model, prefix, (*around, struct))
            arguments.append(f"{name}={code}")
        return f"{self._shape.call('struct', struct)}({', '.join(arguments)})"

    def _computed(self, entry: Any, model: Any, prefix: str, where: str) -> str:
        places = []
        for path in entry.columns:
            steps = list(follow(model, path, where))
            if any(is_to_many(field) for field in steps):
                raise ConfigurationError(f"{where} is computed of {path!r}, which leads to many rows.")
            places.append(self._column(model, steps, prefix + path))
        return f"{self._shape.call('compute', entry.function)}({', '.join(places)})"

    def _field(
        self, name: str, annotation: Any, column: Column, model: Any, prefix: str, around: tuple[Any, ...]
    ) -> str:
        where = f"{around[-1].__qualname__}.{name}"
        if column.is_unseen:
            return "UNSET"
        if column.source is ... or isinstance(column.source, str):
            path = name if column.source is ... else column.source
            if column.source is not ... and is_annotation(model, path):
                return self._annotation(path, None, annotation, prefix, where)
            return self._path(path, annotation, column, model, prefix, around, where)
        return self._annotation(name, column.source, annotation, prefix, where)

    def _annotation(self, name: str, expression: Any, annotation: Any, prefix: str, where: str) -> str:
        if prefix:
            raise ConfigurationError(f"{where} is an annotation, which a nested Struct cannot have.")
        place = self._shape.added(f"_{name}" if expression is not None else name, expression)
        kind = bare(annotation)
        if kind in (float, str) and expression is not None:
            return f"({place} if {place} is None else {self._shape.call('make', kind)}({place}))"
        return place

    def _path(
        self, path: str, annotation: Any, column: Column, model: Any, prefix: str, around: tuple[Any, ...], where: str
    ) -> str:
        steps = list(follow(model, path, where))
        for position, field in enumerate(steps):
            if is_to_many(field):
                owner = LOOKUP_SEP.join([*path.split(LOOKUP_SEP)[:position]])
                rest = LOOKUP_SEP.join(path.split(LOOKUP_SEP)[position + 1 :])
                return self._list(
                    field, rest, annotation, column, f"{prefix}{owner}{LOOKUP_SEP if owner else ''}", where
                )
        field = steps[-1]
        outer = any(may_be_absent(step) for step in steps)
        if is_model_struct(annotation):
            return self._one(path, field, annotation, prefix, around, where, outer=outer)
        if isinstance(field, ForeignObjectRel):
            field, path = field.related_model._meta.pk, f"{path}{LOOKUP_SEP}pk"
        if (outer or field.null) and not is_optional(annotation):
            raise ConfigurationError(f"{where} can be null in the database: write `| None` after its type.")
        convert = converter(annotation, field, where)
        place = self._column(model, [*steps[:-1], field], prefix + path)
        if convert is None:
            return place
        value = self._shape.call("value", None)
        return f"(None if ({value} := {place}) is None else {self._shape.call('make', convert)}({value}))"

    def _column(self, model: Any, steps: Sequence[Any], path: str) -> str:
        """The place of what is at the end of a path: of a column, or of those that it is made of."""
        field, before = steps[-1], path.rpartition(LOOKUP_SEP)[0]
        before = f"{before}{LOOKUP_SEP}" if before else ""
        if isinstance(field, models.CompositePrimaryKey):
            parts: Any = field.fields
            key = [self._shape.place(before + part.attname) for part in parts]
            return f"(None if {key[0]} is None else ({', '.join(key)}))"
        chosen = chosen_of(steps[-2].related_model if len(steps) > 1 else model, field)
        if chosen is None:
            check_is_one(field)
            return self._shape.place(path)
        names, choose = chosen
        places = ", ".join(self._shape.place(before + name) for name in names)
        return f"{self._shape.call('choose', choose)}({places})"

    def _one(
        self,
        path: str,
        field: Any,
        annotation: Any,
        prefix: str,
        around: tuple[Any, ...],
        where: str,
        *,
        outer: bool,
    ) -> str:
        kind = bare(annotation)
        if not field.is_relation or not fits(kind.__model__, field.related_model):
            raise ConfigurationError(f"{where} is a {kind.__model__.__name__}, which {path!r} does not lead to.")
        if outer and not is_optional(annotation):
            raise ConfigurationError(f"{where} can be null in the database: write `| None` after its type.")
        inside = f"{prefix}{path}{LOOKUP_SEP}"
        is_elsewhere = isinstance(field, ForeignObjectRel) or is_several(field)
        key = f"{inside}{key_names(field.related_model)[0]}" if is_elsewhere else prefix + path
        present = self._shape.place(key)
        code = self.struct(kind, kind.__model__, inside, around)
        return f"(None if {present} is None else {code})" if outer or prefix else code

    def _list(self, field: Any, rest: str, annotation: Any, column: Column, owner: str, where: str) -> str:
        kind = bare(annotation)
        if typing.get_origin(kind) is not list:
            raise ConfigurationError(f"{where} leads to many rows: its type is list[...].")
        [item] = typing.get_args(kind)
        related, link, key, extra, own = _relation(field)
        narrow = _checked(column, related, where)
        nested, value = None, None
        if is_model_struct(item):
            if rest or not fits(bare(item).__model__, related):
                raise ConfigurationError(
                    f"{where} lists {bare(item).__model__.__name__}, but its path leads to {related.__name__}."
                )
            nested = bare(item)
        else:
            steps = list(follow(related, rest, where)) if rest else [related._meta.pk]
            last = steps[-1]
            if is_to_many(last):
                raise ConfigurationError(f"{where} leads to lists in lists; nest a ModelStruct.")
            value = _value_of(related, steps, rest or "pk", converter(item, last, where))
        many = RelatedList(related, link, nested, value, column.order_by, column.filter, narrow, extra, own)
        self._shape.many.append(many)
        return f"enter(many{len(self._shape.many) - 1}, {self._shape.place(owner + key)})"


def _value_of(related: Any, steps: Sequence[Any], path: str, convert: Any) -> tuple[tuple[str, ...], Any]:
    """The paths of one value, and what is made of theirs."""
    chosen = chosen_of(steps[-2].related_model if len(steps) > 1 else related, steps[-1])
    if chosen is None:
        return (path,), convert and (lambda value: None if value is None else convert(value))
    names, choose = chosen
    before = path.removesuffix(steps[-1].name)

    def make(*values: Any) -> Any:
        value = choose(*values)
        return value if convert is None or value is None else convert(value)

    return tuple(before + name for name in names), make


def _checked(column: Column, related: Any, where: str) -> Callable[[Any, Any], Any] | None:
    """How a list is narrowed; raises :class:`ConfigurationError` for an order in which rows would come twice."""
    for term in column.order_by:
        name = name_of(term)
        if name is not None and passes_many(related, name):
            raise ConfigurationError(f"{where} cannot be ordered by {name!r}, which leads to many rows of each.")
    return None if column.filter is None else narrowing(related, paths_in(column.filter))


_Relation = tuple[Any, str, str, Callable[[], dict[str, Any]] | None, Callable[[Any], Any] | None]


def _relation(field: Any) -> _Relation:
    """The model on the other side, the path from there to the key, the owner's key, what else narrows the rows, and
    what makes a key of the owner's of one from there."""
    if isinstance(field, ForeignObjectRel):
        if field.many_to_many:
            return field.related_model, field.field.name, "pk", None, None
        check_is_one(field.field)
        return field.related_model, field.field.attname, field.field.target_field.name, None, None
    if field.many_to_many:
        return field.related_model, field.related_query_name(), "pk", None, None
    key = field.model._meta.pk
    if isinstance(key, models.CompositePrimaryKey):
        raise ConfigurationError(f"{field.model.__name__}.{field.name} cannot refer to a composite key.")
    own = real_field(key).to_python
    return field.related_model, field.object_id_field_name, "pk", partial(_content_type, field), own


def _content_type(field: Any) -> dict[str, Any]:
    """What tells the rows of this model from those of others, in a generic relation."""
    from django.contrib.contenttypes.models import ContentType

    content_type = ContentType.objects.get_for_model(field.model, for_concrete_model=field.for_concrete_model)
    return {f"{field.content_type_field_name}_id": content_type.pk}
