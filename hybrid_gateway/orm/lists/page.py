"""Pages of lists: what each style tells of one."""

from __future__ import annotations

from typing import ClassVar, Generic, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from hybrid_gateway.concurrency.asgiref_bridge import on_request_thread

T = TypeVar("T")

REQUESTED = "page_request"
"""The attribute of a :class:`Page` that a handler asks for."""


class Page(msgspec.Struct, Generic[T], kw_only=True, dict=True):
    """One page of a list, and where its neighbours are (references to the same host; ``None``: there is none).

    A handler below ``pagination=`` may ask for one: ``page: Page[ProductOut]`` is what the client wants to see, and
    ``return page.fetch(queryset)`` shows it.
    """

    first: ClassVar[str | None] = None  # like `last`, no part of the answer: for envelopes that show them
    last: ClassVar[str | None] = None

    items: list[T]
    next: str | None = None
    previous: str | None = None

    def fetch(self, queryset: object) -> Page[T]:
        """Return this page of ``queryset``."""
        page: Page[T] = self.__dict__[REQUESTED].page(queryset)
        return page

    async def afetch(self, queryset: object) -> Page[T]:
        """:meth:`fetch`, on the thread of the request."""
        return await on_request_thread(self.fetch, queryset)


class NumberedPage(Page[T], Generic[T], kw_only=True):
    """A page of ``PageNumber``."""

    page: int
    size: int
    total: int | UnsetType = UNSET
    pages: int | UnsetType = UNSET


class SlicedPage(Page[T], Generic[T], kw_only=True):
    """A page of ``LimitOffset``."""

    limit: int
    offset: int
    total: int | UnsetType = UNSET


class CursorPage(Page[T], Generic[T], kw_only=True):
    """A page of ``Cursor``."""
