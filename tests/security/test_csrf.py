"""R-CSRF: what a browser sends along by itself is no proof that its user meant the request."""

import pytest
from django.contrib.auth import login, logout
from django.contrib.auth.models import User
from django.http import HttpRequest

from hybrid_gateway import DjangoContext, Include, Router, Session, delete, get, patch, post, put
from hybrid_gateway.auth import (
    Authentication,
    AuthenticationScheme,
    CSRFProtect,
    SessionAuthentication,
    TokenAuthentication,
    check_csrf,
)
from hybrid_gateway.test import TestClient

pytestmark = pytest.mark.django_db(transaction=True)

VERBS = {"POST": post, "PUT": put, "PATCH": patch, "DELETE": delete}
SCHEMES = [SessionAuthentication()]


def change(user: User) -> str:
    """What every handler of these tests does."""
    return user.username


@pytest.fixture
def browser(serve):
    """``browser(*routes)``: a client that enforces CSRF, as a server does, and is logged in on Django's side."""

    def build(*routes, **options):
        client = serve(*routes, Include("", "hybrid_gateway.sessions.routes"), **options)
        strict = TestClient(client.gateway, enforce_csrf_checks=True, protocol=client.handler.protocol)
        strict.force_login(User.objects.create_user("ada"))
        return strict

    return build


@pytest.mark.parametrize("method", VERBS)
def test_r_csrf_unsafe_methods_need_the_token(browser, method):
    client = browser(VERBS[method]("/", authentication=SCHEMES)(change))
    refused = client.request(method, "/")
    assert (refused.status_code, refused.headers["Content-Type"]) == (403, "application/problem+json")
    assert refused.json()["detail"] == "CSRF verification failed: CSRF cookie not set."
    token = client.get("/csrf").json()["csrf_token"]
    assert client.request(method, "/").json()["detail"] == "CSRF verification failed: CSRF token missing."
    assert client.request(method, "/", headers={"X-CSRFToken": "a" * 64}).status_code == 403
    assert client.request(method, "/", headers={"X-CSRFToken": token}).text == "ada"
    assert client.request(method, "/", headers={"X-CSRFToken": client.cookies["csrftoken"].value}).text == "ada"


def test_r_csrf_safe_methods_are_free(browser):
    client = browser(get("/", authentication=SCHEMES)(change))
    assert client.get("/").text == "ada"
    assert client.head("/").status_code == 200


def test_r_csrf_origin_and_referer_count_as_in_django(browser, settings):
    client = browser(post("/", authentication=SCHEMES)(change))
    token = client.get("/csrf").json()["csrf_token"]

    def send(secure=False, **headers):
        return client.post("/", headers={"X-CSRFToken": token, **headers}, secure=secure).status_code

    assert send(Origin="http://testserver") == 201
    assert send(Origin="https://evil.example") == 403
    assert send(Origin="null") == 403
    assert send(secure=True) == 403  # HTTPS without Origin needs a Referer
    assert send(secure=True, Referer="https://testserver/page") == 201
    assert send(secure=True, Referer="http://testserver/page") == 403
    assert send(secure=True, Referer="https://evil.example/") == 403
    settings.CSRF_TRUSTED_ORIGINS = ["https://*.trusted.example"]
    assert send(Origin="https://shop.trusted.example") == 201
    assert send(Origin="https://trusted.example.evil") == 403


def test_r_csrf_names_are_those_of_the_settings(browser, settings):
    settings.CSRF_COOKIE_NAME, settings.CSRF_HEADER_NAME = "own", "HTTP_X_OWN"
    client = browser(post("/", authentication=SCHEMES)(change))
    answer = client.get("/csrf")
    assert "own" in answer.cookies and answer.headers["Cache-Control"] == "no-store"
    token = answer.json()["csrf_token"]
    assert client.post("/", headers={"X-CSRFToken": token}).status_code == 403
    assert client.post("/", headers={"X-Own": token}).status_code == 201


def test_r_csrf_a_session_scheme_parses_declared_json_alone(browser):
    @post("/", authentication=SCHEMES)
    def save(user: User, data: dict[str, int]) -> dict[str, int]:
        return data

    client = browser(save)
    token = {"X-CSRFToken": client.get("/csrf").json()["csrf_token"]}
    assert client.post("/", json={"a": 1}, headers=token).json() == {"a": 1}
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a"):
        answer = client.post("/", '{"a": 1}', content_type, headers=token)
        assert answer.status_code == 415, content_type
    assert client.post("/", content='{"a": 1}', headers=token, CONTENT_TYPE="").status_code == 415


def test_r_csrf_exemption_is_explicit(browser):
    @post("/exempt", csrf_exempt=True)
    def exempt(user: User) -> str:
        return user.username

    @post("/inner", csrf_exempt=False)
    def inner(user: User) -> str:
        return user.username

    client = browser(Router("", [exempt]), Router("/in", [inner], csrf_exempt=True), authentication=SCHEMES)
    assert client.post("/exempt").text == "ada"
    assert client.post("/in/inner").status_code == 403


def test_r_csrf_any_scheme_with_a_cookie_can_check(browser):
    class Remembered(AuthenticationScheme):
        carriers = ("Cookie",)

        def authenticate(self, visit: DjangoContext) -> Authentication | None:
            if "remember" not in visit.request.COOKIES:
                return None
            check_csrf(visit)
            return Authentication(user=User.objects.get(), scheme=self)

        def openapi(self):
            return {"type": "apiKey", "in": "cookie", "name": "remember"}

    client = browser(post("/", authentication=[Remembered()])(change))
    client.cookies["remember"] = "1"
    assert client.post("/").status_code == 403
    token = client.get("/csrf").json()["csrf_token"]
    assert client.post("/", headers={"X-CSRFToken": token}).text == "ada"


def test_r_csrf_the_refusal_is_logged_in_one_line(browser, caplog):
    client = browser(post("/{x:path}", authentication=SCHEMES)(_with_path))
    client.post("/a%E2%80%A8b", headers={"Origin": "http://evil\tx"})
    [record] = [record for record in caplog.records if record.name == "django.security.csrf"]
    assert len(record.getMessage().splitlines()) == 1 and "Origin checking failed" in record.getMessage()


def _with_path(user: User, x: str) -> str:
    return x


def test_r_csrf_anonymous_requests_are_not_asked_for_a_token(browser):
    @post("/", authentication=SCHEMES)
    def feed(user: User | None) -> str:
        return "nobody" if user is None else user.username

    client = browser(feed)
    client.logout()
    assert client.post("/").text == "nobody"


def test_r_csrf_the_first_refusal_is_that_of_authentication(browser):
    client = browser(post("/", authentication=SCHEMES)(change))
    client.logout()
    answer = client.post("/")
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Cookie realm="api"')


def test_r_csrf_the_sessions_user_of_a_request_needs_the_token_too(browser):
    @post("/sync")
    def blocking(request: HttpRequest) -> str:
        return request.user.username

    @post("/async")
    async def awaiting(request: HttpRequest) -> str:
        return (await request.auser()).username

    @post("/logout")
    def leave(request: HttpRequest) -> None:
        logout(request)

    @post("/exempt", csrf_exempt=True)
    def exempt(request: HttpRequest) -> str:
        return request.user.username

    client = browser(blocking, awaiting, leave, exempt)
    for path in ("/sync", "/async", "/logout"):
        assert client.post(path).status_code == 403, path
    assert client.post("/exempt").text == "ada"
    token = {"X-CSRFToken": client.get("/csrf").json()["csrf_token"]}
    for path in ("/sync", "/async"):
        assert client.post(path, headers=token).text == "ada"
    assert client.post("/logout", headers=token).status_code == 201


def test_r_csrf_a_guard_for_those_who_are_not_logged_in_yet(browser):
    @post("/login", guards=[CSRFProtect])
    def enter(session: Session) -> None:
        session["x"] = 1

    client = browser(enter)
    client.cookies.clear()
    assert client.post("/login").status_code == 403
    token = {"X-CSRFToken": client.get("/csrf").json()["csrf_token"]}
    assert client.post("/login", headers=token).status_code == 201


def test_r_csrf_a_token_in_the_header_needs_no_other(browser):
    from hybrid_gateway.tokens.models import Token

    @post("/", authentication=[TokenAuthentication(), *SCHEMES])
    def view(user: User, request: HttpRequest) -> str:
        return request.user.username

    client = browser(view)
    _, plain = Token.objects.issue(User.objects.get())
    assert client.post("/", headers={"Authorization": f"Bearer {plain}"}).text == "ada"
    assert client.post("/").status_code == 403


def test_r_csrf_logging_in_gives_a_new_token(browser):
    @post("/again")
    def again(request: HttpRequest) -> None:
        login(request, User.objects.get())

    client = browser(again)
    before = client.get("/csrf").cookies["csrftoken"].value
    assert client.post("/again").cookies["csrftoken"].value != before
