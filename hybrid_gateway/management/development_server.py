"""uvicorn in the shape of Django's development server, and additions to Django's reloader.

``django.core.servers.basehttp.run()`` needs four things of a server: to be made from an address, ``server_port``,
``set_app()`` and ``serve_forever()``. :class:`ASGIServer` has them, so Django keeps its checks, messages and reloader.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self

from django.utils import autoreload

from hybrid_gateway.types import ASGIApp

if TYPE_CHECKING:
    import uvicorn

LEFTOVERS_TIMEOUT = 0.5  # seconds that tasks the application left behind get to handle their cancellation
JOIN_TIMEOUT = 0.5  # seconds that executor threads get to end by themselves when the process does


class ASGIServer:
    """An ASGI server on a socket of its own; ``OSError`` when the address is not to be had."""

    def __init__(self, address: tuple[str, int], handler_class: object = None, *, ipv6: bool = False) -> None:
        self.socket = socket.socket(socket.AF_INET6 if ipv6 else socket.AF_INET, socket.SOCK_STREAM)
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind(address)
            self.socket.listen(128)
        except OSError:
            self.socket.close()
            raise
        self.server_port: int = self.socket.getsockname()[1]
        self._uvicorn: uvicorn.Server | None = None
        self._done = threading.Event()

    def __repr__(self) -> str:
        return f"<ASGIServer on port {self.server_port}{' (stopped)' if self._done.is_set() else ''}>"

    def set_app(self, application: ASGIApp) -> None:
        """Take the ASGI application to serve."""
        import uvicorn

        config = uvicorn.Config(
            application,
            interface="asgi3",
            lifespan="auto",
            loop="asyncio",  # debuggers and breakpoints know it; uvloop is for production
            backlog=128,
            log_config=None,
            proxy_headers=False,  # as under Django's server, the client is whoever connects
            timeout_graceful_shutdown=1,
        )
        self._uvicorn = uvicorn.Server(config)

    def serve_forever(self) -> None:
        """Serve until :meth:`stop`, or Ctrl-C when this is the main thread; lifespan starts and ends in here."""
        if self._uvicorn is None:
            raise RuntimeError("set_app() comes before serve_forever()")
        log_like_django()
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(self._uvicorn.serve(sockets=[self.socket]))
        finally:
            self._done.set()
            _abandon(loop)

    def stop(self, grace: float) -> bool:
        """Ask the server, from another thread, to end; say whether it did within ``grace`` seconds."""
        if self._uvicorn is not None:
            self._uvicorn.should_exit = True
        stopped = self._done.wait(grace)
        if self._uvicorn is not None:
            self._uvicorn.force_exit = not stopped
        return stopped


def _abandon(loop: asyncio.AbstractEventLoop) -> None:
    """Close ``loop`` as ``asyncio.run`` does, but wait for nobody: a view may be stuck on an executor's thread."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.wait(tasks, timeout=LEFTOVERS_TIMEOUT))
    loop.close()


def leave(server: ASGIServer, code: int, grace: float) -> NoReturn:
    """Stop ``server`` and end the process with ``code``, without waiting for threads that are stuck."""
    with suppress(KeyboardInterrupt):  # Ctrl-C once more: no lifespan then
        server.stop(grace)
    sys.stdout.flush()
    sys.stderr.flush()
    # At exit concurrent.futures joins its threads, daemons too, however long their views take.
    last_resort = threading.Timer(JOIN_TIMEOUT, os._exit, (code,))
    last_resort.daemon = True
    last_resort.start()
    atexit.register(last_resort.cancel)  # called once the threads are joined, before the project's own callbacks
    sys.exit(code)


# --- logs ----------------------------------------------------------------------------------------------------------


class _DjangoServerHandler(logging.Handler):
    """Passes uvicorn's access records on to ``django.server``, whose formatter colours them by their status."""

    target = logging.getLogger("django.server")

    def emit(self, record: logging.LogRecord) -> None:
        arguments: Any = record.args
        _client, method, path, version, status = arguments
        # DJANGO: django/core/servers/basehttp.py, WSGIRequestHandler.log_message (5.2 and 6.1)
        level = logging.ERROR if status >= 500 else logging.WARNING if status >= 400 else logging.INFO
        extra = {"status_code": status, "server_time": time.strftime("%d/%b/%Y %H:%M:%S")}
        self.target.log(level, '"%s %s HTTP/%s" %s', method, path, version, status, extra=extra)


def log_like_django() -> None:
    """Give ``uvicorn.access`` the look of ``django.server``, unless the project's LOGGING configures it."""
    # Requests that a reload cancels are no errors of the application.
    logging.getLogger("uvicorn.error").addFilter(
        lambda record: not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))
    )
    access = logging.getLogger("uvicorn.access")
    if not access.handlers:
        access.addHandler(_DjangoServerHandler())
        access.setLevel(logging.INFO)
        access.propagate = False


# --- the reloader: watch files that fail to import, wait for a lifespan on Ctrl-C ------------------------------------


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
