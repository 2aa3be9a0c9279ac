"""Canaries of ``hybrid_gateway/_compat/cpython_internals.py``."""

from __future__ import annotations

import cProfile
import sys
from typing import Any

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
