"""Values that a parameter gets for its type alone: the request in its parts, Django's view of it, what is ready."""

from __future__ import annotations

import typing
from collections.abc import AsyncIterator, Callable

from django.conf import settings
from starlette.background import BackgroundTasks as StarletteBackgroundTasks
from starlette.datastructures import Headers, QueryParams
from starlette.requests import Request
from starlette.responses import Response

from hybrid_gateway import http
from hybrid_gateway.binding.body_planner import BodyPlanner
from hybrid_gateway.binding.parameters import ParameterPlanner
from hybrid_gateway.binding.plan import Chain, Code, Phase, PlanBuilder, Step, format_chain
from hybrid_gateway.binding.plan_scope import PlanScope
from hybrid_gateway.binding.signature import Parameter
from hybrid_gateway.exceptions import ConfigurationError, DependencyError
from hybrid_gateway.request.background_tasks import BackgroundTasks
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.request.htmx_request import HTMX_HEADERS, HTMXRequest
from hybrid_gateway.url_quoting import quote_encoded_path


class TypedValues:
    """Plans what parameters ask for by type."""

    def __init__(self, builder: PlanBuilder, scope: PlanScope, parameters: ParameterPlanner, body: BodyPlanner) -> None:
        self._builder = builder
        self._scope = scope
        self._parameters = parameters
        self._body = body
        self._gives_body = False  # to Django's request

    def end(self) -> None:
        """Let Django's request have the body that Starlette's does not read: everything is planned."""
        if self._gives_body and self._scope.give_body is not None and REQUEST not in self._builder.variables:
            self._body.share(self._scope.give_body)

    def value(self, parameter: Parameter, chain: Chain, phase: Phase) -> Code | None:
        """Return the variable of what ``parameter`` asks for by its type."""
        kind = parameter.info.without_none
        try:
            hash(kind)
        except TypeError:
            return None
        cls = typing.get_origin(kind) or kind  # Response[Any] is a Response
        for given, variable in self._scope.given.items():
            if _is_kind_of(cls, given):
                self._builder.plan.sees_response |= given is Response
                return Code(variable)
        for asked in self._scope.from_django:
            if _is_kind_of(cls, asked) and self._scope.components.find(parameter) is None:
                return self._of_django(asked, parameter.name, chain, phase)
        if kind in self._scope.constants and kind is not REQUEST:
            return Code(self._builder.name("constant", self._scope.constants[kind]))
        return self._of_request(kind, parameter, phase)

    def _of_request(self, kind: object, parameter: Parameter, phase: Phase) -> Code | None:
        if kind is REQUEST:
            self._parameters.sees_path = True
            self._builder.plan.sees_request = True
            router = self._builder.name("router", self._scope.constants.get(REQUEST))
            call = f"ctx.request({self._scope.max_body_size}, {self._path_names()}, {router})"
            return self._builder.read(kind, parameter.name, phase, Code(call))
        if kind is http.PathParams:
            self._parameters.sees_path = True
            call = f"{self._builder.name('PathParams', kind)}(zip({self._path_names()}, ctx.path_values))"
            return self._builder.read(kind, parameter.name, phase, Code(call))
        if kind == AsyncIterator[bytes]:
            return self._body.stream(parameter, phase)
        if kind is http.Body:
            return self._body.raw(parameter, (self._scope.where,), phase)
        if kind in TASKS:
            self._builder.plan.takes_tasks = self._builder.plan.enters = True
            return Code("ctx.tasks")
        if kind in BUILTINS:
            self._builder.plan.sees_request |= kind in (http.Headers, http.Cookies)
            self._builder.plan.varies_by.update(dict.fromkeys(VARIES_BY.get(kind, ())))
            call = f"{self._builder.function('builtin', BUILTINS[kind])}(ctx)"
            return self._builder.read(kind, parameter.name, phase, Code(call))
        return None

    def _of_django(self, asked: type, name: str, chain: Chain, phase: Phase) -> Code:
        """Return the variable of what Django knows of a request: its request, its session."""
        value = self._scope.from_django[asked]
        try:
            value.check()
        except ConfigurationError as error:
            raise DependencyError(f"{format_chain(chain)}: {name!r}: {error.text}", id=error.id) from error
        plan = self._builder.plan
        plan.visits = True
        if value.reads_cookies:
            plan.reads_cookies = plan.sees_request = True
        if value.takes_body and not phase.is_open:
            self._gives_body = True
        step = Step(call=self._builder.call("visit", value.make), mode=value.mode)
        return self._builder.once(("visit", asked), name, phase.steps, step)

    def _path_names(self) -> str:
        return "ctx.path_names" if self._scope.follows else self._builder.name("path_names", tuple(self._scope.path))


def _is_kind_of(cls: object, given: object) -> bool:
    return cls is given or (isinstance(cls, type) and isinstance(given, type) and issubclass(cls, given))


_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def _host_and_port(ctx: RequestContext) -> tuple[str, int]:
    scheme = ctx.scope.get("scheme", "http")
    server = ctx.scope.get("server") or ("", None)
    given = ctx.header(b"host")
    if given is None:
        return server[0], server[1] or _PORTS[scheme]
    text = given.decode("latin-1")
    host, colon, port = text.rpartition(":")
    if colon and port.isascii() and port.isdigit() and len(port) <= 5:
        return host, int(port)
    return text, _PORTS.get(scheme, 80)


def _path(ctx: RequestContext) -> str:
    """Return the path that the client asked for: a proxy or a server may have cut the script prefix off."""
    path: str = ctx.scope["path"]
    root = (settings.FORCE_SCRIPT_NAME or ctx.scope.get("root_path") or "").rstrip("/")
    return path if path.startswith(root) else root + path


def _url(ctx: RequestContext) -> http.URL:
    scheme = ctx.scope.get("scheme", "http")
    host, port = _host_and_port(ctx)
    netloc = host if port == _PORTS.get(scheme) else f"{host}:{port}"
    path = quote_encoded_path(_path(ctx))
    query = ctx.raw_query.decode("latin-1")
    return http.URL(f"{scheme}://{netloc}{path}" + (f"?{query}" if query else ""))


TASKS = (BackgroundTasks, StarletteBackgroundTasks)
"""The types by which functions ask for what is done once the response is sent."""

BUILTINS: dict[object, Callable[[RequestContext], object]] = {
    Headers: lambda ctx: Headers(raw=ctx.raw_headers),
    QueryParams: lambda ctx: QueryParams(ctx.query_pairs()),
    http.Cookies: lambda ctx: http.Cookies(ctx.whole_cookies()),
    http.Method: lambda ctx: http.Method(ctx.method),
    http.URL: _url,
    http.Scheme: lambda ctx: http.Scheme(ctx.scope.get("scheme", "http")),
    http.Host: lambda ctx: http.Host(_host_and_port(ctx)[0]),
    http.Port: lambda ctx: http.Port(_host_and_port(ctx)[1]),
    http.Path: lambda ctx: http.Path(_path(ctx)),
    http.QueryString: lambda ctx: http.QueryString(ctx.raw_query.decode("latin-1")),
    HTMXRequest: HTMXRequest,
}

VARIES_BY: dict[object, tuple[str, ...]] = {HTMXRequest: HTMX_HEADERS}
"""By type: the headers that it may read; those that it has read are noted as ``ctx.varies_by``."""

REQUEST = Request
