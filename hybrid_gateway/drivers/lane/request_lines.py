"""First lines of requests: who answers them, read without a parser where they are plain.

How this works: the lines of static routes are in one dict. Others are split here if every byte of them is one that no
reader takes for anything but itself, and no check of a path would mind. All that is not so plain is left to llhttp.
"""

from __future__ import annotations

import string
from typing import Any
from urllib.parse import unquote

from hybrid_gateway.dispatch.dispatcher import Dispatcher
from hybrid_gateway.dispatch.request_checks import MAX_PATH, is_plain_path
from hybrid_gateway.endpoints.endpoint import Endpoint

Match = tuple[str, Endpoint, tuple[Any, ...]]  # method, endpoint, values in the path

_METHODS = {method.encode(): method for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")}

# SECURITY: fewer than llhttp takes, and none that is decoded, or that some readers end a path at.
_PATH_BYTES = (string.ascii_letters + string.digits + "-._~/!$&'()*+,=:@").encode()
_QUERY_BYTES = _PATH_BYTES + b"%?;"


_NOBODY = None, b""


class RequestLines:
    """The routes of a dispatcher's present table, as the first lines of requests ask for them."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.table = table = dispatcher.table
        self._tree = table.tree
        self._answers_directly = dispatcher.answers_directly
        self._validate_path = dispatcher.validator.validate_path
        self.static: dict[bytes, Match] = {
            f"{method} {path} HTTP/1.1".encode(): (method, *found)
            for path, methods in dispatcher.direct_paths().items()
            for method, found in methods.items()
        }

    def read(self, line: bytes) -> tuple[Match | None, bytes]:
        """Return who answers ``line``, if that can be told without a parser, and its query."""
        words = line.split(b" ")
        if len(words) != 3 or words[2] != b"HTTP/1.1" or len(line) > MAX_PATH:
            return _NOBODY
        method = _METHODS.get(words[0])
        path, _, query = words[1].partition(b"?")
        if (
            method is None
            or path.translate(None, _PATH_BYTES)
            or (query and query.translate(None, _QUERY_BYTES))
            or not path.startswith(b"/")
            or path.find(b"//") >= 0
            or path.find(b"/.") >= 0
        ):
            return _NOBODY
        return self._find(path.decode(), method), query

    def match(self, url: bytes, method: bytes) -> tuple[Match | None, bytes]:
        """Return who answers what the parser has found, and its query."""
        raw_path, _, query = url.partition(b"?")
        if url.find(b"#") >= 0 or not raw_path.isascii():
            return _NOBODY
        path, name = raw_path.decode(), method.decode()
        # SECURITY: what the ASGI driver would reject is left to it.
        if not is_plain_path(path):
            path = unquote(path)
            if self._validate_path(path, raw_path, name) is not None:
                return _NOBODY
        elif len(path) > MAX_PATH:
            return _NOBODY
        return self._find(path, name), query

    def _find(self, path: str, method: str) -> Match | None:
        found = self._tree.find(path, method)
        return (method, *found) if found is not None and self._answers_directly(path, found[0]) else None
