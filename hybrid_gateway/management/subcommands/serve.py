"""uvicorn with the lane, as ``manage.py gateway serve`` starts it: options, defaults fit for production, the start."""

from __future__ import annotations

import functools
import inspect
import logging
import os
from argparse import ArgumentTypeError, BooleanOptionalAction
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from hybrid_gateway.management.listening import addresses_of, bind_everywhere


def add_arguments(parser: CommandParser) -> None:
    """Add the options of ``gateway serve``; their defaults are for a server behind a proxy or a platform's router."""
    for add in (_add_address, _add_processes, _add_limits, _add_proxy_and_logs):
        add(parser)


def _add_address(parser: CommandParser) -> None:
    add = parser.add_argument_group("address").add_argument
    port = os.environ.get("PORT", "")
    add(
        "--host",
        default="::" if port else "127.0.0.1",  # a platform that says PORT routes to the machine's, of either kind
        help="Address to bind; 127.0.0.1, with a PORT in the environment ::, which is all of IPv6 and IPv4; 0.0.0.0 is "
        "all of IPv4.",
    )
    add("--port", type=int, default=int(port or 8000), help="Port; PORT of the environment, or 8000.")
    add("--uds", metavar="PATH", help="Bind a Unix domain socket instead.")
    add("--fd", type=int, help="Take over a socket that is open already, as systemd passes it.")
    add("--backlog", type=int, default=4096, help="Connections that may wait to be accepted (4096, as Linux allows).")
    add("--root-path", default="", help="Path below which a proxy mounts the application.")
    add("--ssl-keyfile", metavar="PATH", help="Private key, for TLS without a proxy.")
    add("--ssl-certfile", metavar="PATH", help="Certificate that belongs to it.")


def _add_processes(parser: CommandParser) -> None:
    add = parser.add_argument_group("processes").add_argument
    add("--workers", type=_positive, help="Processes; WEB_CONCURRENCY of the environment, or 1. One per core is usual.")
    # uvicorn's 5 are too few for a large project on a busy machine: reloads are given up half-way.
    add(
        "--worker-timeout",
        type=_positive,
        default=10,
        metavar="SECONDS",
        help="A worker must answer the process that looks after it in that time (10), also when it has just been "
        "started. More for projects that take long to start; less replaces one that hangs sooner.",
    )
    add("--reload", action="store_true", help="Start anew when a file changes; for development.")
    add("--loop", default="auto", help="auto (uvloop where installed), asyncio, uvloop.")
    add("--limit-max-requests", type=_positive, metavar="N", help="Replace a process after so many requests.")
    add("--limit-max-requests-jitter", type=int, default=0, metavar="N", help="... and up to N more, at random.")


def _add_limits(parser: CommandParser) -> None:
    add = parser.add_argument_group("time-outs, in seconds, and limits").add_argument
    add(
        "--keep-alive",
        type=_positive,
        default=75,
        help="Idle connections are closed after it (75). Longer than the proxy's, so that the proxy closes first.",
    )
    add("--graceful-timeout", type=_positive, default=25, help="What running requests get at shutdown (25).")
    add("--header-timeout", type=_seconds, default=30.0, help="The head of a request must be complete after it (30).")
    add("--body-timeout", type=_seconds, default=30.0, help="A body must not rest longer: 408 (30).")
    add("--limit-concurrency", type=_positive, metavar="N", help="Answer 503 to more than N at once. Ends the lane.")


def _add_proxy_and_logs(parser: CommandParser) -> None:
    add = parser.add_argument_group("proxy and logs").add_argument
    add("--proxy-headers", action=BooleanOptionalAction, default=True, help="Believe X-Forwarded-For and -Proto ...")
    add(
        "--forwarded-allow-ips",
        metavar="LIST",
        help="... of these addresses; FORWARDED_ALLOW_IPS of the environment, or 127.0.0.1. '*' trusts everybody.",
    )
    add("--access-log", action=BooleanOptionalAction, default=False, help="Log every request; proxies do it already.")
    levels = ["critical", "error", "warning", "info", "debug", "trace"]
    add("--log-level", default="info", choices=levels, help="The least that uvicorn logs (info).")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ArgumentTypeError(f"{text} is not positive")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise ArgumentTypeError(f"{text} is no number of seconds")
    return number


def application_import_string() -> str:
    """Return the application as servers name it, ``module:attribute``. Raises ``CommandError`` where there is none."""
    dotted = getattr(settings, "ASGI_APPLICATION", None)
    if not dotted:
        raise CommandError('There is nothing to serve: set ASGI_APPLICATION = "hybrid_gateway.asgi.application".')
    module, _, attribute = dotted.rpartition(".")
    if not module:
        raise CommandError(f"ASGI_APPLICATION = {dotted!r} is no dotted path to an application.")
    return f"{module}:{attribute}"


def handle(command: BaseCommand, **options: Any) -> None:
    """Serve until a signal ends it. Raises ``CommandError`` without uvicorn and httptools, or for a wrong setting."""
    if settings.DEBUG:
        warning = "DEBUG is on: errors show code and settings to whoever meets them."
        command.stderr.write(command.style.WARNING(warning))
    application = application_import_string()
    try:
        import uvicorn  # which is an extra, as is all that the lane needs

        from hybrid_gateway._compat.uvicorn_internals import run_on
        from hybrid_gateway.drivers.lane.protocol import LaneProtocol
    except ImportError as error:
        raise CommandError(
            f"{error}. The server comes with the extra: pip install 'hybrid-gateway[server]'."
        ) from error
    # A partial, because workers are processes of their own: it can be pickled on its way to them.
    protocol: Any = functools.partial(
        LaneProtocol,
        head_timeout=options["header_timeout"],
        body_timeout=options["body_timeout"],
        owns_process=not options["reload"],
    )
    known = inspect.signature(uvicorn.Config).parameters
    config: dict[str, Any] = dict(
        interface="asgi3",
        http=protocol,
        timeout_keep_alive=options["keep_alive"],
        timeout_graceful_shutdown=options["graceful_timeout"],
        server_header=False,
        ws_per_message_deflate=False,  # of mounts and Channels; routes have ``compression=``
        **{name: options[name] for name in _PASSED_ON},
        # Older versions of uvicorn do without: they replace processes all at once, and wait 5 seconds for a worker.
        **{name: options[option] for name, option in _NEWER.items() if name in known},
    )
    if options["host"] == "::" and options["uds"] is None and options["fd"] is None:
        made = uvicorn.Config(application, **config)
        try:
            sockets = bind_everywhere(made.port)
        except OSError as error:
            raise CommandError(f"Port {made.port} cannot be listened on: {error}.") from error
        logging.getLogger("uvicorn.error").info("Uvicorn running on %s (Press CTRL+C to quit)", addresses_of(sockets))
        run_on(made, sockets)
    else:
        uvicorn.run(application, **config)


_PASSED_ON = (
    *("host", "port", "uds", "fd", "backlog", "root_path", "ssl_keyfile", "ssl_certfile"),
    *("workers", "reload", "loop", "limit_max_requests", "limit_concurrency"),
    *("proxy_headers", "forwarded_allow_ips", "access_log", "log_level"),
)
_NEWER = {"limit_max_requests_jitter": "limit_max_requests_jitter", "timeout_worker_healthcheck": "worker_timeout"}
