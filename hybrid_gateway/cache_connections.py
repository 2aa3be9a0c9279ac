"""Django's caches for work on the gateway's threads: one connection per thread, used by one request after the other."""

from __future__ import annotations

import logging
import threading
from typing import Literal

from django.core.cache import BaseCache, caches
from django.core.signals import setting_changed
from django.dispatch import receiver

from hybrid_gateway._compat.django_connection_internals import create_cache

logger = logging.getLogger("hybrid_gateway")

_IN_PROCESS = ("django.core.cache.backends.locmem", "django.core.cache.backends.dummy")


class _ThreadCaches(threading.local):
    def __init__(self) -> None:
        self.made: dict[tuple[str, int], BaseCache] = {}


_own = _ThreadCaches()
_generation = 0
_down: set[str] = set()  # aliases; an outage is told at its beginning and its end, not by every request


def thread_cache(alias: str) -> BaseCache:
    """Return the cache ``alias`` of ``CACHES``, for the current thread.

    Django makes its caches anew for every context, and with each a pool of connections to Redis.
    """
    key = (alias, _generation)
    made = _own.made
    if key not in made:
        made[key] = create_cache(alias)
    return made[key]


def execution_mode(alias: str) -> Literal["inline", "thread"]:
    """Return where to ask the cache ``alias``: on the request's thread, where it waits for somebody else."""
    return "inline" if type(caches[alias]).__module__ in _IN_PROCESS else "thread"


def log_cache_down(alias: str, error: Exception) -> None:
    """Log that the cache ``alias`` has raised ``error``, once until it is reached again."""
    if alias not in _down:
        _down.add(alias)
        logger.warning("The cache %r cannot be reached: %s", alias, error)


def log_cache_up(alias: str) -> None:
    """Log that the cache ``alias`` is reached again, if it was not."""
    if alias in _down:
        _down.discard(alias)
        logger.warning("The cache %r is reached again.", alias)


@receiver(setting_changed, dispatch_uid="hybrid_gateway.cache_connections")
def _renew(*, setting: str, **kwargs: object) -> None:
    global _generation
    if setting == "CACHES":
        _generation += 1
        _down.clear()
