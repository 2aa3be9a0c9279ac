"""Rate limits: who is counted, where the counters are, and what a client is told."""

import base64
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.models import User
from django.core.cache import caches

from hybrid_gateway import ConfigurationError, Controller, Gateway, Include, NoThrottle, Route, Router, Throttle, get
from hybrid_gateway.auth import BasicAuthentication
from hybrid_gateway.conf import OpenAPISettings
from hybrid_gateway.openapi.document import build_document
from hybrid_gateway.stores import MemoryStore, StoreUnavailable
from hybrid_gateway.test import TestClient


@pytest.fixture(autouse=True)
def stores(settings, request):
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": request.node.name},
        "other": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": request.node.name + "other"},
        "dummy": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
    }


@pytest.fixture(params=["async", "def"])
def hello(request):
    async def asynchronous() -> str:
        return "hello"

    def synchronous() -> str:
        return "hello"

    return asynchronous if request.param == "async" else synchronous


def statuses(client, path, count, **options):
    return [client.get(path, **options).status_code for _ in range(count)]


# --- limits --------------------------------------------------------------------------------------------------------


def test_a_limit_and_what_a_client_is_told(serve, hello, clock):
    client = serve(Route("/", hello, throttle=["2/minute"]))
    first = client.get("/")
    names = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
    assert [first.headers[name] for name in names] == ["2", "1", "21"]  # a million seconds are 40 past the minute
    assert client.get("/").headers["RateLimit-Remaining"] == "0"
    refused = client.get("/")
    assert (refused.status_code, refused.headers["Retry-After"], refused.headers["RateLimit-Remaining"]) == (
        429,
        "21",
        "0",
    )
    assert refused.json()["title"] == "Too Many Requests"
    clock.now += 21
    assert client.get("/").status_code == 200


def test_several_windows_at_once(serve, hello, clock):
    client = serve(Route("/", hello, throttle=["2/10 seconds", "3/hour"]))
    assert statuses(client, "/", 3) == [200, 200, 429]
    clock.now += 10
    assert statuses(client, "/", 2) == [200, 429]
    assert client.get("/").headers["Retry-After"] != "10"


def test_a_limit_counts_all_below_its_layer_and_inner_ones_add_to_it(serve, hello):
    class Things(Controller):
        path = "/things"
        throttle = ["3/minute"]

        @get("/a")
        async def a(self) -> str:
            return "a"

        @get("/b", throttle=["1/minute"])
        def b(self) -> str:
            return "b"

    client = serve(Router("", [Things, Route("/free", hello)]), throttle=["5/minute"])
    assert statuses(client, "/things/b", 2) == [200, 429]
    assert statuses(client, "/things/a", 2) == [200, 429]
    assert statuses(client, "/free", 2) == [200, 429]


def test_a_scope_is_shared_by_name(serve, hello):
    limit = Throttle("2/minute", scope="search")
    client = serve(Route("/a", hello, throttle=[limit]), Route("/b", hello, throttle=[limit]))
    assert [*statuses(client, "/a", 1), *statuses(client, "/b", 2)] == [200, 200, 429]


# --- clients -------------------------------------------------------------------------------------------------------


def test_addresses_are_counted_apart(serve, hello):
    client = serve(Route("/", hello, throttle="1/minute"))
    assert statuses(client, "/", 2, REMOTE_ADDR="192.0.2.1") == [200, 429]
    assert statuses(client, "/", 2, REMOTE_ADDR="192.0.2.2") == [200, 429]


def basic(name):
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:secret".encode()).decode()}


@pytest.mark.django_db(transaction=True)
def test_users_are_counted_wherever_they_come_from(serve, hello, settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    for name in ("ada", "grace"):
        User.objects.create_user(name, password="secret")
    client = serve(Route("/", hello, throttle=["2/minute"], authentication=[BasicAuthentication()]))
    for address in ("192.0.2.1", "192.0.2.2"):
        assert client.get("/", headers=basic("ada"), REMOTE_ADDR=address).status_code == 200
    assert client.get("/", headers=basic("ada")).status_code == 429
    assert client.get("/", headers=basic("grace")).status_code == 200
    assert client.get("/").status_code == 200  # an anonymous one is counted by its address


@pytest.mark.django_db(transaction=True)
def test_failed_attempts_are_counted_by_address(serve):
    @get("/", authentication=[BasicAuthentication()], throttle=[Throttle("2/minute", by="address")])
    def handler(user: User) -> None: ...

    client = serve(handler)
    assert statuses(client, "/", 3, headers=basic("nobody")) == [401, 401, 429]


def test_a_function_says_who_is_counted(serve, hello):
    def by_key(scope):
        return dict(scope["headers"]).get(b"x-key", b"").decode()

    client = serve(Route("/", hello, throttle=[Throttle("1/minute", by=by_key)]))
    assert statuses(client, "/", 2, headers={"X-Key": "a"}) == [200, 429]
    assert statuses(client, "/", 1, headers={"X-Key": "b" * 500}) == [200]


# --- caches --------------------------------------------------------------------------------------------------------


def test_another_cache_and_none_at_all(serve, hello):
    client = serve(Route("/other", hello, throttle=[Throttle("1/minute", cache="other")]))
    assert statuses(client, "/other", 2) == [200, 429]
    assert not caches["default"]._cache
    client = serve(Route("/dummy", hello, throttle=[Throttle("1/minute", cache="dummy")]))
    assert statuses(client, "/dummy", 2) == [200, 200]


def redis_answers():
    try:
        socket.create_connection(("127.0.0.1", 6379), 1).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not redis_answers(), reason="Redis does not answer on 127.0.0.1:6379.")
def test_no_burst_slips_through_on_redis(settings, hello):
    pytest.importorskip("redis")
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "redis://127.0.0.1:6379/10",
            "KEY_PREFIX": f"hybrid-gateway-tests-{time.time()}",
        }
    }
    gateway = Gateway([Route("/", hello, throttle=["50/day"])])
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda _: TestClient(gateway).get("/").status_code, range(200)))
    assert (found.count(200), found.count(429)) == (50, 150)


# --- mistakes and documentation ------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", ["", "100", "100/fortnight", "0/minute", "-1/s", "5/0s", "5/minute please", 5, None])
def test_what_is_no_rate_is_told(rate):
    with pytest.raises(ConfigurationError, match="no rate"):
        Throttle(rate)


@pytest.mark.parametrize(
    ("rate", "limit", "seconds"),
    [
        ("100/minute", 100, 60),
        ("5/10 seconds", 5, 10),
        ("1/s", 1, 1),
        ("7/2h", 7, 7200),
        (" 1000 / days ", 1000, 86_400),
    ],
)
def test_rates(rate, limit, seconds):
    throttle = Throttle(rate)
    assert (throttle.limit, throttle.seconds) == (limit, seconds)


def test_429_is_in_the_document(hello):
    paths = build_document(Gateway([Route("/", hello, throttle="1/s")]).endpoints, OpenAPISettings())["paths"]
    assert "429" in paths["/"]["get"]["responses"]


# --- another store


class Tally(MemoryStore):
    """A store in a dict, for every name the same."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = {}
        self.is_reached = True

    def increment(self, key, seconds):
        if not self.is_reached:
            raise StoreUnavailable
        self.counts[key] = self.counts.get(key, 0) + 1
        return self.counts[key]

    def decrement(self, key):
        if not self.is_reached:
            raise StoreUnavailable
        self.counts[key] -= 1


tallies = []


def make_tally():
    return tallies[-1]


@pytest.mark.django_db
def test_another_store_counts_routes_and_logins(serve, hello, settings):
    tally = Tally()
    tallies.append(tally)
    options = {"LOGIN_THROTTLE": ["2/minute"], "USER_THROTTLE": []}
    stores = {"default": {"BACKEND": f"{__name__}.make_tally"}}
    settings.HYBRID_GATEWAY = {**settings.HYBRID_GATEWAY, "TOKENS": options, "STORES": stores}
    User.objects.create_user("ada", password="right")
    client = serve(Route("/", hello, throttle=["1/minute"]), Include("/auth", "hybrid_gateway.tokens.routes"))
    assert statuses(client, "/", 2) == [200, 429]

    def log_in(password):
        return client.post("/auth/login", json={"username": "ada", "password": password}).status_code

    assert [log_in("right"), log_in("wrong"), log_in("wrong"), log_in("right")] == [201, 401, 401, 429]
    assert sorted(tally.counts.values()) == [2, 3]
    tally.is_reached = False
    assert statuses(client, "/", 1) == [200]
    assert log_in("right") == 201


@pytest.mark.parametrize("entry", [NoThrottle, NoThrottle()])
def test_an_inner_layer_drops_the_limits_of_outer_ones(serve, hello, entry):
    router = Router(
        "/in",
        [
            Route("/free", hello, throttle=[entry]),
            Route("/other", hello, throttle=["2/minute", entry]),
            Route("/both", hello, throttle=["5/minute"]),
        ],
        throttle=["1/minute"],
    )
    client = serve(router, throttle=["100/minute"])
    assert statuses(client, "/in/free", 3) == [200] * 3
    assert "RateLimit-Limit" not in client.get("/in/free").headers
    assert statuses(client, "/in/other", 3) == [200, 200, 429]
    assert statuses(client, "/in/both", 2) == [200, 429]


def test_a_router_between_may_drop_them_for_all_below_it(serve, hello):
    open_ = Router("/open", [Route("/", hello), Route("/own", hello, throttle=["1/minute"])], throttle=[NoThrottle])
    client = serve(open_, Route("/", hello), throttle=["1/minute"])
    assert statuses(client, "/open/", 3) == [200] * 3
    assert statuses(client, "/open/own", 2) == [200, 429]
    assert statuses(client, "/", 2) == [200, 429]
