"""What ``response_cookies`` lists, as headers."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from http.cookies import CookieError, Morsel, SimpleCookie
from typing import Any

from starlette.responses import Response as StarletteResponse

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.spelling import check_options

__all__ = ["set_cookie_value"]


def set_cookie_value(cookie: Any) -> bytes:
    """One ``Set-Cookie`` value of a ``(name, value)`` pair, a mapping of attributes with ``key``, or a Morsel."""
    if isinstance(cookie, Morsel):
        return cookie.OutputString().encode("latin-1")
    if isinstance(cookie, Mapping) and "key" in cookie:
        check_options(cookie, _COOKIE, f"The cookie {cookie['key']!r} of response_cookies")
        response = StarletteResponse()
        response.set_cookie(**dict(cookie))
        return dict(response.raw_headers)[b"set-cookie"]
    is_pair = isinstance(cookie, (tuple, list)) and len(cookie) == 2
    if not is_pair or not all(isinstance(entry, (str, int)) for entry in cookie):
        raise ConfigurationError(
            f"response_cookies holds {cookie!r}: a cookie is a name and a value, "
            'as in {"id": "7"} or [("id", "7")], a dict of its attributes with "key", or a Morsel.'
        )
    name, value = cookie
    jar: SimpleCookie = SimpleCookie()
    try:
        jar[name] = value
    except CookieError as error:
        raise ConfigurationError(f"response_cookies: {error}") from error
    return jar[name].OutputString().encode("latin-1")


_COOKIE = frozenset(inspect.signature(StarletteResponse.set_cookie).parameters) - {"self"}
