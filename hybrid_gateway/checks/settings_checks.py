"""System checks: what is wrong with a project's configuration, before the first request finds out.

Every message carries a hint and can be silenced by its id in ``SILENCED_SYSTEM_CHECKS``; all carry the tag
``hybrid_gateway``. Projects that build their ``Gateway`` in code, without ``HYBRID_GATEWAY``, are left alone.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.core.management import find_commands, load_command_class
from django.db import connections
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import LocalePrefixPattern, RoutePattern
from django.utils.module_loading import import_string

from hybrid_gateway.conf import get_settings
from hybrid_gateway.exceptions import ConfigurationError, DependencyError, SettingsError

__all__ = ["TAG", "current_gateway", "register_checks"]

TAG = "hybrid_gateway"
Messages: TypeAlias = list[CheckMessage]


def register_checks() -> None:
    """Register every check with Django; called by the app's ``ready()``."""
    for check in (
        check_gateway,
        check_urls,
        check_sides,
        check_applications,
        check_runserver,
        check_databases,
        check_middleware,
        check_missed,
    ):
        register(check, TAG)


def current_gateway() -> Any:
    """The gateway of the settings, or None when there is none or it cannot be built, which check_gateway reports."""
    if not hasattr(settings, "HYBRID_GATEWAY"):
        return None
    try:
        return _build()
    except Exception:
        return None


def _build() -> Any:
    from hybrid_gateway.gateway.settings_gateway import (
        default_gateway,  # with it come the routes' machinery and Starlette
    )

    return default_gateway()


# --- settings, routes, components ----------------------------------------------------------------------------------


def check_gateway(app_configs: Any = None, **kwargs: Any) -> Messages:
    """E001 settings, E002 import of the routes, E003 routes, E004 components: the first that fails hides the rest."""
    if not hasattr(settings, "HYBRID_GATEWAY"):
        return []
    try:
        get_settings()
    except Exception as error:
        return [_error(_SETTINGS, error)]
    try:
        _build()
    except ConfigurationError as error:
        return [_error(next(kind for kind in _KINDS if isinstance(error, kind[0])), error)]
    except Exception as error:
        return [_error(_IMPORT, error)]
    return []


_Kind: TypeAlias = tuple[type[Exception], str, str]
_SETTINGS: _Kind = (SettingsError, "E001", "Correct HYBRID_GATEWAY in the settings.")
_IMPORT: _Kind = (Exception, "E002", 'Correct the module that HYBRID_GATEWAY["ROUTES"] names, or what it imports.')
_KINDS: tuple[_Kind, ...] = (
    _SETTINGS,
    (DependencyError, "E004", "Register a component for that type, or annotate the parameter differently."),
    (ConfigurationError, "E003", "Correct the route that the message names."),
)


def _error(kind: _Kind, error: Exception) -> CheckMessage:
    _, id, hint = kind
    return Error(str(error) if isinstance(error, ConfigurationError) else _located(error), hint=hint, id=f"{TAG}.{id}")


def _located(error: Exception) -> str:
    """``error`` in one line with the place in the project's code where it arose."""
    text = "".join(traceback.format_exception_only(error)).strip()
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<frozen")]
    return f"{text}\n(raised in {frames[-1].filename}, line {frames[-1].lineno})"


# --- what Django can no longer answer ------------------------------------------------------------------------------


def check_urls(app_configs: Any = None, **kwargs: Any) -> Messages:
    """W001 media files, W003 other patterns of ROOT_URLCONF that no prefix leads to."""
    gateway = current_gateway()
    if gateway is None or gateway.fallthrough or not getattr(settings, "ROOT_URLCONF", None):
        return []
    media = [p for p in _unreachable(get_resolver().url_patterns, gateway) if _is_media(p)]
    others = [p for p in _unreachable(get_resolver().url_patterns, gateway) if not _is_media(p)]
    messages: Messages = []
    if media:
        messages.append(
            Warning(
                f"ROOT_URLCONF serves files below {settings.MEDIA_URL!r}, which is not passed on to Django.",
                hint=f'Add "{settings.MEDIA_URL}" to HYBRID_GATEWAY["ALLOWED_DJANGO_ROUTES"].',
                id=f"{TAG}.W001",
            )
        )
    if others:
        listed = ", ".join(repr(str(pattern.pattern)) for pattern in others)
        messages.append(
            Warning(
                f"No entry of ALLOWED_DJANGO_ROUTES leads to these patterns of {settings.ROOT_URLCONF!r}: {listed}.",
                hint=f"{_suggestion(others)}Or remove them, or set FALLTHROUGH to hand Django whatever no route knows.",
                id=f"{TAG}.W003",
            )
        )
    return messages


def _unreachable(patterns: Iterable[URLPattern | URLResolver], gateway: Any) -> Iterator[URLPattern | URLResolver]:
    for pattern in patterns:
        starts = _starts(pattern)
        if isinstance(pattern, URLResolver) and ("/", False) in starts:
            yield from _unreachable(pattern.url_patterns, gateway)  # include() at the root adds nothing to the path
        elif not any(_reaches(gateway.django_prefixes, start, complete) for start, complete in starts):
            yield pattern


def _reaches(prefixes: Any, start: str, complete: bool) -> bool:
    """Whether Django is asked for the path ``start`` or, unless it is ``complete``, for any that begins with it."""
    return start in prefixes or (not complete and any(prefix.startswith(start) for prefix in prefixes.prefixes))


def _starts(pattern: URLPattern | URLResolver) -> list[tuple[str, bool]]:
    """The fixed text that paths of ``pattern`` begin with, and whether the path ends there."""
    if isinstance(pattern.pattern, LocalePrefixPattern):
        codes = [code for code, _ in settings.LANGUAGES]
        return [(f"/{code}/", False) for code in codes] + [("/", False)] * (not pattern.pattern.prefix_default_language)
    text = str(pattern.pattern)
    literal, complete = _route_start(text) if isinstance(pattern.pattern, RoutePattern) else _regex_start(text)
    return [(f"/{literal}", complete and isinstance(pattern, URLPattern))]


def _route_start(route: str) -> tuple[str, bool]:
    literal, parameter, _ = route.partition("<")
    return literal, not parameter


def _regex_start(regex: str) -> tuple[str, bool]:
    """The longest literal text that everything matched by ``regex`` begins with, as far as it is plain to see."""
    if "|" in regex:
        return "", False
    match = _LITERAL.match(regex.removeprefix("^"))
    literal = match[0] if match else ""
    rest = regex.removeprefix("^")[len(literal) :]
    return re.sub(r"\\(.)", r"\1", literal), rest in ("$", r"\Z", r"\z")


_LITERAL = re.compile(r"(?:(?:[^\\.^$*+?{}\[\]()]|\\\W)(?![*?{]))*")


def _is_media(pattern: URLPattern | URLResolver) -> bool:
    served = isinstance(pattern, URLPattern) and pattern.lookup_str == "django.views.static.serve"
    return served and bool(settings.MEDIA_URL) and (settings.MEDIA_URL, False) in _starts(pattern)


def _suggestion(patterns: Iterable[URLPattern | URLResolver]) -> str:
    prefixes = dict.fromkeys(
        "/" + start.strip("/").split("/")[0] + "/" if start != "/" else "/"
        for pattern in patterns
        for start, complete in _starts(pattern)
        if start != "/" or complete
    )
    return f"Add {', '.join(map(repr, prefixes))} to it. " if prefixes else ""


def check_sides(app_configs: Any = None, **kwargs: Any) -> Messages:
    """W010 a prefix that is the front page alone, W011 and W012 paths of both sides."""
    from hybrid_gateway.checks.both_sides import clashing_paths, front_page_alone

    gateway = current_gateway()
    if gateway is None:
        return []
    return [*front_page_alone(gateway.options.django_routes), *clashing_paths(gateway)]


# --- who is served -------------------------------------------------------------------------------------------------


def check_applications(app_configs: Any = None, **kwargs: Any) -> Messages:
    """W004 ASGI_APPLICATION, W005 WSGI_APPLICATION: whether they lead to the gateway."""
    if not hasattr(settings, "HYBRID_GATEWAY"):
        return []
    return [
        Warning(
            f"{name} is {path!r}, which does not lead to the gateway: {consequence}",
            hint=f'Set {name} = "{ours}", or let the object it names come from hybrid_gateway.',
            id=f"{TAG}.{id}",
        )
        for name, ours, id, consequence in _APPLICATIONS
        if (path := getattr(settings, name, None)) != ours and not _leads_to_gateway(path)
    ]


_APPLICATIONS = (
    (
        "ASGI_APPLICATION",
        "hybrid_gateway.asgi.application",
        "W004",
        "runserver serves no routes of the API over ASGI, nor websockets.",
    ),
    (
        "WSGI_APPLICATION",
        "hybrid_gateway.wsgi.application",
        "W005",
        "WSGI servers and other apps' runserver commands answer without the API.",
    ),
)


def _leads_to_gateway(path: str | None) -> bool:
    """Judge the module by its source, so that it need not be imported; else by the object, if it can be had."""
    if path is None:
        return False
    if "hybrid_gateway" in _source(path.rpartition(".")[0]):
        return True
    from hybrid_gateway.drivers.wsgi_driver import WSGIDriver
    from hybrid_gateway.gateway.application import Gateway

    try:
        application = import_string(path)
    except Exception:  # whoever serves it will hear why
        return True
    return isinstance(application, (Gateway, WSGIDriver))


def _source(module: str) -> str:
    try:
        spec = find_spec(module)
        return Path(spec.origin).read_text(encoding="utf-8") if spec is not None and spec.origin else ""
    except (ImportError, OSError, ValueError):
        return ""


def check_runserver(app_configs: Any = None, **kwargs: Any) -> Messages:
    """W006 staticfiles, W007 another app: whose ``runserver`` is found before ours."""
    if not getattr(settings, "ASGI_APPLICATION", None):
        return []
    winner = next((config for config in apps.get_app_configs() if _has_runserver(config)), None)
    if winner is None or winner.name == TAG or _extends_ours(type(load_command_class(winner.name, "runserver"))):
        return []
    staticfiles = winner.name == "django.contrib.staticfiles"
    return [
        Warning(
            f"runserver is the command of {winner.name!r}: "
            + ("it serves over WSGI alone." if staticfiles else "whether it serves ASGI_APPLICATION is up to it."),
            hint=f"List {TAG!r} before {winner.name!r} in INSTALLED_APPS.",
            id=f"{TAG}.{'W006' if staticfiles else 'W007'}",
        )
    ]


def _has_runserver(config: Any) -> bool:
    return "runserver" in find_commands(str(Path(config.path, "management")))


def _extends_ours(command: type) -> bool:
    return any(base.__module__ == f"{TAG}.management.commands.runserver" for base in command.__mro__)


# --- databases and middleware --------------------------------------------------------------------------------------


def check_databases(app_configs: Any = None, **kwargs: Any) -> Messages:
    """W008: psycopg's pool with persistent connections, which Django refuses when the first query comes.

    ``CONN_MAX_AGE`` alone is safe here, also under ASGI: threads are few, live long, and keep their connections.
    """
    return [
        Warning(
            f"DATABASES[{alias!r}] has a connection pool and CONN_MAX_AGE={database['CONN_MAX_AGE']!r}; "
            "Django refuses the combination at the first query.",
            hint="Leave CONN_MAX_AGE at 0: the pool keeps the connections.",
            id=f"{TAG}.W008",
        )
        for alias, database in connections.settings.items()
        if database["OPTIONS"].get("pool") and database["CONN_MAX_AGE"] != 0
    ]


def check_middleware(app_configs: Any = None, **kwargs: Any) -> Messages:
    """W009: WhiteNoise where Django's side is pure ASGI. On pool threads, the default, it is at home."""
    try:
        side = get_settings().django_side
    except ImproperlyConfigured:  # E001 reports it
        return []
    if side != "asgi" or not any(name.startswith("whitenoise.") for name in settings.MIDDLEWARE):
        return []
    return [
        Warning(
            'WhiteNoise answers with synchronous files, which Django reads into memory under DJANGO_SIDE = "asgi".',
            hint='Use DJANGO_SIDE = "auto", serve static files by the proxy, or use a middleware made for ASGI.',
            id=f"{TAG}.W009",
        )
    ]


def check_missed(app_configs: Any = None, **kwargs: Any) -> Messages:
    """W030 to W037, E006, E040: what Django's side has by its settings, and typed routes may be missing."""
    from hybrid_gateway.checks.logins import closed_doors
    from hybrid_gateway.checks.missed_middleware import missed_middleware
    from hybrid_gateway.checks.tenants import missed_tenants

    gateway = current_gateway()
    checks = (missed_middleware, missed_tenants, closed_doors)
    return [] if gateway is None else [message for check in checks for message in check(gateway.endpoints)]
