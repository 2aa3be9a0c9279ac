"""The page that a browser gets under ``DEBUG`` where no route is: which there are, and what goes to Django."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from difflib import SequenceMatcher

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from hybrid_gateway.debug_pages.page_parts import columns, document
from hybrid_gateway.dispatch.dispatcher import Dispatcher
from hybrid_gateway.dispatch.fallback import Respond
from hybrid_gateway.problems import DOCS_URL, link
from hybrid_gateway.problems.places import place_of
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.responses.raw_response import EndpointResponse, make_raw
from hybrid_gateway.routing.flat_routes import FlatRoute

NEAREST = 3
_BARE = b'{"type":"about:blank","title":"Not Found","status":404}'


def show_unknown_paths(dispatcher: Dispatcher) -> Callable[..., Awaitable[EndpointResponse]]:
    """Return what stands around responses without a route: a bare 404 becomes a page, for whoever wants HTML."""

    async def around(ctx: RequestContext, respond: Respond) -> EndpointResponse:
        response = await respond(ctx)
        is_bare = isinstance(response, tuple) and response[0] == 404 and response[2] == _BARE
        if not is_bare or b"text/html" not in (ctx.header(b"accept") or b""):
            return response
        page = unknown_path_page(dispatcher, ctx.scope["path"])
        return make_raw(404, (b"content-type", b"text/html; charset=utf-8"), page.encode())

    return around


def unknown_path_page(dispatcher: Dispatcher, path: str) -> str:
    """Return the page for a path that neither a route nor Django answers."""
    routes = [route for route in dispatcher.table.routes if not route.is_fallback]
    near = sorted(routes, key=lambda route: SequenceMatcher(None, path, route.path).ratio(), reverse=True)[:NEAREST]
    body = format_html(
        "<h1>404 <span class=soft>No route answers</span> {}</h1>{}{}<h2>All routes</h2>{}"
        "<p class=soft>A browser gets this page because DEBUG is on; a client gets problem details, and so does "
        "everybody in production. <a href='{}routing/'>Routing</a></p>",
        path,
        _prefixes(dispatcher, path),
        format_html("<h2>Nearest</h2>{}", _table(near)) if len(routes) > NEAREST else "",
        _table(sorted(routes, key=lambda route: route.path)),
        DOCS_URL,
    )
    return document(f"404 {path}", body)


def _prefixes(dispatcher: Dispatcher, path: str) -> SafeString:
    """Return which paths Django answers, why this one is not among them, and whether a view waits there in vain."""
    if dispatcher.fallthrough:
        return mark_safe("<p>FALLTHROUGH is on: Django was to answer, and did not.</p>")
    prefixes = dispatcher.prefixes.described
    told = mark_safe("<p>No path goes to Django: ALLOWED_DJANGO_ROUTES is empty.</p>")
    if prefixes:
        told = format_html(
            "<p>Django answers what begins with {}. Its URLconf was not asked for this path. If a view is there, add "
            'its prefix to HYBRID_GATEWAY["ALLOWED_DJANGO_ROUTES"], or set FALLTHROUGH.</p>',
            format_html_join(" ", "<code>{}</code>", ((prefix,) for prefix in prefixes)),
        )
    if dispatcher.django.has_page(path):
        note = "<p class=note>The URLconf has a view at {}, and no prefix leads to it (<a href='{}'>W003</a>).</p>"
        told += format_html(note, path, link("W003"))
    return told


def _table(routes: list[FlatRoute]) -> SafeString:
    lines = ((", ".join(route.methods), route.path, route.name, place_of(route.handler) or "") for route in routes)
    return columns(["methods", "path", "name", "place"], lines)
