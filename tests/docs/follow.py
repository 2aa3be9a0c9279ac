"""Do what a page says, from top to bottom."""

from tests.docs.markdown_blocks import Page
from tests.docs.terminal import Terminal


def follow(page: Page, terminal: Terminal) -> None:
    """Do what the page says, from top to bottom."""
    for block in page.blocks:
        if block.not_run is not None:
            continue
        if block.file or block.text.startswith("--- "):
            terminal.edit(block)
        elif block.language == "sh":
            terminal.run(block)
        else:
            assert not (block.language == "python" and page.is_followed), f"{block.place}: into which file?"
