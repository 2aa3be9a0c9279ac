"""The handshake of a websocket on the lane: what is refused before an application sees it, and that it stands."""

from __future__ import annotations

import asyncio
import random
import socket
from collections import Counter
from contextlib import ExitStack, suppress
from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="The lane needs uvicorn and httptools, which the extra `server` brings.")

from hybrid_gateway import Gateway, get
from hybrid_gateway.drivers.lane.protocol import LaneProtocol
from hybrid_gateway.drivers.lane.websocket_upgrade import HANDSHAKES_A_TURN
from hybrid_gateway.drivers.sockets.websocket_socket import UvicornSocket
from tests.drivers.test_lane import serving, talk
from tests.drivers.test_websocket_socket import run, served
from tests.drivers.websocket_client import KEY, Client, frame, handshake

GOOD = handshake()


def changed(old: str, new: str) -> bytes:
    data = GOOD.replace(old.encode(), new.encode("latin-1"))
    assert data != GOOD
    return data


REFUSED: list[tuple[str, bytes, int]] = [
    ("no key", changed(f"Sec-WebSocket-Key: {KEY}\r\n", ""), 400),
    ("a short key", changed(KEY, "c2hvcnQ="), 400),
    ("a key that is no base64", changed(KEY, "*" * 24), 400),
    ("two keys", handshake("/", f"Sec-WebSocket-Key: {KEY}"), 400),
    ("no version", changed("Sec-WebSocket-Version: 13\r\n", ""), 426),
    ("version 8", handshake(version="8"), 426),
    ("two versions", handshake("/", "Sec-WebSocket-Version: 13"), 426),
    ("POST", changed("GET", "POST"), 405),
    ("a body", handshake("/", "Content-Length: 3") + b"abc", 400),
    ("a body in chunks", handshake("/", "Transfer-Encoding: chunked") + b"0\r\n\r\n", 400),
    ("two hosts", changed("GET / ", "GET http://other.example/ "), 400),
    ("a fragment", handshake("/a#b"), 400),
    ("no path", changed("GET / ", "GET * "), 400),
    ("too many headers", handshake("/", *(f"X-{number}: 1" for number in range(100))), 431),
    ("too long headers", handshake("/", *(f"X-{number}: {'1' * 10_000}" for number in range(7))), 431),
    ("a control", handshake("/", "X: a\x01b"), 400),
]


def test_what_is_out_of_order_is_refused_and_the_connection_ended():
    async def main() -> None:
        async with served() as site:
            for name, data, status in REFUSED:
                client = await Client.connect(site.port)
                client.write(data)
                found, headers = await client.read_head()
                assert found == status, name
                assert headers["connection"] == "close", name
                assert headers.get("sec-websocket-version") == ("13" if status == 426 else None), name
                client.leave()
            assert site.heard.empty()
            client, _ = await site.open()
            client.leave()

    run(main)


def test_the_names_of_the_handshake_are_read_in_any_case_and_among_others():
    async def main() -> None:
        async with served() as site:
            client = await Client.connect(site.port)
            client.write(
                changed(
                    "Upgrade: websocket\r\nConnection: Upgrade", "UPGRADE: WebSocket\r\nconnection: keep-alive, UPGRADE"
                )
            )
            assert (await client.read_head())[0] == 101
            client.leave()

    run(main)


def test_a_header_that_cannot_be_sent_is_an_error_of_the_application():
    async def main() -> None:
        async def attend(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            name = scope["path"]
            if name == "/accept":
                await send({"type": "websocket.accept", "headers": [(b"x", b"a\r\nb: c")]})
            elif name == "/subprotocol":
                await send({"type": "websocket.accept", "subprotocol": "a\r\nb: c"})
            else:
                await send({"type": "websocket.http.response.start", "status": 403, "headers": [(b"a b", b"")]})
                await send({"type": "websocket.http.response.body", "body": b""})

        async with served(attend=attend) as site:
            for path in ("/accept", "/subprotocol", "/deny"):
                client = await Client.connect(site.port)
                client.write(handshake(path))
                assert (await client.read_head())[0] == 500, path
                assert await client.read_end() == b"Internal Server Error"
                client.leave()

    run(main)


@pytest.mark.parametrize("offer", ["a b", "a, b c", 'a;c="x"', "a/b", "\xe9", "a, \x01"])
def test_a_subprotocol_is_a_token(offer):
    async def main() -> None:
        async def attend(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "websocket.accept", "subprotocol": scope["subprotocols"][0]})

        async with served(attend=attend) as site:
            client = await Client.connect(site.port)
            client.write(handshake("/", f"Sec-WebSocket-Protocol: {offer}"))
            assert (await client.read_head())[0] == 400
            client.leave()
            client = await Client.connect(site.port)
            client.write(handshake("/", "Sec-WebSocket-Protocol: a, ,b"))  # an empty element is none
            status, headers = await client.read_head()
            assert (status, dict(headers)["sec-websocket-protocol"]) == (101, "a")
            client.leave()

    run(main)


def test_a_handshake_behind_a_request_that_is_answered_still_waits_for_no_answer():
    @get("/slow")
    async def slow() -> str:
        await asyncio.sleep(0.2)
        return "slow"

    async def main() -> None:
        async with serving(Gateway([slow]), LaneProtocol) as (_, port):
            request = b"GET /slow HTTP/1.1\r\nHost: example.org\r\n\r\n"
            answer, _ = await talk(port, request + GOOD + frame(1, b"x"))
            assert answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"slow") and answer.count(b"HTTP/1.1") == 1

    asyncio.run(main())


def test_a_handshake_that_never_ends_is_cut():
    class Hasty(LaneProtocol):
        head_timeout = 0.2

    async def main() -> None:
        async with serving(Gateway([]), Hasty) as (_, port):
            answer, _ = await talk(port, GOOD[:-2])
            assert answer == b""

    asyncio.run(main())


def test_other_protocols_than_the_lanes_are_uvicorns_as_before():
    wsproto = pytest.importorskip("wsproto", reason="This test needs wsproto, which uvicorn can use.")
    assert wsproto

    async def main() -> None:
        for ws, status in (("wsproto", 403), ("auto", 403)):
            async with serving(Gateway([]), LaneProtocol, ws=ws, lifespan="off") as (server, port):
                client = await Client.connect(port)
                client.write(GOOD)
                found, _ = await client.read_head()
                assert found in (status, 404), ws
                client.leave()

    asyncio.run(main())


def test_nothing_that_is_written_for_a_handshake_ends_the_server():
    generator = random.Random(7)
    words = [
        b"\r\n",
        b": ",
        b"\x00",
        b"\xff",
        b"Upgrade: websocket\r\n",
        b"Connection: Upgrade\r\n",
        b"\r\n\r\n",
        b"GET ",
    ]

    def spoil(data: bytes) -> bytes:
        for _ in range(generator.randint(1, 4)):
            place = generator.randrange(len(data))
            kind = generator.randrange(4)
            if kind == 0:
                data = data[:place] + bytes((generator.randrange(256),)) + data[place + 1 :]
            elif kind == 1:
                data = data[:place] + generator.choice(words) + data[place:]
            elif kind == 2:
                data = data[:place] + data[place + generator.randint(1, 20) :]
            else:
                data = data + frame(generator.randrange(16), b"x" * generator.randrange(200))
        return data

    async def main() -> None:
        async with served() as site:

            async def ask(data: bytes) -> None:
                reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
                writer.write(data)
                writer.write_eof()
                with suppress(ConnectionError):
                    await asyncio.wait_for(reader.read(), 10)
                writer.close()

            more = handshake("/", "Sec-WebSocket-Protocol: a, b", "Sec-WebSocket-Extensions: permessage-deflate")
            for _ in range(15):
                await asyncio.gather(*(ask(spoil(more + frame(1, b"hello"))) for _ in range(20)))
            client, _ = await site.open()
            client.write(frame(1, b"alive"))
            assert await client.read_frame() == (0x81, b"alive")
            client.leave()

    asyncio.run(main())


def test_of_many_that_come_at_once_a_few_begin_in_each_turn_of_the_loop() -> None:
    """So that requests have their turn when thousands of clients come back at the same moment."""
    turns: list[int] = []

    async def main() -> None:
        turn = 0

        def count() -> None:
            nonlocal turn
            turn += 1
            asyncio.get_running_loop().call_soon(count)

        async def attend(scope: Any, receive: Any, send: Any) -> None:
            turns.append(turn)
            await send({"type": "websocket.close"})

        async with served(attend=attend) as site:
            count()
            with ExitStack() as stack:
                for _ in range(60):  # nothing here awaits, so the loop finds all of them at once
                    client = stack.enter_context(socket.create_connection(("127.0.0.1", site.port)))
                    client.sendall(GOOD)
                while len(turns) < 60:
                    await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(main(), 30))
    assert max(Counter(turns).values()) <= HANDSHAKES_A_TURN


def test_who_has_left_before_its_turn_is_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    monkeypatch.setattr(UvicornSocket, "has_left", lambda self: True)

    async def main() -> None:
        async def attend(scope: Any, receive: Any, send: Any) -> None:
            called.append(scope["path"])

        async with served(attend=attend) as site:
            client = await Client.connect(site.port)
            client.write(GOOD)
            await asyncio.sleep(0.2)
            client.leave()

    asyncio.run(asyncio.wait_for(main(), 30))
    assert called == []
