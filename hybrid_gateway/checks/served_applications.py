"""System checks: whether servers and ``runserver`` serve the gateway."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage
from django.core.management import find_commands, load_command_class
from django.utils.module_loading import import_string

from hybrid_gateway.checks.messages import TAG, report
from hybrid_gateway.drivers.wsgi_driver import WSGIDriver
from hybrid_gateway.gateway.application import Gateway

__all__ = ["other_applications", "other_runserver"]

_CONSEQUENCES = {
    "asgi": ("W004", "runserver serves no routes of the API over ASGI, nor websockets."),
    "wsgi": ("W005", "WSGI servers and other apps' runserver commands answer without the API."),
}


def other_applications() -> Iterator[CheckMessage]:
    """Yield W004 for ASGI_APPLICATION, W005 for WSGI_APPLICATION, where it does not lead to the gateway."""
    if not hasattr(settings, "HYBRID_GATEWAY"):
        return
    for protocol, (number, consequence) in _CONSEQUENCES.items():
        name, ours = f"{protocol.upper()}_APPLICATION", f"hybrid_gateway.{protocol}.application"
        path = getattr(settings, name, None)
        if path != ours and not _leads_to_gateway(path):
            message = f"{name} is {path!r}, which does not lead to the gateway: {consequence}"
            yield report(number, message, name=name, ours=ours)


def _leads_to_gateway(path: str | None) -> bool:
    """Look into the source of the module, so that it need not be imported; else at the object, if it can be had."""
    if path is None:
        return False
    try:
        spec = find_spec(path.rpartition(".")[0])
        source = Path(spec.origin).read_text(encoding="utf-8") if spec is not None and spec.origin else ""
    except (ImportError, OSError, ValueError):
        source = ""
    if "hybrid_gateway" in source:
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
    bases = type(load_command_class(winner.name, "runserver")).__mro__
    if winner.name == TAG or any(base.__module__ == f"{TAG}.management.commands.runserver" for base in bases):
        return
    is_staticfiles = winner.name == "django.contrib.staticfiles"
    consequence = "it serves over WSGI alone." if is_staticfiles else "whether it serves ASGI_APPLICATION is up to it."
    yield report(
        "W006" if is_staticfiles else "W007",
        f"runserver is the command of {winner.name!r}: {consequence}",
        winner=winner.name,
    )
