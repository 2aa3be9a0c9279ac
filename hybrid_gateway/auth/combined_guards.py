"""Guards made of guards. Each is asked once, in order, and only as long as the answer is open."""

from __future__ import annotations

from typing import Any, ClassVar

from hybrid_gateway.exceptions import ConfigurationError

__all__ = ["AllOf", "AnyOf"]


class _Combined:
    """Several guards; the planner of a route asks them one by one, each on the thread it needs."""

    combines: ClassVar[str]

    def __init__(self, *guards: Any) -> None:
        if len(guards) < 2 or not all(callable(guard) or hasattr(guard, "combines") for guard in guards):
            raise ConfigurationError(f"{self._show(guards)} needs two guards at least.")
        self.guards = guards

    @property
    def looks_up(self) -> bool:
        """Whether an object is looked up for some guard, and nobody passes whom no scheme knows."""
        return self.needs_user and any(getattr(guard, "looks_up", False) for guard in self.guards)

    @property
    def needs_user(self) -> bool:
        raise NotImplementedError

    def _show(self, guards: tuple[Any, ...]) -> str:
        shown = (guard.__name__ if hasattr(guard, "__name__") else repr(guard) for guard in guards)
        return f"{type(self).__name__}({', '.join(shown)})"

    def __repr__(self) -> str:
        return self._show(self.guards)


class AnyOf(_Combined):
    """Lets in whom at least one of these guards lets in; of several refusals that are raised the last is the answer."""

    combines = "any"

    @property
    def needs_user(self) -> bool:
        return all(getattr(guard, "needs_user", False) for guard in self.guards)


class AllOf(_Combined):
    """Lets in whom every one of these guards lets in; for use inside :class:`AnyOf`, since layers add guards anyway."""

    combines = "all"

    @property
    def needs_user(self) -> bool:
        return any(getattr(guard, "needs_user", False) for guard in self.guards)
