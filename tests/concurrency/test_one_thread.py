"""Middleware, providers, handler and ORM of a request: one thread, one connection, and nothing of anybody else's.

Many requests of several tenants overlap, on every driver and on real databases. Whatever a tenant's middleware or
component leaves on its thread and connection (``SET``, a ``threading.local``, a language) is that request's alone.
"""

import asyncio
import contextlib
import io
import json
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from wsgiref.util import setup_testing_defaults

import pytest
from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.db import connections
from django.http import HttpResponse, StreamingHttpResponse
from django.test import override_settings
from django.urls import path
from django.utils import translation
from django.utils.deprecation import MiddlewareMixin

from hybrid_gateway import Gateway, Route, StreamingResponse

ALIAS = "tenants"
TENANTS = ["acme", "globex", "initech"]
LANGUAGES = {"acme": "de", "globex": "fr", "initech": "es"}
NOBODY = ["nobody", None, "en-us"]
local = threading.local()


# --- databases, each with something that a connection keeps ----------------------------------------------------------


class SQLite:
    numbers = dict(zip(TENANTS, (-4001, -4002, -4003), strict=True))

    def __init__(self, folder):
        self.settings = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / "tenants.sqlite3")}

    def choose(self, tenant):
        return f"PRAGMA cache_size = {self.numbers[tenant]}"

    question = "PRAGMA cache_size"

    def read(self, value):
        return next((tenant for tenant, number in self.numbers.items() if number == value), "nobody")


class PostgreSQL:
    question = "SELECT current_setting('app.tenant', true)"

    def __init__(self, folder):
        psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed.")
        self.settings = {"ENGINE": "django.db.backends.postgresql", "NAME": "postgres", "USER": "postgres"}
        self.settings |= {"HOST": "127.0.0.1", "PORT": 5432, "OPTIONS": {"connect_timeout": 2}}
        try:
            psycopg.connect(host="127.0.0.1", user="postgres", dbname="postgres", connect_timeout=2).close()
        except psycopg.OperationalError as error:
            pytest.skip(f"No PostgreSQL answers at 127.0.0.1:5432: {error}")

    def choose(self, tenant):
        return f"SELECT set_config('app.tenant', '{tenant}', false)"

    def read(self, value):
        return value or "nobody"


class SearchPath(PostgreSQL):
    question = "SHOW search_path"

    def choose(self, tenant):
        return f"SET search_path = {tenant}"

    def read(self, value):
        return value if value in TENANTS else "nobody"


class PooledByPsycopg(SearchPath):
    """One connection for everybody, which goes back to the pool after each unit of work."""

    def __init__(self, folder):
        super().__init__(folder)
        pytest.importorskip("psycopg_pool", reason="psycopg_pool is not installed.")
        self.settings |= {"CONN_MAX_AGE": 0, "TIME_ZONE": "Asia/Tokyo"}
        self.settings["OPTIONS"] = {"pool": {"min_size": 1, "max_size": 1, "timeout": 10}}


class Role(PostgreSQL):
    """Roles need to exist: the built-in ones do."""

    roles = dict(zip(TENANTS, ("pg_monitor", "pg_read_all_stats", "pg_signal_backend"), strict=True))
    question = "SELECT current_user::text"

    def choose(self, tenant):
        return f"SET ROLE {self.roles[tenant]}"

    def read(self, value):
        return next((tenant for tenant, role in self.roles.items() if role == value), "nobody")


class MariaDB:
    question = "SELECT @tenant"

    def __init__(self, folder):
        driver = pytest.importorskip("MySQLdb", reason="mysqlclient is not installed.")
        options = {"ENGINE": "django.db.backends.mysql", "NAME": "hybrid", "USER": "hybrid", "PASSWORD": "hybrid"}
        self.settings = options | {"HOST": "127.0.0.1", "OPTIONS": {"charset": "utf8mb4"}}
        try:
            driver.connect(host="127.0.0.1", user="hybrid", password="hybrid", database="hybrid").close()
        except driver.OperationalError as error:
            pytest.skip(f"No MariaDB answers at 127.0.0.1:3306: {error}")

    def choose(self, tenant):
        return f"SET @tenant = '{tenant}'"

    def read(self, value):
        return (value.decode() if isinstance(value, bytes) else value) or "nobody"


@pytest.fixture(params=[SQLite, PostgreSQL, SearchPath, PooledByPsycopg, Role, MariaDB])
def database(request, tmp_path, django_db_blocker):
    database = request.param(tmp_path)
    connections.settings[ALIAS] = connections.settings["default"] | {"CONN_MAX_AGE": 600} | database.settings
    current["database"] = database
    with django_db_blocker.unblock():
        yield database
        connections[ALIAS].close()
        if hasattr(connections[ALIAS], "close_pool"):
            connections[ALIAS].close_pool()
        del connections[ALIAS]
    del connections.settings[ALIAS]


current = {}


def choose(tenant):
    """What a tenant's middleware does on the thread."""
    with connections[ALIAS].cursor() as cursor:
        cursor.execute(current["database"].choose(tenant))
    local.user = tenant
    translation.activate(LANGUAGES[tenant])


def seen():
    with connections[ALIAS].cursor() as cursor:
        cursor.execute(current["database"].question)
        value = cursor.fetchone()[0]
    return [current["database"].read(value), getattr(local, "user", None), translation.get_language()]


def own(tenant):
    return [tenant, tenant, LANGUAGES[tenant]]


# --- what leaves something, and who looks -----------------------------------------------------------------------------


def tenant_of(request):
    return request.get_host().partition(".")[0]


class Mixed(MiddlewareMixin):
    """As most are: async-capable, its methods on a thread."""

    def process_request(self, request):
        choose(tenant_of(request))


class Sync:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        choose(tenant_of(request))
        return self.get_response(request)


class Async:
    async_capable = sync_capable = True

    def __init__(self, get_response):
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request):
        if iscoroutinefunction(self):
            return self._call(request)
        choose(tenant_of(request))
        return self.get_response(request)

    async def _call(self, request):
        await sync_to_async(choose)(tenant_of(request))
        return await self.get_response(request)


def wait():
    time.sleep(random.random() * 0.002)


def look(tenant: str = "") -> list[list]:
    found = [seen()]
    wait()
    return [*found, seen()]


async def look_async(tenant: str = "") -> list[list]:
    found = [await sync_to_async(seen)()]
    for _ in range(3):
        await asyncio.sleep(random.random() * 0.002)
        found.append(await sync_to_async(seen)())
    return found


def rows():
    yield b"["
    for number in range(3):
        wait()
        yield json.dumps(seen()).encode() + (b"," if number < 2 else b"")
    yield b"]"


def look_in_a_stream(tenant: str = "") -> StreamingResponse:
    return StreamingResponse(rows(), media_type="application/json")


async def rows_async():
    yield b"["
    for number in range(3):
        await asyncio.sleep(random.random() * 0.002)
        yield json.dumps(await sync_to_async(seen)()).encode() + (b"," if number < 2 else b"")
    yield b"]"


async def look_in_an_async_stream(tenant: str = "") -> StreamingResponse:
    return StreamingResponse(rows_async(), media_type="application/json")


LOOKS = {"def": look, "async": look_async, "stream": look_in_a_stream, "async-stream": look_in_an_async_stream}


class Tenancy:
    """What a component gives that leaves something on the thread, and takes it away again."""


def tenancy(tenant: str) -> Iterator[Tenancy]:
    choose(tenant)
    yield Tenancy()
    connections[ALIAS].close()
    local.user = None


def look_in(of: Tenancy) -> list[list]:
    return look()


async def look_in_async(of: Tenancy) -> list[list]:
    return await look_async()


def look_in_in_a_stream(of: Tenancy) -> StreamingResponse:
    return look_in_a_stream()


async def look_in_in_an_async_stream(of: Tenancy) -> StreamingResponse:
    return await look_in_an_async_stream()


LOOKS_IN = {
    "def": look_in,
    "async": look_in_async,
    "stream": look_in_in_a_stream,
    "async-stream": look_in_in_an_async_stream,
}


def page(request):
    return HttpResponse(json.dumps(look()), content_type="application/json")


async def async_page(request):
    return HttpResponse(json.dumps(await look_async()), content_type="application/json")


def stream_page(request):
    return StreamingHttpResponse(rows(), content_type="application/json")


urlpatterns = [path("page/def", page), path("page/async", async_page), path("page/stream", stream_page)]

MIDDLEWARES = {name: f"tests.concurrency.test_one_thread.{name.title()}" for name in ("mixed", "sync", "async")}
PASSING = [f"/{middleware}/{name}" for middleware in MIDDLEWARES for name in LOOKS]
ENTERING = [f"/entered/{name}" for name in LOOKS]
PAGES = ["/page/def", "/page/async", "/page/stream"]
PLAIN = [f"/plain/{name}" for name in LOOKS]


@contextlib.contextmanager
def gateway(threads, middleware="mixed"):
    routes = []
    for name, function in LOOKS.items():
        routes.append(Route(f"/plain/{name}", function, name=f"plain-{name}"))
        routes.append(Route(f"/entered/{name}", LOOKS_IN[name], components=[tenancy], name=f"entered-{name}"))
        for kind, dotted in MIDDLEWARES.items():
            routes.append(Route(f"/{kind}/{name}", function, django_middleware=[dotted], name=f"{kind}-{name}"))
    options = {
        "ROOT_URLCONF": "tests.concurrency.test_one_thread",
        "MIDDLEWARE": [MIDDLEWARES[middleware]],
        "ALLOWED_HOSTS": ["*"],
    }
    others = set(threading.enumerate())
    with override_settings(**options):
        made = Gateway(routes, django_routes=["/page/"], threads=threads)
        try:
            yield made
        finally:
            made.pools.close()
            made.loop_thread.close()
            for thread in set(threading.enumerate()) - others:
                if thread.name.startswith("gateway"):  # each closes its connections
                    thread.join(5)


# --- the drivers ------------------------------------------------------------------------------------------------------


async def answer(application, target, tenant):
    scope = {"type": "http", "method": "GET", "path": target, "raw_path": target.encode(), "root_path": ""}
    scope |= {"query_string": f"tenant={tenant}".encode(), "headers": [(b"host", f"{tenant}.example".encode())]}
    scope |= {"scheme": "http", "http_version": "1.1", "server": ("testserver", 80), "client": ("192.0.2.1", 1)}
    messages, sent = [{"type": "http.request", "body": b"", "more_body": False}], []

    async def receive():
        return messages.pop() if messages else await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    await application(scope, receive, send)
    assert sent[0]["status"] == 200, sent
    return b"".join(message.get("body", b"") for message in sent[1:])


def ask_asgi(gateway, requests, at_once):
    async def main():
        places = asyncio.Semaphore(at_once)

        async def one(request):
            async with places:
                return await answer(gateway, *request)

        return await asyncio.wait_for(asyncio.gather(*(one(request) for request in requests)), 20)

    return asyncio.run(main())


def ask_wsgi(gateway, requests, at_once):
    def one(request):
        target, tenant = request
        environ = {"wsgi.input": io.BytesIO(), "PATH_INFO": target, "QUERY_STRING": f"tenant={tenant}"}
        environ["HTTP_HOST"] = f"{tenant}.example"
        setup_testing_defaults(environ)
        started = []
        body = gateway.wsgi(environ, lambda status, headers, exc_info=None: started.append(status))
        try:
            content = b"".join(body)
        finally:
            if hasattr(body, "close"):
                body.close()
        assert started == ["200 OK"], started
        return content

    size = min(at_once, 4)
    together = threading.Barrier(size)

    def end():
        together.wait(10)
        connections.close_all()

    with ThreadPoolExecutor(size) as workers:
        try:
            return list(workers.map(one, requests, timeout=20))
        finally:
            for _ in range(size):
                workers.submit(end)


def ask_lane(gateway, requests, at_once):
    uvicorn = pytest.importorskip("uvicorn", reason="The lane needs uvicorn and httptools.")
    from hybrid_gateway.drivers.lane.protocol import LaneProtocol

    config = uvicorn.Config(gateway, http=LaneProtocol, port=0, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None
    thread = threading.Thread(target=server.run)
    thread.start()

    def one(request):
        target, tenant = request
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", f"{target}?tenant={tenant}", headers={"Host": f"{tenant}.example"})
            response = connection.getresponse()
            content = response.read()
            assert response.status == 200, content
            return content

    try:
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        with ThreadPoolExecutor(at_once) as clients:
            return list(clients.map(one, requests, timeout=20))
    finally:
        server.should_exit = True
        thread.join(10)


DRIVERS = pytest.mark.parametrize("ask", [ask_asgi, ask_wsgi, ask_lane], ids=["asgi", "wsgi", "lane"])


def check(requests, answers):
    wrong = []
    for (target, tenant), content in zip(requests, answers, strict=True):
        expected = NOBODY if target in PLAIN else own(tenant)
        if any(found != expected for found in json.loads(content)):
            wrong.append((target, tenant, content))
    assert not wrong, f"{len(wrong)} of {len(requests)}: {wrong[:5]}"


@DRIVERS
def test_requests_that_overlap_see_what_is_their_own(database, ask):
    numbers = random.Random(7)
    targets = [*PASSING, *ENTERING, *PAGES, *PLAIN, *PLAIN] * 2
    numbers.shuffle(targets)
    requests = [(target, numbers.choice(TENANTS)) for target in targets]
    threads = 1 if isinstance(database, PooledByPsycopg) else numbers.choice([2, 3])
    with gateway(threads) as served:
        check(requests, ask(served, requests, 12))


@DRIVERS
@pytest.mark.parametrize("database", [SQLite, SearchPath, PooledByPsycopg], indirect=True)
def test_a_plain_route_finds_nothing_of_who_came_before(database, ask):
    befores = [*PAGES, *(path for path in PASSING if path.endswith(("/def", "/async")))]
    requests = [(target, "acme") for before in befores for plain in PLAIN for target in (before, plain)]
    with gateway(threads=1) as served:
        check(requests, ask(served, requests, 1))
