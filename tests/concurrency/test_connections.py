"""PostgreSQL counts: no more connections than threads, none inside a forgotten transaction, all of them replaceable."""

import asyncio
import contextlib
import io
import json
import os
import random
import socket
import socketserver
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from wsgiref.util import setup_testing_defaults

import pytest
from django.db import connections
from django.test import override_settings

psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")

SERVER = {"host": "127.0.0.1", "port": 5432, "user": "postgres"}
DATABASE = f"hybrid_gateway_connections_{os.getpid()}"
NAME = f"hybrid_gateway_tests_{os.getpid()}"
KINDS = ["/sync", "/async", "/django/sync", "/django/async"]


# --- the database and who looks on ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def observer():
    """A connection that looks on, to a server on which a database of our own exists for a while."""
    try:
        connection = psycopg.connect(**SERVER, dbname="postgres", connect_timeout=2, autocommit=True)
    except psycopg.OperationalError:
        pytest.skip("no PostgreSQL answers on 127.0.0.1:5432")
    with connection:
        connection.execute(f"CREATE DATABASE {DATABASE}")
        with psycopg.connect(**SERVER, dbname=DATABASE) as inside:
            inside.execute("CREATE TABLE auth_group (id serial PRIMARY KEY, name text)")
        try:
            yield connection
        finally:
            connection.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")


@pytest.fixture(autouse=True)
def nothing_is_left(observer):
    yield
    wait_until(lambda: backends(observer) == 0)


def backends(observer, state="%"):
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND state LIKE %s"
    return observer.execute(query, [NAME, state]).fetchone()[0]


def terminate(observer):
    query = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = %s"
    return observer.execute(query, [NAME]).fetchone()[0]


def rows():
    with psycopg.connect(**SERVER, dbname=DATABASE) as inside:
        return inside.execute("SELECT count(*) FROM auth_group").fetchone()[0]


def wait_until(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def free_port():
    """A port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def database(age=600, *, checks=True, pool=None, port=SERVER["port"]):
    options = {"application_name": NAME, "connect_timeout": 5}
    if pool is not None:
        pytest.importorskip("psycopg_pool", reason="psycopg_pool is not installed")
        options["pool"] = pool
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": DATABASE,
        "USER": SERVER["user"],
        "HOST": SERVER["host"],
        "PORT": port,
        "CONN_MAX_AGE": age,
        "CONN_HEALTH_CHECKS": checks,
        "OPTIONS": options,
    }


# --- two ways to be served -----------------------------------------------------------------------------------------


class Here:
    """A gateway in this process: requests are tasks, as those of a server."""

    def __init__(self, **settings):
        self.settings = connections.settings["default"] | settings
        self.log = []

    def __enter__(self):
        connections.settings["postgres"] = self.settings
        self.overridden = override_settings(
            ROOT_URLCONF="tests.sites.connections_app", MIDDLEWARE=[], ALLOWED_HOSTS=["*"]
        )
        self.overridden.enable()
        from tests.sites.connections_app import build

        self.others = set(threading.enumerate())  # of gateways and clients that earlier tests have left
        self.gateway = build()
        return self

    def __exit__(self, *exc_info):
        self.gateway.pools.typed.close()
        self.gateway.pools.streams.close()
        self.gateway.loop_thread.close()
        wait_until(lambda: not self.own_threads())
        if self.settings["OPTIONS"].get("pool"):
            connections["postgres"].close_pool()
            del connections["postgres"]
        self.overridden.disable()
        del connections.settings["postgres"]

    def own_threads(self):
        return [t for t in threading.enumerate() if t.name.startswith("gateway-") and t not in self.others]

    def get_all(self, paths):
        async def main():
            return await asyncio.gather(*(asyncio.create_task(self.request(path)) for path in paths))

        return asyncio.run(asyncio.wait_for(main(), 30))

    def get(self, path):
        return self.get_all([path])[0]

    async def request(self, path):
        """Status, headers and body, as a client would get them."""
        path, _, query = path.partition("?")
        scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "root_path": ""}
        scope |= {"query_string": query.encode(), "headers": [(b"host", b"testserver")], "scheme": "http"}
        scope |= {"http_version": "1.1", "server": ("testserver", 80), "client": ("192.0.2.1", 1)}
        messages, sent = [{"type": "http.request", "body": b"", "more_body": False}], []

        async def receive():
            if messages:
                return messages.pop()
            return await asyncio.Event().wait()

        async def send(message):
            sent.append(message)

        await self.gateway(scope, receive, send)
        headers = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:])


class There:
    """The same gateway in a uvicorn process of its own."""

    def __init__(self, **settings):
        self.settings = settings
        self.port = free_port()

    def __enter__(self):
        default = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
        settings = {
            "DATABASES": {"default": default, "postgres": self.settings},
            "INSTALLED_APPS": ["django.contrib.contenttypes", "django.contrib.auth"],
            "ROOT_URLCONF": "tests.sites.connections_app",
            "ALLOWED_HOSTS": ["*"],
            "SECRET_KEY": "tests-only",
            "LOGGING": {
                "version": 1,
                "handlers": {"console": {"class": "logging.StreamHandler"}},
                "loggers": {"django": {"handlers": ["console"]}},
            },
        }
        environment = {**os.environ, "CONNECTIONS_APP": json.dumps(settings)}
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        environment.pop("DJANGO_SETTINGS_MODULE", None)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.sites.connections_app", str(self.port)],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log = []
        self.reader = threading.Thread(target=lambda: self.log.extend(self.process.stderr), daemon=True)
        self.reader.start()
        wait_until(self.is_up, 20)
        return self

    def is_up(self):
        assert self.process.poll() is None, "".join(self.log)
        with contextlib.suppress(OSError):
            return self.get("/health")[0] == 200

    def __exit__(self, kind, *exc_info):
        self.process.terminate()
        try:
            self.process.wait(10)
        finally:
            self.process.kill()
            self.reader.join(5)
            self.process.stderr.close()
        if kind is None:
            assert not [line for line in self.log if "Exception ignored" in line or "couldn't stop" in line], self.log

    def get_all(self, paths):
        with ThreadPoolExecutor(len(paths)) as clients:
            return list(clients.map(self.get, paths))

    def get(self, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=20) as answer:
                return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()

    def abort(self, path, after):
        """Ask, and hang up ``after`` so many seconds."""
        with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: testserver\r\n\r\n".encode())
            time.sleep(after)


PLACES = pytest.mark.parametrize("place", [Here, There], ids=["in process", "uvicorn"])


@pytest.fixture(autouse=True)
def allowed(django_db_blocker):
    with django_db_blocker.unblock():
        yield


class Watch:
    """The most backends that were ever seen while entered."""

    def __init__(self):
        self.most = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self):
        with psycopg.connect(**SERVER, dbname="postgres", autocommit=True) as connection:
            while not self._stop.wait(0.01):
                self.most = max(self.most, backends(connection))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exc_info):
        self._stop.set()
        self._thread.join()


# --- how many ------------------------------------------------------------------------------------------------------


@PLACES
@pytest.mark.parametrize("age", [0, 600])
def test_forty_requests_need_no_more_connections_than_there_are_threads(observer, place, age):
    with place(**database(age)) as server:
        with Watch() as watch:
            answers = server.get_all([f"{kind}?pause=0.02" for kind in KINDS] * 10)
        assert [status for status, _, _ in answers] == [200] * 40
        # PostgreSQL shows a backend for a moment after its connection was closed, as without an age they all are.
        assert 1 < watch.most <= (8 if age else 16)
        if age:
            assert 1 <= backends(observer) <= 8
        else:
            wait_until(lambda: backends(observer) == 0, 2)


@PLACES
def test_forty_requests_share_a_small_pool_of_connections(observer, place):
    with place(**database(0, checks=False, pool={"min_size": 1, "max_size": 4, "timeout": 5})) as server:
        with Watch() as watch:
            answers = server.get_all([f"{kind}?pause=0.02" for kind in KINDS] * 10)
        assert [status for status, _, _ in answers] == [200] * 40
        assert watch.most <= 4
        assert [status for status, _, _ in server.get_all(KINDS * 10)] == [200] * 40


@PLACES
def test_failing_handlers_and_streams_leave_no_connection_open(observer, place):
    with place(**database(0)) as server:
        for path in ("/fail", "/fail-async"):
            assert server.get(path)[0] == 500
        status, _, body = server.get("/stream")
        assert (status, len(body.split())) == (200, 3)
        with contextlib.suppress(LookupError, OSError, Exception):
            server.get("/stream?fail=1")
        wait_until(lambda: backends(observer) == 0, 2)


# --- requests that are given up ------------------------------------------------------------------------------------


def test_two_hundred_cancelled_requests_leave_no_transaction_open(observer):
    before = rows()
    with Here(**database()) as server:

        async def main():
            chance = random.Random(1)
            paths = [["/write", "/write-async", "/django/write", "/async"][number % 4] for number in range(200)]
            tasks = [asyncio.create_task(server.request(f"{path}?pause=0.003")) for path in paths]
            for task in chance.sample(tasks, len(tasks)):
                await asyncio.sleep(0.002)
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            return sum(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)

        assert asyncio.run(main()) > 50
        wait_until(lambda: backends(observer, "idle in transaction%") == 0 and backends(observer, "active") == 0)
        assert backends(observer) <= 8
        assert server.get_all(KINDS * 10)[0][0] == 200
    assert (rows() - before) % 2 == 0


def test_two_hundred_clients_that_hang_up_leave_no_transaction_open(observer):
    before = rows()
    with There(**database()) as server:
        chance = random.Random(1)
        paths = [["/write", "/write-async", "/django/write", "/async"][number % 4] for number in range(200)]
        with ThreadPoolExecutor(20) as clients:
            list(clients.map(lambda path: server.abort(f"{path}?pause=0.003", chance.random() * 0.03), paths))
        wait_until(lambda: backends(observer, "idle in transaction%") == 0 and backends(observer, "active") == 0)
        assert backends(observer) <= 8
        assert [status for status, _, _ in server.get_all(KINDS * 10)] == [200] * 40
    assert (rows() - before) % 2 == 0


@PLACES
def test_a_forgotten_transaction_is_rolled_back_with_its_request(observer, place):
    before = rows()
    with place(**database()) as server:
        assert [server.get(path)[0] for path in ("/leave", "/write", "/leave")] == [200, 200, 200]
        wait_until(lambda: backends(observer, "idle in transaction%") == 0)
    assert rows() - before == 2


# --- a database that goes away -------------------------------------------------------------------------------------


@PLACES
def test_with_health_checks_nobody_notices_that_all_connections_were_cut(observer, place):
    with place(**database(600, checks=True)) as server:
        assert {status for status, _, _ in server.get_all([f"{kind}?pause=0.01" for kind in KINDS] * 4)} == {200}
        assert terminate(observer) > 1
        assert {status for status, _, _ in server.get_all([f"{kind}?pause=0.01" for kind in KINDS] * 4)} == {200}


@pytest.mark.parametrize("path", ["/sync", "/async", "/django/sync"])
def test_without_health_checks_a_cut_connection_fails_once_and_is_replaced(observer, caplog, path):
    with Here(**database(600, checks=False)) as server:
        assert server.get(path)[0] == 200
        assert terminate(observer) == 1
        assert server.get(path)[0] in (500, 503)
        errors = [record for record in caplog.records if record.levelname == "ERROR"]
        assert [record.name for record in errors] == ["django.request"]
        assert server.get(path)[0] == 200


class Forwarder(socketserver.ThreadingTCPServer):
    """What listens on the closed port for a while, and brings every byte to PostgreSQL and back."""

    allow_reuse_address = True
    daemon_threads = False

    def finish_request(self, request, client_address):
        with socket.create_connection((SERVER["host"], SERVER["port"])) as upstream:
            other_way = threading.Thread(target=pump, args=(upstream, request))
            other_way.start()
            pump(request, upstream)
            other_way.join()

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.01,)).start()
        return self

    def __exit__(self, *exc_info):
        self.shutdown()
        self.server_close()


def pump(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


@PLACES
@pytest.mark.parametrize("path", ["/sync", "/async"])
def test_an_unreachable_database_is_a_503_until_it_is_back(observer, caplog, place, path):
    port = free_port()
    with place(**database(600, port=port)) as server:
        status, headers, body = server.get(path)
        assert (status, headers["content-type"]) == (503, "application/problem+json")
        assert int(headers["retry-after"]) > 0
        assert json.loads(body)["status"] == 503
        assert b"127.0.0.1" not in body
        if place is Here:
            lines = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
        else:
            wait_until(lambda: any("OperationalError" in line for line in server.log))
            lines = [line for line in server.log if line.startswith("Service Unavailable")]
        assert len(lines) == 1
        assert lines[0].startswith(f"Service Unavailable: GET {path}")
        with Forwarder(("127.0.0.1", port), None):
            assert server.get(path)[0] == 200
            assert terminate(observer) == 1


def test_a_database_that_refuses_connections_for_a_while_is_a_503_meanwhile(observer):
    with There(**database(600)) as server:
        assert server.get("/sync")[0] == 200
        observer.execute(f"ALTER DATABASE {DATABASE} ALLOW_CONNECTIONS false")
        try:
            terminate(observer)
            assert {status for status, _, _ in server.get_all(["/sync", "/async"] * 8)} == {503}
        finally:
            observer.execute(f"ALTER DATABASE {DATABASE} ALLOW_CONNECTIONS true")
        assert {status for status, _, _ in server.get_all(KINDS * 4)} == {200}


def test_a_pool_that_has_no_connection_to_give_is_a_503():
    with Here(**database(0, checks=False, pool={"min_size": 1, "max_size": 1, "timeout": 0.2})) as server:
        answers = server.get_all(["/sync?pause=0.5"] * 3)
        assert sorted(status for status, _, _ in answers) == [200, 503, 503]
        assert server.get("/sync")[0] == 200


# --- WSGI ----------------------------------------------------------------------------------------------------------


class Worker:
    """A thread of a WSGI server."""

    def __init__(self, application):
        self.application = application
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="worker")

    def get(self, path, *, read=None):
        return self.thread.submit(self._get, path, read).result(20)

    def run(self, function):
        return self.thread.submit(function).result(20)

    def _get(self, path, read):
        path, _, query = path.partition("?")
        environ = {"wsgi.input": io.BytesIO(), "PATH_INFO": path, "QUERY_STRING": query, "HTTP_HOST": "testserver"}
        setup_testing_defaults(environ)
        started = []
        body = self.application(environ, lambda status, headers, exc_info=None: started.append(status))
        try:
            chunks = []
            for chunk in body:
                chunks.append(chunk)
                if len(chunks) == read:
                    break
        finally:
            if hasattr(body, "close"):
                body.close()
        return started[0], b"".join(chunks)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.run(lambda: connections["postgres"].close())
        self.thread.shutdown()


@pytest.mark.parametrize("age", [0, 600])
@pytest.mark.parametrize("path", [*KINDS, "/fail", "/fail-async", "/stream"])
def test_under_wsgi_connections_are_the_workers_own_and_end_by_age(observer, path, age):
    from tests.sites.connections_app import ran_on

    with Here(**database(age)) as server, Worker(server.gateway.wsgi) as worker:
        ran_on.clear()
        for _ in range(3):
            status, _ = worker.get(path)
            assert status == ("500 Internal Server Error" if "fail" in path else "200 OK")
            wait_until(lambda: backends(observer) == (1 if age else 0))
        assert ran_on <= {"worker_0"}
        assert ran_on or "fail" in path


@pytest.mark.parametrize("path", ["/stream", "/stream?fail=1"])
def test_under_wsgi_a_stream_that_ends_early_leaves_no_connection_open(observer, path):
    with Here(**database(0)) as server, Worker(server.gateway.wsgi) as worker:
        with contextlib.suppress(LookupError):
            worker.get(path, read=1 if path == "/stream" else None)
        wait_until(lambda: backends(observer) == 0)
        assert worker.get("/sync")[0] == "200 OK"


@pytest.mark.parametrize("age", [0, 600])
def test_under_wsgi_a_forgotten_transaction_does_not_spoil_the_worker(observer, age):
    before = rows()
    with Here(**database(age)) as server, Worker(server.gateway.wsgi) as worker:
        for _ in range(2):
            assert worker.get("/leave")[0] == "200 OK"
            wait_until(lambda: backends(observer, "idle in transaction%") == 0)
            assert worker.get("/write")[0] == "200 OK"
    assert rows() - before == 4
