"""Relations of models as serializers walk them: what an attribute leads to, and in which order its rows are."""

from __future__ import annotations

import inspect
import types
import typing
from typing import Any, TypeAlias

from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db import models
from django.db.models.expressions import OrderBy

from hybrid_gateway.migration.drf.method_columns import ModelField, column_at
from hybrid_gateway.migration.drf.module_parts import Parts, quoted
from hybrid_gateway.migration.drf.serializer_fields import UnmovedError

DjangoModel: TypeAlias = type[models.Model]
Relation: TypeAlias = Any
"""A field of a model, or the other side of one."""


def order_term(parts: Parts, term: object, where: str, place: str) -> str:
    """Return an entry of ``ordering`` as text; raise :class:`UnmovedError` for what is made of several."""
    if isinstance(term, str) and term != "?":
        return quoted(term)
    use = parts.names.use
    if isinstance(term, OrderBy) and not (term.nulls_first or term.nulls_last):
        return f"{order_term(parts, term.expression, where, place)}.{'desc' if term.descending else 'asc'}()"
    if isinstance(term, models.F):
        return f"{use('django.db.models', 'F')}({quoted(str(getattr(term, 'name')))})"  # noqa: B009
    inner = term.get_source_expressions() if isinstance(term, models.Func) else []
    if inner and not getattr(term, "extra", None) and all(isinstance(entry, models.F) for entry in inner):
        names = ", ".join(quoted(str(entry.name)) for entry in inner)
        return f"{use(type(term).__module__, type(term).__name__)}({names})"
    raise UnmovedError(f"`{where}` is ordered by an expression.", place)


def relation_called(model: DjangoModel, step: str) -> Relation:
    """Return the relation that an attribute of an instance is, from either side."""
    for entry in model._meta.get_fields():
        accessor = getattr(entry, "get_accessor_name", None)
        called = accessor() if accessor is not None and entry.auto_created and not entry.concrete else entry.name
        if called == step and entry.is_relation and entry.related_model:
            return entry
    return None


def manager_order(model: DjangoModel, accessor: str) -> list[Any]:
    """Return the order that the manager behind an attribute of an instance gives its rows."""
    try:
        instance = model()
        instance.pk = instance.pk or 1
        return list(getattr(instance, accessor).all().query.order_by)
    except (AttributeError, TypeError, ValueError, ValidationError):
        return []  # a model that cannot be made of nothing: its order is that of the related model


def column_of(model: DjangoModel, steps: list[str]) -> ModelField:
    """Return the column at the end of a path that is known to lead to one."""
    found = column_at(model, steps)
    if found is None:
        raise FieldDoesNotExist("__".join(steps))
    return found[1]


def returned_type(function: object) -> str:
    """Return the annotation of what a function returns, if it is of plain types: ``str``, ``list[int] | None``."""
    try:
        found = typing.get_type_hints(inspect.unwrap(function) if callable(function) else function).get("return")
    except (NameError, TypeError):
        found = None
    return _plain_type(found) or ("str" if getattr(function, "__name__", "") == "__str__" else "")


def _plain_type(found: object) -> str:
    origin, inside = typing.get_origin(found), typing.get_args(found)
    if origin in (typing.Union, types.UnionType):
        others = [entry for entry in inside if entry is not type(None)]
        inner = _plain_type(others[0]) if len(others) == 1 else ""
        return inner and f"{inner} | None"
    if origin is list:
        inner = _plain_type(inside[0])
        return inner and f"list[{inner}]"
    return getattr(found, "__name__", "") if found in (str, int, float, bool) else ""
