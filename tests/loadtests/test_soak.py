"""The instruments of the soak: a proxy that fails when told to, and a reader who takes no wrong answer for right."""

import asyncio
import json
import tempfile
import time

import pytest
from websockets.asyncio.server import serve

from loadtests.soak.faults.streams import Listener
from loadtests.soak.load import Load
from loadtests.soak.mix import Ask, Mix
from loadtests.soak.proxy import Proxy, Weather
from loadtests.soak.site import Site
from loadtests.soak.sockets import Numbers, Sockets, line_of
from loadtests.soak.wire import Answer, Broken, Wire


async def echo(reader, writer):
    while data := await reader.read(1000):
        writer.write(data.upper())
    writer.close()


def test_a_proxy_forwards_hangs_and_cuts():
    async def scenario():
        upstream = await asyncio.start_server(echo, "127.0.0.1", 0)
        async with upstream, Proxy(0, upstream.sockets[0].getsockname()[:2]) as proxy:
            port = proxy._server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"a")
            assert await reader.read(10) == b"A"
            proxy.hang()
            writer.write(b"b")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(10), 0.1)
            proxy.resume()
            assert await reader.read(10) == b"B"
            proxy.cut(refuse=True)
            with pytest.raises(ConnectionError):
                await asyncio.wait_for(read_to_the_end(reader), 5)
            reader, other = await asyncio.open_connection("127.0.0.1", port)
            with pytest.raises(ConnectionError):
                await asyncio.wait_for(read_to_the_end(reader), 5)
            for end in (writer, other):
                end.close()

    asyncio.run(asyncio.wait_for(scenario(), 20))


def test_a_proxy_gives_bytes_one_by_one_late_and_narrow_and_resets():
    async def scenario():
        pieces = []

        async def keep(reader, writer):
            while data := await reader.read(1000):
                pieces.append(data)
                writer.write(data)
            writer.write(b"end")  # of one direction only
            writer.close()

        upstream = await asyncio.start_server(keep, "127.0.0.1", 0)
        async with upstream, Proxy(0, upstream.sockets[0].getsockname()[:2], half_close=True) as proxy:
            port = proxy._server.sockets[0].getsockname()[1]
            proxy.weather = Weather(latency=0.02, rate=1000, piece=1)
            began = time.monotonic()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"abcd")
            assert await reader.readexactly(4) == b"abcd"
            assert pieces == [b"a", b"b", b"c", b"d"]
            assert time.monotonic() - began >= 4 * 0.021
            writer.write_eof()
            assert await reader.read() == b"end"
            proxy.weather = Weather(resets=1)
            torn, other = await asyncio.open_connection("127.0.0.1", port)
            other.write(b"abcd")
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(torn.read(10), 5)
            for end in (writer, other):
                end.close()
            await asyncio.sleep(0.05)

    asyncio.run(asyncio.wait_for(scenario(), 20))


async def read_to_the_end(reader):
    if not await reader.read(10):
        raise ConnectionError


def test_an_answer_cut_short_is_none():
    async def half(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        writer.close()

    async def scenario():
        async with await asyncio.start_server(half, "127.0.0.1", 0) as server:
            with pytest.raises(Broken):
                await Wire(server.sockets[0].getsockname()[1]).ask("GET", "/")

    asyncio.run(asyncio.wait_for(scenario(), 20))


@pytest.mark.parametrize(
    ("method", "sends", "repeats", "status"),
    [
        ("GET", b"", True, 200),  # asked again
        ("GET", b"", False, 0),
        ("POST", b"", True, 0),  # it may have been done
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Le", True, 0),  # something came
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", True, 0),
    ],
)
def test_a_request_is_repeated_where_nothing_came_and_it_does_no_harm(method, sends, repeats, status):
    answers = iter([sends, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"])

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(next(answers))
        writer.close()

    async def scenario():
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            load, wire = Load(port, Mix("token"), repeats=repeats), Wire(port)
            seen = await load.ask(wire, Ask("test", method, "/", 200))
            assert seen.status == status and len(load.wrong) == (status == 0)
            assert sum(load.again.values()) == (status == 200)
            if status == 200:  # the server has ended that connection meanwhile
                await asyncio.sleep(0.1)
                assert wire.renew() and not wire.renew()
            wire.drop()
            await asyncio.sleep(0.05)

    asyncio.run(asyncio.wait_for(scenario(), 20))


def test_a_listener_misses_numbers_that_did_not_come():
    async def count(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        for number in (0, 1, 3):
            writer.write(b'data: {"number": %d}\n\n: beat\n\n' % number)
        await reader.read()  # until the client goes
        writer.close()

    async def scenario():
        async with await asyncio.start_server(count, "127.0.0.1", 0) as server:
            listener = Listener(Wire(server.sockets[0].getsockname()[1]))
            assert await listener.connect()
            listening = asyncio.create_task(listener.listen())
            while listener.heard < 3:
                await asyncio.sleep(0.01)
            assert listener.lost == 1
            listening.cancel()
            listener.wire.drop()
            await asyncio.sleep(0.05)

    asyncio.run(asyncio.wait_for(scenario(), 20))


def test_a_wrong_status_and_a_wrong_body_are_faults():
    mix = Mix("token")
    hello = mix._hello()
    assert hello.fault(Answer(200, {}, b'{"message":"Hello, World!"}')) is None
    assert "wrong body" in hello.fault(Answer(200, {}, b'{"message":"Hello"}'))
    assert "503 instead of 200" in hello.fault(Answer(503, {}, b""))
    problem = mix._nowhere()
    assert "wrong body" in problem.fault(
        Answer(404, {"content-type": "application/problem+json"}, b'{"status": 404, "traceback": "Traceback"}')
    )


def test_the_log_is_read_for_exceptions_nobody_has_asked_for():
    site = Site.__new__(Site)
    with tempfile.TemporaryFile("w+") as site.log:
        site.log.write('{"time": "2030-01-01T00:00:05", "level": "ERROR", "exception": "RuntimeError: on purpose"}\n')
        site.log.write('{"time": "2030-01-01T00:00:06", "level": "ERROR", "exception": "OperationalError"}\n')
        site.log.write('{"time": "2030-01-01T00:01:00", "level": "WARNING", "message": "fine"}\n')
        site.log.write("Traceback (most recent call last):\n  File x\nValueError: y\n")
        found = site.unexpected([("2030-01-01T00:00:00", "2030-01-01T00:00:10")])
    assert found == ["Traceback (most recent call last): File x ValueError: y"]


def test_numbers_tell_what_is_lost_doubled_and_altered():
    numbers = Numbers("a", perhaps={3})
    for line in (line_of("a", 7), line_of("a", 8), line_of("a", 8), line_of("a", 11), line_of("a", 12)[:-1], "rubbish"):
        numbers.take(line, is_first=not numbers.heard)
    assert (numbers.heard, numbers.lost, numbers.doubled, numbers.altered) == (3, 2, 1, 2)
    numbers = Numbers("a", perhaps={1})
    for number in (0, 2):
        numbers.take(line_of("a", number))
    assert numbers.lost == 0


def sockets_beside(handler, **crowd):
    """What the gates say after a while beside a server with that handler."""

    async def scenario():
        async with serve(handler, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            load = Load(port, Mix("token"))
            sockets = Sockets(port, load, **{"idle": 0, "echoing": 0, "following": 0, "room": "r", **crowd})
            sockets.start()
            await asyncio.sleep(0.7)
            await sockets.stop()
            return {gate.name: gate.ok for gate in sockets.gates()}, load.wrong

    return asyncio.run(asyncio.wait_for(scenario(), 30))


def test_sockets_that_are_served_are_no_fault():
    history = []
    followers = set()

    async def serve_all(socket):
        path, _, query = socket.request.path.partition("?")
        if path == "/soak/rooms/r":
            followers.add(socket)
            for frame in history[int(query.partition("=")[2] or len(history)) :]:
                await socket.send(frame)
            await socket.wait_closed()
            return
        async for text in socket:
            if path == "/soak/say/r":
                history.append(json.dumps({"offset": str(len(history) + 1), "data": text}))
                for follower in followers:
                    await follower.send(history[-1])
            await socket.send(text)

    gates, wrong = sockets_beside(serve_all, idle=2, echoing=2, following=2)
    assert all(gates.values()) and not wrong


def test_sockets_that_end_by_themselves_are_faults():
    async def leave(socket):
        await asyncio.sleep(0.1)

    gates, wrong = sockets_beside(leave, idle=1)
    assert not gates["L7 sockets that ended, and nobody had asked"] and "an idle socket was ended with 1000" in wrong


def test_answers_to_something_else_are_faults():
    async def double(socket):
        async for text in socket:
            await socket.send(text)
            await socket.send(text)

    gates, _ = sockets_beside(double, echoing=1)
    assert not gates["L8 messages doubled, or out of turn"]
