"""``manage.py gateway compare OLD NEW``: what two sides answer to the same requests, and where it differs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from hybrid_gateway.comparison.accepted_differences import as_lines, parse_ignored, read_accepted
from hybrid_gateway.comparison.answer_differences import Difference
from hybrid_gateway.comparison.comparing import Plan, compare
from hybrid_gateway.comparison.comparison_report import as_json, as_text, worst_first
from hybrid_gateway.comparison.recorded_requests import read_requests
from hybrid_gateway.comparison.sides import SideError, open_side


def add_arguments(parser: CommandParser) -> None:
    """Add the options."""
    side = (
        "django, gateway, /old/=/new/ (other paths of a side: django@/old/=/new/), http://127.0.0.1:PORT, "
        "or a dotted path."
    )
    parser.add_argument("old", help=f"The side that is right: {side}")
    parser.add_argument("new", help="The side that is compared with it.")
    parser.add_argument(
        "--requests",
        type=Path,
        action="append",
        metavar="FILE",
        help="Recorded requests: HAR, JSON lines, an access log. Without it they are made from the OpenAPI document.",
    )
    parser.add_argument("--writes", action="store_true", help="Replay writes too; they are rolled back on both sides.")
    parser.add_argument("--rows", type=int, default=3, help="Rows of the database to fill each path with. Default: 3.")
    parser.add_argument("--only", action="append", default=[], metavar="GLOB", help="Only such paths: /api/posts*.")
    parser.add_argument("--user", metavar="NAME", help="Who calls: by a session, a token or as the side needs it.")
    for name, which in (("header", "both sides"), ("old-header", "the old side"), ("new-header", "the new side")):
        parser.add_argument(
            f"--{name}", action="append", default=[], metavar="'NAME: VALUE'", help=f"A header to send to {which}."
        )
    parser.add_argument(
        "--ignore", action="append", default=[], metavar="WHAT", help="A kind, header:NAME, $.place or /path*."
    )
    parser.add_argument("--accepted", type=Path, metavar="FILE", help="Differences that are known, a line each.")
    parser.add_argument("--write-accepted", type=Path, metavar="FILE", help="Write what differs now as such a file.")
    parser.add_argument("--no-documents", action="store_true", help="Do not compare the OpenAPI documents.")
    parser.add_argument("--no-answers", action="store_true", help="Compare nothing but the OpenAPI documents.")
    parser.add_argument("--json", action="store_true", dest="as_json", help="Print JSON.")


def handle(command: BaseCommand, *, old: str, new: str, as_json: bool, **options: Any) -> None:
    """Compare, print what differs, and end with exit status 1 where something does that nobody has accepted."""
    try:
        report = compare(open_side(old), open_side(new), _plan(options))
    except (SideError, OSError, ValueError) as error:
        raise CommandError(str(error)) from error
    if options["write_accepted"] is not None:
        groups = worst_first([*report.groups.values(), *report.accepted.values()])
        accepted = as_lines((Difference(group.kind, group.place), group.example) for group in groups)
        options["write_accepted"].write_text(accepted, encoding="utf-8")
    lines = as_text(report, verbose=options["verbosity"] > 1)
    command.stdout.write(json.dumps(_as_json(report), indent=2) if as_json else "\n".join(lines))
    if report.has_failed:
        sys.exit(1)


_as_json = as_json


def _plan(options: dict[str, Any]) -> Plan:
    files = options["requests"]
    return Plan(
        recorded=None if files is None else [request for file in files for request in read_requests(file)],
        writes=options["writes"],
        rows=options["rows"],
        user=options["user"],
        headers=_headers(options["header"]),
        old_headers=_headers(options["old_header"]),
        new_headers=_headers(options["new_header"]),
        only=options["only"],
        documents=not options["no_documents"],
        answers=not options["no_answers"],
        accepted=[] if options["accepted"] is None else read_accepted(options["accepted"]),
        ignored=parse_ignored(options["ignore"]),
    )


def _headers(lines: list[str]) -> tuple[tuple[str, str], ...]:
    for line in lines:
        if ":" not in line:
            raise ValueError(f"A header is NAME: VALUE, not {line!r}.")
    return tuple((name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in lines))
