"""Canaries of ``hybrid_gateway/_compat/cpython_internals.py``."""

from __future__ import annotations

import cProfile
import functools
import inspect
import sys
import traceback
import types
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest

from hybrid_gateway._compat import cpython_internals as internals
from tests.compat import canary


@canary("set_class")
def test_a_class_is_changed_below_a_property_of_that_name() -> None:
    class Original:
        changes: list[type] = []

        @property
        def __class__(self) -> type:
            return type(self)

        @__class__.setter
        def __class__(self, kind: type) -> None:
            self.changes.append(kind)
            internals.set_class(self, kind)

    class Changed(Original):
        pass

    instance = Original()
    instance.__class__ = Changed  # type: ignore[assignment]
    assert type(instance) is instance.__class__ is Changed
    assert Original.changes == [Changed]


@canary("caller_namespaces")
def test_the_names_of_a_caller_are_found() -> None:
    def ask() -> Any:
        return internals.caller_namespaces(1)

    local = 1
    names, locals_ = ask()
    assert names is globals()
    assert locals_["local"] == local


class Manager:
    def get_queryset(self) -> list[int]:
        return [1]


@canary("watch_calls")
def test_calls_of_a_name_are_watched_and_no_others() -> None:
    with internals.watch_calls("get_queryset") as called:
        Manager().get_queryset()
        len([1])
    Manager().get_queryset()
    assert called == [(__name__, "Manager.get_queryset")]


@canary("watch_calls")
def test_a_profiler_goes_on_after_the_watch() -> None:
    def profile(frame: Any, event: str, argument: Any) -> None: ...

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        with internals.watch_calls("get_queryset"):
            pass
        assert sys.getprofile() is profile
    finally:
        sys.setprofile(before)
    profiler = cProfile.Profile()
    profiler.enable()
    with internals.watch_calls("get_queryset"):
        pass
    Manager().get_queryset()
    profiler.disable()
    profiler.create_stats()
    assert any(name == "get_queryset" for _, _, name in profiler.stats)  # type: ignore[attr-defined]


async def nothing() -> None: ...


async def numbers() -> AsyncIterator[int]:
    yield 1


@asynccontextmanager
async def managed() -> AsyncIterator[int]:
    yield 1


async def plain(x: int = 1) -> int:
    if x < 0:
        raise ValueError
    for _ in range(x):
        x += 1
    with open("/dev/null"):
        pass
    return x


async def makes_a_coroutine() -> Any:
    async def inner() -> None:
        await nothing()

    return [letter * 2 for letter in "abc"], {1: inner}, lambda: (yield)


async def awaits() -> None:
    await nothing()


async def iterates() -> None:
    async for _ in numbers():
        pass


async def enters() -> None:
    async with managed():
        pass


async def comprehends() -> list[int]:
    return [number async for number in numbers()]


async def comprehends_awaits() -> list[None]:
    return [await nothing() for _ in range(1)]


async def awaits_when_it_fails() -> None:
    try:
        raise ValueError
    except ValueError:
        await nothing()


async def awaits_far_away(x: int = 0) -> None:
    if x:  # a jump that needs more than one byte
        a = [x, x + 1, x + 2] * 3 if x else [x - 1] * 4
        for entry in a:
            print(entry, a, x, [*a], {"a": a}, (x, a), f"{x} {a} {entry}", a[0:1], a[x], x is None, x in a)
            print(entry, a, x, [*a], {"a": a}, (x, a), f"{x} {a} {entry}", a[0:1], a[x], x is None, x in a)
            print(entry, a, x, [*a], {"a": a}, (x, a), f"{x} {a} {entry}", a[0:1], a[x], x is None, x in a)
        await nothing()


class Holder:
    async def method(self) -> int:
        return 1

    async def waits(self) -> None:
        await nothing()

    async def __call__(self) -> int:
        return 1


def closed_over(number: int) -> Any:
    async def inner() -> int:
        return number

    return inner


async def boxes() -> Any:
    cell = 1

    def read() -> int:
        return cell

    cell += 1
    return read()


def decorated(function: Any) -> Any:
    @functools.wraps(function)
    async def wrapper() -> Any:
        return await function()

    return wrapper


def returning_another(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper() -> Any:
        return function()

    return wrapper


@pytest.mark.parametrize("function", [plain, makes_a_coroutine, Holder().method, nothing, closed_over(3), boxes])
@canary("without_coroutine")
def test_a_coroutine_function_without_anything_to_await_becomes_a_plain_one(function: Any) -> None:
    made = internals.without_coroutine(function)
    assert made is not None
    assert not inspect.iscoroutinefunction(made)
    with pytest.raises(StopIteration) as stop:
        function().send(None)
    assert repr(made())[:20] == repr(stop.value.value)[:20]


@pytest.mark.parametrize(
    "function",
    [
        *(awaits, iterates, enters, comprehends, comprehends_awaits, awaits_when_it_fails, awaits_far_away),
        *(Holder().waits, Holder(), decorated(plain), returning_another(plain), functools.partial(plain, 1)),
        *(numbers, managed, len, lambda: plain(), types.coroutine(lambda: (yield))),
    ],
)
def test_what_may_wait_does_not(function: Any) -> None:
    assert internals.without_coroutine(function) is None


def test_a_plain_function_is_like_its_coroutine_function() -> None:
    async def original(a: int, b: int = 2, *rest: int, c: int = 3, **more: int) -> Any:
        """Words."""
        if a < 0:
            raise ValueError("below")
        return a, b, rest, c, more

    made = internals.without_coroutine(original)
    assert made is not None
    assert made(1) == (1, 2, (), 3, {})
    assert made(1, 5, 6, c=7, d=8) == (1, 5, (6,), 7, {"d": 8})
    assert made.__qualname__ == original.__qualname__
    with pytest.raises(ValueError, match="below") as caught:
        made(-1)
    [*_, last] = traceback.extract_tb(caught.value.__traceback__)
    assert (last.name, last.line) == ("original", 'raise ValueError("below")')
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'a'"):
        made()


def test_errors_pass_through_what_a_plain_function_has_open() -> None:
    left: list[str] = []

    @contextmanager
    def opened() -> Iterator[int]:
        try:
            yield 1
        finally:
            left.append("left")

    async def original() -> None:
        for _ in range(2):
            with opened():
                try:
                    raise KeyError("x")
                except KeyError as error:
                    raise LookupError("y") from error
                finally:
                    left.append("finally")

    made = internals.without_coroutine(original)
    assert made is not None
    for _ in range(100):
        with pytest.raises(LookupError, match="y"):
            made()
    assert left == ["finally", "left"] * 100


def test_what_stops_an_iteration_is_an_error() -> None:
    async def original() -> None:
        next(iter(()))

    made = internals.without_coroutine(original)
    assert made is not None
    with pytest.raises((RuntimeError, StopIteration)):
        made()
