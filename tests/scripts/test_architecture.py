"""ARCHITECTURE.md speaks of what is there: every file, folder and name in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
QUOTED = sorted(set(re.findall(r"`([^`\n]+)`", PAGE)))
PATHS = [name for name in QUOTED if re.fullmatch(r"[\w/]+(/|\.py)", name)]


@pytest.mark.parametrize("name", PATHS)
def test_a_file_or_folder_is_there(name):
    assert any((place / name).exists() for place in (ROOT / "hybrid_gateway", ROOT)), name


@pytest.mark.parametrize("name", [name for name in QUOTED if re.fullmatch(r"[A-Z]\w+", name)])
def test_a_class_or_a_table_is_there(name):
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "hybrid_gateway").rglob("*.py"))
    assert any(re.search(rf"^(class )?{name}\b", source, re.MULTILINE) for source in sources), name


def test_every_room_is_named_before_the_floors():
    named = set(re.findall(r"\b(\w+)/", PAGE.partition("## The floors")[0]))
    rooms = {path.parent.name for path in (ROOT / "hybrid_gateway").glob("*/*.py")}
    assert rooms - named == set()


def test_our_own_words_are_a_dozen_at_most():
    words = PAGE.partition("## Our own words")[2]
    assert 8 <= len(re.findall(r"^\| \w", words, re.MULTILINE)) <= 12


# Rooms of tests that are about more than one room of the package, or about what is beside it.
ACROSS = {
    "compat",
    "django_suite",
    "docs",
    "example",
    "library",
    "loadtests",
    "packages",
    "scripts",
    "security",
    "sites",
    "typed",
    "website",
}


def test_tests_stand_in_the_rooms_of_the_package():
    package = {path.stem for path in (ROOT / "hybrid_gateway").iterdir()}
    rooms = {path.parent.relative_to(ROOT / "tests").parts[0] for path in (ROOT / "tests").glob("*/**/test_*.py")}
    assert rooms - package - ACROSS == set()
    beside = {path.stem.removeprefix("test_") for path in (ROOT / "tests").glob("test_*.py")}
    assert beside - package - {"docs", "coming_from"} == set()
