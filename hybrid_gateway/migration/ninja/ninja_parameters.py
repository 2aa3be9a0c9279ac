"""The parameters of an operation, in our words."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from typing import Any, Union, get_args, get_origin

from msgspec import Struct
from ninja.operation import Operation
from ninja.params.models import Body, Cookie, File, Form, Header, Param, Path, Query
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from hybrid_gateway.migration.form import Names
from hybrid_gateway.migration.ninja.annotation_text import Known, annotation_text, quoted, value_text

_MARKERS: dict[type[Param], str] = {
    Query: "Query",
    Body: "Body",
    Form: "Form",
    Header: "Header",
    Cookie: "Cookie",
}


class Parameter(Struct):
    """A parameter as it is written. ``first_line`` is what the body begins with where it is read of the request."""

    name: str
    text: str
    has_default: bool
    first_line: str = ""


def own_parameters(operation: Operation) -> list[Any]:
    """Return the parameters of the function itself, without those that decorators such as ``@paginate`` add."""
    names = inspect.signature(inspect.unwrap(operation.view_func)).parameters
    return [given for given in operation.signature.params if given.name in names]


class NotWritable(Exception):
    """A parameter for which there is no other word."""


def operation_parameters(
    operation: Operation, names: Names, known: Known, bodies_known: Callable[[str, Any], str | None]
) -> list[Parameter]:
    """Return the parameters, those without a default first; raises :class:`NotWritable`.

    ``bodies_known`` says how the annotation of a body is written that is a Struct now, by its name.
    """
    if operation.signature.response_arg or operation.signature.has_kwargs:
        raise NotWritable("it asks for the response before there is one, or for any keyword")
    bodies = [one for one in operation.signature.params if isinstance(one.source, Body)]
    if len(bodies) > 1:
        raise NotWritable("its body is made of several parameters")
    kinds = {type(one.source) for one in operation.signature.params}
    if File in kinds and kinds & {Form, Body}:
        raise NotWritable("it takes files beside a form, which are read from two places here")
    found = [_parameter(one, names, known, bodies_known) for one in own_parameters(operation)]
    return sorted(found, key=lambda parameter: parameter.has_default)


def _parameter(given: Any, names: Names, known: Known, bodies_known: Callable[[str, Any], str | None]) -> Parameter:
    kind, annotation = type(given.source), given.annotation
    default = given.source.default
    if given.source.default_factory not in (None, *_FACTORIES):
        raise NotWritable(f"{given.name} has a default that a function makes")
    if given.source.default_factory is not None:
        default = given.source.default_factory()
    has_default = default is not PydanticUndefined and default is not Ellipsis
    if kind is Path:
        return Parameter(given.name, f"{given.name}: {_marked(given, 'Path', names, known)}", False)
    if kind is File:
        getter = "getlist" if given.is_collection else "get"
        line = f'{given.name} = request.FILES.{getter}("{given.alias}")'
        return Parameter(
            given.name, "", has_default, f"{line} or None" if given.is_collection and has_default else line
        )
    if kind is Body and not has_default and is_schema(annotation):
        text = bodies_known(given.name, annotation) or annotation_text(annotation, names, known)
        return Parameter(given.name, f"{given.name}: {text}", False)
    if kind not in _MARKERS:
        raise NotWritable(f"{given.name} comes from {kind.__name__}, which has no other word")
    text = f"{given.name}: {_marked(given, _MARKERS[kind], names, known)}"
    if is_schema(annotation):
        return Parameter(given.name, text, False)
    shown = f" = {value_text(default, names, known)}" if has_default else ""
    return Parameter(given.name, f"{text}{shown}", has_default)


_FACTORIES = (list, dict, set)
"""Functions whose values can be written."""


def is_schema(annotation: Any) -> bool:
    """Return whether an annotation is a model of pydantic, or one that may be absent."""
    if get_origin(annotation) in (Union, types.UnionType):
        return any(is_schema(one) for one in get_args(annotation))
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _marked(given: Any, marker: str, names: Names, known: Known) -> str:
    annotation = annotation_text(given.annotation, names, known)
    options = constraints_text(given.source)
    if given.alias != given.name:
        options = [f"alias={quoted(given.alias)}", *options]
    is_plain = marker == "Path" or (marker == "Query" and not given.is_collection and not is_schema(given.annotation))
    if is_plain and not options:
        return annotation
    marker = names.use("hybrid_gateway", marker)
    return f"{names.use('typing', 'Annotated')}[{annotation}, {marker}({', '.join(options)})]"


_CONSTRAINTS = ("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "pattern")


def constraints_text(info: FieldInfo) -> list[str]:
    """Return the constraints of a field as keywords of a marker, or of ``msgspec.Meta``."""
    found = {
        name: getattr(one, name)
        for one in info.metadata
        for name in _CONSTRAINTS
        if getattr(one, name, None) is not None
    }
    return [f"{name}={quoted(value)}" for name, value in found.items()]


def field_parameter(name: str, field: FieldInfo, names: Names) -> Parameter:
    """Return a field of a paginator's input as a parameter of the query."""
    annotation = annotation_text(field.annotation, names)
    options = constraints_text(field)
    if options:
        annotated, query = names.use("typing", "Annotated"), names.use("hybrid_gateway", "Query")
        annotation = f"{annotated}[{annotation}, {query}({', '.join(options)})]"
    required = field.is_required()
    default = "" if required else f" = {value_text(field.get_default(call_default_factory=True), names)}"
    return Parameter(name, f"{name}: {annotation}{default}", not required)
