"""The links of documents: that those inside the repository lead somewhere, and where the others lead.

python -m website.links     ask every host that documents link to; exit status 1 where a page is not there
"""

from __future__ import annotations

import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt

from website.repository import DOCS, ROOT, URLS

_GENERATED = ("problems", "project", "reference")
_EXAMPLES = re.compile(r"https?://(localhost|127\.0\.0\.1|[\w.-]*example\.(com|org|net))\b")
_ANCHORS = re.compile(r'(?:id|name)="([^"]+)"')


class Link(NamedTuple):
    """A link and the document that it stands in."""

    document: Path
    target: str

    def __str__(self) -> str:
        return f"{self.document.relative_to(ROOT)}: {self.target}"


def documents() -> list[Path]:
    """Return every document of the repository that people write."""
    chapters = (path for path in DOCS.rglob("*.md") if path.relative_to(DOCS).parts[0] not in _GENERATED)
    pages = (ROOT / "hybrid_gateway" / "problems" / "pages").glob("*.md")
    return sorted([*ROOT.glob("*.md"), *chapters, *pages])


def links_of(document: Path) -> Iterator[Link]:
    """Yield the links and images of a document."""
    for token in MarkdownIt().enable("table").parse(text_of(document)):
        for part in token.children or ():
            target = part.attrs.get("href") or part.attrs.get("src")
            if target:
                yield Link(document, str(target))


@cache
def text_of(document: Path) -> str:
    """Return what stands in a document, without the head that only Sphinx reads."""
    return re.sub(r"\A---\n.*?\n---\n", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)


@cache
def anchors_of(document: Path) -> frozenset[str]:
    """Return the anchors of a document, as code hosts make them of its headings."""
    tokens = MarkdownIt().parse(text_of(document))
    counted: dict[str, int] = {}
    for token, inline in pairwise(tokens):
        if token.type == "heading_open":
            text = "".join(part.content for part in inline.children or ())
            slug = re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")
            counted[slug] = counted.get(slug, -1) + 1
            if counted[slug]:
                counted[f"{slug}-{counted[slug]}"] = 0
    return frozenset(counted) | frozenset(_ANCHORS.findall(text_of(document)))


def is_broken(link: Link) -> bool:
    """Whether a link inside the repository leads nowhere."""
    path, _, anchor = link.target.partition("#")
    target = (link.document.parent / path).resolve() if path else link.document
    if not target.exists():
        return True
    return bool(anchor) and target.suffix == ".md" and anchor not in anchors_of(target)


def inner_links() -> list[Link]:
    """Return the links that stay inside the repository."""
    return [link for document in documents() for link in links_of(document) if not re.match(r"[a-z]+:", link.target)]


def outer_addresses() -> list[str]:
    """Return the addresses of other hosts, and of our site, each once."""
    links = {link.target.partition("#")[0] for document in documents() for link in links_of(document)}
    return sorted(link for link in links if link.startswith("http") and not _EXAMPLES.match(link))


def answer_of(address: str) -> str:
    """Return what is wrong with an address: nothing, the status of its answer, or why there is none."""
    asked = urllib.request.Request(address, headers={"User-Agent": f"link check of {URLS['Source']}"})
    try:
        with urllib.request.urlopen(asked, timeout=20):
            return ""
    except urllib.error.HTTPError as error:
        return "" if error.code in (403, 429) else str(error.code)  # these are there, and let no program in
    except (OSError, ValueError) as error:
        return str(error)


def main() -> int:
    """Ask for every address, and print those that give no page."""
    addresses = outer_addresses()
    with ThreadPoolExecutor(8) as pool:
        bad = [
            (address, wrong) for address, wrong in zip(addresses, pool.map(answer_of, addresses), strict=True) if wrong
        ]
    for address, wrong in bad:
        print(f"{address}: {wrong}")
    print(f"{len(addresses)} addresses, {len(bad)} without a page")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
