"""The page that a browser gets under ``DEBUG`` for an exception that nobody expected: Django's, and above it the route.

Django's own reporter makes the traceback, so that a project's ``DEFAULT_EXCEPTION_REPORTER`` and its filter count here
as they do on Django's side.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.views.debug import get_exception_reporter_class

from hybrid_gateway.binding.components import Components, Overrides
from hybrid_gateway.binding.markers import Depends
from hybrid_gateway.binding.plan import format_type
from hybrid_gateway.binding.signature import known_signature
from hybrid_gateway.debug_pages.page_parts import STYLE, columns, rows
from hybrid_gateway.debug_pages.query_table import query_table
from hybrid_gateway.debug_pages.secrets import hide_credentials, hide_variable
from hybrid_gateway.dispatch.routing_table import RoutingTable
from hybrid_gateway.endpoints.endpoint import Endpoint
from hybrid_gateway.problems.places import place_of
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.request.head_parsing import path_info
from hybrid_gateway.telemetry.query_log import current_queries


def crash_page(table: RoutingTable, ctx: RequestContext, error: Exception) -> str:
    """Return the page, in which credentials of the request are hidden. It may ask databases: call it on a thread."""
    choose: Any = get_exception_reporter_class  # which takes None in the place of a request, whatever its types say
    reporter = choose(None)(None, type(error), error, error.__traceback__)
    variables = reporter.filter.get_traceback_frame_variables
    reporter.filter.get_traceback_frame_variables = lambda request, frame: [
        (name, hide_variable(name, value)) for name, value in variables(request, frame)
    ]
    path = path_info(ctx.scope["path"], ctx.scope.get("root_path", ""))
    found = None if path is None else table.tree.find(path, ctx.method)
    own = query_table(current_queries.get())
    if found is not None:
        own = _route(found[0], dict(zip(ctx.path_names, ctx.path_values, strict=False)), error) + own
    section = format_html("<section id=gateway>{}</section>", own)
    page = reporter.get_traceback_html().replace('content="light"', 'content="light dark"', 1)
    page = page.replace("</head>", f"<style>{STYLE}</style></head>", 1)
    before, head, after = page.partition("</header>")
    page = f"{before}{head}{section}{after}" if head else f"{section}{page}"
    return hide_credentials(page, ctx, table.secrets)


# --- the route -------------------------------------------------------------------------------------------------------


def _route(endpoint: Endpoint, path: dict[str, object], error: Exception) -> SafeString:
    route, layers = endpoint.route, endpoint.route.layers
    handler = getattr(route.handler, "__func__", route.handler)
    try:
        signature = f"{handler.__name__}{inspect.signature(handler)}"
    except (AttributeError, TypeError, ValueError):  # an object that is called, one of C
        signature = repr(handler)
    hooks = {
        "before_request": layers.before_request,
        "event_hooks": layers.event_hooks,
        "after_request": layers.after_request,
        "after_response": layers.after_response,
    }
    facts = rows(
        [
            ("handler", f"{handler.__module__}.{getattr(handler, '__qualname__', handler)}"),
            ("place", place_of(handler)),
            ("name", route.name),
            ("methods", ", ".join(route.methods)),
            ("path", ", ".join(f"{name}={value!r}" for name, value in path.items())),
            ("signature", signature),
            ("authentication", _names(layers.authentication)),
            ("guards", _names(layers.guards)),
            *((name, _names(functions)) for name, functions in hooks.items()),
            ("middleware", _names([*layers.middleware, *layers.django_middleware])),
        ]
    )
    title = format_html("<h1>{} {}</h1>", endpoint.method, route.path)
    return title + facts + _inputs(endpoint) + _source(endpoint, error)


def _names(entries: Iterable[object]) -> str:
    return ", ".join(_FUNCTION.sub(r"\1", getattr(entry, "__qualname__", str(entry))) for entry in entries)


_FUNCTION = re.compile(r"<(?:function|bound method|class) '?([^\s'>]+)[^>]*>")


def _inputs(endpoint: Endpoint) -> SafeString:
    """Return a table of what the route reads of a request, and of what else its handler is given."""
    lines = [
        (entry.name, entry.source, format_type(entry.type), "" if entry.required else f"{entry.default!r:.80}")
        for entry in endpoint.inputs
    ]
    components = Components(endpoint.route.layers.components, Overrides({}))
    for parameter in known_signature(endpoint.route.handler, endpoint.route.path).parameters:
        marker = parameter.marker
        provider = marker.provider if isinstance(marker, Depends) else getattr(components.find(parameter), "key", None)
        if isinstance(marker, Depends) or provider is not None:
            provided = f"component {_names([provider])}" if provider is not None else "component"
            lines.append((parameter.name, provided, format_type(parameter.type), ""))
    if not lines:
        return mark_safe("")
    return format_html("<h2>Parameters</h2>{}", columns(["name", "from", "type", "default"], lines))


# --- what it was compiled to -----------------------------------------------------------------------------------------


def _source(endpoint: Endpoint, error: Exception) -> SafeString:
    """Return the compiled function with the line that has failed marked, and what its variables are."""
    found = list(_compiled_frames(error))
    failing = found[-1][1] if found else None
    texts = enumerate(endpoint.source.splitlines(), 1)
    marks = {True: mark_safe(" class=failing"), False: ""}
    lines = format_html_join("", "<li{}>{}</li>", ((marks[number == failing], text or " ") for number, text in texts))
    source = format_html("<h2>What the route was compiled to</h2><ol class=source>{}</ol>", lines)
    values = {name: format_type(type(value)) for frame, _ in found for name, value in frame.f_locals.items()}
    shown = [(name, kind) for name, kind in values.items() if _OURS.match(name) is None]
    return format_html("{}<h2>What was resolved by then</h2>{}", source, rows(shown)) if shown else source


_OURS = re.compile(r"(ctx|errors?|response|result|unit|query|header|cookie|form|event_hook|hook)(_\d+)?$")


def _compiled_frames(error: Exception) -> Iterator[tuple[FrameType, int]]:
    """Yield the frames of compiled routes in a traceback, and their lines."""
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename.startswith("<gateway "):
            yield traceback.tb_frame, traceback.tb_lineno
        traceback = traceback.tb_next
