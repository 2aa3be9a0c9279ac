"""Work after the response: a task, several in order, and those that a request collects on its way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import ParamSpec

from asgiref.sync import iscoroutinefunction, sync_to_async
from starlette import background

P = ParamSpec("P")


class BackgroundTask(background.BackgroundTask):
    """Work after the response; a plain function runs on the request's thread, by Django's rules for connections."""

    def __init__(self, func: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        super().__init__(func, *args, **kwargs)
        self.is_async = self.is_async or iscoroutinefunction(func)  # also what is only marked so

    async def __call__(self) -> None:
        if self.is_async:
            await self.func(*self.args, **self.kwargs)
        else:
            await sync_to_async(self.func)(*self.args, **self.kwargs)


class BackgroundTasks(background.BackgroundTasks):
    """Several tasks, in order. Handlers, components and hooks that ask for it add theirs to those of the request.

    One that fails is logged, and the others run. The response to an error drops what was added before the error.
    """

    def add(self, function: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Call ``function(*args, **kwargs)`` once the response is sent; it may be ``async def``."""
        if not callable(function):
            raise TypeError(
                f"{function!r} is no function to call after the response: write tasks.add(function, *args)."
            )
        self.tasks.append(BackgroundTask(function, *args, **kwargs))

    def add_task(self, func: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Call :meth:`add`, by its name in Starlette."""
        self.add(func, *args, **kwargs)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self.tasks)}>"


class CollectedTasks(BackgroundTasks):
    """The tasks that one request has collected: each is done once, however often they are listed."""

    def __init__(self) -> None:
        super().__init__()


class BackgroundWork(background.BackgroundTasks):
    """The tasks of one response, those that its request has ``collected``, then those of every response of its route.

    What the last ones add is done after them.
    """

    def __init__(
        self,
        own: background.BackgroundTask | None,
        collected: CollectedTasks | None,
        always: Sequence[background.BackgroundTask],
    ) -> None:
        late = [] if collected is None else [collected]
        super().__init__([*([] if own is None else [own]), *late, *always, *late])
        self._collected = collected
        self._always = background.BackgroundTasks([*always, *late])

    def without_own(self) -> background.BackgroundTasks:
        """Return what is done where the response came to nothing: the tasks of every response of the route."""
        if self._collected is not None:
            self._collected.tasks.clear()
        return self._always


def each_task(work: background.BackgroundTask) -> Iterator[background.BackgroundTask]:
    """Yield the tasks in ``work``."""
    if isinstance(work, CollectedTasks):
        while work.tasks:
            yield from each_task(work.tasks.pop(0))
    elif isinstance(work, background.BackgroundTasks) and type(work).__call__ is background.BackgroundTasks.__call__:
        for task in work.tasks:  # one may add others
            yield from each_task(task)
    else:
        yield work


def join_tasks(*works: background.BackgroundTask | None) -> background.BackgroundTask | None:
    """Return all tasks in ``works`` as one, each of them once."""
    tasks: list[background.BackgroundTask] = []
    for work in works:
        for task in () if work is None else each_task(work):
            if not any(task is known for known in tasks):
                tasks.append(task)
    if len(tasks) < 2:
        return tasks[0] if tasks else None
    return background.BackgroundTasks(tasks)
