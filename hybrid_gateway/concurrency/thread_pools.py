"""The threads of a gateway, which only requests share that passed the same middleware.

How this works: middleware may leave something on a thread or on its connections (``SET search_path``, ``SET ROLE``, a
``threading.local``) and count on the next request to pass it, too. So Django's side has threads of its own, which typed
routes share that pass all of its middleware, and typed routes have theirs. Routes that pass some of it, by
``django_middleware=``, share with those that pass the same. Django's own middleware leaves nothing, and does not count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from django.conf import settings

from hybrid_gateway.concurrency.pooled_thread import PooledThread
from hybrid_gateway.concurrency.thread_pool import MAX_LONG_HOLDS, ThreadPool

__all__ = ["ThreadPools", "may_leave_state"]


class ThreadPools:
    """Pools that have at most ``size`` threads together, started one by one when first needed."""

    def __init__(self, make: Callable[..., ThreadPool], size: int) -> None:
        self._make = make
        self._size = size
        self.typed = make(size, name="gateway")
        self.django = self._make_sharing("gateway-django")
        self.streams = make(MAX_LONG_HOLDS, name="gateway-stream")
        self._others: dict[frozenset[str], ThreadPool] = {}

    def _make_sharing(self, name: str) -> ThreadPool:
        pool = self._make(self._size, name=name)
        pool.share(self.typed)
        return pool

    def below(self, names: Iterable[str]) -> ThreadPool:
        """Return the pool of requests that pass the middleware ``names``."""
        passed = frozenset(filter(may_leave_state, names))
        if not passed:
            return self.typed
        if passed.issuperset(name for name in settings.MIDDLEWARE if may_leave_state(name)):
            return self.django
        if passed not in self._others:
            self._others[passed] = self._make_sharing(f"gateway-some-{len(self._others) + 1}")
        return self._others[passed]

    def lend(self) -> PooledThread:
        """Return a thread for a request of a typed route."""
        return PooledThread(self.typed, self.streams)

    def lend_django(self) -> PooledThread:
        """Return a thread for a request of Django's side."""
        return PooledThread(self.django, self.streams)

    def lend_held(self, pool: ThreadPool) -> PooledThread:
        """Return a thread for a request below middleware: its own from its first unit of work to its last."""
        thread = PooledThread(pool, self.streams)
        thread.hold()
        return thread

    def close(self) -> None:
        """Let every thread finish what it has to do, and end."""
        self.typed.close()
        self.streams.close()


def may_leave_state(name: str) -> bool:
    """Return whether middleware may leave something on its thread: all but Django's own, and what is known not to."""
    return not name.startswith(_LEAVES_NOTHING)


_LEAVES_NOTHING = (
    "django.",
    "hybrid_gateway.",
    "whitenoise.",
    "servestatic.",
    "corsheaders.",
    "django_browser_reload.",
)
