"""The documents keep their word: to schemathesis, to linters and parsers, and to clients made of them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.sites.example_site import serve_example
from tests.sites.node_packages import installed_packages

pytest.importorskip("uvicorn", reason="needs uvicorn, which the extra `server` brings")

CLIENTS = Path(__file__).parent / "clients"
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The example project under uvicorn."""
    with serve_example(tmp_path_factory.mktemp("site")) as url:
        yield url


@pytest.fixture(scope="module")
def documents(site: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``example.json``, ``zoo.json``, ``zoo.asyncapi.json`` and all that clients are made with."""
    from hybrid_gateway import Gateway
    from hybrid_gateway.conf import OpenAPISettings
    from hybrid_gateway.test import TestClient
    from tests.openapi.clients import zoo

    folder = tmp_path_factory.mktemp("clients")
    shutil.copytree(CLIENTS, folder, dirs_exist_ok=True)
    with urlopen(f"{site}/openapi.json") as answer:
        (folder / "example.json").write_bytes(answer.read())
    settings = OpenAPISettings(title="Zoo", enabled=True)
    client = TestClient(Gateway(zoo.routes, openapi=settings))
    (folder / "zoo.json").write_bytes(client.get("/openapi.json").content)
    (folder / "zoo.asyncapi.json").write_bytes(client.get("/asyncapi.json").content)
    return folder


@pytest.fixture(scope="module")
def node(documents: Path) -> Path:
    """The programs of ``package.json``, installed once for each of its versions."""
    packages = installed_packages(CLIENTS / "package.json")
    (documents / "node_modules").symlink_to(packages)
    return packages / ".bin"


def run(*command: str | Path, cwd: Path, **environ: str) -> str:
    ran = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, timeout=240, cwd=cwd, env={**os.environ, **environ}
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def log_in(site: str) -> str:
    body = json.dumps({"username": "admin", "password": "admin-password"}).encode()
    request = Request(f"{site}/auth/login", body, {"Content-Type": "application/json"})
    with urlopen(request) as answer:
        return json.load(answer)["token"]


@pytest.mark.skipif(not SCHEMATHESIS.exists(), reason="needs schemathesis, which the extra `dev` brings")
def test_schemathesis_finds_no_fault(site: str, tmp_path: Path) -> None:
    run(
        SCHEMATHESIS,
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
        cwd=tmp_path,
    )


@pytest.mark.parametrize("name", ["example", "zoo"])
def test_redocly_and_spectral_find_no_error(documents: Path, node: Path, name: str) -> None:
    run(node / "redocly", "lint", f"{name}.json", "--config=redocly.yaml", cwd=documents, REDOCLY_TELEMETRY="off")
    run(node / "spectral", "lint", f"{name}.json", "--ruleset=spectral.yaml", "--fail-severity=error", cwd=documents)


def test_the_parser_of_asyncapi_finds_no_fault(documents: Path, node: Path) -> None:
    assert run("node", "asyncapi.mjs", "zoo.asyncapi.json", cwd=documents).split("\n")[:-1] == [
        "receive /either/{rest}",
        "receive /free",
        "receive /free/again",
        "send /either/{rest}",
        "send /free",
        "send /free/again",
        "send /rows/live",
    ]


def test_clients_of_two_typescript_generators_compile_and_talk(site: str, documents: Path, node: Path) -> None:
    for name, output in (("example", "schema.d.ts"), ("zoo", "zoo.d.ts")):
        generate = ("openapi-typescript", f"{name}.json", "--default-non-nullable=false", f"--output={output}")
        run(node / generate[0], *generate[1:], cwd=documents)
    run(node / "openapi-ts", "--file=hey.config.mjs", "--no-log-file", cwd=documents)
    run(node / "tsc", "--project", ".", cwd=documents)
    for client in ("fetch", "sdk"):
        assert run("node", f"built/{client}.js", site, cwd=documents).strip() == "talked"
