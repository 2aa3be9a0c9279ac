"""What is made of the whole site once its pages are written: its text for language models, the page of 404.

The form of ``llms.txt`` is that of https://llmstxt.org: a list of the pages, each of which is there as Markdown, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from sphinx.addnodes import toctree
from sphinx.application import Sphinx
from sphinx.util.logging import getLogger

from website.repository import DOCS, URLS, with_links_of_the_site

_LOG = getLogger(__name__)
_LINK = re.compile(r"(\]\()(?![a-z]+:|[#/<])([^)\s#]+?)\.md(#[^)\s]*)?(?=\))")
_DIRECTIVE = re.compile(r"^(`{3,}|:{3,})\{(toctree|container)\}.*?^\1$\n?", re.MULTILINE | re.DOTALL)
_FENCED = re.compile(r"^(`{3,}).*?^\1$", re.MULTILINE | re.DOTALL)
_SENTENCE = re.compile(r".+?[.:](?= |$)")
_ASKED_BY_CSS = re.compile(r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\"')\s]+)")
_ASSETS = {
    "script": "src",
    "img": "src",
    "source": "src",
    "iframe": "src",
    "video": "src",
    "audio": "src",
    "embed": "src",
}
_LINKED_ASSETS = {
    "stylesheet",
    "icon",
    "preload",
    "prefetch",
    "preconnect",
    "dns-prefetch",
    "modulepreload",
    "manifest",
}


def finish(app: Sphinx, exception: Exception | None) -> None:
    """Write what belongs to the whole site, and warn of what asks other hosts."""
    if exception is None and app.builder.name == "dirhtml":
        write_texts(app)
        unknown = Path(app.outdir) / "404" / "index.html"
        (Path(app.outdir) / "404.html").write_bytes(unknown.read_bytes())  # where servers of files look for it
        for path, address in foreign_assets(Path(app.outdir)):
            _LOG.warning("%s asks another host: %s", path, address)


# --- texts ---------------------------------------------------------------------------------------------------------


def write_texts(app: Sphinx) -> None:
    """Write ``llms.txt``, ``llms-full.txt`` and the Markdown of every page."""
    head = f"# {app.config.project}\n\n> A fast typed API in front of Django: one application answers both.\n"
    contents, whole = [head], [head]
    for caption, names in sections(app):
        contents.append(f"\n## {caption}\n\n")
        for name in names:
            text = text_of(app, name)
            path = "index.md" if name == "index" else f"{name.removesuffix('/index')}/index.md"
            (Path(app.outdir) / path).write_text(text, encoding="utf-8")
            contents.append(f"- [{app.env.titles[name].astext()}]({URLS['Documentation']}{path}){about(text)}\n")
            whole.append(f"\n\n{text.strip()}\n")
    for name, parts in (("llms.txt", contents), ("llms-full.txt", whole)):
        (Path(app.outdir) / name).write_text("".join(parts), encoding="utf-8")


def sections(app: Sphinx) -> Iterator[tuple[str, list[str]]]:
    """Yield the captions of the table of contents, with the pages below them in their order."""
    yield "Start", ["index"]
    for node in app.env.get_doctree("index").findall(toctree):
        yield node["caption"], [name for first in node["includefiles"] for name in with_chapters(app, first)]


def with_chapters(app: Sphinx, name: str) -> Iterator[str]:
    """Yield a page and those below it."""
    yield name
    if name == "problems/index":  # whose pages stand in no table of contents
        yield from sorted(page for page in app.env.found_docs if page.startswith("problems/") and page != name)
    for chapter in app.env.toctree_includes.get(name, ()):
        yield from with_chapters(app, chapter)


def text_of(app: Sphinx, name: str) -> str:
    """Return a page as Markdown; what autodoc has made is plain text."""
    if name.startswith("reference/hybrid_gateway"):
        return str(app.env.get_doctree(name).astext()).replace("[source]", "")
    page = f"{name}.md"
    text = with_links_of_the_site((DOCS / page).read_text(encoding="utf-8"), DOCS / page, page, "main")
    text = _DIRECTIVE.sub("", re.sub(r"\A---\n.*?\n---\n|^% .*\n", "", text, flags=re.DOTALL | re.MULTILINE))
    return _LINK.sub(lambda found: f"{found[1]}{address_of(page, found[2])}{found[3] or ''}", text)


def address_of(page: str, target: str) -> str:
    """Return the address of a page, by the name that another one has for it."""
    address = urljoin(f"{URLS['Documentation']}{page}", target)
    return address.removesuffix("index") if address.endswith("/index") else f"{address}/"


def about(text: str) -> str:
    """Return the first sentence of a page that says something, after a colon."""
    for part in _FENCED.sub("", text).split("\n\n")[1:]:
        line = re.sub(r"\[([^\]]*)\]\([^)]*\)|\*\*", r"\1", " ".join(part.split()))
        if line[:1].isalpha() and (found := _SENTENCE.match(line)):
            return f": {found[0].rstrip('.:')}"
    return ""


# --- other hosts ---------------------------------------------------------------------------------------------------


class _Assets(HTMLParser):
    """Collects what a browser asks for by itself to show a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "link" and _LINKED_ASSETS & set(given.get("rel", "").split()):
            self.found.append(given.get("href", ""))
        elif tag in _ASSETS:
            self.found += [given.get(_ASSETS[tag], ""), *given.get("srcset", "").split()]
        self.found += _ASKED_BY_CSS.findall(given.get("style", ""))


def foreign_assets(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield what pages and style sheets of a built site ask of other hosts."""
    for path in sorted(folder.rglob("*.html")):
        reader = _Assets()
        text = path.read_text(encoding="utf-8")
        reader.feed(text)
        for address in reader.found:
            if urlsplit(address).netloc:
                yield path, address
    for path in sorted(folder.rglob("*.css")):
        for address in _ASKED_BY_CSS.findall(path.read_text(encoding="utf-8")):
            yield path, address
