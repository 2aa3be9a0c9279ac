"""One operation as a function with a decorator: plain where its schemas are Structs, by django-ninja's own else."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from datetime import datetime, time
from typing import Any, get_args

from msgspec import Struct, field
from ninja.constants import NOT_SET
from ninja.errors import HttpError
from ninja.pagination import LimitOffsetPagination, PageNumberPagination
from ninja.parser import Parser
from ninja.renderers import JSONRenderer

from hybrid_gateway.migration.form import ClassForm, Decision, Difference, FieldForm, Move, RouteReport, TextForm
from hybrid_gateway.migration.ninja.annotation_text import annotation_text, quoted
from hybrid_gateway.migration.ninja.function_decorators import written_decorators
from hybrid_gateway.migration.ninja.mounted_operations import MountedOperation
from hybrid_gateway.migration.ninja.moved_functions import FunctionSource, Origins
from hybrid_gateway.migration.ninja.moved_helpers import Helpers
from hybrid_gateway.migration.ninja.ninja_auth import AuthWriter, object_text, written_access
from hybrid_gateway.migration.ninja.ninja_parameters import (
    NotWritable,
    Parameter,
    field_parameter,
    is_schema,
    operation_parameters,
    own_parameters,
)
from hybrid_gateway.migration.ninja.ninja_schemas import NotPlain, SchemaWriter
from hybrid_gateway.migration.ninja.plain_bodies import PlainBody


class Writers(Struct):
    """The parts of one move that its operations share."""

    move: Move
    auth: AuthWriter
    schemas: SchemaWriter
    origins: Origins
    helpers: Helpers
    bridges: bool
    route_names: set[tuple[int, str]] = field(default_factory=set)
    """The names of routes that are given, with the API of each: Django takes one for two, and a router does not."""


class _Written(Struct):
    """The parts of a function: around it, in its head, inside of it."""

    options: list[str]
    decorators: list[str]
    parameters: list[Parameter]
    body: str


class OperationWriter:
    """Writes one operation."""

    def __init__(
        self, writers: Writers, mounted: MountedOperation, source: FunctionSource, reports: list[RouteReport], name: str
    ) -> None:
        self.move, self.auth = writers.move, writers.auth
        self.schemas, self.origins, self.helpers = writers.schemas, writers.origins, writers.helpers
        self.mounted, self.source, self.reports = mounted, source, reports
        self.operation, self.names = mounted.operation, writers.move.names
        self.needs: list[str] = []
        """Pieces of django-ninja that make the route a bridged one."""
        self.keeps: list[str] = []
        """Things of the project's that it is moved with: functions, and classes of authentication."""
        self.bridges = writers.bridges
        self.name = name
        wanted = [mounted.name, name, *(f"{name}_{number}" for number in range(2, len(writers.route_names) + 3))]
        self.route_name = next(one for one in wanted if (id(mounted.api), one) not in writers.route_names)
        writers.route_names.add((id(mounted.api), self.route_name))

    def write(self) -> str:
        """Add the function to the module, and return its name; raises where it has to stay."""
        if ":path}" in self.mounted.path.removesuffix(":path}"):
            raise NotWritable("a parameter of its path takes the rest of it, and more stands behind")
        paginator = self._paginator()
        kept = written_decorators(self.source, self.operation, self.names, self._moved)
        try:
            if kept.views:
                raise NotPlain("the decorators of views around it, which take responses")
            if self._own_api() is not None:
                raise NotPlain("its API, which makes responses in a way of its own")
            written = self._plain(paginator)
        except NotPlain as error:
            self.needs.append(f"django-ninja, for {error}")
            written = self._bridged(paginator)
        name = self.name
        needed = [*self.needs, *(one for one in self.keeps if one.startswith("django-ninja"))]
        if needed and not self.bridges:
            raise NotWritable(", ".join(needed))
        if kept.views:
            around = self.names.use("hybrid_gateway.contrib.ninja", "view_decorators")
            written.decorators.insert(0, "\n".join(_call(f"@{around}", kept.views)))
            self._differ("order of decorators", "those of views run behind authentication and parameters")
        wants_request = self.source.uses("request") or any(parameter.first_line for parameter in written.parameters)
        wants_request = wants_request or bool(kept.functions) or "ninja_response" in "".join(written.decorators)
        lines = [
            *_call(*self._verb(written.options)),
            *(
                line
                for decorator in (*written.decorators, *(f"@{one}" for one in kept.functions))
                for line in decorator.splitlines()
            ),
            *self._header(name, written.parameters, wants_request),
            *(f"    {one.first_line}" for one in written.parameters if one.first_line),
            written.body,
        ]
        self.move.views.append(TextForm(name, "\n".join(lines)))
        for report in self.reports:
            report.written, report.grade = name, "bridged" if self.needs else "moved"
            report.needs += dict.fromkeys([*self.needs, *self.keeps])
        return name

    # --- the two ways

    def _plain(self, paginator: Any) -> _Written:
        """Write it with Structs; raises :class:`NotPlain`."""
        body = PlainBody(self.source, self.operation, self.schemas, handles_http_errors(self.mounted.api))
        model = self.operation.response_models.get(body.status, self.operation.response_models.get(Ellipsis, NOT_SET))
        annotation = model if model in (None, NOT_SET) else model.model_fields["response"].annotation
        if paginator is not None:
            annotation = _unpaged(annotation, paginator)
        response = body.response(annotation, is_paged=paginator is not None)
        options = self._options(body.status)
        if paginator is not None:
            options.append(f"pagination={self._pagination(paginator)}")
        if response is not None and response != "None":
            options.append(f"response={response}")
        parameters = operation_parameters(
            self.operation, self.names, self._known, lambda name, one: self._plain_body(body, name, one)
        )
        found = self.source.body_imports(self.names, lambda name, value: self._plain_name(body, name, value))
        edited = {edit.start for edit in body.edits}
        edits = [*body.edits, *(edit for edit in found if edit.start not in edited)]
        kept = [one for one in own_parameters(self.operation) if is_schema(one.annotation)]
        if any(type(one.source).__name__ != "Body" for one in kept):
            self.needs.append("django-ninja, for a schema of the query or a form")
        self._differences(annotation)
        if body.raises_http_errors:
            self._differ("error *", "what was an HttpError is problem details, with the same status and detail")
        decorators = [body.decorator] if body.decorator else []
        return _Written(options, decorators, parameters, self.source.body(edits))

    def _plain_name(self, body: PlainBody, name: str, value: Any) -> str | None:
        """Return how a name of the body is written; what the module of the operation defines is moved along."""
        found = body.moved(name, value) or self._moved(name, value)
        if found is None and name not in self.source.file.imports:
            found = self.helpers.move(self.source, name, value, self._moved)
            if found is None:
                self.keeps.append(f"{self.source.file.module}, for {name}")
        return found

    def _plain_body(self, body: PlainBody, name: str, annotation: Any) -> str | None:
        """Return a body's annotation as a Struct, or None where it has to stay a schema."""
        before = list(body.edits)
        try:
            body.edit_body_parameter(name)
            text = self.schemas.input(annotation)
        except NotPlain as error:
            body.edits[:] = before
            self.needs.append(f"django-ninja, for {error}")
            return None
        return text

    def _bridged(self, paginator: Any) -> _Written:
        """Write it with django-ninja's own schemas."""
        parameters = operation_parameters(self.operation, self.names, self._known, lambda name, annotation: None)
        if paginator is not None:
            fields = paginator.Input.model_fields.items()
            parameters += [field_parameter(name, one, self.names) for name, one in fields]
            parameters.sort(key=lambda parameter: parameter.has_default)
        edits = self.source.body_imports(self.names, self._moved)
        status = 200 if set(self.mounted.methods) & {"POST", "DELETE"} else None
        return _Written(self._options(status), [self._response(paginator)], parameters, self.source.body(edits))

    def _response(self, paginator: Any) -> str:
        """Return the decorator that writes the answer by the schemas."""
        entries = []
        for status, model in self.operation.response_models.items():
            annotation = (
                Any if model is NOT_SET else None if model is None else model.model_fields["response"].annotation
            )
            if paginator is not None and model not in (None, NOT_SET):
                annotation = _unpaged(annotation, paginator)
            shown = "..." if status is Ellipsis else int(status)
            entries.append(f"{shown}: {annotation_text(annotation, self.names, self._known)}")
        options = [f"{{{', '.join(entries)}}}"]
        if paginator is not None:
            made = object_text(paginator, self.move)
            if made is None:
                raise NotWritable(f"its paginator, {type(paginator).__name__}, cannot be made again")
            options.append(f"paginator={made}")
        own_api = self._own_api()
        if own_api is not None:
            options.append(f"api={own_api}")
        for word in ("by_alias", "exclude_unset", "exclude_defaults", "exclude_none"):
            options += [f"{word}=True"] if getattr(self.operation, word) else []
        writer = self.names.use("hybrid_gateway.contrib.ninja", "ninja_response")
        return "\n".join(_call(f"@{writer}", options))

    def _own_api(self) -> str | None:
        """Return how its API is written where that makes responses in a way of its own, or None."""
        api = self.mounted.api
        base = next(kind for kind in type(api).__mro__ if kind.__module__.split(".")[0] in ("ninja", "ninja_extra"))
        words = ("create_response", "create_temporal_response", "get_content_type")
        if type(api.parser) is not Parser and self.operation.models:
            raise NotWritable("its API reads requests by a parser of its own")
        is_own = any(getattr(type(api), word) is not getattr(base, word) for word in words)
        if not is_own and type(api.renderer) is JSONRenderer:
            return None
        written = object_text(api, self.move)
        if written is None:
            raise NotWritable("its API makes responses in a way of its own, and no module has it by a name")
        return written

    # --- what both need

    def _known(self, kind: type) -> str | None:
        return self.origins.use(kind, self.names)

    def _moved(self, name: str, value: Any) -> str | None:
        return self.origins.use(value, self.names)

    def _verb(self, options: list[str]) -> tuple[str, list[str]]:
        path = quoted(self.mounted.path or "/")
        if len(self.mounted.methods) == 1:
            return f"@{self.names.use('hybrid_gateway', self.mounted.methods[0].lower())}", [path, *options]
        methods = ", ".join(map(quoted, self.mounted.methods))
        return f"@{self.names.use('hybrid_gateway', 'route')}", [path, f"methods=[{methods}]", *options]

    def _header(self, name: str, parameters: list[Parameter], wants_request: bool) -> list[str]:
        texts = [parameter.text for parameter in parameters if parameter.text]
        if wants_request:
            texts.insert(0, f"request: {self.names.use('django.http', 'HttpRequest')}")
        keyword = "async def" if isinstance(self.source.node, ast.AsyncFunctionDef) else "def"
        lines = _call(f"{keyword} {name}", texts)
        return [*lines[:-1], f"{lines[-1]} -> {self.names.use('typing', 'Any')}:"]

    def _options(self, status: int | None) -> list[str]:
        operation = self.operation
        options = [f"name={quoted(self.route_name)}"]
        usual = {"POST": 201, "DELETE": 204}.get(self.mounted.methods[0], 200) if len(self.mounted.methods) == 1 else 0
        options += [] if status in (None, usual) else [f"status_code={status}"]
        access = written_access(operation, self.auth)
        self.keeps += access.keeps
        for difference in access.differences:
            self._differ(difference.where, difference.what)
        options += access.options
        if operation.tags:
            options.append(f"tags=[{', '.join(map(quoted, operation.tags))}]")
        words = ("operation_id", "deprecated")
        options += [f"{word}={quoted(getattr(operation, word))}" for word in words if getattr(operation, word)]
        options += [] if operation.include_in_schema else ["include_in_schema=False"]
        return options

    def _pagination(self, paginator: Any) -> str:
        """Return the style of pages; raises :class:`NotPlain` for one of the project's own."""
        kind = type(paginator)
        if kind is LimitOffsetPagination:
            limit = paginator.Input.model_fields["limit"].default
            most = paginator.max_limit if isinstance(paginator.max_limit, int) else 1_000_000
            text = f"limit={limit}, max_limit={most}"
        elif kind is PageNumberPagination:
            most = paginator.max_page_size if isinstance(paginator.max_page_size, int) else 1_000_000
            text = f'size={paginator.page_size}, max_size={most}, size_param="page_size"'
        else:
            raise NotPlain(f"{kind.__name__} is the project's own way to page")
        style = self.names.use("hybrid_gateway.orm", kind.__name__.removesuffix("Pagination"))
        return f"{style}({text}, envelope={self._envelope()}, links=())"

    def _envelope(self) -> str:
        known = next((one for one in self.move.structs if one.bases[-1:] == ["Generic[T]"]), None)
        if known is not None:
            return known.name
        struct, variable = self.names.use("msgspec", "Struct"), self.names.use("typing", "TypeVar")
        self.names.use("typing", "Generic")
        self.move.constants.append(FieldForm(self.names.define("T"), default=f'{variable}("T")'))
        fields = [
            FieldForm("items", "list[T]"),
            FieldForm("total", "int", f'{self.names.use("msgspec", "field")}(name="count")'),
        ]
        form = ClassForm(self.names.define("Counted"), [struct, "Generic[T]"], doc="A page, and how many there are.")
        form.fields = fields
        self.move.structs.append(form)
        return form.name

    def _paginator(self) -> Any:
        """Return the paginator around the function, if there is one."""
        view: Any = self.operation.view_func
        while view is not None:
            found = inspect.getclosurevars(view).nonlocals.get("paginator") if inspect.isfunction(view) else None
            if found is not None:
                if found.pass_parameter:
                    raise NotWritable("its paginator passes what was asked for on to the function")
                return found
            view = getattr(view, "__wrapped__", None)
        return None

    def _decide(self, what: str) -> None:
        for report in self.reports:
            report.decisions.append(Decision(what, self.source.place))

    def _differences(self, annotation: Any) -> None:
        for name in sorted(set(_moments(annotation, 0))):
            self._differ(f"value *.{name}", "moments keep their microseconds, which django-ninja cuts to milliseconds")

    def _differ(self, where: str, what: str) -> None:
        for report in self.reports:
            report.differences.append(Difference(where, what))


def _moments(annotation: Any, depth: int) -> Iterator[str]:
    """Yield the names of fields that are moments, however deep."""
    for argument in get_args(annotation):
        yield from _moments(argument, depth)
    for name, one in getattr(annotation, "model_fields", {}).items() if depth < 8 else ():
        if any(kind in (datetime, time) for kind in (one.annotation, *get_args(one.annotation))):
            yield name
        yield from _moments(one.annotation, depth + 1)


def project_handlers(api: Any) -> list[type[Exception]]:
    """Return the exceptions that an API answers by handlers of the project's."""
    handlers: dict[type[Exception], Any] = vars(api).get("_exception_handlers", {})
    return [kind for kind, one in handlers.items() if getattr(one, "func", one).__module__ != "ninja.errors"]


def handles_http_errors(api: Any) -> bool:
    """Return whether a handler of the project's answers what a body raises by ``HttpError``."""
    return any(issubclass(HttpError, kind) for kind in project_handlers(api))


def _call(head: str, arguments: list[str]) -> list[str]:
    """Return a call on one line, or an argument per line where it is too long."""
    line = f"{head}({', '.join(arguments)})"
    if len(line) <= 79 and "\n" not in line:
        return [line]
    return [f"{head}(", *(f"    {argument}," for argument in arguments), ")"]


def _unpaged(annotation: Any, paginator: Any) -> Any:
    items = getattr(annotation, "model_fields", {}).get(paginator.items_attribute)
    return annotation if items is None else items.annotation
