"""Tokens over time: rotated by their clients, pruned by a command, ended by whoever is in charge."""

from datetime import timedelta
from io import StringIO

import pytest
from asgiref.sync import async_to_sync
from django.contrib.admin import site
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.utils import timezone

from hybrid_gateway import Include, get
from hybrid_gateway.auth import TokenAuthentication
from hybrid_gateway.tokens import TableDenylist
from hybrid_gateway.tokens.admin import log_out_everywhere
from hybrid_gateway.tokens.models import JWTSession, RevokedJWT, Token

User = get_user_model()
pytestmark = pytest.mark.django_db


@get("/me")
async def me(user: User) -> str:
    return user.username


@pytest.fixture
def user():
    return User.objects.create_user("ada", password="a-password")


def bearer(plain):
    return {"Authorization": f"Bearer {plain}"}


@pytest.fixture
def api(serve):
    return serve(Include("/auth", "hybrid_gateway.tokens.routes"), me, authentication=[TokenAuthentication()])


def works(plain):
    return Token.objects.authenticate(plain) is not None


# --- rotation


def test_a_client_exchanges_its_token(api, user):
    _, plain = Token.objects.issue(user, name="laptop", expires_in=timedelta(days=7))
    answer = api.post("/auth/rotate", headers=bearer(plain))
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    assert not works(plain)
    assert works(answer.json()["token"])
    assert api.post("/auth/rotate", headers=bearer(plain)).status_code == 401
    api.force_authenticate(user)
    assert api.post("/auth/rotate").status_code == 409


def test_of_two_who_rotate_one_token_one_does(user):
    token, _ = Token.objects.issue(user)
    other = Token.objects.get(pk=token.pk)
    async_to_sync(token.arotate)()
    with pytest.raises(ValueError, match="no longer works"):
        other.rotate()
    assert Token.objects.active().count() == 1


def test_a_token_that_does_not_work_is_not_rotated(user):
    token, _ = Token.objects.issue(user)
    user.is_active = False
    token.user = user
    with pytest.raises(ValueError, match="no longer works"):
        token.rotate()
    assert Token.objects.get().revoked_at is None


def test_a_client_logs_out_everywhere(api, user):
    plains = [Token.objects.issue(user)[1] for _ in range(3)]
    assert api.post("/auth/logout/everywhere", headers=bearer(plains[0])).status_code == 204
    assert not any(map(works, plains))


# --- pruning


def test_pruning_deletes_what_ended_long_ago(user):
    now = timezone.now()
    kept = [Token.objects.issue(user)[0], Token.objects.issue(user, expires_in=timedelta(days=1))[0]]
    for column, age in (("expires_at", 31), ("revoked_at", 31), ("expires_at", 29), ("revoked_at", 29)):
        token, _ = Token.objects.issue(user)
        session, _ = JWTSession.objects.start(user, expires_in=timedelta(days=1))
        for row in (token, session):
            type(row).objects.filter(pk=row.pk).update(**{column: now - timedelta(days=age)})
        if age == 29:
            kept += [token, session]
    TableDenylist().add({"jti": "old", "exp": 1})
    TableDenylist().add({"jti": "new", "exp": now.timestamp()})
    out = StringIO()
    call_command("gateway", "prunetokens", stdout=out)
    assert out.getvalue().split("\n") == ["2 tokens", "2 JWT sessions", "1 revoked JWTs", ""]
    assert {*Token.objects.all(), *JWTSession.objects.all()} == set(kept)
    assert RevokedJWT.objects.count() == 1
    call_command("gateway", "prunetokens", "--days", "28", stdout=out)
    assert Token.objects.count() == 2
    assert JWTSession.objects.count() == 0


def test_pruning_needs_the_app(settings):
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "hybrid_gateway.tokens"]
    with pytest.raises(CommandError, match="Tokens need the app"):
        call_command("gateway", "prunetokens")


def test_a_token_with_scopes_from_the_command_line(user):
    out = StringIO()
    call_command("gateway", "createtoken", "ada", "--scope", "a:read", "--scope", "b", stdout=out)
    assert Token.objects.authenticate(out.getvalue().strip()).scopes == ["a:read", "b"]
    with pytest.raises(CommandError, match="scopes must be"):
        call_command("gateway", "createtoken", "ada", "--scope", "a b", stdout=out)


# --- the admin

TOKENS = "/admin/hybrid_gateway_tokens/token/"
SESSIONS = "/admin/hybrid_gateway_tokens/jwtsession/"


@pytest.fixture
def root(client):
    client.force_login(User.objects.create_superuser("root", password="r"))
    return client


def test_the_admin_gives_scopes(root, user):
    fields = {"user": user.pk, "name": "", "expires_in_days": "", "scopes_text": "a:read  b"}
    assert root.post(TOKENS + "add/", fields).status_code == 302
    assert Token.objects.get().scopes == ["a:read", "b"]
    assert root.post(TOKENS + "add/", {**fields, "scopes_text": "é"}).status_code == 200


def test_the_admin_knows_the_longest_lifetime(root, user, settings):
    settings.HYBRID_GATEWAY = {**settings.HYBRID_GATEWAY, "TOKENS": {"MAX_LIFETIME": timedelta(days=7)}}
    for days in ("", "8", "3"):
        root.post(TOKENS + "add/", {"user": user.pk, "name": "", "expires_in_days": days, "scopes_text": ""})
    lifetimes = [(token.expires_at - token.created_at).days for token in Token.objects.order_by("pk")]
    assert lifetimes == [7, 7, 3]


@pytest.mark.parametrize("page", [TOKENS, SESSIONS])
def test_the_admin_logs_the_users_of_tokens_out_everywhere(root, user, page):
    token, _ = Token.objects.issue(user)
    session, _ = JWTSession.objects.start(user, expires_in=timedelta(days=1))
    other, plain = Token.objects.issue(User.objects.create_user("bob"))
    row = token if page == TOKENS else session
    answer = root.post(page, {"action": "log_out_everywhere", "_selected_action": [row.pk]}, follow=True)
    assert "1 user is logged out." in answer.content.decode()
    assert not JWTSession.objects.get().is_active
    assert Token.objects.filter(revoked_at=None).get() == other
    assert works(plain)


def test_who_may_change_tokens_logs_out_themselves_alone(client, user):
    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=["change_token", "view_token"]))
    client.force_login(clerk)
    token, plain = Token.objects.issue(user)
    mine, own = Token.objects.issue(clerk)
    for selected in ([token.pk], [mine.pk, token.pk]):
        answer = client.post(TOKENS, {"action": "log_out_everywhere", "_selected_action": selected}, follow=True)
        assert "You may log out yourself only." in answer.content.decode()
    assert works(plain)
    assert works(own)
    client.post(TOKENS, {"action": "log_out_everywhere", "_selected_action": [mine.pk]})
    assert not works(own)


def test_the_action_fits_the_admin_of_users(root, user):
    _, plain = Token.objects.issue(user)
    users = site.get_model_admin(User)
    users.actions = [log_out_everywhere]
    try:
        root.post("/admin/auth/user/", {"action": "log_out_everywhere", "_selected_action": [user.pk]})
    finally:
        del users.actions
    assert not works(plain)


def test_the_admin_ends_logins_and_shows_no_secret(root, user):
    session, plain = JWTSession.objects.start(user, expires_in=timedelta(days=1))
    for path in (SESSIONS, f"{SESSIONS}{session.pk}/change/"):
        html = root.get(path).content.decode()
        assert "ada" in html
        for hidden in (plain[4:], session.refresh_digest, session.password_fingerprint):
            assert hidden not in html
    assert root.get(SESSIONS + "add/").status_code == 403
    answer = root.post(SESSIONS, {"action": "revoke_selected", "_selected_action": [session.pk]}, follow=True)
    assert "1 login is ended." in answer.content.decode()
    assert JWTSession.objects.refresh(plain) is None
