"""First lines of requests: who answers them, read without a parser where they are plain.

How this works: the lines of static routes are in one dict. Others are split here if every byte of them is one that no
reader takes for anything but itself, and no check of a path would mind. Most of those are looked up as well: the path
of a static route before a query, or what precedes a last parameter. All that is not so plain is left to llhttp.
"""

from __future__ import annotations

import string
from typing import Any
from urllib.parse import unquote

from hybrid_gateway.dispatch.dispatcher import Dispatcher
from hybrid_gateway.dispatch.fallback import NotRouted, PlainlyNotRouted, UnknownPath, kind_of_unrouted
from hybrid_gateway.dispatch.request_checks import MAX_PATH, PLAIN, is_plain_path
from hybrid_gateway.endpoints.endpoint import Endpoint
from hybrid_gateway.routing.path_template import CONVERTERS
from hybrid_gateway.routing.route_tree import Convert

Match = tuple[str, Endpoint | NotRouted | UnknownPath, tuple[Any, ...]]  # method, who answers, values in the path

_METHODS = {method.encode(): method for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")}

# SECURITY: fewer than llhttp takes, and none that is decoded, or that some readers end a path at.
_PATH_BYTES = (string.ascii_letters + string.digits + "-._~/!$&'()*+,=:@").encode()
_QUERY_BYTES = _PATH_BYTES + b"%?;"
_LOWER_BYTES = PLAIN.encode()
_VERSION = b" HTTP/1.1"
_MOST_DIGITS = 18

MAX_NOTED, MAX_NOTED_LINE = 256, 128  # lines of unknown paths that are remembered, and bytes of each
_NOBODY = None, b""


class RequestLines:
    """The routes of a dispatcher's present table, as the first lines of requests ask for them."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.table = table = dispatcher.table
        self._tree = table.tree
        self._side = dispatcher.side
        self._below, self._exact = dispatcher.prefixes.below, dispatcher.prefixes.exact
        self._has_fallbacks = bool(table.fallbacks) and not dispatcher.fallthrough
        may_be_anothers = dispatcher.fallthrough or table.mounts or table.fallbacks or table.trailing_slash == "ignore"
        self._unrouted = None if may_be_anothers else kind_of_unrouted(table)
        is_same = self._unrouted is PlainlyNotRouted and table.cors is None and table.django_middleware is None
        self._unknown = UnknownPath(table) if is_same else None
        self._noted: list[bytes] = []  # lines of unknown paths that are among the static ones
        self._answers_directly = dispatcher.answers_directly
        self._validate_path = dispatcher.validator.validate_path
        direct_paths = dispatcher.direct_paths()
        self._targets: dict[bytes, Match] = {
            f"{method} {path}".encode(): (method, *found)
            for path, methods in direct_paths.items()
            for method, found in methods.items()
        }
        self.static = {target + _VERSION: match for target, match in self._targets.items()}
        is_int = CONVERTERS["int"].convert
        self._last: dict[bytes, tuple[str, Endpoint, Convert | None]] = {  # None for whole numbers
            f"{method} {before}".encode(): (method, endpoint, None if convert is is_int else convert)
            for before, (convert, endpoints) in dispatcher.direct_prefixes(direct_paths).items()
            for method, endpoint in endpoints.items()
        }

    def read(self, line: bytes) -> tuple[Match | None, bytes]:
        """Return who answers ``line``, if that can be told without a parser, and its query."""
        # PERF: of bytes that are all among others, lstrip() leaves nothing, for a third of what translate() takes.
        if not line.endswith(_VERSION) or len(line) > MAX_PATH:
            return _NOBODY
        target, _, query = line[:-9].partition(b"?")
        if query and query.lstrip(_QUERY_BYTES):
            return _NOBODY
        found = self._targets.get(target)
        if found is not None:
            return found, query
        before, _, text = target.rpartition(b"/")
        last = self._last.get(before)
        if last is not None:
            name, endpoint, convert = last
            if convert is None:
                if text.isdigit() and len(text) <= _MOST_DIGITS:
                    return (name, endpoint, (int(text),)), query
            elif text and not text.lstrip(_LOWER_BYTES):
                value = convert(text.decode())
                if value is not None:
                    return (name, endpoint, (value,)), query
        word, _, path = target.partition(b" ")
        method = _METHODS.get(word)
        if (
            method is None
            or path.lstrip(_PATH_BYTES)
            or not path.startswith(b"/")
            or path.find(b"//") >= 0
            or path.find(b"/.") >= 0
        ):
            return _NOBODY
        match = self._find(path.decode(), method)
        if match is not None and match[1] is self._unknown and not query and len(line) <= MAX_NOTED_LINE:
            # PERF: clients ask for the same unknown paths again and again.
            if len(self._noted) >= MAX_NOTED:
                for noted in self._noted:
                    del self.static[noted]
                self._noted.clear()
            self._noted.append(line)
            self.static[line] = match
        return match, query

    def match(self, url: bytes, method: bytes) -> tuple[Match | None, bytes]:
        """Return who answers what the parser has found, and its query."""
        raw_path, _, query = url.partition(b"?")
        name = _METHODS.get(method)
        if name is None or url.find(b"#") >= 0 or not raw_path.isascii():
            return _NOBODY
        path = raw_path.decode()
        # SECURITY: what the ASGI driver would reject is left to it.
        if not path.startswith("/"):
            return _NOBODY
        if not is_plain_path(path):
            path = unquote(path)
            if self._validate_path(path, raw_path, name) is not None:
                return _NOBODY
        elif len(path) > MAX_PATH:
            return _NOBODY
        return self._find(path, name), query

    def _find(self, path: str, method: str) -> Match | None:
        """Return who answers, or what says that nobody does, unless Django, a mount, or another spelling may."""
        found = self._tree.find(path, method)
        if found is None and self._has_fallbacks:
            found = self.table.find_fallback(path, method)
        if found is not None:
            return (method, *found) if self._answers_directly(path, found[0]) else None
        lowered = path.lower()
        if (
            self._unrouted is None
            or path.startswith(self._below)
            or path in self._exact
            or (lowered != path and self._side(lowered) != self._side(path))
        ):
            return None
        if self._unknown is not None and self._tree.is_unknown(path):
            return method, self._unknown, ()
        unrouted = self._unrouted(self.table, path, "")
        return None if unrouted.middleware else (method, unrouted, ())
