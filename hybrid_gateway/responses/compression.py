"""Compressed answers: by what the client accepts, where it is worth it."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.responses.raw_response import EndpointResponse
from hybrid_gateway.spelling import reject_unknown_keywords

__all__ = ["Compression"]

Compress = Callable[[bytes], bytes]


@reject_unknown_keywords()
class Compression:
    """Compresses whole answers of at least ``minimum_size`` bytes, by the first algorithm that the client accepts.

    ``algorithms`` are of ``"zstd"``, ``"br"``, ``"gzip"``, best first; without any, those that are installed (Brotli by
    ``brotli``, Zstandard by Python 3.14 or ``zstandard``). ``levels`` overrides a level. Streams, files and pictures
    are left alone. SECURITY: an answer that mixes a secret with text of somebody else's choice betrays the secret by
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
                raise ConfigurationError(f"Compression knows {', '.join(_MAKERS)}, not {name!r}.")
        self.minimum_size = minimum_size
        self._compress: dict[bytes, Compress] = {}
        for name in algorithms or _MAKERS:
            make, level = _MAKERS[name]
            try:
                self._compress[name.encode()] = make(levels.get(name, level))
            except ImportError as error:
                if algorithms is not None:
                    raise ConfigurationError(f"Compression by {name!r} needs a package: {error}.") from error

    def __repr__(self) -> str:
        return f"Compression({[name.decode() for name in self._compress]})"

    def __call__(self, ctx: RequestContext, response: EndpointResponse) -> EndpointResponse:
        """Return ``response``, compressed where that is worth it and the client takes it."""
        if not isinstance(response, tuple) or len(response[2]) < self.minimum_size or response[0] in (204, 206, 304):
            return response
        status, headers, body = response
        kind = next((value for name, value in headers if name == b"content-type"), b"")
        if not _is_compressible(kind) or any(name == b"content-encoding" for name, _ in headers):
            return response
        vary = [value for name, value in headers if name == b"vary"]
        headers = [header for header in headers if header[0] != b"vary"]
        headers.append((b"vary", b", ".join([*vary, b"Accept-Encoding"])))
        name = self._choose(ctx.header(b"accept-encoding") or b"")
        if name is None:
            return status, headers, body
        return status, [*headers, (b"content-encoding", name)], self._compress[name](body)

    def _choose(self, accepted: bytes) -> bytes | None:
        weights = dict(map(_weight, accepted.lower().split(b","))) if accepted else {}
        return next((name for name in self._compress if weights.get(name, weights.get(b"*", 0.0)) > 0), None)


def _weight(entry: bytes) -> tuple[bytes, float]:
    # SPEC: RFC 9110 section 12.4.2: a weight of 0 means "not that".
    name, _, parameter = entry.partition(b";")
    try:
        weight = float(parameter.strip().removeprefix(b"q=")) if parameter.strip() else 1.0
    except ValueError:
        weight = 0.0
    return name.strip(), weight


_TEXTUAL = (b"json", b"xml", b"javascript", b"yaml", b"wasm", b"msgpack")


def _is_compressible(kind: bytes) -> bool:
    essence = kind.partition(b";")[0].strip().lower()
    return essence.startswith(b"text/") or any(word in essence for word in _TEXTUAL) or essence == b"image/svg+xml"


def _zstd(level: int) -> Compress:
    try:
        module = import_module("compression.zstd")  # Python 3.14
    except ImportError:
        compressor: Any = import_module("zstandard")
        # One per answer: a compressor is not to be used by two threads.
        return lambda body: compressor.ZstdCompressor(level=level).compress(body)
    compress: Callable[..., bytes] = module.compress
    return lambda body: compress(body, level=level)


def _brotli(level: int) -> Compress:
    compress: Callable[..., bytes] = import_module("brotli").compress
    return lambda body: compress(body, quality=level)


def _gzip(level: int) -> Compress:
    return lambda body: gzip.compress(body, compresslevel=level, mtime=0)


_MAKERS: dict[str, tuple[Callable[[int], Compress], int]] = {"zstd": (_zstd, 3), "br": (_brotli, 4), "gzip": (_gzip, 5)}
