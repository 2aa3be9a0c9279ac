"""The page of the document, ``docs.html``: style and script are inline, and its policy lets no others run."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from html import escape
from pathlib import Path

__all__ = ["CONTENT_SECURITY_POLICY", "build_page"]

_TEMPLATE = Path(__file__).with_name("docs.html").read_text(encoding="utf-8")


def build_page(title: str, document_url: str) -> str:
    """The page, called ``title``, of the document at ``document_url``."""
    values = {"title": title, "document_url": document_url}
    return re.sub(r"\{\{ (\w+) \}\}", lambda match: escape(values[match[1]]), _TEMPLATE)


def _source(tag: str) -> str:
    [content] = re.findall(f"<{tag}>(.*?)</{tag}>", _TEMPLATE, re.DOTALL)
    return f"'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'"


# SECURITY: a description that became markup, or a script injected by anybody, would run nothing and load nothing.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        f"script-src {_source('script')}",
        f"style-src {_source('style')}",
        "img-src data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
