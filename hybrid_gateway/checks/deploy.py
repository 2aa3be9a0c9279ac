"""System checks for ``manage.py check --deploy``: what is fit for development and not for the internet."""

from __future__ import annotations

import re
from collections.abc import Iterator

from django.conf import settings
from django.core.checks import CheckMessage
from django.db import connections

from hybrid_gateway.channels.process_channels import channels
from hybrid_gateway.checks.messages import report
from hybrid_gateway.gateway.application import Gateway


def public_documentation(gateway: Gateway) -> Iterator[CheckMessage]:
    """Yield W020: the API's documentation is served although DEBUG is off."""
    if gateway.serves_docs and not settings.DEBUG:
        pages = f"{gateway.openapi.docs} and {gateway.openapi.path}"
        yield report("W020", f"Anyone can read the API's documentation at {pages}.")


def transport_in_clear(gateway: Gateway) -> Iterator[CheckMessage]:
    """Yield W021: passwords or tokens in headers, and no sign of HTTPS in the settings."""
    if settings.SECURE_SSL_REDIRECT or settings.SECURE_PROXY_SSL_HEADER:
        return
    schemes = dict.fromkeys(
        type(scheme).__name__
        for endpoint in (*gateway.endpoints, *gateway.websockets)
        for scheme in endpoint.schemes
        if scheme.keywords or scheme.carries_scopes
    )
    if schemes:
        names = " and ".join(schemes)
        yield report("W021", f"{names} read credentials that travel in clear, and nothing here says HTTPS.")


def unchecked_connections() -> Iterator[CheckMessage]:
    """Yield W023: persistent connections without health checks; each thread fails once after a database restart."""
    for alias, database in connections.settings.items():
        is_persistent = database["CONN_MAX_AGE"] != 0 and not database["ENGINE"].endswith("sqlite3")
        if is_persistent and not database["CONN_HEALTH_CHECKS"]:
            age = database["CONN_MAX_AGE"]
            yield report("W023", f"DATABASES[{alias!r}] has CONN_MAX_AGE={age!r} without CONN_HEALTH_CHECKS.")


def single_threaded_sqlite() -> Iterator[CheckMessage]:
    """Yield W024: SQLite whose writers fail where they could wait, or lock out whoever reads."""
    for alias, database in connections.settings.items():
        if not database["ENGINE"].endswith("sqlite3") or "memory" in str(database["NAME"]) or not database["NAME"]:
            continue
        options = database.get("OPTIONS", {})
        wanted = {
            '"transaction_mode": "IMMEDIATE"': options.get("transaction_mode", "").upper()
            in ("IMMEDIATE", "EXCLUSIVE"),
            '"timeout": 5': "timeout" in options,
            '"init_command": "PRAGMA journal_mode=WAL;"': "journal_mode" in str(options.get("init_command")).lower(),
        }
        missing = ", ".join(option for option, is_given in wanted.items() if not is_given)
        if missing:
            message = f"DATABASES[{alias!r}] is SQLite as it is for one process with one thread."
            yield report("W024", message, missing=missing)


def channels_in_memory() -> Iterator[CheckMessage]:
    """Yield W026: channels in the memory of one process, where there may be several workers."""
    if channels.declared and not channels.is_shared:
        names = sorted(channel.template.text for channel in channels.declared)
        yield report("W026", f"Messages of {names[0]} and all other channels stay in the process that publishes them.")


# --- versions of other packages --------------------------------------------------------------------------------------

# Below these a fault is open that a client can use.
FLOORS = {
    "daphne": "4.2.2",
    "granian": "2.7.5",
    "h11": "0.16",
    "h2": "4.3",
    "pyjwt": "2.14",
    "python-multipart": "0.0.32",
    "starlette": "1.5.1",
    "uvicorn": "0.51",
    "websockets": "13",
}
DJANGO_FLOORS = {"5.2": "5.2.18", "6.0": "6.0.9", "6.1": "6.1.2"}  # by series


def old_packages() -> Iterator[CheckMessage]:
    """Yield W025: an installed version has a fault that was mended since.

    ``pyproject.toml`` asks for what the code needs, so that the package can be added to a project whose lock file holds
    older versions; what is too old for a server on the internet is told here.
    """
    series = ".".join((_installed("django") or "").split(".")[:2])
    for name, least in (("django", DJANGO_FLOORS.get(series)), *FLOORS.items()):
        found = _installed(name)
        if found is not None and least is not None and _release(found) < _release(least):
            message = f"{name} {found} has faults that a client can use; they are mended in {least}."
            yield report("W025", message, name=name, least=least)


def _installed(name: str) -> str | None:
    # PERF: here, since only `check --deploy` asks, and it takes a fiftieth of Django's setup.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _release(text: str) -> tuple[int, ...]:
    """Return the numbers of a version: ``(5, 2, 18)`` of ``"5.2.18rc1"``."""
    match = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(map(int, match[0].split("."))) if match else ()
