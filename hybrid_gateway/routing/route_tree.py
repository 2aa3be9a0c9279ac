"""The route tree: path and method → endpoint and converted path values.

How this works: paths without parameters live in one dict. The others form a tree with one level per segment; a node
knows its static children by text and its parameters by converter, the strictest first. The search back-tracks: when a
static child leads nowhere (also when it only lacks the method), the parameters beside it are tried. Its cost depends on
the depth of the path, not on the number of routes. Most paths with a parameter end with it and have no other: these are
found by what comes before it, in a dict as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from hybrid_gateway.routing.path_template import Converter, Parameter, PathTemplate, PathValues, Segment

E = TypeVar("E")


Convert = Callable[[str], object]  # None for what is no such value


class _Node(Generic[E]):
    __slots__ = ("endpoints", "only", "parameters", "static")

    def __init__(self) -> None:
        self.static: dict[str, _Node[E]] = {}
        self.parameters: list[tuple[_Matcher, _Node[E]]] = []
        self.only: tuple[Convert, _Node[E]] | None = (
            None  # of one parameter, which is a segment, where there is no other
        )
        self.endpoints: dict[str, E] = {}

    def child(self, segment: Segment) -> _Node[E]:
        """Return the node of one more segment, which is made where there is none."""
        if isinstance(segment, str):
            return self.static.setdefault(segment, _Node())
        matcher = _Matcher(segment)
        child = next((child for known, child in self.parameters if known.key == matcher.key), None)
        if child is None:
            child = _Node[E]()
            self.parameters.append((matcher, child))
            self.parameters.sort(key=lambda entry: entry[0].rank)
            convert = matcher.whole if len(self.parameters) == 1 else None
            self.only = None if convert is None else (convert, child)
        return child


class _Matcher:
    """The matcher of a segment with parameters: one whole-segment converter, or text and parameters mixed."""

    __slots__ = ("converters", "key", "match", "rank", "tail", "whole")

    def __init__(self, segment: tuple[str | Parameter, ...]) -> None:
        self.converters = tuple(part.converter for part in segment if isinstance(part, Parameter))
        self.key = tuple(part if isinstance(part, str) else part.converter.name for part in segment)
        self.tail = self.converters[0].name == "path"
        whole = len(segment) == 1
        # Text around a parameter makes it stricter than any parameter alone.
        self.rank = (1 if whole else 0, self.converters[0].rank, -len(segment))
        self.match = _match_whole(self.converters[0]) if whole else _match_mixed(segment, self.converters)
        self.whole = self.converters[0].convert if whole and not self.tail else None


def _split_mixed(segment: tuple[str | Parameter, ...], text: str) -> tuple[str, ...] | None:
    """Return the texts of the parameters, each as short as possible and never empty; ``None`` where it does not fit.

    SECURITY: a regular expression, `([^/]+?)-([^/]+?)[.]json`, would take time by the square of the length.
    """
    *inner, last = segment
    end = len(text)
    if isinstance(last, str):
        if not text.endswith(last):
            return None
        end -= len(last)
    position, start, found = 0, None, []
    for part in inner if isinstance(last, str) else segment:
        if not isinstance(part, str):
            start = position
        elif start is None:
            if not text.startswith(part):
                return None
            position = len(part)
        else:
            at = text.find(part, start + 1, end)
            if at < 0:
                return None
            found.append(text[start:at])
            position, start = at + len(part), None
    if start is None or start >= end:
        return None
    return (*found, text[start:end])


def _match_mixed(
    segment: tuple[str | Parameter, ...], converters: tuple[Converter, ...]
) -> Callable[[str], PathValues | None]:
    def match(text: str) -> PathValues | None:
        texts = _split_mixed(segment, text)
        if texts is None:
            return None
        values = tuple(converter.convert(text) for converter, text in zip(converters, texts, strict=True))
        return None if None in values else values

    return match


def _match_whole(converter: Converter) -> Callable[[str], PathValues | None]:
    convert = converter.convert

    def match(text: str) -> PathValues | None:
        value = convert(text)
        return None if value is None else (value,)

    return match


class RouteTree(Generic[E]):
    """Endpoints by path and method. Built once, then only read: safe from any thread."""

    def __init__(self) -> None:
        self.static: dict[str, dict[str, tuple[E, PathValues]]] = {}  # path → method → what find() gives
        self.last: dict[str, tuple[Convert, dict[str, E]]] = {}  # what precedes the last slash → parameter, endpoints
        self._top: _Node[E] = _Node()  # above the first slash

    def add(self, template: PathTemplate, method: str, endpoint: E) -> E:
        """Put ``endpoint`` at ``template``, unless another is there; return the one that is there now."""
        if template.is_static:
            return self.static.setdefault(template.path, {}).setdefault(method, (endpoint, ()))[0]
        node, before, is_static = self._top.child(""), "", True
        for segment in template.segments:
            parent, node = node, node.child(segment)
            if not isinstance(segment, str) and is_static:
                matcher, child = parent.parameters[0]  # the strictest, which may be another one
                self.last.pop(before, None)
                if matcher.whole is not None:
                    self.last[before] = matcher.whole, child.endpoints
            is_static = is_static and isinstance(segment, str)
            before += f"/{segment}"
        return node.endpoints.setdefault(method, endpoint)

    def find(self, path: str, method: str) -> tuple[E, PathValues] | None:
        """Return the endpoint for ``path`` and ``method`` with the converted values of its parameters, in order."""
        endpoints = self.static.get(path)
        if endpoints is not None:
            found = endpoints.get(method)
            if found is not None:
                return found
        before, _, text = path.rpartition("/")
        last = self.last.get(before)
        if last is not None:  # nothing that is tried before this parameter can end here
            convert, ends = last
            endpoint, value = ends.get(method), convert(text)
            if endpoint is not None and value is not None:
                return endpoint, (value,)
        return self._walk(path.split("/"), method)

    def _walk(self, segments: list[str], method: str) -> tuple[E, PathValues] | None:
        """Search where there is one way at most; back-track from the first fork on. PERF: half the time."""
        node = self._top
        values: PathValues = ()
        for depth, segment in enumerate(segments):
            if not node.parameters:
                child = node.static.get(segment)
                if child is None:
                    return None
                node = child
            elif node.only is not None and segment not in node.static:
                convert, node = node.only
                value = convert(segment)
                if value is None:
                    return None
                values = (*values, value)
            else:
                return _search(node, segments, depth, values, method)
        found = node.endpoints.get(method)
        return None if found is None else (found, values)

    def is_unknown(self, path: str) -> bool:
        """Return whether no endpoint is at ``path``, whatever its final slash; False also where that takes a search."""
        if path in self.static or (path[:-1] if path.endswith("/") else path + "/") in self.static:
            return False
        node = self._top
        for segment in path.split("/"):
            child = node.static.get(segment)
            if node.parameters or child is None:
                return not node.parameters
            node = child
        return False

    def methods(self, path: str) -> set[str]:
        """Return every method that some endpoint answers at ``path``; none for an unknown path."""
        found = set(self.static.get(path, ()))
        for node in _leaves(self._top, path.split("/"), 0):
            found.update(node.endpoints)
        return found


def _search(
    node: _Node[E], segments: list[str], depth: int, values: PathValues, method: str
) -> tuple[E, PathValues] | None:
    if depth == len(segments):
        endpoint = node.endpoints.get(method)
        return None if endpoint is None else (endpoint, values)
    segment = segments[depth]
    child = node.static.get(segment)
    if child is not None:
        found = _search(child, segments, depth + 1, values, method)
        if found is not None:
            return found
    for matcher, child in node.parameters:
        if matcher.tail:
            taken, after = "/".join(segments[depth:]), len(segments)
        else:
            taken, after = segment, depth + 1
        converted = matcher.match(taken)
        if converted is not None:
            found = _search(child, segments, after, values + converted, method)
            if found is not None:
                return found
    return None


def _leaves(node: _Node[E], segments: list[str], depth: int) -> Iterator[_Node[E]]:
    if depth == len(segments):
        yield node
        return
    child = node.static.get(segments[depth])
    if child is not None:
        yield from _leaves(child, segments, depth + 1)
    for matcher, child in node.parameters:
        taken = "/".join(segments[depth:]) if matcher.tail else segments[depth]
        if matcher.match(taken) is not None:
            yield from _leaves(child, segments, len(segments) if matcher.tail else depth + 1)
