"""The types that every room shares: ASGI, WSGI and HTTP as bytes, and what users hand over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from typing import Any
from wsgiref.types import StartResponse

__all__ = [
    "ASGIApp",
    "ASGIMiddlewareFactory",
    "Environ",
    "Handler",
    "Header",
    "Headers",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "StartResponse",
    "UsualResult",
    "WSGIApp",
]

# SPEC: https://asgi.readthedocs.io/en/latest/specs/main.html; scopes and messages hold values of many types.
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
ASGIMiddlewareFactory = Callable[[ASGIApp], ASGIApp]

# SPEC: PEP 3333
Environ = dict[str, Any]
WSGIApp = Callable[[Environ, StartResponse], Iterable[bytes]]

Header = tuple[bytes, bytes]  # the name in lower case, and the value
Headers = Sequence[Header]

Handler = Callable[..., Any]
"""A callable of the project's: a handler, a provider, a guard, a hook. Its signature is read at start-up."""

UsualResult = tuple[type, int, Headers, Callable[[object], bytes]]
"""A class of values, and of what a complete response to one of exactly that class is made: its body by a function."""
