"""Each row of the README's table of servers serves both sides of a new project, as it is typed."""

import shutil
from pathlib import Path

import pytest

from tests.docs.markdown_blocks import ROOT
from tests.docs.terminal import Terminal


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
