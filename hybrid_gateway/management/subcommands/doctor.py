"""``manage.py gateway doctor``: what is wrong between the project, its servers, its databases and the gateway."""

from __future__ import annotations

import sys
from argparse import BooleanOptionalAction
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.core.management.color import Style

from hybrid_gateway.doctor.examination import examine, select
from hybrid_gateway.doctor.finding import Severity
from hybrid_gateway.doctor.findings_output import Paint, as_json, as_lines


def add_arguments(parser: CommandParser) -> None:
    """Add the options; the command's own system checks are left out, since they end it where a line is wanted."""
    parser.set_defaults(skip_checks=True)
    add = parser.add_argument
    add(
        "--json",
        action="store_true",
        dest="as_json",
        help="Print JSON in the place of lines: the schema is in docs/doctor.md.",
    )
    add("--verbose", action="store_true", help="Show what is fine, too.")
    add(
        "--only",
        action="append",
        default=[],
        metavar="ID",
        help="Show these ids alone; several by commas, or by repeating it.",
    )
    add("--skip", action="append", default=[], metavar="ID", help="Leave these ids out; likewise.")
    add(
        "--deploy",
        action=BooleanOptionalAction,
        help="Judge the settings as those of production, or not; by default where DEBUG is off.",
    )
    add(
        "--fail-level",
        choices=[severity.value for severity in Severity if severity is not Severity.FINE],
        default=Severity.BROKEN.value,
        metavar="LEVEL",
        help="Exit with status 1 where a line is as bad as broken (the default), risky or advice, or worse.",
    )
    add(
        "--root",
        type=Path,
        metavar="FOLDER",
        help="Look below it for the files that start servers; by default the folder under version control.",
    )


def handle(command: BaseCommand, **options: Any) -> None:
    """Examine, print, and exit with status 1 where something is as bad as ``--fail-level``."""
    findings = select(
        examine(deploy=options["deploy"], root=options["root"] and options["root"].resolve()),
        _ids(options["only"]),
        _ids(options["skip"]),
    )
    shown = [entry for entry in findings if options["verbose"] or entry.severity is not Severity.FINE]
    if options["as_json"]:
        command.stdout.write(as_json(shown).decode())
    else:
        command.stdout.write("\n".join(as_lines(shown, colours(command.style))))
    worst = min((entry.severity.rank for entry in findings), default=len(Severity))
    if worst <= Severity(options["fail_level"]).rank:
        sys.exit(1)


def _ids(given: list[str]) -> list[str]:
    return [number for text in given for number in text.split(",") if number.strip()]


def colours(style: Style) -> dict[Severity, Paint]:
    """Return the style of each severity; Django has none where output is no terminal."""
    return {
        Severity.BROKEN: style.ERROR,
        Severity.RISKY: style.WARNING,
        Severity.ADVICE: style.NOTICE,
        Severity.FINE: style.SUCCESS,
    }
