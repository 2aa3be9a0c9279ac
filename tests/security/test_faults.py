"""Faults: what hangs, fails, fills up or goes away is answered in time, told once, and leaves nothing behind."""

import asyncio
import contextlib
import gc
import io
import logging
import os
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Annotated
from wsgiref.util import setup_testing_defaults

import pytest
from django.core.cache import caches
from django.core.signals import got_request_exception

from hybrid_gateway import (
    Body,
    Depends,
    File,
    Gateway,
    HTTPException,
    Include,
    Response,
    StreamingResponse,
    UploadFile,
    get,
    post,
)
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.health import health_check
from hybrid_gateway.test import TestClient

PROBES = Include("", "hybrid_gateway.health.routes")


BINARY = [(b"content-type", b"application/octet-stream")]


async def ask(gateway, path, *, method="GET", body=b"", headers=(), comes_after=0.0):
    """Status, headers and body, as a server asks: on the gateway's own threads."""
    sent = []
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])
    scope = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": [(b"host", b"testserver"), *headers], "scheme": "http", "root_path": "",
        "server": ("testserver", 80), "client": ("127.0.0.1", 1), "http_version": "1.1",
    }  # fmt: skip

    async def receive():
        if comes_after:
            await asyncio.sleep(comes_after)
        return next(messages, None) or await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    await gateway(scope, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(part.get("body", b"") for part in sent[1:])


def errors(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.fixture
def gate():
    """What hangs until it is opened; always opened in the end."""
    event = threading.Event()
    yield event
    event.set()


# --- F3: what hangs


@pytest.mark.parametrize("kind", ["async", "def"])
def test_f3_a_handler_that_hangs_is_a_504_and_others_do_not_notice(gate, caplog, kind):
    @get("/slow", timeout=0.1)
    async def slow() -> None:
        await asyncio.Event().wait()

    @get("/slow", timeout=0.1)
    def blocked() -> None:
        gate.wait(20)

    @get("/quick")
    async def quick() -> str:
        return "quick"

    gateway = Gateway([slow if kind == "async" else blocked, quick], threads=2)
    before = threading.active_count()

    async def scenario():
        hanging = [asyncio.ensure_future(ask(gateway, "/slow")) for _ in range(12)]
        await asyncio.sleep(0)
        assert (await ask(gateway, "/quick"))[2] == b"quick"
        return await asyncio.wait_for(asyncio.gather(*hanging), 10)

    answers = asyncio.run(scenario())
    assert [status for status, _, _ in answers] == [504] * 12
    assert all(headers[b"content-type"] == b"application/problem+json" for _, headers, _ in answers)
    assert errors(caplog) == ["Gateway Timeout: GET /slow"] * 12
    assert threading.active_count() <= before + 2  # those of the gateway, however many wait
    assert len(gateway.pools.typed._workers) == (2 if kind == "def" else 0)


def test_f3_work_that_nobody_waits_for_any_more_never_begins(gate):
    begun = []

    @get("/slow", timeout=0.1)
    def slow() -> None:
        begun.append(1)
        gate.wait(20)

    gateway = Gateway([slow], threads=1)

    async def scenario():
        await asyncio.gather(*(ask(gateway, "/slow") for _ in range(5)))
        gate.set()
        await asyncio.sleep(0.2)

    asyncio.run(scenario())
    assert begun == [1]


def test_f3_a_clean_up_behind_what_hangs_does_not_hold_up_the_answer_and_runs_in_the_end(gate):
    left = threading.Event()

    def session() -> Iterator[str]:
        try:
            yield "session"
        finally:
            left.set()

    @get("/slow", timeout=0.1)
    def slow(found: Annotated[str, Depends(session)]) -> None:
        gate.wait(20)

    gateway = Gateway([slow], threads=1)

    async def scenario():
        assert (await asyncio.wait_for(ask(gateway, "/slow"), 10))[0] == 504
        assert not left.is_set()
        gate.set()
        assert await asyncio.to_thread(left.wait, 10)

    asyncio.run(scenario())


@pytest.mark.parametrize(("comes_after", "status"), [(0.3, 201), (60, 408)])
def test_f9_the_time_that_a_client_takes_for_its_body_is_not_the_handlers(caplog, comes_after, status):
    @post("/length", timeout=0.1)
    async def length(data: Annotated[bytes, Body()]) -> int:
        return len(data)

    gateway = Gateway([length], body_timeout=0.6)
    answer = asyncio.run(ask(gateway, "/length", method="POST", body=b"x", headers=BINARY, comes_after=comes_after))
    assert answer[0] == status
    assert errors(caplog) == []  # nobody but the client is to blame


def test_f9_after_a_slow_body_a_handler_has_its_time_and_no_more():
    @post("/slow", timeout=0.2)
    async def slow(data: Annotated[bytes, Body()]) -> None:
        await asyncio.Event().wait()

    asking = ask(Gateway([slow]), "/slow", method="POST", body=b"x", headers=BINARY, comes_after=0.3)
    assert asyncio.run(asyncio.wait_for(asking, 10))[0] == 504


def test_f3_a_timeout_passes_hooks_and_handlers_of_errors(serve):
    seen = []

    class Hook:
        async def on_error(self, error: Exception) -> None:
            seen.append(type(error).__name__)

    async def late(error: Exception) -> tuple[str, int]:
        return "later, perhaps", 503

    @get("/slow", timeout=0.05, event_hooks=[Hook], exception_handlers={504: late})
    async def slow() -> None:
        await asyncio.Event().wait()

    answer = serve(slow).get("/slow")
    assert (answer.status_code, answer.text, seen) == (503, "later, perhaps", ["GatewayTimeout"])


def test_f3_an_answer_in_time_is_as_without_a_timeout(serve):
    @get("/quick", timeout=5)
    async def quick() -> str:
        return "quick"

    @get("/blocking", timeout=5)
    def blocking() -> str:
        return "blocking"

    @get("/own", timeout=5)
    async def own() -> None:
        raise TimeoutError("of something else")

    @get("/stream", timeout=5)
    def stream() -> StreamingResponse:
        return StreamingResponse(iter(["a", "b"]))

    client = serve(quick, blocking, own, stream, raises=False)
    assert [client.get(path).text for path in ("/quick", "/blocking", "/stream")] == ["quick", "blocking", "ab"]
    assert client.get("/own").status_code == 500


@pytest.mark.parametrize("wrong", [0, -1, True, "5"])
def test_f3_a_timeout_that_makes_no_sense_is_refused_at_start_up(wrong):
    @get("/")
    async def index() -> None: ...

    with pytest.raises(ConfigurationError, match="timeout"):
        Gateway([index], timeout=wrong)


def test_f3_a_health_check_that_hangs_holds_one_thread_however_often_it_is_asked_for(gate):
    @health_check(timeout=0.05, keep=0.01)
    def database() -> None:
        gate.wait(20)

    gateway = Gateway([PROBES], health_checks=[database], threads=4)

    async def scenario():
        for _ in range(10):
            status, _, _ = await ask(gateway, "/readyz")
            assert status == 503
            await asyncio.sleep(0.02)
        assert len(gateway.pools.typed._workers) == 1
        assert b"still running" in (await ask(gateway, "/readyz"))[2]
        gate.set()
        for _ in range(100):
            if (await ask(gateway, "/readyz"))[0] == 200:
                return
            await asyncio.sleep(0.02)
        raise AssertionError("it never recovered")

    asyncio.run(scenario())


def test_probes_at_once_ask_the_database_once():
    asked = []

    def database() -> None:
        asked.append(1)
        time.sleep(0.05)

    gateway = Gateway([PROBES], health_checks=[database])

    async def scenario():
        return await asyncio.gather(*(ask(gateway, "/readyz") for _ in range(50)))

    assert {status for status, _, _ in asyncio.run(scenario())} == {200}
    assert asked == [1]


def test_probes_one_after_the_other_ask_the_database_once_while_the_outcome_is_fresh():
    asked = []

    @health_check(keep=60)
    def database() -> None:
        asked.append(1)

    gateway = Gateway([PROBES], health_checks=[database])

    async def scenario():
        return [(await ask(gateway, "/readyz"))[0] for _ in range(5)]

    assert asyncio.run(scenario()) == [200] * 5
    assert asked == [1]


# --- clients that go


@pytest.mark.parametrize("kind", ["async", "def"])
def test_under_wsgi_a_client_that_leaves_half_a_body_is_still_answered_for(caplog, kind):
    @post("/def")
    def at_once(data: dict[str, int]) -> None: ...

    @post("/async")
    async def later(data: dict[str, int]) -> None: ...

    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": f"/{kind}",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": "9",
        "wsgi.input": io.BytesIO(b"{"),
    }
    setup_testing_defaults(environ)
    gateway = Gateway([at_once, later])
    started = []
    body = gateway.serve_wsgi(environ, lambda status, headers, exc_info=None: started.append(status))
    list(body)
    assert len(started) == 1 and started[0][:1] in "45"  # nobody reads it, but servers insist
    assert errors(caplog) == []


# --- a full disk


@pytest.fixture
def full_disk(monkeypatch, tmp_path, settings):
    """No room for uploads: temporary files are on a device that is always full."""
    opened = []

    def temporary_file(*args, **kwargs):
        opened.append(open("/dev/full", "w+b"))  # noqa: SIM115
        return opened[-1]

    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")
    monkeypatch.setattr(tempfile, "TemporaryFile", temporary_file)
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 1024
    return opened


BOUNDARY = b"b0undary"
UPLOAD = (
    b'--b0undary\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'
    + b"x" * 300_000
    + b"\r\n--b0undary--\r\n"
)
MULTIPART = (b"content-type", b"multipart/form-data; boundary=" + BOUNDARY)


@pytest.mark.parametrize("path", ["/upload", "/sync/"])
def test_a_full_disk_is_a_507_told_once_and_leaves_nothing(full_disk, caplog, settings, path):
    settings.ROOT_URLCONF = "tests.sites.observed_urls"
    called = []

    @post("/upload")
    def upload(file: Annotated[UploadFile, File()]) -> None:
        called.append(file)

    gateway = Gateway([upload], django_routes=["/sync/"])
    length = (b"content-length", b"%d" % len(UPLOAD))
    status, _, body = asyncio.run(
        ask_in_pieces(gateway, path, UPLOAD, (MULTIPART, length)),
    )
    assert (status, called) == (507, [])
    assert b"dev" not in body
    assert errors(caplog) == [
        f"Insufficient Storage: POST {path}" if path == "/upload" else f"Insufficient Storage: {path}"
    ]
    assert full_disk and all(file.closed for file in full_disk)


async def ask_in_pieces(gateway, path, body, headers):
    sent = []
    pieces = [body[start : start + 65536] for start in range(0, len(body), 65536)]
    messages = iter([{"type": "http.request", "body": piece, "more_body": piece is not pieces[-1]} for piece in pieces])

    async def receive():
        return next(messages, None) or await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": [(b"host", b"testserver"), *headers], "scheme": "http", "root_path": "",
        "server": ("testserver", 80), "client": ("127.0.0.1", 1), "http_version": "1.1",
    }  # fmt: skip
    await gateway(scope, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(part.get("body", b"") for part in sent[1:])


def test_a_handler_that_finds_the_disk_full_is_a_507(serve):
    @post("/save")
    def save() -> None:
        with open("/dev/full", "wb", buffering=0) as file:
            file.write(b"x")

    assert serve(save).post("/save").status_code == 507


# --- a cache that is down


def test_f_a_cache_that_is_down_fails_its_users_and_no_others(serve, settings):
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1"}
    }

    @get("/kept", cache=60)
    def kept() -> str:
        return "made anew"

    @get("/asking")
    def asking() -> str:
        return caches["default"].get("x")

    client = serve(kept, asking, raises=False)
    assert [client.get("/kept").text for _ in range(2)] == ["made anew"] * 2
    assert client.get("/asking").status_code == 500


# --- clean-ups that fail


def broken_session() -> Iterator[str]:
    yield "session"
    raise RuntimeError("the clean-up failed")


async def broken_client() -> AsyncIterator[str]:
    yield "client"
    raise RuntimeError("the clean-up failed")


@pytest.mark.parametrize("provider", [broken_session, broken_client], ids=["def", "async"])
def test_a_clean_up_that_raises_is_a_500_told_once_and_spares_the_next_request(serve, caplog, provider):
    left = []

    def outer() -> Iterator[int]:
        try:
            yield 1
        finally:
            left.append("outer")

    @get("/")
    async def index(first: Annotated[int, Depends(outer)], found: Annotated[str, Depends(provider)]) -> str:
        return found

    @get("/quick")
    async def quick() -> str:
        return "quick"

    client = serve(index, quick, raises=False)
    answer = client.get("/")
    assert (answer.status_code, answer.headers["Content-Type"]) == (500, "application/problem+json")
    assert "clean-up" not in answer.text
    assert errors(caplog) == ["Internal Server Error: GET /"]
    assert left == ["outer"]
    assert client.get("/quick").text == "quick"


@pytest.mark.parametrize("provider", [broken_session, broken_client], ids=["def", "async"])
def test_a_clean_up_that_raises_after_a_stream_has_been_sent_ends_it_and_spares_others(serve, provider):
    left = []

    def outer() -> Iterator[int]:
        try:
            yield 1
        except RuntimeError:
            left.append("outer, with the failure of the other")
            raise

    @get("/")
    async def index(
        first: Annotated[int, Depends(outer)], found: Annotated[str, Depends(provider)]
    ) -> StreamingResponse:
        return StreamingResponse(iter(["a", "b"]))

    @get("/quick")
    async def quick() -> str:
        return "quick"

    client = serve(index, quick, raises=False)
    with contextlib.suppress(RuntimeError):  # over some drivers the caller hears of it
        client.get("/")
    assert left == ["outer, with the failure of the other"]
    assert client.get("/quick").text == "quick"


@pytest.mark.parametrize("provider", [broken_session, broken_client], ids=["def", "async"])
def test_a_clean_up_that_raises_after_a_stream_is_logged_once_with_its_route(serve, caplog, provider):
    """The last byte has been sent, so nobody can be answered otherwise: it is for the log, and for receivers."""
    told = []

    def note(sender, request, **kwargs):
        told.append(request.path)

    @get("/", name="exported")
    async def index(found: Annotated[str, Depends(provider)]) -> StreamingResponse:
        return StreamingResponse(iter(["a", "b"]))

    got_request_exception.connect(note)
    try:
        assert serve(index, raises=False).get("/").text == "ab"
    finally:
        got_request_exception.disconnect(note)
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert (record.name, record.getMessage()) == (
        "django.request",
        "A clean-up after the answer of exported failed: GET /",
    )
    assert str(record.exc_info[1]) == "the clean-up failed"
    assert told == ["/"]


def test_a_hook_or_task_that_raises_after_the_answer_spares_the_next_request(serve):
    async def broken(response: Response) -> None:
        raise RuntimeError("afterwards")

    @get("/", after_response=broken)
    async def index() -> str:
        return "sent"

    @get("/quick")
    async def quick() -> str:
        return "quick"

    client = serve(index, quick, raises=False)
    with contextlib.suppress(RuntimeError):
        client.get("/")
    assert client.get("/quick").text == "quick"


# --- handlers that are cancelled


@pytest.mark.parametrize("kind", ["async", "def"])
def test_f1_a_thousand_cancelled_handlers_leave_nothing_behind(kind):
    entered, left = [], []

    def session() -> Iterator[str]:
        entered.append(1)
        try:
            yield "session"
        except GeneratorExit:  # nobody has left it: it was found by the garbage collector
            raise
        except BaseException:
            left.append("cancelled")
            raise
        else:
            left.append("done")

    @get("/async")
    async def later(found: Annotated[str, Depends(session)]) -> str:
        await asyncio.sleep(0.01)
        return found

    @get("/def")
    def at_once(found: Annotated[str, Depends(session)]) -> str:
        time.sleep(0.0005)
        return found

    gateway = Gateway([later, at_once])

    async def scenario():
        for start in range(0, 1000, 50):
            tasks = [asyncio.ensure_future(ask(gateway, f"/{kind}")) for _ in range(50)]
            await asyncio.sleep(0.0003 * (start % 7))
            for _ in range(3):  # a server that is in a hurry cancels again: clean-ups wait for a thread, or are on one
                for task in tasks:
                    task.cancel()
                await asyncio.sleep(0.0005)
            await asyncio.gather(*tasks, return_exceptions=True)
            await settled(lambda: len(entered) == len(left))
        assert (await ask(gateway, f"/{kind}"))[0] == 200
        del tasks, task
        gc.collect()
        return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]

    assert asyncio.run(scenario()) == []
    assert len(entered) == len(left)
    assert "cancelled" in left
    assert len(gateway.pools.typed._workers) <= 8


async def settled(condition):
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never came to that")


@pytest.mark.parametrize("kind", ["async", "def"])
def test_f1_what_is_entered_while_its_request_is_cancelled_is_left_at_once(gate, kind):
    """Nobody waits for the thread any more, on which a connection, say, is just being opened."""
    seen, entering = [], threading.Event()

    class Connection:
        def __enter__(self) -> str:
            entering.set()
            gate.wait(20)
            seen.append("entered")
            return "connection"

        def __exit__(self, kind, *details):
            seen.append(("left", kind, threading.current_thread().name))

    def session() -> Iterator[str]:
        with Connection() as opened:
            yield opened

    @get("/async")
    async def later(found: Annotated[str, Depends(session)]) -> None:
        seen.append("handled")

    @get("/def")
    def at_once(found: Annotated[str, Depends(session)]) -> None:
        seen.append("handled")

    async def scenario():
        task = asyncio.ensure_future(ask(Gateway([later, at_once]), f"/{kind}"))
        await asyncio.to_thread(entering.wait, 20)
        task.cancel()
        await asyncio.wait((task,), timeout=5)
        assert task.cancelled()
        gate.set()
        gc.disable()  # which would find it, some time
        try:
            await settled(lambda: len(seen) == 2)
        finally:
            gc.enable()

    asyncio.run(scenario())
    assert seen[0] == "entered"
    assert seen[1][:2] == ("left", asyncio.CancelledError) and seen[1][2].startswith("gateway")


@pytest.mark.parametrize("timeout", [None, 60])
def test_f1_however_often_it_is_cancelled_a_request_waits_for_its_clean_up(gate, timeout):
    cleaning, left = threading.Event(), []

    def session() -> Iterator[str]:
        yield "session"
        cleaning.set()
        gate.wait(20)
        left.append("session")

    @get("/", timeout=timeout)
    async def index(found: Annotated[str, Depends(session)]) -> None: ...

    async def scenario():
        task = asyncio.ensure_future(ask(Gateway([index]), "/"))
        await asyncio.to_thread(cleaning.wait, 20)
        for _ in range(4):
            task.cancel()
            await asyncio.sleep(0.01)
        assert not task.done()
        gate.set()
        await asyncio.wait((task,), timeout=20)
        assert task.cancelled()

    asyncio.run(scenario())
    assert left == ["session"]


def test_a_handler_that_raises_cancelled_error_itself_is_no_answer_of_success():
    @get("/")
    async def index() -> str:
        raise asyncio.CancelledError

    async def scenario():
        with pytest.raises(asyncio.CancelledError):
            await ask(Gateway([index]), "/")

    asyncio.run(scenario())


def test_an_exception_that_cannot_be_shown_is_still_answered(serve):
    class Awkward(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    @get("/")
    async def index() -> None:
        raise Awkward

    @get("/known")
    async def known() -> None:
        raise HTTPException(503, "later")

    client = serve(index, known, raises=False)
    assert client.get("/").status_code == 500
    assert client.get("/known").json()["detail"] == "later"
    assert isinstance(client, TestClient)


def test_a_handler_of_errors_that_fails_itself_is_still_a_500_and_both_are_told(serve, caplog):
    async def broken(error: Exception) -> None:
        raise RuntimeError("on purpose, too")

    @get("/", exception_handlers={500: broken})
    async def index() -> None:
        raise LookupError("on purpose")

    answer = serve(index, raises=False).get("/")
    assert (answer.status_code, answer.json()["title"]) == (500, "Internal Server Error")
    told = [record.exc_info[0] for record in caplog.records if record.levelno == logging.ERROR]
    assert told == [LookupError, RuntimeError]
