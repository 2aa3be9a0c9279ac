"""Cookies of responses, as ``Set-Cookie`` headers; those of requests are read by ``request/head_parsing.py``."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from http.cookies import BaseCookie, CookieError, Morsel, SimpleCookie

from starlette.responses import Response as StarletteResponse

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.spelling import check_options
from hybrid_gateway.types import Header


def set_cookie_headers(cookies: BaseCookie[str]) -> list[Header]:
    """Return one header for each cookie of a jar, such as that of a Django response."""
    return [_header(morsel) for morsel in cookies.values()]


def read_cookie_option(cookie: object) -> Header:
    """Return the header of an entry of ``response_cookies``: a pair, a mapping of attributes with ``key``, a Morsel.

    Raises :class:`ConfigurationError` for anything else.
    """
    if isinstance(cookie, Morsel):
        return _header(cookie)
    if isinstance(cookie, Mapping) and "key" in cookie:
        check_options(cookie, _ATTRIBUTES, f"The cookie {cookie['key']!r} of response_cookies")
        response = StarletteResponse()
        response.set_cookie(**dict(cookie))
        return next(header for header in response.raw_headers if header[0] == b"set-cookie")
    pair = cookie if isinstance(cookie, (tuple, list)) else ()
    if len(pair) != 2 or not all(isinstance(entry, (str, int)) for entry in pair):
        raise ConfigurationError(
            f"response_cookies holds {cookie!r}: a cookie is a name and a value, "
            'as in {"id": "7"} or [("id", "7")], a dict of its attributes with "key", or a Morsel.'
        )
    name, value = pair
    jar: SimpleCookie = SimpleCookie()
    try:
        jar[name] = value
    except CookieError as error:
        raise ConfigurationError(f"response_cookies: {error}") from error
    return _header(jar[name])


def _header(morsel: Morsel[str]) -> Header:
    return b"set-cookie", morsel.OutputString().encode("latin-1")


_ATTRIBUTES = frozenset(inspect.signature(StarletteResponse.set_cookie).parameters) - {"self"}
