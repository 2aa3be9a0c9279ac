"""Returned value → status, headers, body. The return annotation picks an encoder once; the rest goes by value."""

from __future__ import annotations

import collections.abc
import typing
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from http.cookies import Morsel, SimpleCookie
from typing import Any

import msgspec
from django.http import HttpResponseBase
from starlette.responses import Response as StarletteResponse

from hybrid_gateway.responses.kinds import StreamingResponse, plain

__all__ = ["Answer", "Headers", "complete", "make_encoder"]

Headers = list[tuple[bytes, bytes]]
Answer = tuple[int, Headers, bytes] | StarletteResponse
"""What an endpoint gives back: a whole answer, or a Starlette response that sends itself."""

_JSON = (b"content-type", b"application/json")
_TEXT = (b"content-type", b"text/plain; charset=utf-8")
_BYTES = (b"content-type", b"application/octet-stream")

_encoder = msgspec.json.Encoder(enc_hook=plain)


class Defaults(msgspec.Struct, frozen=True):
    """What a route adds to every answer of its handler."""

    status: int | None
    method: str
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def status_for(self, value: Any) -> int:
        """The verb's status: 201 for POST, 204 for nothing (POST keeps 201), else 200."""
        if self.status is not None:
            return self.status
        if self.method == "POST":
            return 201
        return 204 if value is None else 200


def make_encoder(
    annotation: Any,
    *,
    method: str,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
    cookies: Sequence[Any] = (),
) -> Callable[[Any], Answer]:
    """The function that turns a handler's return value into an answer."""
    extra = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in (headers or {}).items()]
    extra += [(b"set-cookie", _cookie(cookie)) for cookie in cookies]
    defaults = Defaults(status, method, tuple(extra))
    if _is_json_type(annotation):
        return _json_encoder(defaults)
    if _is_pair(annotation):
        return _pair_encoder(defaults)

    def encode(value: Any) -> Answer:
        return _by_value(value, defaults)

    return encode


def _json_encoder(defaults: Defaults) -> Callable[[Any], Answer]:
    encode_json = _encoder.encode
    status = defaults.status_for(...)
    # PERF: everything but the length is built once; the encoder is bound, not looked up.
    fixed = [_JSON, *defaults.headers]

    def encode(value: Any) -> Answer:
        try:
            body = encode_json(value)
        except TypeError:
            if isinstance(value, (StarletteResponse, HttpResponseBase)):
                return _by_value(value, defaults)
            raise
        return status, [*fixed, (b"content-length", b"%d" % len(body))], body

    return encode


def _pair_encoder(defaults: Defaults) -> Callable[[Any], Answer]:
    def encode(value: Any) -> Answer:
        if isinstance(value, tuple) and len(value) == 2:
            content, status = value
            return _by_value(content, Defaults(status, defaults.method, defaults.headers))
        return _by_value(value, defaults)

    return encode


def _is_json_type(annotation: Any) -> bool:
    """Whether every value of the annotation is sent as JSON."""
    origin = typing.get_origin(annotation) or annotation
    if origin in (dict, list, set, frozenset, int, float, bool, collections.abc.Sequence, collections.abc.Mapping):
        return True
    if not isinstance(origin, type):
        return False
    return (
        issubclass(origin, msgspec.Struct)
        or hasattr(origin, "__dataclass_fields__")
        or hasattr(origin, "__attrs_attrs__")
        or typing.is_typeddict(origin)
    )


def _is_pair(annotation: Any) -> bool:
    """``tuple[T, int]``, a value and its status."""
    arguments = typing.get_args(annotation)
    return typing.get_origin(annotation) is tuple and len(arguments) == 2 and arguments[1] is int


def _by_value(value: Any, defaults: Defaults) -> Answer:
    if isinstance(value, StarletteResponse):
        value.raw_headers.extend(defaults.headers)
        return value
    status = defaults.status_for(value)
    if value is None:
        return complete(status, None, b"", defaults.headers)
    if isinstance(value, str):
        return complete(status, _TEXT, value.encode(), defaults.headers)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return complete(status, _BYTES, bytes(value), defaults.headers)
    if isinstance(value, HttpResponseBase):
        return _from_django(value, defaults)
    if isinstance(value, (Iterator, AsyncIterator)):
        return _stream(value, status, defaults)
    return complete(status, _JSON, _encoder.encode(value), defaults.headers)


def complete(
    status: int, content_type: tuple[bytes, bytes] | None, body: bytes, headers: Sequence[tuple[bytes, bytes]] = ()
) -> tuple[int, Headers, bytes]:
    """A whole answer with its ``Content-Length``; SPEC: RFC 9110 section 8.6 wants none on 1xx and 204."""
    lines = [] if content_type is None else [content_type]
    lines += headers
    if status >= 200 and status not in (204, 304):
        lines.append((b"content-length", b"%d" % len(body)))
    return status, lines, body


def _stream(value: Any, status: int, defaults: Defaults) -> StreamingResponse:
    response = StreamingResponse(value, status_code=status, media_type="application/octet-stream")
    response.raw_headers.extend(defaults.headers)
    return response


def _from_django(response: Any, defaults: Defaults) -> Answer:
    """A Django response as an answer; its cookies, reason-less status and ``close()`` are kept."""
    headers = [(name.encode("ascii").lower(), value.encode("latin-1")) for name, value in response.items()]
    headers += [(b"set-cookie", morsel.OutputString().encode("ascii")) for morsel in response.cookies.values()]
    headers += defaults.headers
    if response.streaming:
        return _stream_from_django(response, headers)
    body = response.content
    response.close()
    if all(name != b"content-length" for name, _ in headers) and response.status_code not in (204, 304):
        headers.append((b"content-length", b"%d" % len(body)))
    return response.status_code, headers, body


def _stream_from_django(response: Any, headers: Headers) -> StreamingResponse:
    content = response.streaming_content

    def chunks() -> Iterator[bytes]:
        try:
            yield from content
        finally:
            response.close()

    async def async_chunks() -> AsyncIterator[bytes]:
        try:
            async for chunk in content:
                yield chunk
        finally:
            response.close()

    streaming = StreamingResponse(
        async_chunks() if getattr(response, "is_async", False) else chunks(), status_code=response.status_code
    )
    streaming.raw_headers = headers
    return streaming


def _cookie(cookie: Any) -> bytes:
    """One ``Set-Cookie`` value of a ``(name, value)`` pair, a mapping of attributes with ``key``, or a Morsel."""
    if isinstance(cookie, Morsel):
        return cookie.OutputString().encode("latin-1")
    if isinstance(cookie, Mapping):
        response = StarletteResponse()
        response.set_cookie(**dict(cookie))
        return dict(response.raw_headers)[b"set-cookie"]
    name, value = cookie
    jar: SimpleCookie = SimpleCookie()
    jar[name] = value
    return jar[name].OutputString().encode("latin-1")
