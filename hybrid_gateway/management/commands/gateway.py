"""``manage.py gateway serve | routes | openapi | asyncapi | createtoken | prunetokens``: serve it, work with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.gateway.application import Gateway
from hybrid_gateway.gateway.settings_gateway import default_gateway
from hybrid_gateway.management.serve import add_options, serve
from hybrid_gateway.routing.websocket_routes import ChannelStream
from hybrid_gateway.tokens.revocation import prune

T = TypeVar("T")
R = TypeVar("R")


class Row(NamedTuple):
    """One line of the table: who answers a path, or everything below a prefix."""

    path: str
    methods: tuple[str, ...]
    name: str
    side: str
    handler: str | None = None


class Command(BaseCommand):
    help = "Looks at the gateway and works with it."

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="subcommand", required=True, metavar="command")

        serving = commands.add_parser("serve", help="Serve ASGI_APPLICATION in production: uvicorn with the lane.")
        add_options(serving)

        routes = commands.add_parser("routes", help="List every path with who answers it, the API or Django.")
        routes.add_argument("--json", action="store_true", dest="as_json", help="Print a JSON list instead of a table.")

        for name, title in (("openapi", "OpenAPI document"), ("asyncapi", "AsyncAPI document, of websockets")):
            document = commands.add_parser(name, help=f"Print the {title}, or check that a file still is it.")
            document.add_argument("--format", choices=["json", "yaml"], default="json", dest="kind", help="Its format.")
            document.add_argument("--output", type=Path, metavar="FILE", help="Write it to a file.")
            document.add_argument(
                "--check", type=Path, metavar="FILE", help="Write nothing; fail where the file differs from it."
            )

        token = commands.add_parser("createtoken", help="Issue a token and print it; it cannot be read again.")
        token.add_argument("user", help="The user's name, as USERNAME_FIELD has it.")
        token.add_argument("--name", default="", help="What the token is for, to tell it from others.")
        token.add_argument("--expires-in", type=_days, metavar="DAYS", help="Days until it expires; never by default.")
        token.add_argument("--scope", action="append", default=[], dest="scopes", help="One scope; may be repeated.")

        pruning = commands.add_parser("prunetokens", help="Delete tokens and logins by JWT that ended long ago.")
        pruning.add_argument(
            "--days", type=_days, default=timedelta(days=30), help="How long ago; 30 days by default.", metavar="DAYS"
        )

    def handle(self, *args: object, **options: Any) -> None:
        subcommands: dict[str, Callable[..., None]] = {
            "serve": self.serve,
            "routes": self.routes,
            "openapi": self.openapi,
            "asyncapi": self.asyncapi,
            "createtoken": self.create_token,
            "prunetokens": self.prune_tokens,
        }
        subcommands[options["subcommand"]](**options)

    def serve(self, **options: object) -> None:
        if settings.DEBUG:
            self.stderr.write(self.style.WARNING("DEBUG is on: errors show code and settings to whoever meets them."))
        serve(**options)

    def routes(self, *, as_json: bool, **options: object) -> None:
        """Print both sides as one table."""
        rows = sorted(rows_of(_gateway()), key=itemgetter(0))
        self.stdout.write(json.dumps([row._asdict() for row in rows], indent=2) if as_json else as_table(rows))

    def openapi(self, **options: Any) -> None:
        """Print the document, write it, or compare it with a file, JSON or YAML by its name."""
        from hybrid_gateway.openapi.document import build_document  # which `serve` need not load

        gateway = _gateway()
        self._put_out(build_document(gateway.endpoints, gateway.openapi, gateway.dispatcher.table.webhooks), **options)

    def asyncapi(self, **options: Any) -> None:
        """Print the document of websockets, write it, or compare it with a file."""
        from hybrid_gateway.openapi.asyncapi_document import build_asyncapi  # which `serve` need not load

        gateway = _gateway()
        webhooks = gateway.dispatcher.table.webhooks
        self._put_out(build_asyncapi(gateway.websockets, gateway.openapi, gateway.endpoints, webhooks), **options)

    def _put_out(
        self, built: object, *, subcommand: str, kind: str, output: Path | None, check: Path | None, **options: object
    ) -> None:
        from hybrid_gateway.openapi.document import dump_yaml  # which `serve` need not load

        document = json.loads(msgspec.json.encode(built))  # so that what is compared is what clients get
        if check is not None:
            self._compare(document, check, subcommand)
            return
        plain = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        text = _with_yaml(dump_yaml, document) if kind == "yaml" else plain
        if output is None:
            self.stdout.write(text, ending="")
        else:
            output.write_text(text, encoding="utf-8")

    def _compare(self, document: object, file: Path, subcommand: str) -> None:
        from hybrid_gateway.openapi.document import load_yaml  # which `serve` need not load

        try:
            text = file.read_text(encoding="utf-8")
            known = _with_yaml(load_yaml, text) if file.suffix in (".yaml", ".yml") else json.loads(text)
        except (OSError, ValueError) as error:
            raise CommandError(f"{file} cannot be read: {error}") from error
        places = list(differences(known, document))
        if places:
            shown = "\n".join(f"  {place}" for place in places[:20])
            more = f"\n  ... and {len(places) - 20} more" if len(places) > 20 else ""
            raise CommandError(
                f"{file} differs from the API in {len(places)} places:\n{shown}{more}\n"
                f"Write it anew: manage.py gateway {subcommand} --output {file}"
            )
        self.stdout.write(self.style.SUCCESS(f"{file} is the document of the API."))

    def create_token(
        self, *, user: str, name: str, expires_in: timedelta | None, scopes: list[str], **options: object
    ) -> None:
        """Issue a token; print it alone, so that a script can take it."""
        _need_tokens()
        from hybrid_gateway.tokens.models import Token  # the app need not be installed

        users: Any = get_user_model()
        try:
            owner = users._default_manager.get_by_natural_key(user)
        except users.DoesNotExist:
            raise CommandError(f"There is no user with the {users.USERNAME_FIELD} {user!r}.") from None
        try:
            _, plain = Token.objects.issue(owner, name=name, expires_in=expires_in, scopes=scopes)
        except ValueError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(plain)

    def prune_tokens(self, *, days: timedelta, **options: object) -> None:
        """Delete what has been over for that long; what still works, or ended lately, stays."""
        _need_tokens()
        for name, count in prune(days).items():
            self.stdout.write(f"{count} {name}")


def _gateway() -> Gateway:
    try:
        return default_gateway()
    except ConfigurationError as error:
        raise CommandError(str(error)) from error


def _need_tokens() -> None:
    if not apps.is_installed("hybrid_gateway.tokens"):
        raise CommandError('Tokens need the app: add "hybrid_gateway.tokens" to INSTALLED_APPS and migrate.')


def differences(known: object, current: object, place: str = "") -> Iterator[str]:
    """Yield the places where two documents differ, and how."""
    if isinstance(known, dict) and isinstance(current, dict):
        for key in sorted(known.keys() | current.keys(), key=str):
            inside = f"{place} → {key}" if place else str(key)
            if key not in current:
                yield f"{inside}: no longer there"
            elif key not in known:
                yield f"{inside}: new"
            else:
                yield from differences(known[key], current[key], inside)
    elif isinstance(known, list) and isinstance(current, list) and len(known) == len(current):
        for index, (one, other) in enumerate(zip(known, current, strict=True)):
            yield from differences(one, other, f"{place} → {index}")
    elif known != current:
        yield f"{place}: {json.dumps(known, ensure_ascii=False)} is now {json.dumps(current, ensure_ascii=False)}"


def _with_yaml(function: Callable[[T], R], argument: T) -> R:
    try:
        return function(argument)
    except ImportError as error:
        raise CommandError("YAML needs a package: pip install pyyaml.") from error


def _days(text: str) -> timedelta:
    days = float(text)
    if not 0 < days < 1_000_000:
        raise ValueError(text)
    return timedelta(days=days)


_days.__name__ = "number of days"  # argparse shows it: invalid number of days value


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
    function: object = getattr(handler, "__func__", handler)
    name: str = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{function.__module__}.{name.replace('.<locals>', '')}"


def as_table(rows: Sequence[Row]) -> str:
    """Return a table whose columns are as wide as their widest cell."""
    cells = [("Path", "Methods", "Name", "Answered by")]
    cells += [(row.path, ", ".join(row.methods) or "any", row.name, row.handler or _SIDES[row.side]) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])
