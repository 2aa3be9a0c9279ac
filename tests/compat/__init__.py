"""Canaries: one test for each undocumented name of others, which fails when that name has changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Test = TypeVar("Test", bound=Callable[..., Any])


def canary(*exported: str) -> Callable[[Test], Test]:
    """Mark a test as the canary of names that its module of ``hybrid_gateway._compat`` exports."""

    def mark(test: Test) -> Test:
        test.canary_of = exported  # type: ignore[attr-defined]
        return test

    return mark
