"""The end of a visit: the way out of Django's middleware, by Django's own code, for one typed response.

The middleware gets a response that nobody sends; its cookies and its ``Vary`` are carried over to the typed one.
"""

from __future__ import annotations

from typing import Literal

from django.conf import settings
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpResponse
from django.middleware.csrf import CsrfViewMiddleware

from hybrid_gateway._compat.django_internals import has_messages, has_new_csrf_token
from hybrid_gateway.headers import merge_vary
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.request.request_parts import DjangoState
from hybrid_gateway.responses.cookies import set_cookie_headers
from hybrid_gateway.responses.raw_response import EndpointResponse, headers_of, replace_headers, status_of
from hybrid_gateway.sessions.django_context import no_view

__all__ = ["finish_session"]


async def finish_session(ctx: RequestContext, response: EndpointResponse) -> EndpointResponse:
    """Return ``response`` with the cookies of the visit, whose session and messages are saved on the request's thread.

    Raises ``SessionInterrupted``, a 400, where the session was deleted meanwhile.
    """
    visit = ctx.visit
    mode = None if visit is None else _mode_of(visit)
    if visit is None or mode is None:
        return response
    status = status_of(response)
    if mode == "thread":
        written = await ctx.thread.run(_run_middleware, visit, status)
    else:
        written = _run_middleware(visit, status)
    lines = set_cookie_headers(written.cookies)
    if lines:
        ctx.cacheable = None  # SECURITY: what was written for one visitor is stored for no other
    names = written.get("Vary", "").encode("latin-1")
    if not lines and not names:
        return response
    return replace_headers(response, [*merge_vary(headers_of(response), names), *lines])


def _run_middleware(visit: DjangoState, status: int) -> HttpResponse:
    # DJANGO: the process_response of three middleware classes, in the order of a new project's MIDDLEWARE, reversed.
    response, request = HttpResponse(status=status), visit.own_request
    if request is not None:
        if has_messages(request):
            MessageMiddleware(no_view).process_response(request, response)
        CsrfViewMiddleware(no_view).process_response(request, response)
    session_request = visit.session_request()
    if session_request is not None:
        SessionMiddleware(no_view).process_response(session_request, response)
    return response


def _mode_of(visit: DjangoState) -> Literal["inline", "thread"] | None:
    """Return where the middleware runs: on a thread where something may be loaded or saved, nowhere for no change.

    PERF: 20 µs less than to hear that nothing has changed from Django.
    """
    request, session_request = visit.own_request, visit.session_request()
    has_new_token = request is not None and has_new_csrf_token(request)
    if (request is not None and has_messages(request)) or (has_new_token and settings.CSRF_USE_SESSIONS):
        return "thread"
    if session_request is None:
        return "inline" if has_new_token else None
    session = session_request.session
    if session.modified or settings.SESSION_SAVE_EVERY_REQUEST:
        return "thread"
    is_dead = session.is_empty() and settings.SESSION_COOKIE_NAME in session_request.COOKIES
    return "inline" if has_new_token or session.accessed or is_dead else None
