"""Complete responses stored in Django's cache. SPEC: RFC 9111 on what may be stored, RFC 9211 on ``Cache-Status``.

How this works: the plan of a route looks the response up once guards and limits have let the request pass; a hit is the
response. Otherwise that of the handler is remembered, and stored when the request is done. Entries know the versions of
their tags; invalidating a tag gives it another version, so it costs the same however many entries there are.

An entry may be served stale for a while. The first request after its time makes it anew; those that come meanwhile get
the old one, so that no herd of them meets the handler at once.

Caches of others are told by :class:`PrivateResponseHeaders` which responses are for one client alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import Literal
from uuid import uuid4

import msgspec
from django.conf import settings
from django.utils import timezone, translation
from starlette.responses import Response

from hybrid_gateway.access_control import Authentication
from hybrid_gateway.binding.parameter_sources import SOURCES
from hybrid_gateway.binding.plan import Plan
from hybrid_gateway.concurrency.asgiref_bridge import on_request_thread
from hybrid_gateway.endpoints.endpoint import AnsweredEarly
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.headers import FixedHeaders, make_private, merge_vary
from hybrid_gateway.layer_options import Layers
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.request.request_parts import PendingEntry
from hybrid_gateway.responses.raw_response import EndpointResponse, replace_headers, vary_as_read
from hybrid_gateway.responses.response_classes import as_raw
from hybrid_gateway.spelling import reject_unknown_keywords
from hybrid_gateway.stores import Store, StoreUnavailable, find_store
from hybrid_gateway.types import Header, Headers, Scope

__all__ = ["Cache", "ResponseCache", "ainvalidate", "invalidate"]

_NAME = b"hybrid-gateway"
_NEVER_STALE = (b"must-revalidate", b"proxy-revalidate", b"no-cache", b"s-maxage")
MAX_STALE = 30  # seconds for which an entry is served after its time, and in which it must have been made anew

Entry = tuple[float, dict[str, str], int, list[Header], bytes]
"""What is in the store: when it expires, the versions of its tags, and the response."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Entry).decode


@reject_unknown_keywords()
class Cache:
    """Time and conditions for which responses are stored.

    ``seconds`` is their life. A response is stored per URL and host; of the query, all of it counts, or only the names
    in ``query``. ``vary`` are further request headers that it depends on; those that the handler or its components read
    through ``Header()`` and ``Cookie()`` count by themselves, as do the active language and time zone; those read from
    a whole ``Request`` do not. Where one is asked for, or a session, a request with cookies is answered anew, unless
    ``vary`` names ``Cookie``. The responses of authenticated users are stored only with ``per_user``, each for its
    user. ``tags`` are names for :func:`invalidate`; ``"product:{product_id}"`` takes values from the path. ``key`` is a
    function of the scope whose text tells responses apart, too. ``cache`` is a name of ``STORES``, an alias of
    ``CACHES``, or a ``Store``.

    Stored are complete responses of status 200 without ``Set-Cookie``, whose own ``Cache-Control`` and ``Vary`` allow
    it. When one has run out, the next request has it made anew; until that is done, for 30 seconds at most (and no
    longer than ``seconds``), others get the old one, unless its ``Cache-Control`` says ``must-revalidate``. Where the
    cache cannot be reached, the handler answers.
    """

    def __init__(
        self,
        seconds: int,
        *,
        vary: Sequence[str] = (),
        query: Sequence[str] | None = None,
        per_user: bool = False,
        tags: Sequence[str] = (),
        key: Callable[[Scope], str] | None = None,
        cache: str | Store = "default",
    ) -> None:
        if isinstance(seconds, bool) or not isinstance(seconds, int) or seconds < 1:
            raise ConfigurationError(f"Cache({seconds!r}) needs a number of seconds, 1 or more.", id="H003")
        for name, value in (("vary", vary), ("query", query or ()), ("tags", tags)):
            if isinstance(value, str):
                raise ConfigurationError(f"Cache({name}={value!r}) must be a list.", id="H003")
        self.seconds = seconds
        self.vary = tuple(name.lower() for name in vary)
        self.query = None if query is None else frozenset(query)
        self.per_user = per_user
        self.tags = tuple(tags)
        self.key = key
        self.cache = cache

    def __repr__(self) -> str:
        return f"Cache({self.seconds})"


def invalidate(*tags: str, cache: str | Store = "default") -> None:
    """Forget every response that carries one of ``tags``.

    Raises nothing where the cache cannot be reached, for what has changed has changed; it is logged, and responses that
    are found there later live as long as they would have.
    """
    with suppress(StoreUnavailable):  # which is logged
        find_store(cache).set_many({_tag_key(tag): uuid4().bytes for tag in tags}, None)


async def ainvalidate(*tags: str, cache: str | Store = "default") -> None:
    """Call :func:`invalidate` from ``async`` code."""
    await on_request_thread(invalidate, *tags, cache=cache)


class ResponseCache:
    """The cache of one route. ``changes`` are made to every response of it, stored or not."""

    def __init__(
        self,
        cache: Cache | int,
        changes: Sequence[Callable[[RequestContext, EndpointResponse], EndpointResponse]],
        path_names: Sequence[str],
    ) -> None:
        self._rules = cache if isinstance(cache, Cache) else Cache(cache)
        self._changes = changes
        self._path_names = path_names
        for tag in self._rules.tags:
            _check_tag(tag, path_names)
        self._tag_templates = [tag for tag in self._rules.tags if "{" in tag or "}" in tag]
        self._fixed_tags = [_tag_key(tag) for tag in self._rules.tags if tag not in self._tag_templates]
        self._headers = [name.encode("latin-1") for name in self._rules.vary]
        self._values: dict[str, list[str]] = {}  # other values that it varies by: their names, by source
        self._value_headers: dict[bytes, None] = {}  # that those are read from
        self._skips_cookies = False
        self._store = find_store(self._rules.cache)
        self._max_stale = min(self._rules.seconds, MAX_STALE)
        self.mode: Literal["inline", "thread"] = self._store.mode  # where to look

    def depends_on(self, plan: Plan) -> None:
        """Vary by what the whole plan of the route reads: its parameters, headers and cookies among them."""
        # SECURITY: a session's cookie could be read from a whole request, and the response be its user's.
        self._skips_cookies = plan.sees_request and b"cookie" not in self._headers
        self._headers += [name for name in _lower(plan.varies_by) if name not in self._headers]
        for entry in plan.inputs:
            if entry.varies_by is None:
                continue
            if not SOURCES[entry.source].is_header:
                self._values.setdefault(entry.source, []).append(entry.name)
                self._value_headers[entry.varies_by.encode("latin-1")] = None
            elif (name := entry.name.encode("latin-1")) not in self._headers:
                self._headers.append(name)

    def lookup(self, ctx: RequestContext, authentication: Authentication | None) -> None:
        """Raise :class:`AnsweredEarly` with the stored response, if there is one that this caller may have."""
        user = None if authentication is None else authentication.user.pk
        if self._rules.per_user:
            if authentication is not None and user is None:
                return  # SECURITY: users without a primary key cannot be told apart
        elif authentication is not None or ctx.header(b"authorization") is not None:
            return
        if self._skips_cookies and ctx.header(b"cookie") is not None:
            return
        key, tags = self._key(ctx, user), self._fixed_tags
        if self._tag_templates:
            values = dict(zip(self._path_names, ctx.path_values, strict=True))
            tags = [*tags, *(_tag_key(tag.format(**values)) for tag in self._tag_templates)]
        try:
            found = dict(self._store.get_many([key, *tags]))
            versions = {name: self._version(name, found.get(name)) for name in tags}
            entry = _read_entry(found.get(key))
            overdue = 0.0 if entry is None else time.time() - entry[0]
            if entry is not None and (entry[1] != versions or overdue >= self._stale_seconds(entry[3])):
                entry = None
            # Of several that find an entry stale, one makes it anew.
            renews = entry is not None and overdue >= 0 and self._store.add(_renewal_key(key), b"1", self._max_stale)
        except StoreUnavailable:
            return
        if entry is not None and not renews:
            raise AnsweredEarly(self._hit(ctx, entry))
        ctx.cacheable = PendingEntry(key, versions, renews)

    def _version(self, name: str, known: bytes | None) -> str:
        """Return the version of a tag, which is made with the first response that carries it."""
        if known is None:
            known = uuid4().bytes
            if not self._store.add(name, known, None):
                known = self._store.get_many([name]).get(name, known)
        return known.hex()

    def _stale_seconds(self, headers: Headers) -> int:
        """Return for how many seconds a response is served after its time. SPEC: RFC 9111 section 4.2.4."""
        directives = b",".join(value.lower() for name, value in headers if name == b"cache-control")
        return 0 if any(word in directives for word in _NEVER_STALE) else self._max_stale

    def _hit(self, ctx: RequestContext, entry: Entry) -> EndpointResponse:
        expires, _, status, headers, body = entry
        left = min(int(expires - time.time()), self._rules.seconds)
        state = b"%b; hit; ttl=%d" % (_NAME, left)
        age = b"%d" % (self._rules.seconds - left)
        response: EndpointResponse = (status, [*headers, *self._vary(), (b"age", age), (b"cache-status", state)], body)
        for change in self._changes:
            response = change(ctx, response)
        return response

    def remember(self, ctx: RequestContext, response: EndpointResponse) -> EndpointResponse:
        """Return the handler's ``response``, marked as such; remember it for :meth:`store` if it may be stored."""
        if isinstance(response, Response):
            response = as_raw(response)
        if not isinstance(response, tuple):
            return response
        status, headers, body = response
        reason = b"bypass" if ctx.cacheable is None else b"miss"
        if ctx.cacheable is not None and status == 200 and self._may_store(headers):
            ctx.cacheable.response = (status, list(headers), body)
        return status, [*headers, *self._vary(), (b"cache-status", b"%b; fwd=%b" % (_NAME, reason))], body

    def _may_store(self, headers: Headers) -> bool:
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

    async def store(self, ctx: RequestContext) -> None:
        """Store what was remembered."""
        pending = ctx.cacheable
        if pending is None or (pending.response is None and not pending.renews):
            return
        if self.mode == "inline":
            self._write(pending)
        else:
            await ctx.thread.run(self._write, pending)

    def _write(self, pending: PendingEntry) -> None:
        seconds = self._rules.seconds
        with suppress(StoreUnavailable):  # which is logged
            if pending.response is not None:
                entry: Entry = (time.time() + seconds, pending.versions, *pending.response)
                lasts = seconds + self._stale_seconds(pending.response[1])
                self._store.set_many({pending.key: _encode(entry)}, lasts)
            if pending.renews:
                self._store.delete(_renewal_key(pending.key))

    # --- names

    def _vary(self) -> list[Header]:
        names = [name.title() for name in (*self._headers, *self._value_headers)]
        return [(b"vary", b", ".join(names))] if names else []

    def _key(self, ctx: RequestContext, user: object) -> str:
        scope = ctx.scope
        query = ctx.query_pairs()
        if self._rules.query is not None:
            query = [pair for pair in query if pair[0] in self._rules.query]
        values: list[list[str] | None] = []
        for source, names in self._values.items():
            lists = SOURCES[source].lists
            values += map(({} if lists is None else lists(ctx)).get, names)
        # SECURITY: JSON tells the parts apart, so no client can write one part into another.
        parts = [
            scope.get("scheme", "http"),
            _text(ctx.header(b"host")),
            scope.get("root_path", ""),
            scope["path"],
            query,
            [_text(ctx.header(name)) for name in self._headers],
            values,
            None if user is None else str(user),
            ctx.accepted,
            # DJANGO: utils/cache.py, _i18n_cache_key_suffix
            translation.get_language() if settings.USE_I18N else None,
            timezone.get_current_timezone_name() if settings.USE_TZ else None,
            None if self._rules.key is None else self._rules.key(scope),
        ]
        return f"hybrid_gateway.cache:{blake2b(msgspec.json.encode(parts), digest_size=20).hexdigest()}"


def _read_entry(value: bytes | None) -> Entry | None:
    """Return a stored response; ``None`` for none, and for what another version of ours has stored."""
    try:
        return None if value is None else _decode(value)
    except msgspec.MsgspecError:
        return None


def _check_tag(tag: str, path_names: Sequence[str]) -> None:
    try:
        tag.format(**dict.fromkeys(path_names, ""))
    except (KeyError, IndexError, ValueError):
        known = ", ".join(path_names) or "none"
        raise ConfigurationError(
            f"The tag {tag!r} takes a value that the path does not have; it has {known}.", id="H003"
        ) from None


def _lower(names: Iterable[str]) -> list[bytes]:
    return [name.lower().encode("latin-1") for name in names]


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


def _renewal_key(key: str) -> str:
    return f"{key}:renewing"


def _tag_key(tag: str) -> str:
    return f"hybrid_gateway.tag:{blake2b(tag.encode(), digest_size=20).hexdigest()}"


class PrivateResponseHeaders:
    """Says in every response of a route by which headers it varies, and that it is one client's.

    ``carriers`` are the request headers that the route reads credentials from. Without any, only a response that sets a
    cookie, or whose handler has read the cookies of a ``Request``, is private.
    """

    def __init__(self, carriers: Sequence[str]) -> None:
        self._names = _lower(carriers)
        self._vary = ", ".join(carriers).encode("latin-1")
        # PERF: the responses of a handler share their headers, and so do ours with credentials, and without.
        self._known: dict[bool, tuple[Headers, FixedHeaders]] = {}

    def __call__(self, ctx: RequestContext, response: EndpointResponse) -> EndpointResponse:
        """Return ``response`` with headers for caches; adding them twice changes nothing."""
        vary, carried = self._vary, ctx.authentication is not None
        for name in self._names:
            carried = carried or ctx.header(name) is not None
        if ctx.has_read_cookies:
            vary, carried = vary + b", Cookie", carried or ctx.header(b"cookie") is not None
        if not isinstance(response, tuple):
            return replace_headers(response, _write(response.raw_headers, vary, carried))
        status, headers, body = response
        if type(headers) is not FixedHeaders or vary is not self._vary:
            return status, _write(headers, vary, carried), body
        known = self._known.get(carried)
        if known is None or known[0] is not headers:
            known = self._known[carried] = headers, FixedHeaders(_write(headers, vary, carried))
        return status, known[1], body


class VaryingResponseHeaders(PrivateResponseHeaders):
    """Says as well by which headers a response varies that were read by something of the gateway's."""

    def __call__(self, ctx: RequestContext, response: EndpointResponse) -> EndpointResponse:
        return vary_as_read(ctx, super().__call__(ctx, response))


def _write(headers: Headers, vary: bytes, carried: bool) -> list[Header]:
    lines = merge_vary(headers, vary)
    if carried or any(name == b"set-cookie" for name, _ in lines):
        return make_private(lines)
    return lines


def private_response_headers(
    plan: Plan, secret_headers: Iterable[bytes], layers: Layers
) -> PrivateResponseHeaders | None:
    """Return what a route with this plan has to say; None for one that reads no credentials and sets no cookie.

    ``secret_headers`` are those that its schemes read.
    """
    carriers: set[str] = set()
    if plan.authenticates:
        carriers.update(name.decode("latin-1").title() for name in secret_headers)
    if plan.reads_cookies:
        carriers.add("Cookie")
    carriers.update(entry.varies_by.title() for entry in plan.inputs if entry.is_private and entry.varies_by)
    if plan.varies_by:
        return VaryingResponseHeaders(sorted(carriers))
    if carriers or plan.visits or plan.sees_request or plan.sees_response or layers.response_cookies:
        return PrivateResponseHeaders(sorted(carriers))
    return None
