"""Closing a Django response that a typed route has returned."""

from __future__ import annotations

from django.http import HttpResponseBase

from hybrid_gateway._compat.django_connection_internals import keep_connections_open

__all__ = ["close_response"]


def close_response(response: HttpResponseBase) -> None:
    """Close ``response``, and keep the connections of the thread as they are: a component may be in a transaction.

    They are looked after where the thread ends its unit of work, which comes later.
    """
    # DJANGO: HttpResponse.close sends request_finished, which for Django ends the request.
    with keep_connections_open():
        response.close()
