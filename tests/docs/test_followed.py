"""The README, the tutorial and every page with files and commands, typed line by line.

A page that starts a project begins in an empty folder, one that puts the gateway in front in a new project, any other
in the project that the README makes.
"""

import shutil
from pathlib import Path

import pytest
from django.core.management import call_command

from tests.docs.follow import follow
from tests.docs.markdown_blocks import Page, pages
from tests.docs.terminal import Terminal

FOLLOWED = [page for page in pages() if page.is_followed or any(block.language == "sh" for block in page.blocks)]


@pytest.mark.parametrize("page", FOLLOWED, ids=lambda page: page.name)
def test_a_page_does_what_it_says(page: Page, project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    typed = "".join(block.text for block in page.blocks if block.language == "sh")
    if "startproject" in typed:
        folder.mkdir()
    elif "hybrid_gateway init" in typed:
        folder.mkdir()
        call_command("startproject", "config", str(folder))
    else:
        shutil.copytree(project, folder)
    with Terminal(folder) as terminal:
        follow(page, terminal)
