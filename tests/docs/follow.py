"""Do what a page says, from top to bottom."""

from tests.docs.markdown_blocks import ROOT, Page, read
from tests.docs.terminal import Terminal


def follow(page: Page, terminal: Terminal) -> None:
    for block in page.blocks:
        if block.not_run is not None:
            continue
        if block.file or block.text.startswith("--- "):
            terminal.edit(block)
        elif block.language == "sh":
            terminal.run(block)
        else:
            assert not (block.language == "python" and page.is_followed), f"{block.place}: into which file?"


def make_project(terminal: Terminal) -> None:
    """Make the project of the README by hand: a new one, what its diff changes, its files and its tables."""
    terminal.say("django-admin startproject config .")
    for block in read(ROOT / "README.md").blocks:
        if block.file or block.text.startswith("--- "):
            terminal.edit(block)
    terminal.say("python manage.py migrate")
