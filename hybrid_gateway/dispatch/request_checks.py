"""The checks of a request's head before either side sees it: one path for everybody, a known method, a known host.

How this works: drivers ask :meth:`RequestValidator.validate` once per request, before they decide which side answers,
unless :meth:`RequestValidator.is_known_good` says that it is like the last of its connection. A path that two readers
could take for two different things, or a header that they could read differently, is rejected instead of interpreted,
so that nobody's guard, and no proxy's rule, is side-stepped by a spelling. What is let through goes on as it came.
"""

from __future__ import annotations

import logging
import re
import string
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from urllib.parse import unquote

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.signals import setting_changed
from django.http import HttpRequest

from hybrid_gateway.auth.request_credentials import SecretCarriers
from hybrid_gateway.exceptions import (
    BadRequest,
    HTTPException,
    NotImplementedByServer,
    RequestHeaderFieldsTooLarge,
    URITooLong,
)
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.types import Environ, Header, Scope

UNCHECKED_HOST = "hybrid_gateway.unchecked_host"  # put there by a test client; no server has such a key

MAX_PATH = 8 * 1024  # bytes of a path as it was sent
PLAIN = string.ascii_lowercase + string.digits + "-_"  # characters that every reader of a path takes for themselves
MAX_HEADERS = 100
MAX_HEADER_BYTES = 64 * 1024  # names and values of all headers
MIN_EXACT_BYTES = 4 * 1024  # of all values, from which on they are counted exactly
MAX_KNOWN_HEADS = 512  # connections whose last headers are remembered, 4 KiB each at most
MAX_KNOWN_KEYS = 512  # sets of keys of a WSGI environ that are remembered
MAX_KNOWN_KEYS_LENGTH = 2048  # characters of each set
MAX_KNOWN_HOSTS = 1024  # names that are remembered as allowed

# SPEC: the HTTP Method Registry of IANA, without CONNECT (we are no proxy), TRACE (it echoes secrets) and PRI. Routes
# answer seven of them, and 405 to anything else; this is for Django's views and for what is mounted.
_REGISTERED = (
    "ACL BASELINE-CONTROL BIND CHECKIN CHECKOUT COPY DELETE GET HEAD LABEL LINK LOCK MERGE MKACTIVITY MKCALENDAR MKCOL "
    "MKREDIRECTREF MKWORKSPACE MOVE OPTIONS ORDERPATCH PATCH POST PROPFIND PROPPATCH PUT QUERY REBIND REPORT SEARCH "
    "UNBIND UNCHECKOUT UNLINK UNLOCK UPDATE UPDATEREDIRECTREF VERSION-CONTROL"
)
METHODS = frozenset(_REGISTERED.split())

# SPEC: RFC 9110 section 5.3: only one of each may be sent. Of Authorization the schemes see to that, with a 401.
_FRAMING = frozenset((b"content-length", b"transfer-encoding"))
_SINGLE = _FRAMING | {b"host", b"content-type"}
_CONTROLS = bytes([*range(0x09), *range(0x0A, 0x20), 0x7F])  # SPEC: RFC 9110 section 5.5; a tab is no fault

# C0 and C1 controls, the backslash that some take for a slash, and what bytes that are no UTF-8 have become
_NEVER_IN_PATH = re.compile("[\x00-\x1f\x7f-\x9f\\\\\ufffd\ud800-\udfff]")
# Of a WSGI environ: what is read in other ways than most requests are, or repeats what another key says.
_UNUSUAL_KEYS = frozenset(
    ("SCRIPT_URL", "REDIRECT_URL", "HTTP_TRANSFER_ENCODING", "HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH")
)
_FRAGMENT = "The target of the request has a fragment."  # SPEC: RFC 9112 section 3.2: no form of it has one
_HIDDEN_SLASH = re.compile(rb"%(2f|5c)", re.IGNORECASE)

_security_logger = logging.getLogger("django.security.DisallowedHost")


class RequestValidator:
    """The rules for the head of a request, the same for every driver.

    ``side(path)`` says who answers a path, in whatever words; ``is_passed_on(path)`` whether that is no route.
    ``secrets()`` are the headers that nobody shall remember for longer than a request takes. ``takes_slash(path)`` says
    whether a path with an encoded slash in it may go on; without it none may.
    """

    def __init__(
        self,
        side: Callable[[str], object],
        is_passed_on: Callable[[str], bool],
        secrets: Callable[[], SecretCarriers],
        takes_slash: Callable[[str], bool] | None = None,
    ) -> None:
        self._side = side
        self._is_passed_on = is_passed_on
        self._secrets = secrets
        self._known_by: SecretCarriers | None = None  # what was secret when the first of them was remembered
        self._takes_slash = takes_slash
        self._hosts: set[bytes] = set()
        # The last headers of a connection, with an allowed host; most clients send them again and again. Bounded.
        self._known: dict[object, tuple[list[Header], dict[bytes, bytes]]] = {}
        # By the keys of a WSGI environ, what reads the values of its headers. Bounded.
        self._readers: dict[tuple[str, ...], Callable[[Environ], Iterable[str]]] = {}
        setting_changed.connect(self._forget_hosts)

    def _forget_hosts(self, *, setting: str, **kwargs: object) -> None:
        if setting in ("ALLOWED_HOSTS", "DEBUG", "USE_X_FORWARDED_HOST"):
            self._hosts.clear()
            self._known.clear()

    def knows_head(self, ctx: RequestContext, scope: Scope) -> bool:
        """Return whether the head of a request is in order, but for path and method: as its connection sent before.

        PERF: :meth:`validate` and :meth:`validate_host` would find nothing, and take 1.6 µs more.
        """
        client = scope.get("client")
        known = self._known.get(client) if type(client) is tuple else None
        if (
            known is None
            or known[0] != ctx.raw_headers
            or (scope.get("raw_path") or b"").find(b"%") >= 0
            or (ctx.raw_query and _has_fragment(ctx.raw_query))
        ):
            return False
        ctx.headers_by_name = known[1]
        return True

    def is_known_good(self, ctx: RequestContext, scope: Scope, path: str | None) -> bool:
        """Return whether a request is like most: a plain path, a known method, and a head as in :meth:`knows_head`."""
        return (
            path is not None
            and self.knows_head(ctx, scope)
            and is_plain_path(path)
            and path.lower() == path
            and len(path) <= MAX_PATH
            and ctx.method in METHODS
        )

    def find_plain_path(self, environ: Environ) -> str | None:
        """Return the path of a WSGI request like most: all of its head is in order, and there is no script prefix.

        PERF: :meth:`validate` and :meth:`validate_host` would find nothing, and need a scope.
        """
        path: str = environ.get("PATH_INFO", "")
        query = environ.get("QUERY_STRING", "")
        target = environ.get("RAW_URI") or environ.get("REQUEST_URI") or path
        host = environ.get("HTTP_HOST")
        if (
            (target != path and target != f"{path}?{query}")  # encoded, or absolute
            or "#" in query
            or not is_plain_path(path)
            or path.lower() != path
            or len(path) > MAX_PATH
            or environ["REQUEST_METHOD"] not in METHODS
            or host is None
            or host.encode("latin-1") not in self._hosts
            or environ.get("SCRIPT_NAME")
        ):
            return None
        keys = tuple(environ)
        read_values = self._readers.get(keys)
        if read_values is None:
            names = [key for key in keys if key.startswith("HTTP_") or key in ("CONTENT_TYPE", "CONTENT_LENGTH")]
            if len(names) > MAX_HEADERS or not _UNUSUAL_KEYS.isdisjoint(keys):
                return None
            read_values = itemgetter("HTTP_HOST", *names)
            if sum(map(len, keys)) <= MAX_KNOWN_KEYS_LENGTH:
                if len(self._readers) >= MAX_KNOWN_KEYS:
                    self._readers.clear()
                self._readers[keys] = read_values
        text = "".join(read_values(environ)).encode("latin-1")
        return path if len(text) <= MIN_EXACT_BYTES and len(text.translate(None, _CONTROLS)) == len(text) else None

    def validate(self, ctx: RequestContext, path: str | None) -> HTTPException | None:
        """Return why the request of ``ctx`` is rejected, if it is.

        ``path`` is below the script prefix, ``None`` where nobody can tell it.
        Headers whose name has an underscore are taken out of ``ctx.raw_headers``.
        """
        scope = ctx.scope
        error = self._validate_headers(ctx, scope.get("client"))
        if error is not None:
            return error
        raw_path = scope.get("raw_path") or b""
        if ctx.raw_query and _has_fragment(ctx.raw_query):
            return _closing(ctx, BadRequest(_FRAGMENT))
        if (
            path is None
            or not is_plain_path(path)
            or raw_path.find(b"%") >= 0  # PERF: `in` takes ten times as long, for bytes
            or raw_path.find(b"#") >= 0
            or ((lower := path.lower()) != path and self._side(lower) != self._side(path))
        ):
            error = self.validate_path(path, raw_path, ctx.method)
            if error is not None:
                return error if raw_path.find(b"#") < 0 else _closing(ctx, error)
        elif len(path) > MAX_PATH:
            return URITooLong(f"The path is longer than {MAX_PATH} bytes.")
        if ctx.method not in METHODS and path is not None and self._is_passed_on(path):
            # SECURITY: Django takes "get" for GET, which what stands before it need not do.
            return NotImplementedByServer("The method of the request is not known here.")
        return None

    def _validate_headers(self, ctx: RequestContext, client: object) -> HTTPException | None:
        raw_headers: list[Header] = ctx.raw_headers
        headers = dict(raw_headers)
        # PERF: joined first, so that a request is one or two searches, not some for each of its headers: 1.6 µs.
        names, values = b"".join(headers), b"".join(headers.values())
        if names.find(b"_") >= 0:
            # SECURITY: X_User would pose as X-User, which a proxy strips or sets (CVE-2026-3902).
            ctx.raw_headers = raw_headers = [header for header in raw_headers if b"_" not in header[0]]
            headers = dict(raw_headers)
        ctx.headers_by_name = headers
        # SECURITY: two readers of a body that has a transfer coding must not see two ends of it, or two bodies.
        # SPEC: RFC 9112 section 6.1: Content-Length beside it is an attempt to smuggle, HTTP/1.0 does not know it;
        # RFC 9113 section 8.2.2 and RFC 9114 section 4.2 forbid it. None: who calls us says nothing of versions.
        # Section 6.3: a body without chunks at last has no end. Other codings nobody undoes here, and servers differ.
        if b"transfer-encoding" in headers and (
            headers[b"transfer-encoding"].strip().lower() != b"chunked"
            or b"content-length" in headers
            or ctx.scope.get("http_version") not in ("1.1", None)
        ):
            return _closing(ctx, BadRequest("The length of the request's body can be read in more than one way."))
        count = len(raw_headers)
        if count != len(headers) or count > MAX_HEADERS or len(values) > MIN_EXACT_BYTES:
            error = _validate_many(ctx, raw_headers)
            if error is not None:
                return error
        if len(values.translate(None, _CONTROLS)) != len(values):
            return BadRequest("A header of the request has control characters.")
        if type(client) is tuple and headers.get(b"host") in self._hosts and len(names) + len(values) < MIN_EXACT_BYTES:
            secrets = self._secrets()
            if len(self._known) >= MAX_KNOWN_HEADS or secrets is not self._known_by:
                self._known.clear()
                self._known_by = secrets
            if not secrets.are_in(headers, names):
                self._known[client] = list(raw_headers), headers
        return None

    def validate_path(self, path: str | None, raw_path: bytes, method: str) -> HTTPException | None:
        """Return whether a path that is not plain has one meaning all the same."""
        if path == "*" and method == "OPTIONS":
            return None
        if path is None or not path.startswith("/"):
            return BadRequest("The path of the request makes no sense here.")
        if len(path.encode("utf-8", "replace")) > MAX_PATH or len(raw_path) > MAX_PATH:
            return URITooLong(f"The path is longer than {MAX_PATH} bytes.")
        if raw_path.find(b"#") >= 0:
            return BadRequest(_FRAGMENT)
        if _NEVER_IN_PATH.search(path) is not None:
            return BadRequest("The path of the request has characters that no path may have.")
        # SECURITY: a slash that a proxy did not see, or everything that only one of two readers would resolve.
        hides_slash = _HIDDEN_SLASH.search(raw_path) is not None
        is_rejected = hides_slash and not self._may_hide_slash(path, raw_path)
        if is_rejected or self._side(normalize_path(path)) != self._side(path):
            return BadRequest("The path of the request can be read in more than one way.")
        return None

    def _may_hide_slash(self, path: str, raw_path: bytes) -> bool:
        """Return whether a path with an encoded slash goes to the same place for everybody: ``ENCODED_SLASHES``.

        It is read with the slash, as Django does, with a character in its place, as routers of raw paths do, and
        resolved, as some proxies do.
        """
        if self._takes_slash is None:
            return False
        target = raw_path.decode("latin-1")
        decoded, opaque = unquote(target), unquote(_HIDDEN_SLASH.sub(b"%00", raw_path).decode("latin-1"))
        root = len(decoded) - len(path)  # what the server has put before it, or the client: a script prefix
        if not decoded.endswith(path) or "\0" in opaque[:root]:
            return False
        return all(map(self._takes_slash, (path, opaque[root:], normalize_path(path))))

    # --- the host

    def validate_host(self, ctx: RequestContext, *, log: bool = True) -> HTTPException | None:
        """Return why the host is rejected, if it is: by Django's rules and settings, logged as Django does."""
        if self.knows_host(ctx):
            return None
        headers, scope = ctx.headers_by_name or {}, ctx.scope
        host, version, server = headers.get(b"host"), scope.get("http_version"), scope.get("server")
        if UNCHECKED_HOST in scope or (host is None and version is None and server is None):
            return None  # it came through no server: a test, or somebody who calls the application
        # DJANGO: the scopes of AsyncRequestFactory (test/client.py) have no Host; their port is text, no server's is.
        if host is None and version == "1.1" and not (server and isinstance(server[1], str)):
            return BadRequest("The request has no Host header.")  # SPEC: RFC 9112 section 3.2
        try:
            request = HttpRequest()
            name, port = server or ("", None)
            request.META = {"SERVER_NAME": name or "", "SERVER_PORT": str(port or 80)}
            for key, value in (("HTTP_HOST", host), ("HTTP_X_FORWARDED_HOST", headers.get(b"x-forwarded-host"))):
                if value is not None:
                    request.META[key] = value.decode("latin-1")
            request.get_host()
        except DisallowedHost as error:
            if log:  # DJANGO: by the logger that response_for_exception takes (core/handlers/exception.py)
                _security_logger.error("%s", error, extra={"status_code": 400})
            return BadRequest(str(error) if settings.DEBUG else "The Host header names no host that is served here.")
        if host is not None and not settings.USE_X_FORWARDED_HOST:
            if len(self._hosts) >= MAX_KNOWN_HOSTS:
                self._hosts.clear()
            self._hosts.add(host)
        return None

    def knows_host(self, ctx: RequestContext) -> bool:
        """Return whether the host of a validated request was allowed before."""
        return ctx.header(b"host") in self._hosts


def is_plain_path(path: str) -> bool:
    """Return whether ``path`` can be read in one way only, but for the case of its letters. PERF: 0.2 µs."""
    return (
        path.startswith("/")
        and path.isascii()
        and path.isprintable()
        and not ("%" in path or "//" in path or "/." in path or ";" in path or "\\" in path or "#" in path)
    )


def _has_fragment(query: bytes | str) -> bool:
    if isinstance(query, str):  # in the scopes of Django's AsyncRequestFactory
        return "#" in query
    return query.find(b"#") >= 0


def _closing(ctx: RequestContext, error: HTTPException) -> HTTPException:
    """Return ``error`` as the last response of its connection: what follows could be a part of this request."""
    if ctx.is_http_1:
        error.headers["connection"] = "close"
    return error


def normalize_path(path: str) -> str:
    """Return what the most obliging reader could make of ``path``: decoded once more, folded, resolved."""
    text = unicodedata.normalize("NFKC", unquote(path)).casefold().replace("\\", "/")
    segments: list[str] = []
    for segment in text.split("/"):
        name = segment.partition(";")[0]
        if name == "..":
            del segments[-1:]
        elif name not in ("", "."):
            segments.append(name)
    slash = "/" if segments and text.endswith(("/", "/.", "/..")) else ""
    return "/" + "/".join(segments) + slash


def _validate_many(ctx: RequestContext, headers: Sequence[Header]) -> HTTPException | None:
    """Return why headers are rejected that are many, large or repeated."""
    if len(headers) > MAX_HEADERS or sum(len(name) + len(value) for name, value in headers) > MAX_HEADER_BYTES:
        return RequestHeaderFieldsTooLarge(
            f"More than {MAX_HEADERS} headers, or {MAX_HEADER_BYTES} bytes of them, are not read."
        )
    seen: set[bytes] = set()
    for name, value in headers:
        if name in _SINGLE and name in seen:
            error = BadRequest(f"The header {name.decode('ascii').title()} was sent more than once.")
            return _closing(ctx, error) if name in _FRAMING else error
        if len(value) != len(value.translate(None, _CONTROLS)):
            return BadRequest("A header of the request has control characters.")
        seen.add(name)
    return None
