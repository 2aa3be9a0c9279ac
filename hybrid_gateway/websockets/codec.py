"""Messages of websockets: from frames to values of an annotation, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from hybrid_gateway.binding.decoders import DecodeHook, check_decodable, decode_known, why_not
from hybrid_gateway.binding.input_checks import input_check
from hybrid_gateway.binding.signature import NO_DEFAULT
from hybrid_gateway.binding.validation import REFUSALS, collect_errors
from hybrid_gateway.exceptions import (
    BadRequest,
    DependencyError,
    ErrorEntry,
    HTTPException,
    RequestValidationError,
    error_entry,
)
from hybrid_gateway.responses.enc_hook import EncHook, TypeEncoders, enc_hook
from hybrid_gateway.responses.problem_details import problem_members
from hybrid_gateway.responses.return_filter.filter_builder import build_filter, compile_fits
from hybrid_gateway.websockets.frames import Frame

Mode = Literal["json", "msgpack"]
Decode = Callable[[str | bytes], Any]
"""Makes a value of a message; raises 400 where it is malformed, 422 where it does not fit."""

Encode = Callable[[object], Frame]
"""Makes a frame of a value."""

_PLACE = ("message",)


class Codec:
    """The encoding of one route: ``mode``, and what its layers say of custom classes."""

    def __init__(
        self,
        mode: Mode,
        decode_hook: DecodeHook = decode_known,
        encode_hook: EncHook = enc_hook,
        knows: Callable[[object], bool] = lambda kind: False,
    ) -> None:
        self.mode = mode
        self.hook = decode_hook
        self.knows = knows
        encoder = msgspec.json.Encoder if mode == "json" else msgspec.msgpack.Encoder
        self._encode = encoder(enc_hook=encode_hook).encode
        self._decoders: dict[object, Decode] = {}

    def decoder(self, kind: object) -> Decode:
        """Return the function that makes a ``kind`` of a message.

        Raises :class:`DependencyError` for a type that no message can hold.
        """
        try:
            known = self._decoders.get(kind)
        except TypeError:  # what cannot be a key
            return _make_decoder(kind, self)
        if known is None:
            known = self._decoders[kind] = _make_decoder(kind, self)
        return known

    def encode(self, value: object) -> Frame:
        """Return a frame of any value: text and bytes as they are, anything else encoded."""
        if isinstance(value, str):
            return Frame(value.encode())
        if isinstance(value, (bytes, bytearray, memoryview)):
            return Frame(bytes(value), is_text=False)
        return self.pack(value)

    def encoder(self, annotation: object, encoders: TypeEncoders | None = None) -> Encode:
        """Return the function that makes a frame of a value, of which only what ``annotation`` has is sent."""
        rule = None if annotation is NO_DEFAULT else build_filter(annotation, encoders)
        if rule is None:
            return self.encode
        fits, narrow = compile_fits(rule), rule.narrow
        return lambda value: self.encode(value if fits(value) else narrow(value))

    def pack(self, value: object) -> Frame:
        """Return a frame of a value in the encoding of the route."""
        return Frame(self._encode(value), is_text=self.mode == "json")

    def frame(self, payload: bytes) -> Frame:
        """Return a frame of what is encoded already."""
        return Frame(payload, is_text=self.mode == "json")

    def error(self, error: HTTPException, **members: object) -> Frame:
        """Return the frame that tells a client of an error: its problem details, with ``"error"`` as their type."""
        return self.pack({**problem_members(error), "type": "error", **members})


def takes_frames(kind: object) -> bool:
    """Return whether a ``kind`` is made of frames as they are, text or bytes, and of nothing encoded."""
    return kind in (str, bytes) or kind == str | bytes


def _make_decoder(kind: object, codec: Codec) -> Decode:
    if takes_frames(kind):
        return _PLAIN.get(kind, lambda data: data)
    try:
        check_decodable(kind, codec.knows)
        decoder: Any = msgspec.json.Decoder if codec.mode == "json" else msgspec.msgpack.Decoder
        decode = decoder(kind, dec_hook=codec.hook).decode
    except (TypeError, ValueError, DependencyError) as error:
        raise DependencyError(
            f"a message cannot be {kind!r}: {why_not(kind, error)}", id=getattr(error, "id", "K008")
        ) from error
    decode_any = msgspec.json.decode if codec.mode == "json" else msgspec.msgpack.decode
    check, hook, mode = input_check(kind), codec.hook, codec.mode

    def decode_message(data: str | bytes) -> object:
        if mode == "msgpack" and isinstance(data, str):
            raise BadRequest("The message must be a binary frame of MessagePack.")
        try:
            try:
                value = decode(data)
            except REFUSALS as error:
                found = collect_errors(decode_any(data), kind, _PLACE, hook=hook)  # type: ignore[arg-type]
                raise RequestValidationError(found or [error_entry(_PLACE, str(error))]) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            name = "JSON" if mode == "json" else "MessagePack"
            raise BadRequest(f"The message is no valid {name}.") from None
        if check is not None:
            errors: list[ErrorEntry] = []
            check(value, _PLACE, errors)
            if errors:
                raise RequestValidationError(errors)
        return value

    return decode_message


def _text(data: str | bytes) -> str:
    if isinstance(data, str):
        return data
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise BadRequest("The message must be text.") from None


def _bytes(data: str | bytes) -> bytes:
    return data.encode() if isinstance(data, str) else data


_PLAIN: Mapping[object, Decode] = {str: _text, bytes: _bytes}
"""Types that take messages as they are, whichever kind of frame they come in."""
