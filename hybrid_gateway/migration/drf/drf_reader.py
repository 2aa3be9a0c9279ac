"""``migrate-from drf``: the routes of Django REST framework that a project has, as a :class:`~.form.Move`."""

from __future__ import annotations

import re

import rest_framework
from django.conf import settings
from django.utils.module_loading import import_string
from msgspec import Struct
from rest_framework.exceptions import APIException
from rest_framework.routers import APIRootView

from hybrid_gateway.migration.drf.access import Access
from hybrid_gateway.migration.drf.endpoints import Endpoint, endpoints
from hybrid_gateway.migration.drf.list_options import Lists
from hybrid_gateway.migration.drf.module_parts import Parts, quoted
from hybrid_gateway.migration.drf.path_templates import PathTemplates, walk
from hybrid_gateway.migration.drf.read_views import ReadViews
from hybrid_gateway.migration.drf.serializer_fields import UnmovedError
from hybrid_gateway.migration.drf.serializers import SerializerReader
from hybrid_gateway.migration.drf.write_views import WriteViews
from hybrid_gateway.migration.drf.written_views import Group, ViewWriter, grouped
from hybrid_gateway.migration.form import Decision, Difference, FunctionForm, Move, RouteReport, snake
from hybrid_gateway.migration.source_place import place_of

_GENERAL = [
    Difference("error *", 'problem details (RFC 9457), not {"detail": …}'),
    Difference("status 400→422", "a query that is no such value"),
    Difference("status 200→422", "a query that is no such value, or an order that no column has, was passed over"),
    Difference("status 404→422", "a key in a path that is no such value"),
    Difference("status 400→200", "a filter by a key that no row has, or by a choice that is none, finds nothing"),
    Difference("status 404→200", "an empty page beyond the last one"),
    Difference("status 403→401", "the anonymous, where a scheme of the view had no challenge"),
    Difference("header allow", "none, but of 405"),
    Difference("header vary", "what the route reads, without Accept"),
    Difference("header cache-control", "private, where the route knows its callers"),
    Difference("header ratelimit-*", "what is left of a limit"),
    Difference("OPTIONS", "answers the methods, without a description of the serializer"),
    Difference("HEAD", "answers wherever GET does, also where http_method_names leaves it out"),
    Difference("slash", "the other spelling of a path is redirected by 308, not 301; under FALLTHROUGH Django says"),
    Difference("format", "no suffix .json, no ?format=, no browsable pages"),
    Difference(
        "names",
        "`group-list` is `group_list` for reverse_url; `{% url 'api:group-list' %}` and `reverse` keep the old "
        "names, and lead to the new routes, as long as the URLconf has its line for the API; bridged and kept routes "
        "need it, too",
    ),
]


class Options(Struct, frozen=True):
    """The options of ``migrate-from drf``."""

    only: str = ""
    """A path prefix."""
    origin: str = ""
    """Where clients find the API: ``https://api.example.org``."""
    read_only: bool = False
    bridges: bool = True
    """Whether pieces of REST framework may be used at run time."""
    module: str = "routes"


def read_drf(options: Options) -> Move:
    """Return the routes of the loaded project."""
    version = f"Django REST framework {rest_framework.VERSION}"
    move = Move(version, doc="The API's routes, written by `manage.py gateway migrate-from drf`.")
    parts, paths = Parts(move, options.origin.rstrip("/")), PathTemplates()
    access = Access(parts)
    reads = ReadViews(parts, SerializerReader(parts, paths), Lists(parts), access, bridges=options.bridges)
    writer = ViewWriter(
        parts, reads, WriteViews(parts, reads, access), access, read_only=options.read_only, bridges=options.bridges
    )
    found, unread = endpoints(options.only)
    move.unread += [
        Decision(f"The path of {place.name} is no template: {place.view!r}.", place_of(place.view)) for place in unread
    ]
    roots = [endpoint for endpoint in found if getattr(endpoint.view, "get", None) is APIRootView.get]
    for group in grouped([endpoint for endpoint in found if endpoint not in roots]):
        writer.write(group)
    for endpoint in roots:
        try:
            _root(parts, access, endpoint)
        except UnmovedError as error:
            writer.write(Group(endpoint.path, [endpoint], {"": error}))
    move.general += _GENERAL
    _around(parts, access, options)
    return move


def _root(parts: Parts, access: Access, endpoint: Endpoint) -> None:
    """Write the route that lists the others."""
    guards, _ = access.guards(endpoint.instance(), "GET")
    link, use = parts.link(), parts.names.use
    known = {place.name: place.path for place in walk() if place.path}
    namespace = endpoint.name.rpartition(":")[0]
    names: dict[str, str] = dict(getattr(endpoint.function, "initkwargs", {}).get("api_root_dict") or {})
    shown = {key: known.get(f"{namespace}:{name}" if namespace else name) for key, name in names.items()}
    entries = ", ".join(
        f"{quoted(key)}: {link}({quoted(path)})" for key, path in shown.items() if path and "{" not in path
    )
    option = f", guards=[{', '.join(guards)}]" if guards else ""
    name = parts.names.define(snake(endpoint.name.split(":")[-1]) or "api_root")
    decorator = f"{use('hybrid_gateway', 'get')}({quoted(endpoint.path)}{option})"
    parts.move.views.append(FunctionForm(name, [], "dict[str, str]", [f"return {{{entries}}}"], [decorator]))
    parts.move.listed.append(name)
    report = RouteReport("GET", endpoint.path, endpoint.name, endpoint.origin, "moved", name, needs=list(access.needs))
    report.differences = [] if parts.origin else [Difference("value $.*", "paths, not absolute URLs (see ORIGIN)")]
    parts.move.routes.append(report)


def _around(parts: Parts, access: Access, options: Options) -> None:
    """Put a router around everything, with what all views have by default."""
    move, use = parts.move, parts.names.use
    authentication = access.schemes(access.usual)
    arguments = ['""', f"[{', '.join(move.listed)}]", f"authentication={authentication}"]
    if any(route.grade == "bridged" or route.needs for route in move.routes):
        error = use("rest_framework.exceptions", APIException.__name__)
        handler = use("hybrid_gateway.contrib.drf_bridge", "api_error")
        arguments.append(f"exception_handlers={{{error}: {handler}}}")
    move.listed = [f"{use('hybrid_gateway', 'Router')}({', '.join(arguments)})"]
    api = {route.path.split("/")[1] for route in move.routes}
    pages = {place.path.split("/")[1] for place in walk() if place.path} - api - {""}
    prefixes = "".join(f"{quoted(f'/{page}/')}, " for page in sorted(pages) if "{" not in page)
    move.settings = {"ROUTES": quoted(options.module), "ALLOWED_DJANGO_ROUTES": f"({prefixes.rstrip()})"}
    move.general += _middleware_differences()
    if re.search(r"ORIGIN", "".join(constant.name for constant in move.constants)) and not parts.origin:
        move.unread.append(Decision("ORIGIN is empty: links are paths until it says where clients find the API."))


_HEADERS = {
    "django.middleware.locale.LocaleMiddleware": {"content-language": "texts are in the language of the gateway"},
    "django.contrib.sessions.middleware.SessionMiddleware": {"set-cookie": "of sessions that each request saves"},
    "django.middleware.cache.UpdateCacheMiddleware": {
        "cache-control": "of the site's cache",
        "expires": "as well",
    },
    "django.middleware.gzip.GZipMiddleware": {"content-encoding": "of answers"},
    "django.middleware.http.ConditionalGetMiddleware": {"etag": "and no 304"},
}
"""The headers that Django's middleware gives answers, and the gateway does not."""


def _middleware_differences() -> list[Difference]:
    """Return what ``MIDDLEWARE`` did to every answer: written routes do not pass it."""
    found = []
    for name in settings.MIDDLEWARE:
        if name in _HEADERS:
            passed = f"none, since {name.rpartition('.')[2]} is not passed"
            found += [Difference(f"header {header}", f"{passed}: {why}") for header, why in _HEADERS[name].items()]
        elif name.split(".")[0] not in ("django", "hybrid_gateway", "corsheaders", "whitenoise"):
            where = f" ({place})" if (place := place_of(import_string(name))) else ""
            what = f"`{name}`{where} is not passed: what it does to answers (a time zone, a language, Cache-Control)"
            found.append(Difference("middleware", f"{what} it does not do here; django_middleware= of a route runs it"))
    return found
