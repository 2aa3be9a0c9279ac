"""The paths that stay Django's: prefixes where the URLconf has plain ones, else all that no route answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.conf import settings
from django.urls import Resolver404, get_resolver, resolve
from django.urls.resolvers import LocalePrefixPattern

from hybrid_gateway.checks.urlconf_checks import Pattern, fixed_starts
from hybrid_gateway.dispatch.prefixes import Prefixes, static_prefix

MAX_PREFIXES = 12  # a longer list is harder to keep than FALLTHROUGH
MAX_NAMED = 3  # patterns that a sentence names
HELLO_PATHS = ("/hello", "/api/hello", "/gateway/hello", "/hybrid-gateway/hello")

# Middleware that answers no path that the URLconf does not have.
_QUIET = (
    *("django.contrib.auth.", "django.contrib.messages.", "django.contrib.sessions.", "django.contrib.admindocs."),
    *("django.middleware.", "django.contrib.sites.", "corsheaders.", "simple_history.", "django_htmx.", "csp."),
    *("allauth.account.", "debug_toolbar.", "wagtail.contrib.legacy.", "django_browser_reload.", "hijack."),
)


def django_prefixes() -> tuple[tuple[str, ...], list[str]]:
    """Return the prefixes that lead to every page of ROOT_URLCONF; or none, and why Django needs every other path."""
    if not getattr(settings, "ROOT_URLCONF", None):
        return (), []
    reasons = [*_answers_unknown_paths()]
    without = list[str]()  # the patterns that no prefix leads to
    found = tuple(dict.fromkeys(_prefixes(get_resolver().url_patterns, without)))
    if without:
        more = f", and {len(without) - MAX_NAMED} more" if len(without) > MAX_NAMED else ""
        reasons.append(f"{', '.join(without[:MAX_NAMED])}{more}: no fixed beginning leads there")
    if len(found) > MAX_PREFIXES:
        reasons.append(f"the URLconf has {len(found)} prefixes")
    static = static_prefix()
    return (() if reasons else tuple(prefix for prefix in found if prefix not in static)), reasons


def _answers_unknown_paths() -> Iterator[str]:
    urlconf: Any = get_resolver().urlconf_module
    if getattr(urlconf, "handler404", None):
        yield "the URLconf has a handler404"
    for path in settings.MIDDLEWARE:
        if path.startswith("whitenoise.") and not getattr(settings, "WHITENOISE_ROOT", None):
            continue
        if not path.startswith(_QUIET):
            yield f"{path} may answer any path"


def _prefixes(patterns: Iterable[Pattern], without: list[str]) -> Iterator[str]:
    for pattern in patterns:
        inner: list[Pattern] | None = getattr(pattern, "url_patterns", None)
        if isinstance(pattern.pattern, LocalePrefixPattern):
            without.append("i18n_patterns")
            continue
        for start, is_complete in fixed_starts(pattern):
            first, slash, _ = start[1:].partition("/")
            if start == "/" and is_complete:
                yield "/"
            elif start == "/" and inner is not None and str(pattern.pattern) in ("", "^"):
                yield from _prefixes(inner, without)  # include() at the root adds nothing to the path
            elif first and slash:
                yield f"/{first}/"
            elif first and is_complete:
                yield f"/{first}"
            elif (text := f"the pattern {str(pattern.pattern)!r}") not in without:
                without.append(text)


def hello_path(prefixes: tuple[str, ...]) -> str:
    """Return a path for the first route that is nobody's.

    Where a pattern takes any path at all, one that it takes with a final slash alone.
    """
    paths = [path for path in HELLO_PATHS if path not in Prefixes(prefixes)]
    any_path = _pattern_of("/no-such-page-here/")
    for path in paths:
        if _pattern_of(path) is None and _pattern_of(path + "/") is None:
            return path
    for path in paths[1:]:
        if _pattern_of(path) is None and _pattern_of(path + "/") == any_path:
            return path
    return HELLO_PATHS[-1]


def _pattern_of(path: str) -> str | None:
    try:
        return resolve(path).route
    except Resolver404:
        return None
