"""Undocumented names of CPython: frames, classes and what the standard library does not document."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType


def caller_namespaces(depth: int) -> tuple[dict[str, object], Mapping[str, object]]:
    """Return the global and the local names of the caller of a caller; with a depth of 0, those of the caller."""
    frame = sys._getframe(depth + 1)
    return frame.f_globals, frame.f_locals


def set_class(instance: object, kind: type) -> None:
    """Make ``instance`` one of ``kind``, also where its class has a property ``__class__`` of its own."""
    vars(object)["__class__"].__set__(instance, kind)


@contextmanager
def watch_calls(name: str) -> Iterator[list[tuple[str, str]]]:
    """Collect the calls of Python functions of this name on this thread: their modules and qualified names.

    A profiler that runs on this thread sees nothing of that stretch, and goes on afterwards.
    """
    called: list[tuple[str, str]] = []
    before = sys.getprofile()

    def watch(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code.co_name == name:
            called.append((str(frame.f_globals.get("__name__")), frame.f_code.co_qualname))

    sys.setprofile(watch)
    try:
        yield called
    finally:
        # Before Python 3.12, a running cProfile is what getprofile() returns; it is no function, but has this method.
        enable = getattr(before, "enable", None)
        if enable is not None:
            sys.setprofile(None)
            enable()
        else:
            sys.setprofile(before)
