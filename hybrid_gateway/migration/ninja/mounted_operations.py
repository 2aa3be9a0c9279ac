"""The operations of django-ninja that the URLconf leads to, with the paths and names that requests meet."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from django.urls import URLPattern, URLResolver
from msgspec import Struct
from ninja import NinjaAPI
from ninja.operation import Operation, PathView


class MountedOperation(Struct):
    """An operation at a path; most have one method."""

    methods: list[str]
    prefix: str
    """The path of its API: ``/api``."""
    path: str
    """The rest, in our words: ``/posts/{post_id:int}``."""
    namespace: str
    name: str
    operation: Operation

    @property
    def api(self) -> NinjaAPI:
        """Return its API."""
        return self.operation.api

    @property
    def full_path(self) -> str:
        """Return the path that clients know, without converters."""
        return re.sub(r"{(\w+):\w+}", r"{\1}", self.prefix + self.path)


def mounted_operations(patterns: Sequence[URLPattern | URLResolver]) -> Iterator[MountedOperation]:
    """Yield every operation, in the order of the URLconf."""
    counted: Counter[int] = Counter()
    yield from _walk(patterns, "", "", (), counted)


def _walk(
    patterns: Sequence[URLPattern | URLResolver],
    prefix: str,
    api_prefix: str,
    names: tuple[str, ...],
    counted: Counter[int],
) -> Iterator[MountedOperation]:
    for pattern in patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            is_api = pattern.app_name == "ninja"
            inner = (*names, pattern.namespace) if pattern.namespace else names
            yield from _walk(pattern.url_patterns, path, path if is_api else api_prefix, inner, counted)
            continue
        view = _path_view(pattern.callback)
        if isinstance(view, PathView):  # a path stands there once for each of its operations, with the name of that one
            operation = view.operations[counted[id(view)] % len(view.operations)]
            counted[id(view)] += 1
            mounted = our_path(api_prefix).rstrip("/")
            rest = our_path(path).removeprefix(mounted)
            name = pattern.name or operation.view_func.__name__
            yield MountedOperation(operation.methods, mounted, rest, ":".join(names), name, operation)


def _path_view(callback: Any) -> object:
    """Return what django-ninja has put behind a view: a method of it, or a function around it."""
    if inspect.isfunction(callback):
        return inspect.getclosurevars(callback).nonlocals.get("self")
    return getattr(callback, "__self__", None)


_CONVERTERS = {"int": ":int", "uuid": ":uuid", "path": ":path"}


def our_path(path: str) -> str:
    """Return a route of Django's as a path template: ``posts/<int:id>`` → ``/posts/{id:int}``."""

    def parameter(match: re.Match[str]) -> str:
        converter, _, name = match[1].rpartition(":")
        return f"{{{name}{_CONVERTERS.get(converter, '')}}}"

    return "/" + re.sub(r"<([^>]+)>", parameter, path).lstrip("/")
