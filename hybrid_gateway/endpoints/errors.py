"""Exceptions → answers: the project's own handlers first, Django's exceptions understood, the rest is a logged 500."""

from __future__ import annotations

import errno
import logging
import pdb
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
from django.views.debug import ExceptionReporter
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
from hybrid_gateway.responses.raw_response import make_raw

__all__ = ["DISK_FULL", "ErrorResponses", "printable", "translate"]

logger = logging.getLogger("django.request")

ErrorHandler = Callable[[Any, Exception], Awaitable[Any]]


class ErrorResponses:
    """What one route (or the gateway, where there is no route) makes of exceptions."""

    def __init__(
        self,
        *,
        handlers: Mapping[type[BaseException] | int, ErrorHandler],
        challenges: tuple[str, ...] = (),
        sender: Any = None,
        debugger: bool = False,
        awaits: bool = False,
        django_request: Callable[[Any], Any] = lambda ctx: None,
    ) -> None:
        self.awaits = awaits  # whether some handler has to wait on a loop
        self._by_class = {key: handler for key, handler in handlers.items() if not isinstance(key, int)}
        self._by_status = {key: handler for key, handler in handlers.items() if isinstance(key, int)}
        self._challenges = challenges
        self._sender = sender
        self._debugger = debugger
        self._django_request = django_request

    async def answer(self, ctx: RequestContext, error: Exception) -> Any:
        """The answer to ``error``; a client that has gone is raised on, for the driver."""
        if isinstance(error, ClientDisconnect):
            raise error
        try:
            handled = await self._handle(ctx, error)
        except Exception as failure:
            ctx.blame(error)
            if failure is error:  # a handler leaves it to us, or asks for the component that has failed
                return await self._answer_plainly(ctx, error)
            failure.__context__ = failure.__context__ or error
            return await self._crash(ctx, failure)
        return handled

    async def crash(self, ctx: RequestContext, error: Exception) -> Any:
        """The same without the project's handlers, of which one has made it necessary."""
        return await self._answer_plainly(ctx, error, unexpected=True)

    async def _answer_plainly(self, ctx: RequestContext, error: Exception, unexpected: bool = False) -> Any:
        known = None if unexpected else translate(error)
        if known is not None:
            return self._problem(ctx, error, known)
        self._report_crash(ctx, error)
        return await self._bare(ctx, error)

    async def _handle(self, ctx: RequestContext, error: Exception) -> Any:
        handler = _by_mro(self._by_class, type(error))
        known = translate(error)
        if known is None:
            return await (handler(ctx, error) if handler is not None else self._crash(ctx, error))
        if handler is None and known is not error:
            handler = _by_mro(self._by_class, type(known))
        general = handler is None or handler in (self._by_class.get(HTTPException), self._by_class.get(Exception))
        if general and known.status_code in self._by_status:
            return await self._by_status[known.status_code](ctx, known)
        if handler is not None:
            return await handler(ctx, error)
        return self._problem(ctx, error, known)

    def _problem(self, ctx: RequestContext, error: Exception, known: HTTPException) -> Any:
        # What was refused before anybody was asked has no traceback.
        if known.status_code >= 500 and error.__traceback__ is not None and not known.quiet:
            _log(ctx, error, known.status_code)
        self._challenge(known)
        return problem_response(known)

    def _challenge(self, error: HTTPException) -> None:
        # SPEC: RFC 9110 section 15.5.2: a 401 names at least one way in.
        named = any(name.lower() == "www-authenticate" for name in error.headers)
        if error.status_code == 401 and self._challenges and not named:
            error.headers["www-authenticate"] = ", ".join(self._challenges)

    def report(self, ctx: RequestContext) -> None:
        """Tell whoever listens, as tools that collect errors do, of the exception that is being handled.

        They get a Django request, as from Django; one that fails itself is logged and changes no answer.
        """
        signals.got_request_exception.send_robust(sender=self._sender, request=self._django_request(ctx))

    async def _crash(self, ctx: RequestContext, error: Exception) -> Any:
        """An exception nobody expected: logged, signalled, and told to the client only under ``DEBUG``."""
        self._report_crash(ctx, error)
        custom = self._by_status.get(500)
        if custom is not None:
            try:
                return await custom(ctx, error)
            except Exception as failure:
                ctx.blame(error)
                if failure is not error:
                    _log(ctx, failure, 500)
        return await self._bare(ctx, error)

    def _report_crash(self, ctx: RequestContext, error: Exception) -> None:
        try:
            raise error
        except Exception:
            self.report(ctx)
            _log(ctx, error, 500)
        if ctx.keeps_crash:
            ctx.crash = error
        if self._debugger:
            pdb.post_mortem(error.__traceback__)

    async def _bare(self, ctx: RequestContext, error: Exception) -> Any:
        if not settings.DEBUG:
            return problem_response(InternalServerError())
        return await _explain(ctx, error)


def _by_mro(handlers: Mapping[Any, ErrorHandler], kind: type) -> ErrorHandler | None:
    return next((handlers[parent] for parent in kind.__mro__ if parent in handlers), None)


def printable(text: str) -> str:
    """``text`` of a client for a log: what a terminal or a log file could take for something else is escaped."""
    return text.encode("unicode_escape").decode("ascii")


def _log(ctx: RequestContext, error: Exception, status: int) -> None:
    path = printable(ctx.scope["path"])
    detail = (type(error), error, error.__traceback__)
    logger.error("%s: %s %s", reason(status), ctx.method, path, exc_info=detail, extra={"status_code": status})


async def _explain(ctx: RequestContext, error: Exception) -> Any:
    """Under ``DEBUG``: Django's traceback page for a browser, the traceback in problem details for a client."""
    accept = ctx.header(b"accept") or b""
    details = (type(error), error, error.__traceback__)
    lines = "".join(traceback.format_exception(*details)).splitlines()
    try:
        words = str(error)
    except Exception:  # its __str__ fails, and Django's page would, too
        words, accept = "(it cannot be shown)", b""
    if b"text/html" in accept:
        reporter = ExceptionReporter(None, *details)
        page = await ctx.thread.run(reporter.get_traceback_html)
        return make_raw(500, (b"content-type", b"text/html; charset=utf-8"), page.encode())
    return problem_response(InternalServerError(f"{type(error).__name__}: {words}", extra={"traceback": lines}))


# --- other people's exceptions -------------------------------------------------------------------------------------


def translate(error: Exception) -> HTTPException | None:
    """``error`` as an HTTP error, when it is one in Starlette's or Django's words."""
    if isinstance(error, HTTPException):
        return error
    for kind, translation in _TRANSLATIONS:
        if isinstance(error, kind):
            return translation(error)
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        return HTTPException(507)
    return ServiceUnavailable(headers={"Retry-After": "5"}) if has_failed_to_connect(error) else None


def _from_validation(error: Any) -> HTTPException:
    fields = error.message_dict if hasattr(error, "error_dict") else {NON_FIELD_ERRORS: error.messages}
    return RequestValidationError(
        [
            error_entry(("body",) if field == NON_FIELD_ERRORS else ("body", field), message)
            for field, messages in fields.items()
            for message in messages
        ]
    )


def _from_starlette(error: Any) -> HTTPException:
    return HTTPException(error.status_code, error.detail, headers=error.headers)


def _not_found(error: Any) -> HTTPException:
    # A message is shown only when somebody wrote one for people: get_object_or_404's names models and queries.
    return NotFound()


_TRANSLATIONS: tuple[tuple[type[Exception], Callable[[Any], HTTPException]], ...] = (
    (StarletteHTTPException, _from_starlette),
    (Http404, _not_found),
    (ObjectDoesNotExist, _not_found),
    (PermissionDenied, lambda error: Forbidden(str(error) or None)),
    (SuspiciousOperation, lambda error: BadRequest()),
    (DjangoBadRequest, lambda error: BadRequest()),  # SessionInterrupted among them
    (ValidationError, _from_validation),
)

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
