"""System checks: middleware chooses whose rows a connection shows, and typed routes do not pass it.

How this works: middleware that chooses is found by what its code does (``connection.set_tenant(...)``, ``SET ROLE``),
and a router of connections that follows a middleware by the state that both know: a thread local, a context variable.
"""

from __future__ import annotations

import dis
import inspect
import re
import threading
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from itertools import islice
from types import CodeType, FunctionType, ModuleType

from asgiref.local import Local
from django.conf import settings
from django.core.checks import CheckMessage

from hybrid_gateway.checks.front_ends import unbuilt_front_ends
from hybrid_gateway.checks.messages import name_routes, report
from hybrid_gateway.checks.missed_middleware import import_or_none, missed_by_websockets, missed_middleware
from hybrid_gateway.checks.package import module_of
from hybrid_gateway.checks.packages import PACKAGES
from hybrid_gateway.endpoints.endpoint import Endpoint
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.gateway.application import Gateway
from hybrid_gateway.gateway.settings_gateway import default_gateway
from hybrid_gateway.problems import TAG

# Pages of ours that show nobody's rows.
_OURS = tuple(f"hybrid_gateway.{room}" for room in ("health", "openapi", "sessions", "static_files", "telemetry"))


def missed_tenants(endpoints: Iterable[Endpoint]) -> Iterator[CheckMessage]:
    """Yield E040: middleware that chooses whose rows are seen, itself or for a router, and routes do not pass it."""
    own = [endpoint for endpoint in endpoints if not module_of(endpoint).startswith(_OURS)]
    for name, reason in _that_choose():
        bare = [endpoint for endpoint in own if name not in endpoint.route.layers.django_middleware]
        if bare:
            message = f"{name} {reason}, and does not stand before {name_routes(bare)}"
            yield report("E040", f"{message}: they would see the rows of others.", name=name)


def websockets_without_tenants(websockets: Iterable[Endpoint]) -> Iterator[CheckMessage]:
    """Yield E041: middleware that chooses whose rows are seen, which no route of websockets passes."""
    found = list(websockets)
    for name, reason in _that_choose() if found else ():
        message = f"{name} {reason}, and cannot stand before {name_routes(found)}"
        yield report("E041", f"{message}: they would see the rows of others.", name=name)


def _that_choose() -> Iterator[tuple[str, str]]:
    """Yield middleware of the project that chooses whose rows are seen, and how it does."""
    others = [
        name for name in dict.fromkeys(settings.MIDDLEWARE) if not name.startswith(("django.", "hybrid_gateway."))
    ]
    of_packages = {path for package in PACKAGES.values() if package.is_error for path in package.middleware}  # E006
    for name in others:
        middleware = import_or_none(name)
        bases = {f"{kind.__module__}.{kind.__qualname__}" for kind in getattr(middleware, "__mro__", ())}
        if middleware is not None and of_packages.isdisjoint({name, *bases}):
            for reason in islice(_reasons(middleware), 1):
                yield name, reason


def _reasons(middleware: object) -> Iterator[str]:
    if any(map(_chooses_rows, _functions(middleware))):
        yield "chooses what connections show"
    # PERF: without routers nobody asks, and reading what WhiteNoise's functions name is a quarter of Django's setup.
    state = _state(middleware) if settings.DATABASE_ROUTERS else set()
    for entry in settings.DATABASE_ROUTERS:
        router = import_or_none(entry) if isinstance(entry, str) else type(entry)
        is_router = hasattr(router, "db_for_read") or hasattr(router, "db_for_write")
        if is_router and not state.isdisjoint(_state(router)):
            name = entry if isinstance(entry, str) else type(entry).__qualname__
            yield f"decides for {name} which database is asked"


def serving_gateway() -> Gateway:
    """Return the gateway of the settings, for a server, which runs no checks; raise where E006, E040 or E041 says,
    and W050 without ``DEBUG``.
    """
    gateway = default_gateway()
    endpoints = list(gateway.endpoints)
    websockets = list(gateway.websockets)
    for message in (
        *(*missed_middleware(endpoints), *missed_tenants(endpoints)),
        *(*missed_by_websockets(websockets), *websockets_without_tenants(websockets)),
    ):
        if message.is_serious() and not message.is_silenced():
            raise _of_check(message)
    for message in () if settings.DEBUG else unbuilt_front_ends(gateway):
        if not message.is_silenced():
            raise _of_check(message)
    return gateway


def _of_check(message: CheckMessage) -> ConfigurationError:
    """Return what a check says as an error of the start; both have one id."""
    hint = (message.hint or "").partition("\n")[0]
    return ConfigurationError(f"{message.msg} {hint}", id=(message.id or "").removeprefix(f"{TAG}."))


# --- what code does --------------------------------------------------------------------------------------------------


def _functions(thing: object) -> Iterator[FunctionType]:
    """Yield the functions that a class or a factory of middleware is made of, Django's own left out."""
    for kind in getattr(thing, "__mro__", (thing,)):
        if getattr(kind, "__module__", "").startswith(("django.", "builtins")):
            continue
        for value in vars(kind).values() if inspect.isclass(kind) else [kind]:
            function = inspect.unwrap(getattr(value, "__func__", value)) if callable(value) else None
            if isinstance(function, FunctionType):
                yield function


def _codes(code: CodeType) -> Iterator[CodeType]:
    """Yield a function's code and that of the functions inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _chooses_rows(function: FunctionType) -> bool:
    for code in _codes(function.__code__):
        texts = [text for text in code.co_consts if isinstance(text, str) and text != function.__doc__]
        if not _CHOICES.isdisjoint(code.co_names) or any(map(_SET.search, texts)):
            return True
    return False


# The names that packages give to it, and the statements of a project's own.
_CHOICES = frozenset({"set_tenant", "set_schema", "set_current_tenant", "activate_tenant", "set_current_schema"})
_SET = re.compile(
    r"^\s*SET\s+(?:SESSION\s+|LOCAL\s+)?(?:search_path|role|authorization|\w+\.\w+|@\w+)(?:\s*=|\s+\S|\s*$)"
    r"|^\s*SELECT\s+(?:pg_catalog\.)?set_config\s*\(|^\s*USE\s+\S+\s*;?\s*$",
    re.IGNORECASE,
)


# --- what it knows ---------------------------------------------------------------------------------------------------


def _state(thing: object) -> set[int]:
    """Return the ids of thread locals and context variables that its functions, and those they name, can reach."""
    found: set[int] = set()
    seen: set[FunctionType] = set()
    waiting = [(function, 0) for function in _functions(thing)]
    while waiting:
        function, depth = waiting.pop()
        if function in seen:
            continue
        seen.add(function)
        for value in _named_globals(function):
            if isinstance(value, threading.local | Local | ContextVar):
                found.add(id(value))
            elif isinstance(value, FunctionType) and depth < 3:
                waiting.append((value, depth + 1))
    return found


def _named_globals(function: FunctionType) -> Iterator[object]:
    """Yield the globals that a function names, and the attributes that it takes of modules."""
    for code in _codes(function.__code__):
        for step in dis.get_instructions(code):
            if step.opname == "LOAD_GLOBAL":
                value = function.__globals__.get(step.argval)
                yield value
                if isinstance(value, ModuleType) and not value.__name__.startswith("django."):
                    yield from (getattr(value, name, None) for name in code.co_names)
