"""Which side answers, and that each gets the request as it came."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any
from urllib.parse import quote
from wsgiref.validate import validator

import pytest
from django.test import override_settings
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from hybrid_gateway import Gateway, Request, get, http, post
from hybrid_gateway.dispatch.prefixes import Prefixes
from hybrid_gateway.exceptions import ConfigurationError
from hybrid_gateway.gateway.settings_gateway import default_gateway
from hybrid_gateway.request.head_parsing import path_info

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.sites.dispatch_urls")]


@get("/api/{x}")
async def api(x: str, request: Request) -> dict[str, Any]:
    return {"api": x, "home": reverse("page"), "root": request.scope["root_path"]}


@get("/sync")
def sync_api(path: http.Path) -> dict[str, Any]:
    return {"home": reverse("page"), "path": path}


@post("/upload")
async def upload(request: Request) -> int:
    return len(await request.body())


def make_gateway(**options: Any) -> Gateway:
    return Gateway([api, sync_api, upload], django_routes=["/pages/", "/admin"], **options)


def scope_of(path: str, method: str = "GET", **others: Any) -> dict[str, Any]:
    """The scope of a request as an ASGI server would make it."""
    return {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1", "method": method,
        "scheme": "http", "path": path, "raw_path": quote(path).encode(), "query_string": b"", "root_path": "",
        "headers": [(b"host", b"testserver")], "client": ("127.0.0.1", 1), "server": ("testserver", 80), **others,
    }  # fmt: skip


def asgi(gateway: Any, path: str, method: str = "GET", **scope: Any) -> tuple[int, dict[str, str], bytes]:
    """One request as an ASGI server would make it."""
    messages: list[Any] = []
    full = scope_of(path, method, **scope)

    async def run() -> None:
        sent = False
        done = asyncio.Event()

        async def receive() -> Any:
            nonlocal sent
            if sent:
                await done.wait()
                return {"type": "http.disconnect"}
            sent = True
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            messages.append(message)

        await gateway(full, receive, send)
        done.set()

    asyncio.run(run())
    headers = {name.decode().lower(): value.decode("latin-1") for name, value in messages[0]["headers"]}
    return messages[0]["status"], headers, b"".join(message.get("body", b"") for message in messages[1:])


def wsgi(gateway: Any, path: str, script_name: str = "", method: str = "GET", body: bytes = b"", **environ: Any) -> Any:
    """One request as a WSGI server would make it, watched by the standard library's validator."""
    started: list[Any] = []
    full = {
        "REQUEST_METHOD": method, "SCRIPT_NAME": script_name, "PATH_INFO": path.encode().decode("latin-1"),
        "QUERY_STRING": "", "SERVER_NAME": "testserver", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "testserver", "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(), "wsgi.multithread": True, "wsgi.multiprocess": False, "wsgi.run_once": False,
        **({"CONTENT_LENGTH": str(len(body))} if body else {}), **environ,
    }  # fmt: skip

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        started.append((int(status.split()[0]), {name.lower(): value for name, value in headers}))
        return lambda data: None

    # The validator wants a Content-Type on every answer but 204 and 304; PEP 3333 does not, and a redirect needs none.
    application = gateway.wsgi if path.endswith("sync/") else validator(gateway.wsgi)
    result = application(full, start_response)
    try:
        content = b"".join(result)
    finally:
        getattr(result, "close", lambda: None)()
    return (*started[0], content)


# --- prefixes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "covered"),
    [
        ("/admin", True), ("/admin/", True), ("/admin/x", True), ("/administrator", False), ("/adminx/", False),
        ("/Admin/", False), ("//admin/", False), ("/x/admin/", False), ("/", True), ("", False), ("/old/deep/x", True),
        ("/old", False),
    ],
)  # fmt: skip
def test_prefixes_match_whole_segments(path, covered):
    prefixes = Prefixes(["/admin/", "/", "/old/deep"])
    assert (path in prefixes) is covered
    assert (prefixes.find(path) is not None) is covered


def test_the_longest_prefix_wins():
    assert Prefixes(["/a", "/a/b/", "/"]).find("/a/b/c") == "/a/b/"


@given(st.lists(st.sampled_from(["admin", "Admin", "", "..", ".", "%61dmin", "adminx", "api", ";", "\\"]), max_size=5))
def test_only_literal_segments_open_a_prefix(segments):
    path = "/" + "/".join(segments)
    assert (path in Prefixes(["/admin/"])) is (segments[:1] == ["admin"])


@pytest.mark.parametrize(
    ("path", "root", "info"),
    [
        ("/app/x", "/app", "/x"), ("/app/x", "/app/", "/x"), ("/app", "/app", "/"), ("/x", "/app", "/x"),
        ("/apple", "/app", None), ("/x", "", "/x"), ("/app/app/x", "/app", "/app/x"),
    ],
)  # fmt: skip
def test_the_script_prefix_is_stripped_at_a_segment_boundary(path, root, info):
    assert path_info(path, root) == info


# --- both sides, both protocols ------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["auto", "wsgi", "asgi"])
def test_django_answers_its_prefixes_and_the_api_the_rest(side):
    gateway = make_gateway(django_side=side)
    for path, status, part in [
        ("/pages/", 200, '"info": "/pages/"'), ("/pages/a/b", 200, '"rest": "a/b"'), ("/api/1", 200, '"api":"1"'),
        ("/internal/", 404, "about:blank"), ("/", 404, "about:blank"), ("/pagesx/", 404, "about:blank"),
        ("/admin/nothing/", 302, ""), ("/pages/é", 200, '"rest": "\\u00e9"'), ("/pages/async/", 200, "/pages/async/"),
    ]:  # fmt: skip
        for answer in (asgi(gateway, path), wsgi(gateway, path)):
            assert (answer[0], part in answer[2].decode()) == (status, True), (path, answer)


def test_a_missing_slash_is_djangos_own_business():
    gateway = make_gateway()
    for answer in (asgi(gateway, "/admin"), wsgi(gateway, "/admin")):
        assert (answer[0], answer[1]["location"]) == (301, "/admin/")


def test_both_sides_know_the_script_prefix():
    gateway = make_gateway()
    below = asgi(gateway, "/app/pages/", root_path="/app"), wsgi(gateway, "/pages/", "/app")
    for status, _, content in below:
        assert status == 200
        assert json.loads(content) == {"path": "/app/pages/", "info": "/pages/", "home": "/app/pages/", "rest": ""}
    for status, _, content in (asgi(gateway, "/app/api/1", root_path="/app"), wsgi(gateway, "/api/1", "/app")):
        assert (status, json.loads(content)) == (200, {"api": "1", "home": "/app/pages/", "root": "/app"})
    for status, _, content in (asgi(gateway, "/app/sync", root_path="/app"), wsgi(gateway, "/sync", "/app")):
        assert (status, json.loads(content)) == (200, {"home": "/app/pages/", "path": "/app/sync"})
    assert asgi(gateway, "/app/sync/", root_path="/app")[1]["location"] == "/app/sync"
    assert wsgi(gateway, "/sync/", "/app")[1]["location"] == "/app/sync"
    for _, _, content in (asgi(gateway, "/sync"), wsgi(gateway, "/sync")):
        assert json.loads(content)["home"] == "/pages/"


def test_force_script_name_is_the_script_prefix_of_both_sides():
    with override_settings(FORCE_SCRIPT_NAME="/forced"):
        gateway = make_gateway()
        for status, _, content in (asgi(gateway, "/forced/sync"), wsgi(gateway, "/sync")):
            assert (status, json.loads(content)["home"]) == (200, "/forced/pages/")
        for status, _, content in (asgi(gateway, "/forced/pages/"), wsgi(gateway, "/pages/")):
            assert (status, json.loads(content)["home"]) == (200, "/forced/pages/")


def test_a_root_path_opens_no_other_view():
    gateway = make_gateway()
    assert asgi(gateway, "/pages/internal/", root_path="/pages")[0] == 404
    assert wsgi(gateway, "/internal/", "/pages")[0] == 404
    assert asgi(gateway, "/pagesinternal/", root_path="/pages")[0] == 400
    assert asgi(gateway, "/pages/", root_path="/pages")[0] == 404


def test_django_gets_the_very_scope_and_environ(monkeypatch):
    gateway = make_gateway()
    seen: list[Any] = []

    async def django_asgi(scope: Any, receive: Any, send: Any, thread: Any) -> None:
        seen.append((scope, dict(scope)))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    monkeypatch.setattr(gateway.dispatcher.django, "asgi", django_asgi)
    scope: dict[str, Any] = {"extra": object(), "root_path": "/app"}
    asgi(gateway, "/app/pages/", **scope)
    assert seen[0][1]["extra"] is scope["extra"]
    assert seen[0][0]["path"] == "/app/pages/"
    assert not any(str(key).startswith("hybrid") for key in seen[0][1])


def test_unknown_paths_fall_through_only_when_told():
    assert asgi(make_gateway(), "/internal/")[0] == 404
    gateway = make_gateway(fallthrough=True)
    for answer in (asgi(gateway, "/internal/"), wsgi(gateway, "/internal/")):
        assert (answer[0], answer[2]) == (200, b"internal")
    assert asgi(gateway, "/sync", "POST")[0] == 405
    assert asgi(gateway, "/sync/")[0] == 308


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "no-slash", 400), ("GET", "", 400), ("OPTIONS", "*", 204), ("GET", "*", 400), ("CONNECT", "host:1", 400),
     ("GET", "http://evil.test/api/1", 400)],
)  # fmt: skip
def test_targets_that_are_no_paths_are_refused(method, path, status):
    assert asgi(make_gateway(), path, method)[0] == status


def test_a_wsgi_body_is_read_to_its_announced_end_or_to_the_end_of_a_terminated_stream():
    gateway = make_gateway()
    assert wsgi(gateway, "/upload", method="POST", body=b"x" * 100_000)[2] == b"100000"
    chunked = {"wsgi.input": io.BytesIO(b"y" * 70_000), "wsgi.input_terminated": True}
    assert wsgi(gateway, "/upload", method="POST", **chunked)[2] == b"70000"
    assert wsgi(gateway, "/upload", method="POST", **{"wsgi.input": io.BytesIO(b"ignored")})[2] == b"0"


# --- everything that is not http -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/admin/", "/api/1", "/static/x"])
def test_a_websocket_is_refused_cleanly(path):
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(make_gateway()({"type": "websocket", "path": path, "headers": []}, receive, send))
    assert [message["type"] for message in sent] == ["websocket.close"]


def test_other_scopes_are_an_error_of_the_server():
    with pytest.raises(ValueError, match="ASGI/HTTP connections, not mqtt"):
        asyncio.run(make_gateway()({"type": "mqtt"}, None, None))


def live(gateway: Gateway, *phases: str) -> list[Any]:
    sent: list[Any] = []

    async def run() -> None:
        messages = iter([{"type": f"lifespan.{phase}"} for phase in phases])

        async def receive() -> Any:
            return next(messages)

        async def send(message: Any) -> None:
            sent.append(message)

        await gateway({"type": "lifespan"}, receive, send)

    asyncio.run(run())
    return sent


def test_lifespan_runs_hooks_in_order_and_undoes_them_in_reverse():
    log: list[str] = []

    async def lifespan(gateway: Gateway) -> Any:
        gateway.state.ready = True
        log.append("enter")
        yield
        log.append("leave")

    gateway = make_gateway(
        lifespan=[lifespan], on_startup=[lambda: log.append("up")], on_shutdown=[lambda: log.append("down")]
    )
    assert [message["type"] for message in live(gateway, "startup", "shutdown")] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]
    assert log == ["up", "enter", "down", "leave"]
    assert gateway.state.ready


def test_a_failing_start_up_is_told_to_the_server(caplog):
    def fail() -> None:
        raise RuntimeError("no database")

    assert live(make_gateway(on_startup=[fail]), "startup") == [
        {"type": "lifespan.startup.failed", "message": "RuntimeError: no database"}
    ]


# --- settings ------------------------------------------------------------------------------------------------------


def test_a_typed_route_under_a_django_prefix_is_an_error():
    with pytest.raises(ConfigurationError, match=r"GET /pages/\{x\} .* lies under '/pages/', which Django answers"):
        Gateway([get("/pages/{x}")(lambda x: None)], django_routes=["/pages/"])
    with pytest.raises(ConfigurationError, match="lies under '/static/'"):
        Gateway([get("/static/x")(lambda: None)], django_routes=["/pages/"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ROUTE": "x"}, "no key 'ROUTE'. Did you mean 'ROUTES'?"),
        ({"ROUTES": 5}, "must be the dotted path of a module"),
        ({}, r'\["ROUTES"\] is missing'),
        ({"ROUTES": "tests.routes", "ALLOWED_DJANGO_ROUTES": "/admin/"}, "must be a tuple of path prefixes"),
        ({"ROUTES": "tests.routes", "ALLOWED_DJANGO_ROUTES": ["admin/"]}, "starts with '/'"),
        ({"ROUTES": "tests.routes", "THREADS": 0}, "1 or more, not 0"),
        ({"ROUTES": "tests.routes", "TRAILING_SLASH": "append"}, '"redirect", "strict" or "ignore"'),
        ({"ROUTES": "tests.routes", "OPENAPI": {"TITEL": "x"}}, "no key 'TITEL'. Did you mean 'TITLE'?"),
        ({"ROUTES": "tests.routes", "GUARDS": ["tests.routes.nothing"]}, "names 'tests.routes.nothing', which cannot"),
        ([], "must be a dict, not list"),
    ],
)
def test_settings_that_make_no_sense_are_told(settings, message):
    with override_settings(HYBRID_GATEWAY=settings), pytest.raises(ConfigurationError, match=message):
        default_gateway()


def test_settings_are_read_again_when_they_change():
    before = default_gateway()
    assert default_gateway() is before
    with override_settings(HYBRID_GATEWAY={"ROUTES": "tests.routes", "THREADS": 3}):
        assert default_gateway().pools.typed.size == 3
    assert default_gateway().pools.typed.size == 8
    with override_settings(DEBUG=True):
        assert default_gateway().reverse_url("docs") == "/docs"


def test_static_url_is_djangos_by_itself():
    assert default_gateway().dispatcher.is_django("/static/admin/css/base.css")
    with override_settings(STATIC_URL="https://cdn.example/"):
        assert not default_gateway().dispatcher.is_django("/static/x")
    with override_settings(STATIC_URL="/assets/"):
        assert default_gateway().dispatcher.is_django("/assets/x")


@pytest.mark.parametrize("protocol", [asgi, wsgi])
def test_static_files_are_served_under_debug_only(protocol):
    path = "/static/admin/css/base.css"
    assert protocol(default_gateway(), path)[0] == 404
    with override_settings(DEBUG=True):
        status, headers, content = protocol(default_gateway(), path)
        assert (status, headers["content-type"]) == (200, "text/css")
        assert b"body" in content


# --- scopes with what ASGI demands, and nothing else


def test_a_scope_may_lack_whatever_the_protocol_lets_it_lack():
    # SPEC: ASGI HTTP scope: http_version, scheme, query_string, root_path, raw_path, client and server may be missing.
    from hybrid_gateway.telemetry import AccessLog

    @get("/seen", event_hooks=[AccessLog], cache=60)
    async def seen(request: Request, url: http.URL, host: http.Host, q: str = "") -> list[str]:
        return [str(request.url), url, host, q]

    gateway, sent = Gateway([seen]), []

    async def receive():
        return {"type": "http.request"}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "asgi": {"version": "3.0"}, "method": "GET", "path": "/seen"}
    scope["headers"] = [(b"host", b"testserver")]
    asyncio.run(gateway(scope, receive, send))
    assert (sent[0]["status"], sent[1]["body"]) == (
        200,
        b'["http://testserver/seen","http://testserver/seen","testserver",""]',
    )
