"""Follow pages with a wheel, in environments that have nothing else.

    python -m tests.docs.fresh_environment dist README.md docs/tutorial.md

The first environment gets the wheel alone, and has to import all of the package that needs no extra and to check a new
project. Then each page has one of its own, where ``pip install`` installs what the page says, but the wheel for our
name.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.docs.follow import follow, make_project
from tests.docs.markdown_blocks import ROOT, read
from tests.docs.terminal import Terminal


def make_environment(folder: Path) -> Path:
    subprocess.run([sys.executable, "-m", "venv", folder / ".venv"], check=True)
    return folder / ".venv"


def install(environment: Path, *requirements: str) -> None:
    pip = [environment / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-c", ROOT / "constraints.txt", *requirements], check=True)


def try_bare(wheel: Path, folder: Path) -> None:
    """Import the package, and check and ask a new project, without any extra."""
    environment = make_environment(folder)
    install(environment, str(wheel))
    project = folder / "project"
    project.mkdir()
    with Terminal(project, environment / "bin") as terminal:
        terminal.say(
            "python -c 'import hybrid_gateway.auth, hybrid_gateway.orm, hybrid_gateway.test, hybrid_gateway.channels'"
        )
        make_project(terminal)
        terminal.say("python manage.py check && python manage.py test")
        assert "/hello" in terminal.say("python manage.py gateway routes")
        terminal.say("python manage.py gateway --help")


def follow_page(name: str, wheel: Path, folder: Path) -> None:
    """Do what a page says, ``pip install`` included."""
    environment = make_environment(folder)
    empty = folder / "empty"
    empty.mkdir()
    page = read(ROOT / name)
    for block in page.blocks:
        for line in block.text.splitlines() if block.language == "sh" and block.not_run is None else ():
            if line.startswith("pip install "):
                install(environment, *(word.replace("hybrid-gateway", str(wheel)) for word in shlex.split(line)[2:]))
    with Terminal(empty, environment / "bin") as terminal:
        follow(page, terminal)


def main(dist: str, *pages: str) -> None:
    [wheel] = Path(dist).resolve().glob("*.whl")
    with tempfile.TemporaryDirectory() as folder:
        (bare := Path(folder) / "bare").mkdir()
        try_bare(wheel, bare)
        print("The wheel alone: imported, and a new project checked, migrated and tested.")
        for number, name in enumerate(pages):
            (own := Path(folder) / str(number)).mkdir()
            follow_page(name, wheel, own)
            print(f"{name}: done as it says, in a fresh environment.")


if __name__ == "__main__":
    main(*sys.argv[1:])
