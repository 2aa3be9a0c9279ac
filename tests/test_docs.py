"""The code of the documentation runs, page by page, as a reader would type it."""

import re
from pathlib import Path

import pytest

import tests.drivers.lane  # noqa: F401  (makes the protocol known)
from hybrid_gateway.test import TestClient, create_test_client

DOCS = Path(__file__).resolve().parent.parent / "docs"
WITHOUT = (
    "checks.md",
    "coming-from.md",
    "comparing.md",
    "deploying.md",
    "index.md",
    "performance.md",
)  # code that runs here
PAGES = [page for page in sorted(DOCS.glob("*.md")) if page.name not in WITHOUT]
NEEDS = {"coming-from-fastapi.md": ("sqlalchemy", "aiosqlite", "pydantic"), "testing.md": ("factory", "time_machine")}
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture(params=["asgi", "wsgi", "lane"])
def protocol(request):
    return request.param


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_runs(page, protocol, monkeypatch):
    for module in NEEDS.get(page.name, ()):
        pytest.importorskip(module)
    for made in (TestClient.__init__, create_test_client):
        monkeypatch.setitem(made.__kwdefaults__, "protocol", protocol)
    text = page.read_text(encoding="utf-8")
    namespace = {"__name__": f"docs.{page.stem}"}
    blocks = list(BLOCK.finditer(text))
    assert blocks
    for block in blocks:
        line = text.count("\n", 0, block.start(1))
        exec(compile("\n" * line + block[1], str(page), "exec"), namespace)
