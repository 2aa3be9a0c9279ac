"""The end of a conversation: its code, what is told, and that everything entered is left, once, whoever ends it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
from django.core.signals import got_request_exception
from django.http import Http404
from starlette.websockets import WebSocketDisconnect

from hybrid_gateway import (
    Gateway,
    HTTPException,
    Listener,
    WebSocket,
    listener,
    stream,
    websocket,
)
from hybrid_gateway.exceptions import Forbidden
from hybrid_gateway.test import ServerHabits, TestClient, create_test_client
from hybrid_gateway.test.lent_thread import LentThread
from hybrid_gateway.test.socket_exchange import SocketExchange
from hybrid_gateway.test.transports import LOOP

SERVERS = {
    "kind": ServerHabits(),
    "worst": ServerHabits(denies=False, send_fails=False, repeats_disconnect=False, closes_beside=False),
}


@pytest.fixture(params=list(SERVERS))
def habits(request):
    return SERVERS[request.param]


def ending(client: TestClient, path: str, *sent: object, **options) -> tuple[list, int | None, str]:
    """What comes until the server closes; the code and the reason."""
    received = []
    with client.websocket(path, **options) as socket:
        for message in sent:
            socket.send(message)
        with pytest.raises(WebSocketDisconnect) as caught:
            while True:
                received.append(socket.receive())
        return received, caught.value.code, caught.value.reason


def quiet_client(*routes) -> TestClient:
    return TestClient(Gateway(list(routes)), raise_request_exception=False)


# --- codes -----------------------------------------------------------------------------------------------------------


def test_an_error_that_cannot_be_told_is_a_bug_of_ours():
    error = HTTPException(409, "no", extra=object())

    @websocket("/socket")
    async def fail(socket: WebSocket) -> None:
        await socket.accept()
        raise error

    @stream("/stream")
    async def fail_later() -> AsyncIterator[int]:
        yield 1
        raise error

    client = quiet_client(fail, fail_later)
    for path in ("/socket", "/stream"):
        received, code, _ = ending(client, path)
        assert (received[-1]["status"], code) == (500, 1011)


def test_a_handler_that_returns_ends_with_1000():
    @websocket("/")
    async def hold(socket: WebSocket) -> None:
        await socket.send(1)

    @websocket("/unaccepted")
    async def nothing(socket: WebSocket) -> None:
        """Return without a word."""

    @stream("/stream")
    async def talk() -> AsyncIterator[int]:
        yield 1

    client = create_test_client(hold, nothing, talk)
    assert ending(client, "/") == ([1], 1000, "")
    assert ending(client, "/unaccepted") == ([], 1000, "")
    assert ending(client, "/stream") == ([1], 1000, "")


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 1012, 1013, 3000, 4000, 4999])
def test_a_handler_may_close_with_any_code_of_applications(code, habits):
    @websocket("/")
    async def hold(socket: WebSocket) -> None:
        await socket.accept()
        await socket.close(code, "because")
        with pytest.raises(WebSocketDisconnect):
            await socket.send("too late")
        with pytest.raises(WebSocketDisconnect):
            await socket.receive()
        assert socket.close_code == code

    assert ending(create_test_client(hold), "/", habits=habits) == ([], code, "because")


def test_a_close_is_sent_by_servers_that_wait_with_it_while_somebody_receives():
    @websocket("/")
    async def hold(socket: WebSocket) -> None:
        await socket.send("before")
        await asyncio.sleep(0.01)
        await socket.close(4001)

    habits = ServerHabits(closes_beside=False)
    with create_test_client(hold).websocket("/", habits=habits) as socket:
        assert socket.receive_text() == "before"
        with pytest.raises(WebSocketDisconnect) as caught:
            socket.receive(timeout=2)
        assert caught.value.code == 4001


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1100, 2999, 5000])
def test_other_codes_are_a_mistake(code):
    @websocket("/")
    async def hold(socket: WebSocket) -> None:
        await socket.accept()
        await socket.close(code)

    with pytest.raises(ValueError, match=f"{code} is no close code"):
        ending(create_test_client(hold), "/")


def test_a_long_reason_is_cut_to_what_a_frame_can_hold():
    @websocket("/")
    async def hold(socket: WebSocket) -> None:
        await socket.accept()
        await socket.close(4000, "€" * 100)

    _, code, reason = ending(create_test_client(hold), "/")
    assert (code, reason) == (4000, "€" * 41)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (HTTPException(401, "No."), 401),
        (Forbidden("No."), 403),
        (Http404("No."), 404),
        (HTTPException(418, "No."), 418),
        (HTTPException(503, "No."), 503),
    ],
)
def test_an_http_error_of_a_socket_is_a_frame_and_4000_plus_its_status(error, status):
    @websocket("/")
    async def hold(socket: WebSocket) -> None:
        await socket.accept()
        raise error

    received, code, _ = ending(create_test_client(hold), "/")
    assert [(frame["type"], frame["status"]) for frame in received] == [("error", status)]
    assert code == 4000 + status


def test_a_frame_that_does_not_fit_ends_a_handler_that_lets_it_go_with_4422():
    @websocket("/")
    async def hold(socket: WebSocket) -> None:
        await socket.receive(int)

    received, code, _ = ending(create_test_client(hold), "/", "true")
    assert (received[0]["status"], code) == (422, 4422)


def test_an_http_error_of_a_listener_is_a_frame_alone():
    @listener("/")
    async def answer(data: str) -> str:
        if data == "bad":
            raise Forbidden("No.")
        if data == "gone":
            raise Http404
        return data

    with create_test_client(answer).websocket("/") as socket:
        for data, status in [("bad", 403), ("gone", 404), ("bad", 403)]:
            socket.send(data)
            error = socket.receive()
            assert (error["type"], error["status"]) == ("error", status)
        socket.send("good")
        assert socket.receive_text() == "good"


KINDS = ["websocket", "listener", "def listener", "class", "stream", "def stream"]


def failing(kind: str, error: Exception):
    """A route of a kind whose handler raises once it is accepted."""

    async def fail(*args: object) -> None:
        raise error

    if kind == "websocket":

        @websocket("/")
        async def hold(socket: WebSocket) -> None:
            await socket.accept()
            await fail()

        return hold
    if kind == "listener":

        @listener("/")
        async def answer(data: str) -> None:
            await fail()

        return answer
    if kind == "def listener":

        @listener("/")
        def answer_on_thread(data: str) -> None:
            raise error

        return answer_on_thread
    if kind == "class":

        class Failing(Listener):
            path = "/"

            async def on_message(self, data: str) -> None:
                await fail()

        return Failing
    if kind == "stream":

        @stream("/")
        async def talk() -> AsyncIterator[int]:
            yield 1
            await fail()

        return talk

    @stream("/")
    def talk_on_thread() -> Iterator[int]:
        yield 1
        raise error

    return talk_on_thread


@pytest.mark.parametrize("kind", KINDS)
def test_a_bug_of_ours_is_1011_logged_and_told_to_those_who_collect_errors(kind, caplog):
    collected = []

    def collect(sender, request, **_) -> None:
        collected.append(request)

    got_request_exception.connect(collect)
    try:
        received, code, _ = ending(quiet_client(failing(kind, ValueError("broken"))), "/", "x")
    finally:
        got_request_exception.disconnect(collect)
    assert (received[-1]["type"], received[-1]["status"], code) == ("error", 500, 1011)
    assert "broken" not in str(received)
    assert "ValueError: broken" in caplog.text
    assert len(collected) == 1


@pytest.mark.parametrize("kind", ["websocket", "stream", "def stream"])
def test_http_errors_of_sockets_and_streams_are_not_logged_as_bugs(kind, caplog):
    _, code, _ = ending(create_test_client(failing(kind, HTTPException(409))), "/", "x")
    assert code == 4409
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


# --- components ------------------------------------------------------------------------------------------------------


class Log(list):
    """What has been entered and left, in order."""


class First:
    pass


class Second:
    pass


def providers(log: Log) -> list:
    @asynccontextmanager
    async def first() -> AsyncIterator[First]:
        log.append("enter first")
        try:
            yield First()
        except BaseException as error:
            log.append(f"first saw {type(error).__name__}")
            raise
        finally:
            await asyncio.sleep(0)
            log.append("leave first")

    @contextmanager
    def second(first: First) -> Iterator[Second]:
        log.append("enter second")
        try:
            yield Second()
        finally:
            log.append("leave second")

    return [first, second]


ENTERED, LEFT = ["enter first", "enter second"], ["leave second", "leave first"]


def holding(kind: str, log: Log):
    """A route of a kind that uses the components until its client leaves, or it is told ``"end"`` or ``"crash"``."""
    options = {"components": providers(log)}

    def obey(data: str) -> str:
        log.append(data)
        if data == "crash":
            raise ValueError("crash")
        return data

    if kind == "websocket":

        @websocket("/", **options)
        async def hold(socket: WebSocket, second: Second) -> None:
            async for data in socket.iter(str):
                await socket.send(obey(data))

        return hold
    if kind == "listener":

        @listener("/", **options)
        async def answer(data: str, second: Second) -> str:
            return obey(data)

        return answer
    if kind == "def listener":

        @listener("/", **options)
        def answer_on_thread(data: str, second: Second) -> str:
            return obey(data)

        return answer_on_thread
    if kind == "stream":

        @stream("/", **options)
        async def talk(second: Second) -> AsyncIterator[str]:
            yield "x"
            await asyncio.sleep(60)

        return talk

    @stream("/", **options)
    def talk_on_thread(second: Second) -> Iterator[str]:
        for _ in range(3):
            yield "x"

    return talk_on_thread


@pytest.mark.parametrize("end", ["close", "abort", "with"])
@pytest.mark.parametrize("kind", ["websocket", "listener", "def listener", "stream", "def stream"])
def test_components_are_one_scope_per_connection_left_last_in_first_out(kind, end, habits):
    log = Log()
    with create_test_client(holding(kind, log)).websocket("/", habits=habits) as socket:
        if kind.endswith("stream"):
            assert socket.receive_text() == "x"
        else:
            for data in ("a", "b"):
                socket.send(data)
                assert socket.receive_text() == data
        if end == "close":
            socket.close()
        elif end == "abort":
            socket.abort()
    assert [entry for entry in log if entry not in ("a", "b")] == [*ENTERED, *LEFT]


@pytest.mark.parametrize("kind", ["websocket", "listener", "def listener"])
def test_components_are_left_after_a_crash(kind):
    log = Log()
    with create_test_client(holding(kind, log)).websocket("/") as socket:
        socket.send("crash")
        with pytest.raises(ValueError, match="crash"):
            socket.receive()
    assert log[:3] == [*ENTERED, "crash"]
    assert [entry for entry in log if entry in LEFT] == LEFT


def test_components_are_left_after_a_refusal():
    log = Log()

    async def deny(second: Second) -> int:
        raise Forbidden

    @websocket("/", components=[*providers(log), deny])
    async def hold(socket: WebSocket, number: int) -> None:
        """Never be called."""

    with create_test_client(hold).websocket("/") as socket:
        assert socket.refusal.status_code == 403
    assert [entry for entry in log if not entry.startswith("first saw")] == [*ENTERED, *LEFT]


@pytest.mark.parametrize("kind", ["websocket", "listener", "stream"])
def test_components_are_left_when_the_server_cancels_its_task(kind):
    log = Log()
    gateway = Gateway([holding(kind, log)])
    client = TestClient(gateway)
    with client.websocket("/") as socket:
        if kind == "stream":
            socket.receive_text()
        else:
            socket.send("a")
            socket.receive_text()
        socket._task.cancel()
        for _ in range(500):  # the future of a cancelled task is done before the task
            if log[-1] == "leave first" or socket._lent.wait_until(lambda: False, 0.01):
                break
    assert [entry for entry in log if entry in (*ENTERED, *LEFT)] == [*ENTERED, *LEFT]
    assert len(gateway.websocket_registry) == 0


@pytest.mark.parametrize("moment", ["before", "at accept"])
def test_a_client_that_goes_during_the_handshake_leaves_nothing_behind(moment):
    log, handled = Log(), []

    @websocket("/", components=providers(log))
    async def hold(socket: WebSocket, second: Second) -> None:
        await socket.accept()
        handled.append(1)
        await socket.receive()

    gateway = Gateway([hold])
    scope = TestClient(gateway).websocket("/")._scope
    thread = LentThread()
    exchange = SocketExchange("/", ServerHabits(), thread.wake)

    async def send(message):
        exchange.leave(1006)
        await exchange.send(message)

    async def converse() -> None:
        if moment == "before":
            exchange._incoming.get_nowait()
            exchange.leave(1006)
        await gateway.serve(scope, exchange.receive, send, thread)

    thread.run_until_done(converse(), LOOP)
    assert handled == []
    assert log in ([], [*ENTERED, *LEFT], [*ENTERED, "leave second", "first saw ClientDisconnect", "leave first"])
    assert len(gateway.websocket_registry) == 0


# --- last work -------------------------------------------------------------------------------------------------------


async def cancelled_work() -> None:
    task = asyncio.ensure_future(asyncio.sleep(9))
    task.cancel()
    await task


def ends_of_drains() -> dict:
    async def fail() -> None:
        raise ValueError

    async def never_end() -> None:
        await asyncio.Event().wait()

    async def end() -> None:
        await asyncio.sleep(0)

    return {"ends": end, "fails": fail, "awaits what is cancelled": cancelled_work, "never ends": never_end}


@pytest.mark.parametrize("cancelled", [0, 1, 3])
@pytest.mark.parametrize("drain", ends_of_drains())
def test_on_disconnect_runs_once_however_on_drain_ends(drain, cancelled, monkeypatch):
    monkeypatch.setattr("hybrid_gateway.websockets.connection.HANDLER_GRACE", 0.2)  # seconds
    left, drained = [], ends_of_drains()[drain]

    class Hold(Listener):
        path = "/"

        async def on_message(self, data: str) -> str:
            return data

        async def on_drain(self) -> None:
            left.append("drain")
            await drained()

        async def on_disconnect(self, code: int) -> None:
            left.append(code)

    gateway = Gateway([Hold], graceful_timeout=1)
    client = TestClient(gateway, raise_request_exception=False)
    with client.websocket("/") as socket:
        socket.send("x")
        assert socket.receive_text() == "x"
        gateway.drain()
        with pytest.raises(WebSocketDisconnect):
            socket.receive()
        for _ in range(cancelled):
            socket._task.cancel()
            socket._lent.wait_until(lambda: False, 0.02)
        socket._lent.wait_until(lambda: len(left) == 2, 5)
    assert left == ["drain", 1012]


@pytest.mark.parametrize("kind", ["websocket", "listener", "stream", "Listener"])
def test_work_that_somebody_else_has_cancelled_is_a_bug_of_ours(kind):
    @websocket("/websocket")
    async def hold(socket: WebSocket) -> None:
        await socket.accept()
        await cancelled_work()

    @listener("/listener")
    async def answer(data: str) -> None:
        await cancelled_work()

    @stream("/stream")
    async def talk() -> AsyncIterator[int]:
        yield 1
        await cancelled_work()

    class Hold(Listener):
        path = "/Listener"

        async def on_message(self, data: str) -> None:
            await cancelled_work()

    sent = () if kind in ("websocket", "stream") else ("x",)
    received, code, _ = ending(quiet_client(hold, answer, talk, Hold), f"/{kind}", *sent)
    assert (received[-1]["status"], code) == (500, 1011)


def test_before_the_handshake_is_accepted_it_is_a_500():
    @websocket("/")
    async def hold(socket: WebSocket) -> None:
        await cancelled_work()

    with quiet_client(hold).websocket("/") as socket:
        assert socket.refusal.status_code == 500


def test_an_exception_that_ends_tasks_is_no_restart_to_the_client():
    class Ended(BaseException):
        """Of a project's own."""

    @websocket("/")
    async def hold(socket: WebSocket) -> None:
        await socket.accept()
        raise Ended

    with pytest.raises(BaseException) as caught, quiet_client(hold).websocket("/") as socket:
        socket.receive()
    assert isinstance(caught.value, (Ended, WebSocketDisconnect))
    assert socket.close_code == 1011


def test_a_client_that_has_gone_before_it_is_accepted_has_gone_with_1006():
    left = []

    class Hold(Listener):
        path = "/"

        async def on_message(self, data: str) -> None:
            """Answer nothing."""

        async def on_disconnect(self, code: int) -> None:
            left.append(code)

    gateway = Gateway([Hold])
    scope = TestClient(gateway).websocket("/")._scope
    thread = LentThread()
    exchange = SocketExchange("/", ServerHabits(), thread.wake)

    async def send(message):
        raise OSError

    async def converse() -> None:
        await gateway.serve(scope, exchange.receive, send, thread)

    thread.run_until_done(converse(), LOOP)
    assert left == [1006]


@pytest.mark.parametrize("reason", ["\ud800", "x" * 122 + "\ud800", "\ud800" * 200])
def test_a_reason_that_cannot_be_encoded_is_sent_as_far_as_it_can(reason):
    @websocket("/")
    async def hold(socket: WebSocket) -> None:
        await socket.close(3000, reason)

    _, code, told = ending(quiet_client(hold), "/")
    assert code == 3000
    assert told.encode() == reason.encode("utf-8", "replace")[:123]


def test_a_blocking_iterator_that_raises_the_end_of_another_kind_is_a_bug():
    @stream("/")
    def talk() -> Iterator[int]:
        yield 1
        raise StopAsyncIteration

    received, code, _ = ending(quiet_client(talk), "/")
    assert (received[0], received[-1]["status"], code) == (1, 500, 1011)


# --- the client leaves -----------------------------------------------------------------------------------------------


def test_receive_raises_with_the_client_s_code_and_iter_ends(habits):
    seen = []

    @websocket("/receive")
    async def hold(socket: WebSocket) -> None:
        try:
            await socket.receive()
        except WebSocketDisconnect as error:
            seen.append((error.code, error.reason))
            raise

    @websocket("/iter")
    async def iterate(socket: WebSocket) -> None:
        async for _ in socket.iter():
            raise AssertionError
        seen.append(socket.close_code)

    client = create_test_client(hold, iterate)
    for path in ("/receive", "/iter"):
        with client.websocket(path, habits=habits) as socket:
            socket.close(4001, "bye")
    assert seen == [(4001, "bye"), 4001]


def test_what_the_client_sent_before_it_left_is_still_received(habits):
    seen = []

    @websocket("/")
    async def hold(socket: WebSocket) -> None:
        await socket.accept()
        await asyncio.sleep(0.05)
        async for data in socket.iter(str):
            seen.append(data)

    with create_test_client(hold).websocket("/", habits=habits) as socket:
        for number in range(10):
            socket.send(str(number))
    assert seen == [str(number) for number in range(10)]


def test_who_only_sends_learns_that_nobody_is_left(habits):
    seen = []

    @websocket("/")
    async def hold(socket: WebSocket) -> None:
        try:
            while True:
                await socket.send("tick")
                await asyncio.sleep(0.005)
        except WebSocketDisconnect as error:
            seen.append(error.code)
            raise

    with create_test_client(hold).websocket("/", habits=habits) as socket:
        assert socket.receive_text() == "tick"
        socket.close(1001)
    assert seen == [1001]


@pytest.mark.parametrize("kind", ["stream", "def stream"])
def test_a_stream_ends_when_its_client_leaves_and_its_finally_runs(kind, habits):
    ended = []

    @stream("/stream")
    async def talk() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)
            ended.append("stream")

    @stream("/def stream")
    def talk_on_thread() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            ended.append("def stream")

    with create_test_client(talk, talk_on_thread).websocket(f"/{kind.replace(' ', '%20')}", habits=habits) as socket:
        socket.receive()
        socket.abort()
        assert ended == [kind]


def test_what_a_client_sends_to_a_stream_is_ignored():
    @stream("/")
    async def talk() -> AsyncIterator[int]:
        for number in range(3):
            yield number
            await asyncio.sleep(0.01)

    with create_test_client(talk).websocket("/") as socket:
        for _ in range(300):
            socket.send("noise")
        assert [socket.receive() for _ in range(3)] == [0, 1, 2]


@pytest.mark.parametrize("kind", ["websocket", "listener"])
def test_a_handler_that_does_not_notice_is_cancelled_some_seconds_later(kind, monkeypatch):
    from hybrid_gateway.websockets import connection

    monkeypatch.setattr(connection, "HANDLER_GRACE", 0.05)
    ended = []

    async def sleep() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(kind)

    @websocket("/websocket")
    async def hold(socket: WebSocket) -> None:
        await socket.send("x")
        await sleep()

    @listener("/listener")
    async def answer(data: str) -> None:
        await sleep()

    with create_test_client(hold, answer).websocket(f"/{kind}") as socket:
        socket.send("x")
        if kind == "websocket":
            socket.receive_text()
        else:
            with pytest.raises(AssertionError, match="nothing within"):
                socket.receive(timeout=0.05)
        socket.close()
    assert ended == [kind]


def test_tasks_after_the_response_run_at_the_end():
    log = []

    def after() -> None:
        log.append("after")

    @websocket("/", after_response=after)
    async def hold(socket: WebSocket) -> None:
        await socket.send("x")
        log.append("handler")

    with create_test_client(hold).websocket("/") as socket:
        socket.receive_text()
    assert log == ["handler", "after"]
