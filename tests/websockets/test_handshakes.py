"""Handshakes: decided by the plans of HTTP routes, before anything is accepted, and refused by their responses."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

import msgspec
import pytest
from django.contrib.auth.models import User
from django.test import override_settings
from starlette.websockets import WebSocketDisconnect

from hybrid_gateway import (
    Authentication,
    Component,
    Controller,
    Cookie,
    Depends,
    Gateway,
    Header,
    HTTPException,
    Include,
    JSONResponse,
    Listener,
    Query,
    Request,
    Router,
    WebSocket,
    get,
    listener,
    stream,
    websocket,
)
from hybrid_gateway.auth import AuthenticationScheme, IsAuthenticated
from hybrid_gateway.exceptions import Conflict, Forbidden, ServiceUnavailable
from hybrid_gateway.test import ServerHabits, TestClient, create_test_client
from hybrid_gateway.websockets.wire import WIRE


class Bearer(AuthenticationScheme):
    """Knows ada by her token."""

    challenge = "Bearer"

    async def authenticate(self, request: Request) -> Authentication | None:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not token:
            return None
        if token != "ada":
            raise HTTPException(401, "Unknown token.")
        return Authentication(user=User(username="ada", is_active=True), scheme=self, token=token)


def refused(client: TestClient, path: str, **options) -> tuple[int, dict]:
    """The status of a refusal, and its problem details."""
    with client.websocket(path, **options) as socket:
        assert socket.refusal is not None, "it was accepted"
        assert socket.refusal.headers["Content-Type"] == "application/problem+json"
        problem = socket.refusal.json()
        assert problem["status"] == socket.refusal.status_code
        return socket.refusal.status_code, problem


# --- parameters ------------------------------------------------------------------------------------------------------


class Filters(msgspec.Struct):
    page: int = 1


KINDS = ["websocket", "listener", "stream", "class"]


def route_of(kind: str):
    """A route of a kind, that tells what its parameters are."""

    async def told(room: int, tag: str, version: str, seen: str) -> list:
        return [room, tag, version, seen]

    if kind == "websocket":

        @websocket("/{room}")
        async def hold(
            socket: WebSocket,
            room: int,
            tag: str,
            version: Annotated[str, Header(alias="X-Version")],
            seen: Annotated[str, Cookie()],
        ) -> None:
            await socket.send(await told(room, tag, version, seen))

        return hold
    if kind == "listener":

        @listener("/{room}")
        def answer(
            data: str,
            room: int,
            tag: str,
            version: Annotated[str, Header(alias="X-Version")],
            seen: Annotated[str, Cookie()],
        ) -> list:
            return [room, tag, version, seen]

        return answer
    if kind == "stream":

        @stream("/{room}")
        async def talk(
            room: int, tag: str, version: Annotated[str, Header(alias="X-Version")], seen: Annotated[str, Cookie()]
        ) -> AsyncIterator[list]:
            yield await told(room, tag, version, seen)

        return talk

    class Told(Listener):
        path = "/{room}"

        async def on_connect(self, room: int, tag: str) -> None:
            self.known = [room, tag]

        async def on_message(
            self,
            data: str,
            version: Annotated[str, Header(alias="X-Version")],
            seen: Annotated[str, Cookie()],
        ) -> list:
            return [*self.known, version, seen]

    return Told


@pytest.mark.parametrize("kind", KINDS)
def test_path_query_header_and_cookie_parameters_mean_what_they_mean_for_requests(kind):
    client = create_test_client(route_of(kind))
    given = {"params": {"tag": "x"}, "headers": {"X-Version": "2"}, "cookies": {"seen": "yes"}}
    with client.websocket("/7", **given) as socket:
        socket.send("")
        assert socket.receive() == [7, "x", "2", "yes"]
    assert refused(client, "/x", **given)[0] == 404
    assert refused(client, "/7/8", **given)[0] == 404
    status, problem = refused(client, "/7")
    assert status == 422
    assert {tuple(error["loc"]) for error in problem["errors"]} >= {("query", "tag")}
    assert "type" in problem and problem["type"] != "error"


def test_lists_structs_and_defaults_of_the_query():
    @stream("/")
    async def talk(
        ids: list[int], filters: Annotated[Filters, Query()], since: str | None = None
    ) -> AsyncIterator[list]:
        yield [ids, filters.page, since]

    client = create_test_client(talk)
    with client.websocket("/?ids=1&ids=2&page=3") as socket:
        assert socket.receive() == [[1, 2], 3, None]
    assert refused(client, "/?ids=x")[1]["errors"][0]["loc"] == ["query", "ids", 0]


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [401, 403, 404, 409, 422, 429, 503])
@pytest.mark.parametrize("place", ["guard", "component", "on_connect", "handler"])
def test_every_error_before_accept_is_the_response_of_a_request(error, place):
    async def deny() -> int:
        raise HTTPException(error, "No.", headers={"X-Why": "because"})

    async def fine() -> int:
        return 1

    class Refusing(Listener):
        path = "/on_connect"
        components = [deny if place == "component" else fine]
        guards = [deny] if place == "guard" else []

        async def on_connect(self, number: int) -> None:
            if place in ("on_connect", "handler"):
                await deny()

        async def on_message(self, data: str) -> None:
            """Never be called."""

    @websocket("/handler")
    async def hold(socket: WebSocket) -> None:
        await deny()

    with create_test_client(Refusing, hold).websocket(
        f"/{'handler' if place == 'handler' else 'on_connect'}"
    ) as socket:
        assert socket.refusal.status_code == error
        assert socket.refusal.headers["X-Why"] == "because"
        assert socket.refusal.json()["detail"] == "No."


def test_a_refusal_is_that_of_the_http_route_but_for_what_says_which_it_was():
    async def deny() -> None:
        raise Forbidden("Not you.")

    @websocket("/a", guards=[deny])
    async def hold(socket: WebSocket) -> None:
        """Never be called."""

    @get("/b", guards=[deny])
    async def show() -> None:
        """Never be called."""

    client = create_test_client(hold, show)
    response = client.get("/b")
    with client.websocket("/a") as socket:
        assert (socket.refusal.status_code, socket.refusal.json()) == (response.status_code, response.json())
        ours, theirs = dict(socket.refusal.headers), dict(response.headers)
        assert {name.lower() for name in theirs} - {name.lower() for name in ours} <= {"content-length", "vary"}


def test_credentials_are_asked_for_before_rights_and_rights_before_parameters():
    class Never:
        pass

    def never() -> bool:
        return False

    async def is_never(request: Request) -> bool:
        return False

    @websocket("/", authentication=[Bearer()], guards=[IsAuthenticated, is_never])
    async def hold(socket: WebSocket, number: int) -> None:
        """Never be called."""

    client = create_test_client(hold)
    with client.websocket("/") as socket:
        assert socket.refusal.status_code == 401
        assert socket.refusal.headers["WWW-Authenticate"].startswith("Bearer")
    assert refused(client, "/", headers={"Authorization": "Bearer nobody"})[0] == 401
    assert refused(client, "/", headers={"Authorization": "Bearer ada"})[0] == 403


def test_handlers_know_the_user_and_the_authentication():
    @listener("/", authentication=[Bearer()])
    async def answer(data: str, user: User, authentication: Authentication) -> list:
        return [user.username, authentication.token]

    @listener("/open", authentication=[Bearer()])
    async def either(data: str, user: User | None) -> str:
        return "nobody" if user is None else user.username

    client = create_test_client(answer, either)
    with client.websocket("/", headers={"Authorization": "Bearer ada"}) as socket:
        socket.send("")
        assert socket.receive() == ["ada", "ada"]
    assert refused(client, "/")[0] == 401
    with client.websocket("/open") as socket:
        socket.send("")
        assert socket.receive_text() == "nobody"


def test_throttles_count_handshakes():
    @websocket("/", throttle=["2/minute"])
    async def hold(socket: WebSocket) -> None:
        await socket.send("in")

    client = create_test_client(hold)
    for _ in range(2):
        with client.websocket("/") as socket:
            assert socket.receive_text() == "in"
    with client.websocket("/") as socket:
        assert socket.refusal.status_code == 429
        assert int(socket.refusal.headers["Retry-After"]) > 0


def test_a_draining_gateway_refuses_with_503():
    @websocket("/")
    async def hold(socket: WebSocket) -> None:
        """Be accepted, and end."""

    client = create_test_client(hold)
    client.gateway.drain()
    assert refused(client, "/")[0] == 503


def test_hosts_are_checked():
    @websocket("/")
    async def hold(socket: WebSocket) -> None:
        """Be accepted, and end."""

    with override_settings(ALLOWED_HOSTS=["good.example"]):
        client = create_test_client(hold)
        assert refused(client, "/", headers={"Host": "evil.example"})[0] == 400
        with client.websocket("/", headers={"Host": "good.example"}) as socket:
            assert socket.refusal is None


def test_exception_handlers_of_layers_make_refusals():
    class Full(Exception):
        pass

    async def deny() -> None:
        raise Full

    @websocket("/", guards=[deny])
    async def hold(socket: WebSocket) -> None:
        """Never be called."""

    @websocket("/handler")
    async def late(socket: WebSocket) -> None:
        raise Full

    async def outer(error: Exception) -> JSONResponse:
        raise AssertionError("the closest one wins")

    async def inner(error: Exception) -> JSONResponse:
        return JSONResponse({"sorry": type(error).__name__}, status_code=418)

    gateway = Gateway([Router("/r", [hold, late], exception_handlers={Full: inner})], exception_handlers={Full: outer})
    for path in ("/r/", "/r/handler"):
        with TestClient(gateway).websocket(path) as socket:
            assert (socket.refusal.status_code, socket.refusal.json()) == (418, {"sorry": "Full"})


def test_a_crash_before_accept_is_a_logged_500(caplog):
    @websocket("/")
    async def hold(socket: WebSocket) -> None:
        raise ValueError("broken")

    client = TestClient(Gateway([hold]), raise_request_exception=False)
    assert refused(client, "/")[0] == 500
    assert "broken" in caplog.text
    with pytest.raises(ValueError, match="broken"), create_test_client(hold).websocket("/"):
        pass


def test_servers_that_cannot_answer_send_403():
    @websocket("/")
    async def hold(socket: WebSocket, number: int) -> None:
        """Never be called."""

    with create_test_client(hold).websocket("/", habits=ServerHabits(denies=False)) as socket:
        assert socket.refusal.status_code == 403


# --- hooks -----------------------------------------------------------------------------------------------------------


def test_hooks_see_the_handshake_as_a_request_and_its_end():
    log = []

    class Noting:
        def on_request(self, request: Request) -> None:
            log.append(f"request {request.method} {request.url.path} {request.url.scheme}")

    def before(request: Request) -> None:
        log.append("before")

    @websocket("/", event_hooks=[Noting], before_request=before)
    async def hold(socket: WebSocket) -> None:
        log.append("handler")

    with create_test_client(hold).websocket("/"):
        pass
    assert log == ["request GET / http", "before", "handler"]


def test_a_hook_may_answer_in_the_place_of_the_handler():
    def before() -> JSONResponse:
        return JSONResponse({"no": "thanks"}, status_code=410)

    @websocket("/", before_request=before)
    async def hold(socket: WebSocket) -> None:
        """Never be called."""

    with create_test_client(hold).websocket("/") as socket:
        assert (socket.refusal.status_code, socket.refusal.json()) == (410, {"no": "thanks"})


def test_headers_and_cookies_of_layers_come_with_accept():
    @websocket("/", response_headers={"X-Layer": "1"})
    async def hold(socket: WebSocket) -> None:
        await socket.accept(headers=[("X-Own", "2")])

    with create_test_client(hold).websocket("/") as socket:
        assert (socket.headers["x-layer"], socket.headers["x-own"]) == ("1", "2")


# --- accept ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["accept", "send", "receive", "nothing", "close"])
def test_accept_is_explicit_or_the_first_use(first):
    @websocket("/")
    async def hold(socket: WebSocket) -> None:
        assert not socket.is_accepted
        if first == "accept":
            await socket.accept()
        elif first == "send":
            await socket.send("hi")
        elif first == "receive":
            await socket.receive_text()
        elif first == "close":
            await socket.close(4000, "no")
        if first != "nothing":
            assert socket.is_accepted

    with create_test_client(hold).websocket("/") as socket:
        assert socket.refusal is None
        socket.send("x")
        with pytest.raises(WebSocketDisconnect) as caught:
            while True:
                socket.receive_text()
    assert caught.value.code == (4000 if first == "close" else 1000)


def test_a_second_accept_is_a_mistake():
    @websocket("/")
    async def hold(socket: WebSocket) -> None:
        await socket.accept()
        await socket.accept()

    with (
        pytest.raises(RuntimeError, match="accepted already"),
        create_test_client(hold).websocket("/") as socket,
    ):
        socket.receive()


def test_subprotocols_are_those_that_the_client_offers():
    @websocket("/option", subprotocols=["b", "a"])
    async def by_option(socket: WebSocket) -> None:
        await socket.send(socket.offered_subprotocols)

    @websocket("/own")
    async def own(socket: WebSocket) -> None:
        await socket.accept("c")

    client = create_test_client(by_option, own)
    for offered, chosen in [(["a", "b"], "b"), (["a"], "a"), (["x"], None), ([], None)]:
        with client.websocket("/option", subprotocols=offered) as socket:
            assert (socket.subprotocol, socket.receive()) == (chosen, offered)
    with client.websocket("/own", subprotocols=["c"]) as socket:
        assert socket.subprotocol == "c"
    with pytest.raises(RuntimeError, match="does not offer the subprotocol 'c'"), client.websocket("/own"):
        pass


# --- layers and paths ------------------------------------------------------------------------------------------------


def test_a_websocket_and_a_request_may_share_a_path():
    @get("/chat")
    async def page() -> str:
        return "the page"

    @websocket("/chat")
    async def chat(socket: WebSocket) -> None:
        await socket.send("the socket")

    client = create_test_client(page, chat)
    assert client.get("/chat").content == b"the page"
    with client.websocket("/chat") as socket:
        assert socket.receive_text() == "the socket"
    assert client.post("/chat").status_code == 405


def test_a_request_to_a_websocket_is_426():
    @websocket("/chat")
    async def chat(socket: WebSocket) -> None:
        """Never be called."""

    for protocol in ("asgi", "wsgi"):
        response = TestClient(Gateway([chat]), protocol=protocol).get("/chat")
        assert response.status_code == 426
        assert response.headers["Upgrade"] == "websocket"
        assert response.json()["detail"]


def test_controllers_routers_and_includes_hold_websockets():
    class Rooms(Controller):
        path = "/rooms"
        guards = []

        @websocket("/{number}")
        async def one(self, socket: WebSocket, number: int) -> None:
            await socket.send(f"{type(self).__name__} {number}")

        @listener("/{number}/talk")
        def talk(self, data: str, number: int) -> str:
            return f"{data} {number}"

        @stream("/{number}/watch")
        async def watch(self, number: int) -> AsyncIterator[int]:
            yield number

    gateway = Gateway([Router("/v1", [Include("/inner", [Rooms], name="inner")])])
    client = TestClient(gateway)
    assert gateway.reverse_url("inner:one", number=3) == "/v1/inner/rooms/3"
    with client.websocket(gateway.reverse_url("inner:one", number=3)) as socket:
        assert socket.receive_text() == "Rooms 3"
    with client.websocket("/v1/inner/rooms/4/talk") as socket:
        socket.send("hi")
        assert socket.receive_text() == "hi 4"
    with client.websocket("/v1/inner/rooms/5/watch") as socket:
        assert socket.receive(int) == 5


def test_plugins_add_websockets_and_options_tell_guards():
    @websocket("/plugged", opt={"role": "guest"})
    async def plugged(socket: WebSocket) -> None:
        await socket.send("in")

    class Plugin:
        def on_gateway_init(self, options):
            return msgspec.structs.replace(options, routes=(*options.routes, plugged))

    roles = []

    async def note(request: Request) -> None:
        roles.append(request.scope["path"])

    with TestClient(Gateway([], plugins=[Plugin()], guards=[note])).websocket("/plugged") as socket:
        assert socket.receive_text() == "in"
    assert roles == ["/plugged"]


def test_names_are_reversed():
    @websocket("/a/{number}", name="numbered")
    async def hold(socket: WebSocket, number: int) -> None:
        """Be accepted, and end."""

    class Lobby(Listener):
        path = "/lobby"
        name = "lobby"

        async def on_message(self, data: str) -> None:
            """Take it."""

    gateway = Gateway([hold, Lobby])
    assert gateway.reverse_url("numbered", number=7) == "/a/7"
    assert gateway.reverse_url("lobby") == "/lobby"


def test_a_route_may_have_several_paths():
    @websocket(["/a", "/b"])
    async def hold(socket: WebSocket) -> None:
        await socket.send(socket.url.path)

    for path in ("/a", "/b"):
        with create_test_client(hold).websocket(path) as socket:
            assert socket.receive_text() == path


def test_depends_and_components_are_injected():
    class Clock(Component):
        pass

    async def double(number: int) -> int:
        return number * 2

    def clock() -> Clock:
        return Clock()

    @listener("/", components=[clock])
    async def answer(data: str, twice: Annotated[int, Depends(double)], clock: Clock) -> list:
        return [twice, type(clock).__name__]

    with create_test_client(answer).websocket("/?number=4") as socket:
        socket.send("")
        assert socket.receive() == [8, "Clock"]


def test_a_time_out_is_for_the_handshake_and_not_for_the_conversation():
    async def slow() -> int:
        await asyncio.sleep(5)
        return 1

    @websocket("/slow", timeout=0.05, components=[slow])
    async def hold(socket: WebSocket, number: int) -> None:
        """Never be called."""

    @websocket("/fast", timeout=0.05)
    async def long(socket: WebSocket) -> None:
        await socket.accept()
        await asyncio.sleep(0.15)
        await socket.send("still there")

    client = create_test_client(hold, long)
    assert refused(client, "/slow")[0] == 504
    with client.websocket("/fast") as socket:
        assert socket.receive_text() == "still there"


def test_errors_that_are_told_to_clients_are_conflicts_and_unavailability_too():
    @websocket("/conflict")
    async def conflict(socket: WebSocket) -> None:
        raise Conflict("Taken.")

    @websocket("/away")
    async def away(socket: WebSocket) -> None:
        raise ServiceUnavailable("Away.", headers={"Retry-After": "7"})

    client = create_test_client(conflict, away)
    assert refused(client, "/conflict")[0] == 409
    with client.websocket("/away") as socket:
        assert (socket.refusal.status_code, socket.refusal.headers["Retry-After"]) == (503, "7")


@pytest.mark.parametrize("hsts", [0, 60])
def test_a_driver_s_own_wire_is_used_whatever_headers_responses_get(hsts):
    accepted = []

    class OwnWire:
        """Accepts, and has ended at once."""

        can_ping = True
        queued = (0, 0)

        async def accept(self, receiver, **options) -> None:
            accepted.append(options["subprotocol"])
            receiver.on_closed(1001, "")

        def close(self, code: int, reason: str) -> None:
            """Nothing is left to close."""

        async def wait_closed(self) -> None:
            """It has ended."""

        def abort(self) -> None:
            """Nothing is left to cut."""

    @websocket("/")
    async def hold(socket: WebSocket) -> None:
        await socket.accept()

    async def receive() -> dict:
        return {"type": "websocket.connect"}

    async def send(message: dict) -> None:
        raise AssertionError(f"the wire is to be used, not {message}")

    with override_settings(SECURE_HSTS_SECONDS=hsts):
        scope = {
            "type": "websocket",
            "scheme": "wss",
            "path": "/",
            "raw_path": b"/",
            "root_path": "",
            "query_string": b"",
            "headers": [(b"host", b"testserver")],
            "http_version": "1.1",
            "subprotocols": [],
            "client": ("127.0.0.1", 1),
            "server": ("testserver", 443),
            "extensions": {WIRE: OwnWire()},
        }
        asyncio.run(Gateway([hold])(scope, receive, send))
    assert accepted == [None]
