"""Websockets on the lane, over real connections: what a receiver is told, what a client reads, and how it all ends."""

from __future__ import annotations

import asyncio
import datetime
import gc
import ssl
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="The lane needs uvicorn and httptools, which the extra `server` brings.")

from starlette.requests import ClientDisconnect

from hybrid_gateway import Gateway
from hybrid_gateway.drivers.lane.protocol import LaneProtocol
from hybrid_gateway.drivers.sockets import websocket_socket
from hybrid_gateway.drivers.sockets.websocket_socket import UvicornSocket, close_frame
from hybrid_gateway.websockets.frames import Frame
from hybrid_gateway.websockets.wire import WIRE
from tests.drivers.test_lane import serving
from tests.drivers.websocket_client import Client, close, frame, handshake

TEXT, BINARY, PING, PONG = 1, 2, 9, 10
LIMIT = 100_000


class Heard:
    """A receiver that keeps what it is told; ``answer`` is called with each message."""

    def __init__(self, wire: Any, answer: Callable[[Heard, str | bytes], object] | None) -> None:
        self.wire = wire
        self.answer = answer
        self.messages: list[str | bytes] = []
        self.pongs = self.writable = 0
        self.closed: list[tuple[int, str]] = []
        self.end: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()

    def on_message(self, data: str | bytes) -> None:
        assert not self.closed
        self.messages.append(data)
        if self.answer is not None:
            self.answer(self, data)

    def on_pong(self) -> None:
        self.pongs += 1

    def on_writable(self) -> None:
        self.writable += 1

    def on_closed(self, code: int, reason: str) -> None:
        self.closed.append((code, reason))
        if not self.end.done():
            self.end.set_result((code, reason))

    async def ended(self) -> tuple[int, str]:
        """What it was told at the end, and that it was told once."""
        await asyncio.wait_for(asyncio.shield(self.end), 10)
        await asyncio.sleep(0.05)
        assert len(self.closed) == 1
        return self.closed[0]


class Served:
    """A server whose websockets are accepted by :class:`Heard`."""

    def __init__(self, server: Any, port: int, heard: asyncio.Queue[Heard]) -> None:
        self.server = server
        self.port = port
        self.heard = heard

    async def open(self, *more: str, behind: bytes = b"") -> tuple[Client, Heard]:
        """A client and the receiver of its connection."""
        client = await Client.open(self.port, "/", *more, behind=behind)
        return client, await asyncio.wait_for(self.heard.get(), 10)


def echo(heard: Heard, data: str | bytes) -> None:
    heard.wire.send(Frame(data.encode()) if isinstance(data, str) else Frame(data, is_text=False))


@asynccontextmanager
async def served(
    answer: Callable[[Heard, str | bytes], object] | None = echo,
    before: Callable[[], Awaitable[object]] | None = None,
    *,
    attend: Any = None,
    compression: bool = False,
    max_size: int = LIMIT,
    **options: Any,
) -> AsyncIterator[Served]:
    """A server of a gateway whose websockets go to a receiver of the test."""
    queue: asyncio.Queue[Heard] = asyncio.Queue()

    async def accept(scope: Any, receive: Any, send: Any) -> None:
        wire = scope["extensions"][WIRE]
        if before is not None:
            await before()
        heard = Heard(wire, answer)
        await wire.accept(
            heard,
            subprotocol="b" if "b" in scope["subprotocols"] else None,
            headers=[(b"X-More", b"1")],
            max_size=max_size,
            compression=compression,
        )
        queue.put_nowait(heard)
        await asyncio.shield(heard.end)
        await wire.wait_closed()

    gateway = Gateway([])
    gateway._attend = attend or accept
    async with serving(gateway, LaneProtocol, lifespan="off", **options) as (server, port):
        yield Served(server, port, queue)


def run(test: Callable[[], Awaitable[None]]) -> None:
    """Run a test on the loop of asyncio, and on uvloop where it is installed."""
    asyncio.run(asyncio.wait_for(test(), 60))
    uvloop = pytest.importorskip("uvloop", reason="Half of this test needs uvloop, which the extra `server` brings.")
    uvloop.run(asyncio.wait_for(test(), 60))


# --- messages


def test_text_and_binary_go_both_ways_and_the_handshake_has_what_the_application_said():
    async def main() -> None:
        async with served() as site:
            client, heard = await site.open("Sec-WebSocket-Protocol: a, b")
            assert client.headers["sec-websocket-protocol"] == "b" and client.headers["x-more"] == "1"
            assert "sec-websocket-extensions" not in client.headers
            client.write(frame(TEXT, "grüße".encode()) + frame(BINARY, b"\xff" * 70_000))
            assert await client.read_frame() == (0x81, "grüße".encode())
            assert await client.read_frame() == (0x82, b"\xff" * 70_000)
            assert heard.messages == ["grüße", b"\xff" * 70_000]
            client.write(close(4001, b"bye"))
            assert await client.read_frame() == (0x88, b"\x0f\xa1bye") and await client.read_end() == b""
            assert await heard.ended() == (4001, "bye")
            client.leave()

    run(main)


def test_what_comes_in_the_same_bytes_as_the_handshake_is_not_lost():
    async def main() -> None:
        async with served() as site:
            client, heard = await site.open(behind=frame(TEXT, b"early") + frame(TEXT, b"half")[:7])
            assert await client.read_frame() == (0x81, b"early")
            client.write(frame(TEXT, b"half")[7:])
            assert await client.read_frame() == (0x81, b"half")
            assert heard.messages == ["early", "half"]
            client.leave()
            assert await heard.ended() == (1006, "")

    run(main)


def test_what_comes_before_the_handshake_is_answered_waits_and_is_bounded():
    answered = asyncio.Event

    async def main() -> None:
        gate = answered()
        async with served(before=gate.wait) as site:
            client = await Client.connect(site.port)
            client.write(handshake() + frame(TEXT, b"early") * 3)
            client.write(frame(BINARY, b"x" * 60_000) * 100)  # more than anybody keeps
            await asyncio.sleep(0.3)
            sockets = [known for known in site.server.server_state.connections if isinstance(known, UvicornSocket)]
            assert len(sockets) == 1 and len(sockets[0]._rest) <= 400_000
            gate.set()
            assert (await client.read_head())[0] == 101
            for _ in range(3):
                assert await client.read_frame() == (0x81, b"early")
            for _ in range(100):
                assert await client.read_frame() == (0x82, b"x" * 60_000)
            client.leave()

    run(main)


def test_a_client_that_leaves_during_the_handshake_is_no_error_of_the_application(caplog):
    async def main() -> None:
        outcomes: list[object] = []
        gate = asyncio.Event()

        async def before() -> None:
            await gate.wait()

        async with served(before=before) as site:
            client = await Client.connect(site.port)
            client.write(handshake())
            await asyncio.sleep(0.1)
            client.reset()
            await asyncio.sleep(0.1)
            gate.set()
            while site.server.server_state.tasks:
                await asyncio.sleep(0.01)
            assert site.heard.empty() and not outcomes

    run(main)
    assert not [record for record in caplog.records if record.name == "uvicorn.error" and record.levelname == "ERROR"]


def test_accepting_for_a_client_that_has_left_says_so():
    async def main() -> None:
        seen: asyncio.Queue[str] = asyncio.Queue()

        async def attend(scope: Any, receive: Any, send: Any) -> None:
            while (await receive())["type"] != "websocket.disconnect":
                pass
            try:
                await scope["extensions"][WIRE].accept(
                    Heard(None, None), subprotocol=None, headers=[], max_size=1, compression=False
                )
            except ClientDisconnect:
                seen.put_nowait("gone")

        async with served(attend=attend) as site:
            client = await Client.connect(site.port)
            client.write(handshake())
            await asyncio.sleep(0.1)
            client.leave()
            assert await asyncio.wait_for(seen.get(), 10) == "gone"

    run(main)


def test_many_small_messages_of_one_turn_are_one_write():
    async def main() -> None:
        def burst(heard: Heard, data: str | bytes) -> None:
            writes: list[int] = []
            transport = heard.wire._output.transport
            heard.wire._output.transport = counting = Counting(transport, writes)
            for number in range(20):
                heard.wire.send(Frame(b"%d" % number))
            asyncio.get_running_loop().call_later(0.05, lambda: counts.append(list(counting.writes)))

        counts: list[list[int]] = []
        async with served(burst) as site:
            client, _ = await site.open()
            client.write(frame(TEXT, b"go"))
            assert [(await client.read_frame())[1] for _ in range(20)] == [b"%d" % number for number in range(20)]
            await asyncio.sleep(0.1)
            assert [len(writes) for writes in counts] == [1]
            client.leave()

    run(main)


class Counting:
    """A transport that counts what is written."""

    def __init__(self, transport: Any, writes: list[int]) -> None:
        self._transport = transport
        self.writes = writes

    def write(self, data: bytes) -> None:
        self.writes.append(len(data))
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


# --- ends


ENDS: list[tuple[str, bytes, int | None, int]] = [
    ("a close with a code", close(1000), 1000, 1000),
    ("a close without", close(None), None, 1005),
    ("a close of an application", close(4999, b"x"), 4999, 4999),
    ("a close of one byte", frame(8, b"\x03"), 1002, 1002),
    *((f"the code {code}", close(code), 1002, 1002) for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000)),
    ("a reason that is no UTF-8", close(1000, b"\xff"), 1007, 1007),
    ("text that is no UTF-8", frame(TEXT, b"\xff"), 1007, 1007),
    ("a reserved bit", frame(TEXT, b"x", reserved=4), 1002, 1002),
    ("no mask", frame(TEXT, b"x", mask=None), 1002, 1002),
    ("one byte too many", frame(BINARY, b"x" * (LIMIT + 1)), 1009, 1009),
    ("a megabyte too many", frame(BINARY, b"x" * (1 << 20)), 1009, 1009),
]


def test_each_end_has_its_code_for_the_client_and_for_the_receiver():
    async def main() -> None:
        async with served() as site:
            for name, data, theirs, ours in ENDS:
                client, heard = await site.open()
                client.write(data)
                assert await client.read_close() == theirs, name
                assert await client.read_end() == b"", name
                assert (await heard.ended())[0] == ours, name
                client.leave()
            while site.server.server_state.connections:
                await asyncio.sleep(0.01)

    run(main)


def test_as_many_bytes_as_there_may_be_pass():
    async def main() -> None:
        async with served() as site:
            client, _ = await site.open()
            client.write(frame(BINARY, b"x" * LIMIT))
            assert await client.read_frame() == (0x82, b"x" * LIMIT)
            client.write(frame(TEXT, b"x" * (LIMIT - 1), fin=False) + frame(0, b"y"))
            assert await client.read_frame() == (0x81, b"x" * (LIMIT - 1) + b"y")
            client.leave()

    run(main)


@pytest.mark.parametrize("way", ["reset", "leave", "half"])
def test_a_connection_that_is_lost_ends_with_1006(way):
    async def main() -> None:
        async with served() as site:
            client, heard = await site.open()
            client.write(frame(TEXT, b"unfinished", fin=False))
            await client.writer.drain()
            await asyncio.sleep(0.05)
            if way == "half":
                client.writer.write_eof()
                assert await client.read_end() == b""
            else:
                getattr(client, way)()
            assert await heard.ended() == (1006, "")
            client.leave()

    run(main)


def test_our_close_is_answered_and_has_our_code_whatever_the_client_says():
    async def main() -> None:
        async with served(None) as site:
            for reply in (close(1000), close(None), None):
                client, heard = await site.open()
                heard.wire.send(Frame(b"last"))
                heard.wire.close(4401, "x" * 200)
                heard.wire.close(1000, "again")
                heard.wire.send(Frame(b"later"))
                client.write(frame(TEXT, b"on its way") + frame(PING, b"p"))
                assert await client.read_frame() == (0x81, b"last")
                assert await client.read_frame() == (0x88, b"\x11\x31" + b"x" * 123)
                if reply is None:
                    client.reset()
                else:
                    client.write(reply)
                    assert await client.read_end() == b""
                assert (await heard.ended())[0] == 4401
                assert heard.messages == []
                client.leave()

    run(main)


def test_a_client_that_never_answers_our_close_is_cut(monkeypatch):
    monkeypatch.setattr(websocket_socket, "CLOSE_TIMEOUT", 0.2)

    async def main() -> None:
        async with served(None) as site:
            client, heard = await site.open()
            heard.wire.pause_reading()
            heard.wire.close(1001, "")
            assert await client.read_close() == 1001
            assert await client.read_end() in (b"", b"reset")
            assert await heard.ended() == (1001, "")
            client.leave()

    run(main)


def test_a_client_that_has_broken_the_protocol_and_stays_is_cut(monkeypatch):
    monkeypatch.setattr(websocket_socket, "LINGER", 0.2)

    async def main() -> None:
        async with served(None) as site:
            client, heard = await site.open()
            client.write(frame(3))
            assert await client.read_close() == 1002
            while site.server.server_state.connections:
                client.write(b"x" * 1000)
                await asyncio.sleep(0.01)
            assert (await heard.ended())[0] == 1002
            client.leave()

    run(main)


def test_abort_says_nothing_to_the_client():
    async def main() -> None:
        async with served(None) as site:
            client, heard = await site.open()
            heard.wire.abort()
            assert await client.read_end() in (b"", b"reset")
            assert await heard.ended() == (1006, "")
            client.leave()

    run(main)


def test_an_application_that_returns_or_fails_closes_what_it_leaves_open():
    async def main() -> None:
        async with served(None) as site:
            for error, code in ((None, 1000), (ValueError("x"), 1011)):
                client, heard = await site.open()
                if error is None:
                    heard.end.set_result((0, ""))
                else:
                    heard.end.set_exception(error)
                assert await client.read_close() == code
                client.write(close(code))
                assert await client.read_end() == b""
                assert [end[0] for end in heard.closed] == [code]
                client.leave()

    run(main)


# --- pings


def test_pings_are_answered_and_only_the_answer_to_ours_is_told():
    async def main() -> None:
        async with served() as site:
            client, heard = await site.open()
            client.write(frame(PONG, b"ping") + frame(PING, b"123") + frame(TEXT, b"x", fin=False) + frame(PING))
            assert await client.read_frame() == (0x8A, b"123")
            assert await client.read_frame() == (0x8A, b"")
            assert heard.pongs == 0
            heard.wire.ping()
            first, data = await client.read_frame()
            assert first == 0x89
            client.write(frame(PONG, b"other") + frame(PONG, data) + frame(PONG, data) + frame(0, b"y"))
            assert await client.read_frame() == (0x81, b"xy")
            assert heard.pongs == 1
            client.leave()

    run(main)


def test_a_client_that_pings_and_never_reads_costs_nothing():
    async def main() -> None:
        async with served(None) as site:
            client, heard = await site.open()
            heard.wire.send(Frame(b"x" * 20_000_000))  # more than the kernel takes
            pings = frame(PING, b"p" * 125) * 100
            for _ in range(100):
                client.write(pings)
                await client.writer.drain()
            client.write(frame(PING, b"last") + frame(TEXT, b"end"))
            while not heard.messages:
                await asyncio.sleep(0.01)
            assert heard.wire.queued[0] <= 3
            assert (await client.read_frame())[0] == 0x81
            pongs = []
            while not pongs or pongs[-1] != b"last":
                pongs.append((await client.read_frame())[1])
            assert len(pongs) < 40
            client.leave()

    run(main)


# --- slow clients


def test_a_client_that_does_not_read_is_counted_and_told_of_when_it_does():
    async def main() -> None:
        async with served(None) as site:
            client, heard = await site.open()
            wire, sent = heard.wire, 0
            while wire.queued[1] < 1_000_000:
                wire.send(Frame(b"x" * 100_000))
                sent += 1
                await asyncio.sleep(0)
            messages, size = wire.queued
            assert 10 <= messages <= 10 + 33 and size < 1_200_000 + 33 * 100_010
            assert heard.writable == 0
            drained = asyncio.ensure_future(wire.drain())
            await asyncio.sleep(0.05)
            assert not drained.done()
            for _ in range(sent):
                assert len((await client.read_frame())[1]) == 100_000
            await asyncio.wait_for(drained, 10)
            assert wire.queued == (0, 0) and heard.writable >= 1
            client.leave()

    run(main)


def test_a_broadcast_holds_the_same_bytes_for_each_client_that_does_not_read():
    async def main() -> None:
        async with served(None) as site:
            pairs = [await site.open() for _ in range(3)]
            for _, heard in pairs:
                heard.wire.send(Frame(b"x" * 20_000_000))
            await asyncio.sleep(0.1)
            message = Frame(b"for everybody")
            for _, heard in pairs:
                heard.wire.send(message)
            kept = [heard.wire._output.frames for _, heard in pairs]
            assert all(frames == [message.as_bytes] and frames[0] is message.as_bytes for frames in kept)
            for client, _ in pairs:
                client.leave()

    run(main)


def test_who_waits_for_a_client_that_leaves_is_not_forgotten():
    async def main() -> None:
        async with served(None) as site:
            client, heard = await site.open()
            heard.wire.send(Frame(b"x" * 20_000_000))
            waiting = [asyncio.ensure_future(heard.wire.drain()) for _ in range(2)]
            await asyncio.sleep(0.05)
            waiting[0].cancel()
            client.reset()
            await asyncio.wait_for(waiting[1], 10)
            assert await heard.ended() == (1006, "")
            assert heard.wire.queued == (0, 0)

    run(main)


def test_a_client_waits_while_nobody_reads_what_it_sends():
    async def main() -> None:
        def pause(heard: Heard, data: str | bytes) -> None:
            heard.wire.pause_reading()

        async with served(pause) as site:
            client, heard = await site.open()
            client.write(b"".join(frame(TEXT, b"%d" % number) for number in range(1000)))
            await asyncio.sleep(0.1)
            seen = []
            for number in range(1000):
                seen.append(len(heard.messages))
                heard.wire.resume_reading()
                while len(heard.messages) == number + 1 < 1000:
                    await asyncio.sleep(0)
            assert seen == list(range(1, 1001)) and heard.messages == [str(number) for number in range(1000)]
            client.leave()

    run(main)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a key and a certificate for localhost."""
    x509 = pytest.importorskip("cryptography.x509", reason="A certificate is made by cryptography (extra `jwt`).")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    path.write_bytes(private + made.public_bytes(pem))
    return str(path)


def test_over_tls_messages_ends_and_slow_clients_are_the_same(certificate):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    async def main() -> None:
        async with served(ssl_keyfile=certificate, ssl_certfile=certificate) as site:

            async def connect() -> tuple[Client, Heard]:
                client = await Client.connect(site.port, ssl=context)
                client.write(handshake() + frame(TEXT, b"early"))
                assert (await client.read_head())[0] == 101
                assert await client.read_frame() == (0x81, b"early")
                return client, await site.heard.get()

            client, heard = await connect()
            for number in range(200):
                heard.wire.send(Frame(b"x" * 100_000))
                if number % 10 == 0:
                    await asyncio.sleep(0)
            assert heard.wire.queued[1] > 1_000_000
            drained = asyncio.ensure_future(heard.wire.drain())
            for _ in range(200):
                assert len((await client.read_frame())[1]) == 100_000
            await asyncio.wait_for(drained, 10)
            client.write(frame(TEXT, b"x", reserved=1))
            assert await client.read_close() == 1002
            assert await client.read_end() == b""
            assert (await heard.ended())[0] == 1002
            client.leave()
            client, heard = await connect()
            heard.wire.close(4000, "")
            assert await client.read_close() == 4000
            client.write(close(4000))
            assert await client.read_end() == b""
            assert await heard.ended() == (4000, "")
            client.leave()

    run(main)


# --- the server


def test_nothing_of_a_connection_is_left_behind():
    async def main() -> None:
        async with served() as site:
            client, heard = await site.open()
            socket, protocols = weakref.ref(heard), [p for p in gc.get_objects() if type(p) is LaneProtocol]
            assert not [protocol for protocol in protocols if protocol.lane is heard.wire._server]
            del protocols
            client.write(frame(TEXT, b"x"))
            await client.read_frame()
            client.write(close())
            await client.read_close()
            await heard.ended()
            assert heard.wire not in site.server.server_state.connections
            del heard
            while site.server.server_state.tasks:
                await asyncio.sleep(0.01)
            gc.disable()
            try:
                await asyncio.sleep(0.05)
                assert socket() is None
            finally:
                gc.enable()
            client.leave()

    run(main)


def test_the_server_leaves_open_connections_to_the_gateway_and_refuses_new_ones():
    async def main() -> None:
        async with served() as site:
            client, heard = await site.open()
            waiting = await Client.connect(site.port)
            await asyncio.sleep(0.05)
            site.server.should_exit = True
            await asyncio.sleep(0.3)
            waiting.write(handshake())
            assert (await waiting.read_head())[0] == 503
            client.write(frame(TEXT, b"still"))
            assert await client.read_frame() == (0x81, b"still")
            heard.wire.close(1012, "")
            assert await client.read_close() == 1012
            client.write(close(1012))
            assert await heard.ended() == (1012, "")
            client.leave()
            waiting.leave()

    run(main)


def test_what_is_open_when_the_server_waits_no_longer_is_closed_with_1012():
    async def main() -> None:
        async with served(timeout_graceful_shutdown=1) as site:
            client, heard = await site.open()
            site.server.should_exit = True
            assert await client.read_close() == 1012
            client.leave()
            assert (await heard.ended())[0] == 1012

    run(main)


def test_a_reason_is_cut_between_two_characters():
    assert close_frame(1000, "é" * 100) == b"\x88\x7c\x03\xe8" + "é".encode() * 61
    assert close_frame(1005, "x") == b"\x88\x00"
