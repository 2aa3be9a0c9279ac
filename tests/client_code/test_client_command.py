"""``manage.py gateway client``: what it writes, what it compares, and what it says where a program is missing."""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from django.core.management import CommandError, call_command

from hybrid_gateway import get
from hybrid_gateway.client_code import node_tools, python_client

Run = Callable[..., str]

# Says its options instead of types, so that tests need no package.
FAKE_CLI = """
import { writeFileSync } from "node:fs";
const [, , document, ...options] = process.argv;
if (process.env.FAILS) { console.error("no such thing"); process.exit(3); }
writeFileSync(options.at(-1), `export interface paths { "made of": "${document} ${options[0]}" }\\n`);
"""


@get("/hello")
async def hello() -> str:
    return "hello"


@get("/more")
async def more() -> str:
    return "more"


@pytest.fixture(autouse=True)
def routes(settings, monkeypatch) -> ModuleType:
    module = ModuleType("client_routes")
    module.routes = [hello]
    monkeypatch.setitem(sys.modules, "client_routes", module)
    settings.HYBRID_GATEWAY = {"ROUTES": "client_routes", "OPENAPI": {"TITLE": "Hello"}}
    return module


@pytest.fixture
def run(capsys) -> Run:
    def run(*arguments: object) -> str:
        call_command("gateway", "client", *map(str, arguments), skip_checks=True)
        found = capsys.readouterr()
        return found.out + found.err

    return run


def install_fake(folder: Path) -> None:
    package = folder / "node_modules" / "openapi-typescript"
    (package / "bin").mkdir(parents=True)
    (package / "package.json").write_text('{"type": "module"}')
    (package / "bin" / "cli.js").write_text(FAKE_CLI)


needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")


@needs_node
def test_the_openapi_typescript_of_the_project_is_run(run: Run, tmp_path: Path) -> None:
    install_fake(tmp_path)
    folder = tmp_path / "web" / "src" / "api"
    said = run("typescript", "--out", folder)
    assert f"{folder} is a client of the API, of 3 files." in said
    assert "npm install openapi-fetch@" in said
    assert sorted(file.name for file in folder.iterdir()) == ["client.ts", "realtime.ts", "schema.ts"]
    assert '"made of": "document.json --default-non-nullable=false"' in (folder / "schema.ts").read_text()
    assert 'from "openapi-fetch"' in (folder / "client.ts").read_text()
    (tmp_path / "node_modules" / "openapi-fetch").mkdir()
    (tmp_path / "node_modules" / "openapi-fetch" / "package.json").touch()
    assert "npm install" not in run("typescript", "--out", folder)


@needs_node
def test_a_folder_is_compared_with_and_without_node(
    run: Run, tmp_path: Path, routes: ModuleType, settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_fake(tmp_path)
    folder = tmp_path / "api"
    run("typescript", "--out", folder)
    assert f"{folder} is the client of the API." in run("typescript", "--check", folder)
    with monkeypatch.context() as patched:
        patched.setenv("PATH", "/nowhere")
        said = run("typescript", "--check", folder)
        assert "There is no Node here: types were not made anew" in said
        assert f"{folder} is the client of the API." in said
        routes.routes = [hello, more]
        settings.HYBRID_GATEWAY = dict(settings.HYBRID_GATEWAY)
        with pytest.raises(CommandError, match="is no client of the API as it is now") as failure:
            run("typescript", "--check", folder)
        assert "schema.ts" in str(failure.value)
        assert "manage.py gateway client typescript --out" in str(failure.value)
    (folder / "realtime.ts").unlink()
    with pytest.raises(CommandError, match=r"realtime\.ts: missing"):
        run("typescript", "--check", folder)


def test_without_node_it_is_told_what_to_do(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CommandError, match=r"needs Node\.js 20 or newer, and there is no `node` in PATH"):
        run("typescript", "--out", tmp_path / "api")
    node = tmp_path / "node"
    node.touch()
    node.chmod(stat.S_IRWXU)
    with pytest.raises(CommandError, match=r"no `npx` to fetch it(.|\n)*npm install --save-dev openapi-typescript@7"):
        run("typescript", "--out", tmp_path / "api")
    assert not (tmp_path / "api").exists()


@needs_node
def test_what_openapi_typescript_says_when_it_fails(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_fake(tmp_path)
    monkeypatch.setenv("FAILS", "1")
    with pytest.raises(CommandError, match=r"has failed:\nno such thing"):
        run("typescript", "--out", tmp_path)


def test_npx_fetches_the_pinned_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    command = node_tools.find_openapi_typescript(tmp_path)
    assert command[0] == "/usr/bin/npx"
    assert f"--package=openapi-typescript@{node_tools.OPENAPI_TYPESCRIPT}" in command


def test_python_is_written_and_compared(run: Run, tmp_path: Path, routes: ModuleType, settings) -> None:
    if not Path(sys.executable).with_name("openapi-python-client").exists():
        pytest.skip("needs openapi-python-client, which the extra `dev` brings")
    routes.routes = [hello, more]
    folder = tmp_path / "hello_client"
    assert "is a client of the API" in run("python", "--out", folder)
    assert "is the client of the API" in run("python", "--check", folder)
    (folder / "own.py").touch()
    routes.routes = [hello]
    settings.HYBRID_GATEWAY = dict(settings.HYBRID_GATEWAY)
    with pytest.raises(CommandError, match=r"api/default/more\.py: no longer made"):
        run("python", "--check", folder)
    run("python", "--out", folder)
    assert not (folder / "api" / "default" / "more.py").exists()
    assert (folder / "own.py").exists()
    assert "is the client of the API" in run("python", "--check", folder)


def test_a_client_in_python_has_to_be_importable(run: Run, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"'shop-client' cannot be imported: name the folder as a package"):
        run("python", "--out", tmp_path / "shop-client")


def test_without_openapi_python_client_it_is_told_what_to_do(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        CommandError, match=rf"pipx install openapi-python-client=={python_client.OPENAPI_PYTHON_CLIENT}"
    ):
        run("python", "--out", tmp_path / "client")


def test_servers_load_nothing_of_it() -> None:
    program = "import sys, hybrid_gateway.gateway.application; print([n for n in sys.modules if 'client_code' in n])"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout.strip() == "[]", ran.stderr
