"""Things that a request gathers on its way: exits and when they are due, tasks, a cache entry, Django's view of it."""

from __future__ import annotations

from types import TracebackType
from typing import Literal, NamedTuple, Protocol

import msgspec
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest
from starlette.background import BackgroundTask
from starlette.responses import Response

from hybrid_gateway.request.background_tasks import join_tasks
from hybrid_gateway.types import Header


class SyncExit(Protocol):
    """Something that ``__exit__`` closes: a context manager, or a form with its files."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> object: ...


class AsyncExit(Protocol):
    """Something that ``__aexit__`` closes: an asynchronous context manager, or a response that is not sent."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> object: ...


class Exit(NamedTuple):
    """One of two kinds of managers that a request has entered, and is to leave."""

    moment: int  # when
    mode: Literal["inline", "thread", "loop"]  # where: anywhere, on its thread, or on the loop
    manager: SyncExit | None
    async_manager: AsyncExit | None
    known_error: BaseException | None  # what had gone wrong before


class PendingEntry(msgspec.Struct):
    """The place in a cache that the response to a request may be stored at."""

    key: str
    versions: dict[str, str]
    renews: bool  # while others get the old one
    response: tuple[int, list[Header], bytes] | None = None


class DjangoState(Protocol):
    """Django's view of a request: its own request and session, each built when first asked for."""

    @property
    def is_idle(self) -> bool: ...
    @property
    def is_below_django(self) -> bool: ...
    @property
    def request(self) -> HttpRequest: ...
    @property
    def session(self) -> SessionBase: ...
    @property
    def own_request(self) -> HttpRequest | None: ...
    def message_request(self) -> HttpRequest | None: ...
    def session_request(self) -> HttpRequest | None: ...
    def give_body(self, body: bytes) -> None: ...


DJANGO_REQUEST = "hybrid_gateway.django_request"
"""In the scope of a request below ``django_middleware=``: Django's request, which has passed that."""

HANDLED = 0  # the handler has returned, or something has failed: for what nobody else asks for
ERROR_HANDLED = 1  # an exception handler has responded to what has failed
FIRST_HOOK = 2  # the first hook on the way out has run; each that follows has the next number
AFTER_RESPONSE = 1_000_000  # the response is sent, and what is to run after it has run
HOOKS_DONE = AFTER_RESPONSE - 1  # all hooks have run


class OutgoingResponse(Response):
    """Headers and cookies that handlers, guards and components set before there is a response; it has no status yet.

    Several of them may set ``background``: each adds a task to those of the others.
    """

    _background: BackgroundTask | None = None

    def __init__(self) -> None:
        super().__init__()
        self.raw_headers.clear()
        self.status_code = None  # type: ignore[assignment]

    @property
    def background(self) -> BackgroundTask | None:
        """The tasks so far."""
        return self._background

    @background.setter
    def background(self, work: BackgroundTask | None) -> None:
        self._background = join_tasks(self._background, work)
