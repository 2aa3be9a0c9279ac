"""A typed route that asks for Django's request, or for the session, gets what Django's middleware would have given."""

from typing import Annotated

import pytest
from django.contrib import messages
from django.contrib.auth import aauthenticate, alogin, alogout, authenticate, login, logout
from django.contrib.auth.models import User
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.models import Session as SessionRow
from django.http import HttpRequest
from django.middleware.csrf import get_token

from hybrid_gateway import Body, Gateway, Session, StreamingResponse, TemplateResponse, get, post
from hybrid_gateway.auth import SessionAuthentication, TokenAuthentication
from hybrid_gateway.test import AsyncTestClient, TestCase

pytestmark = pytest.mark.django_db(transaction=True)

ENGINES = ["db", "cache", "cached_db", "file", "signed_cookies"]


@pytest.fixture(params=ENGINES)
def engine(request, settings, tmp_path):
    settings.SESSION_FILE_PATH = str(tmp_path)
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{request.param}"


@post("/count")
def count(session: Session) -> int:
    session["count"] = session.get("count", 0) + 1
    return session["count"]


@post("/acount")
async def acount(session: Session) -> int:
    await session.aset("count", await session.aget("count", 0) + 1)
    return await session.aget("count")


@post("/requests")
def requests(request: HttpRequest, session: SessionBase) -> int:
    assert request.session is session
    request.session["count"] = request.session.get("count", 0) + 1
    return request.session["count"]


def test_a_session_is_kept_by_every_engine(serve, engine):
    client = serve(count, acount, requests)
    assert [client.post(path).json() for path in ("/count", "/acount", "/requests", "/count")] == [1, 2, 3, 4]


def test_the_cookie_is_the_one_that_django_sets(serve, settings):
    settings.SESSION_COOKIE_SECURE = True
    settings.SESSION_COOKIE_SAMESITE = "Strict"
    answer = serve(count).post("/count")
    cookie = answer.cookies["sessionid"]
    assert (cookie["httponly"], cookie["secure"], cookie["samesite"]) == (True, True, "Strict")
    assert cookie["max-age"] and answer.headers["Vary"] == "Cookie"


def test_a_session_that_nobody_touches_costs_no_query(serve, django_assert_num_queries):
    @get("/")
    def idle(session: Session, request: HttpRequest) -> None:
        return None

    client = serve(idle, count)
    client.post("/count")
    with django_assert_num_queries(0):
        assert "Set-Cookie" not in client.get("/").headers


def test_save_every_request_renews_a_session_that_nobody_touches(serve, settings):
    @get("/")
    def idle(request: HttpRequest) -> None:
        return None

    settings.SESSION_SAVE_EVERY_REQUEST = True
    client = serve(idle, count)
    assert "Set-Cookie" not in client.get("/").headers
    client.post("/count")
    assert "sessionid" in client.get("/").cookies


def test_a_failure_of_the_server_saves_nothing(serve):
    @post("/fail")
    def fail(session: Session) -> None:
        session["count"] = 10
        raise LookupError

    @post("/refuse")
    def refuse(session: Session) -> tuple[None, int]:
        session["count"] = 20
        return None, 409

    client = serve(count, fail, refuse, raises=False)
    client.post("/count")
    failed = client.post("/fail")
    assert failed.status_code == 500 and "Set-Cookie" not in failed.headers
    assert client.post("/count").json() == 2
    client.post("/refuse")
    assert client.post("/count").json() == 21


def test_an_emptied_session_takes_its_cookie_along(serve):
    @post("/flush")
    def flush(session: Session) -> None:
        session.flush()

    client = serve(count, flush)
    client.post("/count")
    assert client.post("/flush").cookies["sessionid"]["max-age"] == "0"
    assert not SessionRow.objects.exists()


def test_a_session_that_is_deleted_meanwhile_is_a_400(serve):
    @post("/stale")
    def stale(session: Session) -> None:
        session["count"] = 5
        SessionRow.objects.all().delete()

    client = serve(count, stale)
    client.post("/count")
    answer = client.post("/stale")
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/problem+json")


def test_what_streams_has_its_session_saved_before_its_first_byte(serve):
    @post("/stream")
    def stream(session: Session) -> StreamingResponse:
        session["count"] = 7

        def chunks():
            yield str(SessionRow.objects.count()).encode()

        return StreamingResponse(chunks())

    client = serve(stream, count)
    answer = client.post("/stream")
    assert answer.content == b"1" and "sessionid" in answer.cookies
    assert client.post("/count").json() == 8


# --- logging in ----------------------------------------------------------------------------------------------------


@post("/login")
def log_in(request: HttpRequest, name: str) -> str:
    user = authenticate(request, username=name, password="secret")
    login(request, user)
    messages.success(request, f"Hello {name}")
    return request.user.username


@post("/alogin")
async def async_log_in(request: HttpRequest, name: str) -> str:
    await alogin(request, await aauthenticate(request, username=name, password="secret"))
    messages.success(request, f"Hello {name}")
    return (await request.auser()).username


@post("/logout")
def log_out(request: HttpRequest) -> bool:
    logout(request)
    return request.user.is_anonymous


@post("/alogout")
async def async_log_out(request: HttpRequest) -> bool:
    await alogout(request)
    return (await request.auser()).is_anonymous


@get("/me")
def me(request: HttpRequest) -> list[str]:
    return [request.user.username, *map(str, messages.get_messages(request))]


@get("/ame")
async def async_me(request: HttpRequest) -> list[str]:
    return [(await request.auser()).username]


@pytest.mark.parametrize("prefix", ["", "a"])
def test_django_logs_in_and_out(serve, engine, prefix):
    User.objects.create_user("ada", password="secret")
    client = serve(log_in, async_log_in, log_out, async_log_out, me, async_me)
    entered = client.post(f"/{prefix}login?name=ada")
    assert entered.text == "ada"
    assert {"sessionid", "csrftoken"} <= set(entered.cookies)
    assert client.get("/me").json() == ["ada", "Hello ada"]
    assert client.get("/me").json() == ["ada"]
    assert client.get("/ame").json() == ["ada"]
    assert client.post(f"/{prefix}logout").json() is True
    assert client.get("/me").json() == [""]


def test_the_request_knows_whom_a_scheme_has_found(serve):
    from hybrid_gateway.tokens.models import Token

    ada = User.objects.create_user("ada")
    _, plain = Token.objects.issue(ada)

    @get("/who", authentication=[TokenAuthentication()])
    def who(user: User, request: HttpRequest) -> str:
        assert request.user == user
        return request.user.username

    assert serve(who).get("/who", headers={"Authorization": f"Bearer {plain}"}).text == "ada"


# --- the request itself --------------------------------------------------------------------------------------------


def test_the_request_is_that_of_a_view(serve):
    @get("/app/{name}")
    def look(request: HttpRequest, name: str) -> dict[str, object]:
        return {
            "method": request.method,
            "path": request.get_full_path(),
            "host": request.get_host(),
            "secure": request.is_secure(),
            "query": request.GET.getlist("a"),
            "agent": request.headers["User-Agent"],
            "cookie": request.COOKIES["x"],
            "url": request.build_absolute_uri("/y"),
            "address": request.META["REMOTE_ADDR"],
        }

    client = serve(look)
    client.cookies["x"] = "1"
    assert client.get("/app/é?a=1&a=2", headers={"User-Agent": "me"}, secure=True).json() == {
        "method": "GET",
        "path": "/app/%C3%A9?a=1&a=2",
        "host": "testserver",
        "secure": True,
        "query": ["1", "2"],
        "agent": "me",
        "cookie": "1",
        "url": "https://testserver/y",
        "address": "127.0.0.1",
    }


def test_a_handler_that_asks_for_it_gets_the_body_too(serve):
    @post("/form")
    def form(request: HttpRequest) -> dict[str, str]:
        return request.POST.dict()

    @post("/json")
    async def typed(request: HttpRequest, data: dict[str, int]) -> list[object]:
        return [data, request.body.decode()]

    @post("/raw")
    def raw(request: HttpRequest, data: Annotated[bytes, Body()]) -> bool:
        return request.body == data

    client = serve(form, typed, raw, max_body_size=1000)
    assert client.post("/form", {"a": "1"}).json() == {"a": "1"}
    assert client.post("/form", "a=2", "application/x-www-form-urlencoded").json() == {"a": "2"}
    assert client.post("/json", json={"a": 1}).json() == [{"a": 1}, '{"a":1}']
    assert client.post("/raw", content=b"abc").json() is True
    assert client.post("/form", {"a": "1" * 2000}).status_code == 413


def test_what_django_refuses_is_a_400(serve, settings):
    settings.ALLOWED_HOSTS = ["testserver"]

    @post("/")
    def look(request: HttpRequest) -> str:
        return request.get_host()

    client = serve(look)
    assert client.post("/", headers={"Host": "evil.example"}).status_code == 400
    assert client.post("/", QUERY_STRING="\xff").status_code == 400


def test_one_request_is_one_for_guard_component_and_handler(serve):
    seen = []

    def guard(request: HttpRequest) -> bool:
        seen.append(request)
        return True

    class Shop:
        pass

    def shop(request: HttpRequest) -> Shop:
        seen.append(request)
        return Shop()

    @get("/", guards=[guard], components=[shop])
    async def view(request: HttpRequest, shop: Shop) -> bool:
        return all(other is request for other in seen)

    assert serve(view).get("/").json() is True


def test_csrf_in_sessions(serve, settings):
    settings.CSRF_USE_SESSIONS = True

    @get("/token")
    async def token(request: HttpRequest) -> str:
        return get_token(request)

    @post("/save", authentication=[SessionAuthentication()])
    def save(user: User) -> str:
        return user.username

    from hybrid_gateway.test import TestClient

    client = TestClient(serve(token, save).gateway, enforce_csrf_checks=True)
    client.force_login(User.objects.create_user("ada"))
    answer = client.get("/token")
    assert "csrftoken" not in answer.cookies
    assert client.post("/save").status_code == 403
    assert client.post("/save", headers={"X-CSRFToken": answer.text}).text == "ada"


# --- templates -----------------------------------------------------------------------------------------------------


def test_a_template_shows_what_the_handler_has_left_in_the_visit(serve, settings):
    source = (
        "{{ user }} {{ request.session.x }} {{ csrf_token }}{% for message in messages %} {{ message }}{% endfor %}"
    )
    loaders = [("django.template.loaders.locmem.Loader", {"page.html": source})]
    options = {**settings.TEMPLATES[0]["OPTIONS"], "loaders": loaders}
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "APP_DIRS": False, "OPTIONS": options}]
    ada = User.objects.create_user("ada")

    @post("/")
    def enter(request: HttpRequest) -> TemplateResponse:
        login(request, ada)
        request.session["x"] = 7
        messages.success(request, "Welcome")
        return TemplateResponse("page.html")

    client = serve(enter, me)
    answer = client.post("/")
    user, x, token, message = answer.text.split()
    assert (user, x, message) == ("ada", "7", "Welcome")
    assert len(token) == 64 and list(answer.cookies) == ["csrftoken", "sessionid"]
    assert client.get("/me").json() == ["ada"]  # the message has been shown


class AsynchronousClient(TestCase):
    """Its blocking work runs on the thread of the test."""

    async def test_it_visits_too(self):
        client = AsyncTestClient(Gateway([acount, me, async_me]))
        assert [(await client.post("/acount")).json() for _ in range(2)] == [1, 2]
        await client.aforce_login(await User.objects.acreate_user("ada"))
        assert (await client.get("/me")).json() == (await client.get("/ame")).json() == ["ada"]


# --- around the route ----------------------------------------------------------------------------------------------


def test_hooks_and_exception_handlers_are_part_of_the_visit(serve):
    class Counting:
        def on_request(self, session: Session) -> None:
            session["in"] = session.get("in", 0) + 1

        def on_response(self, session: Session) -> None:
            session["out"] = session.get("out", 0) + 1

    def explain(error: Exception, request: HttpRequest) -> tuple[str, int]:
        request.session["errors"] = str(error)
        return "sorry", 409

    @post("/", event_hooks=[Counting], exception_handlers={LookupError: explain})
    async def fail() -> None:
        raise LookupError("oh")

    @get("/")
    def look(session: Session) -> dict[str, object]:
        return dict(session.items())

    client = serve(fail, look)
    assert [client.post("/").status_code for _ in range(2)] == [409, 409]
    assert client.get("/").json() == {"in": 2, "out": 2, "errors": "oh"}


def test_a_component_of_the_project_takes_the_place_of_ours(serve):
    class Own(SessionBase):
        pass

    def own() -> Own:
        return Own()

    @get("/", components=[own])
    def view(session: Own) -> str:
        return type(session).__name__

    assert serve(view).get("/").text == "Own"


def test_a_route_that_asks_for_nothing_is_compiled_as_ever(serve):
    @get("/plain")
    async def plain() -> int:
        return 1

    source = serve(plain).gateway.get_route("plain").source
    assert "visit" not in source and "leave" not in source and "change" not in source
