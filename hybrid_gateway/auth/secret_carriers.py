"""The places in requests where schemes of any route read secrets, which are neither remembered nor logged."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import unquote_plus

import msgspec

from hybrid_gateway.access_control import AuthenticationScheme
from hybrid_gateway.binding.plan import Plan

__all__ = ["SecretCarriers", "SecretsInQueries"]

# What no scheme of ours says may be one of Django's side, or of what is mounted. DJANGO: by the words of
# SafeExceptionReporterFilter.hidden_settings (views/debug.py), and some more.
_TELLING = re.compile(rb"api|auth|token|key|secret|pass|signature|cookie|session|credential|ticket|csrf")
_HIDDEN = b"***"


class SecretCarriers(msgspec.Struct, frozen=True, kw_only=True):
    """Headers, in small letters, and parameters of the query that carry secrets; or any, where nobody can say."""

    headers: frozenset[bytes] = frozenset()
    query: frozenset[str] = frozenset()
    in_any_header: bool = False
    in_any_parameter: bool = False

    @staticmethod
    def of(scheme: AuthenticationScheme, plan: Plan, asks_for_query: bool) -> SecretCarriers:
        """Return those of one scheme: what it says, and what its ``plan`` shows that it reads.

        A scheme that reads headers as a whole, and says nothing of its own, may read any of them.
        """
        headers = [name.lower().encode("latin-1") for name in scheme.carriers]
        headers += [entry.varies_by.lower().encode("latin-1") for entry in plan.inputs if entry.varies_by is not None]
        parameters = list(scheme.query_carriers)
        is_silent = not parameters and not scheme.declares("carriers") and not scheme.keywords
        asks = asks_for_query and not scheme.declares("query_carriers")
        return SecretCarriers(
            headers=frozenset(headers),
            query=frozenset([*parameters, *(entry.name for entry in plan.inputs if entry.source == "query")]),
            in_any_header=is_silent and plan.sees_request,
            in_any_parameter=asks or (is_silent and plan.sees_request),
        )

    @staticmethod
    def union(several: Iterable[SecretCarriers]) -> SecretCarriers:
        """Return those of all of them."""
        found = list(dict.fromkeys(several))
        return SecretCarriers(
            headers=frozenset().union(*(one.headers for one in found)),
            query=frozenset().union(*(one.query for one in found)),
            in_any_header=any(one.in_any_header for one in found),
            in_any_parameter=any(one.in_any_parameter for one in found),
        )

    def are_in(self, headers: Mapping[bytes, object], names: bytes) -> bool:
        """Say whether some of ``headers`` may be secret; ``names`` are those of all, one after the other."""
        return self.in_any_header or not self.headers.isdisjoint(headers) or _TELLING.search(names) is not None

    def hide(self, query: bytes) -> bytes:
        """Return a query for a log: the values of what is secret in it are asterisks."""
        if not query or not (self.query or self.in_any_parameter):
            return query
        pairs = query.split(b"&")
        for position, pair in enumerate(pairs):
            name, equals, _ = pair.partition(b"=")
            if equals and (self.in_any_parameter or unquote_plus(name.decode("latin-1")) in self.query):
                pairs[position] = name + equals + _HIDDEN
        return b"&".join(pairs)


class SecretsInQueries:
    """Injected into hooks that log a query: ``hide(query)`` leaves out what schemes of the gateway say is secret."""

    def __init__(self, secrets: Callable[[], SecretCarriers]) -> None:
        self._secrets = secrets

    def hide(self, query: bytes) -> bytes:
        """Return a query for a log, without the secrets of the routes there are now."""
        return self._secrets().hide(query)
