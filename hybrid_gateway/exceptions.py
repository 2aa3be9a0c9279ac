"""The exceptions of the gateway: one small class per HTTP error, and the errors of a project's configuration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Self, TypedDict

from django.core.exceptions import ImproperlyConfigured

from hybrid_gateway.problems import TAG, link
from hybrid_gateway.problems.places import Place, place_in, place_of

__all__ = [
    "BadGateway",
    "BadRequest",
    "ConfigurationError",
    "Conflict",
    "ContentTooLarge",
    "DependencyError",
    "ErrorEntry",
    "Forbidden",
    "GatewayTimeout",
    "Gone",
    "HTTPException",
    "InternalServerError",
    "LengthRequired",
    "Location",
    "MethodNotAllowed",
    "NotAcceptable",
    "NotFound",
    "NotImplementedByServer",
    "PaymentRequired",
    "PreconditionFailed",
    "PreconditionRequired",
    "RequestHeaderFieldsTooLarge",
    "RequestTimeout",
    "RequestValidationError",
    "ResponseValidationError",
    "RouteError",
    "ServiceUnavailable",
    "SettingsError",
    "TooManyRequests",
    "Unauthorized",
    "UnprocessableContent",
    "RangeNotSatisfiable",
    "UnsupportedMediaType",
    "error_entry",
    "located",
    "URITooLong",
    "check_status",
    "reason",
]

# SPEC: RFC 9110 section 15; http.HTTPStatus still has RFC 7231's phrases for some of these on older Pythons, and 510,
# which has become historic.
_REASONS = {status.value: status.phrase for status in HTTPStatus if status >= 400 and status != 510} | {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    418: "I'm a Teapot",
    422: "Unprocessable Content",
}


def reason(status: int) -> str:
    """The phrase RFC 9110 (or the registry it founded) gives to an error status."""
    return _REASONS.get(status, "Error")


_STATUSES = frozenset(range(200, 600))


def check_status(status: Any) -> None:
    """Raise :class:`ValueError` for what no answer can have as its status; 1xx is no answer yet (RFC 9110, 15.2)."""
    # PERF: bools and texts are not among them either
    if status not in _STATUSES:
        raise ValueError(f"{status!r} is no status of an answer. Give a number from 200 to 599.")


# --- HTTP errors ---------------------------------------------------------------------------------------------------


class HTTPException(Exception):
    """An answer other than success, raised anywhere between the first hook and the encoder.

    ``detail`` is a sentence for the client, or a dict or list that is sent as it is. ``headers`` are added to the
    answer; ``extra`` adds members to the problem details (RFC 9457, section 3.2).
    """

    status_code = 500
    quiet = False  # a 5xx is logged, unless its class says that it was told already

    def __init__(
        self,
        status_code: int | None = None,
        detail: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        extra: Any = None,
    ) -> None:
        if status_code is not None:
            check_status(status_code)
            self.status_code = status_code
        self.detail = detail
        self.headers = dict(headers) if headers else {}
        self.extra = extra
        super().__init__(self.status_code, detail)

    def __str__(self) -> str:
        return f"{self.status_code} {reason(self.status_code)}" + (f": {self.detail}" if self.detail else "")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(status_code={self.status_code}, detail={self.detail!r})"


class _StatusException(HTTPException):
    """An error whose class says its status, so that ``detail`` comes first."""

    def __init__(self, detail: Any = None, *, headers: Mapping[str, str] | None = None, extra: Any = None) -> None:
        super().__init__(None, detail, headers=headers, extra=extra)


class BadRequest(_StatusException):
    """The request cannot be understood: 400."""

    status_code = 400


class Unauthorized(_StatusException):
    """Nobody knows who calls: 401, with the challenges of the route's schemes."""

    status_code = 401


class PaymentRequired(_StatusException):
    """It is to be paid for first: 402."""

    status_code = 402


class Forbidden(_StatusException):
    """Whoever calls may not: 403."""

    status_code = 403


class NotFound(_StatusException):
    """There is no such thing, or none that the caller may know of: 404."""

    status_code = 404


class MethodNotAllowed(_StatusException):
    """The path has other methods: 405, with ``Allow`` where the gateway raises it."""

    status_code = 405


class NotAcceptable(_StatusException):
    """Nothing that the client accepts can be sent: 406."""

    status_code = 406


class RequestTimeout(_StatusException):
    """The client took too long to send its request: 408."""

    status_code = 408


class Conflict(_StatusException):
    """It contradicts what is stored: 409."""

    status_code = 409


class Gone(_StatusException):
    """It was there, and will not come back: 410."""

    status_code = 410


class LengthRequired(_StatusException):
    """The body needs a ``Content-Length``: 411."""

    status_code = 411


class PreconditionFailed(_StatusException):
    """It is not as ``If-Match`` or its like asks for: 412."""

    status_code = 412


class ContentTooLarge(_StatusException):
    """The body is larger than the route takes: 413."""

    status_code = 413


class URITooLong(_StatusException):
    """The path and query are longer than the server takes: 414."""

    status_code = 414


class UnsupportedMediaType(_StatusException):
    """The body is of a kind that the route does not read: 415."""

    status_code = 415


class RangeNotSatisfiable(_StatusException):
    """The ``Range`` lies outside of what there is: 416."""

    status_code = 416


class UnprocessableContent(_StatusException):
    """The request can be read, and what it says is wrong: 422."""

    status_code = 422


class PreconditionRequired(_StatusException):
    """The client has to say with ``If-Match`` which state it changes: 428."""

    status_code = 428


class TooManyRequests(_StatusException):
    """The caller's rate is used up: 429."""

    status_code = 429


class RequestHeaderFieldsTooLarge(_StatusException):
    """The headers are longer than the server takes: 431."""

    status_code = 431


class InternalServerError(_StatusException):
    """Something of ours has failed: 500. It is logged."""

    status_code = 500


class NotImplementedByServer(_StatusException):
    """The server can do no such thing, for any path: 501."""

    status_code = 501


class BadGateway(_StatusException):
    """A server that was asked gave no answer of use: 502."""

    status_code = 502


class ServiceUnavailable(_StatusException):
    """It cannot be done for now: 503; ``Retry-After`` may say for how long."""

    status_code = 503


class GatewayTimeout(_StatusException):
    """A server that was asked gave no answer in time: 504."""

    status_code = 504


Location = tuple[str | int, ...]
"""Where a fault is: its source (``query``, ``body``), then names and positions inside it."""


class ErrorEntry(TypedDict):
    """One of the ``errors`` in a problem: its location, a sentence, and what kind of fault it is."""

    loc: list[str | int]
    msg: str
    type: str


def error_entry(location: Iterable[str | int], message: str, kind: str = "value_error") -> ErrorEntry:
    """Return one entry of the ``errors`` of a 422, or of an answer that breaks its annotation."""
    return {"loc": [*location], "msg": message, "type": kind}


class RequestValidationError(UnprocessableContent):
    """The request's parameters or body break the handler's signature; ``errors`` lists every fault.

    Each error is ``{"loc": [source, name, ...], "msg": sentence, "type": "missing" | "type_error" | "value_error"}``.
    """

    def __init__(self, errors: Sequence[Mapping[str, Any]]) -> None:
        self.errors = list(errors)
        count = len(self.errors)
        super().__init__("1 parameter is invalid." if count == 1 else f"{count} parameters are invalid.")


class ResponseValidationError(Exception):
    """The value that a handler returned does not fit its annotation; ``errors`` lists every fault. A logged 500."""

    def __init__(self, errors: Sequence[Mapping[str, Any]]) -> None:
        self.errors = list(errors)
        super().__init__("; ".join(f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in self.errors))


# --- configuration errors ------------------------------------------------------------------------------------------


class ConfigurationError(ImproperlyConfigured):
    """A mistake in settings, routes or signatures, raised at start-up; it says where it is and what to do.

    ``text`` is what is wrong, ``id`` that of a page of the catalogue, ``place`` the file and line, where one is known.
    """

    def __init__(self, text: str, *, id: str | None = None, place: Place | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.id = id
        self.known_place = place

    @property
    def place(self) -> Place | None:
        """The handler, class or setting that is wrong, or the line of the project that has called us."""
        return self.known_place or place_in(self.__traceback__)

    def within(self, where: str) -> Self:
        """Return the same mistake with ``where`` said in front."""
        return type(self)(f"{where}: {self.text}", id=self.id, place=self.known_place)

    def __str__(self) -> str:
        if self.id is None:  # of a project
            return self.text
        where = "" if self.place is None else f", {self.place}"
        return f"{self.text}\n({TAG}.{self.id}{where})\n{link(self.id)}"


@contextmanager
def located(thing: object) -> Iterator[None]:
    """Let a :class:`ConfigurationError` that is raised meanwhile say where ``thing`` is written, if it says nothing."""
    try:
        yield
    except ConfigurationError as error:
        error.known_place = error.known_place or place_of(thing)
        raise


class SettingsError(ConfigurationError):
    """``HYBRID_GATEWAY`` holds an unknown key or a value of the wrong shape."""


class RouteError(ConfigurationError):
    """A route cannot be built, clashes with another one, or lies under one of Django's prefixes."""


class DependencyError(ConfigurationError):
    """A handler, component or guard asks for something that nothing provides, or that would need itself."""
