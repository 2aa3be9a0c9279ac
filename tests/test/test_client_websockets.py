"""Websockets of the test clients: on the thread of the test, in its transaction, with the client's cookies."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import msgspec
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group, User
from django.core.signals import got_request_exception
from django.db import connection, transaction
from django.http import HttpResponse
from django.test import override_settings
from django.urls import path
from starlette.websockets import WebSocketDisconnect

from hybrid_gateway import (
    Gateway,
    Include,
    Listener,
    Mount,
    Router,
    WebSocket,
    get,
    listener,
    post,
    stream,
    websocket,
)
from hybrid_gateway.auth import SessionAuthentication
from hybrid_gateway.exceptions import Forbidden
from hybrid_gateway.test import (
    AsyncTestClient,
    ServerHabits,
    TestCase,
    TestClient,
    TransactionTestCase,
    WebSocketSession,
    create_test_client,
)


class Say(msgspec.Struct, tag=True):
    text: str


class Said(msgspec.Struct):
    text: str


@websocket("/echo")
async def echo(socket: WebSocket) -> None:
    while True:
        message = await socket.receive(str)
        await socket.send(message)


@websocket("/said")
async def said(socket: WebSocket) -> None:
    async for message in socket.iter(Say):
        await socket.send(Said(message.text))


@websocket("/packed", mode="msgpack")
async def packed(socket: WebSocket) -> None:
    async for message in socket.iter(Say):
        await socket.send(Said(message.text))


@websocket("/handshake/{number}")
async def handshake(socket: WebSocket, number: int) -> None:
    await socket.accept(socket.offered_subprotocols[0] if socket.offered_subprotocols else None, [("X-Number", "1")])
    await socket.send(
        {
            "number": number,
            "query": socket.query_params.multi_items(),
            "headers": dict(socket.headers),
            "cookies": socket.cookies,
            "url": str(socket.url),
        }
    )


@websocket("/crash")
async def crash(socket: WebSocket) -> None:
    await socket.send("before")
    raise ValueError("broken")


def break_down() -> int:
    raise ValueError("broken before")


@websocket("/crash-before", components=[break_down])
async def crash_before(socket: WebSocket, number: int) -> None:
    """Never be called."""


@listener("/groups")
def groups(data: str) -> list[str]:
    with transaction.atomic():
        Group.objects.create(name=data)
    return list(Group.objects.order_by("name").values_list("name", flat=True))


@listener("/groups-async")
async def groups_async(data: str) -> list[str]:
    await Group.objects.acreate(name=data)
    return [group.name async for group in Group.objects.order_by("name")]


@listener("/hop")
async def hop(data: str) -> int:
    return await sync_to_async(Group.objects.count)()


@stream("/rows")
def rows() -> Iterator[str]:
    yield from Group.objects.order_by("name").values_list("name", flat=True)


@get("/count")
def count() -> int:
    return Group.objects.count()


@post("/groups/{name}")
async def add_group(name: str) -> None:
    await Group.objects.acreate(name=name)


class Leaving(Listener):
    path = "/leaving"

    def on_message(self, data: str) -> None:
        self.name = data

    async def on_disconnect(self, code: int) -> None:
        await Group.objects.acreate(name=f"{self.name} left with {code}")


@listener("/thread")
def thread_name(data: str) -> str:
    return threading.current_thread().name


@listener("/me", authentication=[SessionAuthentication()])
async def me(data: str, user: User) -> str:
    return user.username


class Room:
    """Who is here; one message to all of them, after a look at the database."""

    def __init__(self) -> None:
        self.sockets: list[WebSocket] = []


room = Room()


@websocket("/room")
async def join(socket: WebSocket) -> None:
    await socket.accept()
    room.sockets.append(socket)
    try:
        async for text in socket.iter(str):
            number = await Group.objects.acount()
            for other in room.sockets:
                await other.send(f"{text} {number}")
    finally:
        room.sockets.remove(socket)


def secret_page(request):
    return HttpResponse("Django")


routes = [echo, groups, groups_async, hop, rows, count, add_group, Leaving, thread_name, me, join]
routes += [Router("/v1", [Include("/inner", [said], name="inner")])]
urlpatterns = [path("admin/", secret_page)]
SETTINGS = {
    "ROOT_URLCONF": __name__,
    "HYBRID_GATEWAY": {"ROUTES": __name__, "ALLOWED_DJANGO_ROUTES": ("/admin/",)},
}


# --- messages --------------------------------------------------------------------------------------------------------


def test_structs_and_dicts_are_json_and_come_back_as_the_type_asked_for():
    with create_test_client(said).websocket("/said") as socket:
        socket.send(Say("hi"))
        assert socket.receive(Said) == Said("hi")
        socket.send({"type": "Say", "text": "there"})
        assert socket.receive() == {"text": "there"}
        socket.send_json(Say("at last"))
        assert socket.receive_json() == {"text": "at last"}


def test_structs_and_dicts_are_message_pack_where_the_route_is():
    with create_test_client(packed).websocket("/packed") as socket:
        socket.send(Say("hi"))
        assert msgspec.msgpack.decode(socket.receive_bytes()) == {"text": "hi"}
        socket.send_json({"type": "Say", "text": "there"})
        assert socket.receive(Said) == Said("there")


def test_text_and_bytes_go_as_they_are():
    @websocket("/frames")
    async def frames(socket: WebSocket) -> None:
        for _ in range(4):
            text = await socket.receive_text()
            await socket.send_text(text)
            await socket.send_bytes(text.encode())

    with create_test_client(frames).websocket("/frames") as socket:
        for send, data in [
            (socket.send, '"a'),
            (socket.send, b"b"),
            (socket.send_text, "c"),
            (socket.send_bytes, b"d"),
        ]:
            send(data)
            text = data if isinstance(data, str) else data.decode()
            assert (socket.receive_text(), socket.receive_bytes()) == (text, text.encode())


def test_what_does_not_fit_says_what_came():
    with create_test_client(echo).websocket("/echo") as socket:
        socket.send("no JSON")
        with pytest.raises(AssertionError, match=r"/echo sent 'no JSON', which is no Any"):
            socket.receive()
        socket.send('{"text": 1}')
        with pytest.raises(AssertionError, match=r"which is no Said: Expected `str`, got `int`"):
            socket.receive(Said)
        socket.send("text")
        with pytest.raises(AssertionError, match=r"not bytes: 'text'"):
            socket.receive_bytes()


def test_nothing_that_comes_is_an_assertion_that_fails():
    with create_test_client(echo).websocket("/echo") as socket:
        with pytest.raises(AssertionError, match=r"/echo sent nothing within 0.01 s"):
            socket.receive(timeout=0.01)
        socket.send("still open")
        assert socket.receive_text() == "still open"
    with (
        create_test_client(echo).websocket("/echo", timeout=0.02) as socket,
        pytest.raises(AssertionError, match=r"within 0.02 s"),
    ):
        socket.receive()


def test_a_socket_is_used_within_its_with():
    socket = create_test_client(echo).websocket("/echo")
    with pytest.raises(RuntimeError, match="within its `with`"):
        socket.send("x")
    with socket:
        assert repr(socket) == "<WebSocketSession /echo open>"
        socket.close(1000)
        with pytest.raises(RuntimeError, match="closed the websocket"):
            socket.send("x")


# --- the handshake ---------------------------------------------------------------------------------------------------


def test_the_handshake_has_what_the_client_was_given():
    client = create_test_client(handshake)
    client.credentials(Authorization="Bearer x")
    client.cookies["kept"] = "1"
    with client.websocket(
        "/handshake/7?a=1",
        params={"b": 2},
        headers={"Origin": "http://testserver"},
        cookies={"c": "d"},
        subprotocols=["one", "two"],
    ) as socket:
        shown = socket.receive()
        assert socket.subprotocol == "one"
        assert socket.headers["x-number"] == "1"
        assert socket.refusal is None
    assert shown["number"] == 7
    assert shown["query"] == [["a", "1"], ["b", "2"]]
    assert shown["cookies"] == {"kept": "1", "c": "d"}
    assert shown["url"] == "ws://testserver/handshake/7?a=1&b=2"
    for name, value in {
        "authorization": "Bearer x",
        "origin": "http://testserver",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-protocol": "one, two",
    }.items():
        assert shown["headers"][name] == value
    with client.websocket("/handshake/7", secure=True) as socket:
        assert socket.receive()["url"] == "wss://testserver/handshake/7"


def test_a_refusal_is_a_response_and_no_exception():
    async def deny() -> None:
        raise Forbidden("Not you.")

    @websocket("/closed", guards=[deny])
    async def closed(socket: WebSocket) -> None:
        """Never be called."""

    client = create_test_client(closed)
    with client.websocket("/closed") as socket:
        assert socket.refusal.status_code == 403
        assert socket.refusal.headers["Content-Type"] == "application/problem+json"
        assert socket.refusal.json()["detail"] == "Not you."
        assert socket.close_code is None
        assert repr(socket) == "<WebSocketSession /closed refused with 403>"
        for use in (socket.receive, lambda: socket.send("x")):
            with pytest.raises(AssertionError, match=r"/closed refused the handshake: 403 .*Not you\."):
                use()
    with client.websocket("/nowhere") as socket:
        assert socket.refusal.status_code == 404


def test_a_server_without_denials_makes_every_refusal_a_bare_403():
    client = create_test_client(handshake)
    with client.websocket("/handshake/x", habits=ServerHabits(denies=False)) as socket:
        assert (socket.refusal.status_code, socket.refusal.content) == (403, b"")


def test_cookies_of_the_answer_are_kept():
    @websocket("/cookie", response_cookies=[("seen", "yes")])
    async def cookie(socket: WebSocket) -> None:
        await socket.accept(headers=[("Set-Cookie", "more=1")])

    client = create_test_client(cookie)
    with client.websocket("/cookie"):
        pass
    assert client.cookies["more"].value == "1"


# --- the end ---------------------------------------------------------------------------------------------------------


def test_the_end_tells_code_and_reason():
    @websocket("/bye")
    async def bye(socket: WebSocket) -> None:
        await socket.send("one")
        await socket.close(4321, "enough")

    with create_test_client(bye).websocket("/bye") as socket:
        assert socket.receive_text() == "one"
        with pytest.raises(WebSocketDisconnect) as caught:
            socket.receive()
        assert (caught.value.code, caught.value.reason) == (4321, "enough")
        assert (socket.close_code, socket.close_reason) == (4321, "enough")
        assert repr(socket) == "<WebSocketSession /bye closed with 4321>"
        socket.send("lost, as on a network")


@pytest.mark.parametrize("end", ["with", "close", "abort"])
def test_the_handler_has_ended_when_the_test_goes_on(end: str):
    ended = []

    @websocket("/slow")
    async def slow(socket: WebSocket) -> None:
        try:
            await socket.receive()
        except WebSocketDisconnect as error:
            await asyncio.sleep(0.05)
            ended.append((error.code, error.reason))
            raise

    with create_test_client(slow).websocket("/slow") as socket:
        if end == "close":
            socket.close(4000, "tired")
        elif end == "abort":
            socket.abort()
        assert len(ended) == (end != "with")
    assert ended == [{"with": (1000, ""), "close": (4000, "tired"), "abort": (1006, "")}[end]]


def test_what_a_handler_raises_is_raised_at_its_place():
    with create_test_client(crash).websocket("/crash") as socket:
        assert socket.receive_text() == "before"
        with pytest.raises(ValueError, match="broken"):
            socket.receive()
    with pytest.raises(ValueError, match="broken"), create_test_client(crash).websocket("/crash"):
        pass  # nobody has looked
    with pytest.raises(ValueError, match="broken before"), create_test_client(crash_before).websocket("/crash-before"):
        raise AssertionError("never reached")


def test_clients_that_raise_nothing_see_what_is_sent():
    client = TestClient(Gateway([crash, crash_before]), raise_request_exception=False)
    with client.websocket("/crash") as socket:
        assert socket.receive_text() == "before"
        assert socket.receive()["status"] == 500
        with pytest.raises(WebSocketDisconnect):
            socket.receive()
        assert socket.close_code == 1011
    with client.websocket("/crash-before") as socket:
        assert socket.refusal.status_code == 500


def test_an_error_of_the_test_is_not_hidden_by_one_of_the_handler():
    with pytest.raises(ZeroDivisionError), create_test_client(crash).websocket("/crash"):
        raise ZeroDivisionError


def test_a_failing_socket_is_no_failure_of_requests_meanwhile():
    @listener("/fail")
    async def fail(data: str) -> None:
        raise ValueError(data)

    @get("/wait")
    async def wait() -> str:
        await asyncio.sleep(0.05)
        return "fine"

    client = create_test_client(fail, wait)
    with client.websocket("/fail") as socket:
        socket.send("of the socket")
        assert client.get("/wait").content.decode() == "fine"
        with pytest.raises(ValueError, match="of the socket"):
            socket.receive()


def test_nobody_listens_for_errors_after_the_with():
    before = len(got_request_exception.receivers)
    with create_test_client(echo).websocket("/echo"):
        assert len(got_request_exception.receivers) == before + 1
    assert len(got_request_exception.receivers) == before


# --- several at once -------------------------------------------------------------------------------------------------


def test_two_sockets_and_requests_take_turns():
    client = create_test_client(echo, get("/hello")(lambda: "hello"))
    with client.websocket("/echo") as one, client.websocket("/echo") as other:
        one.send("1")
        other.send("2")
        assert client.get("/hello").content.decode() == "hello"
        assert (other.receive_text(), one.receive_text()) == ("2", "1")
        with client.websocket("/echo") as third:
            third.send("3")
            assert third.receive_text() == "3"
        one.close()
        other.send("4")
        assert other.receive_text() == "4"


def test_sockets_of_other_threads_use_theirs():
    client, names = create_test_client(thread_name), []

    def use() -> None:
        with client.websocket("/thread") as socket:
            socket.send("")
            names.append(socket.receive_text())

    threads = [threading.Thread(target=use, name=f"test-{number}") for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(names) == ["test-0", "test-1", "test-2"]


# --- rows ------------------------------------------------------------------------------------------------------------


@override_settings(**SETTINGS)
class TestRows(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.ada = User.objects.create_user("ada")
        Group.objects.create(name="class")

    def test_listeners_see_the_rows_of_the_test_and_the_test_theirs(self):
        Group.objects.create(name="test")
        for url in ("/groups", "/groups-async"):
            with self.client.websocket(url) as socket:
                socket.send(url)
                self.assertIn("test", socket.receive())
            self.assertTrue(Group.objects.filter(name=url).exists())
        with self.client.websocket("/hop") as socket:
            socket.send("")
            self.assertEqual(socket.receive(), 4)
        with self.client.websocket("/rows") as socket:
            self.assertEqual([socket.receive_text() for _ in range(4)], ["/groups", "/groups-async", "class", "test"])

    def test_everything_was_rolled_back_again(self):
        self.assertEqual(self.client.get("/count").json(), 1)

    def test_the_thread_of_the_test_does_the_work(self):
        with self.client.websocket("/thread") as socket:
            socket.send("")
            self.assertEqual(socket.receive_text(), threading.current_thread().name)

    def test_work_waits_until_the_test_does(self):
        with self.client.websocket("/groups") as socket:
            socket.send("new")
            for _ in range(1000):
                self.assertEqual(Group.objects.count(), 1)
            socket.receive()
            self.assertEqual(Group.objects.count(), 2)

    def test_what_is_written_at_the_end_is_there_after_the_with(self):
        with self.client.websocket("/leaving") as socket:
            socket.send("ada")
        self.assertTrue(Group.objects.filter(name="ada left with 1000").exists())

    def test_a_room_needs_work_of_several_sockets_while_the_test_waits_for_one(self):
        with self.client.websocket("/room") as one, self.client.websocket("/room") as other:
            one.send("hi")
            self.assertEqual(other.receive_text(), "hi 1")
            self.client.post("/groups/new")
            other.send("ho")
            self.assertEqual([one.receive_text(), one.receive_text()], ["hi 1", "ho 2"])

    def test_logins_of_the_client_hold_for_sockets(self):
        with self.client.websocket("/me") as socket:
            self.assertEqual(socket.refusal.status_code, 401)
        self.client.force_login(self.ada)
        with self.client.websocket("/me") as socket:
            socket.send("")
            self.assertEqual(socket.receive_text(), "ada")
        self.client.logout()
        self.client.force_authenticate(self.ada)
        with self.client.websocket("/me") as socket:
            socket.send("")
            self.assertEqual(socket.receive_text(), "ada")

    def test_addresses_are_reversed_and_included(self):
        with self.client.websocket(self.reverse_url("inner:said")) as socket:
            socket.send(Say("x"))
            self.assertEqual(socket.receive(Said), Said("x"))

    def test_django_has_no_websockets_unless_it_is_told(self):
        with self.client.websocket("/admin/") as socket:
            self.assertEqual(socket.refusal.status_code, 404)

    async def test_async_methods_share_the_transaction(self):
        await Group.objects.acreate(name="test")
        for url in ("/groups", "/groups-async"):
            async with self.async_client.websocket(url) as socket:
                await socket.send(url)
                self.assertIn("test", await socket.receive())
        self.assertEqual(await Group.objects.acount(), 4)
        async with self.async_client.websocket("/leaving") as socket:
            await socket.send("ada")
        self.assertTrue(await Group.objects.filter(name="ada left with 1000").aexists())
        async with self.async_client.websocket("/room") as one, self.async_client.websocket("/room") as other:
            await one.send("hi")
            self.assertEqual([await one.receive_text(), await other.receive_text()], ["hi 5"] * 2)

    async def test_async_methods_log_in(self):
        await self.async_client.aforce_login(self.ada)
        async with self.async_client.websocket("/me") as socket:
            await socket.send("")
            self.assertEqual(await socket.receive_text(), "ada")


@override_settings(**SETTINGS)
class TestCommits(TransactionTestCase):
    def test_commits_are_real(self):
        with self.client.websocket("/groups") as socket:
            socket.send("real")
            self.assertEqual(socket.receive(), ["real"])
        self.assertFalse(connection.in_atomic_block)
        self.assertEqual(Group.objects.get().name, "real")


# --- async -----------------------------------------------------------------------------------------------------------


def test_async_sockets_do_what_sync_ones_do():
    async def use() -> None:
        client = AsyncTestClient(Gateway([said, packed, handshake, crash]))
        async with client.websocket("/said") as socket:
            await socket.send(Say("hi"))
            assert await socket.receive(Said) == Said("hi")
            await socket.send_text('{"type": "Say", "text": "x"}')
            assert await socket.receive_text() == '{"text":"x"}'
            await socket.send_json(Say("y"))
            assert await socket.receive_json() == {"text": "y"}
            with pytest.raises(AssertionError, match="nothing within"):
                await socket.receive(timeout=0.01)
            await socket.close(4000, "tired")
            assert (socket.close_code, socket.close_reason) == (4000, "tired")
        async with client.websocket("/packed") as socket:
            await socket.send_bytes(msgspec.msgpack.encode(Say("z")))
            assert msgspec.msgpack.decode(await socket.receive_bytes()) == {"text": "z"}
            await socket.abort()
            assert socket.close_code == 1006
        async with client.websocket("/handshake/x") as socket:
            assert socket.refusal.json()["status"] == 404
        async with client.websocket("/crash") as socket:
            assert await socket.receive_text() == "before"
            with pytest.raises(ValueError, match="broken"):
                await socket.receive()

    asyncio.run(use())


# --- the clock -------------------------------------------------------------------------------------------------------


@stream("/ticks", max_lifetime=3600)
async def ticks() -> AsyncIterator[int]:
    yield 1
    await asyncio.sleep(3600)


def test_the_clock_of_sockets_moves_when_it_is_told_to():
    client = create_test_client(ticks)
    with client.websocket("/ticks") as socket:
        assert socket.receive(int) == 1
        socket.advance(3590)
        assert socket.close_code is None
        socket.advance(20)
        assert socket.close_code == 1001

    async def use() -> None:
        async with AsyncTestClient(client.gateway).websocket("/ticks") as socket:
            await socket.advance(3601)
            assert socket.close_code == 1001

    asyncio.run(use())


# --- servers that help little ----------------------------------------------------------------------------------------

WORST = ServerHabits(denies=False, send_fails=False, repeats_disconnect=False)


def test_the_worst_server_tells_of_a_client_that_left_once_and_to_who_receives():
    seen = []

    async def app(scope, receive, send):
        assert (await receive())["type"] == "websocket.connect"
        assert "websocket.http.response" not in scope["extensions"]
        await send({"type": "websocket.accept"})
        seen.append(await receive())
        await send({"type": "websocket.send", "text": "to nobody"})
        try:
            await asyncio.wait_for(receive(), 0.02)
        except TimeoutError:
            seen.append("silence")

    with TestClient(Gateway([Mount("/app", app)])).websocket("/app/", habits=WORST) as socket:
        socket.close(4001)
    assert seen == [{"type": "websocket.disconnect", "code": 4001, "reason": ""}, "silence"]


def test_a_client_that_does_not_read_makes_a_handler_wait():
    sent = []

    @websocket("/flood")
    async def flood(socket: WebSocket) -> None:
        for number in range(10):
            await socket.send(number)
            sent.append(number)

    with create_test_client(flood).websocket("/flood", habits=ServerHabits(window=2)) as socket:
        with pytest.raises(AssertionError):
            socket.receive(bytes)  # the first is text
        assert len(sent) <= 4
        assert [socket.receive() for _ in range(9)] == list(range(1, 10))
    assert sent == list(range(10))


def test_fixtures_have_websockets(gateway_client: TestClient, async_gateway_client: AsyncTestClient):
    with override_settings(**SETTINGS):
        with gateway_client.websocket("/echo") as socket:
            assert isinstance(socket, WebSocketSession)
            socket.send("x")
            assert socket.receive_text() == "x"

        async def use() -> None:
            async with async_gateway_client.websocket("/echo") as socket:
                await socket.send("x")
                assert await socket.receive_text() == "x"

        asyncio.run(use())


@override_settings(**SETTINGS)
class TestRevocation(TestCase):
    def test_a_user_who_is_deactivated_is_let_go_when_the_clock_moves(self):
        ada = User.objects.create_user("ada")
        self.client.force_login(ada)
        with self.client.websocket("/me") as socket:
            socket.send("")
            self.assertEqual(socket.receive_text(), "ada")
            socket.advance(10)
            self.assertIsNone(socket.close_code)
            User.objects.filter(pk=ada.pk).update(is_active=False)
            socket.advance(10)
            self.assertEqual(socket.close_code, 4401)

    async def test_it_is_the_same_for_async_tests(self):
        ada = await User.objects.acreate_user("ada")
        await self.async_client.aforce_login(ada)
        async with self.async_client.websocket("/me") as socket:
            await socket.send("")
            self.assertEqual(await socket.receive_text(), "ada")
            await socket.advance(10)
            self.assertIsNone(socket.close_code)
            await User.objects.filter(pk=ada.pk).aupdate(is_active=False)
            await socket.advance(10)
            self.assertEqual(socket.close_code, 4401)
