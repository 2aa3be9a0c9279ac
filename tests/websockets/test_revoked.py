"""Websockets that are open while their credentials end: closed with 4401, over real routes, tickets among them."""

import asyncio
import threading
import time
from functools import partial

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.test import Client

from hybrid_gateway import Gateway, Include, WebSocket, listener, websocket
from hybrid_gateway.access_control import Credential
from hybrid_gateway.auth import (
    APIKeyAuthentication,
    Authentication,
    AuthenticationScheme,
    HasScope,
    SessionAuthentication,
    TokenAuthentication,
    WebSocketTicketAuthentication,
)
from hybrid_gateway.auth.revalidation import ended_authentications
from hybrid_gateway.concurrency.caller_threads import AsgirefThread
from hybrid_gateway.test import TestClient
from hybrid_gateway.test.socket_exchange import ServerHabits, SocketExchange
from hybrid_gateway.tokens import logout_everywhere
from hybrid_gateway.tokens.models import Token
from hybrid_gateway.websockets import registry
from tests.websockets.handshakes import handshake, open_websocket

User = get_user_model()
pytestmark = pytest.mark.django_db


@websocket("/live")
async def live(socket: WebSocket, user: User) -> None:
    async for _ in socket.iter(str):
        pass


@websocket("/orders", guards=[HasScope("orders")])
async def orders(socket: WebSocket, authentication: Authentication) -> None:
    async for _ in socket.iter(str):
        pass


SCHEMES = [WebSocketTicketAuthentication(), SessionAuthentication(), APIKeyAuthentication(), TokenAuthentication()]


@pytest.fixture
def gateway(monkeypatch):
    monkeypatch.setattr(registry, "SWEEP", 0.05)
    monkeypatch.setattr(registry, "RECHECK", 0.05)
    found = Gateway([live, orders, Include("/auth", "hybrid_gateway.tokens.routes")], authentication=SCHEMES)
    # On the thread of the test, which sees its rows.
    monkeypatch.setattr(found.websocket_registry, "_find_ended", partial(ended_authentications, lend=AsgirefThread))
    return found


@pytest.fixture
def user():
    return User.objects.create_user("ada", password="a-password")


def ticket_for(gateway, plain):
    answer = TestClient(gateway).post("/auth/ticket", headers={"Authorization": f"Bearer {plain}"})
    assert answer.status_code == 201, answer.text
    return answer.json()["ticket"]


def closed_by(gateway, end, *, path="/live", headers=()):
    """Return how a websocket is closed once ``end()`` has been called; another one of somebody else stays open."""
    other = Token.objects.issue(User.objects.create_user("bob"))[1]
    others = [(b"x-api-key", other.encode())]

    async def run():
        async with (
            open_websocket(gateway, headers=others) as bystander,
            open_websocket(gateway, path, headers=headers) as opened,
        ):
            assert (bystander.status, opened.status) == (101, 101)
            await sync_to_async(end)()
            closed = await opened.closed()
            assert len(gateway.websocket_registry) == 1
            return closed

    return async_to_sync(run)()


ENDED = (4401, "The credentials have ended.")


def test_a_revoked_token_closes_its_websocket_and_no_other(gateway, user):
    token, plain = Token.objects.issue(user)
    assert closed_by(gateway, token.revoke, headers=[(b"authorization", f"Bearer {plain}".encode())]) == ENDED


def test_the_websocket_of_a_ticket_is_closed_with_the_token_it_was_issued_by(gateway, user):
    token, plain = Token.objects.issue(user)
    assert closed_by(gateway, token.revoke, path=f"/live?ticket={ticket_for(gateway, plain)}") == ENDED


def test_the_websocket_of_a_session_is_closed_by_logging_out(gateway, user):
    browser = Client()
    browser.force_login(user)
    headers = [
        (b"cookie", f"sessionid={browser.cookies['sessionid'].value}".encode()),
        (b"origin", b"http://testserver"),
    ]
    assert closed_by(gateway, browser.logout, headers=headers) == ENDED


@pytest.mark.parametrize(
    "end", [logout_everywhere, lambda user: User.objects.filter(pk=user.pk).update(is_active=False), User.delete]
)
def test_the_user_closes_all_of_theirs(gateway, user, end):
    _, plain = Token.objects.issue(user)
    assert closed_by(gateway, lambda: end(user), path=f"/live?ticket={ticket_for(gateway, plain)}") == ENDED


def test_a_ticket_opens_one_websocket_with_the_scopes_of_its_token(gateway, user):
    narrow, wide = Token.objects.issue(user)[1], Token.objects.issue(user, scopes=["orders"])[1]
    ticket = ticket_for(gateway, wide)
    assert handshake(gateway, path=f"/orders?ticket={ticket}") == 101
    assert handshake(gateway, path=f"/orders?ticket={ticket}") == 401
    assert handshake(gateway, path=f"/orders?ticket={ticket_for(gateway, narrow)}") == 403
    assert handshake(gateway, path="/orders?ticket=hgw_x") == 401
    assert handshake(gateway, path="/orders") == 401


def test_a_ticket_needs_no_origin_and_does_not_make_a_bad_one_good(gateway, user):
    _, plain = Token.objects.issue(user)
    ticket = ticket_for(gateway, plain)
    evil = [(b"origin", b"https://evil.example")]
    assert handshake(gateway, path=f"/live?ticket={ticket}", headers=evil) == 403
    assert handshake(gateway, path=f"/live?ticket={ticket}") == 101


# --- whatever else is slow


class Clocked(AuthenticationScheme):
    """Knows everybody, until ``has_ended`` says otherwise, or until they expire."""

    def __init__(self, expires_in: float | None = None) -> None:
        self.expires_in = expires_in
        self.has_ended = False
        self.answers = threading.Event()
        self.answers.set()
        self.was_asked = threading.Event()

    async def authenticate(self) -> Authentication:
        return Authentication(user=AnonymousUser(), scheme=self)

    def describe(self, authentication: Authentication) -> Credential:
        expires_at = None if self.expires_in is None else time.time() + self.expires_in
        return Credential(user="", expires_at=expires_at)

    def find_ended(self, credentials):
        self.was_asked.set()
        self.answers.wait(20)
        return credentials if self.has_ended else ()


def closed_with(gateway: Gateway, path: str, text: str, meanwhile: threading.Event) -> int:
    """The code that closes a websocket after ``text``, on the threads of the gateway; then ``meanwhile`` is over."""

    async def run() -> int:
        news = asyncio.Event()
        exchange = SocketExchange(path, ServerHabits(), news.set)
        task = asyncio.create_task(gateway(TestClient(gateway).websocket(path)._scope, exchange.receive, exchange.send))
        exchange.give({"type": "websocket.receive", "text": text})
        try:
            async with asyncio.timeout(5):
                while exchange.close_code is None:
                    news.clear()
                    await news.wait()
        finally:
            meanwhile.set()
            exchange.leave(1000)
            await task
        return exchange.close_code

    return asyncio.run(run())


def test_credentials_that_end_are_noticed_while_every_thread_is_busy(monkeypatch):
    monkeypatch.setattr(registry, "SWEEP", 0.05)
    monkeypatch.setattr(registry, "RECHECK", 0.05)
    scheme, gate = Clocked(), threading.Event()

    @listener("/busy", authentication=[scheme])
    def busy(data: str, authentication: Authentication) -> None:
        scheme.has_ended = True
        gate.wait(20)

    assert closed_with(Gateway([busy], threads=1), "/busy", "x", gate) == 4401


def test_credentials_that_expire_do_so_while_nobody_can_tell_of_others(monkeypatch):
    monkeypatch.setattr(registry, "SWEEP", 0.05)
    monkeypatch.setattr(registry, "RECHECK", 0.05)
    scheme = Clocked(expires_in=0.3)
    scheme.answers.clear()

    @listener("/", authentication=[scheme])
    async def answer(data: str, authentication: Authentication) -> None: ...

    assert closed_with(Gateway([answer]), "/", "x", scheme.answers) == 4401
    assert scheme.was_asked.is_set()
