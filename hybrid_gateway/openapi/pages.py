"""Pages of the document: our own, and at ``/docs/<name>`` Swagger UI, ReDoc, Scalar, RapiDoc, Stoplight Elements.

Ours, ``docs.html``, has its style and script inline. The scripts of the others are theirs to ship: each page loads one
pinned release from a content delivery network, or from wherever ``OPENAPI["ASSETS"]`` says that copies of the npm
packages lie. The browser runs it only if its hash is the known one.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from html import escape
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

_TEMPLATE = Path(__file__).with_name("docs.html").read_text(encoding="utf-8")


def build_page(title: str, document_url: str, asyncapi_url: str = "") -> str:
    """Return our page, called ``title``, of the document at ``document_url``, and of that of websockets, if any."""
    values = {"title": title, "document_url": document_url, "asyncapi_url": asyncapi_url}
    return re.sub(r"\{\{ (\w+) \}\}", lambda match: escape(values[match[1]]), _TEMPLATE)


def _hash_source(content: str) -> str:
    """Return a script or style as a policy allows it."""
    return f"'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'"


_SOURCES = {
    tag: _hash_source(re.findall(f"<{tag}>(.*?)</{tag}>", _TEMPLATE, re.DOTALL)[0]) for tag in ("script", "style")
}


def _write_policy(sources: Mapping[str, str]) -> str:
    """Return a policy that allows ``sources`` and, but for requests to this host, nothing else."""
    closed = dict.fromkeys(("base-uri", "form-action", "frame-ancestors"), "'none'")
    policy = {"default-src": "'none'", **sources, "connect-src": "'self'", **closed}
    return "; ".join(f"{name} {value}" for name, value in policy.items())


# SECURITY: a description that became markup, or a script injected by anybody, would run nothing and load nothing.
CONTENT_SECURITY_POLICY = _write_policy(
    {"script-src": _SOURCES["script"], "style-src": _SOURCES["style"], "img-src": "data:"}
)


class Viewer(msgspec.Struct, frozen=True, kw_only=True):
    """One page. ``script``, ``style``: file and hash of an npm package; ``body`` and ``start`` show the document."""

    script: tuple[str, str]
    style: tuple[str, str] | None = None
    body: str
    start: str = ""

    def page(self, title: str, document_url: str, assets: str) -> str:
        """Return the page, called ``title``, of the document at ``document_url``."""
        head = [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        ]
        if self.style is not None:
            path, integrity = self.style
            url = escape(f"{assets}/{path}")
            head.append(f'<link rel="stylesheet" href="{url}" integrity="{integrity}" crossorigin="anonymous">')
        path, integrity = self.script
        body = self.body.replace("{{ document_url }}", escape(document_url))
        url = escape(f"{assets}/{path}")
        script = f'<script src="{url}" integrity="{integrity}" crossorigin="anonymous"></script>'
        start = f"<script>{self.start}</script>" if self.start else ""
        return "".join([*head, "</head><body>", body, script, start, "</body></html>"])

    def content_security_policy(self, assets: str) -> str:
        """Return the policy. SECURITY: no script but the pinned one and ours, no connection but to this host."""
        parts = urlsplit(assets)
        host = f"{parts.scheme}://{parts.netloc}" if parts.netloc else "'self'"
        start = f" {_hash_source(self.start)}" if self.start else ""
        sources = {
            "script-src": f"{host}{start}",
            "style-src": f"{host} 'unsafe-inline'",
            "img-src": f"'self' data: blob: {host}",
            "font-src": f"data: {host}",
            "worker-src": "blob:",
        }
        return _write_policy(sources)


_STYLE = "body{margin:0}#ui{min-height:100vh}"
_READ_URL = "const url=document.getElementById('ui').dataset.url;"

VIEWERS = {
    "swagger": Viewer(
        script=(
            "swagger-ui-dist@5.35.0/swagger-ui-bundle.js",
            "sha384-gjRm0bEPMeTmMh5jT2cHccIwCUZSTd8YC+j0d0sXw0MdGEfScduGpSyF3ZSSLkX9",
        ),
        style=(
            "swagger-ui-dist@5.35.0/swagger-ui.css",
            "sha384-WlYgdmXYOOBWL5apwjDEZwN+U3HmXSSu5R6V5aGxEcf7z+KuRNwBhoxKVN1i3D5I",
        ),
        body='<div id="ui" data-url="{{ document_url }}"></div>',
        start=f"{_READ_URL}SwaggerUIBundle({{url,dom_id:'#ui',deepLinking:true}});",
    ),
    "redoc": Viewer(
        script=(
            "redoc@2.5.1/bundles/redoc.standalone.js",
            "sha384-up2uPEo+8XzxuLXKGY4DOk79DbbRclvlcx22QZ60aPWQf8LW69XJ8BWzLFewC05H",
        ),
        body='<div id="ui" data-url="{{ document_url }}"></div>',
        start=f"{_READ_URL}Redoc.init(url,{{hideLoading:true}},document.getElementById('ui'));",
    ),
    "scalar": Viewer(
        script=(
            "@scalar/api-reference@1.72.1/dist/browser/standalone.js",
            "sha384-U11tb2XnKvmwt8RlTvnwUnYgrN+ur4Xyh9htLhjajWNR/Oyl5AX5DEz00qRmlrmK",
        ),
        body='<div id="ui" data-url="{{ document_url }}"></div>',
        start=f"{_READ_URL}Scalar.createApiReference('#ui',{{url,withDefaultFonts:false,telemetry:false}});",
    ),
    "rapidoc": Viewer(
        script=(
            "rapidoc@9.3.8/dist/rapidoc-min.js",
            "sha384-szzoYhqSJqZH8X90KwbBjYL1CMLEa3U7xl/oAZg4ViKpYEY5GVhM+peBQB4u7ANM",
        ),
        body='<rapi-doc spec-url="{{ document_url }}" load-fonts="false" render-style="read"></rapi-doc>',
    ),
    "stoplight": Viewer(
        script=(
            "@stoplight/elements@9.0.25/web-components.min.js",
            "sha384-X5kH2B8aH81JEl8IfSBwwnr8FYcCqMzdxpqjmmlRbhIl7SsQ9Zn0xk+csQmU37zN",
        ),
        style=(
            "@stoplight/elements@9.0.25/styles.min.css",
            "sha384-NzdOiocfnINlXfuCXi4OpL/xvdbgLiKaLHQ07Z+IwhVaxHqLShn5rVD5OHt/LYgz",
        ),
        body='<elements-api apiDescriptionUrl="{{ document_url }}" router="hash"></elements-api>',
    ),
}
"""By the name they have in the path."""
