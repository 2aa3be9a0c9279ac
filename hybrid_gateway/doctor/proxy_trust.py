"""Concern: do servers learn from their proxy who calls, over which scheme, and can the proxy reach them at all?"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from django.conf import settings

from hybrid_gateway.checks.package import logs_in
from hybrid_gateway.doctor.command_lines import ROUTERS, Platform, ServerCommand
from hybrid_gateway.doctor.examined_project import Project
from hybrid_gateway.doctor.finding import Finding, Severity, found

_LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")


def look_at_proxies(project: Project) -> Iterator[Finding]:
    """Yield D030 headers of a proxy that nobody believes, D031 that anybody may write, D032 hosts, D033 addresses."""
    for command in project.production:
        yield from _unreachable(command)
        if command.given.platform in ROUTERS:
            yield from _unbelieved(command, project)
        elif command.given.platform in ("unit", "script"):
            yield from _believed_of_anybody(command)
    if project.deploy and "*" in settings.ALLOWED_HOSTS:
        yield found(
            "D032", Severity.ADVICE, 'ALLOWED_HOSTS = ["*"]: links and e-mails show whatever Host a client sends.'
        )


# Heroku's buildpack for Python sets FORWARDED_ALLOW_IPS="*" and PORT; so does Render, for its own images.
_SETS_TRUST: frozenset[Platform] = frozenset(("heroku", "render"))
_SETS_PORT: frozenset[Platform] = ROUTERS - {"fly"}


def _trusted(command: ServerCommand) -> str:
    """Return the addresses whose headers a server believes."""
    options, environment = command.options, command.given.environment
    if command.server in ("uvicorn", "gateway serve", "gunicorn"):
        if "--no-proxy-headers" in options:
            return ""
        of_platform = (
            "*" if command.given.platform in _SETS_TRUST else os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1")
        )
        return options.get("--forwarded-allow-ips") or environment.get("FORWARDED_ALLOW_IPS", of_platform)
    if command.server == "daphne":
        return "*" if "--proxy-headers" in options else ""
    return options.get("--trusted-proxy", "")


def _believes_router(command: ServerCommand) -> bool:
    return bool(set(_trusted(command).replace(" ", "").split(",")) - {"", *_LOOPBACK})


def _learns_address(command: ServerCommand) -> bool:
    return _believes_router(command) and not _is_gunicorn_wsgi(command)


def _is_gunicorn_wsgi(command: ServerCommand) -> bool:
    return command.server == "gunicorn" and command.protocol == "wsgi"


def counts_addresses(project: Project) -> bool:
    """Return whether routes count requests or failed logins by address."""
    if project.gateway is None:
        return False
    found = [throttle for endpoint in project.gateway.endpoints for _, throttle in endpoint.route.layers.throttle]
    by_address = any(isinstance(entry, str) or not callable(getattr(entry, "by", str)) for entry in found)
    return by_address or any(map(logs_in, project.gateway.endpoints))


def _unbelieved(command: ServerCommand, project: Project) -> Iterator[Finding]:
    knows_scheme = bool(_believes_router(command) or settings.SECURE_PROXY_SSL_HEADER)
    counts_as_one = counts_addresses(project) and not _learns_address(command)
    lacks = []
    severity = Severity.ADVICE if knows_scheme and _is_gunicorn_wsgi(command) else Severity.RISKY
    if (
        not knows_scheme
        and settings.SECURE_SSL_REDIRECT
        and "django.middleware.security.SecurityMiddleware" in settings.MIDDLEWARE
    ):
        lacks.append("SECURE_SSL_REDIRECT redirects every request to itself for ever")
        severity = Severity.BROKEN
    elif not knows_scheme:
        lacks.append("each request looks like http://, and forms sent over https fail their CSRF check")
    if counts_as_one:
        lacks.append("all clients have the router's address, so that rate limits count them as one")
    if lacks:
        says = "does not believe the headers of the platform's router"
        if _is_gunicorn_wsgi(command) and _believes_router(command):
            says = "believes the scheme that the platform's router tells, and under WSGI takes no address from it"
        message = f"{command.place}: {command.server} {says}: {'; '.join(lacks)}."
        yield found("D030", severity, message, place=command.place, remedy=_remedy(command, counts_as_one))
    else:
        learns = "scheme and address" if _learns_address(command) else "the scheme"
        yield found("D030", Severity.FINE, f"{command.place} learns {learns} from the platform's router.")


def _remedy(command: ServerCommand, counts_as_one: bool) -> str:
    """Return what silences the line: under WSGI no option of gunicorn's tells it an address."""
    if not _is_gunicorn_wsgi(command):
        return _REMEDIES.get(command.server, _OTHERS)
    steps = (_FORWARDED if not _believes_router(command) else "", _ASGI_WORKER if counts_as_one else "")
    return " ".join(filter(None, steps))


_ASGI_WORKER = (
    "For addresses take an ASGI worker: gunicorn -k hybrid_gateway.workers.LaneWorker config.asgi:application."
)
_FORWARDED = "Add --forwarded-allow-ips '*': the router is the only way in."
_OTHERS = (
    'Set SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") for the scheme; for addresses let the server '
    "believe the header, or take `manage.py gateway serve --forwarded-allow-ips '*'`."
)
_REMEDIES: Mapping[str, str] = {
    **dict.fromkeys(("uvicorn", "gateway serve", "gunicorn"), _FORWARDED),
    "daphne": "Add --proxy-headers.",
    "waitress": "Add --trusted-proxy '*' --trusted-proxy-headers 'x-forwarded-for x-forwarded-proto'.",
}


def _believed_of_anybody(command: ServerCommand) -> Iterator[Finding]:
    host = _host(command)
    if "*" in _trusted(command) and host is not None and host not in _LOOPBACK:
        message = f"{command.place} believes the headers of anybody, and listens on {host or 'every address'}."
        yield found("D031", Severity.ADVICE, message, place=command.place)


# --- addresses -------------------------------------------------------------------------------------------------------


def _host(command: ServerCommand) -> str | None:
    """Return the address a server listens on; ``None`` for a socket of the file system, or one that it is given."""
    options = command.options
    if any(name in options for name in ("--uds", "--fd", "--unix-socket", "--socket", "--endpoint")):
        return None
    bind = options.get("--bind") or options.get("--listen") or options.get("--http") or ""
    if command.server == "daphne" and "--bind" in options:
        return bind
    if bind:
        return None if bind.startswith(("unix:", "fd:", "/")) else bind.rpartition(":")[0] if ":" in bind else bind
    if host := options.get("--host"):
        return host
    if command.server in ("waitress", "uwsgi"):
        return ""
    has_port = "PORT" in command.given.environment or command.given.platform in _SETS_PORT
    return "" if has_port and command.server in ("gateway serve", "gunicorn") else "127.0.0.1"


def _unreachable(command: ServerCommand) -> Iterator[Finding]:
    """Yield D033: a server inside of a container, or behind a router, that listens to itself alone."""
    is_apart = command.given.platform in ROUTERS or command.given.platform == "container"
    if is_apart and _host(command) in _LOOPBACK and (command.given.platform != "heroku" or command.given.name == "web"):
        message = (
            f"{command.place}: {command.server} listens on 127.0.0.1, where nobody outside of its container comes."
        )
        remedy = _LISTEN.get(command.server, _LISTEN["uvicorn"])
        yield found("D033", Severity.BROKEN, message, place=command.place, remedy=remedy)


_LISTEN: Mapping[str, str] = {
    **dict.fromkeys(("uvicorn", "gateway serve", "granian"), "Add --host 0.0.0.0 --port $PORT."),
    **dict.fromkeys(("gunicorn", "hypercorn"), "Add --bind 0.0.0.0:$PORT."),
    "daphne": "Add -b 0.0.0.0 -p $PORT.",
}
