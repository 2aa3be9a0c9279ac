"""Concern: which settings do ``asgi.py`` and ``wsgi.py`` name, where the environment names none?

How this works: files are read and nothing is imported, for two modules of settings cannot live in one process. Only
what stands there plainly counts: ``DEBUG = True`` as the last word of a module, or of what it imports with ``*``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from hybrid_gateway.checks.settings_checks import find_file
from hybrid_gateway.doctor.examined_project import Application, Project, shown, source_of
from hybrid_gateway.doctor.finding import Finding, Severity, found
from hybrid_gateway.scaffold.project import VARIABLE, all_named_settings

MAX_DEPTH = 6


def look_at_entry_settings(project: Project) -> Iterator[Finding]:
    """Yield D015 for two files of different settings, D073 for settings with DEBUG that production starts with."""
    named = {
        application.file: names[0]
        for application in project.applications
        if application.file is not None and len(names := all_named_settings(source_of(application.file).encode())) == 1
    }
    files = {path: settings for path, settings in named.items() if path.stem in ("asgi", "wsgi")}
    for path, settings in files.items():
        other = path.with_name("wsgi.py")
        if path.stem == "asgi" and files.get(other, settings) != settings:
            place = shown(path, project.root)
            message = f"{place} names the settings {settings!r}, and {shown(other, project.root)} {files[other]!r}."
            yield found("D015", Severity.RISKY, message, place=place)
    for application in project.applications:
        if application.file in named:
            yield from _with_debug(application, named[application.file], project)


def _with_debug(application: Application, settings: str, project: Project) -> Iterator[Finding]:
    for command in application.commands:
        given = command.given
        names_others = VARIABLE in given.environment or VARIABLE in source_of(given.path)  # the file, in any form
        if command not in project.production or names_others:
            continue
        if (path := find_file(settings)) is not None and _debug(path):
            message = (
                f"{command.place} serves {application.target}, which names the settings {settings!r} where the "
                "environment names none, and these have DEBUG = True."
            )
            yield found("D073", Severity.RISKY, message, place=command.place)
            return


def _debug(path: Path, depth: int = 0) -> bool | None:
    """Return the DEBUG that a module plainly has in the end; ``None`` where it is not there, or worked out."""
    try:
        tree = ast.parse(source_of(path))
    except SyntaxError:
        return None
    debug: bool | None = None
    for statement in tree.body:
        match statement:
            case (
                ast.Assign(targets=[ast.Name("DEBUG")], value=value)
                | ast.AnnAssign(target=ast.Name("DEBUG"), value=value)
            ):
                debug = value.value is True if isinstance(value, ast.Constant) else None
            case ast.ImportFrom(module=module, names=[ast.alias(name="*")], level=level):
                imported = _imported(path, module or "", level)
                inner = _debug(imported, depth + 1) if imported is not None and depth < MAX_DEPTH else None
                debug = debug if inner is None else inner
            case _ if any(
                isinstance(node, ast.Name) and node.id == "DEBUG" and isinstance(node.ctx, ast.Store)
                for node in ast.walk(statement)
            ):
                debug = None
            case _:
                pass
    return debug


def _imported(path: Path, module: str, level: int) -> Path | None:
    if not level:
        return find_file(module)
    folder = path.parents[level - 1].joinpath(*module.split("."))
    choices = (folder.with_suffix(".py"), folder / "__init__.py")
    return next((choice for choice in choices if choice.is_file()), None)
