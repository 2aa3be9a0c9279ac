"""System checks for ``manage.py check --deploy``: what is fit for development and not for the internet."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from django.conf import settings
from django.core.checks import Warning, register
from django.db import connections

from hybrid_gateway.checks.settings_checks import TAG, Messages, current_gateway

__all__ = ["DJANGO_FLOORS", "FLOORS", "register_deploy_checks"]


def register_deploy_checks() -> None:
    """Register every check with Django; called by the app's ``ready()``."""
    for check in (check_docs, check_transport, check_connections, check_sqlite, check_versions):
        register(check, TAG, deploy=True)


def check_docs(app_configs: Any = None, **kwargs: Any) -> Messages:
    """W020: the API's documentation is served although DEBUG is off."""
    gateway = current_gateway()
    if gateway is None or settings.DEBUG or not gateway.serves_docs:
        return []
    return [
        Warning(
            f"Anyone can read the API's documentation at {gateway.openapi.docs} and {gateway.openapi.path}.",
            hint='Remove ENABLED from HYBRID_GATEWAY["OPENAPI"], or silence this check if the API is public.',
            id=f"{TAG}.W020",
        )
    ]


def check_transport(app_configs: Any = None, **kwargs: Any) -> Messages:
    """W021: passwords or tokens in headers, and no sign of HTTPS in the settings."""
    gateway = current_gateway()
    if gateway is None or settings.SECURE_SSL_REDIRECT or settings.SECURE_PROXY_SSL_HEADER:
        return []
    schemes = dict.fromkeys(
        type(scheme).__name__
        for endpoint in gateway.endpoints
        for scheme in endpoint.schemes
        if scheme.keywords or scheme.carries_scopes
    )
    if not schemes:
        return []
    return [
        Warning(
            f"{' and '.join(schemes)} read credentials that travel in clear, and nothing here says HTTPS.",
            hint="Serve HTTPS only, and set SECURE_PROXY_SSL_HEADER behind a proxy or SECURE_SSL_REDIRECT without one. "
            "Routes follow both where SecurityMiddleware is in MIDDLEWARE.",
            id=f"{TAG}.W021",
        )
    ]


def check_connections(app_configs: Any = None, **kwargs: Any) -> Messages:
    """W023: persistent connections that nobody checks before use; each thread fails once after a database restart."""
    return [
        Warning(
            f"DATABASES[{alias!r}] has CONN_MAX_AGE={database['CONN_MAX_AGE']!r} without CONN_HEALTH_CHECKS.",
            hint="Set CONN_HEALTH_CHECKS to True, so that a restarted database costs no request.",
            id=f"{TAG}.W023",
        )
        for alias, database in connections.settings.items()
        if database["CONN_MAX_AGE"] != 0
        and not database["CONN_HEALTH_CHECKS"]
        and not database["ENGINE"].endswith("sqlite3")
    ]


def check_sqlite(app_configs: Any = None, **kwargs: Any) -> Messages:
    """W024: SQLite whose writers fail where they could wait, or lock out whoever reads."""
    messages: Messages = []
    for alias, database in connections.settings.items():
        if not database["ENGINE"].endswith("sqlite3") or "memory" in str(database["NAME"]) or not database["NAME"]:
            continue
        options = database.get("OPTIONS", {})
        wal = "journal_mode" in str(options.get("init_command", "")).lower()
        wanted = {
            '"transaction_mode": "IMMEDIATE"': options.get("transaction_mode", "").upper()
            in ("IMMEDIATE", "EXCLUSIVE"),
            '"timeout": 5': "timeout" in options,
            '"init_command": "PRAGMA journal_mode=WAL;"': wal,
        }
        missing = [option for option, given in wanted.items() if not given]
        if missing:
            messages.append(
                Warning(
                    f"DATABASES[{alias!r}] is SQLite as it is for one process with one thread.",
                    hint=f"In its OPTIONS, set {', '.join(missing)}.",
                    id=f"{TAG}.W024",
                )
            )
    return messages


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


def check_versions(app_configs: Any = None, **kwargs: Any) -> Messages:
    """W025: what is installed and has been mended since.

    ``pyproject.toml`` asks for what the code needs, so that the package can be added to a project whose lock file holds
    older versions; what is too old for a server on the internet is told here.
    """
    messages: Messages = []
    for name, least in (("django", _django_floor()), *FLOORS.items()):
        found = _installed(name)
        if found is not None and least is not None and _release(found) < _release(least):
            messages.append(
                Warning(
                    f"{name} {found} has faults that a client can use; they are mended in {least}.",
                    hint=f'Require "{name}>={least}".',
                    id=f"{TAG}.W025",
                )
            )
    return messages


def _django_floor() -> str | None:
    found = _installed("django")
    return None if found is None else DJANGO_FLOORS.get(".".join(found.split(".")[:2]))


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _release(text: str) -> tuple[int, ...]:
    """``"5.2.18rc1"`` → ``(5, 2, 18)``."""
    match = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(map(int, match[0].split("."))) if match else ()
