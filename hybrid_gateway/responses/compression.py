"""Compressed responses: by what the client accepts, where it is worth it."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.headers import parse_weights
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.responses.raw_response import EndpointResponse
from hybrid_gateway.spelling import reject_unknown_keywords

Compress = Callable[[bytes], bytes]


@reject_unknown_keywords()
class Compression:
    """Compresses complete responses of at least ``minimum_size`` bytes, by the first algorithm that the client accepts.

    ``algorithms`` are of ``"zstd"``, ``"br"``, ``"gzip"``, best first; without any, those that are installed (Brotli by
    ``brotli``, Zstandard by Python 3.14 or ``zstandard``). ``levels`` overrides a level. Streams, files and pictures
    are left alone. SECURITY: a response that mixes a secret with text of somebody else's choice betrays the secret by
    its compressed length (BREACH): leave such routes out with ``compression=False``.
    """

    def __init__(
        self,
        algorithms: Sequence[str] | None = None,
        *,
        minimum_size: int = 1000,
        levels: dict[str, int] | None = None,
    ) -> None:
        levels = levels or {}
        for name in (*levels, *(algorithms or ())):
            if name not in _MAKERS:
                raise ConfigurationError(f"Compression knows {', '.join(_MAKERS)}, not {name!r}.", id="H006")
        self.minimum_size = minimum_size
        self._compress: dict[str, Compress] = {}
        for name in algorithms or _MAKERS:
            make, level = _MAKERS[name]
            try:
                self._compress[name] = make(levels.get(name, level))
            except ImportError as error:
                if algorithms is not None:
                    raise ConfigurationError(f"Compression by {name!r} needs a package: {error}.", id="H006") from error

    def __repr__(self) -> str:
        return f"Compression({list(self._compress)})"

    def __call__(self, ctx: RequestContext, response: EndpointResponse) -> EndpointResponse:
        """Return ``response``, compressed where that is worth it and the client takes it."""
        if not isinstance(response, tuple) or len(response[2]) < self.minimum_size or response[0] in (204, 206, 304):
            return response
        status, headers, body = response
        kind = next((value for name, value in headers if name == b"content-type"), b"")
        kind = kind.partition(b";")[0].strip().lower()
        is_text = kind.startswith(b"text/") or kind == b"image/svg+xml" or any(word in kind for word in _TEXTUAL)
        if not is_text or any(name in _FIXED for name, _ in headers):
            return response
        vary = [value for name, value in headers if name == b"vary"]
        headers = [header for header in headers if header[0] != b"vary"]
        headers.append((b"vary", b", ".join([*vary, b"Accept-Encoding"])))
        weights = dict(parse_weights((ctx.header(b"accept-encoding") or b"").decode("latin-1")))
        name = next((name for name in self._compress if weights.get(name, weights.get("*", 0.0)) > 0), None)
        if name is None:
            return status, headers, body
        return status, [*headers, (b"content-encoding", name.encode())], self._compress[name](body)


_FIXED = (b"content-encoding", b"accept-ranges")  # of bodies that are compressed, or whose bytes clients count
_TEXTUAL = (b"json", b"xml", b"javascript", b"yaml", b"wasm", b"msgpack")


def _zstd(level: int) -> Compress:
    try:
        module = import_module("compression.zstd")  # Python 3.14
    except ImportError:
        make: Callable[..., Any] = import_module("zstandard").ZstdCompressor
        # One per response: a compressor is not to be used by two threads.
        return lambda body: bytes(make(level=level).compress(body))
    return partial(module.compress, level=level)


_MAKERS: dict[str, tuple[Callable[[int], Compress], int]] = {
    "zstd": (_zstd, 3),
    "br": (lambda level: partial(import_module("brotli").compress, quality=level), 4),
    "gzip": (lambda level: partial(gzip.compress, compresslevel=level, mtime=0), 5),
}
