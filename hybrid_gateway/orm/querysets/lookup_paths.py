"""Paths of lookups through models: the fields on the way, whether they lead to many rows, and what is at the end."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import get_close_matches
from types import SimpleNamespace
from typing import Any, TypeVar

from django.core.exceptions import FieldDoesNotExist
from django.db.models import F, FileField, Model, Q, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.db.models.fields.related import ForeignObjectRel
from django.db.models.query_utils import DeferredAttribute

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.columns.field_facts import PathStep

R = TypeVar("R", bound=QuerySet[Model])


def is_to_many(field: PathStep) -> bool:
    return bool(field.is_relation and (field.many_to_many or field.one_to_many))


def find_field(model: type[Model], name: str) -> PathStep | None:
    """Return the field of that name, or a relation from its other side; ``None`` for a path and what is no field."""
    meta = model._meta
    if name == "pk":
        return meta.pk
    try:
        return meta.get_field(name)  # as in a query: by related_query_name
    except FieldDoesNotExist:  # or by the attribute of instances, which is another where a model gives no related_name
        return next((entry for entry in meta.related_objects if entry.get_accessor_name() == name), None)


def leads_to_many(model: type[Model], path: str) -> bool:
    """Return whether there are rows, and not one, at the end of ``path``; what is no path leads nowhere."""
    try:
        return any(is_to_many(field) for field in path_steps(model, path, ""))
    except ConfigurationError:
        return False


def is_optional_step(field: PathStep) -> bool:
    """Return whether there may be no row at the end of this step."""
    return isinstance(field, ForeignObjectRel) or (field.is_relation and field.null)


def is_compatible_model(model: type[Model], related: type[Model] | None) -> bool:
    return related is not None and (issubclass(related, model) or issubclass(model, related))


def is_annotation(model: type[Model], path: str) -> bool:
    """Return whether a name is no field of the model; with ``__`` in it, it was meant to be a path."""
    return LOOKUP_SEP not in path and find_field(model, path) is None


def path_steps(model: type[Model], path: str, where: str) -> Iterator[PathStep]:
    """Yield the fields of a path, one after the other."""
    at: type[Model] | None = model
    for name in path.split(LOOKUP_SEP):
        if at is None:
            raise ConfigurationError(f"{where}: {path!r} goes on behind a column.", id="M005")
        field = _get_field(at, name, where)
        if field.is_relation and field.related_model is None:
            raise ConfigurationError(
                f"{where}: {at.__name__}.{name} leads to rows of any model, which no type can tell: read the columns "
                "that it is made of.",
                id="M005",
            )
        yield field
        at = field.related_model if field.is_relation else None


def lookup_path(path: str, steps: Iterable[PathStep]) -> str:
    """Return a path as queries take it: relations seen from their other side by their ``related_query_name``."""
    names = zip(path.split(LOOKUP_SEP), steps, strict=True)
    return LOOKUP_SEP.join(step.name if isinstance(step, ForeignObjectRel) else name for name, step in names)


def _get_field(model: type[Model], name: str, where: str) -> PathStep:
    field = find_field(model, name)
    if field is None:
        known = sorted({*map(_shown_name, model._meta.get_fields()), "pk"})
        meant = "".join(f"Did you mean {entry!r}? " for entry in get_close_matches(name, known, n=1))
        raise ConfigurationError(
            f"{where}: {model.__name__} has no {name!r}. {meant}It has {', '.join(known)}.", id="M005"
        )
    return field


def _shown_name(field: Any) -> str:
    accessor = field.get_accessor_name() if isinstance(field, ForeignObjectRel) else None
    return accessor or str(field.name)


# --- many rows on the way ------------------------------------------------------------------------------------------


def crosses_to_many(model: type[Model], path: str) -> bool:
    """Return whether there are many rows somewhere on the way, whatever follows the columns: transforms, a lookup."""
    steps = path.split(LOOKUP_SEP)
    return any(leads_to_many(model, LOOKUP_SEP.join(steps[:end])) for end in range(1, len(steps) + 1))


def condition_filter(model: type[Model], paths: Iterable[str]) -> Callable[[R, Q], R]:
    """Return ``filter()`` for a condition on ``paths`` that never shows a row twice which meets it twice."""
    if not any(crosses_to_many(model, path) for path in paths):
        return lambda queryset, condition: queryset.filter(condition)

    def narrow(queryset: R, condition: Q) -> R:
        meeting = model._base_manager.using(queryset.db).filter(condition)
        return queryset.filter(pk__in=meeting.order_by().values("pk"))

    return narrow


def condition_paths(condition: object) -> Iterator[str]:
    """Yield the paths of the conditions of a ``Q``, of those inside it, and of what its expressions refer to."""
    if isinstance(condition, Q):
        for child in condition.children:
            yield from condition_paths(child)
    elif isinstance(condition, tuple):
        yield condition[0]
        yield from condition_paths(condition[1])
    elif isinstance(condition, F):
        yield str(getattr(condition, "name"))  # noqa: B009 (unknown to the stubs)
    else:
        sources: Callable[[], Iterable[object]] = getattr(condition, "get_source_expressions", tuple)
        for inner in sources():
            yield from condition_paths(inner)


# --- columns in several languages (django-modeltranslation) --------------------------------------------------------

# There, the attribute of a translated field is not its column, but one of the columns of its languages, chosen by the
# language of the day and what it falls back to. All of those are selected, and the attribute's own rule is asked.

Chosen = tuple[list[str], Callable[..., object]]
"""The columns of all languages, and what chooses among their values."""


def chosen_of(model: type[Model], steps: Sequence[PathStep]) -> Chosen | None:
    """Return how the value at the end of a path is chosen on instances; ``None`` where it is that of its column."""
    field, owner = steps[-1], model if len(steps) == 1 else steps[-2].related_model
    if owner is None or field.is_relation:
        return None
    names = [
        column.attname
        for column in owner._meta.concrete_fields
        if getattr(getattr(column, "translated_field", None), "name", None) == field.name
    ]
    attribute = inspect.getattr_static(owner, field.name, None)
    if not names or isinstance(attribute, DeferredAttribute) or not hasattr(attribute, "__get__"):
        return None
    is_file = isinstance(field, FileField)

    def choose(*values: object) -> object:
        value = attribute.__get__(SimpleNamespace(**dict(zip(names, values, strict=True))), owner)
        return value.name if is_file and hasattr(value, "name") else value

    return names, choose
