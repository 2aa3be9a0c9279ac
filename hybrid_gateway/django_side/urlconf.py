"""The URLconf of the settings: which view would answer a path, and whether it is an ``async def``."""

from __future__ import annotations

import logging
from contextlib import nullcontext

from asgiref.sync import iscoroutinefunction
from django.urls import ResolverMatch, URLResolver, get_resolver
from django.urls.resolvers import LocalePrefixPattern
from django.utils import translation

__all__ = ["URLConf"]

logger = logging.getLogger("django.request")


class URLConf:
    """A URLconf, walked once."""

    def __init__(self, urlconf: str | None) -> None:
        self._urlconf = urlconf
        self.has_async = False
        self._has_languages = False
        try:
            self._walk(get_resolver(urlconf))
        except Exception:
            # A URLconf that cannot be imported: Django's handler meets the same error and answers it.
            logger.debug("The URLconf %r cannot be read", urlconf, exc_info=True)

    def _walk(self, root: URLResolver) -> None:
        waiting, seen = [root], {id(root)}
        while waiting:
            resolver = waiting.pop()
            self._has_languages |= isinstance(resolver.pattern, LocalePrefixPattern)
            for pattern in resolver.url_patterns:
                if not isinstance(pattern, URLResolver):
                    self.has_async |= iscoroutinefunction(pattern.callback)
                elif id(pattern) not in seen:  # a URLconf may include itself
                    seen.add(id(pattern))
                    waiting.append(pattern)

    def is_async(self, path_info: str) -> bool:
        """Return whether an ``async def`` view answers ``path_info``, as far as the URLconf knows."""
        match = self.resolve(path_info)
        return match is not None and iscoroutinefunction(match.func)

    def resolve(self, path_info: str) -> ResolverMatch | None:
        """Return what answers ``path_info``, in the language that its beginning names; None if nothing does."""
        language = translation.get_language_from_path(path_info) if self._has_languages else None
        try:
            with translation.override(language) if language else nullcontext():
                return get_resolver(self._urlconf).resolve(path_info)
        except Exception:
            # Resolver404, or an error of a converter or an included URLconf: Django's handler meets it again.
            return None
