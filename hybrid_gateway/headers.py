"""Headers of responses: checked and written at start-up where they never change; drivers add the length."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.types import Header, Headers, Message, Send, StartResponse

JSON = "application/json"
MESSAGEPACK = "application/msgpack"
JSON_LINES = "application/x-ndjson"
MESSAGEPACK_ALIASES: tuple[str, ...] = ("application/x-msgpack", "application/vnd.msgpack")

NO_CONTENT = frozenset({204, 304})  # SPEC: RFC 9110 sections 15.3.5 and 15.4.5; statuses below 200 are no responses yet

# SPEC: RFC 9110 section 5.1 (a token) and 5.5 (no controls but the tab)
_TOKEN = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CONTROLS = bytes([*range(0x09), *range(0x0A, 0x20), 0x7F])


class FixedHeaders(tuple[Header, ...]):
    """Headers that an endpoint sends with each of its responses; ``lines`` is them as HTTP/1.1 writes them.

    Raises :class:`ConfigurationError` for what no server could send.
    """

    lines: bytes
    # The lines with what drivers put before them, and what that was made of.
    head: bytes = b""
    stamp: object = None
    text: list[tuple[str, str]] | None = None  # as WSGI has them, once a driver has asked
    _extended: FixedHeaders | None = None

    def __new__(cls, headers: Iterable[Header] = ()) -> FixedHeaders:
        self = super().__new__(cls, (header for header in headers if header[0] != b"content-length"))
        try:
            self.lines = b"".join(map(header_line, self))
        except ValueError as error:
            raise ConfigurationError(str(error), id="H005") from error
        return self

    @cached_property
    def names(self) -> frozenset[bytes]:
        """The names, in small letters."""
        return frozenset(name.lower() for name, _ in self)

    def extended(self, header: Header) -> FixedHeaders:
        """Return these and one more, which is the same each time; ``self`` where it has one of that name."""
        if self._extended is None:
            self._extended = self if header[0] in dict(self) else FixedHeaders((*self, header))
        return self._extended


class StampedHeaders(tuple[Header, ...]):
    """Fixed headers, and after them those that are others each time; ``lines`` is the latter as HTTP/1.1 writes them.

    PERF: drivers need neither validate the first nor write them anew.
    """

    fixed: FixedHeaders
    lines: bytes
    # As FixedHeaders have them; there is no head to keep.
    head: bytes = b""
    stamp: object = None


def add_stamp(headers: Headers, header: Header) -> Headers:
    """Return ``headers`` and one more, its name in lower case. Raises ``ValueError`` as :func:`check_header` does."""
    # SECURITY: a hook of a project's may have made the value, and drivers write these lines as they are.
    if type(headers) is FixedHeaders:
        fixed, lines = headers, header_line(header)
    elif type(headers) is StampedHeaders:
        fixed, lines = headers.fixed, headers.lines + header_line(header)
    else:
        return [*headers, header]
    stamped = StampedHeaders((*headers, header))
    stamped.fixed, stamped.lines = fixed, lines
    return stamped


def set_stamp(headers: Headers, header: Header) -> Headers:
    """Return ``headers`` with one in the place of all of its name, as :func:`add_stamp` does."""
    name = header[0]
    if type(headers) is FixedHeaders and name not in headers.names:
        return add_stamp(headers, header)
    places = [place for place, (known, _) in enumerate(headers) if known.lower() == name]
    if not places:
        return add_stamp(headers, header)
    return [header if place == places[0] else known for place, known in enumerate(headers) if place not in places[1:]]


def fix_headers(headers: Headers) -> Headers:
    """Return ``headers``, checked and written once, unless they speak of the connection, decided by each response."""
    checked = FixedHeaders(headers)
    return headers if any(name in (b"connection", b"transfer-encoding") for name, _ in headers) else checked


def is_token(name: bytes) -> bool:
    """Return whether ``name`` may name a header or a cookie. SPEC: RFC 9110 section 5.6.2."""
    return bool(name) and not name.translate(None, _TOKEN)


def check_header(name: bytes, value: bytes) -> None:
    """Raise ``ValueError`` for what no server may send: it could be taken for another header."""
    if not is_token(name):
        raise ValueError(f"{name!r} is no name of a header.")
    if value != value.translate(None, _CONTROLS):
        raise ValueError(f"{value!r} is no value of the header {name.decode('latin-1')}.")


def header_line(header: Header) -> bytes:
    """Return the line of one header, its name in lower case. Raises ``ValueError`` as :func:`check_header` does."""
    name, value = header
    check_header(name, value)
    return b"%b: %b\r\n" % (name.lower(), value)


def merge_vary(headers: Headers, names: bytes) -> list[Header]:
    """Return ``headers`` with a ``Vary`` that names these as well, once, in one line."""
    if not names:
        return list(headers)
    given = [value for name, value in headers if name == b"vary"]
    known: dict[bytes, bytes] = {}
    for value in (*given, names):
        for part in value.split(b","):
            known.setdefault(part.strip().lower(), part.strip())
    known.pop(b"", None)
    value = b"*" if b"*" in known else b", ".join(known.values())
    return [*(header for header in headers if header[0] != b"vary"), (b"vary", value)]


def make_private(headers: Headers) -> list[Header]:
    """Return ``headers`` that keep a response out of shared caches, unless ``Cache-Control`` says who may store it."""
    given = b", ".join(value for name, value in headers if name == b"cache-control")
    words = {part.strip().partition(b"=")[0].lower() for part in given.split(b",")}
    if words & {b"private", b"public", b"no-store"}:
        return list(headers)
    value = b"%b, private" % given if given else b"private"
    return [*(header for header in headers if header[0] != b"cache-control"), (b"cache-control", value)]


def write_cache_control(value: str | Mapping[str, Any]) -> str:
    """Return ``{"public": True, "max_age": 60}`` as ``public, max-age=60``; text as it is.

    Raises :class:`ConfigurationError` for a directive that RFC 9111, 5861 and 8246 do not know.
    """
    if isinstance(value, str):
        return value
    parts = []
    for key, entry in value.items():
        name = key.replace("_", "-")
        if name not in _DIRECTIVES:
            raise ConfigurationError(
                f"cache_control={value!r}: {key!r} is none of {', '.join(sorted(_DIRECTIVES))}.", id="H005"
            )
        if entry is not False and entry is not None:
            parts.append(name if entry is True else f"{name}={int(entry)}")
    return ", ".join(parts)


_DIRECTIVES = frozenset(
    (
        *("immutable", "max-age", "must-revalidate", "must-understand", "no-cache", "no-store", "no-transform"),
        *("private", "proxy-revalidate", "public", "s-maxage", "stale-if-error", "stale-while-revalidate"),
    )
)


def parse_weights(accept: str) -> list[tuple[str, float]]:
    """Return what an ``Accept`` or ``Accept-Encoding`` header lists, in lower case, with weights.

    SPEC: RFC 9110 section 12.4.2: a weight of 0 means "not that".
    """
    found = []
    for entry in filter(str.strip, accept.lower().split(",")):
        value, *parameters = (part.strip() for part in entry.split(";"))
        weight = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        try:
            found.append((value, float(weight)))
        except ValueError:
            found.append((value, 0.0))
    return found


def check_headers(headers: Iterable[Header]) -> None:
    """Raise ``ValueError`` where one of ``headers`` must not be sent: :func:`check_header`."""
    if type(headers) is FixedHeaders:  # which was checked when it was made
        return
    headers = list(headers)
    if headers:
        # PERF: all at once, 1 µs; each by itself takes 0.4 µs.
        names, values = zip(*headers, strict=True)
        text = b"".join(values)
        if b"".join(names).translate(None, _TOKEN) or b"" in names or len(text.translate(None, _CONTROLS)) != len(text):
            for name, value in headers:
                check_header(name, value)


_WITH_HEADERS = ("http.response.start", "websocket.accept", "websocket.http.response.start")


def checked_send(send: Send) -> Send:
    """Return an ASGI ``send`` that raises ``ValueError`` instead of sending headers that could be taken for others."""

    async def check_and_send(message: Message) -> None:
        if message["type"] in _WITH_HEADERS:
            check_headers(message.get("headers", ()))
        await send(message)

    return check_and_send


def checked_start_response(start_response: StartResponse) -> StartResponse:
    """Return a ``start_response`` of WSGI that raises ``ValueError`` for headers that could be taken for others."""

    def check_and_start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Callable[[bytes], object]:
        # PERF: most were checked before: 5,000 instructions, in place of 20,000.
        if not _checked.issuperset(headers):
            new = [header for header in headers if header not in _checked]
            for name, value in new:
                check_header(name.encode("latin-1"), value.encode("latin-1"))
            if len(_checked) > _MAX_CHECKED:
                _checked.clear()
            _checked.update(header for header in new if header[0] in _UNIFORM and len(header[1]) < 256)
        if status not in _checked:
            check_header(b"status", status.encode("latin-1"))
            if len(status) < 64:
                _checked.add(status)
        return start_response(status, headers, *exc_info)

    return check_and_start


# SECURITY: bounded, and of headers that tell nothing of anybody.
_checked: set[str | tuple[str, str]] = set()
_MAX_CHECKED = 2048
_UNIFORM = frozenset(
    (
        *("Content-Type", "Content-Length", "Content-Language", "Vary", "Cache-Control", "X-Frame-Options"),
        *("X-Content-Type-Options", "Referrer-Policy", "Cross-Origin-Opener-Policy", "Strict-Transport-Security"),
    )
)


def headers_to_send(status: int, headers: Headers, body: bytes) -> list[Header]:
    """Return ``headers``, checked, and the length of the body. Raises ``ValueError`` as :func:`check_header` does."""
    # SECURITY: not every server looks: some send what they are given, and one was ended by it (granian before 2.7.5).
    check_headers(headers)
    return with_content_length(status, headers, body)


def with_content_length(status: int, headers: Headers, body: bytes) -> list[Header]:
    """Return ``headers`` and the length of the body. SPEC: RFC 9110 section 8.6: not where there is no content."""
    if status in NO_CONTENT:
        return list(headers)
    return [*headers, (_LENGTHS.get(len(body)) or _note_length(len(body)))[0]]


def end_of_head(body: bytes) -> bytes:
    """Return what ends the head of a response after ``content-length: ``."""
    return (_LENGTHS.get(len(body)) or _note_length(len(body)))[1]


# PERF: to write a number takes 1,000 instructions. Bounded: longer bodies cost more than that themselves.
_LENGTHS: dict[int, tuple[Header, bytes]] = {}
_MAX_NOTED_LENGTH = 4096


def _note_length(size: int) -> tuple[Header, bytes]:
    noted = (b"content-length", b"%d" % size), b"%d\r\n\r\n" % size
    return noted if size > _MAX_NOTED_LENGTH else _LENGTHS.setdefault(size, noted)
