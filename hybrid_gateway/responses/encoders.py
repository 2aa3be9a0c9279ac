"""Returned value → status, headers, body. The return annotation picks an encoder once; the rest goes by value."""

from __future__ import annotations

import collections.abc
import types
import typing
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
from django.http import HttpResponseBase
from starlette.responses import Response as StarletteResponse

from hybrid_gateway.exceptions import ResponseValidationError, check_status, error_entry
from hybrid_gateway.headers import NO_CONTENT, fix_headers, make_private, with_content_length
from hybrid_gateway.request.background import join_tasks
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.responses.django_closing import close_response
from hybrid_gateway.responses.negotiation import JSON, MESSAGEPACK
from hybrid_gateway.responses.raw_response import EndpointResponse, RawResponse
from hybrid_gateway.responses.response_classes import (
    TELLING,
    DefaultStatus,
    JSONResponse,
    Response,
    StreamingResponse,
    enc_hook,
    enc_hook_with,
)
from hybrid_gateway.responses.return_filter.filter_builder import build_filter
from hybrid_gateway.responses.return_filter.filter_codegen import compile_fits
from hybrid_gateway.responses.return_filter.filter_rules import Fields, Rule
from hybrid_gateway.responses.server_sent_events import EventSourceResponse, ServerSentEvent
from hybrid_gateway.responses.set_cookie import set_cookie_value
from hybrid_gateway.type_info import is_pydantic_model
from hybrid_gateway.types import Header, Headers

__all__ = [
    "ResponseDefaults",
    "add_outgoing",
    "as_raw",
    "as_response",
    "make_raw",
    "is_event_stream",
    "is_json_type",
    "is_complete",
    "make_encoder",
]


_JSON = (b"content-type", b"application/json")
_TEXT = (b"content-type", b"text/plain; charset=utf-8")
_BYTES = (b"content-type", b"application/octet-stream")

_MAKERS: dict[str, Any] = {JSON: msgspec.json.Encoder, MESSAGEPACK: msgspec.msgpack.Encoder}


class ResponseDefaults(msgspec.Struct, frozen=True):
    """What a route adds to every answer of its handler."""

    status: int | None
    method: str
    headers: tuple[tuple[bytes, bytes], ...] = ()
    hook: Callable[[Any], Any] = enc_hook

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
    security: Sequence[Header] = (),
    validate: bool = False,
    media_type: str = JSON,
    encoders: Mapping[Any, Callable[[Any], Any]] | None = None,
    decode: Callable[[Any, Any], Any] | None = None,
) -> Callable[[Any], EndpointResponse]:
    """The function that makes an answer of what a handler returns; ``validate`` checks that against ``annotation``.

    ``security`` are headers for answers whose headers never change; drivers see to the others. ``encoders`` make plain
    values of custom classes, ``decode`` is msgspec's ``dec_hook`` for the check.
    """
    extra = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in (headers or {}).items()]
    extra += [(b"set-cookie", set_cookie_value(cookie)) for cookie in cookies]
    hook = enc_hook_with(encoders) if encoders else enc_hook
    defaults = ResponseDefaults(status, method, tuple(extra), hook)
    if is_event_stream(annotation):
        return _event_encoder(defaults)
    if annotation in (None, types.NoneType):  # no body, whatever is returned
        return lambda value: _by_value(value if isinstance(value, _AS_THEY_ARE) else None, defaults)
    rule = build_filter(typing.get_args(annotation)[0] if _is_pair(annotation) else annotation, encoders)
    if is_json_type(annotation) and status not in NO_CONTENT:
        if validate:
            encode = _structured_encoder(defaults, media_type, security, None)
            return _keeping(rule, _validating(annotation, encode, defaults, tuple(encoders or ()), decode))
        return _structured_encoder(defaults, media_type, security, rule)
    if _is_pair(annotation):
        return _pair_encoder(defaults, rule)
    inside = _contract_inside(annotation, encoders)
    if inside is not None:
        return _keeping(rule, lambda value: _by_value(_keep_inside(inside, value), defaults))
    return _keeping(rule, lambda value: _by_value(value, defaults))


def _contract_inside(annotation: Any, encoders: Mapping[Any, Callable[[Any], Any]] | None) -> Rule | None:
    """The rule of what is in a ``Response[T]``, or in that of a union."""
    members = typing.get_args(annotation) if typing.get_origin(annotation) in _UNIONS else (annotation,)
    for member in members:
        origin = typing.get_origin(member)
        if isinstance(origin, type) and issubclass(origin, _WITH_CONTENT):
            return build_filter(typing.get_args(member)[0], encoders)
    return None


def _keep_inside(rule: Rule, value: Any) -> Any:
    """A response with nothing in it that the annotation of its content has not got."""
    content = getattr(value, "content", None) if isinstance(value, _WITH_CONTENT) else None
    if content is None or isinstance(content, (bytes, str)) or rule.fits(content):
        return value
    value.content = rule.narrow(content)
    value.body = value.render(value.content)
    if "content-length" in value.headers:
        value.headers["content-length"] = str(len(value.body))
    return value


_UNIONS = (typing.Union, types.UnionType)
_WITH_CONTENT = (Response, JSONResponse)


def _keeping(rule: Rule | None, encode: Callable[[Any], EndpointResponse]) -> Callable[[Any], EndpointResponse]:
    """``encode``, to whom nothing comes that the annotation has not got."""
    if rule is None:
        return encode
    fits = compile_fits(rule)
    return lambda value: encode(value if fits(value) else _narrowed(rule, value))


def _narrowed(rule: Rule, value: Any) -> Any:
    """Of a value that does not fit its annotation, what does; answers of the handler's own are what they are."""
    return value if isinstance(value, _AS_THEY_ARE) else rule.narrow(value)


_AS_THEY_ARE = (StarletteResponse, HttpResponseBase, Iterator, AsyncIterator)


def _structured_encoder(
    defaults: ResponseDefaults, media_type: str, security: Sequence[Header], rule: Rule | None
) -> Callable[[Any], EndpointResponse]:
    encode_value = _MAKERS[media_type](enc_hook=defaults.hook).encode
    status = defaults.status_for(...)
    # PERF: built once; the encoder is bound, not looked up.
    headers = fix_headers([(b"content-type", media_type.encode()), *defaults.headers, *security])

    def encode(value: Any) -> EndpointResponse:
        try:
            body = encode_value(value)
        except TypeError:
            if isinstance(value, (StarletteResponse, HttpResponseBase)):
                return _by_value(value, defaults)
            raise
        return status, headers, body

    if rule is None:
        return encode
    fits, kind = compile_fits(rule), rule.kind if isinstance(rule, Fields) and rule.is_flat else None

    def encode_what_fits(value: Any) -> EndpointResponse:
        # PERF: most values are of the very class that is annotated, which is all that is asked of them.
        if type(value) is kind or fits(value):
            return status, headers, encode_value(value)
        return encode(_narrowed(rule, value))

    return encode_what_fits


def _validating(
    annotation: Any,
    encode: Callable[[Any], EndpointResponse],
    defaults: ResponseDefaults,
    custom: tuple[Any, ...],
    decode: Callable[[Any, Any], Any] | None,
) -> Callable[[Any], EndpointResponse]:
    def validate(value: Any) -> EndpointResponse:
        if not isinstance(value, (StarletteResponse, HttpResponseBase)):
            plain_value = msgspec.to_builtins(value, str_keys=True, enc_hook=defaults.hook, builtin_types=custom)
            try:
                msgspec.convert(plain_value, annotation, str_keys=True, dec_hook=decode)
            except msgspec.ValidationError as error:
                raise ResponseValidationError([error_entry(("response",), str(error))]) from None
        return encode(value)

    return validate


def _pair_encoder(defaults: ResponseDefaults, rule: Rule | None) -> Callable[[Any], EndpointResponse]:
    def keep(value: Any) -> Any:
        return value if rule is None or rule.fits(value) else _narrowed(rule, value)

    def encode(value: Any) -> EndpointResponse:
        if isinstance(value, tuple) and len(value) == 2:
            content, status = value
            if not isinstance(status, int) or not 200 <= status < 600:
                raise ValueError(_NO_STATUS.format(status))
            return _by_value(keep(content), msgspec.structs.replace(defaults, status=status))
        return _by_value(keep(value), defaults)

    return encode


_NO_STATUS = (
    "tuple[T, int] is a value and its status, from 200 to 599, which {!r} is not. For a pair of values annotate a "
    "Struct, or a list."
)


def _event_encoder(defaults: ResponseDefaults) -> Callable[[Any], EndpointResponse]:
    def encode(value: Any) -> EndpointResponse:
        if not isinstance(value, (Iterator, AsyncIterator)):
            return _by_value(value, defaults)
        response = EventSourceResponse(value, status_code=defaults.status_for(value))
        response.raw_headers.extend(defaults.headers)
        return response

    return encode


def is_event_stream(annotation: Any) -> bool:
    """An iterator of ``ServerSentEvent``, sync or async."""
    return typing.get_origin(annotation) in _ITERATORS and typing.get_args(annotation)[0] is ServerSentEvent


_ITERATORS = (
    collections.abc.Iterator,
    collections.abc.AsyncIterator,
    collections.abc.Generator,
    collections.abc.AsyncGenerator,
    collections.abc.Iterable,
    collections.abc.AsyncIterable,
)


def is_json_type(annotation: Any) -> bool:
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
        or is_pydantic_model(origin)
    )


def _is_pair(annotation: Any) -> bool:
    """``tuple[T, int]``, a value and its status."""
    arguments = typing.get_args(annotation)
    return typing.get_origin(annotation) is tuple and len(arguments) == 2 and arguments[1] is int


def _by_value(value: Any, defaults: ResponseDefaults) -> EndpointResponse:
    if isinstance(value, StarletteResponse):
        _give_status(value, defaults)
        value.raw_headers.extend(defaults.headers)
        if any(name == b"set-cookie" for name, _ in value.raw_headers):
            value.raw_headers[:] = make_private(value.raw_headers)
        return value
    status = defaults.status_for(value)
    if value is None:
        return make_raw(status, None, b"", defaults.headers)
    if isinstance(value, str):
        return make_raw(status, _TEXT, value.encode(), defaults.headers)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return make_raw(status, _BYTES, bytes(value), defaults.headers)
    if isinstance(value, HttpResponseBase):
        return _from_django(value, defaults)
    if isinstance(value, (Iterator, AsyncIterator)):
        return _stream(value, status, defaults)
    return make_raw(status, _JSON, msgspec.json.encode(value, enc_hook=defaults.hook), defaults.headers)


def is_complete(answer: EndpointResponse) -> bool:
    """Whether nothing of the project runs any more while the answer is sent."""
    if type(answer) is tuple:
        return True
    sends_body = type(answer).__call__ is StarletteResponse.__call__
    return sends_body or getattr(answer, "is_rendered", False)


def _give_status(response: StarletteResponse, defaults: ResponseDefaults) -> None:
    """The status of its route to a response that has named none, as far as anybody can tell."""
    has, status = response.status_code, defaults.status_for(response)
    check_status(has)
    # Of Starlette's own classes nobody can: 200 is what they have, named or not.
    if type(has) is not DefaultStatus and (has != 200 or isinstance(response, TELLING)):
        return
    if has != 200:  # a redirect, which is no success
        response.status_code = status if status // 100 == has // 100 else int(has)
    elif status not in NO_CONTENT:
        response.status_code = status
    elif not getattr(response, "body", b"x"):
        response.status_code = status
        response.raw_headers[:] = [header for header in response.raw_headers if header[0] != b"content-length"]


def as_response(answer: EndpointResponse) -> StarletteResponse:
    """An answer as a response object that hooks may read and change; a response is itself."""
    if isinstance(answer, StarletteResponse):
        return answer
    status, headers, body = answer
    response: Response[Any] = Response(status_code=status)
    response.body = body
    response.raw_headers = with_content_length(status, headers, body)
    return response


def as_raw(response: StarletteResponse) -> EndpointResponse:
    """The other way round, for a response that has nothing to do but send its body."""
    if type(response) not in (Response, StarletteResponse) or response.background is not None:
        return response
    return make_raw(response.status_code, None, bytes(response.body), response.raw_headers)


def add_outgoing(ctx: RequestContext, answer: EndpointResponse) -> EndpointResponse:
    """``answer`` with the headers, the cookies and the status that a handler gave the ``Response`` it asked for."""
    given = ctx.outgoing
    if given.background is not None:
        answer = as_response(answer)
        answer.background = join_tasks(answer.background, given.background)
    if isinstance(answer, StarletteResponse):
        answer.raw_headers.extend(given.raw_headers)
        answer.status_code = given.status_code or answer.status_code
        check_status(answer.status_code)
        return answer
    status, headers, body = answer
    check_status(given.status_code or status)
    return given.status_code or status, [*headers, *given.raw_headers], body


def make_raw(status: int, content_type: Header | None, body: bytes, headers: Headers = ()) -> RawResponse:
    """A whole answer; a status that allows no content has none."""
    lines = [] if content_type is None else [content_type]
    lines += [header for header in headers if header[0] != b"content-length"]
    return status, lines, b"" if status in NO_CONTENT else body


def _stream(value: Any, status: int, defaults: ResponseDefaults) -> StreamingResponse:
    response = StreamingResponse(value, status_code=status, media_type="application/octet-stream")
    response.raw_headers.extend(defaults.headers)
    return response


def _from_django(response: Any, defaults: ResponseDefaults) -> EndpointResponse:
    """A Django response as an answer; its cookies, reason-less status and ``close()`` are kept."""
    headers = [(name.encode("ascii").lower(), value.encode("latin-1")) for name, value in response.items()]
    headers += [(b"set-cookie", morsel.OutputString().encode("ascii")) for morsel in response.cookies.values()]
    headers += defaults.headers
    if "status_code" not in vars(response):  # DJANGO: which HttpResponse(status=) sets
        status = defaults.status_for(response)
        if response.status_code == 200 or status // 100 == response.status_code // 100:
            response.status_code = status
    if response.cookies:
        headers = make_private(headers)
    if response.streaming:
        return _stream_from_django(response, headers)
    body = response.content
    close_response(response)
    return make_raw(response.status_code, None, body, headers)


def _stream_from_django(response: Any, headers: list[Header]) -> StreamingResponse:
    # DJANGO: HttpResponse.close sends request_finished, whose receivers look after connections: never on the loop.
    streaming = StreamingResponse(response.streaming_content, status_code=response.status_code)
    streaming.on_close = partial(close_response, response)
    streaming.raw_headers = headers
    return streaming
