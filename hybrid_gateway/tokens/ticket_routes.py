"""``Include("/auth", "hybrid_gateway.tokens.ticket_routes")``: tickets for websockets, whoever asks.

The routes of tokens and of JSON Web Tokens have this one as well; on its own it is for projects with neither.
"""

from __future__ import annotations

from datetime import datetime

from hybrid_gateway.auth import AllowAny, Authentication, AuthenticationScheme, TokenAuthentication
from hybrid_gateway.auth.tickets import issue_ticket
from hybrid_gateway.exceptions import Conflict
from hybrid_gateway.layer_options import DefaultSchemes
from hybrid_gateway.routing.declare import post
from hybrid_gateway.tokens import secret
from hybrid_gateway.types import Handler


class IssuedTicket(secret.SecretStruct):
    """A ticket, which opens one websocket as ``?ticket=``, and its end."""

    ticket: str
    expires_at: datetime


def ticket_route(scheme: AuthenticationScheme) -> Handler:
    """Return the route that issues tickets, by the schemes of the layers around it, or by ``scheme`` without any."""

    @post(
        "/ticket",
        authentication=DefaultSchemes([scheme]),
        guards=[AllowAny],
        atomic=False,
        tags=["auth"],
        summary="Get a ticket for a websocket",
        raises=[Conflict],
        response_headers={"Cache-Control": "no-store"},
    )
    def ticket(authentication: Authentication) -> IssuedTicket:
        """Return a ticket that opens one websocket within 30 seconds, for clients that cannot send headers with it."""
        plain, expires_at = issue_ticket(authentication)
        return IssuedTicket(ticket=plain, expires_at=expires_at)

    return ticket


routes = [ticket_route(TokenAuthentication())]
