"""Credentials that other libraries issued, each asked of the library itself."""

import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import jwt
import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from hypothesis import HealthCheck, given
from hypothesis import settings as fuzz
from hypothesis import strategies as st
from rest_framework.authtoken.models import Token as DRFToken
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken
from starlette.datastructures import Headers

from hybrid_gateway import get
from hybrid_gateway.auth import JWTAuthentication, TokenAuthentication
from hybrid_gateway.contrib.drf import DRFTokenAuthentication
from hybrid_gateway.contrib.simplejwt import SimpleJWTAuthentication
from hybrid_gateway.exceptions import ConfigurationError, Unauthorized
from hybrid_gateway.tokens import logout_everywhere
from hybrid_gateway.tokens.models import SignOut, Token

User = get_user_model()
pytestmark = pytest.mark.django_db


@get("/me")
async def me(user: User) -> str:
    return user.username


@pytest.fixture
def user():
    return User.objects.create_user("ada", password="a-password")


def status(client, value):
    return client.get("/me", headers={"Authorization": value}).status_code


# --- REST framework


@pytest.fixture
def drf(serve):
    return serve(me, authentication=[TokenAuthentication(), DRFTokenAuthentication()])


def test_tokens_of_rest_framework_go_on_working_beside_ours(drf, user):
    theirs, (_, ours) = DRFToken.objects.create(user=user), Token.objects.issue(user)
    assert status(drf, f"Token {theirs.key}") == 200
    assert status(drf, f"token {theirs.key}") == 200
    assert status(drf, f"Token {ours}") == 200
    for wrong in (
        "Token " + "a" * 40,
        f"Token {theirs.key.upper()}",
        f"Token {theirs.key}x",
        "Token",
        f"Bearer {theirs.key}",
    ):
        assert status(drf, wrong) == 401


def test_a_token_of_rest_framework_costs_one_query_and_one_for_logging_out(drf, user, django_assert_max_num_queries):
    theirs = DRFToken.objects.create(user=user)
    with django_assert_max_num_queries(2):
        assert status(drf, f"Token {theirs.key}") == 200


def test_tokens_of_rest_framework_end(drf, user):
    theirs = DRFToken.objects.create(user=user)
    logout_everywhere(user)
    assert status(drf, f"Token {theirs.key}") == 401
    SignOut.objects.all().delete()
    User.objects.update(is_active=False)
    assert status(drf, f"Token {theirs.key}") == 401


def test_the_keyword_may_be_another(serve, user):
    client = serve(me, authentication=[DRFTokenAuthentication(keyword="Bearer")])
    theirs = DRFToken.objects.create(user=user)
    assert status(client, f"Bearer {theirs.key}") == 200
    assert client.get("/me").headers["WWW-Authenticate"] == 'Bearer realm="api"'
    assert DRFTokenAuthentication().openapi()["description"] == "Token and 40 hex digits"
    with pytest.raises(ConfigurationError, match="keyword="):
        DRFTokenAuthentication(keyword="two words")


# --- Simple JWT

OURS = JWTAuthentication(algorithms=["HS256"], key="k" * 32, issuer="us")


@pytest.fixture
def simple(serve):
    return serve(me, authentication=[OURS, SimpleJWTAuthentication()])


def test_tokens_of_simple_jwt_go_on_working_beside_ours(simple, user):
    assert status(simple, f"Bearer {AccessToken.for_user(user)}") == 200
    assert status(simple, f"Bearer {OURS.issue(user)}") == 200
    assert status(simple, f"Bearer {RefreshToken.for_user(user)}") == 401


def test_tokens_of_simple_jwt_end(simple, user):
    expired, token = AccessToken.for_user(user), AccessToken.for_user(user)
    expired.set_exp(lifetime=-timedelta(minutes=1))
    assert status(simple, f"Bearer {expired}") == 401
    assert status(simple, f"Bearer {token}") == 200
    logout_everywhere(user)
    assert status(simple, f"Bearer {token}") == 401
    SignOut.objects.all().delete()
    User.objects.update(is_active=False)
    assert status(simple, f"Bearer {token}") == 401
    User.objects.all().delete()
    assert status(simple, f"Bearer {token}") == 401


def signed(claims):
    content = {"token_type": "access", "exp": time.time() + 60, "jti": "x", **claims}
    return jwt.encode(content, settings.SIMPLE_JWT["SIGNING_KEY"])


@pytest.mark.parametrize("claim", ["exp", "iat"])
@pytest.mark.parametrize("moment", [6.77680361916768e16, 1e300, -1e300, 2**70])
def test_a_time_that_no_clock_has_is_only_401(simple, claim, moment):
    assert status(simple, f"Bearer {signed({claim: moment})}") == 401


@fuzz(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.tuples(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20)).map(".".join)
    | st.dictionaries(
        st.sampled_from(["exp", "user_id", "jti", "token_type"]),
        st.none() | st.integers() | st.floats() | st.text() | st.lists(st.text()),
    ).map(signed)
)
def test_fuzzed_tokens_are_only_401(plain):
    header = Headers(raw=[(b"authorization", b"Bearer " + plain.encode("utf-8", "replace"))])
    try:
        assert SimpleJWTAuthentication().authenticate(header) is None
    except Unauthorized:
        return


# --- allauth

ALLAUTH = """
import time
import django, jwt
from django.conf import settings

settings.configure(
    SECRET_KEY="s" * 50, ALLOWED_HOSTS=["testserver"], USE_TZ=True, ROOT_URLCONF="urls_of_allauth",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["hybrid_gateway", "hybrid_gateway.tokens", "django.contrib.auth", "django.contrib.contenttypes",
                    "django.contrib.sessions", "allauth", "allauth.account", "allauth.headless"],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware",
                "django.contrib.auth.middleware.AuthenticationMiddleware",
                "allauth.account.middleware.AccountMiddleware"],
    HEADLESS_TOKEN_STRATEGY="allauth.headless.tokens.strategies." + STRATEGY, HEADLESS_JWT_ALGORITHM="HS256",
    HEADLESS_ONLY=True, ACCOUNT_EMAIL_VERIFICATION="none", HEADLESS_CLIENTS=("app",),
    HYBRID_GATEWAY={"ALLOWED_DJANGO_ROUTES": ("/allauth/",)},
)
import sys, types
urls = types.ModuleType("urls_of_allauth")
sys.modules["urls_of_allauth"] = urls
django.setup()
from django.urls import include, path
urls.urlpatterns = [path("allauth/", include("allauth.headless.urls"))]
from django.core.management import call_command
call_command("migrate", verbosity=0)
from django.contrib.auth import get_user_model
from hybrid_gateway import Gateway, get
from hybrid_gateway.tokens import logout_everywhere
from hybrid_gateway.contrib.allauth import AllauthAccessTokenAuthentication, AllauthSessionTokenAuthentication
from hybrid_gateway.test import TestClient

User = get_user_model()

@get("/me")
async def me(user: User) -> str:
    return user.username

schemes = [AllauthSessionTokenAuthentication(), AllauthAccessTokenAuthentication()]
client = TestClient(Gateway([me], django_routes=("/allauth/",), authentication=schemes))
ada = User.objects.create_user("ada", password="a-password")

def login():
    answer = client.post("/allauth/app/v1/auth/login", json={"username": "ada", "password": "a-password"})
    assert answer.status_code == 200, answer.text
    meta = answer.json()["meta"]
    if "access_token" in meta:
        return {"Authorization": "Bearer " + meta["access_token"]}
    return {"X-Session-Token": meta["session_token"]}

def works(headers):
    status = client.get("/me", headers=headers).status_code
    assert status in (200, 401), status
    return status == 200

first, second = login(), login()
assert works(first) and works(second)
for name, value in first.items():
    for wrong in (value + "x", value[:-5], "", "x" * 1000, "Bearer x.y.z", "Bearer " + "x" * 20000 + ".y.z"):
        assert not works({name: wrong}), wrong
if "Authorization" in first:
    claims = jwt.decode(first["Authorization"][7:], options={"verify_signature": False})
    for changes in ({"token_use": "refresh"}, {"sid": "x"}, {"sid": "AAAA" * 20}, {"exp": 1}, {"sub": "x"}):
        forged = jwt.encode({**claims, **changes}, "s" * 50)
        assert not works({"Authorization": "Bearer " + forged}), changes
User.objects.update(is_active=False)
assert not works(first)
User.objects.update(is_active=True)
assert works(second)
logout_everywhere(ada)
assert not works(second)
from hybrid_gateway.tokens.models import SignOut
SignOut.objects.all().delete()
third = login()
assert works(third)
ada.set_password("another")
ada.save()
assert not works(third)
print("passed")
"""


@pytest.mark.parametrize("strategy", ["sessions.SessionTokenStrategy", "jwt.JWTTokenStrategy"])
def test_tokens_of_allauth_work_and_end(strategy):
    """In a process of its own, for allauth wants to be in the settings from the start."""
    root = Path(__file__).resolve().parents[2]
    code = f"STRATEGY = {strategy!r}\n{ALLAUTH}"
    environment = {**os.environ, "PYTHONPATH": str(root)}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=root)
    assert ran.stdout.strip().endswith("passed"), ran.stdout + ran.stderr
