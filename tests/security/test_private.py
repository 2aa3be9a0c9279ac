"""R-CACHE: what one client was answered, no shared cache gives to another."""

from typing import Annotated

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token

from hybrid_gateway import (
    CORS,
    Cookie,
    Gateway,
    Header,
    PlainTextResponse,
    RedirectResponse,
    Request,
    Response,
    Session,
    StreamingResponse,
    get,
)
from hybrid_gateway.auth import BasicAuthentication, SessionAuthentication, TokenAuthentication
from hybrid_gateway.exceptions import Conflict
from hybrid_gateway.test import TestClient

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def bearer():
    from hybrid_gateway.tokens.models import Token

    _, plain = Token.objects.issue(User.objects.create_user("ada", password="secret"))
    return {"Authorization": f"Bearer {plain}"}


def varies(answer):
    return [part.strip() for part in answer.headers.get("Vary", "").split(",") if part]


def said(answer):
    return answer.headers.get("Cache-Control"), varies(answer)


TOKEN = [TokenAuthentication()]


def test_r_cache_an_answer_to_a_token_is_private(serve, bearer):
    @get("/me", authentication=TOKEN)
    def me(user: User | None) -> dict[str, bool]:
        return {"known": user is not None}

    client = serve(me)
    assert said(client.get("/me", headers=bearer)) == ("private", ["Authorization"])
    assert said(client.get("/me")) == (None, ["Authorization"])
    assert said(client.get("/me", headers=bearer)) == ("private", ["Authorization"])
    refused = client.get("/me", headers={"Authorization": "Bearer hgt_x"})
    assert (refused.status_code, *said(refused)) == (401, "private", ["Authorization"])


def test_r_cache_errors_redirects_and_streams_too(serve, bearer):
    @get("/error", authentication=TOKEN)
    def error(user: User) -> None:
        raise Conflict

    @get("/redirect", authentication=TOKEN)
    async def redirect(user: User) -> RedirectResponse:
        return RedirectResponse("/")

    @get("/stream", authentication=TOKEN)
    def stream(user: User) -> StreamingResponse:
        return StreamingResponse(iter([b"a"]))

    @get("/crash", authentication=TOKEN)
    def crash(user: User) -> None:
        raise LookupError

    @get("/django", authentication=TOKEN)
    def django(user: User) -> HttpResponse:
        return HttpResponse("x", headers={"Vary": "Accept, authorization"})

    client = serve(error, redirect, stream, crash, django, raises=False)
    for path in ("/error", "/redirect", "/stream", "/crash"):
        assert said(client.get(path, headers=bearer)) == ("private", ["Authorization"]), path
    assert said(client.get("/django", headers=bearer)) == ("private", ["Accept", "authorization"])


def test_r_cache_a_session_a_request_and_a_cookie_are_private(serve):
    @get("/session")
    def session(session: Session) -> int:
        return session.get("x", 0)

    @get("/request")
    async def request(request: HttpRequest) -> str:
        return request.COOKIES.get("x", "")

    @get("/cookie")
    async def cookie(x: Annotated[str, Cookie()] = "") -> str:
        return x

    @get("/user", authentication=[SessionAuthentication()])
    def user(user: User | None) -> bool:
        return user is None

    @get("/starlette")
    async def starlette(request: Request) -> str:
        return request.cookies.get("x", "")

    client = serve(session, request, cookie, user, starlette)
    paths = ("/session", "/request", "/cookie", "/user", "/starlette")
    for path in paths:
        assert said(client.get(path)) == (None, ["Cookie"]), path
    client.cookies["x"] = "1"
    for path in paths:
        assert said(client.get(path)) == ("private", ["Cookie"]), path


def test_r_cache_the_authorization_header_as_a_parameter(serve):
    @get("/")
    async def view(authorization: Annotated[str, Header()] = "") -> str:
        return authorization

    client = serve(view)
    assert said(client.get("/", headers={"Authorization": "x"})) == ("private", ["Authorization"])


@pytest.mark.parametrize("given", ["no-store", "public, max-age=60", "private, max-age=5", "PRIVATE"])
def test_r_cache_what_the_handler_says_of_itself_counts(serve, bearer, given):
    @get("/", authentication=TOKEN, cache_control=given)
    def view(user: User) -> str:
        return "x"

    assert serve(view).get("/", headers=bearer).headers["Cache-Control"] == given


def test_r_cache_other_directives_are_kept_beside_private(serve, bearer):
    @get("/", authentication=TOKEN, cache_control={"max_age": 60})
    def view(user: User) -> str:
        return "x"

    assert serve(view).get("/", headers=bearer).headers["Cache-Control"] == "max-age=60, private"


def test_r_cache_an_answer_with_a_cookie_is_private(serve):
    @get("/layer", response_cookies=[("a", "1")])
    async def layer() -> int:
        return 1

    @get("/asked")
    async def asked(response: Response) -> int:
        response.set_cookie("a", "1")
        return 1

    @get("/made")
    async def made() -> PlainTextResponse:
        response = PlainTextResponse("x")
        response.set_cookie("a", "1")
        return response

    @get("/django")
    def django() -> HttpResponse:
        response = HttpResponse("x")
        response.set_cookie("a", "1")
        return response

    @get("/token")
    def token(request: HttpRequest) -> str:
        return get_token(request)

    client = serve(layer, asked, made, django, token)
    for path in ("/layer", "/asked", "/made", "/django", "/token"):
        answer = client.get(path)
        assert answer.cookies and answer.headers["Cache-Control"] == "private", path
        client.cookies.clear()


def test_r_cache_vary_is_one_line_without_repetition(serve, bearer):
    @get(
        "/",
        authentication=[*TOKEN, BasicAuthentication(), SessionAuthentication()],
        media_types=["application/json", "application/msgpack"],
        cors=CORS(["https://shop.example"]),
        compression=True,
        response_headers={"Vary": "Cookie"},
    )
    def view(user: User) -> dict[str, str]:
        return {"x": "x" * 2000}

    answer = serve(view).get("/", headers={**bearer, "Accept-Encoding": "gzip"})
    names = varies(answer)
    assert sorted(names) == ["Accept", "Accept-Encoding", "Authorization", "Cookie", "Origin"]
    assert answer.headers["Cache-Control"] == "private"


def test_r_cache_set_cookie_is_kept_for_nobody(serve):
    @get("/", cache=60)
    def view(request: HttpRequest) -> str:
        return get_token(request)

    client = serve(view)
    tokens = set()
    for _ in range(2):
        answer = client.get("/")
        assert "csrftoken" in answer.cookies
        client.cookies.clear()
        tokens.add(answer.cookies["csrftoken"].value)
    assert len(tokens) == 2


def test_r_cache_a_kept_answer_stays_private(serve, bearer):
    from hybrid_gateway import Cache

    @get("/", authentication=TOKEN, cache=Cache(60, per_user=True))
    def view(user: User) -> str:
        return user.username

    client = serve(view)
    answers = [client.get("/", headers=bearer) for _ in range(2)]
    assert "hit" in answers[1].headers["Cache-Status"]
    for answer in answers:
        assert said(answer) == ("private", ["Authorization"])


def test_r_cache_routes_that_read_nothing_of_a_client_say_nothing(serve, bearer):
    @get("/", authentication=TOKEN)
    async def view() -> str:
        return "x"

    client = serve(view)
    client.cookies["a"] = "1"
    assert said(client.get("/", headers=bearer)) == (None, [])
    route = client.gateway.get_route("view")
    assert "leave" not in route.source and "change" not in route.source


def test_r_cache_whom_a_test_forces_is_private_too():
    @get("/", authentication=TOKEN)
    async def view(user: User) -> str:
        return "x"

    client = TestClient(Gateway([view]))
    client.force_authenticate(User(username="ada", pk=1))
    assert client.get("/").headers["Cache-Control"] == "private"
