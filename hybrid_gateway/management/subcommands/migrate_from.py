"""``manage.py gateway migrate-from drf | ninja``: write the routes of another framework anew, and tell what differs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.urls import get_resolver

from hybrid_gateway.migration.form import Move
from hybrid_gateway.migration.module_writer import write_module
from hybrid_gateway.migration.report import accepted_lines, as_json, as_markdown, counts_of


def add_arguments(parser: CommandParser) -> None:
    """Add where it comes from, and where it goes."""
    parser.add_argument("source", choices=["drf", "ninja"], help="The framework that the routes are of.")
    parser.add_argument("--out", type=Path, metavar="FILE", help="Write the module here; otherwise it is printed.")
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="Write the report here; beside the module by default."
    )
    parser.add_argument("--json", action="store_true", dest="as_json", help="Write the report as JSON, not Markdown.")
    parser.add_argument(
        "--accepted", type=Path, metavar="FILE", help="Write what is told to differ, for gateway compare --accepted."
    )
    parser.add_argument("--only", default="", metavar="PREFIX", help="Move the paths that begin with this: /api/v2/.")
    parser.add_argument("--origin", default="", help="Where clients find the API: https://api.example.org.")
    parser.add_argument("--read-only", action="store_true", help="Move the routes that read; leave those that write.")
    parser.add_argument("--no-bridges", action="store_true", help="Move only what needs nothing of it at run time.")
    parser.add_argument("--overwrite", action="store_true", help="Replace files that are there.")


def handle(
    command: BaseCommand,
    *,
    source: str,
    out: Path | None,
    report: Path | None,
    as_json: bool,
    accepted: Path | None,
    only: str,
    overwrite: bool,
    **options: Any,
) -> None:
    """Write the module and its report, or print the module."""
    module = "routes" if out is None else ".".join(out.with_suffix("").parts)
    try:
        move = _READERS[source](module=module.strip("."), only=only, **options)
    except ImportError as error:
        raise CommandError(f"The project's environment lacks what its routes are of: {error}") from error
    if not move.routes:
        raise CommandError(f"The URLconf has no routes of {_NAMES[source]} below {only or '/'}.")
    text = write_module(move, _packages())
    if out is None:
        command.stdout.write(text, ending="")
        return
    told = report or out.with_suffix(".json" if as_json else ".md")
    files = {out: text, told: _as_json(move).decode() if as_json else as_markdown(move, str(out))}
    if accepted is not None:
        files[accepted] = accepted_lines(move)
    for file in files:
        if file.exists() and not overwrite:
            raise CommandError(f"{file} is there already. Replace it by --overwrite, or name another by --out.")
    for file, content in files.items():
        file.write_text(content, encoding="utf-8")
    counted = counts_of(move.routes)
    for kind, grades in counted.items():
        shown = ", ".join(f"{number} {grade}" for grade, number in grades.items())
        command.stdout.write(f"Routes that {kind}: {shown}")
    command.stdout.write(command.style.SUCCESS(f"{out} has the routes, {told} what differs and what to decide."))


_as_json = as_json


def _read_drf(*, module: str, only: str, origin: str, read_only: bool, no_bridges: bool, **options: object) -> Move:
    from hybrid_gateway.migration.drf.drf_reader import Options, read_drf  # needs the other framework

    return read_drf(Options(only=only, origin=origin, read_only=read_only, bridges=not no_bridges, module=module))


def _read_ninja(*, only: str, read_only: bool, no_bridges: bool, **options: object) -> Move:
    from hybrid_gateway.migration.ninja.ninja_reader import read_ninja  # needs the other framework

    return read_ninja(get_resolver().url_patterns, only=only, read_only=read_only, bridges=not no_bridges)


_READERS: dict[str, Callable[..., Move]] = {"drf": _read_drf, "ninja": _read_ninja}
_NAMES = {"drf": "Django REST framework", "ninja": "django-ninja"}


def _packages() -> list[str]:
    """Return the packages of the project: the folders with Python below the current one."""
    here = Path.cwd()
    return [entry.stem for entry in here.iterdir() if (entry / "__init__.py").is_file() or entry.suffix == ".py"]
