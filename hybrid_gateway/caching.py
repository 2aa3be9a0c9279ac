"""Whole answers kept in Django's cache. SPEC: RFC 9111 on what may be kept, RFC 9211 for the header that tells.

How this works: the plan of a route looks the answer up once guards and limits have let the request pass; a hit is the
answer. Otherwise what the handler answered is noted, and put away when the request is done. Entries know the versions
of their tags; invalidating a tag gives it another version, so it costs the same however many entries there are.

An entry outlives its time for a while. The first request after that time makes it anew; those that come meanwhile get
the old one, so that no herd of them meets the handler at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any, Literal
from uuid import uuid4

import msgspec
from asgiref.sync import sync_to_async
from django.conf import settings
from django.utils import timezone, translation
from starlette.responses import Response

from hybrid_gateway.cache_connections import execution_mode, log_cache_down, log_cache_up, thread_cache
from hybrid_gateway.endpoints.hooks import AnsweredEarly
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.responses.encoders import as_raw
from hybrid_gateway.responses.raw_response import EndpointResponse
from hybrid_gateway.spelling import reject_unknown_keywords
from hybrid_gateway.types import Header

__all__ = ["Cache", "ResponseCache", "ainvalidate", "invalidate"]

_NAME = b"hybrid-gateway"
_NEVER_STALE = (b"must-revalidate", b"proxy-revalidate", b"no-cache", b"s-maxage")
_GRACE = 30  # seconds for which an entry outlives its time, and in which it must have been made anew


@reject_unknown_keywords()
class Cache:
    """For how long, and for whom, answers are kept.

    ``seconds`` is their life. An answer is kept per URL and host; of the query, all of it counts, or only the names in
    ``query``. ``vary`` are further request headers that it depends on; those that the handler or its components read
    through ``Header()`` and ``Cookie()`` count by themselves, as do the active language and time zone; those read from
    a whole ``Request`` do not. Where one is asked for, or a session, a request with cookies is answered anew, unless
    ``vary`` names ``Cookie``. What an authenticated user is answered is kept only with ``per_user``, and then for that
    user. ``tags`` are names for :func:`invalidate`; ``"product:{product_id}"`` takes values from the path. ``key`` is a
    function of the scope whose text tells answers apart, too. ``cache`` is an alias of ``CACHES``.

    Kept are whole answers of status 200 without ``Set-Cookie``, whose own ``Cache-Control`` and ``Vary`` allow it.
    When one has run out, the next request has it made anew; until that is done, for 30 seconds at most (and no longer
    than ``seconds``), others get the old one, unless its ``Cache-Control`` says ``must-revalidate``. Where the cache
    cannot be reached, the handler answers.
    """

    def __init__(
        self,
        seconds: int,
        *,
        vary: Sequence[str] = (),
        query: Sequence[str] | None = None,
        per_user: bool = False,
        tags: Sequence[str] = (),
        key: Callable[[Any], str] | None = None,
        cache: str = "default",
    ) -> None:
        if isinstance(seconds, bool) or not isinstance(seconds, int) or seconds < 1:
            raise ConfigurationError(f"Cache({seconds!r}) needs a number of seconds, 1 or more.")
        for name, value in (("vary", vary), ("query", query or ()), ("tags", tags)):
            if isinstance(value, str):
                raise ConfigurationError(f"Cache({name}={value!r}) must be a list.")
        self.seconds = seconds
        self.vary = tuple(name.lower() for name in vary)
        self.query = None if query is None else frozenset(query)
        self.per_user = per_user
        self.tags = tuple(tags)
        self.key = key
        self.cache = cache

    def __repr__(self) -> str:
        return f"Cache({self.seconds})"


def invalidate(*tags: str, cache: str = "default") -> None:
    """Forget every answer that carries one of ``tags``.

    Raises nothing where the cache cannot be reached, for what has changed has changed; it is logged, and answers that
    are found there later live as long as they would have.
    """
    try:
        thread_cache(cache).set_many({_tag_key(tag): _version() for tag in tags}, timeout=None)
    except Exception as error:
        log_cache_down(cache, error)
    else:
        log_cache_up(cache)


async def ainvalidate(*tags: str, cache: str = "default") -> None:
    """The same from ``async`` code."""
    await sync_to_async(invalidate)(*tags, cache=cache)


class _Cacheable(msgspec.Struct):
    """What is known of a request whose answer may be kept."""

    key: str
    versions: dict[str, str]
    renews: bool  # while others get the old one
    answer: tuple[int, list[Header], bytes] | None = None


class ResponseCache:
    """The cache of one route. ``changes`` is what is done to every answer of it, kept or not."""

    def __init__(
        self, cache: Cache | int, changes: Sequence[Callable[[Any, Any], Any]], path_names: Sequence[str]
    ) -> None:
        self._rules = cache if isinstance(cache, Cache) else Cache(cache)
        self._changes = changes
        self._path_names = path_names
        for tag in self._rules.tags:
            _check_tag(tag, path_names)
        self._headers = [name.encode("latin-1") for name in self._rules.vary]
        self._cookies: list[str] = []
        self._minds_cookies = False
        self._grace = min(self._rules.seconds, _GRACE)
        self.mode: Literal["inline", "thread"] = execution_mode(self._rules.cache)  # where to look

    def depends_on(self, plan: Any) -> None:
        """The whole plan of the route: its parameters, headers and cookies among them."""
        # SECURITY: a session's cookie could be read from a whole request, and the answer be its user's.
        self._minds_cookies = plan.sees_request and b"cookie" not in self._headers
        for entry in plan.inputs:
            if entry.source == "header":
                name = entry.name.encode("latin-1")
                self._headers += [name] if name not in self._headers else []
            elif entry.source == "cookie":
                self._cookies.append(entry.name)

    def look(self, ctx: RequestContext, authentication: Any) -> None:
        """Answer with what is kept, or let the handler."""
        user = None if authentication is None else authentication.user.pk
        if not self._rules.per_user and (user is not None or ctx.header(b"authorization") is not None):
            return
        if self._minds_cookies and ctx.header(b"cookie") is not None:
            return
        key = self._key(ctx, user)
        tags = {_tag_key(tag): tag for tag in self._tags(ctx)}
        try:
            cache = thread_cache(self._rules.cache)
            found = cache.get_many([key, *tags])
            versions = {name: found.get(name) or _add_version(cache, name) for name in tags}
            entry = found.get(key)
            overdue = 0.0 if entry is None else time.time() - entry[0]
            is_kept = entry is not None and entry[1] == versions and overdue < self._outlives(entry[3])
            renews = is_kept and overdue >= 0
            if renews and not cache.add(_mark(key), 1, timeout=self._grace):
                renews = False  # somebody else does
        except Exception as error:
            log_cache_down(self._rules.cache, error)
            return
        log_cache_up(self._rules.cache)
        if is_kept and not renews:
            raise AnsweredEarly(self._hit(ctx, entry))
        ctx.cacheable = _Cacheable(key, versions, renews)

    def _outlives(self, headers: Sequence[Header]) -> int:
        """For how many seconds an answer is kept after its time."""
        # SPEC: RFC 9111 section 4.2.4
        directives = b",".join(value.lower() for name, value in headers if name == b"cache-control")
        return 0 if any(word in directives for word in _NEVER_STALE) else self._grace

    def _hit(self, ctx: RequestContext, entry: Any) -> EndpointResponse:
        expires, _, status, headers, body = entry
        left = min(int(expires - time.time()), self._rules.seconds)
        state = b"%b; hit; ttl=%d" % (_NAME, left)
        age = b"%d" % (self._rules.seconds - left)
        added = [*headers, *self._vary(), (b"age", age), (b"cache-status", state)]
        response: EndpointResponse = (status, added, body)
        for change in self._changes:
            response = change(ctx, response)
        return response

    def note(self, ctx: RequestContext, response: EndpointResponse) -> EndpointResponse:
        """Return ``response`` with the word that it is the handler's; keep it in mind if it may be kept."""
        if isinstance(response, Response):
            response = as_raw(response)
        if not isinstance(response, tuple):
            return response
        status, headers, body = response
        reason = b"bypass" if ctx.cacheable is None else b"miss"
        if ctx.cacheable is not None and status == 200 and self._may_be_kept(headers):
            ctx.cacheable.answer = (status, list(headers), body)
        return status, [*headers, *self._vary(), (b"cache-status", b"%b; fwd=%b" % (_NAME, reason))], body

    def _may_be_kept(self, headers: Sequence[Header]) -> bool:
        for name, value in headers:
            if name == b"set-cookie":
                return False
            if name == b"cache-control" and any(word in value.lower() for word in (b"private", b"no-store")):
                return False
            if name == b"vary":
                wanted = {part.strip().lower() for part in value.split(b",")}
                if not wanted <= {*self._headers, b"accept", b"origin"}:
                    return False
        return True

    async def keep(self, ctx: RequestContext) -> None:
        """Put away what was noted."""
        if ctx.cacheable is None or (ctx.cacheable.answer is None and not ctx.cacheable.renews):
            return
        if self.mode == "inline":
            self._store(ctx.cacheable)
        else:
            await ctx.thread.run(self._store, ctx.cacheable)

    def _store(self, cacheable: _Cacheable) -> None:
        seconds = self._rules.seconds
        try:
            cache = thread_cache(self._rules.cache)
            if cacheable.answer is not None:
                entry = (time.time() + seconds, cacheable.versions, *cacheable.answer)
                cache.set(cacheable.key, entry, timeout=seconds + self._outlives(cacheable.answer[1]))
            if cacheable.renews:
                cache.delete(_mark(cacheable.key))
        except Exception as error:
            log_cache_down(self._rules.cache, error)

    # --- names

    def _vary(self) -> list[Header]:
        names = [name.title() for name in (*self._headers, *([b"cookie"] if self._cookies else []))]
        return [(b"vary", b", ".join(names))] if names else []

    def _key(self, ctx: RequestContext, user: Any) -> str:
        scope = ctx.scope
        query = ctx.query_pairs()
        if self._rules.query is not None:
            query = [pair for pair in query if pair[0] in self._rules.query]
        cookies = ctx.cookies() if self._cookies else {}
        # SECURITY: JSON tells the parts apart, so no client can write one part into another.
        parts = [
            scope.get("scheme", "http"),
            _text(ctx.header(b"host")),
            scope.get("root_path", ""),
            scope["path"],
            query,
            [_text(ctx.header(name)) for name in self._headers],
            [cookies.get(name) for name in self._cookies],
            None if user is None else str(user),
            ctx.accepted,
            # DJANGO: utils/cache.py, _i18n_cache_key_suffix
            translation.get_language() if settings.USE_I18N else None,
            timezone.get_current_timezone_name() if settings.USE_TZ else None,
            None if self._rules.key is None else self._rules.key(scope),
        ]
        return f"hybrid_gateway.cache:{blake2b(msgspec.json.encode(parts), digest_size=20).hexdigest()}"

    def _tags(self, ctx: RequestContext) -> list[str]:
        if not any("{" in tag for tag in self._rules.tags):
            return list(self._rules.tags)
        values = dict(zip(self._path_names, ctx.path_values, strict=True))
        return [tag.format(**values) for tag in self._rules.tags]


def _check_tag(tag: str, path_names: Sequence[str]) -> None:
    try:
        tag.format(**dict.fromkeys(path_names, ""))
    except (KeyError, IndexError, ValueError):
        known = ", ".join(path_names) or "none"
        raise ConfigurationError(
            f"The tag {tag!r} takes a value that the path does not have; it has {known}."
        ) from None


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


def _mark(key: str) -> str:
    """The key of a mark that somebody is about to make an entry anew."""
    return f"{key}:renewing"


def _tag_key(tag: str) -> str:
    return f"hybrid_gateway.tag:{blake2b(tag.encode(), digest_size=20).hexdigest()}"


def _version() -> str:
    return uuid4().hex


def _add_version(cache: Any, key: str) -> str:
    """The version of a tag that has none; of several who see that, one's counts."""
    version = _version()
    if cache.add(key, version, timeout=None):
        return version
    return cache.get(key) or version
