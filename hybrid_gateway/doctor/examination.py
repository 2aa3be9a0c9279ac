"""The whole examination: each concern in its turn, guarded, and what comes of it, the worst first."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import redirect_stdout
from os import environ
from pathlib import Path
from sys import stderr

import django
import msgspec
from django.conf import settings
from django.db import connections

from hybrid_gateway.checks.settings_checks import current_gateway
from hybrid_gateway.doctor.applications import find_applications, look_at_applications, raised_in
from hybrid_gateway.doctor.command_files import find_commands
from hybrid_gateway.doctor.database_limits import look_at_databases
from hybrid_gateway.doctor.entry_settings import look_at_entry_settings
from hybrid_gateway.doctor.examined_project import Project, find_root
from hybrid_gateway.doctor.finding import Finding, Severity, found
from hybrid_gateway.doctor.folded_checks import look_at_checks
from hybrid_gateway.doctor.lane_use import look_at_lanes
from hybrid_gateway.doctor.proxy_trust import look_at_proxies
from hybrid_gateway.doctor.secret_keys import hidden_values, hide, look_at_secrets
from hybrid_gateway.doctor.shared_stores import look_at_stores
from hybrid_gateway.doctor.tested_versions import look_at_versions
from hybrid_gateway.problems import TAG

Concern = Callable[[Project], Iterable[Finding]]

CONCERNS: tuple[tuple[str, Concern], ...] = (
    ("applications and their servers", look_at_applications),
    ("settings of applications", look_at_entry_settings),
    ("system checks", look_at_checks),
    ("databases", look_at_databases),
    ("proxies", look_at_proxies),
    ("caches and channels", look_at_stores),
    ("secrets", look_at_secrets),
    ("the lane", look_at_lanes),
    ("versions", look_at_versions),
)


def examine(*, deploy: bool | None = None, root: Path | None = None) -> list[Finding]:
    """Return every finding, the worst first; never raises for what is wrong with the project.

    ``deploy`` judges the settings as those of production, which without ``DEBUG`` they are. What modules of the project
    print while they are imported goes to standard error.
    """
    with redirect_stdout(stderr):
        findings = [*_findings(deploy, root)]
        hidden = hidden_values(environ)
    shown = [
        msgspec.structs.replace(entry, message=hide(entry.message, hidden), remedy=hide(entry.remedy, hidden))
        for entry in dict.fromkeys(findings)
    ]
    return sorted(shown, key=lambda entry: entry.severity.rank)


def _findings(deploy: bool | None, root: Path | None) -> Iterator[Finding]:
    root = root or find_root(Path.cwd())
    try:
        django.setup(set_prefix=False)
        is_deployed = not settings.DEBUG if deploy is None else deploy
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        yield found("D002", Severity.BROKEN, f"Django cannot be set up: {raised_in(error, root)}")
        return
    try:
        commands = tuple(find_commands(root))
    except Exception as error:
        yield _unexamined("the files of the project", error, root)
        commands = ()
    try:
        applications = find_applications(commands)
    except Exception as error:
        yield _unexamined("what servers serve", error, root)
        applications = ()
    project = Project(
        root=root, deploy=is_deployed, commands=commands, gateway=current_gateway(), applications=applications
    )
    for title, concern in CONCERNS:
        try:
            yield from concern(project)
        except Exception as error:
            yield _unexamined(title, error, root)
    connections.close_all()


def _unexamined(title: str, error: Exception, root: Path) -> Finding:
    return found("D001", Severity.RISKY, f"The doctor could not look at {title}: {raised_in(error, root)}")


def select(findings: Iterable[Finding], only: Collection[str], skip: Collection[str]) -> list[Finding]:
    """Return the findings whose ids are asked for, and that the settings do not silence."""
    wanted, unwanted = set(map(_bare, only)), set(map(_bare, skip))
    try:
        unwanted |= set(map(_bare, settings.SILENCED_SYSTEM_CHECKS))
    except Exception:  # settings that cannot be read silence nothing; there is a line about them
        wanted = set(wanted)
    return [entry for entry in findings if entry.id not in unwanted and (not wanted or entry.id in wanted)]


def _bare(number: str) -> str:
    return number.strip().removeprefix(f"{TAG}.")
