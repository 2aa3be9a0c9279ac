"""The annotations of a class statement that a metaclass reads, and the fields that are computed of others."""

from __future__ import annotations

import sys
import typing
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar, cast

import msgspec
from msgspec import UnsetType

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.type_info import resolve_aliases

if sys.version_info >= (3, 14):
    import annotationlib

T = TypeVar("T")
V = TypeVar("V")


class computed(Generic[T]):  # noqa: N801 (a decorator)
    """A field made of columns: ``@computed("first_name", "last_name")`` above a static method of their values.

    It is called as the row is read, with one positional argument per column, and never written. ``@staticmethod`` may
    be left out, but type checkers take the first parameter for ``self`` then. Without columns the function is called
    with the model instance, for what columns do not tell: rows are read as instances then, with what the queryset has
    prefetched.
    """

    function: Callable[..., T]

    def __init__(self, *columns: str) -> None:
        self.columns = columns

    def __call__(self, function: Callable[..., V] | staticmethod[..., V]) -> computed[V]:
        made = cast("computed[V]", self)  # what it holds is known from here on
        made.function = function.__func__ if isinstance(function, staticmethod) else function
        return made

    def by(self, function: Callable[..., V]) -> V:
        """Return a field that a function of the module makes, at its place among the annotated ones.

        ``length: str = computed("duration").by(duration_string)``
        """
        return cast("V", self(function))

    if TYPE_CHECKING:

        def __get__(self, instance: object, owner: object) -> T: ...


Namespace = dict[str, Any]
"""The namespace of a class statement."""

Names = tuple[dict[str, object], Mapping[str, object]]
"""The global and the local names where a class statement is."""


def declared_annotations(namespace: Namespace) -> dict[str, object]:
    """Return the annotations of a class statement, and leave none for Python to make of its text later."""
    if sys.version_info >= (3, 14) and "__annotations__" not in namespace:
        annotate = annotationlib.get_annotate_from_class_namespace(namespace)
        for key in ("__annotate__", "__annotate_func__"):
            namespace.pop(key, None)
        if annotate is not None:
            return dict(annotationlib.call_annotate_function(annotate, annotationlib.Format.FORWARDREF))
    return dict(namespace.get("__annotations__", {}))


def resolve_annotations(annotations: Mapping[str, object], namespace: Namespace, names: Names) -> dict[str, object]:
    """Return the annotations as types, those that name something unknown as their text."""
    own_types = {key: value for key, value in namespace.items() if isinstance(value, type)}
    found = {}
    for field, annotation in annotations.items():
        if isinstance(annotation, str):
            try:
                annotation = eval(annotation, names[0], {**names[1], **own_types})  # noqa: S307 (as typing does)
            except NameError:
                namespace.setdefault("UnsetType", UnsetType)  # for what is added to its text
        found[field] = annotation if isinstance(annotation, str) else resolve_aliases(annotation)
    return found


def take_computed(namespace: Namespace, annotations: dict[str, object]) -> dict[str, computed[object]]:
    """Return the computed fields of a class statement, and add what they return to its annotations."""
    found = {name: value for name, value in namespace.items() if isinstance(value, computed)}
    for name, entry in found.items():
        hints = typing.get_type_hints(entry.function) if hasattr(entry, "function") else {}
        if "return" not in hints:
            raise ConfigurationError(f"@computed above {name}: the function must say what it returns.", id="M015")
        annotations[name] = hints["return"]
    return found


def may_be_absent(annotation: Any) -> object:
    """Return the annotation of a field that may be ``UNSET``."""
    if isinstance(annotation, str):
        return f"({annotation}) | UnsetType"
    if typing.get_origin(annotation) is not Annotated:
        return annotation | UnsetType
    # msgspec wants constraints next to the type, not around a union
    base, *extras = typing.get_args(annotation)
    metas = [extra for extra in extras if isinstance(extra, msgspec.Meta)]
    others = [extra for extra in extras if not isinstance(extra, msgspec.Meta)]
    inner: Any = Annotated[(base, *metas)] if metas else base
    return Annotated[(inner | UnsetType, *others)] if others else inner | UnsetType
