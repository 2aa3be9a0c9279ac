"""What was let in once, and is no longer good: every end of every scheme is found, and nothing else is."""

import time
from base64 import b64encode
from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session as SessionRow
from django.db import OperationalError
from django.test import Client
from django.utils import timezone
from rest_framework.authtoken.models import Token as DRFToken
from rest_framework_simplejwt.tokens import AccessToken

from hybrid_gateway import Gateway, get
from hybrid_gateway.auth import (
    APIKeyAuthentication,
    Authentication,
    AuthenticationScheme,
    BasicAuthentication,
    Credential,
    JWTAuthentication,
    SessionAuthentication,
    TokenAuthentication,
    describe_user,
    revalidation,
)
from hybrid_gateway.auth.revalidation import ended_authentications, find_ended, find_ended_strictly
from hybrid_gateway.concurrency.caller_threads import AsgirefThread
from hybrid_gateway.contrib.drf import DRFTokenAuthentication
from hybrid_gateway.contrib.simplejwt import SimpleJWTAuthentication
from hybrid_gateway.test import TestClient
from hybrid_gateway.tokens import CacheDenylist, TableDenylist, logout_everywhere
from hybrid_gateway.tokens.models import JWTSession, Token

User = get_user_model()
pytestmark = pytest.mark.django_db

KEY = "k" * 32


@pytest.fixture
def user():
    return User.objects.create_user("ada", password="a-password")


def let_in(scheme, headers, **cookies):
    """Return the authentication that a request with these headers gets, from a route of a gateway."""
    found = []

    @get("/")
    def keep(authentication: Authentication) -> None:
        found.append(authentication)

    client = TestClient(Gateway([keep], authentication=[scheme]))
    client.cookies.load(cookies)
    answer = client.get("/", headers=headers)
    assert answer.status_code == 204, answer.text
    found[0].opened_at = time.time()
    assert find_ended(found) == set()
    return found[0]


def by_token(user, **options):
    token, plain = Token.objects.issue(user, **options)
    return token, let_in(TokenAuthentication(), {"Authorization": f"Bearer {plain}"})


def by_basic(user):
    return let_in(BasicAuthentication(), {"Authorization": "Basic " + b64encode(b"ada:a-password").decode()})


def by_session(user):
    browser = Client()
    browser.force_login(user)
    return let_in(SessionAuthentication(), {}, sessionid=browser.cookies["sessionid"].value)


def by_jwt(user, scheme=None, **options):
    scheme = scheme or JWTAuthentication(key=KEY)
    return let_in(scheme, {"Authorization": f"Bearer {scheme.issue(user, **options)}"})


def by_foreign_jwt(user, **options):
    signing = JWTAuthentication(key=KEY)
    return let_in(
        JWTAuthentication(key=KEY, foreign=True, **options), {"Authorization": f"Bearer {signing.issue(user)}"}
    )


def by_drf(user):
    token = DRFToken.objects.get_or_create(user=user)[0]
    return let_in(DRFTokenAuthentication(), {"Authorization": f"Token {token.key}"})


def by_simple_jwt(user):
    return let_in(SimpleJWTAuthentication(), {"Authorization": f"Bearer {AccessToken.for_user(user)}"})


class ByName(AuthenticationScheme):
    """A scheme of a project: it says nothing of what becomes of its users."""

    carriers = ("X-Name",)

    def authenticate(self) -> Authentication | None:
        return Authentication(user=User.objects.get(username="ada"), scheme=self)


def by_own_scheme(user):
    return let_in(ByName(), {})


ANY = [
    lambda user: by_token(user)[1],
    by_basic,
    by_session,
    by_jwt,
    by_foreign_jwt,
    by_drf,
    by_simple_jwt,
    by_own_scheme,
]


def has_ended(authentication):
    return find_ended([authentication]) == {authentication}


# --- by the user


@pytest.mark.parametrize("by", ANY)
def test_a_deactivated_user_is_out_whatever_let_them_in(by, user):
    found = by(user)
    User.objects.update(is_active=False)
    assert has_ended(found)


@pytest.mark.parametrize("by", ANY)
def test_a_deleted_user_is_out_whatever_let_them_in(by, user):
    found = by(user)
    User.objects.all().delete()
    assert has_ended(found)


@pytest.mark.parametrize("by", ANY)
def test_logging_out_everywhere_ends_all_that_is_older(by, user):
    found = by(user)
    logout_everywhere(user)
    assert has_ended(found)


@pytest.mark.parametrize("by", [by_basic, by_own_scheme])
def test_a_socket_that_is_opened_after_logging_out_everywhere_stays(by, user):
    logout_everywhere(user)
    assert not has_ended(by(user))


@pytest.mark.parametrize("by", [lambda user: by_token(user)[1], by_basic, by_session, by_jwt])
def test_a_new_password_ends_what_it_ends_for_requests(by, user):
    found = by(user)
    user.set_password("another")
    user.save()
    assert has_ended(found)


@pytest.mark.parametrize("by", [by_drf, by_foreign_jwt, by_simple_jwt, by_own_scheme])
def test_a_new_password_does_not_end_what_it_does_not_end_for_requests(by, user):
    found = by(user)
    user.set_password("another")
    user.save()
    assert not has_ended(found)


def test_simple_jwt_says_whether_a_new_password_ends_its_tokens(user, settings):
    settings.SIMPLE_JWT = {**settings.SIMPLE_JWT, "CHECK_REVOKE_TOKEN": True}
    found = by_simple_jwt(user)
    user.set_password("another")
    user.save()
    assert has_ended(found)


def test_others_are_left_alone(user):
    other = User.objects.create_user("bob", password="a-password")
    theirs, own = by_token(other)[1], by_token(user)[1]
    logout_everywhere(user)
    assert find_ended([theirs, own]) == {own}


def test_an_inactive_user_whom_a_backend_lets_in_stays(user, settings):
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.AllowAllUsersModelBackend"]
    User.objects.update(is_active=False)
    user.refresh_from_db()
    found = by_session(user)
    assert not has_ended(found)
    User.objects.all().delete()
    assert has_ended(found)


def test_a_user_without_a_row_is_left_to_the_scheme():
    class Machine(AuthenticationScheme):
        """Lets in machines, which have no rows."""

        ended = False

        def authenticate(self) -> Authentication | None:
            return Authentication(user=object(), scheme=self)

        def find_ended(self, credentials):
            return credentials if self.ended else ()

    scheme = Machine()
    found = scheme.authenticate()
    assert not has_ended(found)
    scheme.ended = True
    assert has_ended(found)


# --- by the credential


def test_a_token_ends_when_it_is_revoked_rotated_or_deleted(user):
    for end in (Token.revoke, Token.rotate, Token.delete):
        token, found = by_token(user)
        end(token)
        assert has_ended(found)


def test_a_token_ends_when_its_time_is_over_even_if_that_was_put_off_or_brought_forward(user):
    token, found = by_token(user, expires_in=timedelta(hours=1))
    Token.objects.filter(pk=token.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert has_ended(found)


def test_an_api_key_ends_like_a_token(user):
    token, plain = Token.objects.issue(user)
    found = let_in(APIKeyAuthentication(), {"X-API-Key": plain})
    token.revoke()
    assert has_ended(found)


@pytest.mark.parametrize(
    "engine", ["db", "cache", "cached_db", "file"], ids=lambda name: f"sessions in {name.replace('_', ' ')}"
)
def test_a_session_ends_in_whatever_engine(user, settings, tmp_path, engine):
    settings.SESSION_FILE_PATH = str(tmp_path)
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    browser, other = Client(), Client()
    browser.force_login(user)
    other.force_login(user)
    found, theirs = (
        let_in(SessionAuthentication(), {}, sessionid=one.cookies["sessionid"].value) for one in (browser, other)
    )
    assert find_ended([found, theirs]) == set()
    browser.session.flush()
    assert find_ended([found, theirs]) == {found}


def test_a_session_in_a_cookie_ends_with_the_password(user, settings):
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    found = by_session(user)
    assert not has_ended(found)
    user.set_password("another")
    user.save()
    assert has_ended(found)


def test_a_session_ends_when_it_has_expired(user):
    found = by_session(user)
    SessionRow.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
    assert has_ended(found)


def test_a_session_that_the_handler_ends_is_over(user):
    found = by_session(user)
    del found.credential
    found.session.flush()
    assert has_ended(found)


def test_an_access_token_ends_with_its_login_and_at_its_own_time(user):
    found = by_jwt(user)
    JWTSession.objects.all().revoke()
    assert has_ended(found)
    brief = by_jwt(user, expires_in=timedelta(minutes=10))
    assert brief.credential.expires_at == brief.token["exp"]
    brief.credential = Credential(user=str(user.pk), key=brief.credential.key, expires_at=time.time() - 1)
    assert has_ended(brief)


@pytest.mark.parametrize("denylist", [TableDenylist(), CacheDenylist()], ids=repr)
def test_a_foreign_token_ends_when_it_is_denied(user, denylist, django_assert_max_num_queries):
    found, other = (by_foreign_jwt(user, denylist=denylist) for _ in range(2))
    other.scheme = found.scheme
    denylist.add(found.token)
    with django_assert_max_num_queries(2):
        assert find_ended([found, other]) == {found}


def test_a_denylist_of_a_project_needs_no_more_than_two_methods(user):
    class Own:
        def __init__(self):
            self.ended = set()

        def add(self, claims):
            self.ended.add(claims["jti"])

        def holds(self, claims):
            return claims["jti"] in self.ended

    denylist = Own()
    found = by_foreign_jwt(user, denylist=denylist)
    denylist.add(found.token)
    assert has_ended(found)


def test_a_token_of_rest_framework_ends_with_its_row(user):
    found = by_drf(user)
    assert DRFToken.objects.get().key not in str(found.credential.key)
    DRFToken.objects.all().delete()
    assert has_ended(found)


def test_a_project_tells_of_its_own_credentials(user):
    class Badges(AuthenticationScheme):
        """Badges have numbers, and some are blocked."""

        carriers = ("X-Badge",)
        blocked: set[str] = set()

        def authenticate(self) -> Authentication | None:
            return Authentication(user=User.objects.get(), scheme=self, token="7")

        def describe(self, authentication):
            return describe_user(authentication.user, key=authentication.token)

        def find_ended(self, credentials):
            return [credential for credential in credentials if credential.key in self.blocked]

    found = let_in(Badges(), {})
    Badges.blocked.add("7")
    assert has_ended(found)


# --- many of them


def test_a_thousand_cost_one_query_for_users_and_one_of_each_kind(user, django_assert_num_queries):
    token, first = by_token(user)
    many = [first]
    for number in range(1200):
        found = Authentication(user=user, scheme=first.scheme, token=token)
        found.opened_at = float(number)
        many.append(found)
    with django_assert_num_queries(4):
        assert find_ended(many) == set()
    token.revoke()
    with django_assert_num_queries(4):
        assert find_ended(many) == set(many)


# --- what cannot be asked


class Broken(ByName):
    """A scheme that cannot tell."""

    fails = True

    def find_ended(self, credentials):
        if self.fails:
            raise OperationalError("the database is away")
        return ()


def test_nobody_is_cut_by_a_question_that_fails_and_the_log_says_so_once(user, caplog):
    broken, other = let_in(ByName(), {}), by_token(user)
    broken.scheme = Broken()
    other[0].revoke()
    for _ in range(3):
        assert find_ended([broken, other[1]]) == {other[1]}
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    broken.scheme.fails = False
    assert find_ended([broken]) == set()
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    with pytest.raises(OperationalError):
        broken.scheme.fails = True
        find_ended_strictly([broken])


def test_a_database_that_is_away_cuts_nobody_whose_time_is_not_over(user, monkeypatch, caplog):
    found, expired = by_token(user)[1], by_basic(user)
    expired.credential = Credential(user=str(user.pk), expires_at=time.time() - 1)

    def fail(keys):
        raise OperationalError("the database is away")

    monkeypatch.setattr(revalidation, "load_users", fail)
    monkeypatch.setattr(Token.objects, "using", fail)
    assert find_ended([found, expired]) == {expired}
    monkeypatch.undo()
    assert find_ended([found]) == set()


def test_a_scheme_that_cannot_describe_is_left_with_its_user(user, caplog):
    class Silent(ByName):
        """It fails."""

        def describe(self, authentication):
            raise KeyError("key")

    found = Silent().authenticate()
    assert find_ended([found]) == find_ended([found]) == set()
    assert len(caplog.records) == 1
    User.objects.update(is_active=False)
    assert has_ended(found)


def test_it_is_asked_on_a_thread_that_is_given_back(user):
    lent = []

    class Lent(AsgirefThread):
        __slots__ = ()

        def release(self):
            lent.remove(self)

    def lend():
        lent.append(Lent())
        return lent[-1]

    token, found = by_token(user)
    assert async_to_sync(ended_authentications)([found], lend) == set()
    token.revoke()
    assert async_to_sync(ended_authentications)([found], lend) == {found}
    assert lent == []
