"""Annotations as text, with the imports that they need."""

from __future__ import annotations

import collections.abc
import datetime
import math
import types
import typing
import uuid
from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

from hybrid_gateway.migration.form import Names

Known: TypeAlias = Callable[[type], str | None]
"""Names classes that are written anew, or imported from where the project imports them."""


def quoted(value: object) -> str:
    """Return a value as text, with the quotes that formatters like."""
    text = repr(value)
    is_simple = isinstance(value, str) and text[0] == "'" and '"' not in text and "\\" not in text
    return f'"{value}"' if is_simple else text


def value_text(value: Any, names: Names, known: Known = lambda kind: None) -> str:
    """Return an expression that makes a value such as a default; raises :class:`UnknownAnnotation` for what has none.

    Members of enums, decimals, dates and UUIDs are written with the imports that they need.
    """
    kind: type = type(value)
    if isinstance(value, Enum):
        name = str(getattr(value, "name", None))
        if getattr(kind, name, None) is not value:
            raise UnknownAnnotation(f"{value!r} is several members of an enum")
        return f"{known(kind) or _class_text(kind, names, known)}.{name}"
    if type(value) in (list, tuple, set, frozenset):
        inside = ", ".join(value_text(one, names, known) for one in value)
        return f"[{inside}]" if isinstance(value, list) else f"{kind.__name__}([{inside}])"
    if type(value) is dict:
        pairs = (f"{value_text(key, names, known)}: {value_text(one, names, known)}" for key, one in value.items())
        return f"{{{', '.join(pairs)}}}"
    if type(value) is float and not math.isfinite(value):
        return f'float("{value}")'
    if type(value) in (str, int, float, bool, bytes, type(None)):
        return quoted(value)
    if type(value) in _WRITTEN:
        text = repr(value)  # datetime.date(2020, 1, 31)
        return f"{names.use(kind.__module__, kind.__name__)}{text[text.index('(') :]}".replace("'", '"')
    raise UnknownAnnotation(f"{value!r} is a value that has no text")


def annotation_text(annotation: Any, names: Names, known: Known = lambda kind: None) -> str:
    """Return how an annotation is written; ``known`` names classes that are written anew, and others are imported."""

    def text(one: Any) -> str:
        return annotation_text(one, names, known)

    if annotation is None or annotation is type(None):
        return "None"
    if annotation is Any:
        return names.use("typing", "Any")
    if annotation is Ellipsis:
        return "..."
    if isinstance(annotation, typing.TypeVar | typing.ForwardRef | str):
        raise UnknownAnnotation(f"{annotation!r} is not known before it is used")
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return text(arguments[0])
    if origin in (Union, types.UnionType):
        return " | ".join(dict.fromkeys(text(one) for one in arguments))
    if origin is Literal:
        if any(isinstance(one, Enum) for one in arguments):
            raise UnknownAnnotation(f"{annotation!r} has members of an enum")
        return f"{names.use('typing', 'Literal')}[{', '.join(map(quoted, arguments))}]"
    if origin is not None:
        return f"{text(_BARE.get(origin, origin))}[{', '.join(map(text, arguments))}]"
    if isinstance(annotation, type):
        return known(annotation) or _class_text(annotation, names, known)
    raise UnknownAnnotation(f"{annotation!r} is no class")


class UnknownAnnotation(Exception):
    """An annotation that cannot be written down."""


_WRITTEN = (Decimal, uuid.UUID, datetime.date, datetime.timedelta)
"""Classes whose ``repr`` makes them again; of moments only those without a time zone would, and none is a default."""

_BARE = {collections.abc.Sequence: list, collections.abc.Iterable: list}
"""What JSON makes of them, and what a Struct can hold."""


def _class_text(kind: type, names: Names, known: Known) -> str:
    if kind.__module__ == "builtins":
        return kind.__name__
    generic = getattr(kind, "__pydantic_generic_metadata__", None) or {}
    if generic.get("origin") is not None:
        arguments = ", ".join(annotation_text(one, names, known) for one in generic["args"])
        return f"{annotation_text(generic['origin'], names, known)}[{arguments}]"
    if "<locals>" in kind.__qualname__ or kind.__module__ == "__main__":
        raise UnknownAnnotation(f"{kind.__qualname__} of {kind.__module__} cannot be imported")
    return names.use_object(kind)
