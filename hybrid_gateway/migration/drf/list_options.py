"""Pagination and filters of views, as attributes of a ``ModelViewSet``."""

from __future__ import annotations

from typing import Any, TypeAlias

from django.core.exceptions import FieldError
from django.db import models
from django.db.models.constants import LOOKUP_SEP
from django.db.models.sql import Query
from msgspec import Struct, field
from rest_framework import filters, pagination

from hybrid_gateway.migration.drf.method_columns import column_at
from hybrid_gateway.migration.drf.module_parts import Parts, quoted
from hybrid_gateway.migration.drf.serializer_fields import UnmovedError, key_type
from hybrid_gateway.migration.form import ClassForm, Difference, FieldForm, FunctionForm, camel, identifier
from hybrid_gateway.migration.source_place import place_of

View: TypeAlias = Any
"""An instance of a view of REST framework; the package has no types."""
DjangoModel: TypeAlias = type[models.Model]

_MOST = 10_000
"""Rows of a page where REST framework sets no bound."""


class Lists:
    """The styles of pages of a module, each a constant."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._styles: dict[str, str] = {}
        self._envelopes: dict[str, str] = {}

    def pagination(self, view: View, differences: list[Difference]) -> str | None:
        """Return the constant for the pages of a view, or ``None`` where it has none; tell what differs."""
        style = view.paginator
        if style is None:
            return None
        kind = next((known for known in _STYLES if isinstance(style, known)), None)
        own = [name for name in _OWN if kind and getattr(type(style), name, None) is not getattr(kind, name, None)]
        if kind is None or own:
            raise UnmovedError(f"The pages of {type(style).__name__} are its own.", place_of(type(style)))
        text = _STYLES[kind](self, style)
        if text is None:
            if isinstance(style, pagination.LimitOffsetPagination):
                differences.append(
                    Difference("limits", f"a whole list, also with ?{style.limit_query_param}= (no PAGE_SIZE)")
                )
            return None
        if not self._parts.origin:
            path = "a path, not an absolute URL (see ORIGIN)"
            differences += [Difference(f"value $.{name}", path) for name in ("next", "previous")]
        if kind is pagination.CursorPagination:
            differences += [Difference(f"value $.{name}", "cursors of another form") for name in ("next", "previous")]
            differences.append(Difference("status 404→422", "a cursor that is none"))
        if text not in self._styles:
            self._styles[text] = self._parts.names.define(
                "PAGES" if not self._styles else f"PAGES_{len(self._styles) + 1}"
            )
            self._parts.move.styles.append(FieldForm(self._styles[text], default=text))
        return self._styles[text]

    def _by_number(self, style: View) -> str | None:
        if style.page_size is None:
            return None
        most = style.max_page_size or _MOST
        size = min(style.page_size, most)
        sizes = (
            f", max_size={most}, size_param={quoted(style.page_size_query_param)}"
            if style.page_size_query_param
            else ", max_size=None"
        )
        name = "" if style.page_query_param == "page" else f", page_param={quoted(style.page_query_param)}"
        envelope = self._envelope({style.page_query_param: "1"})
        return f"{self._use('PageNumber')}(size={size}{sizes}{name}, envelope={envelope}, links=())"

    def _by_offset(self, style: View) -> str | None:
        if style.default_limit is None:
            return None
        most = style.max_limit or _MOST
        names = "" if style.limit_query_param == "limit" else f", limit_param={quoted(style.limit_query_param)}"
        names += "" if style.offset_query_param == "offset" else f", offset_param={quoted(style.offset_query_param)}"
        envelope = self._envelope({style.offset_query_param: "0"})
        limits = f"limit={min(style.default_limit, most)}, max_limit={most}"
        return f"{self._use('LimitOffset')}({limits}{names}, envelope={envelope}, links=())"

    def _by_cursor(self, style: View) -> str | None:
        if style.page_size is None:
            return None
        ordering = [style.ordering] if isinstance(style.ordering, str) else list(style.ordering)
        shown = ", ".join(quoted(entry) for entry in ordering)
        most = style.max_page_size or _MOST
        sizes = (
            f", max_size={most}, size_param={quoted(style.page_size_query_param)}"
            if style.page_size_query_param
            else ", max_size=None"
        )
        name = "" if style.cursor_query_param == "cursor" else f", cursor_param={quoted(style.cursor_query_param)}"
        options = f"ordering=[{shown}], size={style.page_size}{sizes}{name}, envelope={self._envelope(None)}"
        return f"{self._use('Cursor')}({options}, links=())"

    def _use(self, name: str) -> str:
        return self._parts.names.use("hybrid_gateway.orm", name)

    def _envelope(self, start: dict[str, str] | None) -> str:
        """Return the class of answers: with ``count``, unless there are cursors."""
        key = str(start)
        if key in self._envelopes:
            return self._envelopes[key]
        use = self._parts.names.use
        struct, generic, kind = use("msgspec", "Struct"), use("typing", "Generic"), use("typing", "Any")
        if "T" not in self._envelopes:
            self._envelopes["T"] = self._parts.names.define("T")
            self._parts.move.constants.insert(
                0, FieldForm(self._envelopes["T"], default=f'{use("typing", "TypeVar")}("T")')
            )
        item = self._envelopes["T"]
        link = self._parts.page_link(start or {"cursor": ""})
        name = self._parts.names.define("Results" if start is not None else "CursorResults")
        count = [FieldForm("count", "int")] if start is not None else []
        texts = ["next", "previous"]
        fields = [*count, *(FieldForm(text, "str | None") for text in texts), FieldForm("results", f"list[{item}]")]
        given = ["count=page.total"] if count else []
        given += [*(f"{text}={link}(page.{text})" for text in texts), "results=page.items"]
        made = FunctionForm(
            "from_page",
            ["cls", f"page: {kind}"],
            f'"{name}[{item}]"',
            [f"return cls({', '.join(given)})"],
            ["classmethod"],
        )
        form = ClassForm(
            name,
            [struct, f"{generic}[{item}]"],
            doc="A page as REST framework sends it.",
            fields=fields,
            methods=[made],
        )
        self._parts.move.structs.insert(0, form)
        self._envelopes[key] = name
        return name


_OWN = (
    "get_paginated_response",
    "paginate_queryset",
    "get_next_link",
    "get_previous_link",
    "get_page_size",
    "get_limit",
    "get_offset",
)
_STYLES: dict[Any, Any] = {
    pagination.PageNumberPagination: Lists._by_number,
    pagination.LimitOffsetPagination: Lists._by_offset,
    pagination.CursorPagination: Lists._by_cursor,
}


# --- filters -------------------------------------------------------------------------------------------------------


class Filters(Struct):
    """The filters of a list: those that are attributes of a class, and those that are asked at run time."""

    attributes: list[FieldForm] = field(default_factory=list)
    asked: list[type] = field(default_factory=list)
    parameters: list[str] = field(default_factory=list)
    """The query parameters that ``asked`` read, as far as they tell."""


def read_filters(parts: Parts, view: View, model: DjangoModel, shown: View) -> Filters:
    """Return the filters of a view. ``shown`` is the serializer, whose fields a list may be ordered by.

    Where one is of a class that nobody knows, all are asked, in their order: it may count on what another has done.
    """
    found = Filters()
    for backend in view.filter_backends:
        try:
            if backend.__module__.startswith("django_filters."):
                found.attributes += _filterset(parts, view, model, backend)
            elif backend.filter_queryset is filters.SearchFilter.filter_queryset:
                found.attributes += _search(view, backend)
            elif backend.filter_queryset is filters.OrderingFilter.filter_queryset:
                found.attributes += _ordering(view, model, backend, shown)
            else:
                asked = list(view.filter_backends)
                return Filters([], asked, [name for entry in asked for name in _parameters_of(view, entry)])
        except UnmovedError:
            found.asked.append(backend)
            found.parameters += _parameters_of(view, backend)
    return found


def _parameters_of(view: View, backend: Any) -> list[str]:
    """Return the names of the query parameters of a filter, none where it does not tell."""
    if backend.__module__.startswith("django_filters."):
        return list(getattr(backend().get_filterset_class(view, view.get_queryset()), "base_filters", ()))
    told = getattr(backend(), "get_schema_operation_parameters", None)
    return [] if told is None else [str(entry["name"]) for entry in told(view)]


def _search(view: View, backend: Any) -> list[FieldForm]:
    names = getattr(view, "search_fields", None)
    if not names:
        return []
    if backend().search_param != "search" or backend.get_search_fields is not filters.SearchFilter.get_search_fields:
        raise UnmovedError("The parameter of searches has another name, or columns of its own.", place_of(type(view)))
    return [FieldForm("search_fields", default=_list(names))]


def _list(names: Any) -> str:
    return f"[{', '.join(quoted(str(name)) for name in names)}]"


def _ordering(view: View, model: DjangoModel, backend: Any, shown: View) -> list[FieldForm]:
    stock = filters.OrderingFilter
    if backend().ordering_param != "ordering" or backend.get_valid_fields is not stock.get_valid_fields:
        raise UnmovedError("The parameter of orders has another name, or columns of its own.", place_of(type(view)))
    found: list[FieldForm] = []
    valid = [
        name
        for name, _ in backend().get_valid_fields(view.get_queryset(), view, {"request": view.request, "view": view})
    ]
    relations = {field.name for field in model._meta.get_fields() if field.is_relation and field.concrete}
    known = [name for name in valid if column_at(model, name.split(LOOKUP_SEP)) or name in relations]
    if known:
        found.append(FieldForm("ordering_fields", default=_list(known)))
    ordering = getattr(view, "ordering", None)
    if ordering:
        found.append(FieldForm("ordering", default=_list([ordering] if isinstance(ordering, str) else ordering)))
    return found


def _filterset(parts: Parts, view: View, model: DjangoModel, backend: Any) -> list[FieldForm]:
    cls = backend().get_filterset_class(view, view.get_queryset())
    if cls is None:
        return []
    if any(
        name in vars(base)
        for base in cls.__mro__[:-1]
        for name in ("filter_queryset", "qs")
        if base.__module__.split(".")[0] != "django_filters"
    ):
        raise UnmovedError(f"{cls.__name__} narrows rows by code of its own.", place_of(cls))
    if getattr(view, "filterset_class", None) is None and all(
        _is_plain(entry, name) for name, entry in cls.base_filters.items()
    ):
        return [FieldForm("filterset_fields", default=_by_column(cls))]
    use = parts.names.use
    form = ClassForm(
        parts.names.define(f"{camel(type(view).__name__.removesuffix('ViewSet'))}Filters"), [use("msgspec", "Struct")]
    )
    for name, entry in cls.base_filters.items():
        annotation = _parameter(parts, cls, model, name, entry)
        python = identifier(name)
        default = "None" if python == name else f"{use('msgspec', 'field')}(default=None, name={quoted(name)})"
        form.fields.append(FieldForm(python, annotation, default))
    parts.move.structs.append(form)
    return [FieldForm("filters", default=form.name)]


def _is_plain(entry: Any, name: str) -> bool:
    lookup = "" if entry.lookup_expr == "exact" else f"{LOOKUP_SEP}{entry.lookup_expr}"
    return f"{entry.field_name}{lookup}" == name and entry.method is None and not entry.exclude


def _by_column(cls: Any) -> str:
    lookups: dict[str, list[str]] = {}
    for entry in cls.base_filters.values():
        lookups.setdefault(entry.field_name, []).append(entry.lookup_expr)
    if all(found == ["exact"] for found in lookups.values()):
        return _list(lookups)
    return f"{{{', '.join(f'{quoted(name)}: {_list(found)}' for name, found in lookups.items())}}}"


def _parameter(parts: Parts, cls: Any, model: DjangoModel, name: str, entry: Any) -> str:
    """Return the annotation of one filter of a ``FilterSet``."""
    if entry.method is not None:
        raise UnmovedError(f"The filter `{cls.__name__}.{name}` is a method.", place_of(cls, str(entry.method)))
    own = type(entry).filter.__module__
    if not own.startswith("django_filters") or type(entry).__name__ in _UNKNOWN:
        raise UnmovedError(f"The filter `{cls.__name__}.{name}` is a {type(entry).__name__}.", place_of(type(entry)))
    path = entry.field_name if entry.lookup_expr == "exact" else f"{entry.field_name}{LOOKUP_SEP}{entry.lookup_expr}"
    kind = _compared(parts, model, entry)
    exclude = ", exclude=True" if entry.exclude else ""
    use = parts.names.use
    lookup = f"{use('hybrid_gateway.orm', 'Lookup')}({quoted(path)}{exclude})" if path != name or exclude else ""
    return f"{use('typing', 'Annotated')}[{kind} | None, {lookup}]" if lookup else f"{kind} | None"


_UNKNOWN = {
    "OrderingFilter",
    "RangeFilter",
    "DateRangeFilter",
    "DateFromToRangeFilter",
    "DateTimeFromToRangeFilter",
    "TimeRangeFilter",
    "IsoDateTimeFromToRangeFilter",
    "NumericRangeFilter",
    "LookupChoiceFilter",
    "MultipleChoiceFilter",
    "AllValuesMultipleFilter",
    "ModelMultipleChoiceFilter",
    "TypedMultipleChoiceFilter",
}


def _compared(parts: Parts, model: DjangoModel, entry: Any) -> str:
    """Return the type that a filter compares with."""
    if entry.lookup_expr in ("isnull",):
        return "bool"
    if entry.lookup_expr in ("year", "month", "day", "week_day", "hour", "minute", "second"):
        return "int"
    if entry.lookup_expr == "date":
        return parts.moment("date")
    try:
        _, _, targets, rest = Query(model).names_to_path(entry.field_name.split(LOOKUP_SEP), model._meta)
    except FieldError as error:
        raise UnmovedError(f"A filter compares `{entry.field_name}`, which is no column.") from error
    kind = "str" if rest else key_type(parts, targets[0])
    kind = "str" if kind == "object" else kind
    if any(base.__name__ == "BaseCSVFilter" for base in type(entry).__mro__):
        comma = parts.names.use("hybrid_gateway.orm", "COMMA_SEPARATED")
        return f"{parts.names.use('typing', 'Annotated')}[list[{kind}], {comma}]"
    return kind
