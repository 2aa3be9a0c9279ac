"""Listeners: a call for each message, and classes with a state per connection."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Annotated

import pytest
from django.core.signals import got_request_exception
from starlette.websockets import WebSocketDisconnect

from hybrid_gateway import Controller, Depends, Gateway, HTTPException, Listener, Router, WebSocket, listener
from hybrid_gateway.exceptions import Forbidden
from hybrid_gateway.test import AsyncTestClient, TestClient, create_test_client


def counting(log: list):
    class Counting(Listener):
        path = "/{room}"

        def __init__(self) -> None:
            self.count = 0
            log.append("made")

        async def on_connect(self, room: str) -> None:
            self.room = room
            log.append(f"connect {room}")

        async def on_message(self, data: int) -> str:
            self.count += data
            return f"{self.room} {self.count}"

        async def on_disconnect(self, code: int) -> None:
            log.append(f"disconnect {self.room} {self.count} {code}")

    return Counting


def test_each_connection_has_an_instance_of_its_own():
    log = []
    client = create_test_client(counting(log))
    with client.websocket("/a") as one, client.websocket("/b") as other:
        for socket, data, answer in [(one, 1, "a 1"), (other, 5, "b 5"), (one, 2, "a 3")]:
            socket.send(data)
            assert socket.receive_text() == answer
        one.close(4001)
    assert log == ["made", "connect a", "made", "connect b", "disconnect a 3 4001", "disconnect b 5 1000"]


@pytest.mark.parametrize("end", ["with", "close", "abort", "server"])
def test_on_disconnect_runs_once_with_the_code(end):
    codes = []

    class Ending(Listener):
        path = "/"

        async def on_message(self, data: str, socket: WebSocket) -> None:
            raise HTTPException(500) if data == "http" else ValueError("bug")

        async def on_disconnect(self, code: int) -> None:
            codes.append(code)

    with TestClient(Gateway([Ending]), raise_request_exception=False).websocket("/") as socket:
        if end == "close":
            socket.close(4002)
        elif end == "abort":
            socket.abort()
        elif end == "server":
            socket.send("bug")
            assert socket.receive()["status"] == 500
    assert codes == [{"with": 1000, "close": 4002, "abort": 1006, "server": 1011}[end]]


def test_on_connect_refuses_by_raising_and_on_disconnect_does_not_run():
    log = []

    class Closed(Listener):
        path = "/"

        async def on_connect(self) -> None:
            raise Forbidden("Full.")

        async def on_message(self, data: str) -> None:
            log.append(data)

        async def on_disconnect(self, code: int) -> None:
            log.append(code)

    with create_test_client(Closed).websocket("/") as socket:
        assert (socket.refusal.status_code, socket.refusal.json()["detail"]) == (403, "Full.")
    assert log == []


def test_on_disconnect_comes_before_components_are_left():
    log = []

    class Held:
        pass

    async def held() -> AsyncIterator[Held]:
        log.append("enter")
        yield Held()
        log.append("leave")

    class Using(Listener):
        path = "/"
        components = [held]

        async def on_connect(self, held: Held) -> None:
            log.append("connect")
            self.held = held

        async def on_message(self, data: str, held: Held) -> None:
            assert held is self.held

        async def on_disconnect(self, held: Held) -> None:
            assert held is self.held
            log.append("disconnect")

    with create_test_client(Using).websocket("/"):
        pass
    assert log == ["enter", "connect", "disconnect", "leave"]


def test_def_methods_run_on_the_thread_of_the_connection():
    names = []

    class Blocking(Listener):
        path = "/"

        def on_connect(self) -> None:
            names.append(threading.current_thread().name)

        def on_message(self, data: str) -> str:
            names.append(threading.current_thread().name)
            return data

        def on_disconnect(self) -> None:
            names.append(threading.current_thread().name)

    with create_test_client(Blocking).websocket("/") as socket:
        socket.send("x")
        assert socket.receive_text() == "x"
    assert names == [threading.current_thread().name] * 3  # a test lends its own


def test_a_listener_without_on_message_is_told_at_the_start():
    from hybrid_gateway.exceptions import ConfigurationError

    class Silent(Listener):
        path = "/"

    with pytest.raises(ConfigurationError, match="on_message"):
        Gateway([Silent])


def test_an_error_of_on_message_is_a_frame_and_the_state_stays():
    class Picky(Listener):
        path = "/"
        count = 0

        async def on_message(self, data: int) -> int:
            if data < 0:
                raise HTTPException(409, "Below zero.")
            self.count += data
            return self.count

    with create_test_client(Picky).websocket("/") as socket:
        socket.send(1)
        assert socket.receive() == 1
        socket.send(-1)
        assert socket.receive()["detail"] == "Below zero."
        socket.send("no number")
        assert socket.receive()["status"] == 400
        socket.send(2)
        assert socket.receive() == 3


def test_a_failing_on_disconnect_is_a_bug_that_is_told(caplog):
    class Failing(Listener):
        path = "/"

        async def on_message(self, data: str) -> None:
            """Take it."""

        async def on_disconnect(self) -> None:
            raise ValueError("at the end")

    told = []

    def collect(**_: object) -> None:
        told.append(1)

    got_request_exception.connect(collect)
    try:
        with pytest.raises(ValueError, match="at the end"), create_test_client(Failing).websocket("/"):
            pass
    finally:
        got_request_exception.disconnect(collect)
    assert told == [1]
    assert "at the end" in caplog.text


def test_listeners_stand_below_layers():
    class Inner(Listener):
        path = "/inner"
        message_throttle = ["1/hour"]
        mode = "msgpack"

        async def on_message(self, data: int, twice: Annotated[int, Depends(lambda: 2)]) -> int:
            return data * twice

    gateway = Gateway([Router("/r", [Inner])])
    with TestClient(gateway).websocket("/r/inner") as socket:
        socket.send(4)
        assert socket.receive_bytes() == b"\x08"
        socket.send(4)
        assert socket.receive()["status"] == 429


def test_methods_of_controllers_are_listeners_with_self():
    class Rooms(Controller):
        path = "/rooms"
        greeting = "hello"

        @listener("/{name}")
        async def greet(self, data: str, name: str) -> str:
            return f"{self.greeting} {name} {data}"

    with create_test_client(Rooms).websocket("/rooms/ada") as socket:
        socket.send("!")
        assert socket.receive_text() == "hello ada !"


def test_sync_to_thread_false_runs_def_on_the_loop():
    @listener("/", sync_to_thread=False)
    def name(data: str) -> str:
        return threading.current_thread().name

    with create_test_client(name).websocket("/") as socket:
        socket.send("")
        assert socket.receive_text() == "gateway-test-loop"


@pytest.mark.parametrize("kind", ["def", "async"])
def test_on_drain_runs_before_the_connection_is_closed_with_1012(kind):
    log = []

    class Drained(Listener):
        path = "/"

        async def on_message(self, data: str) -> str:
            return data

        async def on_disconnect(self, code: int) -> None:
            log.append(code)

    def drain(self) -> None:
        log.append("drain")

    async def drain_async(self) -> None:
        log.append("drain")

    Drained.on_drain = drain if kind == "def" else drain_async  # type: ignore[attr-defined]

    client = TestClient(Gateway([Drained], graceful_timeout=1))
    with client.websocket("/") as socket:
        socket.send("x")
        assert socket.receive_text() == "x"
        client.gateway.drain()
        with pytest.raises(WebSocketDisconnect) as caught:
            socket.receive()
        assert (caught.value.code, caught.value.reason) == (1012, "The server restarts.")
    assert log == ["drain", 1012]


def test_sockets_know_that_the_process_ends():
    log = []

    from hybrid_gateway import websocket

    @websocket("/")
    async def hold(socket: WebSocket) -> None:
        await socket.accept()
        assert not socket.is_draining
        await socket.wait_draining()
        log.append(socket.is_draining)
        await socket.send("last words")
        await socket.receive()

    client = TestClient(Gateway([hold], graceful_timeout=1))
    with client.websocket("/") as socket:
        client.gateway.drain()
        assert socket.receive_text() == "last words"
        with pytest.raises(WebSocketDisconnect):
            socket.receive()
        assert socket.close_code == 1012
    assert log == [True]


def test_many_connections_at_once_keep_to_themselves():
    log = []
    gateway = Gateway([counting(log)])

    async def use(number: int) -> None:
        async with AsyncTestClient(gateway).websocket(f"/{number}") as socket:
            for step in range(1, 6):
                await socket.send(number)
                assert await socket.receive_text() == f"{number} {number * step}"

    async def run() -> None:
        await asyncio.gather(*(use(number) for number in range(50)))

    asyncio.run(run())
    assert sorted(entry for entry in log if entry.startswith("disconnect")) == sorted(
        f"disconnect {number} {number * 5} 1000" for number in range(50)
    )
    assert len(gateway.websocket_registry) == 0
