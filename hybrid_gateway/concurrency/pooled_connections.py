"""psycopg's pool hands connections of one request to the next, whichever side that is on: with nothing left on them."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.conf import settings
from django.db import connections

from hybrid_gateway._compat.django_connection_internals import reset_new_connection
from hybrid_gateway.concurrency.thread_pools import may_leave_state

__all__ = ["reset_pooled_connections"]


def reset_pooled_connections() -> None:
    """Have what middleware leaves on a connection undone when it goes back to its pool, unless the project does so.

    The pool does it between two requests, on a thread of its own; without middleware that may leave something, not at
    all.
    """
    if not any(map(may_leave_state, settings.MIDDLEWARE)):
        return
    for alias, database in connections.settings.items():
        given = database["OPTIONS"].get("pool")
        if given and connections[alias].vendor == "postgresql" and (given is True or "reset" not in given):
            own: dict[str, Any] = {} if given is True else given
            database["OPTIONS"] = {**database["OPTIONS"], "pool": {**own, "reset": partial(_reset, alias)}}
            connections[alias].close_pool()  # type: ignore[attr-defined]  # one that was made before


def _reset(alias: str, connection: Any) -> None:
    # SPEC: PostgreSQL, DISCARD ALL: its parts that undo settings and roles; prepared statements are the driver's.
    connection.execute("SET SESSION AUTHORIZATION DEFAULT; RESET ALL")
    reset_new_connection(alias, connection)
    if not connection.autocommit:
        connection.commit()
