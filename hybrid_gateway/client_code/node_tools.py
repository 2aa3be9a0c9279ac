"""openapi-typescript, which is run by Node: that of the project, or one that npx fetches."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from hybrid_gateway.client_code.programs import ToolError, run_program
from hybrid_gateway.openapi.schema_types import JSONObject

OPENAPI_TYPESCRIPT = "7.13.0"
TYPESCRIPT = "5.9.3"
OPENAPI_FETCH = "0.17.0"
"""What our tests have run; npx fetches the first two."""

OPTIONS = ("--default-non-nullable=false",)
"""A field with a default may be left out by clients."""


def has_node() -> bool:
    """Return whether there is Node."""
    return shutil.which("node") is not None


def find_openapi_typescript(nearby: Path) -> list[str]:
    """Return the command: of the nearest ``node_modules``, from ``nearby`` upwards, or else by npx.

    Raises :class:`ToolError` where there is no Node.
    """
    if not has_node():
        raise ToolError(
            "Types are made by openapi-typescript, which needs Node.js 20 or newer, and there is no `node` in PATH. "
            "Install it; who only uses the client, or checks it, needs none."
        )
    found = installed_package("openapi-typescript", nearby)
    if found is not None:
        return ["node", str(found / "bin" / "cli.js")]
    npx = shutil.which("npx")
    if npx is None:
        raise ToolError(
            "openapi-typescript is not installed, and there is no `npx` to fetch it. Beside your package.json: "
            f"npm install --save-dev openapi-typescript@{OPENAPI_TYPESCRIPT} typescript@5"
        )
    packages = (f"openapi-typescript@{OPENAPI_TYPESCRIPT}", f"typescript@{TYPESCRIPT}")
    return [npx, "--yes", *(f"--package={package}" for package in packages), "openapi-typescript"]


def installed_package(name: str, nearby: Path) -> Path | None:
    """Return the folder in which Node would find a package, from ``nearby`` upwards."""
    places = (folder / "node_modules" / name for folder in (nearby, *nearby.parents))
    return next((place for place in places if (place / "package.json").is_file()), None)


def openapi_typescript_types(documents: dict[str, JSONObject], nearby: Path) -> dict[str, str]:
    """Return the types of each document, by the name of a file.

    Raises :class:`ToolError` where openapi-typescript cannot be run, or fails.
    """
    command = find_openapi_typescript(nearby)
    types: dict[str, str] = {}
    with TemporaryDirectory() as name:
        folder = Path(name)
        for title, document in documents.items():
            (folder / "document.json").write_text(json.dumps(document), encoding="utf-8")
            run_program([*command, "document.json", *OPTIONS, "--output", title], folder)
            types[title] = (folder / title).read_text(encoding="utf-8")
    return types
