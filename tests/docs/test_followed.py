"""The README, the tutorial and every page with files and commands, typed line by line.

A page that starts a project begins in an empty folder, any other in the project that the README makes.
"""

import shutil
from pathlib import Path

import pytest

from tests.docs.follow import follow
from tests.docs.markdown_blocks import ROOT, Page, pages, read
from tests.docs.terminal import Terminal

FOLLOWED = [page for page in pages() if page.is_followed or any(block.language == "sh" for block in page.blocks)]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project of the README, with its tables."""
    folder = tmp_path_factory.mktemp("readme") / "project"
    folder.mkdir()
    with Terminal(folder) as terminal:
        terminal.say("django-admin startproject config .")
        for block in read(ROOT / "README.md").blocks:
            if block.file or block.text.startswith("--- "):
                terminal.edit(block)
        terminal.say("python manage.py migrate")
    return folder


@pytest.mark.parametrize("page", FOLLOWED, ids=lambda page: page.name)
def test_a_page_does_what_it_says(page: Page, project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    if any("startproject" in block.text for block in page.blocks):
        folder.mkdir()
    else:
        shutil.copytree(project, folder)
    with Terminal(folder) as terminal:
        follow(page, terminal)


def rows_of_servers() -> list[str]:
    """The commands of the README's table."""
    table = (ROOT / "README.md").read_text().partition("## Deploy\n")[2].partition("\n\n[")[0]
    return [
        word.removeprefix("web: ")
        for row in table.splitlines()
        if row.startswith("| ")
        for word in row.split("`")[3 if row.startswith("| **`") else 1 :: 2]
        if "config." in word or "manage.py" in word
    ]


@pytest.mark.parametrize("command", rows_of_servers())
def test_a_server_answers_for_both_sides(command: str, project: Path, tmp_path: Path) -> None:
    shutil.copytree(project, tmp_path / "project")
    with Terminal(tmp_path / "project") as terminal:
        terminal.serve(command, "README.md")
        for path, expected in (
            ("hello?name=Ada", '{"message":"Hello, Ada!"}'),
            ("admin/login/", "Django administration"),
        ):
            assert expected in terminal.say(f"curl -f 'http://127.0.0.1:{terminal.port}/{path}'"), (
                terminal.log.read_text()
            )


def test_the_table_of_servers_is_read() -> None:
    assert len(rows_of_servers()) >= 9
