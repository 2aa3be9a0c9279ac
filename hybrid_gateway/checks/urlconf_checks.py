"""System checks of the URLconf: patterns that no prefix leads to, and paths that both sides have an answer to.

How the latter works: patterns of both sides are filled in with values that their converters take, and the other side is
asked for the path that comes out. What is found there is a clash; patterns that are for any path at all are none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from django.conf import settings
from django.core.checks import CheckMessage
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import LocalePrefixPattern, RoutePattern
from django.utils.regex_helper import normalize

from hybrid_gateway.checks.messages import report
from hybrid_gateway.dispatch.prefixes import Prefixes
from hybrid_gateway.gateway.application import Gateway
from hybrid_gateway.routing.flat_routes import FlatRoute
from hybrid_gateway.routing.path_template import Parameter

Pattern = URLPattern | URLResolver

_VALUES = (
    "1", "a", "1.5", "a/b", "6f1f0c3e-5c5e-4d0e-9c4b-0f9d3b7c2a11", "2024-01-31", "12:30:00", "2024-01-31T12:30:00",
    "PT1S", "2024", "en", "a@b.example",
)  # fmt: skip
MAX_PATTERNS = 2000  # of a URLconf, that are looked at
MAX_NAMED = 3


def front_page_alone(gateway: Gateway) -> Iterator[CheckMessage]:
    """Yield W010: ``"/"`` as the only prefix, which covers the front page and nothing below it."""
    if {prefix.strip("/") for prefix in gateway.options.django_routes} == {""}:
        message = '"/" in ALLOWED_DJANGO_ROUTES is the front page alone: Django is asked for no other path.'
        yield report("W010", message)


class _Clash(NamedTuple):
    ours: str  # "GET /things"
    pattern: str  # of the URLconf
    path: str
    is_exact: bool


def clashing_paths(gateway: Gateway) -> Iterator[CheckMessage]:
    """Yield W011 for paths that the URLconf has as well, W012 for those that differ by the last slash alone: one each.

    Without ``FALLTHROUGH`` there are none: a route below a prefix of Django's is an error.
    """
    if not gateway.dispatcher.fallthrough or not getattr(settings, "ROOT_URLCONF", None):
        return
    try:
        found = list(dict.fromkeys((*_from_routes(gateway), *_from_urlconf(gateway))))
    except Exception:  # a URLconf that cannot be read is for Django's own checks
        return
    exact = {(clash.ours, clash.pattern) for clash in found if clash.is_exact}
    first: dict[tuple[str, str], _Clash] = {}
    for clash in found:
        if clash.is_exact or (clash.ours, clash.pattern) not in exact:
            first.setdefault((clash.ours, clash.pattern), clash)
    if same := _listed(clash for clash in first.values() if clash.is_exact):
        yield report(
            "W011", f"Routes and patterns of {settings.ROOT_URLCONF!r} answer the same path, the route: {same}."
        )
    if near := _listed(clash for clash in first.values() if not clash.is_exact):
        message = f"Routes and patterns of {settings.ROOT_URLCONF!r} differ by the last slash alone: {near}."
        yield report("W012", message)


def _listed(clashes: Iterable[_Clash]) -> str:
    """Return the first few, and how many more there are: a project that moves has one for each of its old paths."""
    found = [f"{clash.ours} and {clash.pattern!r} (Django's {clash.path!r})" for clash in clashes]
    return "; ".join(found[:MAX_NAMED]) + (f"; and {len(found) - MAX_NAMED} more" if len(found) > MAX_NAMED else "")


def _from_routes(gateway: Gateway) -> Iterator[_Clash]:
    """Yield what the URLconf answers of the paths of routes and mounts."""
    for route in gateway.dispatcher.table.routes:
        if route.is_fallback:  # Django's pages win
            continue
        for preferred in _VALUES[:2]:
            yield from _asked_of_django(gateway, f"{'|'.join(route.methods)} {route.path}", _filled(route, preferred))
    for mount in gateway.dispatcher.table.mounts.paths:
        yield from _asked_of_django(gateway, f"The mount at {mount}", mount)


def _asked_of_django(gateway: Gateway, ours: str, path: str) -> Iterator[_Clash]:
    for candidate, is_exact in ((path, True), (_other_slash(path), False)):
        match = gateway.dispatcher.django.match_of_page(candidate) if candidate else None
        if match is not None:
            yield _Clash(ours, match.route, candidate, is_exact)


def _filled(route: FlatRoute, preferred: str) -> str:
    """Return a path of a route, with the preferred value wherever a converter takes it."""

    def text_of(part: str | Parameter) -> str:
        if isinstance(part, str):
            return part
        return next((value for value in (preferred, *_VALUES) if part.converter.convert(value) is not None), "x")

    return "/" + "/".join("".join(map(text_of, segment)) for segment in route.template.segments)


def _from_urlconf(gateway: Gateway) -> Iterator[_Clash]:
    """Yield what routes and mounts answer of the paths of the URLconf."""
    tree, mounts = gateway.dispatcher.table.tree, gateway.dispatcher.table.mounts
    for path in _paths(get_resolver()):
        match = gateway.dispatcher.django.match_of_page(path)
        if match is None:
            continue
        for candidate, is_exact in ((path, True), (_other_slash(path), False)):
            methods = sorted(tree.methods(candidate)) if candidate else []
            if methods and (found := tree.find(candidate, methods[0])) is not None:
                route = found[0].route
                yield _Clash(f"{'|'.join(route.methods)} {route.path}", match.route, path, is_exact)
                break
        else:
            if (mount := mounts.prefix(path)) is not None:
                yield _Clash(f"The mount at {mount}", match.route, path, True)


def _other_slash(path: str) -> str:
    return "" if path == "/" else path[:-1] if path.endswith("/") else path + "/"


def _paths(root: URLResolver) -> Iterator[str]:
    """Yield a path of each pattern of a URLconf, as far as its regular expression can be filled in."""
    waiting: list[tuple[Pattern, str, Mapping[str, object]]] = [(root, "", {})]
    seen = 0
    while waiting and seen < MAX_PATTERNS:
        pattern, before, converters = waiting.pop()
        seen += 1
        text = before + pattern.pattern.regex.pattern.removeprefix("^").removeprefix("/" if pattern is root else "")
        known = {**converters, **pattern.pattern.converters}
        if isinstance(pattern, URLResolver):
            waiting += [(inner, text, known) for inner in pattern.url_patterns]
            continue
        for template, names in normalize("/" + text):
            yield from (template % values for values in _values(names, known))


def _values(names: Iterable[str], converters: Mapping[str, object]) -> Iterator[dict[str, str]]:
    """Yield values for the parameters of a pattern: what converters take, and the same one for every other."""
    names = list(names)
    fixed = {}
    for name in names:
        if name in converters:
            taken = [value for value in _VALUES if re.fullmatch(getattr(converters[name], "regex", ""), value)]
            fixed[name] = taken[0] if taken else "x"
    if len(fixed) == len(names):
        yield fixed
    else:
        yield from ({name: fixed.get(name, value) for name in names} for value in _VALUES)


# --- patterns that no prefix of ALLOWED_DJANGO_ROUTES leads to --------------------------------------------------------


def unreachable_patterns(gateway: Gateway) -> Iterator[CheckMessage]:
    """Yield W001 for media files, W003 for other patterns."""
    if gateway.dispatcher.fallthrough or not getattr(settings, "ROOT_URLCONF", None):
        return
    patterns = list(_unreachable(get_resolver().url_patterns, gateway.dispatcher.prefixes))
    others = [
        pattern
        for pattern in patterns
        if getattr(pattern, "lookup_str", "") != "django.views.static.serve"
        or (settings.MEDIA_URL, False) not in fixed_starts(pattern)
    ]
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
        starts = fixed_starts(pattern)
        if isinstance(pattern, URLResolver) and ("/", False) in starts:
            yield from _unreachable(pattern.url_patterns, prefixes)  # include() at the root adds nothing to the path
        elif not any(
            # Django is asked for the path, or, unless it is complete, for any that begins with it.
            start in prefixes or (not is_complete and any(prefix.startswith(start) for prefix in prefixes.prefixes))
            for start, is_complete in starts
        ):
            yield pattern


def fixed_starts(pattern: Pattern) -> list[tuple[str, bool]]:
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


def _suggest_prefixes(patterns: Iterable[Pattern]) -> str:
    prefixes = dict.fromkeys(
        "/" + start.strip("/").split("/")[0] + "/" if start != "/" else "/"
        for pattern in patterns
        for start, is_complete in fixed_starts(pattern)
        if start != "/" or is_complete
    )
    return f"Add {', '.join(map(repr, prefixes))} to it. " if prefixes else ""
