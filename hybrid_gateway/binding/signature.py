"""Signatures, read once at start-up: parameters with what is known of their types, their markers and defaults.

And the fields of classes whose fields are parameters: Structs, dataclasses, attrs, TypedDicts, models of pydantic.
"""

from __future__ import annotations

import builtins
import inspect
import sys
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Annotated, Any, Union
from weakref import WeakKeyDictionary

import msgspec
from django.http import HttpRequest
from starlette.datastructures import Headers, QueryParams, State
from starlette.requests import Request

from hybrid_gateway.binding.marked_types import LiftedMarkers, split_markers
from hybrid_gateway.binding.markers import Depends, Marker
from hybrid_gateway.binding.parameter_sources import SOURCES
from hybrid_gateway.binding.uploads import UploadFile
from hybrid_gateway.exceptions import DependencyError, located
from hybrid_gateway.type_info import (
    PydanticField,
    TypeInfo,
    cached_by_type,
    field_types,
    is_pydantic_model,
    resolve_aliases,
    resolve_new_types,
    type_info,
)
from hybrid_gateway.types import Handler

if sys.version_info >= (3, 14):
    import annotationlib

    def _reject_references(hint: object) -> None:
        """Raise ``NameError`` where a name in an annotation still means nothing."""
        if isinstance(hint, annotationlib.ForwardRef):
            raise NameError(f"name {hint.__forward_arg__!r} is not defined", name=hint.__forward_arg__)
        for inner in typing.get_args(hint):
            _reject_references(inner)


NO_DEFAULT = inspect.Parameter.empty
"""In the place of a default, or of an annotation, that a signature does not have."""


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter of a handler, guard, provider or scheme."""

    name: str
    info: TypeInfo  # with constraints, without our markers, aliases and new types
    marker: Marker | Depends | None
    default: object
    raw: inspect.Parameter
    checked: bool = True  # False: documented as its type, given to the handler as it came
    asked: TypeInfo | None = None  # its type with new types kept: what a component provides may be one

    @property
    def type(self) -> object:
        return self.info.annotation

    @property
    def required(self) -> bool:
        return self.default is NO_DEFAULT

    @property
    def keys(self) -> tuple[object, ...]:
        """The types by which a component that fills it may be known, the closest first."""
        infos = (self.asked or self.info, self.info)
        return tuple(key for info in infos for key in (info.annotation, info.without_none, info.inner))


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """A callable's parameters and return annotation."""

    where: str
    parameters: tuple[Parameter, ...]
    returns: object  # NO_DEFAULT when not annotated


_USUAL = types.MappingProxyType(
    {kind.__name__: kind for kind in (Headers, HttpRequest, QueryParams, Request, State, UploadFile)}
)
_namespace: ContextVar[Mapping[str, object]] = ContextVar("hybrid_gateway_signature_namespace", default=_USUAL)
"""Names that annotations may mean although their module does not have them; at start-up alone."""


@contextmanager
def signature_namespace(names: Mapping[str, object]) -> Iterator[None]:
    """Let annotations that are read meanwhile mean what ``names`` say, too, where their own module says nothing."""
    before = _namespace.set({**_namespace.get(), **names})
    try:
        yield
    finally:
        _namespace.reset(before)


def read_signature(function: Handler, where: str) -> Signature:
    """Read a signature; raise :class:`DependencyError` naming ``where`` for what cannot be injected."""
    # Whose annotations count: the plain function's, or those of a Struct, whose constructor has none.
    if inspect.isclass(function):
        target = function if issubclass(function, msgspec.Struct) else function.__init__
    else:
        target = list(_links(function))[-1]
    with located(function):
        try:
            raw, hints = _read_annotations(function, target)
            hints = {name: resolve_aliases(hint) for name, hint in hints.items()}
        except NameError as error:
            raise DependencyError(
                f"{where}: the annotation {error.name!r} is unknown at run time. Import it outside "
                "`if TYPE_CHECKING:`, "
                f"at the level of the module, or tell a layer: signature_namespace={{{error.name!r}: {error.name}}}.",
                id="P002",
            ) from error
        except (TypeError, ValueError) as error:
            raise DependencyError(f"{where}: its signature cannot be read: {error}", id="P003") from error
        parameters = tuple(_read_parameter(parameter, hints, where) for parameter in raw.parameters.values())
    returns = function if inspect.isclass(function) else hints.get("return", NO_DEFAULT)
    return Signature(where=where, parameters=parameters, returns=types.NoneType if returns is None else returns)


def _read_annotations(function: Handler, target: Handler) -> tuple[inspect.Signature, dict[str, object]]:
    """Return the signature of ``function`` and the annotations of ``target``; raise ``NameError`` for unknown names."""
    settle_annotations(target)
    names = _local_names(target)
    try:
        return inspect.signature(function), typing.get_type_hints(target, localns=names, include_extras=True)
    except NameError:
        if sys.version_info >= (3, 14) and names is not None:
            # SPEC: PEP 649: these are no text, and only as forward references do they wait for our names.
            references = annotationlib.Format.FORWARDREF
            hints = typing.get_type_hints(target, localns=names, include_extras=True, format=references)
            for hint in hints.values():
                _reject_references(hint)
            return inspect.signature(function, annotation_format=references), hints
        raise


def settle_annotations(function: object) -> None:
    """Let ``list`` in the annotations of a method be the type, as it was where the method was defined.

    SPEC: PEP 649: from Python 3.14 on annotations are read later, when ``list`` may be a method of the class.
    """
    annotate = getattr(function, "__annotate__", None)
    free = annotate.__code__.co_freevars if inspect.isfunction(annotate) else ()
    if sys.version_info >= (3, 14) and inspect.isfunction(function) and "__classdict__" in free:
        cells = dict(zip(free, annotate.__closure__ or (), strict=True))
        found: Mapping[str, object] = cells["__classdict__"].cell_contents
        kept = {name: value for name, value in found.items() if isinstance(value, type) or not hasattr(builtins, name)}
        if len(kept) < len(found):
            cells["__classdict__"] = types.CellType(kept)
            function.__annotate__ = types.FunctionType(
                annotate.__code__, annotate.__globals__, annotate.__name__, None, tuple(cells.values())
            )


def known_signature(function: Handler, where: str) -> Signature:
    """Read a signature as :func:`read_signature` does, but once: for functions that many routes share.

    PERF: 500 routes read those of their hooks, guards and schemes four times as often as their handlers'.
    """
    plain: object = getattr(function, "__func__", function)
    key = plain is not function, *((name, id(meaning)) for name, meaning in _namespace.get().items())
    if not inspect.isfunction(plain):
        return read_signature(function, where)
    known = _known.setdefault(plain, {})
    if key not in known:
        known[key] = read_signature(function, where)
    return msgspec.structs.replace(known[key], where=where)


_known: WeakKeyDictionary[types.FunctionType, dict[object, Signature]] = WeakKeyDictionary()
"""By function: the signature of it, and as a bound method, in each namespace."""


def _local_names(function: object) -> dict[str, object] | None:
    """Return the names around ``function``, and those of the namespace that its module does not have."""
    own = getattr(function, "__globals__", {})
    given = {name: meaning for name, meaning in _namespace.get().items() if name not in own}
    return {**given, **(_enclosing_locals(function) or {})} or None


def _enclosing_locals(function: object) -> dict[str, object] | None:
    """Return the local names around a function defined in a function that is still running, as in a test.

    Under ``from __future__ import annotations`` nothing else knows what its annotations mean.
    """
    outer, nested, _ = getattr(function, "__qualname__", "").rpartition(".<locals>.")
    frame = inspect.currentframe() if nested else None
    names: dict[str, object] = {}
    while frame is not None:
        encloses = f"{outer}.<locals>.".startswith(f"{frame.f_code.co_qualname}.<locals>.")
        if encloses and frame.f_globals is getattr(function, "__globals__", None):
            names = {**frame.f_locals, **names}
        frame = frame.f_back
    return names or None


def _links(function: Any) -> Iterator[Any]:
    """Yield ``function`` and what it wraps, down to the plain function; any of them decides what a call gives."""
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


def _read_parameter(raw: inspect.Parameter, hints: Mapping[str, object], where: str) -> Parameter:
    if raw.kind in (raw.VAR_POSITIONAL, raw.VAR_KEYWORD):
        raise DependencyError(f"{where}: '{raw}' cannot be injected; name each parameter.", id="P004")
    if isinstance(raw.default, Marker | Depends):
        kind, marker = getattr(raw.annotation, "__name__", raw.annotation), type(raw.default).__name__
        raise DependencyError(
            f"{where}: the parameter {raw.name!r} has {marker}() as its default, where type checkers and plain calls "
            f"would see it. Write `{raw.name}: Annotated[{kind}, {marker}(...)]` and a real default, if any.",
            id="P005",
        )
    annotation = hints.get(raw.name, NO_DEFAULT)
    lifted = LiftedMarkers(raw.name, where)
    return Parameter(
        name=raw.name,
        info=type_info(lifted.lift(resolve_new_types(annotation))),
        marker=lifted.marker,
        default=raw.default,
        raw=raw,
        checked=lifted.checked,
        asked=type_info(LiftedMarkers(raw.name, where).lift(annotation)),
    )


def layered(name: str, annotation: object, where: str) -> Parameter:
    """Return a parameter that a layer declares; one that may be ``None`` may be left out."""
    where = f"{where}: parameters={{{name!r}: ...}}"
    kind, marker = split_markers(annotation, name, where)
    if not isinstance(marker, Depends) and not (marker is not None and SOURCES[marker.source].allowed_in_layers):
        markers = ", ".join(f"{row.marker.__name__}()" for row in SOURCES.values() if row.allowed_in_layers)
        first, _, others = markers.partition(", ")
        raise DependencyError(
            f"{where} must say where it comes from: Annotated[..., {first}], {others} or Depends(provider).", id="P009"
        )
    info = type_info(kind)
    raw = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY)
    default = None if info.is_optional and not isinstance(marker, Depends) else NO_DEFAULT
    return Parameter(name=name, info=info, marker=marker, default=default, raw=raw)


def is_async(function: object) -> bool:
    """Return whether a call gives something to await or, for a generator, to iterate asynchronously."""
    return any(inspect.iscoroutinefunction(link) or inspect.isasyncgenfunction(link) for link in _links(function))


def reject_generator(
    function: object, where: str, instead: str = "Return an answer or None; what is to be cleaned up is a component's."
) -> None:
    """Raise :class:`DependencyError` for a function with a ``yield``, whose call runs nothing of it."""
    for link in _links(function):
        if inspect.isgeneratorfunction(link) or inspect.isasyncgenfunction(link):
            raise DependencyError(f"{where} has a `yield`, so calling it would run nothing of it. {instead}", id="P010")
        if hasattr(link, "__wrapped__"):  # a decorator, which may make anything of it
            return


# --- classes whose fields are parameters ----------------------------------------------------------------------------


class StructField(msgspec.Struct, frozen=True):
    """One field of a parameter Struct: its name on the wire, type and default."""

    encode_name: str
    type: object
    required: bool
    default: object = NO_DEFAULT


@cached_by_type
def struct_fields(cls: object) -> Sequence[StructField]:
    """Return the fields of a class; raise :class:`TypeError` for a class without fields."""
    if is_pydantic_model(cls):
        return [entry for name, field in cls.model_fields.items() for entry in _pydantic_fields(name, field)]
    hints = field_types(cls)
    found = []
    read_only = getattr(cls, "__read_only__", ())  # of a shape
    for field in (entry for entry in inspect_fields(cls) if entry.name not in read_only):
        default: object = NO_DEFAULT if field.default in (msgspec.NODEFAULT, msgspec.UNSET) else field.default
        if field.default_factory in _EMPTY:
            default = field.default_factory()
        found.append(StructField(field.encode_name, resolve_new_types(hints[field.name]), field.required, default))
    return found


def inspect_fields(cls: object) -> Sequence[msgspec.inspect.Field]:
    """Return msgspec's description of the fields of a class; raise :class:`TypeError` where it has none."""
    fields: Sequence[msgspec.inspect.Field] | None = getattr(msgspec.inspect.type_info(cls), "fields", None)
    if fields is None:
        raise TypeError(f"{cls!r} has no fields")
    return fields


def is_closed(cls: object) -> bool:
    """Return whether a class refuses names that it lacks: ``forbid_unknown_fields``, or pydantic's ``extra``."""
    config = getattr(cls, "__struct_config__", None)
    if config is not None:
        return bool(config.forbid_unknown_fields)
    return is_pydantic_model(cls) and cls.model_config.get("extra") == "forbid"


_EMPTY = (list, dict, set)


def _pydantic_fields(name: str, field: PydanticField) -> list[StructField]:
    """Return a field of a model of pydantic, once for each name it goes by.

    Its constraints are for the documentation: the model itself checks them.
    """
    default = NO_DEFAULT if field.is_required() or field.default_factory is not None else field.default
    if field.default_factory in _EMPTY:
        default = field.default_factory()
    said: dict[str, Any] = {
        key: value
        for rule in field.metadata
        for key in _CONSTRAINTS
        if isinstance(value := getattr(rule, key, None), (int, float, str))
    }
    if field.description:
        said["description"] = field.description
    info = type_info(field.annotation)
    kind: object = Annotated[info.without_none, msgspec.Meta(**said)] if said else info.without_none
    kind = Union[kind, None] if info.is_optional else kind  # noqa: UP007 (built at run time)
    alias = name if field.validation_alias is None else field.validation_alias
    names = getattr(alias, "choices", [alias])
    if not all(isinstance(known, str) for known in names):
        raise TypeError(f"{name} has an AliasPath, which leads into JSON; give it a name")
    return [StructField(known, kind, field.is_required() and len(names) == 1, default) for known in names]


_CONSTRAINTS = ("ge", "gt", "le", "lt", "multiple_of", "pattern", "min_length", "max_length")
