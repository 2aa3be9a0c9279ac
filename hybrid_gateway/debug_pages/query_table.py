"""The queries of a request as a part of a page: each with its time, and those told apart that came again and again."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from hybrid_gateway.debug_pages.page_parts import columns
from hybrid_gateway.telemetry.query_log import Query, QueryLog

MANY = 3  # times that one statement comes until it looks like one per row


def query_table(log: QueryLog | None) -> SafeString:
    """Return the table; nothing where nobody has asked a database."""
    if log is None or not log.count:
        return mark_safe("")
    noun = "query" if log.count == 1 else "queries"
    notes = format_html_join("", "<p class=note>{}</p>", ((note,) for note in _notes(log.made)))
    lines = [
        (
            number,
            f"{query.seconds * 1000:.1f} ms",
            query.alias,
            query.thread,
            query.sql,
            f"{query.parameters!r:.500}" if query.parameters else "",
        )
        for number, query in enumerate(log.made, 1)
    ]
    table = columns(["", "took", "database", "thread", "statement", "values"], lines)
    title = format_html("<h2>{} {} in {} ms</h2>", log.count, noun, f"{log.seconds * 1000:.1f}")
    return title + notes + table


def _notes(made: list[Query]) -> Iterator[str]:
    """Yield what looks wrong: the same again, and one statement for each row."""
    same = Counter((query.alias, query.sql, repr(query.parameters)) for query in made)
    for (_, sql, _), times in same.items():
        if times > 1:
            yield f"The same {times} times, with the same values: {_short(sql)}"
    alike = Counter((query.alias, query.sql) for query in made)
    kinds = Counter((alias, sql) for alias, sql, _ in same)
    for key, times in alike.items():
        if times >= MANY and kinds[key] >= MANY:
            yield (
                f"One statement {times} times, each with other values (N+1): {_short(key[1])} — read the rows "
                "together, by select_related(), prefetch_related() or a ModelStruct that nests them."
            )


def _short(sql: str) -> str:
    """Return a statement without the columns that it selects."""
    return f"{_COLUMNS.sub('…', sql, count=1):.200}"


_COLUMNS = re.compile(r"(?<=^SELECT ).*?(?= FROM )", re.DOTALL)
