"""Applications of other kinds below a path of the gateway."""

import asyncio

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route as StarletteRoute

from hybrid_gateway import ConfigurationError, Gateway, Include, Mount, Router, get, post


async def show(request: Request) -> JSONResponse:
    body = (await request.body()).decode()
    scope = request.scope
    return JSONResponse(
        [scope["root_path"], scope["path"], request.method, body, str(request.url_for("show", rest="x"))]
    )


STARLETTE = Starlette(routes=[StarletteRoute("/{rest:path}", show, methods=["GET", "POST"], name="show")])


def wsgi(environ, start_response):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)).decode()
    start_response("200 OK", [("Content-Type", "text/plain")])
    words = (environ["SCRIPT_NAME"], environ["PATH_INFO"], environ["REQUEST_METHOD"], body, environ["QUERY_STRING"])
    return [" ".join(words).encode()]


@get("/typed")
async def typed() -> str:
    return "typed"


def test_an_asgi_application_knows_where_it_is_mounted(serve):
    client = serve(typed, Mount("/star", STARLETTE))
    assert client.get("/star/a/b").json() == ["/star", "/star/a/b", "GET", "", "http://testserver/star/x"]
    assert client.post("/star/a", data="body", content_type="text/plain").json()[2:4] == ["POST", "body"]
    assert client.get("/typed").text == "typed"


def test_a_wsgi_application_knows_where_it_is_mounted(serve):
    client = serve(Mount("/old/", wsgi))
    assert client.get("/old/a%20b?x=1").text == "/old /a b GET  x=1"
    assert client.post("/old/c", data="body", content_type="text/plain").text == "/old /c POST body "
    assert client.get("/old").text == "/old  GET  "


def test_mounts_match_on_segments_and_the_longest_wins(serve):
    client = serve(Mount("/a", wsgi), Mount("/a/b", STARLETTE))
    assert client.get("/a/b/c").json()[0] == "/a/b"
    assert client.get("/a/bc").text.startswith("/a /bc")
    assert client.get("/ab").status_code == 404


def test_routes_come_first(serve):
    @get("/a/route")
    async def route() -> str:
        return "route"

    client = serve(Mount("/a", wsgi), route)
    assert client.get("/a/route").text == "route"
    assert client.post("/a/route").status_code == 405
    assert client.get("/a/other").text.startswith("/a /other")


def test_inside_routers(serve):
    client = serve(Router("/v1", [Include("/deep", [Mount("/old", wsgi)])]))
    assert client.get("/v1/deep/old/x").text.startswith("/v1/deep/old /x")


def test_below_a_script_prefix(serve):
    client = serve(Mount("/old", wsgi))
    assert client.get("/old/x", SCRIPT_NAME="/shop").text.startswith("/shop/old /x")


@pytest.mark.parametrize("app", [object(), "config.asgi", Starlette])
def test_what_is_no_application_is_told(app):
    with pytest.raises(ConfigurationError, match="ASGI or WSGI application"):
        Mount("/x", app)


@pytest.mark.parametrize("path", ["/", "", "/{name}"])
def test_a_mount_has_a_plain_path(path):
    with pytest.raises(ConfigurationError, match="path of its own"):
        Mount(path, wsgi)
    with pytest.raises(ConfigurationError, match="parameters"):
        Gateway([Router("/{name}", [Mount("/x", wsgi)])])


def test_a_mount_that_django_hides_is_told():
    with pytest.raises(ConfigurationError, match="could never be reached"):
        Gateway([Mount("/admin/x", wsgi)], django_routes=["/admin/"])


def test_a_gateway_in_a_gateway(serve):
    @post("/in")
    async def inner(data: dict[str, int]) -> dict[str, int]:
        return data

    client = serve(Mount("/outer", Gateway([inner])))
    assert client.post("/outer/in", json={"a": 1}).json() == {"a": 1}


def test_a_wsgi_application_streams_and_is_closed(serve):
    log = []

    class Answer:
        def __iter__(self):
            yield b"a"
            yield b"b" * 100_000

        def close(self):
            log.append("closed")

    def app(environ, start_response):
        start_response("201 Made", [("X-A", "b")])
        return Answer()

    answer = serve(Mount("/old", app)).get("/old")
    assert (answer.status_code, len(answer.content), answer.headers["X-A"], log) == (201, 100_001, "b", ["closed"])


def test_a_wsgi_application_behind_middleware_of_the_gateway(serve):
    def stamp(app):
        async def inside(scope, receive, send):
            async def stamped(message):
                if message["type"] == "http.response.start":
                    message["headers"] = [*message["headers"], (b"x-stamp", b"yes")]
                await send(message)

            await app(scope, receive, stamped)

        return inside

    answer = serve(Mount("/old", wsgi), middleware=[stamp]).post("/old/x", data="body", content_type="text/plain")
    assert (answer.text, answer.headers["X-Stamp"]) == ("/old /x POST body ", "yes")


@pytest.mark.parametrize(("path", "path_info"), [("/old", ""), ("/old/", "/"), ("/old/a b/é", "/a b/Ã©")])
def test_a_wsgi_application_below_asgi_gets_the_rest_of_the_path_and_joined_headers(path, path_info):
    seen, sent = [], []

    def application(environ, start_response):
        seen.append(environ)
        start_response("200 OK", [])
        return [b""]

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    headers = [
        (b"host", b"testserver"),
        (b"x-real-ip", b"1"),
        (b"x_real_ip", b"2"),
        (b"accept", b"a"),
        (b"accept", b"b"),
    ]
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": headers}
    gateway = Gateway([Mount("/old", application)])
    asyncio.run(gateway(scope, receive, send))
    gateway.pools.close()
    assert sent[0]["status"] == 200
    (environ,) = seen
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/old", path_info)
    assert environ["HTTP_ACCEPT"] == "a,b"
