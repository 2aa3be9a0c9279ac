"""System checks: doors that nobody can come in by."""

from __future__ import annotations

import dis
import inspect
from collections.abc import Iterable, Iterator
from types import CodeType
from typing import Any, TypeAlias

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_backends
from django.core.checks import CheckMessage, Warning
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from hybrid_gateway.auth import BasicAuthentication
from hybrid_gateway.checks.missed_middleware import told
from hybrid_gateway.checks.packages import PACKAGES, Package, is_ours, logs_in

__all__ = ["closed_doors"]

Messages: TypeAlias = list[CheckMessage]


def closed_doors(endpoints: Iterable[Any]) -> Messages:
    """W036 passwords that no backend takes, W037 tokens that packages hand out and no route knows."""
    found = list(endpoints)
    return [*_passwords(found), *_tokens(found)]


# --- passwords -----------------------------------------------------------------------------------------------------


def _passwords(endpoints: list[Any]) -> Messages:
    doors = [endpoint for endpoint in endpoints if _takes_passwords(endpoint)]
    if not doors or not apps.is_installed("django.contrib.auth") or any(map(_logs_in, _backends())):
        return []
    return [
        Warning(
            f"No backend of AUTHENTICATION_BACKENDS takes a name and a password: {told(doors)} "
            f"{'answers' if len(doors) == 1 else 'answer'} 401 to everybody.",
            hint='Add "django.contrib.auth.backends.ModelBackend" or another that takes both, or leave these routes '
            "out and issue tokens elsewhere: Token.objects.issue(user), manage.py gateway createtoken.",
            id="hybrid_gateway.W036",
        )
    ]


def _takes_passwords(endpoint: Any) -> bool:
    return logs_in(endpoint) or any(isinstance(scheme, BasicAuthentication) for scheme in endpoint.schemes)


def _backends() -> list[Any]:
    try:
        return get_backends()
    except ImproperlyConfigured:  # there are none
        return []


def _logs_in(backend: Any) -> bool:
    """Whether ``authenticate(request, username=..., password=...)`` may come to anything; in doubt it may.

    DJANGO: contrib/auth/__init__.py, ``_get_compatible_backends``, leaves out those whose signature does not fit.
    """
    from django.contrib.auth.backends import BaseBackend  # with it come models, which not every project has

    try:
        inspect.signature(backend.authenticate).bind(None, username="", password="")
    except (TypeError, ValueError):
        return False
    owner = next(kind for kind in type(backend).__mro__ if "authenticate" in vars(kind))
    if owner is BaseBackend or owner.__module__.partition(".")[0] in _NEVER:
        return False
    kinds = type(backend).__mro__[: type(backend).__mro__.index(owner) + 1]
    codes = [code for kind in kinds for value in vars(kind).values() for code in _codes(value)]
    return not codes or any(map(_reads_password, codes))


# Theirs are for other things: to lock out, to let services in.
_NEVER = ("axes", "social_core")


def _codes(value: Any) -> Iterator[CodeType]:
    function = inspect.unwrap(getattr(value, "__func__", value)) if callable(value) or hasattr(value, "__func__") else 0
    code = getattr(function, "__code__", None)
    return iter([code] if isinstance(code, CodeType) else [])


def _reads_password(code: CodeType) -> bool:
    """Whether a function uses something called password, or hands on whatever it was given."""
    for step in dis.get_instructions(code):
        named = step.argval if isinstance(step.argval, tuple) else (step.argval,)
        if "password" in named or (step.opname == "CALL_FUNCTION_EX" and code.co_flags & inspect.CO_VARKEYWORDS):
            return True
    return False


# --- tokens --------------------------------------------------------------------------------------------------------


def _tokens(endpoints: list[Any]) -> Messages:
    closed = [endpoint for endpoint in endpoints if not endpoint.is_open and endpoint.schemes and not is_ours(endpoint)]
    schemes = [scheme for endpoint in closed for scheme in endpoint.schemes]
    return [
        Warning(
            f"No typed route knows the tokens of {package.name}: {told(closed)} "
            f"{'answers' if len(closed) == 1 else 'answer'} 401 to them.",
            hint=f"{package.remedy} See docs/packages.md.",
            id="hybrid_gateway.W037",
        )
        for package in PACKAGES.values()
        if closed and _hands_out(package) and not any(_knows(scheme, package) for scheme in schemes)
    ]


def _hands_out(package: Package) -> bool:
    """Whether the project shows that clients have tokens of the package."""
    if not package.known_by:
        return False
    drf = getattr(settings, "REST_FRAMEWORK", {}).get("DEFAULT_AUTHENTICATION_CLASSES", ())
    return any(str(entry).startswith(package.known_by) for entry in drf) or apps.is_installed(package.known_by)


def _knows(scheme: Any, package: Package) -> bool:
    """Whether it is one that does, or one of the project's own, which may."""
    ours = type(scheme).__module__.startswith("hybrid_gateway.")
    return not ours or any(isinstance(scheme, import_string(path)) for path in package.schemes)
