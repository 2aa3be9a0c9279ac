"""The pages that are made of code, problems by their ids among them, and those of documents beside ``docs``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import groupby

from command_line import command_names, parser_of
from docs_tables import close_codes_table

from hybrid_gateway.problems.catalogue import catalogue
from website.api_reference import reference_pages
from website.repository import PROJECT_PAGES, ROOT

# PERF: Furo writes the whole table of contents into every page. Problems are found by their index and by search; a line
# for each in the table cost 75 of 175 s of CPU, on a busy machine.
ALONE = "---\norphan: true\n---\n\n"


def pages() -> Iterator[tuple[str, str]]:
    """Yield every page that is made of something else, by its name in ``docs``."""
    yield from reference_pages()
    yield from problem_pages()
    yield "reference/command-line.md", command_line_page()
    yield "reference/close-codes.md", close_codes_page()
    for name, page in PROJECT_PAGES.items():
        yield page, (ROOT / name).read_text(encoding="utf-8")


def problem_pages() -> Iterator[tuple[str, str]]:
    """Yield a page for each id, and their index."""
    lines = [
        "# Problems by id",
        "",
        "Each message of a system check, of the start and of `manage.py gateway doctor` ends with an id. "
        "`manage.py gateway explain ID` shows its page without a network.",
    ]
    for area, problems in groupby(catalogue().values(), key=lambda problem: problem.area):
        lines += ["", f"## {area}", "", "| id | what is wrong |", "|---|---|"]
        for problem in problems:
            lines.append(f"| [`{problem.id}`]({problem.id}.md) | {problem.title} |")
            yield f"problems/{problem.id}.md", ALONE + problem.page(less_than="\\<")
    yield "problems/index.md", "\n".join([*lines, ""])


def command_line_page() -> str:
    """Return the page of all commands, as their ``--help`` has it."""
    os.environ["COLUMNS"] = "92"  # what argparse breaks lines at
    lines = [
        "# Command line",
        "",
        "Each command tells the same with `--help`, and the options of every command of Django.",
        "",
    ]
    for command in command_names():
        parser = parser_of(command)
        title = command.removeprefix("manage.py ")
        text, parser.description = parser.description, None
        lines += [f"## {title}", "", str(text), "", "```text", parser.format_help().rstrip(), "```", ""]
    return "\n".join(lines)


def close_codes_page() -> str:
    """Return the page of the codes with which websockets are closed."""
    return "\n".join(
        [
            "# Close codes",
            "",
            "With these codes [websockets](../websockets.md) are closed; the last column says whether to come back.",
            "",
            *close_codes_table(),
            "",
        ]
    )
