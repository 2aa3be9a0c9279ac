"""Authentication schemes: which credentials are theirs, which of those are good, and what refusals cost."""

import subprocess
import sys
from base64 import b64encode
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import MD5PasswordHasher
from django.test import override_settings
from starlette.datastructures import Headers

from hybrid_gateway import get, post
from hybrid_gateway.auth import Authentication, AuthenticationScheme, BasicAuthentication, TokenAuthentication
from hybrid_gateway.auth.schemes import check_credentials
from hybrid_gateway.exceptions import ConfigurationError, Unauthorized
from hybrid_gateway.tokens import secret
from hybrid_gateway.tokens.models import Token

User = get_user_model()
pytestmark = pytest.mark.django_db


def headers(*values):
    return Headers(raw=[(b"authorization", value.encode("latin-1")) for value in values])


def basic(text):
    content = text if isinstance(text, bytes) else text.encode()
    return "Basic " + b64encode(content).decode()


@pytest.fixture
def user():
    return User.objects.create_user("ada", password="a:pass:wörd")


# --- Basic


@pytest.mark.parametrize("word", ["Basic", "basic", "BASIC", "bAsIc"])
def test_basic_reads_its_header_in_any_case(user, word):
    scheme = BasicAuthentication()
    found = scheme.authenticate(headers(word + basic("ada:a:pass:wörd")[5:]))
    assert found.user == user
    assert found.scheme is scheme
    assert found.token is None


def test_basic_allows_more_than_one_space(user):
    assert BasicAuthentication().authenticate(headers(basic("ada:a:pass:wörd").replace(" ", "   "))).user == user


@pytest.mark.parametrize(
    "value", ["", "Bearer x", "Token x", "Digest username=x", "Basically eDp5", "Basic\teDp5", "\xdf", ":", "Bearer"]
)
def test_basic_leaves_other_headers_alone(value):
    assert BasicAuthentication().authenticate(headers(value)) is None


def test_basic_without_a_header_is_nobody():
    assert BasicAuthentication().authenticate(headers()) is None


MALFORMED = [
    "Basic",
    "Basic ",
    "Basic !!",
    "Basic a",
    "Basic YTpi====",
    "Basic YTpi=",  # padded where nothing is missing
    "Basic YTp",  # not padded where something is
    "Basic YT pi",
    "Basic YTpi, Basic YTpi",
    "Basic YTpi\xe9",
    basic("no colon"),
    basic(b"\xff\xfe:x"),
    basic("ada\0:x"),
    basic("ada:x\0"),
    basic("ada:x\ny"),
    basic("ada:\x7f"),
    basic("ada:" + "x" * 8 * 1024),
]


@pytest.mark.parametrize("value", MALFORMED)
def test_malformed_basic_credentials_are_401_without_a_query(value, django_assert_num_queries):
    with django_assert_num_queries(0), pytest.raises(Unauthorized):
        BasicAuthentication().authenticate(headers(value))


@pytest.mark.parametrize(
    "credentials", ["ada:wrong", "ada:", ":", ":a:pass:wörd", "ADA:a:pass:wörd", "eve:a:pass:wörd"]
)
def test_wrong_basic_credentials_are_401(user, credentials):
    with pytest.raises(Unauthorized, match="username or the password"):
        BasicAuthentication().authenticate(headers(basic(credentials)))


def test_usernames_are_compared_in_the_normal_form_django_stores():
    user = User.objects.create_user("é", password="p")  # NFC
    assert BasicAuthentication().authenticate(headers(basic("e\u0301:p"))).user == user  # NFD


def test_the_basic_challenge_names_realm_and_charset():
    assert BasicAuthentication().challenge == 'Basic realm="api", charset="UTF-8"'
    assert BasicAuthentication(realm="the shop").challenge == 'Basic realm="the shop", charset="UTF-8"'


@pytest.mark.parametrize("realm", ['a"b', "a\\b", "a\r\nX-Y: z", "é"])
def test_a_realm_that_no_header_can_quote_is_a_configuration_error(realm):
    with pytest.raises(ConfigurationError, match="realm="):
        BasicAuthentication(realm=realm)


# --- what a refusal costs


class CountingHasher(MD5PasswordHasher):
    """Counts the hashes it makes."""

    made = 0

    def encode(self, password, salt):
        CountingHasher.made += 1
        return super().encode(password, salt)


@pytest.mark.parametrize("case", ["right", "wrong", "unknown", "inactive", "inactive and wrong", "unusable", "corrupt"])
def test_every_login_costs_one_hash(case):
    with override_settings(PASSWORD_HASHERS=[f"{__name__}.CountingHasher"]):
        user = User.objects.create_user("ada", password="right", is_active=not case.startswith("inactive"))
        if case == "unusable":
            user.set_unusable_password()
        if case == "corrupt":
            user.password = "imported-from-elsewhere"
        user.save()
        CountingHasher.made = 0
        found = check_credentials("eve" if case == "unknown" else "ada", "wrong" if "wrong" in case else "right")
    assert (found is not None) is (case == "right")
    assert CountingHasher.made == 1


def test_an_inactive_user_stays_out_even_where_the_backend_lets_them_in(user):
    User.objects.update(is_active=False)
    with override_settings(AUTHENTICATION_BACKENDS=["django.contrib.auth.backends.AllowAllUsersModelBackend"]):
        assert check_credentials("ada", "a:pass:wörd") is None


@pytest.mark.parametrize(("username", "password"), [("a\0", "x"), ("ada", "x\0")])
def test_a_nul_never_reaches_the_database(user, username, password, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert check_credentials(username, password) is None


# --- tokens


@pytest.mark.parametrize("word", ["Bearer", "bearer", "BEARER", "Token", "token"])
def test_a_token_is_read_after_both_words(user, word):
    token, plain = Token.objects.issue(user)
    scheme = TokenAuthentication()
    found = scheme.authenticate(headers(f"{word} {plain}"))
    assert (found.user, found.token, found.scheme) == (user, token, scheme)


@pytest.mark.parametrize(
    "value",
    ["", "Bearer", "Bearer ", "Bearer a b", "Bearer eyJhbGciOiJIUzI1NiJ9.e30.x", "Basic eDp5", "Token", "Bearer HGT_x",
     "hgt_x", "Bearer\thgt_x"],
)  # fmt: skip
def test_other_bearer_credentials_are_left_to_other_schemes(value, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert TokenAuthentication().authenticate(headers(value)) is None


def test_no_header_is_nobody():
    assert TokenAuthentication().authenticate(headers()) is None


@pytest.mark.parametrize("plain", ["hgt_", "hgt_x", "hgt_x y", "hgt_" + "\xe9" * 43, "hgt_" + "a" * 100_000])
def test_a_malformed_token_is_401_without_a_query(plain, django_assert_num_queries):
    with django_assert_num_queries(0), pytest.raises(Unauthorized):
        TokenAuthentication().authenticate(headers(f"Bearer {plain}"))


def test_a_refused_token_does_not_say_why(user):
    revoked, revoked_plain = Token.objects.issue(user)
    revoked.revoke()
    expired, expired_plain = Token.objects.issue(user)
    Token.objects.filter(pk=expired.pk).update(expires_at=expired.created_at - timedelta(days=1))
    details = set()
    for plain in (revoked_plain, expired_plain, secret.generate(), "hgt_x"):
        with pytest.raises(Unauthorized) as refusal:
            TokenAuthentication().authenticate(headers(f"Bearer {plain}"))
        details.add(refusal.value.detail)
    assert len(details) == 1


def test_keywords_can_be_chosen(user):
    _, plain = Token.objects.issue(user)
    scheme = TokenAuthentication(keywords=("Shop",))
    assert scheme.authenticate(headers(f"shop {plain}")).user == user
    assert scheme.authenticate(headers(f"Bearer {plain}")) is None
    assert scheme.challenge == 'Shop realm="api"'
    assert scheme.openapi()["type"] == "apiKey"
    assert TokenAuthentication().openapi() == {"type": "http", "scheme": "bearer", "bearerFormat": "hgt_..."}


@pytest.mark.parametrize("keywords", ["Bearer", (), ("",), ("a b",), ("é",)])
def test_keywords_that_no_header_can_open_with_are_a_configuration_error(keywords):
    with pytest.raises(ConfigurationError, match="keywords="):
        TokenAuthentication(keywords=keywords)


# --- both


@pytest.mark.parametrize("scheme", [BasicAuthentication(), TokenAuthentication()])
def test_two_authorization_headers_are_401(user, scheme):
    _, plain = Token.objects.issue(user)
    with pytest.raises(Unauthorized, match="more than once"):
        scheme.authenticate(headers(basic("ada:a:pass:wörd"), f"Bearer {plain}"))


def test_an_authentication_shows_no_secret(user):
    token, plain = Token.objects.issue(user)
    shown = repr(Authentication(user=user, scheme=TokenAuthentication(), token=plain))
    assert shown == f"<Authentication: user {user.pk} by TokenAuthentication()>"
    assert not hasattr(Authentication(user=user, scheme=None), "__dict__")


def test_a_scheme_must_say_how_it_authenticates():
    class Forgetful(AuthenticationScheme):
        pass

    with pytest.raises(ConfigurationError, match="Forgetful must define authenticate"):
        Forgetful().authenticate()
    with pytest.raises(ConfigurationError, match="Forgetful must define openapi"):
        Forgetful().openapi()


# --- over HTTP


@get("/me")
async def me(user: User) -> dict[str, str]:
    return {"username": user.username}


@get("/feed")
def feed(user: User | None) -> dict[str, str | None]:
    return {"username": user.username if user else None}


@get("/authentication")
def show(authentication: Authentication) -> list[str]:
    return [type(authentication.scheme).__name__, type(authentication.token).__name__]


@post("/upload")
async def upload(user: User, data: dict[str, int]) -> None: ...


BOTH = [TokenAuthentication(), BasicAuthentication()]


@pytest.fixture
def client(serve):
    return serve(me, feed, show, upload, authentication=BOTH)


def authorized(value):
    return {"Authorization": value}


def test_without_credentials_the_answer_is_401_and_names_the_ways_in(client):
    response = client.get("/me")
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="api", Basic realm="api", charset="UTF-8"'
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["status"] == 401
    assert client.get("/feed").json() == {"username": None}


@pytest.mark.parametrize("path", ["/me", "/feed"])
def test_either_scheme_authenticates(client, user, path):
    _, plain = Token.objects.issue(user)
    for value in (basic("ada:a:pass:wörd"), f"Bearer {plain}", f"token {plain}"):
        assert client.get(path, headers=authorized(value)).json() == {"username": "ada"}


def test_a_handler_sees_which_scheme_and_token_it_was(client, user):
    _, plain = Token.objects.issue(user)
    assert client.get("/authentication", headers=authorized(f"Bearer {plain}")).json() == [
        "TokenAuthentication",
        "Token",
    ]
    assert client.get("/authentication", headers=authorized(basic("ada:a:pass:wörd"))).json() == [
        "BasicAuthentication",
        "NoneType",
    ]


@pytest.mark.parametrize("path", ["/me", "/feed", "/feed?x=/auth/login"])
@pytest.mark.parametrize(
    "value",
    [*MALFORMED, "x", "Bearer", "Bearer a b", "Bearer hgt_", "Bearer hgt_" + "a" * 43, "Token x", "Digest x=y",
     "Negotiate", basic("ada:wrong"), basic("nobody:x")],
)  # fmt: skip
def test_credentials_that_are_not_good_are_401_wherever_somebody_looks(client, path, value):
    response = client.get(path, headers=authorized(value))
    assert response.status_code == 401
    assert "WWW-Authenticate" in response.headers


def test_a_token_stops_working_between_two_requests(client, user):
    token, plain = Token.objects.issue(user)
    assert client.get("/me", headers=authorized(f"Bearer {plain}")).status_code == 200
    token.revoke()
    assert client.get("/me", headers=authorized(f"Bearer {plain}")).status_code == 401


def test_a_token_costs_a_request_one_query(client, user, django_assert_num_queries):
    token, plain = Token.objects.issue(user)
    token.record_use()
    with django_assert_num_queries(1):
        assert client.get("/me", headers=authorized(f"Bearer {plain}")).status_code == 200


def test_who_is_refused_is_not_told_what_is_wrong_with_the_body(client):
    assert client.post("/upload", content=b"{", content_type="application/json").status_code == 401


def test_settings_may_import_schemes_and_guards():
    code = """
import sys
from django.conf import settings
from hybrid_gateway.auth import AllowAny, BasicAuthentication, TokenAuthentication
schemes = [TokenAuthentication(), BasicAuthentication()]
assert not settings.configured
assert "hybrid_gateway.tokens.models" not in sys.modules and "django.contrib.auth.base_user" not in sys.modules
"""
    environment = {"PYTHONPATH": ":".join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
