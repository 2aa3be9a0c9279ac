"""Paths of the URLconf, as routes of a gateway write them."""

from __future__ import annotations

import re
from urllib.parse import quote

from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse
from django.urls.resolvers import RegexPattern

_MARK = "987654321"
_GROUP = re.compile(r"\(\?P<(\w+)>")
_CONVERTER = re.compile(r"<(?:(\w+):)?(\w+)>")
_CONVERTERS = {"int": ":int", "path": ":path", "uuid": ":uuid"}


class PathTemplates:
    """The paths of named routes, which links to a row are made of."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], str | None] = {}

    def of(self, name: str, parameter: str) -> str | None:
        """Return the path of a route of one parameter, with ``{}`` in its place; ``None`` where nobody knows."""
        key = (name, parameter)
        if key not in self._known:
            self._known[key] = self._reversed(name, parameter)
        return self._known[key]

    def _reversed(self, name: str, parameter: str) -> str | None:
        for mark in (_MARK, "00000000-0000-0000-0000-987654321000"):
            try:
                found = reverse(name, kwargs={parameter: mark})
            except NoReverseMatch:
                continue
            path = found.replace(quote(mark), "{}")
            return path if path.count("{}") == 1 else None
        return None


class Place:
    """A pattern of the URLconf: the path it stands for, its view, and its name with the namespaces around it."""

    def __init__(self, path: str | None, pattern: URLPattern, namespaces: tuple[str, ...]) -> None:
        self.path = path
        """``/api/groups/{pk}/``, or ``None`` for a regular expression that is no such path."""
        self.view = pattern.callback
        self.name = ":".join([*namespaces, pattern.name or ""])


def walk(resolver: URLResolver | None = None, before: str = "/", namespaces: tuple[str, ...] = ()) -> list[Place]:
    """Return every pattern below a resolver, that of the project by default."""
    found: list[Place] = []
    for entry in (resolver or get_resolver()).url_patterns:
        if "<format>" in str(entry.pattern) or "<drf_format_suffix:" in str(entry.pattern):
            continue  # of another spelling of the same route
        part = _template(entry.pattern)
        path = None if part is None or before is None else f"{before}{part}"
        if isinstance(entry, URLPattern):
            found.append(Place(path, entry, namespaces))
        elif path is not None:
            inner = (*namespaces, entry.namespace) if entry.namespace else namespaces
            found += walk(entry, path, inner)
    return found


def _template(pattern: object) -> str | None:
    """Return a pattern as a template; ``None`` where it is more than names between slashes."""
    if not isinstance(pattern, RegexPattern):
        return _CONVERTER.sub(lambda match: f"{{{match[2]}{_CONVERTERS.get(match[1] or '', '')}}}", str(pattern))
    text = str(pattern).removeprefix("^").removesuffix("$").removesuffix(r"\Z")
    made, rest = "", text
    while match := _GROUP.search(rest):
        end = _closing(rest, match.start())
        made, rest = f"{made}{rest[: match.start()]}\0{match[1]}\1", rest[end + 1 :]
    text = (made + rest).replace(r"\.", ".").replace(r"\-", "-")
    if re.search(r"[\\()\[\]?*+|^$]", text):
        return None
    return text.replace("\0", "{").replace("\1", "}")


def _closing(text: str, start: int) -> int:
    """Return where the bracket at ``start`` is closed."""
    depth, position, in_set = 0, start, False
    while position < len(text):
        letter = text[position]
        if letter == "\\":
            position += 1
        elif in_set:
            in_set = letter != "]"
        elif letter == "[":
            in_set = True
        elif letter in "()":
            depth += 1 if letter == "(" else -1
            if depth == 0:
                return position
        position += 1
    return len(text)
