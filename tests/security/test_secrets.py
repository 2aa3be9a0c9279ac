"""What the schemes of routes say is secret is neither remembered nor logged, whoever wrote them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Annotated, Any

import pytest

from hybrid_gateway import Cookie, Depends, Gateway, Header, Headers, Query, QueryParams, Request, Router, get
from hybrid_gateway.auth import APIKeyAuthentication, Authentication, AuthenticationScheme, IsAuthenticated
from hybrid_gateway.auth.request_credentials import SecretCarriers
from hybrid_gateway.telemetry import AccessLog
from tests.security.test_memory_of_heads import judged

HOST = (b"host", b"testserver")


@get("/x")
async def x() -> str:
    return "x"


class Scheme(AuthenticationScheme):
    def openapi(self) -> dict[str, Any]:
        return {"type": "http", "scheme": "door"}


class ByParameter(Scheme):
    def authenticate(self, x_door: Annotated[str | None, Header()] = None) -> Authentication | None:
        return None


class ByAlias(Scheme):
    async def authenticate(self, door: Annotated[str | None, Header(alias="X-Door")] = None) -> Authentication | None:
        return None


def knock(x_door: Annotated[str | None, Header()] = None) -> Iterator[str | None]:
    yield x_door


class ByProvider(Scheme):
    carriers = ("X-Other",)

    def authenticate(self, knocked: Annotated[str | None, Depends(knock)]) -> Authentication | None:
        return None


class Declared(Scheme):
    carriers = ("X-Door",)

    def authenticate(self, headers: Headers) -> Authentication | None:
        return None


class Silent(Scheme):
    def authenticate(self, headers: Headers) -> Authentication | None:
        return None


class SilentRequest(Scheme):
    def authenticate(self, request: Request) -> Authentication | None:
        return None


class Unbuildable(Scheme):
    def authenticate(self, thing: SecretCarriers) -> Authentication | None:
        return None


SECRET = [APIKeyAuthentication(header="X-Door"), ByParameter(), ByParameter, ByAlias(), ByProvider(), Declared()]
SECRET += [Silent(), SilentRequest(), Unbuildable()]
PLACES = {
    "gateway": lambda scheme: Gateway([x], authentication=[scheme]),
    "router": lambda scheme: Gateway([x, Router("/in", [get("/y")(lambda: "y")], authentication=[scheme])]),
    "handler": lambda scheme: Gateway([x, get("/y", authentication=[scheme])(lambda: "y")]),
}


def remembers(gateway: Gateway, *headers: tuple[bytes, bytes]) -> bool:
    for _ in range(3):
        found = judged(gateway, [HOST, *headers])
    return found.was_known


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("scheme", SECRET, ids=repr)
def test_a_header_that_a_scheme_reads_is_not_remembered(scheme: Any, place: Any) -> None:
    gateway = place(scheme)
    assert not remembers(gateway, (b"x-door", b"sesame"))
    assert not any(b"sesame" in dict(head).values() for head, _ in gateway.dispatcher.validator._known.values())


@pytest.mark.parametrize("scheme", SECRET, ids=repr)
def test_other_heads_are_unless_nobody_can_say_what_is_secret(scheme: Any) -> None:
    unknown = isinstance(scheme, (Silent, SilentRequest, Unbuildable))
    assert remembers(PLACES["handler"](scheme), (b"x-trace", b"1")) is not unknown


def test_a_scheme_may_read_several_headers_and_say_some() -> None:
    gateway = PLACES["gateway"](ByProvider())
    assert not remembers(gateway, (b"x-other", b"1"))
    assert not remembers(gateway, (b"x-door", b"1"))


@pytest.mark.parametrize(
    "name", ["authorization", "cookie", "x-api-key", "x-gitlab-token", "x-hub-signature", "x-session-token", "password",
             "x-csrftoken", "proxy-authorization", "x-auth-user", "x-my-secret"],
)  # fmt: skip
def test_names_that_tell_are_secret_without_any_scheme(name: str) -> None:
    assert not remembers(Gateway([x]), (name.encode(), b"1"))


def test_what_becomes_secret_is_forgotten() -> None:
    gateway = Gateway([x])
    assert remembers(gateway, (b"x-door", b"sesame"))
    gateway.register(get("/y", authentication=[ByParameter()])(lambda: "y"))
    judged(gateway, [HOST], port=2)
    assert not any(b"sesame" in dict(head).values() for head, _ in gateway.dispatcher.validator._known.values())


# --- logs


class ByQuery(Scheme):
    def authenticate(self, door: Annotated[str | None, Query(alias="key word")] = None) -> Authentication | None:
        return None


class ByQueryParams(Scheme):
    def authenticate(self, query: QueryParams) -> Authentication | None:
        return None


class DeclaredQuery(Scheme):
    query_carriers = ("key word",)

    def authenticate(self, query: QueryParams) -> Authentication | None:
        return None


@pytest.mark.parametrize(
    ("scheme", "hidden"),
    [
        (APIKeyAuthentication(query="key word"), "a=1&key+word=***&key%20word=***&b"),
        (ByQuery(), "a=1&key+word=***&key%20word=***&b"),
        (DeclaredQuery(), "a=1&key+word=***&key%20word=***&b"),
        (ByQueryParams(), "a=***&key+word=***&key%20word=***&b"),
        (APIKeyAuthentication(header="X-Door"), "a=1&key+word=sesame&key%20word=sesame&b"),
    ],
    ids=repr,
)
def test_no_log_of_the_gateways_shows_a_secret_of_a_query(serve: Any, caplog: Any, scheme: Any, hidden: str) -> None:
    caplog.set_level(logging.INFO)
    client = serve(get("/logged", event_hooks=[AccessLog])(show), Router("/in", [show_more], authentication=[scheme]))
    client.get("/logged?a=1&key+word=sesame&key%20word=sesame&b")
    client.get("/nowhere?a=1&key+word=sesame&key%20word=sesame&b")
    logged = [record.getMessage() for record in caplog.records if "access" in record.name]
    assert logged and all(hidden in line for line in logged)


def show() -> str:
    return "shown"


@get("/more")
def show_more() -> str:
    return "more"


# --- what follows from it


class ByCookie(Scheme):
    def authenticate(self, door: Annotated[str | None, Cookie()] = None) -> Authentication | None:
        return None


@pytest.mark.parametrize(
    ("scheme", "vary"), [(ByParameter(), "x-door"), (ByCookie(), "cookie"), (Declared(), "x-door")]
)
def test_answers_vary_by_what_schemes_read(serve: Any, scheme: Any, vary: str) -> None:
    answer = serve(get("/", authentication=[scheme], guards=[IsAuthenticated])(show)).get("/")
    assert answer.status_code == 401
    assert vary in answer.headers["vary"].lower()
