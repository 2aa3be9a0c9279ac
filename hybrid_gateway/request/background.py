"""Tasks that run after a response, whoever has added them."""

from __future__ import annotations

from collections.abc import Iterator

from starlette.background import BackgroundTask, BackgroundTasks
from starlette.responses import Response

__all__ = ["OutgoingResponse", "each_task", "join_tasks"]


def each_task(work: BackgroundTask) -> Iterator[BackgroundTask]:
    """Yield the tasks in ``work``."""
    if isinstance(work, BackgroundTasks) and type(work).__call__ is BackgroundTasks.__call__:
        for task in work.tasks:  # one may add others
            yield from each_task(task)
    else:
        yield work


def join_tasks(*works: BackgroundTask | None) -> BackgroundTask | None:
    """Return all tasks in ``works`` as one, each of them once."""
    tasks: list[BackgroundTask] = []
    for work in works:
        for task in () if work is None else each_task(work):
            if not any(task is known for known in tasks):
                tasks.append(task)
    if len(tasks) < 2:
        return tasks[0] if tasks else None
    return BackgroundTasks(tasks)


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
