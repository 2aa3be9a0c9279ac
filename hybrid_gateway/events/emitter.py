"""Emitting: by the emitter that handlers ask for, or by a plain function from anywhere.

How this works: a gateway has a hub of its own. The plain function speaks to that of the test client that is asking just
now, or of the gateway with listeners that was made last, or of the one that the settings describe.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import transaction

from hybrid_gateway.concurrency.unit_of_work import running_loop
from hybrid_gateway.events.event_delivery import Call, EventDelivery, HeldEvents
from hybrid_gateway.events.event_listeners import EventListener, EventTable
from hybrid_gateway.events.signal_bridge import SignalBridge
from hybrid_gateway.spelling import suggestion


class UnknownEvent(LookupError):
    """Nobody listens to an event: its name is misspelt, or no layer lists its listener."""


class Emitter:
    """Tells listeners of the gateway what has happened; a handler asks for it by its type.

    ``emit(OrderPaid(7))`` reaches those of the event's class, and of the classes above it; ``emit("order.paid",
    number=7)`` those of the name. They run once the answer of the request is sent, outside of requests at once.
    """

    def __init__(self, delivery: EventDelivery) -> None:
        self.delivery = delivery
        self.table = EventTable()
        self._bridges: list[SignalBridge] = []

    def __call__(self, event: object, /, *args: object, on_commit: bool | str = False, **kwargs: object) -> None:
        """Tell all listeners of ``event``; never waits for them in a request, and raises nothing of theirs.

        With ``on_commit`` (``True``, or the alias of a database) they are told once the current transaction is
        committed, not at all if that is rolled back. Raises :class:`UnknownEvent` where nobody listens, ``TypeError``
        for arguments that do not fit, and ``RuntimeError`` for ``on_commit`` in ``async def`` code.
        """
        self._deliver(self._calls(event, args, kwargs), on_commit)

    def publish(self, table: EventTable) -> None:
        """Let ``table`` take the place of the listeners so far."""
        for bridge in self._bridges:
            bridge.disconnect()
        self.table = table
        self._bridges = [SignalBridge(listener, self._deliver) for listener in table.of_signals]
        if table:
            _latest[:] = [weakref.ref(self)]

    @contextmanager
    def held(self) -> Iterator[HeldEvents]:
        """In tests: keep what is emitted meanwhile, by the plain function too, for the caller to run."""
        _asking.append(self)
        try:
            with self.delivery.held() as held:
                yield held
        finally:
            _asking.remove(self)

    def _deliver(self, calls: list[Call], on_commit: bool | str) -> None:
        if on_commit is False:
            self.delivery.deliver(calls)
            return
        if running_loop() is not None:
            raise RuntimeError("emit(on_commit=...) is for a transaction, which belongs to a thread: emit in a `def`.")

        def deliver() -> None:  # DJANGO: 5.2 wants a name for its log of a failure, which a partial has not
            self.delivery.deliver(calls)

        transaction.on_commit(deliver, using=None if on_commit is True else on_commit, robust=True)

    def _calls(self, event: object, args: tuple[object, ...], kwargs: dict[str, object]) -> list[Call]:
        if isinstance(event, str):
            return self._calls_by_name(event, args, kwargs)
        if isinstance(event, type):
            raise TypeError(f"emit({event.__name__}): give an event, an instance of the class.")
        if args or kwargs:
            raise TypeError(f"emit({event!r}) takes the event alone.")
        found = [listener for kind in type(event).__mro__ for listener in self.table.by_class.get(kind, ())]
        if not found:
            raise UnknownEvent(f"Nobody listens to {type(event).__qualname__}: no layer lists a listener of it.")
        return [Call(listener, (event,), {}) for listener in found]

    def _calls_by_name(self, name: str, args: tuple[object, ...], kwargs: dict[str, object]) -> list[Call]:
        found = self.table.by_name.get(name, ())
        if not found:
            near = suggestion(name, self.table.by_name, word="event")
            raise UnknownEvent(f"Nobody listens to {name!r}.{near} A listener has to be listed: listeners=[...].")
        takes = found[0].takes
        if takes is not None:
            if not args:
                args, kwargs = (takes(**kwargs),), {}
            if kwargs or len(args) != 1 or not isinstance(args[0], takes):
                raise TypeError(f"emit({name!r}) takes one {takes.__name__}, or its fields by name.")
        for listener in found:
            listener.check(args, kwargs)
        return [Call(listener, args, kwargs) for listener in found]


_asking: list[Emitter] = []
_latest: list[weakref.ref[Emitter]] = []
_default: list[Callable[[], Emitter]] = []


def emit(event: object, /, *args: object, on_commit: bool | str = False, **kwargs: object) -> None:
    """Call the :class:`Emitter` of the process's gateway: in handlers, commands, tasks, receivers, on any thread."""
    current_emitter()(event, *args, on_commit=on_commit, **kwargs)


def current_emitter() -> Emitter:
    """Return the emitter of the process's gateway; raise :class:`UnknownEvent` where there is no gateway."""
    if _asking:
        return _asking[-1]
    latest = _latest[0]() if _latest else None
    if latest is not None:
        return latest
    if not _default:
        raise UnknownEvent("No gateway has been built, so nobody listens to anything.")
    return _default[0]()


def set_default_emitter(find: Callable[[], Emitter]) -> None:
    """Let ``find()`` return the emitter of the gateway that the settings describe."""
    _default[:] = [find]


__all__ = ["Emitter", "EventListener", "UnknownEvent", "current_emitter", "emit", "set_default_emitter"]
