"""Content types of files by their names, the same on every machine, and the codings of files beside them."""

from __future__ import annotations

import mimetypes
from functools import lru_cache

from hybrid_gateway.headers import parse_weights

CODINGS = {"br": ".br", "zstd": ".zst", "gzip": ".gz"}
"""Content codings, best first, and what names of files that have them end with."""

UNKNOWN = "application/octet-stream"

# The system's own table, and the registry of Windows, have scripts as text, and lack the younger ones.
_WEB = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".json": "application/json",
    ".map": "application/json",
    ".txt": "text/plain",
    ".md": "text/markdown",
    ".xml": "application/xml",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
    ".wasm": "application/wasm",
    ".ico": "image/x-icon",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".ttf": "font/ttf",
    ".otf": "font/otf",
    ".pdf": "application/pdf",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
}
_standard = mimetypes.MimeTypes()  # without the system's own table
_PACKED = {"gzip": "application/gzip", "zstd": "application/zstd", "bzip2": "application/x-bzip2"}


@lru_cache(maxsize=1024)
def guess_content_type(name: str) -> str:
    """Return the content type of a file by its name; that of the archive for one that is packed (``data.csv.gz``)."""
    _, dot, ending = name.rpartition(".")
    known = _WEB.get(f".{ending.lower()}") if dot else None
    if known is not None:
        return known
    if ending.lower() in ("gz", "tgz", "zst", "br"):
        return {"br": UNKNOWN, "zst": _PACKED["zstd"]}.get(ending.lower(), _PACKED["gzip"])
    kind, packed = mimetypes.guess_type(name, strict=False)
    return _PACKED.get(packed, UNKNOWN) if packed else kind or UNKNOWN


def is_asset_name(name: str) -> bool:
    """Return whether the end of a path is that of a file by its ending, as no page of an application has one."""
    _, dot, ending = name.rpartition("/")[2].rpartition(".")
    return bool(dot) and (f".{ending.lower()}" in _WEB or _standard.guess_type(f"x.{ending}") != (None, None))


def choose_coding(accept: str, offered: list[str]) -> str | None:
    """Return which of the codings that there are the client would rather have than the file as it is.

    ``accept`` is its ``Accept-Encoding``. SPEC: RFC 9110 section 12.5.3; of equals the first one offered is taken.
    """
    weights = dict(parse_weights(accept))
    anything = weights.get("*", 0.0)
    best = max(offered, key=lambda coding: weights.get(coding, anything), default=None)
    if best is None:
        return None
    weight = weights.get(best, anything)
    return best if weight > 0 and weight >= weights.get("identity", 0.0) else None
