"""Canaries of ``hybrid_gateway/_compat/django_test_internals.py``."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import AsyncClient, Client
from django.test.client import RedirectCycleError

from hybrid_gateway._compat import django_test_internals as internals
from tests.compat import canary


def scope_of(client: AsyncClient, **request: Any) -> dict[str, Any]:
    """The scope that the client's handler gets, and what it reads of the body."""
    seen: dict[str, Any] = {}

    async def handler(scope: dict[str, Any]) -> Any:
        seen.update(scope)
        raise KeyboardInterrupt

    client.handler = handler  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(client.request(**request))
    return seen


@canary("BODY_FILE")
def test_the_body_travels_in_the_scope() -> None:
    client = AsyncClient()
    seen: dict[str, Any] = {}

    async def handler(scope: dict[str, Any]) -> Any:
        seen.update(scope)
        raise KeyboardInterrupt

    client.handler = handler  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(client.post("/", data="body", content_type="text/plain"))
    assert seen[internals.BODY_FILE].read() == b"body"


@canary("ScopeClient")
def test_a_complete_scope_is_left_as_it_is() -> None:
    scope = {"type": "http", "asgi": {"version": "3.0"}, "path": "/", "method": "GET", "headers": []}
    assert scope_of(internals.ScopeClient(), **scope) == scope
    completed = scope_of(internals.ScopeClient(), type="http", path="/", method="GET", headers=[])
    assert completed["http_version"] == "1.1"
    assert completed["headers"] == [(b"cookie", b"")]


@canary("complete_environ")
def test_an_environ_is_completed_by_what_the_client_sends_with_each_request() -> None:
    client = Client(HTTP_X_DEFAULT="1")
    client.cookies["name"] = "value"
    environ = internals.complete_environ(client, {"PATH_INFO": "/x"})
    assert (environ["PATH_INFO"], environ["HTTP_X_DEFAULT"], environ["HTTP_COOKIE"]) == ("/x", "1", "name=value")


@canary("reject_redirect_cycle")
@pytest.mark.parametrize("client", [Client(), AsyncClient()])
def test_a_redirect_that_leads_back_is_an_error(client: Any) -> None:
    internals.reject_redirect_cycle(client, SimpleNamespace(redirect_chain=[("/a", 302), ("/b", 302)]))
    with pytest.raises(RedirectCycleError):
        internals.reject_redirect_cycle(client, SimpleNamespace(redirect_chain=[("/a", 302), ("/b", 302), ("/a", 302)]))
