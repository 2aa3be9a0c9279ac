"""A request that is sent to both sides, and what a side answered."""

from __future__ import annotations

import json
from typing import TypeAlias

import msgspec

JSON: TypeAlias = "dict[str, JSON] | list[JSON] | str | int | float | bool | None"

SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))


class ReplayedRequest(msgspec.Struct, frozen=True):
    """One request; ``path`` is as it stands in a URL, ``route`` the template that it was made from, if it was."""

    method: str
    path: str
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    route: str = ""

    @property
    def url(self) -> str:
        """The path with its query."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def is_write(self) -> bool:
        """Return whether the request may change rows."""
        return self.method not in SAFE_METHODS

    def __str__(self) -> str:
        return f"{self.method} {self.url}"


class Answer(msgspec.Struct, frozen=True):
    """The answer of a side; names of headers are in lower case. ``error`` is the exception behind a 500, if known.

    ``by_urlconf`` says that a gateway has left the request to the project's URLconf.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    error: str = ""
    by_urlconf: bool = False

    def header(self, name: str) -> str:
        """Return the values of a header, joined by commas, or nothing."""
        return ", ".join(value for key, value in self.headers if key == name)

    @property
    def media_type(self) -> str:
        """The media type, without its parameters."""
        return self.header("content-type").partition(";")[0].strip().lower()

    @property
    def is_json(self) -> bool:
        """Return whether the body says that it is JSON."""
        return self.media_type == "application/json" or self.media_type.endswith("+json")


def read_json(body: bytes) -> JSON:
    """Return the JSON of a body; raises ``ValueError`` where it is none."""
    value: JSON = json.loads(body)
    return value
