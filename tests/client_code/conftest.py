"""What is made once for the tests of a module: documents, packages of Node, and clients that are compiled."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from hybrid_gateway import Gateway
from hybrid_gateway.conf import OpenAPISettings
from hybrid_gateway.management.subcommands.documents import document_of
from tests.client_code import lively
from tests.sites.example_site import serve_example
from tests.sites.node_packages import installed_packages
from tests.sites.threaded_server import serve_in_thread

DRIVEN = Path(__file__).with_name("driven")

Documents = tuple[dict[str, Any], dict[str, Any]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the example project under uvicorn."""
    pytest.importorskip("uvicorn", reason="needs uvicorn, which the extra `server` brings")
    with serve_example(tmp_path_factory.mktemp("site")) as url:
        yield url


@pytest.fixture(scope="module")
def example(site: str) -> Documents:
    """The two documents of the example project."""
    with urlopen(f"{site}/openapi.json") as openapi, urlopen(f"{site}/asyncapi.json") as asyncapi:
        return json.load(openapi), json.load(asyncapi)


@pytest.fixture(scope="module")
def lively_site() -> Iterator[str]:
    """The URL of ``lively.py`` under uvicorn."""
    with serve_in_thread(Gateway(lively.routes, openapi=OpenAPISettings(enabled=True))) as url:
        yield url


def documents_of(routes: Iterable[Any]) -> Documents:
    """The two documents of routes."""
    gateway = Gateway(list(routes), openapi=OpenAPISettings(title="Routes", enabled=True))
    return document_of(gateway, "openapi"), document_of(gateway, "asyncapi")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with packages of Node, in which clients are made and compiled."""
    folder = tmp_path_factory.mktemp("clients")
    shutil.copytree(DRIVEN, folder, dirs_exist_ok=True)
    (folder / "node_modules").symlink_to(installed_packages(DRIVEN / "package.json"))
    return folder


def compile_all(folder: Path, *options: str) -> None:
    """Compile all that is in the folder, with every strictness that the compiler has."""
    command = ["node", "node_modules/typescript/bin/tsc", "--project", ".", *options]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
