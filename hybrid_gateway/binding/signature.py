"""Signatures, read once at start-up: parameters with their types, markers and defaults."""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any, Union

import msgspec

from hybrid_gateway.binding.markers import UNCHECKED, Cookie, Depends, Header, Marker, Query
from hybrid_gateway.exceptions import DependencyError

__all__ = [
    "NO_DEFAULT",
    "Parameter",
    "Signature",
    "is_async",
    "layered",
    "read_signature",
    "split_markers",
    "strip_annotated",
    "strip_optional",
]

NO_DEFAULT: Any = inspect.Parameter.empty


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter of a handler, guard, provider or scheme; ``type`` keeps constraints, but not our markers."""

    name: str
    type: Any
    marker: Marker | Depends | None
    default: Any
    raw: inspect.Parameter
    checked: bool = True  # False: documented as its type, given to the handler as it came

    @property
    def required(self) -> bool:
        return self.default is NO_DEFAULT


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
    while True:
        if inspect.ismethod(function):
            function = function.__func__
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        elif hasattr(function, "func") and hasattr(function, "keywords"):  # functools.partial
            function = function.func
        elif not inspect.isroutine(function):
            function = type(function).__call__
        else:
            return function


def _read_parameter(raw: inspect.Parameter, hints: dict[str, Any], where: str) -> Parameter:
    if raw.kind in (raw.VAR_POSITIONAL, raw.VAR_KEYWORD):
        raise DependencyError(f"{where}: '{raw}' cannot be injected; name each parameter.")
    if isinstance(raw.default, Marker | Depends):
        raise DependencyError(_marker_as_default(raw, where))
    annotation = hints.get(raw.name, NO_DEFAULT)
    checked = UNCHECKED not in getattr(annotation, "__metadata__", ())
    kind, marker = split_markers(annotation, raw.name, where)
    return Parameter(name=raw.name, type=kind, marker=marker, default=raw.default, raw=raw, checked=checked)


def _marker_as_default(raw: inspect.Parameter, where: str) -> str:
    kind = getattr(raw.annotation, "__name__", raw.annotation)
    marker = type(raw.default).__name__
    return (
        f"{where}: the parameter {raw.name!r} has {marker}() as its default, where type checkers and plain calls would "
        f"see it. Write `{raw.name}: Annotated[{kind}, {marker}(...)]` and a real default, if any."
    )


def split_markers(annotation: Any, name: str, where: str) -> tuple[Any, Marker | Depends | None]:
    """A type without our marker, but with the marker's constraints, and the marker."""
    if typing.get_origin(annotation) is not Annotated:
        return annotation, None
    base, *extras = typing.get_args(annotation)
    markers = [_instance(extra) for extra in extras if _is_marker(extra)]
    if len(markers) > 1:
        raise DependencyError(f"{where}: the parameter {name!r} has two markers, {markers[0]!r} and {markers[1]!r}.")
    marker = markers[0] if markers else None
    metas = [extra for extra in extras if not _is_marker(extra) and extra is not UNCHECKED]
    if isinstance(marker, Marker) and marker.meta is not None:
        metas.append(marker.meta)
    return (_constrain(base, metas) if metas else base), marker


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
    if typing.get_origin(annotation) in (Union, types.UnionType):
        members = [member for member in typing.get_args(annotation) if member is not types.NoneType]
        if len(members) < len(typing.get_args(annotation)):
            return Union[tuple(members)]  # noqa: UP007 (built at run time)
    return annotation


def strip_annotated(annotation: Any) -> Any:
    """``T`` for ``Annotated[T, ...]``."""
    while typing.get_origin(annotation) is Annotated:
        annotation = typing.get_args(annotation)[0]
    return annotation


def is_async(function: Any) -> bool:
    """Whether calling ``function`` gives something to await (or, for a generator, to iterate asynchronously)."""
    target = _annotated_callable(function) if not inspect.isclass(function) else function
    return inspect.iscoroutinefunction(target) or inspect.isasyncgenfunction(target)
