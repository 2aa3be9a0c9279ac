"""The headers that htmx 1, 2 and 4 send with a request.

SPEC: https://htmx.org/reference/#request_headers (1 and 2), https://four.htmx.org/reference/headers (4). A value that
is no latin-1 text comes percent-encoded, and a second header, its name with ``-URI-AutoEncoded``, says so.
"""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from hybrid_gateway.request.context import RequestContext

_REQUEST, _TARGET, _TRIGGER, _SOURCE = b"HX-Request", b"HX-Target", b"HX-Trigger", b"HX-Source"
_TRIGGER_NAME, _PROMPT, _CURRENT_URL = b"HX-Trigger-Name", b"HX-Prompt", b"HX-Current-URL"
_BOOSTED, _RESTORES, _KIND = b"HX-Boosted", b"HX-History-Restore-Request", b"HX-Request-Type"
_ENCODED = b"-URI-AutoEncoded"

_TEXTS = (_TARGET, _TRIGGER, _TRIGGER_NAME, _PROMPT, _CURRENT_URL)
_NAMES = (_REQUEST, _BOOSTED, _RESTORES, _KIND, _SOURCE, *_TEXTS, *(name + _ENCODED for name in _TEXTS))
HTMX_HEADERS: tuple[str, ...] = tuple(name.decode() for name in _NAMES)
"""The request headers that :class:`HTMXRequest` may read, ``HX-Request`` first."""


class HTMXRequest:
    """The details that htmx tells of a request; injected by type, true where htmx has sent the request.

    A response is marked as varying by ``HX-Request`` and by each other header that was read here. All of it is a
    client's word: anybody may send these headers.
    """

    __slots__ = ("_ctx",)

    def __init__(self, ctx: RequestContext) -> None:
        self._ctx = ctx
        self._read(_REQUEST)

    def __bool__(self) -> bool:
        return self._is_true(_REQUEST)

    @property
    def partial(self) -> bool:
        """True where a part of a page is wanted: for htmx, and neither for a boosted link nor for the history."""
        kind = self._read(_KIND)
        if kind is not None:
            return bool(self) and kind == b"partial"
        return bool(self) and not self.boosted and not self.history_restore_request

    @property
    def boosted(self) -> bool:
        """True for a link or a form with ``hx-boost``."""
        return self._is_true(_BOOSTED)

    @property
    def history_restore_request(self) -> bool:
        """True where the browser went back to a page that htmx has not kept: it needs all of it."""
        return self._is_true(_RESTORES)

    @property
    def target(self) -> str | None:
        """The ``id`` of the element that the response goes into."""
        return self._element_id(_TARGET)

    @property
    def trigger(self) -> str | None:
        """The ``id`` of the element that has sent the request."""
        return self._element_id(_TRIGGER if self._read(_SOURCE) is None else _SOURCE)

    @property
    def trigger_name(self) -> str | None:
        """The ``name`` of the element that has sent the request; htmx 4 does not tell."""
        return self._text(_TRIGGER_NAME)

    @property
    def prompt(self) -> str | None:
        """The user's answer to ``hx-prompt``."""
        return self._text(_PROMPT)

    @property
    def current_url(self) -> str | None:
        """The URL of the page that has sent the request."""
        return self._text(_CURRENT_URL)

    @property
    def current_url_abs_path(self) -> str | None:
        """Path, query and fragment of :attr:`current_url`; ``None`` where that is a page of another host."""
        try:
            url = urlsplit(self.current_url or "")
        except ValueError:
            return None
        host = self._ctx.header(b"host") or b""
        # SECURITY: a browser takes "//host" and "/\host" for another host: whoever is sent back there would leave.
        is_path = url.path.startswith("/") and url.path[1:2] not in ("/", "\\")
        if url.netloc.lower() != host.decode("latin-1").lower() or not is_path:
            return None
        return url._replace(scheme="", netloc="").geturl()

    def __repr__(self) -> str:
        return f"<HTMXRequest {bool(self)}>"

    # --- headers

    def _read(self, name: bytes) -> bytes | None:
        """Return a header, and note that the response depends on it."""
        noted = self._ctx.varies_by
        if noted is None:
            noted = self._ctx.varies_by = {}
        noted[name] = None
        return self._ctx.header(name.lower())

    def _is_true(self, name: bytes) -> bool:
        return self._read(name) == b"true"

    def _text(self, name: bytes) -> str | None:
        value = self._read(name)
        if value is None:
            return None
        text = value.decode("latin-1")
        return unquote(text) if self._is_true(name + _ENCODED) else text

    def _element_id(self, name: bytes) -> str | None:
        """Return the ``id`` of an element. htmx 4, which sends ``HX-Source``, writes it as ``button#id``."""
        if self._read(_SOURCE) is None:
            return self._text(name) or None
        value = self._read(name) or b""
        return unquote(value.decode("latin-1").partition("#")[2]) or None
