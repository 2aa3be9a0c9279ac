"""Concern: secrets that are none. What a secret is, is never said."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from hybrid_gateway.auth import JWTAuthentication
from hybrid_gateway.checks.settings_checks import find_file
from hybrid_gateway.doctor.examined_project import Project, settings_module, shown, source_of
from hybrid_gateway.doctor.finding import Finding, Severity, found

_LEAST = 50  # characters, and five different ones: DJANGO: core/checks/security/base.py
_DIFFERENT = 5
_INSECURE = "django-insecure-"


def is_weak(key: str) -> bool:
    """Return whether Django's own check would reject a key."""
    return len(key) < _LEAST or len(set(key)) < _DIFFERENT or key.startswith(_INSECURE)


def look_at_secrets(project: Project) -> Iterator[Finding]:
    """Yield, for production, D070 keys in files, D071 tokens signed with a weak key, D072 DEBUG in an image."""
    for command in project.production:
        value = command.given.environment.get("DEBUG", command.given.environment.get("DJANGO_DEBUG", ""))
        if value.lower() in ("1", "true", "yes", "on"):
            message = f"{command.place} serves with DEBUG in its environment: errors show code and settings to anybody."
            yield found("D072", Severity.RISKY, message, place=command.place)
    if not project.deploy:
        return
    try:
        key = str(settings.SECRET_KEY)
    except ImproperlyConfigured:  # the system checks tell
        return
    for file in _settings_files():
        if len(key) > 8 and re.search(rf"""SECRET_KEY\b.*["']{re.escape(key)}["']""", source_of(file)):
            where = shown(file, project.root)
            message = f"{where} holds the SECRET_KEY that is in use: whoever reads the repository can sign sessions."
            yield found("D070", Severity.RISKY, message, place=where)
    endpoints = project.gateway.endpoints if project.gateway is not None else ()
    schemes = {scheme for endpoint in endpoints for scheme in endpoint.schemes if isinstance(scheme, JWTAuthentication)}
    if is_weak(key) and any(scheme.derives_keys for scheme in schemes):
        message = "JSON Web Tokens are signed with keys made of SECRET_KEY, which is weak: anybody may make one."
        yield found("D071", Severity.BROKEN, message)


def _settings_files() -> Iterator[Path]:
    module = settings_module()
    folder = module.rpartition(".")[0]
    for name in dict.fromkeys((module, f"{folder}.base", f"{folder}.common", f"{folder}.settings")):
        file = find_file(name) if name else None
        if file is not None:
            yield file


# --- what no line may show -------------------------------------------------------------------------------------------

_NAMES = re.compile(r"(SECRET|PASSWORD|PASSWD|TOKEN|KEY|KEYS|DSN|PASSPHRASE|FALLBACKS)$", re.IGNORECASE)
_SHORTEST = 4  # characters; what is shorter is a word of its own somewhere


def hidden_values(environment: Mapping[str, str]) -> list[str]:
    """Return every value that settings and environment have under the name of a secret, the longest first."""
    names: list[str] = []
    texts: set[str] = {value for name, value in environment.items() if _NAMES.search(name)}
    with suppress(Exception):  # settings that cannot be imported have told nobody anything
        names += dir(settings)
    for name in names:
        if name.isupper():
            with suppress(Exception):  # a setting that cannot be read is shown by nobody
                texts |= set(_secrets(getattr(settings, name), is_secret=bool(_NAMES.search(name))))
    return sorted((text for text in texts if len(text) >= _SHORTEST), key=len, reverse=True)


def _secrets(value: object, *, is_secret: bool, depth: int = 0) -> Iterator[str]:
    if isinstance(value, str):
        if is_secret:
            yield value
        if "://" in value:
            with suppress(ValueError):  # it is no address
                if password := urlsplit(value).password:
                    yield password
    elif depth < 6 and isinstance(value, Mapping):
        for name, entry in value.items():
            yield from _secrets(entry, is_secret=bool(_NAMES.search(str(name))), depth=depth + 1)
    elif depth < 6 and isinstance(value, list | tuple):
        for entry in value:
            yield from _secrets(entry, is_secret=is_secret, depth=depth + 1)


_URL_PASSWORD = re.compile(r"(://[^\s/:@]*:)[^\s/@]+@")


def hide(text: str, values: list[str]) -> str:
    """Return a text without these values, and without what looks like the password of an address."""
    for value in values:
        text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", "***", text)
    return _URL_PASSWORD.sub(r"\1***@", text)
