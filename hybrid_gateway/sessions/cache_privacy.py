"""Responses to one client that shared caches must not give to another. SPEC: RFC 9111, RFC 9110 section 12.5.5."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hybrid_gateway.binding.plan import Plan
from hybrid_gateway.headers import FixedHeaders, make_private, merge_vary
from hybrid_gateway.layer_options import Layers
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.responses.raw_response import EndpointResponse, replace_headers
from hybrid_gateway.types import Header, Headers

__all__ = ["PrivateResponseHeaders", "private_response_headers"]


class PrivateResponseHeaders:
    """Says in every response of a route by which headers it varies, and that it is one client's.

    ``carriers`` are the request headers that the route reads credentials from. Without any, only a response that sets a
    cookie, or whose handler has read the cookies of a ``Request``, is private.
    """

    def __init__(self, carriers: Sequence[str]) -> None:
        self._names = [name.lower().encode("latin-1") for name in carriers]
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
    if carriers or plan.visits or plan.sees_request or plan.sees_response or layers.response_cookies:
        return PrivateResponseHeaders(sorted(carriers))
    return None
