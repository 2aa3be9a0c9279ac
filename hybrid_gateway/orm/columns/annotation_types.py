"""The type inside the annotation of a Struct's field: without ``Annotated``, ``None``, ``UnsetType``, ``NewType``."""

from __future__ import annotations

import types
import typing
from typing import Annotated, Any, Union

from msgspec import UnsetType

from hybrid_gateway.type_hints import resolve_new_types

__all__ = ["ANYTHING", "bare", "format_type", "is_nullable"]

ANYTHING: tuple[object, ...] = (Any, object)
"""The types that every value has."""


def bare(annotation: object) -> Any:
    """Return an annotation without ``Annotated``, ``None``, ``UnsetType`` and ``NewType``."""
    while True:
        annotation = resolve_new_types(annotation)
        if typing.get_origin(annotation) is Annotated:
            annotation = typing.get_args(annotation)[0]
        elif typing.get_origin(annotation) in (Union, types.UnionType):
            members = [kind for kind in typing.get_args(annotation) if kind not in (types.NoneType, UnsetType)]
            if len(members) == len(typing.get_args(annotation)):
                return annotation
            annotation = Union[tuple(members)]  # noqa: UP007 (built at run time)
        else:
            return annotation


def is_nullable(annotation: object) -> bool:
    """Return whether ``None`` is one of its values."""
    annotation = resolve_new_types(annotation)
    if typing.get_origin(annotation) is Annotated:
        return is_nullable(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (Union, types.UnionType):
        return any(kind is types.NoneType or is_nullable(kind) for kind in typing.get_args(annotation))
    return annotation in (None, types.NoneType, *ANYTHING)


def format_type(kind: object) -> str:
    """Return how messages name a type."""
    return kind.__name__ if isinstance(kind, type) else str(kind).replace("typing.", "")
