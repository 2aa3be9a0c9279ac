"""System check: receivers of Django's request signals, which routes send only where a layer says so."""

from __future__ import annotations

from collections.abc import Iterator

from django.core.checks import CheckMessage
from django.core.signals import request_finished, request_started

from hybrid_gateway.checks.messages import report
from hybrid_gateway.endpoints.request_signals import own_receivers
from hybrid_gateway.gateway.application import Gateway

_SIGNALS = {"request_started": request_started, "request_finished": request_finished}


def unreached_receivers(gateway: Gateway) -> Iterator[CheckMessage]:
    """Yield W055: receivers that are not Django's own, where no route sends the signal that they wait for."""
    if not gateway.endpoints or any(endpoint.route.layers.emit_signals for endpoint in gateway.endpoints):
        return
    for name, signal in _SIGNALS.items():
        found = [receiver for receivers in own_receivers(signal, type(gateway)) for receiver in receivers]
        names = dict.fromkeys(f"{one.__module__}.{getattr(one, '__qualname__', type(one).__name__)}" for one in found)
        if names:
            verb = "waits" if len(names) == 1 else "wait"
            yield report("W055", f"{', '.join(names)} {verb} for {name}, which no route sends.")
