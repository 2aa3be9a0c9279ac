"""The limits of a route on open websockets, as its plan checks them."""

from __future__ import annotations

from hybrid_gateway.access_control import Authentication
from hybrid_gateway.exceptions import ServiceUnavailable, TooManyRequests
from hybrid_gateway.layer_options import Layers
from hybrid_gateway.request.context import RequestContext
from hybrid_gateway.websockets.connection_limits import PROCESS, network_of
from hybrid_gateway.websockets.websocket_context import WebSocketContext


class RouteAdmission:
    """Takes a place for a handshake under every limit of its route's layers.

    The limits of a layer are shared by all routes below it. The address is the connection's peer; behind a proxy that
    the server trusts, the client's; where there is none, as on a Unix socket, nobody is counted.
    """

    def __init__(self, layers: Layers) -> None:
        self._per_address = layers.max_connections_per_address
        self.per_user = layers.max_connections_per_user

    def check_address(self, ctx: RequestContext, authentication: Authentication | None) -> None:
        """Raise 503 where the process has as many websockets as it may, 429 where the address has."""
        assert isinstance(ctx, WebSocketContext)
        if not ctx.take(PROCESS):
            raise ServiceUnavailable("This process has as many websockets as it may.", headers={"Retry-After": "5"})
        client = ctx.scope.get("client")
        if client and client[0]:
            for place, most in self._per_address:
                if not ctx.take(("address", place, network_of(client[0])), most):
                    raise TooManyRequests(f"One address may have {most} websockets open.")

    def check_user(self, ctx: RequestContext, authentication: Authentication | None) -> None:
        """Raise 429 where the user has as many websockets as they may."""
        assert isinstance(ctx, WebSocketContext)
        if authentication is not None:
            for place, most in self.per_user:
                if not ctx.take(("user", place, str(authentication.user.pk)), most):
                    raise TooManyRequests(f"One user may have {most} websockets open.")
