"""``settings.HYBRID_GATEWAY`` as one frozen Struct, read when first needed and again after ``setting_changed``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import cache
from typing import Any, Literal, TypedDict

import msgspec
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from hybrid_gateway.exceptions import SettingsError
from hybrid_gateway.spelling import check_options

__all__ = ["GatewaySettings", "HybridGatewaySettings", "OpenAPISettings", "TokenSettings", "get_settings"]

DjangoSideMode = Literal["auto", "wsgi", "asgi"]
TrailingSlash = Literal["redirect", "strict", "ignore"]
EncodedSlashes = Literal["refuse", "django"]


class HybridGatewaySettings(TypedDict, total=False):
    """The shape of ``settings.HYBRID_GATEWAY``; annotate the dict with it to have it checked by a type checker."""

    ROUTES: str
    ALLOWED_DJANGO_ROUTES: Sequence[str]
    COMPONENTS: Sequence[Any]
    AUTHENTICATION: Sequence[Any]
    GUARDS: Sequence[Any]
    MIDDLEWARE: Sequence[Any]
    EXCEPTION_HANDLERS: Mapping[Any, Any]
    EVENT_HOOKS: Sequence[Any]
    DJANGO_SIDE: DjangoSideMode
    FALLTHROUGH: bool
    TRAILING_SLASH: TrailingSlash
    ENCODED_SLASHES: EncodedSlashes
    THREADS: int
    BODY_TIMEOUT: float
    GRACEFUL_TIMEOUT: float
    PDB_ON_EXCEPTION: bool
    MAX_BODY_SIZE: int
    MAX_UPLOAD_SIZE: int
    OPENAPI: Mapping[str, Any]
    TOKENS: Mapping[str, Any]
    PATH: str
    PLUGINS: Sequence[Any]
    LIFESPAN: Sequence[Any]
    ON_STARTUP: Sequence[Any]
    ON_SHUTDOWN: Sequence[Any]
    HEALTH_CHECKS: Sequence[Any]
    # The other options of a layer, as those of a router: hybrid_gateway.routing.declare.LayerOptions
    AFTER_REQUEST: Any
    AFTER_RESPONSE: Any
    ATOMIC: bool | str
    BEFORE_REQUEST: Any
    CACHE: Any
    CACHE_CONTROL: Any
    COMPRESSION: Any
    CORS: Any
    DJANGO_MIDDLEWARE: Sequence[str]
    ETAG: bool
    CSRF_EXEMPT: bool
    INCLUDE_IN_SCHEMA: bool
    MEDIA_TYPES: Sequence[str]
    OPT: Mapping[str, Any]
    PAGINATION: Any
    PARAMETERS: Mapping[str, Any]
    RESPONSE_COOKIES: Sequence[Any]
    RESPONSE_HEADERS: Mapping[str, str | None]
    SECURITY: Sequence[Any]
    TAGS: Sequence[str]
    THROTTLE: Sequence[Any]
    THROTTLE_FAIL: Literal["open", "closed"]
    TIMEOUT: float | None
    TYPE_DECODERS: Mapping[Any, Any]
    TYPE_ENCODERS: Mapping[Any, Any]
    VALIDATE_RESPONSE: bool


class OpenAPISettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``OPENAPI``: what the document calls itself and where it and its page are served."""

    title: str = "API"
    version: str = "1.0.0"
    description: str = ""
    path: str = "/openapi.json"
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


class GatewaySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Every key of ``HYBRID_GATEWAY`` in lower case, dotted paths imported."""

    routes: str | None = None
    allowed_django_routes: tuple[str, ...] = ()
    layer: dict[str, Any] = {}  # the options of the gateway's layer, by their names in lower case
    path: str = ""
    plugins: tuple[Any, ...] = ()
    lifespan: tuple[Any, ...] = ()
    on_startup: tuple[Any, ...] = ()
    on_shutdown: tuple[Any, ...] = ()
    health_checks: tuple[Any, ...] | None = None  # the databases
    django_side: DjangoSideMode = "auto"
    fallthrough: bool = False
    trailing_slash: TrailingSlash = "redirect"
    encoded_slashes: EncodedSlashes = "refuse"
    threads: int = 8
    body_timeout: float = 30
    graceful_timeout: float = 10
    pdb_on_exception: bool = False
    openapi: OpenAPISettings = OpenAPISettings()
    tokens: TokenSettings = TokenSettings()


@cache
def get_settings() -> GatewaySettings:
    """Read ``settings.HYBRID_GATEWAY``; raise :class:`SettingsError` for unknown keys and impossible values."""
    from django.conf import settings

    raw = getattr(settings, "HYBRID_GATEWAY", {})
    if not isinstance(raw, Mapping):
        raise SettingsError(f"HYBRID_GATEWAY must be a dict, not {type(raw).__name__}.")
    values: dict[str, Any] = {}
    layer: dict[str, Any] = {}
    check_options(raw, _READERS, "HYBRID_GATEWAY", SettingsError, word="key")
    for key, value in raw.items():
        (layer if key in _LAYER else values)[key.lower()] = _READERS[key](key, value)
    return GatewaySettings(**values, layer=layer)


def _refuse(key: str, expected: str, value: object) -> SettingsError:
    return SettingsError(f"HYBRID_GATEWAY[{key!r}] must be {expected}, not {value!r}.")


def _typed(kind: Any, expected: str) -> Callable[[str, Any], Any]:
    def read(key: str, value: Any) -> Any:
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError:
            raise _refuse(key, expected, value) from None

    return read


def _prefixes(key: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise _refuse(key, 'a tuple of path prefixes such as ("/admin/",)', value)
    for prefix in value:
        if not isinstance(prefix, str) or not prefix.startswith("/"):
            raise SettingsError(f"HYBRID_GATEWAY[{key!r}] holds {prefix!r}; a prefix is a string that starts with '/'.")
    return tuple(value)


def _import(key: str, entry: Any) -> Any:
    if not isinstance(entry, str):
        return entry
    try:
        return import_string(entry)
    except ImportError as error:
        raise SettingsError(f"HYBRID_GATEWAY[{key!r}] names {entry!r}, which cannot be imported: {error}") from error


def _objects(key: str, value: Any) -> tuple[Any, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise _refuse(key, "a list of objects or dotted paths", value)
    return tuple(_import(key, entry) for entry in value)


def _handlers(key: str, value: Any) -> dict[Any, Any]:
    if not isinstance(value, Mapping):
        raise _refuse(key, "a dict of exception classes or status codes to handlers", value)
    return {_import(key, error): _import(key, handler) for error, handler in value.items()}


def _openapi(key: str, value: Any) -> OpenAPISettings:
    if not isinstance(value, Mapping):
        raise _refuse(key, "a dict", value)
    known = {name.upper(): name for name in OpenAPISettings.__struct_fields__}
    check_options(value, known, f"HYBRID_GATEWAY[{key!r}]", SettingsError, word="key")
    try:
        settings = msgspec.convert({known[name]: entry for name, entry in value.items()}, OpenAPISettings)
        return msgspec.structs.replace(settings, webhooks=tuple(_import(key, entry) for entry in settings.webhooks))
    except msgspec.ValidationError as error:
        raise SettingsError(f"HYBRID_GATEWAY[{key!r}]: {error}") from None


def _tokens(key: str, value: Any) -> TokenSettings:
    if not isinstance(value, Mapping):
        raise _refuse(key, "a dict", value)
    known = {name.upper(): name for name in TokenSettings.__struct_fields__}
    check_options(value, known, f"HYBRID_GATEWAY[{key!r}]", SettingsError, word="key")
    for name, entry in value.items():
        if isinstance(entry, timedelta) and entry <= timedelta(0):
            raise SettingsError(f"HYBRID_GATEWAY[{key!r}][{name!r}] must be a positive timedelta, not {entry!r}.")
    try:
        return msgspec.convert({known[name]: entry for name, entry in value.items()}, TokenSettings)
    except msgspec.ValidationError as error:
        raise SettingsError(f"HYBRID_GATEWAY[{key!r}]: {error}") from None


def _positive(expected: str) -> Callable[[str, Any], Any]:
    def read(key: str, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise _refuse(key, expected, value)
        return value

    return read


def _seconds(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise _refuse(key, "a number of seconds, more than 0", value)
    return value


def _one_or_several(key: str, value: Any) -> Any:
    several = isinstance(value, Sequence) and not isinstance(value, str)
    return tuple(_import(key, entry) for entry in value) if several else _import(key, value)


def _any(key: str, value: Any) -> Any:
    return value


_LAYER: dict[str, Callable[[str, Any], Any]] = {
    "AFTER_REQUEST": _one_or_several,
    "AFTER_RESPONSE": _one_or_several,
    "ATOMIC": _typed(bool | str, "True, False or the alias of a database"),
    "AUTHENTICATION": _objects,
    "BEFORE_REQUEST": _one_or_several,
    "CACHE": _import,
    "CACHE_CONTROL": _any,
    "COMPONENTS": _objects,
    "COMPRESSION": _import,
    "CORS": _import,
    "ETAG": _typed(bool, "True or False"),
    "CSRF_EXEMPT": _typed(bool, "True or False"),
    "DJANGO_MIDDLEWARE": _any,
    "EVENT_HOOKS": _objects,
    "EXCEPTION_HANDLERS": _handlers,
    "GUARDS": _objects,
    "INCLUDE_IN_SCHEMA": _typed(bool, "True or False"),
    "MAX_BODY_SIZE": _positive("a number of bytes, 1 or more"),
    "MAX_UPLOAD_SIZE": _positive("a number of bytes, 1 or more"),
    "MEDIA_TYPES": _any,
    "MIDDLEWARE": _objects,
    "OPT": _any,
    "PAGINATION": _import,
    "PARAMETERS": _any,
    "RESPONSE_COOKIES": _any,
    "RESPONSE_HEADERS": _any,
    "SECURITY": _any,
    "TAGS": _any,
    "THROTTLE": _any,
    "THROTTLE_FAIL": _typed(Literal["open", "closed"], '"open" or "closed"'),
    "TIMEOUT": _typed(float | None, "a number of seconds, or None"),
    "TYPE_DECODERS": _handlers,
    "TYPE_ENCODERS": _handlers,
    "VALIDATE_RESPONSE": _typed(bool, "True or False"),
}

_READERS: dict[str, Callable[[str, Any], Any]] = {
    **_LAYER,
    "ROUTES": _typed(str, 'the dotted path of a module with a `routes` list, such as "config.routes"'),
    "ALLOWED_DJANGO_ROUTES": _prefixes,
    "PATH": _typed(str, 'the path before that of every route, such as "/api"'),
    "PLUGINS": _objects,
    "LIFESPAN": _objects,
    "ON_STARTUP": _objects,
    "ON_SHUTDOWN": _objects,
    "HEALTH_CHECKS": _objects,
    "DJANGO_SIDE": _typed(DjangoSideMode, '"auto", "wsgi" or "asgi"'),
    "FALLTHROUGH": _typed(bool, "True or False"),
    "ENCODED_SLASHES": _typed(EncodedSlashes, '"refuse" or "django"'),
    "TRAILING_SLASH": _typed(TrailingSlash, '"redirect", "strict" or "ignore"'),
    "THREADS": _positive("a number of threads, 1 or more"),
    "BODY_TIMEOUT": _seconds,
    "GRACEFUL_TIMEOUT": _seconds,
    "PDB_ON_EXCEPTION": _typed(bool, "True or False"),
    "OPENAPI": _openapi,
    "TOKENS": _tokens,
}


def _reread(*, setting: str, **kwargs: Any) -> None:
    if setting == "HYBRID_GATEWAY":
        get_settings.cache_clear()


setting_changed.connect(_reread, dispatch_uid="hybrid_gateway.conf")
