"""Undocumented names of Django's test client; imported by test code alone."""

from __future__ import annotations

from typing import Any

from django.test import AsyncClient

BODY_FILE = "_body_file"
"""The key under which a scope of Django's async client carries the file of the request's body."""


class ScopeClient(AsyncClient):
    """Django's async client, which leaves a scope as it is that is complete already: that has the key ``asgi``."""

    def _base_scope(self, **request: Any) -> dict[str, Any]:
        if "asgi" in request:
            return request
        above: Any = super()
        scope: dict[str, Any] = above._base_scope(**request)
        return scope


def complete_environ(client: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Return the WSGI environ of ``request``: its keys on top of what ``client`` sends with each, cookies included."""
    environ: dict[str, Any] = client._base_environ(**request)
    return environ


def reject_redirect_cycle(client: Any, response: object) -> None:
    """Raise ``RedirectCycleError`` where the ``redirect_chain`` of ``response`` is a circle, or too long."""
    client._ensure_redirects_not_cyclic(response)
