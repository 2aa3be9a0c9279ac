"""Path templates: ``/products/{product_id:int}`` as a list of segments, and the table of converters."""

from __future__ import annotations

import datetime
import decimal
import re
import uuid
from collections.abc import Callable, Mapping

import msgspec
from django.urls import NoReverseMatch

from hybrid_gateway.exceptions import RouteError
from hybrid_gateway.text_values import READERS
from hybrid_gateway.url_quoting import quote_path, quote_segment


class Converter(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of path parameter, as it is read and written.

    ``convert`` gives ``None`` for text that is not of this kind, so that matching never raises; ``rank`` orders
    converters at one place of the tree, the strictest first.
    """

    name: str
    type: type
    rank: int
    convert: Callable[[str], object]
    to_string: Callable[..., str] = str


class Parameter(msgspec.Struct, frozen=True):
    """One ``{name:converter}`` of a template; ``explicit`` tells whether the template names the converter."""

    name: str
    converter: Converter
    explicit: bool


Segment = str | tuple[str | Parameter, ...]  # static text, or text and parameters mixed
PathValues = tuple[object, ...]  # of the parameters of a path, converted, in order

_PARAMETER = re.compile(r"\{([^{}:]*)(?::([^{}]*))?\}")


class PathTemplate(msgspec.Struct, frozen=True):
    """A parsed path template; every segment between two slashes is static text or a mix with parameters."""

    path: str
    segments: tuple[Segment, ...]
    parameters: tuple[Parameter, ...]

    @classmethod
    def parse(cls, path: str) -> PathTemplate:
        """Parse ``path``; raise :class:`RouteError` for braces, names or converters that make no sense."""
        if not path.startswith("/"):
            raise RouteError(f"The path {path!r} must start with '/'.", id="R001")
        segments = tuple(_parse_segment(text, path) for text in path.split("/")[1:])
        parameters = tuple(part for segment in segments for part in segment if isinstance(part, Parameter))
        names = [parameter.name for parameter in parameters]
        for name in names:
            if names.count(name) > 1:
                raise RouteError(f"The path {path!r} names the parameter {name!r} twice.", id="R002")
        for segment in segments[:-1]:
            if _is_tail(segment):
                raise RouteError(
                    f"In the path {path!r} a ':path' parameter takes all the rest, so it must come last.", id="R003"
                )
        return cls(path, segments, parameters)

    @property
    def is_static(self) -> bool:
        return not self.parameters

    @property
    def has_tail(self) -> bool:
        return bool(self.segments) and _is_tail(self.segments[-1])

    def typed(self, types: Mapping[str, object]) -> PathTemplate:
        """Return the template with the converters of untyped parameters taken from annotations."""

        def retype(part: str | Parameter) -> str | Parameter:
            if isinstance(part, str) or part.explicit or part.name not in types:
                return part
            return Parameter(part.name, converter_for_type(types[part.name]), False)

        segments = tuple(
            segment if isinstance(segment, str) else tuple(retype(part) for part in segment)
            for segment in self.segments
        )
        parameters = tuple(part for segment in segments for part in segment if isinstance(part, Parameter))
        return PathTemplate(self.path, segments, parameters)


def _is_tail(segment: Segment) -> bool:
    return not isinstance(segment, str) and any(
        isinstance(part, Parameter) and part.converter.name == "path" for part in segment
    )


def _parse_segment(text: str, path: str) -> Segment:
    parts: list[str | Parameter] = []
    position = 0
    for match in _PARAMETER.finditer(text):
        if match.start() > position:
            parts.append(text[position : match.start()])
        elif parts:
            raise RouteError(f"In the path {path!r} two parameters touch; put text between them.", id="R004")
        parts.append(_parse_parameter(match[1], match[2], path))
        position = match.end()
    rest = text[position:]
    if any(brace in part for part in [*parts, rest] if isinstance(part, str) for brace in "{}"):
        raise RouteError(f"The path {path!r} has a brace without its partner.", id="R004")
    if not parts:
        return text
    if rest:
        parts.append(rest)
    if len(parts) > 1 and _is_tail(tuple(parts)):
        raise RouteError(f"In the path {path!r} a ':path' parameter must be a segment of its own.", id="R003")
    return tuple(parts)


def _parse_parameter(name: str, converter: str | None, path: str) -> Parameter:
    if not name.isidentifier():
        raise RouteError(f"In the path {path!r} the parameter name {name!r} is not a Python identifier.", id="R004")
    if converter is None:
        return Parameter(name, CONVERTERS["str"], False)
    if converter not in CONVERTERS:
        raise RouteError(
            f"In the path {path!r} the parameter {name!r} has an unknown converter {converter!r}. "
            f"Known converters: {', '.join(CONVERTERS)}.",
            id="R005",
        )
    return Parameter(name, CONVERTERS[converter], True)


# --- converters ----------------------------------------------------------------------------------------------------


def _read_int(text: str) -> int | None:  # PERF: what ``READERS[int]`` does, without an exception
    if not (text.isascii() and (text.isdigit() or (text.startswith("-") and text[1:].isdigit()))):
        return None
    try:
        return int(text)
    except ValueError:  # longer than sys.set_int_max_str_digits allows
        return None


def _read_text(text: str) -> str | None:
    return text or None


def _write_iso(value: object) -> str:
    return value if isinstance(value, str) else str(msgspec.to_builtins(value))


def _converter(name: str, kind: type, rank: int, to_string: Callable[..., str] = str) -> Converter:
    """Return a converter that takes the texts that the reader of its type takes, here and in other parameters."""
    read_text = READERS[kind]

    def convert(text: str) -> object:
        try:
            return read_text(text)
        except msgspec.ValidationError:
            return None

    return Converter(name=name, type=kind, rank=rank, convert=convert, to_string=to_string)


CONVERTERS: dict[str, Converter] = {
    converter.name: converter
    for converter in (
        _converter("uuid", uuid.UUID, 0),
        _converter("datetime", datetime.datetime, 1, _write_iso),
        _converter("date", datetime.date, 2, _write_iso),
        _converter("time", datetime.time, 3, _write_iso),
        _converter("timedelta", datetime.timedelta, 4, _write_iso),
        Converter(name="int", type=int, rank=5, convert=_read_int),
        _converter("decimal", decimal.Decimal, 6),
        _converter("float", float, 7),
        Converter(name="str", type=str, rank=8, convert=_read_text),
        Converter(name="path", type=str, rank=9, convert=_read_text),
    )
}

_BY_TYPE: dict[object, Converter] = {
    converter.type: converter for converter in CONVERTERS.values() if converter.name != "path"
}


def converter_for_type(annotation: object) -> Converter:
    """Return the converter for an annotated type; ``str`` for types that binding converts from text by itself."""
    return _BY_TYPE.get(annotation, CONVERTERS["str"])


# --- names → paths: ``reverse_url("auth:login")`` --------------------------------------------------------------------


def build_path(name: str, template: PathTemplate, values: Mapping[str, object]) -> str:
    """Fill ``template`` with ``values``, percent-encoded; raise ``NoReverseMatch`` for missing, surplus or bad ones."""
    names = {parameter.name for parameter in template.parameters}
    missing, surplus = names - values.keys(), values.keys() - names
    if missing or surplus:
        problems = [f"misses {', '.join(sorted(missing))}"] if missing else []
        problems += [f"has no {', '.join(sorted(surplus))}"] if surplus else []
        raise NoReverseMatch(f"Reverse for {name!r} with path {template.path!r} {' and '.join(problems)}.")
    return "/" + "/".join(
        quote_segment(segment) if isinstance(segment, str) else "".join(_write(part, name, values) for part in segment)
        for segment in template.segments
    )


def _write(part: str | Parameter, name: str, values: Mapping[str, object]) -> str:
    if isinstance(part, str):
        return quote_segment(part)
    value = values[part.name]
    converter = part.converter
    text = "" if value is None else converter.to_string(value)
    tail = converter.name == "path"
    # SECURITY: a slash in a value would name another path; servers decode %2F before anybody routes.
    if converter.convert(text) is None or ("/" in text and not tail):
        raise NoReverseMatch(f"Reverse for {name!r}: {value!r} is not a {converter.name} value for {part.name!r}.")
    return quote_path(text) if tail else quote_segment(text)
