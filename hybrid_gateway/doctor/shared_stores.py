"""Concern: can caches, stores and channels be reached, and are they the same for all processes?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from secrets import token_hex

from django.conf import settings
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache

from hybrid_gateway._compat.django_connection_internals import create_cache
from hybrid_gateway.caching import Cache
from hybrid_gateway.channels.hub import Hub
from hybrid_gateway.channels.process_channels import channels, make_backend
from hybrid_gateway.checks.package import logs_in
from hybrid_gateway.conf import get_settings
from hybrid_gateway.doctor.command_lines import ServerCommand
from hybrid_gateway.doctor.examined_project import Project
from hybrid_gateway.doctor.finding import Finding, Severity, found, together
from hybrid_gateway.doctor.live_questions import ask, reason_of
from hybrid_gateway.stores import Store, find_store
from hybrid_gateway.throttling import Throttle

_KEY = "hybrid_gateway:doctor"
_OF_ONE_PROCESS = ("django.core.cache.backends.locmem.LocMemCache", "hybrid_gateway.stores.MemoryStore")


def look_at_stores(project: Project) -> Iterator[Finding]:
    """Yield D060 caches and stores that do not answer, D061 those of one process that several need, D062 channels."""
    yield from _reached()
    yield from _of_one_process(project)
    yield from _channels(project)


def _reached() -> Iterator[Finding]:
    """Ask each; what is one and the same, named among the caches and among the stores, is one line."""
    said: dict[tuple[object, bool], tuple[str, list[str]]] = {}
    for name, where, find in _asked():
        reason = ""
        try:
            ask(partial(_write_and_read, find))
        except Exception as error:
            reason = reason_of(error)
        said.setdefault((where, not reason), (reason, []))[1].append(name)
    for reason, names in said.values():
        is_one = len(names) == 1
        if reason:
            message = f"{together(names)} {'does' if is_one else 'do'} not answer: {reason}"
            yield found("D060", Severity.BROKEN, message, place=names[0])
        else:
            yield found("D060", Severity.FINE, f"{together(names)} {'answers' if is_one else 'answer'}.")


def _asked() -> Iterator[tuple[str, object, Callable[[], BaseCache | Store]]]:
    """Yield the name of each cache and store, what two that are one have in common, and how it is found."""
    for alias, options in caches.settings.items():
        if options["BACKEND"] not in _OF_ONE_PROCESS and not options["BACKEND"].endswith("DummyCache"):
            yield f"CACHES[{alias!r}]", _place(options.get("LOCATION"), alias), partial(create_cache, alias)
    for name, entry in get_settings().stores.items():
        cache: str = entry.options.get("alias", "")
        location = caches.settings.get(cache, {}).get("LOCATION") if cache else entry.options.get("url")
        where = _place(location, cache or f"STORES: {name}")
        yield f'HYBRID_GATEWAY["STORES"][{name!r}]', where, partial(find_store, name)


def _place(location: object, otherwise: str) -> object:
    """Return the addresses of a server; ``otherwise`` where it is a name that means something to its class alone."""
    places = [location] if isinstance(location, str) else location
    is_address = isinstance(places, list | tuple) and any("://" in str(place) for place in places)
    return tuple(map(str, places)) if isinstance(places, list | tuple) and is_address else otherwise


def _write_and_read(find: Callable[[], BaseCache | Store]) -> None:
    """Keep a value of our own for a moment. Raises ``ConnectionError`` where it is not there: some hide errors."""
    store = find()
    key = f"{_KEY}:{token_hex(8)}"
    store.set_many({key: b"1"}, 10)
    for pause in (0.0, 0.1, 0.4):  # a replica may be a little behind
        time.sleep(pause)
        if store.get_many([key]):
            store.delete(key)
            return
    store.delete(key)
    raise ConnectionError("what was written cannot be read (a back end may hide its errors, as IGNORE_EXCEPTIONS does)")


def several_processes(project: Project) -> ServerCommand | None:
    """Return a command of production that starts more than one process."""
    return next((command for command in project.production if command.processes > 1), None)


# --- caches of one process -------------------------------------------------------------------------------------------


def _of_one_process(project: Project) -> Iterator[Finding]:
    command = several_processes(project)
    if command is None:
        return
    for name, what in _needed(project).items():
        stores = {name: entry.backend for name, entry in get_settings().stores.items()}
        backend = stores.get(name) or caches.settings.get(name, {}).get("BACKEND")
        if backend in _OF_ONE_PROCESS:
            message = (
                f"{command.place} starts {command.processes} processes, and {name!r} is the memory of one: "
                f"{'; '.join(dict.fromkeys(what))}."
            )
            severity = Severity.BROKEN if _SESSIONS in what else Severity.RISKY
            yield found("D061", severity, message, place=command.place, name=name)


_SESSIONS = "sessions are lost from one request to the next"


def _needed(project: Project) -> dict[str, list[str]]:
    """Return the names of caches and stores that something needs, and what would become of it."""
    needed: dict[str, list[str]] = {}

    def note(name: object, what: str) -> None:
        if isinstance(name, str):
            needed.setdefault(name, []).append(what)

    for endpoint in project.gateway.endpoints if project.gateway is not None else ():
        layers = endpoint.route.layers
        for _, throttle in layers.throttle:
            if isinstance(throttle, str | Throttle):
                note(
                    "default" if isinstance(throttle, str) else throttle.cache,
                    "each counts its own requests against the rate limits",
                )
        if layers.cache is not None:
            cache = layers.cache.cache if isinstance(layers.cache, Cache) else "default"
            note(cache, "invalidate() reaches one of them")
        if logs_in(endpoint):
            note(get_settings().tokens.throttle_cache, "each counts its own failed logins")
    if settings.SESSION_ENGINE == "django.contrib.sessions.backends.cache":
        note(settings.SESSION_CACHE_ALIAS, _SESSIONS)
    return needed


# --- channels --------------------------------------------------------------------------------------------------------


def _channels(project: Project) -> Iterator[Finding]:
    described = get_settings().channels
    if channels.is_shared:
        try:
            # Who is present where nobody ever is: a question that changes nothing.
            ask(lambda: Hub(make_backend(described)).members(_KEY))
        except Exception as error:
            yield found("D062", Severity.BROKEN, f"The back end of channels does not answer: {reason_of(error)}")
        else:
            yield found("D062", Severity.FINE, "The back end of channels answers.")
    command = several_processes(project)
    layer = getattr(settings, "CHANNEL_LAYERS", {}).get("default", {})
    if command is None:
        return
    if channels.declared and not channels.is_shared:
        name = sorted(channel.template.text for channel in channels.declared)[0]
        message = (
            f"{command.place} starts {command.processes} processes, and messages of {name} and others stay in one."
        )
        yield found("W026", Severity.RISKY, message, place=command.place)
    if isinstance(layer, dict) and str(layer.get("BACKEND", "")).endswith("InMemoryChannelLayer"):
        message = (
            f"{command.place} starts {command.processes} processes, and CHANNEL_LAYERS['default'] is the memory of one."
        )
        yield found("D063", Severity.RISKY, message, place=command.place)
