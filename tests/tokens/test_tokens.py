"""Tokens: what is stored, what works, what no longer does, and what the admin shows."""

from base64 import b64encode
from datetime import datetime, timedelta

import pytest
from asgiref.sync import async_to_sync
from django.contrib.admin import site
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.contrib.auth.signals import user_logged_in
from django.core.management import call_command
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from hybrid_gateway import Include, get
from hybrid_gateway.auth import BasicAuthentication, IsAuthenticated, TokenAuthentication
from hybrid_gateway.tokens import secret
from hybrid_gateway.tokens.models import LAST_USED_PRECISION, Token, TokenState
from hybrid_gateway.tokens.routes import Credentials, IssuedToken

User = get_user_model()
pytestmark = pytest.mark.django_db


@pytest.fixture
def user():
    return User.objects.create_user("ada", password="a-password")


def stored_text(token):
    return " ".join(str(value) for value in Token.objects.filter(pk=token.pk).values_list()[0])


def works(plain):
    return Token.objects.authenticate(plain) is not None


# --- issuing


def test_a_token_has_a_prefix_and_256_random_bits(user):
    plains = {Token.objects.issue(user)[1] for _ in range(20)}
    assert len(plains) == 20
    assert all(plain.startswith("hgt_") and len(plain) == 4 + 43 for plain in plains)


def test_the_database_holds_a_digest_and_a_hint_but_not_the_token(user):
    token, plain = Token.objects.issue(user, name="laptop")
    assert plain not in stored_text(token)
    assert plain[10:] not in stored_text(token)
    assert token.hint == plain[:10]
    assert not works(token.digest)
    assert not works("hgt_" + token.digest[:43])


def test_neither_repr_nor_str_shows_the_token(user):
    token, plain = Token.objects.issue(user, name="laptop")
    for text in (str(token), repr(token)):
        assert "laptop" in text
        assert plain not in text
        assert token.digest not in text


def test_a_user_has_as_many_tokens_as_they_like(user):
    plains = [Token.objects.issue(user)[1] for _ in range(3)]
    assert user.gateway_tokens.count() == 3
    assert all(works(plain) for plain in plains)


def test_a_token_without_lifetime_does_not_expire(user):
    token, _ = Token.objects.issue(user)
    assert token.expires_at is None


def test_a_lifetime_counts_from_now(user):
    token, _ = Token.objects.issue(user, expires_in=timedelta(hours=1))
    assert token.expires_at - token.created_at == timedelta(hours=1)


@pytest.mark.parametrize("lifetime", [timedelta(0), timedelta(seconds=-1)])
def test_a_lifetime_that_is_over_before_it_begins_is_an_error(user, lifetime):
    with pytest.raises(ValueError, match="expires_in must be positive"):
        Token.objects.issue(user, expires_in=lifetime)


async def _issue_and_revoke(user):
    token, plain = await Token.objects.aissue(user, name="async", expires_in=timedelta(days=1))
    before = await Token.objects.active().filter(pk=token.pk).aexists()
    await token.arevoke()
    return plain, before


def test_async_code_issues_and_revokes(user):
    plain, before = async_to_sync(_issue_and_revoke)(user)
    assert before
    assert not works(plain)


# --- using


def test_a_token_leads_to_its_user_in_one_query(user, django_assert_num_queries):
    token, plain = Token.objects.issue(user)
    token.record_use()
    with django_assert_num_queries(1):
        found = Token.objects.authenticate(plain)
        assert found.user.username == "ada"


@pytest.mark.parametrize(
    "plain",
    ["", "hgt_", "hgt_short", "hgt_" + "a" * 42, "hgt_" + "a" * 44, "hgt_" + "a" * 42 + "\0", "hgt_" + "a" * 42 + "é",
     "x" * 47, "hgt_" + "a" * 43 + "\n", "hgt_" + "\ud800" * 43],
)  # fmt: skip
def test_a_malformed_token_is_refused_without_a_query(plain, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert not works(plain)


def test_an_unknown_token_is_refused(user):
    Token.objects.issue(user)
    assert not works(secret.generate())


def test_a_token_is_compared_as_written(user):
    _, plain = Token.objects.issue(user)
    assert works(plain)
    assert not works("hgt_" + plain[4:].swapcase())


# --- ending


def expire(token):
    Token.objects.filter(pk=token.pk).update(expires_at=timezone.now())


def revoke(token):
    token.revoke()


def deactivate(token):
    User.objects.filter(pk=token.user_id).update(is_active=False)


def change_password(token):
    token.user.set_password("another-password")
    token.user.save()


def change_to_the_same_password(token):
    token.user.set_password("a-password")
    token.user.save()


def remove_password(token):
    token.user.set_unusable_password()
    token.user.save()


ENDINGS = [
    (expire, TokenState.EXPIRED),
    (revoke, TokenState.REVOKED),
    (deactivate, TokenState.USER_INACTIVE),
    (change_password, TokenState.PASSWORD_CHANGED),
    (change_to_the_same_password, TokenState.PASSWORD_CHANGED),
    (remove_password, TokenState.PASSWORD_CHANGED),
]


@pytest.mark.parametrize(("end", "state"), ENDINGS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_token_ends_at_once(user, end, state):
    token, plain = Token.objects.issue(user)
    other, other_plain = Token.objects.issue(User.objects.create_user("bob", password="b-password"))
    assert works(plain)
    end(token)
    assert not works(plain)
    assert Token.objects.get(pk=token.pk).state is state
    assert works(other_plain)


def test_a_token_of_a_user_without_password_works(user):
    user.set_unusable_password()
    user.save()
    assert works(Token.objects.issue(user)[1])


def test_a_token_outlives_the_secret_key(user, settings):
    _, plain = Token.objects.issue(user)
    settings.SECRET_KEY = "another-key-" * 5
    settings.SECRET_KEY_FALLBACKS = []
    assert works(plain)


def test_revoking_twice_keeps_the_first_time(user):
    token, _ = Token.objects.issue(user)
    stale = Token.objects.get(pk=token.pk)
    token.revoke()
    first = token.revoked_at
    token.revoke()
    stale.revoke()
    assert token.revoked_at == first
    assert Token.objects.get(pk=token.pk).revoked_at == first


def test_revoking_a_deleted_token_is_no_error(user):
    token, _ = Token.objects.issue(user)
    Token.objects.all().delete()
    token.revoke()


def test_a_queryset_revokes_what_it_holds_and_the_manager_cannot(user):
    kept, kept_plain = Token.objects.issue(user, name="kept")
    _, plain = Token.objects.issue(user)
    assert Token.objects.exclude(pk=kept.pk).revoke() == 1
    assert Token.objects.exclude(pk=kept.pk).revoke() == 0
    assert works(kept_plain)
    assert not works(plain)
    assert not hasattr(Token.objects, "revoke")


def test_querysets_tell_active_expired_and_revoked_apart(user):
    active, _ = Token.objects.issue(user, expires_in=timedelta(days=1))
    lasting, _ = Token.objects.issue(user)
    expired, _ = Token.objects.issue(user)
    expire(expired)
    revoked, _ = Token.objects.issue(user)
    revoked.revoke()
    assert set(Token.objects.active()) == {active, lasting}
    assert set(Token.objects.expired()) == {expired}
    assert set(Token.objects.revoked()) == {revoked}
    deactivate(active)
    assert not Token.objects.active().exists()


# --- the time of use


def last_used(token):
    return Token.objects.get(pk=token.pk).last_used_at


def test_use_is_noted_once_a_minute(user, django_assert_num_queries):
    token, plain = Token.objects.issue(user)
    assert last_used(token) is None
    works(plain)
    first = last_used(token)
    assert timezone.now() - first < timedelta(minutes=1)
    works(plain)
    assert last_used(token) == first
    long_ago = timezone.now() - LAST_USED_PRECISION
    Token.objects.update(last_used_at=long_ago)
    works(plain)
    assert last_used(token) > long_ago


def test_noting_the_use_never_undoes_a_revocation(user):
    token, _ = Token.objects.issue(user)
    stale = Token.objects.get(pk=token.pk)
    token.revoke()
    stale.record_use()
    assert Token.objects.get(pk=token.pk).revoked_at is not None


def test_a_use_that_cannot_be_noted_is_logged_and_changes_nothing_else(user, caplog):
    _, plain = Token.objects.issue(user)

    def refuse_updates(execute, sql, params, many, context):
        if sql.startswith("UPDATE"):
            raise OperationalError("database is read-only")
        return execute(sql, params, many, context)

    with transaction.atomic(), connection.execute_wrapper(refuse_updates):
        assert works(plain)
        assert User.objects.count() == 1  # the transaction around it goes on
    assert "could not note the use of token" in caplog.text
    assert plain not in caplog.text


# --- login and logout


@pytest.fixture
def api(serve):
    """A client of a project that guards everything and includes the token routes."""
    return serve(
        Include("/auth", "hybrid_gateway.tokens.routes", name="auth"),
        whoami,
        authentication=[TokenAuthentication(), BasicAuthentication()],
        guards=[IsAuthenticated],
    )


@get("/me")
async def whoami(user: User) -> str:
    return user.username


def log_in(api, username="ada", password="a-password", **options):
    return api.post("/auth/login", json={"username": username, "password": password}, **options)


def bearer(plain):
    return {"Authorization": f"Bearer {plain}"}


def test_login_gives_a_token_that_works_for_thirty_days(api, user):
    response = log_in(api)
    assert response.status_code == 201
    assert response.headers["Cache-Control"] == "no-store"
    assert set(response.json()) == {"token", "expires_at"}
    plain = response.json()["token"]
    assert api.get("/me", headers=bearer(plain)).text == "ada"
    token = Token.objects.get()
    assert token.expires_at - token.created_at == timedelta(days=30)
    assert datetime.fromisoformat(response.json()["expires_at"]) == token.expires_at
    assert plain not in stored_text(token)


def test_every_login_gives_another_token(api, user):
    assert log_in(api).json()["token"] != log_in(api).json()["token"]
    assert Token.objects.active().count() == 2


def test_login_notes_the_time_and_survives_receivers_that_want_a_request(api, user, caplog):
    def audit(request, **kwargs):
        raise AttributeError(request.META["REMOTE_ADDR"])

    user_logged_in.connect(audit)
    try:
        assert log_in(api).status_code == 201
    finally:
        user_logged_in.disconnect(audit)
    user.refresh_from_db()
    assert user.last_login is not None
    assert "audit" in caplog.text


@pytest.mark.parametrize("case", ["wrong", "unknown", "inactive", "unusable", "nul"])
def test_a_failed_login_does_not_say_why(api, user, case):
    expected = log_in(api, password="wrong")
    assert expected.status_code == 401
    assert expected.headers["WWW-Authenticate"] == 'Bearer realm="api"'
    if case == "inactive":
        User.objects.update(is_active=False)
    if case == "unusable":
        user.set_unusable_password()
        user.save()
    username = {"unknown": "nobody", "nul": "ada\0"}.get(case, "ada")
    response = log_in(api, username=username, password="wrong" if case == "wrong" else "a-password")
    assert response.status_code == 401
    assert response.content == expected.content
    assert dict(response.headers) == dict(expected.headers)
    assert not Token.objects.exists()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"{", 400),
        (b"[]", 422),
        (b"{}", 422),
        (b'{"username": "ada"}', 422),
        (b'{"username": "ada", "password": null}', 422),
        (b'{"username": "ada", "password": 1}', 422),
        (b'{"username": "' + b"a" * 255 + b'", "password": "x"}', 422),
        (b'{"username": "ada", "password": "' + b"x" * 4097 + b'"}', 422),
        (b'{"username": "ada", "password": "\xff"}', 400),
        (b'{"username": "ada", "password": "\\ud800"}', 400),
    ],
)
def test_a_login_that_is_no_login_is_refused(api, user, body, status):
    assert api.post("/auth/login", content=body, content_type="application/json").status_code == status


def test_a_client_may_log_in_with_its_old_token_still_in_the_header(api, user):
    _, plain = Token.objects.issue(user)
    Token.objects.all().revoke()
    assert log_in(api, headers=bearer(plain)).status_code == 201
    assert log_in(api, headers={"Authorization": "Basic !"}).status_code == 201


def test_logout_ends_the_token_it_came_with_and_no_other(api, user):
    plain, other = log_in(api).json()["token"], log_in(api).json()["token"]
    response = api.post("/auth/logout", headers=bearer(plain))
    assert (response.status_code, response.content) == (204, b"")
    assert api.get("/me", headers=bearer(plain)).status_code == 401
    assert api.post("/auth/logout", headers=bearer(plain)).status_code == 401
    assert api.get("/me", headers=bearer(other)).status_code == 200


def test_logout_needs_a_token(api, user):
    password = b64encode(b"ada:a-password").decode()
    assert api.post("/auth/logout").status_code == 401
    assert api.post("/auth/logout", headers={"Authorization": f"Basic {password}"}).status_code == 401
    api.force_authenticate(user)
    response = api.post("/auth/logout")
    assert response.status_code == 409
    assert "Only a token can be logged out" in response.json()["detail"]


def test_logging_in_and_out_is_post_alone(api, user):
    for path in ("/auth/login", "/auth/logout"):
        assert api.get(path).status_code == 405
        assert api.get(path).headers["Allow"] == "OPTIONS, POST"


def test_login_and_logout_have_names(api):
    assert api.gateway.reverse_url("auth:login") == "/auth/login"
    assert api.gateway.reverse_url("auth:logout") == "/auth/logout"


def test_the_bodies_of_login_hide_themselves_from_error_reports():
    shown = repr(Credentials("ada", "a-password")) + repr(IssuedToken("hgt_x", None))
    assert shown == "Credentials()IssuedToken()"


# --- the schema


def test_the_migration_is_up_to_date():
    call_command("makemigrations", "hybrid_gateway_tokens", check=True, dry_run=True, verbosity=0)


# --- the admin


@pytest.fixture
def admin_page(client):
    """A client of a superuser, and where the tokens are."""
    client.force_login(User.objects.create_superuser("root", password="r-password"))
    return client, "/admin/hybrid_gateway_tokens/token/"


def staff(client, *permissions):
    person = User.objects.create_user("clerk", password="c-password", is_staff=True)
    person.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(person)
    return person


def plain_of(response):
    html = response.content.decode()
    return html.partition("<code>")[2].partition("</code>")[0]


def test_the_admin_issues_a_token_and_shows_it_once(admin_page, user):
    client, page = admin_page
    response = client.post(page + "add/", {"user": user.pk, "name": "ci", "expires_in_days": 7}, follow=True)
    plain = plain_of(response)
    token = Token.objects.authenticate(plain)
    assert token.user == user
    assert token.name == "ci"
    assert token.expires_at - token.created_at == timedelta(days=7)
    for path in (page, f"{page}{token.pk}/change/", f"{page}{token.pk}/history/"):
        html = client.get(path).content.decode()
        assert token.hint in html
        assert plain not in html
        assert token.digest not in html
        assert token.password_fingerprint not in html


def test_the_admin_issues_a_token_without_end(admin_page, user):
    client, page = admin_page
    client.post(page + "add/", {"user": user.pk, "name": "", "expires_in_days": ""})
    assert Token.objects.get().expires_at is None


@pytest.mark.parametrize("days", ["0", "-1", "99999999999", "x"])
def test_the_admin_refuses_an_impossible_lifetime(admin_page, user, days):
    client, page = admin_page
    response = client.post(page + "add/", {"user": user.pk, "expires_in_days": days})
    assert response.status_code == 200
    assert not Token.objects.exists()


def test_the_admin_changes_a_name_and_nothing_else(admin_page, user):
    client, page = admin_page
    token, plain = Token.objects.issue(user, name="old")
    other = User.objects.create_user("eve")
    client.post(
        f"{page}{token.pk}/change/",
        {"name": "new", "user": other.pk, "digest": secret.digest("x"), "expires_at": "", "hint": "h"},
    )
    changed = Token.objects.authenticate(plain)
    assert changed.name == "new"
    assert changed.user == user


def test_saving_a_name_in_the_admin_never_undoes_a_revocation(user, rf):
    token, _ = Token.objects.issue(user)
    stale = Token.objects.get(pk=token.pk)
    token.revoke()
    site.get_model_admin(Token).save_model(rf.post("/"), stale, form=None, change=True)
    assert Token.objects.get(pk=token.pk).revoked_at is not None


def test_the_admin_revokes_one_token_on_its_page(admin_page, user):
    client, page = admin_page
    token, plain = Token.objects.issue(user)
    path = f"{page}{token.pk}/change/"
    assert 'name="_revoke"' in client.get(path).content.decode()
    response = client.post(path, {"name": "", "_revoke": "Revoke"}, follow=True)
    assert "The token is revoked." in response.content.decode()
    assert 'name="_revoke"' not in response.content.decode()
    assert not works(plain)


def test_the_admin_revokes_selected_tokens(admin_page, user):
    client, page = admin_page
    first, second, third = (Token.objects.issue(user)[0] for _ in range(3))
    response = client.post(page, {"action": "revoke_selected", "_selected_action": [first.pk, second.pk]}, follow=True)
    assert "2 tokens are revoked." in response.content.decode()
    assert set(Token.objects.active()) == {third}


@pytest.mark.parametrize("state", ["active", "expired", "revoked"])
def test_the_admin_filters_by_state_and_searches(admin_page, user, state):
    client, page = admin_page
    tokens = {name: Token.objects.issue(user, name=f"is-{name}")[0] for name in ("active", "expired", "revoked")}
    expire(tokens["expired"])
    tokens["revoked"].revoke()
    html = client.get(page, {"state": state}).content.decode()
    assert {name for name in tokens if f"is-{name}" in html} == {state}
    assert "is-active" in client.get(page, {"q": "ada"}).content.decode()
    assert "is-active" not in client.get(page, {"q": "nobody"}).content.decode()


def test_looking_is_not_revoking(client, user):
    staff(client, "view_token")
    token, plain = Token.objects.issue(user, name="seen")
    page = "/admin/hybrid_gateway_tokens/token/"
    html = client.get(f"{page}{token.pk}/change/").content.decode()
    assert "seen" in html
    assert "_revoke" not in html
    assert client.post(f"{page}{token.pk}/change/", {"name": "", "_revoke": "1"}).status_code == 403
    client.post(page, {"action": "revoke_selected", "_selected_action": [token.pk]})
    assert client.get(page + "add/").status_code == 403
    assert works(plain)


def test_adding_tokens_does_not_make_a_clerk_a_superuser(client):
    root = User.objects.create_superuser("root", password="r-password")
    clerk = staff(client, "add_token", "view_token")
    page = "/admin/hybrid_gateway_tokens/token/add/"
    response = client.post(page, {"user": root.pk, "name": "", "expires_in_days": ""})
    assert "You may issue tokens for yourself only." in response.content.decode()
    assert not Token.objects.exists()
    assert client.post(page, {"user": clerk.pk, "name": "", "expires_in_days": ""}).status_code == 302
    assert Token.objects.get().user == clerk


def test_who_may_change_users_may_issue_for_them(client, user):
    staff(client, "add_token", "view_token", "change_user")
    client.post("/admin/hybrid_gateway_tokens/token/add/", {"user": user.pk, "name": "", "expires_in_days": ""})
    assert Token.objects.get().user == user
