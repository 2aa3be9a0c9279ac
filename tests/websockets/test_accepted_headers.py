"""Headers of the response that accepts a handshake: whoever gives them, none is taken for another."""

from typing import Any

import pytest

from hybrid_gateway import Gateway, Mount, Response, WebSocket, listener, websocket
from hybrid_gateway.test import TestClient

BAD = [
    (b"x-a\r\nx-b: c", b"1"),
    (b"x-a\nx-b", b"1"),
    (b"x a", b"1"),
    (b"", b"1"),
    (b"x-a:", b"1"),
    (b"x-\xe9", b"1"),
    (b"x-a", b"1\r\nx-b: c"),
    (b"x-a", b"1\x00"),
]
OF_THE_SERVER = [
    *("Upgrade", "Connection", "Content-Length", "Transfer-Encoding", "transfer-encoding"),
    *("Sec-WebSocket-Accept", "Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol", "Sec-WebSocket-Version"),
]


def by_accept(header: tuple[bytes, bytes]) -> Any:
    @websocket("/")
    async def hold(socket: WebSocket) -> None:
        await socket.accept(headers=[header])
        await socket.receive()

    return hold


def by_after_request(header: tuple[bytes, bytes]) -> Any:
    def add(response: Response) -> None:
        response.raw_headers.append(header)

    @listener("/", after_request=add)
    async def hold(data: str) -> None:
        """Answer nothing."""

    return hold


def by_event_hook(header: tuple[bytes, bytes]) -> Any:
    class Adding:
        async def on_response(self, response: Response) -> None:
            response.raw_headers.append(header)

    @listener("/", event_hooks=[Adding])
    async def hold(data: str) -> None:
        """Answer nothing."""

    return hold


def by_middleware(header: tuple[bytes, bytes]) -> Any:
    def adding(app: Any) -> Any:
        async def add(scope: Any, receive: Any, send: Any) -> None:
            async def send_more(message: Any) -> None:
                if message["type"] == "websocket.accept":
                    message = {**message, "headers": [*message["headers"], header]}
                await send(message)

            await app(scope, receive, send_more)

        return add

    @listener("/", middleware=[adding])
    async def hold(data: str) -> None:
        """Answer nothing."""

    return hold


def by_mount(header: tuple[bytes, bytes]) -> Any:
    async def accept(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept", "headers": [header]})
            await receive()

    return Mount("/mounted", accept)


OURS = [by_accept, by_after_request, by_event_hook]


@pytest.mark.parametrize("header", BAD)
@pytest.mark.parametrize("give", [by_accept, by_event_hook])
def test_what_is_no_header_is_a_500_before_any_server_sees_it(give, header):
    client = TestClient(Gateway([give(header)]), raise_request_exception=False)
    with client.websocket("/") as socket:
        assert socket.refusal.status_code == 500


@pytest.mark.parametrize("header", BAD)
@pytest.mark.parametrize(("give", "path"), [(by_middleware, "/"), (by_mount, "/mounted"), (by_after_request, "/")])
def test_nor_does_a_server_see_it_where_the_500_would_have_it_too(give, path, header):
    client = TestClient(Gateway([give(header)]), raise_request_exception=give is not by_after_request)
    with pytest.raises(ValueError, match="is no (name|value)"), client.websocket(path):
        """Never be entered."""


@pytest.mark.parametrize("name", OF_THE_SERVER)
@pytest.mark.parametrize("give", OURS)
def test_what_is_the_servers_to_say_is_left_out(give, name):
    client = TestClient(Gateway([give((name.encode(), b"x"))]))
    with client.websocket("/") as socket:
        assert socket.refusal is None
        assert name.lower() not in socket.headers


@pytest.mark.parametrize("give", [*OURS, by_middleware])
def test_any_other_header_goes_along(give):
    client = TestClient(Gateway([give((b"x-seen", b"1"))]))
    with client.websocket("/") as socket:
        assert socket.headers["x-seen"] == "1"
