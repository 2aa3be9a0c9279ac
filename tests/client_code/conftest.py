"""What is generated once for all of these tests: the clients of the example project, and the packages of Node."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.sites.example_site import serve_example
from tests.sites.node_packages import installed_packages

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
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with packages of Node, in which clients are made and compiled."""
    folder = tmp_path_factory.mktemp("clients")
    shutil.copytree(DRIVEN, folder, dirs_exist_ok=True)
    (folder / "node_modules").symlink_to(installed_packages(DRIVEN / "package.json"))
    return folder


def compile_all(folder: Path) -> None:
    """Compile all that is in the folder, with every strictness that the compiler has."""
    command = ["node", "node_modules/typescript/bin/tsc", "--project", "."]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def without_node() -> str:
    """A PATH with nothing in it but Python's own programs."""
    return os.path.dirname(shutil.which("python") or "")
