"""Links of documents lead somewhere: inside the repository, and to the pages of the site that are made of code."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("sphinx")

from website.built_site import address_of, foreign_assets
from website.generated_pages import pages
from website.links import Link, anchors_of, inner_links, is_broken, outer_addresses
from website.repository import DOCS, ROOT, URLS, page_at, with_links_of_the_site

from hybrid_gateway.problems import DOCS_URL

# svcs imports a test client that it does not need
pytestmark = pytest.mark.filterwarnings("ignore:Using `httpx`")


def test_links_inside_the_repository_lead_somewhere():
    links = inner_links()
    assert len(links) > 400
    made = {DOCS / name for name, _ in pages()}  # as the site is built
    broken = [link for link in links if is_broken(link)]
    assert [str(link) for link in broken if link.document.parent / link.target.partition("#")[0] not in made] == []


def test_a_broken_link_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A `b`, c!\n\n## A\n\n## A\n")
    assert anchors_of(page) == {"a-b-c", "a", "a-1"}
    broken = [is_broken(Link(page, target)) for target in ("#a", "page.md#a-1", "#b", "page.md#b", "other.md")]
    assert broken == [False, False, True, True, True]


def test_links_to_the_site_lead_to_pages():
    assert URLS["Documentation"] == DOCS_URL
    made = {name for name, _ in pages()}
    ours = [address.removeprefix(DOCS_URL) for address in [*outer_addresses(), *URLS.values()] if DOCS_URL in address]
    assert ours
    assert [path for path in ours if page_at(path) not in made and not (DOCS / page_at(path)).exists()] == []


@pytest.mark.parametrize(
    ("link", "where"),
    [
        ("models.md#writing", "../models.md#writing"),
        ("../README.md", "../index.md"),
        ("../CONTRIBUTING.md#commands", "../project/contributing.md#commands"),
        ("../scripts", f"{URLS['Source']}/tree/v1/scripts"),
        ("../scripts/docs", f"{URLS['Source']}/blob/v1/scripts/docs"),
        (f"{DOCS_URL}problems/E001/", "../problems/E001.md"),
        (DOCS_URL, "../index.md"),
        ("https://example.com/", "https://example.com/"),
        ("nowhere.md", "nowhere.md"),
    ],
)
def test_links_are_led_to_the_site_or_to_the_code_host(link, where):
    text = with_links_of_the_site(f"[x]({link})", DOCS / "routing.md", "how-to/page.md", "v1")
    assert text == f"[x]({where})"


def test_texts_have_whole_addresses():
    assert address_of("how-to/page.md", "../models") == f"{DOCS_URL}models/"
    assert address_of("page.md", "how-to/index") == f"{DOCS_URL}how-to/"


def test_what_asks_other_hosts_is_found(tmp_path):
    (tmp_path / "page.html").write_text(
        '<a href="https://a.example/">x</a><link rel="canonical" href="https://b.example/"><script src="x.js"></script>'
        '<script src="https://c.example/x.js"></script><link rel="stylesheet" href="//d.example/x.css">'
        '<img src="x.png" srcset="https://e.example/x.png 2x"><p style="background: url(https://f.example/x.png)">'
    )
    (tmp_path / "style.css").write_text("@import 'https://g.example/x.css'; a { background: url(x.png) }")
    found = [re.sub(r".*//(.)\..*", r"\1", address) for _, address in foreign_assets(tmp_path)]
    assert found == ["c", "d", "e", "f", "g"]


def test_every_document_of_the_root_is_a_page_or_the_landing():
    from website.repository import PROJECT_PAGES

    assert {path.name for path in ROOT.glob("*.md")} == {*PROJECT_PAGES, "README.md"}


def test_every_chapter_stands_in_the_table_of_contents():
    entries = re.findall(r"^(?:.* <)?([\w./-]+)>?$", (DOCS / "index.md").read_text(encoding="utf-8"), re.MULTILINE)
    chapters = {path.stem for path in DOCS.glob("*.md")} | {
        f"{path.parent.name}/index" for path in DOCS.glob("*/index.md")
    }
    left_out = {name for name in chapters - {*entries} if name != "index" and not name.startswith("coming-from-")}
    assert left_out == set(), "give each a line in a toctree of docs/index.md"
