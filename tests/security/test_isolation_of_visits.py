"""R-ISO: many users at once, over every driver, and each sees their own session, language and time zone alone."""

import asyncio
import itertools
import random
import time
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
from django.contrib import messages
from django.contrib.sessions.backends.cache import SessionStore
from django.http import HttpRequest
from django.utils import timezone, translation

from hybrid_gateway import Gateway, Session, StreamingResponse, get
from hybrid_gateway.locale import Locale, TimeZone
from tests.concurrency.test_isolation import NOBODY, call, surroundings

NUMBER = 500
LANGUAGES = ["de", "fr", "es", "pt-br", "ja"]
ZONES = ["Europe/Athens", "Asia/Tokyo", "America/Lima", "Africa/Lagos"]
PATHS = ["/sync", "/async", "/stream", "/request"]


def seen(user: object) -> list[object]:
    return [user, translation.get_language(), timezone.get_current_timezone_name()]


@get("/sync")
def blocking(session: Session) -> list[list[object]]:
    before = seen(session["user"])
    session["visits"] = session.get("visits", 0) + 1
    time.sleep(random.random() * 0.001)
    return [before, seen(session["user"])]


@get("/async")
async def awaiting(session: Session) -> list[list[object]]:
    before = seen(await session.aget("user"))
    await session.aset("visits", 1)
    await asyncio.sleep(random.random() * 0.002)
    return [before, seen(await session.aget("user"))]


@get("/stream")
def stream(session: Session) -> StreamingResponse:
    before = seen(session["user"])

    def chunks():
        time.sleep(random.random() * 0.001)
        yield msgspec.json.encode([before, seen(session["user"])])

    return StreamingResponse(chunks())


@get("/request")
async def request(request: HttpRequest) -> list[list[object]]:
    before = seen(await request.session.aget("user"))
    messages.info(request, str(before[0]))
    await asyncio.sleep(random.random() * 0.002)
    [message] = messages.get_messages(request)
    return [before, seen(int(str(message)))]


@pytest.fixture
def gateway(settings):
    cache = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "visits"}
    settings.CACHES = {"default": {**cache, "OPTIONS": {"MAX_ENTRIES": 10_000}}}
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    settings.MESSAGE_STORAGE = "django.contrib.messages.storage.cookie.CookieStorage"
    settings.ALLOWED_HOSTS = ["*"]
    gateway = Gateway([blocking, awaiting, stream, request], event_hooks=[Locale, TimeZone(cookie="zone")], threads=4)
    yield gateway
    gateway.pools.typed.close()
    gateway.pools.streams.close()
    gateway.loop_thread.close()


@pytest.fixture
def keys(gateway):
    """The sessions of the users, by number."""
    found = []
    for number in range(NUMBER):
        session = SessionStore()
        session["user"] = number
        session.save()
        found.append(session.session_key)
    return found


def own(number):
    return [number, LANGUAGES[number % 5], ZONES[number % 4]]


def headers(number, key):
    _, language, zone = own(number)
    return {"Accept-Language": language, "Cookie": f"sessionid={key}; zone={zone}", "Host": "testserver"}


def check(bodies):
    for number, body in enumerate(bodies):
        assert msgspec.json.decode(body) == [own(number)] * 2, PATHS[number % len(PATHS)]
    assert surroundings() == NOBODY


def paths():
    return zip(range(NUMBER), itertools.cycle(PATHS), strict=False)


def test_r_iso_over_asgi(gateway, keys):
    async def one(places, number, path):
        lines = [(name.lower().encode(), value.encode()) for name, value in headers(number, keys[number]).items()]
        scope = {"type": "http", "method": "GET", "path": path, "root_path": "", "scheme": "http", "headers": lines}
        scope |= {"raw_path": path.encode(), "server": ("testserver", 80), "client": ("192.0.2.1", 1)}
        scope |= {"query_string": b"", "http_version": "1.1"}
        chunks = []

        async def receive():
            return await asyncio.Event().wait()

        async def send(message):
            chunks.append(message.get("body", b""))

        async with places:
            await gateway(scope, receive, send)
        return b"".join(chunks)

    async def main():
        places = asyncio.Semaphore(50)
        tasks = [asyncio.create_task(one(places, number, path)) for number, path in paths()]
        return await asyncio.gather(*tasks)

    check(asyncio.run(main()))


def test_r_iso_over_wsgi(gateway, keys):
    def one(entry):
        number, path = entry
        extra = {f"HTTP_{name.upper().replace('-', '_')}": text for name, text in headers(number, keys[number]).items()}
        return call(_with(gateway.wsgi, extra), path, "", "")

    with ThreadPoolExecutor(8) as threads:
        check(list(threads.map(one, paths())))
        assert threads.submit(surroundings).result() == NOBODY


def _with(application, extra):
    return lambda environ, start_response: application({**environ, **extra}, start_response)


def test_r_iso_over_the_lane(gateway, keys):
    uvicorn = pytest.importorskip("uvicorn")
    from uvicorn.server import ServerState

    from hybrid_gateway.drivers.lane.protocol import LaneProtocol
    from tests.drivers.lane import Transport, read_response

    async def main():
        config = uvicorn.Config(gateway, log_config=None, access_log=False)
        config.load()
        state, transports = ServerState(), []
        for number, path in paths():
            protocol = LaneProtocol(config, state, {}, asyncio.get_running_loop())
            transport = Transport(peername=("192.0.2.1", 1), sockname=("testserver", 80), sslcontext=None)
            lines = [
                f"GET {path} HTTP/1.1",
                *(f"{name}: {text}" for name, text in headers(number, keys[number]).items()),
            ]
            protocol.connection_made(transport)
            protocol.data_received("\r\n".join([*lines, "", ""]).encode())
            transports.append((protocol, transport))
            if number % 50 == 49:
                while state.tasks:
                    await asyncio.wait(state.tasks)
                    await asyncio.sleep(0)
        for protocol, _ in transports:
            protocol.connection_lost(None)
        return [read_response(bytes(transport.written))[2] for _, transport in transports]

    check(asyncio.run(main()))
