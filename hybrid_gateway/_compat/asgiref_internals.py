"""Undocumented names of asgiref: where its thread-sensitive work goes, and how a context moves between threads."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from contextvars import Context, ContextVar, copy_context
from threading import get_ident
from typing import Any

from asgiref import local
from asgiref.local import Local
from asgiref.sync import AsyncToSync, SyncToAsync, _restore_context

restore_context = _restore_context
"""``restore_context(context)``: set each variable of ``context`` in the current one, asgiref's ``Local`` included."""

_Storage: type[Any] | None = getattr(local, "_Storage", None)  # from 3.13 on


def bring_locals_here() -> Context:
    """Bring asgiref's ``Local`` of the current context, which came from elsewhere, to this thread; return a copy of it.

    PERF: ``restore_context`` of the current context does nothing else, and takes four times as long.
    """
    context = copy_context()
    if _Storage is None:
        return context
    thread, is_moved = get_ident(), False
    for variable, value in context.items():
        if type(value) is _Storage and value.thread_id != thread:
            variable.set(_Storage(thread, value.data))
            is_moved = True
    return copy_context() if is_moved else context


thread_state = SyncToAsync.threadlocal
"""A ``threading.local``: ``main_event_loop`` and ``main_event_loop_pid`` tell ``async_to_sync`` where to run."""

default_executor = SyncToAsync.single_thread_executor
"""Where thread-sensitive work goes that belongs to no context, loop or waiting thread."""

context_executors = SyncToAsync.context_to_thread_executor
"""The executor of each ``ThreadSensitiveContext``; weak by key."""

thread_sensitive_context = SyncToAsync.thread_sensitive_context
"""The context variable that holds the ``ThreadSensitiveContext`` of a task."""

loop_executors: dict[AbstractEventLoop, Any] = AsyncToSync.loop_thread_executors
"""The executor of each event loop; asked after the context's, and filled by ``async_to_sync`` for loops of its own."""

executor_of_thread: Local = AsyncToSync.executors
"""A ``Local`` whose ``current`` is the executor of a thread that waits in ``async_to_sync``; it comes before all."""

_waiting = getattr(getattr(executor_of_thread, "_storage", None), "_data", None)


def is_thread_waiting() -> bool:
    """Return whether ``executor_of_thread`` has a ``current`` one here. PERF: most contexts have never had any."""
    if isinstance(_waiting, ContextVar) and _waiting.get(None) is None:
        return False
    return getattr(executor_of_thread, "current", None) is not None
