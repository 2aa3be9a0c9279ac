"""The annotations of a :class:`~.ModelStruct`: what they say, and what is made of them before msgspec sees them."""

from __future__ import annotations

import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from types import EllipsisType
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, TypeVar, cast

import msgspec
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model, Q
from django.db.models.expressions import Combinable
from msgspec import UnsetType

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.columns.column_constraints import constrained
from hybrid_gateway.spelling import reject_unknown_keywords
from hybrid_gateway.type_info import resolve_aliases

if sys.version_info >= (3, 14):
    import annotationlib

T = TypeVar("T")
V = TypeVar("V")


@reject_unknown_keywords()
class Column:
    """The origin of a field of a :class:`ModelStruct`, if it is not the column of its own name.

    ``source`` is a lookup path (``"owner__username"``), the name of an annotation of the queryset, an expression
    (``Count("reviews")``), or ``None`` for what only clients send and no column holds. ``read_only`` fields are never
    written, ``write_only`` ones never sent. ``order_by`` and ``filter`` are for lists. ``write`` says what ``create()``
    and ``update()`` make of nested Structs: ``"create"`` makes new rows (or changes the row a foreign key has),
    ``"replace"`` deletes the others of the list as well. Lists of keys are always set; rows that cannot be without an
    owner must stay in them, unless ``"replace"`` says that they are deleted.
    """

    def __init__(
        self,
        source: str | Combinable | Q | EllipsisType | None = ...,
        *,
        read_only: bool = False,
        write_only: bool = False,
        order_by: str | Sequence[str | Combinable] = (),
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
        """Return whether clients are not shown the field: they write it alone, or no column holds it."""
        return self.write_only or self.source is None

    def __repr__(self) -> str:
        return f"Column({'' if self.source is ... else repr(self.source)})"


_PLAIN = Column()


class computed(Generic[T]):  # noqa: N801 (a decorator)
    """A field made of columns: ``@computed("first_name", "last_name")`` above a static method of their values.

    It is called as the row is read, with one positional argument per column, and never written. ``@staticmethod`` may
    be left out, but type checkers take the first parameter for ``self`` then.
    """

    function: Callable[..., T]

    def __init__(self, *columns: str) -> None:
        self.columns = columns

    def __call__(self, function: Callable[..., V] | staticmethod[..., V]) -> computed[V]:
        made = cast("computed[V]", self)  # what it holds is known from here on
        made.function = function.__func__ if isinstance(function, staticmethod) else function
        return made

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
            raise ConfigurationError(f"@computed above {name}: the function must say what it returns.")
        annotations[name] = hints["return"]
    return found


def column_in(annotation: object) -> Column:
    """Return the :class:`Column` in an annotation, or one that says nothing."""
    extras = getattr(annotation, "__metadata__", ())
    return next((extra for extra in extras if isinstance(extra, Column)), _PLAIN)


def with_constraints(model: type[Model], name: str, annotation: object) -> object:
    """Return the annotation of a field with what its column demands of clients; a text as it is."""
    if isinstance(annotation, str):
        return annotation
    column = column_in(annotation)
    flags = {"readOnly": True} if column.read_only else {"writeOnly": True} if column.is_unseen else {}
    if flags:
        annotation = Annotated[annotation, msgspec.Meta(extra_json_schema=flags)]
    try:
        field = model._meta.get_field(name)
    except FieldDoesNotExist:
        return annotation
    return annotation if field.is_relation or column.source is not ... else constrained(annotation, field)


def may_be_absent(annotation: Any) -> object:
    """Return the annotation of a field that may be ``UNSET``."""
    if isinstance(annotation, str):
        return f"({annotation}) | UnsetType"
    if typing.get_origin(annotation) is not Annotated:
        return annotation | UnsetType
    # msgspec wants constraints next to the type, not around a union
    base, *extras = typing.get_args(annotation)
    columns = [extra for extra in extras if isinstance(extra, Column)]
    metas = [extra for extra in extras if not isinstance(extra, Column)]
    inner: Any = Annotated[(base, *metas)] if metas else base
    return Annotated[(inner | UnsetType, *columns)] if columns else inner | UnsetType
