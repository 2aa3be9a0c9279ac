"""Clients in Python: they are imported, type checkers accept them, and they talk to the example project."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hybrid_gateway.client_code.programs import ToolError
from hybrid_gateway.client_code.python_client import find_openapi_python_client, python_client
from tests.client_code import lively
from tests.client_code.conftest import DRIVEN, Documents, documents_of
from tests.openapi.clients import zoo
from tests.openapi.documents.fuzz import Site

IMPORT_ALL = """
import importlib, pkgutil, sys
for name in sys.argv[1:]:
    for module in pkgutil.walk_packages(importlib.import_module(name).__path__, f"{name}."):
        importlib.import_module(module.name)
"""


@pytest.fixture(scope="module")
def packages(example: Documents, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the clients of some APIs."""
    try:
        find_openapi_python_client()
    except ToolError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("packages")
    documents = {
        "example_client": example[0],
        "lively_client": documents_of(lively.routes)[0],
        "zoo_client": documents_of(zoo.routes)[0],
        "seeded": Site(1, 60).document.document,
    }
    for name, document in documents.items():
        made = python_client(document, folder / name)
        # Enums of text and numbers, and some types of headers, are beyond it; it says which routes it leaves out.
        assert not made.notes or name == "seeded", made.notes
        made.write(folder / name)
    return folder


def run(*command: str, cwd: Path) -> str:
    ran = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=os.environ | {"PYTHONPATH": str(cwd)})
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_every_module_is_imported(packages: Path) -> None:
    run(sys.executable, "-c", IMPORT_ALL, *sorted(entry.name for entry in packages.iterdir()), cwd=packages)


def test_mypy_accepts_all_of_it(packages: Path) -> None:
    mypy = Path(sys.executable).with_name("mypy")
    if not mypy.exists():
        pytest.skip("needs mypy, which the extra `dev` brings")
    shutil.copy(DRIVEN / "talk.py", packages)
    names = sorted(entry.name for entry in packages.iterdir() if entry.is_dir() and entry.name.endswith("_client"))
    run(str(mypy), "--strict", "--follow-imports=silent", "--config-file=", "talk.py", *names, cwd=packages)


def test_it_talks_sync_and_async(packages: Path, site: str) -> None:
    shutil.copy(DRIVEN / "talk.py", packages)
    assert run(sys.executable, "talk.py", site, cwd=packages).strip() == "talked twice"
