"""Signatures, read once at start-up: parameters with their types, markers and defaults."""

from __future__ import annotations

import collections.abc
import inspect
import operator
import sys
import types
import typing
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Union

import msgspec

from hybrid_gateway.binding.markers import UNCHECKED, Cookie, Depends, Header, Marker, Query
from hybrid_gateway.exceptions import DependencyError
from hybrid_gateway.type_hints import resolve_aliases, resolve_new_types

__all__ = [
    "NO_DEFAULT",
    "Parameter",
    "Signature",
    "is_async",
    "layered",
    "read_signature",
    "refuse_generator",
    "split_markers",
    "strip_annotated",
    "strip_optional",
]

NO_DEFAULT: Any = inspect.Parameter.empty


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter of a handler, guard, provider or scheme; ``type`` keeps constraints, but not our markers.

    Aliases and new types are gone from it: it says what values are.
    """

    name: str
    type: Any
    marker: Marker | Depends | None
    default: Any
    raw: inspect.Parameter
    checked: bool = True  # False: documented as its type, given to the handler as it came
    key: Any = None  # its type, new types kept: what a component provides may be one

    @property
    def required(self) -> bool:
        return self.default is NO_DEFAULT

    @property
    def keys(self) -> tuple[Any, ...]:
        """What a component that fills it may be known by, the closest first."""
        asked = self.type if self.key is None else self.key
        return asked, *_inside(asked), self.type, *_inside(self.type)


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """A callable's parameters and return annotation."""

    where: str
    parameters: tuple[Parameter, ...]
    returns: Any  # NO_DEFAULT when not annotated


def read_signature(function: Callable[..., Any], where: str) -> Signature:
    """Read ``function``'s signature; raise :class:`DependencyError` naming ``where`` for what cannot be injected."""
    target = _annotated_callable(function)
    try:
        raw = inspect.signature(function)
        hints = typing.get_type_hints(target, localns=_enclosing_locals(target), include_extras=True)
        hints = {name: resolve_aliases(hint) for name, hint in hints.items()}
    except NameError as error:
        raise DependencyError(
            f"{where}: the annotation {error.name!r} is unknown at run time. Import it outside `if TYPE_CHECKING:`, "
            "at the level of the module."
        ) from error
    except (TypeError, ValueError) as error:
        raise DependencyError(f"{where}: its signature cannot be read: {error}") from error
    parameters = tuple(_read_parameter(parameter, hints, where) for parameter in raw.parameters.values())
    if inspect.isclass(function):
        returns: Any = function
    else:
        returns = hints.get("return", NO_DEFAULT)
    return Signature(where=where, parameters=parameters, returns=types.NoneType if returns is None else returns)


def _enclosing_locals(function: Any) -> dict[str, Any] | None:
    """The local names around a function defined in a function that is still running, as in a test.

    Under ``from __future__ import annotations`` nothing else knows what its annotations mean.
    """
    outer, nested, _ = getattr(function, "__qualname__", "").rpartition(".<locals>.")
    frame = sys._getframe() if nested else None
    names: dict[str, Any] = {}
    while frame is not None:
        encloses = f"{outer}.<locals>.".startswith(f"{frame.f_code.co_qualname}.<locals>.")
        if encloses and frame.f_globals is getattr(function, "__globals__", None):
            names = {**frame.f_locals, **names}
        frame = frame.f_back
    return names or None


def _annotated_callable(function: Any) -> Any:
    """The plain function whose annotations count."""
    if inspect.isclass(function):
        return function.__init__
    return list(_links(function))[-1]


def _links(function: Any) -> Iterator[Any]:
    """``function``, and what it wraps, down to the plain function; any of them decides what a call gives."""
    yield function
    while not inspect.isclass(function):
        if inspect.ismethod(function):
            function = function.__func__
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        elif hasattr(function, "func") and hasattr(function, "keywords"):  # functools.partial
            function = function.func
        elif not inspect.isroutine(function):
            function = type(function).__call__
        else:
            return
        yield function


def _read_parameter(raw: inspect.Parameter, hints: dict[str, Any], where: str) -> Parameter:
    if raw.kind in (raw.VAR_POSITIONAL, raw.VAR_KEYWORD):
        raise DependencyError(f"{where}: '{raw}' cannot be injected; name each parameter.")
    if isinstance(raw.default, Marker | Depends):
        raise DependencyError(_marker_as_default(raw, where))
    annotation = hints.get(raw.name, NO_DEFAULT)
    lifted = _Lifted(raw.name, where)
    kind, key = lifted.lift(resolve_new_types(annotation)), _Lifted(raw.name, where).lift(annotation)
    return Parameter(
        name=raw.name,
        type=kind,
        marker=lifted.marker,
        default=raw.default,
        raw=raw,
        checked=lifted.checked,
        key=key,
    )


def _marker_as_default(raw: inspect.Parameter, where: str) -> str:
    kind = getattr(raw.annotation, "__name__", raw.annotation)
    marker = type(raw.default).__name__
    return (
        f"{where}: the parameter {raw.name!r} has {marker}() as its default, where type checkers and plain calls would "
        f"see it. Write `{raw.name}: Annotated[{kind}, {marker}(...)]` and a real default, if any."
    )


def split_markers(annotation: Any, name: str, where: str) -> tuple[Any, Marker | Depends | None]:
    """A type without our marker, but with the marker's constraints, and the marker. Aliases and new types are gone."""
    found = _Lifted(name, where)
    return found.lift(resolve_new_types(annotation)), found.marker


class _Lifted:
    """Takes markers out of a type: those of the whole of it are the parameter's, and inside are constraints at most."""

    def __init__(self, name: str, where: str) -> None:
        self.marker: Marker | Depends | None = None
        self.checked = True
        self._name = name
        self._where = where

    def lift(self, kind: Any, *, whole: bool = True) -> Any:
        """``kind`` without markers."""
        if isinstance(kind, type):
            return kind
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin is Annotated:
            base, metas = self.lift(arguments[0], whole=whole), []
            for extra in arguments[1:]:
                metas += self._meta(extra, whole)
            return _constrain(base, metas) if metas else base
        if origin in (Union, types.UnionType):
            inner = [self.lift(member, whole=whole) for member in arguments]
            return kind if all(map(operator.is_, inner, arguments)) else Union[tuple(inner)]  # noqa: UP007
        if origin in _HOLDERS:
            inner = [argument if argument is Ellipsis else self.lift(argument, whole=False) for argument in arguments]
            return kind if all(map(operator.is_, inner, arguments)) else _subscripted(origin, inner)
        return kind

    def _meta(self, extra: Any, whole: bool) -> list[Any]:
        """What is left of an extra: constraints, and what is not ours."""
        if extra is UNCHECKED:
            self.checked = False
            return []
        if not _is_marker(extra):
            if (foreign := type(extra).__module__.partition(".")[0]) in _FOREIGN:
                raise DependencyError(
                    f"{self._where}: {self._name!r} carries {extra!r} of {foreign}, which nobody would check. Write "
                    "Query(ge=1), Path(), Header(), Body() of hybrid_gateway, or msgspec.Meta(ge=1)."
                )
            return [extra]
        marker = _instance(extra)
        if whole:
            if self.marker is not None:
                raise DependencyError(
                    f"{self._where}: the parameter {self._name!r} has two markers, {self.marker!r} and {marker!r}."
                )
            self.marker = marker
        elif isinstance(marker, Depends) or marker.alias:
            raise DependencyError(
                f"{self._where}: in the type of {self._name!r} there is {marker!r}, which belongs around the whole: "
                "Annotated[list[...], Query(alias=...)]."
            )
        return [marker.meta] if isinstance(marker, Marker) and marker.meta is not None else []


def _subscripted(origin: Any, arguments: list[Any]) -> Any:
    return origin[tuple(arguments)]


_HOLDERS: tuple[Any, ...] = (
    list,
    set,
    frozenset,
    tuple,
    collections.abc.Sequence,
    collections.abc.Set,
    collections.abc.Collection,
)
_FOREIGN = ("pydantic", "annotated_types", "fastapi", "litestar", "ninja")


def _is_marker(extra: Any) -> bool:
    return isinstance(extra, Marker | Depends) or (inspect.isclass(extra) and issubclass(extra, Marker | Depends))


def _instance(marker: Any) -> Any:
    return marker() if inspect.isclass(marker) else marker


def _constrain(base: Any, metas: list[Any]) -> Any:
    """``Annotated[base, *metas]``, with the constraints inside ``| None``, where msgspec wants them."""
    inner = strip_optional(base)
    constrained: Any = Annotated[(inner, *metas)]
    return constrained if inner is base else constrained | None


def layered(name: str, annotation: Any, where: str) -> Parameter:
    """A parameter that a layer declares; one that may be ``None`` may be left out."""
    where = f"{where}: parameters={{{name!r}: ...}}"
    kind, marker = split_markers(annotation, name, where)
    if not isinstance(marker, Query | Header | Cookie | Depends):
        raise DependencyError(
            f"{where} must say where it comes from: Annotated[..., Header()], Query(), Cookie() or Depends(provider)."
        )
    raw = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY)
    default = NO_DEFAULT if strip_optional(kind) is kind or isinstance(marker, Depends) else None
    return Parameter(name=name, type=kind, marker=marker, default=default, raw=raw)


def strip_optional(annotation: Any) -> Any:
    """``T`` for ``T | None``; anything else as it is."""
    if isinstance(annotation, type):  # PERF: most are plain classes, here and below
        return annotation
    if typing.get_origin(annotation) in (Union, types.UnionType):
        members = [member for member in typing.get_args(annotation) if member is not types.NoneType]
        if len(members) < len(typing.get_args(annotation)):
            return Union[tuple(members)]  # noqa: UP007 (built at run time)
    return annotation


def _inside(kind: Any) -> tuple[Any, Any]:
    """``T`` for ``T | None``, and for ``Annotated[T, ...] | None``."""
    inner = strip_optional(kind)
    return inner, strip_annotated(strip_optional(strip_annotated(inner)))


def strip_annotated(annotation: Any) -> Any:
    """``T`` for ``Annotated[T, ...]``."""
    while not isinstance(annotation, type) and typing.get_origin(annotation) is Annotated:
        annotation = typing.get_args(annotation)[0]
    return annotation


def is_async(function: Any) -> bool:
    """Whether calling ``function`` gives something to await (or, for a generator, to iterate asynchronously)."""
    return any(inspect.iscoroutinefunction(link) or inspect.isasyncgenfunction(link) for link in _links(function))


def refuse_generator(
    function: Any, where: str, instead: str = "Return an answer or None; what is to be cleaned up is a component's."
) -> None:
    """Raise :class:`DependencyError` for a function with a ``yield``, whose call runs nothing of it."""
    for link in _links(function):
        if inspect.isgeneratorfunction(link) or inspect.isasyncgenfunction(link):
            raise DependencyError(f"{where} has a `yield`, so calling it would run nothing of it. {instead}")
        if hasattr(link, "__wrapped__"):  # a decorator, which may make anything of it
            return
