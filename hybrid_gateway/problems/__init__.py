"""The ids of messages: where the page of each is on the site. ``catalogue`` reads the pages themselves."""

from __future__ import annotations

DOCS_URL = "https://hybrid-gateway.github.io/hybrid_gateway/"
"""Where the documentation is served."""

TAG = "hybrid_gateway"
"""What stands before an id wherever Django shows it, as in ``hybrid_gateway.E001``."""


def link(problem: str) -> str:
    """Return the address of the page of an id such as ``E001``."""
    return f"{DOCS_URL}problems/{problem}/"
