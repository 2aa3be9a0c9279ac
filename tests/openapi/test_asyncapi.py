"""The AsyncAPI document: channels, operations and messages by the types of websocket handlers."""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
import pytest

from hybrid_gateway import Controller, Cookie, Gateway, Header, Listener, Query, WebSocket, listener, post, stream
from hybrid_gateway import websocket as websocket_route
from hybrid_gateway.auth import APIKeyAuthentication, IsAuthenticated
from hybrid_gateway.channels import Channel
from hybrid_gateway.conf import OpenAPISettings
from hybrid_gateway.exceptions import RouteError
from hybrid_gateway.openapi.asyncapi_document import build_asyncapi
from hybrid_gateway.openapi.document import build_document
from hybrid_gateway.test import TestClient


class Ask(msgspec.Struct, tag="ask"):
    """A question."""

    text: str


class Say(msgspec.Struct, tag="say"):
    text: str


class Said(msgspec.Struct):
    text: str
    pair: tuple[int, str] = (0, "")
    answer: Ask | Say | None = None


@listener("/chat/{room_id:int}", tags=["chat"])
async def chat(data: Ask | Say, room_id: int, x_tenant: Annotated[str, Header(description="Who.")]) -> Said | None:
    """Talk in a room.

    At length.
    """


def written(*routes, **settings):
    gateway = Gateway([*routes])
    return msgspec.json.decode(
        msgspec.json.encode(build_asyncapi(gateway.websockets, OpenAPISettings(**settings), gateway.endpoints))
    )


def names_of(document, operation):
    return [entry["$ref"].rpartition("/")[2] for entry in document["operations"][operation]["messages"]]


def test_a_listener_is_a_channel_with_what_comes_in_and_what_goes_out():
    document = written(chat, title="Shop", version="2", description="All of it.")
    assert document["asyncapi"] == "3.0.0"
    assert document["info"] == {
        "title": "Shop",
        "version": "2",
        "description": "All of it.",
        "tags": [{"name": "chat"}],
    }
    channel = document["channels"]["chat"]
    assert (channel["address"], channel["title"], channel["description"]) == (
        "/chat/{room_id}",
        "Talk in a room.",
        "At length.",
    )
    assert channel["parameters"] == {"room_id": {"x-schema": {"type": "integer"}}}
    assert channel["x-handshake-errors"] == {"404": "Not Found", "422": "Unprocessable Content"}
    assert document["operations"]["chat_receive"]["action"] == "receive"
    assert names_of(document, "chat_receive") == ["Ask", "Say"]
    assert names_of(document, "chat_send") == ["Said", "ErrorFrame"]
    assert channel["messages"]["Ask"] == {
        "name": "Ask",
        "summary": "A question.",
        "contentType": "application/json",
        "payload": {"$ref": "#/components/schemas/Ask"},
    }


def test_query_headers_and_cookies_are_those_of_the_handshake():
    @stream("/prices")
    async def prices(
        products: list[int], key: Annotated[str, Header()], page: Annotated[str, Cookie()] = "x"
    ) -> AsyncIterator[Said]:
        yield Said("")

    channel = written(prices)["channels"]["prices"]
    query = {"type": "object", "properties": {"products": {"type": "array", "items": {"type": "integer"}}}}
    assert channel["bindings"]["ws"] == {
        "method": "GET",
        "query": {**query, "required": ["products"]},
        "headers": {"type": "object", "properties": {"key": {"type": "string"}}, "required": ["key"]},
        "bindingVersion": "0.1.0",
    }
    assert channel["x-cookies"]["properties"] == {"page": {"type": "string", "default": "x"}}


def test_a_stream_sends_and_receives_nothing():
    @stream("/prices", mode="msgpack", deprecated=True)
    async def prices() -> AsyncIterator[Said]:
        yield Said("")

    document = written(prices)
    assert list(document["operations"]) == ["prices_send"]
    assert document["channels"]["prices"]["x-deprecated"] is True
    assert {message["contentType"] for message in document["channels"]["prices"]["messages"].values()} == {
        "application/msgpack"
    }


def test_a_socket_says_what_it_speaks_or_that_it_may_be_anything():
    @websocket_route("/typed", receives=Ask | Say, sends=str)
    async def typed(socket: WebSocket) -> None: ...

    @websocket_route(["/free", "/free/again"])
    async def free(socket: WebSocket) -> None: ...

    document = written(typed, free)
    assert names_of(document, "typed_receive") == ["Ask", "Say"]
    assert names_of(document, "typed_send") == ["Text", "ErrorFrame"]
    assert document["channels"]["typed"]["messages"]["Text"]["contentType"] == "text/plain"
    assert names_of(document, "free_receive") == ["Message"]
    assert sorted(channel["address"] for channel in document["channels"].values()) == ["/free", "/free/again", "/typed"]


class Mood(enum.StrEnum):
    GOOD = "good"


Short = Annotated[str, msgspec.Meta(max_length=3)]
JSON, TEXT, BINARY, PACKED = "application/json", "text/plain", "application/octet-stream", "application/msgpack"


def frames_of(document, operation):
    """The messages of an operation, but for errors: the type of each schema, or its name, by its media type."""
    channel = document["channels"][operation.rpartition("_")[0]]
    messages = [channel["messages"][name] for name in names_of(document, operation) if name != "ErrorFrame"]
    return [(message["payload"].get("type", message["name"]), message["contentType"]) for message in messages]


@pytest.mark.parametrize(
    ("kind", "sent", "refused", "frames"),
    [
        (str, ["x", b"x"], None, [("string", TEXT)]),
        (bytes, ["x", b"x"], None, [("string", BINARY)]),
        (str | bytes, ["x", b"x"], None, [("string", TEXT), ("string", BINARY)]),
        (str | None, ['"x"', "null"], "x", [("string", JSON), ("null", JSON)]),
        (bytes | None, ['"eA=="', "null"], b"x", [("string", JSON), ("null", JSON)]),
        (Ask | str, ['"x"', '{"type":"ask","text":""}'], "x", [("Ask", JSON), ("string", JSON)]),
        (Say | None, ['{"type":"say","text":""}', "null"], "x", [("Say", JSON), ("null", JSON)]),
        (Short, ['"x"'], "x", [("string", JSON)]),
        (Mood, ['"good"'], "good", [("Mood", JSON)]),
        (Literal["on"], ['"on"'], "on", [("string", JSON)]),
        (None, ["null"], "x", [("null", JSON)]),
    ],
)
def test_what_is_received_is_a_frame_as_it_is_or_is_encoded_as_the_document_says(kind, sent, refused, frames):
    taken = []

    async def take(data) -> str:
        taken.append(data)
        return "taken"

    take.__annotations__["data"] = kind
    route = listener("/take")(take)
    assert frames_of(written(route), "take_receive") == frames
    with TestClient(Gateway([route])).websocket("/take") as socket:
        for data in sent if refused is None else [*sent, refused]:
            (socket.send_text if isinstance(data, str) else socket.send_bytes)(data)
            answer = socket.receive_text()
            assert (answer == "taken") is (data is not refused or refused is None), (data, answer)
    assert len(taken) == len(sent)


def test_message_pack_has_bytes_of_its_own():
    @listener("/take", mode="msgpack")
    async def take(data: Ask | bytes) -> None: ...

    document = written(take)
    assert frames_of(document, "take_receive") == [("Ask", PACKED), ("string", PACKED)]
    assert document["channels"]["take"]["messages"]["Bytes"]["payload"]["format"] == "binary"


@pytest.mark.parametrize(
    ("kind", "value", "frame"),
    [
        (Said | str | None, "x", ("string", TEXT)),
        (Short | int, "x", ("string", TEXT)),
        (Short | int, 5, ("integer", JSON)),
        (Literal["on", "off"], "on", ("string", TEXT)),
        (Literal[1, 2], 1, ("integer", JSON)),
        (Mood, Mood.GOOD, ("Mood", TEXT)),
        (Ask | bytes, b"x", ("string", BINARY)),
        (int | None, None, ("null", JSON)),
    ],
)
def test_text_and_bytes_are_sent_as_they_are_and_streams_send_none(kind, value, frame):
    async def give():
        yield value

    async def answer(data: str):
        return value

    give.__annotations__["return"] = AsyncIterator[kind]
    answer.__annotations__["return"] = kind
    routes = stream("/give")(give), listener("/answer")(answer)
    document = written(*routes)
    frames = frames_of(document, "give_send")
    assert frame in frames
    assert frames_of(document, "answer_send") == [entry for entry in frames if entry != ("null", JSON)]
    with TestClient(Gateway([*routes])).websocket("/give") as socket:
        sent = socket.receive_bytes() if isinstance(value, bytes) else socket.receive_text()
    assert sent == (value if frame[1] in (TEXT, BINARY) else msgspec.json.encode(value).decode())


def test_values_of_channels_are_encoded_whatever_they_are():
    channel = Channel("encoded", bytes | None)
    document = written(stream("/encoded", channel=channel, name="encoded"))
    data = [
        message["payload"]["properties"]["data"]
        for name, message in document["channels"]["encoded"]["messages"].items()
        if name in ("Bytes", "Null")
    ]
    assert data[0]["contentEncoding"] == "base64" and data[1] == {"type": "null"}


def test_what_a_signature_says_is_not_said_again():
    with pytest.raises(RouteError, match=r"receives= and sends= are for @websocket"):
        listener("/", sends=Said)


def test_listeners_with_state_and_controllers_are_there_and_what_is_hidden_is_not():
    class Lobby(Listener):
        path = "/lobby"

        async def on_message(self, data: Ask) -> Said: ...

    class Rooms(Controller):
        path = "/rooms"

        @listener("/{name}")
        async def room(self, data: str, name: str) -> str: ...

    @listener("/hidden", include_in_schema=False)
    async def hidden(data: str) -> None: ...

    document = written(Lobby, Rooms, hidden)
    assert {channel["address"] for channel in document["channels"].values()} == {"/lobby", "/rooms/{name}"}
    [lobby] = [channel for channel in document["channels"].values() if channel["address"] == "/lobby"]
    assert lobby["title"] == "Lobby"
    assert set(lobby["messages"]) == {"Ask", "Said", "ErrorFrame"}


def test_security_is_that_of_the_other_document():
    by_key = APIKeyAuthentication(query="key")

    @listener("/mine", authentication=[by_key], guards=[IsAuthenticated])
    async def mine(data: str) -> str: ...

    @listener("/open", authentication=[by_key])
    async def anybody(data: str) -> str: ...

    @post("/mine", authentication=[by_key], guards=[IsAuthenticated])
    async def post_mine() -> str: ...

    gateway = Gateway([mine, anybody, post_mine])
    other = build_document(gateway.endpoints, OpenAPISettings())
    document = build_asyncapi(gateway.websockets, OpenAPISettings(), gateway.endpoints)
    [(name, scheme)] = document["components"]["securitySchemes"].items()
    assert {**scheme, "type": "apiKey"} == other["components"]["securitySchemes"][name]
    assert scheme["type"] == "httpApiKey"
    assert document["operations"]["mine_send"]["security"] == [{"$ref": f"#/components/securitySchemes/{name}"}]
    assert "x-security-optional" not in document["operations"]["mine_send"]
    assert document["channels"]["mine"]["x-handshake-errors"].keys() >= {"401", "403"}
    assert "query" not in document["channels"]["mine"]["bindings"]["ws"]  # the key is no parameter beside


def test_schemas_are_those_of_the_other_document_as_far_as_they_are_used():
    class Unused(msgspec.Struct):
        a: int

    @post("/said")
    async def say(data: Said) -> Unused: ...

    gateway = Gateway([chat, say])
    other = build_document(gateway.endpoints, OpenAPISettings())["components"]["schemas"]
    mine = build_asyncapi(gateway.websockets, OpenAPISettings(), gateway.endpoints)["components"]["schemas"]
    assert "Unused" in other and set(mine) == {"Ask", "Say", "Said", "ErrorFrame", "ProblemError"}
    assert mine["Ask"] == other["Ask"]
    assert mine["Said"]["properties"]["pair"]["items"] == [{"type": "integer"}, {"type": "string"}]  # draft 7
    assert '"discriminator":"type"' in msgspec.json.encode(mine).decode()


def test_a_class_of_a_name_that_the_other_document_gives_away_has_another_here():
    theirs = msgspec.defstruct("Said", [("a", int)], module="shop")

    async def say(data: object) -> None: ...

    say.__annotations__["data"] = theirs
    gateway = Gateway([post("/said")(say), chat])
    schemas = build_asyncapi(gateway.websockets, OpenAPISettings(), gateway.endpoints)["components"]["schemas"]
    other = build_document(gateway.endpoints, OpenAPISettings())["components"]["schemas"]
    assert other["Said"]["properties"].keys() == {"a"}
    assert "Said" not in schemas


def test_an_error_frame_is_told_from_messages_by_its_type():
    schema = written(chat)["components"]["schemas"]["ErrorFrame"]
    assert schema["properties"]["type"] == {"type": "string", "const": "error"}
    assert schema["required"] == ["type", "title", "status"]


def test_close_codes_say_whether_to_come_back():
    codes = written(chat)["x-close-codes"]
    assert codes["1012"]["reconnect"].startswith("yes") and codes["1000"]["reconnect"] == "no"


def test_it_is_served_beside_the_other_one_where_there_are_websockets():
    settings = OpenAPISettings(enabled=True, title="Shop")
    client = TestClient(Gateway([chat], openapi=settings))
    document = client.get("/asyncapi.json", secure=True).json()
    assert document["info"]["title"] == "Shop"
    assert document["servers"]["gateway"] == {"host": "testserver", "protocol": "wss", "pathname": "/"}
    assert 'data-asyncapi="/asyncapi.json"' in client.get("/docs").text
    bare = TestClient(Gateway([post("/x")(chat.handler)], openapi=settings))
    assert bare.get("/asyncapi.json").status_code == 404
    assert 'data-asyncapi=""' in bare.get("/docs").text


def test_its_path_is_a_setting_and_lies_below_that_of_the_gateway():
    settings = OpenAPISettings(enabled=True, asyncapi="/live.json")
    client = TestClient(Gateway([chat], path="/api", openapi=settings))
    assert client.get("/api/live.json").json()["channels"]["chat"]["address"] == "/api/chat/{room_id}"
    assert client.get("/api/asyncapi.json").status_code == 404
    assert TestClient(Gateway([chat], openapi=OpenAPISettings(enabled=False))).get("/asyncapi.json").status_code == 404


@pytest.mark.django_db(transaction=True)
def test_it_is_for_staff_where_the_other_one_is():
    client = TestClient(Gateway([chat], openapi=OpenAPISettings(enabled=True, staff_only=True)))
    assert client.get("/asyncapi.json").status_code == 401


def test_constraints_of_a_query_are_in_its_schema():
    @stream("/ticks")
    async def ticks(each: Annotated[int, Query(ge=1, description="Seconds.")] = 5) -> AsyncIterator[int]:
        yield 1

    properties = written(ticks)["channels"]["ticks"]["bindings"]["ws"]["query"]["properties"]
    assert properties["each"] == {"type": "integer", "minimum": 1, "default": 5, "description": "Seconds."}


def test_a_stream_of_a_channel_has_offsets_gaps_and_who_comes_and_goes():
    room = Channel("documented:{room_id}", Said, history=100, history_ttl=60, presence=True)

    @stream("/rooms/{room_id}/live", channel=room)
    async def follow(room_id: int) -> None:
        """Follow a room."""

    document = written(follow, stream("/bare/{room_id}", channel=Channel("bare:{room_id}", Said), name="bare"))
    channel = document["channels"]["follow"]
    assert channel["x-channel"] == {"name": "documented:{room_id}", "history": 100, "historySeconds": 60.0}
    assert names_of(document, "follow_send") == ["Said", "Gap", "Joined", "Left", "ErrorFrame"]
    assert channel["messages"]["Said"]["payload"] == {
        "type": "object",
        "properties": {"offset": {"type": "string"}, "data": {"$ref": "#/components/schemas/Said"}},
        "required": ["offset", "data"],
    }
    since = channel["bindings"]["ws"]["query"]["properties"]["since"]
    assert since["type"] == "string" and "offset" in since["description"]
    assert "follow_receive" not in document["operations"]
    assert names_of(document, "bare_send") == ["Said", "Gap", "ErrorFrame"]
    assert document["channels"]["bare"]["x-channel"] == {"name": "bare:{room_id}"}


def test_a_class_that_is_received_otherwise_than_sent_has_two_schemas():
    class Priced(msgspec.Struct):
        price: Decimal

    @listener("/priced")
    async def priced(data: Priced) -> Priced: ...

    document = written(priced)
    assert {"Priced", "PricedInput"} <= document["components"]["schemas"].keys()
    assert names_of(document, "priced_receive") == ["PricedInput"]
    assert names_of(document, "priced_send") == ["Priced", "ErrorFrame"]
