"""Tells which of many sessions still go on, by one question to their store where it can answer for several."""

from __future__ import annotations

from collections.abc import Collection
from importlib import import_module

from django.conf import settings
from django.db import router
from django.utils import timezone

from hybrid_gateway.cache_connections import thread_cache


def find_living_sessions(keys: Collection[str]) -> set[str]:
    """Return those of ``keys`` whose session has neither ended nor expired, by ``SESSION_ENGINE``; blocks.

    Engines in tables (``db``, ``cached_db``, their subclasses) and in caches are asked once for all; others, such as
    that in files, load one session after the other.
    """
    store = import_module(settings.SESSION_ENGINE).SessionStore
    if hasattr(store, "get_model_class"):
        model = store.get_model_class()
        # A replica may not know yet a session that has just begun.
        rows = model._default_manager.using(router.db_for_write(model))
        return set(
            rows.filter(session_key__in=keys, expire_date__gt=timezone.now()).values_list("session_key", flat=True)
        )
    if hasattr(store, "cache_key_prefix"):
        prefix = store.cache_key_prefix
        found = thread_cache(settings.SESSION_CACHE_ALIAS).get_many([prefix + key for key in keys])
        return {key.removeprefix(prefix) for key in found}
    return {key for key in keys if store(key).load()}
