"""The columns that annotations of a :class:`~.ModelStruct` name, and what these add to them."""

from __future__ import annotations

from collections.abc import Sequence
from types import EllipsisType
from typing import Annotated, Literal

import msgspec
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model, Q
from django.db.models.expressions import Combinable

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.columns.column_constraints import constrained
from hybrid_gateway.spelling import reject_unknown_keywords


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
            raise ConfigurationError("A Column is read_only, or it is written: not both.", id="M013")
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
