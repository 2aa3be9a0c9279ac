"""The small types a handler may ask for by annotation alone, after API Star.

``def view(host: http.Host, method: http.Method)`` reads like documentation; each is computed only when asked for.
"""

from __future__ import annotations

from typing import Any

from starlette.datastructures import Headers, QueryParams

__all__ = [
    "URL",
    "Body",
    "Headers",
    "Host",
    "Method",
    "Path",
    "PathParams",
    "Port",
    "QueryParams",
    "QueryString",
    "Scheme",
]


class Method(str):
    """The request method, upper case: ``"GET"``."""

    __slots__ = ()


class URL(str):
    """The whole URL as the client wrote it, percent-encoded, without fragment."""

    __slots__ = ()


class Scheme(str):
    """``"http"`` or ``"https"``, as the server (or the proxy it trusts) saw it."""

    __slots__ = ()


class Host(str):
    """The ``Host`` header without its port; the server's own name when the client sent none."""

    __slots__ = ()


class Port(int):
    """The port of the ``Host`` header, or the scheme's default."""

    __slots__ = ()


class Path(str):
    """The decoded path, including the script prefix (``root_path``)."""

    __slots__ = ()


class QueryString(str):
    """The raw query string, without ``?``."""

    __slots__ = ()


class Body(bytes):
    """The raw request body."""

    __slots__ = ()


class PathParams(dict[str, Any]):
    """The converted path parameters by name."""
