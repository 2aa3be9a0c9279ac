"""Components and provider functions: who provides which type, and for how long; those that live as the process does."""

from __future__ import annotations

import asyncio
import collections.abc
import contextlib
import functools
import inspect
import logging
import threading
import typing
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal, TypeVar

import msgspec
from asgiref.sync import sync_to_async

from hybrid_gateway.binding.signature import NO_DEFAULT, Parameter, Signature, is_async, read_signature
from hybrid_gateway.exceptions import DependencyError
from hybrid_gateway.problems.places import place_of
from hybrid_gateway.spelling import check_attributes_of
from hybrid_gateway.type_info import resolve_aliases
from hybrid_gateway.types import Handler

F = TypeVar("F", bound=Handler)

Mode = Literal["inline", "thread", "loop"]


class Component:
    """Provides what ``resolve`` returns. ``resolve``'s own parameters are injected; it may be sync or async.

    Code after a ``yield`` in ``resolve`` is the clean-up. A ``parameter: inspect.Parameter`` in its signature is the
    parameter being filled. ``lifetime = "app"`` resolves once per process; such a component sees no request.
    """

    lifetime: ClassVar[Literal["request", "app"]] = "request"
    use_cache: ClassVar[bool] = True

    resolve: Handler

    def can_handle_parameter(self, parameter: inspect.Parameter) -> bool:
        """Return whether this component fills ``parameter``; override to match by more than the annotation."""
        return False


class Provider(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One way to make a value, read from its signature once."""

    key: object  # what overrides and the cache of a request know it by
    call: Handler
    provides: object
    signature: Signature
    mode: Mode
    cleans_up: bool
    use_cache: bool = True
    lifetime: Literal["request", "app"] = "request"

    @property
    def is_async(self) -> bool:
        return self.mode == "loop"

    def given(self, parameter: Parameter) -> Provider:
        """Return this provider with ``parameter`` in the place of its own ``inspect.Parameter``."""
        [own] = [inner for inner in self.signature.parameters if inner.type is inspect.Parameter]
        rest = tuple(inner for inner in self.signature.parameters if inner is not own)
        call, bound = self.call, parameter.raw.replace(annotation=parameter.keys[0])

        def provide(**values: object) -> object:
            return call(**{own.name: bound}, **values)

        signature = msgspec.structs.replace(self.signature, parameters=rest)
        return msgspec.structs.replace(self, call=provide, signature=signature)


def mode_of(function: object, declared: bool | None = None) -> Mode:
    """Return where ``function`` runs: on the loop, on a thread, or (``sync_to_thread = False``) where it is called."""
    if is_async(function):
        return "loop"
    if declared is None:
        declared = getattr(function, "sync_to_thread", True)
    return "thread" if declared else "inline"


def inline(function: F) -> F:
    """Make ``function`` run where it is called, for it never waits."""
    vars(function)["sync_to_thread"] = False
    return function


_GENERATORS = (
    *(collections.abc.Iterator, collections.abc.Generator, collections.abc.Iterable),
    *(collections.abc.AsyncIterator, collections.abc.AsyncGenerator, collections.abc.AsyncIterable),
)


def make_provider(entry: object, *, use_cache: bool | None = None) -> Provider:
    """Read a component, a provider function or a class as a provider."""
    function: Handler
    if inspect.isclass(entry) and issubclass(entry, Component):
        entry = entry()
    if isinstance(entry, Component):
        if not hasattr(entry, "resolve"):
            raise DependencyError(
                f"The component {type(entry).__qualname__} has no resolve() method.", id="C003", place=place_of(entry)
            )
        function, where = entry.resolve, f"{type(entry).__qualname__}.resolve"
    elif callable(entry):
        function, where = entry, getattr(entry, "__qualname__", repr(entry))
    else:
        raise DependencyError(
            f"{entry!r} is neither a component nor a provider function.", id="C003", place=place_of(entry)
        )
    signature = read_signature(function, where)
    if isinstance(entry, Component):
        check_attributes_of(entry, ("lifetime", "use_cache", "sync_to_thread"))
    declared = getattr(entry, "sync_to_thread", None)
    mode: Mode = "inline" if inspect.isclass(function) and declared is None else mode_of(function, declared)
    target: object = function  # the plain function of a method, or of an instance with __call__
    if not (inspect.isclass(function) or inspect.isroutine(function) or isinstance(function, functools.partial)):
        target = getattr(type(function), "__call__", function)  # noqa: B004
    target = getattr(target, "__func__", target)
    is_manager = getattr(target, "__globals__", None) is vars(contextlib)  # made by @contextmanager
    cleans_up = is_manager or inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target)
    if cleans_up and not is_manager:
        wrap: Handler = contextlib.asynccontextmanager if mode == "loop" else contextlib.contextmanager
        function = wrap(function)
    if inspect.isclass(function) and issubclass(function, msgspec.Struct):
        function = struct_maker(function, signature)
    provides = signature.returns
    if cleans_up and typing.get_origin(provides) in _GENERATORS:
        provides = typing.get_args(provides)[0]
    # Any component of a class would do for another one, unless it has attributes of its own.
    is_plain = isinstance(entry, Component) and not getattr(entry, "__dict__", None)
    return Provider(
        key=type(entry) if is_plain else entry,
        call=function,
        provides=provides,
        signature=signature,
        mode=mode,
        cleans_up=cleans_up,
        use_cache=use_cache if use_cache is not None else getattr(entry, "use_cache", True),
        lifetime=getattr(entry, "lifetime", "request"),
    )


def struct_maker(cls: type[msgspec.Struct], signature: Signature) -> Handler:
    """Return what makes a Struct whose parameters may have been left out: its constructor does not take their defaults
    where a function makes them."""
    made = {field.name for field in msgspec.structs.fields(cls) if field.default_factory is not msgspec.NODEFAULT}
    absent = {entry.name: entry.default for entry in signature.parameters if entry.name in made}

    def make(**values: object) -> object:
        return cls(**{name: value for name, value in values.items() if value is not absent.get(name, NO_DEFAULT)})

    return make if absent else cls


class Overrides:
    """Replacements that a test makes for types and providers; ``asked`` are all that functions of a gateway ask for."""

    def __init__(self, replacements: Mapping[Any, Any]) -> None:
        self.providers = {resolve_aliases(key): _make_override(key, value) for key, value in replacements.items()}
        self.asked: set[object] = set()

    def find(self, keys: Iterable[object]) -> Provider | None:
        """Return what takes the place of the first of ``keys`` that is replaced."""
        with contextlib.suppress(TypeError):  # what cannot be hashed names no component
            self.asked.update(keys)
        return _first(self.providers, keys) if self.providers else None


class Components:
    """The providers of one route: those of every layer as one set, an inner one before an outer one of its type."""

    def __init__(self, entries: Iterable[object], overrides: Overrides) -> None:
        self._by_type: dict[object, Provider] = {}
        self._matchers: list[tuple[Component, Provider]] = []
        for entry in entries:
            self._register(entry)
        self._overrides = overrides

    def _register(self, entry: object) -> None:
        provider = make_provider(entry)
        component = entry() if inspect.isclass(entry) and issubclass(entry, Component) else entry
        if (
            isinstance(component, Component)
            and type(component).can_handle_parameter is not Component.can_handle_parameter
        ):
            self._matchers.insert(0, (component, provider))
            return
        if provider.provides in (NO_DEFAULT, type(None)):
            raise DependencyError(
                f"{provider.signature.where} has no return annotation, so nobody can ask for what it provides. "
                "Annotate what it returns.",
                id="C004",
                place=place_of(provider.key),
            )
        self._by_type[provider.provides] = provider

    def find(self, parameter: Parameter) -> Provider | None:
        """Return the provider that fills ``parameter`` by its type, if any."""
        for component, provider in self._matchers:
            if component.can_handle_parameter(parameter.raw.replace(annotation=parameter.keys[0])):
                return provider
        return self._overrides.find(parameter.keys) or _first(self._by_type, parameter.keys)

    def override_of(self, parameter: Parameter) -> Provider | None:
        """Return what a test put in place of what fills ``parameter`` by its type."""
        return self._overrides.find(parameter.keys)

    def override(self, key: object) -> Provider | None:
        """Return what a test put in place of the provider function (or type) ``key``."""
        return self._overrides.find((key,))


def _first(by_type: Mapping[object, Provider], keys: Iterable[object]) -> Provider | None:
    try:
        return next((by_type[kind] for kind in keys if kind in by_type), None)
    except TypeError:  # an annotation that cannot be hashed names no component
        return None


def _make_override(key: object, value: object) -> Provider:
    """Return what provides ``key`` in a test: a provider, or a plain object, which is the value itself."""
    is_provider = inspect.isroutine(value) or isinstance(value, Component)
    if is_provider or (inspect.isclass(value) and issubclass(value, Component)):
        return msgspec.structs.replace(make_provider(value), provides=key)
    signature = Signature(where=f"override of {key!r}", parameters=(), returns=key)
    return Provider(key=key, call=lambda: value, provides=key, signature=signature, mode="inline", cleans_up=False)


logger = logging.getLogger("hybrid_gateway")

_MODES: tuple[Mode, ...] = ("inline", "thread", "loop")  # the last that a chain needs decides


class AppComponents:
    """Components with ``lifetime = "app"``: made once, at start-up or when first needed, closed at shutdown."""

    def __init__(self) -> None:
        self._registered: dict[object, tuple[Provider, Mode, dict[str, object]]] = {}
        """By key: each, where opening it runs, with all it needs, and its arguments: providers or ready values."""
        self._values: dict[object, object] = {}
        self._exits: list[tuple[Mode, Any]] = []  # context managers, asynchronous ones on the loop
        self._lock = threading.RLock()
        self._async_lock: asyncio.Lock | None = None

    @property
    def is_empty(self) -> bool:
        """True where no route needs any."""
        return not self._registered

    def register(
        self, provider: Provider, components: Components, constants: Mapping[object, object], chain: tuple[str, ...]
    ) -> Mode:
        """Check that ``provider`` needs nothing of a request; tell where opening it runs."""
        chain = (*chain, provider.signature.where)
        if len(set(chain[1:])) < len(chain[1:]):
            raise DependencyError(f"{' → '.join(chain)}: a component cannot need itself.", id="C002")
        arguments: dict[str, object] = {}
        mode: Mode = provider.mode
        for parameter in provider.signature.parameters:
            inner = components.find(parameter)
            if inner is not None and inner.lifetime == "app":
                needed = self.register(inner, components, constants, chain)
                mode = needed if _MODES.index(needed) > _MODES.index(mode) else mode
                arguments[parameter.name] = inner
            elif parameter.type in constants:
                arguments[parameter.name] = constants[parameter.type]
            elif parameter.required:
                raise DependencyError(
                    f"{' → '.join(chain)}: {parameter.name!r} belongs to a request, but the component lives as long as "
                    'the process. Give it lifetime = "request", or take only app-lifetime components.',
                    id="C005",
                )
        self._registered[provider.key] = provider, mode, arguments
        return mode

    def open(self, provider: Provider) -> object:
        """The value of a component whose whole chain is synchronous."""
        with self._lock:
            if provider.key not in self._values:
                arguments = {
                    name: self.open(argument) if isinstance(argument, Provider) else argument
                    for name, argument in self._registered[provider.key][2].items()
                }
                self._values[provider.key] = self._make(provider, arguments, "thread")
            return self._values[provider.key]

    def _make(self, provider: Provider, arguments: Mapping[str, object], exit_mode: Mode) -> object:
        made = provider.call(**arguments)
        if not provider.cleans_up:
            return made
        value: object = made.__enter__()
        self._exits.append((exit_mode, made))
        return value

    async def open_async(self, provider: Provider) -> object:
        """The value of a component that is, or needs, an asynchronous one."""
        if provider.key in self._values:
            return self._values[provider.key]
        if self._async_lock is None:
            self._async_lock = asyncio.Lock()
        async with self._async_lock:
            return await self._open_async(provider)

    async def _open_async(self, provider: Provider) -> object:
        if provider.key in self._values:
            return self._values[provider.key]
        _, mode, given = self._registered[provider.key]
        if mode != "loop":  # under the lock of open(): a thread may be opening it just now
            return await sync_to_async(self.open)(provider) if mode == "thread" else self.open(provider)
        arguments = {
            name: await self._open_async(argument) if isinstance(argument, Provider) else argument
            for name, argument in given.items()
        }
        made: object
        if provider.is_async and provider.cleans_up:
            manager: Any = provider.call(**arguments)
            made = await manager.__aenter__()
            self._exits.append(("loop", manager))
        elif provider.mode == "thread":
            made = await sync_to_async(self._make)(provider, arguments, "thread")
        else:
            made = self._make(provider, arguments, provider.mode)
        if not provider.cleans_up and inspect.isawaitable(made):
            made = await made
        self._values[provider.key] = made
        return made

    async def open_all(self) -> None:
        """Open every component that some route may need."""
        for provider, _, _ in list(self._registered.values()):
            await self.open_async(provider)

    async def close(self) -> None:
        """Leave what was entered, last in, first out; a failure is logged and does not stop the others."""
        while self._exits:
            mode, manager = self._exits.pop()
            try:
                if mode == "loop":
                    await manager.__aexit__(None, None, None)
                elif mode == "thread":
                    await sync_to_async(manager.__exit__)(None, None, None)
                else:
                    manager.__exit__(None, None, None)
            except Exception:
                logger.exception("The clean-up of an app-lifetime component failed")
        self._values.clear()
        self._async_lock = None
