"""The differences of two OpenAPI documents: routes, parameters, what is sent, what is answered."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from hybrid_gateway.comparison.answer_differences import Difference
from hybrid_gateway.comparison.schema_samples import Schema, Schemas

_METHODS = ("get", "post", "put", "patch", "delete")
_DEPTH = 6
"""How deep schemas are compared; what is nested deeper is usually recursive."""


def document_differences(old: Schema, new: Schema) -> Iterator[tuple[str, Difference]]:
    """Yield each route with a difference of it. Names of path parameters are no difference: no client sees them."""
    before, after = _operations(old), _operations(new)
    for route in before.keys() | after.keys():
        if route not in after:
            yield before[route].route, Difference("route", "missing", old=before[route].route)
        elif route not in before:
            yield after[route].route, Difference("route", "added", new=after[route].route)
        else:
            yield from ((before[route].route, found) for found in before[route].differences(after[route]))


class _Operation:
    """One operation, with what it refers to."""

    def __init__(self, route: str, described: Schema, shared: Sequence[Schema], schemas: Schemas) -> None:
        self.route, self._described, self._schemas = route, described, schemas
        named = [schemas.resolve(parameter) for parameter in (*shared, *described.get("parameters", ()))]
        self.parameters = {f"{one['in']} {one['name']}": one for one in named if one["in"] != "path"}

    def differences(self, new: _Operation) -> Iterator[Difference]:
        """Yield what is different in ``new``."""
        yield from self._parameters(new)
        sent = self._places(self._content(self._described.get("requestBody", {})), required=True)
        yield from _compared("request", sent, new._places(new._content(new._described.get("requestBody", {})), True))
        statuses, others = self._described.get("responses", {}), new._described.get("responses", {})
        for status in sorted(map(str, statuses.keys() ^ others.keys())):
            yield Difference("response", status, "missing" if status in statuses else "added")
        for status in sorted(map(str, statuses.keys() & others.keys())):
            if status < "4":
                answered = self._places(self._content(statuses[status]))
                yield from _compared("response", answered, new._places(new._content(others[status])), f"{status} ")

    def _parameters(self, new: _Operation) -> Iterator[Difference]:
        for name in sorted(self.parameters.keys() | new.parameters.keys()):
            if name not in new.parameters or name not in self.parameters:
                yield Difference("parameter", name, "missing" if name in self.parameters else "added")
                continue
            one, other = self.parameters[name], new.parameters[name]
            if bool(one.get("required")) != bool(other.get("required")):
                yield Difference("parameter", name, "required" if other.get("required") else "optional")
            types, others = self._text_types(one), new._text_types(other)
            if types != others:
                yield Difference("parameter", name, f"{types}→{others}")

    def _content(self, holder: Schema) -> Schema:
        content = self._schemas.resolve(holder).get("content", {})
        return next((media.get("schema", {}) for media in content.values()), {})

    def _places(self, schema: Schema, required: bool = False) -> dict[str, str]:
        return dict(self._walk(schema, "$", required, 0))

    def _walk(self, schema: Schema, place: str, required: bool, depth: int) -> Iterator[tuple[str, str]]:
        members = [one for one in self._members(schema) if one.get("type") != "null"]
        if place != "$":
            yield place, self._types(schema)
        for member in members if depth < _DEPTH else ():
            for name, one in member.get("properties", {}).items():
                mark = "" if not required or name in member.get("required", ()) else "?"
                yield from self._walk(one, f"{place}.{name}{mark}", required, depth + 1)
            if isinstance(member.get("items"), Mapping):
                yield from self._walk(member["items"], f"{place}[]", required, depth + 1)

    def _members(self, schema: Schema) -> list[Schema]:
        schema = self._schemas.resolve(schema)
        for key in ("anyOf", "oneOf", "allOf"):
            if key in schema:
                return [found for one in schema[key] for found in self._members(one)]
        return [schema]

    def _text_types(self, parameter: Schema) -> str:
        # text is never null: a parameter that may be null is one that may be left out
        return "|".join(kind for kind in self._types(parameter.get("schema", {})).split("|") if kind != "null")

    def _types(self, schema: Schema) -> str:
        found: set[str] = set()
        for member in self._members(schema):
            kind = member.get("type", "object" if "properties" in member else "anything")
            found.update(kind if isinstance(kind, list) else [kind])
            found.update(["null"] if member.get("nullable") else [])
        return "|".join(sorted(found))


def _operations(document: Schema) -> dict[str, _Operation]:
    schemas = Schemas(document)
    return {
        f"{method} {re.sub(r'{[^}]*}', '{}', path)}": _Operation(
            f"{method.upper()} {path}", item[method], item.get("parameters", ()), schemas
        )
        for path, item in document.get("paths", {}).items()
        for method in _METHODS
        if method in item
    }


def _compared(kind: str, old: Mapping[str, str], new: Mapping[str, str], before: str = "") -> Iterator[Difference]:
    for place in sorted(old.keys() | new.keys()):
        if place not in new or place not in old:
            yield Difference(kind, before + place, "missing" if place in old else "added")
        elif old[place] != new[place]:
            yield Difference(kind, before + place, f"{old[place]}→{new[place]}")
