"""One way in, written in a test alone: everything that the core makes of a scheme or a guard follows from its class."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from starlette.datastructures import Headers, QueryParams

from hybrid_gateway import ConfigurationError, Gateway, get
from hybrid_gateway.auth import (
    Authentication,
    AuthenticationScheme,
    Guard,
    IsAuthenticated,
    JWTAuthentication,
    TokenAuthentication,
    credential_store,
)
from hybrid_gateway.auth.request_credentials import SecretCarriers
from hybrid_gateway.conf import OpenAPISettings
from hybrid_gateway.openapi.document import build_document
from hybrid_gateway.telemetry import AccessLog

HIDDEN = "sesame"


class Doorman(AuthenticationScheme):
    """A word at the door."""

    challenge = "Doorman"
    carriers = ("X-Door",)
    query_carriers = ("door",)
    sync_to_thread = False

    def authenticate(self, headers: Headers, query: QueryParams) -> Authentication | None:
        word = headers.get("x-door") or query.get("door")
        return Authentication(user=AnonymousUser(), scheme=self) if word == HIDDEN else None


class OnTuesdays(Guard):
    sync_to_thread = False
    needs_user = True
    scopes = ("week:read",)

    def __call__(self, authentication: Authentication | None) -> bool:
        return authentication is not None


@get("/hall", authentication=[Doorman], guards=[OnTuesdays], cache=60, event_hooks=[AccessLog])
async def hall(authentication: Authentication) -> str:
    return "come in"


def test_a_scheme_of_the_projects_own_is_all_that_its_class_says(serve: Any, caplog: Any) -> None:
    caplog.set_level(logging.INFO)
    client = serve(hall)
    refused, entered = client.get("/hall"), client.get("/hall?door=sesame", headers={"X-Door": HIDDEN})
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Doorman")
    assert entered.status_code == 200
    assert "X-Door" in entered.headers["vary"]
    assert "private" in entered.headers["cache-control"]  # no shared cache gives it to somebody else
    assert "fwd=bypass" in entered.headers["cache-status"]  # nor does ours
    logged = [record.getMessage() for record in caplog.records if "access" in record.name]
    assert logged and not any(HIDDEN in line for line in logged)


def test_its_secrets_are_known_and_it_is_documented() -> None:
    gateway = Gateway([hall])
    table = gateway.dispatcher.table
    assert table.secrets == SecretCarriers(headers=frozenset({b"x-door"}), query=frozenset({"door"}))
    document = build_document(gateway.endpoints, OpenAPISettings())
    described = {"type": "apiKey", "in": "header", "name": "X-Door", "description": "A word at the door."}
    assert document["components"]["securitySchemes"] == {"Doorman": described}
    assert document["paths"]["/hall"]["get"]["security"] == [{"Doorman": []}]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"authentication": [object()]}, "is no authentication scheme: subclass AuthenticationScheme"),
        ({"guards": ["IsStaff"]}, "'IsStaff' is no guard: give a function, a Guard, or a class of guards"),
    ],
)
def test_what_is_neither_is_told_with_its_route(options: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        Gateway([get("/x", **options)(lambda: "x")])
    assert "GET /x" in str(caught.value)


@pytest.mark.parametrize("scheme", [TokenAuthentication(), JWTAuthentication()])
def test_a_scheme_whose_tokens_nobody_stores_is_told_at_the_start(scheme: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(credential_store, "_registered", None)
    with pytest.raises(ConfigurationError, match='Tokens need the app: add "hybrid_gateway.tokens"'):
        Gateway([get("/x", authentication=[scheme], guards=[IsAuthenticated])(lambda: "x")])
