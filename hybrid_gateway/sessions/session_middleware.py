"""How a visit ends: what Django's middleware does on the way out, by Django's own code, for one typed answer.

The middleware gets a response that nobody sends; its cookies and its ``Vary`` are carried over to the answer.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpResponse
from django.middleware.csrf import CsrfViewMiddleware

from hybrid_gateway._compat.django_internals import has_messages, has_new_csrf_token
from hybrid_gateway.headers import merge_vary
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.responses.cookies import set_cookie_headers
from hybrid_gateway.responses.raw_response import EndpointResponse, headers_of, replace_headers, status_of
from hybrid_gateway.sessions.django_context import DjangoContext

__all__ = ["finish_session"]


async def finish_session(ctx: RequestContext, response: EndpointResponse) -> EndpointResponse:
    """Return ``response`` with the cookies of the visit, whose session and messages are saved on the request's thread.

    Raises ``SessionInterrupted``, a 400, where the session was deleted meanwhile.
    """
    visit: DjangoContext = ctx.visit
    if _is_quiet(visit):
        return response
    status = status_of(response)
    changed = await ctx.thread.run(_settle, visit, status) if _blocks(visit) else _settle(visit, status)
    lines = set_cookie_headers(changed.cookies)
    if lines:
        ctx.cacheable = None  # SECURITY: what was written for one visitor is kept for no other
    names = changed.get("Vary", "").encode("latin-1")
    if not lines and not names:
        return response
    return replace_headers(response, [*merge_vary(headers_of(response), names), *lines])


def _settle(visit: DjangoContext, status: int) -> HttpResponse:
    # DJANGO: the process_response of three middleware classes, in the order of a new project's MIDDLEWARE, reversed.
    response, request = HttpResponse(status=status), visit.own_request
    if request is not None:
        if has_messages(request):
            MessageMiddleware(_nobody).process_response(request, response)
        CsrfViewMiddleware(_nobody).process_response(request, response)
    holder = visit.holder()
    if holder is not None:
        SessionMiddleware(_nobody).process_response(holder, response)
    return response


def _is_quiet(visit: DjangoContext) -> bool:
    """Whether there is nothing to tell the client. PERF: 20 µs less than to hear that from Django."""
    request, holder = visit.own_request, visit.holder()
    if request is not None and (has_messages(request) or has_new_csrf_token(request)):
        return False
    if holder is None:
        return True
    session = holder.session
    if session.accessed or session.modified or settings.SESSION_SAVE_EVERY_REQUEST:
        return False
    return not session.is_empty() or settings.SESSION_COOKIE_NAME not in holder.COOKIES


def _blocks(visit: DjangoContext) -> bool:
    """Whether anything may have to be loaded or saved."""
    request = visit.own_request
    if request is not None:
        if has_messages(request):
            return True
        if settings.CSRF_USE_SESSIONS and has_new_csrf_token(request):
            return True
    holder = visit.holder()
    return holder is not None and (settings.SESSION_SAVE_EVERY_REQUEST or holder.session.modified)


def _nobody(request: Any) -> Any:
    raise RuntimeError("Nothing lies below this middleware.")
