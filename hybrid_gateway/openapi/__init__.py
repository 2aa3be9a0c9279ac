"""The OpenAPI and AsyncAPI documents of a gateway, and a page that shows them without asking any other host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import Protocol
from urllib.parse import quote, urlencode

import msgspec
from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import HttpRequest
from django.urls import NoReverseMatch, get_script_prefix, reverse
from starlette.requests import Request

from hybrid_gateway.auth import AllowAny
from hybrid_gateway.conf import OpenAPISettings
from hybrid_gateway.endpoints.endpoint import Endpoint
from hybrid_gateway.exceptions import ConfigurationError, Forbidden, Unauthorized
from hybrid_gateway.openapi.asyncapi_document import build_asyncapi
from hybrid_gateway.openapi.document import as_yaml, build_document
from hybrid_gateway.openapi.pages import CONTENT_SECURITY_POLICY, VIEWERS, build_page
from hybrid_gateway.responses.response_classes import HTMLResponse, RedirectResponse, Response
from hybrid_gateway.routing.declare import Route
from hybrid_gateway.types import Handler

__all__ = ["HasEndpoints", "routes"]


class HasEndpoints(Protocol):
    """A gateway, as far as its documents are written from it."""

    @property
    def endpoints(self) -> Sequence[Endpoint]: ...

    @property
    def webhooks(self) -> Sequence[Endpoint]: ...

    @property
    def websocket_endpoints(self) -> Sequence[Endpoint]: ...


def routes(table: Callable[[], HasEndpoints], settings: OpenAPISettings, *, with_asyncapi: bool = False) -> list[Route]:
    """Return routes of the document, ``openapi`` and ``openapi_yaml``, and of its pages, of which ``docs`` is ours.

    ``with_asyncapi`` adds ``asyncapi``, the document of websockets. Each document is built when first asked for:
    ``table()`` is not, yet. Names are defaulted, so that a project's own routes may bear them.
    """

    @lru_cache(maxsize=8)  # one entry per script prefix, of which a deployment rarely has two
    def encoded(prefix: str) -> bytes:
        return msgspec.json.encode({**document(), "servers": [{"url": prefix or "/"}]})

    @lru_cache(maxsize=8)
    def encoded_as_yaml(prefix: str) -> bytes:
        return as_yaml(encoded(prefix))

    @cache
    def document() -> dict[str, object]:
        built = table()
        return build_document(built.endpoints, settings, built.webhooks)

    def openapi() -> Response[bytes]:
        """The API as an OpenAPI document."""
        return Response(encoded(_prefix()), media_type="application/json")

    def openapi_yaml() -> Response[bytes]:
        """The API as an OpenAPI document, in YAML."""
        return Response(encoded_as_yaml(_prefix()), media_type="application/yaml")

    def docs() -> HTMLResponse:
        """The API as a page to read and to try."""
        asyncapi_url = _prefix() + settings.asyncapi if with_asyncapi else ""
        page = build_page(settings.title, _prefix() + settings.path, asyncapi_url)
        return HTMLResponse(page, headers=_page_headers(CONTENT_SECURITY_POLICY))

    paths: list[tuple[str, Handler]] = [(settings.path, openapi)]
    paths += [(settings.path.removesuffix(".json") + ".yaml", openapi_yaml)]
    if with_asyncapi:
        paths.append((settings.asyncapi, _asyncapi_handler(table, settings)))
    pages: list[tuple[str, Handler]] = [(settings.docs, docs)]
    pages += [(f"{settings.docs.rstrip('/')}/{name}", _viewer_handler(name, settings)) for name in VIEWERS]
    return [
        *(_route(path, handler, settings, _reject_others) for path, handler in paths),
        *(_route(path, handler, settings, _send_to_login) for path, handler in pages),
    ]


def _asyncapi_handler(table: Callable[[], HasEndpoints], settings: OpenAPISettings) -> Handler:
    """Return the handler of the document of websockets, which names the server that it was asked of."""

    @cache
    def document() -> dict[str, object]:
        built = table()
        return build_asyncapi(built.websocket_endpoints, settings, built.endpoints, built.webhooks)

    @lru_cache(maxsize=8)
    def encoded(host: str, protocol: str, prefix: str) -> bytes:
        server = {"host": host, "protocol": protocol, "pathname": prefix or "/"}
        return msgspec.json.encode({**document(), "servers": {"gateway": server}})

    def asyncapi(request: Request) -> Response[bytes]:
        """The websockets of the API as an AsyncAPI document."""
        protocol = "wss" if request.url.scheme == "https" else "ws"
        return Response(encoded(request.url.netloc, protocol, _prefix()), media_type="application/json")

    return asyncapi


def _viewer_handler(name: str, settings: OpenAPISettings) -> Handler:
    """Return the handler of one of the pages that others have made: ``docs_swagger``."""
    viewer = VIEWERS[name]

    def page() -> HTMLResponse:
        """The API as one of the pages that others have made."""
        shown = viewer.page(settings.title, _prefix() + settings.path, settings.assets.rstrip("/"))
        return HTMLResponse(shown, headers=_page_headers(viewer.content_security_policy(settings.assets)))

    page.__name__ = page.__qualname__ = f"docs_{name}"
    return page


def _route(path: str, handler: Handler, settings: OpenAPISettings, ask: Handler) -> Route:
    if not settings.staff_only:
        return Route(path, handler, guards=[AllowAny], include_in_schema=False, sync_to_thread=False)
    for name in ("django.contrib.auth", "django.contrib.sessions"):
        if not apps.is_installed(name):
            raise ConfigurationError(f'OPENAPI["STAFF_ONLY"] needs {name!r} among INSTALLED_APPS.', id="S010")
    return Route(
        path,
        handler,
        before_request=ask,
        django_middleware=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        response_headers={"Cache-Control": "private"},
        include_in_schema=False,
    )


def _prefix() -> str:
    """Return the script prefix as a URL has it, without the last slash."""
    return quote(get_script_prefix().rstrip("/"))


def _page_headers(policy: str) -> dict[str, str]:
    return {"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}


# --- the document for those only who may enter the admin, by Django's own session -----------------------------------


def _reject_others(request: HttpRequest) -> None:
    """Raise 401 and 403, as for any other route."""
    if not request.user.is_authenticated:
        raise Unauthorized("The document of this API is for its staff.")
    if not _is_staff(request):
        raise Forbidden("The document of this API is for its staff.")


def _send_to_login(request: HttpRequest) -> RedirectResponse | None:
    """Redirect callers who are not known to be staff to the admin's login page."""
    if request.user.is_authenticated and _is_staff(request):
        return None
    try:
        login: str = reverse("admin:login")
    except NoReverseMatch:
        login = str(django_settings.LOGIN_URL)
    query = urlencode({REDIRECT_FIELD_NAME: request.get_full_path()}, safe="/")
    return RedirectResponse(f"{login}?{query}", status_code=302)


def _is_staff(request: HttpRequest) -> bool:
    return request.user.is_active and getattr(request.user, "is_staff", False)
