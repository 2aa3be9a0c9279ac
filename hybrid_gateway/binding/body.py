"""The request body as a value: JSON into whatever the annotation says, or raw bytes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import msgspec

from hybrid_gateway.binding.constraints import Check
from hybrid_gateway.binding.decoders import DecodeHook, check_decodable, decode_known, why_not
from hybrid_gateway.binding.input_checks import input_check
from hybrid_gateway.binding.plan_scope import PlanScope
from hybrid_gateway.binding.signature import NO_DEFAULT
from hybrid_gateway.binding.validation import REFUSALS, collect_errors, missing, one_error
from hybrid_gateway.exceptions import (
    BadRequest,
    DependencyError,
    ErrorEntry,
    Location,
    UnsupportedMediaType,
    error_entry,
)
from hybrid_gateway.headers import JSON, MESSAGEPACK, MESSAGEPACK_ALIASES
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.type_info import TypeInfo

_PACKED = tuple(name.encode() for name in (MESSAGEPACK, *MESSAGEPACK_ALIASES))


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

    media_type = JSON

    def __init__(self, kind: object, default: object, scope: PlanScope, hook: DecodeHook = decode_known) -> None:
        self._kind = kind
        self._default = default
        self._hook = hook
        self._decode = msgspec.json.Decoder(kind, dec_hook=hook).decode
        self._packed = msgspec.msgpack.Decoder(kind, dec_hook=hook).decode if MESSAGEPACK in scope.media_types else None
        self._check = input_check(kind)
        self._needs_content_type = scope.needs_content_type
        self._accepted = ", ".join(scope.media_types) or self.media_type

    def read(self, ctx: RequestContext, body: bytes, errors: list[ErrorEntry]) -> object:
        if not body:
            if self._default is NO_DEFAULT:
                errors.append(missing(("body",)))
            return self._default
        content_type = ctx.header(b"content-type")
        if content_type is None and self._needs_content_type:
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
        if self._check is not None:
            self._check(value, ("body",), errors)
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
        if self._check is not None:
            self._check(value, ("body",), errors)
        return value


def _malformed(error: Exception) -> BadRequest:
    # msgspec lets two exceptions of its own making out: RecursionError for deep nesting, UnicodeDecodeError.
    if isinstance(error, RecursionError):
        return BadRequest("The JSON body is nested too deeply.")
    if isinstance(error, UnicodeDecodeError):
        return BadRequest("The JSON body is not valid UTF-8.")
    message = str(error).removeprefix("JSON is malformed: ")
    return BadRequest(f"The JSON body is malformed: {message}")


class JSONField:
    """Converts one text, or several that are the items of a list, to a value."""

    def __init__(self, kind: object, hook: DecodeHook, knows: Callable[[object], bool], where: str) -> None:
        self._kind = kind
        self._hook = hook
        self._check = input_check(kind)
        try:
            check_decodable(kind, knows)
            self._decode = msgspec.json.Decoder(kind, dec_hook=hook).decode
        except (TypeError, ValueError, DependencyError) as error:
            raise DependencyError(
                f"{where} cannot be read as JSON: {why_not(kind, error)}.", id=getattr(error, "id", "B002")
            ) from error

    def read(self, texts: str | list[str], location: Location, errors: list[ErrorEntry]) -> object:
        """Return the value of what came, or add errors."""
        if isinstance(texts, str):
            text = texts
        elif len(texts) == 1 and texts[0].lstrip().startswith("["):
            [text] = texts
        else:
            text = f"[{','.join(texts)}]"
        try:
            value = self._decode(text)
        except (*REFUSALS, msgspec.DecodeError, RecursionError):
            errors += self._faults(text, location)
            return None
        if self._check is not None:
            self._check(value, location, errors)
        return value

    def _faults(self, text: str, location: Location) -> list[ErrorEntry]:
        try:
            return collect_errors(msgspec.json.decode(text), self._kind, location, hook=self._hook)
        except msgspec.DecodeError as error:
            words = str(error).removeprefix("JSON is malformed: ")
        except RecursionError:
            words = "it is nested too deeply"
        return [error_entry(location, f"The JSON is malformed: {words}")]


def is_array(info: TypeInfo) -> bool:
    """Return whether the type is a container of items, perhaps optional."""
    cls = info.origin
    return isinstance(cls, type) and issubclass(cls, Collection) and not issubclass(cls, (str, bytes, Mapping))
