"""``python -m hybrid_gateway doctor``, which needs no settings that can be imported."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def doctor(project, *arguments):
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    return subprocess.run(
        [sys.executable, "-m", "hybrid_gateway", "doctor", *arguments],
        cwd=project.folder,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_settings_that_cannot_be_imported_are_a_line(project):
    project.settings("import nowhere")
    done = doctor(project)
    assert done.returncode == 1 and done.stderr == ""
    first, second, *_ = done.stdout.splitlines()
    assert first.startswith("broken  D002  Django cannot be set up: ModuleNotFoundError: No module named 'nowhere'")
    assert "config/settings.py:" in first and second.lstrip().startswith("->")
    project.settings("x = (")
    assert "D002" in doctor(project, "--json").stdout


def test_it_says_the_same_as_manage_py(project):
    project.djangos("asgi")
    done = doctor(project)
    assert done.stdout == project.run().stdout and done.returncode == 1


def test_its_help_names_it_once(project):
    done = doctor(project, "--help")
    assert done.stdout.startswith("usage: python -m hybrid_gateway doctor [") and done.returncode == 0
