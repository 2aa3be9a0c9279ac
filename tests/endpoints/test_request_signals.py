"""``emit_signals=True``: Django's request signals around routes, where and when Django sends them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import pytest
from django.contrib.auth import get_user_model
from django.core.signals import request_finished, request_started
from django.db import connection

from hybrid_gateway import (
    BackgroundTasks,
    ConfigurationError,
    Depends,
    Gateway,
    Router,
    StreamingResponse,
    WebSocket,
    get,
    websocket,
)
from hybrid_gateway.exceptions import Conflict
from hybrid_gateway.test import TestClient
from tests.checks import test_checks

project, check = test_checks.project, test_checks.check


@contextmanager
def receiving(log, *, plain=True, asynchronous=True):
    def started(sender, **kwargs):
        log.append(("started", sender, threading.get_ident(), kwargs.get("environ") or kwargs["scope"]))

    def finished(sender, **kwargs):
        log.append(("finished", sender, threading.get_ident(), None))

    async def astarted(sender, **kwargs):
        log.append(("astarted", sender, threading.get_ident(), None))

    async def afinished(sender, **kwargs):
        log.append(("afinished", sender, threading.get_ident(), None))

    receivers = [(request_started, started), (request_finished, finished)] if plain else []
    receivers += [(request_started, astarted), (request_finished, afinished)] if asynchronous else []
    for signal, receiver in receivers:
        signal.connect(receiver)
    try:
        yield
    finally:
        for signal, receiver in receivers:
            signal.disconnect(receiver)


def words(log):
    return [entry if isinstance(entry, str) else entry[0] for entry in log]


@pytest.mark.parametrize("color", ["def", "async"])
def test_signals_are_around_everything_of_a_request(serve, color):
    log = []

    class Hook:
        def on_request(self) -> None:
            log.append("on_request")

        def on_response(self) -> None:
            log.append("on_response")

    def unit() -> Iterator[int]:
        yield 1
        log.append("closed")

    def view(tasks: BackgroundTasks, unit: Annotated[int, Depends(unit)]) -> str:
        log.append("handler")
        tasks.add(log.append, "task")
        return str(threading.get_ident())

    async def aview(tasks: BackgroundTasks, unit: Annotated[int, Depends(unit)]) -> str:
        return view(tasks, unit)

    client = serve(get("/", event_hooks=[Hook], emit_signals=True)(view if color == "def" else aview))
    with receiving(log):
        thread = client.get("/").text
    assert words(log) == [
        *("started", "astarted", "on_request", "handler", "closed", "on_response", "task", "finished", "afinished"),
    ]
    threads = {entry[0]: entry[2] for entry in log if not isinstance(entry, str)}
    assert threads["started"] == threads["finished"] == threading.get_ident()  # the test lends its own
    assert threads["astarted"] == threads["afinished"] != threads["started"]
    assert (thread == str(threads["started"])) == (color == "def")
    assert log[0][1] is Gateway
    environ = log[0][3]
    assert environ.get("PATH_INFO", environ.get("path")) == "/"


def test_what_does_not_ask_sends_none(serve):
    log = []

    @get("/")
    def view() -> str:
        return "x"

    @get("/inner", emit_signals=False)
    def inner() -> str:
        return "x"

    with receiving(log):
        serve(view).get("/")
        serve(Router("", [inner]), emit_signals=True).get("/inner")
    assert log == []


@pytest.mark.parametrize("path", ["/error", "/crash", "/early", "/stream", "/cut"])
def test_each_started_request_is_finished_once(serve, path):
    log = []

    @get("/error")
    def error() -> str:
        raise Conflict

    @get("/crash")
    async def crash() -> str:
        raise LookupError

    @get("/early", before_request=lambda: "early")
    def early() -> str:
        return "x"

    def chunks():
        log.append("chunk")
        yield b"x"

    @get("/stream")
    def stream() -> StreamingResponse:
        return StreamingResponse(chunks())

    def cut_chunks():
        yield b"x"
        raise OSError("cut")

    @get("/cut")
    def cut() -> StreamingResponse:
        return StreamingResponse(cut_chunks())

    client = serve(error, crash, early, stream, cut, emit_signals=True, raises=False)
    with receiving(log):
        try:
            client.get(path)
        except Exception:
            assert path == "/cut"
    middle = ["chunk"] if path == "/stream" else []
    assert words(log) == ["started", "astarted", *middle, "finished", "afinished"]


def test_a_receiver_that_fails_fails_the_request(serve):
    def fail(**kwargs):
        raise ValueError("no")

    request_started.connect(fail)
    try:

        @get("/", emit_signals=True)
        def view() -> str:
            return "x"

        assert serve(view, raises=False).get("/").status_code == 500
    finally:
        request_started.disconnect(fail)


@pytest.mark.django_db(transaction=True)
def test_djangos_own_receivers_close_no_connection_of_a_test(serve, settings):
    assert connection.settings_dict["CONN_MAX_AGE"] == 0

    @get("/", emit_signals=True)
    def view() -> int:
        return get_user_model().objects.count()

    get_user_model().objects.create_user("ada")
    before = connection.connection
    assert serve(view).get("/").json() == 1
    assert connection.connection is before


def test_a_websocket_says_no_or_sends_none():
    @websocket("/own", emit_signals=True)
    async def own(socket: WebSocket) -> None: ...

    with pytest.raises(ConfigurationError, match="a websocket is none, and sends no signal"):
        Gateway([own])

    @websocket("/inherited")
    async def inherited(socket: WebSocket) -> None:
        await socket.send_text("x")

    log = []
    with receiving(log), TestClient(Gateway([inherited], emit_signals=True)).websocket("/inherited") as socket:
        assert socket.receive(str) == "x"
    assert log == []


def test_a_check_names_receivers_that_no_request_reaches(project):
    @get("/")
    def view() -> str:
        return "x"

    project([view])
    assert "W055" not in check()
    log = []
    with receiving(log, asynchronous=False):
        message = check()["W055"].msg
        assert message.endswith("started waits for request_started, which no route sends.") or (
            "finished waits for request_finished" in message
        )
        project([get("/", emit_signals=True)(lambda: "x")])
        assert "W055" not in check()
        project([view], gateway={"EMIT_SIGNALS": True})
        assert "W055" not in check()
