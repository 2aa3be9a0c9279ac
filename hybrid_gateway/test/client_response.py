"""The response that a client hands back."""

from __future__ import annotations

from collections.abc import Iterable
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Any

from django.http import HttpResponse

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.test.utils import ContextList
    from django.urls import ResolverMatch

    from hybrid_gateway.types import Environ

__all__ = ["ClientResponse"]

_SHOWN = 300  # characters of a body; a failed assertion should say what the server complained about


class ClientResponse(HttpResponse):
    """The gateway's response as a Django response: ``status_code json() text content headers cookies url``.

    It is read to its end, streams too. Headers sent more than once are joined by commas; ``raw_headers`` has each, with
    names in lower case.
    Pages of Django's come back as the very object Django made, with these attributes and Django's own.
    """

    if TYPE_CHECKING:  # set by Django's client
        client: Any
        context: ContextList | Any
        exc_info: Any
        json: Callable[..., Any]
        redirect_chain: list[tuple[str, int]]
        request: Environ
        resolver_match: ResolverMatch
        templates: list[Any]

    wsgi_request = asgi_request = None  # no Django request was ever built

    def __init__(self, method: str, path: str, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        super().__init__(body, status=status)
        del self.headers["Content-Type"]
        self.method, self.path = method, path
        self.raw_headers = tuple((name.lower(), value) for name, value in headers)
        for name, value in self.raw_headers:
            if name == "set-cookie":
                self.cookies.update(SimpleCookie(value))
            else:
                self.headers[name] = f"{self.headers[name]}, {value}" if name in self.headers else value

    @property
    def url(self) -> str:
        """The target of a redirect."""
        if "Location" not in self.headers:
            raise AttributeError(f"{self!r} is no redirect: it has no Location.")
        return self.headers["Location"]

    def __repr__(self) -> str:
        kind = self.headers.get("Content-Type", "")
        readable = kind.startswith("text/") or "json" in kind
        body = self.content.decode("utf-8", "replace") if readable else f"{len(self.content)} bytes"
        body = body if len(body) <= _SHOWN else f"{body[:_SHOWN]}…"
        return f"<{type(self).__name__} {self.method} {self.path} {self.status_code} {kind} {body}>"
