"""Fields of a serializer → fields of one ``ModelStruct``.

How this works: each becomes a column, a nested class, or a function of columns. What is none of these is asked of the
serializer itself, one field at a time, where the class is that of a whole row; inside of another one it makes the whole
field of the outer serializer such a function.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeAlias

from django.db import models
from msgspec import Struct, field
from rest_framework import relations, serializers

from hybrid_gateway.migration.drf.method_columns import ColumnMethod, column_at, method_of_columns
from hybrid_gateway.migration.drf.model_relations import (
    column_of,
    manager_order,
    order_term,
    relation_called,
    returned_type,
)
from hybrid_gateway.migration.drf.module_parts import Parts, quoted
from hybrid_gateway.migration.drf.path_templates import PathTemplates
from hybrid_gateway.migration.drf.serializer_fields import DRFField, UnmovedError, column_type, key_type, read_column
from hybrid_gateway.migration.form import ClassForm, Difference, FieldForm, camel, identifier, snake
from hybrid_gateway.migration.source_place import place_of
from hybrid_gateway.orm import ModelStruct

Serializer: TypeAlias = Any
"""An instance of a serializer; the package has no types."""
DjangoModel: TypeAlias = type[models.Model]

_METHODS = {name for name in dir(ModelStruct) if not name.startswith("__")}


class ShownStruct(Struct):
    """A class that has been written, and what differs of what it shows."""

    name: str
    differences: list[Difference] = field(default_factory=list)
    needs: list[str] = field(default_factory=list)
    """The fields that the serializer itself is asked for."""


Nested: TypeAlias = Callable[[Serializer, str], ShownStruct]
"""Returns the class of a serializer inside of another; raises :class:`UnmovedError`."""


class ShownFields:
    """The fields of one class."""

    def __init__(
        self,
        parts: Parts,
        paths: PathTemplates,
        nested: Nested,
        model: DjangoModel,
        form: ClassForm,
        cls: type,
    ) -> None:
        self.differences: list[Difference] = []
        self.needs: list[str] = []
        self._parts = parts
        self._paths = paths
        self._shown = nested
        self._model = model
        self._form = form
        self._cls = cls

    def add_or_ask(self, name: str, entry: DRFField) -> None:
        """Add a field, as a function that asks the serializer if it is neither a column nor of columns."""
        cls, model = self._cls, self._model
        try:
            self.add(name, entry)
        except UnmovedError:
            attribute, default = self._attribute_name(name)
            method = getattr(cls, getattr(entry, "method_name", None) or "", None)
            code = getattr(inspect.unwrap(method) if callable(method) else None, "__code__", None)
            looks_around = code is not None and not _AROUND.isdisjoint(code.co_names)
            if default is not None or "<locals>" in cls.__qualname__ or looks_around:
                raise
            use, row = self._parts.names.use, identifier(snake(model.__name__))
            returns = returned_type(method) or use("typing", "Any")
            value = use("hybrid_gateway.contrib.drf_bridge", "field_value")
            body = [f"return {value}({use(cls.__module__, cls.__qualname__)}, {quoted(name)}, {row})"]
            parameters = [f"{row}: {use(model.__module__, model.__name__)}"]
            written = self._parts.function(snake(f"{model.__name__}_{name}"), parameters, returns, body)
            self._form.fields.append(
                FieldForm(attribute, returns, f"{use('hybrid_gateway', 'computed')}().by({written})")
            )
            self.needs.append(f"{cls.__module__}.{cls.__qualname__}.{name}")

    def add(self, name: str, entry: DRFField) -> None:
        """Add a field; raise :class:`UnmovedError` if that is not possible."""
        where = f"{self._cls.__name__}.{name}"
        if entry.source == "*" and not isinstance(
            entry, (serializers.SerializerMethodField, relations.HyperlinkedIdentityField)
        ):
            raise UnmovedError(f"`{where}` shows the row itself.", place_of(self._cls))
        if type(entry).__module__ == "taggit.serializers":
            self._tags(name, entry, where)
            return
        for kind, read in _KINDS.items():
            if isinstance(entry, kind):
                read(self, name, entry, where)
                return
        self._column(name, entry, where)

    # --- columns -----------------------------------------------------------------------------------------------

    def _column(self, name: str, entry: DRFField, where: str) -> None:
        found = column_at(self._model, list(entry.source_attrs))
        if found is None:
            self._attribute(name, entry, where)
            return
        steps, column = found
        if len(steps) < len(entry.source_attrs):
            raise UnmovedError(f"`{where}` looks inside of a column.", place_of(self._cls))
        column_form = read_column(self._parts, entry, column, where)
        self.differences += column_form.differences
        optional = " | None" if self._may_be_null(steps) and column_form.annotation != "object" else ""
        if len(steps) > 1 and optional and not entry.allow_null and entry.default is serializers.empty:
            self.differences.append(Difference(f"added $*.{name}", "null where the key was left out"))
        if column_form.function:
            nullable = optional or (" | None" if isinstance(column, models.FileField) else "")
            self._computed(name, f"{column_form.annotation}{nullable}", steps, column_form.function)
        else:
            nullable = " | None" if isinstance(column, models.FileField) and not optional else optional
            self._plain(name, f"{column_form.annotation}{nullable}", "__".join(steps))

    def _plain(self, name: str, annotation: str, path: str, **options: str) -> None:
        """Add a field that is a column."""
        attribute, default = self._attribute_name(name)
        if path != attribute or options:
            use = self._parts.names.use
            arguments = [quoted(path)] if path != attribute else []
            arguments += [f"{key}={value}" for key, value in options.items()]
            column = use("hybrid_gateway.orm", "Column")
            annotation = f"{use('typing', 'Annotated')}[{annotation}, {column}({', '.join(arguments)})]"
        self._form.fields.append(FieldForm(attribute, annotation, default))

    def _computed(self, name: str, annotation: str, steps: list[str], function: str) -> None:
        attribute, default = self._attribute_name(name)
        if default is not None:
            raise UnmovedError(f"`{self._cls.__name__}.{name}` has a name that Python does not take for a function.")
        computed = self._parts.names.use("hybrid_gateway", "computed")
        self._form.fields.append(
            FieldForm(attribute, annotation, f"{computed}({quoted('__'.join(steps))}).by({function})")
        )

    def _attribute_name(self, name: str) -> tuple[str, str | None]:
        """Return what a field is called in Python, and how clients know it if that is another name."""
        attribute = identifier(name)
        attribute = f"{attribute}_" if attribute in _METHODS else attribute
        if attribute.startswith("_"):
            attribute = f"field{attribute}"
        if attribute == name:
            return attribute, None
        return attribute, f"{self._parts.names.use('msgspec', 'field')}(name={quoted(name)})"

    def _may_be_null(self, steps: list[str]) -> bool:
        model: object = self._model
        for step in steps:
            meta = getattr(model, "_meta")  # noqa: B009
            column = meta.pk if step == "pk" else meta.get_field(step)
            if getattr(column, "null", False) or not getattr(column, "concrete", True):
                return True
            model = column.related_model
        return False

    # --- methods and properties --------------------------------------------------------------------------------

    def _method(self, name: str, entry: DRFField, where: str) -> None:
        method = entry.method_name or f"get_{name}"
        function = inspect.getattr_static(self._cls, method, None)
        if not inspect.isfunction(function):
            raise UnmovedError(f"`{where}` has no plain method.", place_of(self._cls))
        row = list(inspect.signature(function).parameters)[1]
        made = method_of_columns(function, self._model, row, self._parts.names)
        if made is None:
            raise UnmovedError(f"`{where}`: {method} needs more than columns.", place_of(function))
        self._function(name, made, function)

    def _attribute(self, name: str, entry: DRFField, where: str) -> None:
        """Add a property or a method of the model, if columns are all that it looks at."""
        value = inspect.getattr_static(self._model, entry.source_attrs[0], None)
        function = getattr(value, "fget", None) or getattr(value, "func", None) or value
        if len(entry.source_attrs) > 1 or not inspect.isfunction(function):
            raise UnmovedError(
                f"`{where}`: `{entry.source}` is no column of {self._model.__name__}.", place_of(self._cls)
            )
        is_duration = type(entry) is serializers.DurationField
        if not is_duration and type(entry) not in (
            serializers.ReadOnlyField,
            serializers.CharField,
            serializers.IntegerField,
            serializers.BooleanField,
        ):
            raise UnmovedError(f"`{where}` shows an attribute by a {type(entry).__name__}.", place_of(function))
        made = method_of_columns(
            function, self._model, next(iter(inspect.signature(function).parameters)), self._parts.names
        )
        if made is None:
            raise UnmovedError(f"`{where}`: {function.__qualname__} needs more than columns.", place_of(function))
        self._function(name, made, function, self._parts.duration_text() if is_duration else "")

    def _function(self, name: str, made: ColumnMethod, function: object, text: str = "") -> None:
        """Add a function of columns, written before the classes; ``text`` is a function for what it returns."""
        if "return" not in "\n".join(made.body):
            raise UnmovedError(f"`{self._cls.__name__}.{name}` returns nothing.", place_of(function))
        parameters = []
        for path, parameter in made.columns.items():
            steps = path.split("__")
            column = column_of(self._model, steps)
            if isinstance(column, (models.DecimalField, models.DurationField)) and not (
                text or returned_type(function)
            ):
                raise UnmovedError(
                    f"`{self._cls.__name__}.{name}` may show a {type(column).__name__} in another way.",
                    place_of(function),
                )
            optional = " | None" if self._may_be_null(steps) else ""
            parameters.append(f"{parameter}: {key_type(self._parts, column)}{optional}")
        returns = returned_type(function) or self._parts.names.use("typing", "Any")
        if any("| None" in parameter for parameter in parameters):  # the original is as free with them
            parameters = [f"{entry.split(':')[0]}: {self._parts.names.use('typing', 'Any')}" for entry in parameters]
        written = self._parts.function(snake(f"{self._model.__name__}_{name}"), parameters, returns, made.body)
        if text:
            inner, returns = f"{text}({written}({', '.join(made.columns.values())}))", "str | None"
            written = self._parts.function(f"{written}_text", parameters, returns, [f"return {inner}"])
        columns = ", ".join(quoted(path) for path in made.columns)
        computed = self._parts.names.use("hybrid_gateway", "computed")
        attribute, default = self._attribute_name(name)
        if default is not None:
            raise UnmovedError(f"`{self._cls.__name__}.{name}` has a name that Python does not take for a function.")
        self._form.fields.append(FieldForm(attribute, returns, f"{computed}({columns}).by({written})"))

    # --- relations ---------------------------------------------------------------------------------------------

    def _relation(self, source: list[str], where: str) -> tuple[list[str], DjangoModel, bool]:
        """Return the path of a relation, its model, and whether it leads to many rows."""
        model: DjangoModel = self._model
        path: list[str] = []
        many = False
        for step in source:
            entry = relation_called(model, step)
            if entry is None or many or not isinstance(entry.related_model, type):
                raise UnmovedError(
                    f"`{where}`: `{'.'.join(source)}` is no relation of {self._model.__name__}.", place_of(self._cls)
                )
            path.append(entry.name)
            many = bool(entry.many_to_many or entry.one_to_many)
            model = entry.related_model
        return path, model, many

    def _order(self, model: DjangoModel, where: str, accessor: str = "") -> dict[str, str]:
        """Return the option for the order of a list: that of the manager behind an attribute, or the model's."""
        ordering = list(model._meta.ordering or ())
        own = manager_order(self._model, accessor)
        if own and all(isinstance(term, str) and column_at(model, term.lstrip("-").split("__")) for term in own):
            ordering = own
        elif own:
            what = "in the order of the rows, not of the table between them"
            self.differences.append(Difference(f"order $*.{where.split('.')[-1]}[]", what))
        shown = [order_term(self._parts, entry, where, place_of(self._model)) for entry in ordering]
        is_text = len(shown) == 1 and shown[0].startswith('"')
        return {} if not shown else {"order_by": shown[0] if is_text else f"[{', '.join(shown)}]"}

    def _many(self, name: str, entry: DRFField, where: str) -> None:
        """Add a list of keys, of texts or of links."""
        path, model, many = self._relation(list(entry.source_attrs), where)
        child = entry.child_relation
        if not many or type(entry).to_representation is not relations.ManyRelatedField.to_representation:
            raise UnmovedError(f"`{where}` is no list of rows.", place_of(type(entry)))
        if isinstance(child, relations.PrimaryKeyRelatedField) and child.pk_field is None:
            column = model._meta.pk
            self._plain(
                name,
                f"list[{key_type(self._parts, column)}]",
                "__".join(path),
                **self._order(model, where, entry.source_attrs[-1]),
            )
        elif isinstance(child, relations.SlugRelatedField):
            found = column_at(model, child.slug_field.split("__"))
            if found is None:
                raise UnmovedError(f"`{where}`: `{child.slug_field}` is no column.", place_of(self._cls))
            kind = column_type(self._parts, found[1])
            self._plain(
                name,
                f"list[{kind}]",
                "__".join([*path, *found[0]]),
                **self._order(model, where, entry.source_attrs[-1]),
            )
        else:
            raise UnmovedError(f"`{where}` is a list of {type(child).__name__}.", place_of(self._cls))

    def _key(self, name: str, entry: DRFField, where: str) -> None:
        """Add the key of a related row."""
        path, model, many = self._relation(list(entry.source_attrs), where)
        if (
            many
            or entry.pk_field is not None
            or type(entry).to_representation is not relations.PrimaryKeyRelatedField.to_representation
        ):
            raise UnmovedError(f"`{where}` shows keys in its own way.", place_of(type(entry)))
        optional = " | None" if self._may_be_null(path) else ""
        self._plain(name, f"{key_type(self._parts, model._meta.pk)}{optional}", "__".join(path))

    def _slug(self, name: str, entry: DRFField, where: str) -> None:
        found = column_at(self._model, [*entry.source_attrs, *entry.slug_field.split("__")])
        if found is None or type(entry).to_representation is not relations.SlugRelatedField.to_representation:
            raise UnmovedError(f"`{where}`: `{entry.slug_field}` is no column.", place_of(self._cls))
        optional = " | None" if self._may_be_null(found[0]) else ""
        self._plain(name, f"{column_type(self._parts, found[1])}{optional}", "__".join(found[0]))

    def _text(self, name: str, entry: DRFField, where: str) -> None:
        """Add ``str(row)`` of a related row, if its ``__str__`` is one of its columns."""
        path, model, many = self._relation(list(entry.source_attrs), where)
        made = None if many else method_of_columns(model.__str__, model, "self", self._parts.names)
        if made is None:
            raise UnmovedError(
                f"`{where}`: {model.__name__}.__str__ needs more than columns.", place_of(model, "__str__")
            )
        if self._may_be_null(path):
            made.body = [f"if {' is None and '.join(made.columns.values())} is None:", "    return None", *made.body]
        made.columns = {"__".join([*path, column]): parameter for column, parameter in made.columns.items()}
        self._function(name, made, model.__str__)

    def _link(self, name: str, entry: DRFField, where: str) -> None:
        """Add a link to a row."""
        kind = next(
            known
            for known in (relations.HyperlinkedIdentityField, relations.HyperlinkedRelatedField)
            if isinstance(entry, known)
        )
        if type(entry).to_representation is not kind.to_representation or type(entry).get_url is not kind.get_url:
            raise UnmovedError(f"`{where}` makes links of its own.", place_of(type(entry)))
        source = [] if entry.source == "*" else list(entry.source_attrs)
        found = column_at(self._model, [*source, *entry.lookup_field.split("__")])
        template = self._paths.of(str(entry.view_name), str(entry.lookup_url_kwarg))
        if found is None or template is None:
            raise UnmovedError(f"`{where}`: nobody knows the path of `{entry.view_name}`.", place_of(self._cls))
        self.differences += self._parts.path_difference(where)
        optional = self._may_be_null(found[0]) and bool(source)
        function = self._parts.row_link(
            snake(str(entry.view_name)), template, key_type(self._parts, found[1]), optional=optional
        )
        self._computed(name, f"str{' | None' * optional}", found[0], function)

    def _nested(self, name: str, entry: DRFField, where: str) -> None:
        """Add a nested class."""
        is_list = isinstance(entry, serializers.ListSerializer)
        path, model, many = self._relation(list(entry.source_attrs), where)
        inner = entry.child if is_list else entry
        if many is not is_list or (
            is_list and type(entry).to_representation is not serializers.ListSerializer.to_representation
        ):
            raise UnmovedError(f"`{where}` is a list of its own kind.", place_of(type(inner)))
        if getattr(getattr(type(inner), "Meta", None), "model", None) is not model:
            raise UnmovedError(f"`{where}` shows a {model.__name__} by {type(inner).__name__}.", place_of(type(inner)))
        struct = self._shown(inner, f"{camel(self._model.__name__)}{camel(name)}")
        self.differences += struct.differences
        if is_list:
            self._plain(
                name, f"list[{struct.name}]", "__".join(path), **self._order(model, where, entry.source_attrs[-1])
            )
        else:
            self._plain(name, f"{struct.name}{' | None' * self._may_be_null(path)}", "__".join(path))

    def _tags(self, name: str, entry: DRFField, where: str) -> None:
        """Add a list of the names of django-taggit's tags."""
        path, model, _ = self._relation(list(entry.source_attrs), where)
        order = self._order(model, where, entry.source_attrs[-1])
        self._plain(name, "list[str]", "__".join([*path, "name"]), **order)


_AROUND = frozenset(("instance", "root", "parent", "initial_data"))
"""What a method of a serializer may look at, and one that is asked for a single field has not: the row, its parents."""

_KINDS: dict[type, Any] = {
    relations.PrimaryKeyRelatedField: ShownFields._key,
    serializers.SerializerMethodField: ShownFields._method,
    relations.ManyRelatedField: ShownFields._many,
    relations.SlugRelatedField: ShownFields._slug,
    relations.StringRelatedField: ShownFields._text,
    relations.HyperlinkedRelatedField: ShownFields._link,
    serializers.BaseSerializer: ShownFields._nested,
}
