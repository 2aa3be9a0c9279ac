"""Django's middleware around typed routes that ask for it."""

import gzip
from collections.abc import AsyncIterator, Iterator
from typing import Annotated

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.utils.translation import get_language

from hybrid_gateway import ConfigurationError, Form, Gateway, Header, Router, UploadFile, get, post
from hybrid_gateway.exceptions import Conflict
from hybrid_gateway.test import TestClient

SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
AUTH = "django.contrib.auth.middleware.AuthenticationMiddleware"
CSRF = "django.middleware.csrf.CsrfViewMiddleware"
GZIP = "django.middleware.gzip.GZipMiddleware"
LOCALE = "django.middleware.locale.LocaleMiddleware"


def stamping(get_response):
    """Middleware that is a function, and sync."""

    def middleware(request):
        request.stamp = "s"
        if request.GET.get("stop"):
            return HttpResponse("stopped", status=418)
        response = get_response(request)
        response["X-Stamp"] = f"{request.stamp} {response.status_code}"
        response.set_cookie("own", "1")
        return response

    return middleware


STAMPING = "tests.django_side.test_django_middleware.stamping"


@pytest.fixture(params=["async", "def"])
def view(request):
    if request.param == "async":

        @get("", django_middleware=[STAMPING], response_cookies=[("a", "b")])
        async def handler(request: HttpRequest, x: str = "") -> dict[str, str]:
            return {"stamp": request.stamp, "x": x, "path": request.path}

    else:

        @get("", django_middleware=[STAMPING], response_cookies=[("a", "b")])
        def handler(request: HttpRequest, x: str = "") -> dict[str, str]:
            return {"stamp": request.stamp, "x": x, "path": request.path}

    return handler


def test_middleware_sees_request_and_answer(serve, view):
    client = serve(Router("/api", [view]))
    answer = client.get("/api?x=1")
    assert (answer.json(), answer.headers["X-Stamp"]) == ({"stamp": "s", "x": "1", "path": "/api"}, "s 200")
    assert answer.cookies["a"].value == "b" and answer.cookies["own"].value == "1"
    assert answer.headers["Content-Length"] == str(len(answer.content))
    assert client.head("/api").content == b""


def test_middleware_may_answer_by_itself(serve, view):
    assert (serve(view).get("/?stop=1").status_code, serve(view).get("/?stop=1").text) == (418, "stopped")


def test_errors_of_handlers_pass_it_as_answers(serve):
    @get("/", django_middleware=[STAMPING])
    def view() -> None:
        raise Conflict

    answer = serve(view).get("/")
    assert (answer.status_code, answer.headers["X-Stamp"]) == (409, "s 409")
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.django_db(transaction=True)
def test_sessions_and_their_user(serve):
    @post("/visit", django_middleware=[SESSIONS, AUTH])
    def visit(request: HttpRequest) -> dict[str, object]:
        request.session["visits"] = request.session.get("visits", 0) + 1
        return {"visits": request.session["visits"], "user": str(request.user)}

    @get("/who", django_middleware=[SESSIONS, AUTH])
    async def who(request: HttpRequest) -> str:
        return str(await request.auser())

    client = serve(visit, who)
    assert [client.post("/visit").json()["visits"] for _ in range(3)] == [1, 2, 3]
    assert "Cookie" in client.post("/visit").headers["Vary"]
    client.force_login(User.objects.create_user("ada"))
    assert client.get("/who").text == "ada"


def test_csrf_is_checked_and_the_form_still_reaches_the_handler(serve):
    @post("/", django_middleware=[CSRF])
    async def view(name: Annotated[str, Form()]) -> str:
        return name

    gateway = serve(view).gateway
    client = TestClient(gateway, enforce_csrf_checks=True)
    assert client.post("/", {"name": "x"}).status_code == 403
    token = "a" * 32
    client.cookies["csrftoken"] = token
    assert client.post("/", {"name": "x", "csrfmiddlewaretoken": token}).text == "x"
    assert client.post("/", {"name": "y"}, headers={"X-CSRFToken": token}).text == "y"


def test_files_and_large_bodies(serve):
    @post("/", django_middleware=[STAMPING], max_upload_size=300_000, max_body_size=300_000)
    async def view(file: UploadFile) -> int:
        return len(await file.read())

    from django.core.files.uploadedfile import SimpleUploadedFile

    client = serve(view)
    assert client.post("/", {"file": SimpleUploadedFile("a.bin", b"a" * 200_000)}).json() == 200_000
    assert client.post("/", {"file": SimpleUploadedFile("a.bin", b"a" * 300_000)}).status_code == 413


def test_streams_go_on_streaming_and_may_be_compressed(serve):
    @get("/async", django_middleware=[GZIP])
    async def numbers() -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"%d" % number * 200

    @get("/sync", django_middleware=[STAMPING])
    def letters() -> Iterator[bytes]:
        yield b"a"
        yield b"b"

    client = serve(numbers, letters)
    answer = client.get("/async", headers={"Accept-Encoding": "gzip"})
    assert gzip.decompress(answer.content) == b"0" * 200 + b"1" * 200 + b"2" * 200
    assert client.get("/sync").content == b"ab"


def test_the_language_of_a_request(serve):
    @get("/", django_middleware=[LOCALE])
    async def view(accept_language: Annotated[str, Header()] = "") -> str:
        return get_language()

    client = serve(view)
    assert client.get("/", headers={"Accept-Language": "de"}).text == "de"
    assert client.get("/", headers={"Accept-Language": "fr"}).text == "fr"
    assert get_language() == "en-us"


def test_mistakes_are_told_at_start_up():
    @get("/", django_middleware=["nowhere.Middleware"])
    async def view() -> None: ...

    with pytest.raises(ConfigurationError, match=r"nowhere\.Middleware.*cannot be imported"):
        Gateway([view])
