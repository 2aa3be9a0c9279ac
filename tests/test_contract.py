"""The document of the example project keeps its word: to schemathesis, and to a TypeScript client made of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.example_site import serve_example

pytest.importorskip("uvicorn", reason="needs uvicorn, which the extra `server` brings")

TYPESCRIPT = Path(__file__).parent / "typescript"
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The example project under uvicorn."""
    with serve_example(tmp_path_factory.mktemp("site")) as url:
        yield url


def log_in(site: str) -> str:
    body = json.dumps({"username": "admin", "password": "admin-password"}).encode()
    request = Request(f"{site}/auth/login", body, {"Content-Type": "application/json"})
    with urlopen(request) as answer:
        return json.load(answer)["token"]


@pytest.mark.skipif(not SCHEMATHESIS.exists(), reason="needs schemathesis, which the extra `dev` brings")
def test_schemathesis_finds_no_fault(site: str, tmp_path: Path) -> None:
    command = [
        str(SCHEMATHESIS),
        "--no-color",
        f"--config-file={Path(__file__).with_name('schemathesis.toml')}",
        "run",
        f"{site}/openapi.json",
        "--checks=all",
        "--phases=examples,coverage,fuzzing,stateful",
        "--max-examples=30",
        "--seed=1",
        "--generation-database=none",
        f"--header=Authorization: Bearer {log_in(site)}",
        # These would end the token that all the others are called with.
        "--exclude-path=/auth/logout",
        "--exclude-path=/auth/logout/everywhere",
        "--exclude-path=/auth/rotate",
        "--exclude-path=/prices",  # a stream that goes on for minutes
    ]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.skipif(shutil.which("npm") is None, reason="needs Node.js and npm: install Debian's nodejs and npm")
def test_a_typescript_client_compiles_and_talks(site: str, tmp_path: Path) -> None:
    def run(*command: str) -> str:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=tmp_path)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    for name in ("package.json", "tsconfig.json", "client.ts"):
        shutil.copy(TYPESCRIPT / name, tmp_path)
    run("npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error")
    run(
        "npx",
        "--no-install",
        "openapi-typescript",
        f"{site}/openapi.json",
        "--default-non-nullable=false",
        "--output=schema.d.ts",
    )
    run("npx", "--no-install", "tsc", "--project", ".")
    assert run("node", "built/client.js", site).strip() == "talked"
