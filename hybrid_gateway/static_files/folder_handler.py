"""The handler of a folder's routes: one request for a file → its response. It blocks, and runs on a thread."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated

import msgspec
from django.utils.http import content_disposition_header

from hybrid_gateway import http
from hybrid_gateway.binding.markers import Header
from hybrid_gateway.exceptions import Forbidden, NotFound, RouteError
from hybrid_gateway.headers import parse_weights
from hybrid_gateway.responses.conditional_requests import Conditions
from hybrid_gateway.responses.file_content import FileAnswer, FileContent, answer_file
from hybrid_gateway.responses.file_response import OpenedFile
from hybrid_gateway.responses.file_types import CODINGS, choose_coding, guess_content_type
from hybrid_gateway.responses.folder import Folder
from hybrid_gateway.types import Header as HeaderLine
from hybrid_gateway.url_quoting import quote_segment

# SPEC: RFC 8246. Not `public`: what a guard protects must not get into a shared cache by that.
IMMUTABLE = b"max-age=31536000, immutable"


class FileHeaders(msgspec.Struct, frozen=True):
    """The headers by which a representation of a file is chosen."""

    accept: str = ""
    accept_encoding: str = ""

    @property
    def asks_for_html(self) -> bool:
        """True for whoever names HTML, as a browser does that goes to a page; ``*/*`` names nothing."""
        return any(kind == "text/html" and weight > 0 for kind, weight in parse_weights(self.accept))


class FileOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options that folders and front ends have in common."""

    html: bool = False
    precompressed: bool = True
    immutable: re.Pattern[str] | None = None
    download: bool = False
    cache_control: str | None = None


def compile_immutable(pattern: str | re.Pattern[str] | None, where: str) -> re.Pattern[str] | None:
    """Return the pattern of names whose files never change; raise :class:`RouteError` for what is none."""
    if pattern is None or isinstance(pattern, re.Pattern):
        return pattern
    try:
        return re.compile(pattern)
    except (re.error, TypeError) as error:
        raise RouteError(f"{where}: immutable={pattern!r} is no regular expression: {error}.", id="F004") from None


class FolderHandler:
    """Answers requests for the files of one folder. ``title`` is what lists of routes show."""

    __name__ = "static_files"

    def __init__(self, title: str, folder: Folder, options: FileOptions) -> None:
        self.__qualname__ = title
        self.folder = folder
        self._options = options
        self._cache_control = None if options.cache_control is None else options.cache_control.encode("latin-1")

    def __call__(
        self,
        method: http.Method,
        values: http.PathParams,
        headers: Annotated[FileHeaders, Header()],
        conditions: Annotated[Conditions, Header()],
    ) -> OpenedFile:
        """Send a file of a folder."""
        name: str = values.get("path", "")
        found = self.find(name)
        if found is not None:
            return OpenedFile(self.answer(found, name, method, headers, conditions))
        return OpenedFile(self.answer_missing(name, method, headers, conditions))

    def find(self, name: str) -> str | None:
        """Return the path of the file that is sent under a name, if there is one."""
        if self._options.html and (not name or name.endswith("/")):
            name += "index.html"
        return self.folder.find(name)

    def answer_missing(self, name: str, method: str, headers: FileHeaders, conditions: Conditions) -> FileAnswer:
        """Return the response under a name that no file has; raise :class:`NotFound` where there is none."""
        if self._options.html:
            if name and self.folder.find(f"{name}/index.html") is not None:
                # Links of the page are relative to its directory. `./`, for a colon would end the name of a scheme.
                last = quote_segment(name.rpartition("/")[2])
                return FileAnswer(307, [(b"location", f"./{last}/".encode())])
            page = self.folder.find("404.html") if headers.asks_for_html else None
            if page is not None:
                return self.answer(page, "404.html", method, headers, None, status=404)
        raise NotFound

    def answer(
        self,
        path: str,
        name: str,
        method: str,
        headers: FileHeaders,
        conditions: Conditions | None,
        *,
        status: int = 200,
        more: Sequence[HeaderLine] = (),
    ) -> FileAnswer:
        """Return the response to a request for the file that was found at ``path``; ``more`` are headers of it."""
        options = self._options
        lines = [_type_line(path), *more]
        if options.immutable is not None and options.immutable.search(name):
            lines.append((b"cache-control", IMMUTABLE))
        elif self._cache_control is not None:
            lines.append((b"cache-control", self._cache_control))
        if options.download:
            disposition = content_disposition_header(True, name.rpartition("/")[2]) or "attachment"
            lines.append((b"content-disposition", disposition.encode("latin-1")))
        content = self._open(path, headers.accept_encoding, lines)
        return answer_file(content, [*lines, *content.headers], conditions, method, status)

    def _open(self, path: str, accept: str, lines: list[HeaderLine]) -> FileContent:
        """Open a file, or what stands beside it compressed, and add the headers that say so."""
        try:
            beside = self.folder.newer_beside(path, CODINGS.values()) if self._options.precompressed else None
            if not beside:
                return FileContent(path)
            lines.append((b"vary", b"Accept-Encoding"))
            coding = choose_coding(accept, [coding for coding, suffix in CODINGS.items() if suffix in beside])
            if coding is None:
                return FileContent(path)
            content = FileContent(beside[CODINGS[coding]])
        except PermissionError:
            raise Forbidden("The server may not read the file.") from None
        except (FileNotFoundError, NotADirectoryError):  # gone since it was found
            raise NotFound from None
        lines.append((b"content-encoding", coding.encode()))
        content.tag = f'{content.tag[:-1]}-{coding}"'
        return content


@lru_cache(maxsize=1024)
def _type_line(path: str) -> HeaderLine:
    kind = guess_content_type(path)
    return b"content-type", f"{kind}; charset=utf-8".encode() if kind.startswith("text/") else kind.encode()
