"""Tickets for websockets: who gets one, how often it works, and what ends it before its time."""

import os
import subprocess
import sys
from base64 import b64encode
from datetime import timedelta
from pathlib import Path

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.db import connection
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from starlette.datastructures import QueryParams

from hybrid_gateway import Gateway, Include, Router, get
from hybrid_gateway.access_control import SCHEMES
from hybrid_gateway.auth import (
    APIKeyAuthentication,
    Authentication,
    AuthenticationScheme,
    BasicAuthentication,
    IsStaff,
    JWTAuthentication,
    SessionAuthentication,
    TokenAuthentication,
    WebSocketTicketAuthentication,
)
from hybrid_gateway.auth.request_credentials import SecretsInQueries
from hybrid_gateway.auth.revalidation import find_ended
from hybrid_gateway.exceptions import ConfigurationError, Unauthorized
from hybrid_gateway.test import TestClient
from hybrid_gateway.tokens import logout_everywhere
from hybrid_gateway.tokens.jwt_routes import jwt_routes
from hybrid_gateway.tokens.models import JWTSession, Ticket, Token

User = get_user_model()
pytestmark = pytest.mark.django_db

AUTH = Include("/auth", "hybrid_gateway.tokens.routes")
SCHEME = WebSocketTicketAuthentication()


@pytest.fixture
def user():
    return User.objects.create_user("ada", password="a-password")


def redeem(*tickets):
    """Return whom a handshake with these tickets is let in as."""
    return async_to_sync(SCHEME.authenticate)(QueryParams([("ticket", ticket) for ticket in tickets]))


def works(ticket):
    try:
        return redeem(ticket).user.username == "ada"
    except Unauthorized:
        return False


def bearer(plain):
    return {"Authorization": f"Bearer {plain}"}


def ticket_for(client, headers):
    answer = client.post("/auth/ticket", headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()["ticket"]


# --- who gets one


def test_a_ticket_is_201_with_its_end_and_is_stored_nowhere(serve, user):
    client = serve(AUTH)
    token, plain = Token.objects.issue(user)
    answer = client.post("/auth/ticket", headers=bearer(plain))
    assert (answer.status_code, answer.headers["Cache-Control"]) == (201, "no-store")
    content = answer.json()
    assert content.keys() == {"ticket", "expires_at"}
    end = parse_datetime(content["expires_at"]) - timezone.now()
    assert timedelta(seconds=20) < end <= timedelta(seconds=30)
    assert content["ticket"] not in str(list(Ticket.objects.values_list()))
    assert content["ticket"] not in repr(Ticket.objects.get())
    found = redeem(content["ticket"])
    assert (found.user, found.scheme, found.token) == (user, SCHEME, None)
    assert content["ticket"] not in repr(found)


def test_nobody_gets_one_without_credentials(serve, user):
    client = serve(AUTH)
    assert client.post("/auth/ticket").status_code == 401
    assert client.post("/auth/ticket", headers=bearer("hgt_" + "x" * 43)).status_code == 401
    assert not Ticket.objects.exists()


def test_the_schemes_of_the_layers_around_decide_who_gets_one(serve, user):
    schemes = [SessionAuthentication(), APIKeyAuthentication(), BasicAuthentication(), JWTAuthentication(key="k" * 32)]
    client = serve(AUTH, authentication=schemes)
    _, key = Token.objects.issue(user)
    for headers in (
        {"X-API-Key": key},
        {"Authorization": "Basic " + b64encode(b"ada:a-password").decode()},
        bearer(schemes[-1].issue(user)),
    ):
        assert works(ticket_for(client, headers))
    assert client.post("/auth/ticket", headers=bearer(key)).status_code == 401
    client.force_login(user)
    assert works(ticket_for(client, {}))


def test_the_schemes_may_be_those_of_the_include(serve, user):
    client = serve(Include("/auth", "hybrid_gateway.tokens.routes", authentication=[BasicAuthentication()]))
    assert works(ticket_for(client, {"Authorization": "Basic " + b64encode(b"ada:a-password").decode()}))
    assert client.post("/auth/ticket", headers=bearer(Token.objects.issue(user)[1])).status_code == 401


def test_the_routes_of_jwt_issue_tickets_by_their_scheme(serve, user):
    scheme = JWTAuthentication(key="k" * 32)
    client = serve(Include("/auth", jwt_routes(scheme)))
    pair = client.post("/auth/login", json={"username": "ada", "password": "a-password"}).json()
    assert works(ticket_for(client, bearer(pair["access_token"])))


def test_there_is_a_module_with_this_route_alone(serve, user):
    client = serve(Include("/auth", "hybrid_gateway.tokens.ticket_routes"), authentication=[BasicAuthentication()])
    assert works(ticket_for(client, {"Authorization": "Basic " + b64encode(b"ada:a-password").decode()}))
    assert client.post("/auth/login").status_code == 404


def test_guards_of_outer_layers_are_for_what_a_ticket_opens(serve, user):
    client = serve(Router("", [AUTH], guards=[IsStaff]))
    assert works(ticket_for(client, bearer(Token.objects.issue(user)[1])))


def test_another_site_cannot_have_one_made_by_a_session(user):
    client = TestClient(Gateway([AUTH], authentication=[SessionAuthentication()]), enforce_csrf_checks=True)
    client.force_login(user)
    assert client.post("/auth/ticket").status_code == 403
    assert not Ticket.objects.exists()


def test_a_user_without_a_row_gets_none(serve):
    class Machine(AuthenticationScheme):
        """Lets in machines, which have no rows."""

        def authenticate(self) -> Authentication | None:
            return Authentication(user=type("Machine", (), {"pk": 1})(), scheme=self)

    assert serve(AUTH, authentication=[Machine()]).post("/auth/ticket").status_code == 409


# --- how often it works


def test_a_ticket_works_once(serve, user):
    ticket = ticket_for(serve(AUTH), bearer(Token.objects.issue(user)[1]))
    assert [works(ticket) for _ in range(3)] == [True, False, False]


def test_a_ticket_is_over_after_thirty_seconds(serve, user):
    ticket = ticket_for(serve(AUTH), bearer(Token.objects.issue(user)[1]))
    Ticket.objects.update(expires_at=timezone.now() - timedelta(milliseconds=1))
    assert not works(ticket)


def test_a_ticket_that_is_refused_is_used_up_all_the_same(serve, user):
    ticket = ticket_for(serve(AUTH), bearer(Token.objects.issue(user)[1]))
    User.objects.update(is_active=False)
    assert not works(ticket)
    User.objects.update(is_active=True)
    assert not works(ticket)


def test_what_is_no_ticket_is_401_and_costs_no_query(user, django_assert_num_queries):
    with django_assert_num_queries(0):
        for text in (
            "",
            "x",
            "hgw_",
            "hgt_" + "x" * 43,
            "hgw_" + "x" * 42,
            "hgw_" + "x" * 43 + "\n",
            "hgw_" + "\0" * 43,
        ):
            assert not works(text)
    assert not works("hgw_" + "x" * 43)


def test_two_tickets_are_refused_and_neither_is_used(serve, user):
    client = serve(AUTH)
    first, second = (ticket_for(client, bearer(Token.objects.issue(user)[1])) for _ in range(2))
    with pytest.raises(Unauthorized):
        redeem(first, second)
    assert works(first) and works(second)


def test_a_handshake_without_a_ticket_is_left_to_other_schemes(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert redeem() is None


def test_expired_tickets_do_not_pile_up(serve, user):
    client, headers = serve(AUTH), bearer(Token.objects.issue(user)[1])
    for _ in range(3):
        ticket_for(client, headers)
    Ticket.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    ticket_for(client, headers)
    assert Ticket.objects.count() == 1


RACE = """
import sys
import django
from django.conf import settings
settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "NAME": sys.argv[1],
                                          "USER": "postgres", "HOST": "127.0.0.1"}},
                   SECRET_KEY="tests-only", USE_TZ=True,
                   INSTALLED_APPS=["hybrid_gateway", "hybrid_gateway.tokens", "django.contrib.auth",
                                   "django.contrib.contenttypes"])
django.setup()
from hybrid_gateway.auth import TokenAuthentication, WebSocketTicketAuthentication
from hybrid_gateway.access_control import as_scheme
from hybrid_gateway.exceptions import Unauthorized
as_scheme(TokenAuthentication())
scheme = WebSocketTicketAuthentication()
print("ready", flush=True)
for ticket in sys.stdin:
    try:
        scheme.redeem(ticket.strip())
        print("in", flush=True)
    except Unauthorized:
        print("out", flush=True)
"""


@pytest.mark.django_db(transaction=True)
def test_of_several_processes_one_takes_a_ticket(serve, user):
    if connection.vendor != "postgresql":
        pytest.skip("Several processes see one database with TEST_DATABASE=postgresql.")
    root = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "PYTHONPATH": root}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    command = [sys.executable, "-c", RACE, connection.settings_dict["NAME"]]
    processes = [
        subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    try:
        assert [process.stdout.readline() for process in processes] == ["ready\n"] * 3
        client, headers = serve(AUTH), bearer(Token.objects.issue(user)[1])
        for _ in range(20):
            ticket = ticket_for(client, headers)
            for process in processes:
                process.stdin.write(f"{ticket}\n")
            for process in processes:
                process.stdin.flush()
            assert sorted(process.stdout.readline() for process in processes) == ["in\n", "out\n", "out\n"]
    finally:
        for process in processes:
            process.kill()
            process.communicate()


# --- what it stands for


def test_a_ticket_has_the_scopes_of_what_it_was_issued_by(serve, user):
    ticket = ticket_for(serve(AUTH), bearer(Token.objects.issue(user, scopes=["orders:read"])[1]))
    assert set(redeem(ticket).scopes) == {"orders:read"}


def enders(user, client):
    """Yield headers that get a ticket, and what ends them."""
    token, plain = Token.objects.issue(user)
    yield bearer(plain), token.revoke
    yield bearer(JWT.issue(user)), JWTSession.objects.all().revoke
    client.force_login(user)
    yield {}, lambda: client.session.flush()


JWT = JWTAuthentication(key="k" * 32)
SCHEMES_OF_CALLERS = [TokenAuthentication(), JWT, SessionAuthentication()]


@pytest.mark.parametrize("position", range(3), ids=["token", "jwt", "session"])
def test_a_ticket_ends_with_what_it_was_issued_by_and_so_does_its_socket(serve, user, position):
    client = serve(AUTH, authentication=SCHEMES_OF_CALLERS)
    headers, end = list(enders(user, client))[position]
    opened = redeem(ticket_for(client, headers))
    assert find_ended([opened]) == set()
    unused = ticket_for(client, headers)
    end()
    assert find_ended([opened]) == {opened}
    assert not works(unused)


@pytest.mark.parametrize("position", range(3), ids=["token", "jwt", "session"])
def test_a_ticket_ends_with_the_password_and_by_logging_out_everywhere(serve, user, position):
    client = serve(AUTH, authentication=SCHEMES_OF_CALLERS)
    headers, _ = list(enders(user, client))[position]
    opened, unused = redeem(ticket_for(client, headers)), ticket_for(client, headers)
    user.set_password("another")
    user.save()
    assert find_ended([opened]) == {opened}
    assert not works(unused)


def test_logging_out_everywhere_ends_tickets_and_their_sockets(serve, user):
    client = serve(AUTH, authentication=[BasicAuthentication()])
    headers = {"Authorization": "Basic " + b64encode(b"ada:a-password").decode()}
    opened, unused = redeem(ticket_for(client, headers)), ticket_for(client, headers)
    logout_everywhere(user)
    assert find_ended([opened]) == {opened}
    assert not works(unused)
    assert works(ticket_for(client, headers))


def test_the_socket_of_a_ticket_ends_when_the_token_would_have_expired(serve, user):
    client = serve(AUTH, authentication=[JWT])
    opened = redeem(ticket_for(client, bearer(JWT.issue(user, expires_in=timedelta(minutes=5)))))
    assert opened.credential.expires_at == int(JWTSession.objects.get().expires_at.timestamp())


def test_a_ticket_of_a_scheme_that_no_layer_lists_any_more_is_refused(serve, user):
    ticket = ticket_for(serve(AUTH), bearer(Token.objects.issue(user)[1]))
    known = SCHEMES.copy()
    try:
        SCHEMES.clear()
        assert not works(ticket)
    finally:
        SCHEMES.update(known)


def test_a_scheme_that_cannot_tell_lets_no_ticket_in(serve, user):
    class Moody(AuthenticationScheme):
        """It can tell now and then."""

        def authenticate(self) -> Authentication | None:
            return Authentication(user=User.objects.get(), scheme=self)

        def find_ended(self, credentials):
            raise ConnectionError("nobody there")

    ticket = ticket_for(serve(AUTH, authentication=[Moody()]), {})
    with pytest.raises(ConnectionError):
        redeem(ticket)
    assert not works(ticket)


# --- where it is read


def test_other_routes_take_no_ticket(serve, user):
    @get("/me")
    def me(user: User) -> str:
        return user.username

    client = serve(AUTH, me, authentication=[WebSocketTicketAuthentication(), TokenAuthentication()])
    headers = bearer(Token.objects.issue(user)[1])
    ticket = ticket_for(client, headers)
    assert client.get(f"/me?ticket={ticket}").status_code == 401
    assert client.get(f"/me?ticket={ticket}", headers=headers).text == "ada"
    assert works(ticket)


def test_a_ticket_alone_is_no_scheme_of_a_route_that_is_no_websocket(serve):
    @get("/me")
    def me(user: User) -> str:
        return user.username

    with pytest.raises(ConfigurationError, match="no authentication scheme applies"):
        serve(me, authentication=[WebSocketTicketAuthentication()])


def test_logs_do_not_show_tickets(serve):
    shown = []

    @get("/", authentication=[WebSocketTicketAuthentication()])
    async def home(secrets: SecretsInQueries) -> None:
        shown.append(secrets.hide(b"a=1&ticket=hgw_secret"))

    serve(home).get("/")
    assert shown == [b"a=1&ticket=***"]
