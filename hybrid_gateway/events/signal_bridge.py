"""Signals of Django's as events: a receiver for each listener, connected as long as its gateway lives."""

from __future__ import annotations

from collections.abc import Callable

from django.dispatch import Signal

from hybrid_gateway.events.event_delivery import Call
from hybrid_gateway.events.event_listeners import EventListener


class SignalBridge:
    """Receives the signal of one listener, and has the listener run later."""

    def __init__(self, listener: EventListener, deliver: Callable[[list[Call], bool | str], None]) -> None:
        self._listener = listener
        self._deliver = deliver
        signal = listener.interest.event
        assert isinstance(signal, Signal)
        self._signal = signal
        # Weak: a gateway that nobody refers to any more hears nothing.
        signal.connect(self.receive, sender=listener.interest.sender)

    def receive(self, **kwargs: object) -> None:
        """Have the listener called with those arguments of the signal that it has parameters for."""
        listener = self._listener
        named = listener.named(kwargs)
        listener.check((), named)
        self._deliver([Call(listener, (), named)], listener.interest.on_commit)

    def disconnect(self) -> None:
        """Receive no more."""
        self._signal.disconnect(self.receive, sender=self._listener.interest.sender)
