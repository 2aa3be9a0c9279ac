"""Websocket endpoints → the AsyncAPI 3.0 document, with the schemas and security schemes of the OpenAPI document.

How this works: the other document is written first, by the same writer of schemas, so that a class or a scheme has one
name in both; what only that one refers to is left out in the end.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence

from hybrid_gateway.conf import OpenAPISettings
from hybrid_gateway.endpoints.endpoint import Endpoint
from hybrid_gateway.exceptions import reason
from hybrid_gateway.openapi.asyncapi_messages import MessageWriter, as_draft_7
from hybrid_gateway.openapi.document import OpenAPIWriter
from hybrid_gateway.openapi.operation_responses import problem_statuses
from hybrid_gateway.openapi.route_inputs import InputWriter, path_of
from hybrid_gateway.openapi.route_words import custom_types, operation_ids, words_of
from hybrid_gateway.openapi.schema import Schemas
from hybrid_gateway.openapi.schema_types import JSONObject, Schema
from hybrid_gateway.openapi.security_schemes import SecuritySchemes
from hybrid_gateway.websockets.channel_stream import SINCE
from hybrid_gateway.websockets.close_codes import CLOSE_CODES

_log = logging.getLogger("hybrid_gateway.openapi")


def build_asyncapi(
    websockets: Iterable[Endpoint],
    settings: OpenAPISettings,
    endpoints: Iterable[Endpoint] = (),
    webhooks: Sequence[Endpoint] = (),
) -> JSONObject:
    """Return the document of all ``websockets`` that are in the schema, ready for a JSON encoder.

    ``endpoints`` and ``webhooks`` are those of the OpenAPI document, whose names it shares. It names no server.
    """
    shown = [endpoint for endpoint in websockets if endpoint.route.layers.include_in_schema]
    others = [endpoint for endpoint in endpoints if endpoint.route.layers.include_in_schema]

    def write(schemas: Schemas) -> AsyncAPIWriter:
        return AsyncAPIWriter(shown, schemas, OpenAPIWriter(others, webhooks, schemas).security)

    writer = write(Schemas(write(Schemas(None)).schemas.two_faced()))
    for fault in writer.unknown:
        _log.warning("A part of the AsyncAPI document is left open, because %s.", fault)
    info: JSONObject = {"title": settings.title, "version": settings.version}
    if settings.description:
        info["description"] = settings.description
    tags = dict.fromkeys(tag for endpoint in shown for tag in endpoint.route.layers.tags)
    if tags:
        info["tags"] = [{"name": tag} for tag in tags]
    components = {"schemas": writer.used_schemas(), "securitySchemes": writer.used_schemes()}
    return {
        "asyncapi": "3.0.0",
        "info": info,
        "defaultContentType": "application/json",
        "channels": writer.channels,
        "operations": writer.operations,
        "components": {name: entries for name, entries in components.items() if entries},
        "x-close-codes": {
            str(row.code): {"description": row.meaning, "reconnect": row.reconnect} for row in CLOSE_CODES
        },
    }


class AsyncAPIWriter:
    """Channels and operations, filled endpoint by endpoint."""

    def __init__(self, shown: Sequence[Endpoint], schemas: Schemas, security: SecuritySchemes) -> None:
        self.channels: dict[str, JSONObject] = {}
        self.operations: dict[str, JSONObject] = {}
        self.schemas = schemas
        self._security = security
        self._inputs = InputWriter(schemas, security)
        self._used_schemes: dict[str, None] = {}
        known = dict(schemas.unknown)  # which the other document tells of
        for endpoint, name in operation_ids(shown).items():
            self._add(endpoint, name)
        self.unknown = [fault for fault in schemas.unknown if fault not in known]

    def _add(self, endpoint: Endpoint, name: str) -> None:
        route = endpoint.route
        self.schemas.custom = custom_types(route.layers)
        names = {parameter.name: parameter.name for parameter in route.template.parameters}
        parameters = self._inputs.parameters(endpoint, names)
        followed = route.options.get("channel")
        for entry in parameters if followed is not None else ():
            if entry["name"] == SINCE:
                entry.setdefault("description", "The last offset that was seen: what came after it is sent first.")
        writer = MessageWriter(self.schemas, endpoint)
        received = [] if route.websocket == "stream" else list(writer.received())
        sent = [*writer.sent(), writer.error()]
        words = words_of(route)
        tags = [{"name": tag} for tag in dict.fromkeys(route.layers.tags)]
        channel: JSONObject = {
            "address": path_of(route.template, names),
            "title": words["summary"],
            "description": words["description"],
            "parameters": {entry["name"]: _path_parameter(entry) for entry in parameters if entry["in"] == "path"},
            "messages": {},
            "bindings": {"ws": _binding(parameters)},
            "tags": tags,
            "x-deprecated": bool(route.options.get("deprecated", False)),
            "x-handshake-errors": {str(status): reason(status) for status in problem_statuses(endpoint)},
        }
        if followed is not None:
            history = followed.history
            kept = {} if history is None else {"history": history.size, "historySeconds": history.ttl}
            channel["x-channel"] = {"name": followed.template.text, **kept}
        cookies = [entry for entry in parameters if entry["in"] == "cookie"]
        if cookies:
            channel["x-cookies"] = _object_of(cookies)
        self.channels[name] = channel
        common = {"channel": {"$ref": f"#/channels/{name}"}, **self._requirements(endpoint)}
        if tags:
            common["tags"] = tags
        if received:
            self.operations[f"{name}_receive"] = {
                "action": "receive",
                "summary": words["summary"],
                **common,
                "messages": list(_refer(channel["messages"], received, name)),
            }
        self.operations[f"{name}_send"] = {
            "action": "send",
            "summary": words["summary"],
            **common,
            "messages": list(_refer(channel["messages"], sent, name)),
        }
        self.channels[name] = as_draft_7(
            {key: value for key, value in channel.items() if value or key in ("address", "messages")}
        )

    def _requirements(self, endpoint: Endpoint) -> JSONObject:
        requirements = self._security.requirements(endpoint)
        if not requirements:
            return {}
        names = dict.fromkeys(name for requirement in requirements for name in requirement)
        self._used_schemes |= dict.fromkeys(names)
        written: JSONObject = {"security": [{"$ref": f"#/components/securitySchemes/{name}"} for name in names]}
        if not all(requirements):  # SPEC: AsyncAPI 3.0 has no word for it
            written["x-security-optional"] = True
        return written

    def used_schemes(self) -> dict[str, JSONObject]:
        """Return the security schemes that operations refer to."""
        known = self._security.components
        return {name: _as_scheme(known[name]) for name in self._used_schemes if name in known}

    def used_schemas(self) -> dict[str, Schema]:
        """Return the components that channels refer to, and those that these refer to."""
        found: dict[str, Schema] = {}
        waiting = list(_references(self.channels))
        while waiting:
            name = waiting.pop()
            if name not in found:
                found[name] = as_draft_7(self.schemas.components[name])
                waiting.extend(_references(found[name]))
        return {name: found[name] for name in self.schemas.components if name in found}


_SCHEMAS = "#/components/schemas/"


def _references(value: object) -> Iterator[str]:
    """Yield the names of components that are referred to anywhere inside."""
    if isinstance(value, Mapping):
        reference = value.get("$ref")
        if isinstance(reference, str) and reference.startswith(_SCHEMAS):
            yield reference.removeprefix(_SCHEMAS)
        for entry in value.values():
            yield from _references(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _references(entry)


def _refer(messages: dict[str, JSONObject], added: Iterable[JSONObject], channel: str) -> Iterator[JSONObject]:
    """Put messages into those of a channel, each once, and yield references to them."""
    for message in added:
        name, number = message["name"], 1
        while messages.setdefault(name, message) != message:
            number += 1
            name = f"{message['name']}_{number}"
        yield {"$ref": f"#/channels/{channel}/messages/{name}"}


def _path_parameter(entry: JSONObject) -> JSONObject:
    """Return a parameter of an address. SPEC: AsyncAPI 3.0: it is text, with no schema of its own."""
    schema = entry["schema"]
    written: JSONObject = {"description": entry.get("description", "")}
    for name in ("enum", "examples"):
        if schema.get(name):
            written[name] = [str(value) for value in schema[name]]
    return {**{name: value for name, value in written.items() if value}, "x-schema": schema}


def _binding(parameters: Iterable[JSONObject]) -> JSONObject:
    """Return what a handshake has besides its path. SPEC: AsyncAPI's binding for websockets, version 0.1.0."""
    written: JSONObject = {"method": "GET"}
    for place, member in (("query", "query"), ("header", "headers")):
        found = [entry for entry in parameters if entry["in"] == place]
        if found:
            written[member] = _object_of(found)
    return {**written, "bindingVersion": "0.1.0"}


def _object_of(parameters: Iterable[JSONObject]) -> Schema:
    entries = list(parameters)
    properties: JSONObject = {}
    for entry in entries:
        more = {name: entry[name] for name in ("description", "deprecated") if name in entry}
        schema = entry["schema"]
        properties[entry["name"]] = {"allOf": [schema], **more} if "$ref" in schema and more else {**schema, **more}
    required = [entry["name"] for entry in entries if entry.get("required")]
    written: Schema = {"type": "object", "properties": properties}
    return {**written, "required": required} if required else written


def _as_scheme(scheme: JSONObject) -> JSONObject:
    """Return a security scheme of OpenAPI as one of AsyncAPI. SPEC: there ``apiKey`` is for brokers."""
    if scheme.get("type") == "apiKey":
        return {**scheme, "type": "httpApiKey"}
    if scheme.get("type") == "mutualTLS":
        return {**scheme, "type": "X509"}
    if scheme.get("type") == "oauth2":
        flows = {
            name: {**{key: value for key, value in flow.items() if key != "scopes"}, "availableScopes": flow["scopes"]}
            for name, flow in scheme["flows"].items()
        }
        return {**scheme, "flows": flows}
    return scheme
