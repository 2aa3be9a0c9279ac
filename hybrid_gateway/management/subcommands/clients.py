"""``manage.py gateway client LANGUAGE``: write a client of the API as code, or check that a folder still is it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError, CommandParser

from hybrid_gateway.client_code.generated_client import GeneratedClient
from hybrid_gateway.client_code.programs import ToolError
from hybrid_gateway.client_code.python_client import python_client
from hybrid_gateway.client_code.typescript_client import typescript_client, typescript_client_to_check
from hybrid_gateway.management.configured import configured_gateway
from hybrid_gateway.management.subcommands.documents import document_of
from hybrid_gateway.openapi.schema_types import JSONObject

MAX_SHOWN = 40
"""Lines of differences that are shown."""

_Maker = Callable[[JSONObject, JSONObject, Path], GeneratedClient]


def add_arguments(parser: CommandParser) -> None:
    """Add the language, and where its files are."""
    parser.add_argument("language", choices=["typescript", "python"], help="What to write it in.")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", type=Path, metavar="FOLDER", help="Write it to a folder, which is made where needed.")
    where.add_argument("--check", type=Path, metavar="FOLDER", help="Write nothing; fail where the folder differs.")


def handle(command: BaseCommand, *, language: str, out: Path | None, check: Path | None, **options: object) -> None:
    """Write the files of a client, or compare them with those of a folder."""
    folder = (out or check or Path()).resolve()
    gateway = configured_gateway()
    try:
        make = _MAKERS[language, check is not None]
        made = make(document_of(gateway, "openapi"), document_of(gateway, "asyncapi"), folder)
    except ToolError as error:
        raise CommandError(str(error)) from error
    for note in made.notes:
        command.stderr.write(command.style.WARNING(note))
    if check is None:
        made.write(folder)
        command.stdout.write(command.style.SUCCESS(f"{out} is a client of the API, of {len(made.files)} files."))
        return
    places = list(made.differences(check))
    if places:
        shown = "\n".join(f"  {place}" for place in places[:MAX_SHOWN])
        more = f"\n  ... and {len(places) - MAX_SHOWN} lines more" if len(places) > MAX_SHOWN else ""
        again = f"Write it anew: manage.py gateway client {language} --out {check}"
        raise CommandError(f"{check} is no client of the API as it is now:\n{shown}{more}\n{again}")
    command.stdout.write(command.style.SUCCESS(f"{check} is the client of the API."))


def _python(openapi: JSONObject, asyncapi: JSONObject, folder: Path) -> GeneratedClient:
    return python_client(openapi, folder)


_MAKERS: dict[tuple[str, bool], _Maker] = {
    ("typescript", False): typescript_client,
    ("typescript", True): typescript_client_to_check,
    ("python", False): _python,
    ("python", True): _python,
}
"""Language, and whether it is to be checked → what makes it."""
