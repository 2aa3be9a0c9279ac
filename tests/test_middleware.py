"""Pure ASGI middleware around the API, never around Django."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware

from hybrid_gateway import ASGIMiddleware, Gateway, Request, Router, get, post
from hybrid_gateway.exceptions import ConfigurationError

pytestmark = pytest.mark.urls("tests.sites.dispatch_urls")


class Stamp:
    """Adds its name to a header of the answer, and to one of the request."""

    def __init__(self, app: Any, name: str = "stamp") -> None:
        self.app = app
        self.name = name

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def stamped(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-stamp", self.name.encode())]
            await send(message)

        headers = [*scope["headers"], (b"x-seen", self.name.encode())]
        await self.app({**scope, "headers": headers}, receive, stamped)


@get("/seen")
def seen(request: Request) -> list[str]:
    return request.headers.getlist("x-seen")


@get("/async-seen")
async def async_seen(request: Request) -> list[str]:
    return request.headers.getlist("x-seen")


def test_middleware_wraps_outer_to_inner_and_sees_every_answer_of_the_api(serve):
    inner = Router("/in", [seen, async_seen], middleware=[Middleware(Stamp, name="inner")])
    client = serve(inner, seen, middleware=[Stamp], django_routes=["/pages/"])
    for path in ("/in/seen", "/in/async-seen"):
        response = client.get(path)
        assert response.json() == ["stamp", "inner"]
        assert response.headers["x-stamp"] in ("inner,stamp", "inner, stamp", "stamp")
    assert client.get("/seen").json() == ["stamp"]
    assert client.get("/nowhere").headers["x-stamp"] == "stamp"
    assert client.post("/seen").headers["x-stamp"] == "stamp"
    assert "x-stamp" not in client.get("/pages/").headers


def test_middleware_of_starlette_works_over_both_protocols(serve):
    @get("/big")
    def big() -> str:
        return "x" * 5000

    @post("/echo")
    async def echo(data: dict[str, int]) -> dict[str, int]:
        return data

    client = serve(
        big,
        echo,
        middleware=[GZipMiddleware, Middleware(CORSMiddleware, allow_origins=["https://a.test"], allow_methods=["*"])],
    )
    assert client.get("/big", headers={"Accept-Encoding": "gzip"}).headers["content-encoding"] == "gzip"
    assert (
        client.get("/big", headers={"Origin": "https://a.test"}).headers["access-control-allow-origin"]
        == "https://a.test"
    )
    preflight = {"Origin": "https://a.test", "Access-Control-Request-Method": "POST"}
    assert client.options("/echo", headers=preflight).headers["access-control-allow-origin"] == "https://a.test"
    assert client.post("/echo", json={"a": 1}).json() == {"a": 1}


def test_what_is_no_middleware_is_refused():
    with pytest.raises(ConfigurationError, match="is no ASGI middleware"):
        Gateway([seen], middleware=["stamp"])


# --- a base class


class Marking(ASGIMiddleware):
    exclude = r"^/plain"
    exclude_opt = "unmarked"

    def __init__(self, mark: bytes) -> None:
        self.mark = mark

    async def handle(self, scope: Any, receive: Any, send: Any, next_app: Any) -> None:
        async def marked(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-mark", self.mark)]
            await send(message)

        await next_app(scope, receive, marked)


@pytest.mark.parametrize("kind", ["async", "def"])
def test_middleware_of_ones_own_leaves_out_what_it_shall(serve, kind):
    if kind == "async":

        @get(["/marked", "/plain/x"])
        async def view() -> str:
            return "x"

        @get("/unmarked", opt={"unmarked": True})
        async def other() -> str:
            return "x"

    else:

        @get(["/marked", "/plain/x"])
        def view() -> str:
            return "x"

        @get("/unmarked", opt={"unmarked": True})
        def other() -> str:
            return "x"

    client = serve(Router("", [view, other], middleware=[Marking(b"m")]))
    marks = {path: client.get(path).headers.get("X-Mark") for path in ("/marked", "/plain/x", "/unmarked")}
    assert marks == {"/marked": "m", "/plain/x": None, "/unmarked": None}
    client = serve(view, middleware=[Marking(b"g")])
    assert client.get("/marked").headers["X-Mark"] == "g"
    assert client.get("/nowhere").headers["X-Mark"] == "g"
    assert client.get("/plain/y").headers.get("X-Mark") is None


class Innermost:
    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


class Outermost(ASGIMiddleware):
    before = (Innermost, GZipMiddleware)

    async def handle(self, scope: Any, receive: Any, send: Any, next_app: Any) -> None:
        await next_app(scope, receive, send)


class AfterStamp(Innermost):
    after = (Stamp,)


def test_middleware_that_is_listed_in_the_wrong_order_is_a_start_up_error():
    Gateway([seen], middleware=[Outermost(), Stamp, AfterStamp, Innermost])
    Gateway([Router("/", [seen], middleware=[AfterStamp])], middleware=[Stamp])
    Gateway([seen], middleware=[AfterStamp])
    with pytest.raises(ConfigurationError, match="Outermost must be listed before GZipMiddleware"):
        Gateway([seen], middleware=[Middleware(GZipMiddleware), Outermost()])
    with pytest.raises(ConfigurationError, match="Outermost must be listed before Innermost"):
        Gateway([Router("/", [seen], middleware=[Outermost()])], middleware=[Innermost])
    with pytest.raises(ConfigurationError, match="AfterStamp must be listed after Stamp"):
        Gateway([seen], middleware=[AfterStamp, Stamp])
