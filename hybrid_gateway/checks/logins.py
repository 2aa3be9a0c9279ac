"""System checks: routes that answer 401 to everybody, whatever passwords or tokens clients have."""

from __future__ import annotations

import dis
import inspect
from collections.abc import Iterable, Iterator, Sequence
from types import CodeType
from typing import TYPE_CHECKING

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_backends
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from hybrid_gateway.auth import BasicAuthentication
from hybrid_gateway.checks.messages import name_routes, report
from hybrid_gateway.checks.package import is_ours, logs_in
from hybrid_gateway.checks.packages import PACKAGES
from hybrid_gateway.endpoints.endpoint import Endpoint

if TYPE_CHECKING:
    from django.contrib.auth.backends import BaseBackend


def closed_doors(endpoints: Iterable[Endpoint]) -> Iterator[CheckMessage]:
    """Yield W036 passwords that no backend takes, W037 tokens that packages hand out and no route knows."""
    found = list(endpoints)
    yield from _passwords(found)
    yield from _tokens(found)


def open_origins(websockets: Iterable[Endpoint]) -> Iterator[CheckMessage]:
    """Yield W038: any page may open a websocket, which acts for whoever's browser it is."""
    found = [
        endpoint
        for endpoint in websockets
        if "*" in endpoint.route.layers.allowed_origins
        and (endpoint.reads_cookies or any("Cookie" in scheme.carriers for scheme in endpoint.schemes))
    ]
    if found:
        yield report("W038", f'allowed_origins=["*"], and a cookie says who calls: {name_routes(found)}.')


# --- passwords -----------------------------------------------------------------------------------------------------


def _passwords(endpoints: Sequence[Endpoint]) -> Iterator[CheckMessage]:
    doors = [
        endpoint
        for endpoint in endpoints
        if logs_in(endpoint) or any(isinstance(scheme, BasicAuthentication) for scheme in endpoint.schemes)
    ]
    if not doors or not apps.is_installed("django.contrib.auth"):
        return
    try:
        backends = get_backends()
    except ImproperlyConfigured:  # there are none
        backends = []
    if not any(map(_takes_passwords, backends)):
        yield report(
            "W036",
            f"No backend of AUTHENTICATION_BACKENDS takes a name and a password: {name_routes(doors)} "
            f"{'answers' if len(doors) == 1 else 'answer'} 401 to everybody.",
        )


def _takes_passwords(backend: BaseBackend) -> bool:
    """Return whether ``authenticate(request, username=..., password=...)`` may find a user; in doubt it may.

    DJANGO: contrib/auth/__init__.py, ``_get_compatible_backends``, leaves out those whose signature does not fit.
    """
    from django.contrib.auth.backends import BaseBackend  # imports models, which not every project has

    try:
        inspect.signature(backend.authenticate).bind(None, username="", password="")
    except (TypeError, ValueError):
        return False
    owner = next(kind for kind in type(backend).__mro__ if "authenticate" in vars(kind))
    if owner is BaseBackend or owner.__module__.partition(".")[0] in _NEVER:
        return False
    kinds = type(backend).__mro__[: type(backend).__mro__.index(owner) + 1]
    members = [getattr(member, "__func__", member) for kind in kinds for member in vars(kind).values()]
    found = [getattr(inspect.unwrap(member), "__code__", None) for member in members if callable(member)]
    codes = [code for code in found if isinstance(code, CodeType)]
    return not codes or any(map(_reads_password, codes))


# Theirs are for other things: to lock out, to let services in.
_NEVER = ("axes", "social_core")


def _reads_password(code: CodeType) -> bool:
    """Return whether a function uses something called password, or passes on all keywords that it gets."""
    for step in dis.get_instructions(code):
        named = step.argval if isinstance(step.argval, tuple) else (step.argval,)
        if "password" in named or (step.opname == "CALL_FUNCTION_EX" and code.co_flags & inspect.CO_VARKEYWORDS):
            return True
    return False


# --- tokens --------------------------------------------------------------------------------------------------------


def _tokens(endpoints: Sequence[Endpoint]) -> Iterator[CheckMessage]:
    closed = [endpoint for endpoint in endpoints if not endpoint.is_open and endpoint.schemes and not is_ours(endpoint)]
    schemes = [scheme for endpoint in closed for scheme in endpoint.schemes]
    if any(not type(scheme).__module__.startswith("hybrid_gateway.") for scheme in schemes):
        return  # one of the project's own may know any token
    drf = getattr(settings, "REST_FRAMEWORK", {}).get("DEFAULT_AUTHENTICATION_CLASSES", ())
    for package in PACKAGES.values():
        start = package.known_by
        has_clients = start and (any(str(entry).startswith(start) for entry in drf) or apps.is_installed(start))
        known = tuple(import_string(path) for path in package.schemes) if has_clients and closed else ()
        if has_clients and closed and not any(isinstance(scheme, known) for scheme in schemes):
            message = (
                f"No typed route knows the tokens of {package.name}: {name_routes(closed)} "
                f"{'answers' if len(closed) == 1 else 'answer'} 401 to them."
            )
            yield report("W037", message, remedy=package.remedy)
