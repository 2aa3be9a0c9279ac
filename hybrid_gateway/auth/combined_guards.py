"""Guards made of guards. Each is asked once, in order, and only as long as the verdict is open."""

from __future__ import annotations

from hybrid_gateway.access_control import Guard, as_guard
from hybrid_gateway.exceptions import ConfigurationError

__all__ = ["AllOf", "AnyOf"]


class _Combined(Guard):
    """Several guards; the planner of a route asks them one by one, each on the thread it needs."""

    def __init__(self, *guards: object) -> None:
        self._entries = guards
        if len(guards) < 2 or not all(callable(guard) for guard in guards):
            raise ConfigurationError(f"{self!r} needs two guards at least.")
        self.guards = tuple(as_guard(entry) for entry in guards)
        users_needed = [guard.needs_user for guard in self.guards]
        self.needs_user = all(users_needed) if self.combines == "any" else any(users_needed)
        self.looks_up = self.needs_user and any(guard.looks_up for guard in self.guards)

    def __repr__(self) -> str:
        shown = (entry.__name__ if hasattr(entry, "__name__") else repr(entry) for entry in self._entries)
        return f"{type(self).__name__}({', '.join(shown)})"


class AnyOf(_Combined):
    """Lets in whom one of these guards lets in; of several refusals that are raised the last is the response."""

    combines = "any"


class AllOf(_Combined):
    """Lets in whom every one of these guards lets in; for use inside :class:`AnyOf`, since layers add guards anyway."""

    combines = "all"
