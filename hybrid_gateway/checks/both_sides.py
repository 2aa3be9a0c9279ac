"""System checks: paths that both sides have an answer to, and a prefix that covers less than it seems to.

How this works: patterns of both sides are filled in with values that their converters take, and the other side is asked
for the path that comes out. What is found there is a clash; patterns that are for any path at all are none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

from django.conf import settings
from django.core.checks import CheckMessage, Warning
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils.regex_helper import normalize

__all__ = ["clashing_paths", "front_page_alone"]

Messages: TypeAlias = list[CheckMessage]

_VALUES = (
    "1", "a", "1.5", "a/b", "6f1f0c3e-5c5e-4d0e-9c4b-0f9d3b7c2a11", "2024-01-31", "12:30:00", "2024-01-31T12:30:00",
    "PT1S", "2024", "en", "a@b.example",
)  # fmt: skip
_MOST = 2000  # patterns of a URLconf that are looked at


def front_page_alone(prefixes: Iterable[str]) -> Messages:
    """W010: ``"/"`` as the only prefix, which covers the front page and nothing below it."""
    if {prefix.strip("/") for prefix in prefixes} != {""}:
        return []
    return [
        Warning(
            '"/" in ALLOWED_DJANGO_ROUTES is the front page alone: Django is asked for no other path.',
            hint='Add the prefixes of Django\'s pages, such as "/admin/", or set HYBRID_GATEWAY["FALLTHROUGH"] to hand '
            "Django whatever no route answers.",
            id="hybrid_gateway.W010",
        )
    ]


def clashing_paths(gateway: Any) -> Messages:
    """W011 paths that the URLconf has as well as a route or a mount, W012 those that differ by the last slash alone.

    Without ``FALLTHROUGH`` there are none: a route below a prefix of Django's is an error.
    """
    if not gateway.fallthrough or not getattr(settings, "ROOT_URLCONF", None):
        return []
    try:
        found = list(dict.fromkeys((*_from_routes(gateway), *_from_urlconf(gateway))))
    except Exception:  # a URLconf that cannot be read is for Django's own checks
        return []
    exact = {(clash.ours, clash.pattern) for clash in found if clash.is_exact}
    kept: dict[tuple[str, str], _Clash] = {}
    for clash in found:
        if clash.is_exact or (clash.ours, clash.pattern) not in exact:
            kept.setdefault((clash.ours, clash.pattern), clash)
    return [_message(clash) for clash in kept.values()]


class _Clash(NamedTuple):
    ours: str  # "GET /things"
    pattern: str  # of the URLconf
    path: str
    is_exact: bool


def _message(clash: _Clash) -> CheckMessage:
    if clash.is_exact:
        return Warning(
            f"{clash.ours} and the pattern {clash.pattern!r} of {settings.ROOT_URLCONF!r} both answer {clash.path!r}: "
            "the request never comes to Django.",
            hint="Give one of them another path, or remove the pattern.",
            id="hybrid_gateway.W011",
        )
    return Warning(
        f"{clash.ours} and the pattern {clash.pattern!r} of {settings.ROOT_URLCONF!r} differ by the last slash alone: "
        f"{clash.path!r} is Django's.",
        hint="Give one of them another path, unless both spellings shall have an answer of their own.",
        id="hybrid_gateway.W012",
    )


def _from_routes(gateway: Any) -> Iterator[_Clash]:
    """What the URLconf answers of the paths of routes and mounts."""
    for route in gateway.table.routes:
        for preferred in _VALUES[:2]:
            yield from _asked_of_django(gateway, f"{'|'.join(route.methods)} {route.path}", _filled(route, preferred))
    for mount in gateway.table.mounts.paths:
        yield from _asked_of_django(gateway, f"The mount at {mount}", mount)


def _asked_of_django(gateway: Any, ours: str, path: str) -> Iterator[_Clash]:
    for candidate, is_exact in ((path, True), (_other_slash(path), False)):
        match = gateway.django.resolve(candidate) if candidate else None
        if match is not None and not _is_for_any_path(gateway, candidate, match):
            yield _Clash(ours, match.route, candidate, is_exact)


def _filled(route: Any, preferred: str) -> str:
    """A path of a route, with the preferred value wherever a converter takes it."""

    def text_of(part: Any) -> str:
        if isinstance(part, str):
            return part
        return next((value for value in (preferred, *_VALUES) if part.converter.convert(value) is not None), "x")

    return "/" + "/".join("".join(map(text_of, segment)) for segment in route.template.segments)


def _from_urlconf(gateway: Any) -> Iterator[_Clash]:
    """What routes and mounts answer of the paths of the URLconf."""
    tree, mounts = gateway.table.tree, gateway.table.mounts
    for path in _paths(get_resolver()):
        match = gateway.django.resolve(path)
        if match is None or _is_for_any_path(gateway, path, match):
            continue
        for candidate, is_exact in ((path, True), (_other_slash(path), False)):
            if methods := candidate and tree.methods(candidate):
                route = tree.find(candidate, sorted(methods)[0])[0].route
                yield _Clash(f"{'|'.join(route.methods)} {route.path}", match.route, path, is_exact)
                break
        else:
            if (mount := mounts.prefix(path)) is not None:
                yield _Clash(f"The mount at {mount}", match.route, path, True)


def _other_slash(path: str) -> str:
    return "" if path == "/" else path[:-1] if path.endswith("/") else path + "/"


def _is_for_any_path(gateway: Any, path: str, match: Any) -> bool:
    """Whether the pattern would as well answer a path that nobody can have meant: one with other names in it."""
    other = gateway.django.resolve(re.sub("[^/]+", r"no-such-page-\g<0>", path))
    return path != "/" and other is not None and other.route == match.route


def _paths(root: URLResolver) -> Iterator[str]:
    """A path of each pattern of a URLconf, as far as its regular expression can be filled in."""
    waiting: list[tuple[URLPattern | URLResolver, str, Mapping[str, Any]]] = [(root, "", {})]
    seen = 0
    while waiting and seen < _MOST:
        pattern, before, converters = waiting.pop()
        seen += 1
        expression: Any = pattern.pattern
        text = before + expression.regex.pattern.removeprefix("^").removeprefix("/" if pattern is root else "")
        known = {**converters, **expression.converters}
        if isinstance(pattern, URLResolver):
            waiting += [(inner, text, known) for inner in pattern.url_patterns]
            continue
        for template, names in normalize("/" + text):
            yield from (template % values for values in _values(names, known))


def _values(names: Iterable[str], converters: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Values for the parameters of a pattern: what converters take, and the same one for every other."""
    names = list(names)
    fixed = {}
    for name in names:
        if name in converters:
            taken = [value for value in _VALUES if re.fullmatch(converters[name].regex, value)]
            fixed[name] = taken[0] if taken else "x"
    if len(fixed) == len(names):
        yield fixed
    else:
        yield from ({name: fixed.get(name, value) for name in names} for value in _VALUES)
