"""Tickets: what opens one websocket for a client that cannot send headers with its handshake, as no browser can.

How this works: a ticket is drawn at random, and the store of issued credentials keeps its digest with what it stands
for: the :class:`Credential` that the caller had, and their scopes. So a ticket works in any process, once, and what it
opens ends with the token or the session that it was issued by. No cache is asked: one that forgets, or that every
process has for itself, would let a ticket in twice, or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables
from starlette.datastructures import QueryParams

from hybrid_gateway.access_control import SCHEMES, Authentication, AuthenticationScheme, Credential, scheme_name
from hybrid_gateway.auth.credential_store import credential_store
from hybrid_gateway.auth.revalidation import credential_of, find_ended_strictly
from hybrid_gateway.concurrency.asgiref_bridge import on_request_thread
from hybrid_gateway.exceptions import Conflict, Unauthorized

LIFETIME = timedelta(seconds=30)


class TicketContent(msgspec.Struct, frozen=True):
    """The things that the store keeps of a ticket."""

    credential: Credential
    scopes: list[str]


def issue_ticket(authentication: Authentication) -> tuple[str, datetime]:
    """Return a ticket for the websocket of whoever ``authentication`` is, and its end; blocks."""
    credential = credential_of(authentication)
    if not credential.user:
        raise Conflict("Tickets are for users that the database knows.")
    if not credential.scheme and authentication.scheme is not None:
        credential = msgspec.structs.replace(credential, scheme=scheme_name(authentication.scheme))
    expires_at = timezone.now() + LIFETIME
    content = msgspec.to_builtins(TicketContent(credential, sorted(authentication.scopes)))
    return credential_store().issue_ticket(authentication.user, content, expires_at), expires_at


class WebSocketTicketAuthentication(AuthenticationScheme):
    """``?ticket=``, for the handshake of a websocket; tickets come from ``POST /auth/ticket``, and work once, for 30 s.

    The user and the scopes are those that the ticket was issued to, and the websocket ends with the token, session or
    password that it was issued by. Routes that are no websockets do not take tickets: an ``EventSource`` that
    reconnects would come with a used one.
    """

    carriers = ()
    query_carriers = ("ticket",)
    protocols = ("websocket",)
    carries_scopes = True
    is_ours = True

    async def authenticate(self, query: QueryParams) -> Authentication | None:
        """Exchange the ticket for its user, on a pool thread; a handshake without one needs none."""
        given = query.getlist("ticket")
        if not given:
            return None
        # SECURITY: of two tickets a proxy may have logged the one, and we would take the other.
        if len(given) > 1:
            raise Unauthorized("More than one ticket was sent.")
        return await on_request_thread(self.redeem, given[0])

    @sensitive_variables("plain")
    def redeem(self, plain: str) -> Authentication:
        """Return whom a ticket was issued to; raise 401 where it is no longer good. Blocks."""
        found = credential_store().redeem_ticket(plain)
        if found is not None:
            content = msgspec.convert(found[1], TicketContent)
            authentication = Authentication(user=found[0], scheme=self, scopes=frozenset(content.scopes))
            authentication.credential = content.credential
            if not find_ended_strictly([authentication]):
                return authentication
        raise Unauthorized("The ticket is unknown, used or expired, or what it was issued by has ended.")

    def find_ended(self, credentials: Sequence[Credential]) -> Iterable[Credential]:
        for name in {credential.scheme for credential in credentials} - {""}:
            several = [credential for credential in credentials if credential.scheme == name]
            scheme = SCHEMES.get(name)
            # A scheme that no layer lists any more lets nobody in.
            yield from several if scheme is None else scheme.find_ended(several)

    def openapi(self) -> dict[str, object]:
        return {"type": "apiKey", "in": "query", "name": "ticket"}
