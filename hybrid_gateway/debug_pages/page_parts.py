"""The look of the pages that browsers get under ``DEBUG``, light and dark, and the tables they are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

STYLE = mark_safe("""
:root { color-scheme: light dark; --hg-text: #1c2230; --hg-soft: #5b6475; --hg-back: #fff; --hg-panel: #f4f6fa;
  --hg-line: #d5dae4; --hg-mark: #ffe1dc; --hg-mark-edge: #c5321b; --hg-note: #fff3cd; --hg-link: #0b5fa5; }
@media (prefers-color-scheme: dark) {
  :root { --hg-text: #e4e8f0; --hg-soft: #a0a9ba; --hg-back: #14171d; --hg-panel: #1d222b; --hg-line: #363d4b;
    --hg-mark: #4b211c; --hg-mark-edge: #ff8a75; --hg-note: #443a17; --hg-link: #7cc0ff; }
  body { background: var(--hg-back); color: var(--hg-text); }
  #summary, .error { background: #2c2917; color: var(--hg-text); }
  #summary h2, pre.exception_value, table.source th, tbody th { color: var(--hg-soft); }
  #traceback, #explanation, #requestinfo, #template, #template-not-exist, #unicode-hint { background: var(--hg-panel); }
  table, thead th { background: var(--hg-back); color: var(--hg-text); border-color: var(--hg-line); }
  ul.traceback, ul.traceback li.frame { color: var(--hg-text); }
  ul.traceback li.user { background: #262d39; color: var(--hg-text); }
  div.context ol li, .user div.context ol li { color: var(--hg-soft); }
  div.context ol.context-line li, .user div.context ol.context-line li { background: var(--hg-mark);
    color: var(--hg-text); }
  .user div.commands a, div.commands a, summary.commands, span.commands a:link { color: var(--hg-link); }
  textarea, input { background: var(--hg-back); color: var(--hg-text); }
}
#gateway { background: var(--hg-back); color: var(--hg-text); font: 15px/1.45 system-ui, sans-serif;
  padding: 16px 20px; }
#gateway h1 { font-size: 1.35rem; font-weight: 600; }
#gateway h2 { font-size: 1.05rem; font-weight: 600; margin: 1.2em 0 .4em; color: var(--hg-text); }
#gateway p { margin: .4em 0; padding: 0; max-width: 60em; }
#gateway a { color: var(--hg-link); }
#gateway code, #gateway pre, #gateway td.code { font: 13px/1.5 ui-monospace, Menlo, Consolas, monospace; }
#gateway table { width: 100%; border-collapse: collapse; border: 1px solid var(--hg-line);
  background: var(--hg-panel); }
#gateway th, #gateway td { text-align: left; vertical-align: top; padding: 4px 10px; width: auto; font-size: 14px;
  border: 1px solid var(--hg-line); color: var(--hg-text); background: none; overflow-wrap: anywhere; }
#gateway tbody th { width: 11em; color: var(--hg-soft); font-weight: 500; }
#gateway ol.source { list-style: none; margin: 0; padding: 8px 0; border: 1px solid var(--hg-line);
  background: var(--hg-panel); overflow-x: auto; }
#gateway ol.source li { white-space: pre; padding: 0 12px; font: 13px/1.5 ui-monospace, Menlo, Consolas, monospace; }
#gateway ol.source li.failing { background: var(--hg-mark); box-shadow: inset 4px 0 var(--hg-mark-edge); }
#gateway .note { background: var(--hg-note); padding: 6px 10px; margin: .5em 0; max-width: none; }
#gateway .soft { color: var(--hg-soft); font-weight: 400; }
#gateway pre.says { white-space: pre-wrap; background: var(--hg-panel); padding: 12px;
  border-left: 4px solid var(--hg-mark-edge); }
""")


def rows(pairs: Iterable[tuple[str, object]]) -> SafeString:
    """Return a table of names and what they are; those that are nothing are left out."""
    lines = format_html_join("", "<tr><th>{}</th><td class=code>{}</td></tr>", [pair for pair in pairs if pair[1]])
    return format_html("<table><tbody>{}</tbody></table>", lines)


def columns(heads: Sequence[str], lines: Iterable[Sequence[object]]) -> SafeString:
    """Return a table with a line of heads."""
    head = format_html_join("", "<th>{}</th>", ((entry,) for entry in heads))
    cells = (format_html_join("", "<td class=code>{}</td>", ((cell,) for cell in line)) for line in lines)
    body = format_html_join("", "<tr>{}</tr>", ((line,) for line in cells))
    return format_html("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>", head, body)


def document(title: str, body: SafeString) -> str:
    """Return a whole page."""
    return format_html(
        "<!DOCTYPE html><html lang=en><head><meta charset=utf-8><meta name=robots content=NONE,NOARCHIVE>"
        "<meta name=viewport content='width=device-width'><title>{}</title><style>body{{margin:0;"
        "background:var(--hg-back)}}{}</style></head><body><main id=gateway>{}</main></body></html>",
        title,
        STYLE,
        body,
    )
