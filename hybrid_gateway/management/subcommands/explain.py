"""``manage.py gateway explain ID…``: the pages of ids of messages, in the terminal; without an id, what there is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from itertools import groupby
from operator import attrgetter

from django import VERSION
from django.core.management.base import BaseCommand, CommandError, CommandParser

from hybrid_gateway.problems import TAG, link
from hybrid_gateway.problems.catalogue import catalogue, find


def add_arguments(parser: CommandParser) -> None:
    """Add the ids; what is wrong with the project is no hindrance."""
    parser.set_defaults(skip_checks=True)
    parser.add_argument("ids", nargs="*", metavar="ID", help="As messages show it: E001, hybrid_gateway.E001.")


def handle(command: BaseCommand, *, ids: Sequence[str], **options: object) -> None:
    """Print a page for each id, or the list of all."""
    command.stdout.write("\n".join(pages_of(ids) if ids else table()))


def pages_of(ids: Sequence[str]) -> Iterator[str]:
    """Yield the pages of ids; an unknown one ends the command."""
    for each in ids:
        problem, (label, dot, _) = find(each), each.strip().partition(".")
        if problem is not None:
            yield f"{problem.page()}\n{link(problem.id)}\n"
        elif dot and label != TAG:
            yield f"{each} is {_DJANGOS if label in DJANGO_LABELS else _OF_OTHERS.format(label=label)}\n"
        else:
            near = get_close_matches(each.upper(), catalogue(), n=3, cutoff=0.5)
            meant = f" Did you mean {', '.join(near)}?" if near else ""
            raise CommandError(f"No message has the id {each}.{meant} `gateway explain` lists all.")


DJANGO_LABELS = frozenset(
    (
        *(
            "4_0",
            "admin",
            "async",
            "auth",
            "caches",
            "commands",
            "contenttypes",
            "databases",
            "fields",
            "files",
            "gis",
            "mail",
        ),
        *("models", "mysql", "oracle", "postgres", "security", "sessions", "signals", "sites", "staticfiles", "sqlite"),
        *("syndication", "templates", "translation", "urls"),
    )
)
"""What stands before the dot in ids of Django's own checks."""

_DJANGOS = (
    f"a system check of Django's: https://docs.djangoproject.com/en/{VERSION[0]}.{VERSION[1]}/ref/checks/ has it."
)
_OF_OTHERS = "a system check of another package or app, {label!r}: its documentation has it."


def table() -> Iterator[str]:
    """Yield a line for each id, under the title of its area."""
    for area, problems in groupby(catalogue().values(), key=attrgetter("area")):
        yield f"{area}\n"
        yield from (f"  {problem.id}  {problem.title}" for problem in problems)
        yield ""
