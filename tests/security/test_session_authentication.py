"""A session vouches for its user only as long as Django's own ``get_user`` says so."""

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session as Row

from hybrid_gateway import Session, get, post
from hybrid_gateway.auth import IsStaff, SessionAuthentication, TokenAuthentication

pytestmark = pytest.mark.django_db(transaction=True)

SCHEMES = [SessionAuthentication()]


@get("/me", authentication=SCHEMES)
def me(user: User) -> str:
    return user.username


@get("/ame", authentication=SCHEMES)
async def async_me(user: User) -> str:
    return user.username


@pytest.fixture
def ada():
    return User.objects.create_user("ada", password="secret")


def test_the_user_of_djangos_session_is_known(serve, ada):
    client = serve(me, async_me)
    assert client.get("/me").status_code == 401
    client.force_login(ada)
    assert client.get("/me").text == client.get("/ame").text == "ada"
    client.logout()
    assert client.get("/ame").status_code == 401


def test_r_revoke_a_changed_password_ends_the_session(serve, ada):
    client = serve(me)
    client.force_login(ada)
    ada.set_password("other")
    ada.save()
    answer = client.get("/me")
    assert answer.status_code == 401
    assert answer.cookies["sessionid"]["max-age"] == "0" and not Row.objects.exists()


def test_r_active_an_inactive_user_is_nobody(serve, ada):
    client = serve(me)
    client.force_login(ada)
    User.objects.update(is_active=False)
    assert client.get("/me").status_code == 401


def test_an_id_in_the_session_alone_proves_nothing(serve, ada):
    @post("/forge")
    def forge(session: Session) -> None:
        session["_auth_user_id"] = str(ada.pk)
        session["_auth_user_backend"] = "django.contrib.auth.backends.ModelBackend"

    client = serve(forge, me)
    client.post("/forge")
    assert client.get("/me").status_code == 401


def test_a_backend_that_is_gone_vouches_for_nobody(serve, ada, settings):
    client = serve(me)
    client.force_login(ada)
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.AllowAllUsersModelBackend"]
    assert client.get("/me").status_code == 401


def test_old_keys_are_good_until_they_are_dropped_and_the_session_is_rotated(serve, ada, settings):
    client = serve(me)
    client.force_login(ada)
    key = client.cookies["sessionid"].value
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", ["tests-only"]
    answer = client.get("/me")
    assert answer.text == "ada" and answer.cookies["sessionid"].value != key
    settings.SECRET_KEY_FALLBACKS = []
    assert client.get("/me").text == "ada"  # by its new hash
    client.cookies["sessionid"] = key
    assert client.get("/me").status_code == 401


def test_a_token_is_still_read_and_guards_see_who_it_is(serve, ada):
    from hybrid_gateway.tokens.models import Token

    @get("/staff", authentication=[TokenAuthentication(), *SCHEMES], guards=[IsStaff])
    def staff(user: User) -> str:
        return user.username

    client = serve(staff)
    client.force_login(ada)
    assert client.get("/staff").status_code == 403
    _, plain = Token.objects.issue(User.objects.create_user("grace", is_staff=True))
    assert client.get("/staff", headers={"Authorization": f"Bearer {plain}"}).text == "grace"
    assert client.get("/staff", headers={"Authorization": "Bearer hgt_x"}).status_code == 401


def test_it_works_below_djangos_own_middleware_and_below_others(serve, ada):
    django = ["django.contrib.sessions.middleware.SessionMiddleware"]
    other = ["django.middleware.locale.LocaleMiddleware"]

    @get("/own", authentication=SCHEMES, django_middleware=django)
    def own(user: User, session: Session) -> str:
        session["x"] = 1
        return user.username

    @get("/other", authentication=SCHEMES, django_middleware=other)
    def others(user: User, session: Session) -> int:
        session["x"] += 1
        return session["x"]

    client = serve(own, others)
    client.force_login(ada)
    assert client.get("/own").text == "ada"
    assert [client.get("/other").json() for _ in range(2)] == [2, 3]


def test_a_session_costs_two_queries(serve, ada, django_assert_num_queries):
    client = serve(me)
    client.force_login(ada)
    with django_assert_num_queries(2):
        client.get("/me")
    client.logout()
    with django_assert_num_queries(0):
        client.get("/me")
