"""Values of a JSON schema, for what clients send; and near misses."""

from __future__ import annotations

import datetime
import random
import re
import string
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from jsonschema import Draft202012Validator, FormatChecker

from tests.openapi.documents.instances import FLOATS, NUMBERS, WORDS, NoSampleError

FORMATS: dict[str, list[str]] = {
    "date-time": ["2020-01-02T03:04:05Z", "2020-01-02T03:04:05.123456+02:00", "1999-12-31T23:59:59-05:30"],
    "date-time-local": ["2020-01-02T03:04:05", "1999-12-31T23:59:59.5"],
    "date": ["2020-02-29", "0001-01-01", "9999-12-31"],
    "time": ["03:04:05Z", "23:59:59.25+01:00"],
    "time-local": ["03:04:05", "23:59:59.25"],
    "duration": ["PT2H", "P1D", "P1W", "P1DT2H3M4S", "PT0.5S", "P2Y", "P1M", "-P1D", "PT36H"],
    "uuid": ["00000000-0000-0000-0000-000000000005", "FFFFFFFF-0000-4000-8000-00000000000a"],
    "decimal": ["0", "1.50", "-3", "1e5", ".5", "+7.", "123456.789", "99.9"],
    "path": ["a/b", "x"],
    "password": ["secret"],
    "uri-reference": ["about:blank"],
    "binary": ["abc"],
}
_ZONE = r"([Zz]|[+-]\d\d:?\d\d)"
_FORMAT_CHECKS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "date": (r"\d{4}-\d\d-\d\d", datetime.date.fromisoformat),
    "date-time": (rf"\d{{4}}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?{_ZONE}", datetime.datetime.fromisoformat),
    "date-time-local": (r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?", datetime.datetime.fromisoformat),
    "time": (rf"\d\d:\d\d:\d\d(\.\d+)?{_ZONE}", datetime.time.fromisoformat),
    "time-local": (r"\d\d:\d\d:\d\d(\.\d+)?", datetime.time.fromisoformat),
    "uuid": (r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", uuid.UUID),
}


def _follows(pattern: str, read: Callable[[str], Any]) -> Callable[[Any], bool]:
    def check(value: Any) -> bool:
        if isinstance(value, str):
            if re.fullmatch(pattern, value, re.ASCII) is None:
                return False
            read(value.upper())
        return True

    return check


# RFC 3339, which `date-time` and `time` are of, wants zones. What Python answers with need not have one.
strict, lenient = FormatChecker(()), FormatChecker(())
for _format, (_pattern, _read) in _FORMAT_CHECKS.items():
    strict.checks(_format, raises=ValueError)(_follows(_pattern, _read))
    lenient.checks(_format, raises=ValueError)(_follows(_pattern.replace(_ZONE, f"{_ZONE}?"), _read))


class Document:
    """An OpenAPI document to ask: does this fit that schema, and what would?"""

    def __init__(self, document: dict[str, Any], rng: random.Random) -> None:
        self.document = document
        self.rng = rng
        self._validators: dict[str, Any] = {}

    def fits(self, value: Any, schema: dict[str, Any]) -> bool:
        return self.fault(value, schema) is None

    def fault(self, value: Any, schema: dict[str, Any], checker: FormatChecker = strict) -> Any:
        """What is wrong with a value, or None."""
        key = msgspec.json.encode(schema).decode() + str(checker is strict)
        if key not in self._validators:
            whole = {"components": self.document["components"], "allOf": [schema]}
            self._validators[key] = Draft202012Validator(whole, format_checker=checker)
        return next(self._validators[key].iter_errors(value), None)

    def resolve(self, schema: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in schema:
            others = {name: value for name, value in schema.items() if name != "$ref"}
            schema = {**self.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], **others}
        return schema

    def sample(self, schema: dict[str, Any], depth: int = 4) -> Any:
        """A value that fits; raises :class:`NoSampleError` when none is found."""
        for _ in range(30):
            try:
                value = self._sample(schema, depth)
            except NoSampleError:
                continue
            if self.fits(value, schema):
                return value
        raise NoSampleError

    def _sample(self, schema: dict[str, Any], depth: int) -> Any:
        rng = self.rng
        schema = self.resolve(schema)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return rng.choice(schema["enum"])
        if "anyOf" in schema or "oneOf" in schema:
            members = schema.get("anyOf") or schema["oneOf"]
            if depth <= 0 and {"type": "null"} in members:
                return None
            return self._sample(rng.choice(members), depth)
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = "null" if depth <= 0 and "null" in kind else rng.choice(kind)
        return getattr(self, f"_{kind}")(schema, depth)

    def _None(self, schema: Any, depth: int) -> Any:
        return self.rng.choice([None, 1, "a", [1], {"a": None}])

    def _null(self, schema: Any, depth: int) -> Any:
        return None

    def _boolean(self, schema: Any, depth: int) -> Any:
        return self.rng.random() < 0.5

    def _integer(self, schema: Any, depth: int) -> Any:
        low, high = (
            schema.get("minimum", schema.get("exclusiveMinimum")),
            schema.get("maximum", schema.get("exclusiveMaximum")),
        )
        near = [limit + step for limit in (low, high) if limit is not None for step in (-1, 0, 1)]
        return self.rng.choice([*NUMBERS, *(near * 4), self.rng.randint(-4, 12)])

    def _number(self, schema: Any, depth: int) -> Any:
        return self.rng.choice([*FLOATS, self._integer(schema, depth)])

    def _string(self, schema: Any, depth: int) -> Any:
        if schema.get("contentEncoding") == "base64":
            return self.rng.choice(["", "YWI=", "/+8=", "AAAA"])
        if schema.get("format") in FORMATS:
            return self.rng.choice(FORMATS[schema["format"]])
        if self.rng.random() < 0.3:
            return "".join(self.rng.choice(string.ascii_lowercase) for _ in range(self.rng.randint(0, 5)))
        return self.rng.choice(WORDS)

    def _array(self, schema: Any, depth: int) -> Any:
        low = schema.get("minItems", 0)
        prefix = schema.get("prefixItems", [])
        high = max(low, min(schema.get("maxItems", 3), 3 if depth > 0 else 0), 0 if not prefix else low)
        count = self.rng.randint(low, high)
        kinds = [*prefix, *[schema.get("items", {})] * count][:count]
        return [self._sample(kind, depth - 1) for kind in kinds]

    def _object(self, schema: Any, depth: int) -> Any:
        found = {}
        for name, entry in schema.get("properties", {}).items():
            if name in schema.get("required", ()) or (self.rng.random() < 0.5 and depth > 0):
                found[name] = self._sample(entry, depth - 1)
        more = schema.get("additionalProperties")
        if isinstance(more, dict):
            low = schema.get("minProperties", 0)
            keys = schema.get("propertyNames", {"type": "string"})
            for _ in range(self.rng.randint(low, max(low, min(schema.get("maxProperties", 2), 2 if depth > 0 else 0)))):
                found[str(self._key(keys, depth - 1))] = self._sample(more, depth - 1)
        return found

    def _key(self, schema: Any, depth: int) -> Any:
        if "pattern" in self.resolve(schema) and "format" not in self.resolve(schema):
            return self.rng.choice(["0", "-5", "12"])
        return self._sample(schema, depth)

    def is_lax(self, schema: dict[str, Any], fault: Any) -> bool:
        """Whether more is understood than a schema says.

        Models of pydantic take `"12"` for an integer, and much more. Of a set things that come twice are one. A Struct
        with a tag needs it in unions alone. Decimals may have digits of any script, and their columns check the rest.
        RFC 3339, which `date-time` and `time` are of, wants zones; Python's need not have one.
        """
        known = fault.schema if isinstance(fault.schema, dict) else {}
        if any(self.is_lax({}, inner) for inner in fault.context or ()):
            return True
        if fault.validator == "required":
            names = known.get("properties", {})
            return any("const" in entry for name, entry in names.items() if repr(name) in fault.message)
        if fault.validator == "maxItems" and len(set(map(repr, fault.instance))) < len(fault.instance):
            return True
        if fault.validator == "format" and lenient.conforms(fault.instance, known["format"]):
            return True
        if fault.validator == "uniqueItems" or (known.get("format") == "decimal" and fault.validator != "type"):
            return True
        return self._is_of_pydantic(schema, set())

    def _is_of_pydantic(self, schema: Any, seen: set[str]) -> bool:
        """Whether a model of pydantic is in it: its fields have titles."""
        if isinstance(schema, list):
            return any(self._is_of_pydantic(entry, seen) for entry in schema)
        if not isinstance(schema, dict):
            return False
        name = schema.get("$ref", "")
        if isinstance(name, str) and name and name not in seen:
            seen.add(name)
            return self._is_of_pydantic(self.resolve(schema), seen)
        if any(isinstance(entry, dict) and "title" in entry for entry in schema.get("properties", {}).values()):
            return True
        return any(self._is_of_pydantic(entry, seen) for entry in schema.values())

    # --- near misses

    def spoil(self, value: Any) -> Any:
        """The value with one part of it changed."""
        places = list(_places(value))
        path = self.rng.choice(places)
        return self._changed(value, path)

    def _changed(self, value: Any, path: tuple[Any, ...]) -> Any:
        if not path:
            return self._other(value)
        copy = value.copy()
        if len(path) == 1 and isinstance(copy, dict) and self.rng.random() < 0.4:
            del copy[path[0]]
            return copy
        copy[path[0]] = self._changed(value[path[0]], path[1:])
        return copy

    def _other(self, value: Any) -> Any:
        rng = self.rng
        if isinstance(value, list) and rng.random() < 0.6:
            return rng.choice([[*value, *value], value[:-1], [*value, 1], [*value, *value[-1:]], []])
        if isinstance(value, dict) and rng.random() < 0.5:
            return {**value, rng.choice(["extra", "type", "kind", "5"]): rng.choice([1, "a", "other", None])}
        if isinstance(value, str) and rng.random() < 0.5:
            return rng.choice([value + "a", value[:-1], "", value * 3, "A", "NaN", "Infinity", "٣", "1_0"])
        if isinstance(value, int) and not isinstance(value, bool) and rng.random() < 0.6:
            return value + rng.choice([1, -1, 5, -7, 2**64, -(2**64)])
        if isinstance(value, float) and rng.random() < 0.6:
            return value + rng.choice([0.5, -8.25, 10.5])
        return rng.choice([None, True, 0, 7, -1, 1.5, "x", "", "12", [], [1], {}, {"a": 1}])


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _places(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _places(inner, (*path, number))
