"""Where things are: in the repository, on the site, and on the code host."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
URLS: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]

# Documents of the repository that are pages of the site, too.
PROJECT_PAGES = {
    "ARCHITECTURE.md": "project/architecture.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changelog.md",
    "SECURITY.md": "project/reporting.md",
}
_MOVED = {**PROJECT_PAGES, "README.md": "index.md"}
_LINK = re.compile(r"(\]\()(?![a-z]+:|[#/<])([^)\s#]+)(#[^)\s]*)?(?=\))")
_LINK_TO_SITE = re.compile(rf"(\]\(){re.escape(URLS['Documentation'])}([^)\s#]*)(#[^)\s]*)?(?=\))")


def version_in_use() -> str:
    """Return the tag or the commit that is built, or else the tag of the version, for links to the source."""
    for asked in (["describe", "--tags", "--exact-match"], ["rev-parse", "HEAD"]):
        found = subprocess.run(["git", *asked], cwd=ROOT, capture_output=True, text=True, check=False)
        if found.returncode == 0:
            return found.stdout.strip()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return f"v{project['version']}"


def on_code_host(path: Path, version: str) -> str:
    """Return the address of a file or folder of the repository."""
    kind = "tree" if path.is_dir() else "blob"
    return f"{URLS['Source']}/{kind}/{version}/{path.relative_to(ROOT).as_posix()}"


def with_links_of_the_site(text: str, document: Path, page: str, version: str) -> str:
    """Return a document with links to pages of the site where there are some, and else to the code host."""

    def link(found: re.Match[str]) -> str:
        target = (document.parent / found[2]).resolve()
        if not target.exists() or not target.is_relative_to(ROOT):
            return found[0]
        name = target.relative_to(ROOT).as_posix()
        if target.is_relative_to(DOCS) and target.is_file():
            name = target.relative_to(DOCS).as_posix()
        elif name in _MOVED:
            name = _MOVED[name]
        else:
            return f"{found[1]}{on_code_host(target, version)}{found[3] or ''}"
        return f"{found[1]}{os.path.relpath(name, Path(page).parent)}{found[3] or ''}"

    def link_to_site(found: re.Match[str]) -> str:
        """Pages that are made of code are not there on a code host, so documents have their whole address."""
        return f"{found[1]}{os.path.relpath(page_at(found[2]), Path(page).parent)}{found[3] or ''}"

    return _LINK_TO_SITE.sub(link_to_site, _LINK.sub(link, text))


def page_at(path: str) -> str:
    """Return the name of the page at a path of the site."""
    name = path.strip("/") or "index"
    return f"{name}/index.md" if (DOCS / name).is_dir() else f"{name}.md"
