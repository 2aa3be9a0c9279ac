"""System checks: what ``MIDDLEWARE`` does for Django's side, and typed routes, which do not pass it, may be missing."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from django.conf import settings
from django.core.checks import CheckMessage, Warning
from django.db import connections

from hybrid_gateway.auth.csrf import CSRFProtect
from hybrid_gateway.locale import Locale

__all__ = ["missed_middleware"]

Messages: TypeAlias = list[CheckMessage]

_SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")

_SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
_CSRF = "django.middleware.csrf.CsrfViewMiddleware"
_LOCALE = "django.middleware.locale.LocaleMiddleware"
_LOGIN = "django.contrib.auth.middleware.LoginRequiredMiddleware"


def missed_middleware(endpoints: Iterable[Any]) -> Messages:
    """W030 sessions, W031 CSRF, W032 languages, W033 transactions, W034 required logins, W035 other middleware.

    Sessions and messages as such are no matter: a handler that asks for them has them.
    """
    found = [endpoint for endpoint in endpoints if endpoint.route.layers.include_in_schema]
    return [message for check in _CHECKS for message in check(found)] if found else []


def _warning(message: str, hint: str, number: str) -> CheckMessage:
    return Warning(message, hint=hint, id=f"hybrid_gateway.{number}")


def _passed_by(endpoints: Iterable[Any], name: str) -> bool:
    return any(name in endpoint.route.layers.django_middleware for endpoint in endpoints)


def _told(endpoints: Iterable[Any]) -> str:
    names = list(dict.fromkeys(f"{endpoint.method} {endpoint.route.path}" for endpoint in endpoints))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _sessions(endpoints: list[Any]) -> Messages:
    if _SESSIONS not in settings.MIDDLEWARE or not settings.SESSION_SAVE_EVERY_REQUEST:
        return []
    if any(endpoint.visits for endpoint in endpoints) or _passed_by(endpoints, _SESSIONS):
        return []
    return [
        _warning(
            "SESSION_SAVE_EVERY_REQUEST prolongs no session by requests of typed routes, none of which opens one.",
            "Authenticate by SessionAuthentication, or ask for hybrid_gateway.Session where a visit shall count.",
            "W030",
        )
    ]


def _csrf(endpoints: list[Any]) -> Messages:
    if _CSRF not in settings.MIDDLEWARE:
        return []
    open_ones = [endpoint for endpoint in endpoints if endpoint.method not in _SAFE and _trusts_cookies(endpoint)]
    if not open_ones:
        return []
    return [
        _warning(
            f"{_told(open_ones)} may act on a cookie, and CsrfViewMiddleware does not stand before typed routes.",
            "Authenticate by SessionAuthentication, which checks the token, or add guards=[CSRFProtect]; say "
            "csrf_exempt=True where another site may send these requests.",
            "W031",
        )
    ]


def _trusts_cookies(endpoint: Any) -> bool:
    layers = endpoint.route.layers
    if layers.csrf_exempt or _CSRF in layers.django_middleware or any(map(_protects, layers.guards)):
        return False
    if endpoint.schemes:  # whoever sends an Authorization header has meant to, and cookie-borne schemes check
        return False
    return endpoint.reads_cookies or any(entry.source == "cookie" for entry in endpoint.inputs)


def _protects(guard: Any) -> bool:
    return guard is CSRFProtect or isinstance(guard, CSRFProtect)


def _locale(endpoints: list[Any]) -> Messages:
    hooked = any(_is_locale(hook) for endpoint in endpoints for hook in endpoint.route.layers.event_hooks)
    if _LOCALE not in settings.MIDDLEWARE or hooked or _passed_by(endpoints, _LOCALE):
        return []
    return [
        _warning(
            "LocaleMiddleware does not stand before typed routes: they speak LANGUAGE_CODE to everybody.",
            'Add "hybrid_gateway.locale.Locale" to HYBRID_GATEWAY["EVENT_HOOKS"], or to event_hooks of a layer.',
            "W032",
        )
    ]


def _is_locale(hook: Any) -> bool:
    return issubclass(hook if inspect.isclass(hook) else type(hook), Locale)


def _atomic(endpoints: list[Any]) -> Messages:
    aliases = [alias for alias, database in connections.settings.items() if database["ATOMIC_REQUESTS"]]
    bare = [endpoint for endpoint in endpoints if endpoint.method not in _SAFE and not endpoint.route.layers.atomic]
    if not aliases or not bare:
        return []
    return [
        _warning(
            f"ATOMIC_REQUESTS of DATABASES[{aliases[0]!r}] is Django's side's alone: {_told(bare)} commit query by "
            "query.",
            'Set HYBRID_GATEWAY["ATOMIC"] or atomic=True on a layer; `async def` handlers call run_in_transaction.',
            "W033",
        )
    ]


def _login(endpoints: list[Any]) -> Messages:
    bare = [endpoint for endpoint in endpoints if endpoint.is_open and not endpoint.route.layers.guards]
    if _LOGIN not in settings.MIDDLEWARE or not bare or _passed_by(endpoints, _LOGIN):
        return []
    return [
        _warning(
            f"LoginRequiredMiddleware does not stand before typed routes: anybody may call {_told(bare)}.",
            'Set HYBRID_GATEWAY["GUARDS"] to ["hybrid_gateway.auth.IsAuthenticated"], and AllowAny on what is open.',
            "W034",
        )
    ]


def _others(endpoints: list[Any]) -> Messages:
    names = [name for name in settings.MIDDLEWARE if not name.startswith(_AT_HOME) and not _passed_by(endpoints, name)]
    layers = [endpoint.route.layers for endpoint in endpoints]
    names += [
        name for name, (_, used) in _BUILT_IN.items() if name in settings.MIDDLEWARE and not any(map(used, layers))
    ]
    if not names:
        return []
    remedies = [f"{_BUILT_IN[name][0]} is ours for {name.rpartition('.')[2]}" for name in names if name in _BUILT_IN]
    return [
        _warning(
            f"Typed routes do not pass {', '.join(names)}.",
            "List what they need in DJANGO_MIDDLEWARE or django_middleware= of a layer, write an event hook or ASGI "
            "middleware that does the same, or silence this check." + "".join(f" {remedy}." for remedy in remedies),
            "W035",
        )
    ]


# Of no concern to typed routes, or looked after: by the checks above, by the dispatch, by schemes.
_AT_HOME = ("django.", "hybrid_gateway.", "whitenoise.", "debug_toolbar.", "django_browser_reload.")

_BUILT_IN: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "django.middleware.gzip.GZipMiddleware": ("compression=True", lambda layers: bool(layers.compression)),
    "django.middleware.http.ConditionalGetMiddleware": ("etag=True", lambda layers: layers.etag),
    "django.middleware.cache.FetchFromCacheMiddleware": ("cache=seconds", lambda layers: layers.cache is not None),
}

_CHECKS = (_sessions, _csrf, _locale, _atomic, _login, _others)
