"""The code of the documentation runs, page by page, as a reader would type it."""

import pytest

import tests.drivers.lane  # noqa: F401  (makes the protocol known)
from hybrid_gateway.test import TestClient, create_test_client
from tests.docs.markdown_blocks import DOCS, Page, pages

PAGES = [
    page
    for page in pages()  # of the others tests/docs types the files
    if not page.is_followed and any(block.language == "python" and block.not_run is None for block in page.blocks)
]
NEEDS = {"coming-from-fastapi.md": ("sqlalchemy", "aiosqlite", "pydantic"), "testing.md": ("factory", "time_machine")}
ONCE = ("sentry-opentelemetry.md",)


@pytest.fixture(params=["asgi", "wsgi", "lane"])
def protocol(request):
    return request.param


# Django 6.1 tells so where mail is sent, and its settings of mail are not what the pages are about.
@pytest.mark.filterwarnings("ignore:Django 2028 will not have a default mailer")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.path.relative_to(DOCS)))
def test_a_page_runs(page: Page, protocol, monkeypatch):
    if page.path.name in ONCE and protocol != "asgi":
        pytest.skip("What it sets up is of the whole process, once.")
    for module in NEEDS.get(page.path.name, ()):
        pytest.importorskip(module)
    for made in (TestClient.__init__, create_test_client):
        monkeypatch.setitem(made.__kwdefaults__, "protocol", protocol)
    namespace = {"__name__": f"docs.{page.path.stem}"}
    for block in page.blocks:
        if block.language == "python" and block.not_run is None:
            exec(compile("\n" * block.line + block.text, str(page.path), "exec"), namespace)
