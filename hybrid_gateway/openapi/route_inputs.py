"""Parameters of a route, as both documents have them: the one of HTTP and the one of websockets."""

from __future__ import annotations

from hybrid_gateway.binding.markers import File, Marker
from hybrid_gateway.binding.parameter_sources import SOURCES
from hybrid_gateway.binding.plan import Input
from hybrid_gateway.binding.signature import NO_DEFAULT
from hybrid_gateway.binding.text_converters import is_comma_separated
from hybrid_gateway.endpoints.endpoint import Endpoint
from hybrid_gateway.openapi.schema import NOT_JSON, Schemas, as_json
from hybrid_gateway.openapi.schema_types import JSONObject, Schema, Use
from hybrid_gateway.openapi.security_schemes import SecuritySchemes
from hybrid_gateway.routing.path_template import Parameter, PathTemplate
from hybrid_gateway.type_info import type_info

# SPEC: OpenAPI 3.1, parameter object: header parameters of these names are ignored, other parts of the document say it.
_IGNORED_HEADERS = [("header", name) for name in ("accept", "authorization", "content-type")]


class InputWriter:
    """Writes parameter objects; ``received`` is the use of what is in bodies."""

    def __init__(self, schemas: Schemas, security: SecuritySchemes) -> None:
        self._schemas = schemas
        self._security = security
        self.received = Use.RECEIVED

    def parameters(self, endpoint: Endpoint, path_names: dict[str, str]) -> list[JSONObject]:
        """Return the parameters of an endpoint, each once; ``path_names`` are those that the document's path has."""
        found: dict[tuple[str, str], JSONObject] = {}
        given = {entry.name: entry for entry in endpoint.inputs if entry.source == "path"}
        for parameter in endpoint.route.template.parameters:
            # One that no signature names is for a handler that asks for the request, or http.PathParams
            entry = given.get(parameter.name) or Input(
                source="path", name=parameter.name, type=parameter.converter.type, required=True
            )
            found["path", parameter.name] = self._parameter(entry, path_names[parameter.name], parameter)
        elsewhere = {*_IGNORED_HEADERS, *self._security.credentials(endpoint)}
        for entry in endpoint.inputs:
            place = SOURCES[entry.source].openapi_in
            if place in (None, "path") or (place, entry.name.lower() if place == "header" else entry.name) in elsewhere:
                continue
            written = self._parameter(entry, entry.name)
            # A parameter that both a handler and a component read is required when one of them requires it.
            if found.setdefault((entry.source, entry.name), written) is not written and entry.required:
                found[entry.source, entry.name]["required"] = True
        return list(found.values())

    def _parameter(self, entry: Input, name: str, path: Parameter | None = None) -> JSONObject:
        schema = self.schema(entry)
        marker = entry.marker
        parameter: JSONObject = {"name": name, "in": SOURCES[entry.source].openapi_in}
        description = getattr(marker, "description", None) or schema.pop("description", None)
        if path is not None and path.converter.name == "path":
            schema = {**schema, "format": "path"}
            description = description or "The rest of the path, slashes included."
        if description:
            parameter["description"] = description
        if entry.required or path is not None:
            parameter["required"] = True
        if getattr(marker, "deprecated", False):
            parameter["deprecated"] = True
        if is_comma_separated(entry.type):
            parameter["explode"] = False
        return {**parameter, "schema": schema}

    def schema(self, entry: Input) -> Schema:
        """Return the schema of one input, with its default."""
        # Text has no null: a parameter that may be None is one that may be left out.
        if entry.source == "body":
            schema = self._schemas.schema(entry.type, self.received)
        else:
            schema = self._schemas.schema(type_info(entry.type).without_none, Use.TEXT)
        if entry.marker is not None and entry.marker.title:
            schema["title"] = entry.marker.title
        if entry.marker is not None and entry.marker.examples:
            examples = [as_json(example) for example in entry.marker.examples]
            schema["examples"] = [example for example in examples if example is not NOT_JSON]
        if entry.default is not NO_DEFAULT and entry.default is not None:
            schema = self._schemas.with_default(schema, entry.default, Use.TEXT)
        return schema


def with_file_rules(schema: Schema, rules: Marker | None) -> Schema:
    """Return the schema of a file, or of a list of them, with the bounds that ``File()`` sets."""
    if not isinstance(rules, File):
        return schema
    # SPEC: OpenAPI 3.1, considerations for file uploads: the length of binary data is its number of octets.
    bounds = {"minLength": rules.min_size or None, "maxLength": rules.max_size}
    written = {name: bound for name, bound in bounds.items() if bound is not None}
    if "items" not in schema:
        return {**schema, **written}
    most = {} if rules.max_files is None else {"maxItems": rules.max_files}
    return {**schema, "items": {**schema["items"], **written}, **most}


def path_of(template: PathTemplate, names: dict[str, str]) -> str:
    """Return a path as documents write it, its parameters called by ``names``."""
    segments = [
        segment
        if isinstance(segment, str)
        else "".join(part if isinstance(part, str) else f"{{{names[part.name]}}}" for part in segment)
        for segment in template.segments
    ]
    return "/" + "/".join(segments)
