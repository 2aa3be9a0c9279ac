"""The project as the doctor sees it: where it is, how it is served, and its gateway, if one can be built."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Literal

from django.conf import settings
from msgspec import Struct

from hybrid_gateway.doctor.command_lines import ServerCommand
from hybrid_gateway.gateway.application import Gateway

Kind = Literal["gateway", "wrapped", "django", "other"]
"""The gateway itself, the gateway inside of something, Django alone, neither."""


class Application(Struct, kw_only=True):
    """An object that a server may be told to serve, and who names it."""

    target: str
    """``module:attribute``."""
    protocol: Literal["asgi", "wsgi", "other"]
    file: Path | None = None
    commands: list[ServerCommand] = []
    setting: str = ""
    """``ASGI_APPLICATION`` or ``WSGI_APPLICATION``, where one names it."""
    kind: Kind = "other"
    error: BaseException | None = None


class Project(Struct, frozen=True, kw_only=True):
    """The project, as all concerns look at it."""

    root: Path
    """The folder below which files are looked for."""
    deploy: bool
    """Whether the settings are judged as those of production."""
    commands: tuple[ServerCommand, ...] = ()
    gateway: Gateway | None = None
    applications: tuple[Application, ...] = ()

    def served_by(self, command: ServerCommand) -> Application | None:
        """Return the application that a command serves; ``None`` where it is not among those that were found."""
        for application in self.applications:
            if command in application.commands:
                return application
        return None

    @property
    def production(self) -> list[ServerCommand]:
        """The commands that serve the project, those for development and task workers left out."""
        return [command for command in self.commands if not command.is_for_development and command.server != "celery"]


def find_root(start: Path) -> Path:
    """Return the nearest folder above ``start`` that is under version control, four steps up at most, or itself."""
    for folder in (start, *list(start.parents)[:4]):
        if (folder / ".git").exists() and folder not in (Path.home(), Path(folder.anchor)):
            return folder
    return start


def source_of(path: Path | None) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path is not None else ""


def shown(path: Path, root: Path) -> str:
    """Return a path as a reader of the project writes it."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


_SETTINGS = re.compile(r"""DJANGO_SETTINGS_MODULE["']\s*(?:,|\]\s*=)\s*["']([\w.]+)["']""")


def settings_named_in(source: str) -> str | None:
    """Return the settings that a module of an application says where the environment says nothing."""
    match = _SETTINGS.search(source)
    return match[1] if match else None


def settings_module() -> str:
    """Return the name of the settings, be they read or not."""
    named = os.environ.get("DJANGO_SETTINGS_MODULE", "")
    with suppress(Exception):  # those that cannot be imported
        named = str(getattr(settings, "SETTINGS_MODULE", named))
    return named
