"""No websocket reaches the wrong side: the rules of dispatch hold for handshakes as they do for requests."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote, unquote

import pytest
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from hybrid_gateway import ConfigurationError, Gateway, Mount, WebSocket, get, websocket
from hybrid_gateway.conf import get_settings
from hybrid_gateway.dispatch.dispatcher import Dispatcher


def answering(name: str) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "websocket"
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 3000, "reason": f"{name} {scope['root_path']} {scope['path']}"})

    return app


@websocket("/{rest:path}")
async def route(socket: WebSocket, rest: str) -> None:
    await socket.close(3000, f"route {rest}")


@get("/page")
async def page() -> str:
    return "page"


DJANGO = answering("django")


def make_gateway(**options: Any) -> Gateway:
    routes = [route, page, Mount("/live", answering("mount"))]
    return Gateway(routes, django_routes=["/admin/", "/pages/deep"], **options)


def shake_hands(gateway: Gateway, path: str, raw_path: bytes | None = None, **changes: Any) -> str | int:
    """Who has answered a handshake, and with what; or the status of a refusal."""
    scope = {
        "type": "websocket", "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1", "scheme": "ws",
        "path": path, "raw_path": quote(path).encode() if raw_path is None else raw_path, "query_string": b"",
        "root_path": "", "client": ("127.0.0.1", 1), "server": ("testserver", 80), "subprotocols": [],
        "headers": [(b"host", b"testserver")], "extensions": {"websocket.http.response": {}}, **changes,
    }  # fmt: skip
    messages: list[Any] = [{"type": "websocket.connect"}]
    sent: list[Any] = []

    async def receive() -> Any:
        if messages:
            return messages.pop()
        while sent[-1]["type"] != "websocket.close":
            await asyncio.sleep(0)
        return {"type": "websocket.disconnect", "code": 1005}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(gateway(scope, receive, send))
    if sent[0]["type"] == "websocket.http.response.start":
        status: int = sent[0]["status"]
        return status
    assert sent[0]["type"] == "websocket.accept"
    reason: str = sent[-1]["reason"]
    return reason


@pytest.fixture(scope="module")
def gateway() -> Gateway:
    return make_gateway(django_websockets=DJANGO)


@pytest.mark.parametrize(
    ("target", "answer"),
    [
        ("/admin", "django  /admin"),
        ("/admin/", "django  /admin/"),
        ("/admin/chat/1", "django  /admin/chat/1"),
        ("/%61dmin/x", "django  /admin/x"),
        ("/pages/deep/x", "django  /pages/deep/x"),
        ("/pages/deeper", "route pages/deeper"),
        ("/administrator", "route administrator"),
        ("/live", "route live"),  # a route that covers it comes first, as for requests
        ("/x", "route x"),
        ("/Admin/x", 400),
        ("/ADMIN/", 400),
        ("//admin/x", 400),
        ("/./admin/x", 400),
        ("/admin/../x", 400),
        ("/x/../admin/x", 400),
        ("/admin/%2e%2e/x", 400),
        ("/%2561dmin/x", 400),
        ("/admin%2fx", 400),
        ("/x%5cadmin", 400),
        ("/x;/..;/admin/x", 400),
        ("/%EF%BD%81dmin/x", 400),
        ("/admin/%00", 400),
        ("/x%0a", 400),
        ("/" + "x" * 9000, 414),
    ],
)
def test_a_path_belongs_to_one_side_however_it_is_written(gateway: Gateway, target: str, answer: str | int) -> None:
    assert shake_hands(gateway, unquote(target), target.encode()) == answer


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([(b"host", b"ex.test/abc?x=")], 400),
        ([], 400),
        ([(b"host", b"testserver"), (b"host", b"testserver")], 400),
        ([(b"host", b"testserver"), (b"x-a", b"a\x00b")], 400),
        ([(b"host", b"testserver"), *[(b"x-%d" % number, b"y") for number in range(200)]], 431),
    ],
)
@pytest.mark.parametrize("path", ["/x", "/admin/x"])
def test_what_no_request_may_have_no_handshake_may(gateway: Gateway, headers: Any, status: int, path: str) -> None:
    assert shake_hands(gateway, path, headers=headers) == status


def test_headers_with_an_underscore_reach_nobody() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend(scope["headers"])
        await DJANGO(scope, receive, send)

    headers = [(b"host", b"testserver"), (b"x_user", b"root")]
    assert shake_hands(make_gateway(django_websockets=app), "/admin/x", headers=headers) == "django  /admin/x"
    assert seen == [(b"host", b"testserver")]


def test_without_an_application_djangos_side_has_none() -> None:
    gateway = make_gateway()
    assert shake_hands(gateway, "/admin/x") == 404
    assert shake_hands(gateway, "/x") == "route x"


def test_below_a_script_prefix(gateway: Gateway) -> None:
    assert shake_hands(gateway, "/shop/admin/x", root_path="/shop") == "django /shop /shop/admin/x"
    assert shake_hands(gateway, "/shop/x", root_path="/shop") == "route x"


def test_a_mount_answers_where_no_route_does() -> None:
    gateway = Gateway([page, Mount("/live", answering("mount"))], django_routes=["/admin/"], django_websockets=DJANGO)
    assert shake_hands(gateway, "/live/a") == "mount /live /live/a"
    assert shake_hands(gateway, "/live") == "mount /live /live"
    assert shake_hands(gateway, "/lively") == 404
    assert shake_hands(gateway, "/Live/a") == 400
    assert shake_hands(gateway, "/page") == 404


SEGMENTS = ["admin", "Admin", "%61dmin", "adminx", "pages", "deep", "live", "", ".", "..", "x", "%2e%2e", "a%2fb", ";"]


@given(segments=st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=5))
def test_whatever_is_asked_the_side_is_that_of_the_decoded_path_or_nobody(segments: list[str]) -> None:
    target = "/" + "/".join(segments)
    answer = shake_hands(GATEWAY, unquote(target), target.encode())
    if isinstance(answer, int):
        assert answer in (400, 404, 414)
    else:
        path = unquote(target)
        is_django = path == "/admin" or path.startswith(("/admin/", "/pages/deep/")) or path == "/pages/deep"
        assert answer.startswith("django") == is_django


GATEWAY = make_gateway(django_websockets=DJANGO)


def test_the_setting_takes_a_dotted_path() -> None:
    here = "tests.security.test_websocket_dispatch"
    with override_settings(HYBRID_GATEWAY={"ROUTES": "tests.routes", "DJANGO_WEBSOCKETS": f"{here}.DJANGO"}):
        assert get_settings().django_websockets is DJANGO
    for wrong in (f"{here}.nothing", f"{here}.SEGMENTS", Dispatcher, 3):
        with (
            override_settings(HYBRID_GATEWAY={"ROUTES": "tests.routes", "DJANGO_WEBSOCKETS": wrong}),
            pytest.raises(ConfigurationError, match="DJANGO_WEBSOCKETS"),
        ):
            get_settings()
