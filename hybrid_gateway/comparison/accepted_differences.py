"""A file of differences that somebody has looked at, and what is passed over for one run.

A line is a kind, a place and, if it is for some routes alone, a pattern of them; each may have ``*``::

    error   422                       # problem details in place of {"detail": [...]}
    header  content-type
    value   $.items[].url  "GET /api/posts*"
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from hybrid_gateway.comparison.answer_differences import KINDS, Difference


class Pattern(msgspec.Struct, frozen=True):
    """A line of the file."""

    kind: str = "*"
    place: str = "*"
    route: str = "*"

    def matches(self, difference: Difference, route: str) -> bool:
        """Return whether it is a difference of this kind, at this place and route."""
        return _fits(difference.kind, self.kind) and _fits(difference.place, self.place) and _fits(route, self.route)


def _fits(text: str, pattern: str) -> bool:
    return fnmatchcase(text, pattern.replace("[", "[[]"))  # brackets stand for lists in places, not for sets of letters


def read_accepted(file: Path) -> list[Pattern]:
    """Read a file; raises ``ValueError`` with the number of a line that says nothing."""
    found = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        # what follows a # is why; inside JSON paths there are quotes, which stay
        lexer = shlex.shlex(line, posix=True)
        lexer.whitespace_split, lexer.commenters, lexer.quotes = True, "#", '"'
        words = list(lexer)
        if len(words) > 3 or (words and words[0] not in KINDS and words[0] != "*"):
            raise ValueError(
                f"{file}:{number}: expected KIND [PLACE [ROUTE]], with a kind of {', '.join(KINDS)}; got {line!r}."
            )
        if words:
            found.append(Pattern(*words))
    return found


def parse_ignored(words: Iterable[str]) -> list[Pattern]:
    """Return what ``--ignore`` says: a kind, a place (``$.id``), a header (``header:vary``) or a route (``/path*``)."""
    return [_ignored(word) for word in words]


def _ignored(word: str) -> Pattern:
    kind, _, place = word.partition(":")
    if kind in KINDS:
        return Pattern(kind, place or "*")
    if word.startswith("/") or " /" in word:
        return Pattern(route=word if " /" in word else f"* {word}")
    return Pattern(place=word)


def is_matched(patterns: Sequence[Pattern], difference: Difference, route: str) -> bool:
    """Return whether some pattern matches."""
    return any(pattern.matches(difference, route) for pattern in patterns)


def as_lines(found: Iterable[tuple[Difference, str]]) -> str:
    """Write differences as a file of accepted ones, each with an example for a reason to be put in its place."""
    lines = dict.fromkeys(
        f"{difference.kind:<10} {_as_word(difference.place):<32}  # {why}" for difference, why in found
    )
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _as_word(place: str) -> str:
    """Return a place as one word of a line, in quotes where it has a letter that would end the word."""
    if not any(letter in place for letter in ' "#\\'):
        return place
    escaped = place.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
