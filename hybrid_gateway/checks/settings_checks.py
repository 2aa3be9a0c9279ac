"""System checks of ``HYBRID_GATEWAY``, of the databases, and whether a gateway can be built and is served."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.core.management import find_commands, load_command_class
from django.db import connections
from django.utils.module_loading import import_string

from hybrid_gateway.channels.process_channels import make_backend
from hybrid_gateway.checks.messages import report
from hybrid_gateway.conf import get_settings
from hybrid_gateway.drivers.wsgi_driver import WSGIDriver
from hybrid_gateway.exceptions import ConfigurationError, DependencyError, SettingsError
from hybrid_gateway.gateway.application import Gateway
from hybrid_gateway.gateway.settings_gateway import default_gateway
from hybrid_gateway.problems import TAG

Protocol = Literal["asgi", "wsgi"]


def current_gateway() -> Gateway | None:
    """Return the gateway of the settings; ``None`` where there is none, or none can be built."""
    try:
        return default_gateway() if hasattr(settings, "HYBRID_GATEWAY") else None
    except Exception:  # broken_configuration() tells why
        return None


def broken_configuration() -> Iterator[CheckMessage]:
    """Yield E001 settings, E002 import of the routes, E003 routes or E004 components: the first hides the rest."""
    if not hasattr(settings, "HYBRID_GATEWAY"):
        return
    number = "E001"
    try:
        get_settings()
        number = "E002"
        default_gateway()
    except ConfigurationError as error:
        if number != "E001":
            number = next(number for kind, number in _NUMBERS if isinstance(error, kind))
        yield report(number, str(error))
    except Exception as error:
        text = "".join(traceback.format_exception_only(error)).strip()
        frames = traceback.extract_tb(error.__traceback__)
        place = [frame for frame in frames if not frame.filename.startswith("<frozen")][-1]
        yield report(number, f"{text}\n(raised in {place.filename}, line {place.lineno})")


def impossible_channels() -> Iterator[CheckMessage]:
    """Yield E007: a back end of channels that cannot be made; nothing is connected."""
    try:
        make_backend(get_settings().channels)
    except ConfigurationError as error:
        yield report("E007", str(error))


_NUMBERS = ((SettingsError, "E001"), (DependencyError, "E004"), (ConfigurationError, "E003"))


def pooled_persistent_connections() -> Iterator[CheckMessage]:
    """Yield W008: psycopg's pool with persistent connections, which Django rejects when the first query comes.

    ``CONN_MAX_AGE`` alone is safe here, also under ASGI: threads are few, live long, and keep their connections.
    """
    for alias, database in connections.settings.items():
        if database["OPTIONS"].get("pool") and database["CONN_MAX_AGE"] != 0:
            yield report(
                "W008",
                f"DATABASES[{alias!r}] has a connection pool and CONN_MAX_AGE={database['CONN_MAX_AGE']!r}; "
                "Django refuses the combination at the first query.",
            )


def whitenoise_under_asgi() -> Iterator[CheckMessage]:
    """Yield W009: WhiteNoise where Django's side is pure ASGI. On pool threads, the default, it is at home."""
    try:
        side = get_settings().django_side
    except ImproperlyConfigured:  # E001 reports it
        return
    if side == "asgi" and any(name.startswith("whitenoise.") for name in settings.MIDDLEWARE):
        yield report(
            "W009",
            'WhiteNoise answers with synchronous files, which Django reads into memory under DJANGO_SIDE = "asgi".',
        )


# --- what servers and ``runserver`` serve ---------------------------------------------------------------------------

_PROTOCOLS: Mapping[Protocol, tuple[str, str, str]] = {
    "asgi": (
        "W004",
        "runserver serves no routes of the API over ASGI, nor websockets.",
        "an ASGI server that is told to serve it answers without the API.",
    ),
    "wsgi": (
        "W005",
        "WSGI servers and other apps' runserver commands answer without the API.",
        "a WSGI server that is told to serve it answers without the API.",
    ),
}


def other_applications() -> Iterator[CheckMessage]:
    """Yield W004 for ASGI, W005 for WSGI: the setting, or the module beside the settings, leads elsewhere."""
    if not hasattr(settings, "HYBRID_GATEWAY"):
        return
    beside = dict(modules_beside_settings())
    for protocol, (number, consequence, otherwise) in _PROTOCOLS.items():
        name, ours = f"{protocol.upper()}_APPLICATION", f"hybrid_gateway.{protocol}.application"
        path, module = getattr(settings, name, None), beside.get(protocol)
        if path != ours and not _leads_to_gateway(path):
            message = f"{name} is {path!r}, which does not lead to the gateway: {consequence}"
            named = str(path).rpartition(".")[0]
            yield report(number, message, remedy=application_remedy(protocol, find_file(named) if path else None))
        elif module is not None and is_django_alone(protocol, module):
            message = f"{module} makes Django's application, without the gateway: {otherwise}"
            yield report(number, message, remedy=application_remedy(protocol, find_file(module)))


def application_remedy(protocol: Protocol, file: Path | None) -> str:
    """Return what to write, into the file of an application or, where there is none, into the settings."""
    if file is None:
        return f'Set {protocol.upper()}_APPLICATION = "hybrid_gateway.{protocol}.application".'
    function = f"get_{protocol}_application"
    shown = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
    return (
        f"In {shown} write `from hybrid_gateway import {function}` in the place of Django's import, "
        f"and `application = {function}()`."
    )


def is_django_alone(protocol: Protocol, module: str) -> bool:
    """Return whether the source of a module names Django's application and nothing of ours; it is not imported."""
    file = find_file(module)
    source = file.read_text(encoding="utf-8", errors="replace") if file is not None else ""
    return f"django.core.{protocol}" in source and "hybrid_gateway" not in source


def modules_beside_settings() -> Iterator[tuple[Protocol, str]]:
    """Yield the modules ``asgi`` and ``wsgi`` that lie beside the settings or above them, as servers are told them."""
    package = str(getattr(settings, "SETTINGS_MODULE", "") or "")
    found: set[str] = set()
    while "." in package:
        package = package.rpartition(".")[0]
        for protocol in _PROTOCOLS:
            module = f"{package}.{protocol}"
            if protocol not in found and find_file(module) is not None:
                found.add(protocol)
                yield protocol, module


def find_file(module: str) -> Path | None:
    """Return the file of a module, which is not imported; its packages are."""
    try:
        spec = find_spec(module)
    except (ImportError, ValueError, AttributeError):
        return None
    return Path(spec.origin) if spec is not None and spec.origin and Path(spec.origin).is_file() else None


def _leads_to_gateway(path: str | None) -> bool:
    """Look into the source of the module, so that it need not be imported; else at the object, if it can be had."""
    if path is None:
        return False
    file = find_file(path.rpartition(".")[0])
    if file is not None and "hybrid_gateway" in file.read_text(encoding="utf-8", errors="replace"):
        return True
    try:
        return isinstance(import_string(path), (Gateway, WSGIDriver))
    except Exception:  # whoever serves it will hear why
        return True


def other_runserver() -> Iterator[CheckMessage]:
    """Yield W006 for staticfiles, W007 for another app, whose ``runserver`` is found before ours."""
    if not getattr(settings, "ASGI_APPLICATION", None):
        return
    for winner in apps.get_app_configs():
        if "runserver" in find_commands(str(Path(winner.path, "management"))):
            break
    else:
        return
    if winner.name == TAG:  # PERF: ours need not be loaded, which takes Django's server and its migrations
        return
    bases = type(load_command_class(winner.name, "runserver")).__mro__
    if any(base.__module__ == f"{TAG}.management.commands.runserver" for base in bases):
        return
    is_staticfiles = winner.name == "django.contrib.staticfiles"
    consequence = "it serves over WSGI alone." if is_staticfiles else "whether it serves ASGI_APPLICATION is up to it."
    yield report(
        "W006" if is_staticfiles else "W007",
        f"runserver is the command of {winner.name!r}: {consequence}",
        winner=winner.name,
    )
