"""System checks: what ``MIDDLEWARE`` does for Django's side, and typed routes, which do not pass it, may be missing.

Each names the routes that miss something: one that has it speaks for itself alone.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, TypeAlias

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.db import connections
from django.utils.module_loading import import_string

from hybrid_gateway.auth.csrf import CSRFProtect
from hybrid_gateway.checks.packages import PACKAGES, SAFE, Package, is_ours
from hybrid_gateway.locale import Locale

__all__ = ["missed_middleware", "told"]

Messages: TypeAlias = list[CheckMessage]

_SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
_CSRF = "django.middleware.csrf.CsrfViewMiddleware"
_LOCALE = "django.middleware.locale.LocaleMiddleware"
_LOGIN = "django.contrib.auth.middleware.LoginRequiredMiddleware"


def missed_middleware(endpoints: Iterable[Any]) -> Messages:
    """W030 sessions, W031 CSRF, W032 languages, W033 transactions, W034 required logins, W035 and E006 the others.

    Sessions and messages as such are no matter: a handler that asks for them has them.
    """
    _find.cache_clear()  # what could not be imported once may have come since
    found = [endpoint for endpoint in endpoints if not _is_page_of_ours(endpoint)]
    return [message for check in _CHECKS for message in check(found)] if found else []


def told(endpoints: Iterable[Any]) -> str:
    """The routes, by their methods and paths; three at most, and how many more."""
    names = list(dict.fromkeys(f"{endpoint.method} {endpoint.route.path}" for endpoint in endpoints))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _is_page_of_ours(endpoint: Any) -> bool:
    """The document, its pages, probes and metrics."""
    return not endpoint.route.layers.include_in_schema and is_ours(endpoint)


def _warning(message: str, hint: str, number: str) -> CheckMessage:
    return Warning(message, hint=hint, id=f"hybrid_gateway.{number}")


# --- who stands where ----------------------------------------------------------------------------------------------


def _stands(name: str) -> bool:
    """Whether Django's side passes the middleware, or one made of it."""
    return any(_covers(listed, name) for listed in settings.MIDDLEWARE)


def _passes(endpoint: Any, name: str) -> bool:
    """Whether a route passes the middleware, or one made of it."""
    return any(_covers(listed, name) for listed in endpoint.route.layers.django_middleware)


def _covers(listed: str, wanted: str) -> bool:
    if listed == wanted:
        return True
    one, other = _find(listed), _find(wanted)
    return one is not None and (one is other or (inspect.isclass(one) and other in one.__mro__))


@cache
def _find(name: str) -> Any:
    try:
        return import_string(name)
    except Exception:  # whoever builds the handler of Django's side will hear why
        return None


# --- Django's own --------------------------------------------------------------------------------------------------


def _sessions(endpoints: list[Any]) -> Messages:
    if not settings.SESSION_SAVE_EVERY_REQUEST or not _stands(_SESSIONS):
        return []
    # Where some ask for the session, the project has chosen which; whom a header authenticates has none to prolong.
    bare = [e for e in endpoints if not e.schemes and not _passes(e, _SESSIONS)]
    if not bare or any(endpoint.visits for endpoint in endpoints):
        return []
    return [
        _warning(
            f"SESSION_SAVE_EVERY_REQUEST prolongs no session by {told(bare)}, which open none.",
            "Authenticate by SessionAuthentication, or ask for hybrid_gateway.Session where a visit shall count.",
            "W030",
        )
    ]


def _csrf(endpoints: list[Any]) -> Messages:
    if not _stands(_CSRF):
        return []
    open_ones = [endpoint for endpoint in endpoints if endpoint.method not in SAFE and _trusts_cookies(endpoint)]
    if not open_ones:
        return []
    return [
        _warning(
            f"{told(open_ones)} may act on a cookie, and CsrfViewMiddleware does not stand before typed routes.",
            "Authenticate by SessionAuthentication, which checks the token, or add guards=[CSRFProtect]; say "
            "csrf_exempt=True where another site may send these requests.",
            "W031",
        )
    ]


def _trusts_cookies(endpoint: Any) -> bool:
    layers = endpoint.route.layers
    if layers.csrf_exempt or _passes(endpoint, _CSRF) or any(isinstance(guard, CSRFProtect) for guard in layers.guards):
        return False
    if endpoint.schemes:  # whoever sends an Authorization header has meant to, and cookie-borne schemes check
        return False
    return endpoint.reads_cookies or any(entry.source == "cookie" for entry in endpoint.inputs)


def _locale(endpoints: list[Any]) -> Messages:
    if not _stands(_LOCALE):
        return []
    bare = [e for e in endpoints if not _has_locale(e) and not _passes(e, _LOCALE)]
    if not bare:
        return []
    return [
        _warning(
            f"LocaleMiddleware does not stand before {told(bare)}, which speak LANGUAGE_CODE to everybody.",
            'Add "hybrid_gateway.locale.Locale" to HYBRID_GATEWAY["EVENT_HOOKS"], or to event_hooks of a layer.',
            "W032",
        )
    ]


def _has_locale(endpoint: Any) -> bool:
    hooks = endpoint.route.layers.event_hooks
    return any(issubclass(hook if inspect.isclass(hook) else type(hook), Locale) for hook in hooks)


def _atomic(endpoints: list[Any]) -> Messages:
    aliases = [alias for alias, database in connections.settings.items() if database["ATOMIC_REQUESTS"]]
    bare = [endpoint for endpoint in endpoints if endpoint.method not in SAFE and not endpoint.route.layers.atomic]
    if not aliases or not bare:
        return []
    return [
        _warning(
            f"ATOMIC_REQUESTS of DATABASES[{aliases[0]!r}] is Django's side's alone: {told(bare)} commit query by "
            "query.",
            'Set HYBRID_GATEWAY["ATOMIC"] or atomic=True on a layer; `async def` handlers call run_in_transaction.',
            "W033",
        )
    ]


def _login(endpoints: list[Any]) -> Messages:
    if not _stands(_LOGIN):
        return []
    bare = [e for e in endpoints if e.is_open and not e.route.layers.guards and not _passes(e, _LOGIN)]
    if not bare:
        return []
    return [
        _warning(
            f"LoginRequiredMiddleware does not stand before typed routes: anybody may call {told(bare)}.",
            'Set HYBRID_GATEWAY["GUARDS"] to ["hybrid_gateway.auth.IsAuthenticated"], and AllowAny on what is open.',
            "W034",
        )
    ]


# --- packages, and what the project has written --------------------------------------------------------------------


def _others(endpoints: list[Any]) -> Messages:
    groups: dict[str, tuple[Package, list[str]]] = {}
    for name in dict.fromkeys(settings.MIDDLEWARE):
        package = _package(name)
        if package is not None and package.remedy and not package.known_by:
            groups.setdefault(package.name, (package, []))[1].append(name)
    return [message for package, names in groups.values() for message in _missed(package, names, endpoints)]


def _missed(package: Package, names: list[str], endpoints: list[Any]) -> Messages:
    number = "E006" if package.is_error else "W035"
    if f"hybrid_gateway.{number}.{package.name}" in settings.SILENCED_SYSTEM_CHECKS:
        return []
    bare = [
        endpoint
        for endpoint in endpoints
        if package.concerns(endpoint)
        and not package.replaced(endpoint)
        and (package.verdict == "no" or not all(_passes(endpoint, name) for name in names))
    ]
    if not bare:
        return []
    known = f" of {package.name}" if package.name in PACKAGES else ""
    kind = Error if package.is_error else Warning
    return [
        kind(
            f"{' and '.join(names)}{known} {'does' if len(names) == 1 else 'do'} not stand before {told(bare)}.",
            hint=f"{package.remedy}{' See docs/packages.md.' if known else ''} To be told no more of this one, add "
            f'"hybrid_gateway.{number}.{package.name}" to SILENCED_SYSTEM_CHECKS.',
            id=f"hybrid_gateway.{number}",
        )
    ]


def _package(name: str) -> Package | None:
    """The package that the middleware, or what it is made of, belongs to; one of its own for what nobody knows."""
    for path in (name, *_bases(name)):
        if path in _DJANGOS:
            return _DJANGOS[path]
        if path.partition(".")[0] in _ROOTS:
            return _ROOTS[path.partition(".")[0]]
    if name.startswith(_AT_HOME) or any(_covers(name, ours) for ours in (_LOCALE, _LOGIN)):
        return None
    return _unknown(name)


def _bases(name: str) -> list[str]:
    kind = _find(name)
    return [f"{base.__module__}.{base.__qualname__}" for base in kind.__mro__] if inspect.isclass(kind) else []


def _unknown(name: str) -> Package:
    return Package(
        name=name,
        verdict="with",
        says="",
        middleware=(name,),
        remedy="List it in DJANGO_MIDDLEWARE or django_middleware= of a layer where it is needed, or write an event "
        "hook or ASGI middleware that does the same.",
    )


def _built_in(name: str, option: str, has: Callable[[Any], bool]) -> Package:
    return Package(
        name=name, verdict="with", says="", middleware=(name,), remedy=f"Say {option} on a layer.", replaced=has
    )


# Of no concern to typed routes, or looked after: by the checks above, by the dispatch, by schemes.
_AT_HOME = ("django.", "hybrid_gateway.", "django_browser_reload.", "servestatic.")

_ROOTS = {path.partition(".")[0]: package for package in PACKAGES.values() for path in package.middleware}

_DJANGOS = {
    package.name: package
    for package in (
        _built_in(
            "django.middleware.gzip.GZipMiddleware",
            "compression=True",
            lambda endpoint: bool(endpoint.route.layers.compression),
        ),
        _built_in(
            "django.middleware.http.ConditionalGetMiddleware",
            "etag=True",
            lambda endpoint: bool(endpoint.route.layers.etag),
        ),
        _built_in(
            "django.middleware.cache.FetchFromCacheMiddleware",
            "cache=60, in seconds,",
            lambda endpoint: endpoint.route.layers.cache is not None,
        ),
        _unknown("django.contrib.auth.middleware.RemoteUserMiddleware"),
        _unknown("django.contrib.sites.middleware.CurrentSiteMiddleware"),
    )
}

_CHECKS = (_sessions, _csrf, _locale, _atomic, _login, _others)
