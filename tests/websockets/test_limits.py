"""Limits of one websocket: how big, how many, how long, and how much waits."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from starlette.websockets import WebSocketDisconnect

from hybrid_gateway import Gateway, Router, WebSocket, listener, stream, websocket
from hybrid_gateway.test import ServerHabits, TestClient, WebSocketSession, create_test_client


@listener("/length", max_message_size=10)
async def length(data: str) -> int:
    return len(data.encode())


# --- size ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["x" * 10, "ü" * 5, "€€€x", "😀😀", b"x" * 10])
def test_a_message_may_have_as_many_bytes_as_the_limit(text):
    with create_test_client(length).websocket("/length") as socket:
        socket.send(text)
        assert socket.receive(int) <= 10


@pytest.mark.parametrize("text", ["x" * 11, "ü" * 6, "€€€€", "😀😀😀", b"x" * 11])
def test_a_message_with_more_bytes_is_1009(text):
    with create_test_client(length).websocket("/length") as socket:
        socket.send(text)
        with pytest.raises(WebSocketDisconnect) as caught:
            socket.receive()
        assert caught.value.code == 1009
        assert "10 bytes" in caught.value.reason


def test_the_usual_limit_is_64_kib():
    @listener("/")
    async def size(data: str) -> int:
        return len(data)

    client = create_test_client(size)
    with client.websocket("/") as socket:
        socket.send("x" * 65536)
        assert socket.receive() == 65536
        socket.send("x" * 65537)
        with pytest.raises(WebSocketDisconnect):
            socket.receive()
        assert socket.close_code == 1009


def test_streams_are_limited_too():
    @stream("/", max_message_size=5)
    async def talk() -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(60)

    with create_test_client(talk).websocket("/") as socket:
        socket.receive()
        socket.send("123456")
        with pytest.raises(WebSocketDisconnect):
            socket.receive()
        assert socket.close_code == 1009


# --- messages per second ---------------------------------------------------------------------------------------------


@listener("/echo", message_throttle=["3/hour"])
async def echo(data: str) -> str:
    return data


def use_up(socket: WebSocketSession) -> None:
    """Send the three messages that the rate allows."""
    for number in range(3):
        socket.send(str(number))
        assert socket.receive_text() == str(number)


def test_messages_over_the_rate_are_answered_429_each_time():
    with create_test_client(echo).websocket("/echo") as socket:
        use_up(socket)
        for _ in range(3):
            socket.send("x")
            error = socket.receive()
            assert (error["type"], error["status"]) == ("error", 429)
            assert error["retry_after"] > 0
        assert socket.close_code is None


def test_ten_messages_over_the_rate_in_a_row_are_4429():
    with create_test_client(echo).websocket("/echo") as socket:
        use_up(socket)
        for _ in range(11):
            socket.send("x")
        assert [socket.receive()["status"] for _ in range(10)] == [429] * 10
        with pytest.raises(WebSocketDisconnect) as caught:
            socket.receive()
        assert caught.value.code == 4429


def test_the_next_window_lets_messages_through_and_the_row_begins_anew():
    with create_test_client(echo).websocket("/echo") as socket:
        for _ in range(2):
            use_up(socket)
            for _ in range(9):
                socket.send("x")
                assert socket.receive()["status"] == 429
            socket.advance(3600)
        assert socket.close_code is None


def test_each_connection_has_a_rate_of_its_own():
    client = create_test_client(echo)
    for _ in range(3):
        with client.websocket("/echo") as socket:
            use_up(socket)


def test_the_strictest_of_several_rates_counts():
    @listener("/", message_throttle=["5/hour", "2/day"])
    async def answer(data: str) -> str:
        return data

    with create_test_client(answer).websocket("/") as socket:
        for _ in range(2):
            socket.send("x")
            assert socket.receive_text() == "x"
        socket.send("x")
        assert socket.receive()["status"] == 429


# --- clients that do not read ----------------------------------------------------------------------------------------


def flooding(log: list, **options):
    @websocket("/", **options)
    async def flood(socket: WebSocket) -> None:
        try:
            for number in range(1000):
                await socket.send(str(number).zfill(100))
                log.append(number)
        except WebSocketDisconnect as error:
            log.append(error.code)
            raise

    return flood


NOT_READING = ServerHabits(window=5)


def test_who_sends_waits_for_a_client_that_does_not_read():
    log = []
    with create_test_client(flooding(log, send_queue=10)).websocket("/", habits=NOT_READING) as socket:
        with pytest.raises(AssertionError):
            socket.receive(bytes)
        socket.advance(0)
        assert len(log) <= 20
        assert int(socket.receive_text()) == 1
        received = [int(socket.receive_text()) for _ in range(998)]
        assert received == list(range(2, 1000))
    assert log == list(range(1000))


def test_a_client_that_reads_nothing_for_long_is_cut_with_4408():
    log = []
    route = flooding(log, send_queue=10, ping_interval=20)
    with create_test_client(route).websocket("/", habits=NOT_READING) as socket:
        assert int(socket.receive_text()) == 0
        for _ in range(4):
            socket.advance(15)
            if log and log[-1] == 4408:
                break
        socket.close()
    assert log[-1] == 4408


def test_tasks_of_a_handler_wait_for_a_full_queue_as_well():
    seen = []

    @websocket("/", send_queue=(3, 1000))
    async def hold(socket: WebSocket) -> None:
        await socket.accept()

        async def tell(number: int) -> None:
            await socket.send(number)
            seen.append(number)

        await asyncio.gather(*(tell(number) for number in range(100)))

    with create_test_client(hold).websocket("/", habits=ServerHabits(window=1)) as socket:
        assert sorted(socket.receive() for _ in range(100)) == list(range(100))
    assert sorted(seen) == list(range(100))


def test_a_client_that_sends_without_end_is_not_kept_in_memory():
    gate = asyncio.Event()

    @websocket("/")
    async def hold(socket: WebSocket) -> None:
        await socket.accept()
        await gate.wait()
        count = 0
        async for _ in socket.iter(str):
            count += 1
            if count == 1000:
                await socket.send(count)

    with create_test_client(hold).websocket("/") as socket:
        for _ in range(1000):
            socket.send("x" * 100)
        socket.advance(0)
        waiting = socket._exchange._incoming.qsize()
        assert waiting > 800  # the server has stopped reading
        socket._call_soon(gate.set)
        assert socket.receive() == 1000


# --- time ------------------------------------------------------------------------------------------------------------


def test_a_silent_connection_is_closed_with_1001_and_a_reason():
    @listener("/", idle_timeout=60)
    async def answer(data: str) -> str:
        return data

    with create_test_client(answer).websocket("/") as socket:
        for _ in range(3):
            socket.advance(50)
            socket.send("x")
            assert socket.receive_text() == "x"
        socket.advance(61)
        with pytest.raises(WebSocketDisconnect) as caught:
            socket.receive()
        assert caught.value.code == 1001
        assert caught.value.reason


def test_what_is_sent_is_a_sign_of_life_as_well():
    @websocket("/", idle_timeout=60)
    async def hold(socket: WebSocket) -> None:
        await socket.accept()
        async for _ in socket.iter(str):
            await socket.send("ok")

    with create_test_client(hold).websocket("/") as socket:
        socket.advance(30)
        socket.send("")
        socket.receive_text()
        socket.advance(45)
        assert socket.close_code is None
        socket.advance(45)
        assert socket.close_code == 1001


def test_a_connection_that_is_too_old_is_closed_whatever_it_does():
    @listener("/", max_lifetime=3600)
    async def answer(data: str) -> str:
        return data

    with create_test_client(answer).websocket("/") as socket:
        socket.advance(3599)
        socket.send("x")
        assert socket.receive_text() == "x"
        socket.advance(2)
        with pytest.raises(WebSocketDisconnect) as caught:
            socket.receive()
        assert caught.value.code == 1001
        assert caught.value.reason


def test_limits_are_options_of_layers():
    @listener("/")
    async def answer(data: str) -> str:
        return data

    gateway = Gateway([Router("/r", [answer], max_message_size=3)], idle_timeout=5)
    with TestClient(gateway).websocket("/r/") as socket:
        socket.send("abc")
        assert socket.receive_text() == "abc"
        socket.send("abcd")
        with pytest.raises(WebSocketDisconnect):
            socket.receive()
        assert socket.close_code == 1009
    with TestClient(gateway).websocket("/r/") as socket:
        socket.advance(6)
        assert socket.close_code == 1001


def test_nothing_ends_a_connection_that_has_no_limits():
    @listener("/")
    async def answer(data: str) -> str:
        return data

    with create_test_client(answer).websocket("/") as socket:
        socket.advance(1_000_000)
        socket.send("x")
        assert socket.receive_text() == "x"
