"""The catalogue of ids: what each says is wrong, why that matters and what to do.

How this works: a file of ``pages/`` is an area, and a heading in it is an id with its title. Below it stand what is
wrong, ``### Why`` and ``### Remedy``. Files are read when the first page is asked for, and never by a server that has
started.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from hybrid_gateway.problems import TAG

PAGES = Path(__file__).parent / "pages"

_HEADING = re.compile(r"^## ([A-Z]\d{3}) (.+)$", re.MULTILINE)
_SECTION = re.compile(r"^### (Why|Remedy)$", re.MULTILINE)
_QUOTE = re.compile(r"\A(?:>.*\n?)+")
_FILLED = re.compile(r"\{(\w+)(!r)?:([^{}]*)\}")


class Problem(NamedTuple):
    """One id; the texts are Markdown."""

    id: str
    title: str
    wrong: str
    """What is the case, and how that comes about."""
    why: str
    """What would happen if nobody said so."""
    remedy: str
    area: str
    """The title of the file that it stands in."""

    @property
    def is_check(self) -> bool:
        """Tell whether a system check of Django's reports it."""
        return self.id[0] in "EW"

    @property
    def hint(self) -> str:
        """The quote that the remedy opens with: one line, in which names in braces are to be filled in."""
        return _FILLED.sub(r"{\1\2}", _quote_of(self.remedy))

    def page(self, less_than: str = "<") -> str:
        """Return all of it as a page of its own; ``less_than`` opens ``<the words>`` for what a message fills in."""
        remedy = self.remedy
        if quote := _QUOTE.match(remedy):

            def described(name: re.Match[str]) -> str:
                words, mark = name[3], '"' if name[2] else ""
                return words if not words or words.rstrip().endswith(".") else f"{mark}{less_than}{words}>{mark}"

            words = _FILLED.sub(described, _quote_of(remedy)).replace("{{", "{").replace("}}", "}")
            remedy = f"> {words}\n{remedy[quote.end() :]}".rstrip()
        return f"# {self.id} {self.title}\n\n{self.wrong}\n\n## Why\n\n{self.why}\n\n## Remedy\n\n{remedy}\n"


def _quote_of(remedy: str) -> str:
    quote = _QUOTE.match(remedy)
    return " ".join(line.removeprefix(">").strip() for line in quote[0].splitlines()) if quote else ""


@cache
def catalogue() -> Mapping[str, Problem]:
    """Return every problem by its id, area by area; raise :class:`ValueError` where a page lacks a part."""
    found: dict[str, Problem] = {}
    for path in sorted(PAGES.glob("*.md")):
        head, *parts = _HEADING.split(path.read_text(encoding="utf-8"))
        area = head.removeprefix("# ").partition("\n")[0].strip()
        for number, title, text in zip(*[iter(parts)] * 3, strict=True):
            wrong, *sections = (part.strip() for part in _SECTION.split(text))
            if sections[::2] != ["Why", "Remedy"] or not all((wrong, *sections)) or number in found:
                raise ValueError(f"{path.name}: {number} has to stand there once, with all its parts.")
            found[number] = Problem(number, title, wrong, sections[1], sections[3], area)
    return found


def find(problem: str) -> Problem | None:
    """Return the problem of an id, with or without ``hybrid_gateway.`` and in any case."""
    return catalogue().get(problem.strip().upper().removeprefix(f"{TAG.upper()}."))
