"""htmx: what it says of a request (:class:`HTMXRequest`), and what a response says to it.

How this works: :class:`Reswap`, :class:`TriggerEvent` and their like are headers, by name, and ``|`` joins them. So
they go wherever headers go: ``headers=`` of a response, of an error, ``response_headers=`` of a layer,
``response.headers.update(...)``. The others are responses without a body, for the browser goes elsewhere.

SPEC: https://htmx.org/reference/#response_headers. A header is latin-1 text to a browser; so all that is sent here is
ASCII: JSON with escapes, URLs percent-encoded, selectors with the escapes of CSS.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Literal
from urllib.parse import urlsplit

import msgspec
from django.core.exceptions import DisallowedRedirect
from django.utils.encoding import iri_to_uri
from starlette.background import BackgroundTask

from hybrid_gateway.request.htmx_request import HTMXRequest
from hybrid_gateway.responses.enc_hook import enc_hook
from hybrid_gateway.responses.gateway_response import GatewayResponse
from hybrid_gateway.responses.response_classes import HTMLResponse

__all__ = [
    "HTMXRequest",
    "HXHeaders",
    "HXLocation",
    "HXRedirect",
    "HXRefresh",
    "PushUrl",
    "ReplaceUrl",
    "Reselect",
    "Reswap",
    "Retarget",
    "StopPolling",
    "TriggerEvent",
]

_EVENTS = {"receive": "HX-Trigger", "settle": "HX-Trigger-After-Settle", "swap": "HX-Trigger-After-Swap"}
_STOP_POLLING = 286  # SPEC: https://htmx.org/docs/#polling


class HXHeaders(Mapping[str, str]):
    """Headers for htmx. ``|`` joins those of two: of one header the right one counts, events are sent together."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = dict(headers)

    def __getitem__(self, name: str) -> str:
        return self._headers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._headers)

    def __len__(self) -> int:
        return len(self._headers)

    def __or__(self, other: Mapping[str, str]) -> HXHeaders:
        return _join(self, other)

    def __ror__(self, other: Mapping[str, str]) -> HXHeaders:
        return _join(other, self)

    def __repr__(self) -> str:
        return f"HXHeaders({self._headers})"


def _join(left: Mapping[str, str], right: Mapping[str, str]) -> HXHeaders:
    joined = dict(left)
    for name, value in right.items():
        if name in _EVENTS.values() and name in joined:
            value = _ascii_json({**msgspec.json.decode(joined[name]), **msgspec.json.decode(value)})
        joined[name] = value
    return HXHeaders(joined)


class Reswap(HXHeaders):
    """The way that the response is swapped in, instead of ``hx-swap``: ``"outerHTML"``, ``"none"``."""

    def __init__(self, method: str) -> None:
        super().__init__({"HX-Reswap": _selector(method, "Reswap")})


class Retarget(HXHeaders):
    """The element that the response goes into, by its CSS selector, instead of ``hx-target``."""

    def __init__(self, selector: str) -> None:
        super().__init__({"HX-Retarget": _selector(selector, "Retarget")})


class Reselect(HXHeaders):
    """The part of the response that is swapped in, by its CSS selector, instead of ``hx-select``."""

    def __init__(self, selector: str) -> None:
        super().__init__({"HX-Reselect": _selector(selector, "Reselect")})


class PushUrl(HXHeaders):
    """The URL that the browser shows and adds to its history; ``False`` adds none, whatever ``hx-push-url`` says."""

    def __init__(self, url: str | Literal[False]) -> None:
        super().__init__({"HX-Push-Url": "false" if url is False else _url(url)})


class ReplaceUrl(HXHeaders):
    """The URL that the browser shows in the place of the one that it shows; ``False`` leaves that."""

    def __init__(self, url: str | Literal[False]) -> None:
        super().__init__({"HX-Replace-Url": "false" if url is False else _url(url)})


class TriggerEvent(HXHeaders):
    """An event for scripts of the page, with ``params`` as its ``detail``: anything that is JSON.

    ``after`` is when: the response is there (``"receive"``), swapped in (``"swap"``), or settled (``"settle"``); htmx 4
    knows the first alone.
    """

    def __init__(
        self, name: str, params: object = None, *, after: Literal["receive", "settle", "swap"] = "receive"
    ) -> None:
        if after not in _EVENTS:
            raise ValueError(f"TriggerEvent(after={after!r}) must be one of {', '.join(map(repr, _EVENTS))}.")
        if not name:
            raise ValueError("TriggerEvent() needs the name of an event.")
        super().__init__({_EVENTS[after]: _ascii_json({name: {} if params is None else params})})


class _Elsewhere(GatewayResponse):
    """A response without a body: the browser goes elsewhere."""

    media_type = "text/html"

    def __init__(
        self, own: dict[str, str], headers: Mapping[str, str] | None, background: BackgroundTask | None
    ) -> None:
        super().__init__(headers={**(headers or {}), **own}, background=background)


class HXRedirect(_Elsewhere):
    """Let the browser load another page as a whole. ``url`` is of HTTP; what is none is a 400, as in Django."""

    def __init__(
        self, url: str, *, headers: Mapping[str, str] | None = None, background: BackgroundTask | None = None
    ) -> None:
        super().__init__({"HX-Redirect": _url(url)}, headers, background)


class HXRefresh(_Elsewhere):
    """Let the browser load its page anew."""

    def __init__(self, *, headers: Mapping[str, str] | None = None, background: BackgroundTask | None = None) -> None:
        super().__init__({"HX-Refresh": "true"}, headers, background)


class HXLocation(_Elsewhere):
    """Let htmx get another page and swap that in, without loading all of it.

    The other arguments are those of ``htmx.ajax``: ``source``, ``event`` and ``handler`` of the request, where and how
    the response goes (``target``, ``swap``, ``select``), ``values`` and ``hx_headers`` to send, ``push`` and
    ``replace`` of the URL.
    """

    def __init__(
        self,
        path: str,
        *,
        source: str | None = None,
        event: str | None = None,
        handler: str | None = None,
        target: str | None = None,
        swap: str | None = None,
        select: str | None = None,
        values: Mapping[str, object] | None = None,
        hx_headers: Mapping[str, str] | None = None,
        push: str | bool | None = None,
        replace: str | bool | None = None,
        headers: Mapping[str, str] | None = None,
        background: BackgroundTask | None = None,
    ) -> None:
        given: dict[str, object] = {
            "source": source,
            "event": event,
            "handler": handler,
            "target": target,
            "swap": swap,
            "select": select,
            "values": values,
            "headers": hx_headers,
            "push": _history(push),
            "replace": _history(replace),
        }
        options = {name: value for name, value in given.items() if value is not None}
        url = _url(path)
        super().__init__(
            {"HX-Location": _ascii_json({"path": url, **options}) if options else url}, headers, background
        )


class StopPolling(HTMLResponse):
    """The last response to an element that polls (``hx-trigger="every 2s"``): status 286."""

    documented_status = _STOP_POLLING

    def __init__(
        self, content: str = "", *, headers: Mapping[str, str] | None = None, background: BackgroundTask | None = None
    ) -> None:
        super().__init__(content, _STOP_POLLING, headers, background=background)


# --- header-safe text ------------------------------------------------------------------------------------------------


def _url(url: str) -> str:
    """Return a URL as a header has it; raise ``DisallowedRedirect``, a 400, for one that is none of HTTP."""
    # SECURITY: a javascript: URL would run. DJANGO: http/response.py, HttpResponseRedirectBase
    text = iri_to_uri(url)
    try:
        scheme = urlsplit(text).scheme.lower()
    except ValueError as error:
        raise DisallowedRedirect(f"Unsafe redirect to {text!r}: {error}") from error
    if scheme not in ("", "http", "https"):
        raise DisallowedRedirect(f"Unsafe redirect to URL with protocol {scheme!r}")
    return text


def _history(url: str | bool | None) -> str | None:
    """Return a URL for the history of the browser, or whether there shall be one, as htmx reads it."""
    if url is None or isinstance(url, bool):
        return None if url is None else str(url).lower()
    return _url(url)


def _selector(text: str, what: str) -> str:
    """Return a selector in ASCII; raise ``ValueError`` where it holds what would end the header."""
    if not text.strip() or any(ord(letter) < 0x20 or ord(letter) == 0x7F for letter in text):
        raise ValueError(f"{what}({text!r}) must be text of one line.")
    # SPEC: CSS Syntax 3, section 4.3.7: six digits need no blank after them, which htmx would split at.
    return re.sub(r"[^\x00-\x7f]", lambda match: f"\\{ord(match[0]):06x}", text)


def _ascii_json(value: object) -> str:
    """Return JSON without a character that is none of a header."""

    def escape(letter: re.Match[str]) -> str:
        units = letter[0].encode("utf-16-be")
        return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))

    return re.sub(r"[^\x20-\x7e]", escape, msgspec.json.encode(value, enc_hook=enc_hook).decode())
