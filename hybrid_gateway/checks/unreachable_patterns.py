"""System checks: patterns of the URLconf that no prefix of ``ALLOWED_DJANGO_ROUTES`` leads to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from django.conf import settings
from django.core.checks import CheckMessage
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import LocalePrefixPattern, RoutePattern

from hybrid_gateway.checks.messages import report
from hybrid_gateway.dispatch.prefixes import Prefixes
from hybrid_gateway.gateway.application import Gateway

__all__ = ["unreachable_patterns"]

Pattern = URLPattern | URLResolver


def unreachable_patterns(gateway: Gateway) -> Iterator[CheckMessage]:
    """Yield W001 for media files, W003 for other patterns."""
    if gateway.dispatcher.fallthrough or not getattr(settings, "ROOT_URLCONF", None):
        return
    patterns = list(_unreachable(get_resolver().url_patterns, gateway.dispatcher.prefixes))
    others = [pattern for pattern in patterns if not _is_media(pattern)]
    if len(others) < len(patterns):
        yield report(
            "W001",
            f"ROOT_URLCONF serves files below {settings.MEDIA_URL!r}, which is not passed on to Django.",
            prefix=settings.MEDIA_URL,
        )
    if others:
        listed = ", ".join(repr(str(pattern.pattern)) for pattern in others)
        yield report(
            "W003",
            f"No entry of ALLOWED_DJANGO_ROUTES leads to these patterns of {settings.ROOT_URLCONF!r}: {listed}.",
            suggestion=_suggest_prefixes(others),
        )


def _unreachable(patterns: Iterable[Pattern], prefixes: Prefixes) -> Iterator[Pattern]:
    for pattern in patterns:
        starts = _starts(pattern)
        if isinstance(pattern, URLResolver) and ("/", False) in starts:
            yield from _unreachable(pattern.url_patterns, prefixes)  # include() at the root adds nothing to the path
        elif not any(
            # Django is asked for the path, or, unless it is complete, for any that begins with it.
            start in prefixes or (not is_complete and any(prefix.startswith(start) for prefix in prefixes.prefixes))
            for start, is_complete in starts
        ):
            yield pattern


def _starts(pattern: Pattern) -> list[tuple[str, bool]]:
    """Return the fixed text that paths of ``pattern`` begin with, and whether the path ends there."""
    if isinstance(pattern.pattern, LocalePrefixPattern):
        codes = [code for code, _ in settings.LANGUAGES]
        return [(f"/{code}/", False) for code in codes] + [("/", False)] * (not pattern.pattern.prefix_default_language)
    text = str(pattern.pattern)
    if isinstance(pattern.pattern, RoutePattern):
        literal, parameter, _ = text.partition("<")
        is_complete = not parameter
    else:
        literal, is_complete = _start_of_regex(text)
    return [(f"/{literal}", is_complete and isinstance(pattern, URLPattern))]


def _start_of_regex(regex: str) -> tuple[str, bool]:
    """Return the longest literal text that all matches begin with, as far as it is plain to see."""
    if "|" in regex:
        return "", False
    match = _LITERAL.match(regex.removeprefix("^"))
    literal = match[0] if match else ""
    rest = regex.removeprefix("^")[len(literal) :]
    return re.sub(r"\\(.)", r"\1", literal), rest in ("$", r"\Z", r"\z")


_LITERAL = re.compile(r"(?:(?:[^\\.^$*+?{}\[\]()]|\\\W)(?![*?{]))*")


def _is_media(pattern: Pattern) -> bool:
    is_served = isinstance(pattern, URLPattern) and pattern.lookup_str == "django.views.static.serve"
    return is_served and bool(settings.MEDIA_URL) and (settings.MEDIA_URL, False) in _starts(pattern)


def _suggest_prefixes(patterns: Iterable[Pattern]) -> str:
    prefixes = dict.fromkeys(
        "/" + start.strip("/").split("/")[0] + "/" if start != "/" else "/"
        for pattern in patterns
        for start, is_complete in _starts(pattern)
        if start != "/" or is_complete
    )
    return f"Add {', '.join(map(repr, prefixes))} to it. " if prefixes else ""
