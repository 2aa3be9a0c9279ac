"""Filters of a view set in Django REST framework's words: ``search_fields``, ``filterset_fields``, ``ordering_fields``.

How this works: the three become one Struct of query parameters, as ``filters=`` takes it, with the names and the
comma-separated lists that clients of that framework send. So they are tried on the model when the class is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Protocol, TypeAlias

import msgspec

from hybrid_gateway.binding.text_converters import COMMA_SEPARATED
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.orm.lists.filters import FilterType, Lookup, Ordering, Search, parameter_type
from hybrid_gateway.orm.querysets.querysets import Rows

FilterFields: TypeAlias = "Sequence[str] | Mapping[str, Sequence[str]]"
"""Columns to be equal to, or columns with their lookups: ``{"price": ["gte", "lte"], "title": ["icontains"]}``."""
_Field: TypeAlias = tuple[str, object, None]


class ListedView(Protocol):
    """The attributes of a subclass of ``ModelViewSet`` that its filters are made of; see there."""

    filters: ClassVar[FilterType | None]
    search_fields: ClassVar[Sequence[str]]
    filterset_fields: ClassVar[FilterFields]
    ordering_fields: ClassVar[Sequence[str]]


def list_filters(view: type[ListedView], rows: Rows) -> FilterType | None:
    """Return the query parameters of the list of a view set, on which the lookups of ``rows`` are tried.

    Raises :class:`ConfigurationError` for what is none.
    """
    where = view.__qualname__
    for name in ("search_fields", "filterset_fields", "ordering_fields"):
        given = getattr(view, name)
        if isinstance(given, str) or not all(isinstance(entry, str) and entry for entry in given):
            raise ConfigurationError(
                f"{where}.{name} must be a list of names: what clients may ask of a column tells them what is in it.",
                id="L007",
            )
    fields = [*_filterset(view.filterset_fields, rows, f"{where}.filterset_fields")]
    if view.search_fields:
        fields.append(("search", Annotated[str | None, Search(*view.search_fields)], None))
    if view.ordering_fields:
        words: Any = Literal[tuple(word for name in view.ordering_fields for word in (name, f"-{name}"))]
        ordered: Any = Annotated[list[words], COMMA_SEPARATED]
        fields.append(("ordering", Annotated[ordered | None, Ordering()], None))
    if not fields:
        return view.filters
    bases = (msgspec.Struct,) if view.filters is None else (view.filters,)
    taken = {field.encode_name for field in msgspec.structs.fields(bases[0])}
    for name, _, _ in fields:
        if name in taken:
            raise ConfigurationError(
                f"{where}: {name!r} is a field of its filters already, so that it has two meanings.", id="L008"
            )
    return msgspec.defstruct(f"{view.__name__}Filters", fields, bases=bases, module=view.__module__)


def _filterset(given: FilterFields, rows: Rows, where: str) -> Iterator[_Field]:
    lookups = given if isinstance(given, Mapping) else dict.fromkeys(given, ("exact",))
    for column, names in lookups.items():
        if isinstance(names, str):
            raise ConfigurationError(f"{where}[{column!r}] must be a list of lookups: [{names!r}].", id="L007")
        for name in names:
            path = column if name == "exact" else f"{column}__{name}"
            kind: Any = parameter_type(path, rows, f"{where}: {path!r}")
            yield path, Annotated[kind | None, Lookup(path)], None
