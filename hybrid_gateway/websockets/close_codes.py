"""The table of close codes. ``docs/websockets.md`` and the AsyncAPI document are made of it."""

from __future__ import annotations

from typing import NamedTuple


class CloseCode(NamedTuple):
    """A row of the table."""

    code: int
    meaning: str
    """What has ended the connection."""
    reconnect: str
    """What a client had better do."""


# SPEC: RFC 6455 section 7.4.1, and IANA's registry of close codes; from 4000 on they are an application's own.
CLOSE_CODES = (
    CloseCode(1000, "The handler has returned.", "no"),
    CloseCode(1001, "The page was left; or `idle_timeout` or `max_lifetime` is over.", "yes"),
    CloseCode(1006, "The connection was lost. Nobody sends it: it stands for the lack of a code.", "yes"),
    CloseCode(1008, "Against a policy of the server.", "no"),
    CloseCode(1009, "A message was longer than `max_message_size`.", "no, unless messages become shorter"),
    CloseCode(1011, "A fault of the server, which has logged it.", "yes, after a while"),
    CloseCode(1012, "The server restarts.", "yes, after a second or two"),
    CloseCode(1013, "The server has too much to do.", "yes, after a while"),
    CloseCode(4401, "The credentials have ended: expired, revoked, logged out, or the user is not active.", "with new"),
    CloseCode(4403, "The user may not do that.", "no"),
    CloseCode(
        4408, "The client reads too slowly, or does not answer pings, or has missed messages.", "yes, with `since`"
    ),
    CloseCode(4422, "A message did not fit, and the handler did not go on.", "no"),
    CloseCode(4429, "Too many messages, ten times in a row.", "yes, after a while"),
    CloseCode(4503, "Something that the handler needs cannot be reached.", "yes, after a while"),
)
"""Any other code above 4000 is 4000 and the status of HTTP that the error has."""
