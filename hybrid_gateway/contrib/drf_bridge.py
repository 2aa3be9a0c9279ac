"""Pieces of REST framework that go on answering below typed routes, while a project moves.

How this works: a route asks for Django's ``HttpRequest``, whose user is whom its own authentication finds. Of that
:func:`view_of` makes a view as it stands before its action runs, so that its rows and its serializers can be asked.
:func:`rows_of` and :func:`row_of` are what a project's own ``get_queryset``, ``get_object`` and filters give; the
instances remember the view, so that :func:`field_value` can ask one field of a serializer for its value.
:func:`ask_django` answers by whatever the URLconf has at the path of the request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import SimpleTemplateResponse
from django.urls import resolve
from msgspec import UNSET
from rest_framework.exceptions import APIException, NotAuthenticated
from rest_framework.fields import SkipField
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.relations import PKOnlyObject
from rest_framework.renderers import JSONRenderer
from rest_framework.serializers import BaseSerializer
from rest_framework.settings import api_settings
from rest_framework.utils.encoders import JSONEncoder
from rest_framework.views import APIView

from hybrid_gateway._compat.django_query_internals import visited_instances
from hybrid_gateway.access_control import Guard
from hybrid_gateway.responses.response_classes import JSONResponse, Response

__all__ = [
    "DRFPermission",
    "api_error",
    "ask_django",
    "field_value",
    "list_answer",
    "row_answer",
    "row_of",
    "rows_of",
    "view_of",
]


def view_of(view_class: type[APIView], request: HttpRequest, action: str, **kwargs: object) -> Any:
    """Return a view before its ``action``: its rows by ``get_queryset()`` or ``get_object()``, its serializer.

    Its ``request`` has the route's user; neither authentication, permissions nor throttles of the view have run. On the
    thread of the request.
    """
    request.resolver_match = match = resolve(request.path_info)
    given = getattr(match.func, "initkwargs", {}) if getattr(match.func, "cls", None) is view_class else {}
    view: Any = view_class(**given)
    view.args, view.kwargs, view.action, view.format_kwarg = (), {**kwargs, **match.kwargs}, action, None
    view.headers = view.default_response_headers
    view.action_map = {(request.method or "GET").lower(): action}
    asked: Any = view.initialize_request(request)
    view.request = asked
    asked.user = request.user
    if request.user.is_authenticated:
        asked.authenticators = ()  # who is refused is known already: 403, whatever scheme the route has
    asked.accepted_renderer, asked.accepted_media_type = JSONRenderer(), "application/json"
    asked.version, asked.versioning_scheme = view.determine_version(asked)
    return view


def ask_django(request: HttpRequest) -> HttpResponse:
    """Return what the URLconf answers to a request: for routes that have not moved.

    Name Django's middleware on the route (``django_middleware=settings.MIDDLEWARE``): what the view expects of it has
    to have run.
    """
    match = resolve(request.path_info)
    request.resolver_match = match
    response: HttpResponse = match.func(request, *match.args, **match.kwargs)
    if isinstance(response, SimpleTemplateResponse):
        response.render()
    return response


def api_error(request: HttpRequest, error: Exception) -> JSONResponse[object]:
    """Return the body and the status that REST framework gives an ``APIException``: an exception handler."""
    if not isinstance(error, APIException):
        raise error
    handle: Any = api_settings.EXCEPTION_HANDLER
    answer = handle(error, {"request": request, "view": None, "args": (), "kwargs": {}})
    if answer is None:
        raise error
    return JSONResponse(answer.data, answer.status_code, headers=_headers(answer))


class DRFPermission(Guard):
    """A permission of REST framework as a guard: ``DRFPermission(IsOwner, OrderViewSet)``.

    It is asked ``has_permission``; what it says of single objects :func:`view_of`'s ``get_object()`` asks.
    """

    def __init__(self, permission: type, view_class: type[APIView], action: str = "") -> None:
        self.permission = permission
        self.view_class = view_class
        self.action = action

    def __call__(self, request: HttpRequest) -> bool:
        view = view_of(self.view_class, request, self.action)
        if self.permission().has_permission(view.request, view):
            return True
        if not request.user.is_authenticated:
            raise NotAuthenticated
        return False


def list_answer(view: Any) -> Response[bytes]:
    """Return what the list of a view shows: its rows, filtered and paged by the view, by its serializer."""
    return _answer(ListModelMixin.list(view, view.request))


def row_answer(view: Any) -> Response[bytes]:
    """Return what a view shows of one row: that of ``get_object()``, which asks its permissions."""
    return _answer(RetrieveModelMixin.retrieve(view, view.request))


def _answer(answer: Any) -> Response[bytes]:
    """Return an answer of REST framework with the bytes of its JSON."""
    content = JSONRenderer().render(answer.data)
    return Response(content, answer.status_code, headers=_headers(answer), media_type="application/json")


def _headers(answer: Any) -> dict[str, str]:
    """Return the headers of an answer that was not rendered, whose media type is not JSON's therefore."""
    return {name: value for name, value in answer.items() if name.lower() != "content-type"}


# --- rows and fields -----------------------------------------------------------------------------------------------

_VIEW = "_drf_view"
"""The attribute of instances that names the view which has read them."""


def rows_of(view: Any, *backends: type) -> QuerySet[Any]:
    """Return the rows of a view by its ``get_queryset()``, narrowed and ordered by filter ``backends`` of its own.

    What they raise (400 for a value that is none) is REST framework's.
    """
    rows: QuerySet[Any] = view.get_queryset()
    for backend in backends:
        rows = backend().filter_queryset(view.request, rows, view)
    return visited_instances(rows, lambda row: row.__dict__.__setitem__(_VIEW, view))


def row_of(view: Any) -> Any:
    """Return the row of a view by its ``get_object()``: narrowed by its filters, allowed by its permissions.

    None is 404; what a permission refuses is 401 or 403, as REST framework raises it.
    """
    row = view.get_object()
    row.__dict__[_VIEW] = view
    return row


def field_value(serializer_class: type[BaseSerializer[Any]], name: str, row: Model) -> Any:
    """Return what one field of a serializer shows of a row of :func:`rows_of` or :func:`row_of`, as plain JSON.

    The serializer is made once per request, with the context that the view gives it. A field that shows nothing of this
    row is ``UNSET``.
    """
    view: Any = row.__dict__[_VIEW]
    serializers: dict[type, Any] = view.__dict__.setdefault("_serializers", {})
    if serializer_class not in serializers:
        serializers[serializer_class] = serializer_class(context=view.get_serializer_context())
    field = serializers[serializer_class].fields[name]
    try:
        value = field.get_attribute(row)
    except SkipField:
        return UNSET
    if value is None or (isinstance(value, PKOnlyObject) and value.pk is None):
        return None
    return _plain(field.to_representation(value))


def _plain(value: Any) -> Any:
    """Return a value as REST framework's encoder would write it, of types that any encoder knows."""
    if value is None or type(value) in (str, int, float, bool):
        return value
    for kind, make in _PLAIN.items():
        if isinstance(value, kind):
            return make(value)
    return _plain(JSONEncoder().default(value))


_PLAIN: dict[type, Any] = {
    str: str.__str__,
    bool: bool,
    int: int,
    float: float,
    Mapping: lambda value: {key: _plain(entry) for key, entry in value.items()},
    list: lambda value: [_plain(entry) for entry in value],
    tuple: lambda value: [_plain(entry) for entry in value],
}
