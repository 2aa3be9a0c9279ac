"""One table, three ways to show it: rich where it is installed, plain text where not, markdown for a file."""

from __future__ import annotations

from collections.abc import Sequence

Rows = Sequence[Sequence[str]]


def print_table(header: Sequence[str], rows: Rows) -> None:
    """Print to the terminal; the first column is text, the others are figures."""
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        print(plain(header, rows))
        return
    table = Table()
    for index, name in enumerate(header):
        table.add_column(name, justify="right" if index else "left")
    for row in rows:
        table.add_row(*row)
    console = Console()
    # Piped output has no width of its own: a table must not be folded to 80 columns there.
    console.print(table) if console.is_terminal else Console(width=160).print(table)


def plain(header: Sequence[str], rows: Rows) -> str:
    """Columns aligned by spaces."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    return "\n".join(_line(row, widths) for row in [header, ["-" * width for width in widths], *rows])


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *figures = row
    return "  ".join(
        [first.ljust(widths[0]), *(text.rjust(width) for text, width in zip(figures, widths[1:], strict=True))]
    )


def markdown(header: Sequence[str], rows: Rows) -> str:
    """A GitHub table."""
    rule = ["---", *("---:" for _ in header[1:])]
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, rule, *rows])
