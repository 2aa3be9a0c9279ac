"""Run the Python of one page as a reader would type it; as a program, in a process that it may change for good."""

from __future__ import annotations

import sys

from hybrid_gateway.test import TestClient, create_test_client
from tests.docs.markdown_blocks import DOCS, Page, pages


def run_page(page: Page, protocol: str) -> None:
    """Run each block of ``page``, one after the other, with test clients that speak ``protocol``."""
    import tests.drivers.lane  # noqa: F401  (makes the protocol known)

    for made in (TestClient.__init__, create_test_client):
        made.__kwdefaults__["protocol"] = protocol
    namespace = {"__name__": f"docs.{page.path.stem}"}
    for block in page.blocks:
        if block.language == "python" and block.not_run is None:
            exec(compile("\n" * block.line + block.text, str(page.path), "exec", dont_inherit=True), namespace)


if __name__ == "__main__":
    import django

    django.setup()
    wanted, spoken = sys.argv[1:]
    [one] = [page for page in pages() if page.path == DOCS / wanted]
    run_page(one, spoken)
