"""The parts of documents that are made of code are up to date, and complete."""

from __future__ import annotations

import re

import docs_tables
import pytest

from hybrid_gateway.conf import READERS
from hybrid_gateway.problems.catalogue import catalogue

PACKAGE = docs_tables.ROOT / "hybrid_gateway"


def rows(name: str) -> dict[str, str]:
    page = (docs_tables.ROOT / "docs" / name).read_text(encoding="utf-8")
    return {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}


def test_the_documents_are_up_to_date(capsys):
    assert docs_tables.main(["--check"]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("path", docs_tables.PAGES, ids=lambda path: path.name)
def test_a_document_that_differs_is_told_and_mended(path):
    page = path.read_text(encoding="utf-8")
    stale = docs_tables.PART.sub(r"\1\3", page)
    assert docs_tables.write(stale) == docs_tables.write(page) != stale


def test_every_setting_has_a_row_that_says_something():
    found = rows("settings.md")
    assert found.keys() == READERS.keys()
    assert all(len(row.split(" | ")[-1]) > 15 for row in found.values())


def test_every_check_has_a_row_and_is_reported_somewhere():
    checks = {number for number, problem in catalogue().items() if problem.is_check}
    assert rows("checks.md").keys() == {f"hybrid_gateway.{number}" for number in checks}
    sources = "".join(path.read_text() for path in (PACKAGE / "checks").glob("*.py") if path.name != "messages.py")
    assert set(re.findall(r'"([EW]\d{3})"', sources)) == checks
