"""The routes around JSON Web Tokens, their cookies, their keys over time, and what the document says of them."""

from datetime import timedelta
from urllib.parse import urlencode

import jwt
import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.utils import timezone

from hybrid_gateway import ConfigurationError, Gateway, Include, get, post
from hybrid_gateway.auth import (
    AllOf,
    APIKeyAuthentication,
    Authentication,
    HasScope,
    IsStaff,
    JWTAuthentication,
    TokenAuthentication,
)
from hybrid_gateway.conf import OpenAPISettings
from hybrid_gateway.openapi.document import build_document
from hybrid_gateway.test import TestClient
from hybrid_gateway.tokens.jwt_routes import Pair, Refresh, TokenForm, jwt_routes
from hybrid_gateway.tokens.models import JWTSession, Token

User = get_user_model()
pytestmark = pytest.mark.django_db

KEY = "k" * 32


@get("/me")
async def me(user: User) -> str:
    return user.username


@get("/claims")
def show(authentication: Authentication) -> list[str]:
    return sorted(authentication.token)


@get("/orders", guards=[HasScope("orders:read")])
def orders(user: User) -> list[int]:
    return []


@post("/change")
async def change(user: User) -> str:
    return user.username


@pytest.fixture
def user():
    return User.objects.create_user("ada", password="a-password")


def bearer(plain):
    return {"Authorization": f"Bearer {plain}"}


CREDENTIALS = {"username": "ada", "password": "a-password"}


# --- signing


def test_a_token_says_who_when_for_whom_and_which_login(serve, user):
    scheme = JWTAuthentication(algorithms=["HS256"], key=KEY, issuer="shop", audience=["api", "admin"])
    plain = scheme.issue(user, expires_in=timedelta(minutes=5), scopes=["a", "b"], claims={"tenant": 7, "sub": "x"})
    claims = jwt.decode(plain, KEY, algorithms=["HS256"], audience="admin")
    session = JWTSession.objects.get()
    assert claims == {
        "tenant": 7,
        "sub": str(user.pk),
        "sid": session.sid,
        "jti": claims["jti"],
        "iat": claims["iat"],
        "exp": claims["exp"],
        "scope": "a b",
        "iss": "shop",
        "aud": ["api", "admin"],
    }
    assert 299 <= claims["exp"] - claims["iat"] <= 300
    assert jwt.get_unverified_header(plain) == {"typ": "at+jwt", "alg": "HS256"}
    assert async_to_sync(scheme.aissue)(user) != scheme.issue(user)


def test_an_access_token_ends_with_its_login(user):
    scheme = JWTAuthentication(algorithms=["HS256"], key=KEY)
    session, _ = JWTSession.objects.start(user, expires_in=timedelta(minutes=1))
    claims = jwt.decode(scheme.sign(session, expires_in=timedelta(hours=1)), KEY, algorithms=["HS256"])
    assert claims["exp"] <= session.expires_at.timestamp()


def test_the_longest_lifetime_bounds_a_login(user, settings):
    settings.HYBRID_GATEWAY = {**settings.HYBRID_GATEWAY, "TOKENS": {"MAX_LIFETIME": timedelta(days=1)}}
    session, _ = JWTSession.objects.start(user, expires_in=timedelta(days=30))
    assert session.expires_at - session.created_at == timedelta(days=1)


def test_keys_rotate(serve, user):
    old = JWTAuthentication(algorithms=["HS256"], keys={"old": "o" * 32})
    both = JWTAuthentication(algorithms=["HS256"], keys={"new": "n" * 32, "old": "o" * 32})
    new = JWTAuthentication(algorithms=["HS256"], keys={"new": "n" * 32})
    first, second = old.issue(user), both.issue(user)
    assert jwt.get_unverified_header(second)["kid"] == "new"
    works = [
        [serve(me, authentication=[scheme]).get("/me", headers=bearer(plain)).status_code for plain in (first, second)]
        for scheme in (old, both, new)
    ]
    assert works == [[200, 401], [200, 200], [401, 200]]


@pytest.mark.parametrize(
    "options",
    [{"key": KEY, "keys": {"a": KEY}}, {"keys": {}}, {"keys": {"": KEY}}, {"key": KEY, "cookie": "a b"}],
)
def test_a_scheme_without_one_way_to_its_key_is_a_configuration_error(options):
    with pytest.raises(ConfigurationError):
        JWTAuthentication(algorithms=["HS256"], **options)


def test_who_only_verifies_cannot_sign(user):
    foreign = JWTAuthentication(algorithms=["HS256"], key=KEY, foreign=True)
    with pytest.raises(ConfigurationError, match="cannot sign"):
        foreign.issue(user)
    with pytest.raises(ConfigurationError, match="needs a scheme with a key that signs"):
        jwt_routes(foreign)


def test_users_of_another_issuer_are_found_by_the_field_that_holds_their_name(serve, user):
    scheme = JWTAuthentication(algorithms=["HS256"], key=KEY, foreign=True, user_claim="email", user_field="email")
    User.objects.filter(pk=user.pk).update(email="ada@example.org")
    client = serve(me, authentication=[scheme])

    def status(**claims):
        content = {"sub": "x", "jti": "x", "exp": timezone.now() + timedelta(minutes=1), **claims}
        plain = jwt.encode(content, KEY, headers={"typ": "at+jwt"})
        return client.get("/me", headers=bearer(plain)).status_code

    assert status(email="ada@example.org") == 200
    for other in ("ADA@example.org", "", None, 5, ["ada@example.org"], "x" * 1000):
        assert status(email=other) == 401
    wrong = JWTAuthentication(algorithms=["HS256"], key=KEY, foreign=True, user_field="nonsense")
    with pytest.raises(ConfigurationError, match="is no field of User"):
        wrong._users.of_foreign_token({"sub": "1"})


@pytest.mark.parametrize("is_ours", [True, False])
def test_a_jwt_costs_a_request_one_query(serve, user, is_ours, django_assert_num_queries):
    ours = JWTAuthentication(algorithms=["HS256"], key=KEY)
    scheme = ours if is_ours else JWTAuthentication(algorithms=["HS256"], key=KEY, foreign=True)
    client, plain = serve(me, authentication=[scheme]), ours.issue(user)
    client.get("/me", headers=bearer(plain))
    with django_assert_num_queries(1):
        assert client.get("/me", headers=bearer(plain)).text == "ada"


# --- routes


OURS = JWTAuthentication(
    algorithms=["HS256"], key=KEY, issuer="shop", token_url="/auth/token", scopes={"orders:read": "Read"}
)


@pytest.fixture
def api(serve):
    routes = jwt_routes(OURS, scopes_for=lambda user: ["orders:read", "orders:write"] if user.is_staff else [])
    return serve(Include("/auth", routes, name="auth"), me, show, orders, authentication=[TokenAuthentication(), OURS])


def test_a_login_answers_what_oauth_does(api, user):
    answer = api.post("/auth/login", json=CREDENTIALS)
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    body = answer.json()
    assert set(body) == {"access_token", "refresh_token", "token_type", "expires_in"}
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 600)
    assert api.get("/claims", headers=bearer(body["access_token"])).json() == ["exp", "iat", "iss", "jti", "sid", "sub"]
    user.refresh_from_db()
    assert user.last_login is not None


def form(api, **fields):
    return api.post("/auth/token", content=urlencode(fields), content_type="application/x-www-form-urlencoded")


def test_the_password_flow_of_oauth(api, user):
    User.objects.update(is_staff=True)
    answer = form(api, grant_type="password", **CREDENTIALS, scope="orders:read admin")
    assert answer.status_code == 200
    assert answer.json()["scope"] == "orders:read"
    assert api.get("/orders", headers=bearer(answer.json()["access_token"])).status_code == 200
    answer = form(api, grant_type="refresh_token", refresh_token=answer.json()["refresh_token"])
    assert answer.json()["scope"] == "orders:read"
    assert form(api, grant_type="password", username="ada").status_code == 401
    assert form(api, grant_type="password").status_code == 400
    assert form(api, grant_type="client_credentials").status_code == 422
    refused = form(api, grant_type="refresh_token", refresh_token="x")
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_grant")


def test_nobody_gets_scopes_by_password_unless_told(api, user):
    plain = api.post("/auth/login", json=CREDENTIALS).json()["access_token"]
    assert api.get("/orders", headers=bearer(plain)).status_code == 403
    assert api.get("/orders").status_code == 401


@pytest.mark.parametrize("case", ["wrong", "unknown", "inactive", "unusable"])
def test_a_failed_login_does_not_say_why(api, user, case):
    if case == "inactive":
        User.objects.update(is_active=False)
    if case == "unusable":
        user.set_unusable_password()
        user.save()
    expected = api.post("/auth/login", json={"username": "ada", "password": "wrong"})
    name = "nobody" if case == "unknown" else "ada"
    answer = api.post("/auth/login", json={"username": name, "password": "wrong" if case == "wrong" else "a-password"})
    assert answer.status_code == expected.status_code == 401
    assert (answer.content, dict(answer.headers)) == (expected.content, dict(expected.headers))
    assert not JWTSession.objects.exists()


def test_logging_out_everywhere_is_a_route(api, user):
    pairs = [api.post("/auth/login", json=CREDENTIALS).json() for _ in range(2)]
    _, plain = Token.objects.issue(user)
    assert api.post("/auth/logout/everywhere", headers=bearer(pairs[0]["access_token"])).status_code == 204
    for dead in (pairs[0]["access_token"], pairs[1]["access_token"], plain):
        assert api.get("/me", headers=bearer(dead)).status_code == 401


def test_the_routes_take_the_scheme_of_the_settings(settings, serve, user):
    include = Include("/auth", "hybrid_gateway.tokens.jwt_routes")
    with pytest.raises(ConfigurationError, match="needs a JWTAuthentication with a key that signs"):
        serve(include)
    settings.HYBRID_GATEWAY = {**settings.HYBRID_GATEWAY, "AUTHENTICATION": [TokenAuthentication(), OURS]}
    api = serve(include, me, authentication=[OURS])
    plain = api.post("/auth/login", json=CREDENTIALS).json()["access_token"]
    assert api.get("/me", headers=bearer(plain)).text == "ada"


def test_the_bodies_hide_themselves_from_error_reports():
    assert repr(Pair(1, "x", "secret")) + repr(Refresh("secret")) == "Pair()Refresh()"
    assert repr(TokenForm("password", "ada", "secret")) == "TokenForm()"
    assert KEY not in repr(OURS) + repr(OURS._keys) + repr(OURS._keys.signing)


# --- cookies

CSRF = "c" * 32


@pytest.fixture
def browser(serve):
    scheme = JWTAuthentication(algorithms=["HS256"], key=KEY, cookie="access")
    client = serve(Include("/auth", jwt_routes(scheme)), me, change, authentication=[scheme])
    return TestClient(client.gateway, enforce_csrf_checks=True, protocol=client.handler.protocol)


def send(browser, method, path, cookies, *, csrf=CSRF, headers=None, **options):
    browser.cookies.clear()
    browser.cookies.load({**cookies, "csrftoken": CSRF})
    return browser.request(
        method, path, headers={**({"X-CSRFToken": csrf} if csrf else {}), **(headers or {})}, **options
    )


def values(answer):
    return {name: morsel.value for name, morsel in answer.cookies.items()}


def attributes(morsel):
    return {name: value for name, value in morsel.items() if value}


def test_tokens_travel_in_cookies_that_no_script_reads(browser, user, settings):
    settings.SESSION_COOKIE_SECURE = True
    answer = send(browser, "POST", "/auth/login", {}, json=CREDENTIALS)
    assert answer.json() == {"expires_in": 600, "token_type": "Cookie"}
    shared = {"httponly": True, "secure": True}
    access, refresh = answer.cookies["access"], answer.cookies["access_refresh"]
    assert attributes(access) == {**shared, "max-age": "600", "path": "/", "samesite": "lax"}
    assert attributes(refresh) == {**shared, "max-age": "2592000", "path": "/auth", "samesite": "strict"}
    assert send(browser, "GET", "/me", values(answer)).text == "ada"
    assert send(browser, "GET", "/me", {}).status_code == 401
    assert send(browser, "GET", "/me", {"access": "nonsense"}).status_code == 401


def test_cookies_are_refreshed_and_taken_away(browser, user):
    first = values(send(browser, "POST", "/auth/login", {}, json=CREDENTIALS))
    second = values(send(browser, "POST", "/auth/refresh", first))
    assert send(browser, "GET", "/me", second).text == "ada"
    answer = send(browser, "POST", "/auth/logout", second)
    assert answer.status_code == 204
    assert values(answer) == {"access": "", "access_refresh": ""}
    assert {morsel["max-age"] for morsel in answer.cookies.values()} == {"0"}
    assert send(browser, "GET", "/me", second).status_code == 401
    assert send(browser, "POST", "/auth/refresh", second).status_code == 401


@pytest.mark.parametrize("path", ["/auth/login", "/auth/refresh", "/auth/logout", "/change"])
def test_r_csrf_a_jwt_in_a_cookie_needs_the_csrf_token(browser, user, path):
    cookies = values(send(browser, "POST", "/auth/login", {}, json=CREDENTIALS))
    options = {"json": CREDENTIALS} if path == "/auth/login" else {}
    for refused in ({"csrf": None}, {"csrf": "d" * 32}, {"headers": {"Origin": "https://evil.test"}}):
        assert send(browser, "POST", path, cookies, **options, **refused).status_code == 403
    assert send(browser, "POST", path, cookies, **options).status_code < 300


def test_a_header_needs_no_csrf_token_and_counts_more_than_the_cookie(browser, user):
    cookies = values(send(browser, "POST", "/auth/login", {}, json=CREDENTIALS))
    header = bearer(cookies["access"])
    assert send(browser, "POST", "/change", {}, csrf=None, headers=header).status_code == 201
    for header in (bearer("x.y.z"), {"Authorization": "Basic eDp5"}):
        assert send(browser, "GET", "/me", cookies, headers=header).status_code == 401


# --- the document


def test_the_document_says_how_to_authenticate_and_what_for():
    guards = [AllOf(IsStaff, HasScope("orders:write")), HasScope("a", "b", match="any")]
    all_schemes = [OURS, APIKeyAuthentication(), APIKeyAuthentication(query="key"), APIKeyAuthentication(cookie="key")]
    gateway = Gateway([get("/x", guards=guards)(lambda: "x"), orders], authentication=all_schemes)
    document = build_document(gateway.endpoints, OpenAPISettings())
    flow = {"tokenUrl": "/auth/token", "refreshUrl": "/auth/token", "scopes": {"orders:read": "Read"}}
    assert document["components"]["securitySchemes"] == {
        "JWTAuthentication": {"type": "oauth2", "flows": {"password": flow}},
        "APIKeyAuthentication": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        "APIKeyAuthentication_2": {"type": "apiKey", "in": "query", "name": "key"},
        "APIKeyAuthentication_3": {
            "type": "apiKey",
            "in": "cookie",
            "name": "key",
            "description": "Methods that change something need Django's CSRF token as well, in the header X-CSRFToken.",
        },
    }
    names = list(document["components"]["securitySchemes"])
    assert document["paths"]["/x"]["get"]["security"] == [{name: ["orders:write"]} for name in names]
    assert document["paths"]["/orders"]["get"]["security"] == [{name: ["orders:read"]} for name in names]
    plain = JWTAuthentication(algorithms=["HS256"], key=KEY)
    assert plain.openapi() == {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    cookie = JWTAuthentication(algorithms=["HS256"], key=KEY, cookie="access")
    assert cookie.openapi() == {"type": "apiKey", "in": "cookie", "name": "access"}


# --- keys made of SECRET_KEY


def test_without_a_key_tokens_are_signed_with_keys_made_of_secret_key(user, settings):
    scheme = JWTAuthentication()
    client = TestClient(Gateway([me], authentication=[scheme]))
    token = scheme.issue(user)
    assert client.get("/me", headers=bearer(token)).text == "ada"
    before, settings.SECRET_KEY = settings.SECRET_KEY, "another key, of a project that has changed it"
    assert client.get("/me", headers=bearer(token)).status_code == 401
    settings.SECRET_KEY_FALLBACKS = [before]
    assert client.get("/me", headers=bearer(token)).text == "ada"
    assert jwt.get_unverified_header(scheme.issue(user))["kid"] != jwt.get_unverified_header(token)["kid"]


def test_the_key_made_of_secret_key_is_no_other_use_of_it(user, settings):
    claims = jwt.decode(JWTAuthentication().issue(user), options={"verify_signature": False})
    forged = jwt.encode(claims, settings.SECRET_KEY.ljust(32, "x"), algorithm="HS256", headers={"typ": "at+jwt"})
    client = TestClient(Gateway([me], authentication=[JWTAuthentication]))
    assert client.get("/me", headers=bearer(forged)).status_code == 401
    for algorithms in (["RS256"], ["ES256"]):
        with pytest.raises(ConfigurationError, match="needs one of key="):
            JWTAuthentication(algorithms=algorithms)
