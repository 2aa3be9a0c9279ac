"""Facts about an annotation, found out once and carried along."""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Protocol, Self, TypeGuard, Union

import msgspec

from hybrid_gateway.type_hints import has_fields

__all__ = ["PydanticField", "PydanticModel", "TypeInfo", "is_pydantic_model", "strip_annotated", "type_info"]


class TypeInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Facts about one annotation, whose aliases and new types are resolved already."""

    annotation: object
    without_none: object  # ``T`` for ``T | None``; the annotation itself where it cannot be None
    inner: object  # without None and without Annotated, around the union and inside it
    origin: object  # of that: ``list`` for ``list[int]``, ``int`` for ``int``
    arguments: tuple[object, ...] = ()  # of that: ``(int,)`` for ``list[int]``
    metadata: tuple[object, ...] = ()  # what Annotated adds
    is_structure: bool = False  # an object of named fields: Struct, dataclass, attrs, TypedDict, a model of pydantic
    is_pydantic: bool = False
    is_json: bool = False  # a structure, a dict, or a container of them: as a parameter the JSON body

    @property
    def is_optional(self) -> bool:
        return self.without_none is not self.annotation

    def is_a(self, *classes: type) -> bool:
        """Return whether values are instances of one of ``classes``."""
        return isinstance(self.inner, type) and issubclass(self.inner, classes)


def type_info(annotation: object) -> TypeInfo:
    """Read an annotation."""
    if isinstance(annotation, type):
        return _class_info(annotation)  # PERF: most are plain classes
    outer, metadata = _unwrap(annotation)
    without_none = _strip_none(outer)
    inner, inner_metadata = _unwrap(without_none)
    origin = typing.get_origin(inner) or inner
    return TypeInfo(
        annotation=annotation,
        without_none=_strip_none(annotation),
        inner=inner,
        origin=origin,
        arguments=typing.get_args(inner),
        metadata=(*metadata, *inner_metadata),
        is_structure=_is_structure(origin),
        is_pydantic=is_pydantic_model(origin),
        is_json=_is_json(inner),
    )


@functools.lru_cache(maxsize=1024)
def _class_info(cls: type) -> TypeInfo:
    return TypeInfo(
        annotation=cls,
        without_none=cls,
        inner=cls,
        origin=cls,
        is_structure=_is_structure(cls),
        is_pydantic=is_pydantic_model(cls),
        is_json=_is_json(cls),
    )


def strip_annotated(annotation: object) -> object:
    """Return ``T`` for ``Annotated[T, ...]``; anything else as it is."""
    return _unwrap(annotation)[0]


def _unwrap(annotation: object) -> tuple[object, tuple[object, ...]]:
    """Return what is inside of ``Annotated``, and what that adds."""
    metadata: tuple[object, ...] = ()
    while not isinstance(annotation, type) and typing.get_origin(annotation) is Annotated:
        annotation, *extras = typing.get_args(annotation)
        metadata = (*extras, *metadata)
    return annotation, metadata


def _strip_none(annotation: object) -> object:
    if typing.get_origin(annotation) in (Union, types.UnionType):
        members = [member for member in typing.get_args(annotation) if member is not types.NoneType]
        if len(members) < len(typing.get_args(annotation)):
            return Union[tuple(members)]  # noqa: UP007 (built at run time)
    return annotation


def _is_structure(cls: object) -> bool:
    return isinstance(cls, type) and ((has_fields(cls) and not issubclass(cls, tuple)) or is_pydantic_model(cls))


def _is_json(kind: object) -> bool:
    origin, arguments = typing.get_origin(kind) or kind, typing.get_args(kind)
    if origin in (Union, types.UnionType):
        return any(_is_json(strip_annotated(member)) for member in arguments)
    if not isinstance(origin, type):
        return False
    if kind in (dict, list) or has_fields(origin) or is_pydantic_model(origin):
        return True
    is_mapping = origin is not kind and issubclass(origin, Mapping)
    return is_mapping or any(_is_json(strip_annotated(member)) for member in arguments if member is not Ellipsis)


# --- pydantic, which need not be installed -------------------------------------------------------------------------


class PydanticField(Protocol):
    """The part of pydantic's ``FieldInfo`` that is used here."""

    annotation: object
    alias: str | None
    validation_alias: object
    serialization_alias: str | None
    default: object
    default_factory: object
    description: str | None
    exclude: bool | None
    metadata: list[object]

    def is_required(self) -> bool: ...


class PydanticModel(Protocol):
    """The part of a model of pydantic that is used here."""

    model_config: Mapping[str, object]
    model_fields: Mapping[str, PydanticField]

    @classmethod
    def model_validate(cls, value: object, /) -> Self: ...
    def model_dump(self, *, mode: str, by_alias: bool) -> object: ...


def is_pydantic_model(kind: object) -> TypeGuard[type[PydanticModel]]:
    """Return whether ``kind`` is a model of pydantic."""
    return isinstance(kind, type) and hasattr(kind, "model_validate") and hasattr(kind, "model_fields")
