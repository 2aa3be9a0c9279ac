"""Undocumented names of asgiref: where its thread-sensitive work goes, and how a context moves between threads."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from typing import Any

from asgiref.local import Local
from asgiref.sync import AsyncToSync, SyncToAsync, _restore_context

restore_context = _restore_context
"""``restore_context(context)``: set each variable of ``context`` in the current one, asgiref's ``Local`` included."""

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
