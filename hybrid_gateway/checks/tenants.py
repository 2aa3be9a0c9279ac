"""System checks: whose rows a connection shows is chosen by middleware that typed routes do not pass.

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
from types import CodeType, FunctionType, ModuleType
from typing import Any, TypeAlias

from asgiref.local import Local
from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.utils.module_loading import import_string

from hybrid_gateway.checks.missed_middleware import missed_middleware, told
from hybrid_gateway.checks.packages import PACKAGES, module_of
from hybrid_gateway.exceptions import ConfigurationError

__all__ = ["missed_tenants", "refuse_open_doors"]

Messages: TypeAlias = list[CheckMessage]


def missed_tenants(endpoints: Iterable[Any]) -> Messages:
    """E040: middleware that chooses whose rows are seen, itself or for a router, and routes that do not pass it."""
    own = [endpoint for endpoint in endpoints if not module_of(endpoint).startswith(_OURS)]
    messages: Messages = []
    for name in dict.fromkeys(settings.MIDDLEWARE):
        middleware = _import(name)
        bare = [endpoint for endpoint in own if name not in endpoint.route.layers.django_middleware]
        if middleware is None or not bare or _is_known(name, middleware):
            continue
        reason = _reason(middleware)
        if reason is not None:
            messages.append(
                Error(
                    f"{name} {reason}, and does not stand before {told(bare)}: they would see the rows of others.",
                    hint=f'List "{name}" in HYBRID_GATEWAY["DJANGO_MIDDLEWARE"], or in django_middleware= of the '
                    "layers whose routes need it. Silence this where the others really need none.",
                    id="hybrid_gateway.E040",
                )
            )
    return messages


def refuse_open_doors(endpoints: Iterable[Any]) -> None:
    """At the start of a server, which runs no checks: raise :class:`ConfigurationError` for E006 and E040."""
    found = list(endpoints)
    doors = [message for message in (*missed_middleware(found), *missed_tenants(found)) if message.is_serious()]
    for message in doors:
        if not message.is_silenced():
            raise ConfigurationError(f"{message.msg} {message.hint} ({message.id})")


# Pages of ours that show nobody's rows.
_OURS = ("hybrid_gateway.openapi", "hybrid_gateway.health", "hybrid_gateway.sessions", "hybrid_gateway.telemetry")


def _import(name: str) -> Any:
    try:
        return import_string(name)
    except Exception:  # whoever builds the handler of Django's side will hear why
        return None


def _is_known(name: str, middleware: Any) -> bool:
    """Whether Django's own, or E006's."""
    names = [name, *(f"{kind.__module__}.{kind.__qualname__}" for kind in getattr(middleware, "__mro__", ()))]
    errors = [path for package in PACKAGES.values() if package.is_error for path in package.middleware]
    return name.startswith(("django.", "hybrid_gateway.")) or any(path in names for path in errors)


def _reason(middleware: Any) -> str | None:
    if any(map(_chooses, _functions(middleware))):
        return "chooses what connections show"
    state = _state(middleware)
    for name in settings.DATABASE_ROUTERS:
        router = _import(name) if isinstance(name, str) else type(name)
        if router is not None and _routes(router) and not state.isdisjoint(_state(router)):
            return f"decides for {name if isinstance(name, str) else router.__qualname__} which database is asked"
    return None


# --- what code does --------------------------------------------------------------------------------------------------


def _functions(thing: Any) -> Iterator[FunctionType]:
    """The functions that a class or a factory of middleware is made of, Django's own left out."""
    for kind in getattr(thing, "__mro__", (thing,)):
        if getattr(kind, "__module__", "").startswith(("django.", "builtins")):
            continue
        for value in vars(kind).values() if inspect.isclass(kind) else [kind]:
            function = inspect.unwrap(getattr(value, "__func__", value)) if callable(value) else None
            if isinstance(function, FunctionType):
                yield function


def _codes(code: CodeType) -> Iterator[CodeType]:
    """A function's code and that of the functions inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _chooses(function: FunctionType) -> bool:
    for code in _codes(function.__code__):
        texts = [text for text in code.co_consts if isinstance(text, str) and text != function.__doc__]
        if not _CHOICES.isdisjoint(code.co_names) or any(map(_SET.search, texts)):
            return True
    return False


# What packages call it, and what a project writes itself.
_CHOICES = frozenset({"set_tenant", "set_schema", "set_current_tenant", "activate_tenant", "set_current_schema"})
_SET = re.compile(
    r"^\s*SET\s+(?:SESSION\s+|LOCAL\s+)?(?:search_path|role|authorization|\w+\.\w+|@\w+)(?:\s*=|\s+\S|\s*$)"
    r"|^\s*SELECT\s+(?:pg_catalog\.)?set_config\s*\(|^\s*USE\s+\S+\s*;?\s*$",
    re.IGNORECASE,
)


# --- what it knows ---------------------------------------------------------------------------------------------------


def _routes(router: Any) -> bool:
    return hasattr(router, "db_for_read") or hasattr(router, "db_for_write")


def _state(thing: Any) -> set[int]:
    """Thread locals and context variables that the functions of ``thing``, and those that they name, can reach."""
    found: set[int] = set()
    seen: set[int] = set()
    waiting = [(function, 0) for function in _functions(thing)]
    while waiting:
        function, depth = waiting.pop()
        if id(function) in seen:
            continue
        seen.add(id(function))
        for value in _named(function):
            if isinstance(value, _STATE):
                found.add(id(value))
            elif isinstance(value, FunctionType) and depth < 3:
                waiting.append((value, depth + 1))
    return found


def _named(function: FunctionType) -> Iterator[Any]:
    """The globals that a function names, and what it takes from modules."""
    for code in _codes(function.__code__):
        for step in dis.get_instructions(code):
            if step.opname == "LOAD_GLOBAL":
                value = function.__globals__.get(step.argval)
                yield value
                if isinstance(value, ModuleType) and not value.__name__.startswith("django."):
                    yield from (getattr(value, name, None) for name in code.co_names)


_STATE = (threading.local, Local, ContextVar)
