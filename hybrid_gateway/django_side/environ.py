"""An ASGI scope as a WSGI environ, with the rules of Django's own ``ASGIRequest``."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable
from typing import IO

from hybrid_gateway.request.head_parsing import path_info
from hybrid_gateway.types import Environ, Header, Scope


def resolved_path(scope: Scope, forced_script_name: str) -> str:
    """Return the path that Django resolves, below the script name; ``forced_script_name`` is the setting."""
    # DJANGO: get_script_prefix in core/handlers/asgi.py
    path: str = scope["path"]
    return path_info(path, forced_script_name or scope.get("root_path") or "") or path


def build_environ(scope: Scope, forced_script_name: str, body: IO[bytes], size: int) -> Environ:
    """Return the environ of a request whose body of ``size`` bytes has been read into ``body``."""
    query = scope.get("query_string", b"")
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": _wsgi_text(forced_script_name or scope.get("root_path") or ""),
        "PATH_INFO": _wsgi_text(resolved_path(scope, forced_script_name)),
        "QUERY_STRING": query.decode("latin-1") if isinstance(query, bytes) else query,
        "SERVER_NAME": "unknown",
        "SERVER_PORT": "0",
        "SERVER_PROTOCOL": f"HTTP/{scope.get('http_version', '1.1')}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme") or "http",
        "wsgi.input": body,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    if server := scope.get("server"):
        environ["SERVER_NAME"] = server[0]
        environ["SERVER_PORT"] = str(server[1] or 0)  # a Unix socket has no port
    if client := scope.get("client"):
        environ["REMOTE_ADDR"] = environ["REMOTE_HOST"] = client[0]
        environ["REMOTE_PORT"] = str(client[1])
    _add_headers(environ, scope.get("headers", ()))
    if size or "CONTENT_LENGTH" in environ:
        environ["CONTENT_LENGTH"] = str(size)  # what was received: a chunked body has announced nothing
    return environ


def _add_headers(environ: Environ, headers: Iterable[Header]) -> None:
    repeated: dict[str, list[str]] = {}
    for name, value in headers:
        key = _known_header_key(name) if len(name) <= _MAX_CACHED_NAME else _make_header_key(name)
        if not key:
            continue
        text = value.decode("latin-1")
        if key in environ:
            repeated.setdefault(key, [environ[key]]).append(text)
        else:
            environ[key] = text
    for key, values in repeated.items():
        if key == "HTTP_COOKIE":
            environ[key] = "; ".join(value.rstrip("; ") for value in values)
        else:
            environ[key] = ",".join(values)


def _make_header_key(name: bytes) -> str:
    """Return the environ key of a header; empty for a header that must not be seen."""
    if b"_" in name:
        return ""  # SECURITY: X_Real_IP would pose as X-Real-IP, which a proxy strips or sets
    key = name.decode("latin-1").upper().replace("-", "_")
    return key if key in ("CONTENT_LENGTH", "CONTENT_TYPE") else f"HTTP_{key}"


# SECURITY: clients choose the names, so what is remembered of them is bounded in number and length.
_MAX_CACHED_NAME = 64  # bytes
_known_header_key = functools.lru_cache(maxsize=512)(_make_header_key)


def _wsgi_text(text: str) -> str:
    # SPEC: PEP 3333, "Unicode Issues": the bytes of the text, one character each
    return text if text.isascii() else text.encode("utf-8", "surrogatepass").decode("latin-1")


def is_utf8(query: bytes | str) -> bool:
    """Return whether a query string is what a URL may hold."""
    if isinstance(query, str) or query.isascii():
        return True
    try:
        query.decode()
    except UnicodeDecodeError:
        return False
    return True
