"""Undocumented names of CPython: frames, classes and what the standard library does not document."""

from __future__ import annotations

import dis
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType, FunctionType, MethodType
from typing import Any


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


_NOP, _POP_TOP, _RETURN_GENERATOR, _YIELD_VALUE = (
    dis.opmap[name] for name in ("NOP", "POP_TOP", "RETURN_GENERATOR", "YIELD_VALUE")
)
_BEFORE = frozenset(dis.opmap[name] for name in ("COPY_FREE_VARS", "MAKE_CELL", "EXTENDED_ARG"))
_IS_DEBUG_BUILD = hasattr(sys, "gettotalrefcount")  # whose assertions know coroutines by their frames


def without_coroutine(function: object) -> Callable[..., Any] | None:
    """Return the plain function that does what an ``async def`` with nothing to await does; ``None`` for all else.

    Whatever suspends a coroutine (``await``, ``async for``, ``async with``) does so by an instruction of its own code.
    What makes a coroutine of a call is an instruction as well, before all others, and is left out.
    """
    target = function.__func__ if isinstance(function, MethodType) else function
    if not (isinstance(target, FunctionType) and target.__code__.co_flags & inspect.CO_COROUTINE) or _IS_DEBUG_BUILD:
        return None
    code = bytearray(target.__code__.co_code)
    instructions = code[::2]
    start = instructions.find(_RETURN_GENERATOR)
    is_known = start >= 0 and instructions[start + 1] == _POP_TOP and _BEFORE.issuperset(instructions[:start])
    if not is_known or _YIELD_VALUE in instructions or instructions.count(_RETURN_GENERATOR) > 1:
        return None
    code[2 * start : 2 * start + 4] = bytes((_NOP, 0, _NOP, 0))
    flags = target.__code__.co_flags & ~inspect.CO_COROUTINE
    plain = FunctionType(
        target.__code__.replace(co_code=bytes(code), co_flags=flags),
        target.__globals__,
        target.__name__,
        target.__defaults__,
        target.__closure__,
    )
    plain.__kwdefaults__, plain.__qualname__ = target.__kwdefaults__, target.__qualname__
    return MethodType(plain, function.__self__) if isinstance(function, MethodType) else plain
