"""The assertion that something makes so many queries, which lists them where it makes others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from django.db import connections
from django.test.utils import CaptureQueriesContext

__all__ = ["assert_queries"]


@contextmanager
def assert_queries(count: int) -> Iterator[list[str]]:
    """Fail unless exactly ``count`` queries are made inside, on whichever database; gives the list that they go to.

    It sees the queries of this thread: everything in a ``TestCase``, and whatever a test calls itself.
    """
    found: list[str] = []
    with ExitStack() as stack:
        captured = [stack.enter_context(CaptureQueriesContext(connection)) for connection in connections.all()]
        yield found
        found += [query["sql"] for context in captured for query in context.captured_queries]
    if len(found) != count:
        raise AssertionError("\n".join([f"{len(found)} queries instead of {count}:", *found]))
