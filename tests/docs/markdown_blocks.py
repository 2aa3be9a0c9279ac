"""The blocks of code of the README and the documentation, and what their pages say of them.

A block is run or parsed, unless the line before it says why not: ``<!-- not run: it needs an account of Heroku -->``.
A first line that is a comment with a path names the file that a reader is to write: ``# config/routes.py`` the whole of
it, ``# config/settings.py, at the end`` what is added. A block of ``diff`` changes the files that its lines name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs"
MADE = ("problems", "project", "reference")  # by scripts/docs
BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<reason>.+?) -->\n+)?(?P<fence>```+)(?P<language>[^\n`{}]*)\n(?P<text>.*?)^(?P=fence)\s*$",
    re.MULTILINE | re.DOTALL,
)
FILE = re.compile(
    r"(?:#|//|<!--) (?P<path>[\w./-]*\.\w[\w-]*|Procfile|Dockerfile|environment)(?P<end>, at the end)?(?: -->)?\n"
)


@dataclass(frozen=True)
class Block:
    """One block of a page."""

    page: Path
    line: int
    language: str
    text: str
    not_run: str | None

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @cached_property
    def file(self) -> re.Match[str] | None:
        """The first line, where it names a file."""
        return FILE.match(self.text) if self.language != "sh" else None

    def write(self, folder: Path) -> None:
        """Do with the file what the page says."""
        assert self.file
        path = folder / self.file["path"]
        if self.file["end"]:
            assert path.exists(), f"{self.place}: there is no {path} to add to"
            path.write_text(path.read_text() + "\n\n" + self.text.split("\n", 1)[1])
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.text)

    def patch(self, folder: Path) -> None:
        """Change the files that a block of ``diff`` names, as its lines say, unless a command has done it already."""
        for name, change in re.findall(
            r"^--- (\S+)\n\+\+\+ \S+\n(.*?)(?=^--- |\Z)", self.text, re.MULTILINE | re.DOTALL
        ):
            path = folder / name
            text = path.read_text()
            for hunk in re.split(r"^@@.*\n", change, flags=re.MULTILINE):
                old, new = (
                    "".join(line[1:] for line in hunk.splitlines(keepends=True) if line[0] in kinds)
                    for kinds in (" -", " +")
                )
                if text.count(new) == 1 and (new.strip() not in old):
                    continue
                assert text.count(old) == 1, f"{self.place}: {name} has not, or not once:\n{old}\n---\n{text}"
                text = text.replace(old, new)
            path.write_text(text)


@dataclass(frozen=True)
class Page:
    """A page, and its blocks in order."""

    path: Path
    blocks: tuple[Block, ...]

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def is_followed(self) -> bool:
        """Whether a reader types it into files and a terminal; else its Python is one program."""
        return any(block.file or block.text.startswith("--- ") for block in self.blocks if block.not_run is None)


def read(path: Path) -> Page:
    """Return the page with its blocks."""
    text = path.read_text(encoding="utf-8")
    blocks = [
        Block(path, text.count("\n", 0, found.start("text")), found["language"].strip(), found["text"], found["reason"])
        for found in BLOCK.finditer(text)
    ]
    return Page(path, tuple(blocks))


def pages() -> list[Page]:
    """Return the README and every page of the documentation, without those that a built site has left there."""
    written = [path for path in sorted(DOCS.rglob("*.md")) if path.relative_to(DOCS).parts[0] not in MADE]
    return [read(path) for path in [ROOT / "README.md", *written]]
