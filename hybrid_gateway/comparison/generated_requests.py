"""Requests made from an OpenAPI document, with rows of the database in their paths.

Of each operation that reads: the request without a query, one with each optional parameter of the query, and one for a
row that is not there. Of those that write, one with a body made from its schema, where writes are asked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote, urlencode

import msgspec

from hybrid_gateway.comparison.exchanges import JSON, SAFE_METHODS, ReplayedRequest
from hybrid_gateway.comparison.model_rows import path_values
from hybrid_gateway.comparison.schema_samples import Schema, Schemas, sample

_METHODS = ("get", "head", "post", "put", "patch", "delete")
_ABSENT = {"integer": "2147483600", "number": "2147483600", "uuid": "00000000-0000-4000-8000-000000000000"}


class Unreached(msgspec.Struct, frozen=True):
    """A route that no request could be made for, since no row was found for its path."""

    method: str
    path: str


def generated_requests(document: Schema, *, rows: int, writes: bool) -> Iterator[ReplayedRequest | Unreached]:
    """Yield the requests of a document, or what has none."""
    schemas = Schemas(document)
    for path, item in document.get("paths", {}).items():
        for method in _METHODS:
            if method in item and (writes or method.upper() in SAFE_METHODS):
                shared = [schemas.resolve(parameter) for parameter in item.get("parameters", ())]
                yield from _operation_requests(_Operation(method.upper(), path, item[method], shared, schemas), rows)


class _Operation:
    """One operation of a document."""

    def __init__(self, method: str, path: str, described: Schema, shared: list[Schema], schemas: Schemas) -> None:
        self.method, self.path, self.described, self.schemas = method, path, described, schemas
        own = [schemas.resolve(parameter) for parameter in described.get("parameters", ())]
        named = {(parameter["in"], parameter["name"]): parameter for parameter in (*shared, *own)}
        self.query = [parameter for (place, _), parameter in named.items() if place == "query"]
        self.headers = [parameter for (place, _), parameter in named.items() if place == "header"]
        self.in_path = {name: parameter for (place, name), parameter in named.items() if place == "path"}

    def value(self, parameter: Schema) -> JSON:
        """Return what a client might send for a parameter."""
        if "example" in parameter:
            example: JSON = parameter["example"]
            return example
        return sample(parameter.get("schema", {}), self.schemas)

    def absent(self) -> dict[str, str]:
        """Return values for the path that lead to no row, it is to be hoped."""
        found = {}
        for name, parameter in self.in_path.items():
            schema = self.schemas.resolve(parameter.get("schema", {}))
            kind = schema.get("format") if schema.get("format") == "uuid" else schema.get("type")
            found[name] = _ABSENT.get(str(kind), "no-such-thing")
        return found

    def request(self, values: Mapping[str, str], extra: tuple[Schema, ...] = ()) -> ReplayedRequest:
        """Return the request with these values in its path, and with these optional parameters of the query."""
        path = re.sub(r"{(?:[^}]*:)?([^}:]+)}", lambda match: quote(values[match[1]], safe=""), self.path)
        required = [parameter for parameter in self.query if parameter.get("required")]
        pairs = [(parameter["name"], _as_text(self.value(parameter))) for parameter in (*required, *extra)]
        headers = [(one["name"], str(self.value(one))) for one in self.headers if one.get("required")]
        kind, body = self._body()
        if kind:
            headers.append(("Content-Type", kind))
        route = f"{self.method} {self.path}"
        return ReplayedRequest(self.method, path, urlencode(pairs, doseq=True), tuple(headers), body, route)

    def _body(self) -> tuple[str, bytes]:
        content = self.schemas.resolve(self.described.get("requestBody", {})).get("content", {})
        if "application/json" in content:
            made = sample(content["application/json"].get("schema", {}), self.schemas)
            return "application/json", json.dumps(made).encode()
        if "application/x-www-form-urlencoded" in content:
            made = sample(content["application/x-www-form-urlencoded"].get("schema", {}), self.schemas)
            fields = made if isinstance(made, dict) else {}
            return "application/x-www-form-urlencoded", urlencode(fields, doseq=True).encode()
        return "", b""


def _operation_requests(operation: _Operation, rows: int) -> Iterator[ReplayedRequest | Unreached]:
    found = list(path_values(operation.path, rows))
    if operation.method not in SAFE_METHODS:
        found = found[:1]
    for values in found:
        yield operation.request(values)
    if not found:
        yield Unreached(operation.method, operation.path)
    elif operation.method in SAFE_METHODS:
        optional = [parameter for parameter in operation.query if not parameter.get("required")]
        yield from (operation.request(found[0], (parameter,)) for parameter in optional)
    if operation.in_path:
        yield operation.request(operation.absent())


def _as_text(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    return [_as_text(one) for one in value] if isinstance(value, list) else value
