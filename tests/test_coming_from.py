"""docs/coming-from.md: a row for each sample of others, a verdict for each, and code behind it that the tests run."""

import re
from pathlib import Path

from tests.docs.markdown_blocks import DOCS

PAGE = (DOCS / "coming-from.md").read_text(encoding="utf-8")
SUMMARY = re.compile(r"^\| (?:\[(?P<title>.+?)\]\(#\S+\)|all) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", re.MULTILINE)
ROW = re.compile(r"^\| ([A-Z])(\d+) \| (.+?) (?<!\\)\| (.+?) (?<!\\)\| (.+?) \|$", re.MULTILINE)
LINK = re.compile(r"\[[^\]]+\]\(([\w-]+\.md)(?:#([\w-]+))?\)")
VERDICTS = ("as easy", "otherwise", "clumsier")
LEAST = 177  # rows that the documents have


def sections() -> dict[str, str]:
    """Each document's part of the page, by its title."""
    parts = re.split(r"^## (.+)$", PAGE, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def rows(text: str = PAGE) -> list[tuple[str, ...]]:
    return [match.groups() for match in ROW.finditer(text)]


def count(text: str) -> list[str]:
    found = [row[4].partition(":")[0] for row in rows(text)]
    return [str(number) for number in (len(found), *map(found.count, VERDICTS))]


def test_the_summary_counts_what_the_tables_have():
    stated = {match["title"] or "all": list(match.groups()[1:]) for match in SUMMARY.finditer(PAGE)}
    assert stated == {**{title: count(text) for title, text in sections().items()}, "all": count(PAGE)}
    assert len(sections()) == 5
    assert len(rows()) >= LEAST


def test_rows_are_numbered_one_after_the_other():
    for text in sections().values():
        assert [number for _, number, *_ in rows(text)] == [str(n + 1) for n in range(len(rows(text)))]
        assert len({letter for letter, *_ in rows(text)}) == 1
    lines = [line for line in PAGE.splitlines() if re.match(r"\| [A-Z]\d", line)]
    assert len(lines) == len(rows()), "a row that no other test reads"


def test_every_row_has_a_verdict_and_all_but_the_easy_ones_a_reason():
    for letter, number, _, _, verdict in rows():
        said, _, reason = verdict.partition(": ")
        assert said in VERDICTS, (letter, number, verdict)
        assert (said == "as easy") is not bool(reason), (letter, number, verdict)


def test_at_most_five_rows_are_clumsier():
    assert sum(row[4].startswith("clumsier") for row in rows()) <= 5


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def section_of(page: Path, anchor: str | None) -> str | None:
    """The text below a heading, down to the next of its level or above."""
    text = page.read_text(encoding="utf-8")
    if anchor is None:
        return text
    outside = re.sub(r"^```.*?^```", lambda code: re.sub(r"[^\n]", " ", code[0]), text, flags=re.MULTILINE | re.DOTALL)
    headings = list(re.finditer(r"^(#+) (.*)$", outside, re.MULTILINE))
    for number, heading in enumerate(headings):
        if slug(heading[2]) == anchor:
            after = (other.start() for other in headings[number + 1 :] if len(other[1]) <= len(heading[1]))
            return text[heading.start() : next(after, len(text))]
    return None


def test_what_a_row_leads_to_is_code_that_the_tests_run():
    """But for what is about commands, servers and figures."""
    faults = []
    for letter, number, _, here, _ in rows():
        links = LINK.findall(here) or [("nothing", "")]
        for name, anchor in links:
            text = section_of(DOCS / name, anchor or None) if (DOCS / name).is_file() else None
            if text is None or (
                "```python\n" not in text
                and name not in ("checks.md", "coming-from.md", "deploying.md", "packages.md", "performance.md")
            ):
                faults.append(f"{letter}{number} leads to {name}#{anchor}, where no code is run")
    assert faults == []
