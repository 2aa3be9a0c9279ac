"""Answers: nothing of a client's becomes a header of its own, no redirect leads away, no file is found outside."""

import asyncio
import os
from wsgiref.util import setup_testing_defaults

import pytest
from django.test import override_settings
from django.urls import include, path

from hybrid_gateway import FileResponse, Gateway, get, route
from hybrid_gateway.test import TestClient
from tests.security.site_answers import ROUTES, adding, filename, views

# --- headers -------------------------------------------------------------------------------------------------------

urlpatterns = [path("django/", include(views))]
PATHS = [
    "/response", "/name", "/outgoing", "/cookie", "/cookie-path", "/redirect", "/error", "/stream", "/events", "/file",
    "/filename", "/media-type", "/django-response", "/app", "/middleware", "/asgi", "/wsgi", "/django/sync",
    "/django/async", "/django/stream",
]  # fmt: skip
INJECTIONS = ["a%0d%0aInjected:%201", "a%0aInjected:%201", "a%0dInjected:%201", "a%0d%0a%0d%0aInjected:%201"]


@pytest.fixture
def urls():
    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=[], ALLOWED_HOSTS=["localhost"]):
        yield


def assert_nothing_is_injected(server):
    for path_ in PATHS:
        target = f"/admin{path_}" if path_.startswith("/django/") else f"/answers{path_}"
        for value in (*INJECTIONS, "a%00b", "a%1bb"):
            request = f"GET {target}?value={value} HTTP/1.1\r\nHost: ex.test\r\nConnection: close\r\n\r\n"
            answer = server.say(request.encode())
            head = answer.partition(b"\r\n\r\n")[0]
            assert answer.startswith(b"HTTP/1."), (path_, value)
            for line in head.splitlines()[1:]:
                assert not line.lower().startswith(b"injected"), (path_, value)
            assert not any(byte in head for byte in b"\x00\x1b"), (path_, value)
            assert head.count(b"\r") == head.count(b"\n") == head.count(b"\r\n")


def test_r_crlf_nothing_is_injected_on_the_wire(server):
    assert_nothing_is_injected(server)


def test_r_crlf_nothing_is_injected_below_middleware(debug_server):
    assert_nothing_is_injected(debug_server)


@pytest.mark.parametrize("outer", [(), (adding,)], ids=["bare", "below middleware"])
@pytest.mark.parametrize("path_", [path_ for path_ in PATHS if path_ not in ("/redirect", "/cookie", "/filename")])
@pytest.mark.parametrize("value", ["a\r\nInjected: 1", "a\nb", "a\x00b", "a\x7fb"], ids=["line", "LF", "NUL", "DEL"])
def test_r_crlf_it_is_an_exception_before_any_server_sees_it(urls, path_, value, outer):
    """Not every server looks, so the gateway does: over ASGI and WSGI, on both sides."""
    gateway = Gateway(ROUTES, django_routes=["/django/"], middleware=outer)
    query = "value=" + "".join(f"%{byte:02x}" for byte in value.encode())
    for drive in (drive_asgi, drive_wsgi):
        started = []
        try:
            drive(gateway, path_, query, started)
        except Exception:  # which every server answers by 500
            assert not started
        for status, headers in started:
            assert status >= 500, drive
            assert not any(character in text for line in headers for text in line for character in "\r\n\x00\x7f")


def drive_asgi(gateway, path_, query, started):
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": path_, "raw_path": path_.encode(), "query_string": query.encode(), "root_path": "",
        "headers": [(b"host", b"localhost")], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
    }  # fmt: skip
    gone = []

    async def receive():
        if gone:
            await asyncio.sleep(3600)
        gone.append(True)
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        if message["type"] == "http.response.start":
            lines = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message["headers"]]
            started.append((message["status"], lines))

    gateway.loop_thread.run(gateway(scope, receive, send))


def drive_wsgi(gateway, path_, query, started):
    environ = {"PATH_INFO": path_, "QUERY_STRING": query, "HTTP_HOST": "localhost"}
    setup_testing_defaults(environ)
    body = gateway.wsgi(environ, lambda status, headers, *rest: started.append((int(status[:3]), headers)))
    list(body)
    getattr(body, "close", lambda: None)()


def test_r_disp_a_name_cannot_leave_its_quotes(serve):
    client = serve(filename)
    for value in ('a".exe', "a;b", "a\\b", "a\x1b", "ä", 'x"; filename="y'):
        shown = client.get("/filename", params={"value": value}).headers["Content-Disposition"]
        assert shown.startswith(("attachment; filename=", "attachment; filename*=utf-8''"))
        assert shown.count('"') in (0, 2)
        assert shown.count(";") == 1


# --- redirects -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example/", "/%2fevil.example/", "/\\evil.example/", "/%5cevil.example/", "/%5c%5cevil.example/",
        "///evil.example", "/a/%0d%0aLocation:%20x", "/https:evil.example/", "/.//evil.example/", "/%09/evil.example/",
    ],
)  # fmt: skip
def test_r_redir_the_other_slash_is_never_another_host(debug_server, target):
    for prefix in ("", "/one"):
        answer = debug_server.get(prefix + target)
        location = answer.headers.get("location", "/")
        assert answer.status and location.startswith("/")
        assert not location.startswith(("//", "/\\"))


def test_r_redir_there_is_one_to_the_other_slash(debug_server):
    answer = debug_server.get("/a/?q=//evil.example")
    assert (answer.status, answer.headers["location"]) == (308, "/a?q=//evil.example")


# --- ranges --------------------------------------------------------------------------------------------------------


@pytest.fixture
def large(tmp_path):
    found = tmp_path / "large"
    found.write_bytes(bytes(range(250)) * 400)

    @route("/large", methods=["GET", "POST"])
    async def send() -> FileResponse:
        return FileResponse(found)

    return found, send


def test_r_range_not_more_than_a_hundred_are_served(serve, large):
    client = serve(large[1])
    assert client.get("/large", headers={"Range": "bytes=0-1,4-5"}).status_code == 206
    many = "bytes=" + ",".join(f"{start}-{start}" for start in range(0, 2000, 2))
    answer = client.get("/large", headers={"Range": many})
    assert (answer.status_code, len(answer.content)) == (200, 100_000)


def test_r_range_is_for_reading_alone(serve, large):
    answer = serve(large[1]).post("/large", headers={"Range": "bytes=0-1"})
    assert (answer.status_code, len(answer.content)) == (201, 100_000)


@pytest.mark.parametrize("header", ["If-None-Match", "If-Modified-Since"])
def test_r_range_and_so_are_conditions(serve, large, header):
    client = serve(large[1])
    first = client.get("/large")
    value = first.headers[{"If-None-Match": "ETag", "If-Modified-Since": "Last-Modified"}[header]]
    assert client.get("/large", headers={header: value}).status_code == 304
    assert client.head("/large", headers={header: value}).status_code == 304
    assert client.post("/large", headers={header: value}).status_code == 201


@pytest.mark.parametrize("zone", ["+99999999999999999999", "9" * 5000, "GMT" * 1000, "-9999"])
def test_r_range_a_date_that_is_none_changes_nothing(serve, large, zone):
    client = serve(large[1])
    assert client.get("/large", headers={"If-Modified-Since": f"Mon, 01 Jan 2024 00:00:00 {zone}"}).status_code == 200


@pytest.mark.parametrize("value", ["bytes=²-³", "bytes=１-２", "bytes=--1", "bytes=1-0", "bytes=" + "9" * 5000 + "-"])
def test_r_range_what_is_none_is_refused_or_ignored(serve, large, value):
    raw = value.encode().decode("latin-1")
    assert serve(large[1]).get("/large", headers={"Range": raw}).status_code in (200, 400, 416)


def test_r_range_a_file_that_shrinks_ends_the_answer(large):
    found, send_file = large
    gateway = Gateway([send_file])
    found.write_bytes(b"x" * 1_000_000)
    sent = []
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": "/large", "raw_path": b"/large", "query_string": b"", "root_path": "",
        "headers": [(b"host", b"localhost"), (b"range", b"bytes=0-400000,500000-999999")],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
    }  # fmt: skip

    async def receive():
        await asyncio.sleep(3600)

    async def send(message):
        sent.append(message)
        os.truncate(found, 1000)
        assert len(sent) < 1000

    try:
        gateway.loop_thread.run(gateway(scope, receive, send))
    except Exception as problem:
        assert "short" in str(problem).lower() or "truncat" in str(problem).lower() or "size" in str(problem).lower()
    assert sum(len(message.get("body", b"")) for message in sent) < 1_000_000


# --- files ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "in.txt").write_text("inside")
    (tmp_path / "static1").mkdir()
    for outside in (tmp_path / "out.txt", tmp_path / "static1" / "out.txt"):
        outside.write_text("outside")
    (tmp_path / "static" / "link.txt").symlink_to(tmp_path / "out.txt")
    (tmp_path / "static" / "in.txt.gz").symlink_to(tmp_path / "out.txt")
    (tmp_path / "static" / "links").symlink_to(tmp_path / "static1")
    return tmp_path / "static"


def noting(function, names):
    def noted(name, *args, **options):
        names.append(str(name))
        return function(name, *args, **options)

    return noted


def files_of(folder):
    @get("/files")
    def send(name: str) -> FileResponse:
        return FileResponse(name, root=folder)

    return send


OUTSIDE = [
    "../out.txt", "../static1/out.txt", "./../out.txt", "x/../../out.txt", "link.txt", "in.txt.gz", "links/out.txt",
    "..", ".", "", "links", "..\\out.txt", "\x00", "in.txt\x00", "x" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("name", OUTSIDE)
def test_r_st1_nothing_outside_is_found(serve, folder, name):
    client = serve(files_of(folder))
    assert client.get("/files", params={"name": "in.txt"}).content == b"inside"
    assert client.get("/files", params={"name": name}).status_code == 404


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "//host/share/x",
        "\\\\host\\share\\x",
        "C:\\x",
        "C:x",
        "c:/x",
        "\\x",
        "\\\\?\\C:\\x",
        "../x",
        "a/../../x",
    ],
)
def test_r_st2_no_file_system_is_asked_for_it(folder, monkeypatch, name):
    asked = []
    for function in ("stat", "lstat"):
        monkeypatch.setattr(os, function, noting(getattr(os, function), asked))
    client = TestClient(Gateway([files_of(folder)]))
    assert client.get("/files", params={"name": "in.txt"}).status_code == 200
    assert any(path_.endswith("in.txt") for path_ in asked)
    asked.clear()
    assert client.get("/files", params={"name": name}).status_code == 404
    assert not asked


STATIC = [
    "/static/../conftest.py", "/static/%2e%2e/settings.py", "/static//etc/passwd", "/static/admin/../../../settings.py",
    "/static/admin/css/..%2f..%2f..%2fsettings.py", "/static/..%5c..%5csettings.py", "/static/%00", "/static/C:%5cx",
    "/static/../../static/x", "/static/admin/../../../static/x",
]  # fmt: skip


def test_r_st1_djangos_static_files_through_the_gateway(debug_server):
    assert debug_server.get("/static/admin/css/base.css").status == 200
    assert debug_server.get("/static").headers["location"] == "/static/"
    assert debug_server.get("/static1/x").text == "static1"
    for path_ in STATIC:
        assert debug_server.get(path_).status in (400, 404), path_
