"""The documents as openapi-typescript reads them best: what it has no type for is said in a way that it has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from hybrid_gateway.headers import JSON
from hybrid_gateway.openapi.schema_types import JSONObject

MULTIPART = "multipart/form-data"
BINARY = "application/octet-stream"
EVENTS = "text/event-stream"

BLOB = "hybrid_gateway:Blob"
"""A constant in place of files; ``"hybrid_gateway:Blob"`` in what is generated becomes ``Blob``."""

BUFFER = "hybrid_gateway:ArrayBuffer"
"""A constant in place of binary frames of websockets; what is generated becomes ``ArrayBuffer``."""

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


def operations(document: JSONObject) -> Iterator[tuple[str, str, JSONObject]]:
    """Yield path, method and operation."""
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                yield path, method, item[method]


def success_contents(operation: JSONObject) -> Iterator[JSONObject]:
    """Yield the contents of successful responses by media type."""
    for status, response in operation["responses"].items():
        if status.startswith("2"):
            yield response.get("content", {})


def events_of(document: JSONObject) -> dict[str, JSONObject]:
    """Return paths that answer GET with Server-Sent Events, with the media type object of those."""
    gets = (
        (path, operation["responses"].get("200", {})) for path, verb, operation in operations(document) if verb == "get"
    )
    return {path: answer["content"][EVENTS] for path, answer in gets if EVENTS in answer.get("content", {})}


def with_one_body(document: JSONObject) -> JSONObject:
    """Return an OpenAPI document in which a request has a body of one kind: JSON, or else a form of parts."""
    paths: JSONObject = {}
    for path, method, operation in operations(document):
        written = paths.setdefault(path, {})[method] = dict(operation)
        if "requestBody" in operation:
            content = operation["requestBody"]["content"]
            kind = next((kind for kind in (JSON, MULTIPART) if kind in content), next(iter(content)))
            written["requestBody"] = {**operation["requestBody"], "content": {kind: content[kind]}}
    return {**document, "paths": paths}


def for_http(document: JSONObject) -> JSONObject:
    """Return an OpenAPI document in which bodies have the one form that our client asks for and sends."""
    changed = with_one_body(document)
    for _, _, operation in operations(changed):
        for kind, chosen in operation.get("requestBody", {}).get("content", {}).items():
            if kind != JSON:
                operation["requestBody"]["content"] = {kind: {**chosen, "schema": with_blobs(chosen.get("schema", {}))}}
        operation["responses"] = {
            status: {**response, "content": _readable(response["content"])} if "content" in response else response
            for status, response in operation["responses"].items()
        }
    return changed


def _readable(content: JSONObject) -> JSONObject:
    """Return the contents of a response that come without being asked for by ``Accept``; of events, one event."""
    readable = [JSON, "text/plain", BINARY] if JSON in content else list(content)
    kept = {kind: content[kind] for kind in readable if kind in content}
    if EVENTS in kept:
        kept[EVENTS] = {**kept[EVENTS], "schema": kept[EVENTS].get("x-event-schema", {"type": "string"})}
    return kept


def with_blobs(schema: Any, blob: str = BLOB) -> Any:
    """Return a schema in which all binary text is ``blob``; what it refers to stays as it is."""
    if isinstance(schema, list):
        return [with_blobs(entry, blob) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "binary":
        words = {name: schema[name] for name in ("description", "title") if name in schema}
        return {"const": blob, **words}
    return {name: with_blobs(value, blob) for name, value in schema.items()}


# --- websockets ------------------------------------------------------------------------------------------------------


def for_websockets(document: JSONObject) -> JSONObject:
    """Return the AsyncAPI document as an OpenAPI document: what is sent is a body, what is received a response."""
    paths: JSONObject = {}
    for channel, sent, received, _ in conversations(document):
        is_followed = "x-channel" in channel
        query = dict(channel.get("bindings", {}).get("ws", {}).get("query", {}))
        path: Mapping[str, JSONObject] = channel.get("parameters", {})
        parameters = [
            {"name": name, "in": "path", "required": True, **_words(entry), "schema": entry["x-schema"]}
            for name, entry in path.items()
        ]
        parameters += [
            {"name": name, "in": "query", "required": name in query.get("required", ()), "schema": schema}
            for name, schema in query.get("properties", {}).items()
            if not (is_followed and name == "since")  # the client says itself what it has seen
        ]
        operation: JSONObject = {"summary": channel.get("title", ""), **_words(channel), "parameters": parameters}
        if channel.get("x-deprecated"):
            operation["deprecated"] = True
        if sent:
            operation["requestBody"] = {"required": True, "content": {JSON: {"schema": _choice(sent)}}}
        answer = {"description": "Messages", "content": {JSON: {"schema": _choice(received)}}}
        paths[channel["address"]] = {"get": {**operation, "responses": {"200": answer}}}
    schemas = document.get("components", {}).get("schemas", {})
    written = {"openapi": "3.1.0", "info": document["info"], "paths": paths, "components": {"schemas": schemas}}
    as_openapi: JSONObject = as_2020_12(written)
    return as_openapi


class Conversation(NamedTuple):
    """A websocket: its channel, the messages of both directions, and the security schemes that it takes."""

    channel: JSONObject
    sent: list[JSONObject]
    received: list[JSONObject]  # the last is that of errors
    schemes: list[JSONObject]


def conversations(document: JSONObject) -> Iterator[Conversation]:
    """Yield the websockets of an AsyncAPI document."""
    known = document.get("components", {}).get("securitySchemes", {})
    for name, channel in document["channels"].items():
        found: dict[str, list[JSONObject]] = {"receive": [], "send": []}
        schemes: list[JSONObject] = []
        for operation in document["operations"].values():
            if operation["channel"]["$ref"] == f"#/channels/{name}":
                names = [reference["$ref"].rpartition("/")[2] for reference in operation["messages"]]
                found[operation["action"]] = [channel["messages"][one] for one in names]
                schemes = [known[entry["$ref"].rpartition("/")[2]] for entry in operation.get("security", ())]
        yield Conversation(channel, found["receive"], found["send"], schemes)


def _words(entry: JSONObject) -> JSONObject:
    return {"description": entry["description"]} if entry.get("description") else {}


def _choice(messages: list[JSONObject]) -> JSONObject:
    schemas = [with_blobs(message["payload"], BUFFER) for message in messages]
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def as_2020_12(schema: Any) -> Any:
    """Return a schema of AsyncAPI, of draft 7, as OpenAPI 3.1 has it."""
    if isinstance(schema, list):
        return [as_2020_12(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    written = {name: as_2020_12(value) for name, value in schema.items()}
    if isinstance(written.get("discriminator"), str):  # constants tell the members apart as well
        del written["discriminator"]
    if isinstance(written.get("items"), list):
        written["prefixItems"] = written.pop("items")
        if "additionalItems" in written:
            written["items"] = written.pop("additionalItems")
    return written
