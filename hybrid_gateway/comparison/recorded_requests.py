"""Requests that were recorded: HAR files of browsers, JSON lines, access logs."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hybrid_gateway.comparison.exchanges import ReplayedRequest

HOP_BY_HOP = frozenset(("connection", "content-length", "host", "keep-alive", "te", "transfer-encoding", "upgrade"))
"""Headers of the connection on which a request was recorded, which is not the one it is replayed on."""

_LOGGED = re.compile(r'"(?P<method>GET|HEAD) (?P<url>\S+) HTTP/[\d.]+"')


def read_requests(file: Path) -> list[ReplayedRequest]:
    """Return the requests of a file, each once; raises ``ValueError`` where it has none that can be read."""
    text = file.read_text(encoding="utf-8", errors="replace")
    start = text.lstrip()[:1]
    if file.suffix == ".har":
        found = list(_from_har(json.loads(text)))
    elif start == "{" or file.suffix in (".jsonl", ".ndjson"):
        found = [_from_line(json.loads(line)) for line in text.splitlines() if line.strip()]
    else:  # an access log, which has no bodies and no headers: reads only
        found = [_request(match["method"], match["url"]) for match in _LOGGED.finditer(text)]
    if not found:
        raise ValueError(f"{file} has no requests: neither a HAR file, nor JSON lines, nor an access log with GETs.")
    return list(dict.fromkeys(found))


def _from_har(har: Any) -> Iterator[ReplayedRequest]:
    # SPEC: HAR 1.2, entries
    for entry in har["log"]["entries"]:
        recorded = entry["request"]
        headers = [(header["name"], header["value"]) for header in recorded.get("headers", ())]
        body = recorded.get("postData", {}).get("text", "").encode()
        yield _request(recorded["method"], recorded["url"], headers, body)


def _from_line(line: Any) -> ReplayedRequest:
    headers = line.get("headers", {})
    pairs = headers.items() if isinstance(headers, dict) else headers
    body: object = line.get("body", "")
    if "body_base64" in line:
        sent = base64.b64decode(line["body_base64"])
    elif body is None:
        sent = b""
    else:
        sent = (body if isinstance(body, str) else json.dumps(body)).encode()
    url = line.get("url") or line["path"]
    if line.get("query"):
        url = f"{url}?{line['query']}"
    return _request(line.get("method", "GET"), url, [(str(name), str(value)) for name, value in pairs], sent)


def _request(method: str, url: str, headers: list[tuple[str, str]] | None = None, body: bytes = b"") -> ReplayedRequest:
    parts = urlsplit(url)
    kept = tuple(
        (name, value) for name, value in headers or () if name.lower() not in HOP_BY_HOP and not name.startswith(":")
    )
    return ReplayedRequest(method.upper(), parts.path or "/", parts.query, kept, body)
