"""Whether the process lives and is ready: what probes are answered, over every driver."""

import asyncio
import time
from collections.abc import Iterator

import pytest
from django.db import connection

from hybrid_gateway import Gateway, Include, State, get
from hybrid_gateway.exceptions import ConfigurationError, Forbidden
from hybrid_gateway.health import Unhealthy, caches, databases, health_check, migrations
from hybrid_gateway.test import TestClient

PROBES = Include("", "hybrid_gateway.health.routes")


async def fine() -> None:
    """Nothing is wrong."""


def test_a_living_process_says_so_whatever_its_checks_say(serve):
    def broken() -> bool:
        return False

    answer = serve(PROBES, health_checks=[broken]).get("/livez")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_ready_process_names_its_checks(serve):
    @health_check(name="stock")
    def counted(state: State) -> None:
        assert state is not None

    answer = serve(PROBES, health_checks=[fine, counted]).get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "checks": {"fine": "ok", "stock": "ok"}})


def test_failed_checks_are_named_without_their_secrets(serve, caplog):
    def payments() -> None:
        raise ConnectionError("https://user:hunter2@payments.internal")

    async def stock() -> bool:
        return False

    async def search() -> None:
        raise Unhealthy("the index is being built")

    client = serve(PROBES, health_checks=[payments, fine, stock, search])
    answer = client.get("/readyz")
    assert (answer.status_code, answer.headers["Content-Type"]) == (503, "application/problem+json")
    assert answer.json() == {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "detail": "Not ready: payments, stock, search.",
        "checks": {"payments": "failed", "fine": "ok", "stock": "failed", "search": "the index is being built"},
    }
    assert "hunter2" in caplog.text  # where it helps


def test_a_check_gets_components_and_leaves_them(serve):
    left = []

    class Client:
        pass

    def client() -> Iterator[Client]:
        yield Client()
        left.append("client")

    def payments(client: Client) -> bool:
        return isinstance(client, Client)

    assert serve(PROBES, health_checks=[payments], components=[client]).get("/readyz").status_code == 200
    assert left == ["client"]


def test_a_check_that_needs_a_request_is_refused_at_start_up():
    def nosy(agent: str = "") -> None: ...

    for check in (nosy, "hybrid_gateway.health"):
        with pytest.raises(ConfigurationError, match="health check"):
            Gateway([PROBES], health_checks=[check])
    with pytest.raises(ConfigurationError):
        health_check(timeout=0)


def test_probes_share_one_outcome(serve):
    asked = []

    @health_check(keep=60)
    def counted() -> None:
        asked.append(1)

    client = serve(PROBES, health_checks=[counted])
    assert [client.get("/readyz").status_code for _ in range(5)] == [200] * 5
    assert asked == [1]


def test_a_failure_is_asked_about_again_and_logged_once(serve, caplog):
    asked = []

    @health_check(keep=0.01)
    def flaky() -> bool:
        asked.append(1)
        return len(asked) > 3

    client = serve(PROBES, health_checks=[flaky])
    states = []
    for _ in range(4):
        states.append(client.get("/readyz").status_code)
        time.sleep(0.02)
    assert states == [503, 503, 503, 200]
    assert [record.getMessage() for record in caplog.records if "flaky" in record.getMessage()] == [
        "The health check 'flaky' fails: failed",
        "The health check 'flaky' succeeds again",
    ]


def test_checks_run_at_once_and_a_slow_one_only_fails_itself(serve):
    met = asyncio.Event()

    async def first() -> None:
        await asyncio.wait_for(met.wait(), 5)

    async def second() -> None:
        met.set()

    @health_check(timeout=0.05)
    async def slow() -> None:
        await asyncio.Event().wait()

    answer = serve(PROBES, health_checks=[first, second, slow]).get("/readyz")
    assert answer.json()["checks"] == {"first": "ok", "second": "ok", "slow": "no answer within 0.05 s"}


def test_guards_and_authentication_of_the_gateway_do_not_ask_probes(serve):
    def nobody() -> None:
        raise Forbidden

    client = serve(PROBES, guards=[nobody], health_checks=[fine])
    assert [client.get(path).status_code for path in ("/livez", "/readyz")] == [200, 200]


def test_a_process_is_not_ready_before_it_has_started_nor_while_it_drains():
    started = []

    @get("/")
    async def index() -> None: ...

    gateway = Gateway([PROBES, index], health_checks=[fine], on_startup=[lambda: started.append(1)])
    client = TestClient(gateway)
    assert client.get("/readyz").json()["checks"] == {"gateway": "starting"}
    with client:
        assert started and client.get("/readyz").status_code == 200
        gateway.drain()
        assert client.get("/readyz").json()["checks"] == {"gateway": "draining"}
        assert [client.get(path).status_code for path in ("/livez", "/")] == [200, 503]
    assert client.get("/readyz").status_code == 503


def test_probe_routes_say_that_they_are():
    gateway = Gateway([PROBES])
    assert [gateway.get_route(name).opt for name in ("livez", "readyz")] == [{"probe": True}] * 2


@pytest.mark.django_db
def test_databases_caches_and_migrations_answer():
    answer = TestClient(Gateway([PROBES], health_checks=[databases, caches, migrations])).get("/readyz")
    assert answer.json()["checks"] == {"databases": "ok", "caches": "ok", "migrations": "ok"}


@pytest.mark.django_db
def test_a_missing_migration_is_told():
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'sessions'")
    client = TestClient(Gateway([PROBES], health_checks=[migrations]))
    assert client.get("/readyz").json()["checks"] == {"migrations": "default lacks 1 migration"}


def test_caches_that_do_not_answer_are_named(serve, settings):
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        "none": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
        "gone": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1"},
    }
    assert serve(PROBES, health_checks=[caches]).get("/readyz").json()["checks"] == {"caches": "gone"}


def test_the_setting_names_checks(settings):
    settings.HYBRID_GATEWAY = {"ROUTES": "tests.sites.probe_routes", "HEALTH_CHECKS": ["hybrid_gateway.health.caches"]}
    assert TestClient().get("/readyz").json()["checks"] == {"caches": "ok"}
