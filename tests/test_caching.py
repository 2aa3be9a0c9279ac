"""Answers kept in Django's cache: what is, for whom, for how long, and how it is told and forgotten."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Annotated

import pytest
from django.contrib.auth.models import User
from django.core.cache import caches
from django.http import HttpRequest
from django.test import override_settings
from starlette.datastructures import Headers

from hybrid_gateway import (
    Cache,
    ConfigurationError,
    Cookie,
    Gateway,
    Header,
    Request,
    Response,
    Router,
    get,
    http,
    post,
)
from hybrid_gateway.auth import Authentication, AuthenticationScheme, BasicAuthentication
from hybrid_gateway.caching import ainvalidate, invalidate
from hybrid_gateway.telemetry import RequestID
from hybrid_gateway.test import TestClient


def redis_answers():
    try:
        with closing(socket.create_connection(("127.0.0.1", 6379), timeout=1)):
            return True
    except OSError:
        return False


BACKENDS = {
    "locmem": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "test_cache"},
    "redis": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:6379/13"},
}


@pytest.fixture(params=BACKENDS, autouse=True)
def backend(request):
    if request.param == "redis" and not redis_answers():
        pytest.skip("Redis does not answer on port 6379.")
    with override_settings(CACHES={"default": BACKENDS[request.param]}):
        caches["default"].clear()
        yield
        caches["default"].clear()


@pytest.fixture
def count():
    return {"calls": 0}


@pytest.fixture(params=["async", "def"])
def make(request, count):
    """A handler that answers how often it was called."""

    def build(path="/n", cache=60, **options):
        if request.param == "async":

            @get(path, cache=cache, **options)
            async def handler() -> dict[str, int]:
                count["calls"] += 1
                return dict(count)

        else:

            @get(path, cache=cache, **options)
            def handler() -> dict[str, int]:
                count["calls"] += 1
                return dict(count)

        return handler

    return build


def state(answer):
    return answer.headers["Cache-Status"].partition(";")[2].split(";")[0].strip()


def test_the_second_answer_is_the_first(serve, make, count):
    client = serve(make(etag=True))
    first, second = client.get("/n"), client.get("/n")
    assert (first.json(), second.json(), count["calls"]) == ({"calls": 1}, {"calls": 1}, 1)
    assert (state(first), state(second)) == ("fwd=miss", "hit")
    assert first.headers["ETag"] == second.headers["ETag"]
    assert "ttl=" in second.headers["Cache-Status"] and int(second.headers["Age"]) < 5
    assert client.get("/n", headers={"If-None-Match": first.headers["ETag"]}).status_code == 304
    head = client.head("/n")
    assert (head.content, state(head), count["calls"]) == (b"", "hit", 1)


def test_the_whole_url_counts_or_only_some_of_its_query(serve, make, count):
    client = serve(make("/all"), make("/some", Cache(60, query=["page"])))
    for url in ("/all", "/all?a=1", "/all?a=1&b=2", "/all?a=1%26b=2", "/all?b=2&a=1"):
        assert state(client.get(url)) == "fwd=miss"
        assert state(client.get(url)) == "hit"
    assert state(client.get("/all", headers={"Host": "other.example"})) == "fwd=miss"
    assert state(client.get("/some?page=1&utm=x")) == "fwd=miss"
    assert state(client.get("/some?page=1&utm=y")) == "hit"
    assert state(client.get("/some?page=2")) == "fwd=miss"


def test_headers_and_cookies_that_a_handler_reads_tell_answers_apart(serve):
    @get("/", cache=Cache(60, vary=["Accept-Language"]))
    async def view(
        region: Annotated[str, Header()] = "eu", theme: Annotated[str | None, Cookie()] = None
    ) -> dict[str, str | None]:
        return {"region": region, "theme": theme}

    client = serve(view)
    answers = [
        client.get("/"),
        client.get("/", headers={"Region": "us"}),
        client.get("/", headers={"Cookie": "theme=dark; other=1"}),
        client.get("/", headers={"Accept-Language": "de"}),
    ]
    assert [state(answer) for answer in answers] == ["fwd=miss"] * 4
    assert answers[2].json() == {"region": "eu", "theme": "dark"}
    assert state(client.get("/", headers={"Cookie": "other=2; theme=dark"})) == "hit"
    assert answers[0].headers["Vary"] == "Accept-Language, Region, Cookie"


def test_what_must_not_be_kept_is_not(serve, count):
    @get("/cookie", cache=60, response_cookies=[("a", "b")])
    async def cookie() -> str:
        return "x"

    @get("/private", cache=60)
    def private() -> Response:
        return Response("x", headers={"Cache-Control": "private"})

    @get("/varies", cache=60)
    def varies() -> Response:
        return Response("x", headers={"Vary": "User-Agent"})

    @get("/missing", cache=60)
    async def missing() -> tuple[dict[str, str], int]:
        return {"not": "there"}, 404

    @get("/plain", cache=60)
    def plain() -> Response:
        return Response("kept", headers={"X-Own": "1"}, media_type="text/plain")

    client = serve(cookie, private, varies, missing, plain)
    for path in ("/cookie", "/private", "/varies", "/missing"):
        assert [state(client.get(path)) for _ in range(2)] == ["fwd=miss"] * 2, path
    assert [state(client.get("/plain")) for _ in range(2)] == ["fwd=miss", "hit"]
    assert client.get("/plain").headers["X-Own"] == "1"


@pytest.mark.django_db(transaction=True)
def test_users_are_answered_anew_unless_told(serve, count):
    for name in ("ada", "bob"):
        User.objects.create_user(name, password="secret")

    @get("/me", cache=60)
    def me(user: User | None) -> str:
        return str(user)

    @get("/mine", cache=Cache(60, per_user=True))
    async def mine(user: User) -> dict[str, str]:
        count["calls"] += 1
        return {"user": user.get_username()}

    @get("/open", cache=60)
    async def open_to_all() -> str:
        return "x"

    client = serve(Router("", [me, mine, open_to_all], authentication=[BasicAuthentication()]))
    ada, bob = ({"Authorization": f"Basic {pair}"} for pair in ("YWRhOnNlY3JldA==", "Ym9iOnNlY3JldA=="))
    assert [state(client.get("/me", headers=ada)) for _ in range(2)] == ["fwd=bypass"] * 2
    assert client.get("/me").text == "None"
    assert client.get("/me", headers=ada).text == "ada"
    assert [client.get("/mine", headers=who).json()["user"] for who in (ada, ada, bob, bob)] == [
        "ada",
        "ada",
        "bob",
        "bob",
    ]
    assert count["calls"] == 2
    assert client.get("/mine").status_code == 401
    assert [state(client.get("/open", headers=ada)) for _ in range(2)] == ["fwd=bypass"] * 2


def test_guards_come_before_what_is_kept(serve, make):
    def guard(key: Annotated[str, Header()] = "") -> bool:
        return key == "k"

    client = serve(make(guards=[guard]))
    assert client.get("/n", headers={"Key": "k"}).status_code == 200
    assert client.get("/n", headers={"Key": "z"}).status_code == 403


def test_tags_forget(serve, count):
    @get("/products/{number:int}", cache=Cache(60, tags=["products", "product:{number}"]))
    async def product(number: int) -> dict[str, int]:
        count["calls"] += 1
        return dict(count)

    @post("/forget")
    async def forget(tag: str) -> None:
        await ainvalidate(tag)

    client = serve(product, forget)
    for number in (1, 2):
        client.get(f"/products/{number}")
    client.post("/forget?tag=product:1")
    assert [state(client.get(f"/products/{number}")) for number in (1, 2)] == ["fwd=miss", "hit"]
    invalidate("products")
    assert [state(client.get(f"/products/{number}")) for number in (1, 2)] == ["fwd=miss"] * 2


def test_an_answer_made_before_its_tag_was_invalidated_is_not_served_after(serve):
    @get("/", cache=Cache(60, tags=["t"]))
    def view() -> str:
        invalidate("t")  # by somebody else, while this was being made
        return "old"

    client = serve(view)
    assert [state(client.get("/")) for _ in range(2)] == ["fwd=miss"] * 2


def test_only_get_is_kept(serve):
    @post("/", cache=60)
    async def view() -> str:
        return "x"

    assert "Cache-Status" not in serve(view).post("/").headers


def test_without_the_cache_the_handler_answers(serve, make, caplog):
    nobody = {"BACKEND": BACKENDS["redis"]["BACKEND"], "LOCATION": "redis://127.0.0.1:1"}
    with override_settings(CACHES={"default": nobody}):
        assert state(serve(make()).get("/n")) == "fwd=bypass"
        assert "cannot be reached" in caplog.text


def test_what_has_changed_is_no_error_where_the_cache_is_gone(settings, caplog):
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1/0"}
    }
    invalidate("products")
    invalidate("products")
    assert caplog.text.count("cannot be reached") == 1


@pytest.mark.parametrize(
    ("cache", "message"),
    [
        (0, "needs a number of seconds"),
        (True, "needs a number of seconds"),
        (lambda: Cache(60, tags="a"), "must be a list"),
        (lambda: Cache(60, tags=["{other}"]), "takes a value that the path does not have; it has number"),
    ],
)
def test_mistakes_are_told_at_start_up(cache, message):
    with pytest.raises(ConfigurationError, match=message):
        rules = cache() if callable(cache) else cache
        Gateway([get("/{number:int}", cache=rules)(lambda number: None)])


def test_a_function_may_tell_answers_apart(serve):
    def site(scope):
        return dict(scope["headers"])[b"x-site"].decode().partition(".")[0]

    @get("/", cache=Cache(60, key=site))
    async def view() -> str:
        return "x"

    client = serve(view)
    sites = ("m.shop", "www.shop", "m.other", "www.other")
    assert [state(client.get("/", headers={"X-Site": site})) for site in sites] == ["fwd=miss"] * 2 + ["hit"] * 2


@pytest.mark.django_db(transaction=True)
def test_what_a_session_may_have_been_answered_is_not_kept(serve):
    """Whoever reads the whole request may have read who it is from."""
    sessions = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ]

    @get("/me", cache=60, django_middleware=sessions)
    def me(request: HttpRequest) -> dict[str, str]:
        return {"user": str(request.user)}

    @get("/whole", cache=60)
    async def whole(request: Request) -> str:
        return request.cookies.get("who", "nobody")

    @get("/headers", cache=60)
    def headers(headers: http.Headers) -> str:
        return headers.get("cookie", "nobody")

    @get("/cookies", cache=60)
    async def cookies(cookies: http.Cookies) -> str:
        return cookies.get("who", "nobody")

    @get("/told", cache=Cache(60, vary=["Cookie"]))
    async def told(request: Request) -> str:
        return request.cookies.get("who", "nobody")

    client = serve(me, whole, headers, cookies, told)
    for path in ("/whole", "/headers", "/cookies"):
        assert "ada" in client.get(path, headers={"Cookie": "who=ada"}).text
        assert client.get(path).text == "nobody"
        assert "bob" in client.get(path, headers={"Cookie": "who=bob"}).text
        assert state(client.get(path)) == "hit"
    assert [client.get("/told", headers={"Cookie": f"who={who}"}).text for who in ("ada", "bob")] == ["ada", "bob"]
    assert state(client.get("/told", headers={"Cookie": "who=ada"})) == "hit"
    assert client.get("/me").json() == {"user": "AnonymousUser"}
    client.force_login(User.objects.create_user("ada"))
    assert client.get("/me").json() == {"user": "ada"}
    client.logout()
    assert client.get("/me").json() == {"user": "AnonymousUser"}


def test_a_hook_that_looks_at_headers_keeps_nothing_from_being_kept(serve):
    @get("/", cache=60, event_hooks=[RequestID])
    async def view() -> str:
        return "x"

    client = serve(view)
    assert [state(client.get("/", headers={"Cookie": "a=b"})) for _ in range(2)] == ["fwd=miss", "hit"]


# --- while an answer is made anew ----------------------------------------------------------------------------------


class Clock:
    now = 1_000_000.0

    def time(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("hybrid_gateway.caching.time", clock)
    return clock


def herd(gateway, size):
    """So many clients at once."""
    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(lambda _: TestClient(gateway, protocol="wsgi").get("/n"), range(size)))


def slow(count, **options):
    entered = threading.Event()

    @get("/n", cache=Cache(60), **options)
    def handler() -> dict[str, int]:
        count["calls"] += 1
        if count["calls"] > 1:
            entered.set()
            time.sleep(0.3)
        return dict(count)

    return handler


def test_what_has_run_out_is_made_anew_once_and_others_get_the_old_one(count, clock):
    gateway = Gateway([slow(count)])
    assert TestClient(gateway).get("/n").json() == {"calls": 1}
    clock.now += 70
    answers = herd(gateway, 20)
    assert count["calls"] == 2
    assert sorted(answer.json()["calls"] for answer in answers) == [1] * 19 + [2]
    old = next(answer for answer in answers if answer.json() == {"calls": 1})
    assert (old.headers["Cache-Status"], old.headers["Age"]) == ("hybrid-gateway; hit; ttl=-10", "70")
    assert TestClient(gateway).get("/n").json() == {"calls": 2}


def test_what_must_be_validated_is_never_old(count, clock):
    gateway = Gateway([slow(count, cache_control={"max_age": 60, "must_revalidate": True})])
    TestClient(gateway).get("/n")
    clock.now += 70
    answers = herd(gateway, 5)
    assert {answer.json()["calls"] for answer in answers} <= {2, 3, 4, 5, 6}


def test_what_could_not_be_made_anew_is_tried_again(serve, clock, count):
    @get("/n", cache=60)
    async def handler(response: Response) -> dict[str, int]:
        count["calls"] += 1
        if count["calls"] == 2:
            raise LookupError("on purpose")
        if count["calls"] == 3:
            response.set_cookie("a", "b")  # not to be kept
        return dict(count)

    client = serve(handler, raises=False)
    client.get("/n")
    clock.now += 61
    assert client.get("/n").status_code == 500
    assert client.get("/n").json() == {"calls": 1}  # for as long as the one that failed may have taken
    caches["default"].delete_many(list(_marks()))
    assert client.get("/n").json() == {"calls": 3}
    assert client.get("/n").json() == {"calls": 4}
    assert client.get("/n").json() == {"calls": 4}


def _marks():
    """The keys of what is being made anew."""
    cache = caches["default"]
    if hasattr(cache, "_cache") and isinstance(cache._cache, dict):
        return [key.split(":", 2)[2] for key in cache._cache if key.endswith(":renewing")]
    found = cache._cache.get_client(write=True).scan_iter("*:renewing")
    return [key.decode().split(":", 2)[2] for key in found]


def test_an_outage_of_the_cache_is_told_once(serve, make, caplog):
    with override_settings(CACHES={"default": {**BACKENDS["redis"], "LOCATION": "redis://127.0.0.1:9/0"}}):
        client = serve(make())
        assert [client.get("/n").json()["calls"] for _ in range(3)] == [1, 2, 3]
    assert len(caplog.records) == 1


class Machines(AuthenticationScheme):
    """Users of no table, as those of machines are: they have no primary key."""

    carriers = ("X-Machine",)
    sync_to_thread = False

    def authenticate(self, headers: Headers) -> Authentication | None:
        name = headers.get("x-machine")
        return None if name is None else Authentication(user=User(username=name), scheme=self)


@pytest.mark.parametrize("cache", [60, Cache(60, per_user=True)], ids=repr)
def test_what_a_user_without_a_primary_key_gets_is_nobody_elses(serve, cache):
    @get("/who", authentication=[Machines()], cache=cache)
    async def who(authentication: Authentication) -> str:
        return authentication.user.username

    client = serve(who)
    answers = [client.get("/who", headers={"X-Machine": name}) for name in ("boiler", "lathe")]
    assert [answer.text for answer in answers] == ["boiler", "lathe"]
    assert all("fwd=bypass" in answer.headers["cache-status"] for answer in answers)
