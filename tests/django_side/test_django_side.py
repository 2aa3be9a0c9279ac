"""The Django side answers as Django's own handlers would, whatever the server speaks."""

import asyncio
import contextvars
import io
import json
import logging
import os
import threading
from collections import Counter
from wsgiref.util import FileWrapper, setup_testing_defaults

import django
import pytest
from asgiref.sync import async_to_sync
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.wsgi import WSGIRequest
from django.core.signals import got_request_exception, request_finished, request_started
from django.db import connections
from django.http import HttpResponse
from django.test import override_settings
from django.utils import translation

from hybrid_gateway.concurrency.caller_threads import AsgirefThread
from hybrid_gateway.concurrency.thread_pool import ThreadPool
from hybrid_gateway.concurrency.thread_pools import PooledThread
from hybrid_gateway.django_side.environ import build_environ, resolved_path
from hybrid_gateway.django_side.handler import DjangoSide
from tests.sites.django_side_urls import events, gate

pytestmark = pytest.mark.django_db

MEBIBYTE = 2**20


@pytest.fixture(autouse=True)
def urlconf():
    events.clear()
    gate.clear()
    with override_settings(ROOT_URLCONF="tests.sites.django_side_urls", MIDDLEWARE=[], ALLOWED_HOSTS=["*"]):
        yield
    gate.set()


@pytest.fixture(scope="module")
def pools():
    pools = ThreadPool(4, name="pool"), ThreadPool(2, name="streams")
    yield pools
    for pool in pools:
        pool.close()


@pytest.fixture
def thread(pools):
    return PooledThread(*pools)


def scope_of(path, *, method="GET", headers=(), **extra):
    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "root_path": "",
        "scheme": "http",
        "http_version": "1.1",
        "server": ("testserver", 80),
        "client": ("192.0.2.7", 4711),
        "headers": list(headers),
    }
    return scope | extra


class Client:
    """The far end of one request: feeds the body, collects what is sent, and may hang up."""

    def __init__(self, body=(b"",), *, hang_up=False):
        self.messages = [{"type": "http.request", "body": part, "more_body": True} for part in body]
        if self.messages and not hang_up:
            self.messages[-1]["more_body"] = False
        self.gone = asyncio.Event()
        if hang_up:
            self.gone.set()
        self.sent = []
        self.arrived = asyncio.Condition()

    async def receive(self):
        if self.messages:
            return self.messages.pop(0)
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        assert not self.gone.is_set(), f"sent after the client had gone: {message}"
        async with self.arrived:
            self.sent.append(message)
            self.arrived.notify_all()

    async def until_sent(self, number):
        async with self.arrived:
            await asyncio.wait_for(self.arrived.wait_for(lambda: len(self.sent) >= number), 5)

    @property
    def status(self):
        return self.sent[0]["status"]

    @property
    def headers(self):
        return [(name.decode().lower(), value.decode("latin-1")) for name, value in self.sent[0]["headers"]]

    @property
    def content(self):
        assert not self.sent[-1].get("more_body", False), "the response was not completed"
        return b"".join(message.get("body", b"") for message in self.sent[1:])

    def json(self):
        return json.loads(self.content)


def ask(side, thread, path, *, body=(b"",), **scope):
    """One request from first to last message."""

    async def exchange():
        client = Client(body)
        try:
            await asyncio.wait_for(side.asgi(scope_of(path, **scope), client.receive, client.send, thread), 10)
        finally:
            thread.release()
        return client

    return asyncio.run(exchange())


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
def signals():
    """How often each of Django's request signals was sent, and in which threads the request ended."""
    count, listeners = Counter(), []
    for name, signal in [
        ("started", request_started),
        ("finished", request_finished),
        ("exception", got_request_exception),
    ]:

        def receiver(name=name, **kwargs):
            count[name] += 1
            events.append(f"{name} on {threading.current_thread().name}")

        signal.connect(receiver, weak=False)
        listeners.append((signal, receiver))
    yield count
    for signal, receiver in listeners:
        signal.disconnect(receiver)


# --- what Django sees of a request -----------------------------------------------------------------------------------


def test_a_sync_view_runs_through_the_wsgi_handler_on_a_pool_thread(thread):
    seen = ask(DjangoSide(), thread, "/describe/?a=1&a=2&b=%C3%A9").json()
    assert seen["handler"] == "WSGIRequest"
    assert seen["thread"].startswith("pool-")
    assert seen["query"] == {"a": ["1", "2"], "b": ["é"]}
    assert seen["meta"] == {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/describe/",
        "QUERY_STRING": "a=1&a=2&b=%C3%A9",
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "REMOTE_ADDR": "192.0.2.7",
        "REMOTE_PORT": "4711",
    }


@pytest.mark.parametrize("mode", ["auto", "wsgi", "asgi"])
@pytest.mark.parametrize("path", ["/describe/", "/async/describe/", "/async/class/", "/nowhere/", "/async/nowhere/"])
def test_only_an_async_view_picks_the_asgi_handler_unless_the_mode_overrules(thread, mode, path):
    answer = ask(DjangoSide(mode), thread, path)
    expected = {"auto": "ASGIRequest" if path in ("/async/describe/", "/async/class/") else "WSGIRequest"}
    expected |= {"wsgi": "WSGIRequest", "asgi": "ASGIRequest"}
    if "nowhere" in path:
        assert answer.status == 404
    else:
        assert answer.json()["handler"] == expected[mode]


def test_without_an_async_view_nothing_is_resolved_ahead(thread, monkeypatch):
    with override_settings(ROOT_URLCONF="tests.sites.django_side_sync_urls"):
        side = DjangoSide()
        assert not side.views.has_async
        monkeypatch.setattr(type(side.views), "is_async", lambda *_: pytest.fail("resolved for nothing"))
        assert ask(side, thread, "/describe/").status == 200


def test_a_urlconf_that_cannot_be_imported_is_left_to_django(thread, caplog):
    with override_settings(ROOT_URLCONF="tests.no_such_urlconf"):
        answer = ask(DjangoSide(), thread, "/")
    assert answer.status == 500
    assert "tests.no_such_urlconf" in caplog.text


def test_an_async_view_does_its_blocking_work_on_the_thread_of_the_request(thread):
    assert ask(DjangoSide(), thread, "/async/describe/").json()["on_loop"] == "MainThread"
    assert events[0].startswith("pool-")


def test_handlers_are_built_once_even_when_two_threads_ask_at_the_same_time():
    side = DjangoSide()
    barrier, built = threading.Barrier(4), []

    def ask_for_handlers():
        barrier.wait()
        built.append((id(side.wsgi_handler), id(side.asgi_handler)))

    threads = [threading.Thread(target=ask_for_handlers) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(set(built)) == 1


@pytest.mark.parametrize(
    ("force", "root_path", "path", "expected"),
    [
        (None, "", "/describe/", "/describe/"),
        (None, "/app", "/app/describe/", "/describe/"),
        (None, "/app/", "/app/describe/", "/describe/"),
        (None, "/app", "/application/describe/", "/application/describe/"),
        (None, "/app", "/app", "/"),
        (None, "/app", "/describe/", "/describe/"),
        (None, "/äpp", "/äpp/übersicht/", "/übersicht/"),
        ("/forced", "", "/forced/describe/", "/describe/"),
        ("/forced", "/app", "/forced/describe/", "/describe/"),
        ("/forced", "/app", "/app/describe/", "/app/describe/"),
    ],
)
def test_the_path_is_split_as_the_asgi_request_of_django_6_splits_it(force, root_path, path, expected):
    scope = scope_of(path, root_path=root_path)
    assert resolved_path(scope, force or "") == expected
    with override_settings(FORCE_SCRIPT_NAME=force):
        ours = WSGIRequest(build_environ(scope, force or "", io.BytesIO(), 0))
        theirs = ASGIRequest(scope, io.BytesIO())
    assert ours.path_info == expected
    assert ours.META["SCRIPT_NAME"] == theirs.META["SCRIPT_NAME"]
    if django.VERSION >= (6,):
        assert (theirs.path_info or "/") == expected


@pytest.mark.parametrize("path", ["/describe/", "/language/"])
def test_urls_are_reversed_below_the_script_prefix_and_the_next_request_knows_nothing_of_it(thread, path):
    side = DjangoSide()
    seen = ask(side, thread, "/app/describe/", root_path="/app").json()
    assert (seen["path"], seen["reversed"]) == ("/app/describe/", "/app/describe/")
    assert ask(side, thread, "/describe/").json()["reversed"] == "/describe/"


def test_headers_become_environ_keys_as_in_djangos_asgi_request(thread):
    headers = [
        (b"x-twice", b"1"),
        (b"x-twice", b"2"),
        (b"x_real_ip", b"spoofed"),
        (b"cookie", b"a=1;"),
        (b"cookie", b"b=\xc3\xa9"),
    ]
    seen = ask(DjangoSide(), thread, "/describe/", headers=headers).json()
    assert seen["meta"]["HTTP_X_TWICE"] == "1,2"
    assert "HTTP_X_REAL_IP" not in seen["meta"]
    assert seen["cookies"] == {"a": "1", "b": "é"}


def test_many_repeated_headers_cost_no_more_than_their_bytes():
    scope = scope_of("/", headers=[(b"x-twice", b"v")] * 200_000)
    assert build_environ(scope, "", io.BytesIO(), 0)["HTTP_X_TWICE"].count(",") == 199_999


def test_a_server_that_names_neither_itself_nor_the_client_is_understood(thread):
    seen = ask(DjangoSide(), thread, "/describe/", server=None, client=None, headers=[(b"host", b"h")]).json()["meta"]
    assert (seen["SERVER_NAME"], seen["SERVER_PORT"], "REMOTE_ADDR" in seen) == ("unknown", "0", False)
    seen = ask(DjangoSide(), thread, "/describe/", server=("/run/app.sock", None)).json()["meta"]
    assert seen["SERVER_PORT"] == "0"


def test_a_query_string_that_is_no_utf_8_is_refused_as_by_djangos_asgi_handler(thread):
    assert ask(DjangoSide(), thread, "/describe/", query_string=b"\xff").status == 400


def test_the_scope_is_never_touched(thread):
    scope = scope_of("/app/describe/", root_path="/app", headers=[(b"a", b"b")])
    before = repr(scope)
    client = Client.__new__(Client)

    async def exchange():
        client.__init__()
        await DjangoSide().asgi(scope, client.receive, client.send, thread)

    asyncio.run(exchange())
    assert repr(scope) == before


# --- bodies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["wsgi", "asgi"])
@pytest.mark.parametrize(
    "body",
    [
        (b"",),
        (b"small",),
        (b"in ", b"", b"pieces"),
        (b"last piece is empty", b""),
        (bytes(MEBIBYTE),) * 5,
    ],
    ids=["empty", "small", "pieces", "empty-end", "large"],
)
def test_a_body_arrives_whole_with_and_without_content_length(thread, mode, body):
    whole = b"".join(body)
    with override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=None):
        side = DjangoSide(mode)
        for headers in ([], [(b"content-length", b"%d" % len(whole))]):
            answer = ask(side, thread, "/echo/", method="POST", body=body, headers=headers)
            assert answer.status == 200
            assert answer.content == whole


def test_the_content_length_is_that_of_what_was_received(thread):
    side = DjangoSide()
    seen = ask(side, thread, "/describe/", method="POST", body=(b"abc", b"de")).json()["meta"]
    assert seen["CONTENT_LENGTH"] == "5"
    assert "CONTENT_LENGTH" not in ask(side, thread, "/describe/").json()["meta"]


def test_a_body_past_djangos_limit_is_refused(thread):
    with override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=10):
        assert ask(DjangoSide(), thread, "/echo/", method="POST", body=(b"x" * 8, b"x" * 8)).status == 400


@pytest.mark.parametrize("memory_limit", [10, 5 * MEBIBYTE])
def test_an_upload_is_parsed_from_memory_or_disk(thread, memory_limit):
    payload = bytes(range(256)) * 4096
    head = (
        b'--cut\r\nContent-Disposition: form-data; name="title"\r\n\r\nHoliday\r\n'
        b'--cut\r\nContent-Disposition: form-data; name="file"; filename="photo.bin"\r\n\r\n'
    )
    body = [head, *(payload[i : i + 65536] for i in range(0, len(payload), 65536)), b"\r\n--cut--\r\n"]
    with override_settings(FILE_UPLOAD_MAX_MEMORY_SIZE=memory_limit):
        answer = ask(
            DjangoSide(),
            thread,
            "/upload/",
            method="POST",
            body=body,
            headers=[(b"content-type", b"multipart/form-data; boundary=cut")],
        )
    assert answer.json() == {"name": "photo.bin", "size": len(payload), "sum": sum(payload), "title": "Holiday"}


def test_a_large_body_is_written_to_disk_off_the_loop(pools):
    written = []

    class Recording(PooledThread):
        def run(self, function, /, *args):
            written.append(getattr(function, "__name__", ""))
            return super().run(function, *args)

    with override_settings(FILE_UPLOAD_MAX_MEMORY_SIZE=100):
        side = DjangoSide("wsgi")
        ask(side, Recording(*pools), "/echo/", method="POST", body=(b"x" * 60, b"x" * 60, b"x" * 60))
    assert written.count("write") == 2


# --- responses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["wsgi", "asgi"])
def test_cookies_are_sent_one_header_each(thread, mode):
    headers = ask(DjangoSide(mode), thread, "/cookies/").headers
    cookies = [value for name, value in headers if name == "set-cookie"]
    assert cookies == ["first=1; Path=/", "second=2; HttpOnly; Path=/"]


def test_an_ordinary_response_is_one_unit_of_work_and_closed_in_its_thread(thread, signals):
    ask(DjangoSide("wsgi"), thread, "/describe/")
    assert signals == {"started": 1, "finished": 1}
    assert len({event.rpartition(" ")[2] for event in events}) == 1
    assert events[0].startswith("started on pool-")


@pytest.mark.parametrize("mode", ["wsgi", "asgi", "auto"])
@pytest.mark.parametrize("path", ["/describe/", "/forbid/", "/nowhere/", "/stream/?parts=3", "/async-stream/?parts=3"])
@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")
def test_every_request_starts_and_finishes_exactly_once(thread, signals, mode, path):
    ask(DjangoSide(mode), thread, path)
    assert signals == {"started": 1, "finished": 1}


def test_a_blocking_stream_is_iterated_and_closed_on_one_thread_of_its_own(thread, signals):
    answer = ask(DjangoSide(), thread, "/stream/?parts=3")
    assert len(answer.content.splitlines()) == 3
    thread_name = events[1].rpartition(" ")[2]
    assert thread_name.startswith("streams-")
    assert events[0].startswith("started on pool-")
    assert events[1:] == [
        *(f"part {number} on {thread_name}" for number in range(3)),
        f"iterator closed on {thread_name}",
        f"finished on {thread_name}",
    ]


def test_an_asynchronous_stream_is_iterated_on_the_loop_and_closed_off_it(thread, signals):
    answer = ask(DjangoSide("wsgi"), thread, "/async-stream/?parts=2")
    assert len(answer.content.splitlines()) == 2
    assert events[1:4] == ["part 0 on MainThread", "part 1 on MainThread", "iterator closed on MainThread"]
    assert events[4].startswith("finished on pool-")


@pytest.mark.parametrize("path", ["/stream/", "/async-stream/"])
def test_a_stream_keeps_language_time_zone_and_script_prefix_of_its_view(thread, path):
    side = DjangoSide("wsgi")
    answer = ask(side, thread, f"/app{path}?parts=2&language=de&timezone=Europe/Athens", root_path="/app")
    assert answer.content.decode().splitlines() == [
        "0 de Europe/Athens /app/describe/",
        "1 de Europe/Athens /app/describe/",
    ]
    assert ask(side, thread, f"{path}?parts=1").content.decode() == "0 en-us America/Chicago /describe/\n"


def test_a_stream_that_fails_is_closed_and_left_incomplete(thread, signals):
    async def exchange():
        client = Client()
        with pytest.raises(ValueError, match="the stream failed"):
            await DjangoSide().asgi(scope_of("/broken-stream/"), client.receive, client.send, thread)
        return client

    client = asyncio.run(exchange())
    assert client.sent[-1] == {"type": "http.response.body", "body": b"first", "more_body": True}
    assert signals == {"started": 1, "finished": 1}


@pytest.mark.parametrize("size", [0, 10, 200_000])
def test_a_file_is_sent_in_large_pieces(thread, tmp_path, size):
    file = tmp_path / "file.bin"
    file.write_bytes(bytes(size))
    answer = ask(DjangoSide(), thread, f"/file/?name={file}")
    assert answer.content == bytes(size)
    assert ("content-length", str(size)) in answer.headers
    assert len(answer.sent) == 2 + -(-size // 65536)


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["wsgi", "asgi"])
@pytest.mark.parametrize("debug", [True, False])
def test_an_exception_in_a_view_is_djangos_500_page(thread, signals, mode, debug):
    with override_settings(DEBUG=debug):
        answer = ask(DjangoSide(mode), thread, "/fail/", headers=[(b"accept", b"text/html")])
    assert answer.status == 500
    assert (b"the view failed" in answer.content) is debug
    assert signals == {"started": 1, "finished": 1, "exception": 1}


def test_an_exception_that_escapes_django_is_logged_and_answered_plainly(thread, caplog):
    side = DjangoSide("wsgi")
    side.wsgi_handler.get_response = fail_outside_of_django
    answer = ask(side, thread, "/describe/")
    assert (answer.status, answer.content) == (500, b"Internal Server Error")
    assert [record.name for record in caplog.records if record.levelno == logging.ERROR] == ["django.request"]
    with override_settings(DEBUG=True):
        assert b"RuntimeError: no handler left" in ask(side, thread, "/describe/").content


def fail_outside_of_django(request):
    raise RuntimeError("no handler left")


def test_an_exception_goes_through_to_the_server_when_the_settings_say_so(thread):
    with override_settings(DEBUG_PROPAGATE_EXCEPTIONS=True), pytest.raises(ValueError, match="the view failed"):
        ask(DjangoSide("wsgi"), thread, "/fail/")


# --- clients that go away --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["wsgi", "asgi"])
@pytest.mark.parametrize("body", [(), (b"half of",)])
def test_a_client_that_goes_before_its_body_is_complete_is_dropped(thread, signals, mode, body):
    async def exchange():
        client = Client(body, hang_up=True)
        await DjangoSide(mode).asgi(scope_of("/echo/", method="POST"), client.receive, client.send, thread)
        return client.sent

    assert asyncio.run(exchange()) == []
    assert not signals


@pytest.mark.parametrize("path", ["/wait/", "/wait-then-stream/"])
def test_a_running_view_is_let_finish_and_its_answer_dropped(thread, signals, path):
    async def exchange():
        client = Client()
        request = asyncio.ensure_future(DjangoSide().asgi(scope_of(path), client.receive, client.send, thread))
        await until(lambda: "view started" in events)
        client.gone.set()
        await asyncio.sleep(0.02)
        gate.set()
        await request
        return client.sent

    assert asyncio.run(exchange()) == []
    assert "view finished" in events
    assert signals == {"started": 1, "finished": 1}


@pytest.mark.parametrize("path", ["/wait/", "/wait-then-stream/"])
def test_a_request_that_the_server_cancels_is_closed_once_its_view_is_done(thread, signals, path):
    async def exchange():
        client = Client()
        request = asyncio.ensure_future(DjangoSide().asgi(scope_of(path), client.receive, client.send, thread))
        await until(lambda: "view started" in events)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        gate.set()
        await until(lambda: signals["finished"])

    asyncio.run(exchange())
    assert signals == {"started": 1, "finished": 1}


@pytest.mark.parametrize("path", ["/stream/?parts=100&pause=0.02", "/async-stream/?parts=2&pause=60"])
@pytest.mark.parametrize("mode", ["wsgi", "auto"])
@pytest.mark.parametrize("end", ["hang up", "cancel"])
def test_a_stream_is_stopped_and_closed_when_its_client_goes(thread, signals, path, mode, end):
    async def exchange():
        client = Client()
        request = asyncio.ensure_future(DjangoSide(mode).asgi(scope_of(path), client.receive, client.send, thread))
        await client.until_sent(2)
        if end == "cancel":
            request.cancel()
        else:
            client.gone.set()
        await asyncio.wait([request], timeout=5)
        assert request.done()

    asyncio.run(exchange())
    assert signals == {"started": 1, "finished": 1}
    assert len(events) < 20
    assert events[-2].startswith("iterator closed")
    assert events[-1].startswith("finished")


def test_a_client_that_goes_during_the_first_part_leaves_no_iterator_open(thread, signals):
    async def exchange():
        client = Client()
        path = "/stream/?parts=2&pause=0.3"
        request = asyncio.ensure_future(DjangoSide().asgi(scope_of(path), client.receive, client.send, thread))
        await until(lambda: any(event.startswith("part 0") for event in events))
        await client.until_sent(2)
        client.gone.set()
        await request

    asyncio.run(exchange())
    assert signals == {"started": 1, "finished": 1}
    assert events[-2].startswith("iterator closed")


def test_a_client_that_goes_before_the_first_part_waits_for_no_other_thread(thread, signals):
    async def exchange():
        client = Client()
        request = asyncio.ensure_future(
            DjangoSide().asgi(scope_of("/late-stream/"), client.receive, client.send, thread)
        )
        await until(lambda: "stream started" in events)
        client.gone.set()
        await asyncio.sleep(0.05)
        gate.set()
        await request
        return client.sent

    assert len(asyncio.run(exchange())) == 1
    assert signals == {"started": 1, "finished": 1}
    assert events[-2:] == ["stream closed", events[-1]]
    assert events[-1].startswith("finished on streams-")


def test_work_that_is_cancelled_in_the_queue_takes_no_thread_with_it():
    pool = ThreadPool(1)
    running, queued, later = (PooledThread(pool, pool) for _ in range(3))
    first = running.submit(gate.wait, 5)
    second = queued.submit(pytest.fail, "ran although it was cancelled")
    assert second.cancel()
    gate.set()
    assert first.result(5)
    assert later.submit(str, 1).result(5) == "1"
    pool.close()


def test_a_message_that_no_server_may_send_is_reported(thread):
    async def exchange():
        client = Client()
        client.messages.append({"type": "http.nonsense"})
        await DjangoSide("wsgi").asgi(scope_of("/describe/"), client.receive, client.send, thread)

    with pytest.raises(AssertionError, match="Invalid ASGI message after request body: http.nonsense"):
        asyncio.run(exchange())


# --- nothing leaks ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/language/", "/async/language/"])
def test_a_language_ends_with_its_request(pools, path):
    side = DjangoSide()

    async def exchange():
        thread = PooledThread(*pools)
        for _ in range(8):
            client = Client()
            await side.asgi(scope_of(f"{path}?language=de"), client.receive, client.send, thread)
            assert client.content == b"en-us"
        return translation.get_language()

    assert asyncio.run(exchange()) == "en-us"


@pytest.mark.parametrize("path", ["/language/", "/async/language/"])
def test_a_language_ends_with_its_request_on_the_thread_of_an_async_test(path):
    @async_to_sync
    async def exchange():
        for _ in range(2):
            client = Client()
            scope = scope_of(f"{path}?language=de")
            await DjangoSide().asgi(scope, client.receive, client.send, AsgirefThread())
            assert client.content == b"en-us"
        return translation.get_language()

    assert exchange() == "en-us"


def test_forty_requests_leave_no_more_connections_than_threads(monkeypatch, django_db_blocker):
    psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")
    address = {"host": "127.0.0.1", "port": 5432, "user": "postgres"}
    try:
        observer = psycopg.connect(**address, dbname="postgres", connect_timeout=2)
    except psycopg.OperationalError:
        pytest.skip("no PostgreSQL answers on 127.0.0.1:5432")
    name = f"test_django_side {os.getpid()}"
    database = {key.upper(): value for key, value in address.items()}
    database |= {"ENGINE": "django.db.backends.postgresql", "NAME": "postgres", "CONN_MAX_AGE": 600}
    database |= {"CONN_HEALTH_CHECKS": True, "OPTIONS": {"application_name": name}}
    monkeypatch.setitem(connections.settings, "postgres", connections.settings["default"] | database)

    def count():
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
        return observer.execute(query, [name]).fetchone()[0]

    side, pool, streams = DjangoSide(), ThreadPool(3), ThreadPool(1)

    async def exchange():
        clients = [Client() for _ in range(40)]
        threads = [PooledThread(pool, streams) for _ in clients]
        await asyncio.gather(
            *(
                side.asgi(scope_of("/postgres/"), client.receive, client.send, thread)
                for client, thread in zip(clients, threads, strict=True)
            )
        )
        return [client.status for client in clients]

    async def closed():
        await until(lambda: count() == 0)

    with observer, django_db_blocker.unblock():
        observer.autocommit = True
        assert asyncio.run(exchange()) == [200] * 40
        assert 1 <= count() <= 3
        pool.close()
        asyncio.run(closed())


# --- static files ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["auto", "wsgi", "asgi"])
@pytest.mark.parametrize(("debug", "static", "served"), [(True, None, True), (False, None, False), (False, True, True)])
def test_static_files_are_djangos_under_debug_or_when_asked_for(thread, signals, mode, debug, static, served):
    with override_settings(DEBUG=debug, STATIC_URL="/static/"):
        side = DjangoSide(mode, static=static)
        answer = ask(side, thread, "/static/admin/css/base.css")
        assert answer.status == (200 if served else 404)
        assert (b"--primary" in answer.content) is served
        assert ask(side, thread, "/describe/").status == 200
    assert signals == {"started": 2, "finished": 2}


# --- under WSGI ------------------------------------------------------------------------------------------------------


def call(side, path, **extra):
    environ = {"wsgi.input": io.BytesIO()}
    path, _, query = path.partition("?")
    environ |= {"PATH_INFO": path, "QUERY_STRING": query, "HTTP_HOST": "testserver", **extra}
    setup_testing_defaults(environ)
    started = []
    return side.wsgi(environ, lambda status, headers: started.append(status)), started, environ


def test_under_wsgi_djangos_response_is_handed_on_as_it_is(signals):
    response, started, _ = call(DjangoSide(), "/describe/")
    assert isinstance(response, HttpResponse)
    assert started == ["200 OK"]
    assert signals == {"started": 1}
    response.close()
    assert signals == {"started": 1, "finished": 1}


@pytest.mark.parametrize("mode", ["auto", "asgi"])
def test_under_wsgi_an_async_view_is_adapted_by_django(mode):
    response, _, _ = call(DjangoSide(mode), "/async/describe/")
    assert json.loads(b"".join(response))["handler"] == "WSGIRequest"


def test_under_wsgi_a_stream_runs_in_the_context_of_its_view(signals):
    before = contextvars.copy_context()
    response, _, _ = call(
        DjangoSide(), "/stream/?parts=2&language=de&timezone=Europe/Athens", SCRIPT_NAME="/app", PATH_INFO="/stream/"
    )
    assert b"".join(response).decode().splitlines() == [
        "0 de Europe/Athens /app/describe/",
        "1 de Europe/Athens /app/describe/",
    ]
    assert signals == {"started": 1}
    response.close()
    assert signals == {"started": 1, "finished": 1}
    assert dict(contextvars.copy_context()) == dict(before)


def test_under_wsgi_a_language_ends_with_its_request():
    side = DjangoSide()
    for _ in range(2):
        response, _, _ = call(side, "/language/?language=de")
        assert response.content == b"en-us"
    assert translation.get_language() == "en-us"


def test_under_wsgi_the_file_wrapper_of_the_server_sends_files(tmp_path, signals):
    file = tmp_path / "file.bin"
    file.write_bytes(b"content")
    response, _, _ = call(DjangoSide(), f"/file/?name={file}", **{"wsgi.file_wrapper": FileWrapper})
    assert isinstance(response, FileWrapper)
    assert b"".join(response) == b"content"
    response.close()
    assert signals == {"started": 1, "finished": 1}
