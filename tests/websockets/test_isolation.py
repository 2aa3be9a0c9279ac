"""Websockets keep to themselves: contexts, threads and connections to the database are nobody else's."""

import asyncio
import sys
import threading
from contextvars import ContextVar

import msgspec
import pytest
from django.contrib.auth.models import Group
from django.core.signals import got_request_exception
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone, translation

from hybrid_gateway import ConfigurationError, Gateway, HTTPException, Listener, WebSocket, get, listener, websocket
from hybrid_gateway.test import TestClient, create_test_client
from hybrid_gateway.test.socket_exchange import ServerHabits, SocketExchange

tenant: ContextVar[str] = ContextVar("tenant", default="nobody")


async def converse(gateway: Gateway, path: str, *messages: str) -> list[str]:
    """The answers to messages, one after the other, as a server has them: on a thread of the gateway's pool."""
    answers: list[str] = []
    news = asyncio.Event()
    exchange = SocketExchange(path, ServerHabits(), news.set)
    scope = TestClient(gateway).websocket(path)._scope
    task = asyncio.create_task(gateway(scope, exchange.receive, exchange.send))
    task.add_done_callback(lambda _: news.set())
    async with asyncio.timeout(20):
        for message in messages:
            exchange.give({"type": "websocket.receive", "text": message})
            while not exchange.news and not task.done():
                news.clear()
                await news.wait()
            answers.append(str(exchange.news.popleft()))
        exchange.leave(1000)
        await task
    return answers


@listener("/async")
async def leave_behind_async(data: str) -> str:
    found = f"{tenant.get()} {translation.get_language()} {timezone.get_current_timezone_name()}"
    tenant.set(data)
    translation.activate(data)
    timezone.activate("Asia/Tokyo")
    return found


@listener("/def")
def leave_behind(data: str) -> str:
    found = f"{tenant.get()} {translation.get_language()} {timezone.get_current_timezone_name()}"
    tenant.set(data)
    translation.activate(data)
    timezone.activate("Asia/Tokyo")
    return found


@get("/look-async")
async def look_async() -> str:
    return f"{tenant.get()} {translation.get_language()} {timezone.get_current_timezone_name()}"


@get("/look")
def look() -> str:
    return f"{tenant.get()} {translation.get_language()} {timezone.get_current_timezone_name()}"


CLEAN = "nobody en-us America/Chicago"


@pytest.fixture
def clean(settings):
    settings.LANGUAGE_CODE, settings.TIME_ZONE, settings.USE_TZ = "en-us", "America/Chicago", True


@pytest.mark.parametrize("path", ["/async", "/def"])
def test_what_a_listener_sets_is_its_connection_s_alone(clean, path):
    gateway = Gateway([leave_behind, leave_behind_async, look, look_async], threads=1)

    async def run() -> None:
        first = await converse(gateway, path, "de", "fr")
        assert first == [CLEAN, "de de Asia/Tokyo"]  # one context per connection
        assert await converse(gateway, path, "de") == [CLEAN]
        assert await converse(gateway, "/def" if path == "/async" else "/async", "de") == [CLEAN]
        both = await asyncio.gather(*(converse(gateway, path, language, "x") for language in ("de", "fr", "nl")))
        assert [answers[0] for answers in both] == [CLEAN] * 3
        assert [answers[1].split()[0] for answers in both] == ["de", "fr", "nl"]
        for looked in ("/look", "/look-async"):
            assert await ask(gateway, looked) == CLEAN

    asyncio.run(run())


async def ask(gateway: Gateway, path: str) -> str:
    """The body of the answer to a request, as a server has it."""
    sent: list[bytes] = []
    scope = {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"testserver")],
        "http_version": "1.1",
        "client": ("127.0.0.1", 1),
        "server": ("testserver", 80),
    }

    async def receive() -> dict:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict) -> None:
        sent.append(message.get("body", b""))

    await gateway(scope, receive, send)
    return b"".join(sent).decode()


@pytest.mark.django_db
def test_a_transaction_is_that_of_one_message():
    @listener("/", atomic=True)
    def write(data: str) -> int:
        Group.objects.create(name=data)
        if data == "bad":
            raise HTTPException(409)
        return Group.objects.count()

    with create_test_client(write).websocket("/") as socket:
        for data, answer in [("one", 1), ("two", 2)]:
            socket.send(data)
            assert socket.receive() == answer
        socket.send("bad")
        assert socket.receive()["status"] == 409
        socket.send("three")
        assert socket.receive() == 3
    assert sorted(Group.objects.values_list("name", flat=True)) == ["one", "three", "two"]


class OpenAtFirst(Listener):
    path = "/connect"

    def on_connect(self) -> None:
        transaction.set_autocommit(False)

    async def on_message(self, data: str) -> str:
        return data


left_with: list[tuple[int, bool]] = []


def close_connection() -> None:
    """Close that of the only thread, which Django leaves open where the database is in memory."""
    BaseDatabaseWrapper.close(connections["default"])


class OpenLater(Listener):
    path = "/message"

    def on_message(self, data: str) -> str:
        return leave_open(data)

    def on_disconnect(self, code: int) -> None:
        left_with.append((code, transaction.get_autocommit()))


@listener("/message")
def open_later(data: str) -> str:
    return leave_open(data)


def leave_open(data: str) -> str:
    """Leave a transaction open, and end as ``data`` says."""
    if data == "fine":
        return f"autocommit: {transaction.get_autocommit()}"
    transaction.set_autocommit(False)
    Group.objects.create(name="half")
    if data == "refused":
        raise HTTPException(409)
    if data == "failed":
        raise ValueError("of the handler")
    return data


@pytest.fixture
def told():
    """The errors that those who collect them are told of."""
    errors = []

    def collect(**_: object) -> None:
        errors.append(type(sys.exception()))

    got_request_exception.connect(collect)
    yield errors
    got_request_exception.disconnect(collect)


@pytest.mark.django_db
@pytest.mark.parametrize("kind", [OpenLater, open_later], ids=["class", "function"])
@pytest.mark.parametrize(
    ("data", "answers", "errors", "code"),
    [
        ("x", [500], [RuntimeError], 1011),
        ("failed", [500], [ValueError], 1011),
        ("refused", [409, "autocommit: True"], [], 1000),
    ],
)
def test_a_message_that_leaves_a_transaction_open_is_a_bug_that_hides_no_other(
    kind, data, answers, errors, code, caplog, told
):
    gateway = Gateway([kind, look], threads=1)
    left_with.clear()

    async def run() -> None:
        frames = await converse(gateway, "/message", data, *["fine"] * (len(answers) - 1))
        assert msgspec.json.decode(frames[0])["status"] == answers[0]
        assert frames[1:] == answers[1:]
        assert await asyncio.wait_for(ask(gateway, "/look"), 10)

    asyncio.run(run())
    gateway.pools.lend().wait(close_connection)
    assert told == errors
    assert f"websocket {kind.__name__} has left a transaction open" in caplog.messages[0]
    assert left_with == [(code, True)] * (kind is OpenLater)
    assert not Group.objects.filter(name="half").exists()


@pytest.mark.django_db
def test_a_cancelled_message_that_leaves_a_transaction_open_stays_cancelled(caplog):
    started, go_on = threading.Event(), threading.Event()

    @listener("/message")
    def open_late(data: str) -> str:
        started.set()
        assert go_on.wait(20)
        return leave_open(data)

    gateway = Gateway([open_late, look], threads=1)

    async def run() -> None:
        task = asyncio.create_task(converse(gateway, "/message", "x"))
        await asyncio.to_thread(started.wait, 20)
        serving = next(each for each in asyncio.all_tasks() if each not in (task, asyncio.current_task()))
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        task.cancel()
        go_on.set()
        assert await asyncio.wait_for(ask(gateway, "/look"), 10)

    asyncio.run(run())
    gateway.pools.lend().wait(close_connection)
    assert "websocket open_late has left a transaction open" in caplog.text
    assert not Group.objects.filter(name="half").exists()


@pytest.mark.django_db
def test_an_on_connect_that_leaves_a_transaction_open_is_refused(caplog):
    gateway = Gateway([OpenAtFirst, look], threads=1)

    async def run() -> None:
        with pytest.raises(IndexError):  # nothing comes back
            await converse(gateway, "/connect", "x")
        assert await asyncio.wait_for(ask(gateway, "/look"), 10)

    asyncio.run(run())
    gateway.pools.lend().wait(close_connection)
    assert "leaves a transaction open" in caplog.text


def test_start_up_without_a_lifespan_comes_with_the_first_socket():
    log = []

    async def start() -> None:
        log.append("start")

    @listener("/")
    async def answer(data: str) -> str:
        return f"{data} {log}"

    gateway = Gateway([answer], on_startup=[start])

    async def run() -> None:
        answers = await asyncio.gather(*(converse(gateway, "/", "x") for _ in range(5)))
        assert answers == [["x ['start']"]] * 5

    asyncio.run(run())


# --- mistakes that are told at the start -----------------------------------------------------------------------------


class Opaque:
    pass


def mistakes():
    @websocket("/m")
    def not_async(socket: WebSocket) -> None:
        """Be no coroutine."""

    yield not_async, "async def"

    @listener("/m")
    async def without_data(room: str) -> None:
        """Have no data."""

    yield without_data, "a parameter `data`"

    @listener("/m")
    async def opaque(data: Opaque) -> None:
        """Take what nobody makes."""

    yield opaque, "Opaque"

    for name, value in [
        ("ping_interval", 0),
        ("ping_interval", "x"),
        ("idle_timeout", -1),
        ("max_lifetime", True),
        ("mode", "xml"),
        ("send_queue", 0),
        ("send_queue", "x"),
        ("send_queue", (1, 2, 3)),
        ("max_message_size", 0),
        ("max_message_size", "64k"),
        ("rate", ["often"]),
        ("message_throttle", "3/second"),
        ("django_middleware", ["django.middleware.gzip.GZipMiddleware"]),
    ]:
        option = "message_throttle" if name == "rate" else name

        @listener("/m", **{option: value})
        async def bad_option(data: str) -> None:
            """Have an option that cannot be."""

        yield bad_option, name

    @listener("/m")
    async def unknown(data: str, thing: Opaque) -> None:
        """Ask for what nobody provides."""

    yield unknown, "thing"

    @listener("/{a}")
    async def of_path(data: str, b: Opaque) -> None:
        """Ask for what nobody provides."""

    yield of_path, "'b'"


@pytest.mark.parametrize(("route", "word"), list(mistakes()), ids=lambda value: str(value)[:40])
def test_a_mistake_is_told_at_the_start_with_the_name_of_the_route(route, word):
    with pytest.raises(ConfigurationError) as caught:
        Gateway([route])
    assert word in str(caught.value)
    assert route.handler.__name__ in str(caught.value) or "/m" in str(caught.value)


def test_a_stream_without_a_yield_and_an_unknown_option_are_mistakes_too():
    from hybrid_gateway import stream

    @stream("/m")
    async def no_yield() -> None:
        """Yield nothing."""

    with pytest.raises(ConfigurationError, match="no_yield.*`yield`"):
        Gateway([no_yield])
    with pytest.raises(ConfigurationError, match="max_mesage_size"):
        listener("/m", max_mesage_size=3)(lambda data: data)


def test_one_path_has_one_websocket():
    @websocket("/same")
    async def one(socket: WebSocket) -> None:
        """Be accepted, and end."""

    @websocket("/same")
    async def other(socket: WebSocket) -> None:
        """Be accepted, and end."""

    with pytest.raises(ConfigurationError, match="/same"):
        Gateway([one, other])


def test_a_body_is_no_parameter_of_a_websocket():
    import msgspec

    class Item(msgspec.Struct):
        name: str

    @websocket("/m")
    async def hold(socket: WebSocket, item: Item) -> None:
        """Ask for a body."""

    with pytest.raises(ConfigurationError, match="item"):
        create_test_client(hold)
