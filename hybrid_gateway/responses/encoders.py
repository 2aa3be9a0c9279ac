"""Returned value → response. The return annotation picks an encoder once; what it does not say goes by value."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from types import NoneType
from typing import cast

import msgspec
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from starlette.responses import Response as StarletteResponse

from hybrid_gateway._compat.django_connection_internals import keep_connections_open
from hybrid_gateway.exceptions import ResponseValidationError, check_status
from hybrid_gateway.headers import JSON, NO_CONTENT, fix_headers, make_private
from hybrid_gateway.responses.cookies import cookie_headers, set_cookie_headers
from hybrid_gateway.responses.enc_hook import EncHook, TypeEncoders, enc_hook, enc_hook_with
from hybrid_gateway.responses.file_response import OpenedFile
from hybrid_gateway.responses.gateway_response import RESPONSE_CLASSES, DefaultStatus, GatewayResponse
from hybrid_gateway.responses.raw_response import EndpointResponse, make_raw
from hybrid_gateway.responses.response_classes import JSONResponse, Response
from hybrid_gateway.responses.response_info import (
    BYTES,
    TEXT,
    VALUE_MEDIA_TYPES,
    ResponseInfo,
    default_status,
    is_class,
    read_response_info,
)
from hybrid_gateway.responses.return_filter.filter_builder import build_filter, compile_fits
from hybrid_gateway.responses.return_filter.filter_rules import Fields, Rule
from hybrid_gateway.responses.server_sent_events import EventSourceResponse
from hybrid_gateway.responses.streaming_response import StreamingResponse
from hybrid_gateway.type_info import type_info
from hybrid_gateway.types import Header, Headers, UsualResult

Encoder = Callable[[object], EndpointResponse]
EncodeValue = Callable[..., EndpointResponse]  # of a value of one class, and ResponseDefaults

_TEXT = (b"content-type", b"text/plain; charset=utf-8")
_BYTES = (b"content-type", BYTES.encode())
_JSON = (b"content-type", JSON.encode())


class ResponseDefaults(msgspec.Struct, frozen=True):
    """Status, headers and the like that a route gives to responses of its handler."""

    status: int
    empty_status: int  # where there is no value
    headers: tuple[Header, ...]
    enc_hook: EncHook
    stream_class: type[StreamingResponse]


def make_encoder(
    annotation: object,
    *,
    method: str,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
    cookies: Sequence[object] = (),
    security: Sequence[Header] = (),
    validate: bool = False,
    media_type: str = JSON,
    encoders: TypeEncoders | None = None,
    decode: Callable[[type, object], object] | None = None,
) -> Encoder:
    """Return the function that makes a response of what a handler returns.

    ``validate`` checks that against ``annotation``. ``security`` are headers for responses whose headers never change;
    drivers see to the others. ``encoders`` make plain values of custom classes, ``decode`` is msgspec's ``dec_hook``
    for the check.
    """
    info = read_response_info(annotation)
    extra = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in (headers or {}).items()]
    defaults = ResponseDefaults(
        status=default_status(method, status),
        empty_status=default_status(method, status, is_empty=True),
        headers=(*extra, *cookie_headers(cookies)),
        enc_hook=enc_hook_with(encoders) if encoders else enc_hook,
        stream_class=info.stream_class,
    )
    if info.value is NoneType:
        return lambda value: encode_by_class(
            value if value is not None and isinstance(value, _NEVER_FILTERED) else None, defaults
        )
    rule = None if info.is_stream else build_filter(info.value, encoders)
    if info.has_status:
        return _pair_encoder(defaults, rule)
    if info.is_json and status not in NO_CONTENT:
        if not validate:
            return _json_encoder(defaults, media_type, security, rule)
        encode = _validating(info, _json_encoder(defaults, media_type, security, None), defaults, encoders, decode)
    elif info.response_value is not None and (inside := build_filter(info.response_value, encoders)) is not None:
        encode = lambda value: encode_by_class(_filter_content(inside, value), defaults)  # noqa: E731
    else:
        encode = _expecting(info, defaults)
    if info.event_data is not None and (events := build_filter(info.event_data, encoders)) is not None:
        return _narrowing_events(encode, events)
    if rule is None:
        return encode
    fits = compile_fits(rule)
    return lambda value: encode(value if fits(value) else _filter(rule, value))


# --- by the annotation ---------------------------------------------------------------------------------------------


def _json_encoder(defaults: ResponseDefaults, media_type: str, security: Headers, rule: Rule | None) -> Encoder:
    encoder = msgspec.json.Encoder if media_type == JSON else msgspec.msgpack.Encoder
    encode_value = encoder(enc_hook=defaults.enc_hook).encode
    status = defaults.status
    # PERF: built once; the encoder is bound, not looked up.
    headers = fix_headers([(b"content-type", media_type.encode()), *defaults.headers, *security])

    def encode(value: object) -> EndpointResponse:
        try:
            body = encode_value(value)
        except TypeError:
            if isinstance(value, RESPONSE_CLASSES):
                return encode_by_class(value, defaults)
            raise
        return status, headers, body

    if rule is None:
        return encode
    if isinstance(rule, Fields) and rule.is_flat:
        return FlatEncoder((rule.kind, status, headers, encode_value), rule, encode)
    fits = compile_fits(rule)

    def encode_what_fits(value: object) -> EndpointResponse:
        return (status, headers, encode_value(value)) if fits(value) else encode(_filter(rule, value))

    return encode_what_fits


class FlatEncoder:
    """An encoder of values of one class, and of others once the rule of that is applied to them."""

    # PERF: most values are of the very class that is annotated, which is all that is asked of them. Compiled endpoints
    # look for that by themselves.

    def __init__(self, usual: UsualResult, rule: Fields, encode_any: Encoder) -> None:
        self.usual = usual
        self._rule, self._fits = rule, compile_fits(rule)
        self._encode_any = encode_any

    def __call__(self, value: object) -> EndpointResponse:
        kind, status, headers, encode = self.usual
        if type(value) is kind or self._fits(value):
            return status, headers, encode(value)
        return self._encode_any(_filter(self._rule, value))


def _validating(
    info: ResponseInfo,
    encode: Encoder,
    defaults: ResponseDefaults,
    encoders: TypeEncoders | None,
    decode: Callable[[type, object], object] | None,
) -> Encoder:
    custom = tuple(encoders or ())

    def validate(value: object) -> EndpointResponse:
        if not isinstance(value, RESPONSE_CLASSES):
            plain = msgspec.to_builtins(value, str_keys=True, enc_hook=defaults.enc_hook, builtin_types=custom)
            try:
                msgspec.convert(plain, cast("type", info.value), str_keys=True, dec_hook=decode)
            except msgspec.ValidationError as error:
                fault = {"loc": ["response"], "msg": str(error), "type": "value_error"}
                raise ResponseValidationError([fault]) from None
        return encode(value)

    return validate


def _pair_encoder(defaults: ResponseDefaults, rule: Rule | None) -> Encoder:
    def encode(value: object) -> EndpointResponse:
        if not isinstance(value, tuple) or len(value) != 2:
            return encode_by_class(value if rule is None or rule.fits(value) else _filter(rule, value), defaults)
        content, status = value
        if not isinstance(status, int) or not 200 <= status < 600:
            raise ValueError(
                f"tuple[T, int] is a value and its status, from 200 to 599, which {status!r} is not. For a pair of "
                "values annotate a Struct, or a list."
            )
        given = msgspec.structs.replace(defaults, status=status, empty_status=status)
        return encode_by_class(content if rule is None or rule.fits(content) else _filter(rule, content), given)

    return encode


def _expecting(info: ResponseInfo, defaults: ResponseDefaults) -> Encoder:
    """Return an encoder for values of the class that is annotated, and for any other."""
    inner = type_info(info.value).inner
    # PERF: without the search by the value's class.
    for classes, encode_value in _ENCODERS_BY_CLASS:
        if is_class(inner, classes):
            return lambda value: (
                encode_value(value, defaults) if isinstance(value, classes) else encode_by_class(value, defaults)
            )
    return lambda value: encode_by_class(value, defaults)


# --- filters: nothing is sent that the annotation does not name ----------------------------------------------------


def _filter(rule: Rule, value: object) -> object:
    """Return of a value that does not fit its annotation what does; responses of the handler's own are as they are."""
    return value if isinstance(value, _NEVER_FILTERED) else rule.narrow(value)


def _filter_content(rule: Rule, value: object) -> object:
    """Return a response whose content is filtered by the annotation ``Response[T]``."""
    if not isinstance(value, (Response, JSONResponse)):
        return value
    content = value.content
    if content is None or isinstance(content, (bytes, str)) or rule.fits(content):
        return value
    value.content = rule.narrow(content)
    value.body = value.render(value.content)
    if "content-length" in value.headers:
        value.headers["content-length"] = str(len(value.body))
    return value


_NEVER_FILTERED = (*RESPONSE_CLASSES, Iterator, AsyncIterator)


def _narrowing_events(encode: Encoder, rule: Rule) -> Encoder:
    """Return an encoder of streams, of whose events only what the annotation has is sent; text is as it is."""
    fits = compile_fits(rule)

    def narrow(data: object) -> object:
        return data if isinstance(data, str) or fits(data) else rule.narrow(data)

    def encode_events(value: object) -> EndpointResponse:
        response = encode(value)
        if isinstance(response, EventSourceResponse):
            response.narrow = narrow
        return response

    return encode_events


# --- by the class of a value ---------------------------------------------------------------------------------------


def encode_by_class(value: object, defaults: ResponseDefaults) -> EndpointResponse:
    """Return the response to a value of which the annotation says nothing."""
    return _encoder_of(type(value))(value, defaults)


# PERF: cheaper than asking for one class after the other
_encoder_of: Callable[[type], EncodeValue] = lru_cache(maxsize=512)(
    lambda cls: next((encode for classes, encode in _ENCODERS_BY_CLASS if issubclass(cls, classes)), _encode_json)
)


def _finish_response(response: StarletteResponse, defaults: ResponseDefaults) -> EndpointResponse:
    _set_status(response, defaults)
    response.raw_headers.extend(_missing(response.raw_headers, defaults.headers))
    if any(name == b"set-cookie" for name, _ in response.raw_headers):
        response.raw_headers[:] = make_private(response.raw_headers)
    return response


def _missing(own: Headers, headers: Headers) -> Headers:
    """Return the headers of the layers that a response gets: ``Cache-Control`` unless it has its own."""
    if not headers or all(name != b"cache-control" for name, _ in own):
        return headers
    return [header for header in headers if header[0] != b"cache-control"]


def _encode_file(value: object, defaults: ResponseDefaults) -> EndpointResponse:
    """Return the response to a request for a file: at once where all of it is there. PERF: not as a stream."""
    response = cast("OpenedFile", value)
    if not response.is_complete:
        return _finish_response(response, defaults)
    headers = response.raw_headers
    return make_raw(response.status_code, None, response.answer.body, [*headers, *_missing(headers, defaults.headers)])


def _set_status(response: StarletteResponse, defaults: ResponseDefaults) -> None:
    """Give the status of its route to a response that has its own only by default."""
    own, status = response.status_code, defaults.status
    check_status(own)
    # Starlette's own classes do not tell: they have 200, named or not.
    if type(own) is not DefaultStatus and (own != 200 or isinstance(response, GatewayResponse)):
        return
    if own != 200:  # a redirect, which is no success
        response.status_code = status if status // 100 == own // 100 else int(own)
    elif status not in NO_CONTENT:
        response.status_code = status
    elif not getattr(response, "body", b"x"):
        response.status_code = status
        response.raw_headers[:] = [header for header in response.raw_headers if header[0] != b"content-length"]


def _encode_stream(value: object, defaults: ResponseDefaults) -> EndpointResponse:
    response = defaults.stream_class(value, defaults.status)
    response.raw_headers.extend(defaults.headers)
    return response


def _encode_json(value: object, defaults: ResponseDefaults) -> EndpointResponse:
    return make_raw(defaults.status, _JSON, msgspec.json.encode(value, enc_hook=defaults.enc_hook), defaults.headers)


def _close_django(response: HttpResponseBase) -> None:
    # DJANGO: HttpResponse.close sends request_finished, which for Django ends the request, connections and all. A
    # component may be in a transaction: they are looked after where the thread ends its unit of work.
    with keep_connections_open():
        response.close()


def _encode_django(response: HttpResponseBase, defaults: ResponseDefaults) -> EndpointResponse:
    """Return a response of Django's as one of ours; its cookies and its ``close()`` are kept."""
    headers: list[Header] = [
        (name.encode("ascii").lower(), value.encode("latin-1")) for name, value in response.items()
    ]
    headers += (*set_cookie_headers(response.cookies), *defaults.headers)
    if response.cookies:
        headers = make_private(headers)
    own, is_named = response.status_code, "status_code" in vars(response)  # DJANGO: which HttpResponse(status=) sets
    if not is_named and (own == 200 or defaults.status // 100 == own // 100):
        response.status_code = defaults.status
    if response.streaming:
        # DJANGO: HttpResponse.close sends request_finished, whose receivers look after connections: never on the loop.
        chunks = cast("StreamingHttpResponse", response).streaming_content
        streaming = StreamingResponse(chunks, status_code=response.status_code)
        streaming.on_close = partial(_close_django, response)
        streaming.raw_headers = headers
        return streaming
    body = cast("HttpResponse", response).content
    _close_django(response)
    return make_raw(response.status_code, None, body, headers)


_ENCODERS_BY_CLASS: Sequence[tuple[tuple[type, ...], EncodeValue]] = (
    ((OpenedFile,), _encode_file),
    ((StarletteResponse,), _finish_response),
    ((NoneType,), lambda value, defaults: make_raw(defaults.empty_status, None, b"", defaults.headers)),
    (
        VALUE_MEDIA_TYPES[TEXT],
        lambda value, defaults: make_raw(defaults.status, _TEXT, value.encode(), defaults.headers),
    ),
    (
        VALUE_MEDIA_TYPES[BYTES],
        lambda value, defaults: make_raw(defaults.status, _BYTES, bytes(value), defaults.headers),
    ),
    ((HttpResponseBase,), _encode_django),
    ((Iterator, AsyncIterator), _encode_stream),
)
