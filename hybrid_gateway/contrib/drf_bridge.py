"""Pieces of REST framework that go on answering below typed routes, while a project moves.

How this works: a route asks for Django's ``HttpRequest``, whose user is whom its own authentication finds. Of that
:func:`view_of` makes a view as it stands before its action runs, so that its rows and its serializers can be asked;
:func:`ask_django` answers by whatever the URLconf has at the path of the request.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.response import SimpleTemplateResponse
from django.urls import resolve
from rest_framework.exceptions import APIException, NotAuthenticated
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.renderers import JSONRenderer
from rest_framework.settings import api_settings
from rest_framework.views import APIView

from hybrid_gateway.access_control import Guard
from hybrid_gateway.responses.response_classes import JSONResponse, Response

__all__ = ["DRFPermission", "api_error", "ask_django", "list_answer", "row_answer", "view_of"]


def view_of(view_class: type[APIView], request: HttpRequest, action: str, **kwargs: object) -> Any:
    """Return a view before its ``action``: its rows by ``get_queryset()`` or ``get_object()``, its serializer.

    Its ``request`` has the route's user; neither authentication, permissions nor throttles of the view have run. On the
    thread of the request.
    """
    view: Any = view_class()
    request.resolver_match = match = resolve(request.path_info)
    view.args, view.kwargs, view.action, view.format_kwarg = (), {**match.kwargs, **kwargs}, action, None
    view.headers = view.default_response_headers
    view.action_map = {(request.method or "GET").lower(): action}
    asked: Any = view.initialize_request(request)
    view.request = asked
    asked.user = request.user
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
    return JSONResponse(answer.data, answer.status_code, headers=dict(answer.items()))


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
    return Response(content, answer.status_code, headers=dict(answer.items()), media_type="application/json")
