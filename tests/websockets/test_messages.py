"""Messages of websockets: typed by annotations, encoded by the mode of the route, refused by a frame."""

import datetime
import decimal
import uuid
from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
import pytest
from starlette.websockets import WebSocketDisconnect

from hybrid_gateway import Gateway, Router, WebSocket, listener, stream, websocket
from hybrid_gateway.exceptions import DependencyError, HTTPException, RequestValidationError
from hybrid_gateway.test import TestClient, create_test_client


class Ask(msgspec.Struct, tag=True):
    question: str


class Say(msgspec.Struct, tag=True):
    text: Annotated[str, msgspec.Meta(max_length=5)]


class Said(msgspec.Struct):
    text: str


class Answer(msgspec.Struct):
    text: str
    secret: str = "hidden"


class Money:
    def __init__(self, cents: int) -> None:
        self.cents = cents


# --- listeners: in and out -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["json", "msgpack"])
def test_a_union_is_told_apart_by_its_tags(mode):
    @listener("/", mode=mode)
    async def answer(data: Ask | Say) -> Said:
        return Said(f"{type(data).__name__} {data!r}")

    with create_test_client(answer).websocket("/") as socket:
        socket.send(Ask("why?"))
        assert socket.receive(Said).text.startswith("Ask")
        socket.send(Say("so"))
        assert socket.receive(Said).text.startswith("Say")


@pytest.mark.parametrize("mode", ["json", "msgpack"])
def test_text_or_bytes_takes_frames_as_they_are(mode):
    @listener("/listener", mode=mode)
    async def listen(data: str | bytes) -> str | bytes:
        return data

    @websocket("/socket", mode=mode)
    async def converse(socket: WebSocket) -> None:
        async for message in socket.iter(bytes | str):
            await socket.send(message)

    client = create_test_client([listen, converse])
    for path in ("/listener", "/socket"):
        with client.websocket(path) as socket:
            for message in ("text", "[1]", b"\xff\x00", b"text"):
                socket.send(message)
                assert socket.receive(str | bytes) == message


@pytest.mark.parametrize("mode", ["json", "msgpack"])
def test_frames_are_text_of_json_or_binary_of_message_pack(mode):
    @listener("/", mode=mode)
    async def answer(data: dict) -> dict:
        return data

    encode = msgspec.json.encode if mode == "json" else msgspec.msgpack.encode
    with create_test_client(answer).websocket("/") as socket:
        socket.send({"a": [1, None]})
        frame = socket.receive_text().encode() if mode == "json" else socket.receive_bytes()
        assert frame == encode({"a": [1, None]})


def test_json_may_come_in_a_binary_frame():
    @listener("/")
    async def answer(data: Say) -> str:
        return data.text

    with create_test_client(answer).websocket("/") as socket:
        socket.send_bytes(msgspec.json.encode(Say("x")))
        assert socket.receive_text() == "x"


def test_message_pack_does_not_come_in_a_text_frame():
    @listener("/", mode="msgpack")
    async def answer(data: Say) -> str:
        return data.text

    with create_test_client(answer).websocket("/") as socket:
        socket.send_text('{"type": "Say", "text": "x"}')
        error = msgspec.msgpack.decode(socket.receive_bytes())
        assert (error["type"], error["status"]) == ("error", 400)


@pytest.mark.parametrize(
    ("kind", "frames"),
    [
        (str, ["x", "", "ü€", '{"a": 1}']),
        (bytes, [b"x", b"", bytes(range(256))]),
    ],
)
def test_text_and_bytes_are_taken_and_sent_as_they_are(kind, frames):
    async def answer(data: Any) -> Any:
        return data

    answer.__annotations__.update(data=kind, **{"return": kind})
    with create_test_client(listener("/")(answer)).websocket("/") as socket:
        for frame in frames:
            socket.send(frame)
            assert socket.receive(kind) == frame


def test_text_is_taken_from_binary_frames_if_it_is_text():
    @listener("/")
    async def answer(data: str) -> str:
        return data

    with create_test_client(answer).websocket("/") as socket:
        socket.send("ü".encode())
        assert socket.receive_text() == "ü"
        socket.send(b"\xff")
        assert socket.receive()["status"] == 400


@pytest.mark.parametrize("annotation", [dict, dict[str, Any], list, list[int], int, Any])
def test_any_annotation_that_a_body_may_have_is_one_of_messages(annotation):
    async def answer(data: Any) -> Any:
        return {"got": data}

    answer.__annotations__["data"] = annotation
    values = {list: [1], list[int]: [1], int: 1}
    value = values.get(annotation, {"x": 1})
    with create_test_client(listener("/")(answer)).websocket("/") as socket:
        socket.send(value)
        assert socket.receive() == {"got": value}


def test_an_unannotated_message_is_of_any_shape():
    @listener("/")
    async def answer(data):
        return [data]

    with create_test_client(answer).websocket("/") as socket:
        for value in (1, None, {"a": 1}, [True]):
            socket.send_json(value)
            assert socket.receive() == [value]


def test_plain_types_are_sent_as_json():
    values = [
        datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
        uuid.UUID(int=1),
        decimal.Decimal("1.50"),
        [Said("x")],
        {"a": Said("y")},
        7,
        1.5,
        True,
    ]

    @websocket("/")
    async def send_all(socket: WebSocket) -> None:
        for value in values:
            await socket.send(value)

    with create_test_client(send_all).websocket("/") as socket:
        assert [socket.receive_text().encode() for _ in values] == [msgspec.json.encode(value) for value in values]


def test_nothing_returned_is_nothing_sent():
    @listener("/")
    async def answer(data: str) -> str | None:
        return None if data == "quiet" else data

    with create_test_client(answer).websocket("/") as socket:
        socket.send("quiet")
        socket.send("loud")
        assert socket.receive_text() == "loud"


def test_what_is_returned_is_cut_down_to_the_annotation():
    class Public(msgspec.Struct):
        text: str

    @listener("/")
    async def answer(data: str) -> Public:
        return Answer(data)  # type: ignore[return-value]

    @stream("/stream")
    async def tell() -> AsyncIterator[Public]:
        yield Answer("x")  # type: ignore[misc]

    client = create_test_client(answer, tell)
    with client.websocket("/") as socket:
        socket.send("x")
        assert socket.receive() == {"text": "x"}
    with client.websocket("/stream") as socket:
        assert socket.receive() == {"text": "x"}


def test_custom_classes_are_read_and_sent_by_the_layers_functions():
    class Price(msgspec.Struct):
        amount: Money

    @listener("/")
    async def answer(data: Price) -> Price:
        return Price(Money(data.amount.cents * 2))

    @websocket("/socket")
    async def hold(socket: WebSocket) -> None:
        price = await socket.receive(Price)
        await socket.send(price)

    options = {"type_decoders": {Money: Money}, "type_encoders": {Money: lambda money: money.cents}}
    client = TestClient(Gateway([Router("/a", [answer, hold], **options)]))
    with client.websocket("/a/") as socket:
        socket.send({"amount": 3})
        assert socket.receive() == {"amount": 6}
    with client.websocket("/a/socket") as socket:
        socket.send({"amount": 3})
        assert socket.receive() == {"amount": 3}


def test_messages_are_answered_in_order_one_at_a_time():
    running = []

    @listener("/")
    def answer(data: int) -> int:
        running.append(data)
        assert len(running) == 1
        running.clear()
        return data

    with create_test_client(answer).websocket("/") as socket:
        for number in range(50):
            socket.send(number)
        assert [socket.receive(int) for _ in range(50)] == list(range(50))


# --- the socket itself -----------------------------------------------------------------------------------------------


def test_receive_is_typed_and_raises_what_does_not_fit():
    caught = []

    @websocket("/")
    async def hold(socket: WebSocket) -> None:
        assert await socket.receive(Ask | Say) == Ask("x")
        assert await socket.receive() == {"any": "thing"}
        assert await socket.receive(dict) == {"a": 1}
        for _ in range(2):
            try:
                await socket.receive(Say)
            except HTTPException as error:
                caught.append(error)
        await socket.send("still open")

    with create_test_client(hold).websocket("/") as socket:
        socket.send(Ask("x"))
        socket.send({"any": "thing"})
        socket.send({"a": 1})
        socket.send(Say("much too long"))
        socket.send_text("{")
        assert socket.receive_text() == "still open"
    assert isinstance(caught[0], RequestValidationError)
    assert [error.status_code for error in caught] == [422, 400]


def test_receive_and_send_of_each_kind():
    @websocket("/")
    async def hold(socket: WebSocket) -> None:
        await socket.send_text(await socket.receive_text())
        await socket.send_bytes(await socket.receive_bytes())
        await socket.send_json(await socket.receive_json())
        await socket.send_json("quoted")
        await socket.send(bytearray(b"x"))
        await socket.send(memoryview(b"y"))

    with create_test_client(hold).websocket("/") as socket:
        socket.send_text("a")
        socket.send_bytes(b"b")
        socket.send_json({"c": 1})
        assert (socket.receive_text(), socket.receive_bytes(), socket.receive_json()) == ("a", b"b", {"c": 1})
        assert (socket.receive_text(), socket.receive_bytes(), socket.receive_bytes()) == ('"quoted"', b"x", b"y")


def test_a_type_that_no_message_can_have_is_told():
    class Opaque:
        pass

    caught = []

    @websocket("/")
    async def hold(socket: WebSocket) -> None:
        try:
            await socket.receive(Opaque)
        except DependencyError as error:
            caught.append(str(error))

    with create_test_client(hold).websocket("/") as socket:
        socket.send("x")
        with pytest.raises(WebSocketDisconnect):
            socket.receive()
    assert "Opaque" in caught[0]


def test_what_cannot_be_encoded_is_a_bug():
    @websocket("/")
    async def hold(socket: WebSocket) -> None:
        await socket.send(object())

    client = TestClient(Gateway([hold]), raise_request_exception=False)
    with client.websocket("/") as socket:
        assert socket.receive()["status"] == 500
        with pytest.raises(WebSocketDisconnect):
            socket.receive()
        assert socket.close_code == 1011


# --- frames that do not fit ------------------------------------------------------------------------------------------

BAD = [
    ({"type": "Ask"}, 422, [["message", "question"]]),
    ({"type": "Ask", "question": 1}, 422, [["message", "question"]]),
    ({"type": "Say", "text": "longer than five"}, 422, [["message", "text"]]),
    ({"type": "Nay"}, 422, None),
    ({}, 422, None),
    ([], 422, None),
    ("{", 400, None),
    ("", 400, None),
    (b"\xff\xfe", 400, None),
    ("[" * 3000, 400, None),
]


@pytest.mark.parametrize(("sent", "status", "places"), BAD)
@pytest.mark.parametrize("kind", ["listener", "iter"])
def test_a_frame_that_does_not_fit_is_answered_by_problem_details_and_no_close(kind, sent, status, places):
    @listener("/listener")
    async def answer(data: Ask | Say) -> str:
        return "fits"

    @websocket("/iter")
    async def hold(socket: WebSocket) -> None:
        async for _ in socket.iter(Ask | Say):
            await socket.send("fits")

    with create_test_client(answer, hold).websocket(f"/{kind}") as socket:
        socket.send(sent)
        error = socket.receive(dict)
        assert (error["type"], error["status"]) == ("error", status)
        assert error["title"]
        assert "instance" not in error
        if places is not None:
            assert [entry["loc"] for entry in error["errors"]] == places
        socket.send(Say("ok"))
        assert socket.receive_text() == "fits"


def test_errors_are_message_pack_where_the_route_is():
    @listener("/", mode="msgpack")
    async def answer(data: Say) -> str:
        return "fits"

    with create_test_client(answer).websocket("/") as socket:
        socket.send(Ask("x"))
        error = msgspec.msgpack.decode(socket.receive_bytes())
        assert (error["type"], error["status"]) == ("error", 422)
        socket.send(b"\xc1")
        assert msgspec.msgpack.decode(socket.receive_bytes())["status"] == 400


def test_every_mistake_in_a_frame_is_told():
    class Pair(msgspec.Struct):
        a: int
        b: list[int]

    @listener("/")
    async def answer(data: Pair) -> None:
        """Take it."""

    with create_test_client(answer).websocket("/") as socket:
        socket.send({"a": "x", "b": [1, "y"]})
        assert [entry["loc"] for entry in socket.receive()["errors"]] == [["message", "a"], ["message", "b", 1]]


def test_the_mode_is_an_option_of_layers():
    @listener("/")
    async def answer(data: int) -> int:
        return data + 1

    with TestClient(Gateway([Router("/r", [answer])], mode="msgpack")).websocket("/r/") as socket:
        socket.send(1)
        assert msgspec.msgpack.decode(socket.receive_bytes()) == 2


def test_a_handler_may_send_an_error_and_go_on():
    @websocket("/")
    async def hold(socket: WebSocket) -> None:
        await socket.send_error(HTTPException(409, "Not now."))
        await socket.send("on")

    with create_test_client(hold).websocket("/") as socket:
        error = socket.receive()
        assert (error["type"], error["status"], error["detail"]) == ("error", 409, "Not now.")
        assert socket.receive_text() == "on"
