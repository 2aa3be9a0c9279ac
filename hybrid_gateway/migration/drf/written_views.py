"""Groups of endpoints → classes and functions of the module, and what is told of each."""

from __future__ import annotations

import re

from msgspec import Struct, field

from hybrid_gateway.migration.drf.access import SAFE, Access
from hybrid_gateway.migration.drf.endpoints import Endpoint
from hybrid_gateway.migration.drf.module_parts import Parts, quoted
from hybrid_gateway.migration.drf.read_views import ReadRoute, ReadViews
from hybrid_gateway.migration.drf.serializer_fields import UnmovedError
from hybrid_gateway.migration.drf.stock import kind_of, need_stock
from hybrid_gateway.migration.drf.write_views import WriteRoute, WriteViews
from hybrid_gateway.migration.form import ClassForm, Decision, FieldForm, FunctionForm, Grade, RouteReport, camel, snake
from hybrid_gateway.migration.source_place import place_of

_WRITES = {"create": "create_in", "update": "replace_in", "partial_update": "update_in", "destroy": ""}
_NOT_SHOWN = UnmovedError("It shows nothing that a class was written for.")
_ASKS_VIEW = UnmovedError("Its rows, or what is shown of them, are asked of the view.")
_BRIDGE = "hybrid_gateway.contrib.drf_bridge"


class Group(Struct):
    """The endpoints of one class below one path."""

    path: str
    endpoints: list[Endpoint] = field(default_factory=list)
    failures: dict[str, UnmovedError] = field(default_factory=dict)
    """Why an endpoint (by its method and path) is not written anew."""


def grouped(endpoints: list[Endpoint]) -> list[Group]:
    """Put the endpoints of a class together that are below one path, with the path of its rows."""
    found: dict[tuple[object, str], Group] = {}
    for endpoint in endpoints:
        base = endpoint.path
        if kind_of(endpoint) in ("retrieve", "update", "partial_update", "destroy"):
            base = re.sub(r"\{[^{}]+\}/?$", "", base)
        elif (
            kind_of(endpoint) not in ("list", "create")
            and getattr(endpoint.function, "initkwargs", {}).get("detail") is not None
        ):
            detail = endpoint.options.get("detail")
            base = re.sub(r"\{[^{}]+\}/[^{}]*$" if detail else r"[^/]+/?$", "", base)
        found.setdefault((endpoint.view, base), Group(base)).endpoints.append(endpoint)
    return list(found.values())


class ViewWriter:
    """Writes groups into a module."""

    def __init__(
        self, parts: Parts, reads: ReadViews, writes: WriteViews, access: Access, *, read_only: bool, bridges: bool
    ) -> None:
        self._parts = parts
        self._reads = reads
        self._writes = writes
        self._access = access
        self._read_only = read_only
        self._bridges = bridges

    def write(self, group: Group) -> None:
        """Write one group, and report each of its endpoints."""
        reads = self._read(group)
        classes = {kind: route for kind, route in reads.items() if not route.is_by_object}
        first = classes.get("list") or classes.get("retrieve")
        writes = self._write(group, first) if first is not None and not self._read_only else {}
        if first is None:
            for kind in _WRITES:
                group.failures.setdefault(kind, next(iter(group.failures.values()), _NOT_SHOWN))
        written = {kind: self._by_object(group, route) for kind, route in reads.items() if route.is_by_object}
        if len(classes) == 2 and _differ(classes["list"], classes["retrieve"]):
            detail = self._class(group, {"retrieve": classes.pop("retrieve")}, {}, "Detail")
            written["retrieve"] = detail
        if classes:
            written |= dict.fromkeys([*classes, *writes], self._class(group, classes, writes))
        kept: dict[str, list[Endpoint]] = {}
        for endpoint in group.endpoints:
            kind = kind_of(endpoint)
            if kind in reads:
                self._report(endpoint, "moved", written[kind], reads[kind])
            elif kind in writes:
                self._report_write(endpoint, written[kind], writes[kind])
            elif kind in ("list", "retrieve") and self._bridge(endpoint, kind, group.failures.get(kind)):
                continue
            else:
                kept.setdefault(endpoint.path, []).append(endpoint)
                self._report_kept(endpoint, group.failures.get(kind))
        for path, endpoints in kept.items():
            self._keep(path, endpoints)

    def _read(self, group: Group) -> dict[str, ReadRoute]:
        found: dict[str, ReadRoute] = {}
        for endpoint in group.endpoints:
            kind = kind_of(endpoint)
            if endpoint.method == "GET" and kind in ("list", "retrieve"):
                try:
                    found[kind] = self._reads.read(endpoint, kind)
                except UnmovedError as error:
                    group.failures[kind] = error
        return found

    def _write(self, group: Group, first: ReadRoute) -> dict[str, WriteRoute]:
        found: dict[str, WriteRoute] = {}
        if first.asks_view:  # which may say other rows to those who write
            group.failures |= dict.fromkeys(_WRITES, _ASKS_VIEW)
            return found
        for endpoint in group.endpoints:
            kind = kind_of(endpoint)
            if kind in _WRITES:
                try:
                    found[kind] = self._writes.read(endpoint, kind, first)
                except UnmovedError as error:
                    group.failures[kind] = error
        guards = {tuple(route.guards) for route in found.values()}
        if len(guards) > 1:
            for kind in found:
                group.failures[kind] = UnmovedError("The routes that write have different permissions.")
            return {}
        return found

    # --- classes -----------------------------------------------------------------------------------------------

    def _class(self, group: Group, reads: dict[str, ReadRoute], writes: dict[str, WriteRoute], suffix: str = "") -> str:
        shown, use = reads.get("retrieve") or reads["list"], self._parts.names.use
        cls = group.endpoints[0].view
        stem = re.sub(r"(ModelViewSet|ViewSet|APIView|View|Viewset|API)$", "", cls.__name__)
        form = ClassForm(
            self._parts.names.define(f"{camel(stem)}{suffix}ViewSet", camel(cls.__module__.split(".")[0])),
            [use("hybrid_gateway.orm", "ModelViewSet")],
        )
        add = form.fields.append
        path = group.path.rstrip("/")
        add(FieldForm("path", default=quoted(path)))
        if all(endpoint.path.endswith("/") for endpoint in group.endpoints if kind_of(endpoint)):
            add(FieldForm("trailing_slash", default="True"))
        add(FieldForm("basename", default=quoted(_basename(group, path))))
        if shown.queryset:
            add(FieldForm("queryset", default=shown.queryset))
        add(FieldForm("out", default=shown.struct))
        listed = reads.get("list")
        if listed is not None and listed.struct != shown.struct:
            add(FieldForm("list_out", default=listed.struct))
        for kind, name in _WRITES.items():
            if (
                kind in writes
                and name
                and not (kind == "update" and writes[kind].struct == getattr(writes.get("create"), "struct", None))
            ):
                add(FieldForm(name, default=writes[kind].struct))
        if "update" not in writes and "create" in writes:
            add(FieldForm("replace_in", default="None"))
        for kind in ("list", "retrieve", "destroy"):
            if kind not in reads and kind not in writes:
                add(FieldForm(kind, default="None"))
        schemes = self._access.own_schemes(group.endpoints[0].instance())
        if schemes:
            add(FieldForm("authentication", default=schemes))
        if shown.guards:
            add(FieldForm("guards", default=f"[{', '.join(shown.guards)}]"))
        more = [guard for route in writes.values() for guard in route.guards if guard not in shown.guards]
        if more:
            add(FieldForm("write_guards", default=f"[{', '.join(dict.fromkeys(more))}]"))
        if shown.throttles:
            add(FieldForm("throttle", default=f"[{', '.join(shown.throttles)}]"))
        attributes = {entry.name: entry for route in reads.values() for entry in route.attributes}
        form.fields += [entry for entry in attributes.values() if entry.name != "cache_control" or not writes]
        form.methods += [shown.method] if shown.method is not None else []
        given = next((route.given for route in writes.values() if route.given is not None), None)
        form.methods += [given] if given is not None else []
        self._parts.move.views.append(form)
        self._parts.move.listed.append(form.name)
        return form.name

    # --- functions ---------------------------------------------------------------------------------------------

    def _bridge(self, endpoint: Endpoint, kind: str, failure: UnmovedError | None) -> bool:
        """Write a handler around the old view, if it has no more of its own than rows and a serializer."""
        if not self._bridges:
            return False
        try:
            need_stock(endpoint.view, kind)
            guards, _ = self._access.guards(endpoint.instance(), endpoint.method)
        except UnmovedError:
            return False
        use, cls = self._parts.names.use, endpoint.view
        answer, view_of = use(_BRIDGE, "list_answer" if kind == "list" else "row_answer"), use(_BRIDGE, "view_of")
        names = re.findall(r"\{(\w+)", endpoint.path)
        passed = "".join(f", {name}={name}" for name in names)
        view = use(cls.__module__, cls.__name__)
        body = [f"return {answer}({view_of}({view}, request, {quoted(kind)}{passed}))"]
        schemes = self._access.own_schemes(endpoint.instance())
        options = f", authentication={schemes}" if schemes else ""
        options += f", guards=[{', '.join(guards)}]" if guards else ""
        name = self._function(
            endpoint.path,
            endpoint.name or f"{snake(cls.__name__)}-{kind}",
            names,
            body,
            f"{use('hybrid_gateway', 'get')}(%s{options})",
            use("hybrid_gateway", "Response"),
        )
        report = self._reported(endpoint, "bridged", name)
        report.needs = [f"{cls.__module__}.{cls.__name__}", *self._access.needs]
        report.decisions += [Decision(failure.reason, failure.place)] if failure is not None else []
        return True

    def _by_object(self, group: Group, route: ReadRoute) -> str:
        """Write a handler that shows the row of the view's ``get_object()``, by a class of ours."""
        [endpoint] = [entry for entry in group.endpoints if entry.method == "GET" and kind_of(entry) == "retrieve"]
        use, cls = self._parts.names.use, endpoint.view
        names = re.findall(r"\{(\w+)", endpoint.path)
        passed = "".join(f", {name}={name}" for name in names)
        view = f"{use(_BRIDGE, 'view_of')}({use(cls.__module__, cls.__name__)}, request, {quoted('retrieve')}{passed})"
        schemes = self._access.own_schemes(endpoint.instance())
        options = f", authentication={schemes}" if schemes else ""
        options += f", guards=[{', '.join(route.guards)}]" if route.guards else ""
        options += f", throttle=[{', '.join(route.throttles)}]" if route.throttles else ""
        options += "".join(f", {entry.name}={entry.default}" for entry in route.attributes)
        return self._function(
            endpoint.path,
            endpoint.name or f"{snake(cls.__name__)}-detail",
            names,
            [f"return {route.struct}.from_model({use(_BRIDGE, 'row_of')}({view}))"],
            f"{use('hybrid_gateway', 'get')}(%s{options})",
            route.struct,
        )

    def _keep(self, path: str, endpoints: list[Endpoint]) -> None:
        """Write a handler that leaves a path to Django, whose other methods or neighbours have moved."""
        use = self._parts.names.use
        body = [f"return {use(_BRIDGE, 'ask_django')}(request)"]
        methods = ", ".join(quoted(endpoint.method) for endpoint in endpoints)
        middleware = f"{use('django.conf', 'settings')}.MIDDLEWARE"
        options = f"methods=[{methods}], django_middleware={middleware}, authentication=[], csrf_exempt=True"
        options += ", include_in_schema=False"  # the old view knows its users itself, by schemes that need not be here
        names = re.findall(r"\{(\w+)", path)
        self._function(
            path,
            f"{endpoints[0].name}-kept",
            names,
            body,
            f"{use('hybrid_gateway', 'route')}(%s, {options})",
            use("django.http", "HttpResponse"),
        )

    def _function(
        self, path: str, name: str, parameters: list[str], body: list[str], decorator: str, returns: str
    ) -> str:
        request = self._parts.names.use("django.http", "HttpRequest")
        written = self._parts.names.define(snake(name.split(":")[-1]))
        form = FunctionForm(
            written,
            [f"request: {request}", *(f"{entry}: str" for entry in parameters)],
            returns,
            body,
            [decorator % quoted(re.sub(r":\w+\}", "}", path))],
        )
        self._parts.move.views.append(form)
        self._parts.move.listed.append(written)
        return written

    # --- reports -----------------------------------------------------------------------------------------------

    def _reported(self, endpoint: Endpoint, grade: Grade, written: str) -> RouteReport:
        report = RouteReport(endpoint.method, endpoint.path, endpoint.name, endpoint.origin, grade, written)
        self._parts.move.routes.append(report)
        return report

    def _report(self, endpoint: Endpoint, grade: Grade, written: str, route: ReadRoute) -> None:
        report = self._reported(endpoint, grade, written)
        report.differences = list(dict.fromkeys(route.differences))
        report.decisions = route.decisions
        report.needs = route.needs

    def _report_write(self, endpoint: Endpoint, written: str, route: WriteRoute) -> None:
        report = self._reported(endpoint, "moved", written)
        report.differences = route.differences

    def _report_kept(self, endpoint: Endpoint, failure: UnmovedError | None) -> None:
        report = self._reported(endpoint, "kept", "")
        if failure is not None:
            report.decisions.append(Decision(failure.reason, failure.place))
        elif endpoint.method in SAFE or not self._read_only:
            what = f"{endpoint.view.__name__}.{endpoint.action} is code of the project's own."
            report.decisions.append(Decision(what, place_of(endpoint.view, endpoint.action) or place_of(endpoint.view)))


def _differ(one: ReadRoute, other: ReadRoute) -> bool:
    """Return whether two routes cannot be of one class."""
    return (one.guards, one.throttles, one.queryset, one.method, one.model) != (
        other.guards,
        other.throttles,
        other.queryset,
        other.method,
        other.model,
    )


def _basename(group: Group, path: str) -> str:
    """Return what the names of the routes begin with: ``group`` of ``group-list``."""
    name = group.endpoints[0].name.split(":")[-1]
    return snake(re.sub(r"-(list|detail)$", "", name) or path.rsplit("/", 1)[-1])
