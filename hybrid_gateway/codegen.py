"""Functions from generated source: readable, and shown in tracebacks."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from itertools import count
from types import CodeType
from typing import Any


class Names:
    """The names in one piece of generated source, each of them once."""

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        self._taken = set(reserved)

    def unique(self, wanted: str) -> str:
        """Return a name that nobody has yet: ``wanted``, or ``wanted_2`` and so on."""
        name = wanted
        for number in count(2):
            if name not in self._taken:
                break
            name = f"{wanted}_{number}"
        self._taken.add(name)
        return name


def define(name: str, source: str, names: Mapping[str, object], title: str) -> Callable[..., Any]:
    """Return the function ``name`` that ``source`` defines, whose global names are ``names``.

    Tracebacks show the lines of the source under ``title``. The source is our own; no user input may be part of it.
    """
    defined: Callable[..., Any] = define_all(source, names, title)[name]
    return defined


def define_all(source: str, names: Mapping[str, object], title: str) -> dict[str, Any]:
    """Return ``names`` and all that ``source`` defines, by name; see :func:`define`."""
    module: dict[str, Any] = dict(names)
    exec(_with_filename(_compile(source), _remember(source, title)), module)  # noqa: S102 (our own text)
    return module


def _remember(source: str, title: str) -> str:
    """Store ``source`` where tracebacks look for it; return the file name that stands for it there."""
    # As attrs does it: equal sources of one title share an entry, and another source of that title gets a number.
    filename, number = f"<gateway {title}>", 1
    while True:
        entry = len(source), None, source.splitlines(keepends=True), filename
        if linecache.cache.setdefault(filename, entry) == entry:
            return filename
        number += 1
        filename = f"<gateway {title} ({number})>"


# PERF: routes of one shape have one source, and compiling it is half of what a route costs at start-up.
_compile = lru_cache(maxsize=1024)(partial(compile, filename="<gateway>", mode="exec"))


def _with_filename(code: CodeType, filename: str) -> CodeType:
    """Return ``code``, and that of the functions inside it, under the name that tracebacks show."""
    constants = (_with_filename(entry, filename) if isinstance(entry, CodeType) else entry for entry in code.co_consts)
    return code.replace(co_filename=filename, co_consts=tuple(constants))
