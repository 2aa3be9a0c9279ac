"""Events: what happened, told to listeners once the answer is sent."""

from hybrid_gateway.events.emitter import Emitter, UnknownEvent, emit
from hybrid_gateway.events.event_listeners import on

__all__ = ["Emitter", "UnknownEvent", "emit", "on"]
