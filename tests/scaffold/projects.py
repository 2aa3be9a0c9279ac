"""Projects in folders of their own, and commands that run in them as a user's do."""

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from django.core.management import call_command

from hybrid_gateway.__main__ import main

ROOT = Path(__file__).parents[2]


def start_project(folder: Path, name: str = "mysite") -> Path:
    """Make a new project, as ``django-admin startproject NAME .`` does."""
    folder.mkdir(parents=True, exist_ok=True)
    call_command("startproject", name, str(folder))
    return folder


def run(folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess:
    """Run Python with a command in a folder, with nothing of ours but the package on its path."""
    variables = {key: value for key, value in os.environ.items() if key != "DJANGO_SETTINGS_MODULE"}
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**variables, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def init(folder: Path, *options: str, code: int = 0) -> str:
    """Run the command ``init`` for a folder and return what it printed."""
    output = io.StringIO()
    with redirect_stdout(output), redirect_stderr(output):
        found = main(["init", str(folder), *options])
    assert found == code, output.getvalue()
    return output.getvalue()


def files(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def ask(folder: Path, application: str, *paths: str) -> list[str]:
    """Return status and start of the answer to each path, of the application that a server would load."""
    script = (
        "import asyncio, importlib, sys\n"
        "from starlette.testclient import TestClient\n"
        f"module, _, name = {application!r}.partition(':')\n"
        "app = getattr(importlib.import_module(module), name)\n"
        "if module.endswith('wsgi'):\n"
        "    from django.test.client import FakePayload\n"
        "    import io\n"
        "    from wsgiref.util import setup_testing_defaults\n"
        "    for path in sys.argv[1:]:\n"
        "        environ = {'PATH_INFO': path, 'HTTP_HOST': 'localhost'}\n"
        "        setup_testing_defaults(environ)\n"
        "        seen = []\n"
        "        body = b''.join(app(environ, lambda status, headers, *rest: seen.append(status[:3])))\n"
        "        print(seen[0], body[:80])\n"
        "else:\n"
        "    client = TestClient(app, base_url='http://localhost', follow_redirects=False)\n"
        "    for path in sys.argv[1:]:\n"
        "        response = client.get(path)\n"
        "        print(response.status_code, response.content[:80])\n"
    )
    done = run(folder, "-c", script, *paths)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()
