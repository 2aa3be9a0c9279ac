"""The end of a response of Django's that a typed route has answered with."""

from __future__ import annotations

from django.db import connections
from django.http import HttpResponseBase

__all__ = ["close_response"]


def close_response(response: HttpResponseBase) -> None:
    """Close ``response``, and keep the connections of the thread as they are: a component may be in a transaction.

    They are looked after where the thread ends its unit of work, which comes later.
    """
    # DJANGO: HttpResponse.close sends request_finished, which for Django ends the request: close_old_connections drops
    # whatever has autocommit switched off, and with it an open transaction (db/backends/base/base.py).
    kept = connections.all(initialized_only=True)
    for connection in kept:
        vars(connection)["close_if_unusable_or_obsolete"] = _not_yet
    try:
        response.close()
    finally:
        for connection in kept:
            vars(connection).pop("close_if_unusable_or_obsolete", None)


def _not_yet() -> None:
    pass
