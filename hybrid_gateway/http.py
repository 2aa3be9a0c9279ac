"""Small types that a handler may ask for by annotation alone, after API Star.

``def view(host: http.Host, method: http.Method)`` reads like documentation; each is computed only when asked for.
"""

from __future__ import annotations

from hmac import compare_digest
from typing import Any, Generic, TypeVar

from starlette.datastructures import Headers, QueryParams

__all__ = [
    "URL",
    "Body",
    "Cookies",
    "Headers",
    "Host",
    "Method",
    "Path",
    "PathParams",
    "Port",
    "QueryParams",
    "QueryString",
    "Scheme",
    "SecretBytes",
    "SecretString",
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


class Cookies(dict[str, str]):
    """The cookies by name; of a repeated name the last."""


class PathParams(dict[str, Any]):
    """The converted path parameters by name."""


S = TypeVar("S", str, bytes)


class _Secret(Generic[S]):
    """Holds what logs, tracebacks and responses never show; ``get_secret()`` gives it."""

    __slots__ = ("_value",)

    def __init__(self, value: S) -> None:
        self._value: S = value

    def get_secret(self) -> S:
        """The value itself."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and compare_digest(_as_bytes(self._value), _as_bytes(other._value))

    def __hash__(self) -> int:
        return hash(self._value)

    def __len__(self) -> int:
        return len(self._value)

    def __str__(self) -> str:
        return "******"

    def __repr__(self) -> str:
        return f"{type(self).__name__}('******')"


def _as_bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


class SecretString(_Secret[str]):
    """Text that logs, tracebacks and responses never show; ``get_secret()`` gives it."""

    __slots__ = ()


class SecretBytes(_Secret[bytes]):
    """Bytes that logs, tracebacks and responses never show; ``get_secret()`` gives them."""

    __slots__ = ()
