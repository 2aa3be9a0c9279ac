"""``settings.HYBRID_GATEWAY`` as one frozen Struct, read when first needed and again after ``setting_changed``.

How this works: :class:`GatewaySettings` is the table of settings. Each field has its default, the reader that checks it
and its documentation; options of the gateway's layer are rows of :data:`hybrid_gateway.layer_options.OPTIONS`.
:data:`READERS`, which knows every key, and ``docs/settings.md`` (by ``scripts/docs_tables.py``) are made of both.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict, TypeVar, get_type_hints

import django
import msgspec
from django.apps import apps
from django.conf import settings
from django.core.signals import setting_changed

from hybrid_gateway.exceptions import SettingsError
from hybrid_gateway.layer_options import OPTIONS
from hybrid_gateway.problems.places import place_of_setting
from hybrid_gateway.setting_readers import (
    SettingReader,
    boolean,
    expected,
    import_each,
    import_object,
    positive,
    seconds,
    typed,
)
from hybrid_gateway.spelling import check_options

__all__ = [
    "READERS",
    "ChannelsSettings",
    "GatewaySettings",
    "HybridGatewaySettings",
    "OpenAPISettings",
    "TokenSettings",
    "get_settings",
    "set_up_django",
]

DjangoSideMode = Literal["auto", "wsgi", "asgi"]
TrailingSlash = Literal["redirect", "strict", "ignore"]
EncodedSlashes = Literal["refuse", "django"]


class HybridGatewaySettings(TypedDict, total=False):
    """The shape of ``settings.HYBRID_GATEWAY``; annotate the dict with it to have it checked by a type checker."""

    ROUTES: str
    ALLOWED_DJANGO_ROUTES: Sequence[str]
    COMPONENTS: Sequence[object]
    AUTHENTICATION: Sequence[object]
    GUARDS: Sequence[object]
    MIDDLEWARE: Sequence[object]
    EXCEPTION_HANDLERS: Mapping[Any, object]
    EVENT_HOOKS: Sequence[object]
    DJANGO_SIDE: DjangoSideMode
    FALLTHROUGH: bool
    TRAILING_SLASH: TrailingSlash
    ENCODED_SLASHES: EncodedSlashes
    THREADS: int
    BODY_TIMEOUT: float
    GRACEFUL_TIMEOUT: float
    MAX_WEBSOCKETS: int
    PDB_ON_EXCEPTION: bool
    MAX_BODY_SIZE: int
    MAX_UPLOAD_SIZE: int
    CHANNELS: str | Mapping[str, object]
    STORES: Mapping[str, object]
    OPENAPI: Mapping[str, object]
    TOKENS: Mapping[str, object]
    DJANGO_WEBSOCKETS: object
    PATH: str
    PLUGINS: Sequence[object]
    LIFESPAN: Sequence[object]
    LISTENERS: Sequence[object]
    ON_STARTUP: Sequence[object]
    ON_SHUTDOWN: Sequence[object]
    HEALTH_CHECKS: Sequence[object]
    STATE: object
    # The other options of a layer, as those of a router: hybrid_gateway.layer_options.LayerOptions
    AFTER_REQUEST: object
    AFTER_RESPONSE: object
    ATOMIC: bool | str
    BEFORE_REQUEST: object
    CACHE: object
    CACHE_CONTROL: object
    COMPRESSION: object
    CORS: object
    DJANGO_MIDDLEWARE: Sequence[str]
    EMIT_SIGNALS: bool
    ETAG: bool
    CSRF_EXEMPT: bool
    INCLUDE_IN_SCHEMA: bool
    MEDIA_TYPES: Sequence[str]
    OPT: Mapping[str, object]
    PAGINATION: object
    PARAMETERS: Mapping[str, object]
    RESPONSE_COOKIES: Sequence[object]
    RESPONSE_HEADERS: Mapping[str, str | None]
    SECURITY: Sequence[object]
    SIGNATURE_NAMESPACE: Mapping[str, object]
    TAGS: Sequence[str]
    THROTTLE: Sequence[object]
    THROTTLE_FAIL: Literal["open", "closed"]
    TIMEOUT: float | None
    TYPE_DECODERS: Mapping[Any, object]
    TYPE_ENCODERS: Mapping[Any, object]
    VALIDATE_RESPONSE: bool
    # of websockets
    IDLE_TIMEOUT: float | None
    MAX_LIFETIME: float | None
    ALLOWED_ORIGINS: Sequence[str]
    MAX_CONNECTIONS_PER_ADDRESS: int
    MAX_CONNECTIONS_PER_USER: int
    MAX_MESSAGE_SIZE: int
    MESSAGE_THROTTLE: Sequence[str]
    MODE: Literal["json", "msgpack"]
    PING_INTERVAL: float | None
    SEND_QUEUE: int | tuple[int, int]


class OpenAPISettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``OPENAPI``: the titles of the document, and where it and its page are served."""

    title: str = "API"
    version: str = "1.0.0"
    description: str = ""
    path: str = "/openapi.json"
    asyncapi: str = "/asyncapi.json"  # the document of websockets, served where there are any
    docs: str = "/docs"
    enabled: bool | None = None  # None follows DEBUG
    staff_only: bool = False  # the document and its pages are for those who may enter the admin
    assets: str = "https://cdn.jsdelivr.net/npm"  # where the other pages load their scripts from
    webhooks: tuple[Any, ...] = ()  # routes that others are to offer, for the document alone


class TokenSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``TOKENS``: how long credentials live, and how often somebody may try a password."""

    login_lifetime: timedelta = timedelta(days=30)  # Django's sessions live two weeks by default, and are renewed
    max_lifetime: timedelta | None = None  # of every token of ours, whatever it was issued for
    access_lifetime: timedelta = timedelta(minutes=10)  # of an access JWT
    refresh_lifetime: timedelta = timedelta(days=30)  # of the login behind it; refreshing does not put off its end
    login_throttle: tuple[str, ...] = ("30/minute",)  # failed logins from one address; () is no limit
    user_throttle: tuple[str, ...] = ("10/minute", "100/hour")  # failed logins with one name, or of one user
    throttle_cache: str = "default"  # an alias of CACHES
    throttle_fail: Literal["open", "closed"] = "open"  # while it cannot be reached: log in uncounted, or 503


class StoreSettings(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of ``STORES``: the class of a store, and its arguments."""

    backend: str
    options: dict[str, Any] = {}

    def __repr__(self) -> str:  # SECURITY: the address of a store has a password in it
        return f"<StoreSettings {self.backend}>"


class ChannelsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``CHANNELS``: the class of the back end, and its arguments."""

    backend: str = "hybrid_gateway.channels.memory_backend.MemoryBackend"
    options: dict[str, Any] = {}

    def __repr__(self) -> str:  # SECURITY: the options of a back end hold passwords
        return f"<ChannelsSettings {self.backend}>"


# --- readers of single settings --------------------------------------------------------------------------------------

Section = TypeVar("Section", OpenAPISettings, TokenSettings)


def _prefixes(key: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise expected(key, 'a tuple of path prefixes such as ("/admin/",)', value)
    for prefix in value:
        if not isinstance(prefix, str) or not prefix.startswith("/"):
            raise SettingsError(
                f"HYBRID_GATEWAY[{key!r}] holds {prefix!r}; a prefix is a string that starts with '/'.", id="S002"
            )
    return tuple(value)


def _application(key: str, value: object) -> object:
    app = import_object(key, value)
    if app is not None and (not callable(app) or isinstance(app, type)):
        raise expected(key, 'an ASGI application or its dotted path, such as "config.routing.application"', app)
    return app


def _read_section(key: str, value: object, section: type[Section]) -> Section:
    if not isinstance(value, Mapping):
        raise expected(key, "a dict", value)
    where = f"HYBRID_GATEWAY[{key!r}]"
    check_options(value, [name.upper() for name in section.__struct_fields__], where, SettingsError, word="key")
    for name, entry in value.items():
        if isinstance(entry, timedelta) and entry <= timedelta(0):
            raise SettingsError(f"{where}[{name!r}] must be a positive timedelta, not {entry!r}.", id="S002")
    try:
        return msgspec.convert({name.lower(): entry for name, entry in value.items()}, section)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{where}: {error}", id="S002") from None


def _openapi(key: str, value: object) -> OpenAPISettings:
    section = _read_section(key, value, OpenAPISettings)
    return msgspec.structs.replace(section, webhooks=import_each(key, section.webhooks))


_REDIS = "hybrid_gateway.channels.backends.redis_streams.RedisBackend"
_POSTGRESQL = "hybrid_gateway.channels.backends.postgres_notify.PostgreSQLBackend"


def _channels(key: str, value: object) -> ChannelsSettings:
    if value == "memory":
        return ChannelsSettings()
    if value == "postgresql":
        return ChannelsSettings(backend=_POSTGRESQL)
    if isinstance(value, str) and value.startswith(("redis://", "rediss://", "unix://", "valkey://", "valkeys://")):
        return ChannelsSettings(backend=_REDIS, options={"url": value})
    if isinstance(value, Mapping) and isinstance(value.get("BACKEND"), str):
        options = {str(name).lower(): option for name, option in value.items() if name != "BACKEND"}
        import_each(key, [value["BACKEND"]])
        return ChannelsSettings(backend=value["BACKEND"], options=options)
    # SECURITY: an address has a password in it
    shown = f"{value.partition(':')[0]}:…" if isinstance(value, str) and ":" in value else value
    wanted = '"memory", "redis://…", "postgresql" or {"BACKEND": the dotted path of a class, …}'
    raise expected(key, wanted, shown)


_STORE_CLASSES = {
    "memory": "hybrid_gateway.stores.MemoryStore",
    **dict.fromkeys(("redis", "rediss", "unix", "valkey", "valkeys"), "hybrid_gateway.stores.RedisStore"),
}


def _stores(key: str, value: object) -> dict[str, StoreSettings]:
    wanted = 'a dict of names and "memory", "redis://…" or {"BACKEND": the dotted path of a class, …}'
    if not isinstance(value, Mapping):
        raise expected(key, wanted, value)
    found: dict[str, StoreSettings] = {}
    for name, entry in value.items():
        if isinstance(entry, str) and (scheme := entry.partition("://")[0]) in _STORE_CLASSES:
            options = {} if entry == "memory" else {"url": entry}
            found[name] = StoreSettings(backend=_STORE_CLASSES[scheme], options=options)
        elif isinstance(entry, Mapping) and isinstance(entry.get("BACKEND"), str):
            options = {str(option).lower(): given for option, given in entry.items() if option != "BACKEND"}
            found[name] = StoreSettings(backend=entry["BACKEND"], options=options)
        else:
            raise expected(key, wanted, f"{name}: …")  # SECURITY: an address has a password in it
    return found


# --- the table -------------------------------------------------------------------------------------------------------


class GatewaySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Every key of ``HYBRID_GATEWAY`` in lower case, dotted paths imported."""

    routes: Annotated[
        str | None, typed(str, 'the dotted path of a module with a `routes` list, such as "config.routes"')
    ] = None
    """dotted path of the module with the routes"""
    allowed_django_routes: Annotated[tuple[str, ...], _prefixes] = ()
    """path prefixes that Django answers, by whole segments; the longest wins. ``"/"`` is the front page alone, and
    nothing below it: what leads everywhere is ``FALLTHROUGH``"""
    path: Annotated[str, typed(str, 'the path before that of every route, such as "/api"')] = ""
    """stands before the path of every route"""
    django_side: Annotated[DjangoSideMode, typed(DjangoSideMode, '"auto", "wsgi" or "asgi"')] = "auto"
    """which of Django's handlers runs a page: by the view (``"auto"``), always ``"wsgi"``, always ``"asgi"``"""
    django_websockets: Annotated[Any, _application] = None
    """the ASGI application, or its dotted path, that answers websockets under Django's prefixes: see
    [websockets](websocket-servers.md#websockets-of-others)"""
    fallthrough: Annotated[bool, boolean] = False
    """whether Django gets the paths that neither side knows; see [below](#django-behind-the-routes)"""
    encoded_slashes: Annotated[EncodedSlashes, typed(EncodedSlashes, '"refuse" or "django"')] = "refuse"
    """a path with ``%2f`` in it: 400, or ``"django"``: passed on where Django answers it however it is read"""
    trailing_slash: Annotated[TrailingSlash, typed(TrailingSlash, '"redirect", "strict" or "ignore"')] = "redirect"
    """the other spelling of a path: redirected (308), ``"strict"``ly unknown, or ``"ignore"``d"""
    threads: Annotated[int, positive("a number of threads, 1 or more")] = 8
    """threads for ``def`` handlers, the ORM and Django's views, shared by both sides; as many connections at most: see
    [threads](deploying.md#threads-and-database-connections)"""
    body_timeout: Annotated[float, seconds] = 30
    """seconds in which a body must come, and one more for every KiB of it: 408. The lane's own limit is an option of
    the server"""
    graceful_timeout: Annotated[float, seconds] = 10
    """seconds that streams get when the process ends: see [the end](deploying.md#keep-alive-and-graceful-stop)"""
    max_websockets: Annotated[int, positive("a number of websockets, 1 or more")] = 50_000
    """websockets that may be open in a process; more handshakes are 503"""
    pdb_on_exception: Annotated[bool, boolean] = False
    """opens a debugger in the terminal where an unexpected exception was raised"""
    channels: Annotated[ChannelsSettings, _channels] = ChannelsSettings()
    """what carries messages of channels: ``"memory"`` of one process, ``"redis://…"``, ``"postgresql"``, or
    ``{"BACKEND": dotted path, …}``: see [channels](channels.md#back-ends).
    Read for the process, not an argument of ``Gateway``"""
    stores: Annotated[dict[str, StoreSettings], _stores] = {}
    """names that ``Throttle(cache=)``, ``Cache(cache=)`` and ``THROTTLE_CACHE`` may use beside those of ``CACHES``:
    ``"memory"``, ``"redis://…"`` or ``{"BACKEND": dotted path, …}``: see [stores](hooks-and-limits.md#stores).
    Read for the process, not an argument of ``Gateway``"""
    openapi: Annotated[OpenAPISettings, _openapi] = OpenAPISettings()
    """{keys}: see [the document](openapi.md)"""
    lifespan: Annotated[tuple[Any, ...], import_each] = ()
    """context managers around the life of the process: see [start-up](routing.md#start-up-and-shut-down)"""
    on_startup: Annotated[tuple[Any, ...], import_each] = ()
    """functions that run once per process, before the first request"""
    on_shutdown: Annotated[tuple[Any, ...], import_each] = ()
    """functions that run once per process, after the last request"""
    tokens: Annotated[TokenSettings, partial(_read_section, section=TokenSettings)] = TokenSettings()
    """{keys}: lifetimes of tokens, limits for failed logins: see [authentication](authentication.md#failed-logins).
    Read for the process, not an argument of ``Gateway``"""
    health_checks: Annotated[tuple[Any, ...] | None, import_each] = None
    """what ``/readyz`` asks, the databases by default: see [health](observability.md#health)"""
    state: Annotated[Any, import_object] = None
    """what all requests share: an object of a class of the project's, or that class; a ``State`` by default: see
    [state](state.md)"""
    plugins: Annotated[tuple[Any, ...], import_each] = ()
    """objects with ``on_gateway_init``: see [plugins](routing.md#plugins)"""
    layer: dict[str, Any] = {}  # the options of the gateway's layer, by their names in lower case


READERS: Mapping[str, SettingReader] = {
    **{name.upper(): option.read for name, option in OPTIONS.items()},
    **{
        name.upper(): hint.__metadata__[0]
        for name, hint in get_type_hints(GatewaySettings, include_extras=True).items()
        if name != "layer"
    },
}
"""Every key of ``HYBRID_GATEWAY``, and what reads its value."""


def set_up_django() -> None:
    """Set Django up once; raise :class:`SettingsError` when ``DJANGO_SETTINGS_MODULE`` is not set."""
    if apps.ready:
        return
    if not settings.configured and not os.environ.get("DJANGO_SETTINGS_MODULE"):
        found = sorted(".".join(path.with_suffix("").parts) for path in Path().glob("*/settings.py"))
        hint = f" In this directory there is {', '.join(found)}." if found else ""
        raise SettingsError(
            "DJANGO_SETTINGS_MODULE is not set, so there are no settings to build the gateway from. Set it in the "
            f"environment or in your asgi.py, before asking for the application.{hint}",
            id="S004",
        )
    django.setup(set_prefix=False)


@cache
def get_settings() -> GatewaySettings:
    """Read ``settings.HYBRID_GATEWAY``; raise :class:`SettingsError` for unknown keys and impossible values."""
    raw = getattr(settings, "HYBRID_GATEWAY", {})
    if not isinstance(raw, Mapping):
        raise SettingsError(
            f"HYBRID_GATEWAY must be a dict, not {type(raw).__name__}.",
            id="S002",
            place=place_of_setting("HYBRID_GATEWAY", raw),
        )
    values: dict[str, Any] = {}
    for key, value in raw.items():
        try:
            check_options([key], READERS, "HYBRID_GATEWAY", SettingsError, word="key")
            values[key.lower()] = READERS[key](key, value)
        except SettingsError as error:
            error.known_place = place_of_setting("HYBRID_GATEWAY", raw, key)
            raise
    layer = {name: values.pop(name) for name in OPTIONS if name in values}
    return GatewaySettings(**values, layer=layer)


def _reread(*, setting: str, **kwargs: object) -> None:
    if setting == "HYBRID_GATEWAY":
        get_settings.cache_clear()


setting_changed.connect(_reread, dispatch_uid="hybrid_gateway.conf")
