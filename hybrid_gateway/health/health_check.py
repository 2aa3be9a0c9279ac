"""Health checks, as a project writes them and as probes ask for their outcome, any number of times.

How this works: every check runs in a task and on a pool thread of its own, however many probes wait for it, and its
outcome is good for a while. So probes cost the database one query a second, not one each. A check that hangs holds one
thread, since it is not run again before that thread is free.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from uuid import uuid4

import msgspec
from django.core.cache import caches as django_caches
from django.core.cache.backends.dummy import DummyCache
from django.db import connections

from hybrid_gateway.cache_connections import thread_cache
from hybrid_gateway.channels.process_channels import channels
from hybrid_gateway.concurrency.asgiref_bridge import separate_thread, thread_sensitive
from hybrid_gateway.concurrency.thread_pools import PooledThread
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.request.request_thread import RequestThread
from hybrid_gateway.types import Handler


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
    outcome. It fails after ``timeout`` seconds. A good outcome lasts ``keep`` seconds, a bad one one at most.
    """
    if not timeout > 0:
        raise ConfigurationError(f"health_check(timeout={timeout!r}) needs a number of seconds above 0.", id="H001")

    def decorate(function: Handler) -> HealthCheck:
        return HealthCheck(function=function, name=name or _name_of(function), timeout=timeout, keep=keep)

    return decorate


def as_health_check(entry: object) -> HealthCheck:
    """Return an entry of ``HEALTH_CHECKS`` as a check; raise :class:`ConfigurationError` for what is none."""
    if isinstance(entry, HealthCheck):
        return entry
    if not callable(entry):
        raise ConfigurationError(
            f"{entry!r} is no health check: HEALTH_CHECKS holds functions, or paths to them.", id="H014"
        )
    return HealthCheck(function=entry, name=_name_of(entry))


def _name_of(function: Handler) -> str:
    name: str = getattr(function, "__name__", type(function).__name__)
    return name


logger = logging.getLogger("hybrid_gateway")

MAX_FAILURE_AGE = 1.0  # seconds for which a bad outcome is good


class Readiness:
    """The health of the process. ``not_ready_reason()`` tells why no check matters now, if so: starting, draining."""

    def __init__(self, probes: Sequence[Probe], not_ready_reason: Callable[[], str | None]) -> None:
        self._probes = probes
        self._not_ready_reason = not_ready_reason

    async def ask(self) -> tuple[bool, dict[str, str]]:
        """Return whether the process is ready, and each check by name: ``"ok"``, or what is wrong, without secrets."""
        reason = self._not_ready_reason()
        if reason is not None:
            return False, {"gateway": reason}
        faults = await asyncio.gather(*(probe.fault() for probe in self._probes))
        outcomes = {probe.name: fault or "ok" for probe, fault in zip(self._probes, faults, strict=True)}
        return not any(faults), outcomes


class Probe:
    """One check; ``run(thread)`` runs it, injected parameters and all, with its blocking work on ``thread``."""

    def __init__(self, check: HealthCheck, run: Callable[[RequestThread], Awaitable[object]]) -> None:
        self.name = check.name
        self._check = check
        self._run = run
        self._thread: RequestThread | None = None
        self._task: asyncio.Task[None] | None = None
        self._fault: str | None = None
        self._until = 0.0

    async def fault(self) -> str | None:
        """Return what is wrong, if anything; at most as old as the check allows, and known after its time-out."""
        if time.monotonic() < self._until:
            return self._fault
        task = self._task
        if task is None or task.get_loop() is not asyncio.get_running_loop():
            if isinstance(self._thread, PooledThread) and self._thread.busy:
                return self._record("still running", None)
            task = self._task = asyncio.create_task(self._ask())
        await asyncio.wait((task,), timeout=self._check.timeout)
        if not task.done():
            task.cancel()
            self._task = None
            return self._record(f"no answer within {self._check.timeout:g} s", None)
        return self._fault

    async def _ask(self) -> None:
        thread = self._thread = separate_thread()
        try:
            with thread_sensitive(thread):
                healthy = await self._run(thread)
            self._record("failed" if healthy is False else None, None)
        except Unhealthy as error:
            self._record(str(error) or "failed", None)
        except Exception as error:
            # SECURITY: its text is for the log: drivers write hosts, users and worse into it.
            self._record("failed", error)
        finally:
            thread.release()
            if self._task is asyncio.current_task():
                self._task = None

    def _record(self, fault: str | None, error: Exception | None) -> str | None:
        """Record the outcome, and log when it is another than before: probes come every few seconds."""
        if fault is not None and self._fault is None:
            logger.warning("The health check %r fails: %s", self.name, fault, exc_info=error)
        elif fault is None and self._fault is not None:
            logger.warning("The health check %r succeeds again", self.name)
        self._fault = fault
        self._until = time.monotonic() + (self._check.keep if fault is None else min(self._check.keep, MAX_FAILURE_AGE))
        return fault


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


@health_check(name="channels")
async def channel_backend() -> None:
    """Check that the back end of channels is connected; it costs nothing, since the connection itself tells."""
    if channels.fault is not None:
        raise Unhealthy(channels.fault)


def usual_checks() -> tuple[HealthCheck, ...]:
    """Return the checks that are made whatever ``HEALTH_CHECKS`` holds: of channels that reach other processes."""
    return (channel_backend,) if channels.is_shared else ()


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
