"""The extension of Sphinx: it writes the pages that are made of code, before the others are read, and leads links."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from website.built_site import finish
from website.repository import DOCS, PROJECT_PAGES, ROOT, version_in_use, with_links_of_the_site

# Indexes whose chapters follow them, and which are to be read on a code host, too: no toctree stands in them.
INDEXES = {"coming-from": "coming-from-*", "decisions/README": "0*", "problems/index": ""}

_DOCUMENTS = {page.removesuffix(".md"): ROOT / name for name, page in PROJECT_PAGES.items()}


def write_page(path: Path, text: str) -> None:
    """Write a page of the site where it differs, so that what did not change is not read again."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def write_pages(app: Sphinx) -> None:
    """Write every page that is made of code, and remove those that no code makes any more."""
    from website.generated_pages import pages

    made = dict(pages())
    for name, text in made.items():
        write_page(DOCS / name, text)
    for folder in sorted({Path(name).parent for name in made}):
        for path in (DOCS / folder).glob("*.md"):
            if path.relative_to(DOCS).as_posix() not in made:
                path.unlink()


def chapters_of(docname: str, text: str) -> str:
    """Return the table of contents that an index of a folder, or of ``INDEXES``, has no line for."""
    chapters = INDEXES.get(docname, "*" if docname.endswith("/index") else "")
    if not chapters or "{toctree}" in text:
        return ""
    return f"\n\n```{{toctree}}\n:hidden:\n:titlesonly:\n:glob:\n\n{chapters}\n```\n"


def mend_page(version: str, app: Sphinx, docname: str, source: list[str]) -> None:
    """Let links to documents outside of ``docs`` lead to their pages, and indexes to their chapters."""
    document = _DOCUMENTS.get(docname, DOCS / f"{docname}.md")
    source[0] = with_links_of_the_site(source[0], document, f"{docname}.md", version)
    source[0] += chapters_of(docname, source[0])


def setup(app: Sphinx) -> dict[str, Any]:
    """Be an extension."""
    from website.api_reference import resolve_reference, tell_exceptions

    app.connect("builder-inited", write_pages)
    app.connect("source-read", partial(mend_page, version_in_use()))
    app.connect("autodoc-process-docstring", tell_exceptions)
    app.connect("missing-reference", resolve_reference)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
