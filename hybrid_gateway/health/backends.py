"""Checks that most projects want: of databases, caches, and of a schema that fits the code."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from uuid import uuid4

from django.core.cache import caches as django_caches
from django.core.cache.backends.dummy import DummyCache
from django.db import connections

from hybrid_gateway.cache_connections import thread_cache
from hybrid_gateway.health.health_check import Unhealthy, health_check

__all__ = ["caches", "databases", "migrations"]

logger = logging.getLogger("hybrid_gateway")


@health_check()
def databases() -> None:
    """Check that every alias of ``DATABASES`` answers ``SELECT 1``; those that do not are named."""

    def ask(alias: str) -> None:
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()

    _each(connections, ask)


@health_check()
def caches() -> None:
    """Check that every alias of ``CACHES`` gives back what was put there; those that do not are named."""

    def ask(alias: str) -> None:
        cache, value = thread_cache(alias), uuid4().hex
        cache.set(f"hybrid_gateway.health:{value}", value, timeout=10)
        if cache.get(f"hybrid_gateway.health:{value}") != value and not isinstance(cache, DummyCache):
            raise Unhealthy(f"{alias} keeps nothing")
        cache.delete(f"hybrid_gateway.health:{value}")

    _each(django_caches.settings, ask)


@health_check(timeout=10.0, keep=60.0)
def migrations() -> None:
    """Check that no database lacks a migration; reading them takes a while, so the outcome is good for a minute."""
    from django.db.migrations.executor import MigrationExecutor  # the loader imports models

    def ask(alias: str) -> None:
        executor = MigrationExecutor(connections[alias])
        waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if waiting:
            raise Unhealthy(f"{alias} lacks {len(waiting)} migration{'s' if len(waiting) > 1 else ''}")

    _each(connections, ask)


def _each(aliases: Iterable[str], ask: Callable[[str], None]) -> None:
    failed = []
    for alias in aliases:
        try:
            ask(alias)
        except Unhealthy as error:
            failed.append(str(error))
        except Exception as error:
            # SECURITY: drivers write hosts and users into their messages, which are for the log alone.
            logger.warning("Health check of %r: %s", alias, error)
            failed.append(alias)
    if failed:
        raise Unhealthy(", ".join(failed))
