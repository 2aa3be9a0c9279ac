"""Listeners as a project declares them, and the table that a gateway makes of those it is given.

How this works: ``@on`` notes on a function what it listens to, and changes nothing else. A gateway finds the functions
that its layers list under ``listeners=``, reads each once, and keeps them by name, by class and by signal of Django's.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec
from django.dispatch import Signal

from hybrid_gateway.binding.signature import NO_DEFAULT, is_async, read_signature, reject_generator
from hybrid_gateway.exceptions import ConfigurationError, located
from hybrid_gateway.problems.places import place_of
from hybrid_gateway.routing.declare import describe_handler
from hybrid_gateway.types import Handler

F = TypeVar("F", bound=Callable[..., object])

_NOTED = "__hybrid_gateway_events__"


class Interest(msgspec.Struct, frozen=True):
    """A name, a class of events or a signal of Django's, to which a function listens."""

    event: str | type | Signal
    sender: object = None
    on_commit: bool | str = False


def on(event: str | type | Signal, *, sender: object = None, on_commit: bool | str = False) -> Callable[[F], F]:
    """Let a function listen to a name (``"order.paid"``), a class of events or a signal of Django's.

    Plain functions run on a thread, where the ORM is welcome, ``async def`` ones on the event loop. Of a signal,
    ``sender`` is a class or the label of a model (``"shop.Order"``), and with ``on_commit`` (``True``, or the alias of
    a database) the listener runs once the transaction is committed in which the signal was sent. A layer has to list
    the function: ``listeners=[...]``. Raises :class:`ConfigurationError` for what is no event.
    """
    is_signal = isinstance(event, Signal)
    if not (is_signal or isinstance(event, type) or (isinstance(event, str) and event)):
        raise ConfigurationError(
            f'@on({event!r}): an event is a name such as "order.paid", a class, or a Signal.', id="H017"
        )
    if not is_signal and (sender is not None or on_commit is not False):
        raise ConfigurationError(
            f"@on({event!r}): sender= and on_commit= are of Django's signals; events of your own say on_commit= where "
            "they are emitted.",
            id="H017",
        )

    def note(function: F) -> F:
        if not callable(function):
            raise ConfigurationError(f"@on({event!r}) decorates a function, not {function!r}.", id="H017")
        interest = Interest(event, sender, on_commit)
        setattr(function, _NOTED, (*getattr(function, _NOTED, ()), interest))
        return function

    return note


class EventListener(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """A function that listens to one event."""

    function: Handler
    is_async: bool
    interest: Interest
    signature: inspect.Signature
    takes: type | None  # the class of events that is its one parameter

    def __repr__(self) -> str:
        return describe_handler(self.function)

    @property
    def event(self) -> str:
        """The event as logs and errors name it."""
        event = self.interest.event
        return event if isinstance(event, str) else getattr(event, "__qualname__", repr(event))

    def check(self, arguments: Sequence[object], keywords: Mapping[str, object]) -> None:
        """Raise ``TypeError`` for what the function would not take."""
        try:
            self.signature.bind(*arguments, **keywords)
        except TypeError as error:
            raise TypeError(f"emit({self.event!r}): the listener {self!r} takes {self.signature}: {error}.") from None

    def named(self, keywords: Mapping[str, object]) -> dict[str, object]:
        """Return those of the keywords of a signal that the function has parameters for."""
        parameters = self.signature.parameters
        if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
            return dict(keywords)
        return {name: value for name, value in keywords.items() if name in parameters}


class EventTable(msgspec.Struct, frozen=True):
    """The listeners of one gateway."""

    by_name: Mapping[str, Sequence[EventListener]] = {}
    by_class: Mapping[type, Sequence[EventListener]] = {}
    of_signals: Sequence[EventListener] = ()

    def __bool__(self) -> bool:
        return bool(self.by_name or self.by_class or self.of_signals)


def read_listeners(functions: Iterable[object]) -> EventTable:
    """Return the table of ``functions``, each of them once; raise :class:`ConfigurationError` for what is no listener,
    and for listeners that no emission could reach."""
    by_name: dict[str, list[EventListener]] = {}
    by_class: dict[type, list[EventListener]] = {}
    of_signals: list[EventListener] = []
    for function in dict.fromkeys(functions):
        interests: tuple[Interest, ...] = getattr(function, _NOTED, ())
        if not (interests and callable(function)):
            raise ConfigurationError(
                f'listeners=[{function!r}]: it listens to nothing. Decorate it with @on("order.paid"), a class of '
                "events, or a signal of Django's.",
                id="H017",
                place=place_of(function),
            )
        for interest in interests:
            with located(function):
                listener = _read(function, interest)
            if isinstance(interest.event, str):
                by_name.setdefault(interest.event, []).append(listener)
            elif isinstance(interest.event, Signal):
                of_signals.append(listener)
            if listener.takes is not None:
                by_class.setdefault(listener.takes, []).append(listener)
    for name, listeners in by_name.items():
        _check_together(name, listeners)
    return EventTable(by_name, by_class, tuple(of_signals))


def _read(function: Handler, interest: Interest) -> EventListener:
    where, event = f"the listener {describe_handler(function)}", interest.event
    reject_generator(function, where, "A listener returns nothing.")
    signature = inspect.signature(function)
    only = _only_parameter(function, signature, where) if not isinstance(event, Signal) else None
    takes = None
    if isinstance(event, type):
        takes = event
        if only is None or (isinstance(only, type) and not issubclass(event, only)):
            raise ConfigurationError(
                f"{where} has one parameter, the event: `event: {event.__name__}`; not {signature}.", id="H017"
            )
    elif isinstance(only, type) and issubclass(only, msgspec.Struct):
        takes = only
    return EventListener(
        function=function, is_async=is_async(function), interest=interest, signature=signature, takes=takes
    )


def _only_parameter(function: Handler, signature: inspect.Signature, where: str) -> object:
    """Return the type of the one parameter that a function has, ``object`` without an annotation, or else ``None``."""
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    if len(signature.parameters) != 1 or next(iter(signature.parameters.values())).kind in variable:
        return None
    [parameter] = read_signature(function, where).parameters
    return object if parameter.type is NO_DEFAULT else parameter.info.inner


def _check_together(name: str, listeners: Sequence[EventListener]) -> None:
    """Raise :class:`ConfigurationError` unless some arguments reach all listeners of a name."""
    kinds = dict.fromkeys(listener.takes for listener in listeners)
    if len(kinds) > 1:
        raise ConfigurationError(
            f"The listeners {', '.join(map(repr, listeners))} of {name!r} take different things: either all of them "
            "take the same class of events, or none takes one.",
            id="H018",
            place=place_of(listeners[-1].function),
        )
    for listener in listeners:
        for other in listeners:
            missing = _required(listener) - {parameter.name for parameter in _parameters(other)}
            if missing and not any(parameter.kind is parameter.VAR_KEYWORD for parameter in _parameters(other)):
                raise ConfigurationError(
                    f"No event {name!r} fits both {listener!r}, which requires {', '.join(sorted(missing))}, and "
                    f"{other!r}, which takes {other.signature}. Let it take **kwargs, or the same parameters.",
                    id="H018",
                    place=place_of(other.function),
                )


def _parameters(listener: EventListener) -> Iterable[inspect.Parameter]:
    return listener.signature.parameters.values()


def _required(listener: EventListener) -> set[str]:
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    given = {one.name for one in _parameters(listener) if one.default is one.empty and one.kind not in kinds}
    return set() if listener.takes is not None else given
