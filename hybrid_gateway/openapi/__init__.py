"""The OpenAPI document of a gateway, and a page that shows it without asking any other host."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Protocol
from urllib.parse import quote

import msgspec
from django.urls import get_script_prefix

from hybrid_gateway.auth import AllowAny
from hybrid_gateway.conf import OpenAPISettings
from hybrid_gateway.handlers.endpoint import Endpoint
from hybrid_gateway.openapi.document import build_document
from hybrid_gateway.openapi.ui import CONTENT_SECURITY_POLICY, build_page
from hybrid_gateway.responses.kinds import HTMLResponse, Response
from hybrid_gateway.routing.declare import Route

__all__ = ["HasEndpoints", "routes"]


class HasEndpoints(Protocol):
    """What the document is written from: a gateway."""

    @property
    def endpoints(self) -> Sequence[Endpoint]: ...


def routes(gateway: HasEndpoints, settings: OpenAPISettings) -> list[Route]:
    """The routes ``openapi`` and ``docs``. The document is built when first asked for: the gateway is not, yet.

    Their names are defaulted, so that a project's own routes may bear them.
    """

    @lru_cache(maxsize=8)  # one entry per script prefix, of which a deployment rarely has two
    def encoded(prefix: str) -> bytes:
        servers = {"servers": [{"url": prefix}]} if prefix else {}
        return msgspec.json.encode({**document(), **servers})

    @cache
    def document() -> dict[str, object]:
        return build_document(gateway.endpoints, settings)

    def openapi() -> Response[bytes]:
        """The API as an OpenAPI document."""
        return Response(encoded(_prefix()), media_type="application/json")

    def docs() -> HTMLResponse:
        """The API as a page to read and to try."""
        page = build_page(settings.title, _prefix() + settings.path)
        return HTMLResponse(page, headers=_PAGE_HEADERS)

    return [
        Route(settings.path, openapi, guards=[AllowAny], include_in_schema=False, sync_to_thread=False),
        Route(settings.docs, docs, guards=[AllowAny], include_in_schema=False, sync_to_thread=False),
    ]


def _prefix() -> str:
    """The script prefix as a URL has it, without the last slash."""
    return quote(get_script_prefix().rstrip("/"))


_PAGE_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
