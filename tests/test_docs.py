"""The code of the documentation runs, page by page, as a reader would type it."""

import os
import subprocess
import sys

import pytest

from hybrid_gateway.test import TestClient, create_test_client
from tests.docs.markdown_blocks import DOCS, ROOT, Page, pages
from tests.docs.run_page import run_page

PAGES = [
    page
    for page in pages()  # of the others tests/docs types the files
    if not page.is_followed and any(block.language == "python" and block.not_run is None for block in page.blocks)
]
NEEDS = {"coming-from-fastapi.md": ("sqlalchemy", "aiosqlite", "pydantic"), "testing.md": ("factory", "time_machine")}
ALONE = ("sentry-opentelemetry.md",)
"""They change their process for good: Sentry puts its own in the place of Django's handlers, cursors and signals."""


@pytest.fixture(params=["asgi", "wsgi", "lane"])
def protocol(request):
    return request.param


# Django 6.1 tells so where mail is sent, and its settings of mail are not what the pages are about.
@pytest.mark.filterwarnings("ignore:Django 2028 will not have a default mailer")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.path.relative_to(DOCS)))
def test_a_page_runs(page: Page, protocol, monkeypatch):
    for module in NEEDS.get(page.path.name, ()):
        pytest.importorskip(module)
    if page.path.name in ALONE:
        subprocess.run(
            [sys.executable, "-m", "tests.docs.run_page", page.path.relative_to(DOCS), protocol],
            cwd=ROOT, check=True, env=os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"},
        )  # fmt: skip
        return
    for made in (TestClient.__init__, create_test_client):
        monkeypatch.setitem(made.__kwdefaults__, "protocol", protocol)
    run_page(page, protocol)
