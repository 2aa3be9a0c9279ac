"""The options every layer takes: one table of their defaults, of how layers add up, and of how settings are read.

How this works: :class:`LayerOptions` is what a project writes, with the documentation of each option. :class:`Layers`
is what the layers around a handler add up to; each of its fields carries its row of the table, an :class:`Option`, and
:data:`OPTIONS` is that table by name. ``HYBRID_GATEWAY`` and ``docs/settings.md`` are made from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, TypedDict, get_type_hints

import msgspec

from hybrid_gateway.access_control import AuthenticationScheme, Guard, as_guard, as_scheme
from hybrid_gateway.exceptions import ConfigurationError, RouteError
from hybrid_gateway.setting_readers import (
    SettingReader,
    anything,
    boolean,
    import_each,
    import_mapping,
    import_names,
    import_object,
    import_one_or_several,
    positive,
    typed,
)
from hybrid_gateway.types import Handler


class LayerOptions(TypedDict, total=False):
    """The options every layer takes: gateway, router, controller, handler."""

    components: Sequence[object]
    """Components and provider functions; an inner one replaces an outer one of the same type."""
    authentication: Sequence[object]
    """Authentication schemes, tried in order; the closest list replaces outer ones."""
    guards: Sequence[object]
    """Callables that may reject a request; they add up, outer to inner, and ``AllowAny`` drops the outer ones."""
    csrf_exempt: bool
    """Whether unsafe methods need no CSRF token where a cookie authenticates: for projects that check otherwise."""
    middleware: Sequence[object]
    """Pure ASGI middleware (``app -> app`` callables or Starlette ``Middleware``); they add up, outer to inner."""
    django_middleware: Sequence[str]
    """Dotted paths of Django middleware that runs around the handlers, inside ``middleware``; they add up, outer to
    inner. Handlers may then ask for the ``HttpRequest``. It costs what a Django request costs."""
    event_hooks: Sequence[object]
    """Classes with any of ``on_request``, ``on_response``, ``on_error``, one instance per request, parameters injected.

    They run in order on the way in, before authentication, and reversed on the way out; they add up, outer to inner.
    ``on_response`` may ask for the ``Response``, change it, or return another. ``on_error`` runs in its place where an
    exception became a 5xx, and may ask for the ``Exception`` as well.
    """
    before_request: Handler | Sequence[Handler]
    """Functions that run first, parameters injected; what one returns is the response, and the handler does not run."""
    after_request: Handler | Sequence[Handler]
    """Functions that may ask for each ``Response``, those to errors included, change it, or return another."""
    after_response: Handler | Sequence[Handler]
    """Functions that run once the response has been sent."""
    cors: object
    """A ``CORS``: which pages of other origins may read the responses; ``None`` for none."""
    throttle: Sequence[object]
    """Rate limits such as ``"100/minute"`` (see ``Throttle``); they add up, and each counts all below its layer.
    ``NoThrottle`` among them drops those of outer layers."""
    throttle_fail: Literal["open", "closed"]
    """Whether requests with a rate limit pass while its cache cannot be reached (``"open"``, the default), or are
    rejected with 503 (``"closed"``)."""
    exception_handlers: Mapping[Any, Handler]
    """Exception class or status code → handler with injected parameters; the closest one wins."""
    tags: Sequence[str]
    """OpenAPI tags; they add up."""
    security: Sequence[Mapping[str, Sequence[str]]]
    """OpenAPI security requirements that replace those derived from ``authentication``."""
    response_headers: Mapping[str, str | None]
    """Headers added to every response of a handler; ``None`` removes one of Django's security headers."""
    response_cookies: Sequence[object]
    """Cookies (name, value pairs, dicts of attributes with ``key``, or ``http.cookies.Morsel``) set on every response
    of a handler; one with ``"documentation_only": True`` is set by the handler, and the document tells of it."""
    media_types: Sequence[str]
    """Media types of JSON values, sent and received, best first: ``"application/json"`` (alone by default) and
    ``"application/msgpack"``. Clients choose by ``Accept`` and ``Content-Type``; what is not offered is 406 and 415."""
    type_encoders: Mapping[type, Handler]
    """Class → function that makes plain values of its instances: ``{Money: str}``. The closest one wins."""
    type_decoders: Mapping[type, Handler]
    """Class → function that makes an instance of a JSON value, or of the text of a parameter: ``{Money: Money.parse}``.
    A ``ValueError`` or ``TypeError`` is a 422 at the right place."""
    parameters: Mapping[str, object]
    """Parameters that every handler below requires, such as ``{"tenant": Annotated[str, Header(alias="X-Tenant")]}``.
    A handler that names one gets its value."""
    listeners: Sequence[object]
    """Functions that listen to events (``@on("order.paid")``). They add up over the whole gateway: an event reaches all
    of them, whichever layer lists them."""
    emit_signals: bool
    """Whether Django's ``request_started`` and ``request_finished`` are sent around each request, as Django's pages
    send them. Requests of websockets send none."""
    signature_namespace: Mapping[str, object]
    """Names in the annotations of handlers, hooks, guards and components that their modules import for type checkers
    alone: ``{"Order": Order}``. A name that a module has itself means what it means there."""
    cache_control: str | Mapping[str, object]
    """``Cache-Control`` of every response of a handler: ``"no-store"``, or ``{"public": True, "max_age": 60}``."""
    cache: object
    """Seconds for which responses to GET are stored in Django's cache, or a ``Cache`` that says more; ``None`` stores
    none."""
    etag: bool
    """Whether responses to GET have an ``ETag`` of their body; a client that has it gets a 304."""
    compression: object
    """A ``Compression``, ``True`` for one with its defaults, ``False`` for none."""
    validate_response: bool
    """Whether returned values are checked against the annotation; a fault is a logged 500. Follows ``DEBUG``."""
    atomic: bool | str
    """Whether a ``def`` handler runs in one transaction (of the database of that alias): undone by an exception, and by
    a response of 400 or more."""
    pagination: object
    """``PageNumber()``, ``LimitOffset()`` or ``Cursor()`` of ``hybrid_gateway.orm``: how lists of a ``ModelStruct`` are
    sent, page by page; ``None`` for whole ones."""
    opt: Mapping[str, object]
    """Values of the project's own, which guards and hooks read from ``route.opt``."""
    include_in_schema: bool
    """Whether the OpenAPI document shows the route."""
    timeout: float | None
    """Seconds until a handler, with all it needs, must have responded; then it is 504. An ``async def`` handler is
    cancelled. Code on a thread runs to its end, which is not awaited. ``None`` waits for ever."""
    max_body_size: int
    """Bytes of a request body that are read at most; more is 413."""
    max_upload_size: int
    """Bytes of a form that are read at most, which may hold files; more is 413."""
    allowed_origins: Sequence[str]
    """Pages that may open websockets, besides those of the same host, of ``CSRF_TRUSTED_ORIGINS`` and of ``cors``:
    ``["https://shop.example", "https://*.shop.example"]``; ``["*"]`` is every page there is."""
    max_connections_per_address: int
    """Open websockets of one address (of one /64, with IPv6) in a process; more are 429. Every layer's limit counts all
    below it."""
    max_connections_per_user: int
    """Open websockets of one user in a process; more are 429. Every layer's limit counts all below it."""
    mode: Literal["json", "msgpack"]
    """Frames of websockets: text frames of JSON, or binary frames of MessagePack."""
    max_message_size: int
    """Bytes of one message of a websocket's client; more closes with 1009."""
    message_throttle: Sequence[str]
    """Rates such as ``"20/second"``, for the messages of one websocket: more are answered 429, and after ten in a row
    the connection is closed with 4429."""
    send_queue: int | tuple[int, int]
    """Messages, or messages and bytes, that wait for one websocket's client: whoever sends waits while there are more,
    and a client that reads nothing for long is cut with 4408."""
    ping_interval: float | None
    """Seconds between pings to a websocket's client, and until it must have answered; ``None`` sends none."""
    idle_timeout: float | None
    """Seconds without a message after which a websocket is closed with 1001; ``None`` waits for ever."""
    max_lifetime: float | None
    """Seconds after which a websocket is closed with 1001, whatever it does; ``None`` lets it live."""


# --- how layers add up: merge(outer, inner) -----------------------------------------------------------------------


class _WrongShape(Exception):
    """An inner value of the wrong shape; the message says what it must be, ``{name}`` stands for the option."""


def replace(outer: object, inner: object) -> object:
    """The inner value replaces the outer one."""
    return inner


def replace_list(outer: object, inner: object) -> tuple[object, ...]:
    """The inner list replaces the outer one."""
    return _entries(inner)


def append(outer: tuple[object, ...], inner: object) -> tuple[object, ...]:
    """The inner list is added to the outer one."""
    return (*outer, *_entries(inner))


def append_count(outer: tuple[object, ...], inner: tuple[str, object]) -> tuple[object, ...]:
    """The inner limit applies beside the outer ones."""
    if isinstance(inner[1], bool) or not isinstance(inner[1], int) or inner[1] < 1:
        raise _WrongShape("must be a number of websockets, 1 or more.")
    return (*outer, inner)


def append_guards(outer: tuple[Guard, ...], inner: object) -> tuple[Guard, ...]:
    """The inner list is added to the outer one, unless one of its guards drops the outer ones."""
    guards = tuple(as_guard(entry) for entry in _entries(inner))
    return guards if any(guard.drops_outer_guards for guard in guards) else (*outer, *guards)


class NoThrottle:
    """In ``throttle=[...]`` of a layer: the limits of outer layers do not apply below it; those beside it do."""


def append_limits(outer: tuple[tuple[str, object], ...], inner: object) -> tuple[tuple[str, object], ...]:
    """The inner limits apply beside the outer ones, unless ``NoThrottle`` among them drops those."""
    limits = [limit for limit in _entries(inner) if isinstance(limit, tuple)]
    kept = [(place, limit) for place, limit in limits if limit is not NoThrottle and not isinstance(limit, NoThrottle)]
    return (*(outer if len(kept) == len(limits) else ()), *kept)


class DefaultSchemes(tuple[object, ...]):
    """Schemes for routes that are included anywhere: they apply where no layer around them names any."""


def replace_schemes(outer: tuple[AuthenticationScheme, ...], inner: object) -> tuple[AuthenticationScheme, ...]:
    """The inner list replaces the outer one; classes of schemes become instances."""
    if outer and isinstance(inner, DefaultSchemes):
        return outer
    return tuple(as_scheme(entry) for entry in _entries(inner))


def append_functions(outer: tuple[object, ...], inner: object) -> tuple[object, ...]:
    """The inner function, or list of them, is added to the outer ones."""
    return (*outer, inner) if callable(inner) else (*outer, *_one_or_several(inner))


def append_cookies(outer: tuple[object, ...], inner: object) -> tuple[object, ...]:
    """The inner cookies are added to the outer ones."""
    if isinstance(inner, Mapping):  # one cookie with its attributes, or names and values
        return (*outer, inner) if "key" in inner else (*outer, *inner.items())
    return (*outer, *_one_or_several(inner))


def update(outer: Mapping[object, object], inner: object) -> dict[object, object]:
    """The inner entries are added to the outer ones, and replace those of the same key."""
    if not isinstance(inner, Mapping):
        raise _WrongShape("must be a dict.")
    return {**outer, **inner}


def _entries(value: object) -> tuple[object, ...]:
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise _WrongShape("must be a list: {name}=[...].")
    return tuple(value)


def _one_or_several(value: object) -> Iterable[object]:
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise _WrongShape("must be a list, or one of what it lists.")
    return value


# --- the table ------------------------------------------------------------------------------------------------------


class Option(msgspec.Struct, frozen=True):
    """A row of the table: how the values of two layers add up, and how the setting of the same name is read."""

    merge: Callable[..., object]  # of the outer value and the inner one
    read: SettingReader
    holds_functions: bool = False  # those of a controller's body that ask for ``self`` become methods
    default: object = None  # that of the field


_replaced = Option(replace, anything)
_imported = Option(replace, import_object)
_switch = Option(replace, boolean)
_listed = Option(append, import_each)
_functions = Option(append_functions, import_one_or_several, holds_functions=True)
_mapping = Option(update, anything)
_seconds = Option(replace, typed(float | None, "a number of seconds, or None"))
_count = Option(append_count, positive("a number of websockets, 1 or more"))
_size = Option(replace, positive("a number of bytes, 1 or more"))


class Layers(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a handler with those of all layers around it; :class:`LayerOptions` documents them."""

    components: Annotated[tuple[object, ...], Option(append, import_each, holds_functions=True)] = ()  # outer to inner
    authentication: Annotated[tuple[AuthenticationScheme, ...], Option(replace_schemes, import_each)] = ()
    guards: Annotated[tuple[Guard, ...], Option(append_guards, import_each, holds_functions=True)] = ()
    csrf_exempt: Annotated[bool, _switch] = False
    middleware: Annotated[tuple[object, ...], _listed] = ()
    django_middleware: Annotated[tuple[str, ...], Option(append, anything)] = ()
    event_hooks: Annotated[tuple[object, ...], _listed] = ()
    before_request: Annotated[tuple[Handler, ...], _functions] = ()
    after_request: Annotated[tuple[Handler, ...], _functions] = ()
    after_response: Annotated[tuple[Handler, ...], _functions] = ()
    cors: Annotated[Any, _imported] = None
    throttle: Annotated[tuple[tuple[str, Any], ...], Option(append_limits, anything)] = ()  # where it stands, and what
    throttle_fail: Annotated[
        Literal["open", "closed"], Option(replace, typed(Literal["open", "closed"], '"open" or "closed"'))
    ] = "open"
    exception_handlers: Annotated[
        dict[type[Exception] | int, Handler], Option(update, import_mapping, holds_functions=True)
    ] = {}
    tags: Annotated[tuple[str, ...], Option(append, anything)] = ()
    security: Annotated[tuple[Mapping[str, Sequence[str]], ...] | None, Option(replace_list, anything)] = None
    response_headers: Annotated[dict[str, str | None], _mapping] = {}
    response_cookies: Annotated[tuple[object, ...], Option(append_cookies, anything)] = ()
    media_types: Annotated[tuple[str, ...], Option(replace_list, anything)] = ()  # JSON alone
    type_encoders: Annotated[dict[type, Handler], Option(update, import_mapping)] = {}
    type_decoders: Annotated[dict[type, Handler], Option(update, import_mapping)] = {}
    parameters: Annotated[dict[str, object], _mapping] = {}
    listeners: Annotated[tuple[object, ...], _listed] = ()
    emit_signals: Annotated[bool, _switch] = False
    signature_namespace: Annotated[dict[str, object], Option(update, import_names)] = {}
    cache_control: Annotated[str | Mapping[str, Any] | None, _replaced] = None
    etag: Annotated[bool, _switch] = False
    cache: Annotated[Any, _imported] = None
    compression: Annotated[Any, _imported] = False
    validate_response: Annotated[bool | None, _switch] = None  # None follows DEBUG
    atomic: Annotated[bool | str, Option(replace, typed(bool | str, "True, False or the alias of a database"))] = False
    pagination: Annotated[object, _imported] = None
    opt: Annotated[dict[str, object], _mapping] = {}
    include_in_schema: Annotated[bool, _switch] = True
    timeout: Annotated[float | None, _seconds] = None
    max_body_size: Annotated[int, _size] = 1024 * 1024
    max_upload_size: Annotated[int, _size] = 50 * 1024 * 1024
    allowed_origins: Annotated[tuple[str, ...], Option(replace_list, anything)] = ()
    max_connections_per_address: Annotated[tuple[tuple[str, int], ...], _count] = ()  # with the place it stands at
    max_connections_per_user: Annotated[tuple[tuple[str, int], ...], _count] = ()
    mode: Annotated[
        Literal["json", "msgpack"], Option(replace, typed(Literal["json", "msgpack"], '"json" or "msgpack"'))
    ] = "json"
    max_message_size: Annotated[int, _size] = 64 * 1024
    message_throttle: Annotated[tuple[str, ...], Option(replace_list, anything)] = ()
    send_queue: Annotated[int | tuple[int, int], Option(replace, anything)] = (256, 1024 * 1024)
    ping_interval: Annotated[float | None, _seconds] = 20.0
    idle_timeout: Annotated[float | None, _seconds] = None
    max_lifetime: Annotated[float | None, _seconds] = None

    def inside(self, options: Mapping[str, object], place: str = "") -> Layers:
        """Return these layers with one more inside them, which stands at ``place``; other names are left alone.

        Raises :class:`RouteError` for one thing, or a text, where there must be a list, and the like.
        """
        changes: dict[str, object] = {}
        for name, value in options.items():
            if name == "throttle":  # each counts all below its layer, and its key has the place
                limits = value if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
                value = [(place, limit) for limit in limits]
            elif name in ("max_connections_per_address", "max_connections_per_user"):
                value = (place, value)
            if name in OPTIONS:
                try:
                    changes[name] = OPTIONS[name].merge(getattr(self, name), value)
                except _WrongShape as error:
                    where = f"{place}: " if place else ""
                    raise RouteError(
                        f"{where}{name}={options[name]!r} {str(error).format(name=name)}", id="R025"
                    ) from None
                except ConfigurationError as error:
                    raise RouteError(f"{place}: {error.text}" if place else error.text, id=error.id) from error
        return msgspec.structs.replace(self, **changes)

    def for_protocol(self, protocol: Literal["http", "websocket"]) -> Layers:
        """Return these layers with those schemes alone that apply to routes of that kind."""
        schemes = tuple(scheme for scheme in self.authentication if protocol in scheme.protocols)
        return self if schemes == self.authentication else msgspec.structs.replace(self, authentication=schemes)


OPTIONS: Mapping[str, Option] = {
    name: msgspec.structs.replace(hint.__metadata__[0], default=getattr(Layers(), name))
    for name, hint in get_type_hints(Layers, include_extras=True).items()
}
LAYER_OPTIONS = frozenset(OPTIONS)
