"""Path prefixes: the first question by which a path is Django's, a mount's or the API's."""

from __future__ import annotations

from collections.abc import Iterable

from django.conf import settings

from hybrid_gateway._compat.django_internals import setting_as_written

FRONT_PAGE_ALONE = " (the front page alone)"
"""What is said beside ``/``, which covers nothing below it."""


class Prefixes:
    """Path prefixes that match on segment boundaries, compiled once.

    ``/admin/`` (or ``/admin``) covers ``/admin`` and everything below ``/admin/``, never ``/administrator``; ``/``
    covers only itself.
    """

    def __init__(self, prefixes: Iterable[str]) -> None:
        names = {prefix.strip("/") for prefix in prefixes}
        self.prefixes = tuple(sorted((f"/{name}/" if name else "/" for name in names), key=len, reverse=True))
        self.exact = frozenset(prefix.rstrip("/") or "/" for prefix in self.prefixes)
        self.below = tuple(prefix for prefix in self.prefixes if prefix != "/")

    def __contains__(self, path: str | None) -> bool:
        # SECURITY: literal text only; nothing here is a pattern, and nothing is decoded or normalised a second time.
        return path is not None and (path.startswith(self.below) or path in self.exact)

    def find(self, path: str) -> str | None:
        """Return the longest prefix that covers ``path``."""
        for prefix in self.prefixes:
            if path == (prefix.rstrip("/") or "/") or (prefix != "/" and path.startswith(prefix)):
                return prefix
        return None

    @property
    def described(self) -> list[str]:
        """The prefixes as people are shown them, in the order of the alphabet."""
        return [f"{prefix}{FRONT_PAGE_ALONE if prefix == '/' else ''}" for prefix in sorted(self.prefixes)]

    def __repr__(self) -> str:
        return f"Prefixes({', '.join(self.prefixes)})"


def static_prefix() -> tuple[str, ...]:
    """Return Django's ``STATIC_URL`` as a path below the script prefix; none when it is another host's."""
    prefix = (settings.FORCE_SCRIPT_NAME or "").rstrip("/")
    # DJANGO: LazySettings puts the script prefix before STATIC_URL when it is first read and keeps the result; no
    # request has told the prefix yet, so the first read is left to Django.
    url = setting_as_written("STATIC_URL")
    if not url or "//" in url:
        return ()
    if prefix and url.startswith(prefix + "/"):
        url = url[len(prefix) :]
    return ("/" + url.strip("/") + "/",) if url.strip("/") else ()
