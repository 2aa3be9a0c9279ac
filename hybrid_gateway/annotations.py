"""What annotations stand for: aliases (``type Limit = Annotated[int, Query(ge=1)]``), new types, classes inside."""

from __future__ import annotations

import collections.abc
import functools
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar, Union

import msgspec

from hybrid_gateway.exceptions import DependencyError

__all__ = ["classes_in", "has_fields", "hints_of", "remembered", "settle", "without_aliases", "without_new_types"]

R = TypeVar("R")

_NO_TYPES: Mapping[Any, Any] = {}


def without_aliases(annotation: Any) -> Any:
    """``annotation`` with every alias inside it replaced by what it stands for; the same object where there is none.

    Raises :class:`DependencyError` for an alias that holds itself, unless it is that of any JSON.
    """
    return _Expansion(keeps_new_types=True).of(annotation, _NO_TYPES)


def without_new_types(annotation: Any) -> Any:
    """``annotation`` without aliases and without ``NewType``."""
    return _Expansion(keeps_new_types=False).of(annotation, _NO_TYPES)


def hints_of(kind: Any) -> dict[str, Any]:
    """The types of the fields of a Struct, dataclass, attrs class or TypedDict; of a generic one, as it is chosen."""
    own = typing.get_origin(kind) or kind
    given = dict(zip(getattr(own, "__parameters__", ()), typing.get_args(kind), strict=False))
    expansion = _Expansion(keeps_new_types=True)
    hints = typing.get_type_hints(own, include_extras=True)
    return {name: expansion.of(_unqualified(hint), given) for name, hint in hints.items()}


def _unqualified(hint: Any) -> Any:
    """``T`` for ``Required[T]`` and its like."""
    is_qualifier = getattr(typing.get_origin(hint), "_name", "") in ("Required", "NotRequired", "ReadOnly")
    return typing.get_args(hint)[0] if is_qualifier else hint


def remembered(function: Callable[[Any], R]) -> Callable[[Any], R]:
    """Ask ``function`` once for each type. PERF: many routes take and return the same classes; reading them is slow."""
    known = functools.lru_cache(maxsize=1024)(function)

    @functools.wraps(function)
    def ask(kind: Any) -> R:
        try:
            hash(kind)
        except TypeError:  # what is in an Annotated may be anything
            return function(kind)
        return known(kind)

    return ask


@remembered
def classes_in(kind: Any) -> Sequence[tuple[type, Any]]:
    """Every class in a type, those of the fields of a Struct (and its like) among them, with its type variables."""
    return tuple(_find_classes(kind))


def _find_classes(kind: Any) -> Iterator[tuple[type, Any]]:
    seen: list[Any] = []
    waiting = [without_new_types(kind)]
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
                settle(origin)
                waiting += map(without_new_types, _known(hints_of, kind).values())


def has_fields(cls: Any) -> bool:
    """Whether msgspec reads the fields of a class: a Struct, dataclass, TypedDict, NamedTuple, or class of attrs."""
    return (
        issubclass(cls, msgspec.Struct)
        or (issubclass(cls, tuple) and hasattr(cls, "_fields"))
        or typing.is_typeddict(cls)
        or hasattr(cls, "__dataclass_fields__")
        or hasattr(cls, "__attrs_attrs__")
    )


def _known(read: Callable[..., dict[str, Any]], kind: Any, **options: Any) -> dict[str, Any]:
    try:
        return read(kind, **options)
    except TypeError:  # of what is no type at all, msgspec will tell; a name without a meaning is told by who asks
        return {}


def settle(cls: Any) -> None:
    """Replace the aliases in the annotations of a class by what they stand for.

    msgspec knows those of ``type X = ...`` alone, and not the class of typing_extensions; what reads markers, neither.
    """
    for base in cls.__mro__:
        own = vars(base).get("__annotations__")
        if isinstance(own, dict) and base.__module__ not in ("builtins", "typing", "msgspec"):
            hints = _known(typing.get_type_hints, base, include_extras=True)
            for name in own:
                if _holds_alias(hints.get(name)):
                    own[name] = without_new_types(hints[name])


def _holds_alias(kind: Any) -> bool:
    if isinstance(kind, typing.NewType):
        return _holds_alias(kind.__supertype__)
    return any(map(_is_alias, (kind, typing.get_origin(kind)))) or any(map(_holds_alias, typing.get_args(kind)))


def _is_alias(kind: Any) -> bool:
    """Of ``type X = ...``, or of the class of that name in typing_extensions, which is another one."""
    return type(kind).__name__ == "TypeAliasType" and hasattr(kind, "__value__")


class _Expansion:
    def __init__(self, *, keeps_new_types: bool) -> None:
        self._keeps_new_types = keeps_new_types
        self._open: list[Any] = []

    def of(self, kind: Any, given: Mapping[Any, Any]) -> Any:
        """``kind``, whose type variables are ``given``."""
        if isinstance(kind, type):  # PERF: most are plain classes
            return kind
        if _is_alias(kind):
            return self._alias(kind, _NO_TYPES)
        if isinstance(kind, typing.NewType) and not self._keeps_new_types:
            return self.of(kind.__supertype__, _NO_TYPES)
        if isinstance(kind, typing.TypeVar):
            return given.get(kind, kind)
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin is None or origin is Literal or origin is collections.abc.Callable:
            return kind
        if _is_alias(origin):
            chosen = tuple(self.of(argument, given) for argument in arguments)
            return self._alias(origin, dict(zip(origin.__type_params__, chosen, strict=False)))
        if origin is Annotated:
            base = self.of(arguments[0], given)
            return kind if base is arguments[0] else Annotated[(base, *arguments[1:])]
        inner = tuple(self.of(argument, given) for argument in arguments)
        if all(new is old for new, old in zip(inner, arguments, strict=True)):
            return kind
        if origin in (Union, types.UnionType):
            return Union[inner]  # noqa: UP007 (built at run time)
        copy_with = getattr(kind, "copy_with", None)  # of what typing itself makes
        return origin[inner] if copy_with is None else copy_with(inner)

    def _alias(self, alias: Any, given: Mapping[Any, Any]) -> Any:
        if alias in self._open:
            return _Itself
        self._open.append(alias)
        found = self.of(alias.__value__, given)
        self._open.pop()
        if not _holds(found, _Itself):
            return found
        if self._open:
            return found  # of an outer one, which will see
        if _is_any_json(found):
            return Any
        raise DependencyError(
            f"The alias {alias.__name__} holds itself, which JSON can be decoded to by a Struct alone. Write a Struct "
            "whose field has its own type, or Any."
        )


class _Itself:
    """Stands for an alias inside itself."""


def _holds(kind: Any, wanted: Any) -> bool:
    return kind is wanted or any(_holds(inner, wanted) for inner in typing.get_args(kind))


def _is_any_json(kind: Any) -> bool:
    """``str | int | float | bool | None | list[Json] | dict[str, Json]``, in any order."""
    members = set(map(str, typing.get_args(kind)))
    itself = f"{_Itself.__module__}.{_Itself.__qualname__}"
    wanted = {str(member) for member in (str, float, bool, types.NoneType)}
    arrays = {f"list[{itself}]", f"typing.List[{itself}]"}
    objects = {f"dict[str, {itself}]", f"typing.Dict[str, {itself}]"}
    return wanted <= members and bool(arrays & members) and bool(objects & members)
