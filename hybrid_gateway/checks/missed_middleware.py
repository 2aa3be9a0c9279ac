"""System checks: what ``MIDDLEWARE`` does for Django's side, and typed routes, which do not pass it, may be missing.

Each names the routes that miss something: one that has it speaks for itself alone.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache

from django.conf import settings
from django.core.checks import CheckMessage
from django.db import connections
from django.utils.module_loading import import_string

from hybrid_gateway.auth.request_credentials import CSRFProtect
from hybrid_gateway.checks.messages import name_routes, report
from hybrid_gateway.checks.package import SAFE, Package, hook_classes, is_ours, module_of, none
from hybrid_gateway.checks.packages import PACKAGES
from hybrid_gateway.endpoints.endpoint import Endpoint
from hybrid_gateway.locale import Locale

_SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
_CSRF = "django.middleware.csrf.CsrfViewMiddleware"
_LOCALE = "django.middleware.locale.LocaleMiddleware"
_LOGIN = "django.contrib.auth.middleware.LoginRequiredMiddleware"
_REMEDY = (
    "List it in DJANGO_MIDDLEWARE or django_middleware= of a layer where it is needed, or write an event hook or ASGI "
    "middleware that does the same."
)


def missed_middleware(endpoints: Iterable[Endpoint]) -> Iterator[CheckMessage]:
    """Yield W030 sessions, W031 CSRF, W032 languages, W033 transactions, W034 logins, W035 and E006 the others.

    Sessions and messages as such are no matter: a handler that asks for them has them.
    """
    _find.cache_clear()  # what could not be imported once may have come since
    # The document, its pages, probes and metrics miss nothing.
    found = [e for e in endpoints if e.route.layers.include_in_schema or not is_ours(e)]
    for number, name, misses, message in _OF_DJANGO:
        bare = [endpoint for endpoint in found if misses(endpoint) and not _passes(endpoint, name)]
        if number == "W030" and any(endpoint.visits for endpoint in found):
            continue  # where some ask for the session, the project has chosen which
        if bare and any(_covers(listed, name) for listed in settings.MIDDLEWARE):
            yield report(number, message.format(name_routes(bare)))
    yield from _atomic(found)
    yield from _others(found)


def missed_by_websockets(websockets: Iterable[Endpoint]) -> Iterator[CheckMessage]:
    """Yield W032 languages, W033 transactions, W034 logins, E041 packages: what a route of websockets does without.

    None passes Django's middleware, and their origins are checked in the place of CSRF tokens.
    """
    found = list(websockets)
    for number, name, misses, message in _OF_DJANGO:
        bare = [endpoint for endpoint in found if number in ("W032", "W034") and misses(endpoint)]
        if bare and any(_covers(listed, name) for listed in settings.MIDDLEWARE):
            yield report(number, message.format(name_routes(bare)))
    yield from _atomic([endpoint for endpoint in found if endpoint.route.websocket == "listener"])
    for name in dict.fromkeys(settings.MIDDLEWARE):
        package = _package_of(name)
        if package is not None and package.is_error:
            bare = [endpoint for endpoint in found if package.concerns(endpoint) and not package.replaced(endpoint)]
            if bare:
                yield report("E041", f"{name} cannot stand before {name_routes(bare)}.", name=name)


# --- who stands where ----------------------------------------------------------------------------------------------


def import_or_none(path: str) -> object:
    """Import a dotted path; ``None`` where that fails."""
    try:
        imported: object = import_string(path)
    except Exception:  # whoever builds the handler of Django's side will hear why
        return None
    return imported


_find = cache(import_or_none)


def _passes(endpoint: Endpoint, name: str) -> bool:
    """Return whether a route passes the middleware, or one made of it."""
    return any(_covers(listed, name) for listed in endpoint.route.layers.django_middleware)


def _covers(listed: str, wanted: str) -> bool:
    if listed == wanted:
        return True
    one, other = _find(listed), _find(wanted)
    return one is not None and (one is other or (inspect.isclass(one) and other in one.__mro__))


# --- Django's own --------------------------------------------------------------------------------------------------


def _trusts_cookies(endpoint: Endpoint) -> bool:
    layers = endpoint.route.layers
    if layers.csrf_exempt or any(guard is CSRFProtect or isinstance(guard, CSRFProtect) for guard in layers.guards):
        return False
    if endpoint.schemes:  # whoever sends an Authorization header has meant to, and cookie-borne schemes check
        return False
    reads_cookies = endpoint.reads_cookies or any(entry.varies_by == "Cookie" for entry in endpoint.inputs)
    return endpoint.method not in SAFE and reads_cookies


_OF_DJANGO: tuple[tuple[str, str, Callable[[Endpoint], bool], str], ...] = (
    (
        *("W030", _SESSIONS),
        lambda endpoint: settings.SESSION_SAVE_EVERY_REQUEST and not endpoint.schemes,  # whose users have no session
        "SESSION_SAVE_EVERY_REQUEST prolongs no session by {}, which open none.",
    ),
    (
        *("W031", _CSRF),
        _trusts_cookies,
        "{} may act on a cookie, and CsrfViewMiddleware does not stand before typed routes.",
    ),
    (
        *("W032", _LOCALE),
        lambda endpoint: not any(issubclass(kind, Locale) for kind in hook_classes(endpoint)),
        "LocaleMiddleware does not stand before {}, which speak LANGUAGE_CODE to everybody.",
    ),
    (
        *("W034", _LOGIN),
        lambda endpoint: endpoint.is_open and not endpoint.route.layers.guards,
        "LoginRequiredMiddleware does not stand before typed routes: anybody may call {}.",
    ),
)


def _atomic(endpoints: Sequence[Endpoint]) -> Iterator[CheckMessage]:
    aliases = [alias for alias, database in connections.settings.items() if database["ATOMIC_REQUESTS"]]
    bare = [endpoint for endpoint in endpoints if endpoint.method not in SAFE and not _has_decided(endpoint)]
    if aliases and bare:
        setting = f"ATOMIC_REQUESTS of DATABASES[{aliases[0]!r}]"
        yield report("W033", f"{setting} is Django's side's alone: {name_routes(bare)} commit query by query.")


def _has_decided(endpoint: Endpoint) -> bool:
    """Return whether a route has a transaction, does without by a word of its own, or is one of tokens, with theirs."""
    route = endpoint.route
    is_token_route = module_of(endpoint).startswith("hybrid_gateway.tokens.")
    return bool(route.layers.atomic) or "atomic" in route.options or is_token_route


# --- packages, and what the project has written --------------------------------------------------------------------


def _others(endpoints: Sequence[Endpoint]) -> Iterator[CheckMessage]:
    groups: dict[str, tuple[Package, list[str]]] = {}
    for name in dict.fromkeys(settings.MIDDLEWARE):
        package = _package_of(name)
        if package is not None and package.remedy and not package.known_by:
            groups.setdefault(package.name, (package, []))[1].append(name)
    for package, names in groups.values():
        number = "E006" if package.is_error else "W035"
        concerned = [entry for entry in endpoints if package.concerns(entry) and not package.replaced(entry)]
        is_lost = package.verdict == "no"  # wherever it is listed
        bare = [entry for entry in concerned if is_lost or not all(_passes(entry, name) for name in names)]
        if bare and f"hybrid_gateway.{number}.{package.name}" not in settings.SILENCED_SYSTEM_CHECKS:
            is_known = package.name in PACKAGES
            listed = f"{' and '.join(names)}{f' of {package.name}' if is_known else ''}"
            yield report(
                number,
                f"{listed} {'does' if len(names) == 1 else 'do'} not stand before {name_routes(bare)}.",
                id=f"{number}.{package.name}",
                remedy=package.remedy,
                more=" See docs/packages.md." if is_known else "",
            )


def _package_of(name: str) -> Package | None:
    """Return the package that the middleware, or a base of it, belongs to; one of its own for what nobody knows."""
    kind = _find(name)
    bases = [f"{base.__module__}.{base.__qualname__}" for base in kind.__mro__] if inspect.isclass(kind) else []
    for path in (name, *bases):
        if path in _DJANGOS:
            return _DJANGOS[path]
        if path.partition(".")[0] in _ROOTS:
            return _ROOTS[path.partition(".")[0]]
    if name.startswith(_AT_HOME) or any(_covers(name, ours) for ours in (_LOCALE, _LOGIN)):
        return None
    return _middleware(name)


def _middleware(name: str, remedy: str = _REMEDY, has: Callable[[Endpoint], bool] = none) -> Package:
    return Package(name=name, says="", middleware=(name,), remedy=remedy, replaced=has)


# Of no concern to typed routes, or looked after: by the checks above, by the dispatch, by schemes.
# Redirects act on a 404 of Django's side alone, as those of django.contrib do.
_AT_HOME = ("django.", "hybrid_gateway.", "django_browser_reload.", "servestatic.", "wagtail.contrib.redirects.")

_ROOTS = {path.partition(".")[0]: package for package in PACKAGES.values() for path in package.middleware}

_DJANGOS = {
    package.name: package
    for package in (
        _middleware(
            "django.middleware.gzip.GZipMiddleware",
            "Say compression=True on a layer.",
            lambda endpoint: bool(endpoint.route.layers.compression),
        ),
        _middleware(
            "django.middleware.http.ConditionalGetMiddleware",
            "Say etag=True on a layer.",
            lambda endpoint: endpoint.route.layers.etag,
        ),
        _middleware(
            "django.middleware.cache.FetchFromCacheMiddleware",
            "Say cache=60, in seconds, on a layer.",
            lambda endpoint: endpoint.route.layers.cache is not None,
        ),
        _middleware("django.contrib.auth.middleware.RemoteUserMiddleware"),
        _middleware("django.contrib.sites.middleware.CurrentSiteMiddleware"),
    )
}
