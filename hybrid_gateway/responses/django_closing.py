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
    kept = [(vars(connection), vars(connection).copy()) for connection in connections.all(initialized_only=True)]
    for attributes, _ in kept:
        attributes[_LOOKS_AFTER] = _not_yet
    try:
        response.close()
    finally:
        for attributes, before in kept:
            del attributes[_LOOKS_AFTER]
            if _LOOKS_AFTER in before:
                attributes[_LOOKS_AFTER] = before[_LOOKS_AFTER]


_LOOKS_AFTER = "close_if_unusable_or_obsolete"  # a method; what is found on the connection itself comes before it


def _not_yet() -> None:
    pass
