"""Cookies of responses, as ``Set-Cookie`` headers; those of requests are read by ``request/head_parsing.py``."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from http.cookies import BaseCookie, CookieError, Morsel, SimpleCookie
from typing import NamedTuple

from starlette.responses import Response as StarletteResponse

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.spelling import check_options
from hybrid_gateway.types import Header


def set_cookie_headers(cookies: BaseCookie[str]) -> list[Header]:
    """Return one header for each cookie of a jar, such as that of a Django response."""
    return [_header(morsel) for morsel in cookies.values()]


class CookieOption(NamedTuple):
    """An entry of ``response_cookies``, read."""

    name: str
    header: Header | None  # None for one that the document alone tells of: the handler sets it
    description: str = ""


def cookie_headers(cookies: Iterable[object]) -> list[Header]:
    """Return the headers of the entries of ``response_cookies``; raises what :func:`read_cookie_option` raises."""
    return [option.header for option in map(read_cookie_option, cookies) if option.header is not None]


def read_cookie_option(cookie: object) -> CookieOption:
    """Read an entry of ``response_cookies``: a pair, a mapping of attributes with ``key``, a Morsel.

    Raises :class:`ConfigurationError` for anything else.
    """
    if isinstance(cookie, Morsel):
        return CookieOption(cookie.key, _header(cookie))
    if isinstance(cookie, Mapping) and "key" in cookie:
        attributes = dict(cookie)
        check_options(attributes, _ATTRIBUTES, f"The cookie {cookie['key']!r} of response_cookies")
        description, is_documentation = attributes.pop("description", ""), attributes.pop("documentation_only", False)
        response = StarletteResponse()
        response.set_cookie(**attributes)
        header = next(header for header in response.raw_headers if header[0] == b"set-cookie")
        return CookieOption(attributes["key"], None if is_documentation else header, description)
    pair = cookie if isinstance(cookie, (tuple, list)) else ()
    if len(pair) != 2 or not all(isinstance(entry, (str, int)) for entry in pair):
        raise ConfigurationError(
            f"response_cookies holds {cookie!r}: a cookie is a name and a value, "
            'as in {"id": "7"} or [("id", "7")], a dict of its attributes with "key", or a Morsel.',
            id="H005",
        )
    name, value = pair
    jar: SimpleCookie = SimpleCookie()
    try:
        jar[name] = value
    except CookieError as error:
        raise ConfigurationError(f"response_cookies: {error}", id="H005") from error
    return CookieOption(name, _header(jar[name]))


def _header(morsel: Morsel[str]) -> Header:
    return b"set-cookie", morsel.OutputString().encode("latin-1")


_OURS = {"description", "documentation_only"}
_ATTRIBUTES = frozenset(inspect.signature(StarletteResponse.set_cookie).parameters) - {"self"} | _OURS
