"""``manage.py runserver``: Django's command, serving ``ASGI_APPLICATION`` by uvicorn.

How this works: Django's own command keeps everything it does well (checks, messages, error texts, the reloader) and is
handed another server class. What is ours is the end: uvicorn runs in a daemon thread of the reloader's child, so when a
file changes, or on Ctrl-C, the main thread asks it to stop, lets the lifespan shut down, and leaves without waiting for
a view that does not end. Where ASGI is impossible the command is Django's, and says why.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import find_commands, load_command_class
from django.core.management.base import CommandParser, SystemCheckError
from django.core.management.commands.runserver import Command as DjangoCommand
from django.utils import autoreload
from django.utils.module_loading import import_string
from django.utils.version import get_docs_version

from hybrid_gateway.debug_pages.start_page import start_page_application
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.gateway.application import Gateway
from hybrid_gateway.gateway.settings_gateway import serve_static
from hybrid_gateway.management.development_server import ASGIServer, InterruptDelay, Suspects, leave

APP = "hybrid_gateway"
SHUTDOWN_GRACE = 2.5  # seconds a stop waits for the lifespan, after which stuck requests are left behind


def next_runserver() -> type[DjangoCommand]:
    """Return the command of the nearest app listed after ours that extends Django's, or Django's own.

    An app that replaces ``inner_run``, as Daphne does, starts a server of its own and is passed over.
    """
    names = [config.name for config in apps.get_app_configs()]
    for config in list(apps.get_app_configs())[names.index(APP) + 1 if APP in names else 0 :]:
        if "runserver" in find_commands(str(Path(config.path, "management"))):
            command = type(load_command_class(config.name, "runserver"))
            if issubclass(command, DjangoCommand) and command.inner_run is DjangoCommand.inner_run:
                return command
    return DjangoCommand


if TYPE_CHECKING:
    NextCommand = DjangoCommand
else:
    NextCommand = next_runserver()


class Command(NextCommand):
    help = "Starts a development server that serves ASGI_APPLICATION: Django, the API, static files and websockets."

    addr: str
    shutdown_grace = SHUTDOWN_GRACE
    server: ASGIServer | None = None  # while it runs
    application: Any = None
    why_wsgi: str | None = None
    failure: ConfigurationError | None = None  # which is served as a page, until a file changes

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.suspects = Suspects()

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--wsgi",
            action="store_true",
            dest="use_wsgi",
            help="Serve WSGI_APPLICATION by Django's own server: no websockets, no lifespan.",
        )

    def run(self, **options: Any) -> None:
        """Run the server until a signal or, with the reloader, a changed file; leave no matter what still runs."""
        self.why_wsgi = reason_for_wsgi(options)
        if self.why_wsgi is None:
            options["use_threading"] = False  # else Django mixes a thread per connection into the server class
            self.server_cls = self.bind  # type: ignore[assignment]
        supervises = options["use_reloader"] and os.environ.get(autoreload.DJANGO_AUTORELOAD_ENV) != "true"
        delay = self.shutdown_grace + 1 if self.why_wsgi is None and supervises else 0
        code = 0
        with self.suspects, InterruptDelay(delay):
            try:
                super().run(**options)
            except SystemExit as stop:  # 3 when a file changed, 0 on SIGTERM
                if self.server is None or not isinstance(stop.code, int):
                    raise
                code = stop.code
        if self.server is not None:
            leave(self.server, code, self.shutdown_grace)

    def bind(self, address: tuple[str, int], handler_class: object, *, ipv6: bool = False) -> ASGIServer:
        """Make the server; Django calls this as its server class."""
        self.server = ASGIServer(address, handler_class, ipv6=ipv6)
        return self.server

    def inner_run(self, *args: Any, **options: Any) -> None:
        """Import the application first, so that the reloader learns which files a failing import went through."""
        autoreload.raise_last_exception()
        if "use_static_handler" in options:
            serve_static(static_files_wanted(options))
        try:
            self.get_handler(*args, **options)
        except ConfigurationError as error:
            self.suspects.add(error)  # the system checks say it better than a traceback
            if settings.DEBUG and options["use_reloader"] and self.why_wsgi is None:
                self.failure = error
        except Exception as error:
            self.suspects.add(error)
            raise
        try:
            super().inner_run(*args, **options)
        except SystemCheckError as error:
            if self.failure is None:
                raise
            self.stderr.write(str(error))
            super().inner_run(*args, **{**options, "skip_checks": True})

    def get_handler(self, *args: Any, **options: Any) -> Any:
        """Return ``ASGI_APPLICATION`` with static files, or what the command below ours serves over WSGI."""
        if self.why_wsgi is not None:
            return super().get_handler(*args, **options)
        if self.failure is not None:
            return start_page_application(self.failure)
        try:
            self.application = import_string(settings.ASGI_APPLICATION)
        except ImportError as error:
            problem = f"The ASGI application {settings.ASGI_APPLICATION!r} could not be loaded: {error}"
            raise ImproperlyConfigured(problem) from error
        return with_static_files(self.application, static_files_wanted(options))

    def on_bind(self, server_port: int) -> None:
        if self.why_wsgi is not None:
            super().on_bind(server_port)
            self.stdout.write(self.style.NOTICE(f"Serving over WSGI: {self.why_wsgi}"))
            return
        host = {"0": "0.0.0.0"}.get(self.addr, f"[{self.addr}]" if ":" in self.addr else self.addr)  # noqa: S104
        url = f"{self.protocol}://{host}:{server_port}"
        self.stdout.write(
            f"{datetime.now():%B %d, %Y - %X}\n"
            f"Django version {self.get_version()}, using settings {settings.SETTINGS_MODULE!r}\n"
            f"Starting ASGI (uvicorn {version('uvicorn')}) development server at {url}/"
        )
        if self.failure is not None:
            told, where = self.failure.id or type(self.failure).__name__, self.failure.place
            words = f"The API cannot be built ({told}, {where}): until a file changes, every page says so."
            self.stdout.write(self.style.ERROR(words))
        elif isinstance(self.application, Gateway):
            for title, value in about(self.application, url):
                self.stdout.write(f"  {title:<8}{value}")
        self.stdout.write(f"Quit the server with {'CTRL-BREAK' if sys.platform == 'win32' else 'CONTROL-C'}.")
        if os.environ.get("DJANGO_RUNSERVER_HIDE_WARNING") != "true":
            self.stdout.write(self.style.WARNING(PRODUCTION_WARNING.format(version=get_docs_version())))


PRODUCTION_WARNING = (
    "WARNING: This is a development server. Do not use it in a production setting. Use a production ASGI server "
    "instead.\nFor more information on production servers see: "
    "https://docs.djangoproject.com/en/{version}/howto/deployment/"
)


DOCUMENTS = "hybrid_gateway.openapi"
"""The module of the handlers of the document and its pages, which no project has written."""


# --- what is served ------------------------------------------------------------------------------------------------


def reason_for_wsgi(options: Mapping[str, object]) -> str | None:
    """Return the reason why this run is Django's own WSGI server, or None when ``ASGI_APPLICATION`` can be served."""
    if options["use_wsgi"]:
        return "--wsgi was given."
    if not options["use_threading"]:
        return "--nothreading was given, and the ASGI application answers from several threads."
    if not getattr(settings, "ASGI_APPLICATION", None):
        return f'ASGI_APPLICATION is not set; "{APP}.asgi.application" serves websockets and lifespan as well.'
    if find_spec("uvicorn") is None:
        return 'uvicorn is not installed; pip install "hybrid-gateway[server]" brings it.'
    return None


def with_static_files(application: Any, wanted: bool) -> Any:
    """Return ``application``, behind Django's handler of static files where these are wanted and it serves none."""
    if not wanted or (isinstance(application, Gateway) and application.dispatcher.django.static):
        return application
    from django.contrib.staticfiles import handlers

    handler: Any = handlers.ASGIStaticFilesHandler
    return handler(application)


def static_files_wanted(options: Mapping[str, object]) -> bool:
    """Return what DEBUG, ``--nostatic`` and ``--insecure`` say; the latter two exist when staticfiles is installed."""
    return bool(options.get("use_static_handler")) and bool(settings.DEBUG or options["insecure_serving"])


def about(gateway: Gateway, url: str) -> Iterator[tuple[str, str]]:
    """Yield the lines that are shown at start-up: where the docs are, and which side answers which paths."""
    if gateway.serves_docs:
        yield "Docs", f"{url}{gateway.openapi.docs}"
    if gateway.dispatcher.fallthrough:
        yield "Django", "everything else"
    elif gateway.dispatcher.prefixes.prefixes:
        yield "Django", " ".join(gateway.dispatcher.prefixes.described)
    own = sum(route.handler.__module__ == DOCUMENTS for route in gateway.routes)
    written = len(gateway.routes) - own
    sockets = sum(bool(route.websocket) for route in gateway.routes)
    websockets = f", {sockets} of websockets" if sockets else ""
    docs = f", and {own} of the docs" if own else ""
    yield "API", f"{written} route{'' if written == 1 else 's'}{websockets}{docs}"
