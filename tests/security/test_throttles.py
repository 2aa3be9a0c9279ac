"""Rate limits under attack: all at once, from behind forged addresses, with names that look alike, without a cache."""

import logging
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from random import randrange

import pytest
from django.core.cache import caches

from hybrid_gateway import ConfigurationError, Gateway, Route, Router, Throttle
from hybrid_gateway.conf import get_settings
from hybrid_gateway.test import TestClient

REDIS = "redis://127.0.0.1:6379/9"
LOCMEM = "django.core.cache.backends.locmem.LocMemCache"
NOBODY = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:9/0"}


def redis_answers():
    try:
        with closing(socket.create_connection(("127.0.0.1", 6379), timeout=1)):
            return True
    except OSError:
        return False


@pytest.fixture(params=["locmem", "redis"])
def backend(request, settings):
    if request.param == "redis":
        if not redis_answers():
            pytest.skip("Redis does not answer on port 6379.")
        settings.CACHES = {"default": {**NOBODY, "LOCATION": REDIS}}
    else:
        settings.CACHES = {"default": {"BACKEND": LOCMEM, "LOCATION": request.node.name}}
    caches["default"].clear()
    yield request.param
    caches["default"].clear()


@pytest.fixture
def locmem(settings, request):
    settings.CACHES = {"default": {"BACKEND": LOCMEM, "LOCATION": request.node.name}}


async def hello() -> str:
    return "hello"


def hello_in_a_thread() -> str:
    return "hello"


# --- all at once ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("handler", [hello, hello_in_a_thread])
@pytest.mark.parametrize("protocol", ["asgi", "wsgi"])
def test_r_thr_of_200_at_once_exactly_10_pass(backend, handler, protocol):
    gateway = Gateway([Route("/", handler, throttle=["10/day"])])

    def hit(_):
        return TestClient(gateway, protocol=protocol).get("/").status_code

    with ThreadPoolExecutor(50) as pool:
        statuses = list(pool.map(hit, range(200)))
    assert (statuses.count(200), statuses.count(429)) == (10, 190)


def test_r_thr_two_processes_count_together(settings):
    if not redis_answers():
        pytest.skip("Redis does not answer on port 6379.")
    settings.CACHES = {"default": {**NOBODY, "LOCATION": REDIS}}
    caches["default"].clear()
    command = [sys.executable, "-m", "tests.security.throttled_process", REDIS, "100"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(2)]
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    counted = [tuple(map(int, process.communicate(timeout=60)[0].split())) for process in processes]
    caches["default"].clear()
    assert [sum(column) for column in zip(*counted, strict=True)] == [10, 190]


def test_r_thr_two_windows_on_one_scope_both_hold(backend, clock):
    short, long = Throttle("2/minute", scope="login"), Throttle("3/day", scope="login")
    client = TestClient(
        Gateway([Route("/a", hello, throttle=[short, long]), Route("/b", hello, throttle=[short, long])])
    )
    assert [client.get(path).status_code for path in ("/a", "/b", "/a")] == [200, 200, 429]
    clock.now += 60
    # What a window refuses is not counted by those behind it.
    assert [client.get(path).status_code for path in ("/b", "/a", "/b")] == [200, 429, 429]
    clock.now += 60
    assert client.get("/b").status_code == 429


# --- who is counted ------------------------------------------------------------------------------------------------

PEER, PROXY = "203.0.113.9", "127.7.7.7"


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Client-IP", "CF-Connecting-IP"])
def test_r_xff_nobody_is_believed_by_default(serve, locmem, header):
    client = serve(Route("/", hello, throttle=["1/day"]))
    sent = [client.get("/", REMOTE_ADDR=PEER, headers={header: f"10.0.0.{n}"}).status_code for n in range(3)]
    assert sent == [200, 429, 429]


def forwarded(server, source, value):
    lines = f"Host: ex.test\r\nConnection: close\r\nX-Forwarded-For: {value}\r\n\r\n"
    return server.send(f"GET /once HTTP/1.1\r\n{lines}".encode(), source=source).status


def test_r_xff_a_peer_that_is_no_proxy_is_not_believed(server):
    peer = f"127.1.{randrange(256)}.{randrange(1, 255)}"
    assert [forwarded(server, peer, f"10.0.0.{number}") for number in range(3)] == [200, 429, 429]


@pytest.mark.parametrize("name", ["h11", "httptools", "lane"])
def test_r_xff_behind_a_proxy_the_right_most_hop_that_is_none_counts(started, name):
    """What stands further left was written by the client."""
    server, (client, other) = started(name), (f"198.51.{randrange(256)}.{number}" for number in (7, 8))
    assert forwarded(server, PROXY, client) == 200
    assert forwarded(server, PROXY, f"10.0.0.1, {client}") == 429
    assert forwarded(server, PROXY, f"{other}, {client}, 192.0.2.1") == 429
    assert forwarded(server, PROXY, f"{client}, {other}") == 200


def test_r_key_names_that_look_alike_are_counted_apart(serve, locmem):
    def name(scope):
        return scope["query_string"].decode()

    client = serve(Route("/", hello, throttle=[Throttle("1/day", by=name)]))
    for text in ("admin", "%C3%A1dmin", "Admin", "admin%00", "admin%20", "adm%EF%BC%A9n", "admin%0A"):
        assert [client.get("/?" + text).status_code for _ in range(2)] == [200, 429], text


@pytest.mark.parametrize("name", ["ádmin", "a\ud800b", "", "x" * 100_000, "a\nb"])
def test_r_key_any_text_can_be_counted(serve, locmem, name):
    client = serve(Route("/", hello, throttle=[Throttle("1/day", by=lambda scope: name)]))
    assert [client.get("/").status_code for _ in range(2)] == [200, 429]


def test_r_key_no_part_can_be_written_into_another(serve, locmem):
    """Two limits whose parts, put next to one another, would read the same."""
    rate = "1/day"
    one = Throttle(rate, scope="a", by=lambda scope: f"b\n{rate}\nown:c")
    other = Throttle(rate, scope=f"a\n{rate}\nown:b", by=lambda scope: "c")
    client = serve(Route("/one", hello, throttle=[one]), Route("/other", hello, throttle=[other]))
    assert [client.get(path).status_code for path in ("/one", "/other")] == [200, 200]


# --- without a cache -----------------------------------------------------------------------------------------------


@pytest.fixture
def nobody(settings):
    settings.CACHES = {"default": NOBODY}


def test_r_thr_without_the_cache_requests_pass_and_that_is_told_once(serve, nobody, caplog):
    client = serve(Route("/", hello, throttle=["1/day"]))
    assert [client.get("/").status_code for _ in range(5)] == [200] * 5
    assert [record.getMessage()[:41] for record in caplog.records] == ["The cache 'default' cannot be reached: Er"]


def test_r_thr_or_they_are_refused(serve, nobody, caplog):
    limits = {
        "/closed": {"throttle": [Throttle("1/day", fail="closed")]},
        "/layer": {"throttle": ["1/day"], "throttle_fail": "closed"},
        "/open": {"throttle": [Throttle("1/day", fail="open")], "throttle_fail": "closed"},
    }
    client = serve(Router("", [Route(path, hello, **options) for path, options in limits.items()]))
    answers = [client.get(path) for path in ("/closed", "/layer", "/open", "/closed")]
    assert [answer.status_code for answer in answers] == [503, 503, 200, 503]
    assert answers[0].headers["Retry-After"] == "5"
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_r_thr_the_end_of_an_outage_is_told_as_well(serve, settings, caplog, request, monkeypatch):
    settings.CACHES = {"default": {"BACKEND": LOCMEM, "LOCATION": request.node.name}}
    client = serve(Route("/", hello, throttle=["5/day"]))

    def fail(*args, **kwargs):
        raise ConnectionError("gone")

    with monkeypatch.context() as outage:
        outage.setattr("django.core.cache.backends.locmem.LocMemCache.incr", fail)
        assert [client.get("/").status_code for _ in range(3)] == [200, 200, 200]
    assert client.get("/").headers["RateLimit-Remaining"] == "4"
    told = [record.getMessage() for record in caplog.records]
    assert told == ["The cache 'default' cannot be reached: gone", "The cache 'default' is reached again."]


def test_r_thr_a_cache_that_loses_what_it_is_given_counts_as_down(serve, locmem, monkeypatch):
    monkeypatch.setattr("django.core.cache.backends.locmem.LocMemCache.add", lambda *args, **kwargs: False)
    client = serve(Route("/", hello, throttle=[Throttle("1/day", fail="closed")]))
    assert client.get("/").status_code == 503


def test_r_thr_mistakes_are_told():
    with pytest.raises(ConfigurationError, match='must be "open" or "closed"'):
        Throttle("1/day", fail="ajar")
    with pytest.raises(ConfigurationError, match='must be "open" or "closed"'):
        Gateway([Route("/", hello, throttle=["1/day"])], throttle_fail="ajar")


def test_r_thr_the_setting_is_the_outermost_layers(settings):
    settings.HYBRID_GATEWAY = {"ROUTES": "tests.routes", "THROTTLE_FAIL": "closed"}
    assert get_settings().layer == {"throttle_fail": "closed"}
