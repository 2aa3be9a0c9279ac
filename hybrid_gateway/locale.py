"""Event hooks that give each request its language and its time zone, and take them away with it.

They stand in ``event_hooks`` of any layer, or in ``EVENT_HOOKS``; routes without them pay nothing. What they set is the
request's own, on the loop and on its thread: the next request finds the project's settings.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import tzinfo
from functools import cache, wraps
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from django.conf import settings
from django.utils import timezone, translation
from starlette.datastructures import Headers
from starlette.responses import Response

from hybrid_gateway.binding.components import inline
from hybrid_gateway.binding.signature import is_async
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.request.head_parsing import parse_cookies
from hybrid_gateway.types import Handler

__all__ = ["Locale", "TimeZone"]

MAX_NAME_LENGTH = 500  # characters of a cookie or a zone
_zones = cache(available_timezones)


class Locale:
    """Activates the language of a request by Django's rules: its cookie, ``Accept-Language``, ``LANGUAGES``.

    The response says in ``Content-Language`` what it was, and in ``Vary`` what it depends on. As with Django's
    ``LocaleMiddleware`` a handler may activate another; a language in the path is for handlers to activate.
    """

    def __init__(self) -> None:
        self._vary = "Accept-Language"

    @inline
    def on_request(self, headers: Headers) -> None:
        cookie = _cookie(headers, settings.LANGUAGE_COOKIE_NAME)
        if cookie is not None:
            self._vary = "Accept-Language, Cookie"
        head: Any = SimpleNamespace(
            COOKIES={} if cookie is None else {settings.LANGUAGE_COOKIE_NAME: cookie},
            META={"HTTP_ACCEPT_LANGUAGE": ", ".join(headers.getlist("accept-language"))},
        )
        # DJANGO: utils/translation/trans_real.py looks at LANGUAGE_CODE_MAX_LENGTH characters of the header, 500
        translation.activate(translation.get_language_from_request(head))

    @inline
    def on_response(self, response: Response) -> None:
        language = translation.get_language()
        if language is not None:
            response.headers.setdefault("Content-Language", language)
        response.headers.add_vary_header(self._vary)


class TimeZone:
    """Activates the time zone that a request names: in a ``cookie``, in a ``header``, or as ``find`` says.

    ``TimeZone(cookie="timezone")``; ``find`` is a function with injected parameters (``user: User | None``, a
    ``Session``) that returns a name, a ``tzinfo``, or None. A name that is none leaves ``TIME_ZONE`` in place.
    """

    def __init__(self, find: Handler | None = None, *, cookie: str | None = None, header: str | None = None) -> None:
        if sum(given is not None for given in (find, cookie, header)) != 1:
            raise ConfigurationError("TimeZone needs one of a function, cookie= and header=.", id="H020")
        self._vary = "Cookie" if cookie is not None else header
        if cookie is not None:
            find = _named(lambda headers: _cookie(headers, cookie))
        elif header is not None:
            find = _named(lambda headers: headers.get(header))
        assert find is not None  # as counted above
        self.on_request = _activating(find)

    @inline
    def on_response(self, response: Response) -> None:
        if self._vary is not None:
            response.headers.add_vary_header(self._vary)


def _named(read: Callable[[Headers], str | None]) -> Callable[[Headers], str | None]:
    def find(headers: Headers) -> str | None:
        return read(headers)

    return inline(find)


def _activating(find: Handler) -> Callable[..., Awaitable[None] | None]:
    """Return ``find``, whose result becomes the current time zone where it ran."""
    if is_async(find):

        @wraps(find)
        async def activate_later(**arguments: object) -> None:
            _activate(await find(**arguments))

        return activate_later

    @wraps(find)
    def activate(**arguments: object) -> None:
        _activate(find(**arguments))

    return activate


def _activate(found: str | tzinfo | None) -> None:
    if isinstance(found, str):
        # SECURITY: a client's text, which ZoneInfo would look for in the file system, is a name we know, or nothing.
        found = ZoneInfo(found) if len(found) <= MAX_NAME_LENGTH and found in _zones() else None
    if found is not None:
        timezone.activate(found)


def _cookie(headers: Headers, name: str) -> str | None:
    """Return a cookie, unless it is too long. SECURITY: what is parsed is cached by Django, whatever it is."""
    for line in headers.getlist("cookie"):
        value = parse_cookies(line).get(name)
        if value is not None:
            return value if len(value) <= MAX_NAME_LENGTH else None
    return None
