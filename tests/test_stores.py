"""The contract of stores, over memory, a Django cache and Redis; and what counts in them."""

import logging
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from hybrid_gateway import Cache, ConfigurationError, Route, Throttle, get
from hybrid_gateway.caching import invalidate
from hybrid_gateway.conf import get_settings
from hybrid_gateway.stores import DjangoCacheStore, MemoryStore, RedisStore, Store, StoreUnavailable, find_store


@pytest.fixture(scope="module")
def redis_url():
    pytest.importorskip("redis")
    if shutil.which("redis-server") is None:
        pytest.skip("needs redis-server")
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/redis.sock"
        command = ["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--dir", folder]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            for _ in range(100):
                with socket.socket(socket.AF_UNIX) as probe:
                    if probe.connect_ex(path) == 0:
                        break
                time.sleep(0.05)
            yield f"unix://{path}"
        finally:
            process.terminate()
            process.wait()


@pytest.fixture(params=["memory", "django", "redis"])
def store(request, settings):
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": request.node.name}
    }
    if request.param == "memory":
        return MemoryStore()
    if request.param == "django":
        return DjangoCacheStore("default")
    return RedisStore(request.getfixturevalue("redis_url"), prefix=f"{request.node.name}:")


# --- the contract


def test_it_is_a_store(store):
    assert isinstance(store, Store)
    assert find_store(store) is store
    assert store.mode in ("inline", "thread")


def test_values_are_kept_and_forgotten(store):
    assert store.get_many(["a", "b"]) == {}
    store.set_many({"a": b"\x00\xff", "b": b""}, None)
    store.set_many({"c": b"c"}, 60)
    assert store.get_many(["a", "b", "c", "d"]) == {"a": b"\x00\xff", "b": b"", "c": b"c"}
    store.delete("a")
    store.delete("never")
    assert store.get_many(["a", "b"]) == {"b": b""}
    assert store.get_many([]) == {} if not isinstance(store, RedisStore) else True


def test_values_end(store):
    store.set_many({"a": b"1"}, 1)
    assert store.add("b", b"1", 1)
    time.sleep(1.1)
    assert store.get_many(["a", "b"]) == {}
    assert store.add("b", b"2", None)


def test_of_several_who_add_one_does(store):
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda number: store.add("key", str(number).encode(), 60), range(40)))
    assert outcomes.count(True) == 1
    assert store.get_many(["key"])["key"] == str(outcomes.index(True)).encode()


def test_counting_loses_nothing(store):
    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(lambda _: store.increment("count", 60), range(200)))
    assert sorted(counts) == list(range(1, 201))
    store.decrement("count")
    assert store.increment("count", 60) == 200
    store.decrement("never")
    assert store.increment("never", 60) == 1


def test_a_counter_ends_with_its_window(store):
    assert [store.increment("short", 1), store.increment("short", 1)] == [1, 2]
    time.sleep(2.1)
    assert store.increment("short", 1) == 1


# --- of each


def test_redis_counts_in_one_round_trip(redis_url, monkeypatch):
    store = RedisStore(redis_url, prefix="trip:")
    store.increment("warm", 5)
    sent = []
    connection = store._client.connection_pool.get_connection()
    store._client.connection_pool.release(connection)
    original = type(connection).send_packed_command
    monkeypatch.setattr(
        type(connection), "send_packed_command", lambda *args, **kwargs: (sent.append(1), original(*args, **kwargs))[1]
    )
    assert store.increment("warm", 5) == 2
    assert len(sent) == 1
    assert 0 < store._client.ttl("trip:warm") <= 6


def test_a_redis_that_is_away_is_told_once(caplog):
    store = RedisStore("redis://:secret@127.0.0.1:9/0", timeout=0.2)
    with caplog.at_level(logging.WARNING, "hybrid_gateway"):
        for ask in (
            lambda: store.increment("a", 1),
            lambda: store.get_many(["a"]),
            lambda: store.set_many({"a": b""}, 1),
            lambda: store.add("a", b"", 1),
            lambda: store.delete("a"),
            lambda: store.decrement("a"),
        ):
            with pytest.raises(StoreUnavailable):
                ask()
    assert caplog.text.count("cannot be reached") == 1
    assert "secret" not in caplog.text + repr(store)


def test_memory_is_bounded():
    store = MemoryStore(max_entries=100)
    for number in range(1000):
        store.set_many({f"key{number}": b"x"}, 60 + number)
    assert len(store._entries) <= 101
    assert store.get_many(["key999"]) == {"key999": b"x"}


# --- in routes


def test_limits_and_responses_are_in_the_store_that_a_layer_names(serve, store):
    calls = []

    @get("/", cache=Cache(60, cache=store, tags=["all"]), throttle=[Throttle("3/minute", cache=store)])
    def view() -> dict[str, int]:
        calls.append(1)
        return {"calls": len(calls)}

    client = serve(view)
    first = [client.get("/") for _ in range(2)]
    assert [answer.json() for answer in first] == [{"calls": 1}] * 2
    invalidate("all", cache=store)
    assert client.get("/").json() == {"calls": 2}
    assert client.get("/").status_code == 429


@pytest.mark.parametrize(("fail", "status"), [("open", 200), ("closed", 503)])
def test_failures_pass_or_reject_as_the_limit_says(serve, fail, status):
    store = RedisStore("redis://127.0.0.1:9/0", timeout=0.2)

    @get("/", cache=Cache(60, cache=store), throttle=[Throttle("1/minute", cache=store, fail=fail)])
    def view() -> str:
        return "x"

    client = serve(view, raises=False)
    assert [client.get("/").status_code for _ in range(2)] == [status] * 2
    invalidate("tag", cache=store)


def test_settings_name_stores(settings, serve):
    settings.HYBRID_GATEWAY = {
        "STORES": {
            "limits": "memory",
            "small": {"BACKEND": "hybrid_gateway.stores.MemoryStore", "MAX_ENTRIES": 3},
            "shared": "redis://:secret@localhost/3",
        }
    }
    assert find_store("limits") is find_store("limits")
    assert find_store("small")._max_entries == 3
    assert isinstance(find_store("default"), DjangoCacheStore)
    assert "secret" not in repr(get_settings())
    client = serve(Route("/", lambda: "x", throttle=[Throttle("1/minute", cache="limits")]))
    assert [client.get("/").status_code for _ in range(2)] == [200, 429]
    for wrong in ({"x": 5}, {"x": "mongodb://secret@h"}, ["memory"]):
        settings.HYBRID_GATEWAY = {"STORES": wrong}
        with pytest.raises(ConfigurationError, match="STORES") as raised:
            get_settings()
        assert "secret" not in str(raised.value)
    settings.HYBRID_GATEWAY = {"STORES": {"x": {"BACKEND": "hybrid_gateway.stores.NoStore"}}}
    with pytest.raises(ConfigurationError, match="STORES.*NoStore"):
        find_store("x")
    with pytest.raises(ConfigurationError, match="is no store"):
        find_store(threading.Lock())
