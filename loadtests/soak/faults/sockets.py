"""Very many websockets, fast ones, slow ones, and handshakes that should not be: L7 to L9, R-WS1 to R-WS3."""

from __future__ import annotations

import asyncio
import random
import socket as sockets
import struct
import time
from array import array
from contextlib import suppress

from loadtests.realtime.client_socket import ClientSocket, frame_of, handshake
from loadtests.realtime.crowd import Crowd
from loadtests.soak.faults.run import SETTLE, Soak, now
from loadtests.soak.report import Gate, at_least, at_most
from loadtests.soak.sockets import Link, Numbers, line_of, open_link

AT_ONCE = 100  # clients who connect at the same time
MESSAGES = 100  # of each client that sends
RATE = 5000.0  # messages per second of all of them
STALLED = 50
SLOW_SECONDS = 45.0  # until the server has pinged twice, and looked at the queues
_AT = b"at="  # before the microsecond in which something was said
MAX_MESSAGE = 64 * 1024
FUZZED = 500  # handshakes


async def idle_sockets(soak: Soak) -> None:
    """L7: very many that say nothing; all come, none is lost, and each is small."""
    if not soak.is_asgi:
        return
    crowd = Crowd(soak.site.port, "127.0.0.2", compression=True)
    began, before = time.monotonic(), (await soak.sampler.look()).rss
    seen = await crowd.connect("/soak/echo", soak.crowd, AT_ONCE)
    await asyncio.sleep(30)
    grown = (await soak.sampler.look()).rss - before
    still = (await crowd.count())["open"]
    await crowd.leave()
    soak.marks.append(("L7 idle sockets", began, time.monotonic()))
    soak.gates += [
        at_least(f"L7 sockets that came, of {soak.crowd}", seen["opened"], soak.crowd),
        at_least("L7 of them still there after 30 s", still, soak.crowd),
        at_most("L7 memory of each", grown * 1024 / soak.crowd, 25, "KiB", binding=soak.crowd >= 1000),
    ]


async def echoed(soak: Soak) -> None:
    """L8: numbered and hashed messages of very many clients, at a pace that the machine can keep."""
    if not soak.is_asgi:
        return
    links = await _open_many(soak, "/soak/echo", soak.crowd)
    numbers = [Numbers(f"many-{place}") for place in range(len(links))]
    ages = array("d")
    began = time.monotonic()
    pause = max(0.05, len(links) / RATE)
    await asyncio.gather(
        *(_converse(link, each, ages, pause) for link, each in zip(links, numbers, strict=True)), return_exceptions=True
    )
    for link in links:
        link.socket.close()
    soak.marks.append(("L8 messages", began, time.monotonic()))
    heard = sum(each.heard for each in numbers)
    wrong = sum(each.lost + each.doubled + each.altered for each in numbers)
    p99 = sorted(ages)[int(len(ages) * 0.99)] if ages else float("inf")
    soak.gates += [
        at_least(f"L8 messages that came back, of {MESSAGES * soak.crowd}", heard, MESSAGES * soak.crowd),
        at_most("L8 of them lost, doubled, out of turn or altered", wrong, 0),
        at_most("L8 p99 of the answers", p99, 100, "ms", binding=not soak.is_busy()),
    ]


async def _open_many(soak: Soak, path: str, count: int) -> list[Link]:
    links: list[Link] = []
    for start in range(0, count, AT_ONCE):
        group = (open_link(soak.site.port, path) for _ in range(min(AT_ONCE, count - start)))
        links += [link for link, _ in await asyncio.gather(*group) if link is not None]
    return links


async def _converse(link: Link, numbers: Numbers, ages: array[float], pause: float) -> None:
    await asyncio.sleep(random.random() * pause)
    for number in range(MESSAGES):
        sent = time.monotonic()
        link.say(line_of(numbers.sender, number))
        line = await link.next()
        if line is None:
            numbers.lost += MESSAGES - number
            return
        ages.append((time.monotonic() - sent) * 1e3)
        numbers.take(line)
        await asyncio.sleep(max(0.0, pause - (time.monotonic() - sent)))


# --- readers that do not read


async def stalled_readers(soak: Soak) -> None:
    """L9: some who follow a room stop to read. The others hear as before; what waits for those is bounded, and ends."""
    if not soak.is_asgi or soak.workers > 1:
        return
    ages = array("d")
    path = f"/soak/rooms/stalled-{time.time_ns()}"
    speaker, _ = await open_link(soak.site.port, path.replace("rooms", "say"))

    def hear(socket: ClientSocket, data: bytes, start: int, end: int) -> None:
        at = data.find(_AT, start, end) + len(_AT)
        ages.append(time.monotonic_ns() / 1e6 - int(data[at : at + 16]) / 1e3)

    following = [ClientSocket(handshake(path, soak.site.port), hear, lambda _: None) for _ in range(soak.crowd // 10)]
    for follower in following:
        await _connect(soak.site.port, follower)
    assert speaker is not None
    await _speak(speaker, 10)
    calm, ages[:] = sorted(ages), array("d")
    stalled = [await _stall(soak.site.port, path) for _ in range(STALLED)]
    began, before = time.monotonic(), (await soak.sampler.look()).rss
    await _speak(speaker, SLOW_SECONDS)
    grown = (await soak.sampler.look()).rss - before
    slow = sorted(ages)
    ended = sum(await asyncio.gather(*(_is_ended(follower) for follower in stalled)))
    for socket in (speaker.socket, *following):
        socket.close()
    soak.marks.append(("L9 stalled readers", began, time.monotonic()))
    each = len(slow) / len(following)
    usual, p99 = calm[int(len(calm) * 0.99)], slow[int(len(slow) * 0.99)]
    soak.gates += [
        at_most("L9 p99 of those who read", p99, max(2 * usual, 50), "ms", binding=not soak.is_busy()),
        at_least("L9 messages that each of them heard", each, SLOW_SECONDS * 10, binding=not soak.is_busy()),
        at_most(f"L9 memory for {STALLED} who do not", grown, 1.25 * STALLED, "MiB"),
        at_least(f"L9 of them ended, of {STALLED}", ended, STALLED),
    ]


async def _speak(speaker: Link, seconds: float) -> None:
    """Say something long twenty times a second."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        speaker.say(f"{_AT.decode()}{time.monotonic_ns() // 1000:016d} {'x' * 8000}")
        await speaker.next()
        await asyncio.sleep(0.05)


async def _stall(port: int, path: str) -> ClientSocket:
    """Follow, and stop to read."""
    follower = ClientSocket(handshake(path, port), lambda *_: None, lambda _: None)
    await _connect(port, follower, window=4096)
    follower.pause()
    return follower


async def _connect(port: int, socket: ClientSocket, window: int | None = None) -> None:
    loop, raw = asyncio.get_running_loop(), sockets.socket()
    if window is not None:
        raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, window)
    raw.setblocking(False)
    await loop.sock_connect(raw, ("127.0.0.1", port))
    await loop.create_connection(lambda: socket, sock=raw)
    await socket.opened


async def _is_ended(follower: ClientSocket) -> bool:
    """Whether the server has ended it, which shows once what has come before is read."""
    follower.resume()
    for _ in range(100):
        if not follower.is_open:
            return True
        await asyncio.sleep(0.1)
    follower.abort()
    return False


# --- what should not be


async def handshakes(soak: Soak) -> None:
    """R-WS1 to R-WS3: strangers, messages that are too large, and rubbish."""
    if not soak.is_asgi:
        return
    port, before, told = soak.site.port, {process.pid for process in soak.site.processes()}, now()
    _, foreign = await open_link(port, "/soak/echo", {"Origin": "https://elsewhere.example"})
    _, stranger = await open_link(port, "/live/rooms/lobby")
    whole, parts = [await _close_code(port, *frames) for frames in (_too_large(), _too_large_in_parts())]
    answers = [await _fuzz(port, random.Random(number)) for number in range(FUZZED)]
    await asyncio.sleep(SETTLE)  # to some of the last it was not listened
    soak.quiet.append((told, now()))  # Django logs hosts that are not allowed as errors
    failed = sum(answer.startswith(b"HTTP/1.1 5") and answer[9:12] not in (b"501", b"505") for answer in answers)
    same = {process.pid for process in soak.site.processes()} == before
    soak.gates += [
        Gate("R-WS1 a handshake from a foreign origin", str(foreign), "403", foreign == 403),
        Gate("R-WS1 a handshake without credentials", str(stranger), "401, or 403", stranger in (401, 403)),
        Gate("R-WS2 a message that is too large", str(whole), "1009", whole == 1009),
        Gate("R-WS2 one in many parts", str(parts), "1009", parts == 1009),
        at_most(f"R-WS3 answers with a 5xx, of {FUZZED} broken handshakes", failed, 0),
        Gate("R-WS3 the same processes", "yes" if same else "no", "yes", same),
    ]


def _too_large() -> list[bytes]:
    return [frame_of(b"x" * (MAX_MESSAGE + 1))]


def _too_large_in_parts() -> list[bytes]:
    part = frame_of(b"x" * 1024, 0)
    first = bytes((0x01,)) + frame_of(b"x" * 1024)[1:]  # text, and not the last
    return [first, *(bytes((0x00,)) + part[1:] for _ in range(MAX_MESSAGE // 1024)), part]


async def _close_code(port: int, *frames: bytes) -> int | None:
    link, _ = await open_link(port, "/soak/echo")
    if link is None:
        return None
    for frame in frames:
        if link.ended.is_set():
            break
        link.socket.send(frame)
        await asyncio.sleep(0)
    with suppress(TimeoutError):
        await asyncio.wait_for(link.ended.wait(), 10)
    link.socket.abort()
    return link.socket.close_code


async def _fuzz(port: int, chance: random.Random) -> bytes:
    """Send a handshake with something wrong, and rubbish behind it; the beginning of the answer."""
    request = bytearray(handshake("/soak/echo", port))
    for _ in range(chance.randint(1, 6)):
        place = chance.randrange(len(request))
        match chance.randrange(3):
            case 0:
                request[place] = chance.randrange(256)
            case 1:
                del request[place : place + chance.randint(1, 20)]
            case _:
                request[place:place] = chance.randbytes(chance.randint(1, 20))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(bytes(request) + chance.randbytes(chance.randint(0, 200)))
        async with asyncio.timeout(0.2):
            return await reader.read(100)
    except (OSError, TimeoutError):
        return b""
    finally:
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, linger)
        writer.transport.abort()
