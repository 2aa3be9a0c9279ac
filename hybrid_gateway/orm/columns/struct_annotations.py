"""What the annotations of a :class:`~.ModelStruct` say, and what is made of them before msgspec sees them."""

from __future__ import annotations

import importlib
import sys
import typing
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, TypeVar, cast

import msgspec
from django.db.models import Model, Q
from msgspec import UnsetType

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.columns.column_constraints import constrained
from hybrid_gateway.spelling import reject_unknown_keywords
from hybrid_gateway.type_hints import resolve_aliases

__all__ = ["Column", "column_in", "computed", "optional", "own_annotations", "refined", "resolved", "take_computed"]

T = TypeVar("T")
V = TypeVar("V")


@reject_unknown_keywords()
class Column:
    """Where a field of a :class:`ModelStruct` comes from, if not from the column of its own name.

    ``source`` is a lookup path (``"owner__username"``), the name of an annotation of the queryset, an expression
    (``Count("reviews")``), or ``None`` for what only clients send and no column holds. ``read_only`` fields are never
    written, ``write_only`` ones never sent. ``order_by`` and ``filter`` are for lists. ``write`` says what ``create()``
    and ``update()`` make of nested Structs: ``"create"`` makes new rows (or changes the row a foreign key has),
    ``"replace"`` deletes the others of the list as well. Lists of keys are always set; rows that cannot be without an
    owner must stay in them, unless ``"replace"`` says that they are deleted.
    """

    def __init__(
        self,
        source: Any = ...,
        *,
        read_only: bool = False,
        write_only: bool = False,
        order_by: Sequence[Any] = (),
        filter: Q | None = None,
        write: Literal["create", "replace"] | None = None,
    ) -> None:
        if read_only and (write_only or write):
            raise ConfigurationError("A Column is read_only, or it is written: not both.")
        self.source = source
        self.read_only = read_only
        self.write_only = write_only
        self.order_by = (order_by,) if isinstance(order_by, str) else tuple(order_by)
        self.filter = filter
        self.write = write

    @property
    def is_unseen(self) -> bool:
        """Whether it is nothing that clients are shown: they write it alone, or no column holds it."""
        return self.write_only or self.source is None

    def __repr__(self) -> str:
        return f"Column({'' if self.source is ... else repr(self.source)})"


_PLAIN = Column()


class computed(Generic[T]):  # noqa: N801 (a decorator)
    """A field made of columns: ``@computed("first_name", "last_name")`` above a static method of their values.

    It is called as the row is read, with one positional argument per column, and never written. ``@staticmethod`` may
    be left out, but type checkers take the first parameter for ``self`` then.
    """

    def __init__(self, *columns: str) -> None:
        self.columns = columns
        self.function: Callable[..., Any] | None = None

    def __call__(self, function: Callable[..., V] | staticmethod[..., V]) -> computed[V]:
        self.function = function.__func__ if isinstance(function, staticmethod) else function
        return cast("computed[V]", self)  # what it holds is known from here on

    if TYPE_CHECKING:

        def __get__(self, instance: Any, owner: Any) -> T: ...


def own_annotations(namespace: dict[str, Any]) -> dict[str, Any]:
    if "__annotations__" in namespace or sys.version_info < (3, 14):
        return dict(namespace.get("__annotations__", {}))
    annotationlib: Any = importlib.import_module("annotationlib")

    annotate = annotationlib.get_annotate_from_class_namespace(namespace)
    if annotate is None:
        return {}
    for key in ("__annotate__", "__annotate_func__"):
        namespace.pop(key, None)
    return dict(annotationlib.call_annotate_function(annotate, annotationlib.Format.FORWARDREF))


def resolved(annotations: dict[str, Any], namespace: dict[str, Any], name: str) -> dict[str, Any]:
    """The annotations as types, those that name something unknown as they are."""
    frame: Any = sys._getframe(2)
    found = {}
    for field, annotation in annotations.items():
        if isinstance(annotation, str):
            try:
                annotation = eval(annotation, frame.f_globals, {**frame.f_locals, **_types(namespace)})  # noqa: S307
            except NameError:
                namespace.setdefault("UnsetType", UnsetType)  # for what is added to its text
        found[field] = annotation if isinstance(annotation, str) else resolve_aliases(annotation)
    return found


def _types(namespace: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in namespace.items() if isinstance(value, type)}


def take_computed(namespace: dict[str, Any], annotations: dict[str, Any]) -> dict[str, computed[Any]]:
    found = {name: value for name, value in namespace.items() if isinstance(value, computed)}
    for name, entry in found.items():
        hints = typing.get_type_hints(entry.function) if entry.function is not None else {}
        if entry.function is None or "return" not in hints:
            raise ConfigurationError(f"@computed above {name}: the function must say what it returns.")
        annotations[name] = hints["return"]
    return found


def column_in(annotation: Any) -> Column:
    extras = getattr(annotation, "__metadata__", ())
    return next((extra for extra in extras if isinstance(extra, Column)), _PLAIN)


def refined(model: type[Model], name: str, annotation: Any) -> Any:
    """The annotation of a field with what its column demands of clients."""
    column = column_in(annotation)
    flags = {"readOnly": True} if column.read_only else {"writeOnly": True} if column.is_unseen else {}
    if flags and not isinstance(annotation, str):
        annotation = Annotated[annotation, msgspec.Meta(extra_json_schema=flags)]
    field = model._meta._forward_fields_map.get(name)  # type: ignore[attr-defined]
    if field is None or column.source is not ... or isinstance(annotation, str) or field.is_relation:
        return annotation
    return constrained(annotation, field)


def optional(annotation: Any) -> Any:
    """The annotation of a field that may be absent."""
    if isinstance(annotation, str):
        return f"({annotation}) | UnsetType"
    if typing.get_origin(annotation) is Annotated:
        # msgspec wants constraints next to the type, not around a union
        base, *extras = typing.get_args(annotation)
        columns = [extra for extra in extras if isinstance(extra, Column)]
        metas = [extra for extra in extras if not isinstance(extra, Column)]
        inner: Any = Annotated[(base, *metas)] if metas else base
        return Annotated[(inner | UnsetType, *columns)] if columns else inner | UnsetType
    return annotation | UnsetType
