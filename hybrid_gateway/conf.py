"""``settings.HYBRID_GATEWAY`` as one frozen Struct, read when first needed and again after ``setting_changed``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cache
from typing import Any, Literal, TypedDict

import msgspec
from django.core.signals import setting_changed

from hybrid_gateway.exceptions import SettingsError
from hybrid_gateway.layer_options import OPTIONS
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
    # The other options of a layer, as those of a router: hybrid_gateway.layer_options.LayerOptions
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
        (layer if key.lower() in OPTIONS else values)[key.lower()] = _READERS[key](key, value)
    return GatewaySettings(**values, layer=layer)


def _prefixes(key: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise expected(key, 'a tuple of path prefixes such as ("/admin/",)', value)
    for prefix in value:
        if not isinstance(prefix, str) or not prefix.startswith("/"):
            raise SettingsError(f"HYBRID_GATEWAY[{key!r}] holds {prefix!r}; a prefix is a string that starts with '/'.")
    return tuple(value)


def _openapi(key: str, value: Any) -> OpenAPISettings:
    if not isinstance(value, Mapping):
        raise expected(key, "a dict", value)
    known = {name.upper(): name for name in OpenAPISettings.__struct_fields__}
    check_options(value, known, f"HYBRID_GATEWAY[{key!r}]", SettingsError, word="key")
    try:
        settings = msgspec.convert({known[name]: entry for name, entry in value.items()}, OpenAPISettings)
        return msgspec.structs.replace(
            settings, webhooks=tuple(import_object(key, entry) for entry in settings.webhooks)
        )
    except msgspec.ValidationError as error:
        raise SettingsError(f"HYBRID_GATEWAY[{key!r}]: {error}") from None


def _tokens(key: str, value: Any) -> TokenSettings:
    if not isinstance(value, Mapping):
        raise expected(key, "a dict", value)
    known = {name.upper(): name for name in TokenSettings.__struct_fields__}
    check_options(value, known, f"HYBRID_GATEWAY[{key!r}]", SettingsError, word="key")
    for name, entry in value.items():
        if isinstance(entry, timedelta) and entry <= timedelta(0):
            raise SettingsError(f"HYBRID_GATEWAY[{key!r}][{name!r}] must be a positive timedelta, not {entry!r}.")
    try:
        return msgspec.convert({known[name]: entry for name, entry in value.items()}, TokenSettings)
    except msgspec.ValidationError as error:
        raise SettingsError(f"HYBRID_GATEWAY[{key!r}]: {error}") from None


_READERS: dict[str, SettingReader] = {
    **{name.upper(): option.read for name, option in OPTIONS.items()},
    "ROUTES": typed(str, 'the dotted path of a module with a `routes` list, such as "config.routes"'),
    "ALLOWED_DJANGO_ROUTES": _prefixes,
    "PATH": typed(str, 'the path before that of every route, such as "/api"'),
    "PLUGINS": import_each,
    "LIFESPAN": import_each,
    "ON_STARTUP": import_each,
    "ON_SHUTDOWN": import_each,
    "HEALTH_CHECKS": import_each,
    "DJANGO_SIDE": typed(DjangoSideMode, '"auto", "wsgi" or "asgi"'),
    "FALLTHROUGH": boolean,
    "ENCODED_SLASHES": typed(EncodedSlashes, '"refuse" or "django"'),
    "TRAILING_SLASH": typed(TrailingSlash, '"redirect", "strict" or "ignore"'),
    "THREADS": positive("a number of threads, 1 or more"),
    "BODY_TIMEOUT": seconds,
    "GRACEFUL_TIMEOUT": seconds,
    "PDB_ON_EXCEPTION": boolean,
    "OPENAPI": _openapi,
    "TOKENS": _tokens,
}


def _reread(*, setting: str, **kwargs: Any) -> None:
    if setting == "HYBRID_GATEWAY":
        get_settings.cache_clear()


setting_changed.connect(_reread, dispatch_uid="hybrid_gateway.conf")
