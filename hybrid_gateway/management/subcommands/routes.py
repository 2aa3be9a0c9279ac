"""``manage.py gateway routes``: every path with who answers it, the API or Django."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import NamedTuple

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from hybrid_gateway.dispatch.prefixes import FRONT_PAGE_ALONE
from hybrid_gateway.gateway.application import Gateway
from hybrid_gateway.management.configured import configured_gateway
from hybrid_gateway.routing.declare import inner_function
from hybrid_gateway.routing.websocket_routes import ChannelStream


class Row(NamedTuple):
    """One line of the table: who answers a path, or everything below a prefix."""

    path: str
    methods: tuple[str, ...]
    name: str
    side: str
    handler: str | None = None


def add_arguments(parser: CommandParser) -> None:
    """Add the options."""
    parser.add_argument("--json", action="store_true", dest="as_json", help="Print a JSON list instead of a table.")


def handle(command: BaseCommand, *, as_json: bool, **options: object) -> None:
    """Print both sides as one table."""
    rows = sorted(rows_of(configured_gateway()), key=itemgetter(0))
    command.stdout.write(json.dumps([row._asdict() for row in rows], indent=2) if as_json else as_table(rows))


def rows_of(gateway: Gateway) -> Iterator[Row]:
    """Yield every route of the API and every prefix of Django's."""
    for route in gateway.routes:
        is_bare = route.handler.__module__ == ChannelStream.__module__  # a channel without a function of its own
        handler = repr(route.options["channel"]) if is_bare else dotted_name(route.handler)
        yield Row(route.path, tuple(route.methods), route.name, "api", handler)
    for prefix in gateway.dispatcher.prefixes.prefixes:
        # STATIC_URL may have the script prefix in front.
        is_static = prefix != "/" and (settings.STATIC_URL or "").endswith(prefix)
        yield Row(prefix, (), "", "static" if is_static else "django")
    if gateway.dispatcher.fallthrough:
        yield Row("*", (), "", "fallthrough")


_SIDES = {"django": "Django", "static": "Django's static files", "fallthrough": "Django, when no route matches"}


def dotted_name(handler: object) -> str:
    """Return the dotted path of a handler in the project's code."""
    function = inner_function(handler)
    name: str = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{function.__module__}.{name.replace('.<locals>', '')}"


def as_table(rows: Sequence[Row]) -> str:
    """Return a table whose columns are as wide as their widest cell."""
    cells = [("Path", "Methods", "Name", "Answered by")]
    for row in rows:
        answers = row.handler or f"{_SIDES[row.side]}{FRONT_PAGE_ALONE if row.path == '/' else ''}"
        cells.append((row.path, ", ".join(row.methods) or "any", row.name, answers))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])
