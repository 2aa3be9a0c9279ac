"""The instruments of loadtests.realtime: a client that reads frames as they come, and targets that can be missed."""

import asyncio
import zlib

import pytest
from websockets.asyncio.server import serve

from loadtests.realtime.cases import CASES
from loadtests.realtime.client_socket import ClientSocket, frame_of
from loadtests.realtime.clients import divide, together
from loadtests.realtime.crowd import Crowd, age_of, event_now
from loadtests.realtime.report import TARGETS, Target, found, header, rows, verdicts
from loadtests.realtime.run import entrants

HEAD = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"


class Transport:
    def __init__(self):
        self.written = []

    def write(self, data):
        self.written.append(data)


def heard_of(*pieces):
    async def scenario():
        heard, transport = [], Transport()
        socket = ClientSocket(b"", lambda _, data, start, end: heard.append(data[start:end]), lambda _: None)
        socket.connection_made(transport)
        for piece in pieces:
            socket.data_received(piece)
        return heard, transport.written[1:], socket

    return asyncio.run(scenario())


def compressed(text):
    stream = zlib.compressobj(wbits=-12)
    payload = (stream.compress(text) + stream.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")
    return bytes((0xC1, len(payload))) + payload


@pytest.mark.parametrize("size", [1, 2, 7, 100_000])
def test_a_client_reads_frames_however_they_come(size):
    frames = b"\x81\x02hi" + b"\x81\x7e\x01\x00" + b"x" * 256 + b"\x82\x7f" + bytes(5) + b"\x01\x00\x00" + b"y" * 65_536
    sent = HEAD + frames + compressed(b"small") + compressed(b"smaller")
    heard, _, socket = heard_of(*(sent[at : at + size] for at in range(0, len(sent), size)))
    assert heard == [b"hi", b"x" * 256, b"y" * 65_536, b"small", b"smaller"]
    assert socket.is_open and socket.received == 5


def test_a_client_answers_pings_and_closes():
    heard, written, socket = heard_of(HEAD + b"\x89\x01p\x88\x02\x03\xe9")
    assert heard == [] and socket.close_code == 1001
    assert written == [frame_of(b"p", 0xA), frame_of(b"\x03\xe9", 0x8)]


def test_an_event_says_how_old_it_is_whatever_stands_around_it():
    event = event_now()
    assert len(event) == 100
    wrapped = b'..{"offset":"a-1","data":' + event + b"}"
    assert 0 <= age_of(wrapped, 2, len(wrapped)) < 60_000


def in_a_crowd(scenario, handler, **options):
    async def run():
        async with serve(handler, "127.0.0.1", 0, **options) as server:
            crowd = Crowd(server.sockets[0].getsockname()[1], "127.0.0.1", compression=True)
            try:
                return await scenario(crowd)
            finally:
                await crowd.leave()

    return asyncio.run(asyncio.wait_for(run(), 30))


def test_a_crowd_counts_what_is_answered():
    async def echo(socket):
        async for text in socket:
            await socket.send(text)

    async def scenario(crowd):
        assert (await crowd.connect("/echo", 5))["opened"] == 5
        echoed = await crowd.echo(50, 10)
        paced = await crowd.pace(1)
        return echoed, paced

    echoed, paced = in_a_crowd(scenario, echo)
    assert (echoed["messages"], echoed["lost"], echoed["wrong"]) == (50, 0, 0)
    assert (paced["sent"], paced["lost"], paced["ended"]) == (5, 0, 0)


def test_a_crowd_misses_what_is_lost_and_sees_what_is_wrong(monkeypatch):
    monkeypatch.setattr("loadtests.realtime.crowd.PATIENCE", 0.4)

    async def answer_once(socket):
        async for _ in socket:
            await socket.send("something else")
            await socket.close()

    async def scenario(crowd):
        await crowd.connect("/", 3)
        return await crowd.echo(9, 0.5), await crowd.count()

    echoed, count = in_a_crowd(scenario, answer_once)
    assert echoed["wrong"] == echoed["lost"] == 3
    assert count == {"open": 0}


def test_a_crowd_counts_who_is_refused():
    async def scenario(crowd):
        return await crowd.connect("/", 4)

    seen = in_a_crowd(scenario, lambda socket: None, process_request=lambda socket, request: socket.respond(503, ""))
    assert (seen["opened"], seen["refused"]) == (0, 4)


def test_what_several_crowds_saw_is_added_up_and_the_slowest_counts():
    assert divide(10, 3) == [4, 3, 3]
    seen = [{"lost": 1, "p99_ms": 5.0, "seconds": 2.0}, {"lost": 2, "p99_ms": 7.0, "seconds": 1.0}]
    assert together(seen) == {"lost": 3, "p99_ms": 7.0, "seconds": 2.0}


def test_targets_are_of_cases_that_measure_them():
    for target in TARGETS:
        case = CASES[target.case]
        names = {
            entrant.name for entrant in entrants(case, ["lane", "gateway", target.rival.partition("-")[0] or "lane"], 1)
        }
        assert {target.peer, target.rival or target.peer} <= names


def test_a_target_is_met_by_the_median_of_the_ratios():
    figures = {"user_us": 1.0, "p50_ms": 1.0, "p99_ms": 1.0, "messages": 1, "lost": 0}
    results = {
        "fan-out": {
            "lane": [{"cpu_us": cost, **figures} for cost in (1.0, 2.0, 9.0)],
            "starlette": [{"cpu_us": cost, **figures} for cost in (10.0, 5.0, 10.0)],
        }
    }
    assert found(Target("fan-out", "cpu_us", "lane", 0.5, "starlette"), results) == 0.4
    assert found(Target("fan-out", "cpu_us", "lane", 0.5), results) == 2.0
    assert [line[-1] for line in verdicts(results)] == ["met"]
    assert all(len(row) == len(header("fan-out")) for row in rows("fan-out", results))
