"""docs/settings.md is what the tables of settings say."""

from __future__ import annotations

import settings_page

from hybrid_gateway.conf import READERS

PAGE = settings_page.PAGE.read_text(encoding="utf-8")


def test_the_page_is_up_to_date(capsys):
    assert settings_page.main(["--check"]) == 0, capsys.readouterr().out


def test_a_page_that_differs_is_told_and_mended():
    stale = PAGE.replace("threads for `def` handlers", "threads")
    assert stale != PAGE
    assert settings_page.write(stale) == PAGE


def test_every_key_has_a_row_that_says_something():
    rows = {line.split("`")[1]: line for line in PAGE.splitlines() if line.startswith("| `")}
    assert rows.keys() == READERS.keys()
    assert all(len(row.split(" | ")[-1]) > 15 for row in rows.values())
