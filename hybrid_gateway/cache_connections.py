"""Django's caches for work on the gateway's threads: one connection per thread, kept from request to request."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from typing import Any, Literal

from django.core.cache import caches
from django.core.signals import setting_changed

from hybrid_gateway._compat.django_connection_internals import create_cache

__all__ = ["execution_mode", "log_cache_up", "log_cache_down", "thread_cache"]

logger = logging.getLogger("hybrid_gateway")

_IN_PROCESS = ("django.core.cache.backends.locmem", "django.core.cache.backends.dummy")

_own = threading.local()
_generation = 0
_down: set[str] = set()  # aliases; an outage is told at its beginning and its end, not by every request


def thread_cache(alias: str) -> Any:
    """The cache ``alias`` of ``CACHES``, for the current thread.

    Django makes its caches anew for every context, and with each a pool of connections to Redis.
    """
    key = (alias, _generation)
    own: dict[Any, Any] = _own.__dict__
    if key not in own:
        own[key] = create_cache(alias)
    return own[key]


def execution_mode(aliases: Iterable[str]) -> Literal["inline", "thread"]:
    """Where to ask them: on the request's thread, where that waits for somebody else."""
    modules = [type(caches[alias]).__module__ for alias in aliases]
    return "inline" if all(module in _IN_PROCESS for module in modules) else "thread"


def log_cache_down(alias: str, error: Exception) -> None:
    """The cache ``alias`` has raised ``error``: say so, once until it is reached again."""
    if alias not in _down:
        _down.add(alias)
        logger.warning("The cache %r cannot be reached: %s", alias, error)


def log_cache_up(alias: str) -> None:
    """The cache ``alias`` has answered."""
    if alias in _down:
        _down.discard(alias)
        logger.warning("The cache %r is reached again.", alias)


def _renew(*, setting: str, **kwargs: Any) -> None:
    global _generation
    if setting == "CACHES":
        _generation += 1
        _down.clear()


setting_changed.connect(_renew, dispatch_uid="hybrid_gateway.cache_connections")
