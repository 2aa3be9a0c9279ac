"""Facts about an annotation, found out once and carried along; its aliases, new types and the classes inside."""

from __future__ import annotations

import collections.abc
import functools
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Protocol, Self, TypeGuard, TypeVar, Union

import msgspec

from hybrid_gateway.exceptions import DependencyError

R = TypeVar("R")

_NO_TYPES: Mapping[object, object] = {}


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


# --- aliases (``type Limit = Annotated[int, Query(ge=1)]``) and new types ---------------------------------------------


class _Alias(Protocol):
    """The class of ``type X = ...``, or the class of that name in typing_extensions, which is another one."""

    __name__: str
    __value__: object
    __type_params__: tuple[object, ...]


def resolve_aliases(annotation: object) -> object:
    """Replace every alias inside ``annotation`` by its value; return the same object where there is none.

    Raises :class:`DependencyError` for an alias that holds itself, unless it is that of any JSON.
    """
    return _Expansion(keeps_new_types=True).resolve(annotation, _NO_TYPES)


def resolve_new_types(annotation: object) -> object:
    """Replace every alias and every ``NewType`` inside ``annotation``."""
    return _Expansion(keeps_new_types=False).resolve(annotation, _NO_TYPES)


def field_types(kind: object) -> dict[str, object]:
    """Return the types of the fields of a Struct, dataclass, attrs class or TypedDict, type variables filled in."""
    own = typing.get_origin(kind) or kind
    given: dict[object, object] = dict(zip(getattr(own, "__parameters__", ()), typing.get_args(kind), strict=False))
    expansion = _Expansion(keeps_new_types=True)
    try:
        hints = typing.get_type_hints(own, include_extras=True)
    except NameError as error:
        name = getattr(own, "__name__", "")
        if error.name != name:
            raise
        hints = typing.get_type_hints(own, localns={name: own}, include_extras=True)  # a class inside a function
    for name, hint in hints.items():
        if getattr(typing.get_origin(hint), "_name", "") in ("Required", "NotRequired", "ReadOnly"):
            hints[name] = typing.get_args(hint)[0]
    return {name: expansion.resolve(hint, given) for name, hint in hints.items()}


def cached_by_type(function: Callable[[object], R]) -> Callable[[object], R]:
    """Cache what ``function`` returns for a type. PERF: many routes share classes, and reading them is slow."""
    known = functools.lru_cache(maxsize=1024)(function)

    @functools.wraps(function)
    def ask(kind: object) -> R:
        try:
            hash(kind)
        except TypeError:  # what is in an Annotated may be anything
            return function(kind)
        return known(kind)

    return ask


@cached_by_type
def classes_in(kind: object) -> Sequence[tuple[type, object]]:
    """Return every class in a type, and in the fields of a Struct and its like; each with its type arguments."""
    return tuple(_find_classes(kind))


def _find_classes(kind: object) -> Iterator[tuple[type, object]]:
    seen: list[object] = []
    waiting = [resolve_new_types(kind)]
    while waiting:
        kind = waiting.pop()
        origin, arguments = typing.get_origin(kind) or kind, typing.get_args(kind)
        if kind in seen or origin is Literal or origin is collections.abc.Callable:
            continue
        seen.append(kind)
        waiting += arguments[:1] if origin is Annotated else [entry for entry in arguments if entry is not Ellipsis]
        if isinstance(origin, type) and origin is not types.UnionType:
            yield origin, kind
            if has_fields(origin):
                resolve_class_aliases(origin)
                waiting += map(resolve_new_types, _read_types(field_types, kind).values())


def has_fields(cls: type) -> bool:
    """Return whether msgspec reads the fields of a class: Struct, dataclass, TypedDict, NamedTuple, attrs."""
    return (
        issubclass(cls, msgspec.Struct)
        or (issubclass(cls, tuple) and hasattr(cls, "_fields"))
        or typing.is_typeddict(cls)
        or hasattr(cls, "__dataclass_fields__")
        or hasattr(cls, "__attrs_attrs__")
    )


def _read_types(read: Callable[..., dict[str, object]], kind: object, **options: bool) -> dict[str, object]:
    try:
        return read(kind, **options)
    except TypeError:  # no type at all: msgspec reports it
        return {}


def resolve_class_aliases(cls: type) -> None:
    """Replace the aliases in the annotations of a class.

    msgspec knows ``type X = ...`` alone, not the class of typing_extensions; and the markers inside must be seen.
    """
    for base in cls.__mro__:
        if base.__module__ not in ("builtins", "typing", "msgspec"):
            hints = _read_types(typing.get_type_hints, base, include_extras=True)
            # SPEC: PEP 649: from Python 3.14 on they are made when they are asked for, and names that are not known
            # raise then; of those no hint came, either.
            own: dict[str, object] = vars(base).get("__annotations__") or (base.__annotations__ if hints else {})
            for name in own:
                if _holds_alias(hints.get(name)):
                    own[name] = resolve_new_types(hints[name])


def _holds_alias(kind: object) -> bool:
    if isinstance(kind, typing.NewType):
        return _holds_alias(kind.__supertype__)
    return _is_alias(kind) or _is_alias(typing.get_origin(kind)) or any(map(_holds_alias, typing.get_args(kind)))


def _is_alias(kind: object) -> TypeGuard[_Alias]:
    return type(kind).__name__ == "TypeAliasType" and hasattr(kind, "__value__")


class _Expansion:
    """Resolves one annotation; knows which aliases it is inside of."""

    def __init__(self, *, keeps_new_types: bool) -> None:
        self._keeps_new_types = keeps_new_types
        self._open: list[_Alias] = []

    def resolve(self, kind: object, given: Mapping[object, object]) -> object:
        """Resolve ``kind``, whose type variables are ``given``."""
        if isinstance(kind, type):  # PERF: most are plain classes
            return kind
        if _is_alias(kind):
            return self._alias(kind, _NO_TYPES)
        if isinstance(kind, typing.NewType) and not self._keeps_new_types:
            return self.resolve(kind.__supertype__, _NO_TYPES)
        if isinstance(kind, typing.TypeVar):
            return given.get(kind, kind)
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin is None or origin is Literal or origin is collections.abc.Callable:
            return kind
        if _is_alias(origin):
            chosen = tuple(self.resolve(argument, given) for argument in arguments)
            return self._alias(origin, dict(zip(origin.__type_params__, chosen, strict=False)))
        if origin is Annotated:
            base = self.resolve(arguments[0], given)
            return kind if base is arguments[0] else Annotated[(base, *arguments[1:])]
        inner = tuple(self.resolve(argument, given) for argument in arguments)
        if all(new is old for new, old in zip(inner, arguments, strict=True)):
            return kind
        if origin in (Union, types.UnionType):
            return Union[inner]  # noqa: UP007 (built at run time)
        copy_with = getattr(kind, "copy_with", None)  # of what typing itself makes
        return origin[inner] if copy_with is None else copy_with(inner)

    def _alias(self, alias: _Alias, given: Mapping[object, object]) -> object:
        if alias in self._open:
            return _Itself
        self._open.append(alias)
        found = self.resolve(alias.__value__, given)
        self._open.pop()
        if not _holds(found, _Itself):
            return found
        if self._open:
            return found  # the outer alias decides
        if _is_any_json(found):
            return Any
        raise DependencyError(
            f"The alias {alias.__name__} holds itself, which JSON can be decoded to by a Struct alone. Write a Struct "
            "whose field has its own type, or Any.",
            id="P020",
        )


class _Itself:
    """Stands for an alias inside itself."""


def _holds(kind: object, wanted: object) -> bool:
    return kind is wanted or any(_holds(inner, wanted) for inner in typing.get_args(kind))


def _is_any_json(kind: object) -> bool:
    """Return whether this is ``str | int | float | bool | None | list[Json] | dict[str, Json]``, in any order."""
    members = set(map(str, typing.get_args(kind)))
    itself = f"{_Itself.__module__}.{_Itself.__qualname__}"
    wanted = {str(member) for member in (str, float, bool, types.NoneType)}
    arrays = {f"list[{itself}]", f"typing.List[{itself}]"}
    objects = {f"dict[str, {itself}]", f"typing.Dict[str, {itself}]"}
    return wanted <= members and bool(arrays & members) and bool(objects & members)


# --- what is inside ----------------------------------------------------------------------------------------------

ANYTHING: tuple[object, ...] = (Any, object)
"""The types that every value has."""


def bare(annotation: object) -> Any:
    """Return an annotation without ``Annotated``, ``None``, ``UnsetType``, ``NewType`` and aliases."""
    while True:
        annotation = resolve_new_types(annotation)
        if typing.get_origin(annotation) is Annotated:
            annotation = typing.get_args(annotation)[0]
        elif typing.get_origin(annotation) in (Union, types.UnionType):
            members = [kind for kind in typing.get_args(annotation) if kind not in (types.NoneType, msgspec.UnsetType)]
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


def extras_of(annotation: object) -> Iterator[object]:
    """Yield what ``Annotated`` adds to an annotation, and to the members of a union."""
    if typing.get_origin(annotation) is Annotated:
        inner, *extras = typing.get_args(annotation)
        yield from extras
        yield from extras_of(inner)
    elif typing.get_origin(annotation) in (Union, types.UnionType):
        for member in typing.get_args(annotation):
            yield from extras_of(member)


def has_flag(annotation: object, keyword: str) -> bool:
    """Return whether a ``Meta(extra_json_schema=...)`` of an annotation sets ``keyword``: ``"readOnly"``."""
    schemas = (extra.extra_json_schema for extra in extras_of(annotation) if isinstance(extra, msgspec.Meta))
    return any((schema or {}).get(keyword) for schema in schemas)
