"""What is asked live: PostgreSQL, PgBouncer, Redis; each is told in a line where it does not answer."""

import shutil
import socket
import subprocess
import time

import pytest

from tests.channels.servers import folder_for_all

POSTGRESQL = ("127.0.0.1", 5432)
REDIS = ("127.0.0.1", 6379)
DATABASE = (
    'DATABASES = {{"default": {{"ENGINE": "django.db.backends.postgresql", "NAME": "postgres", "USER": "postgres", '
    '"HOST": "127.0.0.1", "PORT": "{port}", "CONN_MAX_AGE": 60{more}}}}}\n'
)


def listens(address):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(address) == 0


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


needs_postgresql = pytest.mark.skipif(not listens(POSTGRESQL), reason="no PostgreSQL listens on 127.0.0.1:5432")
needs_redis = pytest.mark.skipif(not listens(REDIS), reason="no Redis listens on 127.0.0.1:6379")


def database(project, port=5432, more="", **gateway):
    threads = "".join(f'HYBRID_GATEWAY["{name}"] = {value!r}\n' for name, value in gateway.items())
    project.settings(DATABASE.format(port=port, more=more) + threads)


# --- connections -----------------------------------------------------------------------------------------------------


@needs_postgresql
def test_the_arithmetic_is_shown(project):
    database(project)
    project.write("a.service", "[Service]\nExecStart=python manage.py gateway serve --workers 3\n")
    [finding] = [entry for entry in project.findings("--verbose") if entry["id"] == "D020"]
    assert finding["severity"] == "fine"
    assert "a.service:2: 3 workers x THREADS 8 = 24 connections at most" in finding["message"]
    assert "reserved" in finding["message"] and "in use now" in finding["message"]


@needs_postgresql
def test_more_connections_than_there_are(project):
    database(project, THREADS=40)
    project.write(
        "compose.yaml",
        "services:\n  web:\n    command: python manage.py gateway serve --host 0.0.0.0 --workers 5\n"
        "    deploy:\n      replicas: 4\n",
    )
    [finding] = project.findings()
    assert (finding["id"], finding["severity"]) == ("D020", "broken")
    assert "4 replicas x 5 workers x THREADS 40 = 800" in finding["message"]


@needs_postgresql
def test_aliases_on_one_server_add_up_and_threads_of_wsgi_count(project):
    database(project, THREADS=10)
    project.settings(
        DATABASE.format(port=5432, more="")
        + 'DATABASES["other"] = {**DATABASES["default"], "NAME": "template1"}\nHYBRID_GATEWAY["THREADS"] = 10\n'
    )
    project.write("a.service", "[Service]\nExecStart=gunicorn config.wsgi -w 2 --threads 5\n")
    [finding] = [entry for entry in project.findings("--verbose") if entry["id"] == "D020"]
    assert "2 workers x (5 threads of gunicorn + THREADS 10) = 30" in finding["message"]
    assert "together 60" in finding["message"]


@needs_postgresql
def test_ages_and_pools(project):
    database(project)
    project.settings(DATABASE.format(port=5432, more="").replace('"CONN_MAX_AGE": 60', '"CONN_MAX_AGE": 0'))
    assert project.lines() == [("advice", "D022")]
    pooled = ', "CONN_MAX_AGE": 0, "OPTIONS": {"pool": {"max_size": 4}}'
    database(project, more=pooled)
    assert project.lines() == [("advice", "D023")]
    database(project, more=pooled, THREADS=4)
    assert project.lines() == []


def test_a_database_that_is_away_is_a_line(project):
    database(project, port=free_port())
    [finding] = project.findings()
    assert (finding["id"], finding["severity"]) == ("D021", "broken") and "OperationalError" in finding["message"]


def test_a_database_that_hangs_costs_seconds(project):
    with socket.create_server(("127.0.0.1", 0)) as server:
        database(project, port=server.getsockname()[1])
        began = time.monotonic()
        found = project.lines()
    assert found == [("broken", "D021")] and time.monotonic() - began < 20


@needs_postgresql
@pytest.mark.skipif(shutil.which("pgbouncer") is None, reason="no pgbouncer is installed")
def test_pgbouncer_is_noticed(project):
    port = free_port()
    with folder_for_all() as folder:
        configuration = folder / "pgbouncer.ini"
        configuration.write_text(
            "[databases]\npostgres = host=127.0.0.1 port=5432 dbname=postgres user=postgres\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\npool_mode = transaction\n"
            "unix_socket_dir =\nuser = nobody\n"
        )
        with subprocess.Popen(["pgbouncer", str(configuration)], stderr=subprocess.DEVNULL) as bouncer:
            try:
                deadline = time.monotonic() + 10
                while not listens(("127.0.0.1", port)) and time.monotonic() < deadline:
                    time.sleep(0.1)
                database(project, port=port)
                assert project.lines() == [("risky", "D024")]
                database(project, port=port, more=', "DISABLE_SERVER_SIDE_CURSORS": True')
                assert project.lines() == []
            finally:
                bouncer.terminate()


# --- caches and channels ---------------------------------------------------------------------------------------------


def redis_cache(port):
    backend = "django.core.cache.backends.redis.RedisCache"
    return f'CACHES = {{"default": {{"BACKEND": "{backend}", "LOCATION": "redis://127.0.0.1:{port}/9"}}}}\n'


@needs_redis
def test_what_answers_is_fine(project):
    project.settings(
        redis_cache(6379)
        + 'HYBRID_GATEWAY["CHANNELS"] = HYBRID_GATEWAY_STORE = "redis://127.0.0.1:6379/9"\n'
        + 'HYBRID_GATEWAY["STORES"] = {"limits": HYBRID_GATEWAY_STORE}\n'
    )
    found = project.findings("--verbose")
    assert not [entry for entry in found if entry["severity"] != "fine"]
    [entry] = [entry for entry in found if entry["id"] == "D060"]
    assert entry["message"] == "CACHES['default'] and HYBRID_GATEWAY[\"STORES\"]['limits'] answer."
    assert "D062" in {entry["id"] for entry in found}


def test_what_does_not_answer_is_a_line_each(project):
    port = free_port()
    project.settings(redis_cache(port))
    assert project.lines() == [("broken", "D060")]
    project.settings(f'HYBRID_GATEWAY["STORES"] = {{"limits": "redis://127.0.0.1:{port}/9"}}')
    assert project.lines() == [("broken", "D060")]
    project.settings(redis_cache(port) + f'HYBRID_GATEWAY["STORES"] = {{"limits": "redis://127.0.0.1:{port}/9"}}')
    [finding] = project.findings()  # one and the same, under two names
    assert finding["message"].startswith("CACHES['default'] and HYBRID_GATEWAY[\"STORES\"]['limits'] do not answer: ")
    of_cache = '{"limits": {"BACKEND": "hybrid_gateway.stores.DjangoCacheStore", "alias": "default"}}'
    project.settings(redis_cache(port) + f'HYBRID_GATEWAY["STORES"] = {of_cache}')
    assert project.lines() == [("broken", "D060")]
    project.settings(redis_cache(port) + f'HYBRID_GATEWAY["STORES"] = {{"limits": "redis://127.0.0.1:{port}/8"}}')
    assert project.lines() == [("broken", "D060")] * 2
    project.settings(f'HYBRID_GATEWAY["CHANNELS"] = "redis://:hunter22@127.0.0.1:{port}/9"')
    done = project.run()
    assert "D062" in done.stdout and "hunter22" not in done.stdout + done.stderr


HIDES_ERRORS = (
    "from django.core.cache.backends.base import BaseCache\n"
    "class Hiding(BaseCache):\n"
    "    def __init__(self, location, params): super().__init__(params)\n"
    "    def set(self, key, value, timeout=0, version=None): pass\n"
    "    def get(self, key, default=None, version=None): return default\n"
    "    def delete(self, key, version=None): return False\n"
    'CACHES = {"default": {"BACKEND": "config.settings.Hiding"}}\n'
)


def test_a_cache_that_hides_its_errors_does_not_answer(project):
    project.settings(HIDES_ERRORS)
    assert project.lines() == [("broken", "D060")]


@needs_redis
def test_what_the_doctor_writes_does_not_stay(project):
    redis = pytest.importorskip("redis").Redis(db=9)
    project.settings(redis_cache(6379) + 'HYBRID_GATEWAY["STORES"] = {"limits": "redis://127.0.0.1:6379/9"}\n')
    assert project.lines() == [] and not redis.keys("*hybrid_gateway:doctor*")


THROTTLED = (
    'from hybrid_gateway import get\n@get("/", throttle=["1/minute"])\n'
    "async def root() -> str:\n    return ''\nroutes = [root]\n"
)


def test_memory_of_one_process_where_there_are_several(project):
    project.write("a.service", "[Service]\nExecStart=python manage.py gateway serve --workers 2\n")
    assert project.lines() == []
    project.write("config/routes.py", THROTTLED)
    assert project.lines() == [("risky", "D061")]
    project.settings('SESSION_ENGINE = "django.contrib.sessions.backends.cache"')
    assert project.lines() == [("broken", "D061")]
    project.write("a.service", "[Service]\nExecStart=python manage.py gateway serve\n")
    assert project.lines() == []


def test_channels_of_one_process_where_there_are_several(project):
    project.write("a.service", "[Service]\nExecStart=python manage.py gateway serve --workers 2\n")
    project.write(
        "config/routes.py",
        "from hybrid_gateway.channels import Channel\nnews = Channel('news', str)\nroutes = []\n",
    )
    assert project.lines() == [("risky", "W026")]
    project.write("config/routes.py", "routes = []\n")
    project.settings('CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}')
    assert project.lines() == [("risky", "D063")]
