"""Additions to Django's reloader: watch files that fail to import, wait for a lifespan on Ctrl-C."""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

from django.utils import autoreload

__all__ = ["InterruptDelay", "Suspects", "is_supervisor"]


def is_supervisor(options: Mapping[str, object]) -> bool:
    """Return whether this process only starts the one that serves, again and again."""
    return bool(options["use_reloader"]) and os.environ.get(autoreload.DJANGO_AUTORELOAD_ENV) != "true"


class Suspects:
    """Files that a failed import went through, watched by Django's reloader as soon as it runs.

    A module that fails to import is not in ``sys.modules``; Django watches the file of the innermost frame alone, which
    is ours when a decorator refuses a route.
    """

    def __init__(self) -> None:
        self.files: frozenset[Path] = frozenset()
        self.running: autoreload.BaseReloader | None = None

    def __enter__(self) -> Self:
        autoreload.autoreload_started.connect(self._started)
        return self

    def __exit__(self, *exc_info: object) -> None:
        autoreload.autoreload_started.disconnect(self._started)

    def add(self, error: BaseException) -> None:
        """Watch every file that ``error`` passed through."""
        self.files |= frozenset(path for name in files_of(error) if (path := Path(name)).is_file())
        self._extend()

    def _started(self, sender: autoreload.BaseReloader, **kwargs: object) -> None:
        self.running = sender
        self._extend()

    def _extend(self) -> None:
        if self.running is not None:
            # a new set, because the reloader's thread may be iterating over the old one
            self.running.extra_files = self.running.extra_files | self.files


def files_of(error: BaseException | None) -> Iterator[str]:
    """Yield the source files in the tracebacks of ``error`` and of what caused it."""
    while error is not None:
        for frame in traceback.extract_tb(error.__traceback__):
            yield frame.filename
        if isinstance(error, SyntaxError) and error.filename:
            yield error.filename
        error = error.__cause__ or error.__context__


class InterruptDelay:
    """In the supervising process, lets a Ctrl-C take effect ``seconds`` later, or at the second one.

    The terminal sends Ctrl-C to the serving process too, and ``subprocess.run`` kills that a quarter of a second later:
    too soon for a lifespan to shut down.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.enabled = seconds > 0 and hasattr(signal, "pthread_kill")

    def __enter__(self) -> None:
        if self.enabled:
            self._previous = signal.signal(signal.SIGINT, self._delay)

    def __exit__(self, *exc_info: object) -> None:
        if self.enabled:
            signal.signal(signal.SIGINT, self._previous)

    def _delay(self, signum: int, frame: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        main = threading.main_thread().ident
        timer = threading.Timer(self.seconds, signal.pthread_kill, (main, signal.SIGINT))
        timer.daemon = True
        timer.start()
