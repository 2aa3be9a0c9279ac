"""As many open files as there are sockets."""

from __future__ import annotations

import contextlib


def allow_many_files() -> None:
    """As many open files as the system allows, here and in the server, which inherits it."""
    try:
        import resource
    except ImportError:  # not a Unix
        return
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
