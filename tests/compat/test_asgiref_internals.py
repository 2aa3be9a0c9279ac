"""Canaries of ``hybrid_gateway/_compat/asgiref_internals.py``."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asgiref.local import Local
from asgiref.sync import ThreadSensitiveContext, async_to_sync, sync_to_async

from hybrid_gateway._compat import asgiref_internals as internals
from tests.compat import canary


def run(coroutine: Any) -> Any:
    """On a thread of its own, where nothing of asgiref's is active yet."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


async def thread_name() -> str:
    return await sync_to_async(lambda: threading.current_thread().name)()


@canary("restore_context")
def test_a_restored_context_brings_variables_and_locals_to_another_thread() -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable")
    local = Local()
    variable.set(1)
    local.value = 2
    context = contextvars.copy_context()

    def read() -> tuple[int, int]:
        internals.restore_context(context)
        return variable.get(), local.value

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(contextvars.Context().run, read).result() == (1, 2)


@canary("bring_locals_here")
def test_locals_of_a_context_are_brought_to_another_thread_as_asgiref_does() -> None:
    local, other = Local(), Local()
    local.value, other.value = 1, []
    context = contextvars.copy_context()

    def read(bring: Any) -> tuple[int, list[object]]:
        bring()
        return local.value, other.value

    with ThreadPoolExecutor(1) as pool:
        asgirefs = pool.submit(context.copy().run, read, lambda: internals.restore_context(context)).result()
        ours = pool.submit(context.copy().run, read, internals.bring_locals_here).result()
    assert ours == asgirefs == (1, other.value)
    assert ours[1] is other.value


@canary("bring_locals_here")
def test_what_is_returned_has_the_values_that_the_context_has_afterwards() -> None:
    local = Local()
    local.value = 1
    context = contextvars.copy_context()
    with ThreadPoolExecutor(1) as pool:
        returned = pool.submit(context.run, internals.bring_locals_here).result()
    assert [variable for variable in context if returned[variable] is not context[variable]] == []


@canary("thread_state")
def test_async_to_sync_runs_on_the_loop_that_the_thread_state_names() -> None:
    async def loop_of_coroutine() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def on_a_bare_thread(loop: asyncio.AbstractEventLoop) -> asyncio.AbstractEventLoop:
        internals.thread_state.main_event_loop = loop
        internals.thread_state.main_event_loop_pid = os.getpid()
        return async_to_sync(loop_of_coroutine)()

    async def main() -> bool:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as pool:
            return await loop.run_in_executor(pool, on_a_bare_thread, loop) is loop

    assert run(main())


@canary("default_executor")
def test_sensitive_work_of_nobody_goes_to_the_default_executor() -> None:
    async def main() -> tuple[str, str]:
        expected = internals.default_executor.submit(lambda: threading.current_thread().name).result()
        return expected, await thread_name()

    expected, actual = run(main())
    assert actual == expected


@canary("context_executors", "thread_sensitive_context")
def test_sensitive_work_of_a_context_goes_to_its_executor() -> None:
    async def main() -> str:
        context = ThreadSensitiveContext()
        with ThreadPoolExecutor(1, thread_name_prefix="of-context") as pool:
            internals.context_executors[context] = pool
            internals.thread_sensitive_context.set(context)
            return await thread_name()

    assert run(main()).startswith("of-context")


@canary("loop_executors")
def test_sensitive_work_of_a_loop_goes_to_its_executor() -> None:
    async def main() -> str:
        with ThreadPoolExecutor(1, thread_name_prefix="of-loop") as pool:
            internals.loop_executors[asyncio.get_running_loop()] = pool
            return await thread_name()

    assert run(main()).startswith("of-loop")


@canary("loop_executors", "executor_of_thread")
def test_a_thread_that_waits_in_async_to_sync_is_the_current_executor_of_its_loop() -> None:
    async def below() -> tuple[bool, str]:
        waiting = internals.executor_of_thread.current
        ours = internals.loop_executors.get(asyncio.get_running_loop())
        return waiting is not None and (ours is None or ours is waiting), await thread_name()

    def wait() -> tuple[str, tuple[bool, str]]:
        return threading.current_thread().name, async_to_sync(below)()

    with ThreadPoolExecutor(1, thread_name_prefix="waiting") as pool:
        name, (is_current, ran_on) = pool.submit(wait).result()
    assert is_current
    assert ran_on == name


@canary("is_thread_waiting")
def test_a_thread_is_seen_to_wait_below_async_to_sync_alone() -> None:
    async def below() -> bool:
        return internals.is_thread_waiting()

    def wait() -> tuple[bool, bool, bool]:
        return internals.is_thread_waiting(), async_to_sync(below)(), internals.is_thread_waiting()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(contextvars.Context().run, wait).result() == (False, True, False)


@canary("executor_of_thread")
def test_a_hidden_executor_leaves_the_choice_to_the_context() -> None:
    async def below() -> str:
        internals.executor_of_thread.current = None
        context = ThreadSensitiveContext()
        with ThreadPoolExecutor(1, thread_name_prefix="of-context") as pool:
            internals.context_executors[context] = pool
            internals.thread_sensitive_context.set(context)
            return await thread_name()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(async_to_sync(below)).result().startswith("of-context")
