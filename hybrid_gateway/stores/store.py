"""Which store a name means: one of ``STORES``, or else a cache of ``CACHES``."""

from __future__ import annotations

from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from hybrid_gateway.conf import get_settings
from hybrid_gateway.exceptions import ConfigurationError, SettingsError
from hybrid_gateway.stores.django_store import DjangoCacheStore
from hybrid_gateway.stores.store_protocol import Store

_made: dict[str, Store] = {}


def find_store(store: str | Store) -> Store:
    """Return the store of a name, made once per process, or the store that is given itself.

    Raises :class:`ConfigurationError` for what is none, and for one that cannot be made.
    """
    if not isinstance(store, str):
        if not isinstance(store, Store):
            raise ConfigurationError(
                f"{store!r} is no store: it lacks methods of hybrid_gateway.stores.Store.", id="S011"
            )
        return store
    if store not in _made:
        _made[store] = _make(store)
    return _made[store]


def _make(name: str) -> Store:
    described = get_settings().stores.get(name)
    if described is None:
        return DjangoCacheStore(name)
    try:
        made: Store = import_string(described.backend)(**described.options)
    except (ImportError, TypeError) as error:
        raise SettingsError(f"HYBRID_GATEWAY['STORES'][{name!r}]: {described.backend}: {error}", id="S008") from error
    return find_store(made)


def _forget(*, setting: str, **kwargs: object) -> None:
    if setting in ("HYBRID_GATEWAY", "CACHES"):
        _made.clear()


setting_changed.connect(_forget, dispatch_uid="hybrid_gateway.stores")
