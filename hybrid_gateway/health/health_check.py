"""Health checks as a project writes them."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.types import Handler

__all__ = ["HealthCheck", "Unhealthy", "as_health_check", "health_check"]


class Unhealthy(Exception):
    """Raised by a check to tell what is wrong. Whoever may ask ``/readyz`` reads its text: no secrets in it."""


class HealthCheck(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """A function that fails by raising, or by returning ``False``, and how it is run; see :func:`health_check`."""

    function: Handler
    name: str
    timeout: float = 2.0
    keep: float = 1.0

    def __call__(self, *args: object, **kwargs: object) -> object:
        """Call the function itself."""
        return self.function(*args, **kwargs)


def health_check(*, name: str | None = None, timeout: float = 2.0, keep: float = 1.0) -> Callable[..., HealthCheck]:
    """Make a function, sync or async, a check for ``HEALTH_CHECKS``.

    Its parameters are injected: components, ``State``, the ``Gateway``; nothing of a request, for many may share its
    outcome. It fails after ``timeout`` seconds. A good outcome is kept for ``keep`` seconds, a bad one for one at most.
    """
    if not timeout > 0:
        raise ConfigurationError(f"health_check(timeout={timeout!r}) needs a number of seconds above 0.")

    def decorate(function: Handler) -> HealthCheck:
        return HealthCheck(function=function, name=name or _name_of(function), timeout=timeout, keep=keep)

    return decorate


def as_health_check(entry: object) -> HealthCheck:
    """Return an entry of ``HEALTH_CHECKS`` as a check; raise :class:`ConfigurationError` for what is none."""
    if isinstance(entry, HealthCheck):
        return entry
    if not callable(entry):
        raise ConfigurationError(f"{entry!r} is no health check: HEALTH_CHECKS holds functions, or paths to them.")
    return HealthCheck(function=entry, name=_name_of(entry))


def _name_of(function: Handler) -> str:
    name: str = getattr(function, "__name__", type(function).__name__)
    return name
