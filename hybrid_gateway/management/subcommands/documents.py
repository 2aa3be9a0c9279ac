"""``manage.py gateway openapi | asyncapi``: print a document of the API, write it, or check that a file still is it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec
from django.core.management.base import BaseCommand, CommandError, CommandParser

from hybrid_gateway.gateway.application import Gateway
from hybrid_gateway.management.configured import configured_gateway
from hybrid_gateway.openapi.asyncapi_document import build_asyncapi
from hybrid_gateway.openapi.document import build_document, dump_yaml, load_yaml
from hybrid_gateway.openapi.schema_types import JSONObject

T = TypeVar("T")
R = TypeVar("R")


def add_arguments(parser: CommandParser) -> None:
    """Add the options."""
    parser.add_argument("--format", choices=["json", "yaml"], default="json", dest="kind", help="Its format.")
    parser.add_argument("--output", type=Path, metavar="FILE", help="Write it to a file.")
    parser.add_argument(
        "--check", type=Path, metavar="FILE", help="Write nothing; fail where the file differs from it."
    )


def handle(
    command: BaseCommand, *, subcommand: str, kind: str, output: Path | None, check: Path | None, **options: object
) -> None:
    """Print the document, write it, or compare it with a file, JSON or YAML by its name."""
    document = document_of(configured_gateway(), subcommand)
    if check is not None:
        _compare(command, document, check, subcommand)
        return
    plain = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    text = _with_yaml(dump_yaml, document) if kind == "yaml" else plain
    if output is None:
        command.stdout.write(text, ending="")
    else:
        output.write_text(text, encoding="utf-8")


def document_of(gateway: Gateway, name: str) -> JSONObject:
    """Return the document ``openapi`` or ``asyncapi`` as clients get it."""
    document: JSONObject = json.loads(msgspec.json.encode(_BUILDERS[name](gateway)))
    return document


_BUILDERS: dict[str, Callable[[Gateway], object]] = {
    "openapi": lambda gateway: build_document(gateway.endpoints, gateway.openapi, gateway.dispatcher.table.webhooks),
    "asyncapi": lambda gateway: build_asyncapi(
        gateway.websockets, gateway.openapi, gateway.endpoints, gateway.dispatcher.table.webhooks
    ),
}


def _compare(command: BaseCommand, document: object, file: Path, subcommand: str) -> None:
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
    command.stdout.write(command.style.SUCCESS(f"{file} is the document of the API."))


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
