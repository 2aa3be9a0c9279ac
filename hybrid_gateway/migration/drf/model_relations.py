"""Relations of models as serializers walk them: what an attribute leads to, and in which order its rows are."""

from __future__ import annotations

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
    """Return the annotation of what a function returns, if it is a plain type."""
    found = getattr(function, "__annotations__", {}).get("return")
    name = found if isinstance(found, str) else getattr(found, "__name__", "")
    return (
        name
        if name in ("str", "int", "float", "bool")
        else "str"
        if getattr(function, "__name__", "") == "__str__"
        else ""
    )
