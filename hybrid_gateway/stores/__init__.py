"""Stores of rate limits and cached responses: memory, Django's caches, Redis, or one of a project's own."""

from hybrid_gateway.stores.django_store import DjangoCacheStore
from hybrid_gateway.stores.memory_store import MemoryStore
from hybrid_gateway.stores.redis_store import RedisStore
from hybrid_gateway.stores.store import find_store
from hybrid_gateway.stores.store_protocol import Store, StoreUnavailable

__all__ = ["DjangoCacheStore", "MemoryStore", "RedisStore", "Store", "StoreUnavailable", "find_store"]
