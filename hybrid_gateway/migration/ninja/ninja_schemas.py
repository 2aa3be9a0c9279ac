"""Schemas of django-ninja as Structs: of a model where every field is a column, and plain ones else.

A class that is written is made once, here and now, so that what the gateway would refuse at start-up is known: it stays
a schema then. So does one with validators, resolvers that compute, or aliases where there is no model.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Union, get_args, get_origin

import msgspec
from django.apps import apps
from django.db.models import Field, ForeignObjectRel, Model
from ninja import FilterSchema, Schema
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.migration.form import ClassForm, FieldForm, Move
from hybrid_gateway.migration.module_writer import write_module
from hybrid_gateway.migration.ninja.annotation_text import UnknownAnnotation, annotation_text, quoted, value_text
from hybrid_gateway.migration.ninja.moved_functions import Origins
from hybrid_gateway.migration.ninja.ninja_parameters import constraints_text

Models = Sequence[type[Model]]


class NotPlain(Exception):
    """A schema that says more than a Struct can."""


class SchemaWriter:
    """Writes each schema once for a model, and once for what clients send."""

    def __init__(self, move: Move, origins: Origins) -> None:
        self.move, self.names, self.origins = move, move.names, origins
        self._written: dict[tuple[object, ...], str | NotPlain] = {}
        self._open: dict[type[BaseModel], bool] = {}
        """Schemas that are being written → whether they contain themselves."""

    def output(self, annotation: Any, models: Models) -> str:
        """Return an annotation of what is answered, its schemas as Structs; raises :class:`NotPlain`."""
        return self._text(annotation, lambda schema: self._once(("out", schema), lambda: self._output(schema, models)))

    def input(self, annotation: Any) -> str:
        """Return an annotation of what is sent, its schemas as plain Structs; raises :class:`NotPlain`."""
        return self._text(annotation, lambda schema: self._once(("in", schema), lambda: self._input(schema)))

    def _text(self, annotation: Any, known: Any) -> str:
        if _is_choice(annotation):
            raise NotPlain("it is one schema or another")

        def name(kind: type) -> str | None:
            if issubclass(kind, BaseModel):
                return str(known(kind))
            if kind.__name__ == "EmailStr":
                return "str"
            if kind.__module__.split(".")[0] in ("pydantic", "pydantic_core", "ninja"):
                raise NotPlain(f"{kind.__name__} is pydantic's own type")
            return self.origins.use(kind, self.names)

        try:
            return annotation_text(annotation, self.names, name)
        except UnknownAnnotation as error:
            raise NotPlain(str(error)) from error

    def _once(self, key: tuple[object, ...], write: Any) -> str:
        if key not in self._written:
            self._written[key] = NotPlain("it contains itself")
            try:
                self._written[key] = write()
            except NotPlain as error:
                self._written[key] = error
        found = self._written[key]
        if isinstance(found, NotPlain):
            raise found
        return found

    def _output(self, schema: type[BaseModel], models: Models) -> str:
        _check(schema)
        own = getattr(getattr(schema, "Meta", None), "model", None)
        candidates = [own] if isinstance(own, type) else [*models, *_namesakes(schema)]
        for model in candidates:
            if all(_column(model, source_of(schema, name, field)) for name, field in schema.model_fields.items()):
                return self._model_struct(schema, model)
        if any(source_of(schema, name, field) != name for name, field in schema.model_fields.items()):
            raise NotPlain(f"{schema.__name__} reads by other names than it shows, and no model has them all")
        return self._plain(schema, lambda annotation: self.output(annotation, models))

    def plain(self, annotation: Any) -> str:
        """Return an annotation whose schemas are Structs without a model; raises :class:`NotPlain`.

        What a schema reads under another name, or computes, cannot be taken from whatever object there is.
        """
        return self._text(annotation, self._plain_once)

    def _plain_once(self, schema: type[BaseModel]) -> str:
        if schema in self._open:
            self._open[schema] = True
            return schema.__name__
        return self._once(("plain", schema), lambda: self._plain_struct(schema))

    def _plain_struct(self, schema: type[BaseModel]) -> str:
        _check(schema)
        if any(source_of(schema, name, field) != name for name, field in schema.model_fields.items()):
            raise NotPlain(f"{schema.__name__} reads by other names than it shows")
        self._open[schema] = False
        try:
            return self._plain(schema, self.plain)
        finally:
            del self._open[schema]

    def _plain(self, schema: type[BaseModel], text: Callable[[Any], str]) -> str:
        fields = [
            FieldForm(name, text(field.annotation), self._default(field)) for name, field in schema.model_fields.items()
        ]
        for one in fields:  # a default that pydantic does not look at: count: int = None
            is_none = one.default == "None" and one.annotation.split(" | ")[-1] not in ("None", "Any")
            one.annotation += " | None" if is_none else ""
        if self._open.get(schema):  # what contains itself is told by its name
            fields = [FieldForm(one.name, f'"{one.annotation}"', one.default) for one in fields]
        return self._define(schema, schema.__name__, [self.names.use("msgspec", "Struct")], {"kw_only": "True"}, fields)

    def _model_struct(self, schema: type[BaseModel], model: type[Model]) -> str:
        fields = [self._model_field(schema, model, name, field) for name, field in schema.model_fields.items()]
        bases = [self.names.use("hybrid_gateway.orm", "ModelStruct")]
        return self._define(
            schema,
            schema.__name__,
            bases,
            {"model": self.origins.use(model, self.names) or self.names.use_object(model)},
            fields,
        )

    def _model_field(self, schema: type[BaseModel], model: type[Model], name: str, field: FieldInfo) -> FieldForm:
        path = source_of(schema, name, field)
        column = _column(model, path)
        assert column is not None
        related = column.related_model
        nested = [related] if isinstance(related, type) else []
        text = self._text(_required(field.annotation), lambda one: self._nested(one, nested))
        is_list = column.one_to_many or column.many_to_many
        may_be_null = any(_may_be_null(one) for one in _steps(model, path))
        if may_be_null and not is_list and "None" not in text:
            text = f"{text} | None"
        shown = _attribute(model, path)
        if shown != name:
            annotated, marker = self.names.use("typing", "Annotated"), self.names.use("hybrid_gateway.orm", "Column")
            text = f"{annotated}[{text}, {marker}({quoted(shown)})]"
        return FieldForm(name, text)

    def _nested(self, schema: type[BaseModel], models: list[Any]) -> str:
        def write() -> str:
            _check(schema)
            sources = [source_of(schema, name, field) for name, field in schema.model_fields.items()]
            if not models or not all(_column(models[0], source) for source in sources):
                raise NotPlain(f"{schema.__name__} has more than columns")
            return self._model_struct(schema, models[0])

        return self._once(("out", schema, *models), write)

    def _input(self, schema: type[BaseModel]) -> str:
        _check(schema)
        fields = []
        for name, field in schema.model_fields.items():
            text = self.input(field.annotation)
            constraints = constraints_text(field)
            if constraints:
                meta, may_be_null = self.names.use("msgspec", "Meta"), text.endswith(" | None")
                text = text.removesuffix(" | None")
                text = f"{self.names.use('typing', 'Annotated')}[{text}, {meta}({', '.join(constraints)})]"
                text += " | None" if may_be_null else ""
            default = self._default(field)
            if field.alias and field.alias != name:
                told = [f"name={quoted(field.alias)}", *([] if default is None else [f"default={default}"])]
                default = f"{self.names.use('msgspec', 'field')}({', '.join(told)})"
            fields.append(FieldForm(name, text, default))
        bases = [self.names.use("msgspec", "Struct")]
        return self._define(schema, schema.__name__, bases, {"kw_only": "True"}, fields)

    def _default(self, field: FieldInfo) -> str | None:
        """Return the default of a field as text, or None."""
        made = self.names.use("msgspec", "field")
        if field.default_factory in (list, dict, set):
            return f"{made}(default_factory={field.default_factory.__name__})"
        if field.default_factory is not None:
            raise NotPlain("a default is made by a function")
        if field.default is PydanticUndefined or field.is_required():
            return None
        try:
            if isinstance(field.default, BaseModel):
                return f"{made}(default_factory=lambda: {self._model_text(field.default)})"
            text = value_text(field.default, self.names, lambda kind: self.origins.use(kind, self.names))
        except UnknownAnnotation as error:
            raise NotPlain(str(error)) from error
        is_changed = isinstance(field.default, list | dict | set) and bool(field.default)
        return f"{made}(default_factory=lambda: {text})" if is_changed else text

    def _model_text(self, value: BaseModel) -> str:
        """Return a call that makes a Struct with the values of a schema."""
        written = self.output(type(value), ())
        values = ((name, getattr(value, name)) for name in type(value).model_fields)
        shown = (
            f"{name}={self._model_text(one) if isinstance(one, BaseModel) else value_text(one, self.names)}"
            for name, one in values
        )
        return f"{written}({', '.join(shown)})"

    def _define(
        self, schema: type, wanted: str, bases: list[str], keywords: dict[str, str], fields: list[FieldForm]
    ) -> str:
        """Write a class, if it can be made."""
        form = ClassForm(wanted, bases, keywords, _doc(schema), fields)
        for known in self.move.structs:  # the same for another part of the API
            if (known.bases, known.keywords, known.fields) == (form.bases, form.keywords, form.fields):
                return known.name
        form.name = self.names.define(wanted)
        if self._open.get(schema) and form.name != wanted:
            raise NotPlain(f"{wanted} contains itself, and another class has its name")
        variables = [one for one in self.move.constants if "TypeVar" in (one.default or "")]
        trial = Move(source="", names=self.names, constants=variables, structs=[*self.move.structs, form])
        try:
            code = compile(write_module(trial), form.name, "exec", dont_inherit=True)
            with _trial_module() as module:
                exec(code, vars(module))  # noqa: S102  # text of our own
                msgspec.json.Decoder(getattr(module, form.name))  # which looks at constraints
        except (ConfigurationError, TypeError, NameError) as error:
            self.names.forget(form.name)
            raise NotPlain(f"{schema.__name__} is no Struct: {error}") from error
        self.move.structs.append(form)
        return form.name


@contextmanager
def _trial_module() -> Iterator[types.ModuleType]:
    """Give a module that a class may be made in: names of annotations are looked for in its module."""
    module = types.ModuleType("hybrid_gateway_trial")
    sys.modules[module.__name__] = module
    try:
        yield module
    finally:
        del sys.modules[module.__name__]


def _namesakes(schema: type[BaseModel]) -> list[type[Model]]:
    """Return the models whose names are in that of a schema, the longest first: ``Item`` of ``ItemOut``."""
    found = [model for model in apps.get_models() if model.__name__.lower() in schema.__name__.lower()]
    return sorted(found, key=lambda model: -len(model.__name__))


def _check(schema: type[BaseModel]) -> None:
    """Raise where a schema has more than fields."""
    decorators = schema.__pydantic_decorators__
    found = [
        name
        for kind in ("validators", "field_validators", "root_validators", "field_serializers")
        for name in getattr(decorators, kind)
    ]
    found += [name for kind in ("model_serializers", "computed_fields") for name in getattr(decorators, kind)]
    found += [name for name in decorators.model_validators if name not in vars(Schema)]
    if found:
        raise NotPlain(f"{schema.__name__} has {', '.join(found)}, which a Struct has not")
    config = schema.model_config.keys() - {"from_attributes", "title", "json_schema_extra", "arbitrary_types_allowed"}
    if issubclass(schema, FilterSchema) or config or not schema.model_fields:
        raise NotPlain(
            f"{schema.__name__} is configured: {', '.join(sorted(map(str, config))) or 'a filter, or empty'}"
        )
    if any(field.exclude for field in schema.model_fields.values()):
        raise NotPlain(f"{schema.__name__} hides fields")


def source_of(schema: type[BaseModel], name: str, field: FieldInfo) -> str:
    """Return where a field is read, as a lookup path; raises :class:`NotPlain` for a resolver that computes."""
    resolver = inspect.getattr_static(schema, f"resolve_{name}", None)
    if resolver is not None:
        return _returned_path(getattr(resolver, "__func__", resolver), name)
    source = field.validation_alias or field.alias or name
    if not isinstance(source, str):
        raise NotPlain(f"{schema.__name__}.{name} has several aliases")
    return source.replace(".", "__")


def _returned_path(function: Any, name: str) -> str:
    """Return the path of a resolver that returns an attribute: ``return obj.owner.name``."""
    node = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    body = getattr(node, "body", ())
    statements = [one for one in body if not isinstance(getattr(one, "value", None), ast.Constant)]
    parts: list[str] = []
    value = statements[0].value if len(statements) == 1 and isinstance(statements[0], ast.Return) else None
    while isinstance(value, ast.Attribute):
        parts.append(value.attr)
        value = value.value
    if not isinstance(value, ast.Name) or not parts:
        raise NotPlain(f"resolve_{name} computes")
    return "__".join(reversed(parts))


def _column(model: type[Model], path: str) -> Any:
    """Return the field or the relation at the end of a path, or None."""
    steps = _steps(model, path)
    return steps[-1] if steps else None


def _steps(model: type[Model], path: str) -> list[Any]:
    """Return the fields along a path; none where it leads nowhere."""
    current: Any = model
    found: list[Any] = []
    for part in path.split("__"):
        field = None if current is None else _field(current, part)
        if field is None:
            return []
        found.append(field)
        current = field.related_model
    return found


def _may_be_null(field: Any) -> bool:
    return isinstance(field, ForeignObjectRel) or bool(getattr(field, "null", False))


def _field(model: type[Model], name: str) -> Any:
    if name == "pk":
        return model._meta.pk
    for field in model._meta.get_fields():
        accessor = field.get_accessor_name() if isinstance(field, ForeignObjectRel) else field.name
        if name in (accessor, getattr(field, "attname", None)):
            return field
    return None


def _attribute(model: type[Model], path: str) -> str:
    """Return a path as columns name it: a key by the name of its relation, a relation by that of queries."""
    parts: list[str] = []
    current: Any = model
    for part in path.split("__"):
        field = _field(current, part)
        parts.append(field.name if isinstance(field, Field | ForeignObjectRel) else part)
        current = field.related_model
    return "__".join(parts)


def _is_choice(annotation: Any) -> bool:
    """Return whether an annotation has a union of schemas, which rows cannot be told apart by."""
    members = [one for one in get_args(annotation) if one is not type(None)]
    is_union = get_origin(annotation) in (Union, types.UnionType)
    return (is_union and len(members) > 1 and any(map(_has_schema, members))) or any(map(_is_choice, members))


def _has_schema(annotation: Any) -> bool:
    is_schema = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return is_schema or any(map(_has_schema, get_args(annotation)))


def _required(annotation: Any) -> Any:
    """Return an annotation without its ``None``, which the column knows better."""
    if get_origin(annotation) in (Union, types.UnionType):
        members = [one for one in get_args(annotation) if one is not type(None)]
        return Union[tuple(members)] if len(members) > 1 else members[0]  # noqa: UP007
    return annotation


def _doc(schema: type) -> str:
    doc = vars(schema).get("__doc__") or ""
    return doc.strip() if doc and "\n" not in doc.strip() and '"' not in doc else ""
