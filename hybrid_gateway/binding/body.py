"""The request body as a value: JSON into whatever the annotation says, or raw bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from hybrid_gateway.binding.constraints import Check
from hybrid_gateway.binding.decimals import decimal_check
from hybrid_gateway.binding.decoders import DecodeHook, decode_known
from hybrid_gateway.binding.signature import NO_DEFAULT
from hybrid_gateway.binding.validation import REFUSALS, collect_errors, missing, one_error
from hybrid_gateway.exceptions import BadRequest, ErrorEntry, UnsupportedMediaType
from hybrid_gateway.request.context import RequestContext

__all__ = ["JSONBody", "RawBody"]

MESSAGEPACK = "application/msgpack"
_PACKED = (b"application/msgpack", b"application/x-msgpack", b"application/vnd.msgpack")


class RawBody:
    """``Annotated[bytes, Body()]`` and ``http.Body``: the bytes as they came, or a default where none came."""

    media_type = "application/octet-stream"

    def __init__(self, kind: object, default: object = NO_DEFAULT, check: Check | None = None) -> None:
        self._kind: type[bytes] = kind if isinstance(kind, type) and issubclass(kind, bytes) else bytes
        self._default = default
        self._check = check

    def read(self, ctx: RequestContext, body: bytes, errors: list[ErrorEntry]) -> object:
        if not body and self._default is not NO_DEFAULT:
            return self._default
        try:
            if self._check is not None:
                self._check(body)
        except msgspec.ValidationError as error:
            errors.append(one_error(error, ("body",)))
        return body if self._kind is bytes else self._kind(body)


class JSONBody:
    """A JSON document decoded and validated in one pass; only a body at fault is looked at twice.

    Where the route offers MessagePack, a body of that content type is read in the same way.
    """

    media_type = "application/json"

    def __init__(
        self,
        kind: object,
        default: object,
        media_types: Sequence[str] = (),
        hook: DecodeHook = decode_known,
        *,
        declared: bool = False,
    ) -> None:
        self._kind = kind
        self._default = default
        self._hook = hook
        self._decode = msgspec.json.Decoder(kind, dec_hook=hook).decode
        self._packed = msgspec.msgpack.Decoder(kind, dec_hook=hook).decode if MESSAGEPACK in media_types else None
        self._check_decimals = decimal_check(kind)
        self._declared = declared
        self._accepted = ", ".join(media_types) or self.media_type

    def read(self, ctx: RequestContext, body: bytes, errors: list[ErrorEntry]) -> object:
        if not body:
            if self._default is NO_DEFAULT:
                errors.append(missing(("body",)))
            return self._default
        content_type = ctx.header(b"content-type")
        if content_type is None and self._declared:
            # SECURITY: a page of another origin can send a Blob without a type, and cookies go along. One with this
            # type it may only send after a preflight.
            raise UnsupportedMediaType(f"The body must be {self._accepted}.", headers={"Accept": self._accepted})
        if content_type is not None and content_type != b"application/json":
            essence = content_type.partition(b";")[0].strip().lower()
            if self._packed is not None and essence in _PACKED:
                return self._unpack(self._packed, body, errors)
            is_json = essence.startswith(b"application/") and essence.endswith(b"+json")
            if essence != b"application/json" and not is_json:
                raise UnsupportedMediaType(f"The body must be {self._accepted}.", headers={"Accept": self._accepted})
        try:
            try:
                value = self._decode(body)
            except REFUSALS:
                errors += collect_errors(msgspec.json.decode(body), self._kind, ("body",), hook=self._hook)
                return None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _malformed(error) from None
        if self._check_decimals is not None:
            self._check_decimals(value, ("body",), errors)
        return value

    def _unpack(self, decode: Callable[[bytes], object], body: bytes, errors: list[ErrorEntry]) -> object:
        try:
            try:
                value = decode(body)
            except REFUSALS:
                errors += collect_errors(msgspec.msgpack.decode(body), self._kind, ("body",), hook=self._hook)
                return None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise BadRequest("The MessagePack body is malformed.") from None
        if self._check_decimals is not None:
            self._check_decimals(value, ("body",), errors)
        return value


def _malformed(error: Exception) -> BadRequest:
    # msgspec lets two exceptions of its own making out: RecursionError for deep nesting, UnicodeDecodeError.
    if isinstance(error, RecursionError):
        return BadRequest("The JSON body is nested too deeply.")
    if isinstance(error, UnicodeDecodeError):
        return BadRequest("The JSON body is not valid UTF-8.")
    message = str(error).removeprefix("JSON is malformed: ")
    return BadRequest(f"The JSON body is malformed: {message}")
