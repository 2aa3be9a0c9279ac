"""Exceptions → responses: the project's handlers first, then Django's and Starlette's exceptions, else a logged 500."""

from __future__ import annotations

import errno
import logging
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.conf import settings
from django.core import signals
from django.core.exceptions import (
    NON_FIELD_ERRORS,
    ObjectDoesNotExist,
    PermissionDenied,
    SuspiciousOperation,
    ValidationError,
)
from django.core.exceptions import BadRequest as DjangoBadRequest
from django.http import Http404
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import ClientDisconnect

from hybrid_gateway._compat.django_connection_internals import has_failed_to_connect
from hybrid_gateway.exceptions import (
    BadRequest,
    Forbidden,
    HTTPException,
    InternalServerError,
    NotFound,
    RequestValidationError,
    ServiceUnavailable,
    error_entry,
    reason,
)
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.responses.problem_details import problem_response
from hybrid_gateway.responses.raw_response import EndpointResponse, RawResponse, make_raw

logger = logging.getLogger("django.request")

ErrorHandler = Callable[[RequestContext, Exception], Awaitable[EndpointResponse]]


class ErrorResponses:
    """The responses of one route (or of the gateway, where there is no route) to exceptions."""

    def __init__(
        self,
        *,
        handlers: Mapping[type[BaseException] | int, ErrorHandler],
        challenges: tuple[str, ...] = (),
        sender: type | None = None,
        debugger: bool = False,
        awaits: bool = False,
        django_request: Callable[[RequestContext], object] = lambda ctx: None,
        crash_page: Callable[[RequestContext, Exception], str] | None = None,
    ) -> None:
        self.awaits = awaits  # whether some handler has to wait on a loop
        self.are_plain = not handlers  # the project handles no error itself
        self._by_class = {key: handler for key, handler in handlers.items() if not isinstance(key, int)}
        self._by_status = {key: handler for key, handler in handlers.items() if isinstance(key, int)}
        self._challenges = challenges
        self._sender = sender
        self._debugger = debugger
        self._django_request = django_request
        self._crash_page = crash_page

    async def respond(self, ctx: RequestContext, error: Exception) -> EndpointResponse:
        """Return the response to ``error``; raise ``ClientDisconnect`` on, for the driver."""
        if isinstance(error, ClientDisconnect):
            raise error
        try:
            return await self._handle(ctx, error)
        except Exception as failure:
            ctx.blame(error)
            if failure is not error:
                failure.__context__ = failure.__context__ or error
                return await self._handle_crash(ctx, failure)
            known = translate(error)  # a handler leaves it to us, or asks for the component that has failed
            return await self.respond_to_crash(ctx, error) if known is None else self._problem(ctx, error, known)

    async def respond_to_crash(self, ctx: RequestContext, error: Exception) -> EndpointResponse:
        """Return the 500 for ``error`` without the project's handlers, one of which may have raised it."""
        self._report_crash(ctx, error)
        return await self._internal_error(ctx, error)

    async def _handle(self, ctx: RequestContext, error: Exception) -> EndpointResponse:
        handler = _by_mro(self._by_class, type(error))
        known = translate(error)
        if known is None:
            return await (handler(ctx, error) if handler is not None else self._handle_crash(ctx, error))
        if handler is None and known is not error:
            handler = _by_mro(self._by_class, type(known))
        general = handler is None or handler in (self._by_class.get(HTTPException), self._by_class.get(Exception))
        if general and known.status_code in self._by_status:
            return await self._by_status[known.status_code](ctx, known)
        if handler is not None:
            return await handler(ctx, error)
        return self._problem(ctx, error, known)

    def _problem(self, ctx: RequestContext, error: Exception, known: HTTPException) -> RawResponse:
        # What was rejected before anybody was asked has no traceback.
        if known.status_code >= 500 and error.__traceback__ is not None and not known.quiet:
            _log(ctx, error, known.status_code)
        # SPEC: RFC 9110 section 15.5.2: a 401 names at least one way in.
        has_challenge = any(name.lower() == "www-authenticate" for name in known.headers)
        if known.status_code == 401 and self._challenges and not has_challenge:
            known.headers["www-authenticate"] = ", ".join(self._challenges)
        return problem_response(known)

    async def _handle_crash(self, ctx: RequestContext, error: Exception) -> EndpointResponse:
        """Respond to an exception nobody expected by the project's handler of 500, if there is one."""
        self._report_crash(ctx, error)
        custom = self._by_status.get(500)
        if custom is not None:
            try:
                return await custom(ctx, error)
            except Exception as failure:
                ctx.blame(error)
                if failure is not error:
                    _log(ctx, failure, 500)
        return await self._internal_error(ctx, error)

    async def _internal_error(self, ctx: RequestContext, error: Exception) -> RawResponse:
        """Return a bare 500; under ``DEBUG`` a page with the traceback for a browser, problem details for a client."""
        if not settings.DEBUG:
            return problem_response(InternalServerError())
        accept = ctx.header(b"accept") or b""
        details = (type(error), error, error.__traceback__)
        lines = "".join(traceback.format_exception(*details)).splitlines()
        try:
            words = str(error)
        except Exception:  # its __str__ fails, and Django's page would, too
            words, accept = "(it cannot be shown)", b""
        if b"text/html" in accept and self._crash_page is not None:
            page = await ctx.thread.run(self._crash_page, ctx, error)
            return make_raw(500, (b"content-type", b"text/html; charset=utf-8"), page.encode())
        return problem_response(InternalServerError(f"{type(error).__name__}: {words}", extra={"traceback": lines}))

    def _report_crash(self, ctx: RequestContext, error: Exception) -> None:
        came_from = error.__traceback__
        try:
            raise error
        except Exception:
            self.send_signal(ctx)
            _log(ctx, error, 500)
        finally:
            error.__traceback__ = came_from  # else it knows this frame, in a cycle that waits for the garbage collector
        if ctx.keeps_crash:
            ctx.crash = error
        if self._debugger:
            import pdb  # which brings a megabyte of modules, and is for development alone

            pdb.post_mortem(error.__traceback__)

    def send_signal(self, ctx: RequestContext) -> None:
        """Send ``got_request_exception`` for the exception that is being handled, as tools that collect errors expect.

        Receivers get a Django request, as from Django; one that fails itself is logged and changes no response.
        """
        signals.got_request_exception.send_robust(sender=self._sender, request=self._django_request(ctx))


def _by_mro(handlers: Mapping[type[BaseException], ErrorHandler], kind: type) -> ErrorHandler | None:
    return next((handlers[parent] for parent in kind.__mro__ if parent in handlers), None)


def printable(text: str) -> str:
    """Return ``text`` of a client for a log: what a terminal or a log file could take for something else is escaped."""
    if text.isascii() and text.isprintable() and "\\" not in text:  # PERF: a seventh of the instructions
        return text
    return text.encode("unicode_escape").decode("ascii")


def _log(ctx: RequestContext, error: Exception, status: int) -> None:
    path = printable(ctx.scope["path"])
    detail = (type(error), error, error.__traceback__)
    logger.error("%s: %s %s", reason(status), ctx.method, path, exc_info=detail, extra={"status_code": status})


# --- other people's exceptions -------------------------------------------------------------------------------------


def translate(error: Exception) -> HTTPException | None:
    """Return ``error`` as an HTTP error, when it is one in Starlette's or Django's words."""
    if isinstance(error, HTTPException):
        return error
    for kind, translation in _TRANSLATIONS:
        if isinstance(error, kind):
            return translation(error)
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        return HTTPException(507)
    return ServiceUnavailable(headers={"Retry-After": "5"}) if has_failed_to_connect(error) else None


def _from_validation(error: ValidationError) -> HTTPException:
    fields = error.message_dict if hasattr(error, "error_dict") else {NON_FIELD_ERRORS: error.messages}
    return RequestValidationError(
        [
            error_entry(("body",) if field == NON_FIELD_ERRORS else ("body", field), message)
            for field, messages in fields.items()
            for message in messages
        ]
    )


_TRANSLATIONS: tuple[tuple[type[Exception], Callable[[Any], HTTPException]], ...] = (
    (StarletteHTTPException, lambda error: HTTPException(error.status_code, error.detail, headers=error.headers)),
    # A message is shown only when somebody wrote one for people: get_object_or_404's names models and queries.
    (Http404, lambda error: NotFound()),
    (ObjectDoesNotExist, lambda error: NotFound()),
    (PermissionDenied, lambda error: Forbidden(str(error) or None)),
    (SuspiciousOperation, lambda error: BadRequest()),
    (DjangoBadRequest, lambda error: BadRequest()),  # SessionInterrupted among them
    (ValidationError, _from_validation),
)

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
