"""The dispatcher: it finds who answers a request, and sends the response, whatever driver the request came by.

How this works: a driver makes a :class:`RequestContext` of what its server gives it, has its head validated
(:meth:`Dispatcher.validate`), gives it to Django's side if :meth:`Dispatcher.is_django` says so, and otherwise runs
what :meth:`Dispatcher.find_responder` finds. A response that is a tuple the driver writes by itself, after
:meth:`Dispatcher.finalize`; any other sends itself through :meth:`Dispatcher.run_response`. Nothing here does I/O but
by the ``send`` that it is given. Everything that is compiled of routes is in one :class:`RoutingTable`, which
:meth:`Gateway.register` replaces by one assignment; whoever looks twice for one request takes it once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container, Coroutine, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import quote

from django.conf import settings
from django.urls import set_script_prefix
from starlette.responses import Response

from hybrid_gateway.auth import Authentication
from hybrid_gateway.concurrency.caller_threads import InlineThread, is_disconnect
from hybrid_gateway.conf import EncodedSlashes
from hybrid_gateway.dispatch.fallback import NotRouted, RejectedRequest
from hybrid_gateway.dispatch.prefixes import Prefixes
from hybrid_gateway.dispatch.request_checks import MAX_PATH, RequestValidator, is_plain_path
from hybrid_gateway.dispatch.routing_table import RoutingTable
from hybrid_gateway.dispatch.security_headers import SecurityHeaders
from hybrid_gateway.dispatch.shutdown import Shutdown
from hybrid_gateway.django_side.handler import DjangoSide
from hybrid_gateway.endpoints.endpoint import Endpoint, PooledMiddleware
from hybrid_gateway.exceptions import HTTPException, ServiceUnavailable
from hybrid_gateway.headers import checked_send, headers_to_send
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.request.head_parsing import path_info
from hybrid_gateway.responses.gateway_response import GatewayResponse
from hybrid_gateway.responses.raw_response import RawResponse
from hybrid_gateway.routing.path_template import PathValues
from hybrid_gateway.routing.route_tree import Convert
from hybrid_gateway.types import ASGIApp, ASGIMiddlewareFactory, Headers, Message, Receive, Scope, Send

SWITCHING = 101  # SPEC: RFC 9110 section 15.2.2

FORCED_AUTHENTICATION = "hybrid_gateway.authentication"  # put there by a test client; no server has such a key


class Responder(Protocol):
    """An endpoint, or what stands in its place: a mount, a rejected request, a path without a route.

    The members are those of :class:`Endpoint`. A response that is no tuple is an ASGI application that sends itself.
    """

    @property
    def middleware(self) -> Sequence[ASGIMiddlewareFactory]: ...
    @property
    def django_middleware(self) -> PooledMiddleware | None: ...
    @property
    def security_headers(self) -> Headers: ...
    @property
    def awaits(self) -> bool: ...
    @property
    def respond(self) -> Callable[[RequestContext], Coroutine[Any, Any, RawResponse | ASGIApp]]: ...
    @property
    def end(self) -> Callable[..., Awaitable[None]]: ...


class Dispatcher:
    """The rules by which requests to one gateway find who answers them. Thread-safe; holds no state of requests.

    ``fallthrough`` gives Django the paths that no route answers. ``grace`` is seconds that streams get to finish when
    the process ends.
    """

    table: RoutingTable  # published by the gateway before the first request, and replaced by one assignment

    def __init__(
        self,
        prefixes: Prefixes,
        django: DjangoSide,
        *,
        fallthrough: bool = False,
        encoded_slashes: EncodedSlashes = "refuse",
        grace: float = 10,
    ) -> None:
        self.prefixes = prefixes
        self._below, self._exact = prefixes.below, prefixes.exact
        self.fallthrough = fallthrough
        self.django = django
        self.security = SecurityHeaders()
        self.shutdown = Shutdown(grace)
        self.mount_states: dict[int, dict[str, Any]] = {}  # see Mounts
        self.validator = RequestValidator(
            self.side,
            lambda path: bool(self.side(path)) or self.is_django(path),
            lambda: self.table.secrets,
            self.is_django if encoded_slashes == "django" else None,
        )
        self.forced_root = (settings.FORCE_SCRIPT_NAME or "").rstrip("/")

    # --- which side answers

    def side(self, path: str) -> str:
        """Return who answers ``path`` by prefixes alone: Django's prefix, a mount's, or ``""`` for the routes."""
        return self.prefixes.find(path) or self.table.mounts.prefix(path) or ""

    def is_django(self, path: str) -> bool:
        """Return whether Django answers ``path`` (without script prefix)."""
        return path in self.prefixes or (self.fallthrough and self.falls_through(path))

    def falls_through(self, path: str) -> bool:
        """Return whether Django gets a path below none of its prefixes, where ``FALLTHROUGH`` is set.

        A route or a mount answers its own paths. Of a path that is a route's but for the final slash, and of one below
        a front end, Django's URLconf is asked first, so that no page of the project's is hidden by them. A pattern that
        is for any path at all is not asked about the slash of a declared route: it would take each of them.
        """
        table = self.table
        if table.tree.methods(path):
            return False
        other = table.other_slash(path)
        if other is not None:
            match = self.django.resolve if other in table.document_paths else self.django.match_of_page
            return match(path) is not None
        if table.mounts.find(path) is not None:
            return False
        return table.find_fallback(path, "GET") is None or self.django.resolve(path) is not None

    def answers_directly(self, path: str, endpoint: Endpoint) -> bool:
        """Return whether a request for ``path`` may go straight to ``endpoint``, which the tree has found for it."""
        # PERF: is_django() would be two calls more, 0.1 µs; the path of a route never falls through.
        lowered = path.lower()
        return not (
            endpoint.middleware
            or path.startswith(self._below)
            or path in self._exact
            or (lowered != path and self.side(lowered) != self.side(path))
        )

    def direct_paths(self) -> Mapping[str, Mapping[str, tuple[Endpoint, PathValues]]]:
        """Return the paths of the table that need no check, with what answers each method.

        They have no parameter and one spelling, and go straight to endpoints.
        """
        return {
            path: methods
            for path, methods in self.table.tree.static.items()
            if is_plain_path(path)
            and len(path) <= MAX_PATH
            and quote(path) == path
            and all(self.answers_directly(path, endpoint) for endpoint, _ in methods.values())
        }

    def direct_prefixes(self, direct_paths: Container[str]) -> Mapping[str, tuple[Convert, Mapping[str, Endpoint]]]:
        """Return what may precede a last parameter in plain lower case, so that no check would mind the path either.

        With it come the converter of the parameter and what answers each method. A path among the direct ones has
        precedence.
        """
        tree = self.table.tree
        others = [*self._below, *self._exact, *(path for path in tree.static if path not in direct_paths)]
        taken = {path[: place + 1] for path in others for place, character in enumerate(path) if character == "/"}
        return {
            before: (convert, endpoints)
            for before, (convert, endpoints) in tree.last.items()
            if is_plain_path(f"{before}/")
            and quote(before) == before.lower() == before
            and f"{before}/" not in taken
            and all(self.answers_directly(f"{before}/x", endpoint) for endpoint in endpoints.values())
        }

    # --- requests that neither side shall see

    def validate(self, ctx: RequestContext, path: str | None) -> HTTPException | None:
        """Return why neither side shall see the request, if there is a reason."""
        error = self.validator.validate(ctx, path)
        if error is not None or not (
            self.shutdown.has_begun or self.security.redirects or not self.validator.knows_host(ctx)
        ):
            return error
        probed = None if path is None else self.table.tree.find(path, ctx.method)
        if probed is not None and probed[0].route.opt.get("probe"):
            return None  # probes come from inside, by address, and until the very end
        error = self.validator.validate_host(ctx)
        if error is None and self.shutdown.rejects_requests:
            headers = {"Retry-After": "1", **({"Connection": "close"} if ctx.is_http_1 else {})}
            return ServiceUnavailable("The server is about to end.", headers=headers)
        if error is None and self.security.redirects and path is not None:
            return self.security.redirect(ctx, path)
        return error

    def rejects(self, scope: Scope) -> bool:
        """Return whether neither side would see an HTTP request, by its path, its method or its headers."""
        path = path_info(scope["path"], scope.get("root_path", ""))
        return self.validator.validate(RequestContext(scope, no_message, InlineThread), path) is not None

    async def send_rejection(self, ctx: RequestContext, error: HTTPException, receive: Receive, send: Send) -> None:
        """Answer a request that neither side shall see."""
        rejected = RejectedRequest(self.table, error)
        await self.send_response(ctx, rejected, await rejected.respond(ctx), receive, send)

    # --- who answers

    def find_responder(self, ctx: RequestContext, path: str | None, root: str | None) -> Responder:
        """Return what answers ``ctx``, which learns the values in its path.

        ``path`` is below the script prefix ``root``, or ``None`` where middleware has made nonsense of it.
        """
        if root:
            set_script_prefix(root)
        table = self.table
        found = None if path is None else table.tree.find(path, ctx.method)
        if (
            found is None
            and path is not None
            # PERF: the others end in NotRouted anyway
            and (table.mounts or table.fallbacks or table.trailing_slash == "ignore")
            and not table.tree.methods(path)
        ):
            other = table.other_slash(path)
            if other is None:
                found = table.find_fallback(path, ctx.method)
                mounted = table.mounts.find(path) if found is None else None
                if mounted is not None:
                    return mounted
            elif table.trailing_slash == "ignore":
                found = table.tree.find(other, ctx.method)
        if found is None:
            unrouted = NotRouted(table, path, root or "")
            ctx.path_values = unrouted.path_values
            return unrouted
        endpoint, ctx.path_values = found
        return endpoint

    # --- how the response leaves

    def finalize(self, ctx: RequestContext, responder: Responder, response: RawResponse) -> RawResponse:
        """Return a complete response with the security headers of the project."""
        status, headers, body = response
        return status, self.security.finalize(ctx, status, headers, responder.security_headers), body

    async def send_response(
        self, ctx: RequestContext, responder: Responder, response: RawResponse | ASGIApp, receive: Receive, send: Send
    ) -> None:
        """Send any response as ASGI messages."""
        if isinstance(response, tuple):
            status, headers, body = self.finalize(ctx, responder, response)
            headers = headers_to_send(status, headers, body)
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body if ctx.method != "HEAD" else b""})
        else:
            await self.run_response(ctx, responder, response, receive, send)

    async def run_response(
        self, ctx: RequestContext, responder: Responder, response: ASGIApp, receive: Receive, send: Send
    ) -> None:
        """Let a response send itself; then let the request end, and the work begin that follows it."""
        if ctx.exits:  # how long their thread is held is the client's to say
            ctx.thread.hold_long()
        if getattr(response, "status_code", None) != SWITCHING:  # a conversation, which has the driver's own `send`
            send = self.security.finalizing(send, ctx, responder.security_headers)
        work = None
        if isinstance(response, Response):
            work, response.background = response.background, None
        try:
            is_sent = True
            if isinstance(response, GatewayResponse):
                is_sent = await response.send_to(ctx, receive, send, self.shutdown)
            else:
                await response(ctx.scope, receive, checked_send(send))
        except BaseException as error:
            if is_disconnect(error):  # which is no error of what has answered, whoever tells of it, and however
                await responder.end(ctx, work)
                raise
            if isinstance(error, Exception):
                self.table.errors.send_signal(ctx)  # the server logs it, and ends the connection
            await responder.end(ctx, error=error)
            raise
        await responder.end(ctx, work if is_sent else None)


def force_authentication(ctx: RequestContext) -> None:
    """Take over who a test client says is calling."""
    if FORCED_AUTHENTICATION in ctx.scope:
        forced = ctx.scope[FORCED_AUTHENTICATION]
        ctx.authentication = forced if isinstance(forced, Authentication) else None


async def no_message() -> Message:
    """Return the message of a client that has gone: the ``receive`` of a request that nobody sends."""
    return {"type": "http.disconnect"}
