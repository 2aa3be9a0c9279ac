"""Names → paths: ``reverse_url("auth:login")``."""

from __future__ import annotations

from collections.abc import Mapping

from django.urls import NoReverseMatch

from hybrid_gateway.routing.path_template import Parameter, PathTemplate
from hybrid_gateway.url_quoting import quote_path, quote_segment

__all__ = ["build_path"]


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
