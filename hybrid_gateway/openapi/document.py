"""Endpoints → the OpenAPI 3.1 document, as JSON or, by PyYAML where that is installed, as YAML."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from functools import partial
from importlib import import_module
from typing import Annotated, Any

import msgspec
from django.conf import settings as django_settings

from hybrid_gateway.binding.plan import Input
from hybrid_gateway.binding.uploads import is_file, is_files
from hybrid_gateway.conf import OpenAPISettings
from hybrid_gateway.endpoints.endpoint import Endpoint
from hybrid_gateway.exceptions import reason
from hybrid_gateway.headers import JSON, JSON_LINES
from hybrid_gateway.openapi.operation_responses import is_json, problem_statuses, success_responses
from hybrid_gateway.openapi.route_inputs import InputWriter, path_of, with_file_rules
from hybrid_gateway.openapi.route_words import custom_types, operation_ids, words_of
from hybrid_gateway.openapi.schema import Schemas
from hybrid_gateway.openapi.schema_types import JSONObject, Use
from hybrid_gateway.openapi.security_schemes import SecuritySchemes
from hybrid_gateway.responses.cookies import CookieOption, read_cookie_option
from hybrid_gateway.responses.templates import shows_template
from hybrid_gateway.type_info import type_info

_log = logging.getLogger("hybrid_gateway.openapi")

# By 3.1 it needs no schema, but openapi-python-client makes nothing of a body without.
_BINARY = {"type": "string", "format": "binary"}


class ProblemError(msgspec.Struct, rename={"kind": "type"}):
    """One fault of a request."""

    loc: list[str | int]
    msg: str
    kind: str


class Problem(msgspec.Struct, kw_only=True, rename={"kind": "type"}):
    """Problem details, RFC 9457."""

    kind: Annotated[str, msgspec.Meta(extra_json_schema={"format": "uri-reference"})]
    title: str
    status: int
    detail: Any = None  # anything that JSON knows
    errors: Annotated[list[ProblemError], msgspec.Meta(description="Every fault of the request, with a 422.")] = []


def build_document(
    endpoints: Iterable[Endpoint], settings: OpenAPISettings, webhooks: Sequence[Endpoint] = ()
) -> JSONObject:
    """Return the document of all endpoints that are in the schema, ready for a JSON encoder."""
    shown = [endpoint for endpoint in endpoints if endpoint.route.layers.include_in_schema]
    apart = OpenAPIWriter(shown, webhooks, Schemas(None))
    writer = OpenAPIWriter(shown, webhooks, Schemas(apart.schemas.two_faced()))
    for fault in writer.schemas.unknown:
        _log.warning("A part of the OpenAPI document is left open, because %s.", fault)
    info = {"title": settings.title, "version": settings.version}
    if settings.description:
        info["description"] = settings.description
    document = {
        "openapi": "3.1.0",
        "info": info,
        "servers": [{"url": "/"}],
        "security": [],  # of operations that say nothing of it
        "paths": writer.paths,
        **({"webhooks": writer.webhooks} if writer.webhooks else {}),
        "components": {name: entries for name, entries in writer.components.items() if entries},
    }
    tags = dict.fromkeys(tag for endpoint in shown for tag in endpoint.route.layers.tags)
    return {**document, "tags": [{"name": tag} for tag in tags]} if tags else document


class OpenAPIWriter:
    """Paths and components, filled endpoint by endpoint."""

    def __init__(self, shown: Sequence[Endpoint], webhooks: Sequence[Endpoint], schemas: Schemas) -> None:
        self.paths: dict[str, JSONObject] = {}
        self.webhooks: dict[str, JSONObject] = {}
        self.schemas = schemas
        self.security = SecuritySchemes()
        self._inputs = InputWriter(self.schemas, self.security)
        self._problems: dict[str, JSONObject] = {}
        self.components = {
            "schemas": self.schemas.components,
            "responses": self._problems,
            "securitySchemes": self.security.components,
        }
        self._problem_content = {"application/problem+json": {"schema": self.schemas.schema(Problem)}}
        called = [endpoint for one in shown for called in one.callbacks.values() for _, endpoint in called]
        self._operation_ids = operation_ids([*shown, *called, *webhooks])
        for endpoint in shown:
            self._add(endpoint)
        for endpoint in webhooks:
            operation = self._operation(endpoint, {}, ours=False)
            self.webhooks.setdefault(endpoint.route.name, {})[endpoint.method.lower()] = operation

    def _add(self, endpoint: Endpoint) -> None:
        template, method = endpoint.route.template, endpoint.method.lower()
        parameters = template.parameters
        names = {parameter.name: parameter.name for parameter in parameters}
        if method in self.paths.get(path_of(template, names), {}):
            # Paths that differ only in their converters are one path to OpenAPI: tell them apart by name.
            names = {parameter.name: f"{parameter.name}_{parameter.converter.name}" for parameter in parameters}
        self.paths.setdefault(path_of(template, names), {})[method] = self._operation(endpoint, names)

    def _operation(self, endpoint: Endpoint, path_names: dict[str, str], *, ours: bool = True) -> JSONObject:
        """Return one operation. That of another server, such as a webhook, receives what we send."""
        route = endpoint.route
        self._inputs.received, self._sent = (Use.RECEIVED, Use.SENT) if ours else (Use.SENT, Use.RECEIVED)
        self.schemas.custom = custom_types(route.layers)
        operation: JSONObject = {
            "operationId": self._operation_ids[endpoint],
            "tags": list(dict.fromkeys(route.layers.tags)),
            **words_of(route),
            "deprecated": route.options.get("deprecated", False),
            "parameters": self._inputs.parameters(endpoint, path_names),
            "requestBody": self._request_body(endpoint),
        }
        operation = {name: value for name, value in operation.items() if value}
        operation["responses"] = self._responses(endpoint)
        security = self.security.requirements(endpoint)
        if endpoint.callbacks:
            callbacks: JSONObject = {name: {} for name in endpoint.callbacks}
            operation["callbacks"] = callbacks
            for name, called in endpoint.callbacks.items():
                for expression, theirs in called:
                    path = callbacks[name].setdefault(expression, {})
                    path[theirs.method.lower()] = self._operation(theirs, {}, ours=False)
        return operation if security is None else {**operation, "security": security}

    # --- what goes in

    def _request_body(self, endpoint: Endpoint) -> JSONObject:
        fields = [entry for entry in endpoint.inputs if entry.source == "form"]
        if fields:
            return self._form(fields)
        bodies = [entry for entry in endpoint.inputs if entry.source == "body"]
        if not bodies:
            return {}
        # Only JSON is required; raw bytes may be empty, and the handler says what they are.
        parsed = [entry for entry in bodies if is_json(entry)]
        content: JSONObject = {entry.media_type: {"schema": dict(_BINARY)} for entry in bodies}
        for entry in parsed:
            schema = {"schema": self._inputs.schema(entry)}
            content |= dict.fromkeys([entry.media_type, *endpoint.route.layers.media_types], schema)
        body: JSONObject = {"content": content, "required": any(entry.required for entry in parsed)}
        description = next((text for entry in bodies if (text := getattr(entry.marker, "description", None))), None)
        return {"description": description, **body} if description else body

    def _form(self, fields: Sequence[Input]) -> JSONObject:
        properties: JSONObject = {}
        for entry in fields:
            schema = self._inputs.schema(entry)
            if description := getattr(entry.marker, "description", None):
                schema["description"] = description
            properties[entry.name] = with_file_rules(schema, entry.marker)
        required = [entry.name for entry in fields if entry.required]
        form: JSONObject = {"type": "object", "properties": properties}
        if required:
            form["required"] = required
        if any(entry.closed for entry in fields):
            form["additionalProperties"] = False
        types = {
            entry.name: entry.media_type or ", ".join(getattr(entry.marker, "content_types", ())) for entry in fields
        }
        encoding = {name: {"contentType": kind} for name, kind in types.items() if kind}
        written: JSONObject = {"schema": form, **({"encoding": encoding} if encoding else {})}
        content = {"multipart/form-data": written}
        if not any(is_file(info) or is_files(info) for info in (type_info(entry.type) for entry in fields)):
            content["application/x-www-form-urlencoded"] = written
        return {"content": content, "required": bool(required)}

    # --- what comes out

    def _responses(self, endpoint: Endpoint) -> JSONObject:
        route = endpoint.route
        responses: JSONObject = success_responses(
            endpoint.returns, endpoint.method, route.options, partial(self.schemas.schema, use=self._sent)
        )
        headers = _header_objects(endpoint)
        for response in responses.values():
            if headers:
                response["headers"] = headers
            content = response.get("content", {})
            if JSON in content:
                content |= dict.fromkeys(route.layers.media_types, content[JSON])
                if route.options.get("chunked"):
                    content[JSON_LINES] = {"schema": content[JSON]["schema"].get("items", {})}
                if shows_template(endpoint.returns, route.options):
                    content["text/html"] = {"schema": {"type": "string"}}
        if route.layers.etag and endpoint.method == "GET":
            responses["304"] = {"description": "Not Modified"}
        for status in problem_statuses(endpoint):
            name = reason(status).replace(" ", "")
            self._problems.setdefault(name, {"description": reason(status), "content": dict(self._problem_content)})
            responses.setdefault(str(status), {"$ref": f"#/components/responses/{name}"})
        return responses


def _header_objects(endpoint: Endpoint) -> JSONObject:
    """Return the headers of every successful response."""
    layers = endpoint.route.layers
    declared = {name: value for name, value in layers.response_headers.items() if value is not None}
    fixed: JSONObject = {name: {"schema": {"type": "string", "const": value}} for name, value in declared.items()}
    if layers.etag:
        fixed["ETag"] = {"schema": {"type": "string"}}
    if (cookies := _set_cookies(endpoint)) is not None:
        fixed["Set-Cookie"] = cookies
    if layers.throttle:
        names = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
        fixed |= {name: {"schema": {"type": "integer"}} for name in names}
    return fixed | {name: {"schema": schema} for name, schema in endpoint.response_headers.items()}


def _set_cookies(endpoint: Endpoint) -> JSONObject | None:
    """Return the header object of all cookies that are set, which are one to OpenAPI; None where there are none."""
    options = [read_cookie_option(cookie) for cookie in endpoint.route.layers.response_cookies]
    if endpoint.reads_cookies and django_settings.SESSION_COOKIE_NAME not in {option.name for option in options}:
        options.append(CookieOption(django_settings.SESSION_COOKIE_NAME, None, "when the session has changed"))
    if not options:
        return None
    names = [f"`{option.name}`{option.description and f' ({option.description})'}" for option in options]
    written: JSONObject = {"description": f"Sets {', '.join(names)}.", "schema": {"type": "string"}}
    fixed = {option.name: {"value": option.header[1].decode("latin-1")} for option in options if option.header}
    return {**written, "examples": fixed} if fixed else written


# --- YAML ----------------------------------------------------------------------------------------------------------


def dump_yaml(document: object) -> str:
    """Return YAML, in the order of the document; raises ``ImportError`` without PyYAML."""
    text: str = import_module("yaml").safe_dump(document, sort_keys=False, allow_unicode=True, width=120)
    return text


def load_yaml(text: str) -> object:
    """Return the value; raises ``ValueError`` for what is no YAML, and ``ImportError`` without PyYAML."""
    yaml = import_module("yaml")
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def as_yaml(document: bytes) -> bytes:
    """Return a JSON document as YAML. SPEC: YAML 1.2, section 1.3: without PyYAML it stays, for JSON is YAML too."""
    try:
        return dump_yaml(json.loads(document)).encode()
    except ImportError:
        return document
